//go:build !tacho_nohttp

package push

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tachikoma/tacho"
)

func TestRun(t *testing.T) {
	failures := make(chan error, 100)
	s := serve(t, statuses(200, 400, 200))
	p, own := testPusher(t, Pushgateway{URL: s.URL, Job: "b"}, Config{
		Interval: time.Millisecond,
		OnError:  func(err error) { failures <- err },
	})
	ran := make(chan error)
	go func() { ran <- p.Run(context.Background()) }()
	waitFor(t, func() bool { return len(s.seen()) >= 5 })
	if err := <-failures; !strings.Contains(err.Error(), "400") {
		t.Errorf("OnError got %v, want status 400", err)
	}
	p.reg.Gauge("last", "").Set(1)
	if err := p.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := <-ran; err != ErrClosed {
		t.Errorf("Run: %v", err)
	}
	seen := s.seen()
	if last := seen[len(seen)-1].body; !strings.Contains(last, "\nlast 1\n") {
		t.Errorf("the last push is %q", last)
	}
	if got := attempts(t, own, s, "success"); got != float64(len(seen)-1) {
		t.Errorf("%v successes counted of %d requests, want all but one", got, len(seen))
	}
	for name, err := range map[string]error{
		"Push":     p.Push(context.Background()),
		"Run":      p.Run(context.Background()),
		"Shutdown": p.Shutdown(context.Background()),
	} {
		if err != ErrClosed {
			t.Errorf("%s: %v, want ErrClosed", name, err)
		}
	}
	if n := len(s.seen()); n != len(seen) {
		t.Errorf("%d pushes after Shutdown", n-len(seen))
	}
	if err := p.Delete(context.Background()); err != nil {
		t.Errorf("Delete: %v", err)
	}
	if len(failures) > 0 {
		t.Errorf("OnError also got %v", <-failures)
	}
}

func TestRunEndsWithContext(t *testing.T) {
	s := serve(t, nil)
	p, _ := testPusher(t, Pushgateway{URL: s.URL, Job: "b"}, Config{Interval: time.Hour})
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error)
	go func() { ran <- p.Run(ctx) }()
	cancel()
	if err := <-ran; err != context.Canceled {
		t.Errorf("Run: %v", err)
	}
	if n := len(s.seen()); n != 0 {
		t.Errorf("%d pushes before Shutdown, want none", n)
	}
	if err := p.Shutdown(context.Background()); err != nil || len(s.seen()) != 1 {
		t.Errorf("Shutdown: %v, %d pushes", err, len(s.seen()))
	}
}

// blocked starts a server without responses. Each request blocks until the test ends
// or the client closes the connection. The channel receives the method of each request.
func blocked(t *testing.T) (*httptest.Server, chan string) {
	arrived, end := make(chan string, 10), make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body) // net/http detects a closed connection only after this
		arrived <- r.Method
		select {
		case <-end:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(func() { close(end); s.Close() })
	return s, arrived
}

func TestCloseCancelsPush(t *testing.T) {
	s, arrived := blocked(t)
	p, _ := testPusher(t, Pushgateway{URL: s.URL, Job: "b"}, Config{Interval: -1}) // the default, as for 0
	pushed, ran := make(chan error), make(chan error)
	go func() { pushed <- p.Push(context.Background()) }()
	<-arrived
	go func() { ran <- p.Run(context.Background()) }()
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	for _, c := range []chan error{pushed, ran} {
		if err := <-c; err != ErrClosed {
			t.Errorf("%v, want ErrClosed", err)
		}
	}
	if err := p.Shutdown(context.Background()); err != ErrClosed {
		t.Errorf("Shutdown: %v", err)
	}
	if err := p.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

func TestShutdownEndsWithContext(t *testing.T) {
	s, arrived := blocked(t)
	p, _ := testPusher(t, Pushgateway{URL: s.URL, Job: "b"}, Config{})
	pushed := make(chan error)
	go func() { pushed <- p.Push(context.Background()) }()
	<-arrived
	ctx, cancel := context.WithCancel(context.Background())
	shut := make(chan error)
	go func() { shut <- p.Shutdown(ctx) }()
	waitFor(t, func() bool { return isClosed(p.stop) })
	cancel()
	if err := <-shut; err != context.Canceled {
		t.Errorf("Shutdown: %v", err)
	}
	if err := <-pushed; err != ErrClosed {
		t.Errorf("Push: %v", err) // no push may continue after Shutdown returns
	}
}

// An unavailable server must not delay the end of a program. Shutdown does not wait for
// a retry of the push in progress, and starts the last push at once.
func TestShutdownEndsBackoff(t *testing.T) {
	s := serve(t, statuses(503, 200))
	p, _ := testPusher(t, Pushgateway{URL: s.URL, Job: "b"}, Config{})
	p.backoff = time.Hour
	pushed := make(chan error)
	go func() { pushed <- p.Push(context.Background()) }()
	waitFor(t, func() bool { return len(s.seen()) == 1 })
	if err := p.Shutdown(context.Background()); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if err := <-pushed; err == nil {
		t.Error("Push succeeded")
	}
}

func TestContext(t *testing.T) {
	s, arrived := blocked(t)
	p, _ := testPusher(t, Pushgateway{URL: s.URL, Job: "b"}, Config{})
	ctx, cancel := context.WithCancel(context.Background())
	pushed := make(chan error)
	go func() { pushed <- p.Push(ctx) }()
	<-arrived
	canceled, stop := context.WithCancel(context.Background())
	stop()
	if err := p.Push(canceled); err != context.Canceled {
		t.Errorf("push that waits for the push in progress: %v, want context.Canceled", err)
	}
	cancel()
	if err := <-pushed; !errors.Is(err, context.Canceled) {
		t.Errorf("push in progress: %v, want context.Canceled", err)
	}
	slow, _ := testPusher(t, Pushgateway{URL: s.URL, Job: "b"}, Config{Timeout: time.Millisecond, Retries: -1})
	var timeout interface{ Timeout() bool }
	if err := slow.Push(context.Background()); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("push after Config.Timeout: %v, want a timeout", err)
	}
}

// If pushes overlapped, an earlier state could overwrite a later state.
func TestPushesDoNotOverlap(t *testing.T) {
	var running, most atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		if n := running.Add(1); n > most.Load() {
			most.Store(n)
		}
		runtime.Gosched()
		running.Add(-1)
	}))
	defer s.Close()
	p, _ := testPusher(t, Pushgateway{URL: s.URL, Job: "b"}, Config{})
	var wg sync.WaitGroup
	for range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range 5 {
				if err := p.Push(context.Background()); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	wg.Wait()
	if most.Load() != 1 {
		t.Errorf("%d requests at the same time, want 1", most.Load())
	}
}

func TestNoGoroutineLeak(t *testing.T) {
	s := serve(t, statuses(200, 503, 200, 400))
	before := runtime.NumGoroutine()
	for range 5 {
		client := &http.Client{Transport: &http.Transport{}}
		p, err := New(Pushgateway{URL: s.URL, Job: "b"}, Config{
			Registry: tacho.NewRegistry(), Client: client, Interval: time.Millisecond,
		})
		if err != nil {
			t.Fatal(err)
		}
		p.backoff = time.Millisecond
		ran := make(chan struct{})
		go func() {
			defer close(ran)
			p.Run(context.Background())
		}()
		n := len(s.seen())
		waitFor(t, func() bool { return len(s.seen()) > n+2 })
		p.Shutdown(context.Background())
		<-ran
		client.CloseIdleConnections()
	}
	waitFor(t, func() bool { return runtime.NumGoroutine() <= before })
}

// Run waits an interval between two pushes, minus the duration of the push. After a longer push or
// Retry-After, the pushes of many programs would be simultaneous, so the pause is random over an interval. A change of the wall clock has no influence.
func TestPause(t *testing.T) {
	p := &Pusher{interval: 10 * time.Second}
	p.notBefore.Store(int64(time.Hour))
	for _, tt := range []struct{ took, now, low, high time.Duration }{
		{0, 2 * time.Hour, 9 * time.Second, 11 * time.Second},
		{4 * time.Second, 2 * time.Hour, 5 * time.Second, 7 * time.Second},
		{20 * time.Second, 2 * time.Hour, 5 * time.Second, 15 * time.Second},
		{0, time.Hour - time.Minute, time.Minute, 70 * time.Second},
		{0, time.Hour - time.Second, 9 * time.Second, 11 * time.Second},
	} {
		low, high := tt.high, tt.low
		for range 1000 {
			d := p.pause(tt.took, tt.now)
			low, high = min(low, d), max(high, d)
		}
		if margin := time.Second / 4; low < tt.low || high > tt.high || low > tt.low+margin || high < tt.high-margin {
			t.Errorf("pauses %v to %v after a push of %v at %v, want %v to %v", low, high, tt.took, tt.now, tt.low, tt.high)
		}
	}
}
