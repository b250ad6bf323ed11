package goruntime_test

import (
	"bufio"
	"bytes"
	"fmt"
	"strings"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/goruntime"
)

func ExampleRegister() {
	reg := tacho.NewRegistry()
	goruntime.Register(reg)

	var scrape bytes.Buffer
	if err := reg.WriteText(&scrape); err != nil {
		panic(err)
	}
	for lines := bufio.NewScanner(&scrape); lines.Scan(); {
		if family, ok := strings.CutPrefix(lines.Text(), "# TYPE "); ok {
			fmt.Println(family)
		}
	}
	// Output:
	// go_build_info gauge
	// go_gc_duration_seconds summary
	// go_gc_gogc_percent gauge
	// go_gc_gomemlimit_bytes gauge
	// go_goroutines gauge
	// go_info gauge
	// go_memstats_alloc_bytes gauge
	// go_memstats_alloc_bytes_total counter
	// go_memstats_buck_hash_sys_bytes gauge
	// go_memstats_frees_total counter
	// go_memstats_gc_sys_bytes gauge
	// go_memstats_heap_alloc_bytes gauge
	// go_memstats_heap_idle_bytes gauge
	// go_memstats_heap_inuse_bytes gauge
	// go_memstats_heap_objects gauge
	// go_memstats_heap_released_bytes gauge
	// go_memstats_heap_sys_bytes gauge
	// go_memstats_last_gc_time_seconds gauge
	// go_memstats_mallocs_total counter
	// go_memstats_mcache_inuse_bytes gauge
	// go_memstats_mcache_sys_bytes gauge
	// go_memstats_mspan_inuse_bytes gauge
	// go_memstats_mspan_sys_bytes gauge
	// go_memstats_next_gc_bytes gauge
	// go_memstats_other_sys_bytes gauge
	// go_memstats_stack_inuse_bytes gauge
	// go_memstats_stack_sys_bytes gauge
	// go_memstats_sys_bytes gauge
	// go_sched_gomaxprocs_threads gauge
	// go_threads gauge
}

// A program with both kinds of metrics, on its own registry.
func ExampleRegisterAdvanced() {
	reg := tacho.NewRegistry()
	goruntime.Register(reg)
	goruntime.RegisterAdvanced(reg)

	for f := range reg.Families() {
		if f.Name == "go_cpu_classes_gc_total_cpu_seconds_total" {
			fmt.Println(f.Type, f.Unit)
		}
	}
	// Output: counter cpu_seconds
}
