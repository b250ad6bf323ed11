//go:build !tacho_nohttp

package tacho

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// httpSamples returns the text exposition as a map from series to value.
func httpSamples(t *testing.T, r *Registry) map[string]string {
	t.Helper()
	samples := map[string]string{}
	for _, line := range strings.Split(httpText(t, r), "\n") {
		if i := strings.LastIndexByte(line, ' '); i > 0 && line[0] != '#' {
			samples[line[:i]] = line[i+1:]
		}
	}
	return samples
}

// httpWant checks samples; "" means that there must be no such series.
func httpWant(t *testing.T, r *Registry, pairs ...string) {
	t.Helper()
	samples := httpSamples(t, r)
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

// httpSum adds up the samples whose series begins with prefix.
func httpSum(t *testing.T, r *Registry, prefix string) (sum float64) {
	t.Helper()
	for s, v := range httpSamples(t, r) {
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

func httpCount(method, path, status string) string {
	return `http_requests_total{method="` + method + `",path="` + path + `",status="` + status + `"}`
}

func httpBytes(path string) string {
	return `http_response_size_bytes_sum{method="GET",path="` + path + `"}`
}

// An httpRig is a server whose requests can be waited for: clients may have
// their answer before the middleware has recorded it.
type httpRig struct {
	reg  *Registry
	m    *HTTPMetrics
	srv  *httptest.Server
	done chan struct{}
}

func httpServe(t *testing.T, http2 bool, next http.Handler, opts ...Option) *httpRig {
	t.Helper()
	rig := &httpRig{reg: NewRegistry(), done: make(chan struct{}, 1000)}
	rig.m = NewHTTPMetrics(rig.reg, opts...)
	h := rig.m.Handler(next)
	rig.srv = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() { rig.done <- struct{}{} }()
		h.ServeHTTP(w, r)
	}))
	rig.srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	if http2 {
		rig.srv.EnableHTTP2 = true
		rig.srv.StartTLS()
	} else {
		rig.srv.Start()
	}
	t.Cleanup(rig.srv.Close)
	return rig
}

// get asks for a path and returns what the client saw, once it is recorded.
func (rig *httpRig) get(t *testing.T, path string) (status int, body string, err error) {
	t.Helper()
	resp, err := rig.srv.Client().Get(rig.srv.URL + path)
	if err == nil {
		var b []byte
		b, err = io.ReadAll(resp.Body)
		resp.Body.Close()
		status, body = resp.StatusCode, string(b)
	}
	<-rig.done
	return status, body, err
}

// httpOne passes one request through the middleware, without a server.
func httpOne(m *HTTPMetrics, w http.ResponseWriter, method, path string, next http.HandlerFunc) {
	m.Handler(next).ServeHTTP(w, httptest.NewRequest(method, path, nil))
}

// httpNull is a client that takes everything.
type httpNull struct{ h http.Header }

func (w httpNull) Header() http.Header         { return w.h }
func (w httpNull) Write(p []byte) (int, error) { return len(p), nil }
func (w httpNull) WriteHeader(int)             {}

var httpBoth = map[string]bool{"HTTP1": false, "HTTP2": true}

func httpOK(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") }

func TestRequestMetricsRecorded(t *testing.T) {
	for name, h2 := range httpBoth {
		t.Run(name, func(t *testing.T) {
			rig := httpServe(t, h2, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if h2 != (r.ProtoMajor == 2) {
					t.Errorf("protocol %s", r.Proto)
				}
				httpWant(t, httpReg(r), "http_requests_in_flight", "1")
				httpOK(w, r)
			}))
			rig.srv.Config.Handler = httpWith(rig.srv.Config.Handler, rig.reg)
			for i := 0; i < 3; i++ {
				if status, body, err := rig.get(t, "/missions/42"); status != 200 || body != "ok" || err != nil {
					t.Fatal(status, body, err)
				}
			}
			httpWant(t, rig.reg,
				httpCount("GET", "/missions/:id", "200"), "3",
				`http_request_duration_seconds_count{method="GET",path="/missions/:id"}`, "3",
				`http_response_size_bytes_count{method="GET",path="/missions/:id"}`, "3",
				httpBytes("/missions/:id"), "6",
				"http_requests_in_flight", "0")
		})
	}
}

type httpKey struct{}

func httpWith(h http.Handler, reg *Registry) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), httpKey{}, reg)))
	})
}

func httpReg(r *http.Request) *Registry { return r.Context().Value(httpKey{}).(*Registry) }

func TestHTTPBucketsAndHelp(t *testing.T) {
	r := NewRegistry()
	m := NewHTTPMetrics(r)
	m.Record("GET", "/", 200, 0, 0)
	m.ConnState(nil, http.StateNew)
	text := httpText(t, r)
	for _, want := range []string{
		"# HELP http_requests_total Total HTTP requests\n# TYPE http_requests_total counter\n",
		"# HELP http_request_duration_seconds HTTP request duration in seconds\n# TYPE http_request_duration_seconds histogram\n",
		"# HELP http_requests_in_flight Current number of HTTP requests being processed\n# TYPE http_requests_in_flight gauge\n",
		"# HELP http_response_size_bytes HTTP response size in bytes\n# TYPE http_response_size_bytes histogram\n",
		"# TYPE http_connections gauge\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q", want)
		}
	}
	les := func(name string) (les []string) {
		for _, line := range strings.Split(text, "\n") {
			if strings.HasPrefix(line, name+"_bucket{") {
				_, le, _ := strings.Cut(line, `le="`)
				le, _, _ = strings.Cut(le, `"`)
				les = append(les, le)
			}
		}
		return les
	}
	if got := fmt.Sprint(les("http_request_duration_seconds")); got != "[0.001 0.005 0.01 0.025 0.05 0.1 0.25 0.5 1 2.5 5 10 +Inf]" {
		t.Errorf("duration buckets %s", got)
	}
	if got := fmt.Sprint(les("http_response_size_bytes")); got != "[100 1000 10000 100000 1e+06 1e+07 1e+08 1e+09 +Inf]" {
		t.Errorf("size buckets %s", got)
	}
}

func TestHTTPOptions(t *testing.T) {
	r := NewRegistry(WithMaxSeries(1))
	m := NewHTTPMetrics(r, WithDurationBuckets([]float64{1, 2}), WithSizeBuckets([]float64{3}), WithConstLabels("app", "x"))
	for _, p := range []string{"/a", "/b", "/c"} {
		m.Record("GET", p, 200, 1500*time.Millisecond, 4)
	}
	httpWant(t, r,
		`http_request_duration_seconds_bucket{app="x",method="GET",path="/b",le="1"}`, "0",
		`http_request_duration_seconds_bucket{app="x",method="GET",path="/b",le="2"}`, "1",
		`http_response_size_bytes_bucket{app="x",method="GET",path="/c",le="3"}`, "0",
		`http_response_size_bytes_bucket{app="x",method="GET",path="/c",le="+Inf"}`, "1",
		`http_requests_in_flight{app="x"}`, "0")
}

func TestPathLabelFromMux(t *testing.T) {
	mux := http.NewServeMux()
	for _, p := range []string{
		"GET /missions/{id}", "/users/{id}/posts/{post}", "/exact", "/static/", "/files/{rest...}", "/end/{$}", "/", "POST named.example/only/{x}",
	} {
		mux.HandleFunc(p, httpOK)
	}
	for name, h2 := range httpBoth {
		t.Run(name, func(t *testing.T) {
			rig := httpServe(t, h2, mux)
			for _, c := range []struct{ path, label string }{
				{"/missions/anything", "/missions/{id}"},
				{"/missions/42", "/missions/{id}"},
				{"/users/1/posts/2", "/users/{id}/posts/{post}"},
				{"/exact?q=1", "/exact"},
				{"/end/", "/end/{$}"},
				{"/static/1/a.css", "/static/:id/a.css"},
				{"/files/7/b", "/files/:id/b"},
				{"/elsewhere/8", "/elsewhere/:id"},
				{"/", "/"},
				{"/%31%32/x", "/:id/x"},
			} {
				before := httpSum(t, rig.reg, httpCount("GET", c.label, "200"))
				if _, _, err := rig.get(t, c.path); err != nil {
					t.Fatal(err)
				}
				if got := httpSum(t, rig.reg, httpCount("GET", c.label, "200")); got != before+1 {
					t.Errorf("%s is not counted under %s", c.path, c.label)
				}
			}
		})
	}
	r := NewRegistry()
	req := httptest.NewRequest("POST", "http://named.example/only/1", nil)
	NewHTTPMetrics(r).Handler(mux).ServeHTTP(httptest.NewRecorder(), req)
	httpWant(t, r, httpCount("POST", "/only/{x}", "200"), "1")
}

func TestPathLabelFromOption(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /missions/{id}", httpOK)
	rig := httpServe(t, false, mux, WithPathLabel(func(r *http.Request) string {
		if r.Pattern != "GET /missions/{id}" {
			t.Errorf("the option's function runs before the pattern is known: %q", r.Pattern)
		}
		return "mine \"" + r.PathValue("id") + "\"/42"
	}))
	rig.get(t, "/missions/7")
	httpWant(t, rig.reg, httpCount("GET", `mine \"7\"/42`, "200"), "1")
}

// The client must get its answer, and the request be counted, whatever the
// program's own function does.
func TestPathLabelPanics(t *testing.T) {
	r := NewRegistry()
	m := NewHTTPMetrics(r, WithPathLabel(func(*http.Request) string { panic("label") }))
	httpOne(m, httptest.NewRecorder(), "GET", "/a", httpOK)
	var got any
	func() {
		defer func() { got = recover() }()
		httpOne(m, httptest.NewRecorder(), "GET", "/a", func(http.ResponseWriter, *http.Request) { panic("handler") })
	}()
	if got != "handler" {
		t.Errorf("the panic that went on is %v", got)
	}
	httpWant(t, r,
		httpCount("GET", "other", "200"), "1",
		httpCount("GET", "other", "500"), "1",
		`tacho_errors_total{metric="http_requests_total",reason="panic"}`, "2",
		"http_requests_in_flight", "0")
}

func TestPathLabelBorrowed(t *testing.T) {
	r := NewRegistry()
	m := NewHTTPMetrics(r)
	m.Record("GET", "/a/1/b", 200, 0, 1)
	m.Record("GET", "/c/1/d", 200, 0, 1)
	m.Record("GET", "/a/2/b", 200, 0, 1)
	m.Record("GET", "/\xff\xfe/1", 200, 0, 1)
	m.Record("GET", "/\xff\xfe/2", 200, 0, 1)
	httpWant(t, r,
		httpCount("GET", "/a/:id/b", "200"), "2",
		httpCount("GET", "/c/:id/d", "200"), "1",
		httpCount("GET", "/\uFFFD/:id", "200"), "2")
}

func TestMethodLabel(t *testing.T) {
	r := NewRegistry()
	m := NewHTTPMetrics(r)
	known := []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE"}
	for _, method := range known {
		m.Record(method, "/a", 200, 0, 1)
	}
	for _, method := range []string{"", "get", "PROPFIND", "GET ", "\xff", strings.Repeat("X", 10000)} {
		m.Record(method, "/a", 200, 0, 1)
	}
	for _, method := range known {
		httpWant(t, r, httpCount(method, "/a", "200"), "1")
	}
	httpWant(t, r, httpCount("other", "/a", "200"), "6")
}

func TestMaxPaths(t *testing.T) {
	for _, limit := range []int{-1, 0, 1, 3} {
		r := NewRegistry()
		m := NewHTTPMetrics(r, WithMaxPaths(limit))
		for i := 0; i < 10; i++ {
			for _, method := range []string{"GET", "POST"} {
				m.Record(method, "/p"+strconv.Itoa(i), 200, 0, 1)
			}
		}
		for i := 0; i < 10; i++ {
			want := "1"
			if i >= limit {
				want = ""
			}
			p := "/p" + strconv.Itoa(i)
			httpWant(t, r, httpCount("GET", p, "200"), want, httpCount("POST", p, "200"), want)
		}
		over := strconv.Itoa(10 - max(limit, 0))
		httpWant(t, r, httpCount("GET", "other", "200"), over, httpCount("POST", "other", "200"), over)
		// A path admitted before keeps its label for a method never seen.
		m.Record("PUT", "/p0", 200, 0, 1)
		if limit > 0 {
			httpWant(t, r, httpCount("PUT", "/p0", "200"), "1")
		}
	}
}

func TestMaxPathsDefault(t *testing.T) {
	r := NewRegistry()
	m := NewHTTPMetrics(r)
	for i := 0; i < 1001; i++ {
		m.Record("GET", "/p"+strconv.Itoa(i), 200, 0, 1)
	}
	httpWant(t, r, httpCount("GET", "/p999", "200"), "1", httpCount("GET", "/p1000", "200"), "", httpCount("GET", "other", "200"), "1")
}

// A path that happens to be called "other" takes no one's place.
func TestMaxPathsOther(t *testing.T) {
	r := NewRegistry()
	m := NewHTTPMetrics(r, WithMaxPaths(1))
	m.Record("GET", "other", 200, 0, 1)
	m.Record("GET", "/a", 200, 0, 1)
	m.Record("GET", "/b", 200, 0, 1)
	httpWant(t, r, httpCount("GET", "/a", "200"), "1", httpCount("GET", "other", "200"), "2")
}

func TestMaxPathsManyStrangers(t *testing.T) {
	const workers, each, limit = 8, 2500, 50
	r := NewRegistry()
	m := NewHTTPMetrics(r, WithMaxPaths(limit))
	h := m.Handler(http.HandlerFunc(httpOK))
	var wg sync.WaitGroup
	for g := 0; g < workers; g++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			w := httpNull{http.Header{}}
			methods := []string{"GET", "POST", "BREW"}
			for i := 0; i < each; i++ {
				// Half of the paths are the worker's own, half are met by all.
				req, _ := http.NewRequest(methods[i%3], fmt.Sprintf("/x%d-%d", g*(i%2), i), nil)
				h.ServeHTTP(w, req)
			}
		}()
	}
	wg.Wait()
	total := float64(workers * each)
	for _, prefix := range []string{"http_requests_total{", "http_request_duration_seconds_count{", "http_response_size_bytes_count{"} {
		if got := httpSum(t, r, prefix); got != total {
			t.Errorf("%s sums to %v, want %v", prefix, got, total)
		}
	}
	if got := httpSum(t, r, "http_response_size_bytes_sum{"); got != 2*total {
		t.Errorf("%v bytes, want %v", got, 2*total)
	}
	paths := map[string]bool{}
	for s := range httpSamples(t, r) {
		if strings.HasPrefix(s, "http_requests_total{") {
			_, p, _ := strings.Cut(s, `path="`)
			p, _, _ = strings.Cut(p, `"`)
			paths[p] = true
		}
	}
	if len(paths) != limit+1 || !paths["other"] {
		t.Errorf("%d distinct paths, want %d and other", len(paths), limit)
	}
	if n := m.routes.Len(); n > 3*(limit+1) {
		t.Errorf("%d routes are kept", n)
	}
}

func TestLongPathIsOther(t *testing.T) {
	r := NewRegistry()
	m := NewHTTPMetrics(r, WithMaxPaths(3))
	at := "/" + strings.Repeat("x", maxPathLabel-1)
	bad := strings.Repeat("\xff/", maxPathLabel/2)
	m.Record("GET", at, 200, 0, 1)
	m.Record("GET", at+"x", 200, 0, 1)
	m.Record("GET", "/"+strings.Repeat("y", 1<<20), 200, 0, 1)
	m.Record("GET", bad, 200, 0, 1)
	m.Record("GET", "/"+strings.Repeat("1", 1<<20), 200, 0, 1) // one segment of digits
	httpWant(t, r,
		httpCount("GET", at, "200"), "1",
		httpCount("GET", "other", "200"), "2",
		httpCount("GET", strings.ReplaceAll(bad, "\xff", "\uFFFD"), "200"), "1",
		httpCount("GET", "/:id", "200"), "1")
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
	httpWant(t, r,
		httpCount("GET", "/missions/:id", "204"), "2",
		`http_response_size_bytes_count{method="GET",path="/missions/:id"}`, "1",
		httpBytes("/missions/:id"), "0",
		`http_request_duration_seconds_count{method="GET",path="/missions/:id"}`, "2",
		`http_request_duration_seconds_bucket{method="GET",path="/missions/:id",le="0.01"}`, "0",
		`http_request_duration_seconds_bucket{method="GET",path="/missions/:id",le="0.025"}`, "2",
		httpCount("GET", "/odd", "other"), "5",
		httpCount("GET", "/odd", "100"), "1",
		httpCount("GET", "/odd", "999"), "1",
		"http_requests_in_flight", "0")
}

func TestStatusRules(t *testing.T) {
	for _, c := range []struct {
		name, status string
		client       int // 0: an error
		h            http.HandlerFunc
	}{
		{"silent", "200", 200, func(http.ResponseWriter, *http.Request) {}},
		{"body alone", "200", 200, httpOK},
		{"empty write", "200", 200, func(w http.ResponseWriter, _ *http.Request) { w.Write(nil) }},
		{"first wins", "404", 404, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404); w.WriteHeader(500) }},
		{"superfluous 500", "200", 200, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200); w.WriteHeader(500) }},
		{"500 after body", "200", 200, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "x"); w.WriteHeader(500) }},
		{"500 after flush", "200", 200, func(w http.ResponseWriter, _ *http.Request) { w.(http.Flusher).Flush(); w.WriteHeader(500) }},
		{"500 after controller's flush", "200", 200, func(w http.ResponseWriter, _ *http.Request) {
			http.NewResponseController(w).Flush()
			w.WriteHeader(500)
		}},
		{"500 after copy", "200", 200, func(w http.ResponseWriter, _ *http.Request) {
			io.Copy(w, strings.NewReader("x"))
			w.WriteHeader(500)
		}},
		{"103 and body", "200", 200, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(103); io.WriteString(w, "x") }},
		{"103 and silence", "200", 200, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(103) }},
		{"100, 102, 103, 201", "201", 201, func(w http.ResponseWriter, _ *http.Request) {
			for _, s := range []int{100, 102, 103, 103, 201} {
				w.WriteHeader(s)
			}
		}},
		{"204", "204", 204, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }},
		{"304 and a body refused", "304", 304, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(304)
			if n, err := io.WriteString(w, "x"); n != 0 || !errors.Is(err, http.ErrBodyNotAllowed) {
				t.Errorf("write after 304 gives %d, %v", n, err)
			}
		}},
		{"http.Error", "418", http.StatusTeapot, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "teapot", http.StatusTeapot) }},
		{"panic", "500", 0, func(http.ResponseWriter, *http.Request) { panic("x") }},
		{"index out of range", "500", 0, func(_ http.ResponseWriter, r *http.Request) { _ = r.TransferEncoding[len(r.TransferEncoding)] }},
		{"103 and panic", "500", 0, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(103); panic("x") }},
		{"abort", "500", 0, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }},
		{"status and panic", "202", 0, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(202); panic("x") }},
		{"body and panic", "200", 0, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "x"); panic("x") }},
		{"body and abort", "200", 0, func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "x")
			panic(http.ErrAbortHandler)
		}},
		// The server panics before it says anything, so these are panics too.
		{"status 0", "500", 0, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(0) }},
		{"status 99", "500", 0, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(99) }},
		{"status 1000", "500", 0, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(1000) }},
		{"status 1000, recovered, 400", "400", 400, func(w http.ResponseWriter, _ *http.Request) {
			func() {
				defer func() { recover() }()
				w.WriteHeader(1000)
			}()
			w.WriteHeader(400)
		}},
	} {
		for proto, h2 := range httpBoth {
			t.Run(c.name+"/"+proto, func(t *testing.T) {
				rig := httpServe(t, h2, c.h)
				status, _, err := rig.get(t, "/x")
				if c.client == 0 {
					if err == nil {
						t.Errorf("client got %d and no error", status)
					}
				} else if status != c.client || err != nil {
					t.Errorf("client got %d, %v, want %d", status, err, c.client)
				}
				httpWant(t, rig.reg, httpCount("GET", "/x", c.status), "1", "http_requests_in_flight", "0",
					`http_request_duration_seconds_count{method="GET",path="/x"}`, "1")
				if n := httpSum(t, rig.reg, "http_requests_total"); n != 1 {
					t.Errorf("counted %v times", n)
				}
			})
		}
	}
}

func TestPanicGoesOn(t *testing.T) {
	r := NewRegistry()
	m := NewHTTPMetrics(r)
	for _, want := range []any{"text", errors.New("value"), http.ErrAbortHandler, 7} {
		var got any
		func() {
			defer func() { got = recover() }()
			httpOne(m, httptest.NewRecorder(), "GET", "/x", func(http.ResponseWriter, *http.Request) { panic(want) })
		}()
		if got != want {
			t.Errorf("panic %v became %v", want, got)
		}
	}
	httpWant(t, r, httpCount("GET", "/x", "500"), "4", "http_requests_in_flight", "0")
}

// A handler that ends its goroutine, as a test's FailNow does, is no success.
func TestGoexitIsRecorded(t *testing.T) {
	r := NewRegistry()
	m := NewHTTPMetrics(r)
	done := make(chan struct{})
	go func() {
		defer close(done)
		httpOne(m, httptest.NewRecorder(), "GET", "/x", func(http.ResponseWriter, *http.Request) { runtime.Goexit() })
	}()
	<-done
	httpWant(t, r, httpCount("GET", "/x", "500"), "1", "http_requests_in_flight", "0")
}

func httpHijack(t *testing.T, w http.ResponseWriter, answer string) {
	c, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()
	rw.WriteString(answer)
	rw.Flush()
}

// httpRaw sends a request over a bare connection and reads until it closes.
func httpRaw(t *testing.T, rig *httpRig, path string) string {
	t.Helper()
	c, err := net.Dial("tcp", rig.srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n", path)
	b, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	<-rig.done
	return string(b)
}

func TestHijack(t *testing.T) {
	const answer = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nhello"
	rig := httpServe(t, false, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/header":
			w.WriteHeader(http.StatusSwitchingProtocols)
			httpHijack(t, w, "hello")
			return
		case "/panic":
			defer panic("after the hijack")
		case "/late":
			defer func() {
				w.WriteHeader(500)
				if _, err := w.Write([]byte("x")); !errors.Is(err, http.ErrHijacked) {
					t.Errorf("write after hijack: %v", err)
				}
			}()
		}
		httpHijack(t, w, answer)
	}))
	for _, path := range []string{"/plain", "/header", "/panic", "/late"} {
		if got := httpRaw(t, rig, path); !strings.HasPrefix(got, "HTTP/1.1 101") || !strings.HasSuffix(got, "hello") {
			t.Errorf("%s: client got %q", path, got)
		}
		httpWant(t, rig.reg, httpCount("GET", path, "101"), "1", httpBytes(path), "0", "http_requests_in_flight", "0")
	}
	if got := httpSum(t, rig.reg, "http_requests_total"); got != 4 {
		t.Errorf("%v requests counted", got)
	}
}

// A server's writer that has no Hijacker (HTTP/2) must not seem to have one.
func TestServerInterfaces(t *testing.T) {
	for name, h2 := range httpBoth {
		t.Run(name, func(t *testing.T) {
			var plain int
			var mu sync.Mutex
			bare := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				mu.Lock()
				defer mu.Unlock()
				plain = httpFeatures(w)
			}))
			bare.EnableHTTP2 = h2
			if h2 {
				bare.StartTLS()
			} else {
				bare.Start()
			}
			resp, err := bare.Client().Get(bare.URL)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			bare.Close()
			rig := httpServe(t, h2, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				mu.Lock()
				defer mu.Unlock()
				if got := httpFeatures(w); got != plain {
					t.Errorf("wrapper has %05b, the server's writer %05b", got, plain)
				}
			}))
			rig.get(t, "/")
		})
	}
}

func TestResponseController(t *testing.T) {
	for name, h2 := range httpBoth {
		t.Run(name, func(t *testing.T) {
			rig := httpServe(t, h2, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				c := http.NewResponseController(w)
				far := time.Now().Add(time.Hour)
				for what, err := range map[string]error{
					"SetWriteDeadline": c.SetWriteDeadline(far),
					"SetReadDeadline":  c.SetReadDeadline(far),
					"EnableFullDuplex": c.EnableFullDuplex(),
					"Flush":            c.Flush(),
				} {
					if err != nil && !(h2 && what == "EnableFullDuplex") {
						t.Errorf("%s: %v", what, err)
					}
				}
				io.WriteString(w, "x")
			}))
			if _, body, err := rig.get(t, "/"); body != "x" || err != nil {
				t.Error(body, err)
			}
			httpWant(t, rig.reg, httpCount("GET", "/", "200"), "1", httpBytes("/"), "1")
		})
	}
}

func TestResponseBytes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f")
	content := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	size := strconv.Itoa(len(content))
	for _, c := range []struct {
		path, bytes string
		h           http.HandlerFunc
	}{
		{"/none", "0", func(http.ResponseWriter, *http.Request) {}},
		{"/write", "5", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("abc")); w.Write([]byte("de")) }},
		{"/string", "5", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "abcde") }},
		{"/copy", "7", func(w http.ResponseWriter, _ *http.Request) {
			w.Write([]byte("ab"))
			io.Copy(w, io.LimitReader(strings.NewReader("cdefgh"), 5))
		}},
		{"/file", size, func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, file) }},
		{"/length", size, func(w http.ResponseWriter, _ *http.Request) {
			f, err := os.Open(file)
			if err != nil {
				t.Error(err)
				return
			}
			defer f.Close()
			w.Header().Set("Content-Length", size)
			if n, err := io.Copy(w, f); n != int64(len(content)) || err != nil {
				t.Errorf("copied %d, %v", n, err)
			}
		}},
		{"/refused", "0", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204); w.Write([]byte("abc")) }},
		// The server takes no more than was promised.
		{"/short", "3", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "3")
			w.Write([]byte("abc"))
			if _, err := w.Write([]byte("def")); err == nil {
				t.Error("the server took more than the length")
			}
		}},
	} {
		for proto, h2 := range httpBoth {
			if h2 && c.path == "/short" {
				continue // this server buffers, and accepts what it drops later
			}
			t.Run(proto+c.path, func(t *testing.T) {
				rig := httpServe(t, h2, c.h)
				_, body, err := rig.get(t, c.path)
				if err != nil || strconv.Itoa(len(body)) != c.bytes {
					t.Errorf("client got %d bytes, %v", len(body), err)
				}
				if got := httpSum(t, rig.reg, httpBytes(c.path)); strconv.Itoa(int(got)) != c.bytes {
					t.Errorf("counted %v bytes, want %s", got, c.bytes)
				}
			})
		}
	}
}

// httpPuller is a client's writer that can pull, as the server's can.
type httpPuller struct {
	httpNull
	pulled int64
	src    io.Reader
}

func (w *httpPuller) ReadFrom(src io.Reader) (n int64, err error) {
	w.src = src
	n, err = io.Copy(io.Discard, src)
	w.pulled += n
	return n, err
}

// sendfile needs the source to come through to the server's ReadFrom as it is.
func TestReadFromReachesServer(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(file, make([]byte, 12345), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := NewRegistry()
	m := NewHTTPMetrics(r)
	w := &httpPuller{httpNull: httpNull{http.Header{}}}
	httpOne(m, w, "GET", "/file", func(w http.ResponseWriter, _ *http.Request) { io.Copy(w, f) })
	if w.pulled != 12345 {
		t.Errorf("ReadFrom of the original took %d bytes", w.pulled)
	}
	httpOne(m, w, "GET", "/direct", func(w http.ResponseWriter, _ *http.Request) { w.(io.ReaderFrom).ReadFrom(f) })
	if w.src != io.Reader(f) {
		t.Errorf("the original got a %T, not the file", w.src)
	}
	httpWant(t, r, httpBytes("/file"), "12345", httpBytes("/direct"), "0", httpCount("GET", "/file", "200"), "1")
}

// httpStingy takes less than it is offered.
type httpStingy struct{ httpNull }

func (httpStingy) Write(p []byte) (int, error)           { return len(p) / 2, io.ErrShortWrite }
func (httpStingy) WriteString(s string) (int, error)     { return len(s) / 2, io.ErrShortWrite }
func (httpStingy) ReadFrom(src io.Reader) (int64, error) { return 3, errors.New("gone") }

// httpLiar returns a count that makes no sense.
type httpLiar struct{ httpNull }

func (httpLiar) Write([]byte) (int, error) { return -1, errors.New("confused") }

func TestBytesAreThoseAccepted(t *testing.T) {
	r := NewRegistry()
	m := NewHTTPMetrics(r)
	null := httpNull{http.Header{}}
	httpOne(m, httpStingy{null}, "GET", "/w", func(w http.ResponseWriter, _ *http.Request) {
		if n, err := w.Write([]byte("abcdef")); n != 3 || err != io.ErrShortWrite {
			t.Error(n, err)
		}
	})
	httpOne(m, httpStingy{null}, "GET", "/s", func(w http.ResponseWriter, _ *http.Request) {
		if n, err := io.WriteString(w, "abcd"); n != 2 || err != io.ErrShortWrite {
			t.Error(n, err)
		}
	})
	httpOne(m, httpStingy{null}, "GET", "/r", func(w http.ResponseWriter, _ *http.Request) {
		if n, err := io.Copy(w, io.LimitReader(strings.NewReader("abcdefgh"), 8)); n != 3 || err == nil {
			t.Error(n, err)
		}
	})
	httpOne(m, httpLiar{null}, "GET", "/l", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("abc")) })
	httpWant(t, r, httpBytes("/w"), "3", httpBytes("/s"), "2", httpBytes("/r"), "3", httpBytes("/l"), "0",
		httpCount("GET", "/r", "200"), "1")
}

// httpConns reads the gauge of connections as new, active, idle.
func httpConns(m *HTTPMetrics) string {
	return fmt.Sprint(m.conns.With("new").Value(), m.conns.With("active").Value(), m.conns.With("idle").Value())
}

func TestConnState(t *testing.T) {
	m := NewHTTPMetrics(NewRegistry())
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	for i, step := range []struct {
		c     net.Conn
		state http.ConnState
		want  string
	}{
		{a, http.StateNew, "1 0 0"},
		{b, http.StateNew, "2 0 0"},
		{a, http.StateActive, "1 1 0"},
		{a, http.StateIdle, "1 0 1"},
		{a, http.StateActive, "1 1 0"},
		{a, http.StateActive, "1 1 0"}, // HTTP/2 may say so again
		{b, http.StateClosed, "0 1 0"}, // never sent a request
		{a, http.StateHijacked, "0 0 0"},
		{a, http.StateClosed, "0 0 0"},
		{b, http.StateActive, "0 1 0"}, // given to the middleware too late to see it new
		{b, http.StateClosed, "0 0 0"},
	} {
		m.ConnState(step.c, step.state)
		if got := httpConns(m); got != step.want {
			t.Errorf("step %d: %s, want %s", i, got, step.want)
		}
	}
	if len(m.states) != 0 {
		t.Errorf("%d connections are remembered", len(m.states))
	}
}

func TestConnStateServed(t *testing.T) {
	r := NewRegistry()
	m := NewHTTPMetrics(r)
	srv := httptest.NewUnstartedServer(m.Handler(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if got := httpConns(m); got != "0 1 0" {
			t.Errorf("while serving: %s", got)
		}
		if req.URL.Path == "/hijack" {
			httpHijack(t, w, "HTTP/1.1 101 Switching Protocols\r\n\r\n")
		}
	})))
	events := make(chan http.ConnState, 100)
	srv.Config.ConnState = func(c net.Conn, s http.ConnState) {
		m.ConnState(c, s)
		events <- s
	}
	srv.Start()
	until := func(want http.ConnState) {
		for s := range events {
			if s == want {
				return
			}
		}
	}
	dial := func() (net.Conn, *bufio.Reader) {
		c, err := net.Dial("tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		until(http.StateNew)
		if got := httpConns(m); got != "1 0 0" {
			t.Errorf("new connection: %s", got)
		}
		return c, bufio.NewReader(c)
	}
	c, in := dial()
	for i := 0; i < 2; i++ {
		fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		until(http.StateIdle)
		if got := httpConns(m); got != "0 0 1" {
			t.Errorf("between requests: %s", got)
		}
	}
	c.Close()
	until(http.StateClosed)
	if got := httpConns(m); got != "0 0 0" {
		t.Errorf("after close: %s", got)
	}
	c, in = dial()
	fmt.Fprint(c, "GET /hijack HTTP/1.1\r\nHost: x\r\n\r\n")
	until(http.StateHijacked)
	if got := httpConns(m); got != "0 0 0" {
		t.Errorf("after hijack: %s", got)
	}
	io.ReadAll(in)
	c.Close()
	srv.Close()
	if len(m.states) != 0 {
		t.Errorf("%d connections are remembered", len(m.states))
	}
	httpWant(t, r, `http_connections{state="active"}`, "0", `http_connections{state="closed"}`, "", `http_connections{state="hijacked"}`, "")
}

func TestConnStateConcurrent(t *testing.T) {
	m := NewHTTPMetrics(NewRegistry())
	var wg sync.WaitGroup
	for g := 0; g < 8; g++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := 0; i < 200; i++ {
				c := new(net.TCPConn)
				for _, s := range []http.ConnState{http.StateNew, http.StateActive, http.StateIdle, http.StateActive, http.StateClosed} {
					m.ConnState(c, s)
				}
			}
		}()
	}
	wg.Wait()
	if got := httpConns(m); got != "0 0 0" || len(m.states) != 0 {
		t.Errorf("%s, %d remembered", got, len(m.states))
	}
}

func TestMiddlewareAllocatesNothing(t *testing.T) {
	if raceEnabled {
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
		{"normalised", "GET", "/missions/1234/logs/" + httpUUID, "", nil},
		{"pattern", "POST", "/missions/1234", "POST host/missions/{id}", nil},
		{"option", "GET", "/missions/1234", "", []Option{WithPathLabel(func(*http.Request) string { return "label" })}},
		{"method other", "BREW", "/missions", "", nil},
		{"path other", "GET", "/strange", "", full},
		{"path other, normalised", "GET", "/strange/17", "", full},
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
		var w http.ResponseWriter = httpNull{http.Header{}}
		if n := testing.AllocsPerRun(1000, func() { h.ServeHTTP(w, req) }); n != 0 {
			t.Errorf("%s: %v allocations a request", c.name, n)
		}
	}
}

// httpLocked is a client's writer that goroutines may share.
type httpLocked struct {
	mu     sync.Mutex
	h      http.Header
	status []int
	bytes  int
}

func (w *httpLocked) Header() http.Header { return w.h }
func (w *httpLocked) WriteHeader(s int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.status = append(w.status, s)
}
func (w *httpLocked) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bytes += len(p)
	return len(p), nil
}

// Handlers with goroutines keep writing to the writer of a request that is
// over. That must never show in another request, nor reach its client.
func TestKeptWriterTouchesNoOther(t *testing.T) {
	r := NewRegistry()
	m := NewHTTPMetrics(r)
	var kept []http.ResponseWriter
	var origs []*httpLocked
	for i := 0; i < 100; i++ {
		orig := &httpLocked{h: http.Header{}}
		origs = append(origs, orig)
		httpOne(m, orig, "GET", "/kept", func(w http.ResponseWriter, _ *http.Request) { kept = append(kept, w) })
	}
	stop, done := make(chan struct{}), make(chan struct{})
	junk := make([]byte, 1000)
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			if i%64 == 0 {
				runtime.Gosched() // for machines with one thread and no preemption
			}
			select {
			case <-stop:
				return
			default:
			}
			w := kept[i%len(kept)]
			w.WriteHeader(599)
			w.Write(junk)
		}
	}()
	const later = 5000
	for i := 0; i < later; i++ {
		orig := &httpLocked{h: http.Header{}}
		httpOne(m, orig, "GET", "/later", func(w http.ResponseWriter, _ *http.Request) {
			for _, k := range kept[:3] { // while this one runs
				k.WriteHeader(598)
				k.Write(junk)
			}
			w.WriteHeader(201)
			io.WriteString(w, "abc")
		})
		if len(orig.status) != 1 || orig.status[0] != 201 || orig.bytes != 3 {
			t.Fatalf("request %d: client got %v, %d bytes", i, orig.status, orig.bytes)
		}
	}
	close(stop)
	<-done
	httpWant(t, r,
		httpCount("GET", "/later", "201"), strconv.Itoa(later),
		httpBytes("/later"), strconv.Itoa(3*later),
		`http_response_size_bytes_bucket{method="GET",path="/later",le="100"}`, strconv.Itoa(later),
		httpCount("GET", "/kept", "200"), "100",
		httpBytes("/kept"), "0")
	if got := httpSum(t, r, "http_requests_total"); got != later+100 {
		t.Errorf("%v requests counted", got)
	}
	if len(origs[0].status) == 0 || origs[0].bytes == 0 {
		t.Error("the kept writer does not reach its own client any more")
	}
}

func TestWritesFromOtherGoroutines(t *testing.T) {
	r := NewRegistry()
	m := NewHTTPMetrics(r)
	const rounds = 200
	for i := 0; i < rounds; i++ {
		var wg sync.WaitGroup
		orig := &httpLocked{h: http.Header{}}
		httpOne(m, orig, "GET", "/joined", func(w http.ResponseWriter, _ *http.Request) {
			for s := 201; s < 205; s++ {
				wg.Add(1)
				go func() {
					defer wg.Done()
					w.WriteHeader(s)
					w.Write([]byte("abcde"))
				}()
			}
			wg.Wait()
		})
		// And one that the handler does not wait for.
		httpOne(m, orig, "GET", "/loose", func(w http.ResponseWriter, _ *http.Request) {
			wg.Add(1)
			go func() {
				defer wg.Done()
				w.WriteHeader(202)
				w.Write([]byte("x"))
			}()
		})
		wg.Wait()
	}
	httpWant(t, r, httpBytes("/joined"), strconv.Itoa(20*rounds), "http_requests_in_flight", "0")
	if got := httpSum(t, r, `http_requests_total{method="GET",path="/joined"`); got != rounds {
		t.Errorf("%v joined requests counted", got)
	}
	if got := httpSum(t, r, `http_requests_total{method="GET",path="/loose"`); got != rounds {
		t.Errorf("%v loose requests counted", got)
	}
	for s := range httpSamples(t, r) {
		if strings.HasPrefix(s, "http_requests_total") && !strings.Contains(s, `status="20`) {
			t.Errorf("%s was never written", s)
		}
	}
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
			httpOne(m, httptest.NewRecorder(), "GET", "/x", func(http.ResponseWriter, *http.Request) {
				in.Done()
				<-release
				if i%2 == 0 {
					panic("half of them")
				}
			})
		}()
	}
	in.Wait()
	httpWant(t, r, "http_requests_in_flight", strconv.Itoa(n))
	close(release)
	out.Wait()
	httpWant(t, r, "http_requests_in_flight", "0", httpCount("GET", "/x", "500"), "10", httpCount("GET", "/x", "200"), "10")
}

// Two middlewares over the same registry are the same metrics.
func TestHTTPMetricsTwice(t *testing.T) {
	r := NewRegistry()
	for i := 0; i < 2; i++ {
		NewHTTPMetrics(r).Record("GET", "/a", 200, 0, 1)
	}
	httpWant(t, r, httpCount("GET", "/a", "200"), "2")
}

// TestHTTPIdleExpiry: paths that nobody asks for any more go; connections, of which
// the same number may be open for long, stay.
func TestHTTPIdleExpiry(t *testing.T) {
	r := NewRegistry()
	m := NewHTTPMetrics(r, WithIdleExpiry(time.Nanosecond))
	m.ConnState(&net.TCPConn{}, http.StateNew)
	m.Record("GET", "/x", 200, time.Second, 1)
	text(t, r)
	time.Sleep(time.Millisecond)
	if got := text(t, r); strings.Contains(got, "/x") || !strings.Contains(got, `http_connections{state="new"} 1`) {
		t.Errorf("idle:\n%s", got)
	}
	m.Record("GET", "/x", 200, time.Second, 1)
	httpWant(t, r, httpCount("GET", "/x", "200"), "2")
}

// TestWithExemplar: what leads to a request is in all three of its metrics, and a
// function that panics or says nonsense costs the exemplar alone.
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
	h := m.Handler(http.HandlerFunc(httpOK))
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
			t.Errorf("no %s in\n%s", want, got)
		}
	}
	if n := strings.Count(got, `# {trace_id="4bf92f35"}`); n != 3 {
		t.Errorf("%d exemplars in\n%s", n, got)
	}
}
