// Command tachohandler is the program tachotiny with net/http.
package main

import (
	"net/http"
	"os"

	"github.com/tachikoma/tacho"
)

func main() {
	reg := tacho.NewRegistry()
	jobs := reg.CounterVec("jobs_total", "Jobs.", []string{"queue"})
	depth := reg.Histogram("depth", "Depth.", nil)
	jobs.With("a").Inc()
	depth.Observe(1)
	http.Handle("/metrics", reg.Handler())
	if http.ListenAndServe("127.0.0.1:8080", nil) != nil {
		os.Exit(1)
	}
}
