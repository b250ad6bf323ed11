//go:build !tacho_nohttp

package httpclient

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/tachotest"
)

// A roundTrip is a transport in a function.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// answer returns a transport that answers with a status and a body.
func answer(status int, body io.ReadCloser) http.RoundTripper {
	return roundTrip(func(req *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: status, Body: body, Request: req}, nil
	})
}

func request(t testing.TB, method, url string) *http.Request {
	t.Helper()
	req, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// scrape returns the samples of a registry without those of buckets and sums, whose
// values are times.
func scrape(t *testing.T, reg *tacho.Registry) string {
	t.Helper()
	var text bytes.Buffer
	if err := reg.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for line := range strings.Lines(text.String()) {
		if line[0] != '#' && !strings.Contains(line, "_bucket{") && !strings.Contains(line, "_sum{") {
			b.WriteString(line)
		}
	}
	return b.String()
}

func expect(t *testing.T, reg *tacho.Registry, want string) {
	t.Helper()
	if got := scrape(t, reg); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// get sends a GET and reads the response.
func get(t *testing.T, c *http.Client, url string) string {
	t.Helper()
	resp, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestRoundTrips(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/ok", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "fine") })
	mux.HandleFunc("/created", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(201) })
	mux.HandleFunc("/from", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/ok", http.StatusFound) })
	mux.HandleFunc("/hints", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusAccepted)
	})
	s := httptest.NewServer(mux)
	defer s.Close()
	reg := tacho.NewRegistry()
	c := &http.Client{Transport: New(reg, Config{}).RoundTripper(nil)}
	defer c.CloseIdleConnections()

	if got := get(t, c, s.URL+"/ok"); got != "fine" {
		t.Errorf("%q", got)
	}
	get(t, c, s.URL+"/from")
	get(t, c, s.URL+"/hints")
	get(t, c, s.URL+"/nowhere")
	resp, err := c.Post(s.URL+"/created", "text/plain", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	resp, err = c.Head(s.URL + "/ok")
	if err != nil {
		t.Fatal(err)
	}
	if resp.Body != http.NoBody { // it needs no Close
		t.Errorf("HEAD has a %T", resp.Body)
	}
	resp, err = c.Do(request(t, "BREW", s.URL+"/ok"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	host := strings.TrimPrefix(s.URL, "http://")
	expect(t, reg, strings.ReplaceAll(`http_client_request_duration_seconds_count{method="GET",host="HOST"} 5
http_client_request_duration_seconds_count{method="HEAD",host="HOST"} 1
http_client_request_duration_seconds_count{method="POST",host="HOST"} 1
http_client_request_duration_seconds_count{method="other",host="HOST"} 1
http_client_requests_in_flight 0
http_client_requests_total{method="GET",host="HOST",status="200"} 2
http_client_requests_total{method="GET",host="HOST",status="202"} 1
http_client_requests_total{method="GET",host="HOST",status="302"} 1
http_client_requests_total{method="GET",host="HOST",status="404"} 1
http_client_requests_total{method="HEAD",host="HOST",status="200"} 1
http_client_requests_total{method="POST",host="HOST",status="201"} 1
http_client_requests_total{method="other",host="HOST",status="200"} 1
`, "HOST", host))
	for _, problem := range tachotest.Lint(t, reg) {
		t.Error(problem)
	}
}

func TestFailures(t *testing.T) {
	block := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-block:
		case <-r.Context().Done():
		}
	}))
	defer s.Close()
	defer close(block)
	gone := httptest.NewServer(nil)
	gone.Close()
	cause := errors.New("the user left")

	for _, tt := range []struct {
		name, status string
		send         func(http.RoundTripper) error
	}{
		{"nobody there", "error", func(rt http.RoundTripper) error {
			_, err := rt.RoundTrip(request(t, "GET", gone.URL))
			return err
		}},
		{"canceled", "canceled", func(rt http.RoundTripper) error {
			ctx, cancel := context.WithCancel(context.Background())
			time.AfterFunc(time.Millisecond, cancel)
			_, err := rt.RoundTrip(request(t, "GET", s.URL).WithContext(ctx))
			return err
		}},
		{"canceled with a cause", "canceled", func(rt http.RoundTripper) error {
			ctx, cancel := context.WithCancelCause(context.Background())
			time.AfterFunc(time.Millisecond, func() { cancel(cause) })
			_, err := rt.RoundTrip(request(t, "GET", s.URL).WithContext(ctx))
			return err
		}},
		{"deadline", "timeout", func(rt http.RoundTripper) error {
			ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
			defer cancel()
			_, err := rt.RoundTrip(request(t, "GET", s.URL).WithContext(ctx))
			return err
		}},
		{"deadline with a cause", "timeout", func(rt http.RoundTripper) error {
			ctx, cancel := context.WithTimeoutCause(context.Background(), time.Millisecond, cause)
			defer cancel()
			_, err := rt.RoundTrip(request(t, "GET", s.URL).WithContext(ctx))
			return err
		}},
		{"timeout of the client", "timeout", func(rt http.RoundTripper) error {
			_, err := (&http.Client{Transport: rt, Timeout: time.Millisecond}).Get(s.URL)
			return err
		}},
	} {
		for _, phases := range []bool{false, true} {
			t.Run(fmt.Sprint(tt.name, " phases ", phases), func(t *testing.T) {
				reg := tacho.NewRegistry()
				m := New(reg, Config{Phases: phases, Host: func(*http.Request) string { return "h" }})
				tr := &http.Transport{}
				defer tr.CloseIdleConnections()
				if err := tt.send(m.RoundTripper(tr)); err == nil {
					t.Fatal("no error")
				}
				if got := tachotest.Value(t, reg, "http_client_requests_total", "method", "GET", "host", "h", "status", tt.status); got != 1 {
					t.Errorf("%v with status %s:\n%s", got, tt.status, scrape(t, reg))
				}
				if got := m.inFlight.Value(); got != 0 {
					t.Errorf("%d in flight", got)
				}
				if got := m.duration.With("GET", "h").Snapshot().Count; got != 1 {
					t.Errorf("%d durations", got)
				}
			})
		}
	}

	t.Run("timeout of the transport", func(t *testing.T) {
		reg := tacho.NewRegistry()
		tr := &http.Transport{ResponseHeaderTimeout: time.Millisecond}
		defer tr.CloseIdleConnections()
		if _, err := New(reg, Config{}).RoundTripper(tr).RoundTrip(request(t, "GET", s.URL)); err == nil {
			t.Fatal("no error")
		}
		if got := scrape(t, reg); !strings.Contains(got, `status="timeout"} 1`) {
			t.Error(got)
		}
	})
	t.Run("neither response nor error", func(t *testing.T) {
		m := New(tacho.NewRegistry(), Config{})
		resp, err := m.RoundTripper(roundTrip(func(*http.Request) (*http.Response, error) { return nil, nil })).RoundTrip(request(t, "GET", "http://h"))
		if resp != nil || err != nil || m.requests.With("GET", "h", "error").Value() != 1 || m.inFlight.Value() != 0 {
			t.Errorf("%v, %v", resp, err)
		}
	})
	t.Run("panic", func(t *testing.T) {
		m := New(tacho.NewRegistry(), Config{})
		func() {
			defer func() {
				if v := recover(); v != "mine" {
					t.Errorf("recovered %v", v)
				}
			}()
			m.RoundTripper(roundTrip(func(*http.Request) (*http.Response, error) { panic("mine") })).RoundTrip(request(t, "GET", "http://h"))
		}()
		if m.requests.With("GET", "h", "error").Value() != 1 || m.inFlight.Value() != 0 {
			t.Error("not recorded")
		}
	})
	t.Run("no URL, no method", func(t *testing.T) {
		m := New(tacho.NewRegistry(), Config{})
		if _, err := m.RoundTripper(nil).RoundTrip(&http.Request{}); err == nil {
			t.Error("no error")
		}
		if m.requests.With("GET", "other", "error").Value() != 1 {
			t.Error("not recorded")
		}
	})
}

// RoundTrippers must not modify requests, and callers look at Response.Request.
func TestRequestIsLeftAlone(t *testing.T) {
	for _, phases := range []bool{false, true} {
		var sent *http.Request
		rt := New(tacho.NewRegistry(), Config{Phases: phases}).RoundTripper(roundTrip(func(req *http.Request) (*http.Response, error) {
			sent = req
			return &http.Response{StatusCode: 200, Body: http.NoBody, Request: req}, nil
		}))
		req := request(t, "GET", "http://h/p?q")
		req.Header.Set("A", "b")
		before := req.Clone(req.Context())
		resp, err := rt.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		if resp.Request != req {
			t.Error("the response is of another request")
		}
		if req.Context() != before.Context() || !reflect.DeepEqual(req.Header, before.Header) || *req.URL != *before.URL {
			t.Error("the request was modified")
		}
		if (sent != req) != phases {
			t.Error("copied for nothing")
		}
	}
}

// A countingBody knows how often it was closed.
type countingBody struct {
	io.Reader
	closed atomic.Int32
}

func (b *countingBody) Close() error {
	b.closed.Add(1)
	return errors.New("closed")
}

func TestBodyEnds(t *testing.T) {
	reg := tacho.NewRegistry()
	m := New(reg, Config{Phases: true})
	open := func(r io.Reader) (*countingBody, io.ReadCloser) {
		t.Helper()
		inner := &countingBody{Reader: r}
		resp, err := m.RoundTripper(answer(200, inner)).RoundTrip(request(t, "GET", "http://h"))
		if err != nil {
			t.Fatal(err)
		}
		if got := m.inFlight.Value(); got != 1 {
			t.Fatalf("%d in flight with a body to read", got)
		}
		return inner, resp.Body
	}
	ended := func(name string, inner *countingBody, closed int32, whole uint64) {
		t.Helper()
		if got := m.inFlight.Value(); got != 0 {
			t.Errorf("%s: %d in flight", name, got)
		}
		if got := inner.closed.Load(); got != closed {
			t.Errorf("%s: closed %d times", name, got)
		}
		if got := m.phases.body.Snapshot().Count; got != whole {
			t.Errorf("%s: %d bodies had a time", name, got)
		}
	}

	inner, b := open(strings.NewReader("abc"))
	if got, err := io.ReadAll(b); string(got) != "abc" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	ended("read", inner, 0, 1)
	if err := b.Close(); err == nil || err.Error() != "closed" {
		t.Errorf("%v", err)
	}
	ended("read and closed", inner, 1, 1)

	inner, b = open(strings.NewReader("abc"))
	b.Close()
	ended("closed", inner, 1, 1)
	if n, err := b.Read(make([]byte, 9)); n != 3 || err != nil {
		t.Errorf("the body's own read after Close is hidden: %d, %v", n, err)
	}

	broken := errors.New("broken")
	inner, b = open(io.MultiReader(strings.NewReader("ab"), errReader{broken}))
	if _, err := io.ReadAll(b); err != broken {
		t.Errorf("%v", err)
	}
	ended("broken", inner, 0, 1)

	inner, b = open(strings.NewReader("abc"))
	var wg sync.WaitGroup
	for range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			b.Close()
		}()
	}
	wg.Wait()
	ended("closed by four", inner, 4, 1)
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

func TestBodyKeepsWriterTo(t *testing.T) {
	m := New(tacho.NewRegistry(), Config{})
	// io.NopCloser of a strings.Reader is an io.WriterTo.
	resp, err := m.RoundTripper(answer(200, io.NopCloser(strings.NewReader("abc")))).RoundTrip(request(t, "GET", "http://h"))
	if err != nil {
		t.Fatal(err)
	}
	w, ok := resp.Body.(io.WriterTo)
	if !ok {
		t.Fatalf("%T", resp.Body)
	}
	if _, err := w.WriteTo(errWriter{}); err == nil || m.inFlight.Value() != 1 {
		t.Errorf("%v and %d in flight after a write failed", err, m.inFlight.Value())
	}
	var b bytes.Buffer
	if n, err := w.WriteTo(&b); n != 3 || err != nil || m.inFlight.Value() != 0 {
		t.Errorf("%d, %v, %d in flight", n, err, m.inFlight.Value())
	}
	resp, err = m.RoundTripper(answer(200, &countingBody{Reader: strings.NewReader("abc")})).RoundTrip(request(t, "GET", "http://h"))
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := resp.Body.(io.WriterTo); ok {
		t.Error("claims what the body cannot do")
	}
	resp, err = m.RoundTripper(answer(200, nil)).RoundTrip(request(t, "GET", "http://h"))
	if err != nil || resp.Body != nil {
		t.Errorf("%v, %v", resp.Body, err)
	}
}

type errWriter struct{}

func (errWriter) Write([]byte) (int, error) { return 0, errors.New("full") }

// After 101 the body is the connection, which the caller writes to.
func TestSwitchingProtocols(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "echo")
		w.WriteHeader(http.StatusSwitchingProtocols)
		conn, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		line, err := rw.ReadString('\n')
		if err != nil {
			t.Error(err)
		}
		io.WriteString(conn, "echo "+line)
	}))
	defer s.Close()
	m := New(tacho.NewRegistry(), Config{Phases: true, Host: func(*http.Request) string { return "h" }})
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	req := request(t, "GET", s.URL)
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "echo")
	resp, err := (&http.Client{Transport: m.RoundTripper(tr)}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	rwc, ok := resp.Body.(io.ReadWriteCloser)
	if !ok {
		t.Fatalf("%T", resp.Body)
	}
	if got := m.inFlight.Value(); got != 0 {
		t.Errorf("%d in flight", got)
	}
	io.WriteString(rwc, "hello\n")
	if line, err := bufio.NewReader(rwc).ReadString('\n'); line != "echo hello\n" || err != nil {
		t.Errorf("%q, %v", line, err)
	}
	if got := m.requests.With("GET", "h", "101").Value(); got != 1 {
		t.Errorf("%d with 101", got)
	}
}

func TestCancelWhileReading(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "begin")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}))
	defer s.Close()
	for _, phases := range []bool{false, true} {
		m := New(tacho.NewRegistry(), Config{Phases: phases})
		tr := &http.Transport{}
		defer tr.CloseIdleConnections()
		ctx, cancel := context.WithCancel(context.Background())
		resp, err := m.RoundTripper(tr).RoundTrip(request(t, "GET", s.URL).WithContext(ctx))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(resp.Body, make([]byte, 5)); err != nil {
			t.Fatal(err)
		}
		cancel()
		if _, err := resp.Body.Read(make([]byte, 1)); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
		if got := m.inFlight.Value(); got != 0 {
			t.Errorf("%d in flight", got)
		}
		resp.Body.Close()
	}
}

func TestHosts(t *testing.T) {
	reg := tacho.NewRegistry()
	m := New(reg, Config{MaxHosts: 2})
	send := func(m *Metrics, url string) {
		t.Helper()
		if _, err := m.RoundTripper(answer(200, http.NoBody)).RoundTrip(request(t, "GET", url)); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		send(m, "http://a:80")
		send(m, "http://"+strings.Repeat("x", maxHostLabel+1))
		send(m, "http://user:secret@b/path")
		send(m, "http://c")
	}
	if got := scrape(t, reg); got != `http_client_request_duration_seconds_count{method="GET",host="a:80"} 2
http_client_request_duration_seconds_count{method="GET",host="b"} 2
http_client_request_duration_seconds_count{method="GET",host="other"} 4
http_client_requests_in_flight 0
http_client_requests_total{method="GET",host="a:80",status="200"} 2
http_client_requests_total{method="GET",host="b",status="200"} 2
http_client_requests_total{method="GET",host="other",status="200"} 4
` {
		t.Error(got)
	}

	none := New(tacho.NewRegistry(), Config{MaxHosts: -1})
	send(none, "http://a")
	if none.requests.With("GET", "other", "200").Value() != 1 {
		t.Error("there is room for less than no host")
	}

	grouped := New(tacho.NewRegistry(), Config{Host: func(r *http.Request) string {
		if r.URL.Host == "bad" {
			panic("mine")
		}
		return "group"
	}})
	send(grouped, "http://a")
	send(grouped, "http://b")
	send(grouped, "http://bad")
	if got := [2]uint64{grouped.requests.With("GET", "group", "200").Value(), grouped.requests.With("GET", "other", "200").Value()}; got != [2]uint64{2, 1} {
		t.Errorf("%v", got)
	}

	many := New(tacho.NewRegistry(), Config{MaxHosts: 50})
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range 100 {
				send(many, fmt.Sprintf("http://h%d", (i+g*25)%100))
			}
		}()
	}
	wg.Wait()
	if got := many.requests.Len(); got != 51 {
		t.Errorf("%d hosts", got)
	}
}

func TestStatusLabels(t *testing.T) {
	m := New(tacho.NewRegistry(), Config{})
	for status, want := range map[int]string{100: "100", 200: "200", 599: "599", 999: "999", 99: "other", 1000: "other", -1: "other", 0: "other"} {
		if got := statusLabel(status); got != want {
			t.Errorf("%d: %q", status, got)
		}
		if _, err := m.RoundTripper(answer(status, http.NoBody)).RoundTrip(request(t, "GET", "http://h")); err != nil {
			t.Fatal(err)
		}
	}
	if got := m.requests.With("GET", "h", "other").Value(); got != 4 {
		t.Errorf("%d", got)
	}
}

func TestExemplars(t *testing.T) {
	reg := tacho.NewRegistry()
	m := New(reg, Config{Exemplar: func(r *http.Request) []string {
		if r.URL.Host == "bad" {
			panic("mine")
		}
		return []string{"trace_id", "abc"}
	}})
	for _, url := range []string{"http://h", "http://bad"} {
		if _, err := m.RoundTripper(answer(200, http.NoBody)).RoundTrip(request(t, "GET", url)); err != nil {
			t.Fatal(err)
		}
	}
	var om bytes.Buffer
	if err := reg.WriteOpenMetrics(&om); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(om.String(), `# {trace_id="abc"}`); got != 2 {
		t.Errorf("%d exemplars, want that of the count and of a bucket:\n%s", got, om.String())
	}
	if got := m.requests.With("GET", "bad", "200").Value(); got != 1 {
		t.Error("not counted")
	}
}

func TestPhases(t *testing.T) {
	count := func(m *Metrics) [5]uint64 {
		p := m.phases
		var n [5]uint64
		for i, h := range []*tacho.Histogram{p.dns, p.connect, p.tls, p.firstByte, p.body} {
			n[i] = h.Snapshot().Count
		}
		return n
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Proto) })
	for _, h2 := range []bool{false, true} {
		s := httptest.NewUnstartedServer(handler)
		s.EnableHTTP2 = h2
		s.StartTLS()
		defer s.Close()
		m := New(tacho.NewRegistry(), Config{Phases: true})
		c := s.Client()
		c.Transport = m.RoundTripper(c.Transport)
		proto := get(t, c, s.URL)
		if (proto == "HTTP/2.0") != h2 {
			t.Fatal(proto)
		}
		if got := count(m); got != [5]uint64{0, 1, 1, 1, 1} {
			t.Errorf("%s, an address: %v", proto, got)
		}
		get(t, c, s.URL) // the connection is open
		if got := count(m); got != [5]uint64{0, 1, 1, 2, 2} {
			t.Errorf("%s, again: %v", proto, got)
		}
		c.CloseIdleConnections()
	}

	s := httptest.NewServer(handler)
	defer s.Close()
	m := New(tacho.NewRegistry(), Config{Phases: true})
	c := &http.Client{Transport: m.RoundTripper(&http.Transport{})}
	defer c.CloseIdleConnections()
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	var theirs atomic.Int32 // what the caller traces goes on
	ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{GotFirstResponseByte: func() { theirs.Add(1) }})
	resp, err := c.Do(request(t, "GET", "http://localhost:"+u.Port()).WithContext(ctx))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if got := count(m); got != [5]uint64{1, 1, 0, 1, 0} || theirs.Load() != 1 {
		t.Errorf("a name, no TLS, not read: %v, %d", got, theirs.Load())
	}

	failing := New(tacho.NewRegistry(), Config{Phases: true})
	dial := func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no") }
	if _, err := failing.RoundTripper(&http.Transport{DialContext: dial}).RoundTrip(request(t, "GET", "http://h")); err == nil {
		t.Error("no error")
	}
	if got := count(failing); got != [5]uint64{} {
		t.Errorf("what failed has a time: %v", got)
	}
	trace := failing.phases.trace()
	trace.DNSStart(httptrace.DNSStartInfo{})
	trace.DNSDone(httptrace.DNSDoneInfo{Err: errors.New("no such host")})
	trace.ConnectStart("tcp", "a")
	trace.ConnectStart("tcp", "b")
	trace.ConnectDone("tcp", "a", errors.New("refused"))
	if got := count(failing); got != [5]uint64{} {
		t.Errorf("what failed has a time: %v", got)
	}
	trace.ConnectDone("tcp", "b", nil)
	trace.ConnectDone("tcp", "c", nil)
	if got := count(failing); got != [5]uint64{0, 1, 0, 0, 0} {
		t.Errorf("the first of two connections: %v", got)
	}
}

type idleCloser struct {
	http.RoundTripper
	closed bool
}

func (c *idleCloser) CloseIdleConnections() { c.closed = true }

func TestCloseIdleConnections(t *testing.T) {
	m := New(tacho.NewRegistry(), Config{})
	next := &idleCloser{}
	(&http.Client{Transport: m.RoundTripper(next)}).CloseIdleConnections()
	if !next.closed {
		t.Error("the transport was not told")
	}
	(&http.Client{Transport: m.RoundTripper(answer(200, nil))}).CloseIdleConnections() // which has none
}

func TestDefinitions(t *testing.T) {
	reg := tacho.NewRegistry()
	first := New(reg, Config{})
	if New(reg, Config{}).requests != first.requests {
		t.Error("two of one registry do not share their metrics")
	}
	defer func() {
		if _, ok := recover().(*tacho.DefinitionError); !ok {
			t.Error("no panic with a *DefinitionError")
		}
	}()
	New(reg, Config{Buckets: []float64{1}})
}

func TestAllocs(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	req := request(t, "GET", "http://h/p")
	inner := &countingBody{Reader: strings.NewReader("")}
	resp := &http.Response{StatusCode: 200}
	rt := New(tacho.NewRegistry(), Config{}).RoundTripper(roundTrip(func(*http.Request) (*http.Response, error) {
		resp.Body = inner
		return resp, nil
	}))
	if n := testing.AllocsPerRun(100, func() {
		resp, _ := rt.RoundTrip(req)
		resp.Body.Read(nil)
	}); n > 1 {
		t.Errorf("%v allocations, want one: the body", n)
	}
}

func BenchmarkRoundTrip(b *testing.B) {
	req := request(b, "GET", "http://h/p")
	fixed := &http.Response{StatusCode: 200}
	inner := io.NopCloser(strings.NewReader(""))
	bare := roundTrip(func(*http.Request) (*http.Response, error) {
		fixed.Body = inner
		return fixed, nil
	})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "ok") }))
	defer s.Close()
	over := request(b, "GET", s.URL)
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	m := New(tacho.NewRegistry(), Config{})
	p := New(tacho.NewRegistry(), Config{Phases: true})
	for _, bb := range []struct {
		name string
		rt   http.RoundTripper
		req  *http.Request
	}{
		{"none/bare", bare, req}, {"none/measured", m.RoundTripper(bare), req}, {"none/phases", p.RoundTripper(bare), req},
		{"loopback/bare", tr, over}, {"loopback/measured", m.RoundTripper(tr), over}, {"loopback/phases", p.RoundTripper(tr), over},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				resp, err := bb.rt.RoundTrip(bb.req)
				if err != nil {
					b.Fatal(err)
				}
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
		})
	}
}
