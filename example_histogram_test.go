package tacho_test

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/tachikoma/tacho"
)

func ExampleHistogram() {
	reg := tacho.NewRegistry()
	latency := reg.Histogram("latency_seconds", "Time to answer.", []float64{.1, .5})
	latency.Observe(0.25)
	latency.ObserveDuration(2 * time.Second)
	reg.WriteText(os.Stdout)
	// Output:
	// # HELP latency_seconds Time to answer.
	// # TYPE latency_seconds histogram
	// latency_seconds_bucket{le="0.1"} 0
	// latency_seconds_bucket{le="0.5"} 1
	// latency_seconds_bucket{le="+Inf"} 2
	// latency_seconds_sum 2.25
	// latency_seconds_count 2
}

func ExampleHistogram_Snapshot() {
	h := tacho.NewRegistry().Histogram("size_bytes", "Size.", tacho.ExponentialBuckets(100, 10, 2))
	h.Observe(50)
	h.Observe(500)
	s := h.Snapshot()
	fmt.Println(s.Count, s.Sum, s.Buckets)
	// Output: 2 550 [{100 1} {1000 2} {+Inf 2}]
}

func ExampleHistogram_ObserveExemplar() {
	reg := tacho.NewRegistry()
	wait := reg.Histogram("wait_seconds", "Time in the queue.", []float64{0.5}, tacho.WithUnit("seconds"))
	wait.ObserveExemplar(0.25, "trace_id", "4bf92f3577b34da6")

	var b strings.Builder
	reg.WriteOpenMetrics(&b)
	for _, line := range strings.Split(b.String(), "\n") {
		if line, time, ok := strings.Cut(line, " 0.25 1"); ok { // the value and the time of the exemplar
			fmt.Println(line, len(time) > 0)
		}
	}
	// Output: wait_seconds_bucket{le="0.5"} 1 # {trace_id="4bf92f3577b34da6"} true
}

func ExampleLinearBuckets() {
	fmt.Println(tacho.LinearBuckets(10, 5, 4))
	// Output: [10 15 20 25]
}
