package tacho_test

import (
	"os"
	"time"

	"github.com/tachikoma/tacho"
)

func ExampleEmitter_Exemplars() {
	reg := tacho.NewRegistry()
	at := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	reg.Collect(func(e *tacho.Emitter) {
		slow := tacho.Exemplar{Value: 0.7, Labels: []string{"trace_id", "4bf92f35"}, Time: at}
		s := tacho.HistogramSnapshot{Count: 3, Sum: 0.9, Buckets: []tacho.Bucket{{UpperBound: 0.5, Count: 2}}}
		e.Exemplars(slow).Histogram("query_seconds", "", s)
	})
	reg.WriteOpenMetrics(os.Stdout)
	// Output:
	// # TYPE query_seconds histogram
	// query_seconds_bucket{le="0.5"} 2
	// query_seconds_bucket{le="+Inf"} 3 # {trace_id="4bf92f35"} 0.7 1795521600
	// query_seconds_sum 0.9
	// query_seconds_count 3
	// # EOF
}

func ExampleEmitter_Created() {
	reg := tacho.NewRegistry()
	started := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC) // of another system
	reg.Collect(func(e *tacho.Emitter) {
		e.Created(started).Counter("pages_total", "Printed pages.", 12)
	})
	reg.WriteOpenMetrics(os.Stdout)
	// Output:
	// # HELP pages Printed pages.
	// # TYPE pages counter
	// pages_total 12.0
	// pages_created 1795521600
	// # EOF
}

func ExampleEmitter_Unit() {
	reg := tacho.NewRegistry()
	reg.Collect(func(e *tacho.Emitter) { e.Unit("bytes").Gauge("heap_bytes", "", 4096) })
	reg.WriteOpenMetrics(os.Stdout)
	// Output:
	// # TYPE heap_bytes gauge
	// # UNIT heap_bytes bytes
	// heap_bytes 4096.0
	// # EOF
}

func ExampleEmitter_Fallback() {
	reg := tacho.NewRegistry()
	reg.Gauge("threads", "Threads of the program.").Set(8)
	reg.Collect(func(e *tacho.Emitter) { // the metrics of a library
		e.Fallback().Gauge("threads", "", 7)
		e.Fallback().Gauge("queue_length", "", 3)
	})
	reg.WriteText(os.Stdout)
	// Output:
	// # TYPE queue_length gauge
	// queue_length 3
	// # HELP threads Threads of the program.
	// # TYPE threads gauge
	// threads 8
}
