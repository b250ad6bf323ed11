//go:build !tacho_nohttp

package tacho

import (
	"io"
	"net/http"
	"strconv"
	"strings"
)

const (
	typeText = "text/plain; version=0.0.4; charset=utf-8"
	typeJSON = "application/json"
)

// Handler returns the handler for /metrics: the text format 0.0.4, compressed
// with gzip for clients that accept it (RFC 9110, section 12.5.3). It answers
// GET and HEAD, and 405 to the rest. A client that goes away ends its scrape and
// nothing else.
func (r *Registry) Handler() http.Handler { return serve(typeText, r.WriteText) }

// JSONHandler returns the handler for /metrics/json: what [Registry.WriteJSON]
// writes, otherwise as [Registry.Handler].
func (r *Registry) JSONHandler() http.Handler { return serve(typeJSON, r.WriteJSON) }

func serve(contentType string, write func(io.Writer) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		h := w.Header()
		if req.Method != http.MethodGet && req.Method != http.MethodHead {
			h.Set("Allow", "GET, HEAD")
			http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
			return
		}
		h.Set("Content-Type", contentType)
		h.Add("Vary", "Accept-Encoding")
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

// acceptsGzip reports whether Accept-Encoding prefers gzip to the plain body.
// Codings are case-insensitive; an explicit weight beats that of "*"; the body
// as it is, "identity", weighs 0 unless it is named, so that any gzip wins.
func acceptsGzip(values []string) bool {
	gzipQ, identityQ, starQ := -1.0, -1.0, -1.0
	for _, value := range values {
		for value != "" {
			var item string
			item, value, _ = strings.Cut(value, ",")
			coding, params, _ := strings.Cut(item, ";")
			q := quality(params)
			switch strings.ToLower(strings.TrimSpace(coding)) {
			case "gzip", "x-gzip":
				gzipQ = max(gzipQ, q)
			case "identity":
				identityQ = q
			case "*":
				starQ = q
			}
		}
	}
	if gzipQ < 0 {
		gzipQ = starQ
	}
	return gzipQ > 0 && gzipQ >= identityQ
}

// quality returns the q parameter, 1 if there is none, 0 if it cannot be read:
// what is not asked for plainly is not sent.
func quality(params string) float64 {
	for params != "" {
		var p string
		p, params, _ = strings.Cut(params, ";")
		name, value, _ := strings.Cut(p, "=")
		if strings.EqualFold(strings.TrimSpace(name), "q") {
			q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil || !(q >= 0 && q <= 1) {
				return 0
			}
			return q
		}
	}
	return 1
}
