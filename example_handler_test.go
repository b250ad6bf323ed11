//go:build !tacho_nohttp

package tacho_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/tachikoma/tacho"
)

func ExampleRegistry_Handler() {
	reg := tacho.NewRegistry()
	reg.Counter("requests_total", "Requests served.").Inc()
	mux := http.NewServeMux()
	mux.Handle("/metrics", reg.Handler())
	mux.Handle("/metrics/json", reg.JSONHandler())

	for _, path := range []string{"/metrics", "/metrics/json"} {
		scrape := httptest.NewRecorder()
		mux.ServeHTTP(scrape, httptest.NewRequest("GET", path, nil))
		fmt.Println(scrape.Header().Get("Content-Type"))
		fmt.Print(scrape.Body)
	}
	// Output:
	// text/plain; version=0.0.4; charset=utf-8
	// # HELP requests_total Requests served.
	// # TYPE requests_total counter
	// requests_total 1
	// application/json
	// {"requests_total":[{"labels":{},"value":1}]}
}

func ExampleRegistry_JSONHandler_metadata() {
	reg := tacho.NewRegistry()
	reg.FloatCounter("busy_seconds_total", "Time spent on jobs.", tacho.WithUnit("seconds")).Add(1.5)
	reg.Gauge("queued", "Jobs in the queue.").Set(4)

	scrape := httptest.NewRecorder()
	reg.JSONHandler().ServeHTTP(scrape, httptest.NewRequest("GET", "/metrics/json?metadata=1", nil))
	fmt.Print(scrape.Body)
	// Output:
	// {"busy_seconds_total":{"type":"counter","help":"Time spent on jobs.","unit":"seconds","series":[{"labels":{},"value":1.5}]},
	// "queued":{"type":"gauge","help":"Jobs in the queue.","series":[{"labels":{},"value":4}]}}
}
