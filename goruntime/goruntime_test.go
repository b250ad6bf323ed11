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

// scrape returns all samples by name and labels.
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

// TestMemStats compares with what runtime.ReadMemStats says before and after the
// scrape. Now and then the runtime has work of its own in between, so one of some
// tries must agree.
func TestMemStats(t *testing.T) {
	reg := registered()
	defer debug.SetGCPercent(debug.SetGCPercent(10000)) // none comes by itself
	runtime.GC()
	var wrong []string
	for range 20 {
		if wrong = compareMemStats(t, reg); len(wrong) == 0 {
			return
		}
	}
	t.Error(strings.Join(wrong, "\n"))
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
			wrong = append(wrong, fmt.Sprintf("%s: %v (there: %t), %v before and %v after", name, v, ok, a, b))
		}
	}
	if last := got["go_memstats_last_gc_time_seconds"]; last != float64(before.LastGC)/1e9 {
		wrong = append(wrong, fmt.Sprintf("last GC at %v, want %v", last, float64(before.LastGC)/1e9))
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
			t.Errorf("%s = %v (there: %t), want %v", name, v, ok, want)
		}
	}
	if n := got["go_threads"]; n < 1 || n > 10000 {
		t.Errorf("%v threads", n)
	}
	b, _ := debug.ReadBuildInfo()
	for name := range got {
		if strings.HasPrefix(name, "go_build_info{") && !strings.Contains(name, `,path="`+b.Main.Path+`",version="`+b.Main.Version+`"}`) {
			t.Error(name)
		}
	}
}

// TestGoroutines compares with the runtime's own count before and after the scrape.
// Goroutines of earlier tests may still be on their way out, and come back as one of
// the runtime's own, so one of some tries must agree.
func TestGoroutines(t *testing.T) {
	reg := registered()
	stop := make(chan struct{})
	defer close(stop)
	for range 50 {
		go func() { <-stop }()
	}
	var got, before, after float64
	for range 20 {
		before = float64(runtime.NumGoroutine())
		got = scrape(t, reg)["go_goroutines"]
		after = float64(runtime.NumGoroutine())
		if got > 50 && got == before && got == after {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Errorf("go_goroutines = %v, %v before and %v after", got, before, after)
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
		t.Errorf("%v collections after %v and 3", n, before[name+"_count"])
	}
	if got[name+"_count"] != float64(want.NumGC) {
		t.Skip("another collection came between the two readings")
	}
	if sum := got[name+"_sum"]; math.Abs(sum-want.PauseTotal.Seconds()) > 1e-12 {
		t.Errorf("%v s in sum, want %v", sum, want.PauseTotal)
	}
	for i, q := range []string{"0", "0.25", "0.5", "0.75", "1"} {
		if v, ok := got[name+`{quantile="`+q+`"}`]; !ok || v != want.PauseQuantiles[i].Seconds() {
			t.Errorf("quantile %s is %v (there: %t), want %v", q, v, ok, want.PauseQuantiles[i])
		}
	}
}

// TestWorldKeepsTurning: the runtime counts each time that it stops the world.
func TestWorldKeepsTurning(t *testing.T) {
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
		t.Error("runtime.ReadMemStats was not seen to stop the world, so this test sees nothing")
	}
}

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

// TestAllocationsStayTheSame: however much a program has, and however often it is
// scraped, a scrape allocates as much as the first.
func TestAllocationsStayTheSame(t *testing.T) {
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
	for range 260 { // more than the history of pauses has
		runtime.GC()
	}
	if last := allocs(); last > first+1 { // the pool of buffers may lose one
		t.Errorf("%v allocations a scrape, %v at first", last, first)
	}
}

func TestRegisterTwice(t *testing.T) {
	reg := registered()
	before := len(scrape(t, reg))
	_, err := tacho.Try(func() struct{} { goruntime.Register(reg); return struct{}{} })
	if err == nil || !strings.Contains(err.Error(), "go_sched_gomaxprocs_threads") || !strings.Contains(err.Error(), "goruntime_test.go:") {
		t.Errorf("registered twice: %v", err) // it must say where first
	}
	if after := len(scrape(t, reg)); after != before {
		t.Errorf("%d samples, %d before the second registration", after, before)
	}
	if strings.Contains(text(t, reg), "tacho_errors_total") {
		t.Error("the second registration left something that a scrape refuses")
	}
	goruntime.Register(tacho.NewRegistry()) // another registry is another matter
}

// TestConflictDefinesNothing: what stayed behind would never change.
func TestConflictDefinesNothing(t *testing.T) {
	reg := tacho.NewRegistry(tacho.WithConstLabels("version", "1.2")) // that of go_info
	_, err := tacho.Try(func() struct{} { goruntime.Register(reg); return struct{}{} })
	if err == nil || !strings.Contains(err.Error(), "go_info") {
		t.Errorf("no conflict: %v", err)
	}
	if got := text(t, reg); got != "" {
		t.Errorf("left behind:\n%s", got)
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
					t.Errorf("a counter went from %v to %v", last, got)
				}
				last = got
			}
		}()
	}
	wg.Wait()
}

// TestOpenMetrics: a gauge and a counter whose names differ by _total meet there.
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
			t.Errorf("not once %q in\n%s", want, b.String())
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
