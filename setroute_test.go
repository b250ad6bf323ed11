//go:build !tacho_nohttp

package tacho

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/tachikoma/tacho/internal/race"
)

type traceKey struct{}

// copying is a middleware that copies the request, as those for authentication and traces
// do.
func copying(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), traceKey{}, "t-"+r.Method)))
	})
}

func timeout(next http.Handler) http.Handler { return http.TimeoutHandler(next, time.Hour, "late") }

// TestRouteBelowCopies: Route reports the pattern of a mux that gets a copy of the request.
func TestRouteBelowCopies(t *testing.T) {
	users := http.NewServeMux()
	users.HandleFunc("GET /users/{name}", respondOK)
	users.HandleFunc("/all/", respondOK)
	users.HandleFunc("/panic/{name}", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	// outer returns a mux with the handler below /api/, behind StripPrefix if strip is set.
	outer := func(m *HTTPMetrics, h http.Handler, strip bool) http.Handler {
		mux := http.NewServeMux()
		if strip {
			h = http.StripPrefix("/api", h)
		}
		mux.Handle("/api/", copying(h))
		return m.Route(mux)
	}
	full := http.NewServeMux()
	full.HandleFunc("GET /api/users/{name}", respondOK)
	v1 := func(m *HTTPMetrics) http.Handler {
		mux := http.NewServeMux()
		mux.Handle("/v1/", http.StripPrefix("/v1", copying(m.Route(users))))
		return m.Route(mux)
	}
	for _, c := range []struct {
		name string
		h    func(m *HTTPMetrics) http.Handler
		// requests and their label and status
		want [][4]string
	}{
		{"plain", func(m *HTTPMetrics) http.Handler { return m.Route(users) }, [][4]string{
			{"GET", "/users/ann", "/users/{name}", "200"}, {"GET", "/all/x", "/all/", "200"},
			{"GET", "/missing/ann", "/missing/ann", "404"}, {"POST", "/users/ann", "/users/ann", "405"},
			{"GET", "/panic/ann", "/panic/{name}", "500"},
		}},
		{"copied", func(m *HTTPMetrics) http.Handler { return copying(m.Route(users)) }, [][4]string{
			{"GET", "/users/ann", "/users/{name}", "200"}, {"GET", "/all/x", "/all/", "200"},
			{"GET", "/missing/ann", "/missing/ann", "404"}, {"POST", "/users/ann", "/users/ann", "405"},
			{"GET", "/panic/ann", "/panic/{name}", "500"},
		}},
		{"TimeoutHandler", func(m *HTTPMetrics) http.Handler { return timeout(copying(m.Route(users))) }, [][4]string{
			{"GET", "/users/ann", "/users/{name}", "200"}, {"GET", "/missing/ann", "/missing/ann", "404"},
			{"GET", "/panic/ann", "/panic/{name}", "500"},
		}},
		{"mux in a mux", func(m *HTTPMetrics) http.Handler { return copying(outer(m, m.Route(users), true)) }, [][4]string{
			{"GET", "/api/users/ann", "/api/users/{name}", "200"}, {"GET", "/api/all/x", "/api/all/", "200"},
			{"GET", "/api/missing/ann", "/api/", "404"}, {"GET", "/missing/ann", "/missing/ann", "404"},
			{"GET", "/api/panic/ann", "/api/panic/{name}", "500"},
		}},
		{"mux in a mux, full paths", func(m *HTTPMetrics) http.Handler { return outer(m, m.Route(full), false) }, [][4]string{
			{"GET", "/api/users/ann", "/api/users/{name}", "200"}, {"GET", "/api/missing", "/api/", "404"},
		}},
		{"three muxes", func(m *HTTPMetrics) http.Handler { return outer(m, v1(m), true) }, [][4]string{
			{"GET", "/api/v1/users/ann", "/api/v1/users/{name}", "200"}, {"GET", "/api/v1/nobody", "/api/v1/", "404"},
			{"GET", "/api/nobody", "/api/", "404"},
		}},
		{"inner mux without Route", func(m *HTTPMetrics) http.Handler { return outer(m, users, true) }, [][4]string{
			{"GET", "/api/users/ann", "/api/", "200"},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := NewRegistry()
			m := NewHTTPMetrics(r)
			h := m.Handler(c.h(m))
			for _, want := range c.want {
				func() {
					defer func() { recover() }()
					h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(want[0], want[1], nil))
				}()
				wantSamples(t, r, requestsSeries(want[0], want[2], want[3]), "1")
			}
		})
	}
}

// TestRouteAfterTimeout: http.TimeoutHandler returns before its handler. The route is known
// all the same, since slow requests are the ones that matter.
func TestRouteAfterTimeout(t *testing.T) {
	end, ended := make(chan struct{}), make(chan struct{})
	// http.TimeoutHandler returns at the end of the context too. A timeout could end before
	// the mux gets the request. The status 503 of a canceled context counts as 499.
	ctx, cancel := context.WithCancel(context.Background())
	mux := http.NewServeMux()
	mux.HandleFunc("GET /slow/{name}", func(_ http.ResponseWriter, r *http.Request) {
		defer close(ended)
		cancel()
		<-end
		r.URL.Path, r.Pattern = "/changed", "/changed"
		r.Header.Set("X", "changed")
	})
	r := NewRegistry()
	var seen any
	m := NewHTTPMetrics(r, WithExemplar(func(r *http.Request) []string {
		seen = r.Context().Value(traceKey{})
		return []string{"pattern", r.Pattern}
	}))
	h := m.Handler(copying(http.TimeoutHandler(m.Route(mux), time.Hour, "late")))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/slow/ann", nil).WithContext(ctx))
	wantSamples(t, r, requestsSeries("GET", "/slow/{name}", "499"), "1")
	if seen != "t-GET" {
		t.Errorf("the exemplar's function sees the trace %v, want t-GET", seen)
	}
	close(end)
	<-ended
}

// TestSetRoute: the last route that is not empty counts. Without WithSetRoute and Route,
// and for a request that did not pass through the middleware, SetRoute has no effect.
func TestSetRoute(t *testing.T) {
	routes := func(routes ...string) http.Handler {
		return copying(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for _, route := range routes {
				SetRoute(r, route)
			}
		}))
	}
	for _, c := range []struct {
		h     http.Handler
		opts  []Option
		label string
	}{
		{routes("/users/:name"), []Option{WithSetRoute()}, "/users/:name"},
		{routes("/a", "/b", ""), []Option{WithSetRoute()}, "/b"},
		{routes(""), []Option{WithSetRoute()}, "/users/ann"},
		{routes(), []Option{WithSetRoute()}, "/users/ann"},
		{routes("/users/:name"), nil, "/users/ann"},
		{routes("/users/:name"), []Option{WithSetRoute(), WithPathLabel(func(*http.Request) string { return "mine" })}, "mine"},
		{routes("/users/:name"), []Option{WithSetRoute(), WithPathLabel(func(*http.Request) string { return "" })}, "/users/:name"},
		{routes(), []Option{WithPathLabel(func(*http.Request) string { return "" })}, "/users/ann"},
	} {
		r := NewRegistry()
		h := NewHTTPMetrics(r, c.opts...).Handler(c.h)
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/users/ann", nil))
		wantSamples(t, r, requestsSeries("GET", c.label, "200"), "1")
	}
	SetRoute(httptest.NewRequest("GET", "/", nil), "/x")
	m := NewHTTPMetrics(NewRegistry())
	m.Route(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
}

// TestInnerContext: the functions of WithPathLabel and WithExemplar see the context that a
// middleware inside made, with Route and with SetRoute. Without both they see the request of
// the middleware.
func TestInnerContext(t *testing.T) {
	for name, inside := range map[string]func(m *HTTPMetrics) http.Handler{
		"Route": func(m *HTTPMetrics) http.Handler { return m.Route(http.HandlerFunc(respondOK)) },
		"SetRoute": func(*HTTPMetrics) http.Handler {
			return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { SetRoute(r, "") })
		},
		"neither": func(*HTTPMetrics) http.Handler { return http.HandlerFunc(respondOK) },
	} {
		label := "t-GET"
		if name == "neither" {
			label = "<nil>"
		}
		trace := func(r *http.Request) string { return fmt.Sprint(r.Context().Value(traceKey{})) }
		r := NewRegistry()
		m := NewHTTPMetrics(r, WithSetRoute(), WithPathLabel(trace),
			WithExemplar(func(r *http.Request) []string { return []string{"trace_id", trace(r)} }))
		m.Handler(copying(inside(m))).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/x", nil))
		wantSamples(t, r, requestsSeries("GET", label, "200"), "1")
		if got := m.requests.With("GET", label, "200").last.Load(); got == nil {
			t.Errorf("%s: no exemplar", name)
		}
	}
}

// TestRouteKeepsPatternOutside: middleware outside still sees the pattern in its request.
func TestRouteKeepsPatternOutside(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /users/{name}", respondOK)
	m := NewHTTPMetrics(NewRegistry())
	h := m.Handler(m.Route(mux))
	req := httptest.NewRequest("GET", "/users/ann", nil)
	if h.ServeHTTP(httptest.NewRecorder(), req); req.Pattern != "GET /users/{name}" {
		t.Errorf("the pattern is %q, want that of the mux", req.Pattern)
	}
}

func TestSetRouteAllocations(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector allocates")
	}
	m := NewHTTPMetrics(NewRegistry(), WithSetRoute())
	h := m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { SetRoute(r, "/x") }))
	var w http.ResponseWriter = discardWriter{http.Header{}}
	req := httptest.NewRequest("GET", "/x", nil)
	if n := testing.AllocsPerRun(1000, func() { h.ServeHTTP(w, req) }); n != 3 {
		t.Errorf("%v allocations for each request, want 3", n)
	}
}
