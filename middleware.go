//go:build !tacho_nohttp

package tacho

import (
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

// maxPathLabel is the longest path label, in bytes. Servers accept request
// lines of a megabyte; a thousand of those must not become labels.
const maxPathLabel = 512

// httpOptions is the part of options that only the middleware reads.
type httpOptions struct {
	duration, size []float64
	pathLabel      func(*http.Request) string
	exemplar       leaveExemplar
	maxPaths       int
	maxPathsSet    bool
}

// WithDurationBuckets sets the buckets of http_request_duration_seconds, in
// seconds, as [Registry.Histogram] takes them; nil means those of [HTTPMetrics].
// It applies to [NewHTTPMetrics].
func WithDurationBuckets(buckets []float64) Option {
	return func(o *options) { o.duration = buckets }
}

// WithSizeBuckets sets the buckets of http_response_size_bytes, in bytes, as
// [Registry.Histogram] takes them; nil means those of [HTTPMetrics]. It applies to
// [NewHTTPMetrics].
func WithSizeBuckets(buckets []float64) Option {
	return func(o *options) { o.size = buckets }
}

// WithPathLabel makes f choose the path label of a request, after it was
// served. It should return few distinct values. It applies to [NewHTTPMetrics].
func WithPathLabel(f func(*http.Request) string) Option {
	return func(o *options) { o.pathLabel = f }
}

// WithExemplar makes f choose the exemplar of a request, after it was served, for
// its count, duration and size: label pairs such as "trace_id", id, or none for no
// exemplar; see [Counter.AddExemplar]. It applies to [NewHTTPMetrics].
func WithExemplar(f func(*http.Request) []string) Option {
	// Here, so that a program without exemplars is without what makes them.
	leave := func(m *HTTPMetrics, r *http.Request, rt *route, count *Counter, d time.Duration, responseBytes int64) {
		if labels, _ := ask(m, f, r); len(labels) > 0 {
			count.last.record(count.last.family(), 1, labels)
			rt.duration.leaveExemplar(d.Seconds(), labels)
			rt.size.leaveExemplar(float64(responseBytes), labels)
		}
	}
	if f == nil {
		leave = nil
	}
	return func(o *options) { o.exemplar = leave }
}

// WithMaxPaths limits the distinct path labels to n, 1000 by default; requests
// past the limit are counted under "other". Each HTTPMetrics counts its own, also
// where two share a registry. It applies to [NewHTTPMetrics].
func WithMaxPaths(n int) Option {
	return func(o *options) { o.maxPaths, o.maxPathsSet = n, true }
}

// HTTPMetrics measures an HTTP server. All methods are safe for concurrent use.
//
//	http_requests_total{method,path,status}        counter
//	http_request_duration_seconds{method,path}     histogram
//	http_requests_in_flight                        gauge
//	http_response_size_bytes{method,path}          histogram
//	http_connections{state}                        gauge, see ConnState
//
// Durations have buckets from 1 ms to 10 s, sizes from 100 bytes to 1 GB.
//
// The method label is one of the nine standard methods, else "other". The path
// label is what [WithPathLabel] returns, else the path of the pattern by which
// [http.ServeMux] routed the request unless that catches all below it, else
// [NormalizePath] of the URL's path. There are at most as many as [WithMaxPaths]
// says; further ones, and those over 512 bytes, are "other".
type HTTPMetrics struct {
	requests *CounterVec
	duration *HistogramVec
	size     *HistogramVec
	inFlight *Gauge
	label    func(*http.Request) string
	exemplar leaveExemplar // nil for none

	// routes finds all metrics of a method and path by one lookup.
	routes *Vec[route]

	mu       sync.Mutex
	paths    map[string]string // the labels that WithMaxPaths counts; fixed once full
	maxPaths int
	full     atomic.Bool

	conns   *GaugeVec
	connsMu sync.Mutex
	states  map[net.Conn]http.ConnState
}

// NewHTTPMetrics defines the HTTP metrics in reg. [WithDurationBuckets],
// [WithSizeBuckets], [WithPathLabel], [WithMaxPaths], [WithExemplar],
// [WithConstLabels] and, for what has a path, [WithIdleExpiry] apply. It panics
// with a *[DefinitionError] if a definition conflicts.
func NewHTTPMetrics(reg *Registry, opts ...Option) *HTTPMetrics {
	o := makeOptions(opts)
	if o.duration == nil {
		o.duration = []float64{.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
	}
	if o.size == nil {
		o.size = []float64{1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9}
	}
	if !o.maxPathsSet {
		o.maxPaths = 1000
	}
	// The paths have a limit of their own, which a registry's limit on series
	// would only make coarser.
	with := slices.Clip(append([]Option{unlimited}, opts...))
	byRoute := []string{"method", "path"}
	m := &HTTPMetrics{
		requests: reg.CounterVec("http_requests_total", "Total HTTP requests", []string{"method", "path", "status"}, with...),
		duration: reg.HistogramVec("http_request_duration_seconds", "HTTP request duration in seconds", o.duration, byRoute, append(with, WithUnit("seconds"))...),
		size:     reg.HistogramVec("http_response_size_bytes", "HTTP response size in bytes", o.size, byRoute, append(with, WithUnit("bytes"))...),
		inFlight: reg.Gauge("http_requests_in_flight", "Current number of HTTP requests being processed", opts...),
		conns:    reg.GaugeVec("http_connections", "Current number of HTTP connections by state", []string{"state"}, append(with, WithIdleExpiry(0))...),
		label:    o.pathLabel,
		exemplar: o.exemplar,
		paths:    map[string]string{},
		maxPaths: o.maxPaths,
		states:   map[net.Conn]http.ConnState{},
	}
	m.full.Store(m.maxPaths <= 0)
	routes := &metricType{kind: kindUntyped, make: m.newRoute} // no scrape walks them
	m.routes = vecOf[route](newVec(&family{reg: reg, kind: routes.kind, labels: byRoute, metric: routes}, limit{}))
	return m
}

func unlimited(o *options) { o.limit, o.limited = limit{}, true }

// programStart is where uptime begins.
var programStart = time.Now()

// uptime is the time by the monotonic clock alone: time.Now reads the wall clock too,
// and takes twice as long.
func uptime() time.Duration { return time.Since(programStart) }

// Handler returns next with every request measured. The response writer that
// next gets has exactly the optional interfaces that the server's has
// (http.Flusher, http.Hijacker, http.Pusher, io.ReaderFrom, io.StringWriter),
// and Unwrap. The first final status is recorded: 200 where none was written,
// 101 for a hijacked connection, 500 for a handler that panicked before it
// wrote one. The panic goes on to the server.
func (m *HTTPMetrics) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := uptime()
		rec := newRecorder(w)
		m.inFlight.Inc()
		returned := false
		// No recover: the panic is the server's to handle, with its own trace.
		defer func() {
			m.inFlight.Dec()
			if !returned {
				rec.final(http.StatusInternalServerError)
			}
			m.finish(r, rec, start)
		}()
		next.ServeHTTP(rec.wrap(), r)
		returned = true
	})
}

func (m *HTTPMetrics) finish(r *http.Request, rec *recorder, start time.Duration) {
	rec.final(http.StatusOK)
	elapsed := uptime() - start
	// A normalised path lives on this stack: nothing keeps it on the hit path.
	var store [256]byte
	var path string
	if m.label != nil {
		path = m.chosen(r)
	} else if path = patternPath(r.Pattern); path == "" {
		path = normalized(store[:0], r.URL.Path)
	}
	responseBytes := rec.bytes.Load()
	rt, count := m.record(r.Method, path, int(rec.status.Load()), elapsed, responseBytes)
	if m.exemplar != nil {
		m.exemplar(m, r, rt, count, elapsed, responseBytes)
	}
}

// chosen returns what the program's function says. Should it panic, the request
// counts as "other".
func (m *HTTPMetrics) chosen(r *http.Request) string {
	if path, ok := ask(m, m.label, r); ok {
		return path
	}
	return overflowValue
}

// ask calls a program's function, unless it panics: measuring must not change
// what the client gets.
func ask[T any](m *HTTPMetrics, f func(*http.Request) T, r *http.Request) (answer T, ok bool) {
	defer func() {
		if !ok {
			recover()
			m.requests.fam.fault(reasonPanic)
		}
	}()
	return f(r), true
}

// normalized is NormalizePath with the result in store, if it fits there: the
// string is a view, good for as long as store is.
func normalized(store []byte, path string) string {
	b, changed := appendNormalized(store, path)
	if !changed {
		return path
	}
	return unsafe.String(unsafe.SliceData(b), len(b))
}

// Record records a request that did not pass through [HTTPMetrics.Handler]. The
// path is normalised as [NormalizePath] does. A status outside 100 to 999 is
// recorded as "other". A negative responseBytes means that the size is not
// known, and leaves it out; a negative d is left out too and counted in
// tacho_errors_total{metric,reason="negative"}.
func (m *HTTPMetrics) Record(method, path string, status int, d time.Duration, responseBytes int64) {
	var store [256]byte
	m.record(method, normalized(store[:0], path), status, d, responseBytes)
}

// record returns what it recorded in.
func (m *HTTPMetrics) record(method, path string, status int, d time.Duration, responseBytes int64) (*route, *Counter) {
	rt := m.route(methodLabel(method), path)
	count := rt.counter(m.requests, status)
	count.Inc()
	if d >= 0 {
		rt.duration.ObserveDuration(d)
	} else {
		m.duration.fam.fault(reasonNegative)
	}
	if responseBytes >= 0 {
		rt.size.Observe(float64(responseBytes))
	}
	return rt, count
}

// A leaveExemplar leaves an exemplar of a request where it was recorded.
type leaveExemplar func(m *HTTPMetrics, r *http.Request, rt *route, count *Counter, d time.Duration, responseBytes int64)

// A route is what requests of one method and path are recorded in.
type route struct {
	method, path   string
	duration, size *Histogram
	counters       atomic.Pointer[[]statusCounter] // replaced, never changed
}

type statusCounter struct {
	status int
	count  *Counter
}

// newRoute is called by routes for a new series. The one for wrong numbers of
// values, which record never passes, stays empty.
func (m *HTTPMetrics) newRoute(_ *family, key string, _ bool) unsafe.Pointer {
	rt := new(route)
	if key != "" {
		values := keyValues(key, 2)
		rt.method, rt.path = values[0], values[1]
		rt.duration = m.duration.With(values...)
		rt.size = m.size.With(values...)
	}
	return unsafe.Pointer(rt)
}

// route finds the metrics of a method and path, by one lookup if they exist.
// Strangers choose paths, so no lock is taken either for one with invalid UTF-8
// that was seen before, nor on the way to "other" once there is no more room.
func (m *HTTPMetrics) route(method, path string) *route {
	if rt := m.find(method, path); rt != nil {
		return rt
	}
	if len(path) > maxPathLabel {
		return m.routes.With(method, overflowValue)
	}
	var store [maxPathLabel * len("\uFFFD")]byte
	b := appendValid(store[:0], path)
	valid := unsafe.String(unsafe.SliceData(b), len(b)) // a view; admit copies it
	if rt := m.find(method, valid); rt != nil {
		return rt
	}
	return m.routes.With(method, m.admit(valid))
}

func (m *HTTPMetrics) find(method, path string) *route {
	// A slice, not an array that is sliced: that would be copied, by loads that wait
	// for the stores before them.
	if s := m.routes.find([]string{method, path}, false); s != nil {
		return (*route)(s.m)
	}
	return nil
}

// admit returns the path as a label: itself if it is known or there is room for
// it, else "other".
func (m *HTTPMetrics) admit(path string) string {
	if m.full.Load() { // paths does not change any more
		return m.known(path)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	label := m.known(path)
	if label == overflowValue && len(m.paths) < m.maxPaths && path != overflowValue {
		label = strings.Clone(path)
		m.paths[label] = label
		m.full.Store(len(m.paths) >= m.maxPaths)
	}
	return label
}

// known returns the label among those admitted.
func (m *HTTPMetrics) known(path string) string {
	if label, ok := m.paths[path]; ok {
		return label
	}
	return overflowValue
}

// counter returns the counter of a status.
func (rt *route) counter(requests *CounterVec, status int) *Counter {
	if list := rt.counters.Load(); list != nil {
		for _, c := range *list {
			if c.status == status {
				return c.count
			}
		}
	}
	return rt.newCounter(requests, status)
}

func (rt *route) newCounter(requests *CounterVec, status int) *Counter {
	if status < 100 || status > 999 {
		return requests.With(rt.method, rt.path, overflowValue)
	}
	c := statusCounter{status, requests.With(rt.method, rt.path, strconv.Itoa(status))}
	for {
		old := rt.counters.Load()
		list := []statusCounter{c}
		if old != nil {
			list = append(list, *old...)
		}
		if rt.counters.CompareAndSwap(old, &list) {
			return c.count
		}
	}
}

func methodLabel(method string) string {
	switch method {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE":
		return method
	}
	return overflowValue
}

// ConnState counts connections by state in http_connections{state}: new, active
// and idle; closed and hijacked ones are gone. Give it to [http.Server.ConnState].
func (m *HTTPMetrics) ConnState(c net.Conn, state http.ConnState) {
	m.connsMu.Lock()
	defer m.connsMu.Unlock()
	if prev, ok := m.states[c]; ok {
		m.connections(prev).Dec()
	}
	if state == http.StateClosed || state == http.StateHijacked {
		delete(m.states, c)
		return
	}
	m.states[c] = state
	m.connections(state).Inc()
}

func (m *HTTPMetrics) connections(state http.ConnState) *Gauge {
	return m.conns.With(state.String())
}
