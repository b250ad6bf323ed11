// Command tacho is the program bare with a counter vector and a histogram. The
// program writes both metrics to standard output. bench.BinaryBytes builds the
// program with the tag tacho_nohttp.
package main

import (
	"os"
	"time"

	"github.com/tachikoma/tacho"
)

var (
	jobs    = tacho.Default.CounterVec("jobs_total", "Jobs done, by result.", []string{"result"})
	seconds = tacho.Default.Histogram("job_duration_seconds", "Duration of jobs.", nil)
)

func main() {
	start := time.Now()
	jobs.With("ok").Inc()
	seconds.ObserveSince(start)
	if err := tacho.Default.WriteText(os.Stdout); err != nil {
		os.Exit(1)
	}
}
