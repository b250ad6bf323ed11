package tacho

import (
	"testing"

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
