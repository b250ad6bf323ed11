//go:build !tacho_nohttp

package push

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"time"
)

// At the start and while the receiver fails, a push of Run is one attempt. After a request that needed no
// retry, a push of Run has retries. Other pushes always have them.
func TestRetriesWhileUnavailable(t *testing.T) {
	for name, target := range allTargets {
		t.Run(name, func(t *testing.T) {
			var status []int
			s := serve(t, func(_ int, w http.ResponseWriter) {
				w.WriteHeader(status[0])
				if len(status) > 1 {
					status = status[1:]
				}
			})
			p, _ := testPusher(t, target(s.URL), Config{Retries: 2})
			for i, step := range []struct {
				push     string
				statuses []int // the last one repeats
				requests int
			}{
				{"Run", []int{503}, 1}, // many programs start together, perhaps with the receiver
				{"Run", []int{200}, 1},
				{"Run", []int{503}, 3},
				{"Run", []int{503}, 1},
				{"Run", []int{429}, 1},
				{"Push", []int{503}, 3},
				{"Run", []int{503}, 1},
				{"Run", []int{200}, 1},
				{"Run", []int{503}, 3},
				{"Run", []int{503}, 1},
				{"Run", []int{401}, 1}, // a refusal shows that the receiver responds
				{"Run", []int{503, 429, 200}, 3},
				{"Run", []int{429, 200}, 1}, // the retries of an overloaded receiver are more load
				{"Run", []int{200}, 1},
				{"Run", []int{503, 200}, 2},
				{"Shutdown", []int{503}, 3},
			} {
				status = step.statuses
				before := len(s.seen())
				switch step.push {
				case "Run":
					p.push(context.Background(), p.stop, byTime)
				case "Push":
					p.Push(context.Background())
				case "Shutdown":
					p.Shutdown(context.Background())
				}
				if n := len(s.seen()) - before; n != step.requests {
					t.Errorf("step %d, %s with the statuses %v: %d requests, want %d", i, step.push, step.statuses, n, step.requests)
				}
			}
		})
	}
}

// Run uses the rule of TestRetriesWhileUnavailable.
func TestRunWhileUnavailable(t *testing.T) {
	s := serve(t, statuses(503))
	var failed atomic.Int64
	p, _ := testPusher(t, VictoriaMetrics{URL: s.URL}, Config{
		Interval: time.Millisecond,
		OnError:  func(error) { failed.Add(1) },
	})
	ran := make(chan error)
	go func() { ran <- p.Run(context.Background()) }()
	waitFor(t, func() bool { return failed.Load() >= 5 })
	p.Close()
	<-ran
	// Close may cancel one more push, whose error is not that of a failure.
	if n, pushes := len(s.seen()), int(failed.Load()); n < pushes || n > pushes+1 {
		t.Errorf("%d requests in %d failed pushes", n, pushes)
	}
}

// Retry-After is a minimum. Programs that a receiver refused at the same time must not return at the
// same time.
func TestRetryAfterIsSpread(t *testing.T) {
	p := &Pusher{interval: time.Minute, backoff: time.Second}
	delays := map[time.Duration]bool{}
	for range 100 {
		d := p.delay(0, 30*time.Second)
		if d < 30*time.Second+time.Second/2 || d > 31*time.Second {
			t.Errorf("a retry %v after a response with Retry-After: 30", d)
		}
		delays[d] = true
	}
	if len(delays) < 90 {
		t.Errorf("%d different delays of 100", len(delays))
	}
	if d := p.delay(0, -time.Hour); d < time.Second/2 || d > time.Second {
		t.Errorf("a retry %v after a response with a date in the past", d)
	}
	p.notBefore.Store(int64(time.Hour))
	parts := [6]int{}
	for range 6000 {
		d := p.pause(0, 0) - time.Hour
		if d < 0 || d >= time.Minute {
			t.Fatalf("a pause of an hour and %v, want one within a minute after the hour", d)
		}
		parts[d/(10*time.Second)]++
	}
	for i, n := range parts {
		if n < 500 || n > 1500 {
			t.Errorf("%d of 6000 pauses end in part %d of the interval after Retry-After, want about 1000", n, i)
		}
	}
}
