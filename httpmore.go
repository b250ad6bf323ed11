//go:build !tacho_nohttp

package tacho

import (
	"io"
	"net/http"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/tachikoma/tacho/internal/recorder"
)

// WithTimeToFirstByte adds the histogram http_time_to_first_byte_seconds{method,path}. The
// histogram observes the time until the first final status, write or flush, and has the buckets
// of the duration. If a handler returns without a write, the time is the duration, because the
// server responds then. If a handler hijacks the connection, the time ends there. A request
// without a response is not observed: the handler panicked before it wrote, or the client left
// and the handler wrote nothing. [HTTPMetrics.Record] observes no such time. The option applies
// to [NewHTTPMetrics].
//
// The duration includes the time in which a client reads the response. This time does not.
func WithTimeToFirstByte() Option {
	return func(o *options) {
		o.only(onHTTP, "WithTimeToFirstByte")
		o.more().firstByte = true
	}
}

// WithRequestSize adds the histogram http_request_size_bytes{method,path}. The histogram observes
// the number of bytes of the body that the handler read, and has the buckets of the response size.
// Bytes that the handler reads after it returned are not counted. [HTTPMetrics.Record] observes no
// such size. A request with a body takes one more allocation. The option applies to
// [NewHTTPMetrics].
//
// The header Content-Length is not used. A client can announce any length and send nothing.
// One such request would spoil the sum.
func WithRequestSize() Option {
	return func(o *options) {
		o.only(onHTTP, "WithRequestSize")
		o.more().requestSize = true
	}
}

// moreMetrics are the histograms that options add. Pointers to moreMetrics have no type, and
// the code is in function values: a program without these options contains neither the code
// nor the types. See internal/SIZE.md.
type moreMetrics struct {
	firstByte, requestSize bool
	list                   []*HistogramVec // the time to first byte comes first

	define func(m *HTTPMetrics, reg *Registry, o *options, labels []string)
	begin  func(m *HTTPMetrics, r *http.Request, rec *recorder.Recorder) (body unsafe.Pointer)
	end    func(m *HTTPMetrics, rt *route, rec *recorder.Recorder, start time.Duration, body unsafe.Pointer, exemplar []string)
	route  func(m *HTTPMetrics, rt *route)
	lists  func(m *HTTPMetrics, rt *route) bool
	expiry func(m *HTTPMetrics) *vec
}

// more returns the moreMetrics of an option.
func (o *options) more() *moreMetrics {
	if o.moreMetrics == nil {
		o.moreMetrics = unsafe.Pointer(&moreMetrics{define: defineMore, begin: beginMore, end: endMore, route: routeMore, lists: listsMore, expiry: expiryMore})
	}
	return (*moreMetrics)(o.moreMetrics)
}

// defineMore defines the histograms, and adds their lines to those of a route. The routes that
// are free have these lines too. So the budgets are smaller, and a scrape has the same limits
// (TestScrapeIsBounded).
func defineMore(m *HTTPMetrics, reg *Registry, o *options, labels []string) {
	more := (*moreMetrics)(m.more)
	if more.firstByte {
		more.list = append(more.list, reg.HistogramVec(o.name("http_time_to_first_byte_seconds"),
			"Time to the first byte of an HTTP response in seconds", o.duration, labels, o.pass("seconds", o.expiry, o.native)))
	}
	if more.requestSize {
		more.list = append(more.list, reg.HistogramVec(o.name("http_request_size_bytes"),
			"HTTP request size in bytes", o.size, labels, o.pass("bytes", o.expiry, o.native)))
	}
	m.halved = 1
	for _, v := range more.list {
		m.lines += len(v.fam.hist.Upper) + 3
		if v.dated {
			m.lines++
		}
	}
}

// routeMore makes the histograms of a route.
func routeMore(m *HTTPMetrics, rt *route) {
	list := new([2]*Histogram)
	for i, v := range (*moreMetrics)(m.more).list {
		list[i] = v.With(rt.method, rt.path)
	}
	rt.more = unsafe.Pointer(list)
}

// listsMore reports whether a series of the histograms of a route is listed.
func listsMore(m *HTTPMetrics, rt *route) bool {
	for i, v := range (*moreMetrics)(m.more).list {
		if v.lists(unsafe.Pointer((*[2]*Histogram)(rt.more)[i]), rt.method, rt.path) {
			return true
		}
	}
	return false
}

// expiryMore returns the vector of the last family of m in a scrape.
func expiryMore(m *HTTPMetrics) *vec {
	if more := (*moreMetrics)(m.more); more.firstByte {
		return &more.list[0].vec
	}
	return &m.size.vec
}

// beginMore prepares a request, and returns its body if the bytes are to be counted.
func beginMore(m *HTTPMetrics, r *http.Request, rec *recorder.Recorder) unsafe.Pointer {
	more := (*moreMetrics)(m.more)
	if more.firstByte {
		recorder.TimeFirst(rec)
	}
	if !more.requestSize || r.Body == nil || r.Body == http.NoBody {
		return nil
	}
	// The server has a reference of its own to the body.
	body := &countedBody{ReadCloser: r.Body, r: r}
	r.Body = body
	return unsafe.Pointer(body)
}

// endMore observes the histograms of a request that was recorded. exemplar has the labels of the
// request's exemplar, or none.
func endMore(m *HTTPMetrics, rt *route, rec *recorder.Recorder, start time.Duration, p unsafe.Pointer, exemplar []string) {
	more, list := (*moreMetrics)(m.more), (*[2]*Histogram)(rt.more)[:]
	if more.firstByte {
		if d, ok := recorder.FirstByte(rec, start); ok {
			list[0].ObserveExemplar(d.Seconds(), exemplar...)
		}
		list = list[1:]
	}
	if more.requestSize {
		n := int64(0)
		if body := (*countedBody)(p); body != nil {
			n = body.n.Load()
			if body.r.Body == io.ReadCloser(body) {
				body.r.Body = body.ReadCloser // for middleware outside
			}
		}
		list[0].ObserveExemplar(float64(n), exemplar...)
	}
}

// A countedBody counts the bytes of the body of a request. Handlers may read it from several
// goroutines, also when the middleware has returned, as below http.TimeoutHandler.
type countedBody struct {
	io.ReadCloser
	r *http.Request // has the body
	n atomic.Int64
}

// Read implements [io.Reader].
func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if 0 < n && n <= len(p) {
		b.n.Add(int64(n))
	}
	return n, err
}
