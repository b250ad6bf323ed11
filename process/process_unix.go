//go:build unix

package process

import "syscall"

// usage reads what all Unix systems tell.
func usage(now *[facts]fact) {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) == nil {
		now[cpuSeconds] = fact{float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9, true}
	}
	limit(now, maxFDs, syscall.RLIMIT_NOFILE)
}

// limit reads a soft limit, the one that is enforced.
func limit(now *[facts]fact, i, resource int) {
	var l syscall.Rlimit
	if syscall.Getrlimit(resource, &l) == nil {
		now[i] = fact{float64(uint64(l.Cur)), true} // its type differs between systems
	}
}
