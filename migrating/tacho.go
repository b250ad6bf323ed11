package migrating

import (
	"net/http"

	"github.com/tachikoma/tacho"
)

// withTacho defines the example metrics with tacho.
func withTacho(handle http.HandlerFunc) (record func(), serve http.Handler) {
	reg := tacho.NewRegistry()

	jobs := reg.CounterVec("jobs_total", "Jobs done, by result.", []string{"result"})
	cost := reg.FloatCounter("cost_dollars_total", "Cost in dollars.")
	depth := reg.Gauge("queue_depth", "Jobs waiting.")
	wait := reg.Histogram("wait_seconds", "Time in the queue.", []float64{.1, 1, 10})
	reg.GaugeFunc("temperature_celsius", "Temperature.", func() float64 { return 21.5 })

	measured := tacho.NewHTTPMetrics(reg).Handler(handle)

	mux := http.NewServeMux()
	mux.Handle("GET /metrics", reg.Handler())
	mux.Handle("GET /", measured)

	return func() {
		jobs.With("ok").Inc()
		jobs.With("failed").Add(2)
		jobs.Delete("gone")
		cost.Add(0.25)
		depth.Set(3)
		depth.Dec()
		wait.Observe(0.5)
		wait.ObserveExemplar(2, "trace_id", "4bf92f35")
	}, mux
}
