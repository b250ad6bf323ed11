// Package process exposes the process that it runs in: CPU time, memory, file
// descriptors, network and start, under the names and types that client_golang's
// process collector gives them, so that dashboards made for those show it.
//
//	process.Register(tacho.Default)
//
// What there is depends on what the system tells; nothing is made up.
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
// The two of the network are those of the network namespace, which is the
// container's or the machine's, and of IPv4.
package process

import (
	"math"
	"sync"
	"sync/atomic"

	"github.com/tachikoma/tacho"
)

// Register defines in reg what the system tells of this process; see the table
// above. What cannot be read now, since /proc is not there, is not defined. What
// cannot be read at a scrape, since the process has run out of file descriptors,
// is left out of it if it is a gauge, and stands still if it is a counter.
//
// Register panics with a *[tacho.DefinitionError] if reg has one of the names, and
// so too if it was called for reg before; then it changes nothing. It is safe for
// concurrent use, and so are the scrapes.
func Register(reg *tacho.Registry) {
	var defined []string
	done := false
	defer func() {
		for _, name := range defined {
			if !done { // nothing would bring them up to date
				reg.Unregister(name)
			}
		}
	}()
	p := &process{}
	p.read()
	for i, f := range families {
		if !p.now[i].known {
			continue
		}
		opts := []tacho.Option{}
		if f.unit != "" {
			opts = append(opts, tacho.WithUnit(f.unit))
		}
		if f.counter {
			reg.CounterFunc(f.name, f.help, p.counters[i].load, opts...)
		} else {
			p.gauges[i] = reg.FloatGaugeVec(f.name, f.help, nil, opts...)
		}
		defined = append(defined, f.name)
	}
	reg.Collect(p.update)
	done = true
}

// What a system may tell, in the order of definition: a second registration fails
// at the counter that comes first, since functions cannot be compared.
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
	facts
)

var families = [facts]struct {
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

// A fact is one reading, if there was something to read.
type fact struct {
	value float64
	known bool
}

// A process reads all facts at each scrape and keeps what it read.
type process struct {
	counters [facts]total
	gauges   [facts]*tacho.FloatGaugeVec // without labels: of no series while nothing is known

	mu  sync.Mutex // scrapes can overlap
	now [facts]fact
	system
}

// A total is a number that one scrape may write while another reads it.
type total struct{ bits atomic.Uint64 }

func (t *total) load() float64 { return math.Float64frombits(t.bits.Load()) }

// read asks the system. The mutex is held, or nobody else has the process yet.
func (p *process) read() {
	clear(p.now[:])
	p.system.read(&p.now)
	for i, f := range families {
		if f.counter && p.now[i].known {
			p.counters[i].bits.Store(math.Float64bits(p.now[i].value))
		}
	}
}

// update brings all families up to date, which a scrape shows afterwards.
func (p *process) update(*tacho.Emitter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.read()
	for i, g := range p.gauges {
		switch {
		case g == nil:
		case p.now[i].known:
			g.With().Set(p.now[i].value)
		default:
			g.Delete()
		}
	}
}
