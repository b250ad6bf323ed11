//go:build !tacho_nohttp

package tacho

import (
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"sync"
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

var gzips = sync.Pool{New: func() any {
	z, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // no error: the level is one of the package's
	return z
}}

func writeGzip(w io.Writer, write func(io.Writer) error) error {
	z := gzips.Get().(*gzip.Writer)
	z.Reset(w)
	err := write(z)
	if err == nil {
		err = z.Close()
	}
	z.Reset(nil) // let go of the client
	gzips.Put(z)
	return err
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
		if name = strings.TrimSpace(name); name == "q" || name == "Q" {
			return qvalue(strings.TrimSpace(value))
		}
	}
	return 1
}

// qvalue reads a weight from 0 to 1 (RFC 9110, section 12.4.2) with any number of
// decimals; all else is 0. strconv.ParseFloat would add 12 KB to a program.
func qvalue(s string) float64 {
	whole, decimals, _ := strings.Cut(s, ".")
	q, unit := 0.0, 0.1
	for i := range len(decimals) {
		digit := decimals[i] - '0'
		if digit > 9 {
			return 0
		}
		q += unit * float64(digit)
		unit /= 10
	}
	switch {
	case whole == "0" || whole == "":
		return q
	case whole == "1" && q == 0:
		return 1
	}
	return 0
}
