//go:build !tacho_nohttp

package tacho

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// connCounts returns the numbers of new, active and idle connections.
func connCounts(m *HTTPMetrics) string {
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
		{a, http.StateActive, "1 1 0"}, // the HTTP/2 server may report the same state twice
		{b, http.StateClosed, "0 1 0"}, // closed without a request
		{a, http.StateHijacked, "0 0 0"},
		{a, http.StateClosed, "0 0 0"},
		{b, http.StateActive, "0 1 0"}, // ConnState was set after the connection was new
		{b, http.StateClosed, "0 0 0"},
	} {
		m.ConnState(step.c, step.state)
		if got := connCounts(m); got != step.want {
			t.Errorf("step %d: new, active and idle are %s, want %s", i, got, step.want)
		}
	}
	if len(m.states) != 0 {
		t.Errorf("states has %d connections, want none", len(m.states))
	}
}

func TestConnStateOfServer(t *testing.T) {
	r := NewRegistry()
	m := NewHTTPMetrics(r)
	check := func(when, want string) {
		t.Helper()
		if got := connCounts(m); got != want {
			t.Errorf("%s: new, active and idle are %s, want %s", when, got, want)
		}
	}
	srv := httptest.NewUnstartedServer(m.Handler(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		check("during a request", "0 1 0")
		if req.URL.Path == "/hijack" {
			hijack(t, w, "HTTP/1.1 101 Switching Protocols\r\n\r\n")
		}
	})))
	events := make(chan http.ConnState, 100)
	srv.Config.ConnState = func(c net.Conn, s http.ConnState) {
		m.ConnState(c, s)
		events <- s
	}
	srv.Start()
	waitForState := func(want http.ConnState) {
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
		waitForState(http.StateNew)
		check("new connection", "1 0 0")
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
		waitForState(http.StateIdle)
		check("between requests", "0 0 1")
	}
	c.Close()
	waitForState(http.StateClosed)
	check("after close", "0 0 0")
	c, in = dial()
	fmt.Fprint(c, "GET /hijack HTTP/1.1\r\nHost: x\r\n\r\n")
	waitForState(http.StateHijacked)
	check("after hijack", "0 0 0")
	io.ReadAll(in)
	c.Close()
	srv.Close()
	if len(m.states) != 0 {
		t.Errorf("states has %d connections, want none", len(m.states))
	}
	wantSamples(t, r, `http_connections{state="active"}`, "0", `http_connections{state="closed"}`, "", `http_connections{state="hijacked"}`, "")
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
	if got := connCounts(m); got != "0 0 0" || len(m.states) != 0 {
		t.Errorf("new, active and idle are %s and states has %d connections, want none", got, len(m.states))
	}
}
