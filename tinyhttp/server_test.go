package tinyhttp

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/internal/testkit"
)

// start serves s on a port of its own, and closes s at the end of the test. Then no goroutine of
// the package may be left.
func start(t *testing.T, s *Server) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Skip("no listener: ", err)
	}
	serveOn(t, s, smallBuffers{l})
	return l.Addr().String()
}

// A smallBuffers is a listener whose connections have small buffers in the system, so that a slow
// client stops a response.
type smallBuffers struct{ net.Listener }

func (l smallBuffers) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if c, ok := c.(interface{ SetWriteBuffer(int) error }); ok {
		c.SetWriteBuffer(4 << 10)
	}
	return c, err
}

func serveOn(t *testing.T, s *Server, l net.Listener) {
	t.Helper()
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; err != ErrServerClosed {
			t.Errorf("Serve returned %v", err)
		}
		checkGone(t)
	})
}

// checkGone fails the test if a goroutine of a connection is left.
func checkGone(t *testing.T) {
	t.Helper()
	var stacks string
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		b := make([]byte, 1<<20)
		stacks = string(b[:runtime.Stack(b, true)])
		if !strings.Contains(stacks, "tinyhttp.(*conn)") && !strings.Contains(stacks, "tinyhttp.closeQuietly") {
			return
		}
	}
	t.Errorf("goroutines are left:\n%s", stacks)
}

// registry returns a registry with a few metrics.
func registry() *tacho.Registry {
	r := tacho.NewRegistry()
	r.Counter("a_total", "A.").Inc()
	r.Gauge("b", "B.").Set(2)
	r.GaugeFunc("f", "F.", func() float64 { return 3 })
	return r
}

// large returns a registry with so many series. With 20,000, the exposition is larger than the
// buffers between server and client, with gzip too: the label values do not compress.
func large(series int) *tacho.Registry {
	r := tacho.NewRegistry()
	v := r.CounterVec("big_total", "Many.", []string{"n"})
	x := uint64(1)
	for range series {
		var b []byte
		for range 5 {
			x ^= x << 13
			x ^= x >> 7
			x ^= x << 17
			b = strconv.AppendUint(b, x, 36)
		}
		v.With(string(b)).Inc()
	}
	return r
}

func written(t *testing.T, write func(io.Writer) error) string {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// send writes a request and returns everything that the server sends before the connection ends.
func send(t *testing.T, addr, request string) string {
	t.Helper()
	c := dial(t, addr)
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(c)
	if err != nil {
		t.Errorf("%.100q: %v", request, err)
	}
	c.Close()
	return string(b)
}

// exchange writes a request and reads one response.
func exchange(t *testing.T, c net.Conn, r *bufio.Reader, request string) (*http.Response, string) {
	t.Helper()
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	return readResponse(t, r, request)
}

func readResponse(t *testing.T, r *bufio.Reader, request string) (*http.Response, string) {
	t.Helper()
	method, _, _ := strings.Cut(request, " ")
	resp, err := http.ReadResponse(r, &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%.100q: %v", request, err)
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%.100q: %v", request, err)
	}
	return resp, string(b)
}

const getMetrics = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"

// patientMetrics is a request that gives functions the WriteTimeout. Otherwise functions have 5 seconds, which
// can end on a busy machine before a test lets its function return.
const patientMetrics = "GET /metrics HTTP/1.1\r\nHost: x\r\nX-Prometheus-Scrape-Timeout-Seconds: 3600\r\n\r\n"

func TestResponses(t *testing.T) {
	r := registry()
	s := &Server{Registry: r}
	s.HandleJSON("/metrics/json")
	addr := start(t, s)
	text, open := written(t, r.WriteText), written(t, r.WriteOpenMetrics)
	const textType, openType = "text/plain; version=0.0.4; charset=utf-8", "application/openmetrics-text; version=1.0.0; charset=utf-8"
	for _, tt := range []struct {
		target, header string
		contentType    string
		vary           string
		body           string
	}{
		{"/metrics", "", textType, "Accept, Accept-Encoding", text},
		{"/%6detrics", "", textType, "Accept, Accept-Encoding", text},
		{"http://y/metrics", "", textType, "Accept, Accept-Encoding", text},
		{"/metrics", "Accept: " + testkit.AcceptPrometheus3 + "\r\n", openType, "Accept, Accept-Encoding", open},
		{"/metrics", "Accept: text/html\r\nAccept: application/openmetrics-text;version=1.0.0\r\n", openType, "Accept, Accept-Encoding", open},
		// OpenMetrics 2.0 is not served; see Registry.Handler of package tacho.
		{"/metrics", "Accept: application/openmetrics-text;version=2.0.0, application/openmetrics-text;version=1.0.0;q=0.5\r\n", openType, "Accept, Accept-Encoding", open},
		{"/metrics", "Accept: application/openmetrics-text;version=2.0.0\r\n", textType, "Accept, Accept-Encoding", text},
		{"/metrics?name[]=b&name%5B%5D=f", "", textType, "Accept, Accept-Encoding", "# HELP b B.\n# TYPE b gauge\nb 2\n# HELP f F.\n# TYPE f gauge\nf 3\n"},
		{"/metrics?name[]=none", "", textType, "Accept, Accept-Encoding", ""},
		{"/metrics/json", "Accept: text/plain\r\n", "application/json", "Accept-Encoding", written(t, r.WriteJSON)},
		{"/metrics/json?name[]=b", "", "application/json", "Accept-Encoding", `{"b":[{"labels":{},"value":2}]}` + "\n"},
	} {
		for _, version := range []string{"1.0", "1.1"} {
			for _, encoding := range []string{"", "gzip"} {
				head := tt.target + " HTTP/" + version + "\r\nHost: x\r\nConnection: close\r\nAccept-Encoding: " + encoding + "\r\n" + tt.header + "\r\n"
				for _, method := range []string{"GET", "HEAD"} {
					request := method + " " + head
					raw := send(t, addr, request)
					resp, body := readResponse(t, bufio.NewReader(strings.NewReader(raw)), request)
					h := resp.Header
					if resp.StatusCode != 200 || h.Get("Content-Type") != tt.contentType || h.Get("Vary") != tt.vary || h.Get("Content-Encoding") != encoding || !resp.Close {
						t.Errorf("%q: status %d and header %v", request, resp.StatusCode, h)
					}
					if date, err := http.ParseTime(h.Get("Date")); err != nil || time.Since(date).Abs() > time.Hour {
						t.Errorf("%q: Date %q: %v", request, h.Get("Date"), err)
					}
					want := tt.body
					if method == "HEAD" {
						want = ""
						if !strings.HasSuffix(raw, "\r\n\r\n") {
							t.Errorf("%q: the response has a body: %q", request, raw)
						}
					} else if chunked := len(resp.TransferEncoding) > 0; chunked != (version == "1.1") {
						t.Errorf("%q: transfer coding %q", request, resp.TransferEncoding)
					}
					if encoding == "gzip" && method == "GET" {
						body = gunzip(t, body)
					}
					if body != want {
						t.Errorf("%q: body\n%s\nwant\n%s", request, body, want)
					}
				}
			}
		}
	}
}

func gunzip(t *testing.T, s string) string {
	t.Helper()
	z, err := gzip.NewReader(strings.NewReader(s))
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestDefault: the zero Server serves tacho.Default, and no JSON.
func TestDefault(t *testing.T) {
	old := tacho.Default
	defer func() { tacho.Default = old }()
	tacho.Default = registry()
	var s Server
	addr := start(t, &s)
	if got := send(t, addr, "GET /metrics HTTP/1.0\r\n\r\n"); !strings.HasSuffix(got, written(t, tacho.Default.WriteText)) {
		t.Errorf("got %q", got)
	}
	for _, path := range []string{"/", "/metrics/", "/metrics/json", "//metrics", "/./metrics", "/Metrics"} {
		if got := send(t, addr, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 404 Not Found\r\n") {
			t.Errorf("%s: got %q", path, got)
		}
	}
	if got := send(t, addr, "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 404 ") || !strings.HasSuffix(got, "\r\n\r\n") {
		t.Errorf("HEAD: got %q", got)
	}
	s2 := &Server{Path: "/a b"}
	if got := send(t, start(t, s2), "GET /a%20b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 200 OK\r\n") {
		t.Errorf("got %q", got)
	}
}

// TestTwoListeners: a Server serves two listeners at the same time, and Close ends both. A JSON view
// at the path of the metrics replaces the other formats.
func TestTwoListeners(t *testing.T) {
	s := &Server{Registry: registry()}
	s.HandleJSON("/other")
	s.HandleJSON("/metrics")
	want := written(t, s.Registry.WriteJSON)
	for _, addr := range []string{start(t, s), start(t, s)} {
		if got := send(t, addr, "GET /metrics HTTP/1.0\r\n\r\n"); !strings.HasSuffix(got, want) {
			t.Errorf("got %q", got)
		}
		if got := send(t, addr, "GET /other HTTP/1.0\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 404 ") {
			t.Errorf("/other: got %q", got)
		}
	}
}

// TestProtobuf: a registry with native histograms offers the protobuf format.
func TestProtobuf(t *testing.T) {
	const accept = "Accept: application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited\r\n"
	for _, native := range []bool{false, true} {
		r := tacho.NewRegistry(tacho.WithUTF8Names())
		r.Gauge("b.c", "").Set(1)
		want, contentType := written(t, r.WriteText), "text/plain; version=0.0.4; charset=utf-8; escaping=underscores"
		if native {
			r.Histogram("h", "", nil, tacho.WithNative()).Observe(1)
			want = written(t, r.WriteProtobuf)
			contentType = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited; escaping=underscores"
		}
		request := "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + accept + "\r\n"
		resp, body := readResponse(t, bufio.NewReader(strings.NewReader(send(t, start(t, &Server{Registry: r}), request))), request)
		if got := resp.Header.Get("Content-Type"); got != contentType || len(body) != len(want) {
			t.Errorf("native %v: Content-Type %q, %d bytes, want %q, %d bytes", native, got, len(body), contentType, len(want))
		}
	}
}

// TestRefusedRequests: each refused request gets a response that says why, and ends its
// connection. What follows it is not read as a request.
func TestRefusedRequests(t *testing.T) {
	addr := start(t, &Server{Registry: registry()})
	for _, tt := range refusals {
		got := send(t, addr, tt.head+"\r\n\r\n"+getMetrics)
		want := "HTTP/1.1 " + strconv.Itoa(tt.status) + " "
		if tt.head == "" { // an empty line before a request is ignored
			want = "HTTP/1.1 400 "
		}
		if !strings.HasPrefix(got, want) || strings.Contains(got, "a_total") || strings.Count(got, "HTTP/1.1 ") != 1 || !strings.Contains(got, "\r\nConnection: close\r\n") {
			t.Errorf("%q: got %q", tt.head, got)
		}
		resp, body := readResponse(t, bufio.NewReader(strings.NewReader(got)), "GET")
		if int64(len(body)) != resp.ContentLength || body != reason(tt.status)+"\n" {
			t.Errorf("%q: body %q", tt.head, body)
		}
		if allow := resp.Header.Get("Allow"); (allow == "GET, HEAD") != (tt.status == 405) {
			t.Errorf("%q: Allow %q", tt.head, allow)
		}
	}
}

// TestKeepAlive: a connection serves requests one after another, also if they arrive at once.
func TestKeepAlive(t *testing.T) {
	r := registry()
	want := written(t, r.WriteText)
	addr := start(t, &Server{Registry: r})
	c := dial(t, addr)
	in := bufio.NewReader(c)
	for range 5 {
		if resp, body := exchange(t, c, in, getMetrics); resp.StatusCode != 200 || body != want || resp.Close {
			t.Errorf("status %d, close %v, body %q", resp.StatusCode, resp.Close, body)
		}
		if resp, body := exchange(t, c, in, "HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n"); resp.StatusCode != 200 || body != "" || resp.Close {
			t.Errorf("HEAD: status %d, close %v, body %q", resp.StatusCode, resp.Close, body)
		}
	}
	const n = 30
	if _, err := io.WriteString(c, strings.Repeat(getMetrics, n)+"\r\n"+getMetrics); err != nil {
		t.Fatal(err)
	}
	for range n + 1 {
		if _, body := readResponse(t, in, "GET"); body != want {
			t.Errorf("pipelined: body %q", body)
		}
	}
	// A head in pieces, with an empty line before.
	for _, b := range "\r\n" + getMetrics {
		if _, err := c.Write([]byte{byte(b)}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Microsecond)
	}
	if _, body := readResponse(t, in, "GET"); body != want {
		t.Errorf("in pieces: body %q", body)
	}
	resp, _ := exchange(t, c, in, "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	if _, err := in.ReadByte(); !resp.Close || err != io.EOF {
		t.Errorf("close %v, then %v", resp.Close, err)
	}
}

// TestClients: the client of net/http reads the same as from the handler.
func TestClients(t *testing.T) {
	r := large(2000)
	want := written(t, r.WriteText)
	url := "http://" + start(t, &Server{Registry: r}) + "/metrics"
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	var wg sync.WaitGroup
	for range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range 3 {
				resp, err := (&http.Client{Transport: tr}).Get(url)
				if err != nil {
					t.Error(err)
					return
				}
				b, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || string(b) != want || !resp.Uncompressed {
					t.Errorf("%d bytes, error %v, compressed %v; want %d bytes", len(b), err, resp.Uncompressed, len(want))
				}
			}
		}()
	}
	wg.Wait()
}

// TestCurl: curl gets the same response with all its ways to ask. Without curl the test is skipped.
func TestCurl(t *testing.T) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("no curl: ", err)
	}
	r := registry()
	want := written(t, r.WriteText)
	url := "http://" + start(t, &Server{Registry: r}) + "/metrics"
	for _, tt := range []struct{ args, want string }{
		{"", want + "200 1\n"},
		{"--compressed", want + "200 1\n"},
		{"--http1.0", want + "200 1\n"},
		{"-H Expect:100-continue", want + "200 1\n"},
		{"--head -o /dev/null", "200 1\n"},
		{"-d x=1", "Method Not Allowed\n405 1\n"},
		{"-d x -H Transfer-Encoding:chunked", "Method Not Allowed\n405 1\n"},
		{"-X GET -d x", "Content Too Large\n413 1\n"},
		{url, want + "200 1\n" + want + "200 0\n"}, // both on one connection
	} {
		args := append([]string{"--noproxy", "*", "-s", "-w", "%{http_code} %{num_connects}\n", "-m", "20"}, strings.Fields(tt.args)...)
		out, err := exec.Command(curl, append(args, url)...).CombinedOutput()
		if err != nil || string(out) != tt.want {
			t.Errorf("curl %s: %v and\n%s\nwant\n%s", tt.args, err, out, tt.want)
		}
	}
}

// TestLimits: a head of exactly the limit is served. Larger heads get 414 or 431.
func TestLimits(t *testing.T) {
	const limit = 600
	addr := start(t, &Server{Registry: registry(), MaxHeaderBytes: limit})
	head := func(n int) string {
		s := "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX: "
		return s + strings.Repeat("x", n-len(s)-4) + "\r\n\r\n"
	}
	for request, want := range map[string]string{
		head(limit):     "200",
		head(limit + 1): "431",
		head(100_000):   "431",
		"GET /" + strings.Repeat("x", limit-20) + " HTTP/1.0\r\n\r\n": "404",
		"GET /" + strings.Repeat("x", limit):                          "414",
		"GET /" + strings.Repeat("x", 100_000):                        "414",
		strings.Repeat("x", limit):                                    "414",
		"GET / HTTP/1.1\r\n" + strings.Repeat("X:\r\n", 10_000):       "431",
	} {
		if got := send(t, addr, request); !strings.HasPrefix(got, "HTTP/1.1 "+want+" ") {
			t.Errorf("%.60q, %d bytes: got %.100q, want %s", request, len(request), got, want)
		}
	}
}

// TestSlowHeads: clients that send nothing, or one byte after another, are disconnected. The time
// of a head does not begin again with each byte.
func TestSlowHeads(t *testing.T) {
	addr := start(t, &Server{Registry: registry(), ReadTimeout: 300 * time.Millisecond, IdleTimeout: time.Hour})
	if got := send(t, addr, ""); got != "" {
		t.Errorf("a silent client got %q", got)
	}
	if got := send(t, addr, "GET /metr"); !strings.HasPrefix(got, "HTTP/1.1 408 ") {
		t.Errorf("a client that stops in its head got %q", got)
	}
	for requests := range 2 {
		c, in := afterRequests(t, addr, requests)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			io.Copy(io.Discard, in)
		}()
		bytes := 0
		for running := true; running && bytes < 1000; bytes++ {
			select {
			case <-ended:
				running = false
			case <-time.After(10 * time.Millisecond):
				c.Write([]byte("x"))
			}
		}
		if bytes == 1000 {
			t.Errorf("after %d requests, a client sent %d bytes, one after another", requests, bytes)
		}
		c.Close()
		<-ended
	}
	// A connection that waits for its next request ends without a response.
	addr = start(t, &Server{Registry: registry(), ReadTimeout: time.Hour, IdleTimeout: 100 * time.Millisecond})
	c := dial(t, addr)
	in := bufio.NewReader(c)
	exchange(t, c, in, getMetrics)
	if b, err := in.ReadByte(); err != io.EOF {
		t.Errorf("an idle connection got %q, %v", b, err)
	}
}

// afterRequests returns a connection on which n requests got their responses. On a busy machine the ReadTimeout
// can end before the server has a request, so afterRequests tries again.
func afterRequests(t *testing.T, addr string, n int) (net.Conn, *bufio.Reader) {
	t.Helper()
	for range 20 {
		c := dial(t, addr)
		in, served := bufio.NewReader(c), 0
		for ; served < n; served++ {
			_, _ = io.WriteString(c, getMetrics)
			resp, err := http.ReadResponse(in, nil)
			if err != nil || resp.StatusCode != 200 {
				break
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil {
				break
			}
		}
		if served == n {
			return c, in
		}
	}
	t.Fatal("no response before the ReadTimeout")
	return nil, nil
}

// TestConnTimeout: a connection ends, however many requests it sends, and also between requests.
func TestConnTimeout(t *testing.T) {
	for _, waits := range []bool{false, true} {
		c := dial(t, start(t, &Server{Registry: registry(), ConnTimeout: 300 * time.Millisecond, IdleTimeout: time.Hour}))
		c.SetDeadline(time.Now().Add(20 * time.Second))
		in := bufio.NewReader(c)
		for {
			if _, err := io.WriteString(c, getMetrics); err != nil {
				break
			}
			resp, err := http.ReadResponse(in, nil)
			if err != nil {
				if isTimeout(err) {
					t.Error("the connection does not end")
				}
				break
			}
			io.Copy(io.Discard, resp.Body)
			if waits {
				if b, err := in.ReadByte(); err != io.EOF {
					t.Errorf("between requests: %q, %v", b, err)
				}
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	if (&conn{s: new(Server), end: past}).keeps(&request{}) || !(&conn{s: new(Server), end: time.Now().Add(time.Hour)}).keeps(&request{}) {
		t.Error("a response does not say whether the connection ends")
	}
}

// TestRefusedClientsStay: clients that stay after a refusal do not keep others out.
func TestRefusedClientsStay(t *testing.T) {
	addr := start(t, &Server{Registry: registry(), MaxConns: 2})
	for range 10 {
		c := dial(t, addr)
		io.WriteString(c, "x\r\n\r\n")
		if b, err := io.ReadAll(c); err != nil || !strings.HasPrefix(string(b), "HTTP/1.1 400 ") {
			t.Errorf("got %q, %v", b, err)
		}
	}
	if got := send(t, addr, "GET /metrics HTTP/1.0\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 200 ") {
		t.Errorf("got %q", got)
	}
}

// A stuckConn ignores deadlines, and its Read does not return before release is closed.
type stuckConn struct {
	net.Conn
	release chan struct{}
}

func (c stuckConn) Read([]byte) (int, error)        { <-c.release; return 0, io.EOF }
func (c stuckConn) Close() error                    { return nil }
func (c stuckConn) SetDeadline(time.Time) error     { return nil }
func (c stuckConn) SetReadDeadline(time.Time) error { return nil }

// TestStuckConnections: connections that were replaced and do not end are bounded.
func TestStuckConnections(t *testing.T) {
	l := &connListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	s := &Server{Registry: registry(), MaxConns: 2}
	serveOn(t, s, l)
	release := make(chan struct{})
	defer close(release)
	for range 10 {
		l.conns <- stuckConn{nil, release}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.conns); n > 4 {
		t.Errorf("%d connections", n)
	}
}

// slowReaders sends requests of clients that read nothing.
func slowReaders(t *testing.T, addr string) (slow []net.Conn) {
	for i := range 6 {
		c := dial(t, addr)
		c.(*net.TCPConn).SetReadBuffer(1 << 10)
		version := []string{"1.1", "1.0"}[i%2]
		fmt.Fprintf(c, "GET /metrics HTTP/%s\r\nHost: x\r\nAccept-Encoding: %s\r\n\r\n", version, []string{"identity", "gzip"}[i/2%2])
		slow = append(slow, c)
	}
	return slow
}

// TestSlowReaders: beside clients that read nothing, others are served, and all methods of the registry work.
func TestSlowReaders(t *testing.T) {
	r := large(20_000)
	want := written(t, r.WriteText)
	s := &Server{Registry: r, WriteTimeout: time.Hour}
	addr := start(t, s)
	slow := slowReaders(t, addr)
	for s.busy() < len(slow) {
		time.Sleep(time.Millisecond)
	}
	v := r.CounterVec("big_total", "Many.", []string{"n"})
	v.With("new").Inc()
	v.Delete("new")
	if got := send(t, addr, "GET /metrics HTTP/1.0\r\n\r\n"); !strings.HasSuffix(got, want) {
		t.Errorf("a fast client got %d bytes", len(got))
	}
	for s.busy() > len(slow) { // the fast client can have its response before the server has ended it
		time.Sleep(time.Millisecond)
	}
	if n := s.busy(); n != len(slow) {
		t.Errorf("%d connections wait for a client, want %d", n, len(slow))
	}
}

// TestWriteTimeout: clients that read nothing are disconnected after the WriteTimeout. A client sees that its
// body is incomplete. On a busy machine the first clients can be disconnected before the last are connected, so
// the test tries longer timeouts.
func TestWriteTimeout(t *testing.T) {
	r := large(20_000)
	half := len(written(t, r.WriteText)) / 2
	for timeout := 250 * time.Millisecond; timeout < time.Minute; timeout *= 2 {
		s := &Server{Registry: r, WriteTimeout: timeout}
		began := time.Now()
		slow := slowReaders(t, start(t, s))
		for s.busy() < len(slow) && time.Since(began) < timeout {
			time.Sleep(time.Millisecond)
		}
		if s.busy() < len(slow) {
			continue
		}
		for s.busy() > 0 {
			time.Sleep(time.Millisecond)
		}
		for i, c := range slow {
			c.SetReadDeadline(time.Now().Add(30 * time.Second))
			if b, err := io.ReadAll(c); len(b) >= half || err == nil || isTimeout(err) {
				t.Errorf("slow client %d got %d bytes and error %v", i, len(b), err)
			}
		}
		return
	}
	t.Error("the clients were not connected at the same time")
}

// TestTooManyConnections: a further connection replaces one that waits for a request. If all have
// a request, the further connection gets status 503.
func TestTooManyConnections(t *testing.T) {
	const maxConns = 4
	r := tacho.NewRegistry()
	release := make(chan struct{})
	entered := make(chan struct{}, 1)
	r.GaugeFunc("f", "", func() float64 {
		select {
		case entered <- struct{}{}:
		default:
		}
		<-release
		return 1
	})
	s := &Server{Registry: r, MaxConns: maxConns, WriteTimeout: time.Hour}
	addr := start(t, s)
	for range 20 * maxConns { // of a client that sends nothing
		dial(t, addr)
	}
	if got := send(t, addr, "GET /metrics?name[]=x HTTP/1.0\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 200 ") {
		t.Errorf("beside silent connections: %q", got)
	}
	var busy []net.Conn
	for range maxConns {
		c := dial(t, addr)
		io.WriteString(c, "GET /metrics HTTP/1.0\r\nX-Prometheus-Scrape-Timeout-Seconds: 3600\r\n\r\n")
		busy = append(busy, c)
	}
	for s.busy() < maxConns {
		time.Sleep(time.Millisecond)
	}
	for i := range 3 * maxConns {
		got := send(t, addr, "")
		if got == "" && i > 0 { // closed, because others were refused at the same time
			continue
		}
		if !strings.HasPrefix(got, "HTTP/1.1 503 Service Unavailable\r\n") || !strings.Contains(got, "\r\nRetry-After: ") {
			t.Errorf("one connection too many: %q", got)
		}
	}
	for range 10 * maxConns { // of clients that do not read
		dial(t, addr)
	}
	s.mu.Lock()
	if n := len(s.conns); n > 3*maxConns {
		t.Errorf("%d connections", n)
	}
	s.mu.Unlock()
	close(release)
	for _, c := range busy {
		if b, err := io.ReadAll(c); err != nil || !strings.Contains(string(b), "\nf 1\n") {
			t.Errorf("error %v and %q", err, b)
		}
	}
	for s.busy() > 0 {
		time.Sleep(time.Millisecond)
	}
	if got := send(t, addr, "GET /metrics HTTP/1.0\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 200 ") {
		t.Errorf("afterwards: %q", got)
	}
}

// busy returns the number of connections with a request.
func (s *Server) busy() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		if c.busy {
			n++
		}
	}
	return n
}

// TestFunctionTime is the time of the functions of a scrape.
func TestFunctionTime(t *testing.T) {
	for _, tt := range []struct {
		header       string
		writeTimeout time.Duration
		want         time.Duration
	}{
		{"", 0, 5 * time.Second},
		{"", 2 * time.Second, 1800 * time.Millisecond},
		{"10", 0, 9 * time.Second},
		{"0.5", 0, 450 * time.Millisecond},
		{"100", 20 * time.Second, 18 * time.Second},
		{"soon", 0, 5 * time.Second},
		{"-1", 0, 5 * time.Second},
	} {
		s := &Server{WriteTimeout: tt.writeTimeout}
		if got := functionTime(&request{timeout: tt.header}, s.writeTimeout()); got != tt.want {
			t.Errorf("header %q, WriteTimeout %v: %v, want %v", tt.header, tt.writeTimeout, got, tt.want)
		}
	}
}

// TestBlockedFunction: a function that does not return, or panics, costs its own family. On a busy machine
// another function may need longer, so the test tries longer timeouts.
func TestBlockedFunction(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	got := ""
	for seconds := 0.2; !strings.Contains(got, "\nf 3\n") && seconds < 20; seconds *= 4 {
		r := registry()
		r.GaugeFunc("blocked", "", func() float64 { <-release; return 1 })
		r.GaugeFunc("panics", "", func() float64 { panic("x") })
		request := fmt.Sprintf("GET /metrics HTTP/1.0\r\nX-Prometheus-Scrape-Timeout-Seconds: %v\r\n\r\n", seconds)
		got = send(t, start(t, &Server{Registry: r}), request)
	}
	if !strings.Contains(got, "\nf 3\n") || strings.Contains(got, "blocked 1") || !strings.Contains(got, `{metric="blocked",reason="timeout"} 1`) {
		t.Errorf("got %q", got)
	}
}

// TestClientGone: if the client goes away while a function runs, the scrape ends and counts no
// timeout. The next request of a client that stays may arrive meanwhile.
func TestClientGone(t *testing.T) {
	r := tacho.NewRegistry()
	release, entered := make(chan struct{}), make(chan struct{}, 10)
	r.GaugeFunc("blocked", "", func() float64 { entered <- struct{}{}; <-release; return 1 })
	s := &Server{Registry: r, WriteTimeout: time.Hour}
	addr := start(t, s)
	stays := dial(t, addr)
	io.WriteString(stays, patientMetrics)
	<-entered
	io.WriteString(stays, patientMetrics[:10])
	gone := dial(t, addr)
	io.WriteString(gone, patientMetrics)
	for s.busy() < 2 {
		time.Sleep(time.Millisecond)
	}
	gone.Close()
	for s.busy() > 1 {
		time.Sleep(time.Millisecond)
	}
	close(release)
	in := bufio.NewReader(stays)
	if _, body := readResponse(t, in, "GET"); !strings.Contains(body, "blocked 1\n") {
		t.Errorf("body %q", body)
	}
	if _, body := exchange(t, stays, in, patientMetrics[10:]); !strings.Contains(body, "blocked 1\n") || strings.Contains(body, "tacho_errors_total{") {
		t.Errorf("body %q", body)
	}
}

// TestHeadCallsNoFunction: a HEAD request has no body, so no function is called.
func TestHeadCallsNoFunction(t *testing.T) {
	r := tacho.NewRegistry()
	r.GaugeFunc("f", "", func() float64 { t.Error("called"); return 1 })
	r.Collect(func(*tacho.Emitter) { t.Error("called") })
	if got := send(t, start(t, &Server{Registry: r}), "HEAD /metrics HTTP/1.0\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 200 ") {
		t.Errorf("got %q", got)
	}
}

// TestClientsDisconnect: clients that leave in the middle of a response end their scrapes only.
func TestClientsDisconnect(t *testing.T) {
	r := large(20_000)
	s := &Server{Registry: r}
	addr := start(t, s)
	for i := range 20 {
		c := dial(t, addr)
		fmt.Fprintf(c, "GET /metrics HTTP/1.1\r\nHost: x\r\nAccept-Encoding: %s\r\n\r\n", []string{"identity", "gzip"}[i%2])
		io.ReadFull(c, make([]byte, 10*i))
		c.Close()
	}
	request := "GET /metrics HTTP/1.0\r\nAccept-Encoding: gzip\r\n\r\n"
	_, body := readResponse(t, bufio.NewReader(strings.NewReader(send(t, addr, request))), request)
	if gunzip(t, body) != written(t, r.WriteText) {
		t.Error("the next scrape is not complete")
	}
	for s.busy() > 0 {
		time.Sleep(time.Millisecond)
	}
}

// TestClose: Close ends responses and functions, and returns when their goroutines have ended.
func TestClose(t *testing.T) {
	r := large(20_000)
	release := make(chan struct{})
	s, blocked := &Server{Registry: r, WriteTimeout: time.Hour}, &Server{Registry: registry(), WriteTimeout: time.Hour}
	entered := make(chan struct{}, 10)
	blocked.Registry.GaugeFunc("blocked", "", func() float64 { entered <- struct{}{}; <-release; return 1 })
	for _, s := range []*Server{s, blocked} {
		addr := start(t, s)
		dial(t, addr)
		io.WriteString(dial(t, addr), "GET /met")
		c := dial(t, addr)
		io.WriteString(c, patientMetrics)
		pipelined := dial(t, addr)
		io.WriteString(pipelined, patientMetrics+patientMetrics)
		for s.busy() < 2 {
			time.Sleep(time.Millisecond)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if n := len(s.conns); n != 0 {
			t.Errorf("%d connections are left", n)
		}
		for _, c := range []net.Conn{c, pipelined} {
			if b, err := io.ReadAll(c); err == nil && strings.HasSuffix(string(b), "0\r\n\r\n") {
				t.Errorf("the response is complete: %d bytes", len(b))
			}
		}
		if _, err := net.Dial("tcp", addr); err == nil {
			t.Error("the listener is open")
		}
		if err := s.ListenAndServe("127.0.0.1:0"); err != ErrServerClosed {
			t.Errorf("ListenAndServe returned %v", err)
		}
	}
	close(release)
	if got := written(t, blocked.Registry.WriteText); strings.Contains(got, "timeout") || !strings.Contains(got, "blocked 1") {
		t.Errorf("a timeout is counted:\n%s", got)
	}
	var unused Server
	if err := unused.Close(); err != nil {
		t.Error(err)
	}
	if err := unused.Close(); err != nil {
		t.Error(err)
	}
	if err := new(Server).Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
}

// TestShutdown: Shutdown completes responses, which announce the end of their connections, and closes
// other connections.
func TestShutdown(t *testing.T) {
	r := tacho.NewRegistry()
	release, entered := make(chan struct{}), make(chan struct{}, 10)
	r.GaugeFunc("f", "", func() float64 { entered <- struct{}{}; <-release; return 1 })
	s := &Server{Registry: r, WriteTimeout: time.Hour}
	addr := start(t, s)
	idle := dial(t, addr)
	c := dial(t, addr)
	io.WriteString(c, patientMetrics)
	<-entered
	down := make(chan error)
	go func() { down <- s.Shutdown(context.Background()) }()
	if b, err := io.ReadAll(idle); err != nil || len(b) > 0 {
		t.Errorf("the idle connection got %q, %v", b, err)
	}
	select {
	case err := <-down:
		t.Errorf("Shutdown returned %v while a response was not complete", err)
	case <-time.After(20 * time.Millisecond):
	}
	close(release)
	b, err := io.ReadAll(c)
	if err != nil || !strings.HasSuffix(string(b), "f 1\n\r\n0\r\n\r\n") || !strings.Contains(string(b), "\r\nConnection: close\r\n") {
		t.Errorf("error %v and %q", err, b)
	}
	if err := <-down; err != nil {
		t.Error(err)
	}

	// The context ends first.
	release = make(chan struct{})
	defer close(release)
	s = &Server{Registry: r, WriteTimeout: time.Hour}
	c = dial(t, start(t, s))
	io.WriteString(c, patientMetrics)
	<-entered
	ctx, cancel := context.WithCancelCause(context.Background())
	cause := errors.New("enough")
	cancel(cause)
	if err := s.Shutdown(ctx); err != cause {
		t.Errorf("Shutdown returned %v", err)
	}
}

// A faultyListener fails in Accept.
type faultyListener struct {
	net.Listener
	accept func() (net.Conn, error)
	closed chan struct{}
	once   sync.Once
}

func (l *faultyListener) Accept() (net.Conn, error) { return l.accept() }
func (l *faultyListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	panic("close")
}

type temporary struct{ error }

func (temporary) Temporary() bool { return true }

// TestFaultyListeners: a listener that panics or fails does not end the program.
func TestFaultyListeners(t *testing.T) {
	fault := errors.New("fault")
	for _, tt := range []struct {
		accept func() (net.Conn, error)
		want   string
	}{
		{func() (net.Conn, error) { panic("accept") }, "tacho: tinyhttp: the listener panicked"},
		{func() (net.Conn, error) { return nil, fault }, "fault"},
	} {
		l := &faultyListener{accept: tt.accept, closed: make(chan struct{})}
		if err := new(Server).Serve(l); err == nil || err.Error() != tt.want {
			t.Errorf("got %v, want %s", err, tt.want)
		}
		<-l.closed
	}
	// A temporary error is tried again, until Close.
	tries := make(chan struct{}, 100)
	s := new(Server)
	l := &faultyListener{closed: make(chan struct{}), accept: func() (net.Conn, error) {
		tries <- struct{}{}
		return nil, temporary{fault}
	}}
	served := make(chan error)
	go func() { served <- s.Serve(l) }()
	for range 4 {
		<-tries
	}
	s.Close()
	if err := <-served; err != ErrServerClosed {
		t.Errorf("got %v", err)
	}
}

// A faultyConn panics in one of its methods.
type faultyConn struct {
	net.Conn
	method string
	reads  int
}

func (c *faultyConn) fault(method string) {
	if c.method == method {
		panic(method)
	}
}
func (c *faultyConn) Read(b []byte) (int, error) {
	if c.reads++; c.reads == 2 {
		c.fault("second Read")
	}
	c.fault("Read")
	return c.Conn.Read(b)
}
func (c *faultyConn) Write(b []byte) (int, error) { c.fault("Write"); return c.Conn.Write(b) }
func (c *faultyConn) Close() error                { c.Conn.Close(); c.fault("Close"); return nil }
func (c *faultyConn) SetDeadline(d time.Time) error {
	c.fault("SetDeadline")
	return c.Conn.SetDeadline(d)
}
func (c *faultyConn) SetReadDeadline(d time.Time) error {
	c.fault("SetReadDeadline")
	return c.Conn.SetReadDeadline(d)
}

// A connListener accepts the connections of a channel.
type connListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *connListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}
func (l *connListener) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *connListener) Addr() net.Addr { return nil }

// TestFaultyConnections: a connection that panics ends alone.
func TestFaultyConnections(t *testing.T) {
	l := &connListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	s := &Server{Registry: registry(), ReadTimeout: time.Hour}
	serveOn(t, s, l)
	for _, method := range []string{"Read", "Write", "Close", "SetDeadline", "SetReadDeadline", "second Read", "nil", ""} {
		client, server := net.Pipe()
		if method == "nil" {
			server.Close()
			l.conns <- nil
		} else {
			l.conns <- &faultyConn{Conn: server, method: method}
		}
		go io.WriteString(client, "GET /metrics HTTP/1.0\r\n\r\n")
		b, _ := io.ReadAll(client)
		if complete := strings.HasSuffix(string(b), "\nf 3\n"); method != "second Read" && complete != (method == "Close" || method == "") {
			t.Errorf("%s: got %q", method, b)
		}
		client.Close()
	}
	// A connection that panics while it is stopped is closed.
	client, server := net.Pipe()
	l.conns <- &faultyConn{Conn: server, method: "SetDeadline"}
	io.WriteString(client, "G")
	time.Sleep(50 * time.Millisecond) // the next Read has begun
	s.Close()
	if b, err := io.ReadAll(client); err != nil || len(b) > 0 {
		t.Errorf("got %q, %v", b, err)
	}
}

// TestDates compares appendDate with net/http.
func TestDates(t *testing.T) {
	at := time.Date(1999, 12, 31, 23, 59, 58, 5e8, time.FixedZone("x", 3600))
	for range 1000 {
		if got, want := string(appendDate(nil, at)), at.UTC().Format(http.TimeFormat); got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
		at = at.Add(17*24*time.Hour + 3*time.Hour + 7*time.Minute + 11*time.Second)
	}
}

// TestBody: a body of any writes is complete and in chunks of the form that clients know.
func TestBody(t *testing.T) {
	for _, sizes := range [][]int{{}, {0}, {1}, {1, 1, 1}, {bodySize}, {bodySize - maxTrailer - len(sizeField)}, {bodySize - maxTrailer - len(sizeField) + 1},
		{bodySize - maxTrailer}, {3 * bodySize, 1, 5 * bodySize}, {65536, 4097}} {
		for _, before := range []string{"", "head\r\n\r\n"} {
			client, server := net.Pipe()
			w := &body{nc: server, buf: append(make([]byte, 0, bodySize), before...), chunked: true, chunk: -1}
			go func() {
				for i, n := range sizes {
					w.Write(bytes.Repeat([]byte{byte('a' + i)}, n))
				}
				w.end()
				server.Close()
			}()
			got, _ := io.ReadAll(client)
			if cap(w.buf) != bodySize {
				t.Errorf("%v: the buffer has %d bytes", sizes, cap(w.buf))
			}
			rest, ok := strings.CutPrefix(string(got), before)
			var want strings.Builder
			for i, n := range sizes {
				want.Write(bytes.Repeat([]byte{byte('a' + i)}, n))
			}
			resp, err := http.ReadResponse(bufio.NewReader(strings.NewReader("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"+rest)), nil)
			if err != nil {
				t.Fatal(err)
			}
			if b, err := io.ReadAll(resp.Body); !ok || err != nil || string(b) != want.String() {
				t.Errorf("%v: %d bytes and error %v", sizes, len(b), err)
			}
			if regexp.MustCompile(`(?m)^0000\r$`).MatchString(rest) {
				t.Errorf("%v: an empty chunk", sizes)
			}
		}
	}
}

// TestIdleConnectionsAreSmall limits the memory of a connection between two requests.
func TestIdleConnectionsAreSmall(t *testing.T) {
	r := registry()
	s := &Server{Registry: r}
	addr := start(t, s)
	before := testkit.HeapBytes()
	var conns []net.Conn
	for range 30 {
		c := dial(t, addr)
		exchange(t, c, bufio.NewReader(c), getMetrics)
		conns = append(conns, c)
	}
	if used := (testkit.HeapBytes() - before) / int64(len(conns)); used > 40<<10 {
		t.Errorf("an idle connection uses %d bytes", used)
	}
}
