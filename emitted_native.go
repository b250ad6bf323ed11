package tacho

import (
	"math"
	"unsafe"

	"github.com/tachikoma/tacho/internal/expo"
	"github.com/tachikoma/tacho/internal/native"
)

// emitNative returns an *expo.Native of a snapshot that a collector emits. ok is false if a format
// cannot show the native part.
func (nativeCode) emitNative(s *HistogramSnapshot) (n unsafe.Pointer, ok bool) {
	from := s.Native
	if from.Schema < native.MinSchema || from.Schema > native.MaxSchema || !(from.ZeroThreshold >= 0 && from.ZeroThreshold <= math.MaxFloat64) {
		return nil, false
	}
	to := &native.Snapshot{Schema: from.Schema, ZeroThreshold: from.ZeroThreshold, Zero: from.ZeroCount}
	positive, count, ok := emittedBuckets(from.Schema, from.Positive, from.ZeroCount)
	negative, count, ok2 := emittedBuckets(from.Schema, from.Negative, count)
	to.Positive, to.Negative = positive, negative
	// Other libraries count NaN in no bucket. Prometheus accepts a count above the sum of the
	// buckets if the sum of the values is NaN.
	if count != s.Count && !(count < s.Count && math.IsNaN(s.Sum)) {
		ok = false
	}
	return unsafe.Pointer(&expo.Native{Snapshot: to, Code: expo.NativeCode{}}), ok && ok2
}

// emittedBuckets returns the populated buckets of a list, and the sum of their counts and count. If an
// index is not valid, the indexes do not increase, or the sum overflows, ok is false. The formats
// write a difference of counts as an int64. So ok is also false for a larger count.
func emittedBuckets(schema int, list []NativeBucket, count uint64) (own []native.Bucket, _ uint64, ok bool) {
	first, last := native.Keys(schema)
	for i, b := range list {
		if b.Index < first || b.Index > last || i > 0 && b.Index <= list[i-1].Index || b.Count > min(math.MaxInt64, math.MaxUint64-count) {
			return nil, 0, false
		}
		if count += b.Count; b.Count > 0 {
			own = append(own, native.Bucket{Key: b.Index, Count: b.Count})
		}
	}
	return own, count, true
}
