package goruntime

import "runtime"

// A family is one exposed metric. If from lists metrics of package runtime/metrics,
// the value of the family is the sum of the listed metrics.
type family struct {
	name, help string
	counter    bool
	from       []string
}

const (
	objects     = "/memory/classes/heap/objects:bytes"
	unused      = "/memory/classes/heap/unused:bytes"
	released    = "/memory/classes/heap/released:bytes"
	free        = "/memory/classes/heap/free:bytes"
	stacks      = "/memory/classes/heap/stacks:bytes"
	osStacks    = "/memory/classes/os-stacks:bytes"
	mspanInuse  = "/memory/classes/metadata/mspan/inuse:bytes"
	mspanFree   = "/memory/classes/metadata/mspan/free:bytes"
	mcacheInuse = "/memory/classes/metadata/mcache/inuse:bytes"
	mcacheFree  = "/memory/classes/metadata/mcache/free:bytes"
	allocs      = "/gc/heap/allocs:objects"
	frees       = "/gc/heap/frees:objects"
	tiny        = "/gc/heap/tiny/allocs:objects" // runtime.MemStats adds tiny allocations to Mallocs and to Frees
)

// families lists the families with values from package runtime/metrics.
var families = []family{
	{name: "go_sched_gomaxprocs_threads", help: "Threads that may run Go code at once, GOMAXPROCS.",
		from: []string{"/sched/gomaxprocs:threads"}},
	{name: "go_gc_gogc_percent", help: "How far the heap may grow until the next garbage collection, GOGC.",
		from: []string{"/gc/gogc:percent"}},
	{name: "go_gc_gomemlimit_bytes", help: "Memory that the runtime tries to stay within, GOMEMLIMIT.",
		from: []string{"/gc/gomemlimit:bytes"}},

	{name: "go_memstats_sys_bytes", help: "All memory from the operating system.",
		from: []string{"/memory/classes/total:bytes"}},
	{name: "go_memstats_alloc_bytes", help: "Heap objects, dead ones not yet swept included.",
		from: []string{objects}},
	{name: "go_memstats_alloc_bytes_total", help: "Heap memory that was ever allocated.", counter: true,
		from: []string{"/gc/heap/allocs:bytes"}},
	{name: "go_memstats_mallocs_total", help: "Heap objects that were ever allocated.", counter: true,
		from: []string{allocs, tiny}},
	{name: "go_memstats_frees_total", help: "Heap objects that were ever freed.", counter: true,
		from: []string{frees, tiny}},
	{name: "go_memstats_next_gc_bytes", help: "Size of the heap at which the next garbage collection is to end.",
		from: []string{"/gc/heap/goal:bytes"}},

	{name: "go_memstats_heap_alloc_bytes", help: "The same as go_memstats_alloc_bytes.",
		from: []string{objects}},
	{name: "go_memstats_heap_objects", help: "Heap objects, dead ones not yet swept included.",
		from: []string{"/gc/heap/objects:objects"}},
	{name: "go_memstats_heap_sys_bytes", help: "Memory reserved for the heap, in use or not.",
		from: []string{objects, unused, released, free}},
	{name: "go_memstats_heap_inuse_bytes", help: "Spans of the heap that hold objects.",
		from: []string{objects, unused}},
	{name: "go_memstats_heap_idle_bytes", help: "Spans of the heap that hold none.",
		from: []string{released, free}},
	{name: "go_memstats_heap_released_bytes", help: "Idle spans that went back to the operating system.",
		from: []string{released}},

	{name: "go_memstats_stack_inuse_bytes", help: "Spans that hold stacks of goroutines.",
		from: []string{stacks}},
	{name: "go_memstats_stack_sys_bytes", help: "Stacks of goroutines and of threads.",
		from: []string{stacks, osStacks}},
	{name: "go_memstats_mspan_inuse_bytes", help: "Descriptions of spans that are in use.",
		from: []string{mspanInuse}},
	{name: "go_memstats_mspan_sys_bytes", help: "Descriptions of spans, in use or not.",
		from: []string{mspanInuse, mspanFree}},
	{name: "go_memstats_mcache_inuse_bytes", help: "Caches of free spans that are in use.",
		from: []string{mcacheInuse}},
	{name: "go_memstats_mcache_sys_bytes", help: "Caches of free spans, in use or not.",
		from: []string{mcacheInuse, mcacheFree}},
	{name: "go_memstats_buck_hash_sys_bytes", help: "The profiler's table of stacks.",
		from: []string{"/memory/classes/profiling/buckets:bytes"}},
	{name: "go_memstats_gc_sys_bytes", help: "What the garbage collector keeps for itself.",
		from: []string{"/memory/classes/metadata/other:bytes"}},
	{name: "go_memstats_other_sys_bytes", help: "The runtime's memory that is none of the others.",
		from: []string{"/memory/classes/other:bytes"}},
}

var (
	goroutines = family{name: "go_goroutines", help: "Goroutines of the program that exist."}
	threads    = family{name: "go_threads", help: "Threads of the operating system that the runtime made."}
)

// Package runtime/metrics would include the goroutines of the runtime in the number.
func goroutineCount() float64 { return float64(runtime.NumGoroutine()) }

func threadCount() float64 {
	n, _ := runtime.ThreadCreateProfile(nil)
	return float64(n)
}
