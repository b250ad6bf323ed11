//go:build unix

package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// A traffic counts the requests of all programs.
type traffic struct {
	start    time.Time
	requests atomic.Int64
	accepted atomic.Int64 // responses with a status 2xx
	refused  atomic.Int64 // responses with a status 4xx except 408 and 429
	failed   atomic.Int64 // all other attempts, except those that the end of the run canceled
	retries  atomic.Int64 // requests with the body of the request before
	late     atomic.Int64 // accepted retries
	opened   atomic.Int64 // connections
	open     atomic.Int64
	sent     atomic.Int64 // bytes, with headers
	received atomic.Int64
	bodies   atomic.Int64 // bytes

	mu      sync.Mutex
	seconds []int // requests by second since start
	longest time.Duration
}

// note counts a request in its second.
func (t *traffic) note() {
	t.requests.Add(1)
	second := int(time.Since(t.start) / time.Second)
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(t.seconds) <= second {
		t.seconds = append(t.seconds, 0)
	}
	t.seconds[second]++
}

// rate returns the mean and the maximum of the requests by second, from and to seconds after the
// start.
func (t *traffic) rate(from, to int) (mean, peak float64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	sum := 0.0
	for i := from; i < to && i < len(t.seconds); i++ {
		sum += float64(t.seconds[i])
		peak = max(peak, float64(t.seconds[i]))
	}
	if to > from {
		mean = sum / float64(to-from)
	}
	return mean, peak
}

// A wire is the transport of a program. It counts, and sends times with the skew of the program.
type wire struct {
	traffic   *traffic
	transport *http.Transport
	skew      time.Duration

	// The fields below are used by one push at a time.
	last  []byte    // the body of the latest request, unless it was accepted
	first time.Time // of the requests with this body
}

// newTransport returns a transport whose connections count their bytes.
func newTransport(t *traffic) *http.Transport {
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	return &http.Transport{
		MaxIdleConnsPerHost: 1 << 16,
		IdleConnTimeout:     90 * time.Second, // as in http.DefaultTransport
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := dialer.DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			t.opened.Add(1)
			t.open.Add(1)
			return &countedConn{Conn: c, traffic: t}, nil
		},
	}
}

type countedConn struct {
	net.Conn
	traffic *traffic
	once    sync.Once
}

func (c *countedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.traffic.received.Add(int64(n))
	return n, err
}

func (c *countedConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.traffic.sent.Add(int64(n))
	return n, err
}

func (c *countedConn) Close() error {
	c.once.Do(func() { c.traffic.open.Add(-1) })
	return c.Conn.Close()
}

// RoundTrip implements [http.RoundTripper].
func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	t := w.traffic
	t.note()
	body, err := io.ReadAll(r.Body)
	r.Body.Close()
	if err != nil {
		return nil, err
	}
	retry := w.last != nil && bytes.Equal(w.last, body)
	if retry {
		t.retries.Add(1)
	} else {
		w.first = time.Now()
	}
	w.last = body
	if w.skew != 0 {
		if body, err = shift(body, w.skew); err != nil {
			return nil, err
		}
	}
	t.bodies.Add(int64(len(body)))
	r = r.Clone(r.Context())
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	resp, err := w.transport.RoundTrip(r)
	switch {
	case errors.Is(err, context.Canceled): // the run ends
		return resp, err
	case err != nil || resp.StatusCode >= 500 || resp.StatusCode == 429 || resp.StatusCode == 408:
		t.failed.Add(1)
		return resp, err
	case resp.StatusCode/100 == 2:
		t.accepted.Add(1)
		if retry {
			t.late.Add(1)
			t.mu.Lock()
			t.longest = max(t.longest, time.Since(w.first))
			t.mu.Unlock()
		}
	default:
		t.refused.Add(1)
	}
	w.last = nil
	return resp, err
}
