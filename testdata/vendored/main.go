// A program that has tacho in its vendor directory; .ci/supply builds and runs it
// without a network.
package main

import (
	"log"
	"os"

	"github.com/tachikoma/tacho"
)

func main() {
	reg := tacho.NewRegistry()
	reg.CounterVec("jobs_total", "Jobs done, by result.", []string{"result"}).With("ok").Inc()
	measure(reg)
	if err := reg.WriteText(os.Stdout); err != nil {
		log.Fatal(err)
	}
}
