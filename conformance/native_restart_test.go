package conformance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/util/teststorage"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/internal/native"
)

// restartAfter sets the time after which an exposition restarts a histogram whose resolution fell.
// Tests that call restartAfter are not parallel.
func restartAfter(t *testing.T, d time.Duration) {
	old := native.RestartAfter
	native.RestartAfter = d
	t.Cleanup(func() { native.RestartAfter = old })
}

// A scrapedSeries is a series of one scrape: a native histogram or a float.
type scrapedSeries struct {
	labels labels.Labels
	native *histogram.Histogram
	float  float64
	start  int64 // Unix milliseconds; 0 if the series has none
}

// scrapeProtobuf returns the series of a registry as the scrape loop of Prometheus parses them, by
// their text. Classic series are always in the result.
func scrapeProtobuf(t testing.TB, reg *tacho.Registry) map[string]scrapedSeries {
	t.Helper()
	var b bytes.Buffer
	if err := reg.WriteProtobuf(&b); err != nil {
		t.Fatal(err)
	}
	p, err := textparse.New(b.Bytes(), typeProtobuf, labels.NewSymbolTable(), textparse.ParserOptions{KeepClassicOnClassicAndNativeHistograms: true})
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]scrapedSeries{}
	for {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		var s scrapedSeries
		switch entry {
		case textparse.EntrySeries:
			_, _, s.float = p.Series()
		case textparse.EntryHistogram:
			_, _, h, float := p.Histogram()
			if float != nil {
				t.Fatalf("a float histogram: %v", float)
			}
			if err := h.Validate(); err != nil {
				t.Fatalf("%v: %v", h, err)
			}
			s.native = h
		default:
			continue
		}
		var ls labels.Labels
		p.Labels(&ls)
		s.labels, s.start = ls.Copy(), p.StartTimestamp()
		all[s.labels.String()] = s
	}
}

// reference returns the native buckets of values in a schema, as client_golang counts them.
func nativeReference(t testing.TB, schema int, values []float64) tacho.NativeSnapshot {
	t.Helper()
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "h", NativeHistogramBucketFactor: factor(schema)})
	for _, v := range values {
		h.Observe(v)
	}
	var m dto.Metric
	if err := h.Write(&m); err != nil {
		t.Fatal(err)
	}
	return nativeSnapshot(m.Histogram)
}

// fromFloat returns a histogram of the query engine as a snapshot.
func fromFloat(h *histogram.FloatHistogram) tacho.NativeSnapshot {
	side := func(it histogram.BucketIterator[float64]) []tacho.NativeBucket {
		list := []tacho.NativeBucket{}
		for it.Next() {
			if b := it.At(); b.Count != 0 {
				list = append(list, tacho.NativeBucket{Index: int(b.Index), Count: uint64(b.Count)})
			}
		}
		return list
	}
	return tacho.NativeSnapshot{
		Schema: int(h.Schema), ZeroThreshold: h.ZeroThreshold, ZeroCount: uint64(h.ZeroCount),
		Positive: side(h.PositiveBucketIterator()), Negative: side(h.NegativeBucketIterator()),
	}
}

// total returns the sum of values, whose sums are exact; see exact.
func total(values []float64) (sum float64) {
	for _, v := range values {
		sum += v
	}
	return sum
}

// exact rounds v to a multiple of 2^-10: the sum of such values does not depend on their order.
func exact(v float64) float64 { return math.Round(v*1024) / 1024 }

// A storedScrapes is a storage of Prometheus with scrapes at fixed times.
type storedScrapes struct {
	db     *teststorage.TestStorage
	engine *promql.Engine
	first  time.Time
	last   time.Time
}

const fixedInterval = 15 * time.Second

func newStoredScrapes(t *testing.T) *storedScrapes {
	s := &storedScrapes{db: teststorage.New(t), engine: promql.NewEngine(promql.EngineOpts{MaxSamples: 1e6, Timeout: time.Minute})}
	t.Cleanup(func() { s.engine.Close() })
	return s
}

// add stores a scrape 15 seconds after the scrape before.
func (s *storedScrapes) add(t *testing.T, all map[string]scrapedSeries) {
	t.Helper()
	if s.last = s.last.Add(fixedInterval); s.first.IsZero() {
		s.first = time.UnixMilli(1_800_000_000_000)
		s.last = s.first
	}
	app := s.db.Appender(context.Background())
	for _, x := range all {
		var err error
		if x.native != nil {
			_, err = app.AppendHistogram(0, x.labels, s.last.UnixMilli(), x.native, nil)
		} else {
			_, err = app.Append(0, x.labels, s.last.UnixMilli(), x.float)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := app.Commit(); err != nil {
		t.Fatal(err)
	}
}

// query returns the result of a query with a single result.
func (s *storedScrapes) query(t *testing.T, expr string) promql.Sample {
	t.Helper()
	q, err := s.engine.NewInstantQuery(t.Context(), s.db, nil, expr, s.last)
	if err != nil {
		t.Fatalf("%s: %v", expr, err)
	}
	defer q.Close()
	result := q.Exec(t.Context())
	v, err := result.Vector()
	if err != nil || len(v) != 1 || len(result.Warnings) != 0 {
		t.Fatalf("%s: %v, warnings %v, %d results, want 1", expr, err, result.Warnings, len(v))
	}
	return v[0]
}

// TestNativeRestart lowers the resolution of a histogram by peaks, and lets expositions restart the
// histogram. It scrapes at fixed times and reads the scrapes like Prometheus does. Prometheus sees
// a counter reset after each restart and nowhere else, and increase() and rate() have all
// observations.
func TestNativeRestart(t *testing.T) {
	for _, bounds := range [][]float64{nil, {.25, .5, 1, 2, 4}} {
		t.Run(fmt.Sprint(len(bounds), " classic bounds"), func(t *testing.T) { testNativeRestart(t, bounds) })
	}
}

func testNativeRestart(t *testing.T, bounds []float64) {
	const limit = 40
	restartAfter(t, time.Hour)
	reg := tacho.NewRegistry(tacho.WithCreated())
	h := reg.Histogram("h", "", bounds, tacho.WithNative(tacho.NativeConfig{MaxBuckets: limit}))
	rnd := rand.New(rand.NewPCG(7, uint64(len(bounds))))
	store := newStoredScrapes(t)
	var values []float64 // since the first scrape
	observe := func(v float64) {
		h.Observe(v)
		values = append(values, v)
	}
	const (
		scrapes = 48
		name    = `{__name__="h"}`
	)
	// The resolution falls between the scrapes of the list before the scrape of the key.
	peaks := map[int]bool{5: true, 18: true, 20: true, 30: true, 36: true, 42: true}
	restarts := map[int]bool{10: true, 22: true, 30: true, 38: true, 43: true}
	tries := map[int]bool{3: true, 11: true, 15: true, 31: true} // nothing fell: no restart
	quiet := map[int]bool{11: true, 31: true}                    // no observation at all
	var before *histogram.FloatHistogram
	var start int64
	restarted, falls := false, 0
	for i := range scrapes {
		time.Sleep(2 * time.Millisecond) // times of creation are in milliseconds
		switch {
		case quiet[i]:
		case restarted: // not more than before the restart, in any classic bucket
			observe(1)
			observe(exact(math.Exp(rnd.NormFloat64() * 0.2)))
		default:
			for range 20 + rnd.IntN(40) {
				observe(exact(math.Exp(rnd.NormFloat64() * 0.2)))
			}
			if i%3 == 0 {
				observe(0)
			}
		}
		if peaks[i] {
			for range 100 {
				v := exact(math.Exp(rnd.NormFloat64() * 2))
				if bounds == nil && rnd.IntN(3) == 0 {
					v = -v // Prometheus takes a classic _sum that falls for a reset
				}
				observe(v)
			}
			falls++
		}
		if restarts[i] || tries[i] {
			native.RestartAfter = 0
		}
		// Other formats and a snapshot do not restart the histogram.
		for _, write := range []func(io.Writer) error{reg.WriteText, reg.WriteOpenMetrics, reg.WriteJSON} {
			if err := write(io.Discard); err != nil {
				t.Fatal(err)
			}
		}
		h.Snapshot()
		all := scrapeProtobuf(t, reg)
		native.RestartAfter = time.Hour
		snapshot := h.Snapshot() // also of a histogram that restarted: the next scrape decides whether the restart stands
		store.add(t, all)
		s, ok := all[name]
		if !ok {
			t.Fatalf("scrape %d has no native histogram: %v", i, all)
		}
		now := s.native.ToFloat(nil)
		if float64(snapshot.Count) != now.Count || snapshot.Sum != now.Sum || !reflect.DeepEqual(*snapshot.Native, fromFloat(now)) {
			t.Errorf("scrape %d: %v, the snapshot is %+v %+v", i, now, snapshot, snapshot.Native)
		}
		if n := len(snapshot.Native.Positive) + len(snapshot.Native.Negative); n > limit {
			t.Errorf("scrape %d: %d buckets, want at most %d", i, n, limit)
		}
		if before == nil {
			values = nil
		} else {
			if reset := now.DetectReset(before); reset != restarted {
				t.Errorf("scrape %d: Prometheus detects a reset: %t, want %t\n%v\n%v", i, reset, restarted, before, now)
			}
			if !restarted && now.Schema > before.Schema {
				t.Errorf("scrape %d: the schema rose from %d to %d", i, before.Schema, now.Schema)
			}
			if restarted && now.Schema != 3 && !peaks[i] {
				t.Errorf("scrape %d: schema %d after the restart, want 3", i, now.Schema)
			}
			if changed := s.start != start; changed != restarted || s.start < start {
				t.Errorf("scrape %d: the time of creation changed from %d to %d; restarted: %t", i, start, s.start, restarted)
			}
		}
		for _, x := range all { // also of the classic series
			if strings.HasPrefix(x.labels.Get("__name__"), "h") && x.start != s.start {
				t.Errorf("scrape %d: the time of creation of %s is %d, want %d", i, x.labels, x.start, s.start)
			}
		}
		before, start, restarted = now, s.start, restarts[i]
	}

	length := store.last.Sub(store.first)
	whole := store.query(t, fmt.Sprintf("increase(h[%s] anchored)", length)).H
	if whole.Count != float64(len(values)) || whole.Sum != total(values) {
		t.Errorf("increase: count %v, sum %v, want %d, %v", whole.Count, whole.Sum, len(values), total(values))
	}
	if got, want := fromFloat(whole), nativeReference(t, int(whole.Schema), values); !reflect.DeepEqual(got, want) {
		t.Errorf("increase: %s", describe(got, want))
	}
	// Without the modifier Prometheus extrapolates to the millisecond before the first scrape.
	for _, expr := range []string{"histogram_count(increase(h[%dms]))", "histogram_count(rate(h[%dms])) * %[1]d / 1000"} {
		got := store.query(t, fmt.Sprintf(expr, length.Milliseconds()+1)).F
		if math.Abs(got-float64(len(values))) > 1e-5*got {
			t.Errorf(expr+" is %v, want %d", length.Milliseconds()+1, got, len(values))
		}
	}
	if len(bounds) == 0 {
		return
	}
	for i, b := range append(bounds, math.Inf(+1)) {
		want := 0
		for _, v := range values {
			if v <= b {
				want++
			}
		}
		le := labels.FormatOpenMetricsFloat
		expr := fmt.Sprintf(`increase(h_bucket{le="%s"}[%s] anchored)`, le(b), length)
		if got := store.query(t, expr).F; got != float64(want) {
			t.Errorf("bucket %d: %s is %v, want %d", i, expr, got, want)
		}
	}
	if got := store.query(t, fmt.Sprintf("increase(h_count[%s] anchored)", length)).F; got != float64(len(values)) {
		t.Errorf("increase of h_count is %v, want %d", got, len(values))
	}
	if got := store.query(t, fmt.Sprintf("increase(h_sum[%s] anchored)", length)).F; got != total(values) {
		t.Errorf("increase of h_sum is %v, want %v", got, total(values))
	}
}

// TestNativeRestartConcurrent restarts a histogram at many expositions while goroutines observe.
// The differences of the expositions have every observation once, in its bucket, and the exact sum.
func TestNativeRestartConcurrent(t *testing.T) {
	restartAfter(t, 0)
	reg := tacho.NewRegistry(tacho.WithCreated())
	h := reg.Histogram("h", "", []float64{1}, tacho.WithNative(tacho.NativeConfig{MaxBuckets: 30}))
	const name = `{__name__="h"}`
	rounds := 150
	if testing.Short() {
		rounds = 40
	}
	var wg sync.WaitGroup
	stop := make(chan struct{})
	var peak atomic.Bool // a resolution that falls again undoes a restart
	observed := make([][]float64, 4)
	for g := range observed {
		wg.Add(1)
		go func() {
			defer wg.Done()
			rnd := rand.New(rand.NewPCG(uint64(g), 8))
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				v := exact(math.Exp(rnd.NormFloat64() * 0.2))
				switch rnd.IntN(200) {
				case 0:
					if peak.Load() {
						v = exact(math.Exp(rnd.NormFloat64() * 3))
					}
				case 1:
					v = -v
				case 2:
					v = 0
				}
				h.Observe(v)
				observed[g] = append(observed[g], v)
				if n%64 == 0 {
					runtime.Gosched()
				}
			}
		}()
	}
	sum := &histogram.FloatHistogram{Schema: minSchema, ZeroThreshold: 0x1p-128}
	var before *histogram.FloatHistogram
	var start int64
	resets := 0
	// A scraper of another format reads before and after each exposition. It keeps the last count,
	// and the increase up to the last reset. Between a restart and the decision the scraper reads
	// all counts. So no count falls if the restart is undone. If the restart stands, the scraper
	// has the observations between the restart and the decision twice. On a busy machine the count
	// after the decision can be higher than the count before, so the time of creation shows a reset.
	var other, increase, twice uint64
	readOther := func(reset bool) {
		n := h.Snapshot().Count
		if reset {
			increase += other
		} else if n < other {
			t.Errorf("the count fell from %d to %d without a reset", other, n)
		}
		other = n
	}
	add := func(h *histogram.FloatHistogram) {
		low, err := h.CopyToSchema(minSchema)
		if err == nil {
			_, _, _, err = sum.Add(low)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range rounds + 3 {
		if i == rounds {
			close(stop)
			wg.Wait()
		}
		peak.Store(i%4 == 0 || i%16 < 3)
		time.Sleep(2 * time.Millisecond) // times of creation are in milliseconds
		peak.Store(false)
		readOther(false)
		undecided := other
		all := scrapeProtobuf(t, reg)
		s := all[name]
		readOther(before != nil && s.start != start)
		now := s.native.ToFloat(nil)
		if got := all[`{__name__="h_count"}`].float; got != now.Count {
			t.Errorf("round %d: h_count is %v, the native histogram has %v", i, got, now.Count)
		}
		if got := all[`{__name__="h_bucket", le="1.0"}`].float; got > now.Count {
			t.Errorf("round %d: the classic bucket has %v, the native histogram has %v", i, got, now.Count)
		}
		if n := len(now.PositiveBuckets) + len(now.NegativeBuckets); before != nil {
			switch reset := now.DetectReset(before); {
			case s.start == start && reset:
				t.Errorf("round %d: a reset without a new time of creation, %d buckets\n%v\n%v", i, n, before, now)
			case s.start == start && now.Schema > before.Schema:
				t.Errorf("round %d: the schema rose from %d to %d", i, before.Schema, now.Schema)
			case s.start < start:
				t.Errorf("round %d: the time of creation fell", i)
			case s.start != start:
				resets++
				add(before)
				twice += undecided - uint64(before.Count)
			}
		}
		before, start = now, s.start
	}
	add(before)
	var values []float64
	for _, list := range observed {
		values = append(values, list...)
	}
	if sum.Count != float64(len(values)) || sum.Sum != total(values) {
		t.Errorf("count %v, sum %v, want %d, %v", sum.Count, sum.Sum, len(values), total(values))
	}
	if got, want := fromFloat(sum), nativeReference(t, minSchema, values); !reflect.DeepEqual(got, want) {
		t.Error(describe(got, want))
	}
	if got, want := increase+other, uint64(len(values))+twice; got != want {
		t.Errorf("a scraper of another format has %d observations, want %d, %d of them twice", got, want, twice)
	}
	if resets < rounds/10 {
		t.Errorf("%d resets in %d rounds, want more", resets, rounds)
	}
	t.Logf("%d observations, %d resets in %d rounds", len(values), resets, rounds)
}

// TestNativeRestartHidden has the same peak before a restart and after the restart. The second peak
// lowers the resolution again before the next exposition. So no count would be lower than before
// the restart, and the schema would not be higher. Prometheus must still have the first peak. Other
// readers in between change nothing. Their own counts do not fall, except once at a restart.
func TestNativeRestartHidden(t *testing.T) {
	restartAfter(t, time.Hour)
	for name, read := range map[string]func(reg *tacho.Registry, h *tacho.Histogram){
		"no reader":   func(*tacho.Registry, *tacho.Histogram) {},
		"text":        func(reg *tacho.Registry, _ *tacho.Histogram) { reg.WriteText(io.Discard) },
		"OpenMetrics": func(reg *tacho.Registry, _ *tacho.Histogram) { reg.WriteOpenMetrics(io.Discard) },
		"JSON":        func(reg *tacho.Registry, _ *tacho.Histogram) { reg.WriteJSON(io.Discard) },
		"Snapshot":    func(_ *tacho.Registry, h *tacho.Histogram) { h.Snapshot() },
	} {
		t.Run(name, func(t *testing.T) { testNativeRestartHidden(t, read) })
	}
}

func testNativeRestartHidden(t *testing.T, read func(reg *tacho.Registry, h *tacho.Histogram)) {
	for _, more := range []int{0, 1, 100} {
		reg := tacho.NewRegistry()
		h := reg.Histogram("h", "", nil, tacho.WithNative(tacho.NativeConfig{MaxBuckets: 10}))
		store := newStoredScrapes(t)
		scrape := func(after time.Duration) {
			native.RestartAfter = after
			store.add(t, scrapeProtobuf(t, reg))
			native.RestartAfter = time.Hour
		}
		var values []float64
		peak := func() {
			for i := range 100 {
				v := exact(math.Exp2(float64(i%17) / 4))
				h.Observe(v)
				values = append(values, v)
			}
		}
		scrape(time.Hour)
		peak()
		scrape(0) // restarts
		read(reg, h)
		peak()
		for i := range more {
			v := exact(math.Exp2(float64(i%17) / 4))
			h.Observe(v)
			values = append(values, v)
		}
		read(reg, h)
		scrape(0)         // the resolution fell, but no restart may follow
		scrape(time.Hour) // everything is visible again
		peak()
		scrape(time.Hour)
		scrape(0) // restarts
		scrape(time.Hour)
		whole := store.query(t, fmt.Sprintf("increase(h[%s] anchored)", store.last.Sub(store.first))).H
		if whole.Count != float64(len(values)) || whole.Sum != total(values) {
			t.Errorf("%d more values: increase: count %v, sum %v, want %d, %v", more, whole.Count, whole.Sum, len(values), total(values))
		}
		if got, want := fromFloat(whole), nativeReference(t, int(whole.Schema), values); !reflect.DeepEqual(got, want) {
			t.Errorf("%d more values: increase: %s", more, describe(got, want))
		}
	}
}

// TestNativeRestartSecondScraper scrapes a histogram in turn as two scrapers do. The restart is in
// an exposition of the first scraper. The second one sees a reset, and misses only the observations
// since its last scrape before the restart.
func TestNativeRestartSecondScraper(t *testing.T) {
	restartAfter(t, time.Hour)
	reg := tacho.NewRegistry()
	h := reg.Histogram("h", "", nil, tacho.WithNative(tacho.NativeConfig{MaxBuckets: 10}))
	stores := [2]*storedScrapes{newStoredScrapes(t), newStoredScrapes(t)}
	scrape := func(scraper int) { stores[scraper].add(t, scrapeProtobuf(t, reg)) }
	rnd := rand.New(rand.NewPCG(1, 10))
	var values, missed []float64
	observe := func(n int, sigma float64) (list []float64) {
		for range n {
			v := exact(math.Exp(rnd.NormFloat64() * sigma))
			h.Observe(v)
			list = append(list, v)
		}
		values = append(values, list...)
		return list
	}
	scrape(0)
	scrape(1)
	observe(100, 2)
	scrape(0)
	observe(20, 0.1)
	scrape(1)
	missed = observe(30, 0.1)
	native.RestartAfter = 0
	scrape(0) // restarts
	native.RestartAfter = time.Hour
	observe(10, 0.1)
	scrape(1)
	observe(10, 0.1)
	scrape(0)
	scrape(1)
	for i, lost := range [][]float64{nil, missed} {
		s := stores[i]
		whole := s.query(t, fmt.Sprintf("increase(h[%s] anchored)", s.last.Sub(s.first))).H
		if want := len(values) - len(lost); whole.Count != float64(want) || whole.Sum != total(values)-total(lost) {
			t.Errorf("scraper %d: count %v, sum %v, want %d, %v", i, whole.Count, whole.Sum, want, total(values)-total(lost))
		}
	}
}

// TestNativeRestartOtherReaders reads a histogram in all ways between a restart and the exposition
// that decides whether the restart stands. The readers have all observations so far, like that
// exposition if the restart does not stand.
func TestNativeRestartOtherReaders(t *testing.T) {
	restartAfter(t, 0)
	const decided = "after the decision"
	for _, stands := range []bool{true, false} {
		reg := tacho.NewRegistry(tacho.WithCreated())
		h := reg.Histogram("h", "", []float64{4}, tacho.WithNative(tacho.NativeConfig{MaxBuckets: 10}))
		var values []float64
		observe := func(v float64) {
			h.Observe(v)
			values = append(values, v)
		}
		peak := func() {
			observe(0)
			observe(-4)
			for i := range 100 {
				observe(exact(math.Exp2(float64(i%17) / 4)))
			}
		}
		created := func() string {
			t.Helper()
			var b strings.Builder
			if err := reg.WriteOpenMetrics(&b); err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(b.String()) {
				if strings.HasPrefix(line, "h_created ") {
					return line
				}
			}
			t.Fatal("no time of creation")
			return ""
		}
		start := created()
		check := func(what string) {
			t.Helper()
			time.Sleep(2 * time.Millisecond)
			if now := created(); (now != start) != (stands && what == decided) {
				t.Errorf("%s (stands: %t): the time of creation was %q and is %q", what, stands, start, now)
			}
			s := h.Snapshot()
			if s.Count != uint64(len(values)) || s.Sum != total(values) || !reflect.DeepEqual(*s.Native, nativeReference(t, s.Native.Schema, values)) {
				t.Errorf("%s (stands: %t): count %d, sum %v, want %d, %v; %s", what, stands, s.Count, s.Sum, len(values), total(values), describe(*s.Native, nativeReference(t, s.Native.Schema, values)))
			}
			below := 0
			for _, v := range values {
				if v <= 4 {
					below++
				}
			}
			var text bytes.Buffer
			if err := reg.WriteText(&text); err != nil {
				t.Fatal(err)
			}
			for _, line := range []string{
				fmt.Sprintf("h_bucket{le=\"4\"} %d\n", below), fmt.Sprintf("h_bucket{le=\"+Inf\"} %d\n", len(values)),
				fmt.Sprintf("h_sum %v\n", total(values)), fmt.Sprintf("h_count %d\n", len(values)),
			} {
				if !strings.Contains(text.String(), line) {
					t.Errorf("%s (stands: %t): %q is missing in\n%s", what, stands, line, &text)
				}
			}
		}
		peak()
		check("before the restart")
		scrapeProtobuf(t, reg)
		check("after the restart")
		observe(1)
		check("after the restart, with one more")
		if !stands {
			peak()
			check("after a second peak")
		}
		native.RestartAfter = time.Hour
		scrapeProtobuf(t, reg)
		if stands {
			values = []float64{1}
		}
		check(decided)
		native.RestartAfter = 0
	}
}
