//go:build !tacho_nohttp

package tacho

import (
	"bytes"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestJoin: several registries are one exposition: families are joined, the registry's own metrics are
// added, and what several registries have is shown once.
func TestJoin(t *testing.T) {
	a, b := NewRegistry(), NewRegistry()
	a.CounterVec("x_total", "A's help.", []string{"l", "m"}).With("1", "").Add(1)
	b.CounterVec("x_total", "B's help.", []string{"m", "l"}).With("", "1").Add(10) // the same series
	b.CounterVec("x_total", "B's help.", []string{"m", "l"}).With("2", "1").Add(20)
	a.Histogram("h", "", []float64{1}).Observe(0.5)
	b.Gauge("h_count", "").Set(9)
	b.Histogram("i", "", []float64{1}).Observe(0.5)
	a.Gauge("i_sum", "").Set(9)
	a.Gauge("kind", "").Set(1)
	b.Counter("kind", "").Inc()
	b.GaugeFunc("f", "", func() float64 { return 3 })
	a.CounterVec("bad_total", "", []string{"l"}).With()
	b.CounterVec("bad_total", "", []string{"l"}).With()
	j := Join(a, Join(b, a), b)
	want := `f 3
h_bucket{le="1"} 1
h_bucket{le="+Inf"} 1
h_sum 0.5
h_count 1
i_sum 9
kind 1
`
	for scrape := range 3 {
		got := withoutHelp(text(t, j))
		shown, own, _ := strings.Cut(got, "tacho_errors_total")
		if shown != want {
			t.Fatalf("got\n%swant\n%s", shown, want)
		}
		if scrape > 0 && !strings.Contains(own, `{metric="bad_total",reason="label_count"} 2`) {
			t.Errorf("the errors of both registries are not added:\n%s", own)
		}
		for _, line := range []string{`x_total{l="1",m=""} 1`, `x_total{m="2",l="1"} 20`} {
			if !strings.Contains(own, line) {
				t.Errorf("no line %s in\n%s", line, own)
			}
		}
		if n := strings.Count(own, "x_total{"); n != 2 {
			t.Errorf("%d series of x_total in\n%s", n, own)
		}
	}
	for metric, reason := range map[string]string{"x_total": reasonDuplicate, "h_count": reasonConflict, "i": reasonConflict, "kind": reasonConflict} {
		if n := vecOf[Counter](b.errors).With(metric, reason).Value(); n != 3 {
			t.Errorf("%s: %s counted %d of 3 scrapes", metric, reason, n)
		}
	}
	for _, name := range []string{"x_total", "f"} {
		if got := text(t, b); !strings.Contains(got, name) {
			t.Errorf("a part does not show %s any more", name)
		}
	}
}

// TestJoinDisjoint: registries that differ in a constant label share families without a copy.
func TestJoinDisjoint(t *testing.T) {
	a, b := NewRegistry(WithConstLabels("s", "a")), NewRegistry(WithConstLabels("s", "b"))
	for _, r := range []*Registry{b, a} {
		r.HistogramVec("h", "", []float64{1}, []string{"l"}).With("1").Observe(2)
		r.GaugeFunc("f", "", func() float64 { return 1 })
		r.Collect(func(e *Emitter) { e.Gauge("g", "", 1) })
	}
	got := withoutHelp(text(t, Join(a, b)))
	want := `f{s="a"} 1
f{s="b"} 1
g{s="a"} 1
g{s="b"} 1
h_bucket{s="a",l="1",le="1"} 0
h_bucket{s="a",l="1",le="+Inf"} 1
h_sum{s="a",l="1"} 2
h_count{s="a",l="1"} 1
h_bucket{s="b",l="1",le="1"} 0
h_bucket{s="b",l="1",le="+Inf"} 1
h_sum{s="b",l="1"} 2
h_count{s="b",l="1"} 1
`
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// TestJoinTakesNoDefinitions: a joined registry only shows the metrics of others.
func TestJoinTakesNoDefinitions(t *testing.T) {
	j := Join(NewRegistry())
	for name, define := range map[string]func(){
		"a metric":       func() { j.Counter("x_total", "") },
		"a function":     func() { j.GaugeFunc("f", "", zero) },
		"a collector":    func() { j.Collect(func(*Emitter) {}) },
		"a sub-registry": func() { j.Sub() },
		"a nil part":     func() { Join(nil) },
		"a zero part":    func() { Join(new(Registry)) },
	} {
		if _, err := Try(func() bool { define(); return true }); err == nil {
			t.Errorf("%s is not refused", name)
		}
	}
	if j.Unregister("tacho_errors_total") {
		t.Error("Unregister")
	}
	j.Close()
	if got := text(t, Join()); got != "" {
		t.Errorf("no registries show %s", got)
	}
}

// TestJoinCoveredParts: a sub-registry beside its registry is shown once.
func TestJoinCoveredParts(t *testing.T) {
	r := NewRegistry()
	s := r.Sub(WithConstLabels("s", "1"))
	s.Counter("x_total", "").Inc()
	r.Counter("y_total", "").Inc()
	if got, want := withoutHelp(text(t, Join(s, r, s))), withoutHelp(text(t, r)); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// TestJoinFormats: the joined families are valid and complete in every format, also native
// histograms, summaries and exemplars.
func TestJoinFormats(t *testing.T) {
	a, b := NewRegistry(WithNative(), WithCreated(), WithUTF8Names()), NewRegistry(WithNative())
	for i, r := range []*Registry{a, b} {
		l := string(rune('a' + i))
		v := r.HistogramVec("h", "", nil, []string{"l"})
		for n := range 30 {
			v.With(l).ObserveExemplar(float64(n), "trace_id", "x")
			v.With(l + "2").Observe(float64(n * n))
		}
		r.CounterVec("c_total", "", []string{"l"}).With(l).AddExemplar(1, "trace_id", "x")
		r.Collect(func(e *Emitter) {
			e.Summary("s", "", SummarySnapshot{Count: 1, Sum: 2, Quantiles: []Quantile{{0.5, 1}}}, "l", l)
			e.Info("i_info", "", "l", l)
		})
	}
	j := Join(a, b)
	var parts, joined bytes.Buffer
	for _, w := range []func() error{func() error { return a.WriteProtobuf(&parts) }, func() error { return b.WriteProtobuf(&parts) }, func() error { return j.WriteProtobuf(&joined) }} {
		if err := w(); err != nil {
			t.Fatal(err)
		}
	}
	h := Handler(a, b)
	for _, accept := range []string{"", "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8", "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"} {
		w, req := httptest.NewRecorder(), httptest.NewRequest("GET", "/metrics", nil)
		req.Header.Set("Accept", accept)
		h.ServeHTTP(w, req)
		body := w.Body.String()
		for _, series := range []string{"a", "a2", "b", "b2"} {
			if !strings.Contains(body, series) {
				t.Errorf("%q: no series %s", accept, series)
			}
		}
		if strings.Contains(accept, "protobuf") != strings.Contains(w.Header().Get("Content-Type"), "protobuf") {
			t.Errorf("%q: content type %s", accept, w.Header().Get("Content-Type"))
		}
	}
}

// TestJoinTimeouts: a function that hangs in one registry takes the time of one scrape, and costs
// its own families only.
func TestJoinTimeouts(t *testing.T) {
	a, b := NewRegistry(), NewRegistry()
	hang := make(chan struct{})
	defer close(hang)
	for _, r := range []*Registry{a, b} {
		r.GaugeFunc("hangs", "", func() float64 { <-hang; return 1 })
	}
	b.GaugeFunc("f", "", func() float64 { return 1 })
	j := Join(a, b)
	q := &query{timeout: func() time.Duration { return 20 * time.Millisecond }}
	if families := j.scrapedFor(q); len(families) == 0 {
		t.Fatal("no families")
	}
	for _, r := range []*Registry{a, b} {
		if n := vecOf[Counter](r.errors).With("hangs", reasonTimeout).Value(); n != 1 {
			t.Errorf("%d timeouts", n)
		}
	}
	j.scrapedFor(&query{done: closed(), timeout: func() time.Duration { return time.Minute }})
}

func closed() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

// TestFamiliesOfSubAndJoin: Families lists each name once, with the series of all registries.
func TestFamiliesOfSubAndJoin(t *testing.T) {
	r, o := NewRegistry(), NewRegistry()
	a, b := r.Sub(WithConstLabels("s", "a")), r.Sub(WithConstLabels("s", "b"), WithPrefix("p_"))
	for _, in := range []*Registry{r, a, b, o} {
		in.GaugeFuncVec("f", "F.", []string{"l"}).Func(zero, "1")
		in.CounterVec("x_total", "X.", []string{"l"}).With("1")
	}
	o.GaugeFuncVec("f", "F.", []string{"l"}).Func(zero, "2")
	o.Gauge("p_x_total", "") // of another type, left out
	for name, c := range map[string]struct {
		r    *Registry
		want string
	}{
		"root": {r, "f 2, p_f 1, p_x_total 1, tacho_errors_total 0, tacho_series_overflow_total 0, x_total 2, "},
		"sub":  {a, "f 1, x_total 1, "},
		"join": {Join(r, o), "f 4, p_f 1, p_x_total 1, tacho_errors_total 0, tacho_series_overflow_total 0, x_total 3, "},
	} {
		got := ""
		for f := range c.r.Families() {
			got += fmt.Sprint(f.Name, " ", f.Series, ", ")
		}
		if got != c.want {
			t.Errorf("%s: %s\nwant %s", name, got, c.want)
		}
	}
}
