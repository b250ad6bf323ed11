//go:build !tacho_nohttp

package tacho

import (
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
