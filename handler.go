//go:build !tacho_nohttp

package tacho

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/tachikoma/tacho/internal/accept"
	"github.com/tachikoma/tacho/internal/expo"
	"github.com/tachikoma/tacho/internal/gzip"
	"github.com/tachikoma/tacho/internal/names"
)

// Handler returns the handler of /metrics. It serves OpenMetrics 1.0 to clients that prefer
// it (RFC 9110, section 12.5.1), as Prometheus does, and the text format 0.0.4 to all
// others. If the registry or one of its histograms was defined with [WithNative], Handler
// also serves the protobuf format; see [Registry.WriteProtobuf]. Prometheus prefers protobuf
// if it scrapes native histograms. Clients that prefer
// application/openmetrics-text;version=2.0.0 get OpenMetrics 2.0, which is experimental; see
// [Registry.WriteOpenMetrics2].
// The body is compressed with gzip if Accept-Encoding allows it (section 12.5.3).
// Methods other than GET and HEAD get status 405.
//
// If the URL has query parameters name[], the handler serves only the families with these
// names. Names are as defined. A name that no family has is ignored.
//
// The functions of a CounterFunc, a GaugeFunc and a collector have nine tenths of the time
// in the header X-Prometheus-Scrape-Timeout-Seconds, which Prometheus sends, and of the
// WriteTimeout of the server. Without either they have 5 seconds. Functions that take
// longer are left out of the scrape.
//
// If a client goes away, only its scrape ends. If the context of a request ends while
// functions run, the status is 503. A client that reads slowly holds up to
// 64 KiB of memory, and 73 KiB more with gzip. Bound the time with the WriteTimeout of the
// server. Handler panics with a *[DefinitionError] if [NewRegistry] did not make r.
func (r *Registry) Handler() http.Handler {
	r.check("")
	return r.serve("Accept, Accept-Encoding", func(req *http.Request, _ *query) (string, *expo.Format, names.Scheme) {
		var protobuf *expo.Format
		if n := (*nativeDef)(offered(r)); n != nil {
			protobuf = (*expo.Format)(n.code.ProtobufFormat())
		}
		f := accept.Negotiate(req.Header["Accept"], protobuf != nil, true)
		format := &expo.Text
		switch {
		case f.Protobuf:
			format = protobuf
		case f.Open2:
			format = &expo.OpenMetrics2
		case f.Open:
			format = &expo.OpenMetrics
		}
		return f.ContentType(r.names.UTF8 != nil), format, f.Names
	})
}

// Handler returns the handler of /metrics for several registries; see [Join] and
// [Registry.Handler].
func Handler(regs ...*Registry) http.Handler { return Join(regs...).Handler() }

// JSONHandler returns the handler of /metrics/json. It serves the output of
// [Registry.WriteJSON], whatever the header Accept is. Otherwise it is like
// [Registry.Handler].
//
// With the query parameter metadata=1, each family is an object instead of a list:
// {"type":"counter","help":"...","series":[...]}. The member "series" is the list of
// WriteJSON. The type is a name of OpenMetrics, such as "unknown" and "info". A family with
// a unit also has the member "unit".
func (r *Registry) JSONHandler() http.Handler {
	r.check("")
	return r.serve("Accept-Encoding", func(_ *http.Request, q *query) (string, *expo.Format, names.Scheme) {
		format := &expo.JSON
		if q.metadata {
			format = &expo.JSONMetadata
		}
		return "application/json", format, names.AllowUTF8
	})
}

// serve returns a handler that responds in the format of choose. It is not inlined: callers
// in other packages would have a copy each.
//
//go:noinline
func (r *Registry) serve(vary string, choose func(*http.Request, *query) (string, *expo.Format, names.Scheme)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		h := w.Header()
		if req.Method != http.MethodGet && req.Method != http.MethodHead {
			h["Allow"] = []string{"GET, HEAD"}
			http.Error(w, "Method Not Allowed", http.StatusMethodNotAllowed)
			return
		}
		q := queryOf(req)
		contentType, format, scheme := choose(req, q)
		h["Content-Type"] = []string{contentType}
		h["Vary"] = append(h["Vary"], vary)
		zip := accept.Gzip(req.Header["Accept-Encoding"])
		if zip {
			h["Content-Encoding"] = []string{"gzip"}
		}
		if req.Method == http.MethodHead {
			return
		}
		// The functions of the program are called here, before a buffer is in use.
		families := r.scrapedFor(q)
		if families == nil { // the context ended, but the client may be there
			delete(h, "Content-Encoding")
			http.Error(w, "the scrape was canceled", http.StatusServiceUnavailable)
			return
		}
		write := func(w io.Writer) error { return expo.Write(w, format, scheme, families, &spaceOf(r).names) }
		// An error means that the client is gone.
		if zip {
			_ = gzip.Write(w, write)
		} else {
			_ = write(w)
		}
	})
}

// queryOf returns the part of a scrape that its request decides.
func queryOf(req *http.Request) *query {
	q := &query{done: req.Context().Done(), timeout: func() time.Duration {
		limit := accept.Timeout(req.Header.Get("X-Prometheus-Scrape-Timeout-Seconds"))
		if s, _ := req.Context().Value(http.ServerContextKey).(*http.Server); s != nil && s.WriteTimeout > 0 && (limit == 0 || s.WriteTimeout < limit) {
			limit = s.WriteTimeout
		}
		if limit == 0 {
			return defaultTimeout
		}
		return shareOf(limit)
	}}
	if req.URL == nil {
		return q
	}
	// Without url.URL.Query; see internal/SIZE.md.
	for rest, pair := req.URL.RawQuery, ""; rest != ""; {
		pair, rest, _ = strings.Cut(rest, "&")
		key, value, _ := strings.Cut(pair, "=")
		key, badKey := url.QueryUnescape(key)
		value, badValue := url.QueryUnescape(value)
		switch {
		case badKey != nil || badValue != nil:
		case key == "name[]":
			if q.names == nil {
				q.names = map[string]bool{}
			}
			q.names[value] = true
		case key == "metadata":
			q.metadata = value == "1"
		}
	}
	return q
}
