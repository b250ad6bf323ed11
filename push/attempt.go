//go:build !tacho_nohttp

package push

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// An outcome is the result of an attempt.
type outcome struct {
	err    error
	retry  bool          // a retry may succeed
	after  time.Duration // minimum wait, from Retry-After
	status int           // of the response; 0 without a response
	header http.Header   // of the response
	reply  string        // the beginning of the response body

	// The following fields are of remote write 2.0.

	unsupported bool  // the receiver does not support version 2.0
	final       bool  // the receiver wrote all samples that it can write
	wrote       bool  // the receiver wrote some samples
	unwritten   int64 // the number of samples that the receiver did not write
}

// An examiner is a [sender] that examines each response with a status.
type examiner interface {
	// examine completes o, the outcome of a request with this body.
	examine(p *Pusher, body []byte, o *outcome)
}

// sendWithRetries sends a request and retries failed attempts. It returns the outcome
// of the last attempt. It calls encode for the body of each attempt. If encode returns an
// error, there is no further attempt.
func (p *Pusher) sendWithRetries(ctx context.Context, stop <-chan struct{}, encode func() ([]byte, error)) outcome {
	for n := 0; ; n++ {
		body, err := encode()
		if err != nil {
			return outcome{err: err, retry: true}
		}
		start := time.Now()
		o := p.request(ctx, p.dest.method, body)
		p.duration.ObserveSince(start)
		p.attempts.With(p.host, o.result()).Inc()
		if o.after > 0 {
			p.notBefore.Store(int64(time.Since(p.epoch) + min(o.after, maxRunDelay)))
		}
		if !o.retry || n >= p.limit || o.after > maxWait || !sleep(ctx, stop, p.delay(n, o.after)) {
			p.note(o, n)
			return o
		}
	}
}

func (o outcome) result() string {
	switch {
	case o.err == nil:
		return "success"
	case o.retry:
		return "failed"
	}
	return "refused"
}

const userAgent = "tacho"

// request makes one attempt. If body is nil, the request has no body and none of the
// target's headers.
func (p *Pusher) request(ctx context.Context, method string, body []byte) outcome {
	attempt, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	var r io.Reader
	if body != nil {
		r = bytes.NewReader(body)
	}
	fail := func(err error) outcome {
		return outcome{err: fmt.Errorf("tacho: push: %s %s: %w", method, p.publicURL, p.redactError(err)), retry: true}
	}
	req, err := http.NewRequestWithContext(attempt, method, p.dest.url.String(), r)
	if err != nil {
		o := fail(err)
		o.retry = false
		return o
	}
	req.Header.Set("User-Agent", userAgent)
	for name, values := range p.header {
		req.Header[name] = values
	}
	if p.hostHeader != "" {
		req.Host = p.hostHeader
	}
	if body != nil {
		for name, values := range p.dest.header {
			req.Header[name] = values
		}
		if s, ok := p.dest.sender.(lender); ok {
			s.lend(req)
		}
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return fail(err)
	}
	defer resp.Body.Close()
	// The response body is part of the error text. Reading a short body to its end
	// lets the client reuse the connection.
	reply, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	o := outcome{status: resp.StatusCode, header: resp.Header, reply: string(reply)}
	switch {
	case o.status/100 == 2 && isPage(resp.Header):
		o.err = fmt.Errorf("tacho: push: %s %s: %s with a web page, so the URL is probably wrong", method, p.publicURL, p.redact(resp.Status))
	case o.status/100 != 2:
		o.reply = string(bytes.TrimSpace(reply))
		o.err = fmt.Errorf("tacho: push: %s %s: %s: %.512q", method, p.publicURL, p.redact(resp.Status), p.redact(o.reply))
		if o.retry = p.dest.sender.retryable(o.status); o.retry {
			o.after = retryAfter(resp.Header)
		}
	}
	if e, ok := p.dest.sender.(examiner); ok {
		e.examine(p, body, &o)
	}
	return o
}

// isPage reports whether a response has HTML. A login page or a page for browsers has the status 200, and no
// receiver of metrics responds with it.
func isPage(h http.Header) bool {
	return strings.HasPrefix(strings.ToLower(h.Get("Content-Type")), "text/html")
}

// retryable reports whether a retry may succeed after this status, for most targets.
func retryable(status int) bool {
	return status >= 500 || status == http.StatusRequestTimeout || status == http.StatusTooManyRequests
}

// retryAfter parses the field Retry-After: seconds or a date (RFC 9110, section
// 10.2.3). For a malformed value it returns 0. For a date in the past the result is
// negative. A date is compared with the clock of the server, from the field Date.
func retryAfter(h http.Header) time.Duration {
	value := h.Get("Retry-After")
	if seconds, err := strconv.ParseUint(value, 10, 32); err == nil {
		return time.Duration(seconds) * time.Second
	}
	t, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	if now, err := http.ParseTime(h.Get("Date")); err == nil {
		return t.Sub(now)
	}
	return time.Until(t)
}
