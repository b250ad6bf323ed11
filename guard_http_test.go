//go:build (linux || darwin || freebsd) && !tacho_nohttp

package tacho

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime/debug"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/tachikoma/tacho/internal/testkit"
)

// shownHTTP is shown without the lines with durations, which the middleware measures.
func shownHTTP(t *testing.T, reg *Registry) string {
	t.Helper()
	var kept strings.Builder
	for line := range strings.Lines(shown(t, reg)) {
		if !strings.Contains(line, "http_request_duration_seconds") {
			kept.WriteString(line)
		}
	}
	return kept.String()
}

// TestNoReadOutsideRequests: the middleware and Record read no byte outside the strings of
// a request and of a response, and of the options.
func TestNoReadOutsideRequests(t *testing.T) {
	const uuid = "/urn:uuid:550e8400-e29b-41d4-a716-446655440000/{550e8400-e29b-41d4-a716-446655440000}"
	paths := append([]string{"/0123456789/abcdef", uuid, "/0/"}, textUnits...)
	// serve returns what the metrics show after two requests. The second request finds the
	// route.
	serve := func(request func(r *http.Request), handle http.HandlerFunc, opts ...Option) string {
		reg := NewRegistry()
		m := NewHTTPMetrics(reg, append(opts, WithSizeBuckets([]float64{100}))...)
		for range 2 {
			r := httptest.NewRequest("GET", "/", nil)
			request(r)
			m.Handler(m.Route(handle)).ServeHTTP(httptest.NewRecorder(), r)
		}
		return shownHTTP(t, reg)
	}
	nothing := func(*http.Request) {}
	ok := func(http.ResponseWriter, *http.Request) {}
	notFound := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) }
	checkGuarded(t, []guardedUse{
		{"paths", paths, func(s string) string {
			request := func(r *http.Request) { r.URL.Path = s }
			return NormalizePath(s) + serve(request, ok) + serve(request, notFound)
		}},
		{"methods", []string{"GET", "é"}, func(s string) string {
			return serve(func(r *http.Request) { r.Method = s }, ok)
		}},
		{"recorded paths and methods", append(paths, "GET"), func(s string) string {
			reg := NewRegistry()
			m := NewHTTPMetrics(reg)
			for range 2 {
				m.Record("GET", s, 200, time.Second, 1)
				m.Record(s, "/", 404, time.Second, 1)
				m.Record(s, s, 200, time.Second, 1)
			}
			return shown(t, reg)
		}},
		{"route patterns", []string{"/0123456789/abcdef", "GET /{id}", "é"}, func(s string) string {
			setRoute := func(_ http.ResponseWriter, r *http.Request) { SetRoute(r, s) }
			setPattern := func(_ http.ResponseWriter, r *http.Request) { r.Pattern = s }
			label := WithPathLabel(func(*http.Request) string { return s })
			return serve(nothing, setRoute) + serve(nothing, setPattern) + serve(func(r *http.Request) { r.Pattern = s }, setPattern) +
				serve(nothing, ok, label) + serve(func(r *http.Request) { r.Host = s }, ok)
		}},
		{"exemplars", exemplarUnits, func(s string) string {
			return serve(nothing, ok, WithExemplar(func(*http.Request) []string { return []string{"id", s} })) +
				serve(nothing, ok, WithExemplar(func(*http.Request) []string { return []string{s, s} }))
		}},
		{"const labels", textUnits, func(s string) string { return serve(nothing, ok, WithConstLabels("x", s)) }},
		{"response bytes", textUnits, func(s string) string {
			p := unsafe.Slice(unsafe.StringData(s), len(s))
			var bodies strings.Builder
			for _, handle := range []http.HandlerFunc{
				func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(p) },
				func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, s) },
				func(w http.ResponseWriter, _ *http.Request) { _, _ = w.(io.ReaderFrom).ReadFrom(bytes.NewReader(p)) },
				func(w http.ResponseWriter, _ *http.Request) { _, _ = w.(io.ReaderFrom).ReadFrom(strings.NewReader(s)) },
			} {
				reg := NewRegistry()
				m := NewHTTPMetrics(reg)
				w := httptest.NewRecorder()
				m.Handler(handle).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
				if w.Body.String() != s {
					t.Errorf("body %.200q, want %.200q", w.Body, s)
				}
				bodies.WriteString(w.Body.String())
				bodies.WriteString(shownHTTP(t, reg))
			}
			return bodies.String()
		}},
	})
}

// TestNoReadOutsideScrapeRequests: the handlers of a registry read no byte outside the
// headers and the query of a scrape, and outside names that they escape.
func TestNoReadOutsideScrapeRequests(t *testing.T) {
	respond := func(h http.Handler, change func(r *http.Request)) string {
		r := httptest.NewRequest("GET", "/metrics", nil)
		change(r)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Header().Get("Content-Type") + w.Header().Get("Content-Encoding") + w.Body.String()
	}
	reg := NewRegistry(WithUTF8Names())
	reg.Gauge("a.b", "").Set(1)
	header := func(name string, units ...string) guardedUse {
		return guardedUse{name, units, func(s string) string {
			change := func(r *http.Request) { r.Header[name] = []string{s, s} }
			return respond(reg.Handler(), change) + respond(reg.JSONHandler(), change)
		}}
	}
	checkGuarded(t, []guardedUse{
		header("Accept", "application/openmetrics-text;version=1.0.0;escaping=values;q=0.5,", "text/plain; version=\"0.0.4\" , ", "*/*;q=1.0000,", "\"\\", ";", "text/*"),
		header("Accept-Encoding", "gzip;q=1.0,", "identity;q=0, *;q=0.1,", "\"\\"),
		header("X-Prometheus-Scrape-Timeout-Seconds", "1", "9.", "x"),
		{"query", []string{"name[]=a.b&name%5B%5D=%61.b&", "%", "&&==", "&metadata=1"}, func(s string) string {
			change := func(r *http.Request) { r.URL = &url.URL{Path: "/metrics", RawQuery: s} }
			return respond(reg.Handler(), change) + respond(reg.JSONHandler(), change)
		}},
		{"method", []string{"GET", "é"}, func(s string) string {
			return respond(reg.Handler(), func(r *http.Request) { r.Method = s })
		}},
		{"escaped names", nameUnits, func(s string) string {
			reg, err := Try(func() *Registry {
				reg := NewRegistry(WithUTF8Names())
				reg.CounterVec(s, "", []string{s}).With("some value").Inc()
				reg.Collect(func(e *Emitter) {
					debug.SetPanicOnFault(true)
					e.Gauge("emitted", "", 1, s, "some value")
				})
				return reg
			})
			if err != nil {
				return err.Error()
			}
			result := ""
			for _, format := range []string{"text/plain;version=1.0.0;", "application/openmetrics-text;version=1.0.0;"} {
				for _, scheme := range []string{"allow-utf-8", "underscores", "dots", "values"} {
					result += respond(reg.Handler(), func(r *http.Request) { r.Header.Set("Accept", format+"escaping="+scheme) })
				}
			}
			return result
		}},
	})
}

// TestNoReadOutsideLabelValues: With and Record read no byte outside the strings that the
// program passes. The strings have all lengths up to 99 bytes. The first lookup of a string
// makes a series, and the second finds it.
func TestNoReadOutsideLabelValues(t *testing.T) {
	g := testkit.NewGuarded(t)
	reg := NewRegistry()
	counters := reg.CounterVec("jobs_total", "", []string{"name"})
	pairs := reg.CounterVec("pairs_total", "", []string{"a", "b"})
	histograms := reg.HistogramVec("job_seconds", "", nil, []string{"name"})
	m := NewHTTPMetrics(reg)
	text := strings.Repeat("0123456789abcdef", 40)
	for n := range 100 {
		for _, s := range []string{text[:n], strings.Repeat("\xff", n)} {
			g.Check(s, func(s string) {
				for range 2 {
					counters.With(s).Inc()
					histograms.With(s).Observe(1)
					pairs.With(s, "x").Inc()
					pairs.With("x", s).Inc()
					m.Record("GET", s, 200, time.Second, 1)
					m.Record(s, "/", 200, time.Second, 1)
				}
				counters.Delete(s)
			})
		}
	}
}
