package tacho

import (
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// scrapeAt is what a scrape at a given time does to a vector that has idle expiry.
func scrapeAt(v *vec, now time.Time) []*series {
	v.orderMu.Lock()
	defer v.orderMu.Unlock()
	return v.aged(now.UnixNano())
}

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
			for _, s := range scrapeAt(v, now) {
				got = append(got, keyValues(s.key(), 1)[0])
			}
			if strings.Join(got, " ") != want || v.Len() != len(got) {
				t.Errorf("%s after %v: %q and %d series, want %q", v.fam.name, d, got, v.Len(), want)
			}
		}
	}
	step(0, "busy kept")
	change("busy")
	step(59*time.Second, "busy kept")
	step(time.Second, "busy")
	step(time.Hour, "")
	// A pointer that was kept brings its series back, with all it ever counted.
	kept[0].(*Counter).Inc()
	kept[1].(*FloatCounter).Add(0.5)
	kept[2].(*Gauge).Inc()
	kept[3].(*FloatGauge).Add(0.5)
	kept[4].(*Histogram).Observe(1)
	step(time.Second, "kept")
	step(time.Hour, "")
	// So does With, and it finds that same metric.
	change("kept")
	step(time.Second, "kept")
	if c.With("kept") != kept[0] || h.With("kept") != kept[4] {
		t.Error("With made another metric while the old one was in use")
	}
	got := text(t, r)
	for _, want := range []string{`c_total{l="kept"} 3`, `f_total{l="kept"} 1.5`, `g{l="kept"} 3`, `fg{l="kept"} 1.5`, `h_count{l="kept"} 3`, `h_sum{l="kept"} 3`} {
		if !strings.Contains(got, want+"\n") {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
	runtime.KeepAlive(kept)
}

// TestIdleExpiryByScrapes: the scrape itself judges.
func TestIdleExpiryByScrapes(t *testing.T) {
	r := NewRegistry()
	v := r.CounterVec("c_total", "", []string{"l"}, WithIdleExpiry(time.Nanosecond))
	v.With("x").Inc()
	if got := text(t, r); !strings.Contains(got, `c_total{l="x"} 1`) {
		t.Errorf("new series:\n%s", got)
	}
	text(t, r)                        // sees that it is new
	time.Sleep(time.Millisecond)      // longer than the expiry, by any clock
	if got := text(t, r); got != "" { // and that it is not any more
		t.Errorf("idle series:\n%s", got)
	}
	never := r.Counter("alone_total", "", WithIdleExpiry(time.Nanosecond))
	for range 3 {
		time.Sleep(time.Millisecond)
		if got := text(t, r); !strings.Contains(got, "alone_total 0\n") {
			t.Errorf("a metric without labels went:\n%s", got)
		}
	}
	runtime.KeepAlive(never)
}

// collect runs the garbage collector until f, which the finalizers lead to, is so.
func collect(t *testing.T, f func() bool) {
	t.Helper()
	for range 200 {
		if f() {
			return
		}
		runtime.GC()
		time.Sleep(time.Millisecond) // finalizers have a goroutine of their own
	}
	t.Fatal("the collector did not do it")
}

func parkedSeries(v *vec) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.parked())
}

func TestIdleSeriesLeaveMemory(t *testing.T) {
	r := NewRegistry()
	v := r.HistogramVec("h", "", nil, []string{"l"}, WithIdleExpiry(time.Minute))
	for i := range 1000 {
		v.With(strconv.Itoa(i)).Observe(1)
	}
	now := time.Now()
	scrapeAt(&v.vec, now)
	scrapeAt(&v.vec, now.Add(time.Second))
	if n := len(scrapeAt(&v.vec, now.Add(time.Hour))); n != 0 || parkedSeries(&v.vec) != 1000 {
		t.Fatalf("%d series, %d parked", n, parkedSeries(&v.vec))
	}
	collect(t, func() bool { return parkedSeries(&v.vec) == 0 })
	if n := v.Len(); n != 0 {
		t.Errorf("%d series came back unchanged", n)
	}
	if got := v.With("1").Snapshot().Count; got != 0 {
		t.Errorf("a series made anew begins with %d", got)
	}
}

// TestChangeBeforeCollection: what is recorded through a pointer that is dropped
// before the next scrape is not lost with it.
func TestChangeBeforeCollection(t *testing.T) {
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
			t.Fatal("not parked")
		}
		c.Inc()
	}()
	collect(t, func() bool { return v.Len() == 1 })
	if got := text(t, r); !strings.Contains(got, `c_total{l="x"} 3`) {
		t.Error(got)
	}
}

// TestBuriedIntoNewSeries: where With made a series anew before the finalizer of
// the old metric ran, that has what was recorded since the old one was parked.
func TestBuriedIntoNewSeries(t *testing.T) {
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
		m := scrapeAt(v, now.Add(time.Second))[0].m
		scrapeAt(v, now.Add(time.Hour))
		var p *parked
		for _, p = range v.parked() {
		}
		// The old metric as the finalizer gets it: changed since, and by now beside
		// a new one, which there is no way to time from outside.
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
		delete(v.parked(), p.key())
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
		v.parked()[p.key()] = p
		v.mu.Unlock()
		v.bury(p, m)
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

func TestDeletedWhileParked(t *testing.T) {
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
		if parkedSeries(&v.vec) != 1 {
			t.Fatalf("%s: not parked", name)
		}
		remove()
		g.Set(2)
		if n := len(scrapeAt(&v.vec, now.Add(2*time.Hour))); n != 0 || parkedSeries(&v.vec) != 0 {
			t.Errorf("%s: %d series came back, %d are parked", name, n, parkedSeries(&v.vec))
		}
		now = now.Add(3 * time.Hour)
		if again := v.With("x"); again == g || again.Value() != 0 {
			t.Errorf("%s: With found the deleted metric", name)
		}
		v.Reset()
	}
}

// TestExpiryUnderFire: whoever records how, nothing is lost: what was seen at the
// drop of a series and after its return adds up to what was recorded.
func TestExpiryUnderFire(t *testing.T) {
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
		t.Errorf("kept: %d", keep.Value())
	}
	keep.Inc()
	if got := text(t, r); !strings.Contains(got, `c_total{l="kept"} 8001`) {
		t.Errorf("kept:\n%s", got)
	}
}
