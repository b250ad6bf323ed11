package tacho

import (
	"io"
	"math"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/tachikoma/tacho/internal/expo"
	"github.com/tachikoma/tacho/internal/names"
	"github.com/tachikoma/tacho/internal/race"
	"github.com/tachikoma/tacho/internal/testkit"
)

func TestEmptyOpenMetrics(t *testing.T) {
	if got := open(t, NewRegistry()); got != "# EOF\n" {
		t.Errorf("%q", got)
	}
}

// TestWriteErrorOmitsEOF: nothing is written after an error. So a client can distinguish a
// part of a scrape, without # EOF, from the whole scrape.
func TestWriteErrorOmitsEOF(t *testing.T) {
	r := NewRegistry()
	v := r.CounterVec("c_total", "", []string{"i"})
	for i := range 20000 {
		v.With(strconv.Itoa(i))
	}
	w := &failingWriter{n: 1}
	if err := r.WriteOpenMetrics(w); err == nil || w.calls != 2 {
		t.Errorf("error %v after %d writes", err, w.calls)
	}
}

// TestCreated: with WithCreated, each series of a counter or a histogram has its time of
// creation. A series that is created again has a new time. Other metrics have no time.
func TestCreated(t *testing.T) {
	before := time.Now().UnixMilli()
	r := NewRegistry(WithCreated())
	v := r.CounterVec("a_total", "", []string{"l"})
	v.With("x").Inc()
	r.FloatCounter("b_total", "").Inc()
	r.Counter("g", "").Inc() // of type unknown
	h := r.HistogramVec("c", "", []float64{1}, []string{"l"})
	h.With("y").Observe(1)
	r.Gauge("d", "").Set(1)
	r.CounterFunc("e_total", "", func() float64 { return 1 })
	r.Collect(func(e *Emitter) { e.Counter("f_total", "", 1) })
	after := time.Now().UnixMilli()
	created := func() map[string]int64 {
		found := map[string]int64{}
		for _, line := range strings.Split(open(t, r), "\n") {
			if series, value, ok := strings.Cut(line, " "); ok && strings.Contains(series, "_created") {
				seconds, err := strconv.ParseFloat(value, 64)
				if err != nil {
					t.Fatal(err)
				}
				found[series] = int64(math.Round(seconds * 1000))
			}
		}
		return found
	}
	got := created()
	for _, series := range []string{`a_created{l="x"}`, "b_created", `c_created{l="y"}`} {
		if at, ok := got[series]; !ok || at < before || at > after {
			t.Errorf("%s is %d, want from %d to %d", series, at, before, after)
		}
	}
	if len(got) != 3 {
		t.Errorf("_created of %v, want 3 series", got)
	}
	for _, s := range []string{text(t, r), open(t, NewRegistry())} {
		if strings.Contains(s, "_created") {
			t.Errorf("_created in\n%s", s)
		}
	}
	v.Delete("x")
	for time.Now().UnixMilli() == after {
		time.Sleep(time.Millisecond)
	}
	v.With("x").Inc()
	if again := created()[`a_created{l="x"}`]; again <= got[`a_created{l="x"}`] {
		t.Errorf("created at %d, then again at %d", got[`a_created{l="x"}`], again)
	}
}

// TestNamingFollowsDefinitions: the name of a counter depends on the other families that
// are defined or collected at the time of the scrape.
func TestNamingFollowsDefinitions(t *testing.T) {
	r := NewRegistry()
	r.Counter("a_total", "").Inc()
	want := func(want string) {
		t.Helper()
		if got := open(t, r); !strings.Contains(got, "# TYPE "+want+"\n") || !strings.Contains(got, "\na_total 1.0\n") {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	want("a counter")
	r.Gauge("a", "").Set(1)
	want("a_total unknown")
	r.Unregister("a")
	want("a counter")
	on := true
	r.Collect(func(e *Emitter) {
		if on {
			e.Gauge("a", "", 1)
		}
	})
	want("a_total unknown")
	on = false
	want("a counter")
	r.Gauge("a", "").Set(1)
	want("a_total unknown")
	r.Unregister("a")
	r.Gauge("A", "").Set(1) // the number, types and order of the families do not change
	want("a counter")
}

// TestNamingKeepsNoNames: the name of a collected family may be a part of a large string.
// The naming that is kept for the next scrape must not keep this string in memory.
func TestNamingKeepsNoNames(t *testing.T) {
	r := NewRegistry()
	var text []byte
	r.Collect(func(e *Emitter) {
		if text != nil {
			e.Counter(unsafe.String(&text[0], len("emitted_total")), "", 1)
			e.Gauge("emitted", "", 1) // a collision: the counter is in the naming
		}
	})
	text = append(make([]byte, 0, 1<<20), "emitted_total"...)
	gone := make(chan struct{})
	runtime.SetFinalizer(&text[0], func(*byte) { close(gone) })
	open(t, r)
	text = nil
	collected := func() bool {
		select {
		case <-gone:
			return true
		default:
			return false
		}
	}
	if !testkit.CollectUntil(collected) {
		t.Error("a name is still in memory")
	}
	open(t, r)
}

// TestNamingFollowsCollectors: if a collector emits a family with another type, the next
// scrape has another name for the family. A scrape with the same families makes no naming.
func TestNamingFollowsCollectors(t *testing.T) {
	r := NewRegistry()
	info := true
	r.Gauge("b", "").Set(1)
	r.Collect(func(e *Emitter) {
		if info {
			e.Info("b_info", "", "x", "y")
		} else {
			e.Gauge("b_info", "", 1, "x", "y")
		}
	})
	for range 3 {
		info = !info
		if got := open(t, r); strings.Count(got, "# TYPE b ") != 1 || !strings.Contains(got, "# TYPE b_info gauge\n") {
			t.Errorf("info: %t\n%s", info, got)
		}
	}
	if race.Enabled {
		return // the race detector allocates
	}
	inText := testing.AllocsPerRun(20, func() { r.WriteText(io.Discard) })
	if inOpen := testing.AllocsPerRun(20, func() { r.WriteOpenMetrics(io.Discard) }); inOpen > inText {
		t.Errorf("%v allocations in OpenMetrics, %v in the text format", inOpen, inText)
	}
}

// TestScrapesDuringDefinitions: a scrape has each family once, also if metrics are defined
// during the scrape.
func TestScrapesDuringDefinitions(t *testing.T) {
	r := NewRegistry()
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		defer wg.Done()
		for i := range 200 {
			r.Counter("x_total", "").Inc()
			r.Gauge("x", "").Set(int64(i))
			if i%2 == 0 {
				r.Unregister("x")
			} else {
				r.Unregister("x_total")
			}
		}
	}()
	for range 200 {
		seen := map[string]bool{}
		for _, line := range strings.Split(open(t, r), "\n") {
			if rest, ok := strings.CutPrefix(line, "# TYPE "); ok {
				name, _, _ := strings.Cut(rest, " ")
				if seen[name] {
					t.Fatalf("family %s twice", name)
				}
				seen[name] = true
			}
		}
	}
	wg.Wait()
}

// TestNameEqualToSuffix: a name that is only the suffix _total or _info stays, because
// nothing would remain without the suffix.
func TestNameEqualToSuffix(t *testing.T) {
	r := NewRegistry(WithUTF8Names())
	r.Counter("_total", "").Inc()
	r.Counter(".total", "").Inc()
	r.Collect(func(e *Emitter) { e.Info("_info", "", "a", "1") })
	got := open(t, r)
	for _, want := range []string{
		"# TYPE _total unknown\n_total 1.0\n", "# TYPE U___2e counter\nU___2e_total 1.0\n", "# TYPE _info gauge\n_info{a=\"1\"} 1.0\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	r = NewRegistry()
	r.Counter("_info", "").Inc()
	if got := open(t, r); !strings.Contains(got, "# TYPE _info unknown\n_info 1.0\n") {
		t.Error(got)
	}
	r = NewRegistry(WithUTF8Names())
	r.Counter(".total", "").Inc()
	if got := open(t, r); !strings.Contains(got, "# TYPE _total unknown\n_total 1.0\n") {
		t.Error(got)
	}
}

func TestUnits(t *testing.T) {
	r := NewRegistry()
	r.Counter("a_seconds_total", "", WithUnit("seconds"))
	r.Counter("a_seconds_other", "", WithUnit("other"))
	r.Histogram("b_bytes", "", nil, WithUnit("bytes"))
	r.Gauge("c_cpu_seconds", "", WithUnit("cpu_seconds"))
	for _, define := range []func(*Registry){
		func(r *Registry) { r.Gauge("x", "", WithUnit("seconds")) },
		func(r *Registry) { r.Gauge("seconds", "", WithUnit("seconds")) },
		func(r *Registry) { r.Gauge("xseconds", "", WithUnit("seconds")) },
		func(r *Registry) { r.Gauge("x_seconds_total", "", WithUnit("seconds")) },
		func(r *Registry) { r.Counter("x_total", "", WithUnit("total")) },
	} {
		if e := refused(t, define); e == nil || !strings.Contains(e.Error(), "unit") {
			t.Errorf("%v", e)
		}
	}
	if e := refusedIn(t, NewRegistry(WithUTF8Names()), func(r *Registry) { r.Gauge("x_a b", "", WithUnit("a b")) }); e == nil {
		t.Error("a unit with a space is accepted")
	}
	if e := refusedIn(t, r, func(r *Registry) { r.Histogram("b_bytes", "", nil) }); e == nil || !strings.Contains(e.Error(), `with unit "bytes"`) {
		t.Errorf("a definition with another unit: %v", e)
	}
}

// TestUnitsOfEscapedNames: there is no UNIT line if the escaped name does not end in the
// unit.
func TestUnitsOfEscapedNames(t *testing.T) {
	r := NewRegistry(WithUTF8Names())
	r.Counter("a.b_seconds_total", "", WithUnit("seconds")).Inc()
	for s, want := range map[names.Scheme]string{
		names.Underscores: "# TYPE a_b_seconds counter\n# UNIT a_b_seconds seconds\na_b_seconds_total 1.0\n",
		names.Dots:        "# TYPE a_dot_b__seconds_ counter\na_dot_b__seconds__total 1.0\n",
		names.Values:      "# TYPE U__a_2e_b__seconds_ counter\nU__a_2e_b__seconds__total 1.0\n",
		names.AllowUTF8:   "# TYPE \"a.b_seconds\" counter\n# UNIT \"a.b_seconds\" seconds\n{\"a.b_seconds_total\"} 1.0\n",
	} {
		if got := write(t, func(w io.Writer) error { return r.write(w, &expo.OpenMetrics, s) }); !strings.Contains(got, want) {
			t.Errorf("%v: no %q in\n%s", s, want, got)
		}
	}
}

func TestUTF8Definitions(t *testing.T) {
	for _, define := range []func(*Registry){
		func(r *Registry) { r.Gauge("a.b", "") },
		func(r *Registry) { r.GaugeVec("a", "", []string{"b.c"}) },
		func(r *Registry) { r.Gauge("a", "", WithConstLabels("b.c", "")) },
	} {
		if refused(t, define) == nil {
			t.Error("accepted without WithUTF8Names")
		}
		define(NewRegistry(WithUTF8Names())) // panics if the definition is refused
	}
	for i, define := range []func(*Registry){
		func(r *Registry) { r.Gauge("", "") },
		func(r *Registry) { r.Gauge("a\xff", "") },
		func(r *Registry) { r.Gauge("U__a", "") },
		func(r *Registry) { r.Gauge("a\x00", "") }, // Prometheus cannot read it
		func(r *Registry) { r.GaugeVec("a", "", []string{"\x00"}) },
		func(r *Registry) { r.GaugeVec("a", "", []string{""}) },
		func(r *Registry) { r.GaugeVec("a", "", []string{"\xff"}) },
		func(r *Registry) { r.GaugeVec("a", "", []string{"__name__"}) },
		func(r *Registry) { r.GaugeVec("a", "", []string{"U__a"}) },
		func(r *Registry) { r.GaugeVec("a", "", []string{"a.b", "a_b"}) },
		func(r *Registry) { r.GaugeVec("a", "", []string{"a.b", "a/b"}) },
		func(r *Registry) { r.GaugeVec("a", "", []string{"a.b", "a_dot_b"}) },
		func(r *Registry) { r.HistogramVec("a", "", nil, []string{"le"}) },
	} {
		if refusedIn(t, NewRegistry(WithUTF8Names()), define) == nil {
			t.Errorf("definition %d is accepted", i)
		}
	}
	r := NewRegistry(WithUTF8Names())
	r.Collect(func(e *Emitter) {
		e.Gauge("a.b", "", 1, "c.d", "1")
		e.Gauge("e", "", 1, "c.d", "1", "c_d", "2")
		e.Gauge("bad\xff", "", 1)
		e.Gauge("a.b", "", 1, "c_d", "1") // escaped, the same series as c.d="1"
	})
	text(t, r)
	got := text(t, r)
	for _, want := range []string{`a_b{c_d="1"} 1`, `{metric="e",reason="invalid"} 2`, `{metric="a.b",reason="invalid"} 2`, `{metric="",reason="invalid"} 2`} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
}

// TestMixedTimesOfInfo: the strict parser of prometheus_client takes all samples of an info
// for one group, and refuses a group with and without times. Samples of a gauge are groups
// of their own.
func TestMixedTimesOfInfo(t *testing.T) {
	at := time.UnixMilli(1500)
	for _, split := range []bool{false, true} {
		r := NewRegistry()
		r.Collect(func(e *Emitter) {
			e.Info("a_info", "", "v", "1")
			e.At(at).Info("b_info", "", "v", "1")
			e.At(at).Info("b_info", "", "v", "2")
			e.Gauge("g", "", 1, "v", "1")
			e.At(at).Gauge("g", "", 1, "v", "2")
			if !split {
				e.At(at).Info("a_info", "", "v", "2")
			}
		})
		if split {
			r.Collect(func(e *Emitter) { e.At(at).Info("a_info", "", "v", "2") })
		}
		want := "# TYPE a_info gauge\na_info{v=\"1\"} 1.0\na_info{v=\"2\"} 1.0 1.5\n" +
			"# TYPE b info\nb_info{v=\"1\"} 1.0 1.5\nb_info{v=\"2\"} 1.0 1.5\n" +
			"# TYPE g gauge\ng{v=\"1\"} 1.0\ng{v=\"2\"} 1.0 1.5\n# EOF\n"
		if got := open(t, r); got != want {
			t.Errorf("split %v: got\n%s\nwant\n%s", split, got, want)
		}
	}
}
