package conformance

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	promexemplar "github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/tachikoma/tacho"
	prombridge "github.com/tachikoma/tacho/bridge/prometheus"
	"github.com/tachikoma/tacho/goruntime"
	"github.com/tachikoma/tacho/process"
)

// scrapeHandler returns the body of a scrape of h in a format.
func scrapeHandler(t testing.TB, h http.Handler, contentType string) []byte {
	t.Helper()
	req := httptest.NewRequest("GET", "/metrics", nil)
	req.Header.Set("Accept", contentType)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	want, _, _ := strings.Cut(contentType, ";")
	if got := w.Header().Get("Content-Type"); w.Code != 200 || !strings.HasPrefix(got, want) {
		t.Fatalf("status %d, type %s, want %s\n%s", w.Code, got, contentType, w.Body)
	}
	return w.Body.Bytes()
}

// everything returns all that Prometheus reads in a scrape: for each series, and each property of a
// family, a text. Families whose name begins with tacho_ are left out.
func everything(t testing.TB, data []byte, contentType string, units bool) map[string]string {
	t.Helper()
	options := textparse.ParserOptions{KeepClassicOnClassicAndNativeHistograms: true, OpenMetricsSkipSTSeries: false}
	p, err := textparse.New(data, contentType, labels.NewSymbolTable(), options)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	add := func(key, value string) {
		if strings.HasPrefix(key, "# tacho_") || strings.Contains(key, `__name__="tacho_`) {
			return
		}
		if old, ok := all[key]; ok && old != value {
			t.Fatalf("%s is %s and %s", key, old, value)
		}
		all[key] = value
	}
	for {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, data)
		}
		value := ""
		switch entry {
		case textparse.EntryType:
			name, kind := p.Type()
			add("# "+string(name)+" type", string(kind))
			continue
		case textparse.EntryHelp:
			if name, help := p.Help(); len(help) > 0 {
				add("# "+string(name)+" help", string(help))
			}
			continue
		case textparse.EntryUnit:
			if name, unit := p.Unit(); units && len(unit) > 0 {
				add("# "+string(name)+" unit", string(unit))
			}
			continue
		case textparse.EntrySeries:
			_, at, v := p.Series()
			if v != v {
				v = math.NaN()
			}
			value = fmt.Sprintf("%x", math.Float64bits(v))
			if at != nil {
				value += fmt.Sprintf(" at %d", *at)
			}
		case textparse.EntryHistogram:
			_, at, h, float := p.Histogram()
			if float != nil {
				t.Fatalf("a float histogram: %v", float)
			}
			value = fmt.Sprintf("%d %v %v", h.Count, h.Sum, fromInteger(h))
			if at != nil {
				value += fmt.Sprintf(" at %d", *at)
			}
		default:
			continue
		}
		var list []string
		for x := (promexemplar.Exemplar{}); p.Exemplar(&x); x = (promexemplar.Exemplar{}) {
			list = append(list, fmt.Sprintf("%d %v %v", x.Ts, x.Value, x.Labels))
		}
		slices.Sort(list)
		var ls labels.Labels
		p.Labels(&ls)
		add(ls.String()+" "+fmt.Sprint(entry), fmt.Sprintf("%s exemplars %v start %d", value, list, p.StartTimestamp()))
	}
}

// sameScrapes compares all that Prometheus reads in two scrapes.
func sameScrapes(t testing.TB, what string, got, want map[string]string) {
	t.Helper()
	for key, value := range want {
		if got[key] != value {
			t.Errorf("%s: %s is\n%q, want\n%q", what, key, got[key], value)
		}
	}
	for key := range got {
		if _, ok := want[key]; !ok {
			t.Errorf("%s: unexpected %s", what, key)
		}
	}
}

// clientMetrics returns a registry of client_golang with metrics of all types, and labels, exemplars,
// units and times. OpenMetrics has no sum of a histogram with a negative bound or sum, which only the
// bounds and values of negative have.
func clientMetrics(negative bool) *prometheus.Registry {
	reg := prometheus.NewRegistry()
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "lib_requests_total", Help: "Requests \\ \n served.", ConstLabels: prometheus.Labels{"zone": "eu\n\"\\é"}}, []string{"code"})
	c.WithLabelValues("200").Add(1e17)
	c.WithLabelValues("500").(prometheus.ExemplarAdder).AddWithExemplar(7.25, prometheus.Labels{"trace_id": "a\"\\\n", "span_id": "1"})
	plain := prometheus.NewCounter(prometheus.CounterOpts{Name: "lib_events", Help: "A name without _total."})
	g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "lib_queue_bytes", Help: "Queue.", Unit: "bytes"}, []string{"l"})
	for i, v := range []float64{0, math.NaN(), math.Inf(-1), 5e-324, -12.5, 1e6} {
		g.WithLabelValues(fmt.Sprint(i)).Set(v)
	}
	s := prometheus.NewSummaryVec(prometheus.SummaryOpts{Name: "lib_size_bytes", Help: "Sizes.", Objectives: map[float64]float64{.5: .05, .99: .001}}, []string{"kind"})
	s.WithLabelValues("empty")
	bounds, values := []float64{.1, 1, 100}, []float64{0, 1e-200, .05, .7, 20, 1e9, math.Inf(+1)}
	if negative {
		bounds, values = append([]float64{-1}, bounds...), append([]float64{-3, -3.1, -1e-5}, values...)
	}
	classic := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "lib_wait_seconds", Help: "Waits.", Unit: "seconds", Buckets: bounds}, []string{"l"})
	classic.WithLabelValues("empty")
	native := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "lib_native_seconds", NativeHistogramBucketFactor: 1.1, Help: "Native."}, []string{"l"})
	native.WithLabelValues("empty")
	both := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "lib_both_seconds", NativeHistogramBucketFactor: 1.5, Help: "Both.", Buckets: bounds})
	for i, v := range values {
		trace := prometheus.Labels{"trace_id": fmt.Sprint(i)}
		for _, o := range []prometheus.Observer{classic.WithLabelValues("x"), native.WithLabelValues("x"), both} {
			o.(prometheus.ExemplarObserver).ObserveWithExemplar(v, trace)
		}
		s.WithLabelValues("some").Observe(v)
		time.Sleep(2 * time.Millisecond) // exemplars have different times
	}
	if negative {
		native.WithLabelValues("NaN").Observe(math.NaN())
	}
	old := prometheus.NewDesc("lib_old", "Another system.", []string{"l"}, nil)
	reg.MustRegister(c, plain, g, s, classic, native, both,
		prometheus.NewUntypedFunc(prometheus.UntypedOpts{Name: "lib_untyped", Help: "Untyped."}, func() float64 { return 3 }),
		prometheus.CollectorFunc(func(to chan<- prometheus.Metric) {
			to <- prometheus.NewMetricWithTimestamp(time.UnixMilli(1500), prometheus.MustNewConstMetric(old, prometheus.GaugeValue, 5, "x"))
		}))
	return reg
}

// TestBridgeFromPrometheus: Prometheus reads the same in a scrape of promhttp and in a scrape of a
// tacho registry that collects the same Gatherer.
func TestBridgeFromPrometheus(t *testing.T) {
	for _, negative := range []bool{false, true} {
		from := clientMetrics(negative)
		reg := tacho.NewRegistry(tacho.WithNative())
		prombridge.Collect(reg, from, prombridge.WithCreated())
		theirs := promhttp.HandlerFor(from, promhttp.HandlerOpts{EnableOpenMetrics: true, EnableOpenMetricsTextCreatedSamples: true})
		for _, contentType := range []string{typeText, typeOpenMetrics, typeProtobuf} {
			if negative && contentType == typeOpenMetrics {
				continue
			}
			units := contentType == typeProtobuf // promhttp shows no units in OpenMetrics
			got := everything(t, scrapeHandler(t, reg.Handler(), contentType), contentType, units)
			want := everything(t, scrapeHandler(t, theirs, contentType), contentType, units)
			if contentType == typeProtobuf && len(got) < 60 {
				t.Errorf("only %d values", len(got))
			}
			for key := range want {
				// OpenMetrics 1.0 has no time of creation of a metric with type unknown. A native
				// histogram of client_golang without classic buckets has a bucket +Inf if there is an exemplar.
				if strings.Contains(key, "lib_events_created") || contentType == typeProtobuf && strings.Contains(key, "lib_native_seconds_") {
					delete(want, key)
				}
			}
			sameScrapes(t, contentType, got, want)
		}
	}
}

// TestBridgeToPrometheus: Prometheus reads the same in a scrape of a tacho registry, and in a scrape of
// promhttp with its Gatherer or Collector.
func TestBridgeToPrometheus(t *testing.T) {
	reg := tacho.NewRegistry(tacho.WithNative(), tacho.WithCreated(), tacho.WithUTF8Names())
	c := reg.CounterVec("c_bytes_total", "Help.", []string{"l.m"}, tacho.WithUnit("bytes"))
	c.With("a").AddExemplar(3, "trace_id", "x")
	c.With("b").Inc()
	h := reg.HistogramVec("h_seconds", "", []float64{.1, 1}, []string{"l"})
	n := reg.HistogramVec("native.seconds", "", nil, []string{"l"})
	for i := range 40 {
		v := math.Exp(float64(i-20)) - 1
		h.With("x").ObserveExemplar(v, "trace_id", fmt.Sprint(i))
		// The parser of Prometheus 3.16 loses exemplars of further series of a message, and client_golang
		// writes one message for a family. So only one series has exemplars.
		n.With("first").ObserveExemplar(v, "trace_id", fmt.Sprint(i))
		n.With(fmt.Sprint(i % 3)).Observe(v)
	}
	reg.Collect(func(e *tacho.Emitter) {
		e.Summary("s", "", tacho.SummarySnapshot{Count: 3, Sum: 2, Quantiles: []tacho.Quantile{{Quantile: .5, Value: 1}}})
		e.Info("build_info", "", "version", "1")
		e.Untyped("u", "", math.NaN())
		e.At(time.UnixMilli(1500)).Gauge("old", "", -1)
	})
	data := scrapeHandler(t, reg.Handler(), typeProtobuf+"; escaping=allow-utf-8")
	prom := prometheus.NewRegistry()
	prom.MustRegister(prombridge.NewCollector(reg))
	for name, g := range map[string]prometheus.Gatherer{"Gatherer": prombridge.NewGatherer(reg), "Collector": prom,
		"Gatherers": prometheus.Gatherers{prometheus.NewRegistry(), prombridge.NewGatherer(reg)}} {
		h := promhttp.HandlerFor(g, promhttp.HandlerOpts{EnableOpenMetrics: true})
		units := name != "Gatherers" // prometheus.Gatherers loses them
		want := everything(t, data, typeProtobuf, units)
		sameScrapes(t, name, everything(t, scrapeHandler(t, h, typeProtobuf+"; escaping=allow-utf-8"), typeProtobuf, units), want)
		for _, contentType := range contentTypes {
			everything(t, scrapeHandler(t, h, contentType), contentType, true)
		}
	}
}

// FuzzBridgePrometheus: the metrics of a random registry are the same in promhttp, and in another
// tacho registry that collects them.
func FuzzBridgePrometheus(f *testing.F) {
	seed(f, 60)
	f.Fuzz(func(t *testing.T, data []byte) {
		r := newRandomRegistry(t, &generator{data}, len(data)%2 == 1)
		g := prombridge.NewGatherer(r.reg)
		again := tacho.NewRegistry(tacho.WithNative(), tacho.WithUTF8Names())
		prombridge.Collect(again, g, prombridge.WithCreated(), prombridge.OnError(func(err error) { t.Error(err) }))
		var direct, second strings.Builder
		if err := errors.Join(r.reg.WriteProtobuf(&direct), again.WriteProtobuf(&second)); err != nil {
			t.Fatal(err)
		}
		want := everything(t, []byte(direct.String()), typeProtobuf, true)
		h := promhttp.HandlerFor(g, promhttp.HandlerOpts{})
		sameScrapes(t, "promhttp", everything(t, scrapeHandler(t, h, typeProtobuf+"; escaping=allow-utf-8"), typeProtobuf, true), want)
		sameScrapes(t, "again", everything(t, []byte(second.String()), typeProtobuf, true), want)
		legacy := tacho.NewRegistry()
		prombridge.Collect(legacy, g)
		for _, reg := range []*tacho.Registry{again, legacy} {
			for _, contentType := range contentTypes {
				everything(t, scrapeHandler(t, reg.Handler(), contentType), contentType, true)
			}
		}
	})
}

// TestBridgeBesideCollectors: the collectors of client_golang beside packages goruntime and process
// count no error in 100 scrapes, and each scrape is valid.
func TestBridgeBesideCollectors(t *testing.T) {
	reg := tacho.NewRegistry(tacho.WithNative())
	from := prometheus.NewRegistry()
	prombridge.Collect(reg, from)
	from.MustRegister(collectors.NewGoCollector(collectors.WithGoCollectorRuntimeMetrics(collectors.MetricsAll)), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	goruntime.Register(reg)
	process.Register(reg)
	for range 100 {
		data := scrapeHandler(t, reg.Handler(), typeOpenMetrics)
		if strings.Contains(string(data), "tacho_") {
			t.Fatalf("errors in\n%s", data)
		}
		everything(t, data, typeOpenMetrics, true)
	}
}
