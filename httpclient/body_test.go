//go:build !tacho_nohttp

package httpclient

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tachikoma/tacho"
)

// A countingBody counts calls of Close.
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
		resp, err := m.RoundTripper(respond(200, inner)).RoundTrip(request(t, "GET", "http://h"))
		if err != nil {
			t.Fatal(err)
		}
		if got := m.inFlight.Value(); got != 1 {
			t.Fatalf("%d requests in flight with an open body, want 1", got)
		}
		return inner, resp.Body
	}
	ended := func(name string, inner *countingBody, closed int32, complete uint64) {
		t.Helper()
		if got := m.inFlight.Value(); got != 0 {
			t.Errorf("%s: %d requests in flight, want 0", name, got)
		}
		if got := inner.closed.Load(); got != closed {
			t.Errorf("%s: closed %d times, want %d", name, got, closed)
		}
		if got := m.phases.body.Snapshot().Count; got != complete {
			t.Errorf("%s: %d body durations observed, want %d", name, got, complete)
		}
	}

	inner, b := open(strings.NewReader("abc"))
	if got, err := io.ReadAll(b); string(got) != "abc" || err != nil {
		t.Errorf("read %q, %v, want abc", got, err)
	}
	ended("read", inner, 0, 1)
	if err := b.Close(); err == nil || err.Error() != "closed" {
		t.Errorf("Close returned %v, want the error of the body", err)
	}
	ended("read and closed", inner, 1, 1)

	inner, b = open(strings.NewReader("abc"))
	b.Close()
	ended("closed", inner, 1, 1)
	if n, err := b.Read(make([]byte, 9)); n != 3 || err != nil {
		t.Errorf("Read after Close returned %d, %v, want the result of the body", n, err)
	}

	broken := errors.New("broken")
	inner, b = open(io.MultiReader(strings.NewReader("ab"), errReader{broken}))
	if _, err := io.ReadAll(b); err != broken {
		t.Errorf("got error %v, want %v", err, broken)
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
	ended("closed by four goroutines", inner, 4, 1)
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

func TestBodyKeepsWriterTo(t *testing.T) {
	m := New(tacho.NewRegistry(), Config{})
	// The result of io.NopCloser implements io.WriterTo if the reader does.
	resp, err := m.RoundTripper(respond(200, io.NopCloser(strings.NewReader("abc")))).RoundTrip(request(t, "GET", "http://h"))
	if err != nil {
		t.Fatal(err)
	}
	w, ok := resp.Body.(io.WriterTo)
	if !ok {
		t.Fatalf("%T is no io.WriterTo", resp.Body)
	}
	if _, err := w.WriteTo(errWriter{}); err == nil || m.inFlight.Value() != 1 {
		t.Errorf("failed WriteTo: error %v and %d requests in flight, want an error and 1", err, m.inFlight.Value())
	}
	var b bytes.Buffer
	if n, err := w.WriteTo(&b); n != 3 || err != nil || m.inFlight.Value() != 0 {
		t.Errorf("WriteTo returned %d, %v with %d requests in flight, want 3 bytes and 0 requests", n, err, m.inFlight.Value())
	}
	resp, err = m.RoundTripper(respond(200, &countingBody{Reader: strings.NewReader("abc")})).RoundTrip(request(t, "GET", "http://h"))
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := resp.Body.(io.WriterTo); ok {
		t.Error("the wrapper implements io.WriterTo, but the body does not")
	}
	resp, err = m.RoundTripper(respond(200, nil)).RoundTrip(request(t, "GET", "http://h"))
	if err != nil || resp.Body != nil {
		t.Errorf("got body %v and error %v, want nil and nil", resp.Body, err)
	}
}

type errWriter struct{}

func (errWriter) Write([]byte) (int, error) { return 0, errors.New("full") }

// After status 101, the body is the connection, and the caller writes to the body.
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
		t.Fatalf("%T is no io.ReadWriteCloser", resp.Body)
	}
	if got := m.inFlight.Value(); got != 0 {
		t.Errorf("%d requests in flight, want 0", got)
	}
	io.WriteString(rwc, "hello\n")
	if line, err := bufio.NewReader(rwc).ReadString('\n'); line != "echo hello\n" || err != nil {
		t.Errorf("read %q, %v, want the echo", line, err)
	}
	if got := m.requests.With("GET", "h", "101").Value(); got != 1 {
		t.Errorf("counted %d requests with status 101, want 1", got)
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
			t.Errorf("got error %v, want context.Canceled", err)
		}
		if got := m.inFlight.Value(); got != 0 {
			t.Errorf("%d requests in flight, want 0", got)
		}
		resp.Body.Close()
	}
}
