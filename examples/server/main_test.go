//go:build !tacho_nohttp

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"runtime/pprof"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
)

// TestServer runs the program on a free port, sends requests and stops the program.
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
		ended <- run(ctx, []string{"-incident", "-addr", "127.0.0.1:0", "-write", receiver.URL + "/api/v1/write"}, in)
	}()
	lines := bufio.NewReader(out)
	line, err := lines.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	if second, _ := lines.Peek(lines.Buffered()); !strings.HasPrefix(string(second), "server: an incident begins at ") {
		t.Errorf("second line: got %q, want the time of the incident", second)
	}
	base := regexp.MustCompile(`http://[0-9.:]+`).FindString(line)
	if !strings.Contains(line, base+"/metrics ") {
		t.Fatalf("first line: got %q, want the URL of /metrics", line)
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
			t.Errorf("%s %s: got status %d, want %d", method, path, resp.StatusCode, want)
		}
		return string(b)
	}
	do("GET", "/healthz", "", 200)
	var created mission
	if err := json.Unmarshal([]byte(do("POST", "/missions", `{"name":"laughing man"}`, 201)), &created); err != nil {
		t.Fatal(err)
	}
	if err := uuid.Validate(created.ID); err != nil {
		t.Errorf("ID %q of the created mission: %v", created.ID, err)
	}
	do("POST", "/missions", `{`, 400)
	if got := do("GET", "/missions/"+created.ID, "", 200); !strings.Contains(got, "laughing man") {
		t.Errorf("mission %s: got %s, want the name laughing man", created.ID, got)
	}
	if got := do("GET", "/missions", "", 200); !strings.Contains(got, created.ID) {
		t.Errorf("missions: got %s, want mission %s", got, created.ID)
	}
	do("DELETE", "/missions/"+created.ID, "", 200)
	do("DELETE", "/missions/"+created.ID, "", 404)
	for _, id := range []string{"2", "77", "any"} {
		do("GET", "/missions/"+id, "", 200)
	}
	do("GET", "/nowhere", "", 404)
	do("GET", "/nowhere/"+created.ID, "", 404)

	// The workload runs concurrently. Its first step may be missing, and one of its
	// requests may be in flight.
	metrics := do("GET", "/metrics", "", 200)
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); {
		if strings.Contains(metrics, `path="/forge/sessions/{path...}"`) && strings.Contains(metrics, "# TYPE db_query_duration_seconds ") &&
			strings.Contains(metrics, "http_requests_in_flight 1\n") {
			break
		}
		time.Sleep(10 * time.Millisecond)
		metrics = do("GET", "/metrics", "", 200)
	}
	if id := regexp.MustCompile(`(?i)[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`).FindString(metrics); id != "" {
		t.Errorf("UUID %s in\n%s", id, metrics)
	}
	for _, want := range []string{
		`http_requests_total{method="GET",path="/missions/{id}",status="200"} 4`,
		`http_requests_total{method="POST",path="/missions",status="400"} 1`,
		`http_requests_total{method="GET",path="/nowhere",status="404"} 1`,
		`http_requests_total{method="GET",path="/nowhere/:id",status="404"} 1`,
		`http_requests_total{method="DELETE",path="/missions/{id}",status="404"} 1`,
		`http_requests_in_flight 1`, // the scrape
		`http_connections{state="active"} 1`,
	} {
		if !strings.Contains(metrics, want+"\n") {
			t.Errorf("want %s in\n%s", want, metrics)
		}
	}
	if want := `http_requests_total{method="GET",path="/forge/sessions/{path...}",status="200"} `; !strings.Contains(metrics, want) {
		t.Errorf("want %s in\n%s", want, metrics)
	}
	for _, family := range []string{"tachikoma_missions_total", "tachikoma_forge_sessions_total", "tachikoma_tokens_used_total", "tachikoma_tokens_cost_dollars",
		"db_connections_idle", "db_query_duration_seconds", "cache_hits_total", "go_goroutines", "go_sched_latencies_seconds", "http_client_requests_in_flight"} {
		if !strings.Contains(metrics, "# TYPE "+family+" ") {
			t.Errorf("no family %s", family)
		}
	}
	if page := do("GET", "/dashboard", "", 200); !strings.Contains(page, `<meta name="history" content="1">`) {
		t.Errorf("the dashboard has no history:\n%s", page[:min(len(page), 1000)])
	}
	if metrics := do("GET", "/metrics", "", 200); strings.Contains(metrics, `path="/dashboard"`) {
		t.Error("the requests of the dashboard are counted")
	}
	if history := do("GET", "/dashboard?history=0.0", "", 200); !strings.Contains(history, "go_goroutines") {
		t.Errorf("no go_goroutines in %d bytes of the history", len(history))
	}
	// A body that is too large closes the connection.
	resp, err := http.Post(base+"/missions", "", strings.NewReader(`{"name":"`+strings.Repeat("x", 1<<20)+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 400 || !resp.Close {
		t.Errorf("a large body: got status %d, connection closed: %t, want 400 and a closed connection", resp.StatusCode, resp.Close)
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("run returned %v after the end of ctx, want nil", err)
	}
	// A goroutine ends shortly after Close.
	for end := time.Now().Add(30 * time.Second); strings.Contains(stacks(), "dashboard.(*sampler)") && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	if strings.Contains(stacks(), "dashboard.(*sampler)") {
		t.Error("the dashboard runs on after the end of the program")
	}
	if pushes.Load() == 0 {
		t.Error("no push, want at least the push of Shutdown")
	}
}

// stacks returns the stacks of all goroutines.
func stacks() string {
	var b strings.Builder
	_ = pprof.Lookup("goroutine").WriteTo(&b, 2)
	return b.String()
}
