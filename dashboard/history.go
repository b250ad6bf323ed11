//go:build !tacho_nohttp

package dashboard

import (
	"io"
	"net/http"
	"time"

	"github.com/tachikoma/tacho/internal/accept"
	"github.com/tachikoma/tacho/internal/gzip"
	"github.com/tachikoma/tacho/internal/history"
)

// largeResponse is the size from which a response counts as large. Two large responses are made at the same
// time, so that clients cannot make the program use much memory.
const largeResponse = 256 << 10

// slowest is the time in which a client must read a large response if the server has no WriteTimeout.
const slowest = time.Minute

// limitWrite bounds the time of a response unless the server does, so that a client that does not read holds
// no large response. The result removes the bound, since the connection can have further requests. Writers
// without deadlines are left as they are.
func (d *Dashboard) limitWrite(w http.ResponseWriter, r *http.Request) (remove func()) {
	if s, ok := r.Context().Value(http.ServerContextKey).(*http.Server); !ok || s.WriteTimeout > 0 {
		return func() {}
	}
	c := http.NewResponseController(w)
	_ = c.SetWriteDeadline(time.Now().Add(d.slowest))
	return func() { _ = c.SetWriteDeadline(time.Time{}) }
}

// serveHistory serves the steps after a position; see [history.Ring.Append].
func (d *Dashboard) serveHistory(w http.ResponseWriter, r *http.Request, position string) {
	p, ok := history.ParsePosition(position)
	if !ok {
		http.Error(w, "history is the id of a ring, a dot and the number of a step", http.StatusBadRequest)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Add("Vary", "Accept-Encoding")
	zip := accept.Gzip(r.Header["Accept-Encoding"])
	if zip {
		h.Set("Content-Encoding", "gzip")
	}
	if r.Method == http.MethodHead {
		return
	}
	d.sampler.refresh(r.Context())
	if d.ring.Size(p) > largeResponse {
		select {
		case d.large <- struct{}{}:
			defer func() { <-d.large }()
		case <-r.Context().Done():
			h.Del("Content-Encoding")
			http.Error(w, "the request was canceled", http.StatusServiceUnavailable)
			return
		}
		defer d.limitWrite(w, r)()
	}
	body := d.ring.Append(nil, p, time.Now())
	write := func(w io.Writer) error {
		_, err := w.Write(body)
		return err
	}
	// An error means that the client is gone.
	if zip {
		_ = gzip.Write(w, write)
	} else {
		_ = write(w)
	}
}
