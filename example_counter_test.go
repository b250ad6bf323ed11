package tacho_test

import (
	"fmt"
	"os"

	"github.com/tachikoma/tacho"
)

func ExampleCounter() {
	reg := tacho.NewRegistry()
	requests := reg.Counter("requests_total", "Requests served.")
	requests.Inc()
	requests.Add(2)
	reg.WriteText(os.Stdout)
	// Output:
	// # HELP requests_total Requests served.
	// # TYPE requests_total counter
	// requests_total 3
}

func ExampleFloatCounter() {
	reg := tacho.NewRegistry()
	busy := reg.FloatCounter("busy_seconds_total", "Time spent working.")
	busy.Add(0.25)
	busy.Add(-1) // refused and counted
	fmt.Println(busy.Value())
	reg.WriteText(os.Stdout)
	// Output:
	// 0.25
	// # HELP busy_seconds_total Time spent working.
	// # TYPE busy_seconds_total counter
	// busy_seconds_total 0.25
	// # HELP tacho_errors_total Recordings and collected samples that were refused.
	// # TYPE tacho_errors_total counter
	// tacho_errors_total{metric="busy_seconds_total",reason="negative"} 1
}

func ExampleRegistry_CounterFunc() {
	reg := tacho.NewRegistry()
	var read int64 // counted by other code
	reg.CounterFunc("read_bytes_total", "Bytes read.", func() float64 { return float64(read) })
	read = 4096
	reg.WriteText(os.Stdout)
	// Output:
	// # HELP read_bytes_total Bytes read.
	// # TYPE read_bytes_total counter
	// read_bytes_total 4096
}
