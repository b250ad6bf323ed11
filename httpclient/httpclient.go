//go:build !tacho_nohttp

// Package httpclient measures the requests that a program sends: how many by
// method, host and status, how long they take, how many are under way and, if asked
// for, what they wait for.
//
//	m := httpclient.New(tacho.Default, httpclient.Config{})
//	client := &http.Client{Transport: m.RoundTripper(nil)}
//
// It is what tacho.HTTPMetrics is for servers.
package httpclient

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tachikoma/tacho"
)

// other is the label of what would be one too many.
const other = "other"

// maxHostLabel is the longest host label, in bytes: that of a domain name and a
// port. A URL can hold much more.
const maxHostLabel = 255 + len(":65535")

// A Config says how requests are measured. Its zero value is ready to use.
type Config struct {
	// Host chooses the host label of a request, after its response came; nil means
	// the host of the URL with its port, if that is there. If it panics the label is
	// "other".
	Host func(*http.Request) string
	// MaxHosts limits the distinct host labels; 0 means 100. Requests past the limit,
	// or with a label over 261 bytes, count under "other". Each Metrics counts its own.
	MaxHosts int
	// Buckets are those of both histograms, in seconds, as [tacho.Registry.Histogram]
	// takes them; nil means from 1 ms to 10 s.
	Buckets []float64
	// Phases turns on http_client_phase_duration_seconds, which needs a
	// [httptrace.ClientTrace] for each request: about a microsecond, 16 allocations.
	Phases bool
	// Exemplar chooses the exemplar of a request, after its response came, for its
	// count and duration; see [tacho.WithExemplar]. If it panics there is none.
	Exemplar func(*http.Request) []string
}

// Metrics measures HTTP clients. All methods are safe for concurrent use.
//
//	http_client_requests_total{method,host,status}        counter
//	http_client_request_duration_seconds{method,host}     histogram
//	http_client_requests_in_flight                        gauge
//	http_client_phase_duration_seconds{phase}             histogram, see [Config]
//
// Each round trip counts: one for each redirect and retry. The method is one of the
// nine standard methods, else "other". The status is that of the response; without
// one it is "canceled" if the request's context was canceled, "timeout" if its
// deadline or a limit of the transport was passed, else "error", also where the
// transport panicked. The panic goes on to the caller.
//
// The duration ends when RoundTrip returns, with the headers of the response: how
// fast a body is read is up to the caller. A request is in flight until then and on
// until its body was read to the end or closed, since it keeps its connection: if
// the gauge only rises, the program forgets to close bodies. With status 101 the
// connection is the caller's, and the request over.
//
// The phases are "dns" (the look-up), "connect" (from the first attempt to a
// connection, which may be of another address), "tls" (the handshake), "first_byte"
// (from having a connection, through sending the request, to the beginning of the
// response) and "body" (from the headers to the end of the body). One that failed, or
// that a request did not have since it found an open connection, is not observed.
type Metrics struct {
	requests *tacho.CounterVec
	duration *tacho.HistogramVec
	inFlight *tacho.Gauge
	phases   *phases // nil if not asked for
	host     func(*http.Request) string
	exemplar func(*http.Request) []string
	hosts    hostSet
}

// New defines the metrics in reg, or finds those that are defined there already. It
// panics with a *[tacho.DefinitionError] if a definition conflicts.
func New(reg *tacho.Registry, c Config) *Metrics {
	buckets := c.Buckets
	if buckets == nil {
		buckets = []float64{.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
	}
	// Hosts have a limit of their own, which a registry's limit on series would only
	// make coarser.
	unlimited, seconds := tacho.WithMaxSeries(0), tacho.WithUnit("seconds")
	m := &Metrics{
		requests: reg.CounterVec("http_client_requests_total", "HTTP requests sent.", []string{"method", "host", "status"}, unlimited),
		duration: reg.HistogramVec("http_client_request_duration_seconds", "Time from an HTTP request to the headers of its response.",
			buckets, []string{"method", "host"}, unlimited, seconds),
		inFlight: reg.Gauge("http_client_requests_in_flight", "HTTP requests whose response is not read to its end."),
		host:     c.Host,
		exemplar: c.Exemplar,
	}
	if m.hosts.max = c.MaxHosts; m.hosts.max == 0 {
		m.hosts.max = 100
	}
	if c.Phases {
		m.phases = newPhases(reg.HistogramVec("http_client_phase_duration_seconds", "Time that parts of HTTP requests took.",
			buckets, []string{"phase"}, unlimited, seconds))
	}
	return m
}

// RoundTripper returns next with every request measured; nil means
// [http.DefaultTransport]. It leaves requests as they are, and responses but for the
// body, which is wrapped to see its end: that of a 101, which can be written to, and
// http.NoBody stay what they are, and an [io.WriterTo] stays one.
// CloseIdleConnections reaches next.
func (m *Metrics) RoundTripper(next http.RoundTripper) http.RoundTripper {
	if next == nil {
		next = http.DefaultTransport
	}
	return &roundTripper{m, next}
}

type roundTripper struct {
	m    *Metrics
	next http.RoundTripper
}

// CloseIdleConnections is for [http.Client.CloseIdleConnections].
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
	// No recover: the panic is the caller's to handle, with its own trace.
	defer func() {
		if !returned {
			m.inFlight.Dec()
			m.record(req, "error", time.Since(start))
		}
	}()
	resp, err = t.next.RoundTrip(sent)
	returned = true
	elapsed := time.Since(start)
	if err != nil || resp == nil {
		m.inFlight.Dec()
		m.record(req, failure(req.Context(), err), elapsed)
		return resp, err
	}
	if sent != req && resp.Request == sent {
		resp.Request = req
	}
	m.watch(resp)
	m.record(req, statusLabel(resp.StatusCode), elapsed)
	return resp, nil
}

// failure names why there is no response.
func failure(ctx context.Context, err error) string {
	// The error may be the cause that the program gave, so the context is asked first;
	// and its deadline, since http.Client.Timeout ends a request in a second way, too,
	// which can be faster.
	deadline, limited := ctx.Deadline()
	var timeout interface{ Timeout() bool }
	switch over := ctx.Err(); {
	case over == context.Canceled:
		return "canceled"
	case over != nil, limited && !time.Now().Before(deadline), errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	case errors.Is(err, context.Canceled):
		return "canceled"
	}
	return "error"
}

// record counts a round trip.
func (m *Metrics) record(req *http.Request, status string, d time.Duration) {
	method, host := methodLabel(req.Method), m.hostLabel(req)
	var exemplar []string
	if m.exemplar != nil {
		exemplar, _ = ask(m.exemplar, req)
	}
	m.requests.With(method, host, status).AddExemplar(1, exemplar...)
	m.duration.With(method, host).ObserveExemplar(d.Seconds(), exemplar...)
}

// hostLabel returns the label of a request's host.
func (m *Metrics) hostLabel(req *http.Request) string {
	if m.host != nil {
		host, ok := ask(m.host, req)
		if !ok {
			return other
		}
		return m.hosts.label(host)
	}
	if req.URL == nil {
		return other // which a transport refuses, but only then
	}
	return m.hosts.label(req.URL.Host)
}

// ask calls a program's function, unless it panics: measuring must not change what
// the caller gets.
func ask[T any](f func(*http.Request) T, req *http.Request) (answer T, ok bool) {
	defer func() {
		if !ok {
			recover()
		}
	}()
	return f(req), true
}

// A hostSet holds the labels that Config.MaxHosts counts.
type hostSet struct {
	max   int
	mu    sync.Mutex
	known atomic.Pointer[map[string]struct{}] // replaced, never changed
}

// label returns host if it is known or there is room for it.
func (s *hostSet) label(host string) string {
	known := s.known.Load()
	if known != nil {
		if _, ok := (*known)[host]; ok {
			return host
		}
		if len(*known) >= s.max {
			return other
		}
	}
	if len(host) > maxHostLabel || s.max < 0 {
		return other
	}
	return s.admit(host)
}

func (s *hostSet) admit(host string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := map[string]struct{}{}
	if old := s.known.Load(); old != nil {
		if _, ok := (*old)[host]; !ok && len(*old) >= s.max {
			return other
		}
		for h := range *old {
			known[h] = struct{}{}
		}
	}
	known[strings.Clone(host)] = struct{}{} // it may be part of a long URL
	s.known.Store(&known)
	return host
}

func methodLabel(method string) string {
	switch method {
	case "":
		return "GET" // as net/http has it
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE":
		return method
	}
	return other
}

// statusLabel returns the three digits of a status.
func statusLabel(status int) string {
	if status < 100 || status > 999 {
		return other
	}
	i := (status - 100) * 3
	return statuses[i : i+3]
}

// statuses are all labels in a row: parts of a string need no allocation.
var statuses = func() string {
	var b []byte
	for s := int64(100); s <= 999; s++ {
		b = strconv.AppendInt(b, s, 10)
	}
	return string(b)
}()

// watch lets the metrics see the end of a response.
func (m *Metrics) watch(resp *http.Response) {
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

// A body tells of its end: the first error, io.EOF included, or Close.
type body struct {
	io.ReadCloser
	m     *Metrics
	start time.Time   // if phases are measured
	ended atomic.Bool // Read and Close may be called at once
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

// end notes the end once. Only a body that was read to its end has a time.
func (b *body) end(whole bool) {
	if b.ended.Swap(true) {
		return
	}
	b.m.inFlight.Dec()
	if whole && b.m.phases != nil {
		b.m.phases.body.ObserveSince(b.start)
	}
}

type writerToBody struct{ *body }

func (b writerToBody) WriteTo(w io.Writer) (int64, error) {
	n, err := b.ReadCloser.(io.WriterTo).WriteTo(w)
	if err == nil { // else it may be w's: there may be more to read
		b.end(true)
	}
	return n, err
}
