package series

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
)

// TestSort compares Sort with the stable sort of the standard library, for lists in any
// order.
func TestSort(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for n := range 70 {
		for _, keys := range []int{1, 3, 1000} { // many equal keys, few, hardly any
			list := make([]*Series, n)
			for i := range list {
				key := strconv.Itoa(random.IntN(keys))
				list[i] = &Series{text: key, cut: uint32(len(key))}
			}
			for _, order := range []string{"random", "sorted", "reversed"} {
				want := slices.Clone(list)
				slices.SortStableFunc(want, func(a, b *Series) int { return cmp.Compare(a.text, b.text) })
				if Sort(list); !slices.Equal(list, want) {
					t.Fatalf("%d series of %d keys, %s: not sorted", n, keys, order)
				}
				if order == "sorted" {
					slices.Reverse(list)
				}
			}
		}
	}
}
