// Command victoriametrics is the program bare with a counter and a histogram. The
// program writes both metrics to standard output.
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
