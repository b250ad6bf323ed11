//go:build unix

package process

import "syscall"

// usage reads the values that every Unix system provides.
func usage(now *[numReadings]reading) {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) == nil {
		now[cpuSeconds] = reading{float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9, true}
	}
	limit(now, maxFDs, syscall.RLIMIT_NOFILE)
}

// limit reads a soft limit. The kernel enforces the soft limit, not the hard limit.
func limit(now *[numReadings]reading, i, resource int) {
	var l syscall.Rlimit
	if syscall.Getrlimit(resource, &l) == nil {
		now[i] = reading{float64(uint64(l.Cur)), true} // the type of Cur differs between systems
	}
}
