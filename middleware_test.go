//go:build !tacho_nohttp

package tacho

import (
	"context"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tachikoma/tacho/internal/race"
)

func TestRequestMetricsRecorded(t *testing.T) {
	for name, h2 := range protocols {
		t.Run(name, func(t *testing.T) {
			srv := newTestServer(t, h2, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if h2 != (r.ProtoMajor == 2) {
					t.Errorf("the protocol is %s", r.Proto)
				}
				wantSamples(t, registryOf(r), "http_requests_in_flight", "1")
				respondOK(w, r)
			}))
			srv.Config.Handler = withRegistry(srv.Config.Handler, srv.reg)
			for i := 0; i < 3; i++ {
				if status, body, err := srv.get(t, "/missions/42"); status != 200 || body != "ok" || err != nil {
					t.Fatalf("the client got status %d, body %q and error %v", status, body, err)
				}
			}
			wantSamples(t, srv.reg,
				requestsSeries("GET", "/missions/:id", "200"), "3",
				`http_request_duration_seconds_count{method="GET",path="/missions/:id"}`, "3",
				`http_response_size_bytes_count{method="GET",path="/missions/:id"}`, "3",
				bytesSeries("/missions/:id"), "6",
				"http_requests_in_flight", "0")
		})
	}
}

type registryKey struct{}

// withRegistry returns a handler that calls h with reg in the context of the request.
func withRegistry(h http.Handler, reg *Registry) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), registryKey{}, reg)))
	})
}

func registryOf(r *http.Request) *Registry { return r.Context().Value(registryKey{}).(*Registry) }

func TestHTTPBucketsAndHelp(t *testing.T) {
	r := NewRegistry()
	m := NewHTTPMetrics(r)
	m.Record("GET", "/", 200, 0, 0)
	m.ConnState(nil, http.StateNew)
	scrape := text(t, r)
	for _, want := range []string{
		"# HELP http_requests_total Total HTTP requests\n# TYPE http_requests_total counter\n",
		"# HELP http_request_duration_seconds HTTP request duration in seconds\n# TYPE http_request_duration_seconds histogram\n",
		"# HELP http_requests_in_flight Current number of HTTP requests being processed\n# TYPE http_requests_in_flight gauge\n",
		"# HELP http_response_size_bytes HTTP response size in bytes\n# TYPE http_response_size_bytes histogram\n",
		"# TYPE http_connections gauge\n",
	} {
		if !strings.Contains(scrape, want) {
			t.Errorf("the scrape lacks %q", want)
		}
	}
	les := func(name string) (les []string) {
		for _, line := range strings.Split(scrape, "\n") {
			if strings.HasPrefix(line, name+"_bucket{") {
				_, le, _ := strings.Cut(line, `le="`)
				le, _, _ = strings.Cut(le, `"`)
				les = append(les, le)
			}
		}
		return les
	}
	if got := fmt.Sprint(les("http_request_duration_seconds")); got != "[0.001 0.005 0.01 0.025 0.05 0.1 0.25 0.5 1 2.5 5 10 +Inf]" {
		t.Errorf("the duration buckets are %s", got)
	}
	if got := fmt.Sprint(les("http_response_size_bytes")); got != "[100 1000 10000 100000 1e+06 1e+07 1e+08 1e+09 +Inf]" {
		t.Errorf("the size buckets are %s", got)
	}
}

func TestHTTPOptions(t *testing.T) {
	r := NewRegistry(WithMaxSeries(1))
	m := NewHTTPMetrics(r, WithDurationBuckets([]float64{1, 2}), WithSizeBuckets([]float64{3}), WithConstLabels("app", "x"))
	for _, p := range []string{"/a", "/b", "/c"} {
		m.Record("GET", p, 200, 1500*time.Millisecond, 4)
	}
	wantSamples(t, r,
		`http_request_duration_seconds_bucket{app="x",method="GET",path="/b",le="1"}`, "0",
		`http_request_duration_seconds_bucket{app="x",method="GET",path="/b",le="2"}`, "1",
		`http_response_size_bytes_bucket{app="x",method="GET",path="/c",le="3"}`, "0",
		`http_response_size_bytes_bucket{app="x",method="GET",path="/c",le="+Inf"}`, "1",
		`http_requests_in_flight{app="x"}`, "0")
}

func TestRecord(t *testing.T) {
	r := NewRegistry()
	m := NewHTTPMetrics(r)
	m.Record("GET", "/missions/42", 204, 20*time.Millisecond, 0)
	m.Record("GET", "/missions/43", 204, 20*time.Millisecond, -1)
	for _, status := range []int{-1, 0, 99, 1000, math.MaxInt32} {
		m.Record("GET", "/odd", status, 0, 5)
	}
	m.Record("GET", "/odd", 100, 0, 5)
	m.Record("GET", "/odd", 999, 0, 5)
	wantSamples(t, r,
		requestsSeries("GET", "/missions/:id", "204"), "2",
		`http_response_size_bytes_count{method="GET",path="/missions/:id"}`, "1",
		bytesSeries("/missions/:id"), "0",
		`http_request_duration_seconds_count{method="GET",path="/missions/:id"}`, "2",
		`http_request_duration_seconds_bucket{method="GET",path="/missions/:id",le="0.01"}`, "0",
		`http_request_duration_seconds_bucket{method="GET",path="/missions/:id",le="0.025"}`, "2",
		requestsSeries("GET", "/odd", "other"), "5",
		requestsSeries("GET", "/odd", "100"), "1",
		requestsSeries("GET", "/odd", "999"), "1",
		"http_requests_in_flight", "0")
}

func TestInFlightConcurrent(t *testing.T) {
	r := NewRegistry()
	m := NewHTTPMetrics(r)
	const n = 20
	var in, out sync.WaitGroup
	in.Add(n)
	release := make(chan struct{})
	for i := 0; i < n; i++ {
		out.Add(1)
		go func() {
			defer out.Done()
			defer func() { recover() }()
			serveOne(m, httptest.NewRecorder(), "GET", "/x", func(http.ResponseWriter, *http.Request) {
				in.Done()
				<-release
				if i%2 == 0 {
					panic("every second request")
				}
			})
		}()
	}
	in.Wait()
	wantSamples(t, r, "http_requests_in_flight", strconv.Itoa(n))
	close(release)
	out.Wait()
	wantSamples(t, r, "http_requests_in_flight", "0", requestsSeries("GET", "/x", "500"), "10", requestsSeries("GET", "/x", "200"), "10")
}

// TestHTTPMetricsShareRegistry: two calls of NewHTTPMetrics with one registry return the
// same metrics.
func TestHTTPMetricsShareRegistry(t *testing.T) {
	r := NewRegistry()
	for i := 0; i < 2; i++ {
		NewHTTPMetrics(r).Record("GET", "/a", 200, 0, 1)
	}
	wantSamples(t, r, requestsSeries("GET", "/a", "200"), "2")
}

// TestHTTPIdleExpiry: paths without new requests expire. Connections do not expire: their
// number may be the same for a long time.
func TestHTTPIdleExpiry(t *testing.T) {
	r := NewRegistry()
	m := NewHTTPMetrics(r, WithIdleExpiry(time.Nanosecond))
	m.ConnState(&net.TCPConn{}, http.StateNew)
	m.Record("GET", "/x", 200, time.Second, 1)
	text(t, r)
	time.Sleep(time.Millisecond)
	if got := text(t, r); strings.Contains(got, "/x") || !strings.Contains(got, `http_connections{state="new"} 1`) {
		t.Errorf("the second scrape must have the connection and must not have /x:\n%s", got)
	}
	m.Record("GET", "/x", 200, time.Second, 1)
	wantSamples(t, r, requestsSeries("GET", "/x", "200"), "2")
}

// TestWithExemplar: the exemplar of a request is in all three of its metrics. If the
// function panics or returns invalid labels, the request is recorded without an exemplar.
func TestWithExemplar(t *testing.T) {
	r := NewRegistry()
	m := NewHTTPMetrics(r, WithExemplar(func(req *http.Request) []string {
		switch id := req.Header.Get("Trace"); id {
		case "":
			return nil
		case "panic":
			panic("no trace")
		case "odd":
			return []string{"trace_id"}
		default:
			return []string{"trace_id", id}
		}
	}))
	h := m.Handler(http.HandlerFunc(respondOK))
	for _, trace := range []string{"4bf92f35", "", "panic", "odd"} {
		req := httptest.NewRequest("GET", "/x", nil)
		req.Header.Set("Trace", trace)
		h.ServeHTTP(httptest.NewRecorder(), req)
	}
	got := open(t, r)
	for _, want := range []string{
		`http_requests_total{method="GET",path="/x",status="200"} 4.0 # {trace_id="4bf92f35"} 1.0 `,
		`http_response_size_bytes_bucket{method="GET",path="/x",le="100.0"} 4 # {trace_id="4bf92f35"} 2.0 `,
		`http_request_duration_seconds_count{method="GET",path="/x"} 4`,
		`tacho_errors_total{metric="http_requests_total",reason="panic"} 1.0`,
		`tacho_errors_total{metric="http_requests_total",reason="exemplar"} 1.0`,
		"# UNIT http_request_duration_seconds seconds\n", "# UNIT http_response_size_bytes bytes\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the scrape lacks %q:\n%s", want, got)
		}
	}
	if n := strings.Count(got, `# {trace_id="4bf92f35"}`); n != 3 {
		t.Errorf("%d exemplars, want 3:\n%s", n, got)
	}
}

func TestMiddlewareAllocations(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector allocates")
	}
	body := []byte("hello")
	next := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusOK)
		w.Write(body)
	})
	full := []Option{WithMaxPaths(1)}
	for _, c := range []struct {
		name, method, path, pattern string
		opts                        []Option
	}{
		{"plain", "GET", "/missions", "", nil},
		{"normalized", "GET", "/missions/1234/logs/" + testUUID, "", nil},
		{"pattern", "POST", "/missions/1234", "POST host/missions/{id}", nil},
		{"option", "GET", "/missions/1234", "", []Option{WithPathLabel(func(*http.Request) string { return "label" })}},
		{"method other", "BREW", "/missions", "", nil},
		{"path other", "GET", "/strange", "", full},
		{"path other, normalized", "GET", "/strange/17", "", full},
		{"path other, invalid UTF-8", "GET", "/%ff/17", "", full},
		{"path other, long", "GET", "/" + strings.Repeat("x", 2000), "", nil},
		{"known path, invalid UTF-8", "GET", "/%ff", "", nil},
	} {
		m := NewHTTPMetrics(NewRegistry(), c.opts...)
		if c.opts != nil {
			m.Record("GET", "/first", 200, 0, 0)
		}
		h := m.Handler(next)
		req, err := http.NewRequest(c.method, "http://host"+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Pattern = c.pattern
		var w http.ResponseWriter = discardWriter{http.Header{}}
		if n := testing.AllocsPerRun(1000, func() { h.ServeHTTP(w, req) }); n != 1 { // the recorder.Recorder
			t.Errorf("%s: %v allocations for each request, want 1", c.name, n)
		}
	}
}
