//go:build !tacho_nohttp

// Package httpclient measures the HTTP requests of a client. It counts requests by
// method, host and status, and measures their durations and the requests in flight.
// Optionally, httpclient also measures the phases of requests, such as the DNS lookup.
//
// The method [Metrics.RoundTripper] wraps the transport of an [http.Client]:
//
//	m := httpclient.New(tacho.Default, httpclient.Config{})
//	client := &http.Client{Transport: m.RoundTripper(nil)}
//	...
//	resp, err := client.Get("https://example.com/")
//	if err != nil {
//		log.Fatal(err)
//	}
//	defer resp.Body.Close()
//
// Close every response body, or read the body to its end. Otherwise the request stays
// in flight.
//
// The type tacho.HTTPMetrics measures the requests to a server.
package httpclient

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/tachikoma/tacho"
)

// other is the label value for hosts beyond the limit and for unknown methods and
// statuses.
const other = "other"

// A Config configures [Metrics]. The zero value is ready to use.
type Config struct {
	// Host returns the host label of a request. If Host is nil, the label is the host
	// of the URL, with the port if the URL has a port. If Host panics, the label is
	// "other". Host is called after the round trip, possibly from several goroutines.
	Host func(*http.Request) string
	// Hosts lists host labels that are always available, for example the hosts of the
	// program's own services. They do not count towards MaxHosts. A label includes the
	// port if the URL has a port. New copies Hosts.
	//
	// If clients of the program choose hosts, for example of webhooks, the chosen hosts
	// can reach MaxHosts before the hosts of the program are in use.
	Hosts []string
	// MaxHosts limits the number of distinct host labels beside Hosts. The value 0
	// means 100, and a negative value allows no further host label. Requests to further
	// hosts have the label "other", and so do requests with a host label over 261 bytes.
	// If a limit of 0 or more causes the label "other",
	// tacho_series_overflow_total{metric="http_client_requests_total"} counts the
	// request. This name has no prefix, also in a registry with [tacho.WithPrefix]. The limit
	// applies to each Metrics separately.
	//
	// The server of a host chooses the statuses. A host label that is not in Hosts has at
	// most 20 of them. Further ones are "other" and count in the same way.
	MaxHosts int
	// IdleExpiry removes the series that have not changed for this time, see
	// [tacho.WithIdleExpiry]. A host without series no longer counts towards MaxHosts. If
	// IdleExpiry is 0 or less, no series is removed.
	IdleExpiry time.Duration
	// Buckets lists the bucket bounds of both histograms, in seconds, see
	// [tacho.Registry.Histogram]. If Buckets is nil, the bounds range from 1 ms to 10 s.
	Buckets []float64
	// Phases enables the histogram http_client_phase_duration_seconds.
	//
	// The histogram is disabled by default, because each request then needs a
	// [httptrace.ClientTrace]. BenchmarkRoundTrip measures the cost.
	Phases bool
	// Exemplar returns the exemplar of a request for the counter and the duration, see
	// [tacho.WithExemplar]. If Exemplar panics, the request has no exemplar. If Exemplar is
	// nil, the context of the request has the exemplar, see [tacho.WithContextExemplars].
	// Exemplar is called after the round trip, possibly from several goroutines.
	Exemplar func(*http.Request) []string
	// StatusLabel is the name of the label status, for example "code" for the dashboards of
	// client_golang. If StatusLabel is empty, the name is "status".
	StatusLabel string
}

// Metrics measures HTTP clients. All methods are safe for concurrent use.
//
//	http_client_requests_total{method,host,status}        counter
//	http_client_request_duration_seconds{method,host}     histogram
//	http_client_requests_in_flight                        gauge
//	http_client_phase_duration_seconds{phase}             histogram, see [Config]
//
// [tacho.Registry.Sub] with [tacho.WithPrefix] puts a prefix before the names.
//
// Every round trip counts. Each redirect and each retry is a further round trip.
//
// The label method is one of the nine standard methods, or "other". The label status
// is the status of the response. Without a response, the label status is:
//   - "canceled" if the context of the request was canceled,
//   - "timeout" after the deadline of the context or a timeout of the transport,
//   - "error" otherwise.
//
// If the transport panics, the label status is "error", and the panic continues to the
// caller.
//
// The duration ends when RoundTrip returns, with the headers of the response. A
// request is in flight until the caller closes the body or reads the body to its end.
// A constantly rising gauge therefore indicates bodies without Close. After status
// 101, the connection belongs to the caller, and the request is no longer in flight.
//
// The histogram http_client_phase_duration_seconds observes these phases:
//   - "dns" is the DNS lookup.
//   - "connect" lasts from the first dial to the first open connection, possibly to a
//     different address.
//   - "tls" is the TLS handshake.
//   - "first_byte" lasts from the open connection to the first byte of the response,
//     including the time to send the request.
//   - "body" lasts from the headers to the end of the body.
//
// A failed phase is not observed. If a request skips a phase, the phase is not observed
// either. For example, a request on a reused connection skips "connect".
type Metrics struct {
	requests *tacho.CounterVec
	duration *tacho.HistogramVec
	inFlight *tacho.Gauge
	phases   *phases // nil without Config.Phases
	host     func(*http.Request) string
	exemplar func(*http.Request) []string
	hosts    hostSet
}

// New defines the metrics in reg. If reg already has the same definitions, the new
// Metrics shares the existing series. New panics with a *[tacho.DefinitionError] if a
// definition conflicts.
func New(reg *tacho.Registry, c Config) *Metrics {
	buckets := c.Buckets
	if buckets == nil {
		buckets = []float64{.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
	}
	status := c.StatusLabel
	if status == "" {
		status = "status"
	}
	// Config.MaxHosts already limits the number of series.
	unlimited, seconds, expiry := tacho.WithMaxSeries(0), tacho.WithUnit("seconds"), tacho.WithIdleExpiry(c.IdleExpiry)
	m := &Metrics{
		requests: reg.CounterVec("http_client_requests_total", "HTTP requests sent.", []string{"method", "host", status}, unlimited, expiry),
		duration: reg.HistogramVec("http_client_request_duration_seconds", "Time from an HTTP request to the headers of its response.",
			buckets, []string{"method", "host"}, unlimited, seconds, expiry),
		inFlight: reg.Gauge("http_client_requests_in_flight", "HTTP requests whose response is not read to its end."),
		host:     c.Host,
		exemplar: c.Exemplar,
	}
	m.hosts.init(m, reg, c)
	if c.Phases {
		m.phases = newPhases(reg.HistogramVec("http_client_phase_duration_seconds", "Time that parts of HTTP requests took.",
			buckets, []string{"phase"}, unlimited, seconds))
	}
	return m
}

// RoundTripper returns a transport that measures the requests of next. If next is nil,
// RoundTripper uses [http.DefaultTransport]. RoundTripper panics with a
// *[tacho.DefinitionError] if [New] did not make the Metrics. The transport does not modify requests.
// It wraps the body of a response and leaves the rest of the response unchanged.
//
// The wrapper implements [io.WriterTo] if the body does. Two kinds of bodies are not
// wrapped: [http.NoBody], and bodies with a Write method, such as the body of a
// response with status 101.
//
// The transport's method CloseIdleConnections calls the same method of next.
func (m *Metrics) RoundTripper(next http.RoundTripper) http.RoundTripper {
	if m == nil || m.requests == nil {
		panic(&tacho.DefinitionError{Metric: "http_client_requests_total", Reason: "the Metrics are not from New"})
	}
	if next == nil {
		next = http.DefaultTransport
	}
	return &roundTripper{m, next}
}

type roundTripper struct {
	m    *Metrics
	next http.RoundTripper
}

// CloseIdleConnections supports [http.Client.CloseIdleConnections].
func (t *roundTripper) CloseIdleConnections() {
	if c, ok := t.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// RoundTrip implements [http.RoundTripper].
func (t *roundTripper) RoundTrip(req *http.Request) (resp *http.Response, err error) {
	m := t.m
	sent := req
	if m.phases != nil {
		sent = req.WithContext(httptrace.WithClientTrace(req.Context(), m.phases.trace()))
	}
	m.inFlight.Inc()
	start := time.Now()
	returned := false
	// A panic is recorded without recover, so the caller gets the original stack trace.
	defer func() {
		if !returned {
			m.inFlight.Dec()
			m.record(req, 0, "error", time.Since(start))
		}
	}()
	resp, err = t.next.RoundTrip(sent)
	returned = true
	elapsed := time.Since(start)
	if err != nil || resp == nil {
		m.inFlight.Dec()
		m.record(req, 0, failureStatus(req.Context(), err), elapsed)
		return resp, err
	}
	if sent != req && resp.Request == sent {
		resp.Request = req
	}
	m.wrapBody(resp)
	m.record(req, resp.StatusCode, "", elapsed)
	return resp, nil
}

// failureStatus returns the status label for a round trip without a response.
func failureStatus(ctx context.Context, err error) string {
	// The context is checked first, because err may be a cause set by the program.
	// The deadline is checked separately. http.Client.Timeout may end the request
	// before the context reports its deadline.
	deadline, limited := ctx.Deadline()
	var timeout interface{ Timeout() bool }
	switch ctxErr := ctx.Err(); {
	case ctxErr == context.Canceled:
		return "canceled"
	case ctxErr != nil, limited && !time.Now().Before(deadline), errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	case errors.Is(err, context.Canceled):
		return "canceled"
	}
	return "error"
}

// record counts a round trip and observes its duration. Without a response, failure is the
// status label.
func (m *Metrics) record(req *http.Request, status int, failure string, d time.Duration) {
	method, host, label := methodLabel(req.Method), m.hostLabel(req), failure
	if label == "" {
		label = m.hosts.status(host, status)
	}
	if m.exemplar == nil {
		m.requests.With(method, host, label).AddContext(req.Context(), 1)
		m.duration.With(method, host).ObserveContext(req.Context(), d.Seconds())
		return
	}
	exemplar, _ := callHook(m.exemplar, req)
	m.requests.With(method, host, label).AddExemplar(1, exemplar...)
	m.duration.With(method, host).ObserveExemplar(d.Seconds(), exemplar...)
}

// hostLabel returns the host label of req.
func (m *Metrics) hostLabel(req *http.Request) string {
	if m.host != nil {
		host, ok := callHook(m.host, req)
		if !ok {
			return other
		}
		return m.hosts.label(host)
	}
	if req.URL == nil {
		return other // the transport returns an error for such a request
	}
	return m.hosts.label(req.URL.Host)
}

// callHook calls f and reports whether f returned without a panic. A panic in f must
// not change the result of the round trip.
func callHook[T any](f func(*http.Request) T, req *http.Request) (result T, ok bool) {
	defer func() {
		if !ok {
			recover()
		}
	}()
	return f(req), true
}

// methodLabel returns the method label. It returns other for a non-standard method.
func methodLabel(method string) string {
	switch method {
	case "":
		return "GET" // the default of net/http
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE":
		return method
	}
	return other
}

// statusLabel returns the digits of a status. If status does not have three digits,
// statusLabel returns other.
func statusLabel(status int) string {
	if status < 100 || status > 999 {
		return other
	}
	i := (status - 100) * 3
	return statuses[i : i+3]
}

// statuses is the concatenation of all status labels. Substrings need no allocation.
var statuses = func() string {
	var b []byte
	for s := int64(100); s <= 999; s++ {
		b = strconv.AppendInt(b, s, 10)
	}
	return string(b)
}()

// wrapBody wraps the body of resp to detect the end of the response.
func (m *Metrics) wrapBody(resp *http.Response) {
	_, writable := resp.Body.(io.Writer)
	if resp.Body == nil || resp.Body == http.NoBody || writable {
		m.inFlight.Dec()
		return
	}
	b := &body{ReadCloser: resp.Body, m: m}
	if m.phases != nil {
		b.start = time.Now()
	}
	if _, ok := resp.Body.(io.WriterTo); ok {
		resp.Body = writerToBody{b}
	} else {
		resp.Body = b
	}
}

// A body wraps the body of a response. It ends at the first error, including io.EOF, or
// at Close.
type body struct {
	io.ReadCloser
	m     *Metrics
	start time.Time   // set if phases are measured
	ended atomic.Bool // atomic, because Read and Close may run concurrently
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.end(err == io.EOF)
	}
	return n, err
}

func (b *body) Close() error {
	err := b.ReadCloser.Close()
	b.end(false)
	return err
}

// end records the first end of the body. The phase "body" is observed only if the body
// was read completely.
func (b *body) end(complete bool) {
	if b.ended.Swap(true) {
		return
	}
	b.m.inFlight.Dec()
	if complete && b.m.phases != nil {
		b.m.phases.body.ObserveSince(b.start)
	}
}

// A writerToBody is a body with an [io.WriterTo] inside.
type writerToBody struct{ *body }

func (b writerToBody) WriteTo(w io.Writer) (int64, error) {
	n, err := b.ReadCloser.(io.WriterTo).WriteTo(w)
	// An error may come from w, and the body may not be at its end.
	if err == nil {
		b.end(true)
	}
	return n, err
}
