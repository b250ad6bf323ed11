package otelbridge

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"google.golang.org/protobuf/encoding/protodelim"

	"github.com/tachikoma/tacho"
)

// decode returns the families of an exposition, as the protobuf library reads them.
func decode(data []byte) (list []*dto.MetricFamily, err error) {
	r := bytes.NewReader(data)
	for {
		f := new(dto.MetricFamily)
		if err := protodelim.UnmarshalFrom(r, f); err == io.EOF {
			return list, nil
		} else if err != nil {
			return nil, err
		}
		if n := len(list); n > 0 && list[n-1].GetName() == f.GetName() {
			list[n-1].Metric = append(list[n-1].Metric, f.Metric...)
		} else {
			list = append(list, f)
		}
	}
}

// randomRegistry returns a registry whose metrics depend on seed alone. It has no functions, so all
// of its scrapes are the same.
func randomRegistry(seed uint64) *tacho.Registry {
	r := rand.New(rand.NewPCG(seed, 1))
	opts := []tacho.Option{tacho.WithUTF8Names()}
	if r.IntN(2) == 0 {
		opts = append(opts, tacho.WithCreated())
	}
	if r.IntN(2) == 0 {
		opts = append(opts, tacho.WithConstLabels("zone", randomText(r)))
	}
	native := r.IntN(2) == 0
	if native {
		opts = append(opts, tacho.WithNative(tacho.NativeConfig{Factor: 1 + r.ExpFloat64(), MaxBuckets: 1 + r.IntN(300), ZeroThreshold: math.Pow(10, -20*r.Float64())}))
	}
	reg := tacho.NewRegistry(opts...)
	exemplar := func() []string {
		switch r.IntN(4) {
		case 0:
			return []string{"trace_id", traceID, "span_id", spanID}
		case 1:
			return []string{"id", strconv.Itoa(r.IntN(100)), "trace_id", "x"}
		}
		return nil
	}
	for i := range 1 + r.IntN(6) {
		name, unit := "m"+strconv.Itoa(i), ""
		if r.IntN(2) == 0 {
			unit = []string{"seconds", "bytes", "ratio", "things"}[r.IntN(4)]
			name += "_" + unit
		}
		help, series := randomText(r), r.IntN(40)
		switch r.IntN(4) {
		case 0:
			v := reg.FloatCounterVec(name+"_total", help, []string{"l"}, tacho.WithUnit(unit))
			for range series {
				v.With(randomText(r)).AddExemplar(r.ExpFloat64(), exemplar()...)
			}
		case 1:
			v := reg.FloatGaugeVec(name, help, []string{"a", "b.c"}, tacho.WithUnit(unit))
			for range series {
				v.With(randomText(r), randomText(r)).Set(randomValue(r))
			}
		default:
			var buckets []float64
			if r.IntN(2) == 0 {
				buckets = tacho.LinearBuckets(-3, 1.5, 1+r.IntN(8))
			}
			v := reg.HistogramVec(name, help, buckets, []string{"l"}, tacho.WithUnit(unit))
			for range series {
				h := v.With(randomText(r))
				for range r.IntN(100) {
					h.ObserveExemplar(randomValue(r), exemplar()...)
				}
			}
		}
	}
	return reg
}

func randomText(r *rand.Rand) string {
	if r.IntN(20) == 0 {
		return string(bytes.Repeat([]byte("long"), r.IntN(200)))
	}
	return []string{"", "a", "é\"\\\n", "/x/y", "GET", strconv.Itoa(r.IntN(1000))}[r.IntN(6)]
}

func randomValue(r *rand.Rand) float64 {
	switch r.IntN(12) {
	case 0:
		return 0
	case 1:
		return math.Float64frombits(r.Uint64()) // may be NaN
	case 2:
		return math.Inf(1 - 2*r.IntN(2))
	}
	return r.NormFloat64() * math.Exp(5*r.NormFloat64())
}

// compare compares the metrics that a collection makes of data with what the protobuf library reads.
func compare(t *testing.T, data []byte) {
	t.Helper()
	want, err := decode(data)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	c := &collection{ctx: context.Background(), now: now, began: now.Add(-time.Hour)}
	if _, err := c.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := c.end(); err != nil {
		t.Fatal(err)
	}
	if len(c.metrics) != len(want) {
		t.Fatalf("%d metrics, want %d", len(c.metrics), len(want))
	}
	for i, f := range want {
		got := c.metrics[i]
		checkMetric(t, got)
		if got.Name != f.GetName() || got.Description != f.GetHelp() || got.Unit != unitOf(f.GetUnit()) {
			t.Errorf("%q %q %q, want %v", got.Name, got.Description, got.Unit, f)
		}
		times := timesOf(got)
		if len(times) != len(f.Metric) {
			t.Fatalf("%s: %d points, want %d", got.Name, len(times), len(f.Metric))
		}
		for j, m := range f.Metric {
			comparePoint(t, got, j, m, c.began)
		}
	}
}

func comparePoint(t *testing.T, got metricdata.Metrics, j int, m *dto.Metric, began time.Time) {
	t.Helper()
	labels := func(list []*dto.LabelPair) (kvs []attribute.KeyValue) {
		for _, l := range list {
			kvs = append(kvs, attribute.String(l.GetName(), l.GetValue()))
		}
		return kvs
	}
	bad := func(want any, got any) {
		t.Helper()
		t.Errorf("%v, want %v", got, want)
	}
	var attributes attribute.Set
	var exemplars []metricdata.Exemplar[float64]
	var wantExemplars []*dto.Exemplar
	start := began
	switch d := got.Data.(type) {
	case metricdata.Sum[float64]:
		p := d.DataPoints[j]
		attributes, exemplars = p.Attributes, p.Exemplars
		if c := m.GetCounter(); !same(p.Value, c.GetValue()) || !d.IsMonotonic || d.Temporality != metricdata.CumulativeTemporality {
			bad(m, p)
		}
		if m.Counter.Exemplar != nil {
			wantExemplars = append(wantExemplars, m.Counter.Exemplar)
		}
		if m.Counter.CreatedTimestamp != nil {
			start = m.Counter.CreatedTimestamp.AsTime()
		}
	case metricdata.Gauge[float64]:
		p := d.DataPoints[j]
		attributes, start = p.Attributes, time.Time{}
		if v := m.GetGauge().GetValue() + m.GetUntyped().GetValue(); !same(p.Value, v) {
			bad(m, p)
		}
	case metricdata.Histogram[float64]:
		p := d.DataPoints[j]
		attributes, exemplars = p.Attributes, p.Exemplars
		h := m.GetHistogram()
		below := uint64(0)
		for i, n := range p.BucketCounts {
			bound, count := math.Inf(1), h.GetSampleCount()
			if i < len(p.Bounds) {
				bound, count = p.Bounds[i], h.Bucket[i].GetCumulativeCount()
			}
			if i < len(h.Bucket) && (bound != h.Bucket[i].GetUpperBound() || count != h.Bucket[i].GetCumulativeCount()) || n != count-below {
				bad(h, p)
			}
			below = count
		}
		for _, b := range h.Bucket {
			if b.Exemplar != nil {
				wantExemplars = append(wantExemplars, b.Exemplar)
			}
		}
		if p.Count != h.GetSampleCount() || !same(p.Sum, h.GetSampleSum()) {
			bad(h, p)
		}
		if h.CreatedTimestamp != nil {
			start = h.CreatedTimestamp.AsTime()
		}
	case metricdata.ExponentialHistogram[float64]:
		p := d.DataPoints[j]
		attributes, exemplars = p.Attributes, p.Exemplars
		h := m.GetHistogram()
		shift := h.GetSchema() - p.Scale
		positive := expand(h.GetPositiveSpan(), h.GetPositiveDelta(), shift)
		negative := expand(h.GetNegativeSpan(), h.GetNegativeDelta(), shift)
		if p.Count != h.GetSampleCount() || !same(p.Sum, h.GetSampleSum()) || p.ZeroCount != h.GetZeroCount() || p.ZeroThreshold != h.GetZeroThreshold() ||
			shift < 0 || !equalBuckets(positive, p.PositiveBucket) || !equalBuckets(negative, p.NegativeBucket) {
			bad(h, p)
		}
		if wantExemplars = h.Exemplars; wantExemplars == nil {
			for _, b := range h.Bucket {
				if b.Exemplar != nil {
					wantExemplars = append(wantExemplars, b.Exemplar)
				}
			}
		}
		if h.CreatedTimestamp != nil {
			start = h.CreatedTimestamp.AsTime()
		}
	default:
		t.Fatalf("%T", d)
	}
	if attributes != attribute.NewSet(labels(m.Label)...) {
		bad(m.Label, attributes.ToSlice())
	}
	if times := timesOf(got)[j]; !times[0].Equal(start) && !times[0].Equal(times[1]) {
		bad(start, times)
	}
	if len(exemplars) != len(wantExemplars) {
		t.Fatalf("%d exemplars, want %v", len(exemplars), wantExemplars)
	}
	for i, x := range exemplars {
		want := wantExemplars[i]
		n := len(x.FilteredAttributes)
		if x.TraceID != nil {
			n++
		}
		if x.SpanID != nil {
			n++
		}
		if !same(x.Value, want.GetValue()) || !x.Time.Equal(want.GetTimestamp().AsTime()) || n != len(want.Label) {
			bad(want, x)
		}
	}
}

func same(a, b float64) bool { return a == b || a != a && b != b }

// expand returns the counts of native buckets by the index of OpenTelemetry.
func expand(spans []*dto.BucketSpan, deltas []int64, shift int32) map[int32]uint64 {
	counts := map[int32]uint64{}
	index, count := int32(0), int64(0)
	for _, s := range spans {
		index += s.GetOffset()
		for range s.GetLength() {
			count += deltas[0]
			deltas = deltas[1:]
			if count > 0 {
				counts[(index-1)>>shift] += uint64(count)
			}
			index++
		}
	}
	return counts
}

func equalBuckets(want map[int32]uint64, got metricdata.ExponentialBucket) bool {
	n := 0
	for i, c := range got.Counts {
		if c > 0 {
			n++
		}
		if want[got.Offset+int32(i)] != c {
			return false
		}
	}
	return n == len(want)
}

// FuzzRegistry compares the metrics of random registries with the protobuf library.
func FuzzRegistry(f *testing.F) {
	for seed := range uint64(100) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		var b bytes.Buffer
		if err := randomRegistry(seed).WriteProtobuf(&b); err != nil {
			t.Fatal(err)
		}
		compare(t, b.Bytes())
	})
}

// FuzzMessages reads arbitrary bytes, as a whole and in parts. Both give the same result, and each
// metric is as the data model demands.
func FuzzMessages(f *testing.F) {
	for seed := range uint64(20) {
		var b bytes.Buffer
		randomRegistry(seed).WriteProtobuf(&b)
		f.Add(b.Bytes()[:min(b.Len(), 2000)], 7)
	}
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
