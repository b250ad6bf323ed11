// Tiny serves its metrics without net/http. Build the program with the tag tacho_nohttp:
//
//	go build -tags tacho_nohttp ./examples/tiny
//
// For a small device:
//
//	GOOS=linux GOARCH=arm GOARM=5 go build -tags tacho_nohttp -trimpath -ldflags="-s -w" ./examples/tiny
package main

import (
	"os"
	"time"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/tinyhttp"
)

var (
	ticks    = tacho.Default.Counter("ticks_total", "Rounds of the control loop.")
	duration = tacho.Default.Histogram("tick_duration_seconds", "Time of a round of the control loop.", []float64{.001, .01, .1})
)

func main() {
	addr := "127.0.0.1:9100"
	if len(os.Args) > 1 {
		addr = os.Args[1]
	}
	go control()
	var srv tinyhttp.Server // serves tacho.Default at /metrics
	if err := srv.ListenAndServe(addr); err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
		os.Exit(1)
	}
}

// control is the work of the device.
func control() {
	for range time.Tick(time.Second) {
		start := time.Now()
		ticks.Inc()
		duration.ObserveSince(start)
	}
}
