package goruntime

import (
	"strings"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/internal/registration"
)

// RegisterAdvanced defines further metrics of the Go runtime in reg, beside those of
// [Register]:
//
//	go_sched_latencies_seconds                    histogram of the waits of goroutines for a thread
//	go_sched_pauses_total_{gc,other}_seconds      histograms of the stops of the world
//	go_sched_pauses_stopping_{gc,other}_seconds   histograms of the time until all threads stop
//	go_sched_goroutines_*                         goroutines by state, with Go 1.26 or later
//	go_cpu_classes_*_cpu_seconds_total            CPU time by use
//	go_gc_cycles_*_gc_cycles_total                garbage collections, automatic and forced
//	go_gc_heap_live_bytes                         heap that the latest garbage collection marked
//	go_sync_mutex_wait_total_seconds_total        time that goroutines waited for mutexes
//
// Names, types, units and buckets are the same as in client_golang's Go collector with the
// option WithGoCollectorRuntimeMetrics. A histogram has 7 bounds from 64 ns to 0.12 s. The
// runtime does not measure the sum of a histogram. The sum of a scrape counts each duration as
// the lower bound of its bucket in the runtime, which is at most a fifth too low. A duration below
// 64 ns counts as 0. The sum of client_golang is lower.
//
// The runtime updates the CPU times at the end of a garbage collection, so the times are 0 before
// the first one. A collection runs at least every two minutes, unless GOGC is off.
//
// A scrape reads the metrics in one call of metrics.Read. With Go 1.26 they are 71 samples.
// BenchmarkScrapeAdvanced measures the time of a scrape.
//
// RegisterAdvanced needs no call of Register. Conflicts and stop are as in Register. A scrape
// emits the histograms; see [tacho.Emitter]. If reg has a metric with the name of a histogram,
// the scrape shows that metric instead.
func RegisterAdvanced(reg *tacho.Registry) (stop func()) {
	defined := registration.New(reg)
	defer defined.Undo()
	h, samples := newHistograms(advancedHistograms)
	r := newReader(advanced(), h)
	r.samples = append(r.samples, samples...)
	r.define(defined, (*family).sourceUnit)
	return defined.Collect(r.collect)
}

// sourceUnit returns an option for the unit in package runtime/metrics.
func (f *family) sourceUnit() []tacho.Option {
	_, unit, _ := strings.Cut(f.from[0], ":")
	return []tacho.Option{tacho.WithUnit(strings.ReplaceAll(unit, "-", "_"))}
}

// advanced returns the families of RegisterAdvanced that are no histograms. A variable would be
// part of programs that do not call RegisterAdvanced, because of cpuClass.
func advanced() []family {
	return []family{
		cpuClass("gc/mark/assist", "CPU time of goroutines that helped a garbage collection to mark."),
		cpuClass("gc/mark/dedicated", "CPU time of threads that did nothing but mark."),
		cpuClass("gc/mark/idle", "CPU time of threads that marked because they had no other work."),
		cpuClass("gc/pause", "CPU time of all threads while a garbage collection stopped the world."),
		cpuClass("gc/total", "CPU time of garbage collections."),
		cpuClass("idle", "CPU time that was not used."),
		cpuClass("scavenge/assist", "CPU time of goroutines that returned memory to the operating system."),
		cpuClass("scavenge/background", "CPU time of the background goroutine that returns memory to the operating system."),
		cpuClass("scavenge/total", "CPU time for the return of memory to the operating system."),
		cpuClass("total", "CPU time that was available: GOMAXPROCS multiplied by the time of the program."),
		cpuClass("user", "CPU time of the program's own code."),

		{name: "go_gc_cycles_automatic_gc_cycles_total", help: "Garbage collections that the runtime started.", counter: true,
			from: []string{"/gc/cycles/automatic:gc-cycles"}},
		{name: "go_gc_cycles_forced_gc_cycles_total", help: "Garbage collections that the program started.", counter: true,
			from: []string{"/gc/cycles/forced:gc-cycles"}},
		{name: "go_gc_cycles_total_gc_cycles_total", help: "Garbage collections.", counter: true,
			from: []string{"/gc/cycles/total:gc-cycles"}},
		{name: "go_gc_heap_live_bytes", help: "Heap objects that the latest garbage collection marked.",
			from: []string{"/gc/heap/live:bytes"}},

		{name: "go_sched_goroutines_created_goroutines_total", help: "Goroutines that were ever created.", counter: true,
			from: []string{"/sched/goroutines-created:goroutines"}},
		{name: "go_sched_goroutines_not_in_go_goroutines", help: "Goroutines in a system call or in C, approximately.",
			from: []string{"/sched/goroutines/not-in-go:goroutines"}},
		{name: "go_sched_goroutines_runnable_goroutines", help: "Goroutines that wait for a thread, approximately.",
			from: []string{"/sched/goroutines/runnable:goroutines"}},
		{name: "go_sched_goroutines_running_goroutines", help: "Goroutines that run, approximately.",
			from: []string{"/sched/goroutines/running:goroutines"}},
		{name: "go_sched_goroutines_waiting_goroutines", help: "Goroutines that wait for input, output or another goroutine, approximately.",
			from: []string{"/sched/goroutines/waiting:goroutines"}},

		{name: "go_sync_mutex_wait_total_seconds_total", help: "Time that goroutines waited for mutexes, approximately.", counter: true,
			from: []string{"/sync/mutex/wait/total:seconds"}},
	}
}

func cpuClass(class, help string) family {
	return family{
		name:    "go_cpu_classes_" + strings.ReplaceAll(class, "/", "_") + "_cpu_seconds_total",
		help:    help,
		counter: true,
		from:    []string{"/cpu/classes/" + class + ":cpu-seconds"},
	}
}

// advancedHistograms lists the histograms of RegisterAdvanced.
var advancedHistograms = []histogram{
	{name: "go_sched_latencies_seconds", help: "Time that goroutines waited for a thread.",
		from: "/sched/latencies:seconds"},
	{name: "go_sched_pauses_stopping_gc_seconds", help: "Time until all threads stopped for a garbage collection.",
		from: "/sched/pauses/stopping/gc:seconds"},
	{name: "go_sched_pauses_stopping_other_seconds", help: "Time until all threads stopped for another reason than a garbage collection.",
		from: "/sched/pauses/stopping/other:seconds"},
	{name: "go_sched_pauses_total_gc_seconds", help: "Time for which a garbage collection stopped the world.",
		from: "/sched/pauses/total/gc:seconds"},
	{name: "go_sched_pauses_total_other_seconds", help: "Time for which another reason than a garbage collection stopped the world.",
		from: "/sched/pauses/total/other:seconds"},
}
