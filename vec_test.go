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

	"github.com/tachikoma/tacho/internal/race"
	"github.com/tachikoma/tacho/internal/store"
	"github.com/tachikoma/tacho/internal/stripe"
	"github.com/tachikoma/tacho/internal/testkit"
)

// TestWithDistinguishesValues: different values have different series, also if the values
// are the same when put together.
func TestWithDistinguishesValues(t *testing.T) {
	v := NewRegistry().CounterVec("x", "", []string{"a", "b"})
	pairs := [][2]string{{"a", "bc"}, {"ab", "c"}, {"", "abc"}, {"abc", ""}, {"", ""}, {"\x00", ""}, {"", "\x00"}, {"a\n", `"`}, {`a\n`, `"`}, {`a"`, ""}, {`",b="`, ""},
		{strings.Repeat("x", 1000), strings.Repeat("y", 1000)}, {"12345678", "1234567"}, {"1234567", "12345678"}}
	for i, p := range pairs {
		v.With(p[0], p[1]).Add(uint64(i + 1))
	}
	for i, p := range pairs {
		if got := v.With(p[0], p[1]).Value(); got != uint64(i+1) {
			t.Errorf("%q: value %d, want %d", p, got, i+1)
		}
	}
	if v.Len() != len(pairs) {
		t.Errorf("%d series, want %d", v.Len(), len(pairs))
	}
}

// TestWithInvalidUTF8: a run of invalid bytes is one U+FFFD. The byte that separates values
// in keys is among them.
func TestWithInvalidUTF8(t *testing.T) {
	r := NewRegistry()
	v := r.CounterVec("x", "", []string{"a", "b"})
	for _, bad := range []string{"a\xffb", "a\xfeb", "a\xff\xfe\x80b"} {
		v.With(bad, "c").Inc()
	}
	v.With("a�b", "c").Inc()
	v.With("a", "b\xffc").Inc()
	if got := text(t, r); !strings.Contains(got, `x{a="a�b",b="c"} 4`) || v.Len() != 2 {
		t.Errorf("%d series:\n%s", v.Len(), got)
	}
	if race.Enabled {
		return
	}
	if n := testing.AllocsPerRun(100, func() { v.With("a\xffb", "c").Inc() }); n != 0 {
		t.Errorf("%v allocations for a value with invalid UTF-8", n)
	}
	if !v.Delete("a\xffb", "c") || v.Delete("a\xffb", "c") {
		t.Error("Delete does not find what With found")
	}
}

// TestWithCopiesValues: a new series copies its values.
func TestWithCopiesValues(t *testing.T) {
	r := NewRegistry()
	v := r.CounterVec("x", "", []string{"a"})
	buf := []byte("first")
	v.With(unsafe.String(&buf[0], len(buf))).Inc()
	copy(buf, "other")
	if got := text(t, r); !strings.Contains(got, `x{a="first"} 1`) || v.With("first").Value() != 1 {
		t.Error(got)
	}
}

// TestReusedBuffer looks up series through one buffer whose bytes change. The series must
// not change with the buffer.
func TestReusedBuffer(t *testing.T) {
	r := NewRegistry()
	v := r.HistogramVec("x", "", []float64{}, []string{"a", "b"})
	buf := make([]byte, 3)
	value := unsafe.String(&buf[0], len(buf))
	for i := range 500 {
		copy(buf, fmt.Sprintf("%03d", i%100))
		v.With(value, value).Observe(1)
	}
	copy(buf, "\xff\xff\xff")
	v.With(value, value).Observe(1)
	copy(buf, "***")
	samples := testkit.ParseText(t, text(t, r))
	if v.Len() != 101 || len(samples) != 303 {
		t.Errorf("%d series, %d samples", v.Len(), len(samples))
	}
	for i := range 100 {
		s := fmt.Sprintf("%03d", i)
		if got := v.With(s, s).Snapshot().Count; got != 5 {
			t.Errorf("%s: %d observations, want 5", s, got)
		}
	}
	if got := v.With("\xff", "\xff").Snapshot().Count; got != 1 {
		t.Errorf("invalid UTF-8: %d observations, want 1", got)
	}
}

func TestWrongNumberOfValues(t *testing.T) {
	r := NewRegistry()
	v := r.HistogramVec("x", "", nil, []string{"a", "b"})
	v.With("1").Observe(1)
	v.With().Observe(1)
	v.With("1", "2", "3").Observe(1)
	if v.Delete("1") || v.Len() != 0 {
		t.Errorf("a wrong number of values created or deleted a series: %d series", v.Len())
	}
	if got := text(t, r); !strings.Contains(got, `tacho_errors_total{metric="x",reason="label_count"} 4`) || strings.Contains(got, "x_count") {
		t.Error(got)
	}
}

func TestManySeries(t *testing.T) {
	v := NewRegistry().CounterVec("x", "", []string{"a"})
	const n = 100000
	for i := range n {
		v.With(strconv.Itoa(i)).Add(uint64(i))
	}
	for i := range n {
		if got := v.With(strconv.Itoa(i)).Value(); got != uint64(i) {
			t.Fatalf("series %d has value %d", i, got)
		}
	}
	order := listed(&v.vec, v.ordered())
	if v.Len() != n || len(order) != n || !slices.IsSortedFunc(order, slices.Compare[[]string]) {
		t.Errorf("%d series, %d in order, want %d, sorted", v.Len(), len(order), n)
	}
}

// TestHitsAllocateNothing: no recording in an existing series allocates. This includes
// refused recordings.
func TestHitsAllocateNothing(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector allocates")
	}
	r := NewRegistry()
	c := r.CounterVec("c", "", []string{"a", "b", "c"})
	h := r.HistogramVec("h", "", nil, []string{"a"})
	f := r.FloatCounter("f", "")
	g := r.FloatGauge("g", "")
	record := func() {
		c.With("one", "two", "three").Inc()
		c.With("wrong").Inc()
		h.With("one").Observe(0.5)
		f.Add(0.5)
		f.Add(-1)
		g.Add(1)
	}
	record()
	if n := testing.AllocsPerRun(100, record); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestEarlySeriesShareNoCacheLine: the metrics of the first series of a vector have cache
// lines of their own.
func TestEarlySeriesShareNoCacheLine(t *testing.T) {
	r := NewRegistry()
	c, g := r.CounterVec("c", "", []string{"i"}), r.GaugeVec("g", "", []string{"i"})
	f, h := r.FloatCounterVec("f", "", []string{"i"}), r.FloatGaugeVec("h", "", []string{"i"})
	var lines []uintptr
	for i := range store.Early {
		name := strconv.Itoa(i)
		for _, p := range []unsafe.Pointer{unsafe.Pointer(c.With(name)), unsafe.Pointer(g.With(name)), unsafe.Pointer(f.With(name)), unsafe.Pointer(h.With(name))} {
			lines = append(lines, uintptr(p)/stripe.CacheLine)
		}
	}
	slices.Sort(lines)
	if n := len(slices.Compact(lines)); n != 4*store.Early {
		t.Errorf("%d metrics begin on %d lines", 4*store.Early, n)
	}
}

// TestConcurrentVec creates, records, deletes and scrapes at the same time. In the end,
// the series that no goroutine deletes have every recording. Each scrape is consistent.
func TestConcurrentVec(t *testing.T) {
	r := NewRegistry()
	v := r.CounterVec("x", "", []string{"who", "i"})
	h := r.HistogramVec("h", "", []float64{1, 2}, []string{"who"})
	const workers, rounds = 6, 3000
	var writers sync.WaitGroup
	for w := range workers {
		writers.Add(1)
		go func() {
			defer writers.Done()
			who := strconv.Itoa(w)
			for i := range rounds {
				v.With("kept", strconv.Itoa(i%50)).Inc()
				v.With(who, strconv.Itoa(i%20)).Inc()
				h.With("all").Observe(float64(i % 4))
				switch i % 100 {
				case 20:
					v.Delete(who, "3")
				case 60:
					v.DeleteFunc(func(values []string) bool { return values[0] == who })
				case 80:
					r.Gauge(fmt.Sprintf("g%d_%d", w, i), "").Inc()
					r.Unregister(fmt.Sprintf("g%d_%d", w, i))
				}
			}
		}()
	}
	done := make(chan struct{})
	scraped := make(chan struct{})
	go func() {
		defer close(scraped)
		last := map[string]uint64{}
		for ; ; runtime.Gosched() {
			checkScrape(t, text(t, r), last)
			select {
			case <-done:
				return
			default:
			}
		}
	}()
	writers.Wait()
	close(done)
	<-scraped
	var total uint64
	for i := range 50 {
		total += v.With("kept", strconv.Itoa(i)).Value()
	}
	if total != workers*rounds {
		t.Errorf("%d recorded, want %d", total, workers*rounds)
	}
	if s := h.With("all").Snapshot(); s.Count != workers*rounds || s.Sum != workers*rounds*1.5 {
		t.Errorf("histogram %v, want %d", s, workers*rounds)
	}
}

// checkScrape fails the test if a series repeats, or a kept counter, a bucket or a _count
// is no integer or has decreased since last. It also fails the test if _count differs from
// the bucket for +Inf.
func checkScrape(t *testing.T, scrape string, last map[string]uint64) {
	t.Helper()
	count, bucket := "", ""
	for _, s := range testkit.ParseText(t, scrape) {
		switch {
		case s.Name == "h_count":
			count = s.Text
		case s.Name == "h_bucket" && s.Labels[1].Value == "+Inf":
			bucket = s.Text
		case s.Name == "x" && s.Labels[0].Value == "kept", s.Name == "h_bucket":
		default:
			continue
		}
		key := s.Key()
		n, err := strconv.ParseUint(s.Text, 10, 64)
		if err != nil || n < last[key] {
			t.Errorf("%s went from %d to %s", key, last[key], s.Text)
		}
		last[key] = n
	}
	if count != bucket {
		t.Errorf("_count is %s, the bucket for +Inf %s", count, bucket)
	}
}

// TestRecordingTakesNoLock: if the series exists, a recording takes no lock, so it never
// waits for a goroutine that creates, deletes, sorts or scrapes. Here the test holds all
// mutexes during the recordings.
func TestRecordingTakesNoLock(t *testing.T) {
	r := NewRegistry()
	c, f := r.CounterVec("c", "", []string{"l"}), r.FloatCounterVec("f", "", []string{"l"})
	g, h := r.GaugeVec("g", "", []string{"l"}), r.HistogramVec("h", "", nil, []string{"l"})
	full := r.CounterVec("full", "", []string{"l"}, WithMaxSeries(1))
	idle := r.CounterVec("idle", "", []string{"l"}, WithIdleExpiry(time.Hour))
	n := 0
	record := func() {
		n++
		for _, value := range []string{"x", "\xff"} { // vec.find finds the first value, vec.slow the second
			c.With(value).Inc()
			f.With(value).Add(0.5)
			g.With(value).Set(1)
			h.With(value).Observe(1)
			idle.With(value).Inc()
		}
		full.With("x").Inc()
		full.With(strconv.Itoa(n)).Inc() // past the limit, and a new value each time
		c.With("too", "many").Inc()
		f.With("x").Add(-1)
	}
	record()
	record() // now the series that count refusals exist too
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, v := range []*vec{&c.vec, &f.vec, &g.vec, &h.vec, &full.vec, &idle.vec, r.errors, r.overflow} {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.orderMu.Lock()
		defer v.orderMu.Unlock()
	}
	recorded := make(chan struct{})
	go func() {
		for range 100 {
			record()
		}
		close(recorded)
	}()
	select {
	case <-recorded:
	case <-time.After(time.Minute):
		t.Fatal("a recording waits for a lock")
	}
	if got := c.With("x").Value(); got != 102 {
		t.Errorf("value %d, want 102", got)
	}
}
