// Package testkit holds helpers that tests of several packages share.
package testkit

import (
	"runtime"
	"sync"
	"testing"
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

// NeedThreads skips a test that needs goroutines on several threads. WebAssembly has one
// thread.
func NeedThreads(t *testing.T) {
	t.Helper()
	if runtime.GOARCH == "wasm" {
		t.Skip("one thread")
	}
}
