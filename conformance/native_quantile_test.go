package conformance

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser/posrange"

	"github.com/tachikoma/tacho"
)

// queriedHistogram returns a snapshot as the query engine of Prometheus has it.
func queriedHistogram(s tacho.HistogramSnapshot) *histogram.FloatHistogram {
	n := s.Native
	h := &histogram.FloatHistogram{
		Schema: int32(n.Schema), ZeroThreshold: n.ZeroThreshold, ZeroCount: float64(n.ZeroCount),
		Count: float64(s.Count), Sum: s.Sum,
	}
	h.PositiveSpans, h.PositiveBuckets = floatBuckets(n.Positive)
	h.NegativeSpans, h.NegativeBuckets = floatBuckets(n.Negative)
	return h.Compact(0)
}

func floatBuckets(list []tacho.NativeBucket) (spans []histogram.Span, counts []float64) {
	next := 0
	for _, b := range list {
		spans = append(spans, histogram.Span{Offset: int32(b.Index - next), Length: 1})
		counts = append(counts, float64(b.Count))
		next = b.Index + 1
	}
	return spans, counts
}

func classicBuckets(s tacho.HistogramSnapshot) (list promql.Buckets) {
	for _, b := range s.Buckets {
		list = append(list, promql.Bucket{UpperBound: b.UpperBound, Count: float64(b.Count)})
	}
	return list
}

// near reports whether two quantiles are equal within 1e-12 of the values. For a bucket with values
// of both signs, the limit is 1e-12 of the width of the bucket.
func near(a, b, width float64) bool {
	if a == b || a != a && b != b {
		return true
	}
	return math.Abs(a-b) <= 1e-12*max(math.Abs(a), math.Abs(b), width)
}

// quantiles returns values to ask for: outside of 0 to 1, on the border of two observations, and
// random.
func quantiles(rnd *rand.Rand, n uint64) []float64 {
	list := []float64{
		math.NaN(), math.Inf(-1), math.Inf(+1), -1, -math.SmallestNonzeroFloat64, math.Copysign(0, -1), 0, math.SmallestNonzeroFloat64, 1e-9,
		0.1, 0.25, 0.5, math.Nextafter(0.5, 0), 0.75, 0.9, 0.95, 0.99, 0.999, math.Nextafter(1, 0), 1, math.Nextafter(1, 2), 2,
	}
	for range 10 {
		list = append(list, rnd.Float64())
		if n > 0 {
			list = append(list, float64(rnd.Uint64N(n+1))/float64(n))
		}
	}
	return list
}

func checkQuantiles(t *testing.T, what string, s tacho.HistogramSnapshot, rnd *rand.Rand) {
	t.Helper()
	for _, q := range quantiles(rnd, s.Count) {
		got, want, width := s.Quantile(q), 0.0, 0.0
		if s.Native != nil {
			want, _ = promql.HistogramQuantile(q, queriedHistogram(s), "", posrange.PositionRange{})
			width = s.Native.ZeroThreshold
		} else {
			want, _, _, _, _, _ = promql.BucketQuantile(q, classicBuckets(s))
			for _, b := range s.Buckets {
				if !math.IsInf(b.UpperBound, 0) {
					width = max(width, math.Abs(b.UpperBound))
				}
			}
		}
		if s.Native != nil && (math.IsInf(got, 0) && want != want || math.IsInf(want, 0) && got != got) {
			continue // at an end of the infinite bucket Prometheus multiplies infinity by 0, unless the rank is rounded
		}
		if !near(got, want, width) {
			t.Errorf("%s: quantile %v of %+v, native %+v: %v, want %v", what, q, s, s.Native, got, want)
			return
		}
	}
}

// sample returns random values: of a few sizes, distributions and signs.
func sampleValues(rnd *rand.Rand) (values []float64) {
	n := []int{1, 2, 3, 5, 10, 100, 1000}[rnd.IntN(7)]
	sigma, negative, zero, infinite := math.Exp(rnd.Float64()*5-3), 0.0, 0.0, 0.0
	switch rnd.IntN(3) {
	case 0:
		negative = rnd.Float64()
	case 1:
		negative = float64(rnd.IntN(2))
	}
	if rnd.IntN(3) == 0 {
		zero = rnd.Float64()
	}
	if rnd.IntN(4) == 0 {
		infinite = rnd.Float64()
	}
	for range n {
		v := math.Exp(rnd.NormFloat64() * sigma)
		if rnd.IntN(20) == 0 {
			v = math.Exp2(float64(rnd.IntN(5) - 2)) // on a bound
		}
		switch {
		case rnd.Float64() < zero:
			v = 0
		case rnd.Float64() < infinite:
			v = math.Inf(+1)
		}
		if rnd.Float64() < negative {
			v = -v
		}
		values = append(values, v)
	}
	return values
}

// TestNativeQuantile compares Quantile with histogram_quantile() of Prometheus for random native
// histograms.
func TestNativeQuantile(t *testing.T) {
	t.Parallel()
	for run := range 2000 {
		rnd := rand.New(rand.NewPCG(uint64(run), 3))
		config := tacho.NativeConfig{Factor: factor(rnd.IntN(maxSchema-minSchema+1) + minSchema), ZeroThreshold: []float64{0, math.SmallestNonzeroFloat64, 0.01, 1, 30}[rnd.IntN(5)]}
		if rnd.IntN(3) == 0 {
			config.MaxBuckets = 1 + rnd.IntN(20)
		}
		h := tacho.NewRegistry().Histogram("h", "", nil, tacho.WithNative(config))
		for _, v := range sampleValues(rnd) {
			h.Observe(v)
		}
		checkQuantiles(t, "native", h.Snapshot(), rnd)
	}
}

// TestClassicQuantile compares Quantile with histogram_quantile() of Prometheus for random classic
// histograms.
func TestClassicQuantile(t *testing.T) {
	t.Parallel()
	for run := range 2000 {
		rnd := rand.New(rand.NewPCG(uint64(run), 4))
		bounds := []float64{}
		v := math.Exp2(float64(rnd.IntN(10) - 5))
		if rnd.IntN(2) == 0 {
			v = -v
		}
		for range rnd.IntN(12) {
			bounds = append(bounds, v)
			v += math.Exp2(float64(rnd.IntN(6) - 3))
		}
		h := tacho.NewRegistry().Histogram("h", "", bounds)
		for _, v := range sampleValues(rnd) {
			h.Observe(v)
		}
		checkQuantiles(t, "classic", h.Snapshot(), rnd)
	}
}

// TestQuantileSpecial compares Quantile with histogram_quantile() of Prometheus for empty
// histograms, and for histograms with only zeros, infinite, extreme or equal values.
func TestQuantileSpecial(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 5))
	inf := math.Inf(+1)
	for _, values := range [][]float64{
		{}, {0}, {0, 0, 0}, {inf}, {-inf}, {inf, -inf}, {inf, inf, 0}, {-inf, 0, inf}, {1}, {-1}, {1, -1}, {1, 0}, {-1, 0}, {1, 1, 1}, {1, 1, inf}, {-1, -inf},
		{math.MaxFloat64}, {math.MaxFloat64, inf}, {-math.MaxFloat64}, {math.SmallestNonzeroFloat64}, {2 * math.SmallestNonzeroFloat64, 3 * math.SmallestNonzeroFloat64},
		{-2 * math.SmallestNonzeroFloat64, 1}, {0x1p-1022, 1}, {1e-200, 1e200}, {-1e-200, 1e200}, {-1e200, 1e-200}, {1, 2, 4, 8, 16, -inf, inf},
	} {
		for schema := minSchema; schema <= maxSchema; schema++ {
			for _, threshold := range []float64{0, math.SmallestNonzeroFloat64, 1} {
				h := tacho.NewRegistry().Histogram("h", "", nil, tacho.WithNative(tacho.NativeConfig{Factor: factor(schema), ZeroThreshold: threshold}))
				for _, v := range values {
					h.Observe(v)
				}
				checkQuantiles(t, "native", h.Snapshot(), rnd)
			}
		}
		for _, bounds := range [][]float64{{}, {1}, {0}, {-1}, {-1, 0, 1}, {math.MaxFloat64}, {-math.MaxFloat64, math.MaxFloat64}} {
			h := tacho.NewRegistry().Histogram("h", "", bounds)
			for _, v := range values {
				h.Observe(v)
			}
			checkQuantiles(t, "classic", h.Snapshot(), rnd)
		}
	}
}
