//go:build !tacho_nohttp

package tacho

import (
	"net"
	"net/http"
)

// check refuses a middleware that could not serve a request.
func (m *HTTPMetrics) check(next http.Handler) {
	switch {
	case m == nil || m.routes == nil:
		refuse("", "the HTTPMetrics are not from NewHTTPMetrics", "")
	case next == nil:
		refuse("", "the handler is nil", "")
	}
}

// urlPath returns the path of the URL of a request. A test may call a handler with a
// request without a URL.
func urlPath(r *http.Request) string {
	if r.URL == nil {
		return ""
	}
	return r.URL.Path
}

// hashable reports whether c can be a key of a map.
func hashable(c net.Conn) (ok bool) {
	defer func() {
		if !ok {
			recover()
		}
	}()
	var none map[net.Conn]struct{}
	_, found := none[c]
	return !found
}
