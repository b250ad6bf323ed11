package process

import "syscall"

// A system reads Linux. Limits and CPU time come from system calls, which are there
// in every container and need no file descriptor; the rest from /proc.
type system struct {
	proc  procReader
	start fact
}

func (s *system) read(now *[facts]fact) {
	usage(now)
	limit(now, virtualMemoryMax, syscall.RLIMIT_AS)
	s.readStat(now)
	now[startTime] = s.start
	s.readNetwork(now)
	if n, ok := s.proc.countFDs(); ok {
		now[openFDs] = fact{float64(n), true}
	}
}

// ticks are the units of a second in /proc, USER_HZ: 100 on all that Go runs on.
const ticks = 100

func (s *system) readStat(now *[facts]fact) {
	stat, ok := parseStat(s.proc.file("/proc/self/stat"))
	if !ok {
		return
	}
	now[virtualMemory] = fact{float64(stat.virtual), true}
	now[residentMemory] = fact{float64(stat.resident) * float64(syscall.Getpagesize()), true}
	if !s.start.known { // else it would move whenever the clock is set
		boot, ok := parseBootTime(new(procReader).file("/proc/stat")) // it can be long, and is not read again
		s.start = fact{float64(boot) + float64(stat.start)/ticks, ok}
	}
}

func (s *system) readNetwork(now *[facts]fact) {
	if n, ok := parseNetstat(s.proc.file("/proc/self/net/netstat")); ok {
		now[networkReceived] = fact{float64(n.received), true}
		now[networkSent] = fact{float64(n.sent), true}
	}
}
