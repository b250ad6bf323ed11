package decimal

import (
	"math"
	"math/bits"
	"strconv"
)

// Linear returns count numbers: start, start+width and so on. start, width and count-1 are
// read as the shortest decimals of their float64 values, and each number is the float64
// nearest to the exact result. The arguments must be finite.
//
// Repeated addition of float64 values drifts: from .1 by .1 the third number is
// 0.30000000000000004.
func Linear(start, width float64, count int) []float64 {
	a, b := parse(start), parse(width)
	exp := min(a.exp, b.exp)
	words := (max(a.exp, b.exp)-exp+maxDigits)/limbDigits + 3 // count numbers and a sign
	a.scale(exp, words)
	b.scale(exp, words)
	list := make([]float64, count)
	for i := range list {
		list[i] = a.signed().float(start + float64(i)*width)
		a.add(b)
	}
	return list
}

// Exponential returns count numbers: start, start*factor and so on, as exact as those of
// [Linear].
func Exponential(start, factor float64, count int) []float64 {
	a, b := parse(start), parse(factor)
	list := make([]float64, count)
	for i := range list {
		list[i] = a.float(start)
		start = list[i] * factor
		a.times(b.mantissa())
		a.exp += b.exp
		a.negative = a.negative != b.negative
		// All digits that are dropped together are below 1e-150 of the number.
		for ; len(a.limbs) > maxLimbs; a.exp += limbDigits {
			a.limbs = a.limbs[1:]
		}
	}
	return list
}

const (
	limbBase   = 1e9
	limbDigits = 9
	maxLimbs   = 20
)

// An exact number is limbs times 10 to the power of exp.
type exact struct {
	negative bool
	limbs    []uint64 // each below limbBase, the lowest first
	exp      int
}

// parse returns the shortest decimal that reads back as v.
func parse(v float64) exact {
	var x exact
	var store [32]byte
	text := strconv.AppendFloat(store[:0], v, 'e', -1, 64) // [-]d[.ddd]e±dd
	m, digits := uint64(0), 0
	for i, c := range text {
		switch {
		case c == '-':
			x.negative = true
		case c == 'e':
			for _, c := range text[i+2:] {
				x.exp = x.exp*10 + int(c-'0')
			}
			if text[i+1] == '-' {
				x.exp = -x.exp
			}
			x.exp -= digits - 1
			x.limbs = []uint64{m % limbBase, m / limbBase}
			return x
		case c != '.':
			m = m*10 + uint64(c-'0')
			digits++
		}
	}
	return x
}

// mantissa returns the limbs of a number that parse returned.
func (x *exact) mantissa() uint64 { return x.limbs[0] + x.limbs[1]*limbBase }

// times multiplies the limbs by m.
func (x *exact) times(m uint64) {
	carry := uint64(0)
	for i, l := range x.limbs {
		hi, lo := bits.Mul64(l, m)
		lo, c := bits.Add64(lo, carry, 0)
		carry, x.limbs[i] = bits.Div64(hi+c, lo, limbBase)
	}
	for ; carry > 0; carry /= limbBase {
		x.limbs = append(x.limbs, carry%limbBase)
	}
}

// scale gives x the exponent exp, which is not greater, and this number of limbs. A
// negative number becomes the complement of its limbs.
func (x *exact) scale(exp, words int) {
	for ; x.exp > exp; x.exp-- {
		x.times(10)
	}
	x.limbs = append(x.limbs, make([]uint64, words-len(x.limbs))...)
	if x.negative {
		x.negate()
	}
}

// negate replaces the limbs by their complement.
func (x *exact) negate() {
	carry := uint64(1)
	for i, l := range x.limbs {
		l = limbBase - 1 - l + carry
		carry, x.limbs[i] = l/limbBase, l%limbBase
	}
}

// add adds y. Both are scaled alike.
func (x *exact) add(y exact) {
	carry := uint64(0)
	for i, l := range y.limbs {
		l += x.limbs[i] + carry
		carry, x.limbs[i] = l/limbBase, l%limbBase
	}
}

// signed returns a copy of a scaled number without a complement.
func (x *exact) signed() exact {
	y := exact{exp: x.exp, limbs: append([]uint64(nil), x.limbs...)}
	if y.negative = y.limbs[len(y.limbs)-1] >= limbBase/2; y.negative {
		y.negate()
	}
	return y
}

// float returns the nearest float64, or an infinity. The closer guess is to the result, the
// faster is float.
//
// strconv.ParseFloat is larger; see internal/SIZE.md.
func (x exact) float(guess float64) float64 {
	const most = 0x7ff << 52 // the bits of +Inf
	near := min(math.Float64bits(math.Abs(guess)), most)
	low, high := near, near
	for d := uint64(1); low > 0 && !x.exceeds(low-1); d *= 8 {
		low -= min(d, low)
	}
	for d := uint64(1); high < most && x.exceeds(high); d *= 8 {
		low, high = high+1, min(high+d, most)
	}
	for low < high {
		if mid := low + (high-low)/2; x.exceeds(mid) {
			low = mid + 1
		} else {
			high = mid
		}
	}
	if x.negative {
		return -math.Float64frombits(low) + 0 // not -0
	}
	return math.Float64frombits(low)
}

// exceeds reports whether x without its sign rounds to a float64 above the float64 with
// these bits. A number halfway between two rounds to the one with an even last bit.
func (x *exact) exceeds(b uint64) bool {
	// The number halfway to the next float64 is half times 2 to the power of exp2.
	exp2 := int(b>>52) - 1076
	half := b&(1<<52-1) | 1<<52
	if b>>52 == 0 {
		half, exp2 = b, -1075
	}
	half = half*2 + 1
	left := exact{limbs: append([]uint64(nil), x.limbs...)}
	right := exact{limbs: []uint64{half % limbBase, half / limbBase}}
	left.power(10, 1e16, x.exp)
	left.power(2, 1<<16, -exp2)
	right.power(10, 1e16, -x.exp)
	right.power(2, 1<<16, exp2)
	for i := max(len(left.limbs), len(right.limbs)) - 1; i >= 0; i-- {
		if l, r := left.limb(i), right.limb(i); l != r {
			return l > r
		}
	}
	return b&1 != 0
}

// power multiplies x by base n times, if n is positive. base16 is base to the power of 16.
func (x *exact) power(base, base16 uint64, n int) {
	for ; n >= 16; n -= 16 {
		x.times(base16)
	}
	for ; n > 0; n-- {
		x.times(base)
	}
}

func (x *exact) limb(i int) uint64 {
	if i < len(x.limbs) {
		return x.limbs[i]
	}
	return 0
}
