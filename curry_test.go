package tacho

import (
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/tachikoma/tacho/internal/race"
)

// labelNames returns n label names.
func labelNames(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = "l" + strconv.Itoa(i)
	}
	return list
}

// TestCurryIsWith: for all numbers of labels and fixed values, Curry in one call or in two calls
// returns the metric that With returns for all values.
func TestCurryIsWith(t *testing.T) {
	for n := range 40 {
		r := NewRegistry()
		v := r.CounterVec("c_total", "", labelNames(n))
		values := labelNames(n) // in other memory
		want := v.With(values...)
		for first := range n + 1 {
			c := v.Curry(values[:first]...)
			if got := c.With(values[first:]...); got != want {
				t.Errorf("%d labels, %d fixed: another metric", n, first)
			}
			for second := first; second <= n; second++ {
				if got := c.Curry(values[first:second]...).With(values[second:]...); got != want {
					t.Errorf("%d labels, %d and %d fixed: another metric", n, first, second)
				}
			}
		}
		if v.Len() != 1 || strings.Contains(text(t, r), "tacho_errors_total") {
			t.Errorf("%d series, want 1:\n%s", v.Len(), text(t, r))
		}
	}
}

// TestCurryCreates: With of a Curried creates a series with the fixed values first. Curry creates no
// series.
func TestCurryCreates(t *testing.T) {
	r := NewRegistry()
	v := r.CounterVec("c_total", "", []string{"a", "b", "c"})
	c := v.Curry("1\xff")
	if v.Len() != 0 {
		t.Error("Curry created a series")
	}
	c.With("2", "3\\").Add(7)
	if got, want := text(t, r), `c_total{a="1`+"\uFFFD"+`",b="2",c="3\\"} 7`; !strings.Contains(got, want) {
		t.Errorf("no %s in\n%s", want, got)
	}
}

// TestCurryWrongCounts: a wrong number of values is counted at each With, creates no series and does
// not panic.
func TestCurryWrongCounts(t *testing.T) {
	for _, c := range []struct {
		fixed, values int
		wrong         bool
	}{
		{0, 1, true}, {0, 2, false}, {0, 3, true}, {1, 0, true}, {1, 1, false}, {1, 2, true},
		{2, 0, false}, {2, 1, true}, {3, 0, true}, {3, 1, true}, {9, 0, true}, {9, 9, true}, {1, 100, true},
	} {
		r := NewRegistry()
		v := r.CounterVec("c_total", "", []string{"a", "b"})
		for name, curried := range map[string]*Curried[Counter]{
			"one call":  v.Curry(labelNames(c.fixed)...),
			"two calls": v.Curry(labelNames(c.fixed)[:c.fixed/2]...).Curry(labelNames(c.fixed)[c.fixed/2:]...),
		} {
			counted := vecOf[Counter](r.errors).With("c_total", "label_count")
			was := counted.Value()
			curried.With(labelNames(c.values)...).Inc()
			curried.With(labelNames(c.values)...).Inc()
			want := uint64(0)
			if c.wrong {
				want = 2
			}
			if got := counted.Value() - was; got != want {
				t.Errorf("%d fixed values in %s, %d further: %d errors, want %d", c.fixed, name, c.values, got, want)
			}
		}
		if got := v.Len(); (got == 0) != c.wrong || got > 1 {
			t.Errorf("%d fixed values, %d further: %d series", c.fixed, c.values, got)
		}
	}
}

// TestCurryCopies: the caller may reuse the slice and the bytes of the values. Two vectors that are
// curried from one do not share memory.
func TestCurryCopies(t *testing.T) {
	r := NewRegistry()
	v := r.CounterVec("c_total", "", labelNames(5))
	buf := []byte("xyz")
	list := []string{unsafe.String(&buf[0], 3), "b", "c"} // append leaves room behind three values
	c := v.Curry(list...)
	copy(buf, "???")
	list[1] = "!"
	one, two := c.Curry("one"), c.Curry("two")
	one.With("1").Inc()
	two.With("2").Inc()
	var got [][]string
	v.DeleteFunc(func(values []string) bool { got = append(got, slices.Clone(values)); return false })
	slices.SortFunc(got, slices.Compare)
	if want := [][]string{{"xyz", "b", "c", "one", "1"}, {"xyz", "b", "c", "two", "2"}}; !slices.EqualFunc(got, want, slices.Equal) {
		t.Errorf("series %q, want %q", got, want)
	}
}

// TestCurryFollowsTheVector: a Curried finds the series that the vector has now: after Delete,
// Reset and Replace, past a limit, and after expiry.
func TestCurryFollowsTheVector(t *testing.T) {
	r := NewRegistry()
	v := r.CounterVec("c_total", "", []string{"a", "b"}, WithMaxSeries(2))
	c := v.Curry("x")
	for name, change := range map[string]func(){
		"Delete":  func() { v.Delete("x", "1") },
		"Reset":   func() { v.Reset() },
		"Replace": func() { v.Replace(func(set *CounterVec) { set.Curry("x").With("1").Add(5) }) },
	} {
		c.With("1").Inc()
		change()
		if got := c.With("1"); got != v.With("x", "1") || got.Value() == 1 {
			t.Errorf("%s: the Curried has another metric, or the metric of the removed series", name)
		}
	}
	v.Reset()
	c.With("1").Inc()
	c.With("2").Inc()
	if c.With("3") != v.With("other", "other") || c.With("1") != v.With("x", "1") {
		t.Error("a new series in a full vector is not the overflow series")
	}

	e := NewRegistry().CounterVec("e_total", "", []string{"a", "b"}, WithIdleExpiry(time.Nanosecond))
	idle := e.Curry("x")
	kept := idle.With("1")
	kept.Add(3)
	for range 3 {
		e.ordered()
		time.Sleep(time.Millisecond)
	}
	if n := e.Len(); n != 0 {
		t.Fatalf("%d series did not expire", n)
	}
	if got := idle.With("1"); got != kept || got.Value() != 3 || e.Len() != 1 {
		t.Errorf("the series returned with the value %d", got.Value())
	}
}

// TestLabelSetsOfAllMetrics: each kind of vector has curried and typed forms.
func TestLabelSetsOfAllMetrics(t *testing.T) {
	r := NewRegistry()
	names := []string{"method", "path"}
	f, g, fg := r.FloatCounterVec("f_total", "", names), r.GaugeVec("g", "", names), r.FloatGaugeVec("fg", "", names)
	h, n := r.HistogramVec("h", "", []float64{1}, names), r.HistogramVec("n", "", nil, names, WithNative())
	f.Curry("GET").With("/").Add(1.5)
	g.Curry("GET").With("/").Set(2)
	fg.Curry("GET").With("/").Set(2.5)
	h.Curry("GET").With("/").Observe(0.5)
	n.Curry("GET").With("/").Observe(0.5)
	Typed2[typedMethod, typedPath](f).With("GET", "/").Add(1)
	Typed2[typedMethod, typedPath](g).With("GET", "/").Add(1)
	Typed2[typedMethod, typedPath](fg).With("GET", "/").Add(1)
	Typed2[typedMethod, typedPath](h).With("GET", "/").Observe(0.5)
	Typed2[typedMethod, typedPath](n).With("GET", "/").Observe(0.5)
	if f.With("GET", "/").Value() != 2.5 || g.With("GET", "/").Value() != 3 || fg.With("GET", "/").Value() != 3.5 ||
		h.With("GET", "/").Snapshot().Count != 2 || n.With("GET", "/").Snapshot().Native == nil || n.With("GET", "/").Snapshot().Count != 2 {
		t.Errorf("%s", text(t, r))
	}
}

// TestLabelSetsAllocateNothing: With of a Curried and of a typed vector allocates nothing if the
// series exists.
func TestLabelSetsAllocateNothing(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector allocates")
	}
	path := strings.Repeat("/x", 20)
	for _, n := range []int{2, 3, 4, 5, 8, 32} {
		v := NewRegistry().CounterVec("c_total", "", labelNames(n))
		values := labelNames(n)
		values[1] = path
		c, rest := v.Curry(values[0]), values[1:]
		if got := testing.AllocsPerRun(100, func() { c.With(rest...).Inc() }); got != 0 {
			t.Errorf("Curried of %d labels: %v allocations", n, got)
		}
	}
	r := NewRegistry()
	v := Typed4[typedMethod, typedPath, typedStatus, typedHost](r.CounterVec("c_total", "", []string{"method", "path", "status", "host"}))
	if got := testing.AllocsPerRun(100, func() { v.With("GET", typedPath(path), "200", typedHost(path)).Inc() }); got != 0 {
		t.Errorf("TypedVec4: %v allocations", got)
	}
	c := r.CounterVec("d_total", "", []string{"a", "b"}).Curry("x")
	wrong := []string{"1", "2", "3"}
	if got := testing.AllocsPerRun(100, func() { c.With(wrong...).Inc() }); got > 0 {
		t.Errorf("a wrong number of values: %v allocations", got)
	}
}

// TestConcurrentLabelSets: goroutines record through a Curried and a typed vector while series are
// deleted and replaced.
func TestConcurrentLabelSets(t *testing.T) {
	r := NewRegistry()
	v := r.CounterVec("c_total", "", []string{"method", "path"})
	c, typed := v.Curry("GET"), Typed2[typedMethod, typedPath](v)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range 500 {
				path := strconv.Itoa(i % 7)
				c.With(path).Inc()
				typed.With("POST", typedPath(path)).Inc()
				switch i % 50 {
				case 0:
					typed.Delete("GET", typedPath(path))
				case 1:
					c.Curry(path).With().Inc()
				case 2:
					v.Replace(func(set *CounterVec) { set.Curry("PUT").With(path).Inc() })
				}
				if g == 0 && i%100 == 0 {
					text(t, r)
				}
			}
		}()
	}
	wg.Wait()
	c.With("last").Inc()
	typed.With("POST", "last").Inc()
	if c.With("last").Value() != 1 || v.With("POST", "last").Value() != 1 {
		t.Error("a recording is lost")
	}
}

// FuzzCurry: a Curried and a typed vector find the series of With, for any values.
func FuzzCurry(f *testing.F) {
	f.Add("GET", "/x", "200")
	f.Add("", "\xff", "\\\"\n")
	f.Add("a\x00", "other", strings.Repeat("x", 600))
	f.Fuzz(func(t *testing.T, a, b, c string) {
		v := NewRegistry().CounterVec("c_total", "", []string{"method", "path", "status"})
		want := v.With(a, b, c)
		typed := Typed3[typedMethod, typedPath, typedStatus](v)
		for i, got := range []*Counter{
			v.Curry().With(a, b, c), v.Curry(a).With(b, c), v.Curry(a, b).With(c), v.Curry(a, b, c).With(),
			v.Curry(a).Curry(b).With(c), typed.With(typedMethod(a), typedPath(b), typedStatus(c)),
		} {
			if got != want {
				t.Errorf("form %d has another metric for %q, %q, %q", i, a, b, c)
			}
		}
		if n := v.Len(); n > 1 { // none if the values are too long
			t.Errorf("%d series", n)
		}
	})
}
