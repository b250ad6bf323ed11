//go:build !tacho_nohttp

package tacho

import (
	"net/http"
	"time"

	"github.com/tachikoma/tacho/internal/escape"
)

// WithDurationBuckets sets the buckets of http_request_duration_seconds and of
// http_time_to_first_byte_seconds, in seconds; see [Registry.Histogram]. If buckets is nil, the
// buckets are those of [HTTPMetrics]. The option applies to [NewHTTPMetrics].
func WithDurationBuckets(buckets []float64) Option {
	return func(o *options) {
		o.only(onHTTP, "WithDurationBuckets")
		o.duration = buckets
	}
}

// WithSizeBuckets sets the buckets of http_response_size_bytes and http_request_size_bytes, in
// bytes; see [Registry.Histogram]. If buckets is nil, the buckets are those of [HTTPMetrics]. The
// option applies to [NewHTTPMetrics].
func WithSizeBuckets(buckets []float64) Option {
	return func(o *options) {
		o.only(onHTTP, "WithSizeBuckets")
		o.size = buckets
	}
}

// WithPathLabel makes f choose the path label of each request, after the request was
// served. f should return few distinct values. If f returns "", the next rule of
// [HTTPMetrics] applies. If f panics, the label is "other" and
// tacho_errors_total{metric,reason="panic"} counts. The option applies to [NewHTTPMetrics].
//
// The request of f is that of the last call of [SetRoute], or of the innermost handler of
// [HTTPMetrics.Route]. Without either it is the request of the middleware.
func WithPathLabel(f func(*http.Request) string) Option {
	return func(o *options) {
		o.only(onHTTP, "WithPathLabel")
		o.pathLabel = f
	}
}

// WithExemplar makes f choose the exemplar of each request, after the request was served.
// The exemplar is left with the count of the request and with each histogram that observes the
// request. Those of [WithTimeToFirstByte] and [WithRequestSize] are among them. The function f
// returns label pairs such as "trace_id", id, or none for no exemplar; see
// [Counter.AddExemplar]. If f panics, there is no
// exemplar and tacho_errors_total{metric,reason="panic"} counts. The option applies to
// [NewHTTPMetrics].
//
// f gets the same request as the function of [WithPathLabel]. So f can read a trace from a
// context that a middleware inside of [HTTPMetrics.Handler] made. Without WithExemplar, the
// function of [WithContextExemplars] gets the context of that request.
func WithExemplar(f func(*http.Request) []string) Option {
	var leave leaveExemplar
	if f != nil {
		leave = exemplarsOf(f)
	}
	return func(o *options) {
		o.only(onHTTP, "WithExemplar")
		o.exemplar = leave
	}
}

// exemplarsOf returns a function that leaves the exemplars of f. A program without exemplars does
// not contain this code; see internal/SIZE.md.
func exemplarsOf(f func(*http.Request) []string) leaveExemplar {
	return func(m *HTTPMetrics, r *http.Request, rt *route, count *Counter, d time.Duration, responseBytes int64) []string {
		labels, _ := callWith(m, f, r)
		if len(labels) > 0 {
			count.last.Record(1, labels)
			rt.duration.leaveExemplar(d.Seconds(), labels)
			rt.size.leaveExemplar(float64(responseBytes), labels)
		}
		return labels
	}
}

// WithMaxPaths limits the number of distinct path labels that the program names to n. It
// also limits the normalized paths of requests with the status 404 or 405 to n, and those
// of other requests to n. Requests past a limit have the label "other". The default is
// 1000. The limits in bytes that [HTTPMetrics] states are for each thousand of n or part of
// it, up to a million. Each HTTPMetrics has its own limits, also if two share a registry.
// The option applies to [NewHTTPMetrics].
func WithMaxPaths(n int) Option {
	return func(o *options) {
		o.only(onHTTP, "WithMaxPaths")
		o.maxPaths, o.maxPathsSet = n, true
	}
}

// WithSkip leaves out the requests for which f returns true, before they are served. They
// are neither counted nor in flight. f is called for each request and should be fast. If f
// panics, the request is measured and tacho_errors_total{metric,reason="panic"} counts. The
// option applies to [NewHTTPMetrics].
//
// The route of the request is not known yet: [http.Request.Pattern] is empty. WithSkip is meant for
// requests that are no traffic, such as scrapes and health checks.
func WithSkip(f func(*http.Request) bool) Option {
	return func(o *options) {
		o.only(onHTTP, "WithSkip")
		o.skip = choose(f)
	}
}

// WithStream marks the requests for which f returns true as streams, before they are
// served. The duration of a stream ends with the first final status, write or flush. A
// stream stays in flight until its handler returns. If f panics, the request is no stream
// and tacho_errors_total{metric,reason="panic"} counts. The option applies to
// [NewHTTPMetrics].
//
// The time for which an event stream is open is no latency. Hijacked connections need no
// option; see [HTTPMetrics.Handler].
func WithStream(f func(*http.Request) bool) Option {
	return func(o *options) {
		o.only(onHTTP, "WithStream")
		o.stream = choose(f)
	}
}

// WithSetRoute makes [SetRoute] work for the requests of [HTTPMetrics.Handler]. Each of
// these requests then has a value in its context, which takes two allocations. The option
// applies to [NewHTTPMetrics].
func WithSetRoute() Option {
	return func(o *options) {
		o.only(onHTTP, "WithSetRoute")
		o.hooks = &setRouteHooks
	}
}

// WithLabelName gives the label method, path, status or state of the HTTP metrics another name,
// in all metrics with this label. The values of the label stay. A definition is refused if there
// is no such label, or if the name is bad or used twice. The option applies to [NewHTTPMetrics].
//
// It is for dashboards of other libraries. Package dashboard and the dashboards of
// directory ops use the names of [HTTPMetrics].
func WithLabelName(label, name string) Option {
	return func(o *options) {
		o.only(onHTTP, "WithLabelName")
		if o.labels == nil {
			o.labels = append(o.labels, httpLabels...)
		}
		for i, l := range httpLabels {
			if l == label {
				o.longer += max(0, len(name)-len(l))
				o.labels[i] = name
				return
			}
		}
		refuse("", "WithLabelName: no HTTP metric has the label "+escape.Quote(label), "")
	}
}

// A chooser chooses requests.
type chooser func(m *HTTPMetrics, r *http.Request) bool

// choose returns f as a chooser. A program without such options does not contain this
// code; see internal/SIZE.md.
func choose(f func(*http.Request) bool) chooser {
	if f == nil {
		return nil
	}
	return func(m *HTTPMetrics, r *http.Request) bool {
		chosen, _ := callWith(m, f, r)
		return chosen
	}
}
