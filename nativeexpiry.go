package tacho

import (
	"math"
	"unsafe"

	"github.com/tachikoma/tacho/internal/native"
)

// appendNativeState is Histogram.appendState with native buckets. The count of the zero bucket
// replaces that of +Inf. Then follow the time of the last restart, the schema, the number of positive
// buckets, and the index and the count of each bucket.
func (nativeCode) appendNativeState(h *Histogram, b []uint64) []uint64 {
	first := len(b)
	b = append(b, make([]uint64, 2+len(h.def.Upper)+1+3)...)
	counts := make([]uint64, len(h.def.Upper)+1)
	r := new(native.Reader)
	sum, created := readNative(h, r, counts, false)
	b[first], b[first+1] = r.Snapshot.Count()+nativeGone(h), math.Float64bits(sum)
	counts[len(counts)-1] = r.Zero
	n := first + 2 + copy(b[first+2:], counts)
	b[n], b[n+1], b[n+2] = uint64(created), uint64(r.Schema), uint64(len(r.Positive))
	for _, list := range [2][]native.Bucket{r.Positive, r.Negative} {
		for _, k := range list {
			b = append(b, uint64(k.Key), k.Count)
		}
	}
	return b
}

// nativeGone is goneFrom with the lock.
func nativeGone(h *Histogram) uint64 {
	c := nativeRules(h)
	c.Lock()
	defer c.Unlock()
	return goneFrom(h)
}

// nativeMarker is vec.marker for native buckets. The mark is the number of all observations, also of those before
// restarts: a restart is no change.
func (nativeCode) nativeMarker(d *histogramDef) func(m unsafe.Pointer) uint64 {
	counts := make([]uint64, len(d.Upper)+1)
	return func(m unsafe.Pointer) uint64 {
		h := (*Histogram)(m)
		countNative(h, counts)
		mark := nativeGone(h)
		for _, n := range counts {
			mark += n
		}
		return mark
	}
}

// absorbNative is the part of Histogram.absorb for native buckets. It returns the earlier state, or a
// state of zeros if the histogram restarted in between.
func (nativeCode) absorbNative(h *Histogram, was, now []uint64) []uint64 {
	at := 2 + len(h.def.Upper) + 1
	if was[at] != now[at] {
		was = make([]uint64, at+3)
		was[at+1] = now[at+1]
	}
	before, after := stateBuckets(was[at+1:]), stateBuckets(now[at+1:])
	bucketsOf(h).AddDifference(nativeRules(h), before, after)
	return was
}

// stateBuckets returns the native buckets of a state, which begins at the schema.
func stateBuckets(state []uint64) *native.Snapshot {
	s := &native.Snapshot{Schema: int(state[0])}
	for i := 2; i < len(state); i += 2 {
		k := native.Bucket{Key: int(state[i]), Count: state[i+1]}
		if uint64(len(s.Positive)) < state[1] {
			s.Positive = append(s.Positive, k)
		} else {
			s.Negative = append(s.Negative, k)
		}
	}
	return s
}
