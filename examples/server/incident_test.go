//go:build !tacho_nohttp

package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tachikoma/tacho/tachikoma"
)

// TestIncidentTimes checks that one minute of three is bad, and that the zero incident never is.
func TestIncidentTimes(t *testing.T) {
	i := newIncident()
	for second, want := range map[int]bool{0: false, 29: false, 30: true, 89: true, 90: false, 209: false, 210: true, 269: true, 270: false} {
		now := i.begin.Add(time.Duration(second) * time.Second)
		if got := i.active(now); got != want {
			t.Errorf("after %d s: got %t, want %t", second, got, want)
		}
		if new(incident).active(now) {
			t.Errorf("after %d s: the zero incident is active", second)
		}
	}
}

// TestIncidentLine checks the line that announces the times of an incident.
func TestIncidentLine(t *testing.T) {
	i := incident{begin: time.Date(2026, 1, 2, 10, 0, 0, 0, time.UTC)}
	want := "server: an incident begins at 10:00:30 and ends at 10:01:30; the next begins at 10:03:30\n"
	if got := i.String(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := new(incident).String(); got != "" {
		t.Errorf("the zero incident: got %q, want an empty string", got)
	}
}

// TestIncident requests two routes during an incident and before it. During the incident each
// request of one route waits, and some fail.
func TestIncident(t *testing.T) {
	a := newAPI(tachikoma.New())
	session := a.openSession()
	handler := a.routes()
	var waits []time.Duration
	statuses := func(begin time.Time, path string) map[int]int {
		waits = nil
		a.incident = incident{begin: begin, wait: func(_ context.Context, d time.Duration) { waits = append(waits, d) }}
		counts := map[int]int{}
		for range 200 {
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
			counts[w.Code]++
		}
		return counts
	}
	bad := time.Now().Add(-incidentBegin - time.Second)
	got := statuses(bad, "/forge/sessions/"+session)
	if got[http.StatusOK] == 0 || got[http.StatusInternalServerError] == 0 || len(got) != 2 {
		t.Errorf("during an incident: got statuses %v, want 200 and 500", got)
	}
	if len(waits) != 200 {
		t.Errorf("%d of 200 requests waited, want all", len(waits))
	}
	for _, d := range waits {
		if d < 200*time.Millisecond || d > 2*time.Second {
			t.Errorf("a wait of %v, want 0.2 to 2 s", d)
		}
	}
	if got := statuses(bad, "/missions/1"); got[http.StatusOK] != 200 || waits != nil {
		t.Errorf("another route during an incident: got statuses %v and waits %v, want 200 only", got, waits)
	}
	if got := statuses(time.Now(), "/forge/sessions/"+session); got[http.StatusOK] != 200 || waits != nil {
		t.Errorf("before an incident: got statuses %v and waits %v, want 200 only", got, waits)
	}
}

// TestWorkloadWaits checks that the workload ends after its requests. Requests of an incident end late.
func TestWorkloadWaits(t *testing.T) {
	a := newAPI(tachikoma.New())
	ctx, cancel := context.WithCancel(context.Background())
	var begun, ended atomic.Int64
	a.incident = incident{begin: time.Now().Add(-incidentBegin), wait: func(ctx context.Context, _ time.Duration) {
		if begun.Add(1) == 5 {
			cancel()
		}
		<-ctx.Done()
		for range 1000 {
			runtime.Gosched()
		}
		ended.Add(1)
	}}
	(&workload{api: a, handler: a.routes()}).run(ctx)
	if begun.Load() != ended.Load() {
		t.Errorf("%d requests began and %d ended, want the same number", begun.Load(), ended.Load())
	}
}

// TestWaitEndsWithRequest checks that the end of a request ends its wait.
func TestWaitEndsWithRequest(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	wait(ctx, 1000*time.Hour)
	wait(context.Background(), time.Nanosecond)
}
