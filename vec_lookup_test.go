package tacho

import (
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"
)

// TestHitsAreFoundByFind: a hit needs no call of slow, also if other series with the same
// hash come first.
func TestHitsAreFoundByFind(t *testing.T) {
	text := strings.Repeat("abcdefghijklmnopqrstuvwxyz", 2)
	for n := range 50 {
		v := &NewRegistry().CounterVec("c", "", []string{"a", "b"}).vec
		values := []string{text[:n], "x"}
		hash, block := v.key(values)
		v.mu.Lock()
		for i := range 20 {
			_, other := v.key([]string{strconv.Itoa(i), "y"})
			v.createLocked(hash, other)
		}
		m := v.createLocked(hash, block)
		v.mu.Unlock()
		for range 2 {
			if got := v.store.Find(values); got != m {
				t.Errorf("%d bytes: With calls slow for a series that exists", n)
			}
			v.ordered() // moves the texts
		}
	}
}

// TestLookupsCreateOnce: of two goroutines that look up the same new series, the later one
// gets the series of the first. It has missed the series before it waits for the mutex.
func TestLookupsCreateOnce(t *testing.T) {
	for name, opts := range map[string][]Option{
		"plain":  nil,
		"limit":  {WithMaxSeries(1)},
		"expiry": {WithIdleExpiry(time.Hour)},
		"both":   {WithMaxSeries(1), WithIdleExpiry(time.Hour)},
	} {
		v := NewRegistry().CounterVec("c_total", "", []string{"l"}, opts...)
		got := make(chan *Counter)
		v.mu.Lock()
		go func() { got <- v.With("x") }()
		for !waitsInSlow() {
			runtime.Gosched()
		}
		want := v.createLocked(v.key([]string{"x"}))
		v.mu.Unlock()
		if c := <-got; unsafe.Pointer(c) != want || v.Len() != 1 {
			t.Errorf("%s: With returns another metric, and the vector has %d series", name, v.Len())
		}
	}
}

// waitsInSlow reports whether a goroutine waits for the mutex of a vector in vec.slow.
func waitsInSlow() bool {
	b := make([]byte, 1<<20)
	for _, goroutine := range strings.Split(string(b[:runtime.Stack(b, true)]), "\n\n") {
		if strings.Contains(goroutine, "[sync.Mutex.Lock") && strings.Contains(goroutine, "(*vec).slow(") {
			return true
		}
	}
	return false
}
