//go:build !tacho_nohttp

package tachikoma_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/tachikoma"
)

// get returns the response of Routes to a GET request.
func get(t *testing.T, m *tachikoma.AppMetrics, path string) (status int, contentType, body string) {
	t.Helper()
	rec := httptest.NewRecorder()
	m.Routes().ServeHTTP(rec, httptest.NewRequest("GET", path, nil))
	return rec.Code, rec.Header().Get("Content-Type"), rec.Body.String()
}

// wantLines marks the test as failed unless /metrics has each of the lines.
func wantLines(t *testing.T, m *tachikoma.AppMetrics, lines ...string) {
	t.Helper()
	_, _, body := get(t, m, "/metrics")
	for _, line := range lines {
		if !strings.Contains("\n"+body, "\n"+line+"\n") {
			t.Errorf("want line %s in\n%s", line, body)
		}
	}
}

func TestFormatCorrect(t *testing.T) {
	m := tachikoma.New()
	m.RecordHTTPRequest("GET", "/missions", 200, 0.2)
	m.RecordTokens("large", 10, 5, 0.5)
	m.MissionsTotal.With(`a "b" \ c` + "\n").Inc()
	status, contentType, body := get(t, m, "/metrics")
	if status != 200 || contentType != "text/plain; version=0.0.4; charset=utf-8" {
		t.Errorf("got status %d, Content-Type %q, want the text format", status, contentType)
	}
	line := regexp.MustCompile(`^(# (HELP|TYPE) [a-z_]+ .+|[a-z_]+(\{[a-z_]+="([^"\\]|\\.)*"(,[a-z_]+="([^"\\]|\\.)*")*\})? (\d+(\.\d+)?(e-\d+)?))$`)
	seen := map[string]bool{}
	for _, l := range strings.Split(strings.TrimSuffix(body, "\n"), "\n") {
		if !line.MatchString(l) {
			t.Errorf("bad line %q", l)
		}
		if seen[l] {
			t.Errorf("duplicate line %q", l)
		}
		seen[l] = true
	}
	wantLines(t, m,
		"# HELP http_requests_total Total HTTP requests",
		"# TYPE http_requests_total counter",
		`tachikoma_missions_total{status="a \"b\" \\ c\n"} 1`)
}

func TestRequestMetricsRecorded(t *testing.T) {
	m := tachikoma.New()
	var during int64
	h := m.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _, body := get(t, m, "/metrics")
		if strings.Contains(body, "http_requests_in_flight 1\n") {
			during++
		}
		w.WriteHeader(http.StatusCreated)
		io.WriteString(w, strings.Repeat("x", 150))
	}))
	for range 3 {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/missions", nil))
	}
	if during != 3 {
		t.Errorf("http_requests_in_flight was 1 in %d requests, want 3", during)
	}
	wantLines(t, m,
		`http_requests_total{method="POST",path="/missions",status="201"} 3`,
		`http_request_duration_seconds_count{method="POST",path="/missions"} 3`,
		`http_requests_in_flight 0`,
		`http_response_size_bytes_bucket{method="POST",path="/missions",le="100"} 0`,
		`http_response_size_bytes_bucket{method="POST",path="/missions",le="1000"} 3`,
		`http_response_size_bytes_sum{method="POST",path="/missions"} 450`)
}

func TestPathNormalization(t *testing.T) {
	m := tachikoma.New()
	h := m.Middleware(http.NotFoundHandler())
	for _, path := range []string{"/missions/1", "/missions/2", "/missions/550e8400-e29b-41d4-a716-446655440000"} {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", path, nil))
	}
	wantLines(t, m, `http_requests_total{method="GET",path="/missions/:id",status="404"} 3`)
}

func TestHistogramBuckets(t *testing.T) {
	m := tachikoma.New()
	for _, seconds := range []float64{0.001, 0.002, 0.3, 2, 60} {
		m.RecordHTTPRequest("GET", "/", 200, seconds)
		m.DBQueryDurationSeconds.With("select").Observe(seconds)
	}
	for _, le := range []string{"0.001 1", "0.005 2", "0.01 2", "0.025 2", "0.05 2", "0.1 2", "0.25 2", "0.5 3", "1 3", "2.5 4", "5 4", "10 4", "+Inf 5"} {
		bound, count, _ := strings.Cut(le, " ")
		wantLines(t, m, `http_request_duration_seconds_bucket{method="GET",path="/",le="`+bound+`"} `+count)
	}
	_, _, body := get(t, m, "/metrics")
	if n := strings.Count(body, "db_query_duration_seconds_bucket{"); n != 10 {
		t.Errorf("db_query_duration_seconds has %d buckets, want 9 and +Inf", n)
	}
	wantLines(t, m,
		`http_request_duration_seconds_sum{method="GET",path="/"} 62.303`,
		`http_request_duration_seconds_count{method="GET",path="/"} 5`,
		`db_query_duration_seconds_bucket{query_type="select",le="1"} 3`,
		`db_query_duration_seconds_bucket{query_type="select",le="+Inf"} 5`)
}

func TestCounters(t *testing.T) {
	m := tachikoma.New()
	var wg sync.WaitGroup
	for range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range 1000 {
				m.CacheHitsTotal.Inc()
				m.MissionsTotal.With("created").Inc()
				m.RecordTokens("large", 3, 2, 0.25)
			}
		}()
	}
	m.CacheMissesTotal.Add(2)
	m.ForgeSessionsTotal.With("opened").Inc()
	wg.Wait()
	wantLines(t, m,
		"# HELP cache_hits_total Total cache hits", "cache_hits_total 8000",
		"# HELP cache_misses_total Total cache misses", "cache_misses_total 2",
		"# HELP tachikoma_missions_total Total missions created", `tachikoma_missions_total{status="created"} 8000`,
		"# HELP tachikoma_forge_sessions_total Total forge sessions", `tachikoma_forge_sessions_total{status="opened"} 1`,
		"# HELP tachikoma_tokens_used_total Total tokens used",
		`tachikoma_tokens_used_total{model="large",type="input"} 24000`,
		`tachikoma_tokens_used_total{model="large",type="output"} 16000`,
		"# HELP tachikoma_tokens_cost_dollars Total cost in dollars",
		"# TYPE tachikoma_tokens_cost_dollars counter",
		`tachikoma_tokens_cost_dollars{model="large"} 2000`)
}

func TestGauges(t *testing.T) {
	m := tachikoma.New()
	m.MissionsActive.Inc()
	m.MissionsActive.Inc()
	m.MissionsActive.Dec()
	m.ForgeSessionsActive.Set(4)
	m.DBConnectionsActive.Set(7)
	m.DBConnectionsIdle.Add(3)
	wantLines(t, m,
		"# HELP tachikoma_missions_active Currently active missions", "tachikoma_missions_active 1",
		"# HELP tachikoma_forge_sessions_active Currently active forge sessions", "tachikoma_forge_sessions_active 4",
		"# HELP db_connections_active Active database connections", "db_connections_active 7",
		"# HELP db_connections_idle Idle database connections", "db_connections_idle 3",
		"# TYPE db_connections_idle gauge")
}

// A fakeDriver is a database driver without a database.
type fakeDriver struct{}

func (fakeDriver) Connect(context.Context) (driver.Conn, error) { return fakeDriver{}, nil }
func (fakeDriver) Driver() driver.Driver                        { return nil }
func (fakeDriver) Prepare(string) (driver.Stmt, error)          { return nil, errors.ErrUnsupported }
func (fakeDriver) Close() error                                 { return nil }
func (fakeDriver) Begin() (driver.Tx, error)                    { return nil, errors.ErrUnsupported }

func TestObserveDB(t *testing.T) {
	m := tachikoma.New()
	db := sql.OpenDB(fakeDriver{})
	defer db.Close()
	db.SetMaxOpenConns(7)
	m.ObserveDB(db)
	busy, err := db.Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	idle, err := db.Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	idle.Close()
	wantLines(t, m, "# HELP db_connections_active Active database connections", "db_connections_active 1", "db_connections_idle 1",
		"db_connections_max_open 7", "db_connections_wait_count_total 0", `db_connections_closed_total{reason="max_lifetime"} 0`)
	if active, idle := m.DBConnectionsActive.Value(), m.DBConnectionsIdle.Value(); active != 1 || idle != 1 {
		t.Errorf("got %d active and %d idle connections in the fields, want 1 and 1", active, idle)
	}
}

func TestCustomMetrics(t *testing.T) {
	reg := tacho.NewRegistry(tacho.WithConstLabels("node", "n1"))
	m := tachikoma.NewIn(reg)
	reg.CounterVec("ghost_dives_total", "Dives.", []string{"depth"}).With("deep").Add(2)
	wantLines(t, m, "# HELP ghost_dives_total Dives.", "# TYPE ghost_dives_total counter",
		`ghost_dives_total{node="n1",depth="deep"} 2`, `tachikoma_missions_active{node="n1"} 0`)

	status, contentType, body := get(t, m, "/metrics/json")
	var view map[string][]struct {
		Labels map[string]string
		Value  float64
	}
	if err := json.Unmarshal([]byte(body), &view); err != nil || status != 200 || contentType != "application/json" {
		t.Fatalf("/metrics/json: status %d, Content-Type %q, error %v", status, contentType, err)
	}
	if s := view["ghost_dives_total"]; len(s) != 1 || s[0].Value != 2 || s[0].Labels["depth"] != "deep" || s[0].Labels["node"] != "n1" {
		t.Errorf("/metrics/json: got %v, want one series with value 2 and the labels depth and node", s)
	}
}

func TestSameRegistryTwice(t *testing.T) {
	a := tachikoma.New()
	if b := tachikoma.NewIn(a.Registry); b.CacheHitsTotal != a.CacheHitsTotal {
		t.Error("a second NewIn returned a different CacheHitsTotal")
	}
}

// TestBoundsOfDuration checks the shortest and the longest duration in seconds.
func TestBoundsOfDuration(t *testing.T) {
	m := tachikoma.New()
	m.RecordHTTPRequest("GET", "/", 200, 0)
	m.RecordHTTPRequest("GET", "/", 200, math.Nextafter(math.MaxInt64/1e9, 0))
	wantLines(t, m, `http_request_duration_seconds_count{method="GET",path="/"} 2`,
		`http_request_duration_seconds_bucket{method="GET",path="/",le="0.001"} 1`)
	m.RecordHTTPRequest("GET", "/", 200, math.MaxInt64/1e9) // as a float64 one nanosecond too long
	wantLines(t, m, `http_request_duration_seconds_count{method="GET",path="/"} 2`,
		`tacho_errors_total{metric="http_request_duration_seconds",reason="negative"} 1`)
}

func TestBadInput(t *testing.T) {
	m := tachikoma.New()
	for _, seconds := range []float64{math.NaN(), -1, math.Inf(1), math.Inf(-1), 1e300} {
		m.RecordHTTPRequest("GET", "/", 200, seconds)
	}
	m.RecordTokens("large", 1, 1, -5)
	wantLines(t, m,
		`http_requests_total{method="GET",path="/",status="200"} 5`,
		`http_request_duration_seconds_count{method="GET",path="/"} 0`,
		`tachikoma_tokens_used_total{model="large",type="input"} 1`,
		`tachikoma_tokens_cost_dollars{model="large"} 0`,
		`tacho_errors_total{metric="http_request_duration_seconds",reason="negative"} 5`,
		`tacho_errors_total{metric="tachikoma_tokens_cost_dollars",reason="negative"} 1`)
}

func TestRoutesElsewhere(t *testing.T) {
	m := tachikoma.New()
	for _, path := range []string{"/", "/metricsx", "/metrics/", "/metrics/json/", "/missions", "/x/../metrics", "/metrics//json", "http://host//metrics"} {
		if status, _, _ := get(t, m, path); status != 404 {
			t.Errorf("%s: got status %d, want 404", path, status)
		}
	}
	rec := httptest.NewRecorder()
	m.Routes().ServeHTTP(rec, httptest.NewRequest("POST", "/metrics", nil))
	if rec.Code != 405 || rec.Header().Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: got status %d, Allow %q, want 405 and GET, HEAD", rec.Code, rec.Header().Get("Allow"))
	}
}

// TestRoutesWithoutURL: a request that a program made may lack a URL.
func TestRoutesWithoutURL(t *testing.T) {
	rec := httptest.NewRecorder()
	tachikoma.New().Routes().ServeHTTP(rec, &http.Request{Method: "GET"})
	if rec.Code != http.StatusNotFound {
		t.Errorf("status %d, want 404", rec.Code)
	}
}

// TestOptions: New passes its options to the HTTP metrics, also those that do not apply to each
// of these metrics. Any other option is refused.
func TestOptions(t *testing.T) {
	tachikoma.New(tacho.WithIdleExpiry(time.Hour), tacho.WithNative(), tacho.WithMaxPaths(10), tacho.WithConstLabels("app", "x"))
	_, err := tacho.Try(func() *tachikoma.AppMetrics { return tachikoma.New(tacho.WithMaxSeries(10)) })
	if err == nil || !strings.Contains(err.Error(), "WithMaxSeries") {
		t.Errorf("New with WithMaxSeries: error %v, want one that names the option", err)
	}
}
