// Command clientgolang is the server bare with a counter vector, a histogram, four
// promhttp wrappers, the promhttp handler and a JSON view.
package main

import (
	"encoding/json"
	"log"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

var (
	jobs    = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "jobs_total", Help: "Jobs done, by result."}, []string{"result"})
	seconds = prometheus.NewHistogram(prometheus.HistogramOpts{Name: "job_duration_seconds", Help: "Duration of jobs."})

	total    = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "http_requests_total"}, []string{"method", "code"})
	duration = prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "http_request_duration_seconds"}, []string{"method"})
	size     = prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "http_response_size_bytes"}, []string{"method"})
	inFlight = prometheus.NewGauge(prometheus.GaugeOpts{Name: "http_requests_in_flight"})
)

func main() {
	reg := prometheus.NewRegistry()
	reg.MustRegister(jobs, seconds, total, duration, size, inFlight)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /jobs/{id}", func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		_, _ = w.Write([]byte("done\n"))
		jobs.WithLabelValues("ok").Inc()
		seconds.Observe(time.Since(start).Seconds())
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /metrics/json", func(w http.ResponseWriter, r *http.Request) {
		families, err := reg.Gather()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(families)
	})
	measured := promhttp.InstrumentHandlerInFlight(inFlight,
		promhttp.InstrumentHandlerDuration(duration,
			promhttp.InstrumentHandlerCounter(total,
				promhttp.InstrumentHandlerResponseSize(size, mux))))
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", measured))
}
