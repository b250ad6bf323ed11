// Package testkit holds helpers that tests of several packages share.
package testkit

import (
	"runtime"
	"sync"
	"testing"
	"time"
)

// Hammer calls f from eight goroutines, n times in each. It returns the number of calls.
func Hammer(n int, f func(i int)) (total int) {
	const workers = 8
	var wg sync.WaitGroup
	for range workers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range n {
				f(i)
			}
		}()
	}
	wg.Wait()
	return workers * n
}

// NeedThreads gives a test goroutines on at least two threads until its end, because with
// GOMAXPROCS=1 two goroutines rarely meet. It skips the test on WebAssembly, which has one thread.
func NeedThreads(t *testing.T) {
	t.Helper()
	if runtime.GOARCH == "wasm" {
		t.Skip("one thread")
	}
	if n := runtime.GOMAXPROCS(0); n < 2 {
		runtime.GOMAXPROCS(2)
		t.Cleanup(func() { runtime.GOMAXPROCS(n) })
	}
}

// HeapBytes returns the size of the live heap in bytes.
func HeapBytes() int64 {
	runtime.GC()
	runtime.GC() // the second collection empties each sync.Pool
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// CollectUntil collects garbage until f returns true, for at most half a minute. It reports whether f returned
// true. f depends on finalizers.
func CollectUntil(f func() bool) bool {
	return Within(30*time.Second, func() bool {
		if f() {
			return true
		}
		runtime.GC()
		return f()
	})
}

// Within calls f until f returns true or the time is over. It reports whether f returned true. Other goroutines
// run between the calls, such as finalizers.
func Within(limit time.Duration, f func() bool) bool {
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if f() {
			return true
		}
	}
	return f()
}
