package conformance

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql"

	"github.com/tachikoma/tacho"
)

// TestPrometheus runs Prometheus 3 with several scrape configurations for the same
// registry. The test records during the scrapes and then compares query results
// with the recorded values.
func TestPrometheus(t *testing.T) {
	const utf8 = "; escaping=allow-utf-8"
	began := span{seconds(time.Now()), 0}
	reg := tacho.NewRegistry(tacho.WithConstLabels("region", "eu"), tacho.WithCreated(), tacho.WithUTF8Names())
	requests := reg.CounterVec("requests_total", "Requests.", []string{"path"})
	twice := reg.Counter("twice_total", "Twice the requests.")
	dotted := reg.CounterVec("http.server.requests_total", "Requests, with a UTF-8 name.", []string{"http.method"})
	cost := reg.FloatCounter("cost_dollars", "Total cost.", tacho.WithUnit("dollars"))
	queued := reg.Gauge("queued", "Queue, \"quoted\" \\ and\nbroken.")
	temperature := reg.FloatGauge("temperature_celsius", "Can be negative.", tacho.WithUnit("celsius"))
	latency := reg.Histogram("latency_seconds", "Latency.", []float64{0.25, 0.5, 1}, tacho.WithUnit("seconds"))
	measured := time.UnixMilli(time.Now().UnixMilli() - 1234)
	reg.Collect(func(e *tacho.Emitter) {
		e.Gauge("emitted", "", math.Inf(-1), "kind", "é\n\"\\")
		e.Info("program_info", "Program version.", "version", "1.2.3")
		e.Untyped("untyped", "", -0.5)
		e.At(measured).Gauge("measured", "A value with a timestamp.", 5)
		e.Summary("pauses_seconds", "Pause quantiles.", tacho.SummarySnapshot{Count: 4, Sum: 2, Quantiles: []tacho.Quantile{{Quantile: 0.5, Value: 0.25}}})
	})

	handler := reg.Handler()
	targets := []*target{
		{job: "three", want: typeOpenMetrics + utf8},
		{job: "plain", want: typeOpenMetrics + utf8, config: "enable_compression: false"},
		{job: "legacy", want: typeOpenMetrics + "; escaping=underscores", config: "metric_name_validation_scheme: legacy\nmetric_name_escaping_scheme: underscores"},
		{job: "text", want: typeText + "; escaping=underscores", config: "scrape_protocols: [PrometheusText0.0.4]"},
		{job: "text1", want: typeText + utf8, config: "scrape_protocols: [PrometheusText1.0.0]"},
	}
	for _, g := range targets {
		g.handler = handler
	}
	s := newServer(t, targets)

	var counts []float64
	var traces []string
	const steps = 4
	for step := range steps {
		trace := fmt.Sprint("step \"", step, "\"")
		traces = append(traces, trace)
		requests.With("/a").AddExemplar(uint64(1+step), "trace_id", trace)
		twice.Add(uint64(2 + 2*step))
		dotted.With("GET").Inc()
		cost.Add(0.25)
		queued.Set(int64(step) - 2)
		temperature.Set(-0.5 * float64(step))
		for _, v := range []float64{0.125, 0.375, 0.375, 2} {
			latency.ObserveExemplar(v, "trace_id", trace)
		}
		counts = append(counts, float64(requests.With("/a").Value()))
		s.wait(t, targets)
	}
	began.to = seconds(time.Now())
	requests.With("/deleted").Inc()
	s.wait(t, targets)
	for _, g := range targets {
		if got := s.value(t, g, `requests_total{path="/deleted",job="`+g.job+`"}`); got != 1 {
			t.Errorf("%s: requests_total of /deleted is %v, want 1", g.job, got)
		}
	}
	requests.Delete("/deleted")
	s.wait(t, targets)

	for _, g := range targets {
		t.Run(g.job, func(t *testing.T) {
			if got := g.last.Load().Get("Content-Type"); got != g.want {
				t.Errorf("Content-Type %s, want %s", got, g.want)
			}
			if got, want := g.last.Load().Get("Content-Encoding"), map[bool]string{false: "gzip"}[g.job == "plain"]; got != want {
				t.Errorf("Content-Encoding %q, want %q", got, want)
			}
			openMetrics := strings.HasPrefix(g.want, typeOpenMetrics)
			job := `job="` + g.job + `"`
			dotted := `http_server_requests_total{http_method="GET",`
			if strings.HasSuffix(g.want, utf8) {
				dotted = `{"http.server.requests_total","http.method"="GET",`
			}
			for expr, want := range map[string]float64{
				"up{" + job + "}": 1,
				`requests_total{region="eu",path="/a",` + job + `}`:                                           counts[steps-1],
				"twice_total{" + job + "}":                                                                    2 * counts[steps-1],
				dotted + job + "}":                                                                            steps,
				"cost_dollars{" + job + "}":                                                                   0.25 * steps,
				"queued{" + job + "}":                                                                         steps - 3,
				"temperature_celsius{" + job + "}":                                                            -0.5 * (steps - 1),
				`emitted{kind="é\n\"\\",` + job + `}`:                                                         math.Inf(-1),
				`program_info{version="1.2.3",` + job + `}`:                                                   1,
				"untyped{" + job + "}":                                                                        -0.5,
				"measured{" + job + "}":                                                                       5,
				"pauses_seconds_sum{" + job + "}":                                                             2,
				`pauses_seconds{quantile="0.5",` + job + "}":                                                  0.25,
				"latency_seconds_count{" + job + "}":                                                          4 * steps,
				"latency_seconds_sum{" + job + "}":                                                            2.875 * steps,
				`latency_seconds_bucket{le="0.5",` + job + `}`:                                                3 * steps,
				`latency_seconds_bucket{le="1.0",` + job + `}`:                                                3 * steps,
				`latency_seconds_bucket{le="+Inf",` + job + `}`:                                               4 * steps,
				"histogram_quantile(0.5, latency_seconds_bucket{" + job + "})":                                0.375,
				"histogram_quantile(0.25, latency_seconds_bucket{" + job + "})":                               0.25,
				"histogram_quantile(1, latency_seconds_bucket{" + job + "})":                                  1,
				"histogram_quantile(0.5, rate(latency_seconds_bucket{" + job + "}[10m]))":                     0.375,
				"rate(latency_seconds_sum{" + job + "}[10m]) / rate(latency_seconds_count{" + job + "}[10m])": 2.875 / 4,
			} {
				if got := s.value(t, g, expr); got != want && !(math.Abs(got-want) <= 1e-9) {
					t.Errorf("%s is %v, want %v", expr, got, want)
				}
			}
			s.checkValuesOverTime(t, g, openMetrics, counts, began)
			s.checkExemplars(t, g, openMetrics, traces, began)
			if got := s.query(t, `requests_total{path="/deleted",`+job+`}`, g.at); len(got) != 0 {
				t.Errorf("deleted series still in the result: %v", got)
			}
			if got := s.points(t, g, "measured{"+job+"}"); len(got) != 1 || got[0].T > measured.UnixMilli() || got[0].T < measured.UnixMilli()-1 {
				// Prometheus truncates a timestamp that is a float, so the stored timestamp
				// can be 1 ms too early.
				t.Errorf("measured is %v, want a single point at %d ms", got, measured.UnixMilli())
			}
			want := map[string]scrapeMetadata{
				"queued":              {model.MetricTypeGauge, "Queue, \"quoted\" \\ and\nbroken.", ""},
				"latency_seconds":     {model.MetricTypeHistogram, "Latency.", "seconds"},
				"temperature_celsius": {model.MetricTypeGauge, "Can be negative.", "celsius"},
				"untyped":             {model.MetricTypeUnknown, "", ""},
				"measured":            {model.MetricTypeGauge, "A value with a timestamp.", ""},
				"pauses_seconds":      {model.MetricTypeSummary, "Pause quantiles.", ""},
				"cost_dollars":        {model.MetricTypeCounter, "Total cost.", "dollars"},
				"requests":            {model.MetricTypeCounter, "Requests.", ""},
				"program":             {model.MetricTypeInfo, "Program version.", ""},
			}
			if openMetrics { // the samples of a counter must end in _total
				want["cost_dollars"] = scrapeMetadata{model.MetricTypeUnknown, "Total cost.", "dollars"}
			} else { // the text format has no units and no infos, and a counter family has the suffix _total
				want["requests_total"], want["program_info"] = want["requests"], scrapeMetadata{model.MetricTypeGauge, "Program version.", ""}
				delete(want, "requests")
				delete(want, "program")
				for name, m := range want {
					m.unit = ""
					want[name] = m
				}
			}
			s.checkMetadata(t, g, want)
		})
	}
	if log := s.log.String(); log != "" {
		t.Errorf("warnings of Prometheus:\n%s", log)
	}
}

// checkValuesOverTime checks that the stored values of requests_total are exactly
// counts, in order. In OpenMetrics a 0 at the creation time precedes the values.
func (s *server) checkValuesOverTime(t *testing.T, g *target, openMetrics bool, counts []float64, began span) {
	t.Helper()
	points := s.points(t, g, `requests_total{path="/a",job="`+g.job+`"}`)
	if openMetrics {
		if first := points[0]; first.F != 0 || !began.contains(float64(first.T)/1e3) {
			t.Errorf("first sample %v, want 0 at the creation time", first)
		}
		counts = append([]float64{0}, counts...)
	}
	if got := distinct(points); !slices.Equal(got, counts) {
		t.Errorf("values over time %v, want %v", got, counts)
	}
	seen := points[len(points)-1].F - points[0].F
	length := float64(points[len(points)-1].T-points[0].T) / 1e3
	got := s.value(t, g, `rate(requests_total{path="/a",job="`+g.job+`"}[10m]) * 600`)
	// Prometheus extrapolates at both ends of the range, each time by at most 1.1 times
	// the mean distance of two samples.
	if most := seen * (1 + 2.2/float64(len(points)-1)); got < seen || got > most+1e-9 {
		t.Errorf("increase in %v s is %v, want %v to %v", length, got, seen, most)
	}
	if !openMetrics { // in the text format both counters appear first in the same scrape
		ratio := s.value(t, g, `rate(twice_total{job="`+g.job+`"}[10m]) / ignoring(path) rate(requests_total{path="/a",job="`+g.job+`"}[10m])`)
		if math.Abs(ratio-2) > 1e-9 {
			t.Errorf("rate of twice_total divided by rate of requests_total is %v, want 2", ratio)
		}
	}
}

// checkExemplars checks that the exemplar storage has the last exemplar of each step,
// in order. The text format has no exemplars.
func (s *server) checkExemplars(t *testing.T, g *target, openMetrics bool, traces []string, began span) {
	t.Helper()
	for metric, buckets := range map[string]map[string]float64{
		"requests_total":         {"": math.NaN()}, // NaN: the value depends on the step
		"latency_seconds_bucket": {"0.25": 0.125, "0.5": 0.375, "+Inf": 2},
	} {
		got := s.exemplars(t, g.job, metric)
		if !openMetrics {
			if len(got) != 0 {
				t.Errorf("%s has exemplars in the text format: %v", metric, got)
			}
			continue
		}
		if len(got) != len(buckets) {
			t.Errorf("%s has exemplars for %d buckets, want %d: %v", metric, len(got), len(buckets), got)
		}
		for le, value := range buckets {
			if len(got[le]) != len(traces) {
				t.Errorf("%s, le=%q: %d exemplars, want %d", metric, le, len(got[le]), len(traces))
				continue
			}
			for i, x := range got[le] {
				w := value
				if w != w {
					w = float64(1 + i)
				}
				// Prometheus stores the label values of exemplars with escapes.
				trace := strings.ReplaceAll(traces[i], `"`, `\"`)
				if !slices.Equal(x.labels, []label{{"trace_id", trace}}) || x.value != w || !began.contains(*x.at) {
					t.Errorf("%s, le=%q: exemplar %d is %v at %f, want %s %v", metric, le, i, x, *x.at, trace, w)
				}
			}
		}
	}
}

type scrapeMetadata struct {
	kind model.MetricType
	help string
	unit string
}

func (s *server) checkMetadata(t *testing.T, g *target, want map[string]scrapeMetadata) {
	t.Helper()
	active := s.manager.TargetsActive()[g.job]
	if len(active) != 1 {
		t.Fatalf("%d active targets, want 1", len(active))
	}
	for name, w := range want {
		got, ok := active[0].GetMetadata(name)
		if !ok || got.Type != w.kind || got.Help != w.help || got.Unit != w.unit {
			t.Errorf("metadata of %s: %+v, want %+v", name, got, w)
		}
	}
}

// distinct returns the values in order, without consecutive duplicates.
func distinct(points []promql.FPoint) []float64 {
	var values []float64
	for _, p := range points {
		if len(values) == 0 || values[len(values)-1] != p.F {
			values = append(values, p.F)
		}
	}
	return values
}
