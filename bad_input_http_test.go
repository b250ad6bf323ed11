//go:build !tacho_nohttp

package tacho

import (
	"errors"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestNilHTTPDefinitions: a nil registry, a nil handler and a nil option are refused when
// the server starts, not at the first request.
func TestNilHTTPDefinitions(t *testing.T) {
	var noRegistry *Registry
	var noMetrics *HTTPMetrics
	h := http.NotFoundHandler()
	for what, define := range map[string]func(){
		"NewHTTPMetrics(nil)":        func() { NewHTTPMetrics(nil) },
		"NewHTTPMetrics, zero":       func() { NewHTTPMetrics(new(Registry)) },
		"NewHTTPMetrics, nil option": func() { NewHTTPMetrics(NewRegistry(), nil) },
		"Handler(nil)":               func() { NewHTTPMetrics(NewRegistry()).Handler(nil) },
		"nil HTTPMetrics":            func() { noMetrics.Handler(h) },
		"zero HTTPMetrics":           func() { new(HTTPMetrics).Handler(h) },
		"nil registry, /metrics":     func() { noRegistry.Handler() },
		"nil registry, JSON":         func() { noRegistry.JSONHandler() },
		"zero registry, /metrics":    func() { new(Registry).Handler() },
		"NaN bucket":                 func() { NewHTTPMetrics(NewRegistry(), WithDurationBuckets([]float64{math.NaN()})) },
		"too many buckets":           func() { NewHTTPMetrics(NewRegistry(), WithSizeBuckets(make([]float64, 70_000))) },
	} {
		wantDefinitionError(t, what, "", define)
	}
	r := NewRegistry()
	m := NewHTTPMetrics(r, WithPathLabel(nil), WithExemplar(nil), WithDurationBuckets(nil), WithSizeBuckets(nil), WithMaxPaths(-1))
	m.Handler(h).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/x", nil))
	if got := text(t, r); !strings.Contains(got, `http_requests_total{method="GET",path="other",status="404"} 1`) {
		t.Error(got)
	}
}

// TestZeroHTTPMetrics: recording in a zero HTTPMetrics does nothing.
func TestZeroHTTPMetrics(t *testing.T) {
	var m HTTPMetrics
	m.Record("GET", "/", 200, 1, 1)
	m.ConnState(nil, http.StateNew)
	m.ConnState(nil, http.StateClosed)
	m.Route(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
}

// TestRequestWithoutURL: the middleware measures a request that no server made.
func TestRequestWithoutURL(t *testing.T) {
	r := NewRegistry()
	m := NewHTTPMetrics(r)
	m.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(httptest.NewRecorder(), new(http.Request))
	if got := text(t, r); !strings.Contains(got, `http_requests_total{method="other"`) && !strings.Contains(got, `http_requests_total{method="GET"`) {
		t.Error(got)
	}
}

// TestRecordTakesAnyArgument: no argument of Record makes it panic.
func TestRecordTakesAnyArgument(t *testing.T) {
	r := NewRegistry()
	m := NewHTTPMetrics(r)
	for _, s := range []string{"", "\xff", strings.Repeat("/\\", 1<<20)} {
		for _, n := range []int64{0, -1, math.MaxInt64, math.MinInt64} {
			m.Record(s, s, int(int32(n)), time.Duration(n), n)
		}
	}
	text(t, r)
}

// An unhashable connection cannot be the key of a map.
type unhashable []net.Conn

func (c unhashable) Read([]byte) (int, error)         { return 0, errors.New("closed") }
func (c unhashable) Write([]byte) (int, error)        { return 0, errors.New("closed") }
func (c unhashable) Close() error                     { return nil }
func (c unhashable) LocalAddr() net.Addr              { return nil }
func (c unhashable) RemoteAddr() net.Addr             { return nil }
func (c unhashable) SetDeadline(time.Time) error      { return nil }
func (c unhashable) SetReadDeadline(time.Time) error  { return nil }
func (c unhashable) SetWriteDeadline(time.Time) error { return nil }

// A wrapped connection is comparable, but not with an unhashable connection in it.
type wrapped struct{ net.Conn }

// TestUnhashableConnection: ConnState does not panic, and other connections stay right.
func TestUnhashableConnection(t *testing.T) {
	r := NewRegistry()
	m := NewHTTPMetrics(r)
	for _, c := range []net.Conn{unhashable{}, wrapped{unhashable{}}, nil} {
		for _, state := range []http.ConnState{http.StateNew, http.StateActive, http.StateClosed, -1} {
			m.ConnState(c, state)
		}
	}
	m.ConnState(wrapped{nil}, http.StateNew)
	got := text(t, r)
	for _, want := range []string{`http_connections{state="new"} 1`, `tacho_errors_total{metric="http_connections",reason="invalid"} 8`} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
}
