package goruntime_test

import (
	"fmt"
	"io"
	"math"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/goruntime"
)

func registered() *tacho.Registry {
	reg := tacho.NewRegistry()
	goruntime.Register(reg)
	return reg
}

func text(t *testing.T, reg *tacho.Registry) string {
	t.Helper()
	var b strings.Builder
	if err := reg.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// scrape returns the value of each sample by name and labels.
func scrape(t *testing.T, reg *tacho.Registry) map[string]float64 {
	t.Helper()
	samples := map[string]float64{}
	for line := range strings.Lines(text(t, reg)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		i := strings.LastIndexByte(line, ' ')
		v, err := strconv.ParseFloat(strings.TrimSpace(line[i+1:]), 64)
		if err != nil {
			t.Fatal(err)
		}
		samples[line[:i]] = v
	}
	return samples
}

// TestMemStats compares a scrape with runtime.ReadMemStats before and after the scrape.
// The runtime can allocate in between, so one of several attempts must agree.
func TestMemStats(t *testing.T) {
	reg := registered()
	defer debug.SetGCPercent(debug.SetGCPercent(10000)) // no automatic collection
	runtime.GC()
	var wrong []string
	for range 100 {
		defer holdStacks()()
		if wrong = compareMemStats(t, reg); len(wrong) == 0 {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Error(strings.Join(wrong, "\n"))
}

// holdStacks starts goroutines with stacks of several sizes. The runtime frees a span of stacks
// at the end of its last goroutine. If a scrape starts the only goroutine of a span, it changes
// the memory, at each attempt. The goroutines of an attempt take the free places of the span.
func holdStacks() (end func()) {
	stop := make(chan struct{})
	var started sync.WaitGroup
	for kilobytes := 1; kilobytes <= 16; kilobytes *= 2 {
		started.Add(1)
		go func() {
			useStack(kilobytes)
			started.Done()
			<-stop
		}()
	}
	started.Wait()
	return func() { close(stop) }
}

// useStack makes the stack of its goroutine grow.
func useStack(kilobytes int) byte {
	var room [1024]byte
	if kilobytes > 1 {
		room[kilobytes] = useStack(kilobytes - 1)
	}
	return room[kilobytes/2]
}

func compareMemStats(t *testing.T, reg *tacho.Registry) (wrong []string) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	got := scrape(t, reg)
	runtime.ReadMemStats(&after)
	for name, field := range map[string]func(*runtime.MemStats) uint64{
		"alloc_bytes":         func(m *runtime.MemStats) uint64 { return m.Alloc },
		"alloc_bytes_total":   func(m *runtime.MemStats) uint64 { return m.TotalAlloc },
		"sys_bytes":           func(m *runtime.MemStats) uint64 { return m.Sys },
		"mallocs_total":       func(m *runtime.MemStats) uint64 { return m.Mallocs },
		"frees_total":         func(m *runtime.MemStats) uint64 { return m.Frees },
		"heap_alloc_bytes":    func(m *runtime.MemStats) uint64 { return m.HeapAlloc },
		"heap_sys_bytes":      func(m *runtime.MemStats) uint64 { return m.HeapSys },
		"heap_idle_bytes":     func(m *runtime.MemStats) uint64 { return m.HeapIdle },
		"heap_inuse_bytes":    func(m *runtime.MemStats) uint64 { return m.HeapInuse },
		"heap_released_bytes": func(m *runtime.MemStats) uint64 { return m.HeapReleased },
		"heap_objects":        func(m *runtime.MemStats) uint64 { return m.HeapObjects },
		"stack_inuse_bytes":   func(m *runtime.MemStats) uint64 { return m.StackInuse },
		"stack_sys_bytes":     func(m *runtime.MemStats) uint64 { return m.StackSys },
		"mspan_inuse_bytes":   func(m *runtime.MemStats) uint64 { return m.MSpanInuse },
		"mspan_sys_bytes":     func(m *runtime.MemStats) uint64 { return m.MSpanSys },
		"mcache_inuse_bytes":  func(m *runtime.MemStats) uint64 { return m.MCacheInuse },
		"mcache_sys_bytes":    func(m *runtime.MemStats) uint64 { return m.MCacheSys },
		"buck_hash_sys_bytes": func(m *runtime.MemStats) uint64 { return m.BuckHashSys },
		"gc_sys_bytes":        func(m *runtime.MemStats) uint64 { return m.GCSys },
		"other_sys_bytes":     func(m *runtime.MemStats) uint64 { return m.OtherSys },
		"next_gc_bytes":       func(m *runtime.MemStats) uint64 { return m.NextGC },
	} {
		v, ok := got["go_memstats_"+name]
		a, b := float64(field(&before)), float64(field(&after))
		if !ok || v < min(a, b) || v > max(a, b) {
			wrong = append(wrong, fmt.Sprintf("%s: got %v (present: %t), want a value from %v to %v", name, v, ok, a, b))
		}
	}
	if last := got["go_memstats_last_gc_time_seconds"]; last != float64(before.LastGC)/1e9 {
		wrong = append(wrong, fmt.Sprintf("go_memstats_last_gc_time_seconds: got %v, want %v", last, float64(before.LastGC)/1e9))
	}
	return wrong
}

func TestRuntimeSettings(t *testing.T) {
	reg := registered()
	defer debug.SetGCPercent(debug.SetGCPercent(77))
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(1 << 40))
	got := scrape(t, reg)
	for name, want := range map[string]float64{
		"go_gc_gogc_percent":                           77,
		"go_gc_gomemlimit_bytes":                       1 << 40,
		"go_sched_gomaxprocs_threads":                  float64(runtime.GOMAXPROCS(0)),
		`go_info{version="` + runtime.Version() + `"}`: 1,
	} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s: got %v (present: %t), want %v", name, v, ok, want)
		}
	}
	if n := got["go_threads"]; n < 1 || n > 10000 {
		t.Errorf("go_threads: got %v, want 1 to 10000", n)
	}
	b, _ := debug.ReadBuildInfo()
	for name := range got {
		if strings.HasPrefix(name, "go_build_info{") && !strings.Contains(name, `,path="`+b.Main.Path+`",version="`+b.Main.Version+`"}`) {
			t.Errorf("%s: want path %q and version %q", name, b.Main.Path, b.Main.Version)
		}
	}
}

// TestGoroutines compares a scrape with runtime.NumGoroutine before and after the scrape. The
// scrape has one goroutine more, which calls the function.
// Goroutines of earlier tests can end in between, so one of several attempts must agree.
func TestGoroutines(t *testing.T) {
	reg := registered()
	stop := make(chan struct{})
	defer close(stop)
	for range 50 {
		go func() { <-stop }()
	}
	var got, before, after float64
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		before = float64(runtime.NumGoroutine())
		got = scrape(t, reg)["go_goroutines"]
		after = float64(runtime.NumGoroutine())
		if got > 50 && got == before+1 && got == after+1 {
			return
		}
	}
	t.Errorf("go_goroutines: got %v, want one more than %v before and %v after the scrape", got, before, after)
}

func TestPauses(t *testing.T) {
	reg := registered()
	before := scrape(t, reg)
	for range 3 {
		runtime.GC()
	}
	got := scrape(t, reg)
	var want debug.GCStats
	want.PauseQuantiles = make([]time.Duration, 5)
	debug.ReadGCStats(&want)
	const name = "go_gc_duration_seconds"
	if n := got[name+"_count"]; n < before[name+"_count"]+3 {
		t.Errorf("%v collections, want at least 3 more than %v", n, before[name+"_count"])
	}
	if got[name+"_count"] != float64(want.NumGC) {
		t.Skip("a collection ran between the scrape and debug.ReadGCStats")
	}
	if sum := got[name+"_sum"]; math.Abs(sum-want.PauseTotal.Seconds()) > 1e-12 {
		t.Errorf("sum: got %v s, want %v", sum, want.PauseTotal)
	}
	for i, q := range []string{"0", "0.25", "0.5", "0.75", "1"} {
		if v, ok := got[name+`{quantile="`+q+`"}`]; !ok || v != want.PauseQuantiles[i].Seconds() {
			t.Errorf("quantile %s: got %v (present: %t), want %v", q, v, ok, want.PauseQuantiles[i])
		}
	}
}

// TestScrapeDoesNotStopTheWorld checks that the runtime's count of stops is constant.
func TestScrapeDoesNotStopTheWorld(t *testing.T) {
	reg := registered()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	runtime.GC()
	before := stops()
	for range 100 {
		if err := reg.WriteText(io.Discard); err != nil {
			t.Fatal(err)
		}
	}
	if n := stops() - before; n != 0 {
		t.Errorf("100 scrapes stopped the world %d times", n)
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if stops() == before {
		t.Error("stops did not count the stop of runtime.ReadMemStats")
	}
}

// stops returns how often the runtime stopped the world.
func stops() (n uint64) {
	samples := []metrics.Sample{{Name: "/sched/pauses/total/gc:seconds"}, {Name: "/sched/pauses/total/other:seconds"}}
	metrics.Read(samples)
	for _, s := range samples {
		for _, c := range s.Value.Float64Histogram().Counts {
			n += c
		}
	}
	return n
}

// TestConstantAllocations checks that a scrape allocates as much as the first scrape,
// for any number of goroutines, collections and scrapes.
func TestConstantAllocations(t *testing.T) {
	reg := registered()
	allocs := func() float64 {
		return testing.AllocsPerRun(50, func() { _ = reg.WriteText(io.Discard) })
	}
	first := allocs()
	stop := make(chan struct{})
	defer close(stop)
	for range 200 {
		go func() { <-stop }()
	}
	for range 260 { // more than the 256 pauses in the runtime's history
		runtime.GC()
	}
	if last := allocs(); last > first+1 { // one more if the pool dropped a buffer
		t.Errorf("%v allocations per scrape, want at most 1 more than %v", last, first)
	}
}

func TestRegisterTwice(t *testing.T) {
	reg := registered()
	before := len(scrape(t, reg))
	_, err := tacho.Try(func() struct{} { goruntime.Register(reg); return struct{}{} })
	if err == nil || !strings.Contains(err.Error(), "go_sched_gomaxprocs_threads") || !strings.Contains(err.Error(), "goruntime_test.go:") {
		t.Errorf("second registration: got error %v, want the name and the place of the first definition", err)
	}
	if after := len(scrape(t, reg)); after != before {
		t.Errorf("%d samples after the second registration, want %d", after, before)
	}
	if strings.Contains(text(t, reg), "tacho_errors_total") {
		t.Error("tacho_errors_total after the second registration, want no errors at a scrape")
	}
	goruntime.Register(tacho.NewRegistry()) // no conflict in another registry
}

// TestConflictDefinesNothing checks that a panic of Register leaves the registry empty.
// Metrics that stayed would never change their value.
func TestConflictDefinesNothing(t *testing.T) {
	reg := tacho.NewRegistry(tacho.WithConstLabels("version", "1.2")) // go_info has the same label
	_, err := tacho.Try(func() struct{} { goruntime.Register(reg); return struct{}{} })
	if err == nil || !strings.Contains(err.Error(), "go_info") {
		t.Errorf("got error %v, want a conflict of go_info", err)
	}
	if got := text(t, reg); got != "" {
		t.Errorf("after the conflict: got\n%s\nwant no metrics", got)
	}
}

func TestScrapesOverlap(t *testing.T) {
	reg := registered()
	var wg sync.WaitGroup
	for range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			last := 0.0
			for range 50 {
				got := scrape(t, reg)["go_memstats_mallocs_total"]
				if got < last {
					t.Errorf("go_memstats_mallocs_total decreased from %v to %v", last, got)
				}
				last = got
			}
		}()
	}
	wg.Wait()
}

// TestOpenMetrics checks the families of a gauge and a counter whose names differ only
// by the suffix _total. In OpenMetrics the counter's family would get the gauge's name.
func TestOpenMetrics(t *testing.T) {
	reg := registered()
	var b strings.Builder
	if err := reg.WriteOpenMetrics(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"# TYPE go_memstats_alloc_bytes gauge\n# UNIT go_memstats_alloc_bytes bytes\n",
		"# TYPE go_memstats_alloc_bytes_total unknown\n",
		"# TYPE go_memstats_mallocs counter\n",
		"# TYPE go_info gauge\n",
		"# TYPE go_gc_duration_seconds summary\n",
	} {
		if strings.Count(b.String(), want) != 1 {
			t.Errorf("want %q exactly once in\n%s", want, b.String())
		}
	}
}

func BenchmarkScrape(b *testing.B) {
	for _, format := range []string{"text", "OpenMetrics"} {
		b.Run(format, func(b *testing.B) {
			reg := registered()
			write := reg.WriteText
			if format == "OpenMetrics" {
				write = reg.WriteOpenMetrics
			}
			b.ReportAllocs()
			for range b.N {
				if err := write(io.Discard); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestStop checks that stop leaves no metric, that a second stop does not remove metrics of
// other code, and that the registry is free for a new registration.
func TestStop(t *testing.T) {
	for name, register := range map[string]func(*tacho.Registry) func(){
		"Register":         goruntime.Register,
		"RegisterAdvanced": goruntime.RegisterAdvanced,
	} {
		reg := tacho.NewRegistry()
		stop := register(reg)
		want := len(scrape(t, reg))
		stop()
		if got := text(t, reg); got != "" {
			t.Errorf("%s, after stop: got\n%s", name, got)
		}
		register(reg)
		stop()
		if got := len(scrape(t, reg)); got != want {
			t.Errorf("%s, after a second stop: got %d samples, want %d", name, got, want)
		}
	}
}
