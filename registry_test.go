package tacho

import (
	"errors"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/tachikoma/tacho/internal/expo"
	"github.com/tachikoma/tacho/internal/testkit"
)

// TestConstLabels: the labels of the registry come first, then the const labels of the
// metric, then the variable labels, for every type of metric.
func TestConstLabels(t *testing.T) {
	r := NewRegistry(WithConstLabels("r", "1"), WithConstLabels("q", "2"))
	c := WithConstLabels("m", "bad\xff\n")
	r.CounterVec("a", "", []string{"v"}, c).With("x")
	r.GaugeFunc("b", "", func() float64 { return 1 }, c)
	r.Histogram("c", "", []float64{}, c)
	r.Collect(func(e *Emitter) { e.Gauge("d", "", 2, "v", "x") })
	want := `# TYPE a counter
a{r="1",q="2",m="bad�\n",v="x"} 0
# TYPE b gauge
b{r="1",q="2",m="bad�\n"} 1
# TYPE c histogram
c_bucket{r="1",q="2",m="bad�\n",le="+Inf"} 0
c_sum{r="1",q="2",m="bad�\n"} 0
c_count{r="1",q="2",m="bad�\n"} 0
# TYPE d gauge
d{r="1",q="2",v="x"} 2
`
	if got := text(t, r); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestBadRegistryConstLabels(t *testing.T) {
	for _, pairs := range [][]string{{"a"}, {"", "x"}, {"__a", "x"}, {"a", "1", "a", "2"}} {
		_, err := Try(func() *Registry {
			r := NewRegistry(WithConstLabels(pairs...))
			r.Counter("x", "")
			return r
		})
		if err == nil {
			t.Errorf("the const labels %q are accepted", pairs)
		}
	}
	r := NewRegistry(WithConstLabels("le", "1"))
	r.Counter("x", "") // "le" is special only for a histogram
	if _, err := Try(func() *Histogram { return r.Histogram("h", "", nil) }); err == nil {
		t.Error("a histogram accepts the label le of its registry")
	}
}

// TestFunctionPanics: if a function panics, only this scrape lacks its family.
func TestFunctionPanics(t *testing.T) {
	r := NewRegistry()
	calls := 0
	r.CounterFunc("a", "", func() float64 {
		if calls++; calls == 1 {
			panic(errors.New("first"))
		}
		return math.Inf(1)
	})
	r.Gauge("b", "")
	first := text(t, r)
	if strings.Contains(first, "# HELP a ") || !strings.Contains(first, "b 0\n") || !strings.Contains(first, `{metric="a",reason="panic"} 1`) {
		t.Error(first)
	}
	if second := text(t, r); !strings.Contains(second, "# TYPE a counter\na +Inf\n") || !strings.Contains(second, `{metric="a",reason="panic"} 1`) {
		t.Error(second)
	}
}

// TestCounterFuncRefuses: a negative value or NaN is no value of a counter.
func TestCounterFuncRefuses(t *testing.T) {
	r := NewRegistry()
	r.CounterFunc("a", "", func() float64 { return -1 })
	r.CounterFunc("b", "", math.NaN)
	r.GaugeFunc("c", "", func() float64 { return -1 })
	want := "# TYPE c gauge\nc -1\n" +
		"# HELP tacho_errors_total Recordings and collected samples that were refused.\n# TYPE tacho_errors_total counter\n" +
		"tacho_errors_total{metric=\"a\",reason=\"negative\"} 1\ntacho_errors_total{metric=\"b\",reason=\"nan\"} 1\n"
	if got := text(t, r); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestConcurrentDefinitions: equal definitions return the same metric.
func TestConcurrentDefinitions(t *testing.T) {
	r := NewRegistry()
	var mu sync.Mutex
	seen := map[*Counter]bool{}
	total := testkit.Hammer(50, func(int) {
		c := r.CounterVec("x", "help", []string{"a"}).With("1")
		c.Inc()
		mu.Lock()
		seen[c] = true
		mu.Unlock()
	})
	if got := r.CounterVec("x", "help", []string{"a"}).With("1").Value(); len(seen) != 1 || got != uint64(total) {
		t.Errorf("%d metrics, value %d, want one metric and %d", len(seen), got, total)
	}
}

func TestDefaultIsARegistry(t *testing.T) {
	c := Default.Counter("default_total", "")
	defer Default.Unregister("default_total")
	c.Inc()
	if got := text(t, Default); !strings.Contains(got, "default_total 1\n") {
		t.Error(got)
	}
}

// TestManyFamilies: defining and removing families takes constant time for each. With
// quadratic work this test would take minutes.
func TestManyFamilies(t *testing.T) {
	const n = 50000
	r := NewRegistry()
	for i := range n {
		r.Counter("c"+strconv.Itoa(i)+"_total", "")
	}
	for i := range n {
		if i%3 != 0 && !r.Unregister("c"+strconv.Itoa(i)+"_total") {
			t.Fatalf("%d is missing", i)
		}
	}
	if got := strings.Count(text(t, r), "\nc"); got != (n+2)/3 || len(r.defined) != got+2 {
		t.Errorf("%d families are left, and %d definitions", got, len(r.defined))
	}
	for i, f := range r.defined {
		if f.index != i {
			t.Fatalf("index %d of the definition %d", f.index, i)
		}
	}
}

// TestNamesAfterUnregister: the names of the other families still refer to these families, with and
// without sub-registries.
func TestNamesAfterUnregister(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	r := NewRegistry()
	registries := []*Registry{r}
	for range 3 {
		defined := [][2]int{} // a registry and a name
		for i := range 200 {
			at, name := random.IntN(len(registries)), "h"+strconv.Itoa(i/2)
			registries[at].Histogram(name, "", nil)
			defined = append(defined, [2]int{at, i / 2})
		}
		random.Shuffle(len(defined), func(i, j int) { defined[i], defined[j] = defined[j], defined[i] })
		for n, d := range defined {
			registries[d[0]].Unregister("h" + strconv.Itoa(d[1]))
			if n%20 == 0 || n == len(defined)-1 {
				checkNames(t, r)
			}
		}
		if len(r.families) != 2 || len(r.taken) != 2 {
			t.Errorf("%v and %v are left", r.families, r.taken)
		}
		registries = append(registries, r.Sub(WithConstLabels("sub", strconv.Itoa(len(registries)))))
	}
}

// checkNames checks that each name of a family refers to a family with this name.
func checkNames(t *testing.T, r *Registry) {
	t.Helper()
	names := map[string]bool{}
	for i, f := range r.defined {
		if f.index != i {
			t.Errorf("%s has the index %d, want %d", f.Name, f.index, i)
		}
		if got := familyIn(r, r.families, f.Name); got == nil || got.Name != f.Name {
			t.Errorf("the name %s refers to %v", f.Name, got)
		}
		names[f.Name] = true
		for _, name := range expo.SampleNames(f.Name, f.Kind) {
			if got := familyIn(r, r.taken, name); got == nil || got.Name != f.Name {
				t.Errorf("the sample %s refers to %v", name, got)
			}
		}
	}
	if len(names) != len(r.families) {
		t.Errorf("%d names, want %d", len(r.families), len(names))
	}
}

// TestUnregisterKeepsCreatedNames: the times of creation of two metrics can have the same name. That name is
// not free after one of the two metrics was removed.
func TestUnregisterKeepsCreatedNames(t *testing.T) {
	for _, base := range []string{"x", "x_total"} {
		for _, first := range []bool{true, false} {
			r := NewRegistry()
			other := func() { r.Histogram(base, "", nil) }
			if first {
				other()
			}
			r.Counter(base+"_total", "")
			if !first {
				other()
			}
			for i, name := range []string{base, base + "_total"} {
				r.Unregister(name)
				_, err := Try(func() *Gauge { return r.Gauge(base+"_created", "") })
				if refused := err != nil; refused != (i == 0) {
					t.Errorf("histogram %s, defined first: %v; after %s was removed, a definition of %s_created: %v", base, first, name, base, err)
				}
			}
		}
	}
}
