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

// TestGoruntime compares package goruntime with the Go collector and the build info
// collector of client_golang, metric by metric.
func TestGoruntime(t *testing.T) {
	client := prometheus.NewRegistry()
	client.MustRegister(collectors.NewGoCollector(), collectors.NewBuildInfoCollector())
	reg := tacho.NewRegistry()
	goruntime.Register(reg)
	compareFamilies(t, tachoFamilies(t, reg), clientFamilies(t, client))

	// Background work of the runtime can change a value between two reads, so the test
	// repeats the comparison. Each metric must agree once.
	defer debug.SetGCPercent(debug.SetGCPercent(10000))
	runtime.GC()
	pending := map[string]bool{}
	for _, name := range tachoFamilies(t, reg).names() {
		pending[name] = true
	}
	for range 50 {
		before := clientFamilies(t, client)
		now := tachoFamilies(t, reg)
		after := clientFamilies(t, client)
		for name := range pending {
			agrees := false
			switch {
			case name == "go_gc_duration_seconds":
				a, b := now[name].GetMetric()[0].GetSummary(), before[name].GetMetric()[0].GetSummary()
				// The text format preserves every float64 exactly.
				agrees = a.String() == b.String() && len(a.GetQuantile()) == 5 && a.GetSampleCount() > 0
			case strings.HasSuffix(name, "_info"):
				agrees = maps.Equal(now.labels(name), before.labels(name)) && now.value(name) == 1
			case name == "go_goroutines":
				// The value has the goroutine that calls the functions of a scrape. The value of
				// client_golang is higher, because Gather starts more goroutines.
				v := now.value(name)
				agrees = v == float64(runtime.NumGoroutine()+1) && v <= before.value(name)
			default:
				agrees = isBetween(name, before, now, after)
			}
			if agrees {
				delete(pending, name)
			}
		}
		if len(pending) == 0 {
			return
		}
	}
	before, now := clientFamilies(t, client), tachoFamilies(t, reg)
	for _, name := range slices.Sorted(maps.Keys(pending)) {
		t.Errorf("%v, want %v as in client_golang", now[name], before[name])
	}
}
