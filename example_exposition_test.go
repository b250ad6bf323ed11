package tacho_test

import (
	"fmt"
	"os"

	"github.com/tachikoma/tacho"
)

func ExampleRegistry_WriteText() {
	reg := tacho.NewRegistry()
	reg.Gauge("queued", "Jobs in the queue.").Set(4)
	reg.CounterVec("hits_total", "Hits.", []string{"page"}) // not shown: no series
	if err := reg.WriteText(os.Stdout); err != nil {
		fmt.Println(err)
	}
	// Output:
	// # HELP queued Jobs in the queue.
	// # TYPE queued gauge
	// queued 4
}

func ExampleRegistry_WriteOpenMetrics() {
	reg := tacho.NewRegistry()
	reg.Counter("sent_bytes_total", "Bytes sent.", tacho.WithUnit("bytes")).Add(42)
	reg.WriteOpenMetrics(os.Stdout)
	// Output:
	// # HELP sent_bytes Bytes sent.
	// # TYPE sent_bytes counter
	// # UNIT sent_bytes bytes
	// sent_bytes_total 42.0
	// # EOF
}

func ExampleRegistry_WriteOpenMetrics2() {
	reg := tacho.NewRegistry()
	reg.Counter("sent_bytes_total", "Bytes sent.", tacho.WithUnit("bytes")).Add(42)
	reg.Histogram("job_seconds", "", []float64{.5, 1}).Observe(0.75)
	native := reg.Histogram("wait_seconds", "", nil, tacho.WithNative(tacho.NativeConfig{Factor: 2, ZeroThreshold: 0.125}))
	native.Observe(0)
	native.Observe(1.5)
	reg.WriteOpenMetrics2(os.Stdout)
	// Output:
	// # TYPE job_seconds histogram
	// job_seconds {count:1,sum:0.75,bucket:[0.5:0,1:1,+Inf:1]}
	// # TYPE sent_bytes_total counter
	// # UNIT sent_bytes_total bytes
	// # HELP sent_bytes_total Bytes sent.
	// sent_bytes_total 42
	// # TYPE wait_seconds histogram
	// wait_seconds {count:2,sum:1.5,schema:0,zero_threshold:0.125,zero_count:1,positive_spans:[1:1],positive_buckets:[1]}
	// # EOF
}

func ExampleRegistry_WriteJSON() {
	reg := tacho.NewRegistry()
	reg.CounterVec("hits_total", "Hits.", []string{"page"}).With("/").Add(3)
	reg.WriteJSON(os.Stdout)
	// Output: {"hits_total":[{"labels":{"page":"/"},"value":3}]}
}

func ExampleRegistry_WriteJSON_histogram() {
	reg := tacho.NewRegistry()
	h := reg.Histogram("job_seconds", "Time of a job.", []float64{.5})
	h.Observe(0.125)
	h.Observe(0.625)
	reg.WriteJSON(os.Stdout) // value is the sum, and a null bound is +Inf
	// Output: {"job_seconds":[{"labels":{},"value":0.75,"count":2,"buckets":[{"le":0.5,"count":1},{"le":null,"count":2}]}]}
}
