// The cards of the tab "Go at a glance". The families are those of goruntime.Register and
// goruntime.RegisterAdvanced, which have the names of client_golang's Go collector, and those of
// process.Register.

const BASIC = 'not measured: call goruntime.Register(registry) at start';
const PROCESS = 'not measured: call process.Register(registry) at start, if the system has the values';
const ADVANCED = 'not measured: call goruntime.RegisterAdvanced(registry) at start';

const goPart = (text, family, ...or) => ({ text, family, or, where: [], by: '' });
const goCPU = (text, use) => goPart(text, `go_cpu_classes_${use}_cpu_seconds_total`);
const goLines = (id, title, missing, ...parts) => ({ id, title, missing, family: parts[0].family, where: [], by: '', parts });
const goHistogram = (id, title, family, ...or) => ({ id, title, missing: ADVANCED, family, or, where: [], by: '', fn: 'quantiles' });

export const GO_PANELS = [
  goLines('go-heap', 'Heap', BASIC,
    goPart('in use', 'go_memstats_heap_inuse_bytes'),
    goPart('idle', 'go_memstats_heap_idle_bytes'),
    goPart('released', 'go_memstats_heap_released_bytes'),
    goPart('objects', 'go_memstats_heap_alloc_bytes', 'go_memory_classes_heap_objects_bytes'),
    goPart('live', 'go_gc_heap_live_bytes'),
    goPart('next collection', 'go_memstats_next_gc_bytes', 'go_gc_heap_goal_bytes')),
  goLines('go-memory', 'Memory of the process', PROCESS, goPart('resident', 'process_resident_memory_bytes'), goPart('of Go', 'go_memstats_sys_bytes')),
  goLines('go-allocation', 'Allocation', BASIC, goPart('allocated', 'go_memstats_alloc_bytes_total', 'go_gc_heap_allocs_bytes_total')),
  goLines('go-objects', 'Heap objects', BASIC,
    goPart('allocated', 'go_memstats_mallocs_total', 'go_gc_heap_allocs_objects_total'),
    goPart('freed', 'go_memstats_frees_total', 'go_gc_heap_frees_objects_total')),
  goHistogram('go-pauses', 'Pauses of garbage collections', 'go_sched_pauses_total_gc_seconds', 'go_gc_pauses_seconds'),
  { id: 'go-pause-quantiles', title: 'Pauses of the latest collections', missing: BASIC, family: 'go_gc_duration_seconds', where: [] },
  goLines('go-cycles', 'Garbage collections', ADVANCED,
    goPart('automatic', 'go_gc_cycles_automatic_gc_cycles_total'),
    goPart('forced', 'go_gc_cycles_forced_gc_cycles_total')),
  goLines('go-marks', 'CPU of garbage collections', ADVANCED,
    goCPU('mark assist', 'gc_mark_assist'), goCPU('mark dedicated', 'gc_mark_dedicated'), goCPU('mark idle', 'gc_mark_idle'), goCPU('pause', 'gc_pause')),
  goLines('go-process-cpu', 'CPU of the process', PROCESS, goPart('user and system', 'process_cpu_seconds_total')),
  goLines('go-cpu', 'CPU by use', ADVANCED, goCPU('user', 'user'), goCPU('garbage collection', 'gc_total'), goCPU('scavenge', 'scavenge_total'), goCPU('idle', 'idle')),
  goLines('go-goroutines', 'Goroutines', BASIC,
    goPart('all', 'go_goroutines', 'go_sched_goroutines_goroutines'),
    goPart('running', 'go_sched_goroutines_running_goroutines'),
    goPart('runnable', 'go_sched_goroutines_runnable_goroutines'),
    goPart('waiting', 'go_sched_goroutines_waiting_goroutines'),
    goPart('in system calls or C', 'go_sched_goroutines_not_in_go_goroutines')),
  goLines('go-threads', 'Threads', BASIC, goPart('threads', 'go_threads', 'go_sched_threads_total_threads'), goPart('GOMAXPROCS', 'go_sched_gomaxprocs_threads')),
  { id: 'go-fds', title: 'File descriptors in use', missing: PROCESS, family: 'process_open_fds', where: [], by: '', ratio: { family: 'process_max_fds', where: [] } },
  goHistogram('go-latency', 'Scheduler latency', 'go_sched_latencies_seconds'),
  goLines('go-mutex', 'Waits for mutexes', ADVANCED, goPart('waits', 'go_sync_mutex_wait_total_seconds_total')),
  goLines('go-stack', 'Stacks', BASIC,
    goPart('in use', 'go_memstats_stack_inuse_bytes', 'go_memory_classes_heap_stacks_bytes'),
    goPart('with threads', 'go_memstats_stack_sys_bytes')),
];
