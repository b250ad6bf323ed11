package conformance

import (
	"maps"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/goruntime"
)

// TestGoruntime holds package goruntime against client_golang's collectors of the
// runtime and the build, name by name.
func TestGoruntime(t *testing.T) {
	client := prometheus.NewRegistry()
	client.MustRegister(collectors.NewGoCollector(), collectors.NewBuildInfoCollector())
	reg := tacho.NewRegistry()
	goruntime.Register(reg)
	sameFamilies(t, ofTacho(t, reg), ofClient(t, client))

	// Between two readings the runtime now and then does work of its own, which can go
	// either way: each value must agree in one of some tries.
	defer debug.SetGCPercent(debug.SetGCPercent(10000))
	runtime.GC()
	open := map[string]bool{}
	for _, name := range ofTacho(t, reg).names() {
		open[name] = true
	}
	for range 50 {
		before := ofClient(t, client)
		now := ofTacho(t, reg)
		after := ofClient(t, client)
		for name := range open {
			agrees := false
			switch {
			case name == "go_gc_duration_seconds":
				a, b := now[name].GetMetric()[0].GetSummary(), before[name].GetMetric()[0].GetSummary()
				// The text format has every digit of a float64.
				agrees = a.String() == b.String() && len(a.GetQuantile()) == 5 && a.GetSampleCount() > 0
			case strings.HasSuffix(name, "_info"):
				agrees = maps.Equal(now.labels(name), before.labels(name)) && now.value(name) == 1
			case name == "go_goroutines":
				// client_golang's are more: it starts some to gather.
				v := now.value(name)
				agrees = v == float64(runtime.NumGoroutine()) && v <= before.value(name)
			default:
				agrees = agree(name, before, now, after)
			}
			if agrees {
				delete(open, name)
			}
		}
		if len(open) == 0 {
			return
		}
	}
	before, now := ofClient(t, client), ofTacho(t, reg)
	for _, name := range slices.Sorted(maps.Keys(open)) {
		t.Errorf("%v, client_golang's %v", now[name], before[name])
	}
}
