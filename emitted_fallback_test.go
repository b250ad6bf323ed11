package tacho

import (
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
)

// TestFallback: a family that gives way is left out, and nothing is counted, if the registry or
// another collector has its name or a name of its samples.
func TestFallback(t *testing.T) {
	h := HistogramSnapshot{Count: 1, Sum: 1}
	for name, c := range map[string]struct {
		define       func(r *Registry)
		own, another func(e *Emitter)
		gone         string // of the text format
	}{
		"definition": {define: func(r *Registry) { r.Gauge("x", "") }, another: func(e *Emitter) { e.Gauge("x", "", 7) }, gone: "x 7"},
		"definition of another type": {define: func(r *Registry) { r.Histogram("x", "", nil) },
			another: func(e *Emitter) { e.Counter("x", "", 7) }, gone: "x 7"},
		"sample of a definition": {define: func(r *Registry) { r.Histogram("x", "", nil) },
			another: func(e *Emitter) { e.Gauge("x_count", "", 7) }, gone: "x_count 7"},
		"sample is a definition": {define: func(r *Registry) { r.Gauge("x_count", "") },
			another: func(e *Emitter) { e.Histogram("x", "", h) }, gone: "x_bucket"},
		"function": {define: func(r *Registry) { r.GaugeFunc("x", "", func() float64 { return 1 }) },
			another: func(e *Emitter) { e.Gauge("x", "", 7) }, gone: "x 7"},
		"several samples beside a function": {define: func(r *Registry) { r.GaugeFunc("x", "", func() float64 { return 1 }) },
			another: func(e *Emitter) { e.Gauge("x", "", 7, "a", "1"); e.Gauge("x", "", 7, "a", "2") }, gone: "x{"},
		"collector":               {own: func(e *Emitter) { e.Gauge("x", "", 1) }, another: func(e *Emitter) { e.Gauge("x", "", 7, "a", "b") }, gone: "x{"},
		"another type":            {own: func(e *Emitter) { e.Gauge("x", "", 1) }, another: func(e *Emitter) { e.Counter("x", "", 7) }, gone: "x 7"},
		"sample of a collector":   {own: func(e *Emitter) { e.Histogram("x", "", h) }, another: func(e *Emitter) { e.Gauge("x_count", "", 7) }, gone: "x_count 7"},
		"sample is a collector's": {own: func(e *Emitter) { e.Gauge("x_count", "", 1) }, another: func(e *Emitter) { e.Histogram("x", "", h) }, gone: "x_bucket"},
	} {
		fallback := func(e *Emitter) {
			c.another(e.Fallback())
			e.Fallback().Gauge("shown", "", 1)
		}
		own := c.own
		if own == nil {
			own = func(*Emitter) {}
		}
		for order, collectors := range map[string][]func(*Emitter){
			"first": {fallback, own}, "last": {own, fallback},
			"same first": {func(e *Emitter) { fallback(e); own(e) }}, "same last": {func(e *Emitter) { own(e); fallback(e) }},
		} {
			r := NewRegistry()
			if c.define != nil {
				c.define(r)
			}
			for _, f := range collectors {
				r.Collect(f)
			}
			got := text(t, r)
			if strings.Contains(got, c.gone) || !strings.Contains(got, "shown 1\n") || !strings.Contains(got, "# TYPE x") {
				t.Errorf("%s, %s:\n%s", name, order, got)
			}
			noErrors(t, r)
		}
	}
}

// TestFallbacksJoin: families of one name that give way are joined, and a series that repeats is not
// counted.
func TestFallbacksJoin(t *testing.T) {
	r := NewRegistry()
	for _, n := range []string{"1", "2", "1"} {
		r.Collect(func(e *Emitter) {
			e.Gauge("own", "", 1, "n", n+n)
			e.Fallback().Gauge("x", "", 1, "n", n)
			e.Fallback().Fallback().Gauge("only_"+n, "", 1)
		})
	}
	r.Collect(func(e *Emitter) { e.Fallback().Counter("x", "", 1) })
	r.Collect(func(e *Emitter) { e.Fallback().Histogram("only", "", HistogramSnapshot{}) })
	got := text(t, r)
	for _, want := range []string{"# TYPE x gauge\nx{n=\"1\"} 1\nx{n=\"2\"} 1\n", "only_1 1\n", "only_2 1\n", "only_count 0\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if !strings.Contains(got, `tacho_errors_total{metric="own",reason="duplicate"} 1`) || strings.Contains(got, `metric="x"`) || strings.Contains(got, `metric="only_1"`) {
		t.Errorf("counts in\n%s", got)
	}
}

// TestFallbackMistakes: bad samples and mistakes within one call are counted, also of families that
// give way.
func TestFallbackMistakes(t *testing.T) {
	r := NewRegistry()
	r.Collect(func(e *Emitter) {
		e = e.Fallback()
		e.Gauge("bad name", "", 1)
		e.Gauge("twice", "", 1)
		e.Gauge("twice", "", 1)
		e.Counter("twice", "", 1)
	})
	text(t, r)
	got := text(t, r)
	for _, want := range []string{`{metric="",reason="invalid"} 2`, `{metric="twice",reason="conflict"} 2`, `{metric="twice",reason="duplicate"} 2`} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
}

// TestFallbackGivesWayToOneOnly: a family that gave way does not hide another family that gives way.
func TestFallbackGivesWayToOneOnly(t *testing.T) {
	r := NewRegistry()
	r.Collect(func(e *Emitter) { e.Fallback().Histogram("x", "", HistogramSnapshot{}) })
	r.Collect(func(e *Emitter) { e.Fallback().Gauge("x_count", "", 7) })
	r.Collect(func(e *Emitter) { e.Gauge("x_sum", "", 1) }) // x gives way to x_sum
	if got := text(t, r); got != "# TYPE x_count gauge\nx_count 7\n# TYPE x_sum gauge\nx_sum 1\n" {
		t.Errorf("got\n%s", got)
	}
	r.Collect(func(e *Emitter) { e.Fallback().Histogram("y", "", HistogramSnapshot{}) })
	r.Collect(func(e *Emitter) { e.Fallback().Gauge("y_count", "", 7) })
	r.Collect(func(e *Emitter) { e.Gauge("y", "", 1) }) // y gives way to y
	if got := text(t, r); !strings.Contains(got, "y 1\n") || !strings.Contains(got, "y_count 7\n") {
		t.Errorf("got\n%s", got)
	}
}

// TestFallbackOfLateDefinition: a definition that a collector makes has precedence in the same scrape.
func TestFallbackOfLateDefinition(t *testing.T) {
	r := NewRegistry()
	r.Collect(func(e *Emitter) {
		e.Fallback().Gauge("x", "", 7)
		r.Gauge("x", "").Set(1)
	})
	if got := text(t, r); got != "# TYPE x gauge\nx 1\n" {
		t.Errorf("got\n%s", got)
	}
	noErrors(t, r)
}

// TestFallbackOfConcurrentScrapes: scrapes that share the samples of collectors show all of them.
func TestFallbackOfConcurrentScrapes(t *testing.T) {
	r := NewRegistry()
	for range 3 {
		r.Collect(func(e *Emitter) {
			var group sync.WaitGroup
			for _, n := range rand.Perm(8) {
				group.Add(1)
				go func() {
					defer group.Done()
					e.Fallback().Gauge("x", "", 1, "n", string(rune('a'+n)))
					e.Gauge("y_"+string(rune('a'+n%4)), "", 1)
					e.Fallback().Gauge("y_"+string(rune('a'+n)), "", 2)
				}()
			}
			group.Wait()
		})
	}
	var group sync.WaitGroup
	for range 8 {
		group.Add(1)
		go func() {
			defer group.Done()
			got := text(t, r)
			if strings.Count(got, "\nx{n=") != 8 || strings.Count(got, "\ny_") != 8 {
				t.Errorf("got\n%s", got)
			}
		}()
	}
	group.Wait()
}
