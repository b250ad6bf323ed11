//go:build !tacho_nohttp

package tacho

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/tachikoma/tacho/internal/race"
)

// samplesOf returns the text exposition as a map from series to value.
func samplesOf(t *testing.T, r *Registry) map[string]string {
	t.Helper()
	samples := map[string]string{}
	for _, line := range strings.Split(text(t, r), "\n") {
		if i := strings.LastIndexByte(line, ' '); i > 0 && line[0] != '#' {
			samples[line[:i]] = line[i+1:]
		}
	}
	return samples
}

// wantSamples checks pairs of a series and its value. The value "" means that the series
// must not exist.
func wantSamples(t *testing.T, r *Registry, pairs ...string) {
	t.Helper()
	samples := samplesOf(t, r)
	for i := 0; i < len(pairs); i += 2 {
		if got := samples[pairs[i]]; got != pairs[i+1] {
			t.Errorf("%s is %q, want %q", pairs[i], got, pairs[i+1])
		}
	}
	if t.Failed() {
		for s, v := range samples {
			if strings.HasPrefix(s, "http_requests_total") {
				t.Log(s, v)
			}
		}
	}
}

// sumSamples adds up the samples of the series that begin with prefix.
func sumSamples(t *testing.T, r *Registry, prefix string) (sum float64) {
	t.Helper()
	for s, v := range samplesOf(t, r) {
		if strings.HasPrefix(s, prefix) {
			f, err := strconv.ParseFloat(v, 64)
			if err != nil {
				t.Fatal(err)
			}
			sum += f
		}
	}
	return sum
}

// requestsSeries returns the series of http_requests_total with these labels.
func requestsSeries(method, path, status string) string {
	return `http_requests_total{method="` + method + `",path="` + path + `",status="` + status + `"}`
}

// bytesSeries returns the series of the response bytes of GET requests for path.
func bytesSeries(path string) string {
	return `http_response_size_bytes_sum{method="GET",path="` + path + `"}`
}

// A testServer is a server with the middleware. A client may have its response before the
// middleware has recorded the request. So done receives a value for each recorded request.
type testServer struct {
	*httptest.Server
	reg  *Registry
	m    *HTTPMetrics
	done chan struct{}
}

// protocols maps the name of a protocol to the parameter http2 of newTestServer.
var protocols = map[string]bool{"HTTP1": false, "HTTP2": true}

func newTestServer(t *testing.T, http2 bool, next http.Handler, opts ...Option) *testServer {
	t.Helper()
	srv := &testServer{reg: NewRegistry(), done: make(chan struct{}, 1000)}
	srv.m = NewHTTPMetrics(srv.reg, opts...)
	h := srv.m.Handler(next)
	srv.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() { srv.done <- struct{}{} }()
		h.ServeHTTP(w, r)
	}))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	start(srv.Server, http2)
	t.Cleanup(srv.Close)
	return srv
}

// start starts a server that serves HTTP/2 or HTTP/1.
func start(srv *httptest.Server, http2 bool) {
	if http2 {
		srv.EnableHTTP2 = true
		srv.StartTLS()
	} else {
		srv.Start()
	}
}

// get sends a request for path and waits until the request is recorded. get returns the
// response that the client got.
func (srv *testServer) get(t *testing.T, path string) (status int, body string, err error) {
	t.Helper()
	resp, err := srv.Client().Get(srv.URL + path)
	if err == nil {
		var b []byte
		b, err = io.ReadAll(resp.Body)
		resp.Body.Close()
		status, body = resp.StatusCode, string(b)
	}
	<-srv.done
	return status, body, err
}

// getRaw sends a request with the header Upgrade and waits until the request is recorded.
// getRaw returns all bytes that the server sent before it closed the connection.
func (srv *testServer) getRaw(t *testing.T, path string) string {
	t.Helper()
	c, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n", path)
	b, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	<-srv.done
	return string(b)
}

// serveOne passes one request through the middleware, without a server.
func serveOne(m *HTTPMetrics, w http.ResponseWriter, method, path string, next http.HandlerFunc) {
	m.Handler(next).ServeHTTP(w, httptest.NewRequest(method, path, nil))
}

// A discardWriter is a response writer that accepts and discards every byte.
type discardWriter struct{ h http.Header }

func (w discardWriter) Header() http.Header         { return w.h }
func (w discardWriter) Write(p []byte) (int, error) { return len(p), nil }
func (w discardWriter) WriteHeader(int)             {}

func respondOK(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") }

// hijack takes over the connection of w, writes response and closes the
// connection.
func hijack(t *testing.T, w http.ResponseWriter, response string) {
	c, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()
	rw.WriteString(response)
	rw.Flush()
}

// requestMetrics calls h with a request for /metrics. Each of acceptEncoding is a header
// Accept-Encoding.
func requestMetrics(h http.Handler, method string, acceptEncoding ...string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(method, "/metrics", nil)
	for _, v := range acceptEncoding {
		req.Header.Add("Accept-Encoding", v)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	return w
}

// largeRegistry returns a registry with a vector of so many series.
func largeRegistry(series int) (*Registry, *CounterVec) {
	r := NewRegistry()
	v := r.CounterVec("big_total", "Many.", []string{"n"})
	for i := 0; i < series; i++ {
		v.With(strconv.Itoa(i)).Add(uint64(i))
	}
	return r, v
}

// scale returns long with the flag -stress, short with -short or the race detector, and
// otherwise usual.
func scale(short, usual, long int) int {
	switch {
	case *stressFor > 0:
		return long
	case testing.Short() || race.Enabled:
		return short
	}
	return usual
}
