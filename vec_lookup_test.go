package tacho

import (
	"runtime"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/tachikoma/tacho/internal/label"
)

// TestHitsAreFoundByFind: a hit needs no call of slow. Each key here has invalid UTF-8, as
// no key of a real series: find compares it with the values as they are, and slow repairs
// the values first, so slow does not find the key.
func TestHitsAreFoundByFind(t *testing.T) {
	for _, n := range []int{1, 2, 3, 4, 7, 8, 15, 16, 17, 40} {
		v := &NewRegistry().CounterVec("c", "", []string{"a", "b"}).vec
		value := make([]byte, n)
		for i := range value {
			value[i] = byte('a' + i%26)
		}
		value[n-1] = 0x80
		values := []string{string(value), "x"}
		h := label.NewHasher().Add(values)
		v.mu.Lock()
		for i := range uint32(20) { // other series of the same hash come first
			v.createLocked(h.Sum(), string([]byte{byte('0' + i), label.Sep, 'y', label.Sep}))
		}
		key := append(append(append(value, label.Sep), 'x'), label.Sep)
		s := v.createLocked(h.Sum(), string(key))
		v.mu.Unlock()
		if got := v.find(values, true); got != s {
			t.Errorf("%d bytes: With calls slow for a series that exists", n)
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
		key := string(label.AppendKey(nil, []string{"x"}))
		want := v.createLocked(label.HashKey(key, 1), key)
		v.mu.Unlock()
		if c := <-got; unsafe.Pointer(c) != want.M || v.Len() != 1 {
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
