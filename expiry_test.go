package tacho

import (
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"
	"weak"

	"github.com/tachikoma/tacho/internal/store"
	"github.com/tachikoma/tacho/internal/testkit"
)

var testStart = time.Now()

// scrapeAt returns the series of a vector with idle expiry in a scrape at a given time.
func scrapeAt(v *vec, now time.Time) *store.Order {
	v.orderMu.Lock()
	defer v.orderMu.Unlock()
	return v.inUseAt(int64(now.Sub(testStart)) + 1)
}

// TestIdleExpiry: a scrape unlists a series of any type that has not changed for the idle
// time. A later recording relists the series.
func TestIdleExpiry(t *testing.T) {
	r := NewRegistry(WithCreated())
	idle := WithIdleExpiry(time.Minute)
	c := r.CounterVec("c_total", "", []string{"l"}, idle)
	f := r.FloatCounterVec("f_total", "", []string{"l"}, idle)
	g := r.GaugeVec("g", "", []string{"l"}, idle)
	fg := r.FloatGaugeVec("fg", "", []string{"l"}, idle)
	h := r.HistogramVec("h", "", []float64{1}, []string{"l"}, idle)
	vecs := []*vec{&c.vec, &f.vec, &g.vec, &fg.vec, &h.vec}
	change := func(l string) {
		c.With(l).Inc()
		f.With(l).Add(0.5)
		g.With(l).Inc()
		fg.With(l).Add(0.5)
		h.With(l).Observe(1)
	}
	kept := []any{c.With("kept"), f.With("kept"), g.With("kept"), fg.With("kept"), h.With("kept")}
	change("kept")
	change("busy")
	now := time.Now()
	step := func(d time.Duration, want string) {
		t.Helper()
		now = now.Add(d)
		for _, v := range vecs {
			var got []string
			for _, values := range listed(v, scrapeAt(v, now)) {
				got = append(got, values[0])
			}
			if strings.Join(got, " ") != want || v.Len() != len(got) {
				t.Errorf("%s after %v: %q and %d series, want %q", v.fam.Name, d, got, v.Len(), want)
			}
		}
	}
	step(0, "busy kept")
	change("busy")
	step(59*time.Second, "busy kept")
	step(time.Second, "busy")
	step(time.Hour, "")
	// A recording through a kept pointer relists the series, with its whole total.
	kept[0].(*Counter).Inc()
	kept[1].(*FloatCounter).Add(0.5)
	kept[2].(*Gauge).Inc()
	kept[3].(*FloatGauge).Add(0.5)
	kept[4].(*Histogram).Observe(1)
	step(time.Second, "kept")
	step(time.Hour, "")
	// With relists the series too, and returns the same metric.
	change("kept")
	step(time.Second, "kept")
	if c.With("kept") != kept[0] || h.With("kept") != kept[4] {
		t.Error("With created another metric while the program holds the first")
	}
	got := text(t, r)
	for _, want := range []string{`c_total{l="kept"} 3`, `f_total{l="kept"} 1.5`, `g{l="kept"} 3`, `fg{l="kept"} 1.5`, `h_count{l="kept"} 3`, `h_sum{l="kept"} 3`} {
		if !strings.Contains(got, want+"\n") {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
	runtime.KeepAlive(kept)
}

// TestIdleExpiryByScrapes: a scrape unlists idle series. A metric without labels refuses the
// option; see TestOptionPlaces.
func TestIdleExpiryByScrapes(t *testing.T) {
	r := NewRegistry()
	v := r.CounterVec("c_total", "", []string{"l"}, WithIdleExpiry(time.Nanosecond))
	v.With("x").Inc()
	if got := text(t, r); !strings.Contains(got, `c_total{l="x"} 1`) {
		t.Errorf("new series:\n%s", got)
	}
	text(t, r)
	time.Sleep(time.Millisecond) // longer than the idle time, by any clock
	if got := text(t, r); got != "" {
		t.Errorf("idle series:\n%s", got)
	}
}

// collectUntil collects garbage until f returns true. f depends on finalizers.
func collectUntil(t *testing.T, f func() bool) {
	t.Helper()
	if !testkit.CollectUntil(f) {
		t.Fatal("no finalizer ran")
	}
}

// unlistedCount returns the number of unlisted series.
func unlistedCount(v *vec) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.unlistedVec().count
}

// unlistedSeries returns the unlisted series.
func unlistedSeries(v *vec) (list []*unlisted) {
	v.mu.Lock()
	defer v.mu.Unlock()
	x := v.unlistedVec()
	for i := range x.shards {
		for _, u := range x.shards[i].series {
			for ; u != nil; u = u.next {
				list = append(list, u)
			}
		}
	}
	return list
}

// TestIdleSeriesAreFreed: an unlisted series is freed if the program holds no pointer to
// its metric.
func TestIdleSeriesAreFreed(t *testing.T) {
	r := NewRegistry()
	v := r.HistogramVec("h", "", nil, []string{"l"}, WithIdleExpiry(time.Minute))
	for i := range 1000 {
		v.With(strconv.Itoa(i)).Observe(1)
	}
	now := time.Now()
	scrapeAt(&v.vec, now)
	scrapeAt(&v.vec, now.Add(time.Second))
	if n := len(metrics(scrapeAt(&v.vec, now.Add(time.Hour)))); n != 0 || unlistedCount(&v.vec) != 1000 {
		t.Fatalf("%d series, %d unlisted", n, unlistedCount(&v.vec))
	}
	collectUntil(t, func() bool { return unlistedCount(&v.vec) == 0 })
	if n := v.Len(); n != 0 {
		t.Errorf("%d series are relisted without a change", n)
	}
	if got := v.With("1").Snapshot().Count; got != 0 {
		t.Errorf("a new series starts with %d observations", got)
	}
}

// TestChangeBeforeFinalizer: a recording in an unlisted metric is kept, also if the program
// drops the pointer before the next scrape.
func TestChangeBeforeFinalizer(t *testing.T) {
	r := NewRegistry()
	v := r.CounterVec("c_total", "", []string{"l"}, WithIdleExpiry(time.Minute))
	now := time.Now()
	func() {
		c := v.With("x")
		c.Add(2)
		scrapeAt(&v.vec, now)
		scrapeAt(&v.vec, now.Add(time.Second))
		scrapeAt(&v.vec, now.Add(time.Hour))
		if v.Len() != 0 {
			t.Fatal("not unlisted")
		}
		c.Inc()
	}()
	collectUntil(t, func() bool { return v.Len() == 1 })
	if got := text(t, r); !strings.Contains(got, `c_total{l="x"} 3`) {
		t.Error(got)
	}
}

// TestFinalizerAddsToNewSeries: if With created the series again before the finalizer of
// the old metric ran, the finalizer adds what was recorded in the old metric since it was
// unlisted.
func TestFinalizerAddsToNewSeries(t *testing.T) {
	r := NewRegistry()
	idle := WithIdleExpiry(time.Minute)
	c := r.CounterVec("c_total", "", []string{"l"}, idle)
	f := r.FloatCounterVec("f_total", "", []string{"l"}, idle)
	g := r.GaugeVec("g", "", []string{"l"}, idle)
	fg := r.FloatGaugeVec("fg", "", []string{"l"}, idle)
	h := r.HistogramVec("h", "", []float64{1, 2}, []string{"l"}, idle)
	record := func(v float64) {
		c.With("x").Add(uint64(v))
		f.With("x").Add(v)
		g.With("x").Set(int64(v))
		fg.With("x").Set(v)
		h.With("x").Observe(v)
	}
	record(1)
	now := time.Now()
	for _, v := range []*vec{&c.vec, &f.vec, &g.vec, &fg.vec, &h.vec} {
		scrapeAt(v, now)
		m := metrics(scrapeAt(v, now.Add(time.Second)))[0]
		scrapeAt(v, now.Add(time.Hour))
		p := unlistedSeries(v)[0]
		// A test cannot control when a finalizer runs. So this test changes the old metric,
		// creates a new one, and calls finalize itself.
		switch v {
		case &c.vec:
			(*Counter)(m).Inc()
		case &f.vec:
			(*FloatCounter)(m).Inc()
		case &g.vec:
			(*Gauge)(m).Inc()
		case &fg.vec:
			(*FloatGauge)(m).Inc()
		case &h.vec:
			(*Histogram)(m).Observe(2)
		}
		v.mu.Lock()
		v.unlistedVec().removeLocked(p)
		v.mu.Unlock()
		switch v {
		case &c.vec:
			c.With("x").Add(10)
		case &f.vec:
			f.With("x").Add(10)
		case &g.vec:
			g.With("x").Set(10)
		case &fg.vec:
			fg.With("x").Set(10)
		case &h.vec:
			h.With("x").Observe(10)
		}
		v.mu.Lock()
		v.unlistedVec().addLocked(p)
		v.mu.Unlock()
		v.finalize(p, m)
		runtime.SetFinalizer((*byte)(m), nil)
	}
	if c.With("x").Value() != 11 || f.With("x").Value() != 11 || g.With("x").Value() != 10 || fg.With("x").Value() != 10 {
		t.Error(text(t, r))
	}
	s := h.With("x").Snapshot()
	if fmt.Sprint(s.Count, s.Sum, s.Buckets) != "2 12 [{1 0} {2 1} {+Inf 2}]" {
		t.Errorf("%+v", s)
	}
}

func TestDeletedWhileUnlisted(t *testing.T) {
	r := NewRegistry()
	v := r.GaugeVec("g", "", []string{"l"}, WithIdleExpiry(time.Minute))
	now := time.Now()
	for name, remove := range map[string]func(){
		"Delete":     func() { v.Delete("x") },
		"DeleteFunc": func() { v.DeleteFunc(func(values []string) bool { return values[0] == "x" }) },
		"Reset":      v.Reset,
	} {
		g := v.With("x")
		g.Set(1)
		for _, d := range []time.Duration{0, time.Second, time.Hour} {
			scrapeAt(&v.vec, now.Add(d))
		}
		if unlistedCount(&v.vec) != 1 {
			t.Fatalf("%s: not unlisted", name)
		}
		remove()
		g.Set(2)
		if n := len(metrics(scrapeAt(&v.vec, now.Add(2*time.Hour)))); n != 0 || unlistedCount(&v.vec) != 0 {
			t.Errorf("%s: %d series are relisted, %d are unlisted", name, n, unlistedCount(&v.vec))
		}
		now = now.Add(3 * time.Hour)
		if again := v.With("x"); again == g || again.Value() != 0 {
			t.Errorf("%s: With returns the deleted metric", name)
		}
		v.Reset()
	}
}

// TestConcurrentExpiry: while scrapes unlist and relist series, no recording through a kept
// pointer is lost.
func TestConcurrentExpiry(t *testing.T) {
	r := NewRegistry()
	v := r.CounterVec("c_total", "", []string{"l"}, WithIdleExpiry(time.Nanosecond))
	keep := v.With("kept")
	var wg sync.WaitGroup
	for range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range 2000 {
				keep.Inc()
				v.With("found").Inc()
				if i%64 == 0 {
					time.Sleep(10 * time.Microsecond)
				}
			}
		}()
	}
	stop := make(chan struct{})
	var scrapes sync.WaitGroup
	scrapes.Add(1)
	go func() {
		defer scrapes.Done()
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				text(t, r)
				if i%16 == 0 {
					runtime.GC()
				}
			}
		}
	}()
	wg.Wait()
	close(stop)
	scrapes.Wait()
	if keep.Value() != 8000 {
		t.Errorf("value %d, want 8000", keep.Value())
	}
	keep.Inc()
	if got := text(t, r); !strings.Contains(got, `c_total{l="kept"} 8001`) {
		t.Errorf("no value 8001 in\n%s", got)
	}
}

// TestExpiryIsBounded: a scrape unlists a bounded number of series, and later scrapes the
// others. The maps of unlisted series shrink.
func TestExpiryIsBounded(t *testing.T) {
	v := &NewRegistry().CounterVec("c_total", "", []string{"l"}, WithIdleExpiry(time.Minute)).vec
	const n = 2*unlistedPerScrape + 100
	for i := range n {
		vecOf[Counter](v).With(strconv.Itoa(i)).Inc()
	}
	now := time.Now()
	scrapeAt(v, now)
	for scrapes, left := 0, n; left > 0; scrapes++ {
		now = now.Add(time.Hour)
		order := scrapeAt(v, now)
		want := v.Len()
		if n := len(metrics(order)); n != want || want < left-unlistedPerScrape {
			t.Fatalf("%d series in order, %d in the vector, after %d", n, want, left)
		}
		if left = want; scrapes > 8 {
			t.Fatalf("%d series after %d scrapes", left, scrapes)
		}
		var last []string
		for block, m := range each(order) {
			values := v.store.AppendValues(nil, block)
			if hash, block := v.key(values); v.store.FindBlock(hash, block) != m || slices.Compare(last, values) >= 0 {
				t.Fatalf("series %q is not in the vector, or not in order", values)
			}
			last = values
		}
	}
	collectUntil(t, func() bool { return unlistedCount(v) == 0 })
	scrapeAt(v, now)
	for i := range v.unlistedVec().shards {
		if s := &v.unlistedVec().shards[i]; s.most > 64 && len(s.series) < s.most/8 {
			t.Errorf("a map of unlisted series, which had %d, does not shrink to %d", s.most, len(s.series))
		}
	}
	vecOf[Counter](v).With("1").Inc()
	if got := metrics(scrapeAt(v, now)); len(got) != 1 {
		t.Errorf("%d series after a recording, want 1", len(got))
	}
}

// TestUnlistingVisitsPagesOnce: if more series are idle than a scrape may unlist, a scrape
// unlists all idle series of some pages of memory, and none of the others. Otherwise the
// runtime would search the long list of a page again in each scrape.
func TestUnlistingVisitsPagesOnce(t *testing.T) {
	v := &NewRegistry().CounterVec("c_total", "", []string{"l"}, WithIdleExpiry(time.Minute)).vec
	const n = 4*unlistedPerScrape - 1000
	var kept []*Counter // a finalizer would change the pages
	for i := range n {
		kept = append(kept, vecOf[Counter](v).With(strconv.Itoa(i)))
	}
	pages := func() map[uintptr]int {
		count := map[uintptr]int{}
		for _, m := range v.store.Snapshot().Each {
			count[uintptr(m)>>metricPage]++
		}
		return count
	}
	now := time.Now()
	scrapeAt(v, now)
	now = now.Add(time.Hour)
	scrapeAt(v, now) // does not know yet how many series are idle
	visits := 0
	for scrapes := 0; v.Len() > 0; scrapes++ {
		if scrapes > 12 {
			t.Fatalf("%d series are left after %d scrapes", v.Len(), scrapes)
		}
		before := pages()
		scrapeAt(v, now)
		after := pages()
		parts, visited := 0, 0 // parts are the pages at which the scrape met its bound
		for page, n := range before {
			if after[page] == n {
				continue
			}
			if visited++; after[page] != 0 {
				parts++
			}
		}
		if visits += visited; 4*parts > visited {
			t.Fatalf("scrape %d unlists a part of %d of %d pages", scrapes, parts, visited)
		}
	}
	if visits == 0 {
		t.Error("no scrape unlists a page")
	}
	runtime.KeepAlive(kept)
	kept = nil
	collectUntil(t, func() bool { return unlistedCount(v) == 0 }) // not during other tests
}

// TestManyUnlistedSeriesAreChecked: of many unlisted series that the program holds, four
// scrapes find each that has changed.
func TestManyUnlistedSeriesAreChecked(t *testing.T) {
	v := NewRegistry().CounterVec("c_total", "", []string{"l"}, WithIdleExpiry(time.Minute))
	kept := make([]*Counter, manyUnlisted+1000)
	for i := range kept {
		kept[i] = v.With(strconv.Itoa(i))
	}
	now := time.Now()
	scrapeAt(&v.vec, now)
	for v.Len() > 0 {
		now = now.Add(time.Hour)
		scrapeAt(&v.vec, now)
	}
	for i := 0; i < len(kept); i += 1000 {
		kept[i].Inc()
	}
	for range 4 {
		scrapeAt(&v.vec, now)
	}
	if want := (len(kept) + 999) / 1000; v.Len() != want {
		t.Errorf("%d series are relisted, want %d", v.Len(), want)
	}
	runtime.KeepAlive(kept)
	kept = nil
	collectUntil(t, func() bool { return unlistedCount(&v.vec) == 0 }) // not during other tests
}

// TestRecordingWhileUnlisting: a recording between the scrape's look at a metric and the
// unlisting of its series is a change.
func TestRecordingWhileUnlisting(t *testing.T) {
	r := NewRegistry()
	c0 := r.CounterVec("c_total", "", []string{"l"}, WithIdleExpiry(time.Minute))
	h0 := r.HistogramVec("h", "", nil, []string{"l"}, WithIdleExpiry(time.Minute))
	now := time.Now()
	for _, v := range []*vec{&c0.vec, &h0.vec} {
		c, h := c0.With("x"), h0.With("x")
		var idle idleSeries
		for block, m := range each(scrapeAt(v, now)) {
			idle = idleSeries{block, m, 0, v.unlistedVec().mark(m)}
		}
		c.Inc()
		h.Observe(1)
		v.orderMu.Lock()
		v.mu.Lock()
		v.unlistLocked(&idle)
		v.mu.Unlock()
		v.orderMu.Unlock()
		if v == &h0.vec && unlistedCount(v) != 0 {
			t.Error("the state of the unlisted histogram has an observation that no scrape showed")
		}
		if got := metrics(scrapeAt(v, now.Add(time.Second))); len(got) != 1 {
			t.Errorf("%s: the series is not shown", v.fam.Name)
		}
		runtime.KeepAlive([]any{c, h})
	}
}

// TestTwoUnlistedSeriesOfOneKey: before the finalizer of an unlisted metric runs, With may
// create another series with the same key that is unlisted too. The finalizer adds to that
// series.
func TestTwoUnlistedSeriesOfOneKey(t *testing.T) {
	v := NewRegistry().CounterVec("c_total", "", []string{"l"}, WithIdleExpiry(time.Minute))
	now := time.Now()
	unlist := func() (*Counter, *unlisted) {
		c := v.With("x")
		c.Inc()
		scrapeAt(&v.vec, now)
		now = now.Add(time.Hour)
		scrapeAt(&v.vec, now)
		list := unlistedSeries(&v.vec)
		if len(list) != 1 || v.Len() != 0 {
			t.Fatalf("%d series are listed, %d unlisted", v.Len(), len(list))
		}
		u := list[0]
		v.mu.Lock()
		v.unlistedVec().removeLocked(u) // as if its weak pointer had ended
		v.mu.Unlock()
		return c, u
	}
	first, u1 := unlist()
	first.Add(5)
	second, u2 := unlist()
	if first == second {
		t.Fatal("With returns the metric that was removed")
	}
	v.unlistedVec().addLocked(u1)
	v.unlistedVec().addLocked(u2)
	u1.metric = weak.Pointer[byte]{}
	v.finalize(u1, unsafe.Pointer(first))
	runtime.SetFinalizer((*byte)(unsafe.Pointer(first)), nil)
	if got := metrics(scrapeAt(&v.vec, now)); len(got) != 1 || got[0] != unsafe.Pointer(second) || second.Value() != 6 {
		t.Errorf("%d series, value %d, want the second with 6", len(got), second.Value())
	}
	if v.With("x") != second || unlistedCount(&v.vec) != 0 {
		t.Error("With returns another metric")
	}
	v.Delete("x")
	runtime.KeepAlive(second)
}

// TestMonotonic: idle times are not measured with the wall clock.
func TestMonotonic(t *testing.T) {
	a := monotonic()
	if b := monotonic(); a < 1 || b < a || time.Duration(b) > 24*time.Hour {
		t.Errorf("%d, then %d", a, b)
	}
	v := NewRegistry().CounterVec("c_total", "", []string{"l"}, WithIdleExpiry(time.Minute))
	v.With("x").Inc()
	var c store.Cursor
	c.Start(v.ordered())
	if !c.Next() || time.Duration(c.Idle(0).Changed) > 24*time.Hour || c.Idle(0).Changed == 0 {
		t.Errorf("%d series, the first changed at %d", c.N, c.Idle(0).Changed)
	}
}

// TestDeleteFuncDuringAScrape: DeleteFunc removes every series, also if a scrape unlists or
// relists the series meanwhile.
func TestDeleteFuncDuringAScrape(t *testing.T) {
	const n = 300
	now := time.Now()
	for round := range 200 {
		v := NewRegistry().CounterVec("c_total", "", []string{"l"}, WithIdleExpiry(time.Minute))
		kept := make([]*Counter, n)
		for i := range kept {
			kept[i] = v.With(strconv.Itoa(i))
		}
		scrapeAt(&v.vec, now)
		if round%2 == 0 { // the next scrape relists, otherwise it unlists
			scrapeAt(&v.vec, now.Add(time.Hour))
			for _, c := range kept {
				c.Inc()
			}
		}
		var scrape sync.WaitGroup
		inGroup(&scrape, func() { scrapeAt(&v.vec, now.Add(2*time.Hour)) })
		v.DeleteFunc(func([]string) bool { return true })
		scrape.Wait()
		for i, c := range kept {
			if v.With(strconv.Itoa(i)) == c {
				t.Fatalf("round %d: series %d is not deleted", round, i)
			}
		}
	}
}

// TestUnlistedSeriesCopiesItsBlock: an unlisted series does not keep the texts of other series
// in memory.
func TestUnlistedSeriesCopiesItsBlock(t *testing.T) {
	v := NewRegistry().CounterVec("c_total", "", []string{"l"}, WithIdleExpiry(time.Minute))
	c := v.With("x")
	now := time.Now()
	var blocks []string
	for block := range each(scrapeAt(&v.vec, now)) {
		blocks = append(blocks, block)
	}
	scrapeAt(&v.vec, now.Add(time.Hour))
	unlisted := 0
	for _, shard := range v.unlistedVec().shards {
		for block, u := range shard.series {
			if unlisted++; isInside(block, blocks[0]) || isInside(u.block, blocks[0]) {
				t.Error("the block of an unlisted series is in the memory of the vector's texts")
			}
		}
	}
	if len(blocks) != 1 || unlisted != 1 {
		t.Errorf("%d series were listed, %d are unlisted", len(blocks), unlisted)
	}
	runtime.KeepAlive(c)
}
