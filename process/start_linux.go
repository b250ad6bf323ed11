package process

import (
	"syscall"
	"time"
	"unsafe"
)

// loaded is a time after the start of the process. Its monotonic reading is used.
var loaded = time.Now()

// startedAt returns the start time in seconds since 1970. ticks is the start time in
// clock ticks since boot, as in /proc/self/stat. The result is never later than now.
func startedAt(now time.Time, ticks uint64) float64 {
	latest := now.Add(-now.Sub(loaded)) // by the monotonic clock; now can differ from loaded by a set clock
	age, ageKnown := sinceBoot()
	boot, bootKnown := parseBootTime(new(procReader).file("/proc/stat")) // can be long, so the buffer is not kept
	return chooseStart(seconds(now), seconds(latest), float64(ticks)/ticksPerSecond, reading{age, ageKnown}, reading{float64(boot), bootKnown})
}

// chooseStart returns the start time from the better source. start is the time from boot
// to the start of the process. All values are seconds.
//
// uptime is the time since boot by CLOCK_BOOTTIME. boot is the time of boot by /proc/stat.
// Both are zero if unknown. In a container with lxcfs, /proc/stat and /proc/uptime are
// those of the container, but start still counts from the boot of the machine. Their sum
// can then be in the future. CLOCK_BOOTTIME and start always have the same origin, also in
// a time namespace. If no source gives a time up to latest, the result is latest.
func chooseStart(now, latest, start float64, uptime, boot reading) float64 {
	for _, t := range []reading{{now - uptime.value + start, uptime.known && start <= uptime.value}, {boot.value + start, boot.known}} {
		if t.known && 0 < t.value && t.value <= latest {
			return t.value
		}
	}
	return latest
}

// seconds returns the Unix time of t.
func seconds(t time.Time) float64 { return float64(t.UnixNano()) / 1e9 }

// sinceBoot returns the time since boot in seconds, by CLOCK_BOOTTIME. The system call
// needs no file.
func sinceBoot() (age float64, ok bool) {
	const bootTime = 7 // CLOCK_BOOTTIME
	var t syscall.Timespec
	_, _, errno := syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, bootTime, uintptr(unsafe.Pointer(&t)), 0)
	return float64(t.Nano()) / 1e9, errno == 0
}
