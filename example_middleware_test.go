//go:build !tacho_nohttp

package tacho_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"time"

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

func ExampleHTTPMetrics_Record() {
	reg := tacho.NewRegistry()
	m := tacho.NewHTTPMetrics(reg, tacho.WithDurationBuckets([]float64{.1, 1}))
	m.Record("GET", "/jobs/42", 200, 250*time.Millisecond, -1) // the size is unknown

	var text strings.Builder
	reg.WriteText(&text)
	for line := range strings.Lines(text.String()) {
		if strings.HasPrefix(line, "http_request_duration_seconds") {
			fmt.Print(line)
		}
	}
	// Output:
	// http_request_duration_seconds_bucket{method="GET",path="/jobs/:id",le="0.1"} 0
	// http_request_duration_seconds_bucket{method="GET",path="/jobs/:id",le="1"} 1
	// http_request_duration_seconds_bucket{method="GET",path="/jobs/:id",le="+Inf"} 1
	// http_request_duration_seconds_sum{method="GET",path="/jobs/:id"} 0.25
	// http_request_duration_seconds_count{method="GET",path="/jobs/:id"} 1
}

func ExampleWithPathLabel() {
	reg := tacho.NewRegistry()
	tenant := func(r *http.Request) string { return "/" + strings.SplitN(r.URL.Path, "/", 3)[1] }
	server := tacho.NewHTTPMetrics(reg, tacho.WithPathLabel(tenant)).Handler(http.NotFoundHandler())
	server.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/acme/anything/below", nil))

	reg.Unregister("http_request_duration_seconds") // to keep the output short
	reg.Unregister("http_response_size_bytes")
	reg.WriteText(os.Stdout)
	// Output:
	// # HELP http_requests_in_flight Current number of HTTP requests being processed
	// # TYPE http_requests_in_flight gauge
	// http_requests_in_flight 0
	// # HELP http_requests_total Total HTTP requests
	// # TYPE http_requests_total counter
	// http_requests_total{method="GET",path="/acme",status="404"} 1
}

func ExampleNormalizePath() {
	fmt.Println(tacho.NormalizePath("/missions/42/logs/550e8400-e29b-41d4-a716-446655440000"))
	// Output: /missions/:id/logs/:id
}

// The names of another library's dashboard.
func ExampleWithLabelName() {
	reg := tacho.NewRegistry()
	m := tacho.NewHTTPMetrics(reg, tacho.WithPrefix("shop_"), tacho.WithLabelName("status", "code"), tacho.WithLabelName("path", "handler"))
	m.Record("GET", "/items/7", 200, 20*time.Millisecond, 512)
	var b strings.Builder
	reg.WriteText(&b)
	for _, line := range strings.Split(b.String(), "\n") {
		if strings.HasPrefix(line, "shop_http_requests_total") {
			fmt.Println(line)
		}
	}
	// Output:
	// shop_http_requests_total{method="GET",handler="/items/:id",code="200"} 1
}
