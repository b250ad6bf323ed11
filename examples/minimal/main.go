// Minimal records metrics and writes the text format to standard output. The program
// does not use HTTP. With the build tag tacho_nohttp, the binary does not contain net
// and net/http:
//
//	go build -tags tacho_nohttp ./examples/minimal
package main

import (
	"os"

	"github.com/tachikoma/tacho"
)

var (
	jobs     = tacho.Default.CounterVec("jobs_total", "Jobs done, by result.", []string{"result"})
	waiting  = tacho.Default.Gauge("jobs_waiting", "Jobs in the queue.")
	duration = tacho.Default.Histogram("job_duration_seconds", "Time a job took.", []float64{.1, .5, 1})
)

func main() {
	waiting.Set(2)
	for _, seconds := range []float64{.05, .3, .7} {
		duration.Observe(seconds)
		jobs.With("ok").Inc()
	}
	jobs.With("failed").Inc()
	if err := tacho.Default.WriteText(os.Stdout); err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
		os.Exit(1)
	}
}
