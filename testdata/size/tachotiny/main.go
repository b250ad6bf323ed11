// Command tachotiny is the program tachonet with package tinyhttp.
package main

import (
	"os"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/tinyhttp"
)

func main() {
	reg := tacho.NewRegistry()
	jobs := reg.CounterVec("jobs_total", "Jobs.", []string{"queue"})
	depth := reg.Histogram("depth", "Depth.", nil)
	jobs.With("a").Inc()
	depth.Observe(1)
	srv := &tinyhttp.Server{Registry: reg}
	if srv.ListenAndServe("127.0.0.1:8080") != nil {
		os.Exit(1)
	}
}
