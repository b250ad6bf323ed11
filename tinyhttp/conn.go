package tinyhttp

import (
	"io"
	"net"
	"slices"
	"sync"
	"time"
)

// A conn is a connection. Its goroutine reads a request and writes the response, in turn.
type conn struct {
	s   *Server
	nc  net.Conn
	end time.Time // of the last request
	buf []byte    // bytes that were read and not used
	out []byte    // the buffer of responses

	refused bool          // there are too many connections
	gone    chan struct{} // closed if the client is gone or stop was called
	once    sync.Once     // closes gone

	// Guarded by s.mu.
	busy    bool      // the connection has a request
	since   time.Time // the beginning of the wait for a request
	counted bool      // in s.serving
}

// Times of a connection that is closed after a refusal.
const (
	refuseTime = time.Second
	lingerTime = 500 * time.Millisecond
	lingerMax  = 64 << 10
)

// past is a deadline that ends all calls.
var past = time.Unix(1, 0)

// stop ends the connection. It does not block, so it calls Close only if the deadline cannot be
// set, and then in a goroutine: a connection of TLS waits for its client there.
func (c *conn) stop() {
	c.leave()
	ended := false
	defer func() {
		if _ = recover(); !ended { // a connection of the program can panic
			go closeQuietly(c.nc)
		}
	}()
	ended = c.nc.SetDeadline(past) == nil
}

func (c *conn) leave() { c.once.Do(func() { close(c.gone) }) }

// stopped reports whether the connection must end. It is called after each change of a deadline,
// because the change can undo that of stop.
func (c *conn) stopped() bool {
	select {
	case <-c.gone:
		return true
	default:
		return false
	}
}

// serve serves the requests of the connection.
func (c *conn) serve() {
	defer c.s.remove(c)
	defer closeQuietly(c.nc)
	defer func() { _ = recover() }() // a connection of the program can panic
	if c.refused {
		c.refuse(statusServiceUnavailable, false)
		return
	}
	for first := true; ; first = false {
		head, status := c.read(first)
		if status == incomplete || !c.begin() {
			return
		}
		var q request
		if status == complete {
			q, status = parse(head)
		}
		if status == statusOK {
			status = c.respond(&q)
		}
		if status != statusOK {
			c.refuse(status, q.head)
			return
		}
		if !c.next(&q) {
			c.linger()
			return
		}
	}
}

// begin marks the connection as one with a request. It returns false if the connection was
// stopped.
func (c *conn) begin() bool {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.busy = true
	return !c.stopped()
}

// next reports whether the connection waits for another request.
func (c *conn) next(q *request) bool {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.busy, c.since = false, time.Now()
	return c.keeps(q) && !c.stopped()
}

// keeps reports whether the connection stays open after the response. Otherwise the response has
// the field Connection: close.
func (c *conn) keeps(q *request) bool {
	select {
	case <-c.s.closed:
		return false
	default:
		return !q.close && time.Now().Before(c.end)
	}
}

// read reads the head of a request. It returns complete, the status of a refusal, or incomplete if
// the connection ended or waited too long for a request.
func (c *conn) read(first bool) (head string, status int) {
	limit := c.s.maxHeaderBytes()
	seen, skipped := 0, false
	began := first // the time of the head has begun
	deadline := time.Now().Add(c.s.idleTimeout())
	if first {
		deadline = time.Now().Add(c.s.readTimeout())
	}
	for {
		// RFC 9112, section 2.2: one empty line before the request line is ignored.
		if !skipped && len(c.buf) >= 2 && c.buf[0] == '\r' && c.buf[1] == '\n' {
			c.buf = append(c.buf[:0], c.buf[2:]...)
			seen, skipped = 0, true
		}
		if head, status = c.head(seen, limit); status != incomplete {
			return head, status
		}
		if !began && len(c.buf) > 0 {
			deadline, began = time.Now().Add(c.s.readTimeout()), true
		}
		if seen = len(c.buf); deadline.After(c.end) {
			deadline = c.end
		}
		if err := c.nc.SetReadDeadline(deadline); err != nil || c.stopped() {
			return "", incomplete
		}
		if err := c.fill(limit); err != nil {
			if seen > 0 && isTimeout(err) && !c.stopped() {
				return "", statusRequestTimeout
			}
			return "", incomplete
		}
	}
}

// head removes the head of a request from c.buf. An earlier call has scanned the first seen bytes of
// c.buf. It returns complete, incomplete, or the status of a refusal.
func (c *conn) head(seen, limit int) (head string, status int) {
	n, status := scan(c.buf, seen)
	switch {
	case status == complete:
		head = string(c.buf[:n])
		c.buf = append(c.buf[:0], c.buf[n:]...)
	case status != incomplete || len(c.buf) < limit:
	case slices.Contains(c.buf, '\n'):
		status = statusFieldsTooLarge
	default:
		status = statusURITooLong
	}
	return head, status
}

// fill reads once and appends to c.buf, up to limit bytes.
func (c *conn) fill(limit int) error {
	if len(c.buf) == cap(c.buf) {
		larger := make([]byte, len(c.buf), min(max(2*cap(c.buf), 1<<10), limit))
		copy(larger, c.buf)
		c.buf = larger
	}
	n, err := c.nc.Read(c.buf[len(c.buf):cap(c.buf)])
	c.buf = c.buf[:len(c.buf)+n]
	if n > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// abort ends a connection after a part of a response. A reset shows a client of HTTP/1.0 that the
// body is incomplete, and frees the bytes that the system has not sent.
func (c *conn) abort() {
	c.leave()
	if l, ok := c.nc.(interface{ SetLinger(sec int) error }); ok {
		_ = l.SetLinger(0)
	}
}

func isTimeout(err error) bool {
	t, ok := err.(interface{ Timeout() bool })
	return ok && t.Timeout()
}

// watch reads from the connection while functions run, so that the end of the connection ends the
// scrape. The client may send its next request meanwhile. The function that watch returns ends the
// read.
func (c *conn) watch() (stop func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if recover() != nil { // a connection of the program can panic
				c.leave()
			}
		}()
		if err := c.fill(c.s.maxHeaderBytes()); err != nil && !isTimeout(err) {
			c.leave()
		}
	}()
	return func() {
		_ = c.nc.SetReadDeadline(past)
		<-done
	}
}

// refuse writes an error and ends the connection.
func (c *conn) refuse(status int, head bool) {
	if err := c.nc.SetDeadline(time.Now().Add(refuseTime)); err != nil || c.stopped() {
		return
	}
	if _, err := c.nc.Write(appendError(nil, status, head)); err == nil {
		c.linger()
	}
}

// linger discards further bytes of the client for a short time. If a connection is closed while
// received bytes are unread, the client can lose the response (RFC 9112, section 9.6).
func (c *conn) linger() {
	// Another connection replaces this connection first: clients that are refused again and again
	// must not keep other clients out.
	c.s.mu.Lock()
	c.busy, c.since = false, time.Time{}
	c.s.mu.Unlock()
	if err := c.nc.SetDeadline(time.Now().Add(lingerTime)); err != nil || c.stopped() {
		return
	}
	half, ok := c.nc.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	var b [512]byte
	for n := 0; n < lingerMax; {
		m, err := c.nc.Read(b[:])
		if n += m; err != nil {
			return
		}
	}
}
