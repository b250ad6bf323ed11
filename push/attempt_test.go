//go:build !tacho_nohttp

package push

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tachikoma/tacho"
)

func TestRetries(t *testing.T) {
	for _, tt := range []struct {
		name     string
		answers  []int
		retries  int
		requests int
		failed   float64
		last     string // result label of the last attempt
	}{
		{"no retry needed", []int{200}, 0, 1, 0, "success"},
		{"success after retries", []int{503, 500, 429, 202}, 0, 4, 3, "success"},
		{"status 408", []int{408, 204}, 0, 2, 1, "success"},
		{"all retries failed", []int{502}, 0, 4, 4, "failed"},
		{"one retry", []int{502}, 1, 2, 2, "failed"},
		{"retries disabled", []int{503, 200}, -1, 1, 1, "failed"},
		{"refused", []int{400, 200}, 0, 1, 0, "refused"},
		{"unauthorized", []int{401, 200}, 0, 1, 0, "refused"},
		{"too large", []int{413, 200}, 0, 1, 0, "refused"},
		{"first failed, then refused", []int{503, 422}, 0, 2, 1, "refused"},
		{"not modified is refused", []int{304}, 0, 1, 0, "refused"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := serve(t, statuses(tt.answers...))
			p, own := testPusher(t, Pushgateway{URL: s.URL, Job: "b"}, Config{Retries: tt.retries})
			err := p.Push(context.Background())
			if (err == nil) != (tt.last == "success") {
				t.Errorf("error %v", err)
			}
			if err != nil && tt.answers[0] != 304 && (!strings.Contains(err.Error(), "this is answer") || !strings.Contains(err.Error(), "/metrics/job/b")) {
				t.Errorf("error %v does not contain the URL and the response body", err)
			}
			if n := len(s.seen()); n != tt.requests {
				t.Errorf("got %d requests, want %d", n, tt.requests)
			}
			if got := attempts(t, own, s, "failed"); got != tt.failed {
				t.Errorf("%v attempts failed, want %v", got, tt.failed)
			}
			if tt.last != "failed" && attempts(t, own, s, tt.last) != 1 {
				t.Errorf("the last attempt is not counted as %s", tt.last)
			}
			for _, r := range s.seen() {
				if r.body != jobsText {
					t.Errorf("body %q", r.body)
				}
			}
			if last := p.lastSuccess.Value(); (last > 0) != (tt.last == "success") {
				t.Errorf("last success at %v", last)
			}
			if got := p.duration.Snapshot().Count; got != uint64(tt.requests) {
				t.Errorf("%d durations observed, want %d", got, tt.requests)
			}
			if p.bodyBytes.Value() <= 0 {
				t.Errorf("push_body_bytes is %d, want more than 0", p.bodyBytes.Value())
			}
		})
	}
}

func TestConnectionRefused(t *testing.T) {
	s := serve(t, nil)
	s.Close()
	p, own := testPusher(t, Pushgateway{URL: strings.Replace(s.URL, "//", "//user:secret@", 1), Job: "b"}, Config{})
	err := p.Push(context.Background())
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("got error %v, want an error without the password", err)
	}
	if got := attempts(t, own, s, "failed"); got != 4 {
		t.Errorf("%v attempts failed, want 4", got)
	}
}

func TestRetryAfter(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"":           0,
		"0":          0,
		"120":        2 * time.Minute,
		"-1":         0,
		"1.5":        0,
		"soon":       0,
		"4294967295": 4294967295 * time.Second,
		"4294967296": 0,
	} {
		if got := retryAfter(http.Header{"Retry-After": {value}}); got != want {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
	}
	const past = "Mon, 02 Jan 2006 15:04:05 GMT"
	date := time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)
	if got := retryAfter(http.Header{"Retry-After": {date}}); got <= 0 || got > time.Hour {
		t.Errorf("%q: %v", date, got)
	}
	if got := retryAfter(http.Header{"Retry-After": {past}}); got > 0 {
		t.Errorf("a date in the past: %v, want 0 or less", got)
	}
	// The clocks of the server and the program can differ.
	if got := retryAfter(http.Header{"Retry-After": {past}, "Date": {"Mon, 02 Jan 2006 15:03:35 GMT"}}); got != 30*time.Second {
		t.Errorf("30 seconds after the Date: %v", got)
	}
}

// A push waits for the time in Retry-After, although the backoff is one millisecond.
// If that time exceeds the deadline of the context or maxWait, the push is not
// retried.
func TestRetryAfterIsRespected(t *testing.T) {
	unavailable := func(after string) func(int, http.ResponseWriter) {
		return func(n int, w http.ResponseWriter) {
			if n == 0 {
				w.Header().Set("Retry-After", after)
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		}
	}
	t.Run("waits", func(t *testing.T) {
		s := serve(t, unavailable("1"))
		p, _ := testPusher(t, Pushgateway{URL: s.URL, Job: "b"}, Config{})
		if err := p.Push(context.Background()); err != nil || len(s.seen()) != 2 {
			t.Errorf("got error %v after %d requests, want success after 2", err, len(s.seen()))
		}
	})
	t.Run("longer than the context", func(t *testing.T) {
		s := serve(t, unavailable("30"))
		p, _ := testPusher(t, Pushgateway{URL: s.URL, Job: "b"}, Config{})
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := p.Push(ctx); err == nil || !strings.Contains(err.Error(), "503") || ctx.Err() != nil {
			t.Errorf("got error %v, want status 503 before the deadline", err)
		}
	})
	// Run waits as well, but at most maxRunDelay and an interval.
	for after, want := range map[string]time.Duration{"1800": 30 * time.Minute, "3600": time.Hour, "7200": time.Hour} {
		t.Run("longer than maxWait: "+after, func(t *testing.T) {
			s := serve(t, unavailable(after))
			p, _ := testPusher(t, Pushgateway{URL: s.URL, Job: "b"}, Config{})
			if err := p.Push(context.Background()); err == nil || len(s.seen()) != 1 {
				t.Errorf("got error %v after %d requests, want an error after 1", err, len(s.seen()))
			}
			if pause := p.pause(0, time.Since(p.epoch)); pause < want-time.Minute || pause > want+p.interval {
				t.Errorf("Run would wait %v, want %v and a part of the interval", pause, want)
			}
		})
	}
	t.Run("ignored after a refusal", func(t *testing.T) {
		s := serve(t, func(_ int, w http.ResponseWriter) {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusForbidden)
		})
		p, _ := testPusher(t, Pushgateway{URL: s.URL, Job: "b"}, Config{})
		if err := p.Push(context.Background()); err == nil || len(s.seen()) != 1 || p.notBefore.Load() != 0 {
			t.Errorf("got error %v after %d requests, want an error after 1 and no delay of Run", err, len(s.seen()))
		}
	})
}

// A closedBody counts calls of Close.
type closedBody struct {
	io.ReadCloser
	closed *atomic.Int32
}

func (b closedBody) Close() error {
	b.closed.Add(1)
	return b.ReadCloser.Close()
}

// bodyCounter is a transport that counts the responses whose body is closed.
type bodyCounter struct{ closed atomic.Int32 }

func (c *bodyCounter) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err == nil {
		resp.Body = closedBody{resp.Body, &c.closed}
	}
	return resp, err
}

// TestBodiesAreClosed: an open body would keep its connection. An attempt reads only the
// beginning of a long body, so the end of the body does not close it.
func TestBodiesAreClosed(t *testing.T) {
	for _, status := range []int{200, 400, 503} {
		s := serve(t, func(_ int, w http.ResponseWriter) {
			w.WriteHeader(status)
			io.WriteString(w, strings.Repeat("x", 64<<10))
		})
		c := &bodyCounter{}
		p, _ := testPusher(t, VictoriaMetrics{URL: s.URL}, Config{Client: &http.Client{Transport: c}})
		p.Push(context.Background())
		if got, want := int(c.closed.Load()), len(s.seen()); got != want || want == 0 {
			t.Errorf("status %d: %d bodies of %d are closed", status, got, want)
		}
	}
}

// net/http follows a redirect with status 301, 302 or 303 by a GET instead of a POST or
// PUT. The GET could succeed without a push.
func TestRedirects(t *testing.T) {
	to := serve(t, nil)
	for status, ok := range map[int]bool{301: false, 302: false, 303: false, 307: true, 308: true} {
		from := serve(t, func(_ int, w http.ResponseWriter) {
			w.Header().Set("Location", to.URL+"/there")
			w.WriteHeader(status)
		})
		before := len(to.seen())
		p, own := testPusher(t, VictoriaMetrics{URL: from.URL}, Config{})
		err := p.Push(context.Background())
		got := to.seen()[before:]
		if !ok {
			if err == nil || len(got) != 0 || attempts(t, own, from, "refused") != 1 {
				t.Errorf("status %d: error %v and %d requests, want an error and no request", status, err, len(got))
			}
			continue
		}
		if err != nil || len(got) != 1 || got[0].method != "POST" || got[0].body != jobsText {
			t.Errorf("status %d: error %v, requests %+v", status, err, got)
		}
	}
	loop := serve(t, func(_ int, w http.ResponseWriter) {
		w.Header().Set("Location", "/again")
		w.WriteHeader(http.StatusTemporaryRedirect)
	})
	p, _ := testPusher(t, VictoriaMetrics{URL: loop.URL}, Config{Retries: -1})
	if err := p.Push(context.Background()); err == nil || len(loop.seen()) != 10 {
		t.Errorf("got error %v after %d requests, want an error after 10", err, len(loop.seen()))
	}
	refused := errors.New("not there")
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return refused }}
	p, _ = testPusher(t, VictoriaMetrics{URL: loop.URL}, Config{Retries: -1, Client: client})
	if err := p.Push(context.Background()); !errors.Is(err, refused) {
		t.Errorf("got error %v, want the error of CheckRedirect", err)
	}
}

// The text format has no time, so a retry contains the values at the time of the retry. A
// retry by remote write or OTLP contains the same samples (remote write specification 1.0,
// "Retries"; OTLP specification, "All Other Responses").
func TestRetriedValues(t *testing.T) {
	for name, target := range allTargets {
		reg := tacho.NewRegistry()
		g := reg.Gauge("g", "")
		g.Set(1)
		s := serve(t, func(n int, w http.ResponseWriter) {
			if n < 2 {
				g.Inc()
				w.WriteHeader(503)
			}
		})
		p, _ := testPusher(t, target(s.URL), Config{Registry: reg})
		if err := p.Push(context.Background()); err != nil || len(s.seen()) != 3 {
			t.Fatalf("got error %v after %d requests", err, len(s.seen()))
		}
		for i, r := range s.seen() {
			if strings.HasPrefix(name, "RemoteWrite") || name == "OTLP" {
				if r.body != s.seen()[0].body {
					t.Errorf("attempt %d of %s has another body", i, name)
				}
			} else if want := fmt.Sprintf("\ng %d\n", i+1); !strings.Contains(r.body, want) {
				t.Errorf("attempt %d of %s has the body %q, want %q", i, name, r.body, want)
			}
		}
	}
}

// The wait before retry n is random between half of the backoff and the backoff, and at
// most maxWait.
func TestWait(t *testing.T) {
	p := &Pusher{backoff: time.Second}
	for n, want := range map[int]time.Duration{0: time.Second, 1: 2 * time.Second, 5: 32 * time.Second, 6: maxWait, 15: maxWait, 16: maxWait, 1000: maxWait} {
		low, high := want, time.Duration(0)
		for range 1000 {
			d := p.wait(n)
			low, high = min(low, d), max(high, d)
		}
		if low < want/2 || high > want || low > want*6/10 || high < want*9/10 {
			t.Errorf("waits %v to %v before retry %d, want %v to %v", low, high, n, want/2, want)
		}
	}
}
