//go:build !tacho_nohttp

package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestServer runs the whole program on a free port and stops it.
func TestServer(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	out, in := io.Pipe()
	ended := make(chan error, 1)
	var pushes atomic.Int64
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Content-Encoding") == "snappy" {
			pushes.Add(1)
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	defer receiver.Close()
	go func() {
		ended <- run(ctx, []string{"-addr", "127.0.0.1:0", "-write", receiver.URL + "/api/v1/write"}, in)
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	base := regexp.MustCompile(`http://[0-9.:]+`).FindString(line)
	if !strings.Contains(line, base+"/metrics ") {
		t.Fatalf("the line on start does not say what to open: %q", line)
	}
	do := func(method, path, body string, want int) string {
		t.Helper()
		req, _ := http.NewRequest(method, base+path, strings.NewReader(body))
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != want {
			t.Errorf("%s %s: %d, want %d", method, path, resp.StatusCode, want)
		}
		return string(b)
	}
	do("GET", "/healthz", "", 200)
	do("POST", "/missions", `{"name":"laughing man"}`, 201)
	do("POST", "/missions", `{`, 400)
	if got := do("GET", "/missions/1", "", 200); !strings.Contains(got, "laughing man") {
		t.Errorf("mission 1: %s", got)
	}
	for _, id := range []string{"2", "77", "any"} {
		do("GET", "/missions/"+id, "", 200)
	}
	do("GET", "/nowhere", "", 404)

	metrics := do("GET", "/metrics", "", 200)
	for _, want := range []string{
		`http_requests_total{method="GET",path="/missions/{id}",status="200"} 4`,
		`http_requests_total{method="POST",path="/missions",status="400"} 1`,
		`http_requests_total{method="GET",path="/nowhere",status="404"} 1`,
		`http_requests_in_flight 1`, // this one
		`http_connections{state="active"} 1`,
	} {
		if !strings.Contains(metrics, want+"\n") {
			t.Errorf("no %s in\n%s", want, metrics)
		}
	}
	// The workload runs beside, and may not have begun.
	for tries := 0; tries < 500 && !strings.Contains(metrics, "# TYPE db_query_duration_seconds "); tries++ {
		time.Sleep(10 * time.Millisecond)
		metrics = do("GET", "/metrics", "", 200)
	}
	for _, family := range []string{"tachikoma_missions_total", "tachikoma_forge_sessions_total", "tachikoma_tokens_used_total", "tachikoma_tokens_cost_dollars",
		"db_connections_idle", "db_query_duration_seconds", "cache_hits_total", "go_goroutines", "http_client_requests_in_flight"} {
		if !strings.Contains(metrics, "# TYPE "+family+" ") {
			t.Errorf("no %s", family)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("shutdown: %v", err)
	}
	if pushes.Load() == 0 {
		t.Error("nothing was pushed, not at the end either")
	}
}
