package tacho

import (
	"flag"
	"io"
	"maps"
	"math"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var stressFor = flag.Duration("stress", 0, "how long TestStress and TestSoak take each; 0 for a moment")

// A stress is a registry on which everything happens at once. The families whose
// names begin with kept_ lose no series: a round records once in each of them, so
// that their totals are known at any time.
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

	churn     *CounterVec // each series is of one goroutine, which keeps the pointer
	churnHist *HistogramVec
	contended *CounterVec // series of all, which delete them from under each other

	begun, ended atomic.Uint64 // rounds
	panics       atomic.Uint64 // of the collector
	fnPanics     atomic.Uint64 // of the gauge function
}

// A tally is what one goroutine did.
type tally struct {
	rounds, gauge, labelCount, negative, nan, exemplar uint64
	contended                                          uint64
	pointers                                           map[*Counter]bool // all that contended.With returned
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
		e.Gauge("contested", "Defined now and then.", 1)
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

// mistakes are counted and change nothing else.
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

// churned makes series, drops them in one of the ways there are, and goes on with
// the pointers.
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
		t.Errorf("a series that may be deleted holds %d, want 5, and %+v", n, c)
	}
}

// redefine removes a family of its own and makes it anew with another type, and
// does so with one that others want with another type at the same time.
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

func (s *stress) write(format string) func(io.Writer) error {
	return map[string]func(io.Writer) error{"text": s.r.WriteText, "OpenMetrics": s.r.WriteOpenMetrics, "JSON": s.r.WriteJSON}[format]
}

// scrape writes one format and holds it to what has been recorded by then.
func (s *stress) scrape(t *testing.T, format string, last map[string]float64) map[string]float64 {
	var b strings.Builder
	before := s.ended.Load()
	err := s.write(format)(&b)
	after := s.begun.Load()
	if err != nil {
		t.Fatal(err)
	}
	samples := strictReaders[format](t, b.String())
	last = strictSound(t, samples, last, func(s engSample) bool {
		return strings.HasPrefix(s.name, "kept_") && !strings.HasSuffix(s.name, "gauge") && !strings.HasSuffix(s.name, "_sum")
	})
	for name, n := range totals(samples) {
		if n < float64(before) || n > float64(after) {
			t.Errorf("%s: %s is %v after %d rounds and before %d", format, name, n, before, after)
		}
	}
	return last
}

// totals adds up the families in which a round records once, in rounds.
func totals(samples []engSample) map[string]float64 {
	sums := map[string]float64{
		"kept_total": 0, "kept_float_total": 0, "kept_seconds_count": 0, "kept_capped_total": 0, "kept_held_total": 0, "kept_held_count": 0,
	}
	for _, s := range samples {
		if _, ok := sums[s.name]; ok {
			sums[s.name] += s.value
		}
	}
	sums["kept_float_total"] *= 4
	return sums
}

// run lets workers and scrapers at the registry for a while.
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
	go func() { // clients that go away
		defer scraping.Done()
		for i := 0; !stop.Load(); i++ {
			if s.r.WriteText(&failing{n: i % 3}) == nil && i%3 == 0 {
				t.Error("a write failed and nobody said so")
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

// TestStress creates, records, keeps pointers, deletes, resets, unregisters,
// redefines and scrapes in all formats at once. Each scrape must be whole and hold
// at least what was recorded before it; in the end every count is exact.
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
		t.Errorf("series that were deleted and made again hold %d, want %d", contended, want.contended)
	}
	for format, read := range strictReaders {
		s.scrape(t, format, nil) // exact, since nothing runs: rounds begun are rounds ended
		var b strings.Builder
		if err := s.write(format)(&b); err != nil {
			t.Fatal(err)
		}
		sum, faults := map[string]float64{}, map[string]float64{}
		for _, x := range read(t, b.String()) {
			sum[x.name] += x.value
			if l := x.labels; x.name == "tacho_errors_total" && l[1][1] != "contested" {
				faults[l[2][1]] += x.value
				if l[2][1] == "panic" {
					faults[l[1][1]] += x.value
				}
			}
			if x.name == "kept_capped_total" && x.labels[1][1] == "other" {
				sum["overflowed"] = x.value
			}
		}
		half := float64(want.gauge) / 2
		if sum["kept_gauge"] != float64(want.gauge) || sum["kept_float_gauge"] != half {
			t.Errorf("%s: gauges %v and %v, want %d and %v", format, sum["kept_gauge"], sum["kept_float_gauge"], want.gauge, half)
		}
		if sum["overflowed"] != sum["tacho_series_overflow_total"] {
			t.Errorf("%s: %v overflowed, %v counted", format, sum["overflowed"], sum["tacho_series_overflow_total"])
		}
		for reason, n := range map[string]uint64{"label_count": want.labelCount, "negative": want.negative, "nan": want.nan, "exemplar": want.exemplar} {
			if faults[reason] != float64(n) {
				t.Errorf("%s: %v of reason %s, want %d", format, faults[reason], reason, n)
			}
		}
		// What this scrape called itself comes before tacho_errors_total in it.
		if want, fn := s.panics.Load(), s.fnPanics.Load(); faults[""] != float64(want) || faults["func"] != float64(fn) {
			t.Errorf("%s: %v and %v panics counted, want %d and %d", format, faults[""], faults["func"], want, fn)
		}
	}
}

// TestContention lets goroutines do nothing but record in the same metrics, so that
// two cores meet on every word there is: what a failed swap leaves must be found
// again, once.
func TestContention(t *testing.T) {
	const workers, each = 4, 20_000
	rounds := 100 // anew: stripes end the meetings
	if testing.Short() || raceEnabled {
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
					ready.Wait() // else the first may end before the last begins
					for range each {
						record()
					}
				}()
			}
			done.Wait()
		}
		n := uint64(workers * each)
		if s := h.Snapshot(); s.Count != n || s.Sum != float64(2*n) || s.Buckets[0].Count != 0 {
			t.Errorf("histogram %+v, want %d", s, n)
		}
		if half := float64(n) / 2; c.Value() != n || g.Value() != int64(n) || f.Value() != half || fg.Value() != half {
			t.Errorf("%d, %d, %v and %v of %d and %v", c.Value(), g.Value(), f.Value(), fg.Value(), n, half)
		}
	}
}

// TestSoak makes and drops series, definitions and exemplars without end, and wants
// the heap, once garbage is collected, to be no larger after any cycle than after
// the first ones.
func TestSoak(t *testing.T) {
	const warm, bound = 3, 512 << 10
	s := newStress()
	var first, last, highest, inuse uint64
	end := time.Now().Add(*stressFor)
	cycles := 0
	for ; cycles < warm+8 || time.Now().Before(end); cycles++ {
		s.cycle(t, cycles)
		runtime.GC()
		runtime.GC() // pools are empty after the second
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		last = m.HeapAlloc
		if cycles < warm {
			first, inuse = last, m.HeapInuse
			continue
		}
		highest = max(highest, last)
		if last > first+bound || m.HeapInuse > 2*inuse+bound {
			t.Fatalf("cycle %d: %d bytes of heap, %d in use; %d and %d after %d cycles", cycles, last, m.HeapInuse, first, inuse, warm)
		}
	}
	t.Logf("%d cycles of %d series each; heap %d bytes after %d cycles, %d at the highest, %d at the end",
		cycles, soakWorkers*soakSeries*3, first, warm, highest, last)
}

const soakWorkers, soakSeries = 4, 300

// cycle makes 3 vectors' worth of series in each of some goroutines, scrapes
// meanwhile, and drops all of them.
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
				case 1: // as Delete does it, by somebody who does not know the values
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
		for format := range strictReaders {
			s.scrape(t, format, nil)
		}
	}()
	writing.Wait()
	<-scraping
	// Half of the cycles drop what is left one by one.
	if n%2 == 0 {
		s.churn.DeleteFunc(func([]string) bool { return true })
		s.churnHist.DeleteFunc(func([]string) bool { return true })
	} else {
		s.churn.Reset()
		s.churnHist.Reset()
	}
	s.contended.Reset()
}
