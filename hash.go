package tacho

import (
	"math/bits"
	"math/rand/v2"
	"unsafe"
)

// hashSecrets are chosen for each process, so that strangers who choose label
// values cannot aim for one slot of a table.
var hashSecrets = [3]uint64{rand.Uint64() | 1, rand.Uint64() | 1, rand.Uint64() | 1}

// A hasher hashes the values of a series: of each its bytes, its length and its
// place, so that ("a","bc") and ("ab","c") differ. Label values are short, and for
// those a call of hash/maphash costs more than the hashing: a lookup of three labels
// took half as long again with it. Each two 64-bit words are multiplied into 128 bits
// whose halves are folded and summed up: no product waits for the one before it,
// which matters because all that a lookup does waits for the hash. One more product
// at the end scatters values that count up, such as identifiers, whose products else
// keep their distances: with some secrets a table of 64 such series took 18 steps a
// lookup instead of a half.
//
// It is the state after some values: their sum, the secrets that the next two words
// meet, and the length of the key.
type hasher struct {
	sum, x, y uint64
	size      int
}

func newHasher() hasher { return hasher{hashSecrets[0], hashSecrets[1], hashSecrets[2], 0} }

func (h hasher) hash() uint32 { return uint32((h.sum ^ h.sum>>32) * hashSecrets[1] >> 32) }

func (h hasher) add(values []string) hasher {
	for _, s := range values {
		p, n := unsafe.Pointer(unsafe.StringData(s)), len(s)
		h.size += n + 1
		y := h.y + uint64(n)
		// If the words hold more bytes than are left, they overlap. No word begins before s
		// or ends behind it: that memory may not be mapped.
		var a, b uint64
		switch {
		case n > 16:
			for ; n > 16; n -= 16 {
				hi, lo := bits.Mul64(load64(p)^h.x, load64(unsafe.Add(p, 8))^h.y)
				h.sum += hi ^ lo
				h.x, h.y = bits.RotateLeft64(h.x, 23), bits.RotateLeft64(h.y, 41)
				p = unsafe.Add(p, 16)
			}
			a, b = load64(unsafe.Add(p, n-16)), load64(unsafe.Add(p, n-8)) // the last 16 bytes, some of them again
		case n >= 8:
			a, b = load64(p), load64(unsafe.Add(p, n-8))
		case n >= 4:
			a, b = load32(p), load32(unsafe.Add(p, n-4))
		case n >= 2:
			a, b = load16(p), load16(unsafe.Add(p, n-2))
		case n > 0:
			a = uint64(*(*byte)(p))
		}
		hi, lo := bits.Mul64(a^h.x, b^y)
		h.sum += hi ^ lo
		h.x, h.y = bits.RotateLeft64(h.x, 23), bits.RotateLeft64(h.y, 41)
	}
	return h
}

// hashKey returns the hash of the n values of a key.
func hashKey(key string, n int) uint32 {
	h := newHasher()
	for n > 0 {
		var values [8]string // on the stack, however many there are: strangers cause misses
		k := min(n, len(values))
		for i := range k {
			end := indexByte(key, keySep)
			values[i], key = key[:end], key[end+1:]
		}
		h = h.add(values[:k])
		n -= k
	}
	return h.hash()
}

// load64, load32 and load16 read little-endian words, at any alignment; the compiler
// makes each one load where the machine allows it. They take pointers because for a
// string it checks its bounds each time, which makes a lookup a tenth slower.
func load64(p unsafe.Pointer) uint64 {
	b := (*[8]byte)(p)
	return uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
		uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
}

func load32(p unsafe.Pointer) uint64 {
	b := (*[4]byte)(p)
	return uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24
}

func load16(p unsafe.Pointer) uint64 {
	b := (*[2]byte)(p)
	return uint64(b[0]) | uint64(b[1])<<8
}
