package series

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/tachikoma/tacho/internal/label"
)

// TestSortKeys compares SortKeys with a stable sort by label.Compare. Keys share beginnings
// of all lengths around eight bytes, since SortKeys compares eight bytes at a time.
func TestSortKeys(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	parts := []string{"a", "a", "b", "\x00", "\x7f", "é", "\U0010FFFF", "aaaaaaa", "aaaaaaaa", "aaaaaaaab"}
	for n := range 200 {
		keys := make([]string, n)
		want := make([]uint32, n)
		for i := range keys {
			for range 2 * rnd.IntN(1+n%4) { // a name and a value for each label
				for range 1 + rnd.IntN(3) {
					keys[i] += parts[rnd.IntN(len(parts))]
				}
				keys[i] += string([]byte{label.Sep})
			}
			want[i] = uint32(i)
		}
		slices.SortStableFunc(want, func(a, b uint32) int { return label.Compare(keys[a], keys[b]) })
		want = slices.CompactFunc(want, func(a, b uint32) bool { return keys[a] == keys[b] })
		if got := SortKeys(n, func(i uint32) string { return keys[i] }); !slices.Equal(got, want) {
			t.Fatalf("%d keys: not sorted, or not the first of each: %v of %q, want %v", n, got, keys, want)
		}
	}
}
