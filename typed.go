package tacho

import (
	"strconv"
	"unsafe"

	"github.com/tachikoma/tacho/internal/escape"
)

// A Label is a type of the values of one label. The compiler refuses a value of another Label, so
// values that are swapped do not compile.
//
//	type Method string
//
//	func (Method) LabelName() string { return "method" }
//
// LabelName must return the name of the label for every value. [Typed2], [Typed3] and [Typed4]
// compare the name with the definition of a vector.
//
// An untyped string constant converts to every Label. So With("/users", "GET") compiles with any
// order of labels, and no check finds the mistake. Constants of a Label are safe:
//
//	const Get Method = "GET"
type Label interface {
	~string
	LabelName() string
}

// A TypedVec2 is a [Vec] with two labels, whose values have a type for each label; see [Label]. All
// methods are safe for concurrent use. [Typed2] makes a TypedVec2. All methods of a zero TypedVec2
// panic.
type TypedVec2[A, B Label, M any] struct{ vec *vec }

// Typed2 returns v with typed label values. It panics with a *[DefinitionError] unless v has two
// labels, and A and B have the names of these labels in this order. v remains usable, for example
// for [Vec.DeleteFunc].
func Typed2[A, B Label, M any](v *Vec[M]) TypedVec2[A, B, M] {
	var a A
	var b B
	return TypedVec2[A, B, M]{typed(unsafe.Pointer(v), a.LabelName(), b.LabelName())}
}

// With returns the metric with these label values; see [Vec.With].
func (t TypedVec2[A, B, M]) With(a A, b B) *M {
	return (*M)(t.vec.find([]string{string(a), string(b)}, true))
}

// Delete removes the series with these label values and reports whether there was one; see
// [Vec.Delete].
func (t TypedVec2[A, B, M]) Delete(a A, b B) bool {
	return t.vec.Delete(string(a), string(b))
}

// A TypedVec3 is a [Vec] with three labels; see [TypedVec2].
type TypedVec3[A, B, C Label, M any] struct{ vec *vec }

// Typed3 returns v with typed label values; see [Typed2].
func Typed3[A, B, C Label, M any](v *Vec[M]) TypedVec3[A, B, C, M] {
	var a A
	var b B
	var c C
	return TypedVec3[A, B, C, M]{typed(unsafe.Pointer(v), a.LabelName(), b.LabelName(), c.LabelName())}
}

// With returns the metric with these label values; see [Vec.With].
func (t TypedVec3[A, B, C, M]) With(a A, b B, c C) *M {
	return (*M)(t.vec.find([]string{string(a), string(b), string(c)}, true))
}

// Delete removes the series with these label values and reports whether there was one; see
// [Vec.Delete].
func (t TypedVec3[A, B, C, M]) Delete(a A, b B, c C) bool {
	return t.vec.Delete(string(a), string(b), string(c))
}

// A TypedVec4 is a [Vec] with four labels; see [TypedVec2].
type TypedVec4[A, B, C, D Label, M any] struct{ vec *vec }

// Typed4 returns v with typed label values; see [Typed2].
func Typed4[A, B, C, D Label, M any](v *Vec[M]) TypedVec4[A, B, C, D, M] {
	var a A
	var b B
	var c C
	var d D
	return TypedVec4[A, B, C, D, M]{typed(unsafe.Pointer(v), a.LabelName(), b.LabelName(), c.LabelName(), d.LabelName())}
}

// With returns the metric with these label values; see [Vec.With].
func (t TypedVec4[A, B, C, D, M]) With(a A, b B, c C, d D) *M {
	return (*M)(t.vec.find([]string{string(a), string(b), string(c), string(d)}, true))
}

// Delete removes the series with these label values and reports whether there was one; see
// [Vec.Delete].
func (t TypedVec4[A, B, C, D, M]) Delete(a A, b B, c C, d D) bool {
	return t.vec.Delete(string(a), string(b), string(c), string(d))
}

// typed returns the vec of a *Vec, which may be nil. It refuses the vec unless names are the names
// of its labels.
//
//go:noinline
func typed(p unsafe.Pointer, names ...string) *vec {
	v := (*vec)(p)
	if v == nil || v.fam == nil {
		refuse("", "a typed vector needs a vector from a registry", "")
	}
	labels, reason := v.fam.labels, ""
	if len(labels) != len(names) {
		reason = "the vector has " + strconv.Itoa(len(labels)) + " labels, and the typed vector " + strconv.Itoa(len(names))
	}
	for i, name := range names {
		if reason == "" && name != labels[i] {
			reason = "label " + strconv.Itoa(i+1) + " is " + escape.Quote(labels[i]) + ", and its type is for the label " + escape.Quote(name)
		}
	}
	if reason != "" {
		refuse(v.fam.Name, reason, v.fam.where)
	}
	return v
}
