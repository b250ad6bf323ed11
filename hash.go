package tacho

import (
	"math/bits"
	"math/rand/v2"
)

// hashSecrets are chosen for each process, so that strangers who choose label
// values cannot aim for one slot of a table.
var hashSecrets = [3]uint64{rand.Uint64() | 1, rand.Uint64() | 1, rand.Uint64() | 1}

// hashValues hashes the values of a series: for each its bytes and its length,
// so that ("a","bc") and ("ab","c") differ. Label values are short, and for
// those a call of hash/maphash costs more than the hashing: a three-label lookup
// took about half as long again with it. Each step multiplies two 64-bit words into 128 bits
// and folds the halves.
func hashValues(values []string) uint32 {
	h := hashSecrets[0]
	for _, v := range values {
		h = hashString(h, v)
	}
	return uint32(h >> 32)
}

// hashKey returns what hashValues returns for the values of a key.
func hashKey(key string, n int) uint32 {
	h := hashSecrets[0]
	for range n {
		end := 0
		for key[end] != keySep {
			end++
		}
		h, key = hashString(h, key[:end]), key[end+1:]
	}
	return uint32(h >> 32)
}

func hashString(h uint64, s string) uint64 {
	n := len(s)
	h ^= uint64(n) * 0x9e3779b97f4a7c15
	for len(s) > 16 {
		h = fold(load64(s, 0)^hashSecrets[1], load64(s, 8)^h)
		s = s[16:]
	}
	var a, b uint64
	switch {
	case len(s) >= 8: // the two words overlap where there are fewer than 16 bytes
		a, b = load64(s, 0), load64(s, len(s)-8)
	case len(s) >= 4:
		a, b = load32(s, 0), load32(s, len(s)-4)
	case len(s) > 0: // first, middle and last byte are all there is
		a, b = uint64(s[0])<<8|uint64(s[len(s)/2]), uint64(s[len(s)-1])
	}
	return fold(a^hashSecrets[1], b^h)
}

func fold(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo ^ hashSecrets[2]
}

// load64 and load32 read little-endian words; the compiler makes each one load
// where the machine allows it.
func load64(s string, i int) uint64 {
	s = s[i : i+8]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

func load32(s string, i int) uint64 {
	s = s[i : i+4]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24
}
