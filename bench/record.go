package bench

import (
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"time"

	vm "github.com/VictoriaMetrics/metrics"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"github.com/tachikoma/tacho"
)

// RecordPaths returns the paths that record in one metric without a lookup.
func RecordPaths() []Path {
	return []Path{
		{Unit: "call", Name: "Counter.Inc", Bare: "an atomic add", Sides: counterSides},
		{Unit: "call", Name: "FloatCounter.Add", Bare: "a compare-and-swap loop", Sides: floatSides},
		{Unit: "call", Name: "Gauge.Set", Bare: "an atomic store", Sides: gaugeSides},
		{Unit: "call", Name: "Observe", Bare: "two atomic adds, to a count and to a sum",
			Sides: func() []Side { return observeSides(repeating()) }},
		{Unit: "call", Name: "Observe, values in no order", Bare: "two atomic adds, to a count and to a sum",
			Sides: func() []Side { return observeSides(unordered()) }},
		{Unit: "call", Name: "Counter.Inc, one counter", Bare: "tacho's Inc, with a counter for each goroutine",
			Sides: oneCounterSides},
		{Unit: "call", Name: "Observe, one histogram", Bare: "tacho's Observe, with a histogram for each goroutine",
			Sides: func() []Side { return oneHistogramSides(unordered()) }},
		{Unit: "call", Name: "Counter.AddExemplar", Bare: "an atomic add, the time, and a pointer to a new record",
			Sides: counterExemplarSides},
		{Unit: "call", Name: "ObserveExemplar", Bare: "two atomic adds, the time, and a pointer to a new record",
			Sides: func() []Side { return exemplarSides(repeating()) }},
	}
}

// samples is the number of observed values in a cycle. The number must be a power of
// two.
const samples = 1024

// repeating returns eight values in a cycle. The branch predictor of the processor
// learns the cycle.
func repeating() *[samples]float64 {
	latencies := [8]float64{.001, .5, .02, .003, .9, .05, .2, .0015}
	var v [samples]float64
	for i := range v {
		v[i] = latencies[i%len(latencies)]
	}
	return &v
}

// unordered returns random values. The next bucket is unpredictable, as with the
// latencies of a server.
func unordered() *[samples]float64 {
	random := rand.New(rand.NewPCG(1, 2))
	var v [samples]float64
	for i := range v {
		v[i] = math.Exp(random.Float64()*math.Log(4000)) / 1000 // 1 ms to 4 s, log-uniform
	}
	return &v
}

// bareScrape returns a scrape whose only sample is the result of value.
func bareScrape(value func() float64) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := fmt.Fprintln(w, "bare", strconv.FormatFloat(value(), 'g', -1, 64))
		return err
	}
}

func counterSides() []Side {
	r := tacho.NewRegistry()
	ours := r.Counter(counterName, "")

	var bare atomic.Uint64

	reg := prometheus.NewRegistry()
	client := prometheus.NewCounter(prometheus.CounterOpts{Name: counterName})
	reg.MustRegister(client)

	set := vm.NewSet()
	victoria := set.NewCounter(counterName)

	o := newOTel()
	otel, ctx := o.counter(), context.Background()

	return []Side{
		{Peer: Tacho, Scrape: r.WriteText, Run: func(from, to int) {
			for range to - from {
				ours.Inc()
			}
		}},
		{Peer: Bare, Scrape: bareScrape(func() float64 { return float64(bare.Load()) }), Run: func(from, to int) {
			for range to - from {
				bare.Add(1)
			}
		}},
		{Peer: Client, Scrape: gather(reg, textFormat), Run: func(from, to int) {
			for range to - from {
				client.Inc()
			}
		}},
		{Peer: Victoria, Scrape: vmScrape(set), Run: func(from, to int) {
			for range to - from {
				victoria.Inc()
			}
		}},
		{Peer: OTel, Scrape: o.scrape(), Run: func(from, to int) {
			for range to - from {
				otel.Add(ctx, 1)
			}
		}},
	}
}

// A spread has a metric for each goroutine.
type spread[M any] struct {
	metrics [64]*M
	next    atomic.Uint32
}

func newSpread[M any](with func(values ...string) *M) *spread[M] {
	s := new(spread[M])
	for i := range s.metrics { // the first series of a vector have cache lines of their own
		s.metrics[i] = with(strconv.Itoa(i))
	}
	return s
}

// one returns the metric of a call of Side.Run.
func (s *spread[M]) one() *M { return s.metrics[s.next.Add(1)%uint32(len(s.metrics))] }

func (s *spread[M]) scrape(value func(*M) float64) func(io.Writer) error {
	return bareScrape(func() (sum float64) {
		for _, m := range s.metrics {
			sum += value(m)
		}
		return sum
	})
}

func oneCounterSides() []Side {
	r := tacho.NewRegistry()
	ours := r.Counter(counterName, "")
	apart := newSpread(tacho.NewRegistry().CounterVec(counterName, "", []string{"goroutine"}).With)
	return []Side{
		{Peer: Tacho, Scrape: r.WriteText, Run: func(from, to int) {
			for range to - from {
				ours.Inc()
			}
		}},
		{Peer: Bare, Scrape: apart.scrape(func(c *tacho.Counter) float64 { return float64(c.Value()) }), Run: func(from, to int) {
			own := apart.one()
			for range to - from {
				own.Inc()
			}
		}},
	}
}

func oneHistogramSides(values *[samples]float64) []Side {
	r := tacho.NewRegistry()
	ours := r.Histogram(histogramName, "", bounds)
	apart := newSpread(tacho.NewRegistry().HistogramVec(histogramName, "", bounds, []string{"goroutine"}).With)
	return []Side{
		{Peer: Tacho, Scrape: r.WriteText, Run: func(from, to int) {
			for i := from; i < to; i++ {
				ours.Observe(values[i&(samples-1)])
			}
		}},
		{Peer: Bare, Scrape: apart.scrape(func(h *tacho.Histogram) float64 { return float64(h.Snapshot().Count) }), Run: func(from, to int) {
			own := apart.one()
			for i := from; i < to; i++ {
				own.Observe(values[i&(samples-1)])
			}
		}},
	}
}

func floatSides() []Side {
	r := tacho.NewRegistry()
	ours := r.FloatCounter(counterName, "")

	var bare atomic.Uint64

	reg := prometheus.NewRegistry()
	client := prometheus.NewCounter(prometheus.CounterOpts{Name: counterName})
	reg.MustRegister(client)

	set := vm.NewSet()
	victoria := set.NewFloatCounter(counterName)

	o := newOTel()
	otel, ctx := must(o.meter.Float64Counter(counterName)), context.Background()

	return []Side{
		{Peer: Tacho, Scrape: r.WriteText, Run: func(from, to int) {
			for range to - from {
				ours.Add(0.5)
			}
		}},
		{Peer: Bare, Scrape: bareScrape(func() float64 { return math.Float64frombits(bare.Load()) }), Run: func(from, to int) {
			for range to - from {
				for {
					old := bare.Load()
					if bare.CompareAndSwap(old, math.Float64bits(math.Float64frombits(old)+0.5)) {
						break
					}
				}
			}
		}},
		{Peer: Client, Scrape: gather(reg, textFormat), Run: func(from, to int) {
			for range to - from {
				client.Add(0.5)
			}
		}},
		{Peer: Victoria, Sleeps: true, Scrape: vmScrape(set), Run: func(from, to int) {
			for range to - from {
				victoria.Add(0.5)
			}
		}},
		{Peer: OTel, Scrape: o.scrape(), Run: func(from, to int) {
			for range to - from {
				otel.Add(ctx, 0.5)
			}
		}},
	}
}

func gaugeSides() []Side {
	const name = "queue_length"
	r := tacho.NewRegistry()
	ours := r.Gauge(name, "")

	var bare atomic.Int64

	reg := prometheus.NewRegistry()
	client := prometheus.NewGauge(prometheus.GaugeOpts{Name: name})
	reg.MustRegister(client)

	set := vm.NewSet()
	victoria := set.NewGauge(name, nil)

	o := newOTel()
	otel, ctx := must(o.meter.Int64Gauge(name)), context.Background()

	return []Side{
		{Peer: Tacho, Scrape: r.WriteText, Run: func(from, to int) {
			for i := from; i < to; i++ {
				ours.Set(int64(i))
			}
		}},
		{Peer: Bare, Scrape: bareScrape(func() float64 { return float64(bare.Load()) }), Run: func(from, to int) {
			for i := from; i < to; i++ {
				bare.Store(int64(i))
			}
		}},
		{Peer: Client, Scrape: gather(reg, textFormat), Run: func(from, to int) {
			for i := from; i < to; i++ {
				client.Set(float64(i))
			}
		}},
		{Peer: Victoria, Scrape: vmScrape(set), Run: func(from, to int) {
			for i := from; i < to; i++ {
				victoria.Set(float64(i))
			}
		}},
		{Peer: OTel, Scrape: o.scrape(), Run: func(from, to int) {
			for i := from; i < to; i++ {
				otel.Record(ctx, int64(i))
			}
		}},
	}
}

// bareHistogram has the minimal state of an observation. The state is a count and a
// sum, without buckets.
type bareHistogram struct {
	count, sum atomic.Uint64
	exemplar   atomic.Pointer[bareExemplar]
}

type bareExemplar struct {
	id    string
	value float64
	at    time.Time
}

func (h *bareHistogram) scrape() func(io.Writer) error {
	return bareScrape(func() float64 { return float64(h.count.Load()) })
}

func observeSides(values *[samples]float64) []Side {
	r := tacho.NewRegistry()
	ours := r.Histogram(histogramName, "", bounds)

	var bare bareHistogram

	reg := prometheus.NewRegistry()
	client := prometheus.NewHistogram(prometheus.HistogramOpts{Name: histogramName, Buckets: bounds})
	reg.MustRegister(client)

	set := vm.NewSet()
	victoria := set.NewPrometheusHistogramExt(histogramName, bounds)

	o := newOTel()
	otel, ctx := o.histogram(), context.Background()

	return []Side{
		{Peer: Tacho, Scrape: r.WriteText, Run: func(from, to int) {
			for i := from; i < to; i++ {
				ours.Observe(values[i&(samples-1)])
			}
		}},
		{Peer: Bare, Scrape: bare.scrape(), Run: func(from, to int) {
			for i := from; i < to; i++ {
				bare.count.Add(1)
				bare.sum.Add(math.Float64bits(values[i&(samples-1)]))
			}
		}},
		{Peer: Client, Scrape: gather(reg, textFormat), Run: func(from, to int) {
			for i := from; i < to; i++ {
				client.Observe(values[i&(samples-1)])
			}
		}},
		{Peer: Victoria, Sleeps: true, Scrape: vmScrape(set), Run: func(from, to int) {
			for i := from; i < to; i++ {
				victoria.Update(values[i&(samples-1)])
			}
		}},
		{Peer: OTel, Scrape: o.scrape(), Run: func(from, to int) {
			for i := from; i < to; i++ {
				otel.Record(ctx, values[i&(samples-1)])
			}
		}},
	}
}

// traces has a trace identifier for each call. OpenTelemetry reads the identifier
// from the context.
type traces struct {
	ids      [samples]string
	contexts [samples]context.Context
}

func newTraces() *traces {
	var t traces
	for i := range t.ids {
		span := trace.NewSpanContext(trace.SpanContextConfig{
			TraceID: trace.TraceID{1, byte(i >> 8), byte(i)}, SpanID: trace.SpanID{1}, TraceFlags: trace.FlagsSampled})
		t.ids[i] = span.TraceID().String()
		t.contexts[i] = trace.ContextWithSpanContext(context.Background(), span)
	}
	return &t
}

// counterExemplarSides has no side for VictoriaMetrics, which lacks exemplars.
func counterExemplarSides() []Side {
	t := newTraces()
	r := tacho.NewRegistry()
	ours := r.Counter(counterName, "")

	var bare bareHistogram

	reg := prometheus.NewRegistry()
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: counterName})
	reg.MustRegister(counter)
	client := counter.(prometheus.ExemplarAdder)

	o := newOTel()
	otel := o.counter()

	return []Side{
		{Peer: Tacho, Scrape: r.WriteOpenMetrics, Run: func(from, to int) {
			for i := from; i < to; i++ {
				ours.AddExemplar(1, "trace_id", t.ids[i&(samples-1)])
			}
		}},
		{Peer: Bare, Scrape: bare.scrape(), Run: func(from, to int) {
			for i := from; i < to; i++ {
				bare.count.Add(1)
				bare.exemplar.Store(&bareExemplar{t.ids[i&(samples-1)], 1, time.Now()})
			}
		}},
		{Peer: Client, Scrape: gather(reg, openMetricsFormat), Run: func(from, to int) {
			for i := from; i < to; i++ {
				client.AddWithExemplar(1, prometheus.Labels{"trace_id": t.ids[i&(samples-1)]})
			}
		}},
		{Peer: OTel, Scrape: gather(o.reg, openMetricsFormat), Run: func(from, to int) {
			for i := from; i < to; i++ {
				otel.Add(t.contexts[i&(samples-1)], 1)
			}
		}},
	}
}

// exemplarSides has no side for VictoriaMetrics, which lacks exemplars.
func exemplarSides(values *[samples]float64) []Side {
	t := newTraces()
	r := tacho.NewRegistry()
	ours := r.Histogram(histogramName, "", bounds)

	var bare bareHistogram

	reg := prometheus.NewRegistry()
	histogram := prometheus.NewHistogram(prometheus.HistogramOpts{Name: histogramName, Buckets: bounds})
	reg.MustRegister(histogram)
	client := histogram.(prometheus.ExemplarObserver)

	o := newOTel()
	otel := o.histogram()

	return []Side{
		{Peer: Tacho, Scrape: r.WriteOpenMetrics, Run: func(from, to int) {
			for i := from; i < to; i++ {
				ours.ObserveExemplar(values[i&(samples-1)], "trace_id", t.ids[i&(samples-1)])
			}
		}},
		{Peer: Bare, Scrape: bare.scrape(), Run: func(from, to int) {
			for i := from; i < to; i++ {
				v := values[i&(samples-1)]
				bare.count.Add(1)
				bare.sum.Add(math.Float64bits(v))
				bare.exemplar.Store(&bareExemplar{t.ids[i&(samples-1)], v, time.Now()})
			}
		}},
		{Peer: Client, Scrape: gather(reg, openMetricsFormat), Run: func(from, to int) {
			for i := from; i < to; i++ {
				client.ObserveWithExemplar(values[i&(samples-1)], prometheus.Labels{"trace_id": t.ids[i&(samples-1)]})
			}
		}},
		{Peer: OTel, Scrape: gather(o.reg, openMetricsFormat), Run: func(from, to int) {
			for i := from; i < to; i++ {
				otel.Record(t.contexts[i&(samples-1)], values[i&(samples-1)])
			}
		}},
	}
}
