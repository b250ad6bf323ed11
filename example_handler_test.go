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
