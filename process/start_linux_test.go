package process

import (
	"bytes"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"
)

func TestChooseStart(t *testing.T) {
	none := reading{}
	const now, latest = 1_800_000_000.0, 1_799_999_990.0 // the process runs for at least 10 s
	for name, test := range map[string]struct {
		start        float64
		uptime, boot reading
		want         float64
	}{
		"both sources agree":                  {5000, reading{5020, true}, reading{now - 5020, true}, now - 20},
		"the boot time is the container's":    {5000, reading{5020, true}, reading{now - 100, true}, now - 20},
		"no CLOCK_BOOTTIME":                   {5000, none, reading{now - 5020, true}, now - 20},
		"no CLOCK_BOOTTIME, in the future":    {5000, none, reading{now - 100, true}, latest},
		"no source":                           {5000, none, none, latest},
		"start after the end of the uptime":   {5000, reading{100, true}, reading{now - 5020, true}, now - 20},
		"start after the load of the program": {5000, reading{5005, true}, none, latest},
		"both sources are wrong":              {5000, reading{100, true}, reading{now - 100, true}, latest},
		"just at the load of the program":     {5000, reading{5010, true}, none, latest},
		"before 1970":                         {5000, reading{5020 + 2*now, true}, none, latest},
	} {
		if got := chooseStart(now, latest, test.start, test.uptime, test.boot); got != test.want {
			t.Errorf("%s: got %v, want %v", name, got, test.want)
		}
	}
}

// TestSinceBoot compares CLOCK_BOOTTIME with /proc/uptime.
func TestSinceBoot(t *testing.T) {
	before, ok := sinceBoot()
	if ok != (before > 0) {
		t.Fatalf("got %v s and %t", before, ok)
	}
	if !ok {
		t.Skip("no CLOCK_BOOTTIME")
	}
	b, err := os.ReadFile("/proc/uptime")
	if err != nil {
		t.Skip(err)
	}
	after, _ := sinceBoot()
	word, _ := cutWord(b)
	up, err := strconv.ParseFloat(string(word), 64)
	if err != nil {
		t.Fatal(err)
	}
	if up < before-0.02 || up > after+0.02 { // /proc/uptime is in hundredths
		t.Skipf("/proc/uptime is %v s, CLOCK_BOOTTIME %v s: probably a container with lxcfs", up, before)
	}
}

// TestClockSetBack checks that the start time is never in the future, and otherwise keeps
// its value.
func TestClockSetBack(t *testing.T) {
	var s system
	var now [numReadings]reading
	s.readStat(&now)
	if !s.start.known {
		t.Skip("no start time in /proc")
	}
	first := s.start
	if s.readStat(&now); s.start != first {
		t.Errorf("start time changed from %v to %v", first.value, s.start.value)
	}
	s.start.value += 3600 // as if the clock was set back by an hour
	if s.readStat(&now); s.start.value > seconds(time.Now()) || math.Abs(s.start.value-first.value) > 1 {
		t.Errorf("start time %v after the clock was set back, want about %v", s.start.value, first.value)
	}
}

// TestVirtualBootTime runs the test again in a mount namespace with another /proc/stat:
// the boot time is half an hour in the future, as in a container that started later than
// the machine.
func TestVirtualBootTime(t *testing.T) {
	if os.Getenv("TACHO_VIRTUAL_BOOT") != "" {
		checkStart(t)
		return
	}
	b, err := os.ReadFile("/proc/stat")
	if err != nil || !bytes.Contains(b, []byte("btime ")) {
		t.Skip("no boot time in /proc/stat")
	}
	if _, ok := parseStat(new(procReader).file("/proc/self/stat")); !ok {
		t.Skip("/proc/self/stat is incomplete")
	}
	checkStart(t)
	fake := filepath.Join(t.TempDir(), "stat")
	later := strconv.FormatInt(time.Now().Unix()+1800, 10)
	if err := os.WriteFile(fake, regexp.MustCompile(`btime \d+`).ReplaceAll(b, []byte("btime "+later)), 0o644); err != nil {
		t.Fatal(err)
	}
	const mount = `mount --bind "$1" /proc/stat || exit 99; shift; exec "$@"`
	cmd := exec.Command("unshare", "-m", "sh", "-c", mount, "sh", fake, os.Args[0], "-test.run=^TestVirtualBootTime$", "-test.v")
	cmd.Env = append(os.Environ(), "TACHO_VIRTUAL_BOOT=1")
	out, err := cmd.CombinedOutput()
	if bytes.Contains(out, []byte("=== RUN")) {
		if err != nil {
			t.Errorf("with the boot time %s: %v\n%s", later, err, out)
		}
		return
	}
	t.Skipf("no mount namespace: %v %s", err, out)
}

// checkStart checks that the process started in the last hour and before its test.
func checkStart(t *testing.T) {
	t.Helper()
	var s system
	var now [numReadings]reading
	s.read(&now)
	if start, latest := now[startTime].value, seconds(loaded); !now[startTime].known || start > latest || start < latest-3600 {
		t.Errorf("start time %v, want at most %v and the hour before", start, latest)
	}
}
