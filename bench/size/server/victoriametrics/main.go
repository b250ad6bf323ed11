// Command victoriametrics is the server bare with a counter, a histogram and a
// metrics handler. VictoriaMetrics has no middleware and no JSON view.
package main

import (
	"log"
	"net/http"
	"time"

	"github.com/VictoriaMetrics/metrics"
)

var seconds = metrics.NewPrometheusHistogram("job_duration_seconds")

func main() {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /jobs/{id}", func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		_, _ = w.Write([]byte("done\n"))
		metrics.GetOrCreateCounter(`jobs_total{result="ok"}`).Inc()
		seconds.UpdateDuration(start)
	})
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		metrics.WritePrometheus(w, false)
	})
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", mux))
}
