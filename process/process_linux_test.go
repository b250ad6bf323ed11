package process_test

import (
	"bytes"
	"io"
	"math"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/process"
)

// needKernel skips a test of what the emulators of a kernel, such as qemu-user, leave
// out of /proc/self/stat.
func needKernel(t *testing.T) {
	t.Helper()
	b, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		t.Skip(err)
	}
	const virtual = 23 - 3 // the fields behind the name begin with the third
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(fields) <= virtual || fields[virtual] == "0" {
		t.Skipf("this is not all of /proc/self/stat: %s", b)
	}
}

func TestNames(t *testing.T) {
	needKernel(t)
	var got []string
	for line := range strings.Lines(text(t, registered())) {
		if family, ok := strings.CutPrefix(line, "# TYPE "); ok {
			got = append(got, strings.TrimSpace(family))
		}
	}
	want := []string{
		"process_cpu_seconds_total counter",
		"process_max_fds gauge",
		"process_network_receive_bytes_total counter",
		"process_network_transmit_bytes_total counter",
		"process_open_fds gauge",
		"process_resident_memory_bytes gauge",
		"process_start_time_seconds gauge",
		"process_virtual_memory_bytes gauge",
		"process_virtual_memory_max_bytes gauge",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestAgainstOtherSources reads the same facts from elsewhere.
func TestAgainstOtherSources(t *testing.T) {
	needKernel(t)
	ballast := bytes.Repeat([]byte{1}, 64<<20) // in RAM, since it was written
	got := scrape(t, registered())
	statm, err := os.ReadFile("/proc/self/statm") // size and resident set, in pages
	if err != nil {
		t.Skip(err)
	}
	fields := strings.Fields(string(statm))
	for i, name := range []string{"process_virtual_memory_bytes", "process_resident_memory_bytes"} {
		pages, _ := strconv.Atoi(fields[i])
		if want := float64(pages * os.Getpagesize()); math.Abs(got[name]-want) > 8<<20 {
			t.Errorf("%s is %v, and %v a moment later", name, got[name], want)
		}
	}
	if rss := got["process_resident_memory_bytes"]; rss < float64(len(ballast)) {
		t.Errorf("%v bytes resident, of which %d are the test's", rss, len(ballast))
	}
	runtime.KeepAlive(ballast)

	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || got["process_max_fds"] != float64(limit.Cur) {
		t.Errorf("limit of descriptors %v, want %d, %v", got["process_max_fds"], limit.Cur, err)
	}
	limits, _ := os.ReadFile("/proc/self/limits")
	if bytes.Contains(limits, []byte("Max address space         unlimited")) && got["process_virtual_memory_max_bytes"] != 1<<64-1 {
		t.Errorf("limit of the address space is %v, want none", got["process_virtual_memory_max_bytes"])
	}
	age := float64(time.Now().Unix()) - got["process_start_time_seconds"]
	if age < -2 || age > 3600 {
		t.Errorf("started %v s ago", age)
	}
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	if cpu, later := got["process_cpu_seconds_total"], float64(usage.Utime.Nano()+usage.Stime.Nano())/1e9; cpu <= 0 || cpu > later {
		t.Errorf("CPU time %v, and %v a moment later", cpu, later)
	}
}

func TestOpenFDs(t *testing.T) {
	reg := registered()
	before, ok := scrape(t, reg)["process_open_fds"]
	if !ok {
		t.Skip("no /proc")
	}
	for range 100 {
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
	}
	if after := scrape(t, reg)["process_open_fds"]; after != before+100 {
		t.Errorf("%v descriptors, want 100 more than %v", after, before)
	}
}

func TestNetworkCounts(t *testing.T) {
	reg := registered()
	before := scrape(t, reg)
	if _, ok := before["process_network_receive_bytes_total"]; !ok {
		t.Skip("no /proc/self/net/netstat")
	}
	const text = `# TYPE process_network_receive_bytes_total counter`
	var b strings.Builder
	if err := reg.WriteText(&b); err != nil || !strings.Contains(b.String(), text) {
		t.Error(err, b.String())
	}
	after := scrape(t, reg)
	for _, name := range []string{"process_network_receive_bytes_total", "process_network_transmit_bytes_total"} {
		if after[name] < before[name] {
			t.Errorf("%s went from %v to %v", name, before[name], after[name])
		}
	}
}

// withoutDescriptors runs f while no file can be opened, as where the process has
// used up its descriptors, or where /proc is not there.
func withoutDescriptors(t *testing.T, f func()) {
	t.Helper()
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	none := old
	none.Cur = 0
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none); err != nil {
		t.Skip(err)
	}
	defer func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
			t.Fatal(err)
		}
	}()
	if _, err := os.Open(os.DevNull); err == nil {
		t.Fatal("a file could be opened")
	}
	f()
}

func TestUnreadableAtScrape(t *testing.T) {
	needKernel(t)
	reg := registered()
	all := scrape(t, reg)
	var without map[string]float64
	withoutDescriptors(t, func() { without = scrape(t, reg) })
	for _, name := range []string{"process_resident_memory_bytes", "process_virtual_memory_bytes"} {
		if v, ok := without[name]; ok {
			t.Errorf("%s %v without descriptors", name, v)
		}
	}
	for _, name := range []string{"process_cpu_seconds_total", "process_max_fds", "process_start_time_seconds"} {
		if _, ok := without[name]; !ok {
			t.Errorf("no %s without descriptors", name)
		}
	}
	if r := "process_network_receive_bytes_total"; without[r] != all[r] {
		t.Errorf("a counter that cannot be read went from %v to %v", all[r], without[r])
	}
	if again := scrape(t, reg); len(again) != len(all) {
		t.Errorf("%d samples afterwards, %d before", len(again), len(all))
	}
}

func TestUnreadableAtRegistration(t *testing.T) {
	reg := tacho.NewRegistry()
	withoutDescriptors(t, func() { process.Register(reg) })
	got := text(t, reg)
	for _, name := range []string{"process_resident_memory_bytes", "process_network_receive_bytes_total", "tacho_errors_total"} {
		if strings.Contains(got, name) {
			t.Errorf("%s in\n%s", name, got)
		}
	}
	if !strings.Contains(got, "process_cpu_seconds_total") {
		t.Errorf("no CPU time in\n%s", got)
	}
}

// TestAllocationsStayTheSame: however many descriptors are open, and however often
// the process is scraped, a scrape allocates as much as the first.
func TestAllocationsStayTheSame(t *testing.T) {
	reg := registered()
	allocs := func() float64 {
		return testing.AllocsPerRun(50, func() { _ = reg.WriteText(io.Discard) })
	}
	first := allocs()
	for range 500 {
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
	}
	if last := allocs(); last > first+1 { // the pool of buffers may lose one
		t.Errorf("%v allocations a scrape, %v at first", last, first)
	}
}
