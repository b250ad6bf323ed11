package series

import (
	"cmp"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"unsafe"
)

// TestSortOfRuns: runs in order are not merged, and the merge needs a list of half the
// length.
func TestSortOfRuns(t *testing.T) {
	list := make([]*Series, 1000)
	for i := range list {
		key := strconv.Itoa(100_000 + i)
		list[i] = &Series{text: key, cut: uint32(len(key))}
	}
	spare := make([]*Series, len(list)/2)
	mergeSort(list, spare)
	if i := slices.IndexFunc(spare, func(s *Series) bool { return s != nil }); i >= 0 {
		t.Errorf("a sorted list is merged: %d series are copied", i+1)
	}
	slices.Reverse(list)
	mergeSort(list, spare)
	if i := slices.Index(spare, nil); i >= 0 {
		t.Errorf("of a reversed list %d series are copied, want %d", i, len(spare))
	}
	large := make([]*Series, 1<<17)
	for i := range large {
		large[i] = list[0]
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	Sort(large)
	runtime.ReadMemStats(&after)
	if n, most := after.TotalAlloc-before.TotalAlloc, uint64(len(large))*uint64(unsafe.Sizeof(large[0]))*3/4; n > most {
		t.Errorf("%d bytes are allocated, want at most %d", n, most)
	}
}

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

// TestTypesHaveNoEqual: a type that == cannot compare has no memory for that.
func TestTypesHaveNoEqual(t *testing.T) {
	for _, typ := range []reflect.Type{reflect.TypeFor[Series](), reflect.TypeFor[slot](), reflect.TypeFor[Pointer](), reflect.TypeFor[TablePointer]()} {
		if typ.Comparable() || typ.Field(0).Type.Size() != 0 {
			t.Errorf("%v: comparable %v, the first field has %d bytes", typ, typ.Comparable(), typ.Field(0).Type.Size())
		}
	}
}
