// Package atomicfloat adds to float64 values that atomic words hold as bits.
package atomicfloat

import (
	"math"
	"sync/atomic"
)

// TryAdd adds v to the float64 in w unless another goroutine changes w meanwhile. It
// reports whether v was added.
func TryAdd(w *atomic.Uint64, v float64) bool {
	old := w.Load()
	return w.CompareAndSwap(old, math.Float64bits(math.Float64frombits(old)+v))
}

// Add adds v to the float64 in w. Add is lock-free: if one goroutine must try again,
// another goroutine has added.
func Add(w *atomic.Uint64, v float64) {
	for !TryAdd(w, v) {
	}
}

// Load returns the float64 in w.
func Load(w *atomic.Uint64) float64 { return math.Float64frombits(w.Load()) }
