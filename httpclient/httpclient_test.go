//go:build !tacho_nohttp

package httpclient

import (
	"bytes"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/tachotest"
)

// A roundTripFunc is a function as an http.RoundTripper.
type roundTripFunc func(*http.Request) (*http.Response, error)

func (f roundTripFunc) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// respond returns a transport for responses with this status and body.
func respond(status int, body io.ReadCloser) http.RoundTripper {
	return roundTripFunc(func(req *http.Request) (*http.Response, error) {
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

// scrape returns the samples of a registry without buckets and sums. Their values depend
// on durations.
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

// expect fails the test unless scrape returns want.
func expect(t *testing.T, reg *tacho.Registry, want string) {
	t.Helper()
	if got := scrape(t, reg); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// get sends a GET and returns the response body.
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
		t.Errorf("got body %q, want fine", got)
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
	if resp.Body != http.NoBody { // NoBody needs no Close
		t.Errorf("the body of a response to HEAD is a %T, want http.NoBody", resp.Body)
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

// A RoundTripper must not modify requests. Response.Request must be the caller's
// request.
func TestRequestUnchanged(t *testing.T) {
	for _, phases := range []bool{false, true} {
		var sent *http.Request
		rt := New(tacho.NewRegistry(), Config{Phases: phases}).RoundTripper(roundTripFunc(func(req *http.Request) (*http.Response, error) {
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
			t.Error("Response.Request is not the request of the caller")
		}
		if req.Context() != before.Context() || !reflect.DeepEqual(req.Header, before.Header) || *req.URL != *before.URL {
			t.Error("the request was modified")
		}
		if (sent != req) != phases {
			t.Errorf("request copied: %t, want %t", sent != req, phases)
		}
	}
}

// An idleCloser records a call of CloseIdleConnections.
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
		t.Error("CloseIdleConnections of the transport is not called")
	}
	(&http.Client{Transport: m.RoundTripper(respond(200, nil))}).CloseIdleConnections() // no such method; must not panic
}

func TestDefinitions(t *testing.T) {
	reg := tacho.NewRegistry()
	first := New(reg, Config{})
	if New(reg, Config{}).requests != first.requests {
		t.Error("two Metrics of one registry do not share their series")
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
	rt := New(tacho.NewRegistry(), Config{}).RoundTripper(roundTripFunc(func(*http.Request) (*http.Response, error) {
		resp.Body = inner
		return resp, nil
	}))
	if n := testing.AllocsPerRun(100, func() {
		resp, _ := rt.RoundTrip(req)
		resp.Body.Read(nil)
	}); n > 1 {
		t.Errorf("%v allocations, want at most 1 for the body", n)
	}
}

func BenchmarkRoundTrip(b *testing.B) {
	req := request(b, "GET", "http://h/p")
	fixed := &http.Response{StatusCode: 200}
	inner := io.NopCloser(strings.NewReader(""))
	bare := roundTripFunc(func(*http.Request) (*http.Response, error) {
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

// TestDefaultBuckets: the bounds range from 1 ms to 10 s, in steps of about 2.
func TestDefaultBuckets(t *testing.T) {
	m := New(tacho.NewRegistry(), Config{Phases: true})
	for _, h := range []*tacho.Histogram{m.duration.With("GET", "h"), m.phases.body} {
		var got []float64
		for _, b := range h.Snapshot().Buckets {
			got = append(got, b.UpperBound)
		}
		if want := []float64{.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, math.Inf(+1)}; !slices.Equal(got, want) {
			t.Errorf("the bounds are %v, want %v", got, want)
		}
	}
}
