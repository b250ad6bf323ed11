package tacho

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
)

// The order must be that of the standard library's stable sort, whatever the
// order before.
func TestSortSeries(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for n := range 70 {
		for _, keys := range []int{1, 3, 1000} { // many equal ones, few, hardly any
			list := make([]*series, n)
			for i := range list {
				key := strconv.Itoa(random.IntN(keys))
				list[i] = &series{text: key, cut: uint32(len(key))}
			}
			for _, order := range []string{"random", "sorted", "reversed"} {
				want := slices.Clone(list)
				slices.SortStableFunc(want, func(a, b *series) int { return cmp.Compare(a.text, b.text) })
				if sortSeries(list); !slices.Equal(list, want) {
					t.Fatalf("%d series of %d keys, %s: not sorted", n, keys, order)
				}
				if order == "sorted" {
					slices.Reverse(list)
				}
			}
		}
	}
}
