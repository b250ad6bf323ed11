//go:build !tacho_nohttp

package httpclient

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tachikoma/tacho"
)

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
			t.Errorf("%s, new connection: %v", proto, got)
		}
		get(t, c, s.URL) // reuses the connection
		if got := count(m); got != [5]uint64{0, 1, 1, 2, 2} {
			t.Errorf("%s, reused connection: %v", proto, got)
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
	var traced atomic.Int32 // calls of the caller's own trace
	ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{GotFirstResponseByte: func() { traced.Add(1) }})
	resp, err := c.Do(request(t, "GET", "http://localhost:"+u.Port()).WithContext(ctx))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if got := count(m); got != [5]uint64{1, 1, 0, 1, 0} || traced.Load() != 1 {
		t.Errorf("host name, no TLS, body not read: phases %v, %d calls of the caller's trace", got, traced.Load())
	}

	failing := New(tacho.NewRegistry(), Config{Phases: true})
	dial := func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no") }
	if _, err := failing.RoundTripper(&http.Transport{DialContext: dial}).RoundTrip(request(t, "GET", "http://h")); err == nil {
		t.Error("no error")
	}
	if got := count(failing); got != [5]uint64{} {
		t.Errorf("failed dial: phases %v, want none", got)
	}
	trace := failing.phases.trace()
	trace.DNSStart(httptrace.DNSStartInfo{})
	trace.DNSDone(httptrace.DNSDoneInfo{Err: errors.New("no such host")})
	trace.ConnectStart("tcp", "a")
	trace.ConnectStart("tcp", "b")
	trace.ConnectDone("tcp", "a", errors.New("refused"))
	if got := count(failing); got != [5]uint64{} {
		t.Errorf("failed DNS lookup and dial: phases %v, want none", got)
	}
	trace.ConnectDone("tcp", "b", nil)
	trace.ConnectDone("tcp", "c", nil)
	if got := count(failing); got != [5]uint64{0, 1, 0, 0, 0} {
		t.Errorf("first of two connections: phases %v, want one connect", got)
	}
}

// TestPhaseDurations: each phase begins and ends at its own events. A pause of one
// millisecond follows each event, so the pauses inside a phase are a lower bound of its
// duration. The upper bounds are times that this test measures around the phase.
func TestPhaseDurations(t *testing.T) {
	const pause = time.Millisecond
	m := New(tacho.NewRegistry(), Config{Phases: true})
	p := m.phases
	check := func(phase string, h *tacho.Histogram, begin time.Time, pauses int) {
		t.Helper()
		limit, got := time.Since(begin), h.Snapshot()
		if low := time.Duration(pauses) * pause; got.Count != 1 || got.Sum < low.Seconds() || got.Sum > limit.Seconds() {
			t.Errorf("%s: %d durations, a sum of %v s, want 1 between %v and %v", phase, got.Count, got.Sum, low, limit)
		}
	}
	time.Sleep(10 * pause) // before all phases
	trace, begin := p.trace(), time.Now()

	trace.DNSStart(httptrace.DNSStartInfo{})
	time.Sleep(pause)
	trace.DNSDone(httptrace.DNSDoneInfo{})
	check("dns", p.dns, begin, 1)

	begin = time.Now()
	trace.ConnectStart("tcp", "a")
	time.Sleep(pause)
	trace.ConnectStart("tcp", "b") // the phase lasts from the first dial
	time.Sleep(pause)
	trace.ConnectDone("tcp", "b", nil)
	check("connect", p.connect, begin, 2)

	begin = time.Now()
	trace.TLSHandshakeStart()
	time.Sleep(pause)
	trace.TLSHandshakeDone(tls.ConnectionState{}, nil)
	check("tls", p.tls, begin, 1)

	begin = time.Now()
	trace.GotConn(httptrace.GotConnInfo{})
	time.Sleep(pause)
	trace.GotFirstResponseByte()
	check("first_byte", p.firstByte, begin, 1)

	begin = time.Now()
	resp, err := m.RoundTripper(respond(200, io.NopCloser(strings.NewReader("abc")))).RoundTrip(request(t, "GET", "http://h"))
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(pause)
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatal(err)
	}
	check("body", p.body, begin, 1)
}
