//go:build (linux || darwin || freebsd) && !tacho_nohttp

package tacho

import (
	"strings"
	"testing"
	"time"

	"github.com/tachikoma/tacho/internal/testkit"
)

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
