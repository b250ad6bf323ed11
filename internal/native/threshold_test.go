package native

import (
	"math"
	"testing"
)

// TestThreshold counts values on both sides of thresholds of the zero bucket, up to the greatest
// threshold.
func TestThreshold(t *testing.T) {
	for _, threshold := range []float64{0, math.SmallestNonzeroFloat64, 0x1p-1022, 0x1p-128, 1, math.Nextafter(math.MaxFloat64, 0), math.MaxFloat64} {
		var c Config
		c.Init(3, 10, threshold)
		for _, v := range []float64{0, math.SmallestNonzeroFloat64, 0x1p-1022, 0x1p-128, 1, math.MaxFloat64, math.Inf(+1), threshold, math.Nextafter(threshold, 0), math.Nextafter(threshold, math.Inf(+1))} {
			for _, v := range []float64{v, -v} {
				var b Buckets
				b.Init(&c)
				if got, want := b.Add(&c, v), math.Abs(v) > threshold; got != want {
					t.Errorf("threshold %v: Add(%v) returned %t, want %t", threshold, v, got, want)
				}
			}
		}
		var b Buckets
		b.Init(&c)
		if b.Add(&c, math.NaN()) || b.Add(&c, math.Float64frombits(math.MaxUint64)) {
			t.Errorf("threshold %v: Add counted NaN", threshold)
		}
	}
}
