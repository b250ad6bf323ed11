//go:build !tacho_nohttp

package tacho

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"unsafe"
)

// SetRoute sets the path label of a request to route, the template by which a router
// matched r, such as /jobs/{id}. It is for routers other than [http.ServeMux], and is
// called by a middleware or handler inside of [HTTPMetrics.Handler]. r may be a copy of the
// request that the middleware got. The last call counts. If route is "", the label does
// not change. SetRoute needs [WithSetRoute] or [HTTPMetrics.Route], and otherwise has no
// effect. It is safe for concurrent use.
//
// docs/http.md shows the calls for chi, echo, gin, gorilla/mux and httprouter.
func SetRoute(r *http.Request, route string) {
	if l := linkOf(r); l != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.inner, l.closed = r, l.closed || route != ""
		if route != "" {
			l.route, l.ownMethod = route, false
		}
	}
}

// Route returns a handler that calls mux and reports the pattern of each request to the
// middleware of m. It is for a [http.ServeMux] that gets a copy of the request: a copy
// hides the pattern from [HTTPMetrics.Handler]. Handlers that set a value in the context,
// [http.TimeoutHandler] and [http.StripPrefix] make copies.
//
//	m.Handler(authenticate(m.Route(mux)))
//
// If a mux is below another, call Route for both. The label of the inner route begins with
// the prefix that [http.StripPrefix] removed.
//
// Every request of m then has a value in its context, which takes two allocations. So
// [SetRoute] works too, and mux may be any handler.
func (m *HTTPMetrics) Route(mux http.Handler) http.Handler {
	m.hooks.Store((*byte)(unsafe.Pointer(&setRouteHooks)))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l := linkOf(r)
		if l == nil {
			mux.ServeHTTP(w, r)
			return
		}
		at := l.enter(mux, r)
		defer l.leave(r, at)
		mux.ServeHTTP(w, r)
	})
}

// routeHooks are the code of SetRoute and Route. A program without them does not contain
// it; see internal/SIZE.md.
type routeHooks struct {
	attach  func(r *http.Request) (*http.Request, *link)
	resolve func(l *link, r *http.Request) (inner *http.Request, route string, ownMethod bool)
}

var setRouteHooks = routeHooks{attachLink, resolveLink}

// A link is the context of a request. It connects copies of the request to the middleware.
// Handlers may run when the middleware has returned, as below http.TimeoutHandler.
type link struct {
	_ [0]func() // no ==; see internal/SIZE.md
	context.Context
	mu        sync.Mutex
	inner     *http.Request // of the last Route or SetRoute; nil before
	route     string        // "" if unknown
	ownMethod bool          // the pattern of route has the method
	closed    bool          // route is set; an outer Route changes it no more

	// Of the innermost Route that is running.
	at level
}

// A level is what a Route knows before its mux routes a request.
type level struct {
	_                             [0]func()    // no ==; see internal/SIZE.md
	mux                           http.Handler // nil if no Route is running
	pattern, prefix, method, host string
	path                          string
}

type linkKey struct{}

// Value implements [context.Context].
func (l *link) Value(key any) any {
	if key == (linkKey{}) {
		return l
	}
	return l.Context.Value(key)
}

func linkOf(r *http.Request) *link {
	l, _ := r.Context().Value(linkKey{}).(*link)
	return l
}

func attachLink(r *http.Request) (*http.Request, *link) {
	l := &link{Context: r.Context()}
	l.at.path = urlPath(r)
	return r.WithContext(l), l
}

// enter returns the level outside of a Route, for leave.
func (l *link) enter(mux http.Handler, r *http.Request) (outside level) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inner = r
	outside = l.at
	in := level{mux: mux, pattern: r.Pattern, prefix: outside.prefix, method: r.Method, host: r.Host, path: urlPath(r)}
	// A pattern that ends in a slash was matched by an outer mux. If the path is shorter
	// now, a handler removed that prefix.
	if p := patternPath(r.Pattern); strings.HasSuffix(p, "/") && len(in.path) < len(outside.path) {
		in.prefix += strings.TrimSuffix(p, "/")
	}
	l.at = in
	return outside
}

// leave reports the pattern of the mux, unless an inner mux or SetRoute has set the route.
func (l *link) leave(r *http.Request, outside level) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r.Pattern != l.at.pattern {
		l.setLocked(r.Pattern)
	}
	l.at = outside
}

func (l *link) setLocked(pattern string) {
	if path := patternPath(pattern); path != "" && !l.closed && !isRedirect(path, l.at.path) {
		l.route, l.ownMethod, l.closed = l.at.prefix+path, hasMethod(pattern, l.at.method), true
	}
}

// resolveLink returns the result of a link. r is the request that has the link.
func resolveLink(l *link, r *http.Request) (inner *http.Request, route string, ownMethod bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch inner = l.inner; {
	case inner == nil:
		inner = r
	case l.at.mux != nil:
		// The mux still runs and may write to inner: http.TimeoutHandler has returned
		// before. So the mux routes a request with the same address.
		inner = r.WithContext(inner.Context())
		if mux, ok := l.at.mux.(interface {
			Handler(*http.Request) (http.Handler, string)
		}); ok && !l.closed {
			_, pattern := mux.Handler(&http.Request{Method: l.at.method, Host: l.at.host, URL: &url.URL{Path: l.at.path}})
			l.setLocked(pattern)
		}
	}
	return inner, l.route, l.ownMethod
}
