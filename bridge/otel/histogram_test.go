package otelbridge

import (
	"math"
	"math/rand/v2"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/tachikoma/tacho"
)

// exponentialOf returns the only data point of an exponential histogram.
func exponentialOf(t *testing.T, all map[string]metricdata.Metrics, name string) metricdata.ExponentialHistogramDataPoint[float64] {
	t.Helper()
	d, ok := all[name].Data.(metricdata.ExponentialHistogram[float64])
	if !ok || len(d.DataPoints) != 1 || d.Temporality != metricdata.CumulativeTemporality {
		t.Fatalf("%s is %+v", name, all[name])
	}
	return d.DataPoints[0]
}

// lowerBound returns the lower bound of a bucket of OpenTelemetry (OpenTelemetry specification, "Data
// Model", section "ExponentialHistogram").
func lowerBound(scale int32, index int32) float64 {
	return math.Exp2(float64(index) * math.Exp2(-float64(scale)))
}

// near reports whether two bounds are equal, except for rounding.
func near(a, b float64) bool { return a == b || math.Abs(a-b) <= 1e-12*math.Abs(b) }

// checkBuckets compares the buckets of a data point with those of the registry.
func checkBuckets(t *testing.T, got metricdata.ExponentialBucket, scale int32, s *tacho.NativeSnapshot, want []tacho.NativeBucket) {
	t.Helper()
	populated := 0
	for i, count := range got.Counts {
		if count == 0 {
			continue
		}
		if populated == len(want) {
			t.Fatalf("more than %d buckets", populated)
		}
		b := want[populated]
		lower, upper := lowerBound(scale, got.Offset+int32(i)), lowerBound(scale, got.Offset+int32(i)+1)
		if count != b.Count || !near(lower, s.Bound(b.Index-1)) || !near(upper, s.Bound(b.Index)) {
			t.Errorf("bucket (%v,%v] has %d, want (%v,%v] with %d", lower, upper, count, s.Bound(b.Index-1), s.Bound(b.Index), b.Count)
		}
		populated++
	}
	if populated != len(want) {
		t.Errorf("%d buckets, want %d", populated, len(want))
	}
	if n := len(got.Counts); n > 0 && (got.Counts[0] == 0 || got.Counts[n-1] == 0) {
		t.Error("the buckets begin or end with an empty one")
	}
}

// quantileOf computes a quantile from a data point, with linear interpolation of exponents. All
// observations must be positive.
func quantileOf(p metricdata.ExponentialHistogramDataPoint[float64], q float64) float64 {
	rank, below := q*float64(p.Count), float64(p.ZeroCount)
	for i, c := range p.PositiveBucket.Counts {
		if count := float64(c); below+count >= rank && c > 0 {
			lower, upper := lowerBound(p.Scale, p.PositiveBucket.Offset+int32(i)), lowerBound(p.Scale, p.PositiveBucket.Offset+int32(i)+1)
			return lower * math.Pow(upper/lower, (rank-below)/count)
		} else {
			below += count
		}
	}
	return math.NaN()
}

// TestNativeBuckets compares bounds and counts with the registry, in each schema.
func TestNativeBuckets(t *testing.T) {
	for schema := -4; schema <= 8; schema++ {
		factor := math.Exp2(math.Exp2(-float64(schema)))
		reg := tacho.NewRegistry(tacho.WithNative(tacho.NativeConfig{Factor: factor * 1.0000001, MaxBuckets: 5000, ZeroThreshold: 1e-6}))
		h := reg.Histogram("h", "", nil)
		positive := reg.Histogram("p", "", nil)
		r := rand.New(rand.NewPCG(1, uint64(schema+4)))
		for range 2000 {
			v := math.Exp(r.NormFloat64())
			positive.Observe(v)
			h.Observe(v * float64(1-2*r.IntN(2)))
		}
		for _, v := range []float64{0, 1e-7, -1e-6, 1, 2, 0.5, -4} {
			h.Observe(v)
		}
		all := produce(t, NewProducer(reg))
		p, s := exponentialOf(t, all, "h"), h.Snapshot()
		if int(p.Scale) != schema || s.Native.Schema != schema {
			t.Fatalf("scale %d, schema %d, want %d", p.Scale, s.Native.Schema, schema)
		}
		if p.Count != s.Count || p.Sum != s.Sum || p.ZeroCount != 3 || p.ZeroThreshold != 1e-6 {
			t.Errorf("schema %d: %+v", schema, p)
		}
		checkBuckets(t, p.PositiveBucket, p.Scale, s.Native, s.Native.Positive)
		checkBuckets(t, p.NegativeBucket, p.Scale, s.Native, s.Native.Negative)

		p, s = exponentialOf(t, all, "p"), positive.Snapshot()
		for _, q := range []float64{0.01, 0.5, 0.9, 0.99, 1} {
			if got, want := quantileOf(p, q), s.Quantile(q); math.Abs(got-want) > 1e-9*want {
				t.Errorf("schema %d: quantile %v is %v, want %v", schema, q, got, want)
			}
		}
	}
}

// TestEmptyNative: histograms without observations stay exponential.
func TestEmptyNative(t *testing.T) {
	reg := tacho.NewRegistry(tacho.WithNative())
	reg.Histogram("a", "", nil)
	reg.Histogram("b", "", nil, tacho.WithNative(tacho.NativeConfig{ZeroThreshold: 1}))
	reg.Collect(func(e *tacho.Emitter) {
		e.Histogram("c", "", tacho.HistogramSnapshot{Native: &tacho.NativeSnapshot{}})
	})
	all := produce(t, NewProducer(reg))
	for _, name := range []string{"a", "b", "c"} {
		p := exponentialOf(t, all, name)
		if p.Count != 0 || p.Sum != 0 || p.PositiveBucket.Counts != nil || p.NegativeBucket.Counts != nil {
			t.Errorf("%s is %+v", name, p)
		}
	}
	reg = tacho.NewRegistry()
	reg.Histogram("d", "", []float64{1, 2})
	reg.Collect(func(e *tacho.Emitter) { e.Histogram("e", "", tacho.HistogramSnapshot{}) })
	all = produce(t, NewProducer(reg))
	for name, n := range map[string]int{"d": 3, "e": 1} {
		d, ok := all[name].Data.(metricdata.Histogram[float64])
		if !ok || len(d.DataPoints[0].BucketCounts) != n || len(d.DataPoints[0].Bounds) != n-1 || d.DataPoints[0].Count != 0 {
			t.Errorf("%s is %+v", name, all[name])
		}
	}
}

// TestNaNSum: the observations of NaN are in the count, and in no bucket.
func TestNaNSum(t *testing.T) {
	reg := tacho.NewRegistry(tacho.WithNative())
	reg.Collect(func(e *tacho.Emitter) {
		e.Histogram("h", "", tacho.HistogramSnapshot{Count: 5, Sum: math.NaN(), Native: &tacho.NativeSnapshot{Positive: []tacho.NativeBucket{{Index: 0, Count: 3}}}})
	})
	p := exponentialOf(t, produce(t, NewProducer(reg)), "h")
	if p.Count != 5 || !math.IsNaN(p.Sum) || len(p.PositiveBucket.Counts) != 1 || p.PositiveBucket.Counts[0] != 3 || p.PositiveBucket.Offset != -1 {
		t.Errorf("%+v", p)
	}
}

// TestBothKinds: a histogram of both kinds is exponential, or classic by WithClassic.
func TestBothKinds(t *testing.T) {
	reg := tacho.NewRegistry(tacho.WithNative())
	both := reg.Histogram("both", "", []float64{1, 2})
	both.ObserveExemplar(1.5, "id", "x")
	both.Observe(3)
	alone := reg.Histogram("alone", "", nil)
	alone.ObserveExemplar(1.5, "id", "y")
	check := func(exemplars []metricdata.Exemplar[float64], id string) {
		t.Helper()
		if len(exemplars) != 1 || exemplars[0].Value != 1.5 || len(exemplars[0].FilteredAttributes) != 1 || exemplars[0].FilteredAttributes[0].Value.AsString() != id {
			t.Errorf("exemplars %+v", exemplars)
		}
	}
	all := produce(t, NewProducer(reg))
	p := exponentialOf(t, all, "both")
	checkBuckets(t, p.PositiveBucket, p.Scale, both.Snapshot().Native, both.Snapshot().Native.Positive)
	check(p.Exemplars, "x")
	check(exponentialOf(t, all, "alone").Exemplars, "y")

	all = produce(t, NewProducer(reg, WithClassic()))
	d, ok := all["both"].Data.(metricdata.Histogram[float64])
	if !ok || len(d.DataPoints) != 1 {
		t.Fatalf("both is %+v", all["both"])
	}
	if p := d.DataPoints[0]; p.Count != 2 || p.Sum != 4.5 || len(p.BucketCounts) != 3 || p.BucketCounts[0] != 0 || p.BucketCounts[1] != 1 || p.BucketCounts[2] != 1 {
		t.Errorf("%+v", p)
	}
	check(d.DataPoints[0].Exemplars, "x")
	check(exponentialOf(t, all, "alone").Exemplars, "y")
}

// TestMixedFamily has a family of which one series has native buckets, and another has none.
func TestMixedFamily(t *testing.T) {
	reg := tacho.NewRegistry(tacho.WithNative())
	reg.Collect(func(e *tacho.Emitter) {
		e.Histogram("h", "Help.", tacho.HistogramSnapshot{Count: 1, Sum: 1, Native: &tacho.NativeSnapshot{Positive: []tacho.NativeBucket{{Index: 0, Count: 1}}}}, "kind", "native")
		e.Histogram("h", "Help.", tacho.HistogramSnapshot{Count: 2, Sum: 2, Buckets: []tacho.Bucket{{UpperBound: 1, Count: 1}}}, "kind", "classic")
	})
	scopes, err := NewProducer(reg).Produce(t.Context())
	if err != nil || len(scopes[0].Metrics) != 2 {
		t.Fatal(scopes, err)
	}
	for _, m := range scopes[0].Metrics {
		var kind, want = "", ""
		switch d := m.Data.(type) {
		case metricdata.Histogram[float64]:
			kind, want = d.DataPoints[0].Attributes.Encoded(attribute.DefaultEncoder()), "kind=classic"
		case metricdata.ExponentialHistogram[float64]:
			kind, want = d.DataPoints[0].Attributes.Encoded(attribute.DefaultEncoder()), "kind=native"
		}
		if m.Name != "h" || m.Description != "Help." || kind != want {
			t.Errorf("%+v", m)
		}
	}
}

// TestWideHistogram: a histogram over all float64 values has a lower scale, and all observations.
func TestWideHistogram(t *testing.T) {
	reg := tacho.NewRegistry(tacho.WithNative(tacho.NativeConfig{Factor: 1.0027, ZeroThreshold: 1e-320, MaxBuckets: 60000}))
	wide, medium, negative := reg.Histogram("wide", "", nil), reg.Histogram("medium", "", nil), reg.Histogram("negative", "", nil)
	for _, v := range []float64{5e-320, 1e-300, 1, 1e300, math.MaxFloat64, math.Inf(1)} {
		wide.Observe(v)
		negative.Observe(-v)
	}
	medium.Observe(1)
	medium.Observe(math.Exp2(16)) // 4096 buckets from the one of 1
	all := produce(t, NewProducer(reg))
	p := exponentialOf(t, all, "wide")
	if p.Scale >= 8 || len(p.PositiveBucket.Counts) > maxCounts || len(p.PositiveBucket.Counts) <= maxCounts/4 {
		t.Fatalf("scale %d with %d counts", p.Scale, len(p.PositiveBucket.Counts))
	}
	n := exponentialOf(t, all, "negative")
	if n.Scale != p.Scale || n.NegativeBucket.Offset != p.PositiveBucket.Offset || len(n.NegativeBucket.Counts) != len(p.PositiveBucket.Counts) {
		t.Errorf("scale %d, offset %d", n.Scale, n.NegativeBucket.Offset)
	}
	for _, v := range []float64{1e-300, 1, 1e300} {
		found := false
		for i, c := range p.PositiveBucket.Counts {
			index := p.PositiveBucket.Offset + int32(i)
			found = found || c == 1 && lowerBound(p.Scale, index) < v && v <= lowerBound(p.Scale, index+1)
		}
		if !found {
			t.Errorf("no bucket has %v", v)
		}
	}
	last := len(p.PositiveBucket.Counts) - 1
	if c := p.PositiveBucket.Counts; c[last] != 1 || c[last-1] != 1 { // of +Inf and MaxFloat64
		t.Errorf("the last counts are %v", c[last-1:])
	}
	total := uint64(0)
	for _, c := range p.PositiveBucket.Counts {
		total += c
	}
	if total != 6 {
		t.Errorf("%d observations, want 6", total)
	}
	if p := exponentialOf(t, all, "medium"); p.Scale != 7 || len(p.PositiveBucket.Counts) != 2049 || p.PositiveBucket.Offset != -1 {
		t.Errorf("scale %d with %d counts from %d", p.Scale, len(p.PositiveBucket.Counts), p.PositiveBucket.Offset)
	}
}
