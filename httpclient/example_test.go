//go:build !tacho_nohttp

package httpclient_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/httpclient"
)

func Example() {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()

	reg := tacho.NewRegistry()
	m := httpclient.New(reg, httpclient.Config{
		// All shards share one label. By default, the label is the host of the URL.
		Host: func(r *http.Request) string {
			if strings.HasPrefix(r.URL.Host, "127.0.0.1:") {
				return "shards"
			}
			return r.URL.Host
		},
		Buckets: []float64{60},
	})
	client := &http.Client{Transport: m.RoundTripper(nil)}

	resp, err := client.Get(server.URL + "/index")
	if err != nil {
		fmt.Println(err)
		return
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()

	// The durations differ between runs, so the output must not contain them.
	reg.Unregister("http_client_request_duration_seconds")
	reg.WriteText(os.Stdout)
	// Output:
	// # HELP http_client_requests_in_flight HTTP requests whose response is not read to its end.
	// # TYPE http_client_requests_in_flight gauge
	// http_client_requests_in_flight 0
	// # HELP http_client_requests_total HTTP requests sent.
	// # TYPE http_client_requests_total counter
	// http_client_requests_total{method="GET",host="shards",status="404"} 1
}
