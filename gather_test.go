package tacho

import (
	"io"
	"math/rand/v2"
	"runtime"
	"strconv"
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

// scrapeWithin returns the text of a scrape whose functions have the given time.
func scrapeWithin(t *testing.T, r *Registry, limit time.Duration) string {
	t.Helper()
	q := &query{timeout: func() time.Duration { return limit }}
	return write(t, func(w io.Writer) error {
		return expo.Write(w, &expo.Text, names.Underscores, r.scrapedFor(q), &r.names)
	})
}

// goroutines waits until there are at most n goroutines, and returns their number.
func goroutines(n int) int {
	testkit.Within(30*time.Second, func() bool { return runtime.NumGoroutine() <= n })
	return runtime.NumGoroutine()
}

// inGroup calls f on another goroutine of a group.
func inGroup(g *sync.WaitGroup, f func()) {
	g.Add(1)
	go func() {
		defer g.Done()
		f()
	}()
}

// TestBlockedFunction: a function that does not return costs its own family. It is called
// once, holds one goroutine, and later scrapes do not wait for it. Its result shows again
// after it returned. On a busy machine the other functions may need longer than a scrape has, so
// the test tries longer timeouts.
func TestBlockedFunction(t *testing.T) {
	for name, define := range map[string]func(r *Registry, f func()){
		"GaugeFunc":   func(r *Registry, f func()) { r.GaugeFunc("x", "", func() float64 { f(); return 1 }) },
		"CounterFunc": func(r *Registry, f func()) { r.CounterFunc("x", "", func() float64 { f(); return 1 }) },
		"Collect": func(r *Registry, f func()) {
			r.Collect(func(e *Emitter) {
				e.Gauge("x", "", 1, "half", "yes")
				f()
				e.Gauge("x", "", 1)
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			for timeout := 50 * time.Millisecond; ; timeout *= 4 {
				incomplete := scrapeBeside(t, define, timeout)
				if incomplete == "" {
					return
				}
				if timeout > 5*time.Second {
					t.Fatalf("got\n%s", incomplete)
				}
			}
		})
	}
}

// scrapeBeside scrapes while the function x blocks, and after x returned. It returns the first scrape without
// the families of functions that do not block, or "".
func scrapeBeside(t *testing.T, define func(r *Registry, f func()), timeout time.Duration) (incomplete string) {
	t.Helper()
	r := NewRegistry()
	var calls atomic.Int64
	release := make(chan struct{})
	define(r, func() { calls.Add(1); <-release })
	r.Gauge("a", "").Set(3)
	r.GaugeFunc("b", "", func() float64 { return 4 })
	r.Collect(func(e *Emitter) { e.Gauge("c", "", 5) })
	before := runtime.NumGoroutine()
	end := sync.OnceFunc(func() {
		close(release)
		goroutines(before)
	})
	defer end()
	for range 20 {
		got := scrapeWithin(t, r, timeout)
		if !strings.Contains(got, "a 3\n") || !strings.Contains(got, "b 4\n") || !strings.Contains(got, "c 5\n") {
			return got
		}
		if strings.Contains(got, "\nx") {
			t.Fatalf("got\n%s", got)
		}
	}
	if n := goroutines(before + 1); calls.Load() != 1 || n > before+1 {
		t.Errorf("%d calls, and %d goroutines more", calls.Load(), n-before)
	}
	timeouts := uint64(0)
	for _, metric := range []string{"", "x"} { // a collector has no name
		timeouts += vecOf[Counter](r.errors).With(metric, reasonTimeout).Value()
	}
	if timeouts != 20 {
		t.Errorf("%d timeouts counted, want 20", timeouts)
	}
	end()
	if got := text(t, r); !strings.Contains(got, "\nx 1\n") {
		t.Errorf("no x after the function returned:\n%s", got)
	}
	return ""
}

// TestFunctionsRunSideBySide: each function waits until all functions are called.
func TestFunctionsRunSideBySide(t *testing.T) {
	const n = 20
	r := NewRegistry()
	var all sync.WaitGroup
	all.Add(2 * n)
	for i := range n {
		r.GaugeFunc("f"+strconv.Itoa(i), "", func() float64 { all.Done(); all.Wait(); return 1 })
		r.Collect(func(e *Emitter) { all.Done(); all.Wait(); e.Gauge("c"+strconv.Itoa(i), "", 1) })
	}
	got := text(t, r)
	if n := strings.Count(got, " 1\n"); n != 40 {
		t.Errorf("%d samples, want 40:\n%s", n, got)
	}
}

// TestGoexit: a function that ends its goroutine costs its own family.
func TestGoexit(t *testing.T) {
	r := NewRegistry()
	r.GaugeFunc("a", "", func() float64 { runtime.Goexit(); return 1 })
	r.Collect(func(e *Emitter) { e.Gauge("b", "", 1); runtime.Goexit() })
	r.GaugeFunc("c", "", func() float64 { return 1 })
	r.Collect(func(e *Emitter) { e.Gauge("d", "", 1) })
	text(t, r)
	got := text(t, r)
	for _, want := range []string{"\nc 1\n", "\nd 1\n", `{metric="a",reason="panic"} 2`, `{metric="",reason="panic"} 2`} {
		if !strings.Contains("\n"+got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if strings.Contains(got, "\na ") || strings.Contains(got, "\nb ") {
		t.Errorf("samples of functions that did not return:\n%s", got)
	}
}

// TestFunctionScrapesItsRegistry: the inner scrape does not call the functions that run,
// and does not wait for them.
func TestFunctionScrapesItsRegistry(t *testing.T) {
	r := NewRegistry()
	r.Gauge("a", "").Set(7)
	var inner, collected string
	r.GaugeFunc("size", "", func() float64 { inner = text(t, r); return float64(len(inner)) })
	r.Collect(func(e *Emitter) { collected = text(t, r); e.Gauge("n", "", float64(len(collected))) })
	got := text(t, r)
	if !strings.Contains(inner, "a 7\n") || !strings.Contains(collected, "a 7\n") {
		t.Errorf("the inner scrapes have\n%s\nand\n%s", inner, collected)
	}
	if !strings.Contains(got, "\nsize ") || !strings.Contains(got, "\nn ") {
		t.Errorf("no results in\n%s", got)
	}
}

// TestScrapesDoNotShareOldResults: a scrape that begins while another scrape calls a function
// waits and has the function called again. The function never runs twice at the same time.
func TestScrapesDoNotShareOldResults(t *testing.T) {
	r := NewRegistry()
	var state, running atomic.Int64
	entered, release := make(chan struct{}, 8), make(chan struct{})
	first := true
	r.GaugeFunc("x", "", func() float64 {
		if running.Add(1) != 1 {
			t.Error("two calls at the same time")
		}
		defer running.Add(-1)
		v := state.Load()
		if first {
			first = false
			entered <- struct{}{}
			<-release
		}
		return float64(v)
	})
	var scrapes sync.WaitGroup
	inGroup(&scrapes, func() { text(t, r) })
	<-entered
	state.Store(5) // before the other scrapes begin
	for range 4 {
		inGroup(&scrapes, func() {
			if got := text(t, r); !strings.Contains(got, "x 5\n") {
				t.Errorf("an old result:\n%s", got)
			}
		})
	}
	time.Sleep(10 * time.Millisecond) // most scrapes wait now; the test holds without that
	close(release)
	scrapes.Wait()
}

// TestEmitterAfterItsCall: an Emitter does nothing after its call, while the samples of the
// call are written.
func TestEmitterAfterItsCall(t *testing.T) {
	r := NewRegistry()
	var kept []*Emitter
	r.Collect(func(e *Emitter) {
		e.Gauge("x", "", 1)
		kept = append(kept, e, e.At(time.Unix(1, 0)))
	})
	want := text(t, r)
	stop := make(chan struct{})
	var late sync.WaitGroup
	for _, e := range kept {
		inGroup(&late, func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
					e.Gauge("x", "", 2, "i", strconv.Itoa(i))
					e.Counter("y", "", -1)
					e.Histogram("z", "", HistogramSnapshot{})
					runtime.Gosched() // WebAssembly has one thread
				}
			}
		})
	}
	for range 50 {
		if got := text(t, r); got != want {
			t.Errorf("got\n%s", got)
			break
		}
		kept = nil
	}
	close(stop)
	late.Wait()
}

// TestStoppedCollector: after stop returned, no scrape calls the collector. The work of a
// stop does not depend on the number of collectors.
// A stopped collector releases its data, while others stay.
func TestStoppedCollectorIsReleased(t *testing.T) {
	r := NewRegistry()
	for range 9 {
		defer r.Collect(func(*Emitter) {})()
	}
	var data [1 << 16]byte
	kept := weak.Make(&data)
	stop := collectFirst(r, &data)
	if got := text(t, r); !strings.Contains(got, "first 0\n") {
		t.Errorf("got\n%s", got)
	}
	stop()
	if !testkit.CollectUntil(func() bool { return kept.Value() == nil }) {
		t.Error("the registry keeps the data of a stopped collector")
	}
	stop()
}

func collectFirst(r *Registry, data *[1 << 16]byte) (stop func()) {
	return r.Collect(func(e *Emitter) { e.Gauge("first", "", float64(data[0])) })
}

func TestStoppedCollector(t *testing.T) {
	r := NewRegistry()
	var stops []func()
	calls := make([]int, 100)
	for i := range calls {
		stops = append(stops, r.Collect(func(e *Emitter) {
			calls[i]++
			e.Gauge("x", "", float64(i), "i", strconv.Itoa(i))
		}))
	}
	for i, stop := range stops {
		if i%3 == 0 {
			continue
		}
		var twice sync.WaitGroup
		for range 2 {
			inGroup(&twice, stop)
		}
		twice.Wait()
		stop()
	}
	if got := text(t, r); strings.Count(got, "\nx{") != 34 {
		t.Errorf("%d samples, want 34:\n%s", strings.Count(got, "\nx{"), got)
	}
	for i, n := range calls {
		if want := map[bool]int{true: 1}[i%3 == 0]; n != want {
			t.Errorf("collector %d: %d calls, want %d", i, n, want)
		}
	}
	for _, stop := range stops {
		stop()
	}
	if got := text(t, r); got != "" || len(r.functionsLocked().collectors) != 0 {
		t.Errorf("%d collectors are left, and\n%s", len(r.functionsLocked().collectors), got)
	}
}

// TestStopInsideTheCollector: a collector can stop itself.
func TestStopInsideTheCollector(t *testing.T) {
	r := NewRegistry()
	var stop func()
	stop = r.Collect(func(e *Emitter) { stop(); e.Gauge("x", "", 1) })
	text(t, r)
	if got := text(t, r); strings.Contains(got, "x") {
		t.Errorf("called after stop:\n%s", got)
	}
}

// TestStoppedCollectorDoesNotTimeOut: no timeout is counted for a collector that is stopped
// during its call. On a busy machine a scrape may end before it has started the collector,
// so the test tries longer timeouts.
func TestStoppedCollectorDoesNotTimeOut(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	for timeout := 50 * time.Millisecond; timeout < 10*time.Second; timeout *= 2 {
		r := NewRegistry()
		var stop func()
		stop = r.Collect(func(*Emitter) { stop(); <-release })
		r.gather(&query{timeout: func() time.Duration { return timeout }})
		if vecOf[Counter](r.errors).With("", reasonTimeout).Value() == 0 {
			return
		}
	}
	t.Error("a timeout of a stopped collector is counted")
}

// TestManyCollected: the work for each collected family, label name and collector is
// constant. With quadratic work this test would take minutes.
func TestManyCollected(t *testing.T) {
	const n = 10000
	for _, opts := range [][]Option{nil, {WithUTF8Names()}} {
		r := NewRegistry(opts...)
		r.Collect(func(e *Emitter) {
			for i := range n {
				e.Counter("c"+strconv.Itoa(i)+"_total", "", 1)
				e.Gauge("labels", "", 1, "l"+strconv.Itoa(i), "v")
			}
		})
		var stops []func()
		for i := range n {
			stops = append(stops, r.Collect(func(e *Emitter) { e.Gauge("shared", "", 1, "i", strconv.Itoa(i)) }))
		}
		got := scrapeWithin(t, r, time.Minute)
		for what, want := range map[string]int{"shared{": n, "labels{l": n, "_total 1\n": n} {
			if found := strings.Count(got, what); found != want {
				t.Errorf("%d samples with %q, want %d", found, what, want)
			}
		}
		for _, stop := range stops {
			stop()
		}
	}
}

// TestCollectedOrder: samples are sorted by labels, whatever the order in which collectors
// emit them. Of equal series the first is shown, also over several collectors.
func TestCollectedOrder(t *testing.T) {
	values := []string{"", "a", "a\x00", "a\x01", "ab", "abcdefg", "abcdefgh", "abcdefghi", "abcdefgh\x01", "b", "é", "日本", "abcdefghabcdefgh", "abcdefghabcdefgi", "\"", "\\", "\n", "\x7f"}
	defined := NewRegistry()
	v := defined.GaugeVec("x", "", []string{"l", "m"})
	type sample struct{ l, m string }
	var all []sample
	for _, l := range values[1:] {
		for _, m := range values[1:] {
			all = append(all, sample{l, m})
			v.With(l, m).Set(1)
		}
	}
	want := text(t, defined)
	random := rand.New(rand.NewPCG(1, 2))
	for range 10 {
		random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		r := NewRegistry()
		for part := range 2 {
			r.Collect(func(e *Emitter) {
				for i, s := range all {
					if i%2 == part {
						e.Gauge("x", "", 1, "l", s.l, "m", s.m)
					}
				}
				e.Gauge("x", "", 2, "m", all[0].m, "l", all[0].l) // repeats
			})
		}
		if got := text(t, r); !strings.HasSuffix(got, want) {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
		if n := vecOf[Counter](r.errors).With("x", reasonDuplicate).Value(); n != 2 {
			t.Errorf("%d duplicates, want 2", n)
		}
	}
}

// TestConflictsOfCollectors: a family that conflicts with a family of an earlier collector is
// left out, and each of its samples counts.
func TestConflictsOfCollectors(t *testing.T) {
	r := NewRegistry()
	r.Collect(func(e *Emitter) {
		e.Histogram("x", "", HistogramSnapshot{})
		e.Gauge("y", "", 1)
		e.Gauge("z_count", "", 1)
	})
	r.Collect(func(e *Emitter) {
		e.Gauge("x_sum", "", 2, "i", "1")
		e.Gauge("x_sum", "", 2, "i", "2")
		e.Counter("y", "", 2)
		e.Summary("z", "", SummarySnapshot{})
		e.Gauge("w", "", 2)
	})
	samples := testkit.ParseText(t, text(t, r)) // fails the test if a family or series repeats
	for _, s := range samples {
		if s.Name == "w" && s.Value != 2 || s.Name == "y" && s.Value != 1 || s.Name == "z" || s.Name == "x_sum" && s.Labels != nil {
			t.Errorf("%+v", s)
		}
	}
	for name, want := range map[string]uint64{"x_sum": 2, "y": 1, "z": 1, "w": 0} {
		if n := vecOf[Counter](r.errors).With(name, reasonConflict).Value(); n != want {
			t.Errorf("%s: %d conflicts, want %d", name, n, want)
		}
	}
}

// TestBlockedFunctionBesideABusyOne: a scrape finds two functions that another scrape is
// calling. One of them is blocked. The other is called again as soon as it returns.
func TestBlockedFunctionBesideABusyOne(t *testing.T) {
	r := NewRegistry()
	entered, release := make(chan struct{}, 3), map[string]chan struct{}{"a": make(chan struct{}), "b": make(chan struct{}), "c": make(chan struct{})}
	again := make(chan struct{}, 1)
	for _, name := range []string{"a", "b", "c"} {
		var calls atomic.Int64
		r.GaugeFunc(name, "", func() float64 {
			if calls.Add(1) == 1 {
				entered <- struct{}{}
				<-release[name]
			} else if name == "b" {
				again <- struct{}{}
			}
			return 1
		})
	}
	var scrapes sync.WaitGroup
	inGroup(&scrapes, func() { scrapeWithin(t, r, time.Minute) })
	for range release {
		<-entered
	}
	inGroup(&scrapes, func() {
		if got := scrapeWithin(t, r, time.Minute); strings.Count("\n"+got, " 1\n") != 3 {
			t.Errorf("got\n%s", got)
		}
	})
	b := functionsOf(&familyIn(r, r.families, "b").Family).all()[0]
	waiting := func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.next != nil
	}
	for !waiting() {
		time.Sleep(time.Millisecond)
	}
	close(release["b"])
	select {
	case <-again:
	case <-time.After(20 * time.Second):
		t.Error("b is not called again while others are blocked")
	}
	close(release["a"])
	close(release["c"])
	scrapes.Wait()
}

// TestScrapesThatEndEarly: clients that go away, or that allow little time, do not make the
// scrapes of others incomplete.
func TestScrapesThatEndEarly(t *testing.T) {
	if runtime.GOARCH == "wasm" {
		t.Skip("one thread runs out of time before the patient scrape has its turn")
	}
	const n = 50
	r := NewRegistry()
	for i := range n {
		r.GaugeFunc("f"+strconv.Itoa(i), "", func() float64 { time.Sleep(200 * time.Microsecond); return 1 })
	}
	stop := make(chan struct{})
	var early sync.WaitGroup
	for i := range 4 {
		inGroup(&early, func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				done := make(chan struct{})
				limit := time.Minute
				if i%2 == 0 {
					limit = 500 * time.Microsecond
				} else {
					time.AfterFunc(500*time.Microsecond, func() { close(done) })
				}
				r.scrapedFor(&query{done: done, timeout: func() time.Duration { return limit }})
			}
		})
	}
	for range 20 {
		if got := scrapeWithin(t, r, time.Minute); strings.Count("\n"+got, "\nf") != n {
			t.Errorf("got\n%s", got)
			break
		}
	}
	close(stop)
	early.Wait()
}

// TestNoCallWithoutAScrape: a function that returned is not called for scrapes that ended
// meanwhile.
func TestNoCallWithoutAScrape(t *testing.T) {
	r := NewRegistry()
	var calls atomic.Int64
	entered, release := make(chan struct{}, 1), make(chan struct{})
	r.GaugeFunc("x", "", func() float64 {
		if calls.Add(1) == 1 {
			entered <- struct{}{}
		}
		<-release
		return 1
	})
	before := runtime.NumGoroutine()
	done := make(chan struct{})
	var first sync.WaitGroup
	inGroup(&first, func() { r.scrapedFor(&query{done: done, timeout: func() time.Duration { return time.Minute }}) })
	<-entered
	limit := func() time.Duration { return time.Minute }
	gone := make(chan struct{})
	close(gone)
	for range 3 {
		r.scrapedFor(&query{done: gone, timeout: limit})
	}
	close(done)
	first.Wait()
	close(release)
	goroutines(before)
	if n := calls.Load(); n != 1 {
		t.Errorf("%d calls, want 1", n)
	}
	if got := text(t, r); !strings.Contains(got, "x 1\n") || calls.Load() != 2 {
		t.Errorf("%d calls, and\n%s", calls.Load(), got)
	}
}
