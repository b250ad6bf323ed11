package conformance

import (
	"math"
	"os"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/process"
)

// TestProcess holds package process against client_golang's collector, name by name.
func TestProcess(t *testing.T) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("what there is without /proc differs")
	}
	client := prometheus.NewRegistry()
	client.MustRegister(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	reg := tacho.NewRegistry()
	process.Register(reg)
	before, now, after := ofClient(t, client), ofTacho(t, reg), ofClient(t, client)
	sameFamilies(t, now, before)

	const tick = 0.01 // the resolution of client_golang's CPU time, in seconds
	const mapped = 32 << 20
	slack := map[string]float64{
		"process_cpu_seconds_total":     2 * tick, // user and system time are rounded each
		"process_start_time_seconds":    1,        // the boot, in whole seconds, moves when the clock is set
		"process_resident_memory_bytes": mapped,   // the kernel counts pages for each processor, and adds up later
		"process_virtual_memory_bytes":  mapped,
	}
	for _, name := range now.names() {
		a, v, b := before.value(name), now.value(name), after.value(name)
		if v < math.Min(a, b)-slack[name] || v > math.Max(a, b)+slack[name] {
			t.Errorf("%s is %v, client_golang's %v before and %v after", name, v, a, b)
		}
	}
}
