package tacho

import (
	"math"
	"strings"
	"testing"
)

func TestCollectorMistakes(t *testing.T) {
	r := NewRegistry()
	r.Counter("defined_total", "").Inc()
	r.Histogram("hist", "", nil)
	r.Collect(func(e *Emitter) {
		e.Gauge("ok", "First help.", 1, "a", "1", "b", "2")
		e.Gauge("ok", "Another help.", 2, "b", "2", "a", "1")
		e.Gauge("ok", "", 3, "a", "2")
		e.Gauge("odd", "", 1, "a")
		e.Gauge("bad name", "", 1)
		e.Gauge("badlabel", "", 1, "__x", "1")
		e.Gauge("twicelabel", "", 1, "x", "1", "x", "2")
		e.Counter("ok", "", 1, "a", "3")
		e.Counter("defined_total", "", 9)
		e.Gauge("hist_sum", "", 9)
		e.Gauge("defined_created", "", 9)
		e.Counter("negative_total", "", -1)
		e.Counter("nan_total", "", math.NaN())
		e.Histogram("h2", "", HistogramSnapshot{Count: 1, Buckets: []Bucket{{2, 1}, {1, 1}}})
		e.Histogram("h3", "", HistogramSnapshot{Count: 1, Buckets: []Bucket{{1, 2}}})
		e.Histogram("h4", "", HistogramSnapshot{Count: 2, Buckets: []Bucket{{1, 1}, {math.Inf(1), 1}}})
		e.Histogram("h5", "", HistogramSnapshot{}, "le", "1")
		e.Histogram("h6", "", HistogramSnapshot{Count: 1, Sum: 1, Buckets: []Bucket{{math.Inf(1), 1}}})
		e.Gauge("h6_count", "", 1)
	})
	got := text(t, r)
	for _, want := range []string{
		"# HELP ok First help.\n# TYPE ok gauge\nok{a=\"1\",b=\"2\"} 1\nok{a=\"2\"} 3\n",
		"defined_total 1\n", "h6_bucket{le=\"+Inf\"} 1\nh6_sum 1\nh6_count 1\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	parseText(t, got) // no series twice
	r.Collect(func(*Emitter) {})
	counts := text(t, r) // the second scrape shows what the first refused
	for _, want := range []string{
		`{metric="ok",reason="duplicate"}`, `{metric="odd",reason="invalid"}`, `{metric="",reason="invalid"}`, `{metric="badlabel",reason="invalid"}`,
		`{metric="twicelabel",reason="invalid"}`, `{metric="ok",reason="conflict"}`, `{metric="defined_total",reason="conflict"}`, `{metric="hist_sum",reason="conflict"}`,
		`{metric="defined_created",reason="conflict"}`, `{metric="negative_total",reason="negative"}`, `{metric="nan_total",reason="nan"}`, `{metric="h2",reason="invalid"}`,
		`{metric="h3",reason="invalid"}`, `{metric="h4",reason="invalid"}`, `{metric="h5",reason="invalid"}`, `{metric="h6_count",reason="conflict"}`,
	} {
		if !strings.Contains(counts, "tacho_errors_total"+want) {
			t.Errorf("no %s in\n%s", want, counts)
		}
	}
}

func TestCollectorPanics(t *testing.T) {
	r := NewRegistry()
	r.Collect(func(e *Emitter) { e.Gauge("a", "", 1, "c", "first") })
	r.Collect(func(e *Emitter) {
		e.Gauge("a", "", 2, "c", "second")
		e.Gauge("b", "", 1)
		panic("collector")
	})
	r.Collect(func(e *Emitter) { e.Gauge("c", "", 3) })
	r.GaugeFunc("f", "", func() float64 { panic("function") })
	r.CounterFunc("g", "", nil)
	got := text(t, r)
	want := `# HELP a 
# TYPE a gauge
a{c="first"} 1
# HELP c 
# TYPE c gauge
c 3
# HELP tacho_errors_total Recordings and collected samples that were refused.
# TYPE tacho_errors_total counter
tacho_errors_total{metric="",reason="panic"} 1
tacho_errors_total{metric="f",reason="panic"} 1
tacho_errors_total{metric="g",reason="panic"} 1
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestCollectorMayUseTheRegistry: no lock is held while a program's code runs.
func TestCollectorMayUseTheRegistry(t *testing.T) {
	r := NewRegistry()
	v := r.CounterVec("x", "", []string{"a"})
	r.Collect(func(e *Emitter) {
		v.With("collector").Inc()
		r.Gauge("defined_late", "").Set(1)
	})
	r.GaugeFunc("f", "", func() float64 { v.With("function").Inc(); r.Unregister("nothing"); return 1 })
	if got := text(t, r); !strings.Contains(got, `x{a="collector"} 1`) || !strings.Contains(got, "defined_late 1") {
		t.Error(got)
	}
}
