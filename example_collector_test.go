package tacho_test

import (
	"os"
	"time"

	"github.com/tachikoma/tacho"
)

func ExampleRegistry_Collect() {
	reg := tacho.NewRegistry()
	reg.Collect(func(e *tacho.Emitter) {
		for disk, free := range map[string]float64{"/": 10, "/home": 20} {
			e.Gauge("disk_free_bytes", "Free space.", free, "mount", disk)
		}
		e.Info("build_info", "The build.", "version", "1.2")
	})
	reg.WriteText(os.Stdout)
	// Output:
	// # HELP build_info The build.
	// # TYPE build_info gauge
	// build_info{version="1.2"} 1
	// # HELP disk_free_bytes Free space.
	// # TYPE disk_free_bytes gauge
	// disk_free_bytes{mount="/"} 10
	// disk_free_bytes{mount="/home"} 20
}

func ExampleEmitter_At() {
	reg := tacho.NewRegistry()
	measured := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC) // by another system
	reg.Collect(func(e *tacho.Emitter) {
		e.At(measured).Gauge("outside_celsius", "Temperature outside.", 4.5)
	})
	reg.WriteText(os.Stdout)
	// Output:
	// # HELP outside_celsius Temperature outside.
	// # TYPE outside_celsius gauge
	// outside_celsius 4.5 1795521600000
}
