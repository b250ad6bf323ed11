//go:build !tacho_nohttp

package tacho

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tachikoma/tacho/internal/race"
	"github.com/tachikoma/tacho/internal/testkit"
)

// incompressibleRegistry returns a registry with random label values. Its exposition is
// larger than the buffers between server and client, with gzip too.
func incompressibleRegistry() (*Registry, *CounterVec) {
	r := NewRegistry()
	v := r.CounterVec("big_total", "Many.", []string{"n"})
	for i := range 10_000 {
		s := rand.New(rand.NewPCG(7, uint64(i)))
		v.With(fmt.Sprintf("%016x%016x%016x", s.Uint64(), s.Uint64(), s.Uint64()))
	}
	return r, v
}

// newScrapeServer returns a server of the metrics of reg. began and ended count its
// scrapes.
func newScrapeServer(reg *Registry, http2 bool) (srv *httptest.Server, began, ended *atomic.Int64) {
	began, ended = new(atomic.Int64), new(atomic.Int64)
	h := reg.Handler()
	srv = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began.Add(1)
		defer ended.Add(1)
		h.ServeHTTP(w, r)
	}))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		if c, ok := c.(interface{ SetWriteBuffer(int) error }); ok {
			c.SetWriteBuffer(4 << 10)
		}
		return ctx
	}
	start(srv, http2)
	return srv, began, ended
}

// startWriters starts two goroutines that count without a pause. Goroutine g counts in the
// series writer{g} of v. stop ends the goroutines and returns their counts.
func startWriters(v *CounterVec) (stop func() []uint64) {
	var halt atomic.Bool
	var wg sync.WaitGroup
	counts := make([]uint64, 2)
	for g := range counts {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for n := uint64(1); !halt.Load(); n++ {
				v.With("writer" + strconv.Itoa(g)).Inc()
				if counts[g] = n; n%64 == 0 {
					runtime.Gosched() // WebAssembly has one thread and no preemption
				}
			}
		}()
	}
	return func() []uint64 {
		halt.Store(true)
		wg.Wait()
		return counts
	}
}

// waitForCount waits until n is at least want.
func waitForCount(n *atomic.Int64, want int64) {
	for n.Load() < want {
		time.Sleep(time.Millisecond)
	}
}

// TestSlowClients: clients that read one byte a second delay only their own scrapes. If the
// clients close their connections, their scrapes end.
func TestSlowClients(t *testing.T) {
	const slow, scrapes = 20, 3
	reg, v := incompressibleRegistry()
	srv, began, ended := newScrapeServer(reg, false)
	defer srv.Close()
	stop := startWriters(v)
	before := testkit.HeapBytes()
	var conns []net.Conn
	leave := make(chan struct{})
	var readers sync.WaitGroup
	for i := range slow {
		c, err := net.Dial("tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if c, ok := c.(interface{ SetReadBuffer(int) error }); ok {
			c.SetReadBuffer(1 << 10)
		}
		conns = append(conns, c)
		fmt.Fprintf(c, "GET /metrics HTTP/1.1\r\nHost: x\r\nAccept-Encoding: %s\r\n\r\n", []string{"identity", "gzip"}[i%2])
		readers.Add(1)
		go func() {
			defer readers.Done()
			for {
				if _, err := c.Read(make([]byte, 1)); err != nil {
					return
				}
				select {
				case <-leave:
					return
				case <-time.After(time.Second):
				}
			}
		}()
	}
	waitForCount(began, slow)
	want := text(t, reg)
	for range scrapes {
		resp, err := http.Get(srv.URL)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || len(body) < len(want)/2 {
			t.Fatalf("a fast client got %d bytes and error %v, want at least %d bytes", len(body), err, len(want)/2)
		}
		testkit.ParseText(t, string(body))
	}
	if n := ended.Load(); n != scrapes {
		t.Errorf("%d scrapes ended, want the %d of fast clients", n, scrapes)
	}
	if used := testkit.HeapBytes() - before; used > slow*(300<<10) {
		t.Errorf("%d slow clients use %d bytes, want at most %d", slow, used, slow*(300<<10))
	}
	close(leave)
	for _, c := range conns {
		c.Close()
	}
	waitForCount(ended, slow+scrapes)
	readers.Wait()
	for g, n := range stop() {
		if got := v.With("writer" + strconv.Itoa(g)).Value(); got != n {
			t.Errorf("the counter of writer %d is %d, want %d", g, got, n)
		}
	}
}

// TestSlowClientsHTTP2: as TestSlowClients, but all scrapes share one connection. Clients
// end their scrapes by resetting their streams.
func TestSlowClientsHTTP2(t *testing.T) {
	const slow, scrapes = 20, 3
	reg, v := incompressibleRegistry()
	srv, _, ended := newScrapeServer(reg, true)
	defer srv.Close()
	srv.Client().Transport.(*http.Transport).HTTP2 = &http.HTTP2Config{MaxReceiveBufferPerStream: 64 << 10}
	stop := startWriters(v)
	var bodies []io.ReadCloser
	get := func() *http.Response {
		req, _ := http.NewRequest("GET", srv.URL, nil)
		req.Header.Set("Accept-Encoding", "identity")
		resp, err := srv.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if resp.ProtoMajor != 2 {
			t.Fatalf("the protocol is %s, want HTTP/2", resp.Proto)
		}
		return resp
	}
	for range slow {
		resp := get()
		if _, err := io.ReadFull(resp.Body, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		bodies = append(bodies, resp.Body)
	}
	// The transport reads ahead for slow clients, up to the window of each stream.
	for range scrapes {
		resp, err := srv.Client().Get(srv.URL)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		testkit.ParseText(t, string(body))
	}
	if n := ended.Load(); n != scrapes {
		t.Errorf("%d scrapes ended, want the %d of fast clients", n, scrapes)
	}
	for _, b := range bodies {
		b.Close()
	}
	waitForCount(ended, slow+scrapes)
	stop()
}

// A stalledWriter is a response writer that accepts room writes. Later writes block until
// release is closed.
type stalledWriter struct {
	httptest.ResponseRecorder
	room    int
	stalled chan struct{}
	release chan struct{}
	once    sync.Once
}

func (w *stalledWriter) Write(p []byte) (int, error) {
	if w.room--; w.room < 0 {
		w.once.Do(func() { close(w.stalled) })
		<-w.release
	}
	return w.ResponseRecorder.Write(p)
}

// TestStalledScrapes stops many scrapes in the middle. Each scrape holds a buffer and a
// compressor, and no memory that grows with the registry.
func TestStalledScrapes(t *testing.T) {
	clients := 100
	if testing.Short() || race.Enabled {
		clients = 20
	}
	reg, _ := largeRegistry(50000)
	want := text(t, reg)
	h := reg.Handler()
	before := testkit.HeapBytes()
	release := make(chan struct{})
	var wg sync.WaitGroup
	var all []*stalledWriter
	for range clients {
		w := &stalledWriter{room: 3, stalled: make(chan struct{}), release: release}
		w.ResponseRecorder = *httptest.NewRecorder()
		all = append(all, w)
		wg.Add(1)
		go func() {
			defer wg.Done()
			r := httptest.NewRequest("GET", "/metrics", nil)
			r.Header.Set("Accept-Encoding", "gzip")
			h.ServeHTTP(w, r)
		}()
		<-w.stalled
	}
	held := testkit.HeapBytes() - before
	for _, w := range all {
		held -= int64(w.Body.Cap())
	}
	// The bound is larger than a buffer and a compressor: a goroutine, a request and the
	// writer of the test are included.
	if bound := int64(clients * (200 << 10)); held > bound {
		t.Errorf("%d scrapes hold %d bytes, want at most %d", clients, held, bound)
	}
	close(release)
	wg.Wait()
	for i, w := range all {
		if got := readBody(t, w.Result()); got != want {
			t.Fatalf("client %d got %d bytes, want %d", i, len(got), len(want))
		}
	}
	t.Logf("%d scrapes held %d bytes", clients, held)
}

// readBody returns a body, decompressed if its Content-Encoding is gzip.
func readBody(t *testing.T, resp *http.Response) string {
	t.Helper()
	var body io.Reader = resp.Body
	if resp.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(body)
		if err != nil {
			t.Fatal(err)
		}
		body = z
	}
	b, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestConcurrentScrapes: a hundred clients that scrape at the same time get the whole
// exposition.
func TestConcurrentScrapes(t *testing.T) {
	reg, _ := largeRegistry(2000)
	want := text(t, reg)
	srv := httptest.NewServer(reg.Handler())
	defer srv.Close()
	var wg sync.WaitGroup
	for range 100 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			req, _ := http.NewRequest("GET", srv.URL, nil)
			req.Header.Set("Accept-Encoding", "gzip")
			resp, err := srv.Client().Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			if got := readBody(t, resp); got != want {
				t.Errorf("a client got %d bytes, want %d", len(got), len(want))
			}
		}()
	}
	wg.Wait()
}

// TestLongStream: a long response is in flight until the handler returns. Then the response
// is recorded once, with all bytes.
func TestLongStream(t *testing.T) {
	const chunks = 200
	for proto, h2 := range protocols {
		t.Run(proto, func(t *testing.T) {
			next := make(chan struct{})
			srv := newTestServer(t, h2, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				for range chunks {
					<-next
					io.WriteString(w, "chunk\n")
					w.(http.Flusher).Flush()
				}
			}))
			resp, err := make(chan *http.Response), make(chan error, 1)
			go func() {
				r, e := srv.Client().Get(srv.URL + "/stream")
				err <- e
				resp <- r
			}()
			next <- struct{}{}
			if e := <-err; e != nil {
				t.Fatal(e)
			}
			r := <-resp
			defer r.Body.Close()
			chunk := make([]byte, len("chunk\n"))
			for i := range chunks {
				if _, err := io.ReadFull(r.Body, chunk); err != nil || string(chunk) != "chunk\n" {
					t.Fatalf("chunk %d is %q with error %v", i, chunk, err)
				}
				if i < chunks-1 { // after the last chunk the handler may have returned
					wantSamples(t, srv.reg, "http_requests_in_flight", "1", requestsSeries("GET", "/stream", "200"), "")
					next <- struct{}{}
				}
			}
			<-srv.done
			wantSamples(t, srv.reg, "http_requests_in_flight", "0", requestsSeries("GET", "/stream", "200"), "1",
				bytesSeries("/stream"), strconv.Itoa(chunks*len("chunk\n")))
		})
	}
}
