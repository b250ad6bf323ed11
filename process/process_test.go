package process_test

import (
	"io"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/process"
)

func registered() *tacho.Registry {
	reg := tacho.NewRegistry()
	process.Register(reg)
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

// scrape returns all samples by name.
func scrape(t *testing.T, reg *tacho.Registry) map[string]float64 {
	t.Helper()
	samples := map[string]float64{}
	for line := range strings.Lines(text(t, reg)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			t.Fatal(err)
		}
		samples[name] = v
	}
	return samples
}

func TestCPU(t *testing.T) {
	reg := registered()
	before, ok := scrape(t, reg)["process_cpu_seconds_total"]
	if !ok {
		t.Skip("this system does not tell")
	}
	for range 100_000 { // scrapes take time themselves
		if scrape(t, reg)["process_cpu_seconds_total"] > before {
			return
		}
	}
	t.Errorf("%v s of CPU time, however much was used", before)
}

func TestRegisterTwice(t *testing.T) {
	reg := registered()
	before := len(scrape(t, reg))
	if before == 0 {
		t.Skip("this system tells nothing")
	}
	_, err := tacho.Try(func() struct{} { process.Register(reg); return struct{}{} })
	if err == nil || !strings.Contains(err.Error(), "process_cpu_seconds_total") || !strings.Contains(err.Error(), "process_test.go:") {
		t.Errorf("registered twice: %v", err)
	}
	if after := len(scrape(t, reg)); after != before {
		t.Errorf("%d samples, %d before the second registration", after, before)
	}
	process.Register(tacho.NewRegistry()) // another registry is another matter
}

// TestConflictDefinesNothing: what stayed behind would never change.
func TestConflictDefinesNothing(t *testing.T) {
	if _, ok := scrape(t, registered())["process_max_fds"]; !ok {
		t.Skip("this system does not tell")
	}
	reg := tacho.NewRegistry()
	reg.Counter("process_max_fds", "Of somebody else.")
	before := text(t, reg)
	_, err := tacho.Try(func() struct{} { process.Register(reg); return struct{}{} })
	if err == nil {
		t.Error("no conflict")
	}
	if got := text(t, reg); got != before {
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
				got := scrape(t, reg)["process_cpu_seconds_total"]
				if got < last {
					t.Errorf("a counter went from %v to %v", last, got)
				}
				last = got
			}
		}()
	}
	wg.Wait()
}

func BenchmarkScrape(b *testing.B) {
	reg := registered()
	b.ReportAllocs()
	for range b.N {
		if err := reg.WriteText(io.Discard); err != nil {
			b.Fatal(err)
		}
	}
}
