// Package goruntime exposes the Go runtime in a registry: goroutines, threads,
// memory and garbage collection, under the names and types that client_golang's
// Go collector gives them, so that dashboards made for those show it.
//
//	goruntime.Register(tacho.Default)
//
// A scrape reads package runtime/metrics once, and the pauses of the garbage
// collector from package runtime/debug, into memory that the next scrape uses
// again. Neither stops the world, as runtime.ReadMemStats would.
package goruntime

import (
	"runtime"
	"strings"

	"github.com/tachikoma/tacho"
)

// Register defines the metrics of the Go runtime in reg:
//
//   - go_goroutines, go_threads and go_sched_gomaxprocs_threads;
//   - go_gc_duration_seconds, a summary of the pauses of the latest 256 garbage
//     collections, with count and sum of all; go_gc_gogc_percent and
//     go_gc_gomemlimit_bytes;
//   - go_memstats_*, what the fields of runtime.MemStats say;
//   - go_info{version}, and go_build_info{path,version,checksum} of the main module.
//
// What a later version of Go does not measure any more is left out. Register
// panics with a *[tacho.DefinitionError] if reg has one of the names, and so too if
// it was called for reg before; then it changes nothing. Only the summary is emitted
// at each scrape ([tacho.Emitter]), and a metric of its name prevails. Register is
// safe for concurrent use, and so are the scrapes.
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
	define := func(f *family, value func() float64, opts ...tacho.Option) {
		if f.counter {
			reg.CounterFunc(f.name, f.help, value, append(opts, f.unit()...)...)
		} else {
			reg.GaugeFunc(f.name, f.help, value, append(opts, f.unit()...)...)
		}
		defined = append(defined, f.name)
	}

	r := newReader()
	r.update()
	for i := range r.families {
		define(&r.families[i], r.values[i].load)
	}
	define(&lastGC, r.lastGC.load)
	define(&goroutines, goroutineCount)
	define(&threads, threadCount)
	define(&info, one, tacho.WithConstLabels("version", runtime.Version()))
	define(&buildInfo, one, tacho.WithConstLabels(mainModule()...))
	reg.Collect(r.collect)
	done = true
}

// unit returns the unit that the name ends in, if it does.
func (f *family) unit() []tacho.Option {
	for _, unit := range []string{"bytes", "seconds"} {
		if strings.HasSuffix(strings.TrimSuffix(f.name, "_total"), "_"+unit) {
			return []tacho.Option{tacho.WithUnit(unit)}
		}
	}
	return nil
}
