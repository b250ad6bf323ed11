//go:build !tacho_nohttp

package tacho

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"
	"time"

	"github.com/tachikoma/tacho/internal/race"
)

// leaveOnce sends a request for /x, and leaves once the handler has begun. It returns after
// the handler.
func leaveOnce(srv *testServer, began <-chan struct{}) {
	ctx, leave := context.WithCancel(context.Background())
	defer leave()
	req, _ := http.NewRequestWithContext(ctx, "GET", srv.URL+"/x", nil)
	go func() { <-began; leave() }()
	if resp, err := srv.Client().Do(req); err == nil {
		resp.Body.Close()
	}
	<-srv.done
}

// TestClientGone: if a client leaves before a status was written, the status is 499. The
// handler may return, panic, or write 5xx.
func TestClientGone(t *testing.T) {
	for _, c := range []struct {
		name, status string
		after        func(w http.ResponseWriter) // the context has ended
		before       func(w http.ResponseWriter)
	}{
		{name: "return", status: "499"},
		{name: "abort", status: "499", after: func(http.ResponseWriter) { panic(http.ErrAbortHandler) }},
		{name: "103", status: "499", before: func(w http.ResponseWriter) { w.WriteHeader(103) }},
		{name: "503", status: "499", after: func(w http.ResponseWriter) { w.WriteHeader(503) }},
		{name: "404", status: "404", after: func(w http.ResponseWriter) { w.WriteHeader(404) }},
		{name: "503 before", status: "503", before: func(w http.ResponseWriter) { w.WriteHeader(503) }},
		{name: "202 before", status: "202", before: func(w http.ResponseWriter) { w.WriteHeader(202) }},
		{name: "202 before, abort", status: "202", before: func(w http.ResponseWriter) { w.WriteHeader(202) },
			after: func(http.ResponseWriter) { panic(http.ErrAbortHandler) }},
	} {
		for proto, h2 := range protocols {
			t.Run(c.name+"/"+proto, func(t *testing.T) {
				began := make(chan struct{})
				srv := newTestServer(t, h2, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if c.before != nil {
						c.before(w)
					}
					close(began)
					<-r.Context().Done()
					if c.after != nil {
						c.after(w)
					}
				}))
				leaveOnce(srv, began)
				wantSamples(t, srv.reg, requestsSeries("GET", "/x", c.status), "1", "http_requests_in_flight", "0")
				if n := sumSamples(t, srv.reg, "http_requests_total"); n != 1 {
					t.Errorf("the request was counted %v times, want 1", n)
				}
			})
		}
	}
}

// TestDeadlineIsNotClientGone: the program set the deadline, and the server sends the
// status 200.
func TestDeadlineIsNotClientGone(t *testing.T) {
	r := NewRegistry()
	ctx, cancel := context.WithDeadline(context.Background(), time.Unix(0, 0))
	defer cancel()
	req := httptest.NewRequest("GET", "/x", nil).WithContext(ctx)
	NewHTTPMetrics(r).Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(httptest.NewRecorder(), req)
	wantSamples(t, r, requestsSeries("GET", "/x", "200"), "1")
}

// TestHeadHasNoBytes: the server sends no body for HEAD.
func TestHeadHasNoBytes(t *testing.T) {
	for proto, h2 := range protocols {
		t.Run(proto, func(t *testing.T) {
			srv := newTestServer(t, h2, http.HandlerFunc(respondOK))
			resp, err := srv.Client().Head(srv.URL + "/x")
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			<-srv.done
			wantSamples(t, srv.reg, `http_response_size_bytes_sum{method="HEAD",path="/x"}`, "0",
				`http_response_size_bytes_count{method="HEAD",path="/x"}`, "1")
		})
	}
}

// TestWithSkip: a request that is skipped is not measured, and costs no allocation. A
// panic of the function skips nothing.
func TestWithSkip(t *testing.T) {
	r := NewRegistry()
	m := NewHTTPMetrics(r, WithSkip(func(r *http.Request) bool {
		if r.URL.Path == "/panic" {
			panic("skip")
		}
		return r.URL.Path == "/metrics"
	}))
	w := discardWriter{http.Header{}}
	var got http.ResponseWriter
	h := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		got = w
		if n := m.inFlight.Value(); n != 0 {
			t.Errorf("%d requests in flight, want 0", n)
		}
	}))
	req := httptest.NewRequest("GET", "/metrics", nil)
	if n := testing.AllocsPerRun(100, func() { h.ServeHTTP(w, req) }); n != 0 && !race.Enabled {
		t.Errorf("%v allocations, want 0", n)
	}
	if _, ok := got.(discardWriter); !ok {
		t.Errorf("the handler got a %T, want the server's writer", got)
	}
	if n := sumSamples(t, r, "http_requests_total"); n != 0 {
		t.Errorf("%v requests counted, want 0", n)
	}
	serveOne(m, w, "GET", "/panic", respondOK)
	serveOne(m, w, "GET", "/x", respondOK)
	wantSamples(t, r, requestsSeries("GET", "/panic", "200"), "1", requestsSeries("GET", "/x", "200"), "1",
		`tacho_errors_total{metric="http_requests_total",reason="panic"}`, "1")
	for _, opt := range []Option{WithSkip(nil), WithStream(nil)} {
		r := NewRegistry()
		serveOne(NewHTTPMetrics(r, opt), w, "GET", "/x", respondOK)
		wantSamples(t, r, requestsSeries("GET", "/x", "200"), "1")
	}
}

// durationSum returns the sum of the durations of GET requests for path, in seconds.
func durationSum(t *testing.T, r *Registry, path string) float64 {
	t.Helper()
	return sumSamples(t, r, `http_request_duration_seconds_sum{method="GET",path="`+path+`"}`)
}

// TestStreamDuration: the duration of a stream ends with its first flush. The stream is in
// flight until its handler returns. The client measures a longer time until the flush, and the stream is open for
// as long again.
func TestStreamDuration(t *testing.T) {
	for proto, h2 := range protocols {
		t.Run(proto, func(t *testing.T) {
			flushed, end := make(chan struct{}), make(chan struct{})
			srv := newTestServer(t, h2, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch r.URL.Path {
				case "/panic":
					panic(http.ErrAbortHandler)
				case "/quiet":
					<-end
					return
				}
				io.WriteString(w, "data: 1\n\n")
				w.(http.Flusher).Flush()
				close(flushed)
				<-end
				io.WriteString(w, "data: 2\n\n")
			}), WithStream(func(r *http.Request) bool { return r.Header.Get("Accept") == "text/event-stream" }))
			get := func(path string) {
				req, _ := http.NewRequest("GET", srv.URL+path, nil)
				req.Header.Set("Accept", "text/event-stream")
				resp, err := srv.Client().Do(req)
				if err == nil {
					io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
				<-srv.done
			}
			client, began := make(chan struct{}), time.Now()
			go func() { defer close(client); get("/stream") }()
			<-flushed
			untilFlush := time.Since(began)
			wantSamples(t, srv.reg, "http_requests_in_flight", "1")
			time.Sleep(untilFlush)
			close(end)
			<-client
			wantSamples(t, srv.reg, "http_requests_in_flight", "0", requestsSeries("GET", "/stream", "200"), "1",
				`http_request_duration_seconds_count{method="GET",path="/stream"}`, "1", bytesSeries("/stream"), "18")
			if d := durationSum(t, srv.reg, "/stream"); d <= 0 || d > untilFlush.Seconds() {
				t.Errorf("the duration is %v seconds, want that until the first flush, at most %v", d, untilFlush)
			}
			srv.Client().CloseIdleConnections() // the client would send the request again
			get("/panic")
			get("/quiet")
			wantSamples(t, srv.reg, requestsSeries("GET", "/panic", "500"), "1", requestsSeries("GET", "/quiet", "200"), "1")
		})
	}
}

// TestHijackDuration: the life of a hijacked connection is no duration of a request. See TestStreamDuration for
// the times.
func TestHijackDuration(t *testing.T) {
	hijacked, end := make(chan struct{}), make(chan struct{})
	srv := newTestServer(t, false, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/header" {
			w.WriteHeader(http.StatusSwitchingProtocols)
		}
		c, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		hijacked <- struct{}{}
		<-end
	}))
	for _, path := range []string{"/plain", "/header"} {
		c, err := net.Dial("tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		began := time.Now()
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n", path)
		<-hijacked
		untilHijack := time.Since(began)
		wantSamples(t, srv.reg, "http_requests_in_flight", "1")
		time.Sleep(untilHijack)
		end <- struct{}{}
		<-srv.done
		wantSamples(t, srv.reg, requestsSeries("GET", path, "101"), "1", "http_requests_in_flight", "0")
		if d := durationSum(t, srv.reg, path); d <= 0 || d > untilHijack.Seconds() {
			t.Errorf("%s: the duration is %v seconds, want that until the hijack, at most %v", path, d, untilHijack)
		}
	}
}

// TestProxyForClientGone: httputil.ReverseProxy writes 502 for a client that left.
func TestProxyForClientGone(t *testing.T) {
	began := make(chan struct{})
	backend := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(began)
		<-r.Context().Done()
	}))
	defer backend.Close()
	target, _ := url.Parse(backend.URL)
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ErrorLog = log.New(io.Discard, "", 0)
	srv := newTestServer(t, false, proxy)
	leaveOnce(srv, began)
	wantSamples(t, srv.reg, requestsSeries("GET", "/x", "499"), "1")
}
