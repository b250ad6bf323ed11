//go:build !tacho_nohttp

package httpclient

import (
	"math"
	"net/http"
	"strings"
	"testing"

	"github.com/tachikoma/tacho"
)

// TestBadDefinitions: bad definitions are refused with a DefinitionError, not at the first
// request.
func TestBadDefinitions(t *testing.T) {
	for what, define := range map[string]func(){
		"nil registry":     func() { New(nil, Config{}) },
		"zero registry":    func() { New(new(tacho.Registry), Config{}) },
		"NaN bucket":       func() { New(tacho.NewRegistry(), Config{Buckets: []float64{math.NaN()}}) },
		"too many buckets": func() { New(tacho.NewRegistry(), Config{Buckets: make([]float64, 70_000)}) },
		"zero Metrics":     func() { new(Metrics).RoundTripper(nil) },
	} {
		if _, err := tacho.Try(func() int { define(); return 0 }); err == nil {
			t.Errorf("%s: accepted", what)
		}
	}
}

// TestAnyRequest: a request without a URL, and one with huge parts, are recorded without a
// panic.
func TestAnyRequest(t *testing.T) {
	huge := strings.Repeat("x", 1<<20)
	for _, c := range []Config{{}, {MaxHosts: -1, Phases: true}, {MaxHosts: math.MinInt}} {
		reg := tacho.NewRegistry()
		rt := New(reg, c).RoundTripper(respond(-1, nil))
		for _, req := range []*http.Request{{}, {Method: huge}, request(t, huge, "http://"+huge)} {
			if _, err := rt.RoundTrip(req); err != nil {
				t.Error(err)
			}
		}
		var b strings.Builder
		if err := reg.WriteText(&b); err != nil || !strings.Contains(b.String(), `host="other"`) {
			t.Errorf("%v:\n%s", err, b.String())
		}
	}
}
