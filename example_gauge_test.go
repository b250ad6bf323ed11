package tacho_test

import (
	"fmt"
	"os"

	"github.com/tachikoma/tacho"
)

func ExampleGauge() {
	queued := tacho.NewRegistry().Gauge("queued", "Jobs in the queue.")
	queued.Set(5)
	queued.Dec()
	fmt.Println(queued.Value())
	// Output: 4
}

func ExampleFloatGauge() {
	load := tacho.NewRegistry().FloatGauge("load", "Load average.")
	load.Set(0.75)
	load.Add(0.5)
	fmt.Println(load.Value())
	// Output: 1.25
}

func ExampleRegistry_GaugeFunc() {
	reg := tacho.NewRegistry()
	queue := make(chan int, 8)
	reg.GaugeFunc("queue_length", "Items in the queue.", func() float64 { return float64(len(queue)) })
	queue <- 1
	reg.WriteText(os.Stdout)
	// Output:
	// # HELP queue_length Items in the queue.
	// # TYPE queue_length gauge
	// queue_length 1
}
