package tacho

import (
	"math"
	"strings"
	"sync"
	"testing"
	"unsafe"
)

func TestExemplarBlock(t *testing.T) {
	long := strings.Repeat("é", maxExemplarRunes-1)
	for _, c := range []struct {
		pairs []string
		want  string // "" for refused
	}{
		{[]string{"trace_id", "abc"}, `{trace_id="abc"}`},
		{[]string{"a", "1", "b", ""}, `{a="1",b=""}`},
		{[]string{"a", "\\\"\n"}, `{a="\\\"\n"}`},
		{[]string{"a", "x\xff\xfey"}, "{a=\"x\uFFFDy\"}"},
		{[]string{"a", long}, `{a="` + long + `"}`},
		{[]string{"ab", long}, ""},
		{[]string{"a", long, "b", ""}, ""},
		{[]string{"a"}, ""},
		{[]string{"a", "1", "b"}, ""},
		{[]string{"", "1"}, ""},
		{[]string{"a.b", "1"}, ""},
		{[]string{"__a", "1"}, ""},
		{[]string{"a", "1", "a", "2"}, ""},
		{[]string{"a", strings.Repeat("x", 1<<20)}, ""},
		{[]string{"a", "x\x00"}, ""}, // Prometheus refuses the whole scrape for it
	} {
		block, ok := appendExemplarBlock(nil, c.pairs)
		got := string(block)
		if got != c.want || ok != (c.want != "") {
			t.Errorf("%.40q: %q %v, want %q", c.pairs, got, ok, c.want)
		}
	}
}

// TestExemplarsNeverCostACount: whatever is wrong with an exemplar, what it came
// with is recorded, and the fault is counted.
func TestExemplarsNeverCostACount(t *testing.T) {
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
	for name, x := range map[string]*exemplar{"c": c.last.load(), "f": f.last.load(), "h": (*h.last.Load())[0].load()} {
		if x == nil || x.labels != `{id="1"}` {
			t.Errorf("%s: exemplar %+v", name, x)
		}
	}
	if x := (*h.last.Load())[1].load(); x != nil {
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

// TestExemplarsAreCopied: the strings may point into a buffer that is used again.
func TestExemplarsAreCopied(t *testing.T) {
	c := NewRegistry().Counter("c_total", "")
	buf := []byte("trace")
	c.AddExemplar(1, "id", unsafe.String(&buf[0], len(buf)))
	copy(buf, "other")
	if x := c.last.load(); x.labels != `{id="trace"}` {
		t.Errorf("exemplar %q", x.labels)
	}
}

func TestExemplarsUnderFire(t *testing.T) {
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
				if x := c.last.load(); len(x.labels) != len(`{g="a"}`) || x.value != 1 {
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
		if x := slots[i].load(); x == nil || x.value != float64(i+1) {
			t.Errorf("bucket %d has exemplar %+v", i, x)
		}
	}
}

// TestExemplarAllocations: the label of a trace fits into the exemplar, a longer one
// lies beside it.
func TestExemplarAllocations(t *testing.T) {
	if raceEnabled {
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
