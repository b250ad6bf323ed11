package tacho

import (
	"math"
	"runtime"
	"testing"

	"github.com/tachikoma/tacho/internal/race"
)

// TestNativeCostOfNewBuckets: the work for a new bucket does not grow with the number of buckets that the
// series has. A directory is copied seldom, and the limit is checked seldom.
func TestNativeCostOfNewBuckets(t *testing.T) {
	const n = 30_000
	h := NewRegistry().Histogram("h", "", nil, WithNative(NativeConfig{Factor: 1.0027, MaxBuckets: 65_000}))
	checks := 0
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for i := range n {
		room := bucketsOf(h).Level().Room()
		h.Observe(math.Exp2((float64(i)+0.5)/256 - 60)) // the middle of a bucket of schema 8
		if bucketsOf(h).Level().Room() > room {
			checks++
		}
	}
	runtime.ReadMemStats(&after)
	if s := h.Snapshot().Native; s.Schema != 8 || len(s.Positive) != n {
		t.Fatalf("schema %d, %d buckets", s.Schema, len(s.Positive))
	}
	if checks > 3 {
		t.Errorf("the limit was checked %d times", checks)
	}
	// A bucket takes 8 bytes of a chunk and a byte of a directory. A directory with a place more for each 8 buckets
	// would be copied 3,750 times: 1,800 bytes a bucket.
	if got := (after.TotalAlloc - before.TotalAlloc) / n; got > 100 && !race.Enabled {
		t.Errorf("%d bytes were allocated for each bucket", got)
	}
}
