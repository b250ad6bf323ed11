package process_test

import (
	"bytes"
	"fmt"
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

// needKernel skips the test if /proc/self/stat is incomplete, as with qemu-user.
func needKernel(t *testing.T) {
	t.Helper()
	b, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		t.Skip(err)
	}
	const virtual = 23 - 3 // field 3 is the first field after the name
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(fields) <= virtual || fields[virtual] == "0" {
		t.Skipf("/proc/self/stat is incomplete: %s", b)
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

// compareMemory returns a scrape, and how the scrape differs from /proc/self/statm.
func compareMemory(t *testing.T) (got map[string]float64, wrong string) {
	t.Helper()
	got = scrape(t, registered())
	statm, err := os.ReadFile("/proc/self/statm") // size and resident set, in pages
	if err != nil {
		t.Skip(err)
	}
	fields := strings.Fields(string(statm))
	for i, name := range []string{"process_virtual_memory_bytes", "process_resident_memory_bytes"} {
		pages, _ := strconv.Atoi(fields[i])
		if want := float64(pages * os.Getpagesize()); math.Abs(got[name]-want) > 8<<20 {
			wrong = fmt.Sprintf("%s: got %v, want about %v, the value of /proc/self/statm", name, got[name], want)
		}
	}
	return got, wrong
}

// TestAgainstOtherSources compares the samples with other sources of the same values.
func TestAgainstOtherSources(t *testing.T) {
	needKernel(t)
	block := bytes.Repeat([]byte{1}, 64<<20) // written, so in RAM
	got, wrong := compareMemory(t)
	for tries := 0; wrong != "" && tries < 20; tries++ { // the runtime can free memory in between
		got, wrong = compareMemory(t)
	}
	if wrong != "" {
		t.Error(wrong)
	}
	if rss := got["process_resident_memory_bytes"]; rss < float64(len(block)) {
		t.Errorf("%v bytes resident, want at least the %d bytes of this test", rss, len(block))
	}
	runtime.KeepAlive(block)

	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || got["process_max_fds"] != float64(limit.Cur) {
		t.Errorf("limit of descriptors: got %v, want %d, error %v", got["process_max_fds"], limit.Cur, err)
	}
	limits, _ := os.ReadFile("/proc/self/limits")
	if bytes.Contains(limits, []byte("Max address space         unlimited")) && got["process_virtual_memory_max_bytes"] != 1<<64-1 {
		t.Errorf("limit of the address space: got %v, want 1<<64-1 for unlimited", got["process_virtual_memory_max_bytes"])
	}
	age := float64(time.Now().Unix()) - got["process_start_time_seconds"]
	if age < -1 || age > 3600 { // age is of whole seconds
		t.Errorf("process started %v s ago, want -1 to 3600", age)
	}
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	if cpu, later := got["process_cpu_seconds_total"], float64(usage.Utime.Nano()+usage.Stime.Nano())/1e9; cpu <= 0 || cpu > later {
		t.Errorf("CPU time: got %v s, want more than 0 and at most %v", cpu, later)
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
		t.Errorf("%v open descriptors, want 100 more than %v", after, before)
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
			t.Errorf("counter %s decreased from %v to %v", name, before[name], after[name])
		}
	}
}

// withoutDescriptors runs f while the process cannot open a file. The effect is the
// same as after the last free descriptor, or without /proc.
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
		t.Fatal("opening a file succeeded with a limit of 0 descriptors")
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
			t.Errorf("%s is %v without descriptors, want no sample", name, v)
		}
	}
	for _, name := range []string{"process_cpu_seconds_total", "process_max_fds", "process_start_time_seconds"} {
		if _, ok := without[name]; !ok {
			t.Errorf("no sample of %s without descriptors", name)
		}
	}
	if r := "process_network_receive_bytes_total"; without[r] != all[r] {
		t.Errorf("unreadable counter changed from %v to %v", all[r], without[r])
	}
	if again := scrape(t, reg); len(again) != len(all) {
		t.Errorf("%d samples with descriptors again, want %d", len(again), len(all))
	}
}

func TestUnreadableAtRegistration(t *testing.T) {
	reg := tacho.NewRegistry()
	withoutDescriptors(t, func() { process.Register(reg) })
	got := text(t, reg)
	for _, name := range []string{"process_resident_memory_bytes", "process_network_receive_bytes_total", "tacho_errors_total"} {
		if strings.Contains(got, name) {
			t.Errorf("unexpected %s in\n%s", name, got)
		}
	}
	if !strings.Contains(got, "process_cpu_seconds_total") {
		t.Errorf("no process_cpu_seconds_total in\n%s", got)
	}
}

// TestConstantAllocations checks that a scrape allocates as much as the first scrape,
// for any number of open descriptors and any number of scrapes.
func TestConstantAllocations(t *testing.T) {
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
	if last := allocs(); last > first+1 { // one more if the pool dropped a buffer
		t.Errorf("%v allocations per scrape, want at most 1 more than %v", last, first)
	}
}
