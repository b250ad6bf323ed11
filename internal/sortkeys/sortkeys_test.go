package sortkeys

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// inOrder returns bytes that are in the order of keys.
func inOrder(key string) string {
	b := []byte(key)
	for i := range b {
		b[i]++
	}
	return string(b)
}

// TestStrings compares Strings with a stable sort of strings in which Sep is the least byte.
// Keys share beginnings of all lengths around eight bytes, since Strings compares eight bytes
// at a time.
func TestStrings(t *testing.T) {
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
				keys[i] += string([]byte{Sep})
			}
			want[i] = uint32(i)
		}
		slices.SortStableFunc(want, func(a, b uint32) int { return strings.Compare(inOrder(keys[a]), inOrder(keys[b])) })
		want = slices.CompactFunc(want, func(a, b uint32) bool { return keys[a] == keys[b] })
		if got := Strings(n, func(i uint32) string { return keys[i] }); !slices.Equal(got, want) {
			t.Fatalf("%d keys: not sorted, or not the first of each: %v of %q, want %v", n, got, keys, want)
		}
	}
}

// TestRunsAreNotMerged: a list that is in order is not copied, and the merge needs a list of
// half the length.
func TestRunsAreNotMerged(t *testing.T) {
	list := make([]keyed, 1000)
	for i := range list {
		list[i] = keyed{part: uint64(1 + i)}
	}
	spare := make([]keyed, len(list)/2)
	merge(list, spare)
	if i := slices.IndexFunc(spare, func(k keyed) bool { return k.part != 0 }); i >= 0 {
		t.Errorf("a list in order is merged: %d keys are copied", i+1)
	}
	slices.Reverse(list)
	merge(list, spare)
	if i := slices.IndexFunc(spare, func(k keyed) bool { return k.part == 0 }); i >= 0 {
		t.Errorf("of a reversed list %d keys are copied, want %d", i, len(spare))
	}
	if !slices.IsSortedFunc(list, func(a, b keyed) int { return int(a.part) - int(b.part) }) {
		t.Error("the list is not sorted")
	}
}
