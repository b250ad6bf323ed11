//go:build !tacho_nohttp

package tacho

import (
	"net/http"
	"time"
)

// WithDurationBuckets sets the buckets of http_request_duration_seconds, in seconds; see
// [Registry.Histogram]. If buckets is nil, the buckets are those of [HTTPMetrics]. The
// option applies to [NewHTTPMetrics].
func WithDurationBuckets(buckets []float64) Option {
	return func(o *options) { o.duration = buckets }
}

// WithSizeBuckets sets the buckets of http_response_size_bytes, in bytes; see
// [Registry.Histogram]. If buckets is nil, the buckets are those of [HTTPMetrics]. The
// option applies to [NewHTTPMetrics].
func WithSizeBuckets(buckets []float64) Option {
	return func(o *options) { o.size = buckets }
}

// WithPathLabel makes f choose the path label of each request, after the request was
// served. f should return few distinct values. If f panics, the label is "other" and
// tacho_errors_total{metric,reason="panic"} counts. The option applies to
// [NewHTTPMetrics].
func WithPathLabel(f func(*http.Request) string) Option {
	return func(o *options) { o.pathLabel = f }
}

// WithExemplar makes f choose the exemplar of each request, after the request was served.
// The exemplar is left with the count, the duration and the size of the request. f returns
// label pairs such as "trace_id", id, or none for no exemplar; see [Counter.AddExemplar].
// If f panics, there is no exemplar and tacho_errors_total{metric,reason="panic"} counts.
// The option applies to [NewHTTPMetrics].
func WithExemplar(f func(*http.Request) []string) Option {
	if f == nil {
		return func(o *options) { o.exemplar = nil }
	}
	// A program without exemplars does not contain this code; see internal/SIZE.md.
	leave := func(m *HTTPMetrics, r *http.Request, rt *route, count *Counter, d time.Duration, responseBytes int64) {
		if labels, _ := callWith(m, f, r); len(labels) > 0 {
			count.last.Record(1, labels)
			rt.duration.leaveExemplar(d.Seconds(), labels)
			rt.size.leaveExemplar(float64(responseBytes), labels)
		}
	}
	return func(o *options) { o.exemplar = leave }
}

// WithMaxPaths limits the number of distinct path labels to n. Requests past the limit
// have the label "other". The default is 1000. Each HTTPMetrics has its own limit, also if
// two share a registry. The option applies to [NewHTTPMetrics].
func WithMaxPaths(n int) Option {
	return func(o *options) { o.maxPaths, o.maxPathsSet = n, true }
}
