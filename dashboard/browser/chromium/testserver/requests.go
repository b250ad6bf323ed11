//go:build !tacho_nohttp

package main

import (
	"math/rand/v2"
	"time"

	"github.com/tachikoma/tacho"
)

// paths have a rate and a latency each, so that charts by path differ.
var paths = []struct {
	path    string
	chance  float64
	seconds float64
}{
	{"/search", 0.9, 0.02},
	{"/cart", 0.5, 0.1},
	{"/pay", 0.1, 0.6},
}

// serveRequests simulates requests, 20 times a second. It does not return.
func serveRequests(reg *tacho.Registry) {
	requests := reg.CounterVec("app_requests_total", "Requests by path and status.", []string{"path", "status"})
	latency := reg.HistogramVec("app_request_seconds", "Time of a request.", tacho.ExponentialBuckets(0.001, 2, 14), []string{"path"})
	queue := reg.Gauge("app_queue_bytes", "Size of the queue.")
	for range time.Tick(50 * time.Millisecond) {
		for _, p := range paths {
			if rand.Float64() > p.chance {
				continue
			}
			status := "200"
			if p.path == "/pay" && rand.IntN(4) == 0 {
				status = "500"
			}
			requests.With(p.path, status).Inc()
			latency.With(p.path).Observe(p.seconds * (0.5 + rand.Float64()))
		}
		queue.Set(1<<20 + rand.Int64N(1<<20))
	}
}
