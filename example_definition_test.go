package tacho_test

import (
	"errors"
	"fmt"
	"os"

	"github.com/tachikoma/tacho"
)

func ExampleTry() {
	reg := tacho.NewRegistry()
	_, err := tacho.Try(func() *tacho.Counter { return reg.Counter("bad name", "") })
	fmt.Println(err)
	// Output: tacho: metric "bad name": the name must match [a-zA-Z_:][a-zA-Z0-9_:]*
}

func ExampleDefinitionError() {
	reg := tacho.NewRegistry()
	reg.Gauge("jobs", "Jobs.")
	_, err := tacho.Try(func() *tacho.Counter { return reg.Counter("jobs", "Jobs.") })
	var wrong *tacho.DefinitionError
	if errors.As(err, &wrong) { // wrong.First is the file and line of the gauge
		fmt.Println(wrong.Metric, "is", wrong.Reason)
	}
	// Output: jobs is already defined as a gauge
}

func ExampleRegistry_Unregister() {
	reg := tacho.NewRegistry()
	reg.Gauge("queued", "Jobs in the queue.")
	fmt.Println(reg.Unregister("queued"), reg.Unregister("queued"))
	// Output: true false
}

func ExampleWithUTF8Names() {
	reg := tacho.NewRegistry(tacho.WithUTF8Names())
	reg.GaugeVec("queue.length", "Jobs that wait.", []string{"queue.name"}).With("mail").Set(3)
	reg.WriteText(os.Stdout) // a client that accepts UTF-8 names gets {"queue.length","queue.name"="mail"} 3
	// Output:
	// # HELP queue_length Jobs that wait.
	// # TYPE queue_length gauge
	// queue_length{queue_name="mail"} 3
}
