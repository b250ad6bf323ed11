package tacho

import (
	"flag"
	"maps"
	"math"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tachikoma/tacho/internal/race"
	"github.com/tachikoma/tacho/internal/testkit"
)

var stressFor = flag.Duration("stress", 0, "duration of TestStress and of TestSoak, 0 for a short run; if not 0, other tests run longer too")

// A stress is a registry with goroutines that use all of its methods at the same time. No
// series of a family is deleted if the name of the family begins with kept_. A round
// records once in each of these families, so the number of rounds is their total.
type stress struct {
	r           *Registry
	counters    *CounterVec
	floats      *FloatCounterVec
	gauges      *GaugeVec
	floatGauges *FloatGaugeVec
	histograms  *HistogramVec
	capped      *CounterVec
	held        *Counter
	heldHist    *Histogram

	churn     *CounterVec // one goroutine uses each series, and keeps the pointer
	churnHist *HistogramVec
	contended *CounterVec // all goroutines use and delete the series

	begun, ended atomic.Uint64 // rounds
	panics       atomic.Uint64 // of the collector
	fnPanics     atomic.Uint64 // of the gauge function
}

// A tally counts the calls of one goroutine.
type tally struct {
	rounds, gauge, labelCount, negative, nan, exemplar uint64
	contended                                          uint64
	pointers                                           map[*Counter]bool // all results of contended.With
}

func newStress() *stress {
	r := NewRegistry(WithConstLabels("const", "\"\\\n"), WithCreated())
	bounds := []float64{0, 1, 2, 3}
	s := &stress{
		r:           r,
		counters:    r.CounterVec("kept_total", "", []string{"who"}),
		floats:      r.FloatCounterVec("kept_float_total", "", []string{"who"}),
		gauges:      r.GaugeVec("kept_gauge", "", []string{"who"}),
		floatGauges: r.FloatGaugeVec("kept_float_gauge", "", []string{"who"}),
		histograms:  r.HistogramVec("kept_seconds", "", bounds, []string{"who"}, WithUnit("seconds")),
		capped:      r.CounterVec("kept_capped_total", "", []string{"who"}, WithMaxSeries(50)),
		held:        r.Counter("kept_held_total", ""),
		heldHist:    r.Histogram("kept_held", "", bounds),
		churn:       r.CounterVec("churn_total", "", []string{"g", "i"}),
		churnHist:   r.HistogramVec("churn_seconds", "", nil, []string{"g", "i"}),
		contended:   r.CounterVec("contended_total", "", []string{"i"}),
	}
	var collects, calls atomic.Uint64
	r.Collect(func(e *Emitter) {
		n := collects.Add(1)
		e.Counter("emitted_total", "", float64(n))
		e.Histogram("emitted", "", HistogramSnapshot{Count: n, Sum: 1, Buckets: []Bucket{{1, n / 2}}}, "a", "b")
		e.Gauge("contested", "Sometimes defined, sometimes collected.", 1)
		if n%7 == 0 {
			s.panics.Add(1)
			panic("a collector")
		}
	})
	r.GaugeFunc("func", "", func() float64 {
		if calls.Add(1)%5 == 0 {
			s.fnPanics.Add(1)
			panic("a function")
		}
		return 1
	})
	return s
}

// round is the i-th round of goroutine g.
func (s *stress) round(t *testing.T, g, i int, y *tally) {
	who := strconv.Itoa(i % 20)
	s.begun.Add(1)
	if i%16 == 0 {
		s.counters.With(who).AddExemplar(1, "trace_id", who, "quote", "\" # {")
		s.floats.With(who).AddExemplar(0.25, "trace_id", who)
		s.histograms.With(who).ObserveExemplar(float64(i%5), "trace_id", who)
	} else {
		s.counters.With(who).Inc()
		s.floats.With(who).Add(0.25)
		s.histograms.With(who).Observe(float64(i % 5))
	}
	s.gauges.With(who).Add(int64(i % 3))
	s.floatGauges.With(who).Add(float64(i%3) / 2)
	s.capped.With(strconv.Itoa(i % 200)).Inc()
	s.held.Inc()
	s.heldHist.Observe(float64(i % 5))
	s.ended.Add(1)
	y.rounds++
	y.gauge += uint64(i % 3)

	p := s.contended.With(strconv.Itoa(i % 8))
	p.Inc()
	y.contended++
	y.pointers[p] = true
	switch {
	case i%256 == 100:
		s.contended.Delete(strconv.Itoa(i / 256 % 8))
	case i%1024 == 200:
		s.contended.Reset()
	case i%64 == 30:
		s.mistakes(y)
	case i%32 == 10:
		s.churned(t, g, i)
	case i%128 == 60:
		s.redefine(g, i)
	}
}

// mistakes makes calls that are refused and counted.
func (s *stress) mistakes(y *tally) {
	s.counters.With().Inc()
	s.histograms.With("a", "b").Observe(1)
	y.labelCount += 2
	s.floats.With("0").Add(-1)
	y.negative++
	s.histograms.With("0").Observe(math.NaN())
	s.floats.With("0").Add(math.NaN())
	y.nan += 2
	s.counters.With("0").AddExemplar(0, "odd")
	s.heldHist.ObserveExemplar(math.NaN(), "never", "made")
	y.nan++
	y.exemplar++
}

// churned creates series, deletes them in one of three ways, and records again through the
// pointers.
func (s *stress) churned(t *testing.T, g, i int) {
	mine, n := strconv.Itoa(g), strconv.Itoa(i)
	p, h := s.churn.With(mine, n), s.churnHist.With(mine, n)
	p.Add(2)
	h.Observe(1)
	switch i / 32 % 5 {
	case 0:
		s.churn.Delete(mine, n)
		s.churnHist.Delete(mine, n)
	case 1:
		s.churn.DeleteFunc(func(values []string) bool { return values[0] == mine })
		s.churnHist.DeleteFunc(func(values []string) bool { return values[0] == mine })
	case 2:
		if i%64 == 10 {
			s.churn.Reset()
			s.churnHist.Reset()
		}
	}
	p.Add(3)
	h.Observe(2)
	if n, c := p.Value(), h.Snapshot(); n != 5 || c.Count != 2 || c.Sum != 3 {
		t.Errorf("a series that may be deleted has value %d, want 5, and %+v", n, c)
	}
}

// redefine unregisters a family of goroutine g and defines it with another type. It does the
// same with a family that other goroutines define with other types at the same time.
func (s *stress) redefine(g, i int) {
	name := "flip_" + strconv.Itoa(g)
	s.r.Unregister(name)
	switch i / 128 % 3 {
	case 0:
		s.r.Counter(name, "").Inc()
	case 1:
		s.r.GaugeVec(name, "", []string{"a"}).With("b").Inc()
	case 2:
		s.r.Histogram(name, "", nil).Observe(1)
	}
	switch i / 128 % 4 {
	case 0:
		Try(func() *Gauge { return s.r.Gauge("contested", "") })
	case 1:
		Try(func() *Counter { return s.r.Counter("contested_total", "") })
	case 2:
		Try(func() *Histogram { return s.r.Histogram("contested", "", nil) })
	case 3:
		s.r.Unregister("contested")
		s.r.Unregister("contested_total")
	}
}

// scrape parses a scrape and compares it with the recordings before and during the scrape.
// last is the result of the scrape before.
func (s *stress) scrape(t *testing.T, format string, last map[string]float64) map[string]float64 {
	var b strings.Builder
	before := s.ended.Load()
	err := writers(s.r)[format](&b)
	after := s.begun.Load()
	if err != nil {
		t.Fatal(err)
	}
	samples := testkit.Parsers[format](t, b.String())
	testkit.CheckHistograms(t, samples)
	last = testkit.CheckMonotonic(t, samples, last, func(s testkit.Sample) bool {
		return strings.HasPrefix(s.Name, "kept_") && !strings.HasSuffix(s.Name, "gauge") && !strings.HasSuffix(s.Name, "_sum")
	})
	for name, n := range totals(samples) {
		if n < float64(before) || n > float64(after) {
			t.Errorf("%s: %s is %v after %d rounds and before %d", format, name, n, before, after)
		}
	}
	return last
}

// totals returns the total of each family in which a round records once, in rounds.
func totals(samples []testkit.Sample) map[string]float64 {
	sums := map[string]float64{
		"kept_total": 0, "kept_float_total": 0, "kept_seconds_count": 0, "kept_capped_total": 0, "kept_held_total": 0, "kept_held_count": 0,
	}
	for _, s := range samples {
		if _, ok := sums[s.Name]; ok {
			sums[s.Name] += s.Value
		}
	}
	sums["kept_float_total"] *= 4
	return sums
}

// run starts workers and scrapers and stops them after d.
func (s *stress) run(t *testing.T, d time.Duration) (total tally) {
	const workers = 8
	var stop atomic.Bool
	var writing, scraping sync.WaitGroup
	tallies := make([]tally, workers)
	for g := range tallies {
		y := &tallies[g]
		y.pointers = map[*Counter]bool{}
		writing.Add(1)
		go func() {
			defer writing.Done()
			for i := 0; !stop.Load() || i < 500; i++ {
				s.round(t, g, i, y)
				runtime.Gosched() // for machines with one thread and no preemption
			}
		}()
	}
	for _, format := range []string{"text", "OpenMetrics", "JSON"} {
		scraping.Add(1)
		go func() {
			defer scraping.Done()
			var last map[string]float64
			for ok := true; ok; ok = !stop.Load() && !t.Failed() {
				last = s.scrape(t, format, last)
				runtime.Gosched()
			}
		}()
	}
	scraping.Add(1)
	go func() { // clients that close the connection
		defer scraping.Done()
		for i := 0; !stop.Load(); i++ {
			if s.r.WriteText(&failingWriter{n: i % 3}) == nil && i%3 == 0 {
				t.Error("WriteText returns nil after a failed write")
			}
			runtime.Gosched()
		}
	}()
	time.Sleep(d)
	stop.Store(true)
	writing.Wait()
	scraping.Wait()
	total.pointers = map[*Counter]bool{}
	for _, y := range tallies {
		total.rounds += y.rounds
		total.gauge += y.gauge
		total.labelCount += y.labelCount
		total.negative += y.negative
		total.nan += y.nan
		total.exemplar += y.exemplar
		total.contended += y.contended
		maps.Copy(total.pointers, y.pointers)
	}
	return total
}

// TestStress creates, records, keeps pointers, deletes, resets, unregisters, redefines and
// scrapes in all formats at the same time. Each scrape must be valid and have every
// recording that ended before the scrape. In the end every count must be exact.
func TestStress(t *testing.T) {
	d := 400 * time.Millisecond
	if *stressFor > 0 {
		d = *stressFor
	}
	s := newStress()
	want := s.run(t, d)
	t.Logf("%d rounds", want.rounds)

	var contended uint64
	for p := range want.pointers {
		contended += p.Value()
	}
	if contended != want.contended {
		t.Errorf("series that were deleted and created again have a total of %d, want %d", contended, want.contended)
	}
	for format, parse := range testkit.Parsers {
		s.scrape(t, format, nil) // exact: as many rounds have ended as have begun
		sum, faults := map[string]float64{}, map[string]float64{}
		for _, x := range parse(t, write(t, writers(s.r)[format])) {
			sum[x.Name] += x.Value
			if l := x.Labels; x.Name == "tacho_errors_total" && l[1].Value != "contested" {
				faults[l[2].Value] += x.Value
				if l[2].Value == "panic" {
					faults[l[1].Value] += x.Value
				}
			}
			if x.Name == "kept_capped_total" && x.Labels[1].Value == "other" {
				sum["overflowed"] = x.Value
			}
		}
		half := float64(want.gauge) / 2
		if sum["kept_gauge"] != float64(want.gauge) || sum["kept_float_gauge"] != half {
			t.Errorf("%s: gauges %v and %v, want %d and %v", format, sum["kept_gauge"], sum["kept_float_gauge"], want.gauge, half)
		}
		if sum["overflowed"] != sum["tacho_series_overflow_total"] {
			t.Errorf("%s: the overflow series has %v, %v overflows are counted", format, sum["overflowed"], sum["tacho_series_overflow_total"])
		}
		for reason, n := range map[string]uint64{"label_count": want.labelCount, "negative": want.negative, "nan": want.nan, "exemplar": want.exemplar} {
			if faults[reason] != float64(n) {
				t.Errorf("%s: %v errors with reason %s, want %d", format, faults[reason], reason, n)
			}
		}
		// Panics of this scrape are in its tacho_errors_total: that family is sorted behind
		// the functions, and collectors run first.
		if want, fn := s.panics.Load(), s.fnPanics.Load(); faults[""] != float64(want) || faults["func"] != float64(fn) {
			t.Errorf("%s: %v and %v panics counted, want %d and %d", format, faults[""], faults["func"], want, fn)
		}
	}
}

// TestContention records in the same metrics from several goroutines at the same time. If
// a compare-and-swap fails, the value must still be added exactly once.
func TestContention(t *testing.T) {
	const workers, each = 4, 20_000
	rounds := 100 // with new metrics, because stripes end the contention
	if testing.Short() || race.Enabled {
		rounds = 5
	}
	for range rounds {
		r := NewRegistry()
		c, f, h := r.Counter("c_total", ""), r.FloatCounter("f_total", ""), r.Histogram("h", "", []float64{1, 2})
		g, fg := r.Gauge("g", ""), r.FloatGauge("fg", "")
		for _, record := range []func(){c.Inc, func() { f.Add(0.5) }, func() { h.Observe(2) }, g.Inc, func() { fg.Add(0.5) }} {
			var ready, done sync.WaitGroup
			ready.Add(workers)
			for range workers {
				done.Add(1)
				go func() {
					defer done.Done()
					ready.Done()
					ready.Wait() // otherwise the first may end before the last begins
					for range each {
						record()
					}
				}()
			}
			done.Wait()
		}
		n := uint64(workers * each)
		if s := h.Snapshot(); s.Count != n || s.Sum != float64(2*n) || s.Buckets[0].Count != 0 {
			t.Errorf("histogram %+v, want %d observations", s, n)
		}
		if half := float64(n) / 2; c.Value() != n || g.Value() != int64(n) || f.Value() != half || fg.Value() != half {
			t.Errorf("%d, %d, %v and %v, want %d and %v", c.Value(), g.Value(), f.Value(), fg.Value(), n, half)
		}
	}
}

// TestSoak creates and deletes series, definitions and exemplars for the duration of the
// flag. After garbage collection, the heap must not grow from cycle to cycle.
func TestSoak(t *testing.T) {
	const warm, bound = 3, 512 << 10
	s := newStress()
	var first, last, highest, inuse uint64
	end := time.Now().Add(*stressFor)
	cycles := 0
	for ; cycles < warm+8 || time.Now().Before(end); cycles++ {
		s.cycle(t, cycles)
		runtime.GC()
		runtime.GC() // the second call empties pools
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		last = m.HeapAlloc
		if cycles < warm {
			first, inuse = last, m.HeapInuse
			continue
		}
		highest = max(highest, last)
		if last > first+bound || m.HeapInuse > 2*inuse+bound {
			t.Fatalf("cycle %d: the heap has %d bytes, %d in use, but had %d and %d after %d cycles", cycles, last, m.HeapInuse, first, inuse, warm)
		}
	}
	t.Logf("%d cycles of %d series each. The heap had %d bytes after %d cycles, at most %d, and %d at the end",
		cycles, soakWorkers*soakSeries*3, first, warm, highest, last)
}

const soakWorkers, soakSeries = 4, 300

// cycle creates series of three vectors from soakWorkers goroutines, scrapes at the same
// time, and deletes all series.
func (s *stress) cycle(t *testing.T, n int) {
	var writing sync.WaitGroup
	for g := range soakWorkers {
		writing.Add(1)
		go func() {
			defer writing.Done()
			mine := strconv.Itoa(g)
			y := tally{pointers: map[*Counter]bool{}}
			name := "soak_" + strconv.Itoa(n) + "_" + mine
			own := s.r.FloatCounterVec(name, "Of one cycle.", []string{"i"})
			for i := range soakSeries {
				id := strconv.Itoa(n) + "/" + strconv.Itoa(i)
				s.churn.With(mine, id).AddExemplar(1, "trace_id", id)
				s.churnHist.With(mine, id).ObserveExemplar(1, "trace_id", id)
				own.With(id).Add(1)
				s.round(t, g, i, &y)
				switch i % 4 {
				case 0:
					s.churn.Delete(mine, id)
					s.churnHist.Delete(mine, id)
				case 1: // like Delete, without the exact values
					s.churn.DeleteFunc(func(values []string) bool { return values[1] == id })
				}
				if i%100 == 0 {
					runtime.Gosched()
				}
			}
			s.r.Unregister(name)
		}()
	}
	scraping := make(chan struct{})
	go func() {
		defer close(scraping)
		for format := range testkit.Parsers {
			s.scrape(t, format, nil)
		}
	}()
	writing.Wait()
	<-scraping
	// Every second cycle deletes the remaining series one by one.
	if n%2 == 0 {
		s.churn.DeleteFunc(func([]string) bool { return true })
		s.churnHist.DeleteFunc(func([]string) bool { return true })
	} else {
		s.churn.Reset()
		s.churnHist.Reset()
	}
	s.contended.Reset()
}
