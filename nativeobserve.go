package tacho

import (
	"math"
	"sync/atomic"
	"unsafe"

	"github.com/tachikoma/tacho/internal/atomicfloat"
	"github.com/tachikoma/tacho/internal/native"
	"github.com/tachikoma/tacho/internal/stripe"
)

const pointerSize = unsafe.Sizeof(uintptr(0))

// observeNative is Histogram.observe with native buckets. It has the steps that most values need. The
// variables of the other steps would take registers here, so these steps are in observeRest.
func observeNative(h *Histogram, n *nativeDef, v float64) int {
	row, b := h.row, bucketsOf(h)
	s := h.wide.Load()
	if s != nil {
		number := uintptr(s.Number(stripe.StackNumber()))
		row = &s.Words[number*uintptr(n.stride)]
		b = (*native.Buckets)(unsafe.Add(s.Side(), number*pointerSize))
	}
	bits, l := math.Float64bits(v), b.Level()
	if !n.rules.Plain(bits) {
		return observeRest(h, n, v, s, doneNothing)
	}
	w := l.Word(bits + native.Biased)
	if w == nil {
		return observeRest(h, n, v, s, doneNothing)
	}
	if k := w.Add(1); int64(k) <= 1 || b.Level() != l {
		b.Added(&n.rules, l, bits, k)
	}
	if n.classic > 0 {
		return observeRest(h, n, v, s, doneCounted)
	}
	if !atomicfloat.TryAdd(row, v) {
		return observeRest(h, n, v, s, doneCollided)
	}
	return 0
}

// The steps of an observation that are done before observeRest.
const (
	doneNothing  = iota
	doneCounted  // in the native bucket
	doneCollided // counted, and another goroutine changed the sum at the same time
)

// observeRest completes an observation. After a collision it does not try again before
// stripe.Contended: a second attempt would mostly succeed, and hide the contention.
//
//go:noinline
func observeRest(h *Histogram, n *nativeDef, v float64, s *stripe.Set, done int) int {
	row, b, first, at := h.row, bucketsOf(h), 0, uintptr(0)
	if s != nil {
		at = stripe.StackNumber()
		number := s.Number(at)
		first = number * n.stride
		row, b = &s.Words[first], (*native.Buckets)(unsafe.Add(s.Side(), uintptr(number)*pointerSize))
	}
	if done == doneNothing && !b.Add(&n.rules, v) {
		if v != v {
			h.def.fault(reasonNaN)
			return -1
		}
		(*atomic.Uint64)(unsafe.Add(unsafe.Pointer(row), 8*(1+n.classic))).Add(1) // the zero bucket
	}
	if upper := h.def.Upper; n.classic > 0 {
		// A reader reads the classic buckets first. So it finds at least as many observations in the
		// native buckets, of which one has counted v.
		i := h.def.index.start(v)
		for i < len(upper) && !(v <= upper[i]) {
			i++
		}
		if i++; i > len(upper)+1 {
			i = h.def.search(v)
		}
		if i <= len(upper) { // +Inf has no word
			(*atomic.Uint64)(unsafe.Add(unsafe.Pointer(row), 8*i)).Add(1)
		}
	}
	if done == doneCollided || !atomicfloat.TryAdd(row, v) {
		if stripe.Contended(s, first, at, unsafe.Pointer(h)) {
			stripe.Widen(&h.wide, s, n.stride, h.def.native, newNativeSide)
		}
		atomicfloat.Add(row, v)
	}
	return 0
}

// newNativeSide returns the native buckets of the rows of a stripe.Set; see stripe.Widen.
func newNativeSide(def unsafe.Pointer, rows int) unsafe.Pointer {
	return unsafe.Pointer(native.NewBuckets(&(*nativeDef)(def).rules, rows))
}
