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
		t.Skip("this system does not provide the CPU time")
	}
	for range 100_000 { // each scrape uses CPU time
		if scrape(t, reg)["process_cpu_seconds_total"] > before {
			return
		}
	}
	t.Errorf("CPU time stays at %v s", before)
}

func TestRegisterTwice(t *testing.T) {
	reg := registered()
	before := len(scrape(t, reg))
	if before == 0 {
		t.Skip("this system provides no values")
	}
	_, err := tacho.Try(func() struct{} { process.Register(reg); return struct{}{} })
	if err == nil || !strings.Contains(err.Error(), "process_cpu_seconds_total") || !strings.Contains(err.Error(), "process_test.go:") {
		t.Errorf("second registration: got error %v, want a conflict of process_cpu_seconds_total", err)
	}
	if after := len(scrape(t, reg)); after != before {
		t.Errorf("%d samples after the second registration, want %d", after, before)
	}
	process.Register(tacho.NewRegistry()) // no conflict in another registry
}

// TestUnits checks the units that OpenMetrics shows. A metric has a unit exactly if its name
// has the unit.
func TestUnits(t *testing.T) {
	var b strings.Builder
	if err := registered().WriteOpenMetrics(&b); err != nil {
		t.Fatal(err)
	}
	families := 0
	for line := range strings.Lines(b.String()) {
		fields := strings.Fields(line)
		if len(fields) < 3 || fields[1] != "TYPE" {
			continue
		}
		families++
		unit := ""
		for _, u := range []string{"seconds", "bytes"} {
			if strings.HasSuffix(fields[2], "_"+u) {
				unit = u
			}
		}
		if got := strings.Contains(b.String(), "# UNIT "+fields[2]+" "); got != (unit != "") {
			t.Errorf("%s: unit %t, want %t", fields[2], got, unit != "")
		}
		if unit != "" && !strings.Contains(b.String(), "# UNIT "+fields[2]+" "+unit+"\n") {
			t.Errorf("%s: want the unit %s", fields[2], unit)
		}
	}
	if families == 0 && b.String() != "# EOF\n" {
		t.Errorf("no family in\n%s", b.String())
	}
}

// TestConflictDefinesNothing checks that a panic of Register leaves the registry
// unchanged. Metrics that stayed would never change their value.
func TestConflictDefinesNothing(t *testing.T) {
	if _, ok := scrape(t, registered())["process_max_fds"]; !ok {
		t.Skip("this system does not provide the limit of descriptors")
	}
	reg := tacho.NewRegistry()
	reg.Counter("process_max_fds", "Of another package.")
	before := text(t, reg)
	_, err := tacho.Try(func() struct{} { process.Register(reg); return struct{}{} })
	if err == nil {
		t.Error("Register succeeded, want a conflict of process_max_fds")
	}
	if got := text(t, reg); got != before {
		t.Errorf("after the conflict: got\n%s\nwant\n%s", got, before)
	}
}

// TestIdenticalGaugeIsAConflict checks that Register neither shares nor removes a gauge that
// other code defined with the same definition.
func TestIdenticalGaugeIsAConflict(t *testing.T) {
	all := scrape(t, registered())
	if _, ok := all["process_max_fds"]; !ok {
		t.Skip("this system does not provide the limit of descriptors")
	}
	reg := tacho.NewRegistry()
	reg.FloatGauge("process_max_fds", "Limit of the number of file descriptors.").Set(7)
	if _, err := tacho.Try(func() struct{} { process.Register(reg); return struct{}{} }); err == nil {
		t.Error("Register succeeded, want a conflict of process_max_fds")
	}
	if got := scrape(t, reg); len(got) != 1 || got["process_max_fds"] != 7 {
		t.Errorf("after the conflict: got %v, want only process_max_fds 7", got)
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
					t.Errorf("process_cpu_seconds_total decreased from %v to %v", last, got)
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

// TestStop checks that stop leaves no metric, that a second stop does not remove metrics of
// other code, and that the registry is free for a new registration.
func TestStop(t *testing.T) {
	reg := tacho.NewRegistry()
	stop := process.Register(reg)
	want := len(scrape(t, reg))
	stop()
	if got := text(t, reg); got != "" {
		t.Errorf("after stop: got\n%s", got)
	}
	process.Register(reg)
	stop()
	if got := len(scrape(t, reg)); got != want {
		t.Errorf("after a second stop: got %d samples, want %d", got, want)
	}
}
