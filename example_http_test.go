//go:build !tacho_nohttp

package tacho_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/tachikoma/tacho"
)

func ExampleHTTPMetrics_Handler() {
	reg := tacho.NewRegistry()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /jobs/{id}", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "done") })
	server := tacho.NewHTTPMetrics(reg).Handler(mux)

	for _, id := range []string{"1", "2"} {
		server.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/jobs/"+id, nil))
	}
	scrape := httptest.NewRecorder()
	reg.Handler().ServeHTTP(scrape, httptest.NewRequest("GET", "/metrics", nil))
	for _, line := range strings.Split(scrape.Body.String(), "\n") {
		if strings.HasPrefix(line, "http_requests_total") {
			fmt.Println(line)
		}
	}
	// Output: http_requests_total{method="GET",path="/jobs/{id}",status="200"} 2
}

func ExampleNormalizePath() {
	fmt.Println(tacho.NormalizePath("/missions/42/logs/550e8400-e29b-41d4-a716-446655440000"))
	// Output: /missions/:id/logs/:id
}
