//go:build !tacho_nohttp

package tacho

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestHijack(t *testing.T) {
	const response = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nhello"
	srv := newTestServer(t, false, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/header":
			w.WriteHeader(http.StatusSwitchingProtocols)
			hijack(t, w, "hello")
			return
		case "/panic":
			defer panic("after the hijack")
		case "/late":
			defer func() {
				w.WriteHeader(500)
				if _, err := w.Write([]byte("x")); !errors.Is(err, http.ErrHijacked) {
					t.Errorf("Write after Hijack returned error %v, want %v", err, http.ErrHijacked)
				}
			}()
		}
		hijack(t, w, response)
	}))
	for _, path := range []string{"/plain", "/header", "/panic", "/late"} {
		if got := srv.getRaw(t, path); !strings.HasPrefix(got, "HTTP/1.1 101") || !strings.HasSuffix(got, "hello") {
			t.Errorf("%s: the client got %q", path, got)
		}
		wantSamples(t, srv.reg, requestsSeries("GET", path, "101"), "1", bytesSeries(path), "0", "http_requests_in_flight", "0")
	}
	if got := sumSamples(t, srv.reg, "http_requests_total"); got != 4 {
		t.Errorf("counted %v requests, want 4", got)
	}
}

// optionalInterfaces returns the optional interfaces of w as bits.
func optionalInterfaces(w http.ResponseWriter) (set int) {
	_, f := w.(http.Flusher)
	_, h := w.(http.Hijacker)
	_, p := w.(http.Pusher)
	for i, has := range []bool{f, h, p} {
		if has {
			set |= 1 << i
		}
	}
	return set
}

// TestServerInterfaces: the writer of the handler has Flusher, Hijacker and Pusher exactly
// if the server's writer has them. The writer of HTTP/2 has no Hijacker.
func TestServerInterfaces(t *testing.T) {
	for name, h2 := range protocols {
		t.Run(name, func(t *testing.T) {
			var plain int
			var mu sync.Mutex
			bare := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				mu.Lock()
				defer mu.Unlock()
				plain = optionalInterfaces(w)
			}))
			start(bare, h2)
			resp, err := bare.Client().Get(bare.URL)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			bare.Close()
			srv := newTestServer(t, h2, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				mu.Lock()
				defer mu.Unlock()
				if got := optionalInterfaces(w); got != plain {
					t.Errorf("the writer of the handler has %03b, the server's writer has %03b", got, plain)
				}
			}))
			srv.get(t, "/")
		})
	}
}

func TestResponseController(t *testing.T) {
	for name, h2 := range protocols {
		t.Run(name, func(t *testing.T) {
			srv := newTestServer(t, h2, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				c := http.NewResponseController(w)
				deadline := time.Now().Add(time.Hour)
				for method, err := range map[string]error{
					"SetWriteDeadline": c.SetWriteDeadline(deadline),
					"SetReadDeadline":  c.SetReadDeadline(deadline),
					"EnableFullDuplex": c.EnableFullDuplex(),
					"Flush":            c.Flush(),
				} {
					if err != nil && !(h2 && method == "EnableFullDuplex") {
						t.Errorf("%s returned error %v", method, err)
					}
				}
				io.WriteString(w, "x")
			}))
			if _, body, err := srv.get(t, "/"); body != "x" || err != nil {
				t.Errorf("the client got body %q and error %v, want \"x\" and no error", body, err)
			}
			wantSamples(t, srv.reg, requestsSeries("GET", "/", "200"), "1", bytesSeries("/"), "1")
		})
	}
}

// A lockedWriter is a response writer that several goroutines may use.
type lockedWriter struct {
	mu     sync.Mutex
	h      http.Header
	status []int
	bytes  int
}

func (w *lockedWriter) Header() http.Header { return w.h }
func (w *lockedWriter) WriteHeader(s int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.status = append(w.status, s)
}

func (w *lockedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bytes += len(p)
	return len(p), nil
}

// TestKeptWriterAffectsNoOtherRequest: goroutines of a handler may use its writer after the
// handler returned. These writes must not change the record of another request, and must
// not reach the client of another request.
func TestKeptWriterAffectsNoOtherRequest(t *testing.T) {
	r := NewRegistry()
	m := NewHTTPMetrics(r)
	var kept []http.ResponseWriter
	var origs []*lockedWriter
	for i := 0; i < 100; i++ {
		orig := &lockedWriter{h: http.Header{}}
		origs = append(origs, orig)
		serveOne(m, orig, "GET", "/kept", func(w http.ResponseWriter, _ *http.Request) { kept = append(kept, w) })
	}
	stop, done := make(chan struct{}), make(chan struct{})
	junk := make([]byte, 1000)
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			if i%64 == 0 {
				runtime.Gosched() // WebAssembly has one thread and no preemption
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
		orig := &lockedWriter{h: http.Header{}}
		serveOne(m, orig, "GET", "/later", func(w http.ResponseWriter, _ *http.Request) {
			for _, k := range kept[:3] { // during this request
				k.WriteHeader(598)
				k.Write(junk)
			}
			w.WriteHeader(201)
			io.WriteString(w, "abc")
		})
		if len(orig.status) != 1 || orig.status[0] != 201 || orig.bytes != 3 {
			t.Fatalf("request %d: the client got status %v and %d bytes, want 201 and 3 bytes", i, orig.status, orig.bytes)
		}
	}
	close(stop)
	<-done
	wantSamples(t, r,
		requestsSeries("GET", "/later", "201"), strconv.Itoa(later),
		bytesSeries("/later"), strconv.Itoa(3*later),
		`http_response_size_bytes_bucket{method="GET",path="/later",le="100"}`, strconv.Itoa(later),
		requestsSeries("GET", "/kept", "200"), "100",
		bytesSeries("/kept"), "0")
	if got := sumSamples(t, r, "http_requests_total"); got != later+100 {
		t.Errorf("counted %v requests, want %d", got, later+100)
	}
	if len(origs[0].status) == 0 || origs[0].bytes == 0 {
		t.Error("writes to a kept writer do not reach its own client")
	}
}

func TestWritesFromOtherGoroutines(t *testing.T) {
	r := NewRegistry()
	m := NewHTTPMetrics(r)
	const rounds = 200
	for i := 0; i < rounds; i++ {
		var wg sync.WaitGroup
		orig := &lockedWriter{h: http.Header{}}
		serveOne(m, orig, "GET", "/joined", func(w http.ResponseWriter, _ *http.Request) {
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
		// The handler of /loose does not wait for its goroutine.
		serveOne(m, orig, "GET", "/loose", func(w http.ResponseWriter, _ *http.Request) {
			wg.Add(1)
			go func() {
				defer wg.Done()
				w.WriteHeader(202)
				w.Write([]byte("x"))
			}()
		})
		wg.Wait()
	}
	wantSamples(t, r, bytesSeries("/joined"), strconv.Itoa(20*rounds), "http_requests_in_flight", "0")
	if got := sumSamples(t, r, `http_requests_total{method="GET",path="/joined"`); got != rounds {
		t.Errorf("counted %v requests for /joined, want %d", got, rounds)
	}
	if got := sumSamples(t, r, `http_requests_total{method="GET",path="/loose"`); got != rounds {
		t.Errorf("counted %v requests for /loose, want %d", got, rounds)
	}
	for s := range samplesOf(t, r) {
		if strings.HasPrefix(s, "http_requests_total") && !strings.Contains(s, `status="20`) {
			t.Errorf("%s has a status that no handler wrote", s)
		}
	}
}
