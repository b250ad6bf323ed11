package conformance

import (
	"math"
	"slices"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql"

	"github.com/tachikoma/tacho"
)

// TestPrometheus lets Prometheus 3 scrape one registry in several ways while the
// program records, and asks it what was recorded.
func TestPrometheus(t *testing.T) {
	reg := tacho.NewRegistry(tacho.WithConstLabels("region", "eu"))
	requests := reg.CounterVec("requests_total", "Requests.", []string{"path"})
	twice := reg.Counter("twice_total", "Twice as many.")
	cost := reg.FloatCounter("cost_dollars_total", "What it cost.")
	queued := reg.Gauge("queued", "Queue, \"quoted\" \\ and\nbroken.")
	temperature := reg.FloatGauge("temperature_celsius", "May be below zero.")
	latency := reg.Histogram("latency_seconds", "How long.", []float64{0.25, 0.5, 1})
	reg.Collect(func(e *tacho.Emitter) {
		e.Gauge("emitted", "", math.Inf(-1), "kind", "é\n\"\\")
		e.Info("program_info", "What runs.", "version", "1.2.3")
		e.Untyped("untyped", "", -0.5)
	})

	handler := reg.Handler()
	targets := []*target{
		{job: "three", handler: handler},
		{job: "text", handler: handler, config: "scrape_protocols: [PrometheusText0.0.4]"},
		{job: "legacy", handler: handler, config: "metric_name_validation_scheme: legacy\nmetric_name_escaping_scheme: underscores"},
		{job: "plain", handler: handler, config: "enable_compression: false"},
	}
	s := newServer(t, targets)

	var counts []float64
	const steps = 4
	for step := range steps {
		requests.With("/a").Add(uint64(1 + step))
		twice.Add(uint64(2 + 2*step))
		cost.Add(0.25)
		queued.Set(int64(step) - 2)
		temperature.Set(-0.5 * float64(step))
		for _, v := range []float64{0.125, 0.375, 0.375, 2} {
			latency.Observe(v)
		}
		counts = append(counts, float64(requests.With("/a").Value()))
		s.wait(t, targets)
	}
	requests.With("/deleted").Inc()
	s.wait(t, targets)
	for _, g := range targets {
		if got := s.one(t, `requests_total{path="/deleted",job="`+g.job+`"}`); got != 1 {
			t.Errorf("%s: %v", g.job, got)
		}
	}
	requests.Delete("/deleted")
	s.wait(t, targets)

	for _, g := range targets {
		t.Run(g.job, func(t *testing.T) {
			if err := s.problem(g); err != nil {
				t.Error(err)
			}
			job := `{job="` + g.job + `"}`
			for expr, want := range map[string]float64{
				"up" + job: 1,
				`requests_total{region="eu",path="/a",job="` + g.job + `"}`: counts[steps-1],
				"twice_total" + job:                                                     2 * counts[steps-1],
				"cost_dollars_total" + job:                                              0.25 * steps,
				"queued" + job:                                                          steps - 3,
				"temperature_celsius" + job:                                             -0.5 * (steps - 1),
				`emitted{kind="é\n\"\\",job="` + g.job + `"}`:                           math.Inf(-1),
				`program_info{version="1.2.3",job="` + g.job + `"}`:                     1,
				"untyped" + job:                                                         -0.5,
				"latency_seconds_count" + job:                                           4 * steps,
				"latency_seconds_sum" + job:                                             2.875 * steps,
				`latency_seconds_bucket{le="0.5",job="` + g.job + `"}`:                  3 * steps,
				`latency_seconds_bucket{le="+Inf",job="` + g.job + `"}`:                 4 * steps,
				"histogram_quantile(0.5, latency_seconds_bucket" + job + ")":            0.375,
				"histogram_quantile(0.25, latency_seconds_bucket" + job + ")":           0.25,
				"histogram_quantile(1, latency_seconds_bucket" + job + ")":              1,
				"histogram_quantile(0.5, rate(latency_seconds_bucket" + job + "[10m]))": 0.375,
				// Both counters were first seen in one scrape and moved in the same steps.
				"rate(twice_total" + job + "[10m]) / ignoring(path) rate(requests_total{path=\"/a\",job=\"" + g.job + "\"}[10m])": 2,
				"rate(latency_seconds_sum" + job + "[10m]) / rate(latency_seconds_count" + job + "[10m])":                         2.875 / 4,
			} {
				if got := s.one(t, expr); got != want && !(math.Abs(got-want) <= 1e-9) {
					t.Errorf("%s is %v, want %v", expr, got, want)
				}
			}
			// Every value that was there for a scrape, in order, and none that was not.
			points := s.points(t, `requests_total{path="/a",job="`+g.job+`"}`)
			if got := distinct(points); !slices.Equal(got, counts) {
				t.Errorf("values over time %v, want %v", got, counts)
			}
			span := float64(points[len(points)-1].T-points[0].T) / 1e3
			if got, plain := s.one(t, `rate(requests_total{path="/a",job="`+g.job+`"}[10m]) * 600`), counts[steps-1]-counts[0]; got < plain || got > plain*(1+1/span)+counts[steps-1] {
				t.Errorf("increase of %v, of which %v was seen", got, plain)
			}
			if got := s.query(t, `requests_total{path="/deleted",job="`+g.job+`"}`); len(got) != 0 {
				t.Errorf("a deleted series is not stale: %v", got)
			}
			s.metadata(t, g, map[string]scrapeMetadata{
				"queued":              {model.MetricTypeGauge, "Queue, \"quoted\" \\ and\nbroken.", ""},
				"latency_seconds":     {model.MetricTypeHistogram, "How long.", ""},
				"temperature_celsius": {model.MetricTypeGauge, "May be below zero.", ""},
				"untyped":             {model.MetricTypeUnknown, "", ""},
			})
		})
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
