package migrating

import (
	"net/http"
	"net/http/httptest"
	"sort"
	"strconv"
	"strings"
	"testing"
)

// samples sends one request to a server, scrapes the server and returns the sorted
// series with their values. The series of HTTP requests are left out, because their
// labels differ by design.
func samples(t *testing.T, build func(http.HandlerFunc) (func(), http.Handler)) string {
	t.Helper()
	record, h := build(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("ok")) })
	record()
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	var lines []string
	requests := 0
	for _, line := range strings.Split(w.Body.String(), "\n") {
		if strings.HasPrefix(line, "http_requests_total{") {
			requests++
		}
		if line == "" || strings.HasPrefix(line, "#") || strings.HasPrefix(line, "http_") {
			continue
		}
		series, value, _ := strings.Cut(line, " ")
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, series+" "+strconv.FormatFloat(v, 'g', -1, 64))
	}
	if requests != 1 {
		t.Errorf("%d series of http_requests_total, want 1, in\n%s", requests, w.Body)
	}
	sort.Strings(lines)
	return strings.Join(lines, "\n")
}

// TestSameMetrics checks that the three programs expose the same series.
func TestSameMetrics(t *testing.T) {
	want := samples(t, withTacho)
	if !strings.Contains(want, `jobs_total{result="failed"} 2`) || !strings.Contains(want, `wait_seconds_bucket{le="1"} 1`) {
		t.Fatalf("tacho exposes\n%s", want)
	}
	if got := samples(t, withClientGolang); got != want {
		t.Errorf("client_golang exposes\n%s\ntacho\n%s", got, want)
	}
	if got := samples(t, withVictoriaMetrics); got != want {
		t.Errorf("VictoriaMetrics/metrics exposes\n%s\ntacho\n%s", got, want)
	}
}
