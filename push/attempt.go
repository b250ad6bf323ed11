//go:build !tacho_nohttp

package push

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

const (
	// maxWait is the longest time that a push waits between attempts. If the server
	// asks for more, the push ends.
	maxWait = time.Minute
	// maxQuiet is how long a server can make Run wait: a mistake in a date must not
	// silence a program for good.
	maxQuiet = time.Hour
)

// An outcome is what came of an attempt.
type outcome struct {
	err   error
	retry bool          // err may pass
	after time.Duration // not before, says the server
}

// persist sends a request until it succeeds, is refused, or there were as many
// attempts as allowed.
func (p *Pusher) persist(ctx context.Context, stop <-chan struct{}, body []byte) outcome {
	for n := 0; ; n++ {
		start := time.Now()
		o := p.request(ctx, p.dest.method, body)
		p.duration.ObserveSince(start)
		p.attempts.With(p.host, o.result()).Inc()
		if o.after > 0 {
			p.notBefore.Store(time.Now().Add(min(o.after, maxQuiet)).UnixNano())
		}
		if !o.retry || n >= p.retries || o.after > maxWait || !pause(ctx, stop, max(p.wait(n), o.after)) {
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

// wait returns how long to wait after attempt n.
func (p *Pusher) wait(n int) time.Duration {
	d := maxWait
	if n < 16 {
		d = min(d, p.backoff<<n)
	}
	return d/2 + rand.N(d/2+1)
}

// pause waits, and reports whether it could: not if ctx or stop ends before, or ctx
// is going to.
func pause(ctx context.Context, stop <-chan struct{}, d time.Duration) bool {
	if end, ok := ctx.Deadline(); ok && time.Until(end) < d {
		return false
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-stop:
		return false
	case <-timer.C:
		return true
	}
}

// request makes one attempt. A nil body is none.
func (p *Pusher) request(ctx context.Context, method string, body []byte) outcome {
	attempt, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	var r io.Reader
	if body != nil {
		r = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(attempt, method, p.dest.url.String(), r)
	if err != nil {
		return outcome{err: fmt.Errorf("tacho: push: %w", err)}
	}
	req.Header.Set("User-Agent", "tacho")
	for name, values := range p.header {
		req.Header[http.CanonicalHeaderKey(name)] = values
	}
	if body != nil {
		for name, values := range p.dest.header {
			req.Header[name] = values
		}
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return outcome{err: fmt.Errorf("tacho: push: %w", err), retry: true}
	}
	defer resp.Body.Close()
	// What the server says is for people; reading it all lets the connection be used
	// again, if it is not too much.
	said, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	if resp.StatusCode/100 == 2 {
		return outcome{}
	}
	err = fmt.Errorf("tacho: push: %s %s: %s: %.512q", method, p.dest.url.Redacted(), resp.Status, bytes.TrimSpace(said))
	if !mayPass(resp.StatusCode) {
		return outcome{err: err}
	}
	return outcome{err, true, retryAfter(resp.Header.Get("Retry-After"))}
}

// mayPass reports whether a later attempt may fare better.
func mayPass(status int) bool {
	return status >= 500 || status == http.StatusRequestTimeout || status == http.StatusTooManyRequests
}

// retryAfter reads seconds or a date (RFC 9110, section 10.2.3).
func retryAfter(value string) time.Duration {
	if seconds, err := strconv.ParseUint(value, 10, 32); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if t, err := http.ParseTime(value); err == nil {
		return time.Until(t)
	}
	return 0
}
