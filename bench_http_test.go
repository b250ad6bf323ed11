//go:build !tacho_nohttp

package tacho

import (
	"net/http"
	"testing"
)

// quietWriter is a response writer that costs nothing.
type quietWriter struct{ h http.Header }

func (w quietWriter) Header() http.Header         { return w.h }
func (w quietWriter) Write(p []byte) (int, error) { return len(p), nil }
func (w quietWriter) WriteHeader(int)             {}

func BenchmarkMiddleware(b *testing.B) {
	h := NewHTTPMetrics(NewRegistry()).Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusOK)
	}))
	w := quietWriter{http.Header{}}
	req, _ := http.NewRequest("GET", "/missions/1234", nil)
	solo(b, "request", func(int) { h.ServeHTTP(w, req) })
}
