//go:build !tacho_nohttp

package push

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/tachotest"
)

// A received is a request as a server saw it.
type received struct {
	method, uri string
	header      http.Header
	body        string // decompressed
}

// A recordingServer keeps what it receives and answers what answer says.
type recordingServer struct {
	*httptest.Server
	mu       sync.Mutex
	requests []received
}

// serve starts a server whose n-th answer, from 0, is answer's.
func serve(t *testing.T, answer func(n int, w http.ResponseWriter)) *recordingServer {
	t.Helper()
	s := &recordingServer{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the client went away
		}
		switch r.Header.Get("Content-Encoding") {
		case "gzip":
			z, err := gzip.NewReader(bytes.NewReader(body))
			if err != nil {
				t.Error(err)
				return
			}
			if body, err = io.ReadAll(z); err != nil {
				t.Error(err)
			}
		case "snappy":
			if body, err = unsnappy(body); err != nil {
				t.Error(err)
			}
		}
		s.mu.Lock()
		n := len(s.requests)
		s.requests = append(s.requests, received{r.Method, r.RequestURI, r.Header, string(body)})
		s.mu.Unlock()
		if answer != nil {
			answer(n, w)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *recordingServer) seen() []received {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// statuses answers with one status after another, the last for good.
func statuses(list ...int) func(int, http.ResponseWriter) {
	return func(n int, w http.ResponseWriter) {
		status := list[min(n, len(list)-1)]
		w.WriteHeader(status)
		fmt.Fprintf(w, "this is answer %d\n", n)
	}
}

// testPusher returns a pusher that waits next to nothing between attempts, whose
// own metrics are in the second result, and which pushes jobs_total 3.
func testPusher(t *testing.T, target Target, c Config) (*Pusher, *tacho.Registry) {
	t.Helper()
	if c.Registry == nil {
		c.Registry = tacho.NewRegistry()
		c.Registry.Counter("jobs_total", "Jobs.").Add(3)
	}
	if c.Metrics == nil {
		c.Metrics = tacho.NewRegistry()
	}
	p, err := New(target, c)
	if err != nil {
		t.Fatal(err)
	}
	p.backoff = time.Millisecond
	t.Cleanup(func() { p.Close() })
	return p, c.Metrics
}

const jobsText = "# HELP jobs_total Jobs.\n# TYPE jobs_total counter\njobs_total 3\n"

// attempts returns push_attempts_total{result} of a target.
func attempts(t *testing.T, own *tacho.Registry, s *recordingServer, result string) float64 {
	t.Helper()
	var text bytes.Buffer
	if err := own.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	host := strings.TrimPrefix(s.URL, "http://")
	if !strings.Contains(text.String(), fmt.Sprintf("push_attempts_total{target=%q,result=%q}", host, result)) {
		return 0
	}
	return tachotest.Value(t, own, "push_attempts_total", "target", host, "result", result)
}

func TestPushgateway(t *testing.T) {
	s := serve(t, nil)
	base64 := func(name string) string { return name + "@base64/" }
	for _, tt := range []struct {
		name   string
		target Pushgateway
		method string
		uri    string
	}{
		{"replaces", Pushgateway{Job: "backup"}, "PUT", "/metrics/job/backup"},
		{"adds", Pushgateway{Job: "backup", Add: true}, "POST", "/metrics/job/backup"},
		{"grouping", Pushgateway{Job: "b", Grouping: []string{"instance", "db-1.x_y~", "zone", "eu"}}, "PUT",
			"/metrics/job/b/instance/db-1.x_y~/zone/eu"},
		{"empty value", Pushgateway{Job: "b", Grouping: []string{"instance", ""}}, "PUT", "/metrics/job/b/" + base64("instance") + "="},
		{"slash", Pushgateway{Job: "b", Grouping: []string{"path", "/var/tmp"}}, "PUT", "/metrics/job/b/" + base64("path") + "L3Zhci90bXA"},
		{"slash in job", Pushgateway{Job: "a/b"}, "PUT", "/metrics/" + base64("job") + "YS9i"},
		{"URL alphabet", Pushgateway{Job: "??>/~"}, "PUT", "/metrics/" + base64("job") + "Pz8-L34"},
		{"dots", Pushgateway{Job: "b", Grouping: []string{"dir", ".."}}, "PUT", "/metrics/job/b/" + base64("dir") + "Li4"},
		{"UTF-8", Pushgateway{Job: "バ"}, "PUT", "/metrics/" + base64("job") + "44OQ"},
		{"bad UTF-8", Pushgateway{Job: "a\xff"}, "PUT", "/metrics/" + base64("job") + "Ye-_vQ"},
		{"below a path", Pushgateway{URL: "/gateway/", Job: "b"}, "PUT", "/gateway/metrics/job/b"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.target.URL = s.URL + tt.target.URL
			p, _ := testPusher(t, tt.target, Config{})
			if err := p.Push(context.Background()); err != nil {
				t.Fatal(err)
			}
			got := s.seen()[len(s.seen())-1]
			if got.method != tt.method || got.uri != tt.uri {
				t.Errorf("%s %s, want %s %s", got.method, got.uri, tt.method, tt.uri)
			}
			if got.body != jobsText {
				t.Errorf("body %q", got.body)
			}
			if ct := got.header.Get("Content-Type"); ct != "text/plain; version=0.0.4; charset=utf-8" {
				t.Errorf("Content-Type %q", ct)
			}
			if err := p.Delete(context.Background()); err != nil {
				t.Fatal(err)
			}
			got = s.seen()[len(s.seen())-1]
			// A Pushgateway takes a Content-Encoding without a body for a mistake.
			if got.method != "DELETE" || got.uri != tt.uri || got.body != "" || got.header.Get("Content-Encoding") != "" {
				t.Errorf("delete: %+v", got)
			}
		})
	}
}

func TestVictoriaMetrics(t *testing.T) {
	s := serve(t, statuses(204))
	p, _ := testPusher(t, VictoriaMetrics{URL: s.URL + "/insert/0/prometheus", Labels: []string{"job", "a b&c=d", "env", ""}}, Config{})
	if err := p.Push(context.Background()); err != nil {
		t.Fatal(err)
	}
	got := s.seen()[0]
	if want := "/insert/0/prometheus/api/v1/import/prometheus?extra_label=job%3Da+b%26c%3Dd&extra_label=env%3D"; got.method != "POST" || got.uri != want {
		t.Errorf("%s %s, want %s", got.method, got.uri, want)
	}
	if got.body != jobsText {
		t.Errorf("body %q", got.body)
	}
	if err := p.Delete(context.Background()); err == nil || len(s.seen()) != 1 {
		t.Errorf("delete: %v and %d requests", err, len(s.seen()))
	}
}

func TestBadTargets(t *testing.T) {
	for _, tt := range []struct {
		target Target
		want   string
	}{
		{Pushgateway{URL: "127.0.0.1:9091", Job: "b"}, "bad URL"},
		{Pushgateway{URL: "ftp://127.0.0.1", Job: "b"}, "want http://host"},
		{Pushgateway{URL: "http://", Job: "b"}, "want http://host"},
		{Pushgateway{URL: "http://h"}, "needs a job"},
		{Pushgateway{URL: "http://h", Job: "b", Grouping: []string{"a"}}, "pairs"},
		{Pushgateway{URL: "http://h", Job: "b", Grouping: []string{"job", "c"}}, "label job twice"},
		{Pushgateway{URL: "http://h", Job: "b", Grouping: []string{"a-b", "c"}}, `bad label name "a-b"`},
		{VictoriaMetrics{URL: "http://h", Labels: []string{"__name__", "x"}}, `bad label name "__name__"`},
		{RemoteWrite{URL: "http://h", Labels: []string{"", "x"}}, `bad label name ""`},
		{RemoteWrite{URL: "http://u:secret@h:port"}, "bad URL"},
		{RemoteWrite{URL: "unix://u:secret@h"}, "bad URL"},
	} {
		_, err := New(tt.target, Config{Registry: tacho.NewRegistry()})
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "tacho: push: ") {
			t.Errorf("%+v: %v, want %q", tt.target, err, tt.want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%v tells the password", err)
		}
	}
}

func TestConflict(t *testing.T) {
	reg := tacho.NewRegistry()
	reg.Gauge("push_duration_seconds", "Mine.")
	p, err := New(VictoriaMetrics{URL: "http://h"}, Config{Registry: reg})
	var def *tacho.DefinitionError
	if !errors.As(err, &def) || p != nil {
		t.Errorf("%v, want a *DefinitionError", err)
	}
}

func TestHeaders(t *testing.T) {
	s := serve(t, nil)
	basic := strings.Replace(s.URL, "http://", "http://user:pass@", 1)
	header := http.Header{"authorization": {"Bearer abc"}, "X-Scope-OrgID": {"7"}, "Content-Type": {"text/html"}, "User-Agent": {"backup/1"}}
	for _, tt := range []struct {
		url    string
		header http.Header
		want   [3]string
	}{
		{basic, nil, [3]string{"Basic dXNlcjpwYXNz", "", "tacho"}},
		{s.URL, header, [3]string{"Bearer abc", "7", "backup/1"}},
	} {
		p, _ := testPusher(t, Pushgateway{URL: tt.url, Job: "b"}, Config{Header: tt.header})
		if tt.header != nil {
			tt.header.Set("X-Late", "1") // what is changed later is not sent
		}
		if err := p.Push(context.Background()); err != nil {
			t.Fatal(err)
		}
		got := s.seen()[len(s.seen())-1].header
		if is := [3]string{got.Get("Authorization"), got.Get("X-Scope-OrgID"), got.Get("User-Agent")}; is != tt.want {
			t.Errorf("%q, want %q", is, tt.want)
		}
		if !strings.HasPrefix(got.Get("Content-Type"), "text/plain") || got.Get("X-Late") != "" {
			t.Errorf("%v", got)
		}
	}
}

func TestRetries(t *testing.T) {
	for _, tt := range []struct {
		name     string
		answers  []int
		retries  int
		requests int
		failed   float64
		last     string // result of the last attempt
	}{
		{"none needed", []int{200}, 0, 1, 0, "success"},
		{"in the end", []int{503, 500, 429, 202}, 0, 4, 3, "success"},
		{"timeouts", []int{408, 204}, 0, 2, 1, "success"},
		{"given up", []int{502}, 0, 4, 4, "failed"},
		{"given up after one", []int{502}, 1, 2, 2, "failed"},
		{"none wanted", []int{503, 200}, -1, 1, 1, "failed"},
		{"refused", []int{400, 200}, 0, 1, 0, "refused"},
		{"unauthorized", []int{401, 200}, 0, 1, 0, "refused"},
		{"too large", []int{413, 200}, 0, 1, 0, "refused"},
		{"first failed, then refused", []int{503, 422}, 0, 2, 1, "refused"},
		{"not modified is no success", []int{304}, 0, 1, 0, "refused"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := serve(t, statuses(tt.answers...))
			p, own := testPusher(t, Pushgateway{URL: s.URL, Job: "b"}, Config{Retries: tt.retries})
			err := p.Push(context.Background())
			if (err == nil) != (tt.last == "success") {
				t.Errorf("error %v", err)
			}
			if err != nil && tt.answers[0] != 304 && (!strings.Contains(err.Error(), "this is answer") || !strings.Contains(err.Error(), "/metrics/job/b")) {
				t.Errorf("%v does not say who said what", err)
			}
			if n := len(s.seen()); n != tt.requests {
				t.Errorf("%d requests, want %d", n, tt.requests)
			}
			if got := attempts(t, own, s, "failed"); got != tt.failed {
				t.Errorf("%v failed, want %v", got, tt.failed)
			}
			if tt.last != "failed" && attempts(t, own, s, tt.last) != 1 {
				t.Errorf("not counted as %s", tt.last)
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
				t.Errorf("%d durations", got)
			}
			if p.bodyBytes.Value() <= 0 {
				t.Errorf("%d bytes", p.bodyBytes.Value())
			}
		})
	}
}

func TestNobodyThere(t *testing.T) {
	s := serve(t, nil)
	s.Close()
	p, own := testPusher(t, Pushgateway{URL: strings.Replace(s.URL, "//", "//user:secret@", 1), Job: "b"}, Config{})
	err := p.Push(context.Background())
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("%v", err)
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
		if got := retryAfter(value); got != want {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
	}
	date := time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)
	if got := retryAfter(date); got <= 0 || got > time.Hour {
		t.Errorf("%q: %v", date, got)
	}
	if got := retryAfter("Mon, 02 Jan 2006 15:04:05 GMT"); got > 0 {
		t.Errorf("a date that is over: %v", got)
	}
}

// A server that asks for a longer time than the caller has, or than a push waits, is
// not asked again, though the pusher's own wait would be a millisecond.
func TestRetryAfterIsRespected(t *testing.T) {
	answer := func(after string) func(int, http.ResponseWriter) {
		return func(n int, w http.ResponseWriter) {
			if n == 0 {
				w.Header().Set("Retry-After", after)
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		}
	}
	t.Run("waits", func(t *testing.T) {
		s := serve(t, answer("1"))
		p, _ := testPusher(t, Pushgateway{URL: s.URL, Job: "b"}, Config{})
		if err := p.Push(context.Background()); err != nil || len(s.seen()) != 2 {
			t.Errorf("%v after %d requests", err, len(s.seen()))
		}
	})
	t.Run("longer than the context", func(t *testing.T) {
		s := serve(t, answer("30"))
		p, _ := testPusher(t, Pushgateway{URL: s.URL, Job: "b"}, Config{})
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := p.Push(ctx); err == nil || !strings.Contains(err.Error(), "503") || ctx.Err() != nil {
			t.Errorf("%v", err)
		}
	})
	t.Run("longer than a push waits", func(t *testing.T) {
		s := serve(t, answer("3600"))
		p, _ := testPusher(t, Pushgateway{URL: s.URL, Job: "b"}, Config{})
		if err := p.Push(context.Background()); err == nil || len(s.seen()) != 1 {
			t.Errorf("%v after %d requests", err, len(s.seen()))
		}
		if p.notBefore.Load() < time.Now().UnixNano() {
			t.Error("Run would not know")
		}
	})
	t.Run("of a refusal means nothing", func(t *testing.T) {
		s := serve(t, func(_ int, w http.ResponseWriter) {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusForbidden)
		})
		p, _ := testPusher(t, Pushgateway{URL: s.URL, Job: "b"}, Config{})
		if err := p.Push(context.Background()); err == nil || len(s.seen()) != 1 || p.notBefore.Load() != 0 {
			t.Errorf("%v after %d requests", err, len(s.seen()))
		}
	})
}

// net/http turns a POST or PUT that is answered with 301, 302 or 303 into a GET,
// which a server may well answer with 200.
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
				t.Errorf("%d: %v, %d requests", status, err, len(got))
			}
			continue
		}
		if err != nil || len(got) != 1 || got[0].method != "POST" || got[0].body != jobsText {
			t.Errorf("%d: %v, %+v", status, err, got)
		}
	}
	loop := serve(t, func(_ int, w http.ResponseWriter) {
		w.Header().Set("Location", "/again")
		w.WriteHeader(http.StatusTemporaryRedirect)
	})
	p, _ := testPusher(t, VictoriaMetrics{URL: loop.URL}, Config{Retries: -1})
	if err := p.Push(context.Background()); err == nil || len(loop.seen()) != 10 {
		t.Errorf("%v after %d requests", err, len(loop.seen()))
	}
	mine := errors.New("not there")
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return mine }}
	p, _ = testPusher(t, VictoriaMetrics{URL: loop.URL}, Config{Retries: -1, Client: client})
	if err := p.Push(context.Background()); !errors.Is(err, mine) {
		t.Errorf("%v, want the client's", err)
	}
}

func TestTooLarge(t *testing.T) {
	s := serve(t, nil)
	reg := tacho.NewRegistry()
	v := reg.GaugeVec("g", "", []string{"l"})
	for i := range 5000 {
		v.With(fmt.Sprint(i))
	}
	for _, target := range []Target{Pushgateway{URL: s.URL, Job: "b"}, VictoriaMetrics{URL: s.URL}, RemoteWrite{URL: s.URL}} {
		p, own := testPusher(t, target, Config{Registry: reg, MaxBytes: 50_000})
		if err := p.Push(context.Background()); err != errTooLarge {
			t.Errorf("%v", err)
		}
		if attempts(t, own, s, "unsent") != 1 {
			t.Error("not counted")
		}
	}
	if n := len(s.seen()); n != 0 {
		t.Errorf("%d requests", n)
	}
}

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
		t.Errorf("%v", err)
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
		t.Errorf("%v successes of %d", got, len(seen))
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
		t.Errorf("%d pushes after the last", n-len(seen))
	}
	if err := p.Delete(context.Background()); err != nil {
		t.Errorf("Delete: %v", err)
	}
	if len(failures) > 0 {
		t.Errorf("OnError also got %v", <-failures)
	}
}

// waitFor waits until something is so; a test that hangs ends with all goroutines
// shown.
func waitFor(t *testing.T, what func() bool) {
	t.Helper()
	for !what() {
		runtime.Gosched()
		time.Sleep(time.Millisecond)
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
		t.Errorf("%d pushes", n)
	}
	if err := p.Shutdown(context.Background()); err != nil || len(s.seen()) != 1 {
		t.Errorf("Shutdown: %v, %d pushes", err, len(s.seen()))
	}
}

// blocked returns a server that does not answer until the test ends or the client
// goes away, and a channel that tells of each request.
func blocked(t *testing.T) (*httptest.Server, chan string) {
	arrived, end := make(chan string, 10), make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body) // so that the server sees the client go
		arrived <- r.Method
		select {
		case <-end:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(func() { close(end); s.Close() })
	return s, arrived
}

func TestCloseEndsPushUnderWay(t *testing.T) {
	s, arrived := blocked(t)
	p, _ := testPusher(t, Pushgateway{URL: s.URL, Job: "b"}, Config{Interval: -1}) // as 0
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
		t.Errorf("closed again: %v", err)
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
		t.Errorf("Push: %v", err) // nothing must go on after Shutdown returned
	}
}

// A server that is down must not hold a program up: Shutdown waits for no retry of
// a push under way, and begins its own.
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
	waiting, stop := context.WithCancel(context.Background())
	stop()
	if err := p.Push(waiting); err != context.Canceled {
		t.Errorf("one that waits for its turn: %v", err)
	}
	cancel()
	if err := <-pushed; !errors.Is(err, context.Canceled) {
		t.Errorf("one under way: %v", err)
	}
	slow, _ := testPusher(t, Pushgateway{URL: s.URL, Job: "b"}, Config{Timeout: time.Millisecond, Retries: -1})
	var timeout interface{ Timeout() bool }
	if err := slow.Push(context.Background()); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("one that takes too long: %v", err)
	}
}

// Pushes that overlap would let an earlier state overwrite a later one.
func TestPushesDoNotOverlap(t *testing.T) {
	var now, most atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		if n := now.Add(1); n > most.Load() {
			most.Store(n)
		}
		runtime.Gosched()
		now.Add(-1)
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
		t.Errorf("%d at once", most.Load())
	}
}

func TestNoGoroutineStays(t *testing.T) {
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

func TestLint(t *testing.T) {
	s := serve(t, nil)
	p, own := testPusher(t, VictoriaMetrics{URL: s.URL}, Config{})
	if err := p.Push(context.Background()); err != nil {
		t.Fatal(err)
	}
	for _, problem := range tachotest.Lint(t, own) {
		t.Error(problem)
	}
}

func TestURLKeepsQuery(t *testing.T) {
	s := serve(t, nil)
	p, _ := testPusher(t, VictoriaMetrics{URL: s.URL + "/?token=x", Labels: []string{"a", "b"}}, Config{})
	if err := p.Push(context.Background()); err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(s.seen()[0].uri)
	if err != nil || u.Path != "/api/v1/import/prometheus" || u.Query().Get("token") != "x" || u.Query().Get("extra_label") != "a=b" {
		t.Errorf("%v, %v", u, err)
	}
}
