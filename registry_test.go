package tacho

import (
	"bytes"
	"errors"
	"io"
	"math"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// TestConstLabels: the registry's stand first, then the metric's, then the
// variable ones, whatever kind of metric it is.
func TestConstLabels(t *testing.T) {
	r := NewRegistry(WithConstLabels("r", "1"), WithConstLabels("q", "2"))
	c := WithConstLabels("m", "bad\xff\n")
	r.CounterVec("a", "", []string{"v"}, c).With("x")
	r.GaugeFunc("b", "", func() float64 { return 1 }, c)
	r.Histogram("c", "", []float64{}, c)
	r.Collect(func(e *Emitter) { e.Gauge("d", "", 2, "v", "x") })
	want := `# HELP a 
# TYPE a counter
a{r="1",q="2",m="bad�\n",v="x"} 0
# HELP b 
# TYPE b gauge
b{r="1",q="2",m="bad�\n"} 1
# HELP c 
# TYPE c histogram
c_bucket{r="1",q="2",m="bad�\n",le="+Inf"} 0
c_sum{r="1",q="2",m="bad�\n"} 0
c_count{r="1",q="2",m="bad�\n"} 0
# HELP d 
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
			t.Errorf("%q accepted", pairs)
		}
	}
	r := NewRegistry(WithConstLabels("le", "1"))
	r.Counter("x", "") // only a histogram has buckets
	if _, err := Try(func() *Histogram { return r.Histogram("h", "", nil) }); err == nil {
		t.Error("a histogram with the registry's le accepted")
	}
}

// TestFunctionPanics: a function that panics once is back at the next scrape.
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

// engWriter counts writes and the longest of them, and fails after so many.
type engWriter struct{ writes, longest, failAfter int }

func (w *engWriter) Write(p []byte) (int, error) {
	if w.writes++; w.writes > w.failAfter {
		return 0, io.ErrClosedPipe
	}
	w.longest = max(w.longest, len(p))
	return len(p), nil
}

// TestWritesAreBounded: what waits for the client is bounded, however much
// there is to write, and an error ends the scrape in each kind of family.
func TestWritesAreBounded(t *testing.T) {
	fill := map[string]func(*Registry, string){
		"counter":       func(r *Registry, s string) { r.CounterVec("x", "", []string{"a"}).With(s) },
		"float counter": func(r *Registry, s string) { r.FloatCounterVec("x", "", []string{"a"}).With(s) },
		"gauge":         func(r *Registry, s string) { r.GaugeVec("x", "", []string{"a"}).With(s) },
		"float gauge":   func(r *Registry, s string) { r.FloatGaugeVec("x", "", []string{"a"}).With(s) },
		"histogram":     func(r *Registry, s string) { r.HistogramVec("x", "", nil, []string{"a"}).With(s) },
		"families":      func(r *Registry, s string) { r.Gauge("x"+s, strings.Repeat("h", 50)) },
		"collector": func(r *Registry, s string) {
			r.Collect(func(e *Emitter) { e.Gauge("x", "", 1, "a", s) })
		},
	}
	for what, add := range fill {
		r := NewRegistry()
		for i := range 4000 {
			add(r, strconv.Itoa(i))
		}
		for format, write := range map[string]func(io.Writer) error{"text": r.WriteText, "JSON": r.WriteJSON} {
			w := &engWriter{failAfter: math.MaxInt}
			if err := write(w); err != nil || w.writes < 2 || w.longest > maxPooled {
				t.Errorf("%s, %s: %v, %d writes, the longest %d", what, format, err, w.writes, w.longest)
			}
			w = &engWriter{failAfter: 1}
			if err := write(w); !errors.Is(err, io.ErrClosedPipe) || w.writes != 2 {
				t.Errorf("%s, %s: %v after %d writes", what, format, err, w.writes)
			}
		}
	}
}

// TestLongLineLeavesNoBuffer: what one line needed beyond the bound is not kept for
// the next scrape.
func TestLongLineLeavesNoBuffer(t *testing.T) {
	r := NewRegistry()
	r.Gauge("g", strings.Repeat("h", 10*maxPooled))
	for range 3 {
		if n := len(text(t, r)); n < 10*maxPooled {
			t.Fatalf("%d bytes", n)
		}
		if p := spare.Load(); p != nil && cap(*p) > maxPooled {
			t.Fatalf("a buffer of %d bytes is kept", cap(*p))
		}
	}
}

// engNested scrapes and changes the registry from inside a write: it would hang
// if a scrape held a lock while a client takes its time.
type engNested struct {
	r *Registry
	v *CounterVec
	n int
}

func (w *engNested) Write(p []byte) (int, error) {
	w.n++
	w.v.With("during" + strconv.Itoa(w.n)).Inc()
	w.v.Delete("during" + strconv.Itoa(w.n-1))
	w.r.Gauge("defined"+strconv.Itoa(w.n), "")
	w.r.Unregister("defined" + strconv.Itoa(w.n-1))
	w.r.Collect(func(*Emitter) {})
	return len(p), w.r.WriteText(io.Discard)
}

func TestNoLockWhileWriting(t *testing.T) {
	r := NewRegistry()
	v := r.CounterVec("x", "", []string{"a"})
	for i := range 5000 {
		v.With(strconv.Itoa(i))
	}
	w := &engNested{r: r, v: v}
	if err := r.WriteText(w); err != nil || w.n < 2 {
		t.Errorf("%v, %d writes", err, w.n)
	}
}

// TestConcurrentDefinitions: whoever comes first defines, all get the same.
func TestConcurrentDefinitions(t *testing.T) {
	r := NewRegistry()
	var mu sync.Mutex
	seen := map[*Counter]bool{}
	total := hammer(50, func(int) {
		c := r.CounterVec("x", "help", []string{"a"}).With("1")
		c.Inc()
		mu.Lock()
		seen[c] = true
		mu.Unlock()
	})
	if got := r.CounterVec("x", "help", []string{"a"}).With("1").Value(); len(seen) != 1 || got != uint64(total) {
		t.Errorf("%d metrics, %d counted, want %d", len(seen), got, total)
	}
}

// TestScrapeAllocations: a scrape of 1000 series allocates as often as one of
// 10, in every kind of family.
func TestScrapeAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	allocs := func(n int, write func(*Registry) func(io.Writer) error) float64 {
		r := NewRegistry()
		for i := range n {
			s := strconv.Itoa(i)
			r.CounterVec("a", "", []string{"l"}).With(s)
			r.FloatCounterVec("b", "", []string{"l"}).With(s).Add(0.1)
			r.GaugeVec("c", "", []string{"l"}).With(s)
			r.FloatGaugeVec("d", "", []string{"l"}).With(s).Set(1e100)
			r.HistogramVec("e", "", nil, []string{"l"}).With(s).Observe(0.1)
		}
		scrape := write(r)
		scrape(io.Discard)
		return testing.AllocsPerRun(50, func() { scrape(io.Discard) })
	}
	for format, write := range map[string]func(*Registry) func(io.Writer) error{
		"text": func(r *Registry) func(io.Writer) error { return r.WriteText },
		"JSON": func(r *Registry) func(io.Writer) error { return r.WriteJSON },
	} {
		if few, many := allocs(10, write), allocs(1000, write); few != many {
			t.Errorf("%s: %v allocations for 10 series, %v for 1000", format, few, many)
		}
	}
}

func TestDefaultIsARegistry(t *testing.T) {
	c := Default.Counter("eng_default_total", "")
	defer Default.Unregister("eng_default_total")
	c.Inc()
	var b bytes.Buffer
	if err := Default.WriteText(&b); err != nil || !strings.Contains(b.String(), "eng_default_total 1\n") {
		t.Errorf("%v\n%s", err, b.String())
	}
}

// TestCounterFuncRefuses: a counter that goes below zero is none.
func TestCounterFuncRefuses(t *testing.T) {
	r := NewRegistry()
	r.CounterFunc("a", "", func() float64 { return -1 })
	r.CounterFunc("b", "", math.NaN)
	r.GaugeFunc("c", "", func() float64 { return -1 })
	want := "# HELP c \n# TYPE c gauge\nc -1\n" +
		"# HELP tacho_errors_total Recordings and collected samples that were refused.\n# TYPE tacho_errors_total counter\n" +
		"tacho_errors_total{metric=\"a\",reason=\"negative\"} 1\ntacho_errors_total{metric=\"b\",reason=\"nan\"} 1\n"
	if got := text(t, r); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
