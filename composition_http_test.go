//go:build !tacho_nohttp

package tacho

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tachikoma/tacho/internal/testkit"
)

// TestSubHTTPMetrics: two servers share the families of HTTP metrics. Close removes those of one.
func TestSubHTTPMetrics(t *testing.T) {
	r := NewRegistry()
	public, admin := r.Sub(WithConstLabels("server", "public")), r.Sub(WithConstLabels("server", "admin"), WithNative())
	a, b := NewHTTPMetrics(public), NewHTTPMetrics(admin)
	again := NewHTTPMetrics(r.Sub(WithConstLabels("server", "public"))) // the same metrics
	for range 2 {
		serveOne(a, discardWriter{http.Header{}}, "GET", "/x", respondOK)
	}
	serveOne(again, discardWriter{http.Header{}}, "GET", "/x", respondOK)
	serveOne(b, discardWriter{http.Header{}}, "GET", "/x", respondOK)
	value := func(server string) (values []float64) {
		for _, s := range testkit.ParseText(t, text(t, r)) {
			if s.Name == "http_requests_total" && s.Labels[0].Value == server {
				values = append(values, s.Value)
			}
		}
		return values
	}
	if p, a := value("public"), value("admin"); len(p) != 1 || p[0] != 3 || len(a) != 1 || a[0] != 1 {
		t.Errorf("requests %v and %v", p, a)
	}
	admin.Close()
	serveOne(b, discardWriter{http.Header{}}, "GET", "/x", respondOK)
	if p, a := value("public"), value("admin"); len(p) != 1 || len(a) != 0 || strings.Contains(text(t, r), "admin") {
		t.Errorf("after Close: requests %v and %v", p, a)
	}
}

// TestSubHandler: the handlers of sub-registries and joined registries filter by name, also after
// Close.
func TestSubHandler(t *testing.T) {
	r, other := NewRegistry(), NewRegistry()
	s := r.Sub(WithConstLabels("s", "1"), WithPrefix("p_"))
	called := 0
	s.Counter("x_total", "").Inc()
	s.GaugeFunc("f", "", func() float64 { called++; return 1 })
	r.Counter("p_x_total", "").Inc()
	other.Counter("p_x_total", "").Add(2)
	other.Counter("y_total", "").Inc()
	get := func(h http.Handler, query string) string {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/metrics"+query, nil))
		return withoutHelp(w.Body.String())
	}
	const query = "?name[]=p_x_total"
	joined, sub := Handler(r, other), s.Handler()
	for _, c := range []struct {
		h           http.Handler
		query, want string
	}{
		{sub, query, "p_x_total{s=\"1\"} 1\n"},
		{sub, "?name[]=y_total", ""},
		{r.Handler(), query, "p_x_total 1\np_x_total{s=\"1\"} 1\n"},
		{joined, query, "p_x_total 1\np_x_total{s=\"1\"} 1\n"},
		{joined, "?name[]=y_total", "y_total 1\n"},
	} {
		if got := get(c.h, c.query); got != c.want {
			t.Errorf("%s: got\n%swant\n%s", c.query, got, c.want)
		}
	}
	if called > 0 {
		t.Error("a function was called that no client asked for")
	}
	if got := get(sub, ""); got != "p_f{s=\"1\"} 1\np_x_total{s=\"1\"} 1\n" {
		t.Errorf("a sub-registry shows\n%s", got)
	}
	s.Close()
	for _, h := range []http.Handler{sub, s.JSONHandler(), Handler(s), Handler()} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		if w.Code != 200 || strings.Contains(w.Body.String(), "x") {
			t.Errorf("a closed registry: status %d, %q", w.Code, w.Body)
		}
	}
}

// TestCompositionContext: the context of a scrape bounds the functions of all parts and of
// sub-registries.
func TestCompositionContext(t *testing.T) {
	r := NewRegistry()
	s := r.Sub(WithConstLabels("s", "1"))
	hang := make(chan struct{})
	defer close(hang)
	s.GaugeFunc("hangs", "", func() float64 { <-hang; return 1 })
	s.Gauge("g", "").Set(1)
	for _, reg := range []*Registry{s, Join(s, NewRegistry())} {
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		var b strings.Builder
		if err := reg.WriteTextContext(ctx, &b); err == nil && !strings.HasPrefix(withoutHelp(b.String()), "g{s=\"1\"} 1\n") {
			t.Errorf("got %s", &b)
		}
		cancel()
		b.Reset()
		if err := reg.WriteTextContext(ctx, &b); err == nil || b.Len() > 0 {
			t.Errorf("after the end of the context: %v, %q", err, &b)
		}
	}
}

// TestSubHandlerWhileClosing: sub-registries are closed while the handlers of a registry, a sub-registry and
// a joined registry serve scrapes and the page of package dashboard. Each response is complete and valid.
func TestSubHandlerWhileClosing(t *testing.T) {
	r := NewRegistry()
	kept, closing := r.Sub(WithConstLabels("s", "kept")), r.Sub(WithConstLabels("s", "closing"))
	for _, s := range []*Registry{kept, closing} {
		s.HistogramVec("h", "Help.", nil, []string{"l"}).With("1").Observe(1)
		s.GaugeFunc("f", "", zero)
	}
	rounds := scale(20, 50, 300)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Add(1)
	go func() {
		defer wg.Done()
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			for _, in := range []*Registry{r, kept} {
				s := in.Sub(WithConstLabels("n", "1"))
				s.HistogramVec("h", "Help.", nil, []string{"l"}).With("1").Observe(1)
				s.Collect(func(e *Emitter) { e.Gauge("e", "", 1) })
				s.GaugeFunc("g", "", func() float64 { s.Close(); return 1 })
				s.Close()
			}
			runtime.Gosched() // WebAssembly has one thread, and no preemption
		}
	}()
	for i := range rounds {
		if i == rounds/2 {
			closing.Close()
			closing = r.Sub(WithConstLabels("s", "closing"))
		}
		for _, reg := range []*Registry{r, kept, closing, Join(kept, NewRegistry()), Join(r, NewRegistry())} {
			w := httptest.NewRecorder()
			reg.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
			samples := testkit.ParseText(t, w.Body.String())
			testkit.CheckHistograms(t, samples)
			if w.Code != 200 || reg != closing && !strings.Contains(w.Body.String(), `h_count{s="kept",l="1"} 1`) {
				t.Errorf("status %d\n%s", w.Code, w.Body)
			}
			w = httptest.NewRecorder()
			reg.JSONHandler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics/json?metadata=1", nil))
			if body := w.Body.String(); w.Code != 200 || !json.Valid(w.Body.Bytes()) || reg != closing && !strings.Contains(body, "Help.") {
				t.Errorf("status %d\n%s", w.Code, body)
			}
		}
	}
	close(stop)
	wg.Wait()
	if got := text(t, closing); got != "" {
		t.Errorf("left:\n%s", got)
	}
}
