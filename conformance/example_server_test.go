package conformance

import (
	"bufio"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
)

// startExample builds and starts examples/server and returns the base URL. The cleanup
// of the test stops the program.
func startExample(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "server")
	build := exec.Command("go", "build", "-o", program, "./examples/server")
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.Command(program, "-addr", "127.0.0.1:0")
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("examples/server exited with %v", err)
		}
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	base := regexp.MustCompile(`http://127\.0\.0\.1:\d+`).FindString(line)
	if err != nil || base == "" {
		t.Fatalf("no address in %q, error %v", line, err)
	}
	return base
}

// TestExampleServer sends requests to the example program. The test then scrapes the
// program with the headers of Prometheus 2.42, Prometheus 3 and curl.
func TestExampleServer(t *testing.T) {
	base := startExample(t)
	client := &http.Client{Transport: &http.Transport{DisableCompression: true}} // the transport must not add Accept-Encoding
	get := func(path string, headers ...string) (*http.Response, []byte) {
		t.Helper()
		req, err := http.NewRequest("GET", base+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(headers); i += 2 {
			req.Header.Set(headers[i], headers[i+1])
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var body io.Reader = resp.Body
		if resp.Header.Get("Content-Encoding") == "gzip" {
			if body, err = gzip.NewReader(resp.Body); err != nil {
				t.Fatal(err)
			}
		}
		data, err := io.ReadAll(body)
		if err != nil {
			t.Fatal(err)
		}
		return resp, data
	}
	for range 13 {
		get("/missions/42")
	}
	for range 5 {
		get("/nowhere/7")
	}
	resp, err := client.Post(base+"/missions", "application/json", strings.NewReader(`{"name":"laughing man"}`))
	if err != nil || resp.StatusCode != http.StatusCreated {
		t.Fatalf("%v, %v", resp, err)
	}
	resp.Body.Close()

	for _, c := range []struct{ scraper, accept, encoding, contentType string }{
		{"Prometheus 2.42", accept2, "gzip", typeOpenMetrics},
		{"Prometheus 3", accept3, "gzip", typeOpenMetrics},
		{"Prometheus 3 with native histograms", acceptProto + accept3, "zstd,gzip", typeOpenMetrics},
		{"text only", "text/plain;version=0.0.4", "gzip", typeText},
		{"curl", "*/*", "", typeText},
	} {
		t.Run(c.scraper, func(t *testing.T) {
			headers := []string{"Accept", c.accept}
			if c.encoding != "" {
				headers = append(headers, "Accept-Encoding", c.encoding)
			}
			resp, data := get("/metrics", headers...)
			if got := resp.Header.Get("Content-Type"); got != c.contentType {
				t.Errorf("Content-Type %s, want %s", got, c.contentType)
			}
			if got, want := resp.Header.Get("Content-Encoding"), strings.TrimPrefix(c.encoding, "zstd,"); got != want {
				t.Errorf("Content-Encoding %q, want %q", got, want)
			}
			e, families := readBoth(t, data, c.contentType)
			if err := e.nameCollision(); err != nil && c.contentType == typeOpenMetrics {
				t.Error(err)
			}
			e.checkCounts(t, c.contentType == typeOpenMetrics)
			lintExample(t, families, c.contentType)
			checkPromhttp(t, e, families, c.accept, c.contentType)
		})
	}
}

// readBoth parses a scrape with textparse and with expfmt. The results must be
// equal. readBoth returns both results.
func readBoth(t *testing.T, data []byte, contentType string) (*exposition, []*dto.MetricFamily) {
	t.Helper()
	prom, err := readTextparse(data, contentType)
	if err != nil {
		t.Fatalf("%v\n%s", err, data)
	}
	families, err := decode(data, contentType)
	if err != nil {
		t.Fatalf("%v\n%s", err, data)
	}
	client := newExposition()
	for _, mf := range families {
		if err := client.addFamily(mf, contentType); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range prom.families {
		for _, s := range f.samples {
			for i, x := range s.exemplar {
				if x.at != nil {
					s.exemplar[i].within = span{*x.at, *x.at}
				}
			}
		}
	}
	compare(t, "expfmt and textparse", prom, client, ignored{})
	return prom, families
}

// checkCounts checks the metrics of the requests from TestExampleServer.
func (e *exposition) checkCounts(t *testing.T, openMetrics bool) {
	t.Helper()
	requests, suffix, unit, costs := "http_requests_total", "", "", "counter"
	if openMetrics {
		requests, suffix, unit, costs = "http_requests", "_total", "seconds", "unknown"
	}
	want := func(family, kind, unit, help string, s *sample) {
		t.Helper()
		f := e.families[family]
		if f == nil || f.kind != kind || f.unit != unit || f.help != help {
			t.Fatalf("family %s is %+v, want a %s with unit %q and help %q", family, f, kind, unit, help)
		}
		if got := f.samples[s.key()]; got == nil || got.value != s.value {
			t.Errorf("%s is %+v, want %v", s.key(), got, s.value)
		}
	}
	request := func(method, path, status string, n float64) {
		t.Helper()
		want(requests, "counter", "", "Total HTTP requests", &sample{
			name: requests + suffix, value: n, labels: []label{{"method", method}, {"path", path}, {"status", status}},
		})
	}
	request("GET", "/missions/{id}", "200", 13)
	request("GET", "/nowhere/:id", "404", 5)
	request("POST", "/missions", "201", 1)
	const duration = "http_request_duration_seconds"
	want(duration, "histogram", unit, "HTTP request duration in seconds", &sample{
		name: duration + "_count", value: 13, labels: []label{{"method", "GET"}, {"path", "/missions/{id}"}},
	})
	want(duration, "histogram", unit, "HTTP request duration in seconds", &sample{
		name: duration + "_bucket", value: 13, labels: []label{{"method", "GET"}, {"path", "/missions/{id}"}, {"le", "+Inf"}},
	})
	for name, kind := range map[string]string{
		"tachikoma_missions_active": "gauge", "http_requests_in_flight": "gauge", "http_connections": "gauge",
		"db_query_duration_seconds": "histogram", "http_response_size_bytes": "histogram",
		"tachikoma_tokens_cost_dollars": costs, "tachikoma_missions" + strings.TrimPrefix("_total", suffix): "counter",
	} {
		if f := e.families[name]; f == nil || f.kind != kind || len(f.samples) == 0 {
			t.Errorf("%s is not a %s with samples: %+v", name, kind, f)
		}
	}
}

// lintExample checks that promlint reports a single problem: a counter without the
// suffix _total. The name is part of the public metrics of the example.
func lintExample(t *testing.T, families []*dto.MetricFamily, contentType string) {
	t.Helper()
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	var want []promlint.Problem
	if contentType == typeText { // in OpenMetrics the type is unknown
		want = []promlint.Problem{{Metric: "tachikoma_tokens_cost_dollars", Text: `counter metrics should have "_total" suffix`}}
	}
	if !slices.Equal(problems, want) {
		t.Errorf("promlint returned %v, want %v", problems, want)
	}
}

// checkPromhttp serves the parsed families with promhttp. The Content-Type and the
// body of promhttp must equal the response of tacho.
func checkPromhttp(t *testing.T, got *exposition, families []*dto.MetricFamily, accept, contentType string) {
	t.Helper()
	h := promhttp.HandlerFor(prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) { return families, nil }),
		promhttp.HandlerOpts{EnableOpenMetrics: true, AcceptedFormats: textFormats})
	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "/metrics", nil)
	r.Header.Set("Accept", accept)
	h.ServeHTTP(w, r)
	clientType, _, _ := strings.Cut(w.Header().Get("Content-Type"), "; escaping=")
	if clientType != contentType {
		t.Errorf("Content-Type of promhttp is %s, want %s", clientType, contentType)
	}
	want, err := readTextparse(w.Body.Bytes(), contentType)
	if err != nil {
		t.Fatalf("promhttp: %v", err)
	}
	compare(t, "promhttp", want, got, ignored{})
}
