package process

import (
	"syscall"
	"time"
)

// A system reads the values on Linux. Limits and CPU time come from system calls. A
// system call works in every container and needs no file descriptor. All other values
// come from /proc.
type system struct {
	proc  procReader
	start reading
}

func (s *system) read(now *[numReadings]reading) {
	usage(now)
	limit(now, virtualMemoryMax, syscall.RLIMIT_AS)
	s.readStat(now)
	now[startTime] = s.start
	s.readNetwork(now)
	if n, ok := s.proc.countFDs(); ok {
		now[openFDs] = reading{float64(n), true}
	}
}

// ticksPerSecond is USER_HZ, the unit of time in /proc. It is 100 on every
// architecture that Go supports.
const ticksPerSecond = 100

func (s *system) readStat(now *[numReadings]reading) {
	stat, ok := parseStat(s.proc.file("/proc/self/stat"))
	if !ok {
		return
	}
	now[virtualMemory] = reading{float64(stat.virtual), true}
	now[residentMemory] = reading{float64(stat.resident) * float64(syscall.Getpagesize()), true}
	// The start time changes only if the clock was set to an earlier time: a change of the
	// start time means a restart.
	if wall := time.Now(); !s.start.known || s.start.value > seconds(wall) {
		s.start = reading{startedAt(wall, stat.start), true}
	}
}

func (s *system) readNetwork(now *[numReadings]reading) {
	if n, ok := parseNetstat(s.proc.file("/proc/self/net/netstat")); ok {
		now[networkReceived] = reading{float64(n.received), true}
		now[networkSent] = reading{float64(n.sent), true}
	}
}
