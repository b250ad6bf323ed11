// Package process exposes metrics of the current process: CPU time, memory, file
// descriptors, network traffic and start time. Names and types are the same as in
// client_golang's process collector, so dashboards for that collector show the values.
//
// This program serves the metrics of its own process:
//
//	package main
//
//	import (
//		"log"
//		"net/http"
//
//		"github.com/tachikoma/tacho"
//		"github.com/tachikoma/tacho/process"
//	)
//
//	func main() {
//		process.Register(tacho.Default)
//		http.Handle("GET /metrics", tacho.Default.Handler())
//		log.Fatal(http.ListenAndServe("127.0.0.1:8080", nil))
//	}
//
// The set of metrics depends on the operating system:
//
//	                                       Linux       other Unix  Windows
//	process_cpu_seconds_total              yes         yes         yes
//	process_start_time_seconds             from /proc              yes
//	process_resident_memory_bytes          from /proc
//	process_virtual_memory_bytes           from /proc
//	process_virtual_memory_max_bytes       yes
//	process_open_fds                       from /proc
//	process_max_fds                        yes         yes
//	process_network_receive_bytes_total    from /proc
//	process_network_transmit_bytes_total   from /proc
//
// The network counters count IPv4 traffic of the network namespace of the process. A
// container usually has its own network namespace. Otherwise the namespace is that of
// the machine.
//
// The start time is never later than now. It is correct in a container whose /proc/stat
// has the start of the container as the boot time. It stays constant unless the clock is
// set to a time before it.
package process

import (
	"sync"
	"time"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/internal/registration"
)

// Register defines in reg the metrics that the operating system provides. The package
// comment lists the metrics of each system. A metric is not defined if its value cannot
// be read during the call, for example without /proc.
//
// Each scrape reads all values again. If the value of a gauge cannot be read at a
// scrape, the scrape leaves out the gauge. A counter keeps the previous value. Reading
// /proc fails, for example, if the process has no free file descriptor.
//
// Register panics with a *[tacho.DefinitionError] if reg already has one of the names,
// even with the same definition. A second call with the same reg is such a conflict. After
// a panic reg is unchanged. stop removes the metrics from reg; a second call of stop has no
// effect. Register and stop are safe for concurrent use, and so are the scrapes.
func Register(reg *tacho.Registry) (stop func()) {
	r := registration.New(reg)
	defer r.Undo()
	c := &collector{}
	c.read()
	first := c.now // a scrape calls a counter's function, which reads again, before all are defined
	for i, f := range families {
		if !first[i].known {
			continue
		}
		opts := []tacho.Option{}
		if f.unit != "" {
			opts = append(opts, tacho.WithUnit(f.unit))
		}
		if f.counter {
			r.CounterFunc(f.name, f.help, c.counter(i), opts...)
		} else {
			value := first[i].value
			c.gauges[i] = r.FloatGauge(f.name, f.help, func() float64 { return value }, opts...)
		}
	}
	return r.Collect(c.update)
}

// The constants are the indexes of all values, in the order of definition. The first
// value is a counter: functions cannot be compared, so a second registration fails at
// the first definition.
const (
	cpuSeconds = iota
	startTime
	residentMemory
	virtualMemory
	virtualMemoryMax
	openFDs
	maxFDs
	networkReceived
	networkSent
	numReadings
)

var families = [numReadings]struct {
	name, help, unit string
	counter          bool
}{
	cpuSeconds:       {"process_cpu_seconds_total", "CPU time that the process used, in user and system mode.", "seconds", true},
	startTime:        {"process_start_time_seconds", "When the process started, in seconds since 1970.", "seconds", false},
	residentMemory:   {"process_resident_memory_bytes", "Memory of the process that is in RAM.", "bytes", false},
	virtualMemory:    {"process_virtual_memory_bytes", "Address space of the process.", "bytes", false},
	virtualMemoryMax: {"process_virtual_memory_max_bytes", "Limit of the address space of the process.", "bytes", false},
	openFDs:          {"process_open_fds", "File descriptors that are open.", "", false},
	maxFDs:           {"process_max_fds", "Limit of the number of file descriptors.", "", false},
	networkReceived: {"process_network_receive_bytes_total",
		"Bytes that came over IPv4 into the network namespace of the process.", "bytes", true},
	networkSent: {"process_network_transmit_bytes_total",
		"Bytes that went over IPv4 out of the network namespace of the process.", "bytes", true},
}

// A reading is one value of the operating system, if known.
type reading struct {
	value float64
	known bool
}

// A collector reads all values at each scrape.
type collector struct {
	gauges [numReadings]*tacho.FloatGaugeVec // without labels; without a series while the value is unknown

	mu       sync.Mutex // scrapes can overlap
	counters [numReadings]float64
	at       time.Time // of the latest read
	now      [numReadings]reading
	system
}

// maxAge is the age of a value that a counter shows without another read. A scrape calls
// update and the functions of the counters in no fixed order.
const maxAge = 10 * time.Millisecond

// counter returns the function of a counter.
func (c *collector) counter(i int) func() float64 {
	return func() float64 {
		c.mu.Lock()
		defer c.mu.Unlock()
		if time.Since(c.at) > maxAge {
			c.read()
		}
		return c.counters[i]
	}
}

// read reads all values. The caller holds c.mu, or no scrape can use c yet.
func (c *collector) read() {
	c.at = time.Now()
	clear(c.now[:])
	c.system.read(&c.now)
	for i, f := range families {
		if f.counter && c.now[i].known {
			c.counters[i] = c.now[i].value
		}
	}
}

// update reads all values and sets the gauges. Each scrape calls update before the first
// gauge is written.
func (c *collector) update(*tacho.Emitter) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read()
	for i, g := range c.gauges {
		switch {
		case g == nil:
		case c.now[i].known:
			g.With().Set(c.now[i].value)
		default:
			g.Delete()
		}
	}
}
