// Package native stores the buckets of native histograms: buckets whose bounds grow by a fixed
// factor, and which exist only where there are values (prometheus.io, "Native Histograms").
package native

import (
	"math"
	"sync/atomic"
)

// Schemas of exponential buckets. The factor between two bounds is 2^(2^-schema).
const (
	MinSchema = -4
	MaxSchema = 8
)

// steps has 2^(2^-s) for s from 1 to 8. The bounds of schema s are those of schema s-1 and,
// between two of them, the lower one times the step of s. A single multiplication is rounded in
// the same way on all machines. Prometheus has the same bounds, and not all of them are
// correctly rounded.
var steps = [MaxSchema]float64{
	0x1.6a09e667f3bccp+00, 0x1.306fe0a31b715p+00, 0x1.172b83c7d517bp+00, 0x1.0b5586cf9890fp+00,
	0x1.059b0d3158574p+00, 0x1.02c9a3e778061p+00, 0x1.0163da9fb3335p+00, 0x1.00b1afa5abcbfp+00,
}

// fraction returns the i-th bound of a schema above 0 in [0.5, 1). It multiplies in the order
// of the schemas: the coarsest bound below comes first.
func fraction(schema, i int) float64 {
	f := 0.5
	for s := 1; s <= schema; s++ {
		if i>>(schema-s)&1 == 1 {
			f = float64(f * steps[s-1])
		}
	}
	return f
}

// Bound returns the upper bound of the bucket with this key. The bound is inclusive, and the
// bound of the next lower key is the lower bound, which is exclusive. The bound of the last
// finite bucket is MaxFloat64, and +Inf follows.
func Bound(schema, key int) float64 {
	exp, f := key, 0.5
	if schema > 0 {
		exp, f = key>>schema, fraction(schema, key&(1<<schema-1))
	} else {
		exp = key << -schema
	}
	switch {
	case exp > 1024 || exp == 1024 && f > 0.5:
		return math.Inf(+1)
	case exp == 1024: // 2^1024 is not a float64
		return math.MaxFloat64
	}
	return math.Ldexp(f, exp+1)
}

// A Table finds the bucket of a value in one schema.
type Table struct {
	_      [0]func() // no ==; see internal/SIZE.md
	Schema int
	bounds []uint64             // mantissas of the bounds of an octave; the first is 0
	slots  [1 << slotBits]int16 // for each slot: 1 less than the number of bounds below its values, or split
}

const (
	mantissaBits = 52
	mantissaMask = 1<<mantissaBits - 1
	bias         = 1023
	slotBits     = 8      // of the mantissa, that choose a slot
	split        = 1 << 8 // a bound is in the slot
)

var tables [MaxSchema - MinSchema + 1]atomic.Pointer[Table]

// TableOf returns the Table of a schema.
func TableOf(schema int) *Table {
	p := &tables[schema-MinSchema]
	if t := p.Load(); t != nil {
		return t
	}
	t := &Table{Schema: schema, bounds: []uint64{0}}
	for i := 1; i < 1<<max(schema, 0); i++ {
		t.bounds = append(t.bounds, math.Float64bits(fraction(schema, i))&mantissaMask)
	}
	n := 0
	for slot := range t.slots {
		t.slots[slot] = int16(n - 1)
		for n < len(t.bounds) && t.bounds[n]>>(mantissaBits-slotBits) == uint64(slot) {
			t.slots[slot] = split
			n++
		}
	}
	p.Store(t)
	return t
}
