package store

import (
	"sync/atomic"
	"unsafe"
)

// A view has, for each slab, a pointer to metrics that were allocated together, and details.
// The pointer is nil once the only series of the slab was removed.
type slab struct {
	_      [0]func()      // no ==; see internal/SIZE.md
	times  unsafe.Pointer // words of time of the series, or nil
	single bool           // the slab has one metric
}

// The index of a metric is the number of its slab and, in the low bits, its place in the
// slab. Most slabs have 64 metrics.
const (
	slabShift = 6
	slabMask  = 1<<slabShift - 1
)

// metric returns the metric with an index. It returns nil if the metric had a slab of its own
// and its series was removed.
func (v *view) metric(index uint32, size uintptr) unsafe.Pointer {
	m := unsafe.Pointer(v.metrics[index>>slabShift].Load())
	if m != nil {
		m = unsafe.Add(m, uintptr(index&slabMask)*size)
	}
	return m
}

// release removes the metric of a removed series from its slab if the slab has no other. So a
// removed series is given back at once, unless it has neighbours.
func (v *view) release(index uint32) {
	if i := int(index >> slabShift); i < len(v.slabs) && v.slabs[i].single {
		v.metrics[i].Store(nil)
	}
}

// resize gives v lists of n slabs. Older views keep their lists.
//
//go:noinline
func (v *view) resize(n int) {
	slabs, metrics := make([]slab, n), make([]atomic.Pointer[byte], n)
	copy(slabs, v.slabs)
	for i := range min(n, len(v.metrics)) {
		metrics[i].Store(v.metrics[i].Load())
	}
	v.slabs, v.metrics = slabs, metrics
}

// times returns the words of time of a series, of which each series has the given number.
func (v *view) times(index uint32, words int) unsafe.Pointer {
	return unsafe.Add(v.slabs[index>>slabShift].times, int(index&slabMask)*words*8)
}

// addSlab makes the slab of the next metric, or of m. The slabs of a small vector have an eighth of
// its series: a vector pays for what it has.
func (s *Store) addSlab(m unsafe.Pointer, block string) {
	if s.slabs == len(s.now.slabs) {
		s.change().resize(s.slabs + s.slabs/4 + 1)
	}
	s.slab, s.taken, s.size = s.slabs, 0, 1
	apart := s.live < Early
	if !apart && !s.kind.Single && m == nil {
		s.size = uint32(min(s.live/8, slabMask+1))
	}
	if m == nil {
		m = s.kind.New(int(s.size), apart, block)
	}
	details := &s.now.slabs[s.slabs]
	s.now.metrics[s.slabs].Store((*byte)(m))
	details.single = s.size == 1
	if n := s.kind.Times * int(s.size); n > 0 {
		details.times = unsafe.Pointer(unsafe.SliceData(make([]uint64, n)))
	}
	s.slabs++
}
