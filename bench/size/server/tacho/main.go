// Command tacho is the server bare with a counter vector, a histogram, the
// middleware and both handlers.
package main

import (
	"log"
	"net/http"
	"time"

	"github.com/tachikoma/tacho"
)

var (
	jobs    = tacho.Default.CounterVec("jobs_total", "Jobs done, by result.", []string{"result"})
	seconds = tacho.Default.Histogram("job_duration_seconds", "Duration of jobs.", nil)
)

func main() {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /jobs/{id}", func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		_, _ = w.Write([]byte("done\n"))
		jobs.With("ok").Inc()
		seconds.ObserveSince(start)
	})
	mux.Handle("GET /metrics", tacho.Default.Handler())
	mux.Handle("GET /metrics/json", tacho.Default.JSONHandler())
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", tacho.NewHTTPMetrics(tacho.Default).Handler(mux)))
}
