//go:build !tacho_nohttp

package push

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tachikoma/tacho"
)

// blocking returns a registry with a function that blocks until release. calls is the
// number of calls in progress.
func blocking(t *testing.T) (reg *tacho.Registry, calls *atomic.Int32, release func()) {
	reg, calls = tacho.NewRegistry(), new(atomic.Int32)
	block := make(chan struct{})
	var released atomic.Bool
	reg.GaugeFunc("blocked", "", func() float64 {
		calls.Add(1)
		<-block
		return 1
	})
	release = func() {
		if !released.Swap(true) {
			close(block)
		}
	}
	t.Cleanup(release)
	return reg, calls, release
}

var allTargets = map[string]func(url string) Target{
	"Pushgateway":     func(url string) Target { return Pushgateway{URL: url, Job: "b"} },
	"VictoriaMetrics": func(url string) Target { return VictoriaMetrics{URL: url} },
	"RemoteWrite":     func(url string) Target { return RemoteWrite{URL: url} },
	"RemoteWrite2":    func(url string) Target { return RemoteWrite{URL: url, Version2: true} },
	"OTLP":            func(url string) Target { return OTLP{URL: url} },
}

// A function of the registry that does not return delays no push beyond its context, and
// the registry is not read twice at the same time.
func TestBlockedFunction(t *testing.T) {
	for name, target := range allTargets {
		t.Run(name, func(t *testing.T) {
			s := serve(t, nil)
			reg, calls, release := blocking(t)
			p, own := testPusher(t, target(s.URL), Config{Registry: reg, Timeout: time.Hour})
			before := runtime.NumGoroutine()
			for range 3 {
				ctx, cancel := context.WithCancel(context.Background())
				pushed := make(chan error)
				go func() { pushed <- p.Push(ctx) }()
				waitFor(t, func() bool { return calls.Load() == 1 && len(p.sem) == 1 })
				cancel()
				if err := <-pushed; err != context.Canceled {
					t.Errorf("Push: %v, want context.Canceled", err)
				}
			}
			waitFor(t, func() bool { return runtime.NumGoroutine() <= before+1 })
			if n := calls.Load(); n != 1 {
				t.Errorf("the function runs %d times at once, want once", n)
			}
			if n := attempts(t, own, s, "unsent"); n != 3 || len(s.seen()) != 0 {
				t.Errorf("%v pushes are counted as unsent with %d requests, want 3 without a request", n, len(s.seen()))
			}
			release()
			if err := p.Push(context.Background()); err != nil || calls.Load() != 2 {
				t.Errorf("after the function returned: %v, %d calls", err, calls.Load())
			}
		})
	}
}

func TestBlockedFunctionAtShutdown(t *testing.T) {
	for name, target := range allTargets {
		t.Run(name, func(t *testing.T) {
			s := serve(t, nil)
			reg, calls, _ := blocking(t)
			p, _ := testPusher(t, target(s.URL), Config{Registry: reg, Timeout: time.Hour, Interval: time.Nanosecond})
			ran := make(chan error)
			go func() { ran <- p.Run(context.Background()) }()
			waitFor(t, func() bool { return calls.Load() == 1 })
			ctx, cancel := context.WithCancel(context.Background())
			shut := make(chan error)
			go func() { shut <- p.Shutdown(ctx) }()
			waitFor(t, func() bool { return isClosed(p.stop) })
			cancel()
			if err := <-shut; err != context.Canceled {
				t.Errorf("Shutdown: %v", err)
			}
			if err := <-ran; err != ErrClosed {
				t.Errorf("Run: %v", err)
			}
			if n := calls.Load(); n != 1 {
				t.Errorf("%d calls of the function, want 1", n)
			}
		})
	}
}

// A function that does not return costs a push nothing but its own family. At Shutdown the
// stale markers are sent too. On a busy machine the time that is left for the other families
// may be too short, so the test tries longer timeouts.
func TestLateFunction(t *testing.T) {
	for name, target := range allTargets {
		t.Run(name, func(t *testing.T) {
			err := context.DeadlineExceeded
			for timeout := 50 * time.Millisecond; errors.Is(err, context.DeadlineExceeded) && timeout < 30*time.Second; timeout *= 4 {
				err = pushLateFunction(t, target, timeout, strings.HasPrefix(name, "RemoteWrite"))
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// pushLateFunction pushes twice while a function blocks, and shuts the pusher down.
func pushLateFunction(t *testing.T, target func(url string) Target, timeout time.Duration, markers bool) error {
	s := serve(t, nil)
	reg, calls, release := blocking(t)
	defer release()
	reg.Counter("jobs_total", "Jobs.").Add(3)
	p, _ := testPusher(t, target(s.URL), Config{Registry: reg, Timeout: timeout})
	for range 2 {
		if err := p.Push(context.Background()); err != nil {
			return err
		}
	}
	if n := calls.Load(); n != 1 {
		t.Errorf("%d calls of the function, want 1", n)
	}
	for i, r := range s.seen() {
		late := strings.Contains(r.body, "\nblocked ") ||
			strings.Contains(r.body, "\x07blockedb") // the name of a Metric before its metadata
		if markers {
			late = slices.ContainsFunc(readRequest(t, r.body), func(line string) bool { return strings.Contains(line, `__name__="blocked"`) })
		}
		if late || !strings.Contains(r.body, "jobs_total") {
			t.Errorf("request %d has the body %q, want jobs_total without the late family", i, r.body)
		}
	}
	if err := p.Shutdown(context.Background()); err != nil {
		return err
	}
	if last := s.seen()[len(s.seen())-1].body; markers && !strings.Contains(last, "\x09\x02\x00\x00\x00\x00\x00\xf0\x7f") {
		t.Errorf("the last request is %q, want stale markers", last)
	}
	return nil
}
