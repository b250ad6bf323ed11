// Command clientgolang is the program bare with a counter vector and a histogram.
// The program writes both metrics to standard output.
package main

import (
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
)

var (
	jobs    = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "jobs_total", Help: "Jobs done, by result."}, []string{"result"})
	seconds = prometheus.NewHistogram(prometheus.HistogramOpts{Name: "job_duration_seconds", Help: "Duration of jobs."})
)

func main() {
	reg := prometheus.NewRegistry()
	reg.MustRegister(jobs, seconds)
	start := time.Now()
	jobs.WithLabelValues("ok").Inc()
	seconds.Observe(time.Since(start).Seconds())
	families, err := reg.Gather()
	if err != nil {
		os.Exit(1)
	}
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(os.Stdout, f); err != nil {
			os.Exit(1)
		}
	}
}
