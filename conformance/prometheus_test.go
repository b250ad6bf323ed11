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

// TestPrometheus lets Prometheus 3 scrape one registry in several ways while the
// program records, and asks it what was recorded.
func TestPrometheus(t *testing.T) {
	const utf8 = "; escaping=allow-utf-8"
	began := span{seconds(time.Now()), 0}
	reg := tacho.NewRegistry(tacho.WithConstLabels("region", "eu"), tacho.WithCreated(), tacho.WithUTF8Names())
	requests := reg.CounterVec("requests_total", "Requests.", []string{"path"})
	twice := reg.Counter("twice_total", "Twice as many.")
	dotted := reg.CounterVec("http.server.requests_total", "By a name in UTF-8.", []string{"http.method"})
	cost := reg.FloatCounter("cost_dollars", "What it cost.", tacho.WithUnit("dollars"))
	queued := reg.Gauge("queued", "Queue, \"quoted\" \\ and\nbroken.")
	temperature := reg.FloatGauge("temperature_celsius", "May be below zero.", tacho.WithUnit("celsius"))
	latency := reg.Histogram("latency_seconds", "How long.", []float64{0.25, 0.5, 1}, tacho.WithUnit("seconds"))
	measured := time.UnixMilli(time.Now().UnixMilli() - 1234)
	reg.Collect(func(e *tacho.Emitter) {
		e.Gauge("emitted", "", math.Inf(-1), "kind", "é\n\"\\")
		e.Info("program_info", "What runs.", "version", "1.2.3")
		e.Untyped("untyped", "", -0.5)
		e.At(measured).Gauge("measured", "Elsewhere.", 5)
		e.Summary("pauses_seconds", "In quantiles.", tacho.SummarySnapshot{Count: 4, Sum: 2, Quantiles: []tacho.Quantile{{Quantile: 0.5, Value: 0.25}}})
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
		if got := s.one(t, g, `requests_total{path="/deleted",job="`+g.job+`"}`); got != 1 {
			t.Errorf("%s: %v", g.job, got)
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
			open := strings.HasPrefix(g.want, typeOpenMetrics)
			job := `job="` + g.job + `"`
			costs, dotted := "cost_dollars", `http_server_requests_total{http_method="GET",`
			if open {
				costs = "cost_dollars_total"
			}
			if strings.HasSuffix(g.want, utf8) {
				dotted = `{"http.server.requests_total","http.method"="GET",`
			}
			for expr, want := range map[string]float64{
				"up{" + job + "}": 1,
				`requests_total{region="eu",path="/a",` + job + `}`:                                           counts[steps-1],
				"twice_total{" + job + "}":                                                                    2 * counts[steps-1],
				dotted + job + "}":                                                                            steps,
				costs + "{" + job + "}":                                                                       0.25 * steps,
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
				if got := s.one(t, g, expr); got != want && !(math.Abs(got-want) <= 1e-9) {
					t.Errorf("%s is %v, want %v", expr, got, want)
				}
			}
			s.overTime(t, g, open, counts, began)
			s.checkExemplars(t, g, open, traces, began)
			if got := s.query(t, `requests_total{path="/deleted",`+job+`}`, g.at); len(got) != 0 {
				t.Errorf("a deleted series is not stale: %v", got)
			}
			if got := s.points(t, g, "measured{"+job+"}"); len(got) != 1 || got[0].T > measured.UnixMilli() || got[0].T < measured.UnixMilli()-1 {
				// Where a time is a float, Prometheus cuts it off a millisecond below where it should.
				t.Errorf("measured at %d: %v", measured.UnixMilli(), got)
			}
			want := map[string]scrapeMetadata{
				"queued":              {model.MetricTypeGauge, "Queue, \"quoted\" \\ and\nbroken.", ""},
				"latency_seconds":     {model.MetricTypeHistogram, "How long.", "seconds"},
				"temperature_celsius": {model.MetricTypeGauge, "May be below zero.", "celsius"},
				"untyped":             {model.MetricTypeUnknown, "", ""},
				"measured":            {model.MetricTypeGauge, "Elsewhere.", ""},
				"pauses_seconds":      {model.MetricTypeSummary, "In quantiles.", ""},
				"cost_dollars":        {model.MetricTypeCounter, "What it cost.", "dollars"},
				"requests":            {model.MetricTypeCounter, "Requests.", ""},
				"program":             {model.MetricTypeInfo, "What runs.", ""},
			}
			if !open { // the format has no units, no infos, and counters by their full names
				want["requests_total"], want["program_info"] = want["requests"], scrapeMetadata{model.MetricTypeGauge, "What runs.", ""}
				delete(want, "requests")
				delete(want, "program")
				for name, m := range want {
					m.unit = ""
					want[name] = m
				}
			}
			s.metadata(t, g, want)
		})
	}
	if log := s.log.String(); log != "" {
		t.Errorf("Prometheus complains:\n%s", log)
	}
}

// overTime wants every value that was there for a scrape, in order and none that
// was not, after a zero at the time of creation where the format tells that.
func (s *server) overTime(t *testing.T, g *target, open bool, counts []float64, began span) {
	t.Helper()
	points := s.points(t, g, `requests_total{path="/a",job="`+g.job+`"}`)
	if open {
		if first := points[0]; first.F != 0 || !began.holds(float64(first.T)/1e3) {
			t.Errorf("the first sample is %v, want 0 at the time of creation", first)
		}
		counts = append([]float64{0}, counts...)
	}
	if got := distinct(points); !slices.Equal(got, counts) {
		t.Errorf("values over time %v, want %v", got, counts)
	}
	seen := points[len(points)-1].F - points[0].F
	length := float64(points[len(points)-1].T-points[0].T) / 1e3
	got := s.one(t, g, `rate(requests_total{path="/a",job="`+g.job+`"}[10m]) * 600`)
	// The ends of the range are extrapolated, each by at most 1.1 times the mean
	// distance of two samples, so the increase is what was seen and a little more.
	if most := seen * (1 + 2.2/float64(len(points)-1)); got < seen || got > most+1e-9 {
		t.Errorf("the increase in %v s is %v, want one of %v to %v", length, got, seen, most)
	}
	if !open { // then both counters were first seen in one scrape
		ratio := s.one(t, g, `rate(twice_total{job="`+g.job+`"}[10m]) / ignoring(path) rate(requests_total{path="/a",job="`+g.job+`"}[10m])`)
		if math.Abs(ratio-2) > 1e-9 {
			t.Errorf("twice as many are %v times as many", ratio)
		}
	}
}

// checkExemplars wants the latest of every step, which was there for a scrape, in
// exemplar storage, in order.
func (s *server) checkExemplars(t *testing.T, g *target, open bool, traces []string, began span) {
	t.Helper()
	for metric, buckets := range map[string]map[string]float64{
		"requests_total":         {"": math.NaN()}, // another value in each step
		"latency_seconds_bucket": {"0.25": 0.125, "0.5": 0.375, "+Inf": 2},
	} {
		got := s.exemplars(t, g.job, metric)
		if !open {
			if len(got) != 0 {
				t.Errorf("exemplars of %s: %v", metric, got)
			}
			continue
		}
		if len(got) != len(buckets) {
			t.Errorf("%s has exemplars for %d buckets: %v", metric, len(got), got)
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
				// Prometheus keeps the escapes of exemplars' labels.
				trace := strings.ReplaceAll(traces[i], `"`, `\"`)
				if !slices.Equal(x.labels, []label{{"trace_id", trace}}) || x.value != w || !began.holds(*x.at) {
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

func (s *server) metadata(t *testing.T, g *target, want map[string]scrapeMetadata) {
	t.Helper()
	active := s.manager.TargetsActive()[g.job]
	if len(active) != 1 {
		t.Fatalf("%d targets", len(active))
	}
	for name, w := range want {
		got, ok := active[0].GetMetadata(name)
		if !ok || got.Type != w.kind || got.Help != w.help || got.Unit != w.unit {
			t.Errorf("metadata of %s: %+v, want %+v", name, got, w)
		}
	}
}

// distinct are the values in order, each once for a run of it.
func distinct(points []promql.FPoint) []float64 {
	var values []float64
	for _, p := range points {
		if len(values) == 0 || values[len(values)-1] != p.F {
			values = append(values, p.F)
		}
	}
	return values
}
