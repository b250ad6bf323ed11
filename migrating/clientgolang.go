package migrating

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// withClientGolang defines the example metrics with client_golang.
func withClientGolang(handle http.HandlerFunc) (record func(), serve http.Handler) {
	reg := prometheus.NewRegistry()
	factory := promauto.With(reg)

	jobs := factory.NewCounterVec(prometheus.CounterOpts{
		Name: "jobs_total", Help: "Jobs done, by result.",
	}, []string{"result"})
	cost := factory.NewCounter(prometheus.CounterOpts{
		Name: "cost_dollars_total", Help: "Cost in dollars.",
	})
	depth := factory.NewGauge(prometheus.GaugeOpts{
		Name: "queue_depth", Help: "Jobs waiting.",
	})
	wait := factory.NewHistogram(prometheus.HistogramOpts{
		Name: "wait_seconds", Help: "Time in the queue.", Buckets: []float64{.1, 1, 10},
	})
	factory.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "temperature_celsius", Help: "Temperature.",
	}, func() float64 { return 21.5 })

	requests := factory.NewCounterVec(prometheus.CounterOpts{
		Name: "http_requests_total", Help: "Total HTTP requests",
	}, []string{"method", "code"})
	measured := promhttp.InstrumentHandlerCounter(requests, handle)

	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	mux.Handle("GET /", measured)

	return func() {
		jobs.WithLabelValues("ok").Inc()
		jobs.With(prometheus.Labels{"result": "failed"}).Add(2)
		jobs.DeleteLabelValues("gone")
		cost.Add(0.25)
		depth.Set(3)
		depth.Dec()
		wait.Observe(0.5)
		wait.(prometheus.ExemplarObserver).ObserveWithExemplar(2, prometheus.Labels{"trace_id": "4bf92f35"})
	}, mux
}
