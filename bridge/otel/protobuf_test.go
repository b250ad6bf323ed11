package otelbridge

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strconv"
	"testing"
	"time"

	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/tachikoma/tacho"
)

// seedMessages returns an exposition with metrics of all types.
func seedMessages(f *testing.F) []byte {
	reg := tacho.NewRegistry(tacho.WithNative(), tacho.WithCreated())
	counters := reg.CounterVec("a_total", "Help.", []string{"i"})
	for i := range 10 {
		counters.With(strconv.Itoa(i)).AddExemplar(uint64(i), "trace_id", traceID)
	}
	reg.FloatGauge("b_seconds", "", tacho.WithUnit("seconds")).Set(0.5)
	both, native := reg.Histogram("c", "", []float64{1, 2}), reg.Histogram("d", "", nil)
	for i := range 20 {
		both.ObserveExemplar(float64(i-3), "id", strconv.Itoa(i))
		native.ObserveExemplar(float64(i-3), "id", strconv.Itoa(i))
	}
	reg.Collect(func(e *tacho.Emitter) {
		e.Summary("e", "", tacho.SummarySnapshot{Count: 4, Sum: 2, Quantiles: []tacho.Quantile{{Quantile: 0.5, Value: 1}}})
		e.At(time.Unix(1, 0)).Untyped("f", "", 1, "l", "v")
	})
	var b bytes.Buffer
	if err := reg.WriteProtobuf(&b); err != nil {
		f.Fatal(err)
	}
	return b.Bytes()
}

// FuzzMessages reads arbitrary bytes, as a whole and in parts. Both give the same result, and each
// metric is as the data model demands.
func FuzzMessages(f *testing.F) {
	f.Add(seedMessages(f), 7)
	f.Add([]byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), 1)
	f.Add([]byte{0}, 1)
	f.Fuzz(func(t *testing.T, data []byte, size int) {
		if len(data) > 1<<16 {
			return
		}
		read := func(size int) (*collection, error) {
			c := &collection{ctx: context.Background(), now: time.Unix(2, 0), began: time.Unix(1, 0)}
			for part := range slices.Chunk(data, size) {
				if _, err := c.Write(part); err != nil {
					return c, err
				}
			}
			return c, c.end()
		}
		whole, err := read(max(1, len(data)))
		parts, partsErr := read(min(max(size, 1), 1<<16))
		if err != partsErr || err != nil && !errors.Is(err, errMalformed) {
			t.Fatalf("error %v of the whole, %v of parts", err, partsErr)
		}
		if err != nil {
			return
		}
		if len(whole.metrics) != len(parts.metrics) {
			t.Fatalf("%d metrics of the whole, %d of parts", len(whole.metrics), len(parts.metrics))
		}
		for i, m := range whole.metrics {
			if n := len(timesOf(m)); m.Name == "" || n == 0 || n != len(timesOf(parts.metrics[i])) {
				t.Errorf("%+v", m)
			}
			if d, ok := m.Data.(metricdata.ExponentialHistogram[float64]); ok {
				for _, p := range d.DataPoints {
					if len(p.PositiveBucket.Counts) > maxCounts || len(p.NegativeBucket.Counts) > maxCounts {
						t.Errorf("%d and %d counts", len(p.PositiveBucket.Counts), len(p.NegativeBucket.Counts))
					}
				}
			}
		}
	})
}

// TestMalformed: a malformed exposition is an error. It has no metrics.
func TestMalformed(t *testing.T) {
	message := func(fields ...[]byte) []byte { return bytes.Join(fields, nil) }
	nested := func(tag byte, b []byte) []byte { return append([]byte{tag, byte(len(b))}, b...) }
	name := nested(familyName, []byte("h"))
	histogram := func(fields ...[]byte) []byte {
		return message(name, nested(familyMetric, nested(metricHistogram, message(fields...))))
	}
	one := []byte{totalCount, 1}
	huge := []byte{spanOffset, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, spanLength, 0} // 2^63-1
	double := func(tag, exponent byte) []byte { return []byte{tag, 0, 0, 0, 0, 0, 0, 0xf0, exponent} }
	for _, c := range []struct {
		name    string
		message []byte
	}{
		{"no name", nested(familyMetric, nested(metricGauge, nil))},
		{"no value", message(name, nested(familyMetric, nil))},
		{"wire type", message(name, []byte{3})},
		{"long field", message(name, []byte{familyHelp, 100})},
		{"short double", histogram([]byte{totalSum, 0})},
		{"short varint", histogram([]byte{totalCount, 0x80})},
		{"falling counts", histogram([]byte{totalCount, 9}, nested(histogramBucket, message([]byte{bucketCount, 5}, double(bucketBound, 0x3f))), nested(histogramBucket, message([]byte{bucketCount, 4}, double(bucketBound, 0x40))))},
		{"total below a count", histogram(one, nested(histogramBucket, message([]byte{bucketCount, 2}, double(bucketBound, 0x3f))))},
		{"too few deltas", histogram(one, nested(histogramPositiveSpan, []byte{spanOffset, 0, spanLength, 2}), nested(histogramPositiveDeltas, []byte{2}))},
		{"negative count", histogram(one, nested(histogramNegativeSpan, []byte{spanOffset, 0, spanLength, 1}), nested(histogramNegativeDeltas, []byte{1}))},
		{"overlap", histogram(one, nested(histogramPositiveSpan, []byte{spanOffset, 0, spanLength, 1}), nested(histogramPositiveSpan, []byte{spanOffset, 1, spanLength, 1}), nested(histogramPositiveDeltas, []byte{2, 2}))},
		{"large index", histogram(one, nested(histogramPositiveSpan, []byte{spanOffset, 0xfe, 0xff, 0xff, 0xff, 0x0f, spanLength, 0}), nested(histogramPositiveSpan, []byte{spanOffset, 0xfe, 0xff, 0xff, 0xff, 0x0f, spanLength, 1}), nested(histogramPositiveDeltas, []byte{2}))},
		{"offsets that overflow", histogram(one, nested(histogramPositiveSpan, []byte{spanOffset, 10, spanLength, 1}), nested(histogramPositiveSpan, huge), nested(histogramPositiveSpan, huge),
			nested(histogramPositiveSpan, []byte{spanOffset, 0, spanLength, 1}), nested(histogramPositiveDeltas, []byte{2, 0}))},
		{"large offset", histogram(one, nested(histogramPositiveSpan, []byte{spanOffset, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, spanLength, 1}), nested(histogramPositiveDeltas, []byte{2}))},
	} {
		collection := &collection{ctx: t.Context()}
		if _, err := collection.Write(append([]byte{byte(len(c.message))}, c.message...)); err != errMalformed {
			t.Errorf("%s: error %v, metrics %+v", c.name, err, collection.metrics)
		}
	}
	collection := &collection{ctx: t.Context()}
	if _, err := collection.Write([]byte{5, familyName}); err != nil {
		t.Error(err)
	}
	if err := collection.end(); err != errMalformed {
		t.Errorf("error %v for an incomplete message", err)
	}
}

// TestAbsentFields: an absent field is the empty string or 0.
func TestAbsentFields(t *testing.T) {
	c := &collection{ctx: t.Context()}
	if _, err := c.Write([]byte{14, familyName, 1, 'a', familyMetric, 7, metricLabel, 3, labelName, 1, 'l', metricGauge, 0, familyHelp}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte{0}); err != nil {
		t.Fatal(err)
	}
	if err := c.end(); err != nil {
		t.Fatal(err)
	}
	d, _ := c.metrics[0].Data.(metricdata.Gauge[float64])
	if len(d.DataPoints) != 1 || d.DataPoints[0].Attributes != set("l", "") || d.DataPoints[0].Value != 0 {
		t.Errorf("%+v", c.metrics)
	}
}
