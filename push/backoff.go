//go:build !tacho_nohttp

package push

import (
	"context"
	"math/rand/v2"
	"time"
)

const (
	// maxWait is the longest wait between two attempts of a push. If the server asks
	// for a longer wait, the push ends.
	maxWait = time.Minute
	// maxRunDelay limits the time for which Retry-After can delay Run. Without this
	// limit, a wrong date in Retry-After could stop all later pushes.
	maxRunDelay = time.Hour
)

// A cause is the cause of a push.
type cause int

const (
	byCall   cause = iota // Push
	byTime                // Run
	byTheEnd              // Shutdown: no push follows
)

// allowed returns the maximum number of retries of each request of a push.
//
// The next push of Run replaces the retries. With 3 retries in each push, a fleet would send up to 4 times
// its usual requests to a receiver that starts or is overloaded. A receiver may also have stored a request
// that timed out, and stores its retry again. So a push of Run has retries only if the last request before
// the push needed none.
func (p *Pusher) allowed(why cause) int {
	if why == byTime && !p.healthy {
		return 0
	}
	return p.retries
}

// note records the outcome of a request after n retries.
func (p *Pusher) note(o outcome, n int) { p.healthy = !o.retry && n == 0 }

// wait returns the random wait after attempt n, counted from 0.
func (p *Pusher) wait(n int) time.Duration {
	d := maxWait
	if n < 16 {
		d = min(d, p.backoff<<n)
	}
	return d/2 + rand.N(d/2+1)
}

// delay returns the time between attempt n of a push and the next one. after is from Retry-After. A receiver
// sends the same Retry-After to many programs, so delay adds a random time.
func (p *Pusher) delay(n int, after time.Duration) time.Duration { return p.wait(n) + max(after, 0) }

// pause returns the time between the end of a push and the next push of Run. took is the
// duration of the push, and now is the time since p.epoch.
//
// A receiver that begins to respond after a long time ends the pushes of many programs at the same time.
// A date in Retry-After is also the same time for many programs. The next pushes of these programs must
// not be simultaneous, so the pause is then random over an interval.
func (p *Pusher) pause(took, now time.Duration) time.Duration {
	wait := p.interval*9/10 + rand.N(p.interval/5+1)
	if took < wait {
		wait -= took
	} else {
		wait = p.interval/2 + rand.N(p.interval)
	}
	if after := time.Duration(p.notBefore.Load()) - now; after > wait {
		wait = after + rand.N(p.interval)
	}
	return wait
}

// sleep waits for d and reports whether d elapsed. It returns false as soon as ctx
// ends or stop is closed. If the deadline of ctx is earlier than the end of d, sleep
// returns false without waiting.
func sleep(ctx context.Context, stop <-chan struct{}, d time.Duration) bool {
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
