package atomicfloat

import (
	"math"
	"sync/atomic"
	"testing"

	"github.com/tachikoma/tacho/internal/testkit"
)

func TestAdd(t *testing.T) {
	for _, c := range []struct{ a, b, want float64 }{
		{0, 0, 0},
		{0, 1.5, 1.5},
		{1.5, -2, -0.5},
		{math.Copysign(0, -1), 0, 0},
		{1 << 53, 1, 1 << 53},
		{math.MaxFloat64, math.MaxFloat64, math.Inf(1)},
		{math.Inf(-1), 1, math.Inf(-1)},
		{math.Inf(1), math.Inf(-1), math.NaN()},
		{math.NaN(), 1, math.NaN()},
		{math.SmallestNonzeroFloat64, math.SmallestNonzeroFloat64, 2 * math.SmallestNonzeroFloat64},
	} {
		for name, add := range map[string]func(w *atomic.Uint64){
			"Add": func(w *atomic.Uint64) { Add(w, c.b) },
			"TryAdd": func(w *atomic.Uint64) {
				if !TryAdd(w, c.b) {
					t.Error("TryAdd failed without another goroutine")
				}
			},
		} {
			var w atomic.Uint64
			w.Store(math.Float64bits(c.a))
			if got := Load(&w); math.Float64bits(got) != math.Float64bits(c.a) {
				t.Errorf("Load returned %v, want %v", got, c.a)
			}
			add(&w)
			if got := Load(&w); got != c.want && !(math.IsNaN(got) && math.IsNaN(c.want)) {
				t.Errorf("%v %s %v: %v, want %v", c.a, name, c.b, got, c.want)
			}
		}
	}
}

// TestConcurrentAdds: no addition is lost, and a TryAdd that failed has added nothing. All
// sums are exact in a float64.
func TestConcurrentAdds(t *testing.T) {
	var w, tried atomic.Uint64
	var added atomic.Int64
	total := testkit.Hammer(100_000, func(int) {
		Add(&w, 0.25)
		if TryAdd(&tried, 0.5) {
			added.Add(1)
		}
	})
	if got, want := Load(&w), float64(total)/4; got != want {
		t.Errorf("sum of Add %v, want %v", got, want)
	}
	if got, want := Load(&tried), float64(added.Load())/2; got != want {
		t.Errorf("sum of TryAdd %v, want %v", got, want)
	}
}
