package series

import (
	"math/bits"
	"unsafe"

	"github.com/tachikoma/tacho/internal/byteorder"
)

// SortKeys returns the indexes below n in the order of their keys; see [label.Compare]. Of
// equal keys it returns the first index only.
//
// SortKeys compares eight bytes of each key as one number. It reads the next eight bytes
// only of keys that are equal so far. A list of pointers would be sorted more slowly, since
// the garbage collector must see each move.
func SortKeys(n int, key func(i uint32) string) []uint32 {
	list := make([]keyed, n)
	for i := range list {
		list[i].index = uint32(i)
	}
	sortKeyed(key, list, make([]keyed, n/2), 0)
	sorted := make([]uint32, 0, n)
	for _, k := range list {
		if !k.repeats {
			sorted = append(sorted, k.index)
		}
	}
	return sorted
}

// A keyed is an index with eight bytes of its key.
type keyed struct {
	part    uint64
	index   uint32
	repeats bool // the key of the index before
}

// sortKeyed sorts a list of keys that are equal up to the byte at. The length of spare is
// at least half that of the list.
func sortKeyed(key func(i uint32) string, list, spare []keyed, at int) {
	for same := true; same; at += 8 {
		left := false
		for i := range list {
			k := key(list[i].index)
			list[i].part = keyPart(k, at)
			same = same && list[i].part == list[0].part
			left = left || len(k) > at+8
		}
		if same && !left {
			for i := 1; i < len(list); i++ {
				list[i].repeats = true
			}
			return
		}
	}
	mergeParts(list, spare)
	for start := 0; start < len(list); {
		end := start + 1
		for end < len(list) && list[end].part == list[start].part {
			end++
		}
		if end-start > 1 {
			sortKeyed(key, list[start:end], spare, at)
		}
		start = end
	}
}

// keyPart returns eight bytes of a key as a number, in the order of keys: label.Sep comes
// first, and zeros follow the end of the key.
func keyPart(key string, at int) (part uint64) {
	if len(key)-at >= 8 {
		// Each byte grows by one, without a carry.
		x := bits.ReverseBytes64(byteorder.Load64((*[8]byte)(unsafe.Add(unsafe.Pointer(unsafe.StringData(key)), at))))
		return x&0x7f7f7f7f_7f7f7f7f + 0x01010101_01010101 ^ x&0x80808080_80808080
	}
	for i := at; i < at+8; i++ {
		part <<= 8
		if i < len(key) {
			part |= uint64(key[i] + 1)
		}
	}
	return part
}

// mergeParts sorts a list by part. spare has half the length of the list.
func mergeParts(list, spare []keyed) {
	if len(list) <= 12 {
		for i := 1; i < len(list); i++ {
			k, j := list[i], i
			for ; j > 0 && list[j-1].part > k.part; j-- {
				list[j] = list[j-1]
			}
			list[j] = k
		}
		return
	}
	half := len(list) / 2
	mergeParts(list[:half], spare)
	mergeParts(list[half:], spare)
	if list[half-1].part <= list[half].part {
		return
	}
	left := spare[:copy(spare, list[:half])]
	for i, j, k := 0, 0, half; i < len(left); j++ { // once left is used up, the rest is in place
		if k < len(list) && list[k].part < left[i].part {
			list[j] = list[k]
			k++
		} else {
			list[j] = left[i]
			i++
		}
	}
}
