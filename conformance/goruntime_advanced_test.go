package conformance

import (
	"bytes"
	"maps"
	"math"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	dto "github.com/prometheus/client_model/go"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/goruntime"
)

// ofAdvanced matches the metrics of package runtime/metrics that goruntime.RegisterAdvanced
// exposes.
var ofAdvanced = regexp.MustCompile(`^/(cpu/classes/.*|gc/cycles/.*|gc/heap/live:.*|sched/(latencies:|pauses/|goroutines-created:|goroutines/).*|sync/mutex/wait/.*)`)

// TestGoruntimeAdvanced compares goruntime.RegisterAdvanced with the same metrics of
// client_golang's Go collector: names, types, units, bounds and values. A metric that a later
// version of Go adds to a group fails the test.
func TestGoruntimeAdvanced(t *testing.T) {
	client := prometheus.NewRegistry()
	client.MustRegister(collectors.NewGoCollector(
		collectors.WithoutGoCollectorRuntimeMetrics(regexp.MustCompile("/.*")),
		collectors.WithGoCollectorMemStatsMetricsDisabled(),
		collectors.WithGoCollectorRuntimeMetrics(collectors.GoRuntimeMetricsRule{Matcher: ofAdvanced}),
	))
	reg := tacho.NewRegistry()
	goruntime.RegisterAdvanced(reg)
	clientAdvanced := func() familiesByName {
		families := clientFamilies(t, client)
		for _, name := range []string{"go_gc_duration_seconds", "go_goroutines", "go_info", "go_memstats_last_gc_time_seconds", "go_threads"} {
			delete(families, name) // no option of client_golang leaves them out
		}
		return families
	}
	compareFamilies(t, tachoFamilies(t, reg), clientAdvanced())
	compareUnits(t, reg, clientAdvanced())

	// The runtime changes values between two reads, so the test repeats the comparison. Each
	// family must agree once.
	defer debug.SetGCPercent(debug.SetGCPercent(10000))
	runtime.GC()
	pending := map[string]bool{}
	for _, name := range tachoFamilies(t, reg).names() {
		pending[name] = true
	}
	for range 50 {
		before := clientAdvanced()
		now := tachoFamilies(t, reg)
		after := clientAdvanced()
		for name := range pending {
			agrees := isBetween
			switch {
			case now[name].GetType() == dto.MetricType_HISTOGRAM:
				agrees = isHistogramBetween
			case strings.HasSuffix(name, "_goroutines"):
				agrees = isNotAbove
			}
			if agrees(name, before, now, after) {
				delete(pending, name)
			}
		}
		if len(pending) == 0 {
			return
		}
	}
	before, now := clientAdvanced(), tachoFamilies(t, reg)
	for _, name := range slices.Sorted(maps.Keys(pending)) {
		t.Errorf("%v, want %v as in client_golang", now[name], before[name])
	}
}

// isNotAbove is isBetween for goroutines by state. Their number is higher in client_golang,
// because Gather starts goroutines.
func isNotAbove(name string, before, now, after familiesByName) bool {
	return now.value(name) <= max(before.value(name), after.value(name))
}

// compareUnits compares the units in OpenMetrics with those of client_golang.
func compareUnits(t *testing.T, reg *tacho.Registry, client familiesByName) {
	t.Helper()
	var b bytes.Buffer
	if err := reg.WriteOpenMetrics(&b); err != nil {
		t.Fatal(err)
	}
	for name, f := range client {
		unit := regexp.MustCompile(`(?m)^# UNIT ` + name[:len(name)-len(suffixOf(f))] + ` (\S+)$`).FindSubmatch(b.Bytes())
		if unit == nil || string(unit[1]) != f.GetUnit() || f.GetUnit() == "" {
			t.Errorf("%s has the unit %q, want %q", name, unit, f.GetUnit())
		}
	}
}

// suffixOf returns the part of a name that OpenMetrics leaves out.
func suffixOf(f *dto.MetricFamily) string {
	if f.GetType() == dto.MetricType_COUNTER {
		return "_total"
	}
	return ""
}

// isHistogramBetween is isBetween for each bucket of a histogram. The bounds must be equal. The
// sum of client_golang is a lower limit, because client_golang counts a value as the lower bound of
// an exposed bucket. For tacho a value is the lower bound of a finer bucket.
func isHistogramBetween(name string, before, now, after familiesByName) bool {
	histogram := func(f familiesByName) *dto.Histogram { return f[name].GetMetric()[0].GetHistogram() }
	a, v, b := histogram(before), histogram(now), histogram(after)
	finite := v.GetBucket()[:len(v.GetBucket())-1] // client_golang leaves +Inf to the encoder
	if len(finite) != len(a.GetBucket()) || !math.IsInf(v.GetBucket()[len(finite)].GetUpperBound(), 1) {
		return false
	}
	for i, bucket := range finite {
		if bucket.GetUpperBound() != a.GetBucket()[i].GetUpperBound() ||
			bucket.GetCumulativeCount() < a.GetBucket()[i].GetCumulativeCount() ||
			bucket.GetCumulativeCount() > b.GetBucket()[i].GetCumulativeCount() {
			return false
		}
	}
	return a.GetSampleCount() <= v.GetSampleCount() && v.GetSampleCount() <= b.GetSampleCount() && a.GetSampleSum() <= v.GetSampleSum()
}
