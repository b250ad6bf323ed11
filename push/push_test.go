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
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/internal/race"
	"github.com/tachikoma/tacho/tachotest"
)

// A receivedRequest is a request to a recordingServer.
type receivedRequest struct {
	method, uri string
	header      http.Header
	body        string // decompressed
}

// A recordingServer keeps all requests.
type recordingServer struct {
	*httptest.Server
	mu       sync.Mutex
	requests []receivedRequest
}

// serve starts a recordingServer. The server calls respond for the n-th request, with
// n from 0. If respond is nil, every response has the status 200. A response to remote write 2.0 has
// the Written fields of a receiver that writes a request completely or not at all.
func serve(t *testing.T, respond func(n int, w http.ResponseWriter)) *recordingServer {
	t.Helper()
	s := &recordingServer{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the client closed the connection
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
		s.requests = append(s.requests, receivedRequest{r.Method, r.RequestURI, r.Header, string(body)})
		s.mu.Unlock()
		if strings.Contains(r.Header.Get("Content-Type"), "write.v2.Request") {
			reporter := newWrittenReporter(t, w, string(body))
			defer reporter.report(http.StatusOK)
			w = reporter
		}
		if respond != nil {
			respond(n, w)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *recordingServer) seen() []receivedRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// statuses returns a function for serve. The responses have the statuses in list, and
// the last status repeats.
func statuses(list ...int) func(int, http.ResponseWriter) {
	return func(n int, w http.ResponseWriter) {
		status := list[min(n, len(list)-1)]
		w.WriteHeader(status)
		fmt.Fprintf(w, "this is answer %d\n", n)
	}
}

// testPusher returns a Pusher with a backoff of one millisecond, and the registry of
// the Pusher's metrics. Without a c.Registry the Pusher pushes jobs_total 3.
func testPusher(t *testing.T, target Target, c Config) (*Pusher, *tacho.Registry) {
	t.Helper()
	if c.Registry == nil {
		c.Registry = tacho.NewRegistry()
		c.Registry.Counter("jobs_total", "Jobs.").Add(3)
	}
	if c.Metrics == nil {
		c.Metrics = tacho.NewRegistry()
	}
	if r, ok := target.(RemoteWrite); ok && testVersion2 {
		r.Version2 = true
		target = r
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

// attempts returns push_attempts_total for the host of s and a result. It returns 0 if
// there is no such series.
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

func TestConflict(t *testing.T) {
	reg := tacho.NewRegistry()
	reg.Gauge("push_duration_seconds", "Another definition.")
	p, err := New(VictoriaMetrics{URL: "http://h"}, Config{Registry: reg})
	var def *tacho.DefinitionError
	if !errors.As(err, &def) || p != nil {
		t.Errorf("got error %v, want a *DefinitionError and a nil Pusher", err)
	}
}

// waitFor waits until condition returns true. waitFor has no timeout: go test itself
// ends a test that hangs, and prints all goroutines.
func waitFor(t *testing.T, condition func() bool) {
	t.Helper()
	for !condition() {
		runtime.Gosched()
		time.Sleep(time.Millisecond)
	}
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

// rounds returns the number of rounds of a test with random input: n, or a fifth of n with -short or the race
// detector.
func rounds(n int) int {
	if race.Enabled || testing.Short() {
		return (n + 4) / 5
	}
	return n
}
