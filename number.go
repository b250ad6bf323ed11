package tacho

import (
	"math"
	"math/bits"
	"strconv"
)

// maxDigits is the length of the longest uint64.
const maxDigits = 20

// room returns b with place for n more bytes behind it.
func room(b []byte, n int) []byte {
	if cap(b)-len(b) >= n {
		return b
	}
	return append(make([]byte, 0, 2*cap(b)+n), b...)
}

// appendUint appends v in decimal. It puts the digits where they belong, two at a
// time: strconv.AppendUint makes them elsewhere and copies them while the
// processor still stores them, which was a third of the cost of a counter's line.
func appendUint(b []byte, v uint64) []byte {
	b = room(b, maxDigits)
	end := len(b) + digits(v)
	b = b[:end]
	for v >= 100 {
		q := v / 100
		r := (v - q*100) * 2
		b[end-1] = digitPairs[r+1]
		b[end-2] = digitPairs[r]
		end -= 2
		v = q
	}
	if v >= 10 {
		b[end-1] = digitPairs[v*2+1]
		b[end-2] = digitPairs[v*2]
	} else {
		b[end-1] = byte('0' + v)
	}
	return b
}

// digits returns the length of v in decimal: from the length in binary, by
// log10(2), to which powers of ten say whether there is one more.
func digits(v uint64) int {
	n := bits.Len64(v|1) * 1233 >> 12
	if v >= powers[n] {
		n++
	}
	return max(n, 1)
}

var powers = [maxDigits]uint64{
	1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19,
}

const digitPairs = "00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445464748495051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899"

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
