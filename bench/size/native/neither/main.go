// Command neither has a counter vector and a histogram, which it writes to standard output.
// The programs in the neighbouring folders add to the program neither.
package main

import (
	"os"

	"github.com/tachikoma/tacho"
)

func main() {
	reg := tacho.NewRegistry()
	jobs := reg.CounterVec("jobs_total", "Jobs.", []string{"queue"})
	depth := reg.Histogram("depth", "Depth.", nil)
	jobs.With("a").Inc()
	depth.Observe(1)
	if err := reg.WriteText(os.Stdout); err != nil {
		os.Exit(1)
	}
}
