package process

import (
	"syscall"
	"time"
)

// A system reads the values on Windows.
type system struct{}

func (system) read(now *[numReadings]reading) {
	self, err := syscall.GetCurrentProcess()
	if err != nil {
		return
	}
	var created, exited, kernel, user syscall.Filetime
	if syscall.GetProcessTimes(self, &created, &exited, &kernel, &user) != nil {
		return
	}
	// The start is later than now if the clock was set back. No scrape shows such a time.
	start := min(created.Nanoseconds(), time.Now().UnixNano())
	now[startTime] = reading{float64(start) / 1e9, true}
	now[cpuSeconds] = reading{seconds(kernel) + seconds(user), true}
}

// seconds returns a duration in seconds. A Filetime counts units of 100 ns.
func seconds(t syscall.Filetime) float64 {
	return float64(uint64(t.HighDateTime)<<32|uint64(t.LowDateTime)) / 1e7
}
