// Package decimal appends numbers as text: the numbers of expositions, mostly small and
// whole.
package decimal

import (
	"math"
	"math/bits"
	"strconv"

	"github.com/tachikoma/tacho/internal/byteorder"
)

// maxDigits is the length of the longest uint64.
const maxDigits = 20

// grow returns b with a capacity for n more bytes.
func grow(b []byte, n int) []byte {
	if cap(b)-len(b) >= n {
		return b
	}
	return append(make([]byte, 0, 2*cap(b)+n), b...)
}

// AppendUint appends v.
func AppendUint(b []byte, v uint64) []byte {
	// Eight digits are computed in one uint64 and stored at once. strconv.AppendUint
	// writes pairs of digits to a temporary buffer and copies it: BenchmarkWrite takes
	// 1.9 times as long with strconv.AppendUint.
	if v < 10 { // many buckets of a histogram are empty or nearly so
		return append(b, byte('0'+v))
	}
	b = grow(b, maxDigits)
	long := v >= MaxShort
	if long {
		q := v / MaxShort
		b = AppendUint(b, q)
		v -= q * MaxShort
	}
	n, digits := len(b), EightDigits(v)
	leading := LeadingZeros(digits)
	if long {
		leading = 0
	}
	byteorder.Store64((*[8]byte)(b[n:n+8]), (digits|EightZeros)>>(8*leading))
	return b[:n+8-leading]
}

// MaxShort is the least number that has more than eight digits.
const MaxShort = 1e8

// EightZeros is the text "00000000" as a word.
const EightZeros = 0x3030303030303030

// EightDigits returns the digits of v, which is below [MaxShort]. Each byte of the result
// is one digit, and the lowest byte is the first digit.
func EightDigits(v uint64) uint64 {
	// Each step divides all parts of the word at once: it multiplies by a rounded
	// reciprocal.
	q := v / 10000
	v = q | (v-q*10000)<<32 // halves of 32 bits, below 10,000 each
	q = v * 10486 >> 20 & 0x7f_0000007f
	v = q | (v-q*100)<<16 // quarters of 16 bits, below 100
	q = v * 103 >> 10 & 0xf_000f_000f_000f
	return q | (v-q*10)<<8
}

// LeadingZeros returns the number of zeros before the number in eight digits. The number
// 0 has one digit.
func LeadingZeros(digits uint64) int { return bits.TrailingZeros64(digits|1<<56) / 8 }

// AppendInt appends v.
func AppendInt(b []byte, v int64) []byte {
	if v < 0 {
		return AppendWhole(b, -uint64(v), true)
	}
	return AppendUint(b, uint64(v))
}

// AppendWhole appends v, after a minus if negative is true.
func AppendWhole(b []byte, v uint64, negative bool) []byte {
	if negative {
		b = append(b, '-')
	}
	return AppendUint(b, v)
}

// AppendFloat appends the shortest decimal that reads back as v, in the form of Go's 'g'
// format. NaN, +Inf and -Inf are spelled as in the text format 0.0.4.
func AppendFloat(b []byte, v float64) []byte {
	// Most values are small whole numbers and need no search for the shortest form. From
	// 1e6 up the 'g' format has an exponent.
	if n := int64(v); -1e6 < v && v < 1e6 && float64(n) == v && (n != 0 || !math.Signbit(v)) {
		return AppendInt(b, n)
	}
	return strconv.AppendFloat(b, v, 'g', -1, 64)
}

// AppendOpenFloat appends v as OpenMetrics writes floats: with a point, an exponent, or
// as NaN, +Inf or -Inf (OpenMetrics 1.0, "Numbers").
func AppendOpenFloat(b []byte, v float64) []byte {
	start := len(b)
	if b = AppendFloat(b, v); IsWhole(b[start:]) {
		b = append(b, ".0"...)
	}
	return b
}

// IsWhole reports whether the text of a number is digits and a sign alone.
func IsWhole(s []byte) bool {
	for i := range len(s) {
		switch s[i] {
		case '.', 'e', 'N', 'I':
			return false
		}
	}
	return true
}

// AppendSeconds appends a time of ms Unix milliseconds, not negative, in seconds with the
// fewest digits.
func AppendSeconds(b []byte, ms int64) []byte {
	b = AppendInt(b, ms/1000)
	if ms %= 1000; ms == 0 {
		return b
	}
	b = append(b, '.', byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10))
	for b[len(b)-1] == '0' {
		b = b[:len(b)-1]
	}
	return b
}
