package tacho

import (
	"math"

	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tachikoma/tacho/internal/stripe"
	"github.com/tachikoma/tacho/internal/testkit"
)

// cumulative returns the cumulative counts of the buckets of a snapshot.
func cumulative(s HistogramSnapshot) (counts []uint64) {
	for _, b := range s.Buckets {
		counts = append(counts, b.Count)
	}
	return counts
}

// TestHistogramBoundsAreInclusive: a bucket includes its upper bound, with and without
// stripes.
func TestHistogramBoundsAreInclusive(t *testing.T) {
	for _, striped := range []bool{false, true} {
		h := NewRegistry().Histogram("x", "", []float64{1, 2})
		if striped {
			widen(&h.wide, h.def.stride)
		}
		for _, v := range []float64{math.Nextafter(1, 0), 1, math.Nextafter(1, 2), 2, math.Nextafter(2, 3)} {
			h.Observe(v)
		}
		s := h.Snapshot()
		if !slices.Equal(cumulative(s), []uint64{2, 4, 5}) || s.Count != 5 {
			t.Errorf("striped %v: %+v", striped, s)
		}
	}
}

// TestHistogramRowsDoNotOverlap: rows of stripes do not overlap for any number of buckets,
// among them numbers that fill a cache line.
func TestHistogramRowsDoNotOverlap(t *testing.T) {
	for n := range 20 {
		bounds := []float64{}
		for i := range n {
			bounds = append(bounds, float64(i))
		}
		h := NewRegistry().Histogram("x", "", bounds)
		widen(&h.wide, h.def.stride)
		total := testkit.Hammer(200, func(i int) {
			if i%20 == 0 {
				stripe.Move(stripe.StackNumber())
			}
			h.Observe(float64(n)) // above every bound: the last count of a row
			h.Observe(0)          // the first count
		})
		s := h.Snapshot()
		if s.Count != uint64(2*total) || s.Sum != float64(n*total) {
			t.Errorf("%d bounds: %+v, want %d observations", n, s, total)
		}
		if n > 0 && s.Buckets[0].Count != uint64(total) {
			t.Errorf("%d bounds: first bucket %d, want %d", n, s.Buckets[0].Count, total)
		}
	}
}

// TestHistogramSpecialSums: -0 is added as 0, and the sum of both infinities is NaN.
func TestHistogramSpecialSums(t *testing.T) {
	r := NewRegistry()
	h := r.Histogram("x", "", []float64{0})
	h.Observe(math.Copysign(0, -1))
	if s := h.Snapshot(); s.Sum != 0 || math.Signbit(s.Sum) || s.Buckets[0].Count != 1 {
		t.Errorf("after -0: %+v", s)
	}
	h.Observe(math.Inf(1))
	h.Observe(math.Inf(-1)) // the sum becomes NaN, the counts stay
	s := h.Snapshot()
	if !math.IsNaN(s.Sum) || s.Count != 3 || s.Buckets[0].Count != 2 {
		t.Errorf("after both infinities: %+v", s)
	}
	if got := text(t, r); !strings.Contains(got, "x_sum NaN\nx_count 3\n") {
		t.Error(got)
	}
}

func TestHistogramRefusesNaNWithStripes(t *testing.T) {
	r := NewRegistry()
	h := r.Histogram("x", "", []float64{}) // no finite bound to compare with
	widen(&h.wide, h.def.stride)
	h.Observe(math.NaN())
	if s := h.Snapshot(); s.Count != 0 || s.Sum != 0 {
		t.Errorf("%+v", s)
	}
	if got := text(t, r); !strings.Contains(got, `tacho_errors_total{metric="x",reason="nan"} 1`+"\n") {
		t.Error(got)
	}
}

// TestDefBuckets: the default bounds are those of the other Prometheus clients.
func TestDefBuckets(t *testing.T) {
	if want := []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}; !slices.Equal(DefBuckets, want) {
		t.Errorf("DefBuckets is %v, want %v", DefBuckets, want)
	}
}

// TestDefBucketsAreReadOnce: a change of DefBuckets does not change a defined histogram.
func TestDefBucketsAreReadOnce(t *testing.T) {
	old := DefBuckets
	defer func() { DefBuckets = old }()
	DefBuckets = []float64{1, 2}
	r := NewRegistry()
	h := r.Histogram("x", "", nil)
	DefBuckets[0] = 1.5
	if got := h.Snapshot().Buckets[0].UpperBound; got != 1 {
		t.Errorf("bound %v, want 1", got)
	}
	if _, err := Try(func() *Histogram { return r.Histogram("x", "", nil) }); err == nil {
		t.Error("a definition with other default buckets is accepted")
	}
}

// TestHistogramScrapesAreConsistent scrapes while other goroutines observe. In each scrape
// _count is the count of the bucket for +Inf, and the counts of the buckets do not
// decrease. No sample decreases from one scrape to the next.
func TestHistogramScrapesAreConsistent(t *testing.T) {
	r := NewRegistry()
	h := r.Histogram("h", "", []float64{1, 2, 3})
	done := make(chan struct{})
	total := 0
	go func() {
		defer close(done)
		total = testkit.Hammer(4000, func(i int) {
			if i == 1000 {
				widen(&h.wide, h.def.stride)
			}
			h.Observe(float64(i % 5))
		})
	}()
	last := map[string]float64{}
	for running := true; running; runtime.Gosched() {
		select {
		case <-done:
			running = false
		default:
		}
		now := map[string]float64{}
		below := 0.
		for _, s := range testkit.ParseText(t, text(t, r)) {
			key := s.Key()
			if s.Value < last[key] {
				t.Fatalf("%s went from %v to %v", key, last[key], s.Value)
			}
			if now[key] = s.Value; s.Name == "h_bucket" {
				if s.Value < below {
					t.Fatalf("%s is %v after %v", key, s.Value, below)
				}
				below = s.Value
			}
			if s.Name == "h_count" && s.Value != below {
				t.Fatalf("_count is %v, the bucket for +Inf %v", s.Value, below)
			}
		}
		last = now
	}
	if s := h.Snapshot(); s.Count != uint64(total) || s.Sum != float64(2*total) {
		t.Errorf("%+v, want %d observations", s, total)
	}
}

// TestZeroHistogram: Observe of a zero Histogram does not panic.
func TestZeroHistogram(t *testing.T) {
	var h Histogram
	h.Observe(1)
	if s := h.Snapshot(); s.Count != 0 || len(s.Buckets) != 0 {
		t.Errorf("%+v", s)
	}
}

func TestHistogramBounds(t *testing.T) {
	r := NewRegistry()
	h := r.Histogram("x", "", []float64{-1, 0, 1})
	for _, v := range []float64{math.Inf(-1), -1, math.Copysign(0, -1), 0, math.SmallestNonzeroFloat64, 1, math.Nextafter(1, 2), math.NaN()} {
		h.Observe(v)
	}
	s := h.Snapshot()
	want := []Bucket{{-1, 2}, {0, 4}, {1, 6}, {math.Inf(1), 7}}
	for i, b := range s.Buckets {
		if b != want[i] {
			t.Errorf("bucket %d is %v, want %v", i, b, want[i])
		}
	}
	if s.Count != 7 || !math.IsInf(s.Sum, -1) {
		t.Errorf("%+v", s)
	}
	if got := text(t, r); !strings.Contains(got, `tacho_errors_total{metric="x",reason="nan"} 1`) {
		t.Error(got)
	}
}

func TestHistogramDurations(t *testing.T) {
	h := NewRegistry().Histogram("x", "", []float64{1})
	h.ObserveDuration(1500 * time.Millisecond)
	if s := h.Snapshot(); s.Sum != 1.5 || s.Buckets[0].Count != 0 {
		t.Errorf("%+v", s)
	}
	h.ObserveSince(time.Now().Add(-time.Hour))
	if s := h.Snapshot(); s.Count != 2 || s.Sum < 3600 {
		t.Errorf("%+v", s)
	}
}

// TestBucketIndex compares with a binary search, for many lists of bounds. The values are
// the bounds, their neighbours and random numbers.
func TestBucketIndex(t *testing.T) {
	inf := math.Inf(1)
	long := make([]float64, 1000)
	for i := range long {
		long[i] = float64(i+1) / 7
	}
	lists := [][]float64{
		{}, {0}, {-1}, {1}, {-3, -2, -1}, {-1, 0, 1}, {0, 5e-324}, {5e-324, 1, math.MaxFloat64}, {-math.MaxFloat64, math.MaxFloat64},
		{1, math.Nextafter(1, 2), math.Nextafter(math.Nextafter(1, 2), 2)}, {1e-300, 1e-10, 1, 1e10, 1e300},
		DefBuckets, LinearBuckets(0, 10, 100), LinearBuckets(-50, 1, 300), ExponentialBuckets(0.001, 2, 12), ExponentialBuckets(1e-9, 1.1, 254), long,
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, bounds := range lists {
		values := []float64{0, math.Copysign(0, -1), inf, -inf, 1e-320, -1e-320, math.MaxFloat64}
		for _, b := range bounds {
			values = append(values, b, -b, math.Nextafter(b, inf), math.Nextafter(b, -inf), b*rnd.Float64(), b*(1+rnd.Float64()))
		}
		for range 1000 {
			if v := math.Float64frombits(rnd.Uint64()); v == v {
				values = append(values, v)
			}
		}
		def := newHistogramDef(bounds)
		def.fault = func(string) {}
		for _, v := range values {
			want, _ := slices.BinarySearch(bounds, v)
			if got := wordOf(def, v); got != want+1 {
				t.Fatalf("%v in %v: word %d, want %d", v, bounds, got, want+1)
			}
			if got := def.search(v); got != want+1 {
				t.Fatalf("%v in %v: search returns word %d, want %d", v, bounds, got, want+1)
			}
		}
		if got := wordOf(def, math.NaN()); got != -1 {
			t.Errorf("NaN in %v: word %d", bounds, got)
		}
	}
}

// wordOf returns the word in which a histogram of these bounds counts v.
func wordOf(d *histogramDef, v float64) int {
	h := &Histogram{def: d, row: &make([]atomic.Uint64, len(d.Upper)+2)[0]}
	return h.observe(v)
}

// TestBucketSearchIsLogarithmic: among many bounds, spread or in clusters, positive or
// negative, each search compares with few bounds.
func TestBucketSearchIsLogarithmic(t *testing.T) {
	for name, bounds := range clusteredBounds() {
		def := newHistogramDef(bounds)
		h := &Histogram{def: def, row: &make([]atomic.Uint64, len(bounds)+2)[0]}
		for _, b := range bounds {
			for _, v := range []float64{b, math.Nextafter(b, math.Inf(-1)), math.Nextafter(b, math.Inf(1))} {
				want, _ := slices.BinarySearch(bounds, v)
				if got := h.observe(v); got != want+1 {
					t.Fatalf("%s: %v: word %d, want %d", name, v, got, want+1)
				}
				scanned := want - def.index.start(v) + 1
				if first, end := def.index.between(v, len(bounds)); first > want || want > end {
					t.Fatalf("%s: %v: a search from %d to %d, want bucket %d", name, v, first, end, want)
				}
				if most := maxScanned + 1; scanned > most && (v > 0 || scanned > maxBelow+1) {
					t.Fatalf("%s: %v is compared with %d bounds one after the other", name, v, scanned)
				}
			}
		}
		if i := def.index.start(math.NaN()); len(bounds) > maxRefused && i != crowded {
			t.Errorf("%s: NaN is compared with all bounds", name)
		}
	}
}

// clusteredBounds returns lists of many bounds by name.
func clusteredBounds() map[string][]float64 {
	clusters := []float64{}
	for _, at := range []float64{-1e9, -1, -1e-9, 1e-9, 1, 1e9} {
		for i := range 100 {
			clusters = append(clusters, at*(1+math.Copysign(float64(i), at)*1e-9))
		}
	}
	return map[string][]float64{
		"5000 linear":      LinearBuckets(1, 1, 5000),
		"5000 negative":    LinearBuckets(-5000, 1, 5000),
		"5000 around zero": LinearBuckets(-2500, 1, 5000),
		"5000 exponential": ExponentialBuckets(1e-9, 1.008, 5000),
		"the most":         LinearBuckets(0, 1, maxBounds),
		"clusters":         clusters,
		"100 negative":     LinearBuckets(-1000, 10, 100),
		"101 negative":     LinearBuckets(-1000, 1, 101),
		"a small cluster":  append(LinearBuckets(1, 1e-12, 100), 1e9),
		"least numbers":    LinearBuckets(5e-324, 5e-324, 1000),
	}
}

// TestMostBounds: a definition has at most maxBounds bounds. A last bound of +Inf does not count.
func TestMostBounds(t *testing.T) {
	most := LinearBuckets(0, 1, maxBounds)
	for _, c := range []struct {
		bounds []float64
		ok     bool
	}{
		{most, true},
		{append(slices.Clip(most), math.Inf(+1)), true},
		{append(slices.Clip(most), maxBounds), false},
		{append(slices.Clip(most), maxBounds, math.Inf(+1)), false},
	} {
		bounds, reason := finiteBounds(c.bounds)
		if (reason == "") != c.ok || c.ok && !slices.Equal(bounds, most) {
			t.Errorf("%d bounds: %d are left, reason %q", len(c.bounds), len(bounds), reason)
		}
	}
}

// TestBucketIndexStartsNearBucket: for usual bounds the search starts at the bucket itself
// or the bucket before it. For many linear bounds it starts at most four buckets before.
func TestBucketIndexStartsNearBucket(t *testing.T) {
	for _, c := range []struct {
		bounds []float64
		off    int
	}{
		{DefBuckets, 1}, {ExponentialBuckets(0.001, 2, 12), 1}, {ExponentialBuckets(1e-6, 1.25, 100), 1},
		{LinearBuckets(0, 10, 100), 2}, {LinearBuckets(1, 1, 200), 4},
	} {
		def := newHistogramDef(c.bounds)
		for i := range 100_000 {
			v := c.bounds[len(c.bounds)-1] * float64(i) / 100_000
			if off := wordOf(def, v) - 1 - def.index.start(v); off < 0 || off > c.off {
				t.Fatalf("%v in %v: the search starts %d buckets too early", v, c.bounds, off)
			}
		}
	}
}

// TestCollisionsAreNoObservations: the word of a row that counts collisions is no bucket
// and no sum.
func TestCollisionsAreNoObservations(t *testing.T) {
	for n := range 40 {
		h := NewRegistry().Histogram("x", "", LinearBuckets(1, 1, n+1))
		widen(&h.wide, h.def.stride)
		s := h.wide.Load()
		for row := 0; row < len(s.Words); row += h.def.stride {
			stripe.Contended(s, row, 0, nil)
		}
		if got := h.Snapshot(); got.Count != 0 || got.Sum != 0 {
			t.Errorf("%d bounds: %+v", n+1, got)
		}
	}
}
