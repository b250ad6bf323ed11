package tacho

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

// withoutHelp returns a text exposition without its HELP and TYPE lines.
func withoutHelp(s string) string {
	var b strings.Builder
	for line := range strings.Lines(s) {
		if !strings.HasPrefix(line, "# ") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// TestSubSharesFamilies: the metrics of sub-registries with the same name are one family, sorted by
// their constant labels. The own scrape of a sub-registry shows its own metrics.
func TestSubSharesFamilies(t *testing.T) {
	r := NewRegistry(WithConstLabels("svc", "x"), WithPrefix("p_"))
	b, a := r.Sub(WithConstLabels("server", "b")), r.Sub(WithConstLabels("server", "a"))
	deep := a.Sub(WithConstLabels("pool", "1"), WithPrefix("q_"))
	b.CounterVec("req_total", "Requests.", []string{"m"}).With("GET").Add(2)
	a.CounterVec("req_total", "Requests.", []string{"m"}).With("GET").Add(1)
	r.CounterVec("req_total", "Requests.", []string{"m"}).With("GET").Add(3)
	a.GaugeFunc("up", "", func() float64 { return 1 })
	b.GaugeFunc("up", "", func() float64 { return 0 })
	deep.Gauge("free", "").Set(7)
	deep.Collect(func(e *Emitter) { e.Gauge("used", "", 8, "x", "y") })
	want := `p_q_free{svc="x",server="a",pool="1"} 7
p_q_used{svc="x",server="a",pool="1",x="y"} 8
p_req_total{svc="x",server="a",m="GET"} 1
p_req_total{svc="x",server="b",m="GET"} 2
p_req_total{svc="x",m="GET"} 3
p_up{svc="x",server="a"} 1
p_up{svc="x",server="b"} 0
`
	all := text(t, r)
	if got := withoutHelp(all); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if n := strings.Count(all, "# TYPE p_req_total counter\n"); n != 1 {
		t.Errorf("%d TYPE lines of p_req_total\n%s", n, all)
	}
	want = `p_q_free{svc="x",server="a",pool="1"} 7
p_q_used{svc="x",server="a",pool="1",x="y"} 8
p_req_total{svc="x",server="a",m="GET"} 1
p_up{svc="x",server="a"} 1
`
	if got := withoutHelp(text(t, a)); got != want {
		t.Errorf("a sub-registry shows\n%swant\n%s", got, want)
	}
}

// TestSubClose: Close takes away all that a sub-registry and its sub-registries have, and nothing
// else.
func TestSubClose(t *testing.T) {
	r := NewRegistry()
	before := text(t, r)
	a := r.Sub(WithConstLabels("s", "a"))
	deep := a.Sub(WithPrefix("d_"))
	kept := a.Counter("x_total", "")
	a.GaugeFunc("f", "", func() float64 { return 1 })
	deep.HistogramVec("h", "", nil, []string{"l"}).With("1").Observe(1)
	stop := deep.Collect(func(e *Emitter) { e.Gauge("g", "", 1) })
	b := r.Sub(WithConstLabels("s", "b"))
	b.Counter("x_total", "").Add(5)
	a.Close()
	a.Close()
	kept.Inc()
	stop()
	if got := withoutHelp(text(t, r)); got != "x_total{s=\"b\"} 5\n" {
		t.Errorf("after Close\n%s", got)
	}
	for name, define := range map[string]func(){
		"a metric":       func() { a.Counter("x_total", "") },
		"a function":     func() { deep.GaugeFunc("f2", "", func() float64 { return 1 }) },
		"a collector":    func() { a.Collect(func(*Emitter) {}) },
		"a sub-registry": func() { deep.Sub() },
	} {
		if _, err := Try(func() bool { define(); return true }); err == nil || !strings.Contains(err.Error(), "closed") {
			t.Errorf("%s in a closed registry: %v", name, err)
		}
	}
	b.Close()
	r.Close() // no effect
	if got := text(t, r); got != before {
		t.Errorf("after all were closed\n%s", got)
	}
	r.Gauge("x_total", "as another type, since the name is free")
	r.Gauge("h_count", "")
}

// TestSubConflicts: a family keeps one type, help, unit and set of labels, and its series differ.
func TestSubConflicts(t *testing.T) {
	r := NewRegistry()
	a, b, empty := r.Sub(WithConstLabels("s", "a")), r.Sub(WithConstLabels("s", "b")), r.Sub(WithConstLabels("s", ""))
	first := a.CounterVec("x_total", "Help.", []string{"l"})
	for reason, define := range map[string]func(){
		"as a counter":       func() { b.GaugeVec("x_total", "Help.", []string{"l"}) },
		"with help":          func() { b.CounterVec("x_total", "Other.", []string{"l"}) },
		"with the labels":    func() { b.CounterVec("x_total", "Help.", []string{"m"}) },
		"other const":        func() { a.CounterVec("x_total", "Help.", []string{"l"}, WithConstLabels("c", "1")) },
		"sample name":        func() { b.Histogram("y", "", nil); a.Gauge("y_count", "") },
		"cannot be compare":  func() { r.GaugeFunc("f", "", zero); r.Sub().GaugeFunc("f", "", zero) },
		"other const labels": func() { r.Gauge("e", ""); empty.Gauge("e", "") }, // an empty label is none
		"is used twice":      func() { b.CounterVec("z_total", "", []string{"s"}) },
	} {
		if _, err := Try(func() bool { define(); return true }); err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("want %q, got %v", reason, err)
		}
	}
	// The same series from the same definition is the same metric.
	twin := r.Sub(WithConstLabels("s", "a"))
	if twin.CounterVec("x_total", "Help.", []string{"l"}) != first {
		t.Error("the same definition gave another metric")
	}
	first.With("1").Inc()
	a.Close()
	if got := text(t, r); !strings.Contains(got, `x_total{s="a",l="1"} 1`) {
		t.Errorf("the metric of another registry is gone\n%s", got)
	}
	if !twin.Unregister("x_total") || twin.Unregister("x_total") || strings.Contains(text(t, r), "x_total") {
		t.Error("Unregister")
	}
	if r.Unregister("tacho_errors_total") || twin.Unregister("tacho_errors_total") {
		t.Error("a metric of the registry itself was removed")
	}
}

func zero() float64 { return 0 }

// TestSubUTF8: const labels that are the same once escaped are refused.
func TestSubUTF8(t *testing.T) {
	r := NewRegistry(WithUTF8Names())
	r.Sub(WithConstLabels("a.b", "1")).Counter("x_total", "")
	if _, err := Try(func() *Counter { return r.Sub(WithConstLabels("a_b", "1")).Counter("x_total", "") }); err == nil {
		t.Error("two series are the same once escaped")
	}
	r.Sub(WithConstLabels("a_b", "2")).Counter("x_total", "")
}

// TestSubConcurrent: sub-registries come, record, are scraped and go at the same time.
func TestSubConcurrent(t *testing.T) {
	r := NewRegistry()
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range 50 {
				s := r.Sub(WithConstLabels("g", fmt.Sprint(g), "i", fmt.Sprint(i)))
				s.CounterVec("x_total", "", []string{"l"}).With("1").Inc()
				s.GaugeFunc("f", "", zero)
				stop := s.GaugeFuncVec("fv", "", []string{"l"}).Func(zero, "1")
				s.Collect(func(e *Emitter) { e.Gauge("e", "", 1) })
				text(t, s)
				stop()
				s.Close()
			}
		}()
	}
	for range 50 {
		text(t, r)
		text(t, Join(r, NewRegistry()))
	}
	wg.Wait()
	if got := text(t, r); got != text(t, NewRegistry()) {
		t.Errorf("left:\n%s", got)
	}
}

// TestSubOwnMetrics: the metrics of the registry itself have neither a prefix nor other constant
// labels, also if a package defines them in a sub-registry to count in them.
func TestSubOwnMetrics(t *testing.T) {
	for _, r := range []*Registry{NewRegistry(WithConstLabels("c", "1")), NewRegistry(WithConstLabels("c", "1"), WithPrefix("p_"))} {
		for _, in := range []*Registry{r, r.Sub(WithConstLabels("s", "1"), WithPrefix("q_"))} {
			v := in.CounterVec("tacho_errors_total", "Recordings and collected samples that were refused.", []string{"metric", "reason"})
			if &v.vec != r.errors {
				t.Error("tacho_errors_total is another metric")
			}
			in.Close()
		}
		r.errors.fam.fault("test")
		if got, want := withoutHelp(text(t, r)), "tacho_errors_total{c=\"1\",metric=\"tacho_errors_total\",reason=\"test\"} 1\n"; got != want {
			t.Errorf("got %s want %s", got, want)
		}
	}
}

// TestOwnPrefix: names that begin with tacho_ have no prefix, also of collectors.
func TestOwnPrefix(t *testing.T) {
	r := NewRegistry(WithPrefix("p_"))
	s := r.Sub(WithPrefix("q_"), WithConstLabels("s", "1"))
	s.Counter("tacho_x_total", "").Inc()
	s.Counter("x_total", "").Inc()
	s.Collect(func(e *Emitter) { e.Gauge("tacho_y", "", 1); e.Gauge("y", "", 1) })
	want := "p_q_x_total{s=\"1\"} 1\np_q_y{s=\"1\"} 1\ntacho_x_total 1\ntacho_y{s=\"1\"} 1\n"
	if got := withoutHelp(text(t, r)); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if !s.Unregister("tacho_x_total") || !s.Unregister("x_total") || strings.Contains(text(t, r), "x_total") {
		t.Error("Unregister")
	}
}
