//go:build !tacho_nohttp

package tacho

import (
	"io"
	"net/http"

	"github.com/tachikoma/tacho/internal/accept"
	"github.com/tachikoma/tacho/internal/expo"
	"github.com/tachikoma/tacho/internal/gzip"
)

// Handler returns the handler of /metrics. It serves OpenMetrics 1.0 to clients that prefer
// it (RFC 9110, section 12.5.1), as Prometheus does, and the text format 0.0.4 to all
// others. The body is compressed with gzip if Accept-Encoding allows it (section 12.5.3).
// Methods other than GET and HEAD get status 405.
//
// If a client goes away, only its scrape ends. A client that reads slowly holds up to
// 64 KiB of memory, and 73 KiB more with gzip. Bound the time with the WriteTimeout of the
// server. Handler panics with a *[DefinitionError] if [NewRegistry] did not make r.
func (r *Registry) Handler() http.Handler {
	r.check("")
	return serve("Accept, Accept-Encoding", func(req *http.Request) (string, func(io.Writer) error) {
		f := accept.Negotiate(req.Header.Values("Accept"))
		format := &expo.Text
		if f.Open {
			format = &expo.OpenMetrics
		}
		return f.ContentType(r.names.UTF8 != nil), func(w io.Writer) error { return r.write(w, format, f.Names) }
	})
}

// JSONHandler returns the handler of /metrics/json. It serves the output of
// [Registry.WriteJSON], whatever the header Accept is. Otherwise it is like
// [Registry.Handler].
func (r *Registry) JSONHandler() http.Handler {
	r.check("")
	return serve("Accept-Encoding", func(*http.Request) (string, func(io.Writer) error) {
		return "application/json", r.WriteJSON
	})
}

// serve returns a handler that responds with the content type and the body of choose. It
// is not inlined: callers in other packages would have a copy each.
//
//go:noinline
func serve(vary string, choose func(*http.Request) (string, func(io.Writer) error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		h := w.Header()
		if req.Method != http.MethodGet && req.Method != http.MethodHead {
			h.Set("Allow", "GET, HEAD")
			http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
			return
		}
		contentType, write := choose(req)
		h.Set("Content-Type", contentType)
		h.Add("Vary", vary)
		zip := accept.Gzip(req.Header.Values("Accept-Encoding"))
		if zip {
			h.Set("Content-Encoding", "gzip")
		}
		if req.Method == http.MethodHead {
			return
		}
		// An error means that the client is gone.
		if zip {
			_ = gzip.Write(w, write)
		} else {
			_ = write(w)
		}
	})
}
