// Package native stores the buckets of native histograms: buckets whose bounds grow by a fixed
// factor, and which exist only where there are values (prometheus.io, "Native Histograms").
package native

import (
	"math"
	"sync/atomic"
	"unsafe"
)

// Schemas of exponential buckets. The factor between two bounds is 2^(2^-schema).
const (
	MinSchema = -4
	MaxSchema = 8
)

// step returns 2^(2^-s) for s from 1 to 8. The bounds of schema s are those of schema s-1 and,
// between two of them, the lower one times the step of s. A single multiplication is rounded in
// the same way on all machines. Prometheus has the same bounds, and not all of them are
// correctly rounded. The table is no variable; see internal/SIZE.md.
func step(s int) float64 {
	return [MaxSchema]float64{
		0x1.6a09e667f3bccp+00, 0x1.306fe0a31b715p+00, 0x1.172b83c7d517bp+00, 0x1.0b5586cf9890fp+00,
		0x1.059b0d3158574p+00, 0x1.02c9a3e778061p+00, 0x1.0163da9fb3335p+00, 0x1.00b1afa5abcbfp+00,
	}[uint(s-1)%MaxSchema]
}

// fraction returns the i-th bound of a schema above 0 in [0.5, 1). It multiplies in the order
// of the schemas: the coarsest bound below comes first.
//
//go:noinline
func fraction(schema, i int) float64 {
	f := 0.5
	for s := 1; s <= schema; s++ {
		if i>>(schema-s)&1 == 1 {
			f = float64(f * step(s))
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
	case exp < -1100:
		return 0
	case exp < -1000: // can be subnormal, and is rounded once
		return math.Float64frombits(math.Float64bits(f)+uint64(exp+1+200)<<mantissaBits) * 0x1p-200
	}
	return math.Float64frombits(math.Float64bits(f) + uint64(exp+1)<<mantissaBits) // smaller than math.Ldexp
}

// Keys returns the keys of the lowest bucket that has a value, and of the bucket of +Inf.
func Keys(schema int) (first, last int) {
	t := TableOf(schema)
	return t.index(1) + 1 - offset(schema), offset(schema) + 1
}

// A Table finds the bucket of a value in one schema.
//
// The code numbers buckets by index: key-1 plus [offset]. In the schema below, the index of a
// bucket is half of the index, rounded down, also for the buckets below 1. In schema 3, the buckets of
// one index>>3 are those of one exponent, and the bound between two exponents is in the lower.
//
// Most values need one load from slots. The highest bits of a mantissa choose the slot. Between two powers
// of two, the index grows with the logarithm of the value, and the bits of the value grow nearly as the logarithm: so the
// slot has the difference of the two. A slot with a bound needs a comparison of mantissas.
type Table struct {
	_          [0]func() // no ==; see internal/SIZE.md
	Schema     int
	slots      [1 << slotBits]uint8 // the difference, and far more in a schema above coarse; split if a bound is in the slot
	indexShift uint8                // from bits to an index, without the difference
	bounds     []uint64             // mantissas of the bounds of an octave; the first is 0
}

const (
	mantissaBits = 52
	mantissaMask = 1<<mantissaBits - 1
	slotBits     = 10 // of a mantissa, that choose a slot: in schema 3, 8 of 1024 slots have a bound

	far   = 1 << 6 // more than any difference
	split = 1 << 7

	// coarse is the highest schema in which the place of a value depends on the exponent alone.
	coarse = chunkBits

	// biased is added to the bits of a value. The exponent of 1 is then 1024, and its index is whole in all schemas.
	biased = 1 << mantissaBits
)

// offset returns what an index has more than a key less 1.
func offset(schema int) int { return 1024 << 8 >> (MaxSchema - schema) }

var tables [MaxSchema - MinSchema + 1]atomic.Pointer[byte] // *Table

// TableOf returns the Table of a schema. It allocates at the first call for the schema.
func TableOf(schema int) *Table {
	p := &tables[schema-MinSchema]
	if t := p.Load(); t != nil {
		return (*Table)(unsafe.Pointer(t))
	}
	t := &Table{
		Schema:     schema,
		indexShift: uint8(mantissaBits - schema),
		bounds:     make([]uint64, 1<<max(schema, 0)),
	}
	for i := range t.bounds {
		t.bounds[i] = math.Float64bits(fraction(schema, i)) & mantissaMask
	}
	n := 0
	for slot := range t.slots {
		below := n - 1
		for n < len(t.bounds) && t.bounds[n]>>(mantissaBits-slotBits) == uint64(slot) {
			n++
		}
		if n > below+1 {
			t.slots[slot] = split
			continue
		}
		difference := below - slot>>(slotBits-max(schema, 0))
		if schema > coarse {
			difference += far
		}
		t.slots[slot] = uint8(difference)
	}
	p.Store((*byte)(unsafe.Pointer(t)))
	return t
}

// index returns the index of the bucket of a value above 0, given as its bits. The value must be finite.
func (t *Table) index(bits uint64) int {
	if bits < 1<<mantissaBits { // a subnormal: 2^64 times as much is normal
		return t.index(math.Float64bits(math.Float64frombits(bits)*0x1p64)) - 64<<MaxSchema>>(MaxSchema-t.Schema)
	}
	bits += biased
	mantissa := bits & mantissaMask
	if mantissa == 0 { // a power of two is in the bucket that it ends
		return int((bits - 1) >> t.indexShift)
	}
	if d := t.slots[mantissa>>(mantissaBits-slotBits)]; d != split {
		return int(bits>>t.indexShift) + int(d%far)
	}
	below, end := 0, len(t.bounds) // of the bounds from below+1 to end, some are below the value
	for end-below > 1 {
		if half := (below + end) / 2; t.bounds[half] < mantissa {
			below = half
		} else {
			end = half
		}
	}
	return int(bits>>mantissaBits)<<MaxSchema>>(MaxSchema-t.Schema) + below
}

// highest returns the bits of the highest value in the bucket with this index. [Bound] can be above: the bounds of
// subnormal values are rounded.
func (t *Table) highest(index int) uint64 {
	bits := math.Float64bits(Bound(t.Schema, index+1-offset(t.Schema)))
	if bits <= maxBits && t.index(bits) > index {
		bits--
	}
	return bits
}

// maxBits are the bits of MaxFloat64.
const maxBits = 0x7fefffffffffffff

// SchemaOf returns the lowest schema whose factor is not above the given one, or the highest schema.
func SchemaOf(factor float64) int {
	for schema := MinSchema; schema < MaxSchema; schema++ {
		if Bound(schema, 1) <= factor {
			return schema
		}
	}
	return MaxSchema
}
