// Package sortkeys sorts by long keys, of which it compares eight bytes at a time.
package sortkeys

import (
	"math/bits"
	"unsafe"

	"github.com/tachikoma/tacho/internal/byteorder"
)

// Sep ends each value in a key of several values. Sep comes before every other byte, so a
// value comes before its own extensions. Valid UTF-8 never has this byte.
const Sep = 0xff

// Sort returns the indexes below n in the order of their keys. Of equal keys it returns the
// first index only.
//
// part returns eight bytes of the i-th key, from the byte at, as a number in the order of
// keys. It returns 0 behind the end of the key, and reports whether more bytes follow; see
// [Part]. Sort reads the next eight bytes only of keys that are equal so far. A list of
// pointers would be sorted more slowly, since the garbage collector must see each move.
//
//go:noinline
func Sort(n int, part func(i uint32, at int) (part uint64, more bool)) []uint32 {
	list := make([]keyed, n)
	for i := range list {
		list[i].index = uint32(i)
	}
	sort(part, list, make([]keyed, n/2), 0)
	sorted := make([]uint32, 0, n)
	for _, k := range list {
		if !k.repeats {
			sorted = append(sorted, k.index)
		}
	}
	return sorted
}

// Strings is [Sort] for keys that are strings.
func Strings(n int, key func(i uint32) string) []uint32 {
	return Sort(n, func(i uint32, at int) (uint64, bool) { return Part(key(i), at) })
}

// A keyed is an index with eight bytes of its key.
type keyed struct {
	_       [0]func() // no ==; see internal/SIZE.md
	part    uint64
	index   uint32
	repeats bool // the key of the index before
}

// sort sorts a list of keys that are equal up to the byte at. The length of spare is at
// least half that of the list.
func sort(part func(i uint32, at int) (uint64, bool), list, spare []keyed, at int) {
	for same := true; same; at += 8 {
		left := false
		for i := range list {
			p, more := part(list[i].index, at)
			list[i].part = p
			same = same && p == list[0].part
			left = left || more
		}
		if same && !left {
			for i := 1; i < len(list); i++ {
				list[i].repeats = true
			}
			return
		}
	}
	merge(list, spare)
	for start := 0; start < len(list); {
		end := start + 1
		for end < len(list) && list[end].part == list[start].part {
			end++
		}
		if end-start > 1 {
			sort(part, list[start:end], spare, at)
		}
		start = end
	}
}

// Part returns eight bytes of a key as a number, in the order of keys: [Sep] comes first,
// and zeros follow the end of the key. It reports whether more bytes follow.
func Part(key string, at int) (part uint64, more bool) {
	if len(key)-at >= 8 {
		// Each byte grows by one, without a carry.
		x := bits.ReverseBytes64(byteorder.Load64((*[8]byte)(unsafe.Add(unsafe.Pointer(unsafe.StringData(key)), at))))
		return x&0x7f7f7f7f_7f7f7f7f + 0x01010101_01010101 ^ x&0x80808080_80808080, len(key)-at > 8
	}
	for i := at; i < at+8; i++ {
		part <<= 8
		if i < len(key) {
			part |= uint64(key[i] + 1)
		}
	}
	return part, false
}

// merge sorts a list by part, and keeps the order of equal parts. spare has half the length
// of the list. Runs that are in order are not merged.
func merge(list, spare []keyed) {
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
	merge(list[:half], spare)
	merge(list[half:], spare)
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
