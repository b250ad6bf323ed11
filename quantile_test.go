package tacho

import (
	"math"
	"testing"
)

// TestQuantileOfEmitted: the bucket of +Inf can be missing, as in snapshots for Emitter.Histogram.
func TestQuantileOfEmitted(t *testing.T) {
	inf := math.Inf(1)
	for _, c := range []struct {
		buckets []Bucket
		want    float64
	}{
		{nil, math.NaN()},
		{[]Bucket{}, math.NaN()},
		{[]Bucket{{inf, 4}}, math.NaN()},
		{[]Bucket{{2, 4}}, 1},
		{[]Bucket{{2, 1}}, 2},
		{[]Bucket{{1, 0}, {2, 4}}, 1.5},
		{[]Bucket{{1, 0}, {2, 4}, {inf, 4}}, 1.5},
	} {
		got := HistogramSnapshot{Count: 4, Sum: 5, Buckets: c.buckets}.Quantile(0.5)
		if got != c.want && !(got != got && c.want != c.want) {
			t.Errorf("buckets %v: %g, want %g", c.buckets, got, c.want)
		}
	}
}

// TestQuantileAtGap: between two buckets with a gap, Quantile is the bound that is farther from the
// median.
func TestQuantileAtGap(t *testing.T) {
	for _, c := range []struct {
		low, high uint64 // counts of the buckets from 0.5 to 1 and from 4 to 8
		q, sum    float64
		want      float64
	}{
		{1, 3, 0.25, 1, 1},
		{3, 1, 0.75, 1, 4},
		{3, 1, 0.75, math.NaN(), 1},
	} {
		n := &NativeSnapshot{Positive: []NativeBucket{{0, c.low}, {3, c.high}}}
		if got := (HistogramSnapshot{Count: 4, Sum: c.sum, Native: n}).Quantile(c.q); got != c.want {
			t.Errorf("%+v: %g", c, got)
		}
	}
}
