package tacho

import (
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/tachikoma/tacho/internal/testkit"
)

func TestReplace(t *testing.T) {
	r := NewRegistry()
	v := r.GaugeVec("g", "", []string{"l"}, WithMaxSeries(2))
	v.With("a").Set(1)
	v.With("b").Set(2)
	old := v.With("a")
	var late *GaugeVec
	v.Replace(func(set *GaugeVec) {
		late = set
		set.With("c").Set(3)
		set.With("gone").Set(4)
		set.Delete("gone")
		set.With("a").Set(5)
		set.With("x").Set(6) // past the limit
		v.With("b").Set(7)   // removed with the old series
		if got := text(t, r); !strings.Contains(got, "g{l=\"a\"} 1\ng{l=\"b\"} 7\n") || strings.Contains(got, "\"c\"") {
			t.Errorf("during Replace:\n%s", got)
		}
	})
	want := "g{l=\"a\"} 5\ng{l=\"c\"} 3\ng{l=\"other\"} 6\n"
	check := func() {
		t.Helper()
		if got := text(t, r); !strings.Contains(got, "TYPE g gauge\n"+want+"# HELP") || v.Len() != 3 {
			t.Errorf("got\n%s", got)
		}
	}
	check()
	old.Set(8)
	late.With("late").Set(9)
	late.Reset()
	check()
	func() {
		defer func() { recover() }()
		v.Replace(func(set *GaugeVec) {
			set.With("d").Set(1)
			panic("fill")
		})
	}()
	check()
	v.Replace(func(*GaugeVec) {})
	if got := text(t, r); strings.Contains(got, "g{") || v.Len() != 0 {
		t.Errorf("after Replace by nothing:\n%s", got)
	}
	v.With("a").Set(1)
	want = "g{l=\"a\"} 1\n"
	if got := text(t, r); !strings.Contains(got, want) {
		t.Errorf("a series created after Replace:\n%s", got)
	}
}

// TestReplaceIsAtomic: each scrape has all series of one generation.
func TestReplaceIsAtomic(t *testing.T) {
	r := NewRegistry()
	v := r.GaugeVec("g", "", []string{"l"})
	generation := func(n int64) {
		v.Replace(func(set *GaugeVec) {
			for i := range 50 {
				set.With(strconv.FormatInt(n%2, 10) + strconv.Itoa(i)).Set(n)
			}
		})
	}
	generation(0)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := range int64(2000) {
			generation(n)
		}
	}()
	// A call of Len is short enough to see a vector that is empty for some nanoseconds.
	for ; ; runtime.Gosched() {
		for range 1000 {
			if n := v.Len(); n != 50 {
				t.Fatalf("%d series", n)
			}
		}
		seen := map[float64]int{}
		for _, s := range testkit.ParseText(t, text(t, r)) {
			seen[s.Value]++
		}
		if len(seen) != 1 {
			t.Fatalf("several generations in one scrape: %v", seen)
		}
		for n, series := range seen {
			if series != 50 {
				t.Fatalf("%d series of generation %v", series, n)
			}
		}
		select {
		case <-done:
			return
		default:
		}
	}
}
