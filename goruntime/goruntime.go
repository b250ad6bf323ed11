// Package goruntime exposes metrics of the Go runtime: goroutines, threads, memory and
// garbage collection. Names and types are the same as in client_golang's Go collector,
// so dashboards for that collector show the values.
//
// This program serves the metrics of its own runtime:
//
//	package main
//
//	import (
//		"log"
//		"net/http"
//
//		"github.com/tachikoma/tacho"
//		"github.com/tachikoma/tacho/goruntime"
//	)
//
//	func main() {
//		goruntime.Register(tacho.Default)
//		http.Handle("GET /metrics", tacho.Default.Handler())
//		log.Fatal(http.ListenAndServe("127.0.0.1:8080", nil))
//	}
//
// [RegisterAdvanced] adds scheduler latencies, pauses and CPU time by use. It adds up to 32 KiB to a
// program without histograms.
//
// A scrape does not stop the world. Values come from package runtime/metrics and from
// [debug.ReadGCStats]. [runtime.ReadMemStats] would stop the world.
package goruntime

import (
	"runtime"
	"strings"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/internal/registration"
)

// Register defines the metrics of the Go runtime in reg:
//
//	go_goroutines, go_threads                 goroutines and operating system threads
//	go_sched_gomaxprocs_threads               GOMAXPROCS
//	go_gc_gogc_percent                        GOGC
//	go_gc_gomemlimit_bytes                    GOMEMLIMIT
//	go_gc_duration_seconds                    summary of the pauses of garbage collections
//	go_memstats_*                             the fields of runtime.MemStats
//	go_info{version}                          the version of Go
//	go_build_info{path,version,checksum}      the main module
//
// The quantiles of go_gc_duration_seconds cover the latest 256 garbage collections. Its
// count and sum cover all garbage collections. A metric is not defined if the version
// of Go does not measure its value.
//
// Register panics with a *[tacho.DefinitionError] if reg already has one of the names.
// A second call with the same reg is such a conflict. After a panic reg is unchanged.
// stop removes the metrics from reg; a second call of stop has no effect. Register and stop
// are safe for concurrent use, and so are the scrapes.
//
// Only go_gc_duration_seconds is not defined but emitted at each scrape; see
// [tacho.Emitter]. If reg has a metric of this name, the scrape shows that metric instead.
func Register(reg *tacho.Registry) (stop func()) {
	defined := registration.New(reg)
	defer defined.Undo()
	p := newPauses()
	r := newReader(families, p)
	r.define(defined, (*family).unit)
	lastGC.define(defined, r.fresh(p.last), lastGC.unit()...)
	goroutines.define(defined, goroutineCount)
	threads.define(defined, threadCount)
	info.define(defined, one, tacho.WithConstLabels("version", runtime.Version()))
	buildInfo.define(defined, one, tacho.WithConstLabels(mainModule()...))
	return defined.Collect(r.collect)
}

// define defines f with the values of a function.
func (f *family) define(defined *registration.Registration, value func() float64, opts ...tacho.Option) {
	add := defined.GaugeFunc
	if f.counter {
		add = defined.CounterFunc
	}
	add(f.name, f.help, value, opts...)
}

// unit returns an option for the unit in the name, if any.
func (f *family) unit() []tacho.Option {
	for _, unit := range []string{"bytes", "seconds"} {
		if strings.HasSuffix(strings.TrimSuffix(f.name, "_total"), "_"+unit) {
			return []tacho.Option{tacho.WithUnit(unit)}
		}
	}
	return nil
}
