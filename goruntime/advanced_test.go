package goruntime_test

import (
	"io"
	"math"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/goruntime"
)

func advanced() *tacho.Registry {
	reg := tacho.NewRegistry()
	goruntime.RegisterAdvanced(reg)
	return reg
}

// TestCPUClasses checks that the classes add up, and that a collection is part of them.
func TestCPUClasses(t *testing.T) {
	reg := advanced()
	for range 3 {
		runtime.GC()
	}
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // a collection between two reads changes the values
	got := scrape(t, reg)
	cpu := func(classes ...string) (sum float64) {
		t.Helper()
		for _, class := range classes {
			v, ok := got["go_cpu_classes_"+class+"_cpu_seconds_total"]
			if !ok {
				t.Errorf("no class %s", class)
			}
			sum += v
		}
		return sum
	}
	for whole, parts := range map[string][]string{
		"total":          {"user", "idle", "gc_total", "scavenge_total"},
		"gc_total":       {"gc_mark_assist", "gc_mark_dedicated", "gc_mark_idle", "gc_pause"},
		"scavenge_total": {"scavenge_assist", "scavenge_background"},
	} {
		if want, sum := cpu(whole), cpu(parts...); math.Abs(want-sum) > 1e-6 {
			t.Errorf("%v add up to %v, want %s = %v", parts, sum, whole, want)
		}
	}
	if cpu("gc_total") <= 0 || cpu("total") <= 0 {
		t.Errorf("after a collection: got %v s for collections and %v s in total, want both above 0", cpu("gc_total"), cpu("total"))
	}
}

// TestAdvancedCounts compares the counts of a scrape with events that the test causes.
func TestAdvancedCounts(t *testing.T) {
	reg := advanced()
	before := scrape(t, reg)
	for range 3 {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m) // stops the world
	var wg sync.WaitGroup
	for range 100 {
		wg.Add(1)
		go wg.Done()
	}
	wg.Wait()
	after := scrape(t, reg)
	for name, least := range map[string]float64{
		"go_gc_cycles_forced_gc_cycles_total":          3,
		"go_gc_cycles_total_gc_cycles_total":           3,
		"go_sched_pauses_total_gc_seconds_count":       3,
		"go_sched_pauses_stopping_gc_seconds_count":    3,
		"go_sched_pauses_total_other_seconds_count":    1,
		"go_sched_pauses_stopping_other_seconds_count": 1,
		"go_sched_latencies_seconds_count":             1,
	} {
		if n := after[name] - before[name]; n < least {
			t.Errorf("%s increased by %v, want at least %v", name, n, least)
		}
	}
	if v := after["go_gc_heap_live_bytes"]; v <= 0 {
		t.Errorf("go_gc_heap_live_bytes: got %v, want more than 0", v)
	}
	if name := "go_sched_goroutines_created_goroutines_total"; hasGoroutineStates() && after[name] < before[name]+100 {
		t.Errorf("%s: got %v, want at least 100 more than %v", name, after[name], before[name])
	}
}

// hasGoroutineStates reports whether this version of Go counts goroutines by state.
func hasGoroutineStates() bool {
	return !strings.HasPrefix(runtime.Version(), "go1.24") && !strings.HasPrefix(runtime.Version(), "go1.25")
}

func TestGoroutineStates(t *testing.T) {
	if !hasGoroutineStates() {
		t.Skip("needs Go 1.26")
	}
	stop := make(chan struct{})
	defer close(stop)
	for range 50 {
		go func() { <-stop }()
	}
	reg := advanced()
	var got map[string]float64
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if got = scrape(t, reg); got["go_sched_goroutines_waiting_goroutines"] >= 50 && got["go_sched_goroutines_running_goroutines"] >= 1 {
			return
		}
	}
	t.Errorf("got %v waiting and %v running goroutines, want at least 50 and 1",
		got["go_sched_goroutines_waiting_goroutines"], got["go_sched_goroutines_running_goroutines"])
}

// TestMutexWait makes two goroutines wait for a mutex.
func TestMutexWait(t *testing.T) {
	reg := advanced()
	const name = "go_sync_mutex_wait_total_seconds_total"
	before := scrape(t, reg)[name]
	for range 500 { // the runtime measures a part of the waits
		var mu sync.Mutex
		mu.Lock()
		done := make(chan struct{})
		go func() {
			mu.Lock()
			close(done)
		}()
		time.Sleep(time.Millisecond)
		mu.Unlock()
		<-done
		if scrape(t, reg)[name] > before {
			return
		}
	}
	t.Errorf("%s stayed %v", name, before)
}

// TestAdvancedBesideRegister checks that both functions have different families, in both orders
// and in a sub-registry.
func TestAdvancedBesideRegister(t *testing.T) {
	want := len(scrape(t, registered())) + len(scrape(t, advanced()))
	parent := tacho.NewRegistry()
	sub := parent.Sub(tacho.WithConstLabels("shard", "1"))
	goruntime.RegisterAdvanced(sub)
	goruntime.Register(sub)
	goruntime.RegisterAdvanced(parent.Sub(tacho.WithConstLabels("shard", "2")))
	got := scrape(t, parent)
	if want += len(scrape(t, advanced())); len(got) != want {
		t.Errorf("got %d samples, want %d", len(got), want)
	}
	for _, series := range []string{`go_sched_latencies_seconds_count{shard="1"}`, `go_sched_latencies_seconds_count{shard="2"}`, `go_goroutines{shard="1"}`} {
		if _, ok := got[series]; !ok {
			t.Errorf("no %s", series)
		}
	}
	if strings.Contains(text(t, parent), "tacho_errors_total") {
		t.Error("tacho_errors_total, want no errors at a scrape")
	}
}

func TestAdvancedTwice(t *testing.T) {
	reg := advanced()
	before := len(scrape(t, reg))
	_, err := tacho.Try(func() struct{} { goruntime.RegisterAdvanced(reg); return struct{}{} })
	if err == nil || !strings.Contains(err.Error(), "go_cpu_classes_gc_mark_assist_cpu_seconds_total") || !strings.Contains(err.Error(), "advanced_test.go:") {
		t.Errorf("second registration: got error %v, want the name and the place of the first definition", err)
	}
	if after := len(scrape(t, reg)); after != before {
		t.Errorf("%d samples after the second registration, want %d", after, before)
	}
	if strings.Contains(text(t, reg), "tacho_errors_total") {
		t.Error("tacho_errors_total after the second registration, want no errors at a scrape")
	}
}

// TestAdvancedConflictDefinesNothing checks that a panic of RegisterAdvanced leaves only the
// metric that caused it.
func TestAdvancedConflictDefinesNothing(t *testing.T) {
	reg := tacho.NewRegistry()
	reg.Counter("go_sync_mutex_wait_total_seconds_total", "Of the program.")
	want := text(t, reg)
	if _, err := tacho.Try(func() struct{} { goruntime.RegisterAdvanced(reg); return struct{}{} }); err == nil {
		t.Error("no conflict")
	}
	if got := text(t, reg); got != want {
		t.Errorf("after the conflict: got\n%s\nwant\n%s", got, want)
	}
}

// TestAdvancedScrapesOverlap checks that no counter and no bucket of a histogram decreases
// between the scrapes of a goroutine.
func TestAdvancedScrapesOverlap(t *testing.T) {
	reg := advanced()
	var wg sync.WaitGroup
	for range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			last := map[string]float64{}
			for range 30 {
				runtime.GC()
				got := scrape(t, reg)
				for name, v := range got {
					cumulative := strings.HasSuffix(name, "_total") || strings.HasSuffix(name, "_count") ||
						strings.HasSuffix(name, "_sum") || strings.Contains(name, "_bucket{")
					if cumulative && v < last[name] {
						t.Errorf("%s decreased from %v to %v", name, last[name], v)
					}
				}
				last = got
			}
		}()
	}
	wg.Wait()
}

func TestAdvancedDoesNotStopTheWorld(t *testing.T) {
	reg := advanced()
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
}

// TestAdvancedIsBounded checks the number of samples that RegisterAdvanced adds to a scrape.
func TestAdvancedIsBounded(t *testing.T) {
	got := scrape(t, advanced())
	if len(got) > 75 {
		t.Errorf("%d samples, want at most 75", len(got))
	}
	var bounds []string
	for name := range got {
		if strings.HasPrefix(name, "go_sched_latencies_seconds_bucket{") {
			bounds = append(bounds, name)
		}
	}
	if slices.Sort(bounds); len(bounds) != 8 {
		t.Errorf("buckets %q, want 8", bounds)
	}
}

func TestAdvancedOpenMetrics(t *testing.T) {
	var b strings.Builder
	if err := advanced().WriteOpenMetrics(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"# TYPE go_sched_latencies_seconds histogram\n# UNIT go_sched_latencies_seconds seconds\n",
		"# TYPE go_cpu_classes_user_cpu_seconds counter\n# UNIT go_cpu_classes_user_cpu_seconds cpu_seconds\n",
		"# TYPE go_gc_heap_live_bytes gauge\n# UNIT go_gc_heap_live_bytes bytes\n",
	} {
		if strings.Count(b.String(), want) != 1 {
			t.Errorf("want %q exactly once in\n%s", want, b.String())
		}
	}
}

// BenchmarkScrapeAdvanced measures scrapes of Register alone, of RegisterAdvanced alone and of
// both.
func BenchmarkScrapeAdvanced(b *testing.B) {
	register := func(f ...func(*tacho.Registry) func()) *tacho.Registry {
		reg := tacho.NewRegistry()
		for _, f := range f {
			f(reg)
		}
		return reg
	}
	for name, reg := range map[string]*tacho.Registry{
		"Register":         register(goruntime.Register),
		"RegisterAdvanced": register(goruntime.RegisterAdvanced),
		"both":             register(goruntime.Register, goruntime.RegisterAdvanced),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				if err := reg.WriteText(io.Discard); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
