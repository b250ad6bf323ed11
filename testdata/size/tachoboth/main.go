// Command tachoboth is the program tacho with native buckets and the protobuf format.
package main

import (
	"os"

	"github.com/tachikoma/tacho"
)

func main() {
	reg := tacho.NewRegistry()
	jobs := reg.CounterVec("jobs_total", "Jobs.", []string{"queue"})
	depth := reg.Histogram("depth", "Depth.", nil, tacho.WithNative())
	jobs.With("a").Inc()
	depth.Observe(1)
	if err := reg.WriteText(os.Stdout); err != nil {
		os.Exit(1)
	}
	if err := reg.WriteProtobuf(os.Stdout); err != nil {
		os.Exit(1)
	}
}
