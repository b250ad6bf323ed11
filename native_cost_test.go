package tacho_test

import (
	"math"
	"testing"
	"time"

	"github.com/tachikoma/tacho"
)

// TestNativeCostOfNewBuckets observes each value in a bucket of its own. The time of an observation must not grow with
// the number of buckets that the series already has.
func TestNativeCostOfNewBuckets(t *testing.T) {
	if testing.Short() {
		t.Skip("measures time")
	}
	perBucket := func(n int) time.Duration {
		best := time.Duration(math.MaxInt64)
		for range 3 {
			h := tacho.NewRegistry().Histogram("h", "", nil, tacho.WithNative(tacho.NativeConfig{Factor: 1.0027, MaxBuckets: 65_000}))
			start := time.Now()
			for i := range n {
				h.Observe(math.Exp2((float64(i)+0.5)/256 - 60)) // the middle of a bucket of schema 8
			}
			best = min(best, time.Since(start)/time.Duration(n))
			if s := h.Snapshot().Native; s.Schema != 8 || len(s.Positive) != n {
				t.Fatalf("schema %d, %d buckets, want schema 8 and %d buckets", s.Schema, len(s.Positive), n)
			}
		}
		return best
	}
	few, many := perBucket(1000), perBucket(30_000)
	t.Logf("1,000 buckets: %v for each; 30,000 buckets: %v for each", few, many)
	if many > 4*few {
		t.Errorf("a new bucket takes %v with 30,000 buckets, %v with 1,000", many, few)
	}
}
