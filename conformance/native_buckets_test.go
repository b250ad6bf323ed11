package conformance

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/prometheus/model/histogram"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/internal/native"
)

const (
	minSchema = -4
	maxSchema = 8

	maxBuckets = 65_000 // the maximum of NativeConfig.MaxBuckets
)

// factor returns a factor that selects the given schema. The factor is slightly above 2^(2^-schema), so
// that no rounding selects the next schema.
func factor(schema int) float64 {
	return math.Exp2(math.Exp2(-float64(schema))) * (1 + 1e-6)
}

// A nativePair is a histogram of tacho and one of client_golang with the same native buckets.
type nativePair struct {
	tacho  *tacho.Histogram
	client prometheus.Histogram
}

// newNativePair makes a pair. A limit of 0 is no limit in client_golang, and the maximum in tacho.
func newNativePair(schema, limit int, threshold float64) nativePair {
	own := limit
	if own == 0 {
		own = maxBuckets
	}
	config := tacho.NativeConfig{Factor: factor(schema), MaxBuckets: own, ZeroThreshold: threshold}
	return nativePair{
		tacho.NewRegistry().Histogram("h", "", nil, tacho.WithNative(config)),
		prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "h", NativeHistogramBucketFactor: factor(schema), NativeHistogramMaxBucketNumber: uint32(limit),
			NativeHistogramZeroThreshold: threshold, NativeHistogramMaxExemplars: -1,
		}),
	}
}

func (p nativePair) observe(values ...float64) {
	for _, v := range values {
		p.tacho.Observe(v)
		p.client.Observe(v)
	}
}

// difference returns the difference of the native buckets, or "".
func (p nativePair) difference(t testing.TB) string {
	t.Helper()
	var m dto.Metric
	if err := p.client.Write(&m); err != nil {
		t.Fatal(err)
	}
	s := p.tacho.Snapshot()
	if got, want := s.Count, m.Histogram.GetSampleCount(); got != want {
		return fmt.Sprintf("count %d, want %d", got, want)
	}
	if got, want := *s.Native, nativeSnapshot(m.Histogram); !reflect.DeepEqual(got, want) {
		return describe(got, want)
	}
	return ""
}

// describe returns the first difference of two snapshots.
func describe(got, want tacho.NativeSnapshot) string {
	text := ""
	for _, side := range []struct {
		name      string
		got, want []tacho.NativeBucket
	}{{"positive", got.Positive, want.Positive}, {"negative", got.Negative, want.Negative}} {
		if slices.Equal(side.got, side.want) {
			continue
		}
		i := 0
		for i < min(len(side.got), len(side.want)) && side.got[i] == side.want[i] {
			i++
		}
		text += fmt.Sprintf("; %d %s buckets, want %d; from bucket %d on %v, want %v", len(side.got), side.name, len(side.want),
			i, side.got[i:min(i+3, len(side.got))], side.want[i:min(i+3, len(side.want))])
	}
	return fmt.Sprintf("schema %d, want %d; threshold %v, want %v; zero count %d, want %d%s",
		got.Schema, want.Schema, got.ZeroThreshold, want.ZeroThreshold, got.ZeroCount, want.ZeroCount, text)
}

// nativeSnapshot returns the native buckets of a message, without the empty ones.
func nativeSnapshot(h *dto.Histogram) tacho.NativeSnapshot {
	return tacho.NativeSnapshot{
		Schema: int(h.GetSchema()), ZeroThreshold: h.GetZeroThreshold(), ZeroCount: h.GetZeroCount(),
		Positive: nativeSide(h.PositiveSpan, h.PositiveDelta), Negative: nativeSide(h.NegativeSpan, h.NegativeDelta),
	}
}

func nativeSide(spans []*dto.BucketSpan, deltas []int64) []tacho.NativeBucket {
	list := []tacho.NativeBucket{}
	index, count := 0, int64(0)
	for _, s := range spans {
		index += int(s.GetOffset())
		for range s.GetLength() {
			count += deltas[0]
			deltas = deltas[1:]
			if count != 0 {
				list = append(list, tacho.NativeBucket{Index: index, Count: uint64(count)})
			}
			index++
		}
	}
	return list
}

// A boundary is the upper bound of a bucket, as Prometheus knows it.
type boundary struct {
	index int
	bound float64
}

// boundaries returns the finite bounds of a schema above 0 from one exponent to the other.
func boundaries(schema, from, to int) (list []boundary) {
	var first, end int
	if schema > 0 {
		first, end = from<<schema, to<<schema
	} else {
		first, end = -(-from >> -schema), -(-to >> -schema)
	}
	h := histogram.FloatHistogram{
		Schema:          int32(schema),
		PositiveSpans:   []histogram.Span{{Offset: int32(first), Length: uint32(end - first)}},
		PositiveBuckets: make([]float64, end-first),
	}
	for it := h.PositiveBucketIterator(); it.Next(); {
		if b := it.At(); b.Upper > 0 && b.Upper <= math.MaxFloat64 {
			list = append(list, boundary{int(b.Index), b.Upper})
		}
	}
	return list
}

// TestNativeBoundaries compares the bucket of each boundary of all schemas, of both neighbors, and
// of both signs with client_golang, and the boundary itself with Prometheus.
func TestNativeBoundaries(t *testing.T) {
	t.Parallel()
	const smallest = math.SmallestNonzeroFloat64
	n := 0
	for schema := minSchema; schema <= maxSchema; schema++ {
		step := max(1, 16>>max(schema, 0)) // octaves of a histogram
		if schema < 0 {
			step = 16 << -schema
		}
		for from := -1088; from < 1040; from += step {
			if testing.Short() && schema > 4 && from%97 != 0 && from > -1020 && from < 1010 {
				continue
			}
			var values []float64
			shown := tacho.NativeSnapshot{Schema: schema}
			for _, b := range boundaries(schema, from, from+step) {
				if got := shown.Bound(b.index); got != b.bound {
					t.Fatalf("schema %d: Bound(%d) is %v, want %v", schema, b.index, got, b.bound)
				}
				for _, v := range []float64{math.Nextafter(b.bound, 0), b.bound, math.Nextafter(b.bound, math.Inf(+1))} {
					values = append(values, v, -v)
				}
			}
			if len(values) == 0 {
				continue
			}
			p := newNativePair(schema, 0, smallest)
			p.observe(values...)
			if d := p.difference(t); d != "" {
				t.Fatalf("schema %d, exponents %d to %d: %s", schema, from, from+step, d)
			}
			if got := p.tacho.Snapshot().Native.Schema; got != schema {
				t.Fatalf("schema %d, exponents %d to %d: the schema is %d", schema, from, from+step, got)
			}
			n += len(values)
		}
	}
	t.Logf("%d values", n)
}

// extremes are values with a bucket that is hard to find.
func extremes() []float64 {
	list := []float64{
		0, math.Copysign(0, -1), math.Inf(+1), math.Inf(-1), math.MaxFloat64, math.Nextafter(math.MaxFloat64, 0),
		math.SmallestNonzeroFloat64, 2 * math.SmallestNonzeroFloat64, 3 * math.SmallestNonzeroFloat64,
		0x1p-1022, math.Nextafter(0x1p-1022, 0), math.Nextafter(0x1p-1022, 1), 0x1p-128, math.Nextafter(0x1p-128, 0), math.Nextafter(0x1p-128, 1), 1,
		math.Nextafter(1, 0), math.Nextafter(1, 2), 2.938735877055719e-39, 0x1p1023,
	}
	for i := range 53 {
		list = append(list, math.Ldexp(1, -1074+i), math.Ldexp(1.5, -1074+i)) // subnormals
	}
	for _, v := range slices.Clone(list) {
		list = append(list, -v)
	}
	return list
}

// TestNativeExtremes compares the buckets of extreme values one by one with client_golang, for
// several thresholds of the zero bucket.
func TestNativeExtremes(t *testing.T) {
	t.Parallel()
	for schema := minSchema; schema <= maxSchema; schema++ {
		for _, threshold := range []float64{0, math.SmallestNonzeroFloat64, 0x1p-1030, 0x1p-128, 1e-3, 1, 1e300, math.MaxFloat64} {
			for _, v := range extremes() {
				if threshold == math.MaxFloat64 && math.IsInf(v, 0) {
					continue // see TestNativeInfiniteOutsideZeroBucket
				}
				p := newNativePair(schema, 0, threshold)
				p.observe(v, v)
				if d := p.difference(t); d != "" {
					t.Fatalf("schema %d, threshold %v, value %v: %s", schema, threshold, v, d)
				}
			}
			if threshold == 0 {
				threshold = prometheus.DefNativeHistogramZeroThreshold
			}
			for _, v := range []float64{threshold, math.Nextafter(threshold, 0), min(math.Nextafter(threshold, math.Inf(+1)), math.MaxFloat64)} {
				p := newNativePair(schema, 0, threshold)
				p.observe(v, -v, v)
				if d := p.difference(t); d != "" {
					t.Fatalf("schema %d, threshold %v, value %v: %s", schema, threshold, v, d)
				}
			}
		}
	}
}

// TestNativeInfiniteOutsideZeroBucket shows a difference from client_golang: with a threshold of
// MaxFloat64, infinite values are outside the zero bucket. client_golang compares MaxFloat64 in
// their place.
func TestNativeInfiniteOutsideZeroBucket(t *testing.T) {
	p := newNativePair(0, 0, math.MaxFloat64)
	p.observe(math.MaxFloat64, math.Inf(+1), math.Inf(-1))
	var m dto.Metric
	if err := p.client.Write(&m); err != nil {
		t.Fatal(err)
	}
	last := []tacho.NativeBucket{{Index: 1025, Count: 1}}
	want := tacho.NativeSnapshot{ZeroThreshold: math.MaxFloat64, ZeroCount: 1, Positive: last, Negative: last}
	if got := *p.tacho.Snapshot().Native; !reflect.DeepEqual(got, want) {
		t.Error(describe(got, want))
	}
	if got := m.Histogram.GetZeroCount(); got != 3 {
		t.Errorf("client_golang: zero count %d, want 3", got)
	}
}

// TestNativeZeroThresholdZero compares package native, with a threshold of 0, with
// NativeHistogramZeroThresholdZero: only 0 and -0 are in the zero bucket.
func TestNativeZeroThresholdZero(t *testing.T) {
	t.Parallel()
	for schema := minSchema; schema <= maxSchema; schema++ {
		var c native.Config
		c.Init(schema, maxBuckets, 0)
		for _, v := range extremes() {
			client := prometheus.NewHistogram(prometheus.HistogramOpts{
				Name: "h", NativeHistogramBucketFactor: factor(schema),
				NativeHistogramZeroThreshold: prometheus.NativeHistogramZeroThresholdZero,
			})
			client.Observe(v)
			var m dto.Metric
			if err := client.Write(&m); err != nil {
				t.Fatal(err)
			}
			want := nativeSnapshot(m.Histogram)
			var b native.Buckets
			b.Init(&c)
			if counted := b.Add(&c, v); counted == (want.ZeroCount == 1) {
				t.Fatalf("schema %d, value %v: Add returned %t, the zero count is %d", schema, v, counted, want.ZeroCount)
			}
			var r native.Reader
			r.Begin(&c)
			r.Rows(&b, 1)
			r.Read()
			r.End()
			got := []tacho.NativeBucket{}
			for _, k := range r.Positive {
				got = append(got, tacho.NativeBucket{Index: k.Key, Count: k.Count})
			}
			for _, k := range r.Negative {
				got = append(got, tacho.NativeBucket{Index: -k.Key, Count: k.Count})
			}
			buckets := slices.Clone(want.Positive)
			for _, k := range want.Negative {
				buckets = append(buckets, tacho.NativeBucket{Index: -k.Index, Count: k.Count})
			}
			if !slices.Equal(got, buckets) || r.ZeroThreshold != want.ZeroThreshold {
				t.Fatalf("schema %d, value %v: %v, threshold %v, want %v, threshold %v", schema, v, got, r.ZeroThreshold, buckets, want.ZeroThreshold)
			}
		}
	}
}

// TestNativeFactor compares the schema of random factors with client_golang. Only next to an exact
// power can the schemas differ: client_golang takes a logarithm, and tacho compares with the bound.
func TestNativeFactor(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(1, 1))
	check := func(f float64) {
		t.Helper()
		client := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "h", NativeHistogramBucketFactor: f})
		var m dto.Metric
		if err := client.Write(&m); err != nil {
			t.Fatal(err)
		}
		h := tacho.NewRegistry().Histogram("h", "", nil, tacho.WithNative(tacho.NativeConfig{Factor: f}))
		if got, want := h.Snapshot().Native.Schema, int(m.Histogram.GetSchema()); got != want {
			t.Errorf("factor %v: schema %d, want %d", f, got, want)
		}
	}
	for _, f := range []float64{math.Nextafter(1, 2), 1.0001, 1.0027, 1.003, 1.005, 1.01, 1.05, 1.1, 1.2, 1.5, 2, 3, 4, 10, 16, 256, 65535, 65536, 1e6, 1e300, math.MaxFloat64} {
		check(f)
	}
	for schema := minSchema; schema <= maxSchema; schema++ {
		exact := math.Exp2(math.Exp2(-float64(schema)))
		check(exact * (1 + 1e-10))
		check(exact * (1 - 1e-10))
	}
	for range 2000 {
		check(math.Exp2(math.Exp2(rnd.Float64()*14 - 9)))
	}
}

// TestNativeLimit compares histograms that reach the limit of buckets with client_golang: random
// schemas, limits, sigmas and signs. After the values both get zeros. client_golang lowers the
// resolution by one schema an observation, and tacho at once.
func TestNativeLimit(t *testing.T) {
	t.Parallel()
	runs := 300
	if testing.Short() {
		runs = 60
	}
	fell := 0
	for run := range runs {
		rnd := rand.New(rand.NewPCG(uint64(run), 2))
		schema, limit := rnd.IntN(maxSchema-minSchema+1)+minSchema, 10+rnd.IntN(191)
		sigma, negative := math.Exp(rnd.Float64()*6-2), rnd.Float64()
		if rnd.IntN(2) == 0 {
			negative = 0
		}
		p := newNativePair(schema, limit, 0)
		for range 100 + rnd.IntN(3000) {
			v := math.Exp(rnd.NormFloat64() * sigma)
			switch {
			case rnd.IntN(100) == 0:
				v = 0
			case rnd.IntN(500) == 0:
				v = math.Inf(+1)
			}
			if rnd.Float64() < negative {
				v = -v
			}
			p.observe(v)
			if n := p.tacho.Snapshot().Native; run < 20 && len(n.Positive)+len(n.Negative) > limit && n.Schema > minSchema {
				t.Fatalf("run %d: %d buckets, the limit is %d", run, len(n.Positive)+len(n.Negative), limit)
			}
		}
		for range maxSchema - minSchema {
			p.observe(0)
		}
		if d := p.difference(t); d != "" {
			t.Errorf("run %d (schema %d, limit %d, sigma %.2f, negative %.2f): %s", run, schema, limit, sigma, negative, d)
		}
		if p.tacho.Snapshot().Native.Schema < schema {
			fell++
		}
	}
	if fell < runs/4 || fell == runs {
		t.Errorf("the resolution fell in %d of %d runs, want more of both kinds", fell, runs)
	}
	t.Logf("the resolution fell in %d of %d runs", fell, runs)
}
