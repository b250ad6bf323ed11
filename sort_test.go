package tacho

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
)

// The order must be that of the standard library's stable sort, whatever the
// order before.
func TestSortList(t *testing.T) {
	type element struct{ key, place int }
	compare := func(a, b *element) int { return cmp.Compare(a.key, b.key) }
	random := rand.New(rand.NewPCG(1, 2))
	for n := range 70 {
		for _, keys := range []int{1, 3, 1000} { // many equal ones, few, hardly any
			list := make([]*element, n)
			for i := range list {
				list[i] = &element{random.IntN(keys), i}
			}
			for _, order := range []string{"random", "sorted", "reversed"} {
				want := slices.Clone(list)
				slices.SortStableFunc(want, compare)
				if sortList(list, compare); !slices.Equal(list, want) {
					t.Fatalf("%d elements of %d keys, %s: not sorted", n, keys, order)
				}
				if order == "sorted" {
					slices.Reverse(list)
				}
			}
		}
	}
}
