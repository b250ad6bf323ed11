//go:build !tacho_nohttp

package tacho

import (
	"io"
	"net/http"
)

// Handler returns the handler for /metrics: OpenMetrics 1.0 for clients that
// prefer it (RFC 9110, section 12.5.1), as Prometheus does, and the text format
// 0.0.4 for all others; compressed with gzip for those that accept it (section
// 12.5.3). It answers GET and HEAD, and 405 to the rest. A client that goes away
// ends its scrape and nothing else; one that reads slowly holds the memory of its
// scrape, 64 KiB and 73 KiB more where it is compressed, for as long as the
// server's WriteTimeout lets it.
func (r *Registry) Handler() http.Handler {
	return serve("Accept, Accept-Encoding", func(req *http.Request) (string, func(io.Writer) error) {
		f := negotiate(req.Header.Values("Accept"))
		encoding := &textFormat
		if f.open {
			encoding = &openFormat
		}
		return f.contentType(r.utf8 != nil), func(w io.Writer) error { return r.write(w, encoding, f.names) }
	})
}

// JSONHandler returns the handler for /metrics/json: what [Registry.WriteJSON]
// writes, whatever the client would rather have; otherwise as [Registry.Handler].
func (r *Registry) JSONHandler() http.Handler {
	return serve("Accept-Encoding", func(*http.Request) (string, func(io.Writer) error) {
		return "application/json", r.WriteJSON
	})
}

// serve answers with what choose says: a content type and what writes the body. Its
// callers in other packages would have a copy of it each.
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
		zip := acceptsGzip(req.Header.Values("Accept-Encoding"))
		if zip {
			h.Set("Content-Encoding", "gzip")
		}
		if req.Method == http.MethodHead {
			return
		}
		// An error means that the client is gone: there is nobody to tell.
		if zip {
			_ = writeGzip(w, write)
		} else {
			_ = write(w)
		}
	})
}
