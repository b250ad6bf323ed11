package conformance

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/tachikoma/tacho"
)

// TestMiddlewareExemplars checks that the count, the duration and the size of a request
// have the trace identifier as exemplar. Both textparse and expfmt must read the
// exemplars.
func TestMiddlewareExemplars(t *testing.T) {
	reg := tacho.NewRegistry()
	began := seconds(time.Now())
	m := tacho.NewHTTPMetrics(reg, tacho.WithExemplar(func(r *http.Request) []string {
		if id := r.Header.Get("Trace-Id"); id != "" {
			return []string{"trace_id", id}
		}
		return nil
	}))
	web := httptest.NewServer(m.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Write(make([]byte, 1234))
	})))
	defer web.Close()
	for _, id := range []string{"first", "", `"latest"`, ""} {
		req, err := http.NewRequest("GET", web.URL+"/a", nil)
		if err != nil {
			t.Fatal(err)
		}
		if id != "" {
			req.Header.Set("Trace-Id", id)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	web.Close() // waits until all requests are recorded
	response := httptest.NewRecorder()
	request := httptest.NewRequest("GET", "/metrics", nil)
	request.Header.Set("Accept", accept3)
	reg.Handler().ServeHTTP(response, request)
	e, _ := readBoth(t, response.Body.Bytes(), typeOpenMetrics)

	latest := exemplar{labels: []label{{"trace_id", `"latest"`}}, within: span{began, seconds(time.Now())}}
	for family, suffix := range map[string]string{
		"http_requests": "_total", "http_request_duration_seconds": "_bucket", "http_response_size_bytes": "_bucket",
	} {
		found := 0
		for key, s := range e.families[family].samples {
			if s.name != family+suffix || len(s.exemplar) == 0 {
				continue
			}
			got := s.exemplar[0]
			switch family {
			case "http_requests":
				latest.value = 1
			case "http_response_size_bytes":
				latest.value = 1234
			default: // the test cannot know the duration, and the two traces can be in different buckets
				latest.value = got.value
			}
			if got.labels[0].value == "first" && family == "http_request_duration_seconds" {
				continue
			}
			found++
			if !got.matches(latest) {
				t.Errorf("exemplar of %s is %v, want %v", key, got, latest)
			}
		}
		if found != 1 {
			t.Errorf("%s has %d exemplars of the last trace, want 1", family, found)
		}
	}
}
