//go:build !tacho_nohttp

package main

import (
	"net/http/httptest"
	"slices"
	"testing"
)

func TestTraceExemplar(t *testing.T) {
	for header, want := range map[string][]string{
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01":       {"trace_id", "4bf92f3577b34da6a3ce929d0e0e4736", "span_id", "00f067aa0ba902b7"},
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00":       nil, // not sampled
		"00-00000000000000000000000000000000-00f067aa0ba902b7-01":       nil,
		"00-4bf92f3577b34da6a3ce929d0e0e473\"-00f067aa0ba902b7-01":      nil,
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-extra": nil,
		"": nil,
	} {
		req := httptest.NewRequest("GET", "/", nil)
		req.Header.Set("traceparent", header)
		if got := traceExemplar(req); !slices.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", header, got, want)
		}
	}
}
