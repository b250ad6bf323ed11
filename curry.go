package tacho

import (
	"slices"
	"unsafe"
)

// A Curried is a [Vec] whose first label values are fixed. All methods are safe for concurrent use.
// [Vec.Curry] makes a Curried. All methods of a zero Curried panic.
type Curried[M any] struct{ curried }

// curried is a Curried without the type of its metrics; see vec.
type curried struct {
	vec    *vec
	values []string  // the first label values
	first  [4]string // begins with up to 4 of values
}

// Curry returns a vector whose first label values are fixed. Its With takes the others, in the
// order of the label names. Curry creates no series and copies the values. If there are more values
// than labels, each With of the result counts tacho_errors_total{metric,reason="label_count"}.
//
// A Curried is meant for the code of one method, queue or tenant: this code cannot swap the fixed
// value with another. [Typed2] lets the compiler check all values.
func (v *Vec[M]) Curry(values ...string) *Curried[M] {
	return &Curried[M]{curry(&v.vec, nil, values)}
}

// Curry returns a vector whose first label values are the fixed values of c and then values; see
// [Vec.Curry].
func (c *Curried[M]) Curry(values ...string) *Curried[M] {
	return &Curried[M]{curry(c.vec, c.values, values)}
}

// curry copies the bytes of values too: the caller may reuse their memory. It is no method of vec:
// a program can contain a method table for each type of vector; see internal/SIZE.md.
//
//go:noinline
func curry(v *vec, first, values []string) curried {
	all := slices.Clip(first)
	for _, s := range values {
		all = append(all, string([]byte(s)))
	}
	c := curried{vec: v, values: all}
	copy(c.first[:], all)
	return c
}

// With returns the metric with the fixed values and these values; see [Vec.With]. If the metric
// exists, With takes no lock. It allocates nothing if the vector has at most 32 labels.
func (c *Curried[M]) With(values ...string) *M { return (*M)(c.find(values)) }

// find is vec.find with the fixed values before values. A wrong number of values is found there.
func (c *curried) find(values []string) unsafe.Pointer {
	n := len(c.values)
	if n+len(values) > len(c.first) {
		return c.findLong(values)
	}
	all := c.first
	for i := range values { // copy would call memmove
		all[(n+i)&(len(all)-1)] = values[i]
	}
	return c.vec.find(all[:n+len(values)], true)
}

// findLong is find for more than 4 values.
//
//go:noinline
func (c *curried) findLong(values []string) unsafe.Pointer {
	var all [32]string
	return c.vec.find(append(append(all[:0], c.values...), values...), true)
}
