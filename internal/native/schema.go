// Package native stores the buckets of native histograms (prometheus.io, "Native Histograms"). The
// bounds of the buckets grow by a fixed factor. A bucket exists only if it has values.
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

// step returns 2^(2^-s) for s from 1 to 8. Schema s has the bounds of schema s-1. Between two of these
// bounds, schema s has the product of the lower bound and step(s). A single multiplication is rounded
// in the same way on all machines. Prometheus has the same bounds, and not all of them are correctly
// rounded. The table is not a variable; see internal/SIZE.md.
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

// Bound returns the upper bound of the bucket with this key, which is inclusive. The bound of the next
// lower key is the exclusive lower bound. The bound of the last finite bucket is MaxFloat64, and +Inf
// follows. A bound below the least float64 is 0.
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

// Keys returns the key of the lowest bucket that can have a value, and the key of the bucket of +Inf.
func Keys(schema int) (first, last int) {
	t := TableOf(schema)
	return t.index(1) + 1 - offset(schema), offset(schema) + 1
}

// A Table finds the bucket of a value in one schema.
//
// The code numbers buckets by index: key-1 plus [offset]. In the next lower schema, the index of a
// value is half of its index, rounded down, also for values below 1. In schema 3, the buckets of
// one index>>3 have the values of one exponent. A power of two is in the bucket that it ends.
//
// Most values need one load from slots. The highest bits of a mantissa select the slot. Between two
// powers of two, the index grows with the logarithm of the value. The bits of the value grow nearly as
// the logarithm. So the slot has the difference of the two. If a bound is in the slot, the index needs
// a comparison of mantissas.
type Table struct {
	_          [0]func() // no ==; see internal/SIZE.md
	Schema     int
	slots      [1 << slotBits]uint8 // the difference, plus far above coarse; split if the slot has a bound
	indexShift uint8                // from biased bits to an index, without the difference
	bounds     []uint64             // mantissas of the bounds of an octave; the first is 0
}

const (
	mantissaBits = 52
	mantissaMask = 1<<mantissaBits - 1
	slotBits     = 10 // bits of a mantissa that select a slot; in schema 3, 8 of 1024 slots have a bound

	far   = 1 << 6 // more than any difference
	split = 1 << 7

	// coarse is the highest schema in which the place of a value depends on the exponent alone.
	coarse = chunkBits

	// biased is added to the bits of a value. The exponent of 1 is then 1024. So the index of 1 is
	// whole in all schemas.
	biased = 1 << mantissaBits
)

// offset returns the difference of an index and key-1.
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

// index returns the index of the bucket of the value with these bits, which must be above 0 and finite.
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
	below, end := 0, len(t.bounds) // bounds[below] is below the value, and bounds[end] is not
	for end-below > 1 {
		if half := (below + end) / 2; t.bounds[half] < mantissa {
			below = half
		} else {
			end = half
		}
	}
	return int(bits>>mantissaBits)<<MaxSchema>>(MaxSchema-t.Schema) + below
}

// highest returns the bits of the highest value in the bucket with this index. [Bound] can be higher,
// because the bounds of subnormal values are rounded.
func (t *Table) highest(index int) uint64 {
	bits := math.Float64bits(Bound(t.Schema, index+1-offset(t.Schema)))
	if bits <= maxBits && t.index(bits) > index {
		bits--
	}
	return bits
}

// maxBits are the bits of MaxFloat64.
const maxBits = 0x7fefffffffffffff

// SchemaOf returns the lowest schema whose factor is not above the given factor. If there is none, it
// returns MaxSchema.
func SchemaOf(factor float64) int {
	for schema := MinSchema; schema < MaxSchema; schema++ {
		if Bound(schema, 1) <= factor {
			return schema
		}
	}
	return MaxSchema
}
