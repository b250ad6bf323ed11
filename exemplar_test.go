package tacho

import (
	"math"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"github.com/tachikoma/tacho/internal/exemplar"
	"github.com/tachikoma/tacho/internal/race"
)

// TestBadExemplarKeepsTheRecording: if the labels of an exemplar are bad, the value is
// recorded without an exemplar, and the error is counted.
func TestBadExemplarKeepsTheRecording(t *testing.T) {
	r := NewRegistry()
	c, f, h := r.Counter("c_total", ""), r.FloatCounter("f_total", ""), r.Histogram("h", "", []float64{1})
	for _, labels := range [][]string{nil, {"id", "1"}, {"odd"}, {"bad name", ""}, {"id", strings.Repeat("x", 127)}} {
		c.AddExemplar(2, labels...)
		f.AddExemplar(0.5, labels...)
		h.ObserveExemplar(0.25, labels...)
	}
	f.AddExemplar(-1, "id", "negative")
	f.AddExemplar(math.NaN(), "id", "nan")
	h.ObserveExemplar(math.NaN(), "id", "nan")
	if s := h.Snapshot(); c.Value() != 10 || f.Value() != 2.5 || s.Count != 5 || s.Sum != 1.25 {
		t.Errorf("values %d %v %+v", c.Value(), f.Value(), s)
	}
	for name, x := range map[string]*exemplar.Exemplar{"c": c.last.Load(), "f": f.last.Load(), "h": (*h.last.Load())[0].Load()} {
		if x == nil || x.Labels != `{id="1"}` {
			t.Errorf("%s: exemplar %+v", name, x)
		}
	}
	if x := (*h.last.Load())[1].Load(); x != nil {
		t.Errorf("a bucket without an observation has exemplar %+v", x)
	}
	got := text(t, r)
	for _, want := range []string{
		`{metric="c_total",reason="exemplar"} 3`, `{metric="f_total",reason="exemplar"} 3`, `{metric="h",reason="exemplar"} 3`,
		`{metric="f_total",reason="negative"} 1`, `{metric="f_total",reason="nan"} 1`, `{metric="h",reason="nan"} 1`,
	} {
		if !strings.Contains(got, "tacho_errors_total"+want) {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
}

// TestExemplarsOfMetricsWithoutRegistry: a zero metric records the value and no exemplar.
func TestExemplarsOfMetricsWithoutRegistry(t *testing.T) {
	var c Counter
	var f FloatCounter
	var h Histogram
	c.AddExemplar(1, "id", "1")
	f.AddExemplar(1, "odd")
	h.ObserveExemplar(1, "id", "1")
	if c.Value() != 1 || f.Value() != 1 {
		t.Errorf("%d %v", c.Value(), f.Value())
	}
}

// TestExemplarsAreCopied: the program may reuse the memory of the strings.
func TestExemplarsAreCopied(t *testing.T) {
	c := NewRegistry().Counter("c_total", "")
	buf := []byte("trace")
	c.AddExemplar(1, "id", unsafe.String(&buf[0], len(buf)))
	copy(buf, "other")
	if x := c.last.Load(); x.Labels != `{id="trace"}` {
		t.Errorf("exemplar %q", x.Labels)
	}
}

// TestConcurrentExemplars: each exemplar is one that a goroutine recorded, in the bucket of
// its value.
func TestConcurrentExemplars(t *testing.T) {
	r := NewRegistry()
	c, h := r.Counter("c_total", ""), r.Histogram("h", "", []float64{1, 2, 3})
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range 500 {
				c.AddExemplar(1, "g", string(rune('a'+g)))
				h.ObserveExemplar(float64(i%4+1), "g", string(rune('a'+g)))
				if x := c.last.Load(); len(x.Labels) != len(`{g="a"}`) || x.Value != 1 {
					t.Errorf("exemplar %+v", x)
				}
			}
		}()
	}
	wg.Wait()
	if c.Value() != 4000 || h.Snapshot().Count != 4000 {
		t.Errorf("%d counted, %d observed", c.Value(), h.Snapshot().Count)
	}
	slots := *h.last.Load()
	for i := range slots {
		if x := slots[i].Load(); x == nil || x.Value != float64(i+1) {
			t.Errorf("bucket %d has exemplar %+v", i, x)
		}
	}
}

// TestExemplarAllocations: the label of a trace ID is stored in the exemplar itself. Longer
// labels need more allocations.
func TestExemplarAllocations(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector allocates")
	}
	h := NewRegistry().Histogram("h", "", nil)
	h.ObserveExemplar(1, "trace_id", "first")
	for value, want := range map[string]float64{strings.Repeat("0123456789abcdef", 2): 1, strings.Repeat("x", 100): 3} {
		if n := testing.AllocsPerRun(100, func() { h.ObserveExemplar(1, "trace_id", value) }); n > want {
			t.Errorf("%v allocations for a value of %d bytes, want %v", n, len(value), want)
		}
	}
}

// TestNoLabelsLeaveTheExemplar: a recording without labels adds its value, and leaves the
// latest exemplar as it is.
func TestNoLabelsLeaveTheExemplar(t *testing.T) {
	r := NewRegistry()
	c, f, h := r.Counter("c_total", ""), r.FloatCounter("f_total", ""), r.Histogram("h", "", []float64{10})
	for _, labels := range [][]string{{"id", "first"}, nil, {}} {
		c.AddExemplar(1, labels...)
		f.AddExemplar(1, labels...)
		h.ObserveExemplar(1, labels...)
	}
	got := open(t, r)
	for _, want := range []string{`c_total 3.0 # {id="first"} 1`, `f_total 3.0 # {id="first"} 1`, `h_bucket{le="10.0"} 3 # {id="first"} 1`} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
}
