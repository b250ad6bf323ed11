//go:build !tacho_nohttp

package push

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/tachikoma/tacho"
)

// TestAnyTarget: New returns an error for a target that cannot be used.
func TestAnyTarget(t *testing.T) {
	huge := strings.Repeat("\x00", 1<<20)
	for what, target := range map[string]Target{
		"nil":                nil,
		"zero Pushgateway":   Pushgateway{},
		"zero remote write":  RemoteWrite{},
		"zero VictoriaMet.":  VictoriaMetrics{},
		"huge Pushgateway":   Pushgateway{URL: huge, Job: huge, Grouping: []string{huge}},
		"huge remote write":  RemoteWrite{URL: huge, Labels: []string{huge}},
		"zero OTLP":          OTLP{},
		"huge OTLP":          OTLP{URL: huge, Attributes: []string{huge}},
		"huge attribute":     OTLP{URL: "http://h/", Attributes: []string{huge + "\xff", "v"}},
		"huge label":         RemoteWrite{URL: "http://h/", Labels: []string{huge, "v"}},
		"huge grouping name": Pushgateway{URL: "http://h", Job: "j", Grouping: []string{huge, "v"}},
	} {
		p, err := New(target, Config{Registry: tacho.NewRegistry()})
		switch {
		case err == nil:
			t.Errorf("%s: accepted", what)
			p.Close()
		case len(err.Error()) > 10_000:
			t.Errorf("%s: the error has %d bytes", what, len(err.Error()))
		}
	}
}

// TestExtremeConfig: no number in a Config makes New panic.
func TestExtremeConfig(t *testing.T) {
	for _, n := range []int64{-1, math.MaxInt64, math.MinInt64} {
		p, err := New(Pushgateway{URL: "http://127.0.0.1:1", Job: "j"}, Config{
			Registry: tacho.NewRegistry(), Interval: time.Duration(n), Timeout: time.Duration(n), Retries: int(n), MaxBytes: n,
		})
		if err != nil {
			continue
		}
		p.Close()
	}
	if _, err := New(Pushgateway{URL: "http://h", Job: "j"}, Config{Registry: new(tacho.Registry)}); err == nil {
		t.Error("a zero registry is accepted")
	}
}
