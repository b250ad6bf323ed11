//go:build !tacho_nohttp

package httpclient

import (
	"crypto/tls"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"github.com/tachikoma/tacho"
)

// phases holds the histograms for the phases of a request, see [Metrics].
type phases struct {
	dns, connect, tls, firstByte, body *tacho.Histogram
	epoch                              time.Time // the zero time of all timers
}

func newPhases(v *tacho.HistogramVec) *phases {
	return &phases{
		dns:       v.With("dns"),
		connect:   v.With("connect"),
		tls:       v.With("tls"),
		firstByte: v.With("first_byte"),
		body:      v.With("body"),
		epoch:     time.Now(),
	}
}

// A trace holds the start times of the phases of one request. The transport calls the
// trace from several goroutines, even after the end of the request. The transport
// dials several addresses concurrently. It also completes a connection for the use of
// a later request.
type trace struct {
	dns, connect, tls, firstByte timer
}

// A timer is a start time in nanoseconds since the epoch, or 0 if it is not running.
type timer struct{ at atomic.Int64 }

// trace returns a trace for one request.
func (p *phases) trace() *httptrace.ClientTrace {
	t := new(trace)
	return &httptrace.ClientTrace{
		DNSStart: func(httptrace.DNSStartInfo) { t.dns.start(p) },
		DNSDone:  func(i httptrace.DNSDoneInfo) { t.dns.stop(p, p.dns, i.Err) },
		// The phase lasts from the first dial to the first open connection.
		ConnectStart:      func(string, string) { t.connect.startOnce(p) },
		ConnectDone:       func(_, _ string, err error) { t.connect.stop(p, p.connect, err) },
		TLSHandshakeStart: func() { t.tls.start(p) },
		TLSHandshakeDone:  func(_ tls.ConnectionState, err error) { t.tls.stop(p, p.tls, err) },
		// The phase starts at GotConn, because WroteRequest can follow the response.
		GotConn:              func(httptrace.GotConnInfo) { t.firstByte.start(p) },
		GotFirstResponseByte: func() { t.firstByte.stop(p, p.firstByte, nil) },
	}
}

func (t *timer) start(p *phases) { t.at.Store(p.now()) }

// startOnce starts the timer unless it is running.
func (t *timer) startOnce(p *phases) { t.at.CompareAndSwap(0, p.now()) }

// stop observes the time since the start and stops the timer. It does nothing if the
// phase failed or the timer is not running.
func (t *timer) stop(p *phases, h *tacho.Histogram, err error) {
	if err != nil {
		return
	}
	if at := t.at.Swap(0); at != 0 {
		h.ObserveDuration(time.Duration(p.now() - at))
	}
}

// now returns the nanoseconds since the epoch. The result is never 0, because 0 means
// not running.
func (p *phases) now() int64 { return max(1, int64(time.Since(p.epoch))) }
