package tacho

import (
	"errors"
	"io"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/tachikoma/tacho/internal/expo"
	"github.com/tachikoma/tacho/internal/names"
	"github.com/tachikoma/tacho/internal/race"
)

func TestEmptyRegistry(t *testing.T) {
	r := NewRegistry()
	if got := text(t, r); got != "" {
		t.Errorf("text %q", got)
	}
	if got := jsonText(t, r); got != "{}\n" {
		t.Errorf("JSON %q", got)
	}
}

// TestWriteErrorEndsTheScrape: after a failed write nothing is written. The functions of the
// program were called before the first write, since a scrape waits for them without a buffer.
func TestWriteErrorEndsTheScrape(t *testing.T) {
	r := NewRegistry()
	v := r.CounterVec("c_total", "", []string{"i"})
	for i := range 20000 {
		v.With(strconv.Itoa(i))
	}
	calls := 0
	w := &failingWriter{n: 1}
	r.GaugeFunc("z", "", func() float64 { calls += 1 + 10*w.calls; return 0 })
	if err := r.WriteText(w); err == nil || err.Error() != "gone" {
		t.Errorf("error %v", err)
	}
	if w.calls != 2 || calls != 1 {
		t.Errorf("%d writes, %d calls of a function, 10 more for each write before a call", w.calls, calls)
	}
	if err := r.WriteJSON(&failingWriter{}); err == nil {
		t.Error("WriteJSON returns no error")
	}
}

// TestScrapeAllocatesNothingForASeries: the number of allocations does not depend on the
// number of series.
func TestScrapeAllocatesNothingForASeries(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector allocates")
	}
	allocs := func(n int) float64 {
		r := NewRegistry()
		c := r.CounterVec("c_total", "", []string{"i"})
		h := r.HistogramVec("h", "", nil, []string{"i"})
		for i := range n {
			c.With(strconv.Itoa(i)).Inc()
			h.With(strconv.Itoa(i)).Observe(1)
		}
		w := &failingWriter{n: math.MaxInt}
		r.WriteText(w)
		r.WriteOpenMetrics(w)
		return testing.AllocsPerRun(20, func() { r.WriteText(w); r.WriteOpenMetrics(w); r.WriteJSON(w) })
	}
	if few, many := allocs(1), allocs(1000); many > few+1 { // garbage collection may empty the pool once
		t.Errorf("%v allocations for 1 series, %v for 1000", few, many)
	}
}

// TestScrapeAllocations: scrapes of 10 and of 1000 series allocate equally often, for every
// type of metric.
func TestScrapeAllocations(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector allocates")
	}
	allocs := func(n int, format string) float64 {
		r := NewRegistry()
		for i := range n {
			s := strconv.Itoa(i)
			r.CounterVec("a", "", []string{"l"}).With(s)
			r.FloatCounterVec("b", "", []string{"l"}).With(s).Add(0.1)
			r.GaugeVec("c", "", []string{"l"}).With(s)
			r.FloatGaugeVec("d", "", []string{"l"}).With(s).Set(1e100)
			r.HistogramVec("e", "", nil, []string{"l"}).With(s).Observe(0.1)
		}
		scrape := writers(r)[format]
		scrape(io.Discard)
		return testing.AllocsPerRun(50, func() { scrape(io.Discard) })
	}
	for _, format := range []string{"text", "JSON"} {
		if few, many := allocs(10, format), allocs(1000, format); few != many {
			t.Errorf("%s: %v allocations for 10 series, %v for 1000", format, few, many)
		}
	}
}

// A countingWriter counts writes and stores the length of the longest write. It returns an
// error for each write after the first failAfter.
type countingWriter struct{ writes, longest, failAfter int }

func (w *countingWriter) Write(p []byte) (int, error) {
	if w.writes++; w.writes > w.failAfter {
		return 0, io.ErrClosedPipe
	}
	w.longest = max(w.longest, len(p))
	return len(p), nil
}

// TestWritesAreBounded: a write has at most 64 KiB, for a scrape of any length. An error
// ends the scrape, for every type of metric.
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
		for format, write := range writers(r) {
			w := &countingWriter{failAfter: math.MaxInt}
			if err := write(w); err != nil || w.writes < 2 || w.longest > 64<<10 {
				t.Errorf("%s, %s: error %v, %d writes, the longest has %d bytes", what, format, err, w.writes, w.longest)
			}
			w = &countingWriter{failAfter: 1}
			if err := write(w); !errors.Is(err, io.ErrClosedPipe) || w.writes != 2 {
				t.Errorf("%s, %s: error %v after %d writes", what, format, err, w.writes)
			}
		}
	}
}

// A nestedWriter scrapes and changes the registry during each write.
type nestedWriter struct {
	r *Registry
	v *CounterVec
	n int
}

func (w *nestedWriter) Write(p []byte) (int, error) {
	w.n++
	w.v.With("during" + strconv.Itoa(w.n)).Inc()
	w.v.Delete("during" + strconv.Itoa(w.n-1))
	w.r.Gauge("defined"+strconv.Itoa(w.n), "")
	w.r.Unregister("defined" + strconv.Itoa(w.n-1))
	w.r.Collect(func(*Emitter) {})
	return len(p), w.r.WriteText(io.Discard)
}

// TestNoLockWhileWriting: a scrape holds no lock during a write, so a slow client blocks no
// other goroutine. With a lock this test deadlocks.
func TestNoLockWhileWriting(t *testing.T) {
	r := NewRegistry()
	v := r.CounterVec("x", "", []string{"a"})
	for i := range 5000 {
		v.With(strconv.Itoa(i))
	}
	w := &nestedWriter{r: r, v: v}
	if err := r.WriteText(w); err != nil || w.n < 2 {
		t.Errorf("%v, %d writes", err, w.n)
	}
}

// TestLinesHaveTheNameOfTheirFamily: Encoder.Whole keeps the name of a family for its
// lines, if the name is short and unquoted. The next family must not get this name.
func TestLinesHaveTheNameOfTheirFamily(t *testing.T) {
	r := NewRegistry(WithUTF8Names())
	long := strings.Repeat("c", 65)
	for i, name := range []string{"a", "b.c", long} {
		r.GaugeVec(name, "", []string{"l"}).With("some value").Set(int64(i + 1))
	}
	var out strings.Builder
	if err := r.write(&out, &expo.Text, names.AllowUTF8); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`a{l="some value"} 1`, `{"b.c",l="some value"} 2`, long + `{l="some value"} 3`} {
		if !strings.Contains(out.String(), "\n"+want+"\n") {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}
