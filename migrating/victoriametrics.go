package migrating

import (
	"net/http"

	"github.com/VictoriaMetrics/metrics"
)

// withVictoriaMetrics defines the example metrics with VictoriaMetrics/metrics.
func withVictoriaMetrics(handle http.HandlerFunc) (record func(), serve http.Handler) {
	set := metrics.NewSet()

	cost := set.NewFloatCounter("cost_dollars_total")
	depth := set.NewGauge("queue_depth", nil)
	wait := set.NewPrometheusHistogramExt("wait_seconds", []float64{.1, 1, 10})
	set.NewGauge("temperature_celsius", func() float64 { return 21.5 })

	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) { set.WritePrometheus(w) })
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		handle(w, r)
		set.GetOrCreateCounter(`http_requests_total{method="` + r.Method + `"}`).Inc()
	})

	return func() {
		set.GetOrCreateCounter(`jobs_total{result="ok"}`).Inc()
		set.GetOrCreateCounter(`jobs_total{result="failed"}`).Add(2)
		set.UnregisterMetric(`jobs_total{result="gone"}`)
		cost.Add(0.25)
		depth.Set(3)
		depth.Dec()
		wait.Update(0.5)
		wait.Update(2)
	}, mux
}
