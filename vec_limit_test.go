package tacho

import (
	"math/bits"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tachikoma/tacho/internal/race"
	"github.com/tachikoma/tacho/internal/testkit"
)

func TestMaxSeries(t *testing.T) {
	r := NewRegistry(WithMaxSeries(3))
	v := r.CounterVec("x", "", []string{"a", "b"})
	v.With("other", "other").Inc() // the overflow series is not one of the three
	for i := range 10 {
		v.With(strconv.Itoa(i), "\xff").Inc()
	}
	if v.Len() != 4 || v.With("other", "other").Value() != 8 || v.With("9", "").Value() != 8 {
		t.Errorf("%d series, %d in the overflow", v.Len(), v.With("other", "other").Value())
	}
	if got := vecOf[Counter](r.overflow).With("x").Value(); got != 8 {
		t.Errorf("%d overflows counted, want 8", got)
	}
	if !race.Enabled {
		if n := testing.AllocsPerRun(100, func() { v.With("new", "one").Inc() }); n != 0 {
			t.Errorf("%v allocations for an overflow", n)
		}
	}
	v.Delete("0", "\xff")
	before := v.With("other", "other").Value()
	v.With("room", "again").Inc()
	v.With("full", "again").Inc()
	if v.With("room", "again").Value() != 1 || v.With("other", "other").Value() != before+1 {
		t.Error("no room after a series was deleted")
	}
	free := r.CounterVec("free", "", []string{"a"}, WithMaxSeries(0))
	for i := range 10 {
		free.With(strconv.Itoa(i))
	}
	if free.Len() != 10 {
		t.Errorf("a vector without a limit has %d series", free.Len())
	}
	if got := text(t, r); !strings.Contains(got, `tacho_series_overflow_total{metric="x"}`) {
		t.Error(got)
	}
}

// TestOtherSeriesIsNoOverflow: if the program itself uses the value "other", no overflow
// is counted.
func TestOtherSeriesIsNoOverflow(t *testing.T) {
	r := NewRegistry()
	v := r.CounterVec("x", "", []string{"a"}, WithMaxSeries(2))
	v.With("other").Inc()
	v.With("1").Inc()
	v.With("2").Inc()
	v.With("other").Inc()
	if got := text(t, r); strings.Contains(got, "tacho_series_overflow_total") || v.Len() != 3 {
		t.Errorf("%d series:\n%s", v.Len(), got)
	}
	v.With("3").Add(5)
	v.With("4").Add(5)
	if v.With("other").Value() != 12 || v.Len() != 3 {
		t.Errorf("%d in other, %d series", v.With("other").Value(), v.Len())
	}
	if got := vecOf[Counter](r.overflow).With("x").Value(); got != 2 {
		t.Errorf("%d overflows, want 2", got)
	}
}

// TestMaxSeriesAfterDelete: Delete, DeleteFunc and Reset make room for new series, and may
// delete the overflow series. The totals stay right.
func TestMaxSeriesAfterDelete(t *testing.T) {
	r := NewRegistry()
	v := r.CounterVec("x", "", []string{"a"}, WithMaxSeries(2))
	fill := func() {
		t.Helper()
		for i := range 4 {
			v.With(strconv.Itoa(i)).Inc()
		}
		if v.Len() != 3 || v.With("0").Value() != 1 || v.With("other").Value() != 2 {
			t.Errorf("%d series, %d in the overflow", v.Len(), v.With("other").Value())
		}
	}
	fill()
	v.Reset()
	fill()
	if n := v.DeleteFunc(func([]string) bool { return true }); n != 3 {
		t.Errorf("%d deleted", n)
	}
	fill()
	if !v.Delete("other") {
		t.Error("no overflow series")
	}
	v.With("2").Inc() // the vector is still full: a new overflow series, from 0
	if v.Len() != 3 || v.With("other").Value() != 1 {
		t.Errorf("%d series, %d in the overflow", v.Len(), v.With("other").Value())
	}
	v.Delete("1")
	if kept := v.With("2"); kept != v.With("2") || kept == v.With("other") || v.Len() != 3 {
		t.Error("no room after a series was deleted")
	}
}

// TestMaxSeriesOptions: the limit of a vector replaces the limit of its registry.
func TestMaxSeriesOptions(t *testing.T) {
	r := NewRegistry(WithMaxSeries(2))
	for i, c := range []struct {
		opts []Option
		want int
	}{
		{nil, 3},
		{[]Option{WithMaxSeries(5)}, 6},
		{[]Option{WithMaxSeries(0)}, 20},
		{[]Option{WithMaxSeries(-1)}, 20},
		{[]Option{WithMaxSeries(5), WithMaxSeries(1)}, 2},
	} {
		v := r.GaugeVec("x"+strconv.Itoa(i), "", []string{"a"}, c.opts...)
		for j := range 20 {
			v.With(strconv.Itoa(j))
		}
		if v.Len() != c.want {
			t.Errorf("case %d: %d series, want %d", i, v.Len(), c.want)
		}
	}
	for i := range 10 { // the limit is for series, not for metrics
		r.Counter("plain"+strconv.Itoa(i), "").Inc()
	}
	if got := text(t, r); !strings.Contains(got, "plain9 1\n") {
		t.Error(got)
	}
}

// TestConcurrentMaxSeries: with concurrent recordings of many values, the limit holds and
// no recording is lost.
func TestConcurrentMaxSeries(t *testing.T) {
	r := NewRegistry()
	v := r.CounterVec("x", "", []string{"a"}, WithMaxSeries(50))
	total := testkit.Hammer(2000, func(i int) { v.With(strconv.Itoa(i)).Inc() })
	sum, overflow := 0., 0.
	for _, s := range testkit.ParseText(t, text(t, r)) {
		if s.Name == "x" {
			if sum += s.Value; s.Labels[0].Value == "other" {
				overflow = s.Value
			}
		}
	}
	if v.Len() != 51 || sum != float64(total) || uint64(overflow) != vecOf[Counter](r.overflow).With("x").Value() {
		t.Errorf("%d series, %v of %d recorded, %v overflowed, %d counted", v.Len(), sum, total, overflow, vecOf[Counter](r.overflow).With("x").Value())
	}
}

// TestExistingSeriesIsNotOverflow: if two goroutines create one series while the vector becomes
// full, With returns the same metric to both. A lookup of slow that misses the series, and a
// later load of overflow that finds the vector full, must not count an existing series. The
// window is a few instructions: runtime.Gosched before the load of overflow makes the test fail.
func TestExistingSeriesIsNotOverflow(t *testing.T) {
	for range 2000 {
		v := NewRegistry().CounterVec("x_total", "x", []string{"a"}, WithMaxSeries(1))
		var ready atomic.Int32
		var done sync.WaitGroup
		var got [3]*Counter
		for i, value := range []string{"x", "x", "y"} {
			done.Add(1)
			go func() {
				defer done.Done()
				ready.Add(1)
				for ready.Load() < 3 {
					runtime.Gosched()
				}
				got[i] = v.With(value)
			}()
		}
		done.Wait()
		if got[0] != got[1] {
			t.Fatal("With returns the series to one goroutine and the overflow series to another")
		}
	}
}

// TestHugeLabels: values of together 1 GiB are refused. The head of a text has 30 bits for the length.
func TestHugeLabels(t *testing.T) {
	if *stressFor == 0 || bits.UintSize < 64 {
		t.Skip("needs 3 GiB; runs with -stress 1s")
	}
	r := NewRegistry()
	v := r.CounterVec("huge", "", []string{"a", "b"})
	half := strings.Repeat("x", 1<<29)
	v.With(half, half).Inc()
	if got := text(t, r); v.Len() != 0 || !strings.Contains(got, `tacho_errors_total{metric="huge",reason="invalid"} 1`) {
		t.Errorf("%d series, %q", v.Len(), got)
	}
	v.With(half, "").Inc()
	if v.Len() != 1 || v.With(half, "").Value() != 1 {
		t.Errorf("%d series with values of half a GiB, want 1", v.Len())
	}
}
