//go:build !tacho_nohttp

package tacho

import (
	"context"
	"net/http"
	"testing"
)

func BenchmarkMiddleware(b *testing.B) {
	h := NewHTTPMetrics(NewRegistry()).Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusOK)
	}))
	w := discardWriter{http.Header{}}
	req, _ := http.NewRequest("GET", "/missions/1234", nil)
	solo(b, "request", func(int) { h.ServeHTTP(w, req) })
}

// BenchmarkContext compares recordings with and without a context. The function of a registry
// returns no exemplar.
func BenchmarkContext(b *testing.B) {
	none := func(context.Context) []string { return nil }
	for _, hook := range []struct {
		name string
		reg  *Registry
	}{{"without a function", NewRegistry()}, {"with a function", NewRegistry(WithContextExemplars(none))}} {
		b.Run(hook.name, func(b *testing.B) {
			ctx := context.Background()
			c, f := hook.reg.Counter("c_total", ""), hook.reg.FloatCounter("f_total", "")
			h := hook.reg.Histogram("h", "", []float64{1, 2, 3})
			solo(b, "Add", func(int) { c.Add(1) })
			solo(b, "AddContext", func(int) { c.AddContext(ctx, 1) })
			solo(b, "FloatAdd", func(int) { f.Add(1) })
			solo(b, "FloatAddContext", func(int) { f.AddContext(ctx, 1) })
			solo(b, "Observe", func(int) { h.Observe(1) })
			solo(b, "ObserveContext", func(int) { h.ObserveContext(ctx, 1) })
		})
	}
}
