package conformance

import (
	"math"
	"os"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/tachikoma/tacho"
	tachocollectors "github.com/tachikoma/tacho/collectors"
	"github.com/tachikoma/tacho/process"
)

// TestCollectors: one call of package collectors has every family of the collectors that
// client_golang's users register.
func TestCollectors(t *testing.T) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("without /proc the metrics of client_golang differ")
	}
	client := prometheus.NewRegistry()
	client.MustRegister(collectors.NewGoCollector(), collectors.NewBuildInfoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	reg := tacho.NewRegistry()
	tachocollectors.Register(reg)
	compareFamilies(t, tachoFamilies(t, reg), clientFamilies(t, client))
}

// TestProcess compares package process with the process collector of client_golang,
// metric by metric.
func TestProcess(t *testing.T) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("without /proc the metrics of client_golang differ")
	}
	client := prometheus.NewRegistry()
	client.MustRegister(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	reg := tacho.NewRegistry()
	process.Register(reg)
	before, now, after := clientFamilies(t, client), tachoFamilies(t, reg), clientFamilies(t, client)
	compareFamilies(t, now, before)

	const tick = 0.01 // the resolution of client_golang's CPU time, in seconds
	const mapped = 32 << 20
	slack := map[string]float64{
		"process_cpu_seconds_total":     2 * tick, // the kernel rounds the user time and the system time
		"process_start_time_seconds":    1,        // the boot time, in whole seconds, changes with the system clock
		"process_resident_memory_bytes": mapped,   // the kernel adds the page counters of the processors with a delay
		"process_virtual_memory_bytes":  mapped,
	}
	for _, name := range now.names() {
		a, v, b := before.value(name), now.value(name), after.value(name)
		if v < math.Min(a, b)-slack[name] || v > math.Max(a, b)+slack[name] {
			t.Errorf("%s is %v, want a value between %v and %v of client_golang", name, v, a, b)
		}
	}
}
