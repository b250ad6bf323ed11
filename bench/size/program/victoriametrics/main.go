// Command victoriametrics is the bare program with counters and a histogram,
// written to standard output.
package main

import (
	"os"
	"time"

	"github.com/VictoriaMetrics/metrics"
)

var seconds = metrics.NewPrometheusHistogram("job_duration_seconds")

func main() {
	start := time.Now()
	metrics.GetOrCreateCounter(`jobs_total{result="ok"}`).Inc()
	seconds.UpdateDuration(start)
	metrics.WritePrometheus(os.Stdout, false)
}
