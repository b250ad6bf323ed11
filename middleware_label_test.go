//go:build !tacho_nohttp

package tacho

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
)

func TestPathLabelFromMux(t *testing.T) {
	mux := http.NewServeMux()
	for _, p := range []string{
		"GET /missions/{id}", "/users/{id}/posts/{post}", "/exact", "/static/", "/files/{rest...}", "/end/{$}", "/", "POST named.example/only/{x}",
	} {
		mux.HandleFunc(p, respondOK)
	}
	for name, h2 := range protocols {
		t.Run(name, func(t *testing.T) {
			srv := newTestServer(t, h2, mux)
			for _, c := range []struct{ path, label string }{
				{"/missions/anything", "/missions/{id}"},
				{"/missions/42", "/missions/{id}"},
				{"/users/1/posts/2", "/users/{id}/posts/{post}"},
				{"/exact?q=1", "/exact"},
				{"/end/", "/end/{$}"},
				{"/static/1/a.css", "/static/"},
				{"/files/7/b", "/files/{rest...}"},
				{"/elsewhere/8", "/"},
				{"/", "/"},
				{"/%31%32/x", "/"},
			} {
				before := sumSamples(t, srv.reg, requestsSeries("GET", c.label, "200"))
				if _, _, err := srv.get(t, c.path); err != nil {
					t.Fatal(err)
				}
				if got := sumSamples(t, srv.reg, requestsSeries("GET", c.label, "200")); got != before+1 {
					t.Errorf("%s is not counted with the label %s", c.path, c.label)
				}
			}
		})
	}
	r := NewRegistry()
	req := httptest.NewRequest("POST", "http://named.example/only/1", nil)
	NewHTTPMetrics(r).Handler(mux).ServeHTTP(httptest.NewRecorder(), req)
	wantSamples(t, r, requestsSeries("POST", "/only/{x}", "200"), "1")
}

// TestPathLabelFromURL: without a pattern the label is the normalized path. The pattern "/"
// of a mux outside of the middleware is no route.
func TestPathLabelFromURL(t *testing.T) {
	for name, h2 := range protocols {
		t.Run(name, func(t *testing.T) {
			r := NewRegistry()
			m := NewHTTPMetrics(r)
			api := http.NewServeMux()
			api.HandleFunc("GET /missions/{id}", respondOK)
			mux := http.NewServeMux()
			mux.Handle("/", m.Handler(http.HandlerFunc(respondOK)))
			mux.Handle("/below/", m.Handler(http.HandlerFunc(respondOK)))
			mux.Handle("named.example/", m.Handler(api))
			srv := httptest.NewUnstartedServer(mux)
			start(srv, h2)
			for _, path := range []string{"/", "/elsewhere/8", "/%31%32/x", "/below/1"} {
				resp, err := srv.Client().Get(srv.URL + path)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
			}
			for _, path := range []string{"/missions/x", "/missing/9"} {
				req, _ := http.NewRequest("GET", srv.URL+path, nil)
				req.Host = "named.example"
				resp, err := srv.Client().Do(req)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
			}
			srv.Close() // waits for handlers
			wantSamples(t, r, requestsSeries("GET", "/", "200"), "1", requestsSeries("GET", "/elsewhere/:id", "200"), "1",
				requestsSeries("GET", "/:id/x", "200"), "1", requestsSeries("GET", "/below/", "200"), "1",
				requestsSeries("GET", "/missions/{id}", "200"), "1", requestsSeries("GET", "/missing/:id", "404"), "1")
		})
	}
}

func TestPathLabelFromOption(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /missions/{id}", respondOK)
	srv := newTestServer(t, false, mux, WithPathLabel(func(r *http.Request) string {
		if r.Pattern != "GET /missions/{id}" {
			t.Errorf("the pattern is %q, want that of the mux", r.Pattern)
		}
		return "mine \"" + r.PathValue("id") + "\"/42"
	}))
	srv.get(t, "/missions/7")
	wantSamples(t, srv.reg, requestsSeries("GET", `mine \"7\"/42`, "200"), "1")
}

// TestPathLabelPanics: if the function of WithPathLabel panics, the client gets its
// response and the request is counted. A panic of the handler continues.
func TestPathLabelPanics(t *testing.T) {
	r := NewRegistry()
	m := NewHTTPMetrics(r, WithPathLabel(func(*http.Request) string { panic("label") }))
	serveOne(m, httptest.NewRecorder(), "GET", "/a", respondOK)
	var got any
	func() {
		defer func() { got = recover() }()
		serveOne(m, httptest.NewRecorder(), "GET", "/a", func(http.ResponseWriter, *http.Request) { panic("handler") })
	}()
	if got != "handler" {
		t.Errorf("recovered %v, want the panic of the handler", got)
	}
	wantSamples(t, r,
		requestsSeries("GET", "other", "200"), "1",
		requestsSeries("GET", "other", "500"), "1",
		`tacho_errors_total{metric="http_requests_total",reason="panic"}`, "2",
		"http_requests_in_flight", "0")
}

// TestPathLabelIsCopied: a normalized path is in memory that the next request uses again.
// The labels of earlier requests must not change.
func TestPathLabelIsCopied(t *testing.T) {
	r := NewRegistry()
	m := NewHTTPMetrics(r)
	m.Record("GET", "/a/1/b", 200, 0, 1)
	m.Record("GET", "/c/1/d", 200, 0, 1)
	m.Record("GET", "/a/2/b", 200, 0, 1)
	m.Record("GET", "/\xff\xfe/1", 200, 0, 1)
	m.Record("GET", "/\xff\xfe/2", 200, 0, 1)
	wantSamples(t, r,
		requestsSeries("GET", "/a/:id/b", "200"), "2",
		requestsSeries("GET", "/c/:id/d", "200"), "1",
		requestsSeries("GET", "/\uFFFD/:id", "200"), "2")
}

func TestMethodLabel(t *testing.T) {
	r := NewRegistry()
	m := NewHTTPMetrics(r)
	known := []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE"}
	for _, method := range known {
		m.Record(method, "/a", 200, 0, 1)
	}
	for _, method := range []string{"", "get", "PROPFIND", "GET ", "\xff", strings.Repeat("X", 10000)} {
		m.Record(method, "/a", 200, 0, 1)
	}
	for _, method := range known {
		wantSamples(t, r, requestsSeries(method, "/a", "200"), "1")
	}
	wantSamples(t, r, requestsSeries("other", "/a", "200"), "6")
}

func TestMaxPaths(t *testing.T) {
	for _, limit := range []int{-1, 0, 1, 3} {
		r := NewRegistry()
		m := NewHTTPMetrics(r, WithMaxPaths(limit))
		for i := 0; i < 10; i++ {
			for _, method := range []string{"GET", "POST"} {
				m.Record(method, "/p"+strconv.Itoa(i), 200, 0, 1)
			}
		}
		for i := 0; i < 10; i++ {
			want := "1"
			if i >= limit {
				want = ""
			}
			p := "/p" + strconv.Itoa(i)
			wantSamples(t, r, requestsSeries("GET", p, "200"), want, requestsSeries("POST", p, "200"), want)
		}
		over := strconv.Itoa(10 - max(limit, 0))
		wantSamples(t, r, requestsSeries("GET", "other", "200"), over, requestsSeries("POST", "other", "200"), over)
		// A path that has a label keeps the label for a new method.
		m.Record("PUT", "/p0", 200, 0, 1)
		if limit > 0 {
			wantSamples(t, r, requestsSeries("PUT", "/p0", "200"), "1")
		}
	}
}

func TestMaxPathsDefault(t *testing.T) {
	r := NewRegistry()
	h := NewHTTPMetrics(r, WithPathLabel(func(r *http.Request) string { return r.URL.Path })).Handler(http.HandlerFunc(respondOK))
	for i := 0; i < 1001; i++ {
		send(h, "GET", "/p"+strconv.Itoa(i))
	}
	wantSamples(t, r, requestsSeries("GET", "/p999", "200"), "1", requestsSeries("GET", "/p1000", "200"), "", requestsSeries("GET", "other", "200"), "1")
}

// TestPathNamedOther: a path with the name "other" does not count against WithMaxPaths.
func TestPathNamedOther(t *testing.T) {
	r := NewRegistry()
	m := NewHTTPMetrics(r, WithMaxPaths(1))
	m.Record("GET", "other", 200, 0, 1)
	m.Record("GET", "/a", 200, 0, 1)
	m.Record("GET", "/b", 200, 0, 1)
	wantSamples(t, r, requestsSeries("GET", "/a", "200"), "1", requestsSeries("GET", "other", "200"), "2")
}

// TestMaxPathsConcurrent: goroutines send many distinct paths at the same time. The number
// of path labels stays at the limit, and the totals are exact.
func TestMaxPathsConcurrent(t *testing.T) {
	const workers, each, limit = 8, 2500, 50
	r := NewRegistry()
	m := NewHTTPMetrics(r, WithMaxPaths(limit))
	h := m.Handler(http.HandlerFunc(respondOK))
	var wg sync.WaitGroup
	for g := 0; g < workers; g++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			w := discardWriter{http.Header{}}
			methods := []string{"GET", "POST", "BREW"}
			for i := 0; i < each; i++ {
				// Half of the paths are sent by this goroutine only, and half by all goroutines.
				req, _ := http.NewRequest(methods[i%3], fmt.Sprintf("/x%d-%d", g*(i%2), i), nil)
				h.ServeHTTP(w, req)
			}
		}()
	}
	wg.Wait()
	total := float64(workers * each)
	for _, prefix := range []string{"http_requests_total{", "http_request_duration_seconds_count{", "http_response_size_bytes_count{"} {
		if got := sumSamples(t, r, prefix); got != total {
			t.Errorf("the sum of %s is %v, want %v", prefix, got, total)
		}
	}
	if got := sumSamples(t, r, "http_response_size_bytes_sum{"); got != 2*total {
		t.Errorf("counted %v bytes, want %v", got, 2*total)
	}
	paths := map[string]bool{}
	for s := range samplesOf(t, r) {
		if strings.HasPrefix(s, "http_requests_total{") {
			_, p, _ := strings.Cut(s, `path="`)
			p, _, _ = strings.Cut(p, `"`)
			paths[p] = true
		}
	}
	if len(paths) != limit+1 || !paths["other"] {
		t.Errorf("%d distinct path labels, want %d and \"other\"", len(paths), limit)
	}
	if n := m.routes.Len(); n > 3*(limit+1) {
		t.Errorf("%d routes, want at most %d", n, 3*(limit+1))
	}
}

func TestLongPathIsOther(t *testing.T) {
	r := NewRegistry()
	m := NewHTTPMetrics(r, WithMaxPaths(3))
	longest := "/" + strings.Repeat("x", maxPathLabel-1)
	invalid := strings.Repeat("\xff/", maxPathLabel/2)
	m.Record("GET", longest, 200, 0, 1)
	m.Record("GET", longest+"x", 200, 0, 1)
	m.Record("GET", "/"+strings.Repeat("y", 1<<20), 200, 0, 1)
	m.Record("GET", invalid, 200, 0, 1)
	m.Record("GET", "/"+strings.Repeat("1", 1<<20), 200, 0, 1) // one segment of digits
	wantSamples(t, r,
		requestsSeries("GET", longest, "200"), "1",
		requestsSeries("GET", "other", "200"), "2",
		requestsSeries("GET", strings.ReplaceAll(invalid, "\xff", "\uFFFD"), "200"), "1",
		requestsSeries("GET", "/:id", "200"), "1")
}
