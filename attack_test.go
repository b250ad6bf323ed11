//go:build !tacho_nohttp

package tacho

import (
	"bufio"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// heap returns the bytes that are alive.
func heap() int64 {
	runtime.GC()
	runtime.GC() // pools are empty after the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// attackSize chooses by how much time there is.
func attackSize(short, usual, long int) int {
	switch {
	case *stressFor > 0:
		return long
	case testing.Short() || raceEnabled:
		return short
	}
	return usual
}

// A stranger makes requests that nobody would.
type stranger struct{ *rand.Rand }

func (s stranger) bytes(most int) string {
	b := make([]byte, s.IntN(most+1))
	for i := range b {
		b[i] = byte(s.Uint32())
	}
	return string(b)
}

func (s stranger) pick(from ...string) string { return from[s.IntN(len(from))] }

func (s stranger) path() string {
	switch s.IntN(8) {
	case 0:
		return "/" + s.bytes(40)
	case 1:
		return "/" + strings.Repeat(s.pick("a", "1", "/", "\xff", "é"), s.IntN(3000))
	case 2:
		return s.bytes(10) // without a slash
	case 3:
		return "/user/" + httpUUID + "/" + s.bytes(3)
	}
	return "/" + strconv.FormatUint(s.Uint64(), 36)
}

func (s stranger) method() string {
	return s.pick("GET", "POST", "HEAD", "BREW", "get", "", s.bytes(20), strings.Repeat("X", s.IntN(1000)))
}

func (s stranger) header() http.Header {
	h := http.Header{}
	h["Accept"] = []string{s.pick("*/*", "application/openmetrics-text;version=1.0.0;q=0."+s.bytes(5), s.bytes(60), strings.Repeat(";,=\"", s.IntN(100)))}
	h["Accept-Encoding"] = []string{s.pick("gzip", s.bytes(60), "gzip;q="+s.bytes(5), strings.Repeat("gzip,", s.IntN(100)))}
	h["Trace"] = []string{s.bytes(300)}
	h[s.bytes(10)] = []string{s.bytes(100)}
	return h
}

// TestStrangers sends made-up paths, methods and header values through the
// middleware and into both handlers: memory and series are bounded, nothing that
// was served is missing from the totals, and what a scrape says is sound.
func TestStrangers(t *testing.T) {
	n := attackSize(5000, 50_000, 1_000_000)
	reg := NewRegistry()
	m := NewHTTPMetrics(reg, WithMaxPaths(100), WithExemplar(func(r *http.Request) []string { return r.Header["Trace"] }))
	metrics, view := reg.Handler(), reg.JSONHandler()
	var statuses atomic.Uint64
	h := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch n := statuses.Add(1); {
		case n%500 == 0:
			metrics.ServeHTTP(w, r)
		case n%500 == 1:
			view.ServeHTTP(w, r)
		default:
			w.WriteHeader(200 + int(n%7))
		}
	}))
	const workers = 4
	send := func(n int, seed uint64) {
		var wg sync.WaitGroup
		for g := range workers {
			wg.Add(1)
			go func() {
				defer wg.Done()
				s := stranger{rand.New(rand.NewPCG(seed, uint64(g)))}
				for i := range n / workers {
					r := &http.Request{Method: s.method(), URL: &url.URL{Path: s.path()}, Header: s.header()}
					h.ServeHTTP(httpNull{http.Header{}}, r)
					if i%64 == 0 {
						runtime.Gosched()
					}
				}
			}()
		}
		wg.Wait()
	}
	warm := n / 5
	send(warm, 1)
	before, series := heap(), m.routes.Len()
	send(n-warm, 2)
	if after := heap(); after > before+1<<20 {
		t.Errorf("%d requests took the heap from %d to %d bytes", n-warm, before, after)
	}
	if now := m.routes.Len(); now > 10*101 || now > series+100 {
		t.Errorf("%d routes after %d requests, %d after %d", now, n, series, warm)
	}
	attackTotals(t, reg, n)
	t.Logf("%d requests, %d lines in a scrape", n, strings.Count(httpText(t, reg), "\n"))
}

// attackTotals wants n requests in each of the metrics, in a sound scrape.
func attackTotals(t *testing.T, reg *Registry, n int) {
	t.Helper()
	sums := map[string]float64{}
	samples := engParse(t, httpText(t, reg))
	strictSound(t, samples, nil, func(engSample) bool { return false })
	strictOpen(t, open(t, reg))
	for _, s := range samples {
		sums[s.name] += s.value
	}
	for _, name := range []string{"http_requests_total", "http_request_duration_seconds_count", "http_response_size_bytes_count"} {
		if sums[name] != float64(n) {
			t.Errorf("%s adds up to %v, want %d", name, sums[name], n)
		}
	}
	if sums["http_requests_in_flight"] != 0 {
		t.Errorf("%v requests in flight", sums["http_requests_in_flight"])
	}
}

// TestStrangersConnected is TestStrangers over connections, where net/http stands
// in between: what it lets through must be in the totals.
func TestStrangersConnected(t *testing.T) {
	requests := attackSize(400, 2000, 20_000)
	var served atomic.Int64
	reg := NewRegistry()
	m := NewHTTPMetrics(reg)
	metrics := reg.Handler()
	h := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if served.Add(1)%100 == 0 {
			metrics.ServeHTTP(w, r)
		}
	}))
	srv := httptest.NewUnstartedServer(h)
	srv.Config.ConnState = m.ConnState
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.Start()
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			s := stranger{rand.New(rand.NewPCG(3, uint64(g)))}
			for done := 0; done < requests/8; {
				c, err := net.Dial("tcp", srv.Listener.Addr().String())
				if err != nil {
					t.Error(err)
					return
				}
				in := bufio.NewReader(c)
				for done < requests/8 {
					done++
					value := s.bytes(30)
					if s.IntN(10) > 0 {
						value = url.QueryEscape(value) // else net/http closes nearly all connections
					}
					fmt.Fprintf(c, "%s /%s HTTP/1.1\r\nHost: x\r\nAccept: %s\r\nX: %s\r\n\r\n",
						s.pick("GET", "BREW", "get"), url.PathEscape(s.path()), s.pick("*/*", ";q=", value), value)
					resp, err := http.ReadResponse(in, nil)
					if err != nil {
						break // the server closed the connection, or the answer is to half a request
					}
					io.Copy(io.Discard, resp.Body)
					if resp.Close {
						break
					}
				}
				c.Close()
			}
		}()
	}
	wg.Wait()
	srv.Close() // waits for handlers
	n := int(served.Load())
	if n < requests/8 {
		t.Errorf("only %d of %d requests came through", n, requests)
	}
	attackTotals(t, reg, n)
	if left := len(m.states); left != 0 {
		t.Errorf("%d connections are remembered after all were closed", left)
	}
	t.Logf("%d requests sent, %d served", requests, n)
}

// attackBig returns a registry whose exposition is too large for the buffers between
// server and client, also when it is compressed.
func attackBig() (*Registry, *CounterVec) {
	r := NewRegistry()
	v := r.CounterVec("big_total", "Many.", []string{"n"})
	for i := range 10_000 {
		s := rand.New(rand.NewPCG(7, uint64(i)))
		v.With(fmt.Sprintf("%016x%016x%016x", s.Uint64(), s.Uint64(), s.Uint64()))
	}
	return r, v
}

// attackServer counts the scrapes that began and ended.
func attackServer(t *testing.T, reg *Registry, http2 bool) (srv *httptest.Server, began, ended *atomic.Int64) {
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
	if http2 {
		srv.EnableHTTP2 = true
		srv.StartTLS()
	} else {
		srv.Start()
	}
	return srv, began, ended
}

// attackWriters count at full speed until stop is called, which returns what each
// of them counted, in wrote{g}.
func attackWriters(v *CounterVec) (stop func() []uint64) {
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
					runtime.Gosched() // for machines with one thread and no preemption
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

// waitFor waits until a number that others count is reached.
func waitFor(n *atomic.Int64, want int64) {
	for n.Load() < want {
		time.Sleep(time.Millisecond)
	}
}

// TestSlowClients: clients that take a byte now and then hold their own scrape and
// nothing else, and when they vanish their scrapes end.
func TestSlowClients(t *testing.T) {
	const slow, scrapes = 20, 3
	reg, v := attackBig()
	srv, began, ended := attackServer(t, reg, false)
	defer srv.Close()
	stop := attackWriters(v)
	before := heap()
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
	waitFor(began, slow)
	want := httpText(t, reg)
	for range scrapes {
		resp, err := http.Get(srv.URL)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || len(body) < len(want)/2 {
			t.Fatalf("%v, %d bytes beside slow clients", err, len(body))
		}
		engParse(t, string(body))
	}
	if n := ended.Load(); n != scrapes {
		t.Errorf("%d scrapes ended, want the %d of those who read", n, scrapes)
	}
	if took := heap() - before; took > slow*(300<<10) {
		t.Errorf("%d slow clients take %d bytes", slow, took)
	}
	close(leave)
	for _, c := range conns {
		c.Close()
	}
	waitFor(ended, slow+scrapes)
	readers.Wait()
	for g, n := range stop() {
		if got := v.With("writer" + strconv.Itoa(g)).Value(); got != n {
			t.Errorf("writer %d counted %d, want %d", g, got, n)
		}
	}
}

// TestSlowClientsHTTP2: the same where all share one connection, and clients leave
// by resetting their stream.
func TestSlowClientsHTTP2(t *testing.T) {
	const slow, scrapes = 20, 3
	reg, v := attackBig()
	srv, _, ended := attackServer(t, reg, true)
	defer srv.Close()
	srv.Client().Transport.(*http.Transport).HTTP2 = &http.HTTP2Config{MaxReceiveBufferPerStream: 64 << 10}
	stop := attackWriters(v)
	var bodies []io.ReadCloser
	get := func() *http.Response {
		req, _ := http.NewRequest("GET", srv.URL, nil)
		req.Header.Set("Accept-Encoding", "identity")
		resp, err := srv.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if resp.ProtoMajor != 2 {
			t.Fatalf("served by %s", resp.Proto)
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
	// The transport reads ahead for the slow ones, up to each stream's window.
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
		engParse(t, string(body))
	}
	if n := ended.Load(); n != scrapes {
		t.Errorf("%d scrapes ended, want the %d of those who read", n, scrapes)
	}
	for _, b := range bodies {
		b.Close()
	}
	waitFor(ended, slow+scrapes)
	stop()
}

// An attackStalled is a client that takes some writes and then none until it is let go.
type attackStalled struct {
	httptest.ResponseRecorder
	room    int
	stalled chan struct{}
	release chan struct{}
	once    sync.Once
}

func (w *attackStalled) Write(p []byte) (int, error) {
	if w.room--; w.room < 0 {
		w.once.Do(func() { close(w.stalled) })
		<-w.release
	}
	return w.ResponseRecorder.Write(p)
}

// TestHundredScrapes stalls a hundred scrapes in the middle: each holds its buffer and
// its compressor, and nothing that grows with the registry.
func TestHundredScrapes(t *testing.T) {
	clients := 100
	if testing.Short() {
		clients = 20
	}
	reg, _ := httpBig(50000)
	want := httpText(t, reg)
	h := reg.Handler()
	before := heap()
	release := make(chan struct{})
	var wg sync.WaitGroup
	var all []*attackStalled
	for range clients {
		w := &attackStalled{room: 3, stalled: make(chan struct{}), release: release}
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
	held := heap() - before
	for _, w := range all {
		held -= int64(w.Body.Cap())
	}
	// More than the two: the goroutine, its request, and what the test has.
	if bound := int64(clients * (200 << 10)); held > bound {
		t.Errorf("%d scrapes hold %d bytes, want at most %d", clients, held, bound)
	}
	close(release)
	wg.Wait()
	for i, w := range all {
		if got := attackBody(t, w.Result()); got != want {
			t.Fatalf("client %d got %d bytes, want %d", i, len(got), len(want))
		}
	}
	t.Logf("%d scrapes held %d bytes", clients, held)
}

// attackBody reads a body, compressed or not.
func attackBody(t *testing.T, resp *http.Response) string {
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

// TestHundredScrapesConnected: a hundred at once over connections, all whole.
func TestHundredScrapesConnected(t *testing.T) {
	reg, _ := httpBig(2000)
	want := httpText(t, reg)
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
			if got := attackBody(t, resp); got != want {
				t.Errorf("%d bytes, want %d", len(got), len(want))
			}
		}()
	}
	wg.Wait()
}

// TestLongStream: a response that goes on for long is in flight all the time and
// recorded once, whole, when it ends.
func TestLongStream(t *testing.T) {
	const chunks = 200
	for proto, h2 := range httpBoth {
		t.Run(proto, func(t *testing.T) {
			next := make(chan struct{})
			rig := httpServe(t, h2, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				for range chunks {
					<-next
					io.WriteString(w, "chunk\n")
					w.(http.Flusher).Flush()
				}
			}))
			resp, err := make(chan *http.Response), make(chan error, 1)
			go func() {
				r, e := rig.srv.Client().Get(rig.srv.URL + "/stream")
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
					t.Fatalf("chunk %d: %q, %v", i, chunk, err)
				}
				if i < chunks-1 { // else it may have ended
					httpWant(t, rig.reg, "http_requests_in_flight", "1", httpCount("GET", "/stream", "200"), "")
					next <- struct{}{}
				}
			}
			<-rig.done
			httpWant(t, rig.reg, "http_requests_in_flight", "0", httpCount("GET", "/stream", "200"), "1",
				httpBytes("/stream"), strconv.Itoa(chunks*len("chunk\n")))
		})
	}
}
