//go:build !tacho_nohttp

package tacho

import (
	"context"
	"errors"
	"io"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tachikoma/tacho/internal/testkit"
)

// TestHandlerOpenMetrics2: Handler serves OpenMetrics 2.0 for every registry, to clients that prefer
// this version. The names of the parameter name[] are as defined.
func TestHandlerOpenMetrics2(t *testing.T) {
	const (
		two   = "application/openmetrics-text;version=2.0.0"
		open2 = "application/openmetrics-text; version=2.0.0; charset=utf-8"
		body  = "# TYPE a.b_total counter\na.b_total 1\n# TYPE h histogram\nh {count:0,sum:0,bucket:[1:0,+Inf:0]}\n# EOF\n"
		name  = `"a.b_total"`
	)
	define := func(r *Registry, counter string) *Registry {
		r.Counter(counter, "").Inc()
		r.Histogram("h", "", []float64{1})
		return r
	}
	legacy := define(NewRegistry(), "a_b_total")
	utf8 := define(NewRegistry(WithUTF8Names()), "a.b_total")
	native := define(NewRegistry(WithNative()), "a_b_total")
	plain := strings.ReplaceAll(body, "a.b", "a_b")
	quoted := strings.Replace(strings.Replace(body, "a.b_total counter", name+" counter", 1), "a.b_total 1", "{"+name+"} 1", 1)
	for what, c := range map[string]struct {
		r                          *Registry
		query, accept, kind, wants string
	}{
		"legacy names":         {legacy, "", two, open2, plain},
		"joined":               {Join(legacy, NewRegistry()), "", two, open2, plain},
		"Prometheus":           {legacy, "", two + ";escaping=allow-utf-8;q=0.7,*/*;q=0.6", open2, plain},
		"no escaping":          {utf8, "", two, open2 + "; escaping=underscores", plain},
		"allow-utf-8":          {utf8, "", two + ";escaping=allow-utf-8", open2 + "; escaping=allow-utf-8", quoted},
		"values":               {utf8, "", two + ";escaping=values", open2 + "; escaping=values", strings.ReplaceAll(body, "a.b_total", "U__a_2e_b__total")},
		"one family":           {utf8, "?name[]=a.b_total", two + ";escaping=allow-utf-8", open2 + "; escaping=allow-utf-8", quoted[:strings.Index(quoted, "# TYPE h")] + "# EOF\n"},
		"no family":            {legacy, "?name[]=a", two, open2, "# EOF\n"},
		"native":               {native, "", two + ",application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.9", open2, ""},
		"OpenMetrics 1.0":      {legacy, "", testkit.AcceptPrometheus3, "application/openmetrics-text; version=1.0.0; charset=utf-8", ""},
		"a release candidate":  {legacy, "", two + "-rc0", "text/plain; version=0.0.4; charset=utf-8", ""},
		"1.0 with more weight": {legacy, "", two + ";q=0.5,application/openmetrics-text;version=1.0.0", "application/openmetrics-text; version=1.0.0; charset=utf-8", ""},
	} {
		for _, method := range []string{"GET", "HEAD"} {
			w := httptest.NewRecorder()
			req := httptest.NewRequest(method, "/metrics"+c.query, nil)
			req.Header.Set("Accept", c.accept)
			c.r.Handler().ServeHTTP(w, req)
			if got := w.Header().Get("Content-Type"); got != c.kind || w.Code != 200 {
				t.Errorf("%s, %s: %d, %s, want %s", what, method, w.Code, got, c.kind)
			}
			if got := w.Body.String(); method == "GET" && c.wants != "" && got != c.wants || method == "HEAD" && got != "" {
				t.Errorf("%s, %s: got\n%s\nwant\n%s", what, method, got, c.wants)
			}
		}
	}
	w := httptest.NewRecorder()
	req := httptest.NewRequest("GET", "/metrics", nil)
	req.Header.Set("Accept", two)
	calls := NewRegistry()
	calls.GaugeFunc("g", "", func() float64 { panic("broken") })
	calls.Handler().ServeHTTP(w, req)
	if got := w.Body.String(); !strings.Contains(got, `tacho_errors_total{metric="g",reason="panic"} 1`+"\n# EOF\n") {
		t.Errorf("a function that panics: %s", got)
	}
}

// TestWriteOpenMetrics2Context: WriteOpenMetrics2Context has the output of WriteOpenMetrics2, and
// writes nothing after the end of the context.
func TestWriteOpenMetrics2Context(t *testing.T) {
	r := NewRegistry()
	r.Histogram("a", "", nil, WithNative()).Observe(1)
	if got := write(t, func(w io.Writer) error { return r.WriteOpenMetrics2Context(context.Background(), w) }); got != open2(t, r) {
		t.Errorf("got\n%s", got)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	gone := errors.New("gone")
	cancel(gone)
	var b strings.Builder
	if err := r.WriteOpenMetrics2Context(ctx, &b); err != gone || b.Len() > 0 {
		t.Errorf("error %v, want %v; written: %q", err, gone, b.String())
	}
}
