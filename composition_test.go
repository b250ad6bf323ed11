//go:build !tacho_nohttp

package tacho

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"weak"

	"github.com/tachikoma/tacho/internal/expo"
	"github.com/tachikoma/tacho/internal/names"
	"github.com/tachikoma/tacho/internal/testkit"
)

// TestSubRefusesBadOptions: Sub refuses options with which no definition would be accepted.
func TestSubRefusesBadOptions(t *testing.T) {
	r := NewRegistry(WithConstLabels("s", "1"))
	utf8 := NewRegistry(WithUTF8Names(), WithConstLabels("a.b", "1"))
	for name, define := range map[string]func(){
		"a bad label":            func() { r.Sub(WithConstLabels("9", "x")) },
		"a label of the parent":  func() { r.Sub(WithConstLabels("s", "2")) },
		"a label without value":  func() { r.Sub(WithConstLabels("x")) },
		"a bad prefix of a root": func() { NewRegistry(WithPrefix("p-")) },
		"a bad prefix":           func() { r.Sub(WithPrefix("p-")) },
		"a prefix with a digit":  func() { r.Sub(WithPrefix("9")) },
		"a nil option":           func() { r.Sub(nil) },
		"a label once escaped":   func() { utf8.Sub(WithConstLabels("a_b", "2")) },
		"invalid UTF-8":          func() { utf8.Sub(WithPrefix("\xff")) },
		"a zero registry":        func() { new(Registry).Sub() },
		"a label of the options": func() { r.Sub(WithConstLabels("x", "1", "x", "1")) },
	} {
		if _, err := Try(func() bool { define(); return true }); err == nil {
			t.Errorf("%s is not refused", name)
		}
	}
	utf8.Sub(WithPrefix("a.b."), WithConstLabels("é", "2"))
	if len((*tree)(utf8.tree).root.children) != 1 {
		t.Error("a refused sub-registry is left")
	}
}

// TestSubScrapeIsKept: a change of one sub-registry does not make the others sort their families again.
func TestSubScrapeIsKept(t *testing.T) {
	r := NewRegistry()
	a, b := r.Sub(WithConstLabels("s", "a")), r.Sub(WithConstLabels("s", "b"))
	deep := a.Sub(WithConstLabels("d", "1"))
	a.Counter("x_total", "")
	shown := func(r *Registry) []*expo.Family {
		r.mu.Lock()
		defer r.mu.Unlock()
		return shownLocked(r)
	}
	before := shown(a)
	b.Counter("x_total", "")
	b.Unregister("x_total")
	b.Close()
	if now := shown(a); &now[0] != &before[0] {
		t.Error("the families are sorted again")
	}
	deep.Counter("y_total", "")
	if now := shown(a); len(now) != 2 {
		t.Errorf("%d families after a definition in a sub-registry", len(now))
	}
	deep.Unregister("y_total")
	deep.Counter("z_total", "")
	if now := shown(a); len(now) != 2 || now[1].Name != "z_total" {
		t.Error("an old family is shown")
	}
	deep.Close()
	if now := shown(a); len(now) != 1 {
		t.Errorf("%d families after Close of a sub-registry", len(now))
	}
}

// TestSubCloseDuringScrape: a scrape that began before Close does not call a function or a collector
// after Close returned, and counts no error.
func TestSubCloseDuringScrape(t *testing.T) {
	r := NewRegistry()
	s := r.Sub(WithConstLabels("s", "1"))
	called := 0
	f := func() float64 { called++; return 1 }
	s.GaugeFunc("g", "", f)
	s.CounterFuncVec("c_total", "", []string{"l"}).Func(f, "1")
	s.Collect(func(e *Emitter) { called++; e.Gauge("e", "", 1) })
	s.Sub(WithPrefix("d_")).GaugeFunc("g", "", f)
	plans := []*plan{planOf(r, nil), planOf(s, nil)}
	s.Close()
	for _, p := range plans {
		if len(p.sources) != 4 {
			t.Errorf("%d functions", len(p.sources))
		}
		results, _ := (&query{}).calls(p.sources)
		for _, f := range p.families(results) {
			if !strings.HasPrefix(f.Name, "tacho_") {
				t.Errorf("%s is shown", f.Name)
			}
		}
	}
	if called > 0 || text(t, r) != text(t, NewRegistry()) {
		t.Errorf("%d calls after Close\n%s", called, text(t, r))
	}
}

// TestSubsLeaveNothing: sub-registries that were closed are freed with their metrics, HTTP metrics,
// functions and collectors. A vector of functions that the program keeps keeps no function.
func TestSubsLeaveNothing(t *testing.T) {
	n := scale(300, 3000, 10000)
	r := NewRegistry()
	long := r.Sub(WithConstLabels("s", "long"))
	long.Counter("x_total", "").Inc()
	type data struct{ n [64]byte }
	var subs []weak.Pointer[Registry]
	var held []weak.Pointer[data]
	var served []weak.Pointer[HTTPMetrics]
	var kept []*FuncVec
	for i := range n {
		s := r.Sub(WithConstLabels("s", fmt.Sprint(i)), WithPrefix([]string{"", "p_"}[i%2]))
		d := new(data)
		s.Counter("x_total", "").Inc()
		s.GaugeVec("g", "", []string{"l"}, WithIdleExpiry(time.Nanosecond)).With("1").Set(1)
		s.GaugeVec("rep", "", []string{"l"}).Replace(func(set *GaugeVec) { set.With("1").Set(1) })
		s.HistogramVec("h", "", nil, []string{"l"}, WithNative()).With("1").Observe(1)
		v := s.GaugeFuncVec("fv", "", []string{"l"})
		v.Func(func() float64 { return float64(d.n[0]) }, "1")
		s.GaugeFunc("f", "", func() float64 { return float64(d.n[0]) })
		s.Collect(func(e *Emitter) { e.Gauge("e", "", float64(d.n[0])) })
		deep := s.Sub(WithConstLabels("d", "1"))
		deep.Counter("x_total", "").Inc()
		if i%10 == 0 {
			m := NewHTTPMetrics(deep)
			serveOne(m, discardWriter{http.Header{}}, "GET", "/x", respondOK)
			served = append(served, weak.Make(m))
		}
		if i%100 == 0 {
			text(t, s)
			text(t, deep)
			text(t, long)
			text(t, r)
			text(t, Join(s, NewRegistry()))
		}
		subs, held = append(subs, weak.Make(s), weak.Make(deep)), append(held, weak.Make(d))
		if len(kept) < 10 {
			kept = append(kept, v)
		}
		s.Close()
	}
	left := func() (subsLeft, dataLeft int) {
		for _, p := range subs {
			if p.Value() != nil {
				subsLeft++
			}
		}
		for _, p := range served {
			if p.Value() != nil {
				subsLeft++
			}
		}
		for _, p := range held {
			if p.Value() != nil {
				dataLeft++
			}
		}
		return subsLeft, dataLeft
	}
	if !testkit.CollectUntil(func() bool { s, d := left(); return s <= len(kept) && d == 0 }) {
		s, d := left()
		t.Errorf("%d of %d sub-registries and the data of %d functions are in memory", s, len(subs), d)
	}
	runtime.KeepAlive(kept)
	if list := (*functions)(r.functions); len(list.collectors) > 2 {
		t.Errorf("%d collectors are listed", len(list.collectors))
	}
	if got := withoutHelp(text(t, r)); got != "x_total{s=\"long\"} 1\n" {
		t.Errorf("left:\n%s", got)
	}
}

// TestSubStoppedCollectorsAreFreed: a sub-registry does not keep collectors that were stopped.
func TestSubStoppedCollectorsAreFreed(t *testing.T) {
	r := NewRegistry()
	s := r.Sub()
	for range 100 {
		s.Collect(func(*Emitter) {})()
	}
	if n := len((*branch)(s.branch).collectors); n != 0 {
		t.Errorf("%d collectors are kept", n)
	}
	s.Close()
}

// TestSubHostileFunctions: functions that panic, end their goroutine, scrape, define metrics or close
// their own sub-registry cost their own series only. A scrape that waited for itself would take the
// time of the functions. On a busy machine a scrape can be slow, so the test tries again.
func TestSubHostileFunctions(t *testing.T) {
	for range 3 {
		if took := scrapeHostile(t); t.Failed() || took < defaultTimeout {
			return
		}
	}
	t.Error("a scrape waited for itself")
}

// scrapeHostile returns the time of three scrapes.
func scrapeHostile(t *testing.T) (took time.Duration) {
	r := NewRegistry()
	s, closing := r.Sub(WithConstLabels("s", "1")), r.Sub(WithConstLabels("s", "2"))
	j := Join(r, NewRegistry())
	var defined atomic.Int64
	s.GaugeFunc("scrapes", "", func() float64 {
		for _, r := range []*Registry{j, s, r} {
			if err := r.WriteText(io.Discard); err != nil {
				t.Error(err)
			}
		}
		return 1
	})
	s.Collect(func(e *Emitter) {
		if err := j.WriteOpenMetrics(io.Discard); err != nil {
			t.Error(err)
		}
		e.Gauge("collected", "", 1)
	})
	s.GaugeFunc("panics", "", func() float64 { panic("p") })
	s.GaugeFunc("exits", "", func() float64 { runtime.Goexit(); return 1 })
	v := s.GaugeFuncVec("fv", "", []string{"l"})
	v.Func(func() float64 {
		n := fmt.Sprint(defined.Add(1))
		v.Func(zero, n)
		s.Sub(WithConstLabels("n", n)).Counter("x_total", "").Inc()
		return 1
	}, "defines")
	closing.Collect(func(e *Emitter) { closing.Close(); e.Gauge("late", "", 1) })
	closing.GaugeFunc("closes", "", func() float64 { closing.Close(); return 1 })
	began := time.Now()
	for range 3 {
		got := withoutHelp(text(t, j))
		for _, line := range []string{`scrapes{s="1"} 1`, `collected{s="1"} 1`, `fv{s="1",l="defines"} 1`} {
			if !strings.Contains(got, line+"\n") {
				t.Errorf("no %s in\n%s", line, got)
			}
		}
	}
	took = time.Since(began)
	if got := text(t, r); strings.Contains(got, `s="2"`) {
		t.Errorf("after the sub-registry closed itself:\n%s", got)
	}
	return took
}

// A slowWriter blocks in its first Write until resume is closed.
type slowWriter struct {
	bytes.Buffer
	started, resume chan struct{}
	once            sync.Once
}

func (w *slowWriter) Write(p []byte) (int, error) {
	w.once.Do(func() { close(w.started) })
	<-w.resume
	return w.Buffer.Write(p)
}

// TestSubSlowClient: while a client reads slowly, sub-registries come and go. The scrape stays valid.
func TestSubSlowClient(t *testing.T) {
	r := NewRegistry()
	var subs []*Registry
	for i := range 500 {
		s := r.Sub(WithConstLabels("s", fmt.Sprint(i)))
		s.HistogramVec("h", "", nil, []string{"l"}).With("1").Observe(1)
		subs = append(subs, s)
	}
	other := NewRegistry()
	other.HistogramVec("h", "", nil, []string{"l"}).With("1").Observe(1)
	for _, reg := range []*Registry{r, Join(r, other)} {
		w := &slowWriter{started: make(chan struct{}), resume: make(chan struct{})}
		done := make(chan error)
		go func() { done <- reg.WriteText(w) }()
		<-w.started
		subs[0].Close()
		subs[0] = r.Sub(WithConstLabels("s", "0"))
		subs[0].HistogramVec("h", "", nil, []string{"l"}).With("1").Observe(1)
		close(w.resume)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		testkit.CheckHistograms(t, testkit.ParseText(t, w.String()))
	}
}

// TestCompositionConcurrent: every call is safe beside every other.
func TestCompositionConcurrent(t *testing.T) {
	r, other := NewRegistry(), NewRegistry(WithConstLabels("o", "1"))
	shared := r.Sub(WithConstLabels("g", "shared"))
	rounds := scale(20, 60, 600)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range rounds {
				s := r.Sub(WithConstLabels("g", fmt.Sprint(g)))
				deep := s.Sub(WithConstLabels("d", "1"))
				j := Join(s, other, deep, shared)
				s.GaugeFunc("f", "", func() float64 { deep.Close(); return 1 })
				stop := s.Collect(func(e *Emitter) { e.Fallback().Gauge("e", "", 1); e.Gauge("e2", "", 1) })
				v := shared.GaugeFuncVec("fv", "", []string{"k"})
				stopFunc, _ := Try(func() func() { return v.Func(zero, fmt.Sprint(g)) })
				for _, r := range []*Registry{j, r, s, deep, shared} {
					if err := []func(io.Writer) error{r.WriteText, r.WriteOpenMetrics, r.WriteJSON, r.WriteProtobuf}[i%4](io.Discard); err != nil {
						t.Error(err)
					}
				}
				_, _ = Try(func() *Counter { return deep.Counter("x_total", "") })
				var closers sync.WaitGroup
				for _, f := range []func(){s.Close, deep.Close, stop, s.Close} {
					closers.Add(1)
					go func() { defer closers.Done(); f() }()
				}
				closers.Wait()
				stopFunc()
				s.Unregister("f")
			}
		}()
	}
	wg.Wait()
	shared.Close()
	if got := text(t, r); got != text(t, NewRegistry()) {
		t.Errorf("left:\n%s", got)
	}
}

// TestJoinShownIsNoScrape: a list of the families of a joined registry counts no errors.
func TestJoinShownIsNoScrape(t *testing.T) {
	a, b := NewRegistry(), NewRegistry()
	a.Gauge("x", "")
	b.Counter("x", "")
	a.Gauge("y", "")
	b.Gauge("y", "")
	j := Join(a, b)
	for range 3 {
		if n := len(slices.Collect(j.Families())); n != 4 {
			t.Errorf("%d families, want x, y and two of the registry's own", n)
		}
	}
	if n := b.errors.Len(); n != 0 {
		t.Errorf("%d errors counted", n)
	}
}

// TestJoinConflictsInOrder: a family that is left out causes no further conflict.
func TestJoinConflictsInOrder(t *testing.T) {
	a, b, c := NewRegistry(), NewRegistry(), NewRegistry()
	a.Gauge("h_count", "").Set(1)
	b.Histogram("h", "", nil).Observe(1) // left out
	c.Gauge("h", "").Set(3)
	c.Gauge("h_sum", "").Set(4)
	a.Counter("t_total", "").Add(5)
	b.Histogram("t", "", nil).Observe(6) // shares only t_created
	j := Join(a, b, c)
	got := withoutHelp(text(t, j))
	for _, line := range []string{"h_count 1", "h 3", "h_sum 4", "t_total 5", "t_sum 6"} {
		if !strings.Contains(got, line+"\n") {
			t.Errorf("no %s in\n%s", line, got)
		}
	}
	if n := c.errors.Len(); n != 0 {
		t.Errorf("%d errors of the last registry", n)
	}
}

// TestJoinFallback: families of Fallback give way to those of other registries, without an error.
func TestJoinFallback(t *testing.T) {
	a, b, c := NewRegistry(), NewRegistry(), NewRegistry()
	a.Collect(func(e *Emitter) {
		f := e.Fallback()
		f.Gauge("x", "", 1)
		f.Gauge("y", "", 1, "l", "1")
		f.Gauge("z_count", "", 1)
		f.Counter("k", "", 1)
	})
	b.Gauge("x", "").Set(2)
	b.Histogram("z", "", nil)
	b.Collect(func(e *Emitter) {
		e.Fallback().Gauge("y", "", 2, "l", "1")
		e.Fallback().Gauge("y", "", 3, "l", "2")
		e.Fallback().Gauge("k", "", 2)
	})
	c.Gauge("x", "").Set(3)
	j := Join(a, b, c)
	for range 2 {
		samples := testkit.ParseText(t, text(t, j))
		values := map[string]float64{}
		for _, s := range samples {
			values[s.Key()] = s.Value
		}
		want := map[string]float64{`x`: 2, `y"l""1"`: 1, `y"l""2"`: 3, `z_count`: 0, `k`: 1}
		for key, v := range want {
			if got, ok := values[key]; !ok || got != v {
				t.Errorf("%s is %v, %v, want %v", key, got, ok, v)
			}
		}
	}
	if a.errors.Len() != 0 || b.errors.Len() != 0 || vecOf[Counter](c.errors).With("x", reasonDuplicate).Value() != 2 {
		t.Errorf("errors:\n%s%s%s", text(t, a), text(t, b), text(t, c))
	}
}

// TestJoinErrorsAreBounded: series of tacho_errors_total do not grow with the names that collectors of
// a part emit.
func TestJoinErrorsAreBounded(t *testing.T) {
	a, b := NewRegistry(), NewRegistry()
	var scrape atomic.Int64
	for _, r := range []*Registry{a, b} {
		r.Collect(func(e *Emitter) {
			for i := range 300 {
				e.Gauge(fmt.Sprintf("m_%d_%d", scrape.Load()/2, i), "", 1)
			}
		})
	}
	j := Join(a, b)
	for range 10 {
		text(t, j)
		scrape.Add(1)
	}
	total := uint64(0)
	for _, m := range metrics(b.errors.ordered()) {
		total += (*Counter)(m).Value()
	}
	if n := b.errors.Len(); n > maxCharged+1 || total != 3000 || a.errors.Len() != 0 {
		t.Errorf("%d series with %d errors, want 3000 errors", n, total)
	}
	if n := len((*branch)(j.branch).parts); n != 2 {
		t.Errorf("%d parts", n)
	}
}

// TestJoinEscapedOnce: two series whose names are the same once escaped are shown once.
func TestJoinEscapedOnce(t *testing.T) {
	a, b := NewRegistry(WithUTF8Names()), NewRegistry()
	a.CounterVec("x_total", "", []string{"a.b"}).With("1").Add(1)
	b.CounterVec("x_total", "", []string{"a_b"}).With("1").Add(2)
	a.Counter("y.z", "").Add(3)
	b.Counter("y_z", "").Add(4)
	j := Join(b, a)
	for s, want := range map[names.Scheme][]string{
		names.Underscores: {`x_total{a_b="1"} 2`, `U__y_2e_z 3`, `y_z 4`},
		names.Values:      {`x_total{a_b="1"} 2`, `x_total{U__a_2e_b="1"} 1`},
		names.AllowUTF8:   {`x_total{a_b="1"} 2`, `x_total{"a.b"="1"} 1`, `{"y.z"} 3`, `y_z 4`},
	} {
		got := writtenAs(t, j, &expo.Text, s)
		for _, line := range want {
			if !strings.Contains(got, line+"\n") {
				t.Errorf("scheme %d: no %s in\n%s", s, line, got)
			}
		}
	}
	if got := writtenAs(t, j, &expo.Text, names.Underscores); strings.Count(got, "x_total{") != 1 {
		t.Errorf("a series is shown twice\n%s", got)
	}
}

// TestJoinNative: joined native histograms are those of the parts, also after restarts, with their
// exemplars. Series do not share memory.
func TestJoinNative(t *testing.T) {
	make := func(l string) *Registry {
		r := NewRegistry(WithNative(NativeConfig{MaxBuckets: 10}))
		v := r.HistogramVec("h", "", nil, []string{"l"})
		for i := range 5 {
			m := v.With(fmt.Sprint(l, i))
			for n := range 40 {
				x := float64(n*n*(i+1)) - 50
				if i%2 == 0 || n%8 > 0 {
					m.Observe(x)
				} else { // so few that their times do not decide which are kept
					m.ObserveExemplar(x, "trace_id", fmt.Sprint(n))
				}
			}
		}
		return r
	}
	apart := []*Registry{make("a"), make("b")}
	joined := Join(make("a"), make("b"))
	series := func(texts ...string) (list []string) {
		for _, s := range texts {
			for _, line := range strings.Split(s, "metric:{")[1:] {
				line, _, _ = strings.Cut(line, "\n")
				var kept []string
				for _, field := range strings.Fields(line) {
					if !strings.Contains(field, "seconds:") && !strings.Contains(field, "nanos:") {
						kept = append(kept, strings.Trim(field, "{}"))
					}
				}
				list = append(list, strings.Join(kept, " "))
			}
		}
		slices.Sort(list)
		return list
	}
	for range 3 {
		want := series(protobufText(t, apart[0]), protobufText(t, apart[1]))
		got := series(protobufText(t, joined))
		if len(want) < 10 || !slices.Equal(got, want) {
			t.Fatalf("%d series, want %d\ngot\n%s\nwant\n%s", len(got), len(want), strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// TestJoinCopies: the samples of a joined family are those of the parts, for each series: classic
// histograms, summaries, times, exemplars and times of creation.
func TestJoinCopies(t *testing.T) {
	part := func(l string) *Registry {
		r := NewRegistry(WithCreated())
		classic, both := r.HistogramVec("h", "", []float64{1, 2, 3}, []string{"l"}), r.HistogramVec("both", "", []float64{1, 2, 3}, []string{"l"}, WithNative())
		c, whole, float := r.CounterVec("c_total", "", []string{"l"}), r.GaugeVec("g", "", []string{"l"}), r.FloatCounterVec("float_total", "", []string{"l"})
		for i := range 4 {
			for n := range 4 * (i + 1) {
				classic.With(fmt.Sprint(l, i)).ObserveExemplar(float64(n%(i+2)), "n", fmt.Sprint(i))
				both.With(fmt.Sprint(l, i)).ObserveExemplar(float64(n%(i+2)), "n", fmt.Sprint(i))
			}
			c.With(fmt.Sprint(l, i)).AddExemplar(uint64(i), "n", fmt.Sprint(i))
			whole.With(fmt.Sprint(l, i)).Set(int64(-i))
			float.With(fmt.Sprint(l, i)).AddExemplar(float64(i)+0.25, "n", fmt.Sprint(i))
		}
		r.Collect(func(e *Emitter) {
			for i := range 4 {
				v := float64(i)
				e.At(time.Unix(int64(i), 0)).Summary("s", "", SummarySnapshot{uint64(i), v, []Quantile{{0.5, v}, {0.9, 2 * v}}}, "l", fmt.Sprint(l, i))
				e.At(time.Unix(int64(i), 0)).Gauge("timed", "", -v-0.5, "l", fmt.Sprint(l, i))
				e.At(time.Unix(int64(i), 0)).Untyped("timed_whole", "", v, "l", fmt.Sprint(l, i))
				e.Exemplars(Exemplar{v, []string{"n", l}, time.Unix(int64(i), 0)}).Histogram("e", "", HistogramSnapshot{Count: uint64(i), Buckets: []Bucket{{v, uint64(i)}}}, "l", fmt.Sprint(l, i))
			}
		})
		return r
	}
	a, b := part("a"), part("b")
	lines := func(texts ...string) (list []string) {
		for _, s := range texts {
			for line := range strings.Lines(s) {
				if !strings.HasPrefix(line, "#") {
					list = append(list, line)
				}
			}
		}
		slices.Sort(list)
		return list
	}
	j := Join(a, b)
	for name, w := range map[string]func(*Registry) string{"text": func(r *Registry) string { return text(t, r) }, "OpenMetrics": func(r *Registry) string { return open(t, r) }} {
		if got, want := lines(w(j)), lines(w(a), w(b)); len(want) < 60 || !slices.Equal(got, want) {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
		}
	}
	series := func(texts ...string) (list []string) {
		for _, s := range texts {
			list = append(list, strings.Split(strings.ReplaceAll(s, "\n", " "), "metric:{")...)
		}
		list = slices.DeleteFunc(list, func(s string) bool { return strings.HasPrefix(s, "name:") })
		for i, s := range list {
			list[i], _, _ = strings.Cut(s, "} name:") // the next message follows
			list[i] = strings.TrimRight(list[i], "} ")
		}
		slices.Sort(list)
		return list
	}
	if got, want := series(protobufText(t, j)), series(protobufText(t, a), protobufText(t, b)); len(want) < 30 || !slices.Equal(got, want) {
		t.Errorf("protobuf: got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	samples := map[string]float64{}
	for _, s := range testkit.ParseText(t, text(t, j)) {
		samples[s.Key()] = s.Value
	}
	for _, s := range testkit.ParseJSON(t, jsonText(t, j)) {
		if v, ok := samples[s.Key()]; !ok || v != s.Value {
			t.Errorf("JSON: %s is %v, want %v, %v", s.Key(), s.Value, v, ok)
		}
	}
}

// TestJoinLabelOrder: label names in another order make the same series.
func TestJoinLabelOrder(t *testing.T) {
	a, b := NewRegistry(), NewRegistry(WithConstLabels("x", ""))
	a.CounterVec("c_total", "", []string{"l", "m"}).With("1", "2").Add(1)
	b.CounterVec("c_total", "", []string{"m", "l"}).With("2", "1").Add(2)
	got, _, _ := strings.Cut(withoutHelp(text(t, Join(a, b))), "tacho_")
	if want := "c_total{l=\"1\",m=\"2\"} 1\n"; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// TestJoinInfoTimes: OpenMetrics shows a gauge if only some samples of an info have a time, also if
// these are of different registries. Some parsers refuse such an info.
func TestJoinInfoTimes(t *testing.T) {
	a, b := NewRegistry(WithConstLabels("r", "a")), NewRegistry(WithConstLabels("r", "b"))
	a.Collect(func(e *Emitter) { e.At(time.Unix(1, 0)).Info("i_info", ""); e.Info("j_info", "") })
	b.Collect(func(e *Emitter) { e.Info("i_info", ""); e.Info("j_info", "") })
	got := open(t, Join(a, b))
	testkit.ParseOpenMetrics(t, got)
	for _, line := range []string{"# TYPE i_info gauge\n", "# TYPE j info\n"} {
		if !strings.Contains(got, line) {
			t.Errorf("no %s in\n%s", line, got)
		}
	}
}

// TestSubCollectorOrder: the collectors of a sub-registry and its own sub-registries are called in the
// order of their registration. So the first of them decides about a series and a help text.
func TestSubCollectorOrder(t *testing.T) {
	r := NewRegistry()
	s := r.Sub()
	regs := []*Registry{s}
	for range 5 {
		regs = append(regs, s.Sub(), regs[len(regs)-1].Sub())
	}
	var stops []func()
	for i := range 4 * len(regs) {
		stops = append(stops, regs[i*7%len(regs)].Collect(func(e *Emitter) {
			e.Gauge("g", fmt.Sprint("Help ", i), float64(i))
		}))
		r.Collect(func(e *Emitter) {})
	}
	for i, stop := range stops {
		want := fmt.Sprintf("# HELP g Help %d\n# TYPE g gauge\ng %d\n", i, i)
		for _, reg := range []*Registry{s, Join(s), r} {
			if got := text(t, reg); !strings.HasPrefix(got, want) {
				t.Fatalf("got\n%swant\n%s", got, want)
			}
		}
		stop()
	}
	for _, reg := range append(regs, r) {
		if got := text(t, reg); strings.Contains(got, "g{") || strings.Contains(got, "HELP g ") {
			t.Errorf("after all collectors were stopped\n%s", got)
		}
	}
}

// TestSubScrapeOfManyCollectors: the memory of a scrape of a sub-registry does not depend on the
// collectors of the other registries.
func TestSubScrapeOfManyCollectors(t *testing.T) {
	r := NewRegistry()
	s := r.Sub()
	s.Collect(func(e *Emitter) { e.Gauge("g", "", 1) })
	allocated := func() uint64 {
		least := uint64(1 << 62)
		for range 5 {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			planOf(s, nil)
			runtime.ReadMemStats(&after)
			least = min(least, after.TotalAlloc-before.TotalAlloc)
		}
		return least
	}
	few := allocated()
	for range 5000 {
		r.Sub().Collect(func(*Emitter) {})
		r.Collect(func(*Emitter) {})
	}
	if many := allocated(); many > few+2000 {
		t.Errorf("%d bytes with 10,000 other collectors, %d without them", many, few)
	}
}

// TestSubErrorsAreBounded: series of tacho_errors_total and tacho_series_overflow_total do not grow with
// the names of sub-registries that were closed. The totals are exact.
func TestSubErrorsAreBounded(t *testing.T) {
	r := NewRegistry()
	r.Sub().CounterVec("first_total", "", []string{"l"}).With()
	const n = maxOwn + 500
	for i := range n {
		s := r.Sub(WithPrefix(fmt.Sprintf("p%d_", i)))
		v := s.CounterVec("x_total", "", []string{"l"}, WithMaxSeries(1))
		v.With()
		v.With("1")
		v.With("2")
		v.With("3")
		s.Close()
		v.With() // the program may still use the metric
		v.With("4")
	}
	total := func(v *vec) (sum, own uint64) {
		v.DeleteFunc(func(values []string) bool {
			c := vecOf[Counter](v).With(values...).Value()
			if strings.HasPrefix(values[0], "tacho_") {
				own += c
			} else {
				sum += c
			}
			return false
		})
		return sum, own
	}
	errors, _ := total(r.errors)
	overflow, own := total(r.overflow)
	if n := r.errors.Len(); n > maxOwn+1 || r.overflow.Len() > maxOwn+2 {
		t.Errorf("%d and %d series, want at most %d", n, r.overflow.Len(), maxOwn)
	}
	if errors != 2*n+1 || overflow != 3*n || own == 0 {
		t.Errorf("%d errors, %d lookups and %d of the registry's own, want %d, %d", errors, overflow, own, 2*n+1, 3*n)
	}
	got := text(t, r)
	testkit.ParseText(t, got)
	for _, line := range []string{
		`tacho_errors_total{metric="first_total",reason="label_count"} 1`,
		`tacho_errors_total{metric="p0_x_total",reason="label_count"} 2`,
		`tacho_errors_total{metric="other",reason="other"} `,
		`tacho_series_overflow_total{metric="tacho_errors_total"} `,
		`tacho_series_overflow_total{metric="tacho_series_overflow_total"} `,
	} {
		if !strings.Contains(got, line) {
			t.Errorf("no line %s", line)
		}
	}
}

// TestJoinMemory: the memory that a scrape takes for a joined family is bounded for each sample, and is free
// after the scrape.
func TestJoinMemory(t *testing.T) {
	const series = 2000
	a, b := NewRegistry(), NewRegistry()
	for i, r := range []*Registry{a, b} {
		h := r.HistogramVec("h", "", []float64{1, 2, 3}, []string{"l"})
		c := r.CounterVec("c_total", "", []string{"l"})
		for n := range series {
			h.With(fmt.Sprint(i, "_", n)).Observe(1)
			c.With(fmt.Sprint(i, "_", n)).Inc()
		}
	}
	j := Join(a, b)
	var before, after runtime.MemStats
	scrape := func() uint64 {
		runtime.ReadMemStats(&before)
		if err := j.WriteText(io.Discard); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	scrape() // sorts the series
	runtime.GC()
	runtime.GC()
	for range 3 {
		if bytes := scrape() / (4 * series); bytes > 1000 {
			t.Errorf("a scrape takes %d bytes for each of %d samples", bytes, 4*series)
		}
		live := before.HeapAlloc
		if !testkit.CollectUntil(func() bool {
			runtime.ReadMemStats(&after)
			return after.HeapAlloc < live+50_000
		}) {
			t.Errorf("%d bytes are left after a scrape", after.HeapAlloc-live)
		}
	}
}

// TestJoinQuoted: names in UTF-8 of a family that several registries have are quoted.
func TestJoinQuoted(t *testing.T) {
	a, b := NewRegistry(WithUTF8Names()), NewRegistry(WithUTF8Names())
	for i, r := range []*Registry{a, b} {
		r.CounterVec("x.z_y_total", "Help.", []string{"a.b"}, WithUnit("y")).With(fmt.Sprint(i)).Inc()
	}
	j := Join(a, b)
	for s, want := range map[names.Scheme]string{
		names.AllowUTF8:   `{"x.z_y_total","a.b"="0"} 1`,
		names.Underscores: `x_z_y_total{a_b="0"} 1`,
		names.Dots:        `x_dot_z__y__total{a_dot_b="0"} 1`,
	} {
		for name, f := range map[string]*expo.Format{"text": &expo.Text, "OpenMetrics": &expo.OpenMetrics} {
			got := writtenAs(t, j, f, s)
			if !strings.Contains(got, want) || !strings.Contains(got, strings.Replace(want, `"0"`, `"1"`, 1)) {
				t.Errorf("scheme %d, %s: no %s in\n%s", s, name, want, got)
			}
			if hasUnit := strings.Contains(got, "# UNIT "); hasUnit != (name == "OpenMetrics" && s != names.Dots) { // such a name does not end in the unit
				t.Errorf("scheme %d, %s: unit %v in\n%s", s, name, hasUnit, got)
			}
		}
	}
}

// TestJoinRestartsNative: a joined scrape restarts native histograms whose resolution fell in protobuf,
// and in no other format, as a scrape of their own registry does.
func TestJoinRestartsNative(t *testing.T) {
	restartAfter(t, 0)
	make := func() []*Registry {
		a, b := NewRegistry(WithNative(NativeConfig{MaxBuckets: 4})), NewRegistry(WithNative())
		b.HistogramVec("h", "", nil, []string{"l"}).With("b").Observe(1)
		h := a.HistogramVec("h", "", nil, []string{"l"}).With("a")
		for n := range 1000 {
			h.Observe(float64(n * n))
		}
		return []*Registry{a, b}
	}
	joined, apart := make(), make()
	j := Join(joined...)
	count := func(r *Registry) string {
		_, after, _ := strings.Cut(text(t, r), `h_count{l="a"} `)
		n, _, _ := strings.Cut(after, "\n")
		return n
	}
	for _, r := range []*Registry{j, apart[0]} {
		open(t, r)
		jsonText(t, r)
		if n := count(r); n != "1000" {
			t.Errorf("%s observations before the scrape in protobuf", n)
		}
		for range 3 { // a restart stands only after a further scrape
			protobufText(t, r)
		}
		if n := count(r); n != "0" {
			t.Errorf("%s observations after the scrapes in protobuf", n)
		}
	}
}

// TestJoinSameConsts: registries with the same constant labels have series in common.
func TestJoinSameConsts(t *testing.T) {
	regs := []*Registry{}
	for i := range 3 {
		r := NewRegistry(WithConstLabels("s", fmt.Sprint(i/2)))
		r.Counter("x_total", "").Add(uint64(i + 1))
		regs = append(regs, r)
	}
	got := withoutHelp(text(t, Join(regs[2], regs[0], regs[1])))
	if want := "x_total{s=\"0\"} 1\nx_total{s=\"1\"} 3\n"; !strings.Contains(got, want) || strings.Count(got, "x_total{") != 2 {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// TestSubInheritsNative: the histograms of a sub-registry have the native buckets of its parent, unless the
// sub-registry has a config of its own.
func TestSubInheritsNative(t *testing.T) {
	r := NewRegistry(WithNative(NativeConfig{Factor: 4}))
	deep := r.Sub(WithConstLabels("s", "1")).Sub(WithConstLabels("d", "1"))
	own := deep.Sub(WithConstLabels("o", "1"), WithNative(NativeConfig{Factor: 65536}))
	for _, reg := range []*Registry{deep, own} {
		reg.Histogram("h", "", nil).Observe(1)
	}
	got := protobufText(t, r)
	for _, schema := range []string{"schema:-1 ", "schema:-4 "} {
		if strings.Count(got, schema) != 1 {
			t.Errorf("no %s in\n%s", schema, got)
		}
	}
}
