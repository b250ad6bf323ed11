//go:build !tacho_nohttp

package httpclient

import (
	"crypto/tls"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"github.com/tachikoma/tacho"
)

// phases are the parts of a request; see [Metrics].
type phases struct {
	dns, connect, tls, firstByte, body *tacho.Histogram
	epoch                              time.Time // what clocks count from
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

// A trace has when the phases of one request began. The transport calls it from
// several goroutines, also after the request is over: it dials addresses at once,
// and goes on with a connection that somebody else may use.
type trace struct {
	dns, connect, tls, ready clock
}

// A clock is a time since the epoch in nanoseconds; 0 if it was not started.
type clock struct{ at atomic.Int64 }

func (p *phases) trace() *httptrace.ClientTrace {
	t := new(trace)
	return &httptrace.ClientTrace{
		DNSStart: func(httptrace.DNSStartInfo) { t.dns.start(p) },
		DNSDone:  func(i httptrace.DNSDoneInfo) { t.dns.stop(p, p.dns, i.Err) },
		// The first of several connections to begin, the first to be there.
		ConnectStart:      func(string, string) { t.connect.startOnce(p) },
		ConnectDone:       func(_, _ string, err error) { t.connect.stop(p, p.connect, err) },
		TLSHandshakeStart: func() { t.tls.start(p) },
		TLSHandshakeDone:  func(_ tls.ConnectionState, err error) { t.tls.stop(p, p.tls, err) },
		// From here and not from WroteRequest, which can come after the response.
		GotConn:              func(httptrace.GotConnInfo) { t.ready.start(p) },
		GotFirstResponseByte: func() { t.ready.stop(p, p.firstByte, nil) },
	}
}

func (c *clock) start(p *phases) { c.at.Store(p.now()) }

func (c *clock) startOnce(p *phases) { c.at.CompareAndSwap(0, p.now()) }

// stop observes the time since the clock was started, once, unless the phase
// failed.
func (c *clock) stop(p *phases, h *tacho.Histogram, err error) {
	if err != nil {
		return
	}
	if at := c.at.Swap(0); at != 0 {
		h.ObserveDuration(time.Duration(p.now() - at))
	}
}

func (p *phases) now() int64 { return max(1, int64(time.Since(p.epoch))) }
