//go:build !tacho_nohttp

package tacho

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"

	"github.com/tachikoma/tacho/internal/testkit"
)

func TestHandlerMethods(t *testing.T) {
	r, _ := largeRegistry(10)
	for _, c := range []struct {
		name, contentType, vary string
		h                       http.Handler
	}{
		{"text", "text/plain; version=0.0.4; charset=utf-8", "Accept, Accept-Encoding", r.Handler()},
		{"json", "application/json", "Accept-Encoding", r.JSONHandler()},
	} {
		get := requestMetrics(c.h, "GET")
		if get.Code != 200 || get.Body.Len() == 0 {
			t.Errorf("%s: GET got status %d and %d bytes, want 200 and a body", c.name, get.Code, get.Body.Len())
		}
		if got := get.Header().Get("Content-Type"); got != c.contentType {
			t.Errorf("%s: Content-Type is %q, want %q", c.name, got, c.contentType)
		}
		if got := get.Header().Get("Vary"); got != c.vary {
			t.Errorf("%s: Vary is %q, want %q", c.name, got, c.vary)
		}
		for _, encoding := range []string{"", "gzip"} {
			get, head := requestMetrics(c.h, "GET", encoding), requestMetrics(c.h, "HEAD", encoding)
			if head.Code != 200 || head.Body.Len() != 0 {
				t.Errorf("%s: HEAD got status %d and %d bytes, want 200 and no body", c.name, head.Code, head.Body.Len())
			}
			for _, k := range []string{"Content-Type", "Vary", "Content-Encoding"} {
				if a, b := get.Header().Get(k), head.Header().Get(k); a != b {
					t.Errorf("%s: %s is %q for GET and %q for HEAD", c.name, k, a, b)
				}
			}
		}
		for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS", "TRACE", "BREW", "get"} {
			w := requestMetrics(c.h, method, "gzip")
			if w.Code != 405 || w.Header().Get("Allow") != "GET, HEAD" {
				t.Errorf("%s: %s got status %d and Allow %q, want 405 and \"GET, HEAD\"", c.name, method, w.Code, w.Header().Get("Allow"))
			}
			if got := w.Header().Get("Content-Encoding"); got != "" {
				t.Errorf("%s: %s got Content-Encoding %q, want none", c.name, method, got)
			}
		}
	}
}

// TestHandlerNegotiates: the body has the format of the header Content-Type. HEAD gets the
// same headers as GET.
func TestHandlerNegotiates(t *testing.T) {
	request := func(h http.Handler, method, accept, encoding string) *httptest.ResponseRecorder {
		req := httptest.NewRequest(method, "/metrics", nil)
		req.Header.Set("Accept", accept)
		req.Header.Set("Accept-Encoding", encoding)
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, req)
		return rec
	}
	r := NewRegistry()
	r.Counter("a_total", "").Inc()
	utf8 := NewRegistry(WithUTF8Names())
	utf8.Counter("a.total", "").Inc()
	for _, c := range []struct {
		r           *Registry
		accept      string
		contentType string
		body        string // lines of the body
	}{
		{r, "", "text/plain; version=0.0.4; charset=utf-8", "a_total 1\n"},
		{r, testkit.AcceptPrometheus2, "application/openmetrics-text; version=1.0.0; charset=utf-8", "a_total 1.0\n# EOF\n"},
		{r, testkit.AcceptPrometheus3, "application/openmetrics-text; version=1.0.0; charset=utf-8", "a_total 1.0\n# EOF\n"},
		{r, "application/openmetrics-text", "application/openmetrics-text; version=0.0.1; charset=utf-8", "a_total 1.0\n# EOF\n"},
		{utf8, "", "text/plain; version=0.0.4; charset=utf-8; escaping=underscores", "a_total 1\n"},
		{utf8, "text/plain;version=1.0.0;escaping=allow-utf-8", "text/plain; version=0.0.4; charset=utf-8; escaping=allow-utf-8", "{\"a.total\"} 1\n"},
		{utf8, testkit.AcceptPrometheus3, "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8", "{\"a.total\"} 1.0\n"},
		{utf8, "text/plain;escaping=values", "text/plain; version=0.0.4; charset=utf-8; escaping=values", "U__a_2e_total 1\n"},
		{utf8, "text/plain;escaping=dots", "text/plain; version=0.0.4; charset=utf-8; escaping=dots", "a_dot_total 1\n"},
	} {
		get := request(c.r.Handler(), http.MethodGet, c.accept, "")
		if got := get.Header().Get("Content-Type"); got != c.contentType || !strings.Contains(get.Body.String(), "\n"+c.body) {
			t.Errorf("Accept %q: Content-Type is %q, want %q; the body must contain %q:\n%s", c.accept, got, c.contentType, c.body, get.Body)
		}
		head := request(c.r.Handler(), http.MethodHead, c.accept, "gzip")
		if got := head.Header(); got.Get("Content-Type") != c.contentType || got.Get("Content-Encoding") != "gzip" ||
			got.Get("Vary") != "Accept, Accept-Encoding" || head.Body.Len() != 0 {
			t.Errorf("Accept %q: HEAD got headers %v and %d bytes", c.accept, got, head.Body.Len())
		}
		view := request(c.r.JSONHandler(), http.MethodGet, c.accept, "").Header()
		if view.Get("Content-Type") != "application/json" || view.Get("Vary") != "Accept-Encoding" {
			t.Errorf("Accept %q: the JSON handler sent headers %v", c.accept, view)
		}
	}
}

// TestHandlerProtobuf: the handler serves the protobuf format if the registry offers it and
// the client prefers it. Otherwise the format is OpenMetrics, as without the offer.
func TestHandlerProtobuf(t *testing.T) {
	const accept = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.8," + testkit.AcceptPrometheus3
	const contentType = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
	for _, opts := range [][]Option{nil, {WithUTF8Names()}} {
		r := NewRegistry(opts...)
		r.CounterVec("a_total", "", []string{"l"}).With("x").Inc()
		escaping := ""
		if opts != nil {
			r.Gauge("b.c", "").Set(1)
			escaping = "; escaping=allow-utf-8"
		}
		get := func() (contentType, body string) {
			req := httptest.NewRequest(http.MethodGet, "/metrics", nil)
			req.Header.Set("Accept", accept)
			rec := httptest.NewRecorder()
			r.Handler().ServeHTTP(rec, req)
			return rec.Header().Get("Content-Type"), rec.Body.String()
		}
		if got, body := get(); !strings.HasPrefix(got, "application/openmetrics-text; version=1.0.0") || !strings.HasSuffix(body, "# EOF\n") {
			t.Errorf("no offer: %s, %q", got, body)
		}
		r.offer.Store((*byte)(unsafe.Pointer(&nativeDef{code: nativeCode{}})))
		if got, body := get(); got != contentType+escaping || body != write(t, r.WriteProtobuf) {
			t.Errorf("offer: %s, %q", got, body)
		}
	}
}

func TestHandlerOverTCP(t *testing.T) {
	r, _ := largeRegistry(5000)
	srv := httptest.NewServer(r.Handler())
	defer srv.Close()
	want := text(t, r)

	// The transport of the client requests gzip and decompresses the body.
	resp, err := http.Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || string(body) != want || !resp.Uncompressed {
		t.Errorf("GET got %d bytes, compressed %v, error %v; want %d bytes, compressed", len(body), resp.Uncompressed, err, len(want))
	}
	resp, err = http.Head(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	body, _ = io.ReadAll(resp.Body)
	resp.Body.Close()
	if resp.StatusCode != 200 || len(body) != 0 || resp.Header.Get("Content-Type") != "text/plain; version=0.0.4; charset=utf-8" {
		t.Errorf("HEAD got status %d, %d bytes and Content-Type %q", resp.StatusCode, len(body), resp.Header.Get("Content-Type"))
	}
}

// TestHandlerGzipBody: a decompressed body equals the body without gzip.
func TestHandlerGzipBody(t *testing.T) {
	for _, series := range []int{0, 1, 5000} {
		r, _ := largeRegistry(series)
		for name, h := range map[string]http.Handler{"text": r.Handler(), "json": r.JSONHandler()} {
			plain := requestMetrics(h, "GET")
			if got := plain.Header().Get("Content-Encoding"); got != "" {
				t.Fatalf("%s: Content-Encoding is %q, want none", name, got)
			}
			for i := 0; i < 3; i++ { // compressors are reused
				zipped := requestMetrics(h, "GET", "deflate", "GZIP")
				if got := zipped.Header().Get("Content-Encoding"); got != "gzip" {
					t.Fatalf("%s: Content-Encoding is %q, want gzip", name, got)
				}
				z, err := gzip.NewReader(zipped.Body)
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(z)
				if err != nil || !bytes.Equal(body, plain.Body.Bytes()) {
					t.Errorf("%s, %d series: decompressed %d bytes with error %v, want %d bytes", name, series, len(body), err, plain.Body.Len())
				}
			}
		}
	}
}

// A limitedWriter is a response writer that accepts room bytes and fails afterwards.
type limitedWriter struct {
	h      http.Header
	room   int
	late   int // the number of writes after the first failure
	failed bool
}

func (w *limitedWriter) Header() http.Header { return w.h }
func (w *limitedWriter) WriteHeader(int)     {}
func (w *limitedWriter) Write(p []byte) (int, error) {
	if w.failed {
		w.late++
	}
	if len(p) > w.room {
		n := w.room
		w.room, w.failed = 0, true
		return n, errors.New("connection reset")
	}
	w.room -= len(p)
	return len(p), nil
}

func TestHandlerWriteErrorEndsScrape(t *testing.T) {
	r, _ := largeRegistry(20000)
	want := text(t, r)
	for _, h := range []http.Handler{r.Handler(), r.JSONHandler()} {
		for _, encoding := range []string{"", "gzip"} {
			for _, room := range []int{0, 1, 5, 40000} {
				req := httptest.NewRequest("GET", "/metrics", nil)
				req.Header.Set("Accept-Encoding", encoding)
				w := &limitedWriter{h: http.Header{}, room: room}
				h.ServeHTTP(w, req)
				if !w.failed || w.late != 0 {
					t.Errorf("Accept-Encoding %q, error after %d bytes: failed %v, %d later writes, want none", encoding, room, w.failed, w.late)
				}
			}
		}
	}
	// Compressors from failed scrapes are reused.
	for i := 0; i < 4; i++ {
		z, err := gzip.NewReader(requestMetrics(r.Handler(), "GET", "gzip").Body)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(z); err != nil || string(body) != want {
			t.Errorf("the next scrape has %d bytes and error %v, want %d bytes", len(body), err, len(want))
		}
	}
}

// TestHandlerClientDisconnects: clients close their connections during a scrape. All
// scrapes end, and the totals are exact.
func TestHandlerClientDisconnects(t *testing.T) {
	r, v := largeRegistry(20000)
	h := r.Handler()
	var served sync.WaitGroup
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		defer served.Done()
		h.ServeHTTP(w, req)
	}))
	defer srv.Close()

	var stop atomic.Bool
	var writers sync.WaitGroup
	var counts [2]uint64
	for g := range counts {
		writers.Add(1)
		go func() {
			defer writers.Done()
			name := "writer" + strconv.Itoa(g)
			for n := 0; !stop.Load(); n++ {
				v.With(name).Inc()
				v.With(strconv.Itoa(n % 100)).Inc()
				counts[g]++
				if n%64 == 0 {
					runtime.Gosched() // WebAssembly has one thread and no preemption
				}
			}
		}()
	}
	const clients = 8
	served.Add(clients)
	for i := 0; i < clients; i++ {
		req, _ := http.NewRequest("GET", srv.URL, nil)
		req.Header.Set("Accept-Encoding", []string{"identity", "gzip"}[i%2])
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(resp.Body, make([]byte, 10)); err != nil {
			t.Error(err)
		}
		resp.Body.Close() // most of the body is unread, so this closes the connection
	}
	served.Wait() // all scrapes ended
	stop.Store(true)
	writers.Wait()
	for g, want := range counts {
		if got := v.With("writer" + strconv.Itoa(g)).Value(); got != want {
			t.Errorf("the counter of writer %d is %d, want %d", g, got, want)
		}
	}
	if got := requestMetrics(h, "GET"); got.Body.String() != text(t, r) {
		t.Error("the next scrape is not complete")
	}
}

func TestHandlerPanickingGaugeFunc(t *testing.T) {
	r := NewRegistry()
	r.Counter("a_total", "").Inc()
	r.GaugeFunc("bad", "", func() float64 { panic("collector") })
	r.CounterFunc("bad_nil_total", "", func() float64 { var p *float64; return *p })
	r.GaugeFunc("good", "", func() float64 { return 7 })
	r.Counter("z_total", "").Inc()
	for i := 0; i < 3; i++ {
		for _, h := range []http.Handler{r.Handler(), r.JSONHandler()} {
			if w := requestMetrics(h, "GET"); w.Code != 200 {
				t.Errorf("status %d, want 200", w.Code)
			}
		}
	}
	scrape := text(t, r)
	for _, want := range []string{
		"a_total 1\n", "good 7\n", "z_total 1\n",
		`tacho_errors_total{metric="bad",reason="panic"} 7` + "\n",
		`tacho_errors_total{metric="bad_nil_total",reason="panic"} 7` + "\n",
	} {
		if !strings.Contains("\n"+scrape, "\n"+want) {
			t.Errorf("the scrape lacks %q:\n%s", want, scrape)
		}
	}
	if strings.Contains(scrape, "TYPE bad") {
		t.Errorf("the scrape has a family whose function panicked:\n%s", scrape)
	}
	all := jsonFamilies(t, r)
	if _, ok := all["bad"]; ok || len(all["good"]) != 1 {
		t.Errorf("JSON is %v, want one series of good and none of bad", all)
	}
}

// A blockedWriter is a response writer that blocks each write until release is closed.
type blockedWriter struct {
	h       http.Header
	started chan struct{}
	release chan struct{}
	once    sync.Once
}

func (w *blockedWriter) Header() http.Header { return w.h }
func (w *blockedWriter) WriteHeader(int)     {}
func (w *blockedWriter) Write(p []byte) (int, error) {
	w.once.Do(func() { close(w.started) })
	<-w.release
	return len(p), nil
}

// TestHandlerSlowClientHoldsNoLock: all methods work while a scrape waits for its client.
// If the scrape held a lock, the test would deadlock.
func TestHandlerSlowClientHoldsNoLock(t *testing.T) {
	for _, encoding := range []string{"", "gzip"} {
		r, v := largeRegistry(20000)
		fv := r.FloatCounterVec("zz_total", "", []string{"a"})
		hv := r.HistogramVec("zz_seconds", "", nil, []string{"a"})
		for i, h := range []http.Handler{r.Handler(), r.JSONHandler()} {
			w := &blockedWriter{h: http.Header{}, started: make(chan struct{}), release: make(chan struct{})}
			req := httptest.NewRequest("GET", "/metrics", nil)
			req.Header.Set("Accept-Encoding", encoding)
			done := make(chan struct{})
			go func() {
				defer close(done)
				h.ServeHTTP(w, req)
			}()
			<-w.started
			id := strconv.Itoa(i)
			r.Counter("new"+id+"_total", "Defined during a scrape.").Inc()
			r.Collect(func(e *Emitter) { e.Gauge("collected"+id, "", 1) })
			v.With("new" + id).Inc()
			fv.With(id).Inc()
			hv.With(id).Observe(1)
			v.Delete("17")
			v.DeleteFunc(func(values []string) bool { return values[0] == "18" })
			_ = v.Len()
			if scrape := text(t, r); !strings.Contains(scrape, "\nnew"+id+"_total 1\n") || !strings.Contains(scrape, `big_total{n="new`+id+`"}`) {
				t.Error("a second scrape lacks the series that were made during the first")
			}
			r.Unregister("new" + id + "_total")
			if i == 1 {
				v.Reset()
			}
			close(w.release)
			<-done
		}
	}
}

// TestCanceledScrape: the context of a request can end while the client is there, for
// example if the program stops. An empty scrape with status 200 would end all series.
func TestCanceledScrape(t *testing.T) {
	r := NewRegistry()
	r.Gauge("a", "").Set(1)
	r.GaugeFunc("b", "", func() float64 { return 2 })
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, target := range []string{"/metrics", "/metrics?name[]=a"} {
		for _, h := range []http.Handler{r.Handler(), r.JSONHandler()} {
			req := httptest.NewRequestWithContext(ctx, http.MethodGet, target, nil)
			req.Header.Set("Accept-Encoding", "gzip")
			w := httptest.NewRecorder()
			h.ServeHTTP(w, req)
			if w.Code != http.StatusServiceUnavailable || w.Header().Get("Content-Encoding") != "" {
				t.Errorf("%s: status %d, header %v", target, w.Code, w.Header())
			}
		}
	}
}
