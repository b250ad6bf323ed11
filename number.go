package tacho

import (
	"math"
	"math/bits"
	"strconv"
)

// store64 puts a word into b, the lowest byte first; the compiler makes it one store
// where the machine allows it.
func store64(b *[8]byte, v uint64) {
	b[0], b[1], b[2], b[3] = byte(v), byte(v>>8), byte(v>>16), byte(v>>24)
	b[4], b[5], b[6], b[7] = byte(v>>32), byte(v>>40), byte(v>>48), byte(v>>56)
}

// maxDigits is the length of the longest uint64.
const maxDigits = 20

// room returns b with place for n more bytes behind it.
func room(b []byte, n int) []byte {
	if cap(b)-len(b) >= n {
		return b
	}
	return append(make([]byte, 0, 2*cap(b)+n), b...)
}

// appendUint appends v in decimal. Eight digits are worked out at once, in one word,
// and stored where they belong: strconv.AppendUint makes them two at a time elsewhere,
// and copies them while the processor still stores them.
func appendUint(b []byte, v uint64) []byte {
	if v < 10 { // as all buckets below the values are
		return append(b, byte('0'+v))
	}
	b = room(b, maxDigits)
	long := v >= maxShort
	if long {
		q := v / maxShort
		b = appendUint(b, q)
		v -= q * maxShort
	}
	n, digits := len(b), eightDigits(v)
	leading := leadingZeros(digits)
	if long {
		leading = 0
	}
	store64((*[8]byte)(b[n:n+8]), (digits|eightZeros)>>(8*leading))
	return b[:n+8-leading]
}

// maxShort is the least number that has more than eight digits.
const maxShort = 1e8

const eightZeros = 0x3030303030303030 // "00000000"

// eightDigits returns the digits of v, which has no more than eight, one in each byte and
// the first in the lowest. All parts of a number in halves are divided at once, by
// multiplying with a rounded reciprocal.
func eightDigits(v uint64) uint64 {
	q := v / 10000
	v = q | (v-q*10000)<<32 // halves of 32 bits, below 10,000 each
	q = v * 10486 >> 20 & 0x7f_0000007f
	v = q | (v-q*100)<<16 // quarters of 16 bits, below 100
	q = v * 103 >> 10 & 0xf_000f_000f_000f
	return q | (v-q*10)<<8
}

// leadingZeros returns how many of eight digits are zeros before the number; 0 has a
// digit too.
func leadingZeros(digits uint64) int { return bits.TrailingZeros64(digits|1<<56) / 8 }

func appendInt(b []byte, v int64) []byte {
	if v < 0 {
		return appendWhole(b, -uint64(v), true)
	}
	return appendUint(b, uint64(v))
}

// appendWhole appends v in decimal, after a minus if the number is negative.
func appendWhole(b []byte, v uint64, negative bool) []byte {
	if negative {
		b = append(b, '-')
	}
	return appendUint(b, v)
}

// appendFloat appends the shortest decimal that reads back as v, as Go's 'g'
// format has it, and NaN, +Inf, -Inf as the text format spells them.
func appendFloat(b []byte, v float64) []byte {
	// Most values are small whole numbers, which need no search for the
	// shortest form. From 1e6 up the format switches to an exponent.
	if n := int64(v); -1e6 < v && v < 1e6 && float64(n) == v && (n != 0 || !math.Signbit(v)) {
		return appendInt(b, n)
	}
	return strconv.AppendFloat(b, v, 'g', -1, 64)
}

// appendOpenFloat appends v as OpenMetrics has floats: with a point, an
// exponent, or as one of the three words (OpenMetrics 1.0, "Numbers").
func appendOpenFloat(b []byte, v float64) []byte {
	start := len(b)
	if b = appendFloat(b, v); readsWhole(b[start:]) {
		b = append(b, ".0"...)
	}
	return b
}

// readsWhole reports whether a number has no sign of being a float.
func readsWhole(s []byte) bool {
	for i := range len(s) {
		switch s[i] {
		case '.', 'e', 'N', 'I':
			return false
		}
	}
	return true
}

// appendSeconds appends a time from 1970 on, given in Unix milliseconds, as seconds
// with the digits it needs.
func appendSeconds(b []byte, ms int64) []byte {
	b = appendInt(b, ms/1000)
	if ms %= 1000; ms == 0 {
		return b
	}
	b = append(b, '.', byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10))
	for b[len(b)-1] == '0' {
		b = b[:len(b)-1]
	}
	return b
}
