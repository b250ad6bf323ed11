package main

import (
	"io"
	"log"
	"net/http"

	"github.com/tachikoma/tacho"
)

func main() {
	reg := tacho.NewRegistry()
	jobs := reg.CounterVec("jobs_total", "Jobs.", []string{"queue"})
	depth := reg.Histogram("depth", "Depth.", nil)
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		jobs.With("a").Inc()
		depth.Observe(1)
		io.WriteString(w, "hello\n")
	})
	mux.Handle("/metrics", reg.Handler())
	mux.Handle("/metrics/json", reg.JSONHandler())
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", tacho.NewHTTPMetrics(reg).Handler(mux)))
}
