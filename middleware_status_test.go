//go:build !tacho_nohttp

package tacho

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestStatusRules(t *testing.T) {
	for _, c := range []struct {
		name, status string
		client       int // the status that the client gets; 0 for an error
		h            http.HandlerFunc
	}{
		{"no write", "200", 200, func(http.ResponseWriter, *http.Request) {}},
		{"body only", "200", 200, respondOK},
		{"empty write", "200", 200, func(w http.ResponseWriter, _ *http.Request) { w.Write(nil) }},
		{"404, then 500", "404", 404, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404); w.WriteHeader(500) }},
		{"200, then 500", "200", 200, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200); w.WriteHeader(500) }},
		{"500 after body", "200", 200, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "x"); w.WriteHeader(500) }},
		{"500 after Flush", "200", 200, func(w http.ResponseWriter, _ *http.Request) { w.(http.Flusher).Flush(); w.WriteHeader(500) }},
		{"500 after Flush of ResponseController", "200", 200, func(w http.ResponseWriter, _ *http.Request) {
			http.NewResponseController(w).Flush()
			w.WriteHeader(500)
		}},
		{"500 after copy", "200", 200, func(w http.ResponseWriter, _ *http.Request) {
			io.Copy(w, strings.NewReader("x"))
			w.WriteHeader(500)
		}},
		{"103 and body", "200", 200, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(103); io.WriteString(w, "x") }},
		{"103 only", "200", 200, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(103) }},
		{"100, 102, 103, 201", "201", 201, func(w http.ResponseWriter, _ *http.Request) {
			for _, s := range []int{100, 102, 103, 103, 201} {
				w.WriteHeader(s)
			}
		}},
		{"204", "204", 204, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }},
		{"304 with refused body", "304", 304, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(304)
			if n, err := io.WriteString(w, "x"); n != 0 || !errors.Is(err, http.ErrBodyNotAllowed) {
				t.Errorf("WriteString after 304 returned %d and error %v, want 0 and %v", n, err, http.ErrBodyNotAllowed)
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
		// WriteHeader of the server panics for these statuses and sends no header.
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
		for proto, h2 := range protocols {
			t.Run(c.name+"/"+proto, func(t *testing.T) {
				srv := newTestServer(t, h2, c.h)
				status, _, err := srv.get(t, "/x")
				if c.client == 0 {
					if err == nil {
						t.Errorf("the client got status %d, want an error", status)
					}
				} else if status != c.client || err != nil {
					t.Errorf("the client got status %d and error %v, want status %d", status, err, c.client)
				}
				wantSamples(t, srv.reg, requestsSeries("GET", "/x", c.status), "1", "http_requests_in_flight", "0",
					`http_request_duration_seconds_count{method="GET",path="/x"}`, "1")
				if n := sumSamples(t, srv.reg, "http_requests_total"); n != 1 {
					t.Errorf("the request was counted %v times, want 1", n)
				}
			})
		}
	}
}

// A response is the part of a response that a client got.
type response struct {
	status int
	body   string
	err    error // of the connection, or the value that the handler panicked with
}

// forEachWriter calls test for each kind of response writer: those of the server for HTTP/1
// and HTTP/2, and httptest.ResponseRecorder. Before each call, next serves one request for
// /x with the middleware.
func forEachWriter(t *testing.T, next http.HandlerFunc, test func(t *testing.T, reg *Registry, got response)) {
	for proto, h2 := range protocols {
		t.Run(proto, func(t *testing.T) {
			srv := newTestServer(t, h2, next)
			var got response
			got.status, got.body, got.err = srv.get(t, "/x")
			test(t, srv.reg, got)
		})
	}
	t.Run("ResponseRecorder", func(t *testing.T) {
		reg := NewRegistry()
		m := NewHTTPMetrics(reg)
		w := httptest.NewRecorder()
		var got response
		func() {
			defer func() {
				if p := recover(); p != nil {
					got.err = p.(error)
				}
			}()
			serveOne(m, w, "GET", "/x", next)
		}()
		got.status, got.body = w.Code, w.Body.String()
		test(t, reg, got)
	})
}

// TestEmptyCopySetsNoStatus: io.Copy from a source without any bytes sends no header. The
// status that the handler writes afterwards is sent and recorded.
func TestEmptyCopySetsNoStatus(t *testing.T) {
	file := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for name, src := range map[string]io.Reader{
		"reader": struct{ io.Reader }{strings.NewReader("")}, // without WriteTo
		"file":   f,
	} {
		t.Run(name, func(t *testing.T) {
			next := func(w http.ResponseWriter, _ *http.Request) {
				if n, err := io.Copy(w, src); n != 0 || err != nil {
					t.Errorf("Copy returned %d and error %v, want 0 and no error", n, err)
				}
				w.WriteHeader(404)
			}
			forEachWriter(t, next, func(t *testing.T, reg *Registry, got response) {
				if got.status != 404 || got.body != "" || got.err != nil {
					t.Errorf("the client got status %d, %d bytes and error %v, want 404, 0 bytes and no error",
						got.status, len(got.body), got.err)
				}
				wantSamples(t, reg, requestsSeries("GET", "/x", "404"), "1", requestsSeries("GET", "/x", "200"), "", bytesSeries("/x"), "0")
			})
		})
	}
}

// TestPanicContinues: the value of a panic reaches the caller of the middleware unchanged.
func TestPanicContinues(t *testing.T) {
	r := NewRegistry()
	m := NewHTTPMetrics(r)
	for _, want := range []any{"text", errors.New("value"), http.ErrAbortHandler, 7} {
		var got any
		func() {
			defer func() { got = recover() }()
			serveOne(m, httptest.NewRecorder(), "GET", "/x", func(http.ResponseWriter, *http.Request) { panic(want) })
		}()
		if got != want {
			t.Errorf("recovered %v, want %v", got, want)
		}
	}
	wantSamples(t, r, requestsSeries("GET", "/x", "500"), "4", "http_requests_in_flight", "0")
}

// TestGoexitIsRecorded: a handler that calls runtime.Goexit has failed. FailNow of package
// testing calls runtime.Goexit.
func TestGoexitIsRecorded(t *testing.T) {
	r := NewRegistry()
	m := NewHTTPMetrics(r)
	done := make(chan struct{})
	go func() {
		defer close(done)
		serveOne(m, httptest.NewRecorder(), "GET", "/x", func(http.ResponseWriter, *http.Request) { runtime.Goexit() })
	}()
	<-done
	wantSamples(t, r, requestsSeries("GET", "/x", "500"), "1", "http_requests_in_flight", "0")
}
