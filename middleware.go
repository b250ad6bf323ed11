//go:build !tacho_nohttp

package tacho

import (
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

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
	skip, stream   chooser
	hooks          *routeHooks
	maxPaths       int
	maxPathsSet    bool
	labels         []string       // nil for httpLabels
	longer         int            // bytes by which labels may be longer than httpLabels
	moreMetrics    unsafe.Pointer // *moreMetrics, or nil
}

// httpLabels are the names of the labels of the HTTP metrics.
var httpLabels = []string{"method", "path", "status", "state"}

// name returns the name of an HTTP metric.
//
//go:noinline
func (o *options) name(name string) string { return o.prefix + name }

// pass returns the options of an HTTP metric, whose name ends in the unit. A caller passes
// expiry and native if the metric knows them.
//
//go:noinline
func (o *options) pass(unit string, expiry, native unsafe.Pointer) Option {
	return func(metric *options) {
		*metric = *o
		metric.unit, metric.expiry, metric.native = unit, expiry, native
	}
}

// HTTPMetrics measures an HTTP server. All methods are safe for concurrent use.
//
//	http_requests_total{method,path,status}        counter
//	http_request_duration_seconds{method,path}     histogram
//	http_requests_in_flight                        gauge
//	http_response_size_bytes{method,path}          histogram
//	http_connections{state}                        gauge, see ConnState
//	http_time_to_first_byte_seconds{method,path}   histogram, see WithTimeToFirstByte
//	http_request_size_bytes{method,path}           histogram, see WithRequestSize
//
// [WithPrefix] and [WithLabelName] change the names.
//
// Durations have buckets from 1 ms to 10 s, and sizes from 100 bytes to 1 GB.
//
// The label method is one of the nine standard methods, or "other". The label path is the
// first of these that is not empty:
//
//   - the result of [WithPathLabel],
//   - the route of [SetRoute] or [HTTPMetrics.Route],
//   - the path of the pattern by which [http.ServeMux] routed the request,
//   - [NormalizePath] of the URL's path.
//
// Whatever clients send, the default metrics of one HTTPMetrics have less than 2,000,000
// bytes and 20,000 lines in a scrape if the program names up to 100 routes. Normalized
// paths are limited to 130,000 bytes for requests with the status 404 or 405, and to
// 450,000 bytes for others. Further paths, and paths of more than 512 bytes, are "other".
// A path that the program names, by the first three of the rules, always has its first
// method, the methods of its patterns, and "other". Its other methods are limited to
// 480,000 bytes. A route has four statuses and "other". Up to 20 statuses are limited to
// 600,000 bytes together with these methods for named paths, and to the bytes above for
// normalized paths. The sums over all series stay exact. Requests with the path or status
// "other" for such a reason, or with the method "other" past the limit, count in
// tacho_series_overflow_total{metric="http_requests_total"}. [WithMaxPaths] raises the
// limits, and [WithIdleExpiry] makes room again. With [WithTimeToFirstByte] or
// [WithRequestSize] a route has more lines. The limits of a scrape are the same, and the other
// limits in bytes are half as large.
type HTTPMetrics struct {
	requests *CounterVec
	duration *HistogramVec
	size     *HistogramVec
	inFlight *Gauge
	label    func(*http.Request) string
	exemplar leaveExemplar        // nil for none
	skip     chooser              // nil for none
	stream   chooser              // nil for none
	more     unsafe.Pointer       // *moreMetrics, or nil
	hooks    atomic.Pointer[byte] // *routeHooks, or nil; see internal/SIZE.md

	routes *vec // of route: all metrics of a method and path, for one lookup a request

	paths *vec // of pathLabel

	halved      uint8 // 1 if the budgets are halved, for the free routes of moreMetrics
	lines       int   // of the histograms of a route in a scrape
	statusLines int   // of each status of a route
	lineCost    int   // bytes of a line, without method and path

	mu      sync.Mutex // held to make and drop routes and statuses, never to find them
	budgets [origins]budget

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
// [WithPathLabel], [WithSetRoute], [WithMaxPaths], [WithSkip], [WithStream], [WithExemplar],
// [WithTimeToFirstByte], [WithRequestSize], [WithLabelName], [WithPrefix], [WithNative],
// [WithConstLabels] and, for metrics with the label path, [WithIdleExpiry].
func NewHTTPMetrics(reg *Registry, opts ...Option) *HTTPMetrics {
	o := makeOptions(reg, &inHTTP, opts)
	if o.duration == nil {
		o.duration = durationBuckets
	}
	if o.size == nil {
		o.size = sizeBuckets
	}
	if !o.maxPathsSet {
		o.maxPaths = 1000
	}
	o.limit = limit{} // WithMaxPaths limits the series instead
	labels := o.labels
	if labels == nil {
		labels = httpLabels
	}
	byRoute := labels[:2]
	m := &HTTPMetrics{
		requests: reg.CounterVec(o.name("http_requests_total"), "Total HTTP requests", labels[:3], o.pass("", o.expiry, nil)),
		duration: reg.HistogramVec(o.name("http_request_duration_seconds"), "HTTP request duration in seconds", o.duration, byRoute, o.pass("seconds", o.expiry, o.native)),
		size:     reg.HistogramVec(o.name("http_response_size_bytes"), "HTTP response size in bytes", o.size, byRoute, o.pass("bytes", o.expiry, o.native)),
		inFlight: reg.Gauge(o.name("http_requests_in_flight"), "Current number of HTTP requests being processed", o.pass("", nil, nil)),
		conns:    reg.GaugeVec(o.name("http_connections"), "Current number of HTTP connections by state", labels[3:], o.pass("", nil, nil)),
		label:    o.pathLabel,
		exemplar: o.exemplar,
		skip:     o.skip,
		stream:   o.stream,
		more:     o.moreMetrics,
		states:   map[net.Conn]http.ConnState{},
	}
	if hook := (*contextHook)(reg.context); hook != nil && m.exemplar == nil {
		m.exemplar = hook.request
	}
	m.hooks.Store((*byte)(unsafe.Pointer(o.hooks)))
	if more := (*moreMetrics)(m.more); more != nil {
		more.define(m, reg, o, byRoute)
	}
	m.makeRoutes(o)
	return m
}

// Handler returns a handler that calls next and measures each request. It is the
// middleware.
//
// The first final status is recorded: 200 if none was written, 101 for a hijacked
// connection, and 500 if next panicked before it wrote a status. The status is 499
// if the client left before a status was written, and next wrote none, or 5xx afterwards. A
// panic continues to the server.
//
// The duration ends when next returns. The duration of a hijacked connection ends when it
// is hijacked. [WithStream] marks other requests whose duration ends early. Every request
// is in flight until next returns.
//
// The response writer of next has [http.Flusher], [http.Hijacker], [http.Pusher] and
// [http.CloseNotifier] exactly if the server's writer has them. CloseNotifier needs Flusher
// too, which all writers of net/http with CloseNotifier have. It always has
// [io.StringWriter], [io.ReaderFrom] and Unwrap, for [http.ResponseController].
//
// Handler panics with a *[DefinitionError] if next is nil or [NewHTTPMetrics] did not make
// the HTTPMetrics.
func (m *HTTPMetrics) Handler(next http.Handler) http.Handler {
	m.check(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if m.skip != nil && m.skip(m, r) {
			next.ServeHTTP(w, r)
			return
		}
		start := recorder.Uptime()
		rec := recorder.New(r.Context(), w)
		if m.stream != nil && m.stream(m, r) {
			recorder.Time(rec)
		}
		var body unsafe.Pointer // *countedBody, or nil
		if more := (*moreMetrics)(m.more); more != nil {
			body = more.begin(m, r, rec)
		}
		in, l := m.attach(r)
		pattern := r.Pattern
		m.inFlight.Inc()
		returned := false
		// No recover: the server handles the panic and prints its stack trace.
		defer func() {
			m.inFlight.Dec()
			if recorder.Status(rec) == 0 {
				recorder.SetStatus(rec, unwritten(rec, returned))
			}
			if l != nil {
				r.Pattern = in.Pattern // for middleware outside
			}
			m.finish(in, l, pattern, rec, start, body)
		}()
		next.ServeHTTP(recorder.Writer(rec), in)
		returned = true
	})
}

// attach returns the request for the next handler, and its link if there are hooks.
func (m *HTTPMetrics) attach(r *http.Request) (*http.Request, *link) {
	if hooks := (*routeHooks)(unsafe.Pointer(m.hooks.Load())); hooks != nil {
		return hooks.attach(r)
	}
	return r, nil
}

// unwritten returns the status of a request for which the handler wrote none. Without a
// response the status gets no time.
func unwritten(rec *recorder.Recorder, returned bool) int {
	status := http.StatusInternalServerError
	switch {
	case recorder.Gone(rec):
		status = recorder.StatusClientGone
	case returned:
		return http.StatusOK
	}
	recorder.Untime(rec)
	return status
}

// finish records a request. pattern is that of r before the next handler, and body the result of
// beginMore.
func (m *HTTPMetrics) finish(r *http.Request, l *link, pattern string, rec *recorder.Recorder, start time.Duration, body unsafe.Pointer) {
	elapsed := recorder.Elapsed(rec, start)
	status := recorder.Status(rec)
	inner, path, from, ownMethod := r, "", named, false
	if l != nil || m.label != nil {
		inner, path, ownMethod = m.chosen(r, l)
	}
	if path == "" && r.Pattern != "" {
		// The pattern "/" of a mux outside of the middleware matches every path.
		if path = patternPath(r.Pattern); path == "/" && r.Pattern == pattern || status/100 == 3 && isRedirect(path, urlPath(r)) {
			path = ""
		}
		ownMethod = hasMethod(r.Pattern, r.Method)
	}
	// A normalized path is on this stack, and copied only for a new series.
	var store [256]byte
	if path == "" {
		path, from = normalized(store[:0], urlPath(r)), fromClient(status)
	}
	responseBytes := recorder.Bytes(rec)
	if r.Method == http.MethodHead { // the server accepts bytes and sends none
		responseBytes = 0
	}
	rt := m.route(methodLabel(r.Method), path, from, ownMethod)
	count := m.record(rt, status, elapsed, responseBytes)
	var exemplar []string
	if m.exemplar != nil {
		exemplar = m.exemplar(m, inner, rt, count, elapsed, responseBytes)
	}
	if more := (*moreMetrics)(m.more); more != nil {
		more.end(m, rt, rec, start, body, exemplar)
	}
}

// fromClient returns the origin of a path that the client chose.
func fromClient(status int) origin {
	if status == http.StatusNotFound || status == http.StatusMethodNotAllowed {
		return unanswered
	}
	return answered
}

// chosen returns the innermost request that is known, and the path label that the program
// chose. The label is the result of WithPathLabel's function, or "other" if that function
// panics. Otherwise the label is the route of l, or "".
func (m *HTTPMetrics) chosen(r *http.Request, l *link) (inner *http.Request, path string, ownMethod bool) {
	inner = r
	if l != nil {
		inner, path, ownMethod = (*routeHooks)(unsafe.Pointer(m.hooks.Load())).resolve(l, r)
	}
	if m.label != nil {
		label, ok := callWith(m, m.label, inner)
		if !ok {
			label = overflowValue
		}
		if label != "" {
			return inner, label, false
		}
	}
	return inner, path, ownMethod
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
// counts. The method of a zero HTTPMetrics has no effect.
func (m *HTTPMetrics) Record(method, path string, status int, d time.Duration, responseBytes int64) {
	if m.routes == nil { // NewHTTPMetrics did not make m
		return
	}
	var store [256]byte
	rt := m.route(methodLabel(method), normalized(store[:0], path), fromClient(status), false)
	m.record(rt, status, d, responseBytes)
}

// record returns the counter of the request.
func (m *HTTPMetrics) record(rt *route, status int, d time.Duration, responseBytes int64) *Counter {
	count := m.counter(rt, status)
	count.Inc()
	if d >= 0 {
		rt.duration.ObserveDuration(d)
	} else {
		m.duration.fam.fault(reasonNegative)
	}
	if responseBytes >= 0 {
		rt.size.Observe(float64(responseBytes))
	}
	return count
}

// route returns the metrics of a method and path, by one lookup if they exist. ownMethod
// means that the program named the method too.
func (m *HTTPMetrics) route(method, path string, from origin, ownMethod bool) *route {
	// A slice literal: an array that is sliced would be copied, by loads that wait for the
	// stores before them.
	rt := (*route)(m.routes.store.Find([]string{method, path}))
	if rt == nil {
		rt = m.slowRoute(method, path, from, ownMethod)
	}
	if from == named && rt.foreign.Load() {
		m.claim(rt, ownMethod)
	}
	return rt
}

// A leaveExemplar leaves the exemplar of a request that was recorded, and returns its labels.
type leaveExemplar func(m *HTTPMetrics, r *http.Request, rt *route, count *Counter, d time.Duration, responseBytes int64) []string

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
// and tacho_errors_total{metric="http_connections",reason="invalid"} counts. The method of a
// zero HTTPMetrics has no effect.
func (m *HTTPMetrics) ConnState(c net.Conn, state http.ConnState) {
	if m.routes == nil { // NewHTTPMetrics did not make m
		return
	}
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
