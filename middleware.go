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

	"github.com/tachikoma/tacho/internal/escape"
	"github.com/tachikoma/tacho/internal/label"
	"github.com/tachikoma/tacho/internal/recorder"
)

// maxPathLabel is the maximum length of a path label in bytes. Servers accept request
// lines of a megabyte, and labels stay in memory.
const maxPathLabel = 512

// httpOptions is the part of options that only [NewHTTPMetrics] reads.
type httpOptions struct {
	duration, size []float64
	pathLabel      func(*http.Request) string
	exemplar       leaveExemplar
	maxPaths       int
	maxPathsSet    bool
}

// HTTPMetrics measures an HTTP server. All methods are safe for concurrent use.
//
//	http_requests_total{method,path,status}        counter
//	http_request_duration_seconds{method,path}     histogram
//	http_requests_in_flight                        gauge
//	http_response_size_bytes{method,path}          histogram
//	http_connections{state}                        gauge, see ConnState
//
// Durations have buckets from 1 ms to 10 s, and sizes from 100 bytes to 1 GB.
//
// The label method is one of the nine standard methods, or "other". The label path is the
// first of these that applies:
//
//   - the result of [WithPathLabel],
//   - the path of the pattern by which [http.ServeMux] routed the request, unless the
//     pattern matches a whole subtree,
//   - [NormalizePath] of the URL's path.
//
// Paths of more than 512 bytes, and paths past the limit of [WithMaxPaths], are "other".
type HTTPMetrics struct {
	requests *CounterVec
	duration *HistogramVec
	size     *HistogramVec
	inFlight *Gauge
	label    func(*http.Request) string
	exemplar leaveExemplar // nil for none

	routes *Vec[route] // all metrics of a method and path, for one lookup a request

	mu       sync.Mutex
	paths    map[string]string // the labels that WithMaxPaths counts; not changed once full
	maxPaths int
	full     atomic.Bool

	conns   *GaugeVec
	connsMu sync.Mutex
	states  map[net.Conn]http.ConnState
}

var (
	durationBuckets = []float64{.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10} // seconds
	sizeBuckets     = []float64{1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9}                 // bytes
)

// NewHTTPMetrics defines the HTTP metrics in reg. It panics with a *[DefinitionError] if a
// definition conflicts. These options apply: [WithDurationBuckets], [WithSizeBuckets],
// [WithPathLabel], [WithMaxPaths], [WithExemplar], [WithConstLabels] and, for metrics with
// the label path, [WithIdleExpiry].
func NewHTTPMetrics(reg *Registry, opts ...Option) *HTTPMetrics {
	o := makeOptions(opts)
	if o.duration == nil {
		o.duration = durationBuckets
	}
	if o.size == nil {
		o.size = sizeBuckets
	}
	if !o.maxPathsSet {
		o.maxPaths = 1000
	}
	// WithMaxPaths is the limit of these vectors, instead of a limit of the registry.
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
	routes := &metricType{make: m.newRoute} // no scrape shows routes
	m.routes = vecOf[route](newVec(&family{labels: byRoute, metric: routes, fault: m.requests.fam.fault}, limit{}, nil))
	return m
}

func unlimited(o *options) { o.limit, o.limited = limit{}, true }

var programStart = time.Now()

// uptime returns the time since programStart. It reads only the monotonic clock; time.Now
// reads the wall clock too, and takes twice as long.
func uptime() time.Duration { return time.Since(programStart) }

// Handler returns a handler that calls next and measures each request. It is the
// middleware.
//
// The first final status is recorded: 200 if none was written, 101 for a hijacked
// connection, and 500 if next panicked before it wrote a status. A panic continues to the
// server.
//
// The response writer of next has [http.Flusher], [http.Hijacker] and [http.Pusher]
// exactly if the server's writer has them. It always has [io.StringWriter],
// [io.ReaderFrom] and Unwrap, for [http.ResponseController].
//
// Handler panics with a *[DefinitionError] if next is nil or [NewHTTPMetrics] did not make
// the HTTPMetrics.
func (m *HTTPMetrics) Handler(next http.Handler) http.Handler {
	m.check(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := uptime()
		rec := recorder.New(w)
		m.inFlight.Inc()
		returned := false
		// No recover: the server handles the panic and prints its stack trace.
		defer func() {
			m.inFlight.Dec()
			if !returned {
				recorder.SetStatus(rec, http.StatusInternalServerError)
			}
			m.finish(r, rec, start)
		}()
		next.ServeHTTP(recorder.Writer(rec), r)
		returned = true
	})
}

// finish records a request.
func (m *HTTPMetrics) finish(r *http.Request, rec *recorder.Recorder, start time.Duration) {
	recorder.SetStatus(rec, http.StatusOK)
	elapsed := uptime() - start
	// A normalized path is on this stack, and copied only for a new series.
	var store [256]byte
	var path string
	if m.label != nil {
		path = m.chosen(r)
	} else if path = patternPath(r.Pattern); path == "" {
		path = normalized(store[:0], urlPath(r))
	}
	responseBytes := recorder.Bytes(rec)
	rt, count := m.record(r.Method, path, recorder.Status(rec), elapsed, responseBytes)
	if m.exemplar != nil {
		m.exemplar(m, r, rt, count, elapsed, responseBytes)
	}
}

// chosen returns the result of WithPathLabel's function, or "other" if that panics.
func (m *HTTPMetrics) chosen(r *http.Request) string {
	if path, ok := callWith(m, m.label, r); ok {
		return path
	}
	return overflowValue
}

// callWith returns the result of a function of the program. ok is false if the function
// panics: measuring must not change the response.
func callWith[T any](m *HTTPMetrics, f func(*http.Request) T, r *http.Request) (result T, ok bool) {
	defer func() {
		if !ok {
			recover()
			m.requests.fam.fault(reasonPanic)
		}
	}()
	return f(r), true
}

// normalized is NormalizePath with the result in store, if store is large enough. The
// result is valid as long as store.
func normalized(store []byte, path string) string {
	b, changed := appendNormalized(store, path)
	if !changed {
		return path
	}
	return unsafe.String(unsafe.SliceData(b), len(b))
}

// Record records a request that did not pass through [HTTPMetrics.Handler]. It normalizes
// the path like [NormalizePath]. A status outside 100 to 999 is recorded as "other". A
// negative responseBytes means that the size is unknown, and no size is recorded. If d is
// negative, no duration is recorded and tacho_errors_total{metric,reason="negative"}
// counts.
func (m *HTTPMetrics) Record(method, path string, status int, d time.Duration, responseBytes int64) {
	var store [256]byte
	m.record(method, normalized(store[:0], path), status, d, responseBytes)
}

// record returns the route and the counter of the request.
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

// A leaveExemplar leaves the exemplar of a request that was recorded.
type leaveExemplar func(m *HTTPMetrics, r *http.Request, rt *route, count *Counter, d time.Duration, responseBytes int64)

// A route has the metrics of one method and path.
type route struct {
	method, path   string
	duration, size *Histogram
	counters       atomic.Pointer[[]statusCounter] // a copy replaces it for each new status
}

type statusCounter struct {
	status int
	count  *Counter
}

// newRoute makes the metric of a new series of routes. The metric of vec.lost stays empty:
// no lookup in routes has a wrong number of values.
func (m *HTTPMetrics) newRoute(_ *family, key string, _ bool) unsafe.Pointer {
	rt := new(route)
	if key != "" {
		values := label.Values(key, 2)
		rt.method, rt.path = values[0], values[1]
		rt.duration = m.duration.With(values...)
		rt.size = m.size.With(values...)
	}
	return unsafe.Pointer(rt)
}

// route returns the metrics of a method and path, by one lookup if they exist. Clients
// choose paths. So route takes no lock for a path with invalid UTF-8 that has a series, and
// none for a path past the limit.
func (m *HTTPMetrics) route(method, path string) *route {
	if rt := m.find(method, path); rt != nil {
		return rt
	}
	if len(path) > maxPathLabel {
		return m.routes.With(method, overflowValue)
	}
	var store [maxPathLabel * len("\uFFFD")]byte
	b := escape.AppendValid(store[:0], path)
	valid := unsafe.String(unsafe.SliceData(b), len(b)) // shares store; admit copies it
	if rt := m.find(method, valid); rt != nil {
		return rt
	}
	return m.routes.With(method, m.admit(valid))
}

func (m *HTTPMetrics) find(method, path string) *route {
	// A slice literal: an array that is sliced would be copied, by loads that wait for
	// the stores before them.
	if s := m.routes.find([]string{method, path}, false); s != nil {
		return (*route)(s.M)
	}
	return nil
}

// admit returns the label of a path: the path itself if it has a label already or the
// limit allows one more, and otherwise "other".
func (m *HTTPMetrics) admit(path string) string {
	if m.full.Load() { // from then on paths does not change
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

// known returns the label of a path that was admitted before, and otherwise "other".
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

// ConnState counts connections in http_connections{state}, by the states new, active and
// idle. A closed or hijacked connection is not counted any more. Use it as
// [http.Server.ConnState]. A connection of a type that cannot be a map key is not counted,
// and tacho_errors_total{metric="http_connections",reason="invalid"} counts.
func (m *HTTPMetrics) ConnState(c net.Conn, state http.ConnState) {
	if !hashable(c) {
		m.conns.fam.fault(reasonInvalid)
		return
	}
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
