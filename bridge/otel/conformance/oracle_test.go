package otelconformance

import (
	"bytes"
	"io"
	"math"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/tachikoma/tacho"
	otelbridge "github.com/tachikoma/tacho/bridge/otel"
)

const (
	traceID = "0102030405060708090a0b0c0d0e0f10"
	spanID  = "a1a2a3a4a5a6a7a8"
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

// units has the units of OpenTelemetry for those of randomRegistry.
var units = map[string]string{"": "", "seconds": "s", "bytes": "By", "ratio": "1", "things": "things"}

// compare compares the metrics that a Producer makes of a registry with the exposition of the registry
// as the protobuf library reads it.
func compare(t *testing.T, reg *tacho.Registry) {
	t.Helper()
	var b bytes.Buffer
	if err := reg.WriteProtobuf(&b); err != nil {
		t.Fatal(err)
	}
	want, err := decode(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	before := time.Now()
	p := otelbridge.NewProducer(reg)
	after := time.Now()
	scopes, err := p.Produce(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var list []metricdata.Metrics
	if len(scopes) > 0 {
		list = scopes[0].Metrics
	}
	if len(list) != len(want) {
		t.Fatalf("%d metrics, want %d", len(list), len(want))
	}
	for i, f := range want {
		got := list[i]
		if got.Name != f.GetName() || got.Description != f.GetHelp() || got.Unit != units[f.GetUnit()] {
			t.Errorf("%q %q %q, want %v", got.Name, got.Description, got.Unit, f)
		}
		for j, m := range f.Metric {
			comparePoint(t, got, j, m, before, after)
		}
	}
}

// comparePoint compares a data point with a series. A series without a time of creation starts at a
// time from before to after.
func comparePoint(t *testing.T, got metricdata.Metrics, j int, m *dto.Metric, before, after time.Time) {
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
	var created *timestamppb.Timestamp
	var start time.Time
	gauge := false
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
		created, start = m.Counter.CreatedTimestamp, p.StartTime
	case metricdata.Gauge[float64]:
		p := d.DataPoints[j]
		attributes, start, gauge = p.Attributes, p.StartTime, true
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
		created, start = h.CreatedTimestamp, p.StartTime
	case metricdata.ExponentialHistogram[float64]:
		p := d.DataPoints[j]
		attributes, exemplars = p.Attributes, p.Exemplars
		h := m.GetHistogram()
		shift := h.GetSchema() - p.Scale
		if max(len(p.PositiveBucket.Counts), len(p.NegativeBucket.Counts)) > 4096 {
			bad(h, p)
		}
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
		created, start = h.CreatedTimestamp, p.StartTime
	default:
		t.Fatalf("%T", d)
	}
	if attributes != attribute.NewSet(labels(m.Label)...) {
		bad(m.Label, attributes.ToSlice())
	}
	switch {
	case gauge:
		if !start.IsZero() {
			bad(time.Time{}, start)
		}
	case created != nil:
		if !start.Equal(created.AsTime()) {
			bad(created.AsTime(), start)
		}
	case start.Before(before) || start.After(after):
		bad(before, start)
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
		compare(t, randomRegistry(seed))
	})
}
