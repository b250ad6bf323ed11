package expo

import (
	"github.com/tachikoma/tacho/internal/byteorder"
	"github.com/tachikoma/tacho/internal/native"
	"github.com/tachikoma/tacho/internal/wire"
)

// maxCounts is the largest number of counts of an exponential histogram for each sign. A native histogram
// leaves out empty buckets, and an exponential histogram has a count for each of them. With schema 8,
// two values at the ends of float64 would need (1024+1074)*256 counts.
const maxCounts = 4096

// otlpHistogram is the function otlpHistogram for native buckets: an exponential histogram, whose scale is the
// schema. If the buckets would need more than maxCounts, the scale is lower, and each bucket has
// the counts of several.
//
// OpenTelemetry numbers buckets by the lower bound, and Prometheus by the upper bound. So the index of a bucket
// is its key less 1.
func (NativeCode) otlpHistogram(e *Encoder, block string, sum float64, d *Details) bool {
	b, point := otlpHead(e, block, wire.OTLPExponential, wire.OTLPExponentialAttribute)
	o, s := otlpOf(e), d.Native().Snapshot
	shift := 0
	for denseSize(s.Positive, shift) > maxCounts || denseSize(s.Negative, shift) > maxCounts {
		shift++
	}
	b = appendPointTimes(b, e, d, true)
	count := len(b)
	b = appendDouble(appendFixed(b, wire.OTLPCount, 0), wire.OTLPTotal, sum)
	b = appendVarint(append(b, wire.OTLPScale), zigzag(int64(s.Schema-shift)))
	b = appendFixed(b, wire.OTLPZeroCount, s.Zero)
	b, positive := appendDense(b, wire.OTLPPositive, o.lowered(s.Positive, shift))
	b, negative := appendDense(b, wire.OTLPNegative, o.lowered(s.Negative, shift))
	byteorder.Store64((*[8]byte)(b[count+1:]), s.Zero+positive+negative)
	// As in the protobuf format, a histogram without exemplars of native buckets has those of the classic
	// buckets.
	p := &o.protoState
	p.loadExemplars(d)
	if len(p.exemplars) == 0 {
		b = appendSlots(b, wire.OTLPNativeExemplar, d.Buckets)
	}
	for _, x := range p.exemplars {
		b = appendPointExemplar(b, wire.OTLPNativeExemplar, x)
	}
	p.exemplars = p.exemplars[:0]
	return otlpEnd(e, sealLong(appendDouble(b, wire.OTLPZeroThreshold, s.ZeroThreshold), point))
}

// denseSize returns the number of counts from the first bucket to the last, without the shift lowest bits of each
// index.
func denseSize(list []native.Bucket, shift int) int {
	if len(list) == 0 {
		return 0
	}
	return (list[len(list)-1].Key-1)>>shift - (list[0].Key-1)>>shift + 1
}

// appendDense appends the message Buckets of one sign. It returns the sum of the counts too.
func appendDense(b []byte, field byte, list []native.Bucket) (_ []byte, total uint64) {
	if len(list) == 0 {
		return b, 0
	}
	size := denseSize(list, 0)
	key := list[0].Key
	b, message := nest(b, field)
	b = appendVarint(append(b, wire.OTLPOffset), zigzag(int64(key-1)))
	b, start := nest(b, wire.OTLPDenseCounts)
	if room := len(b) + size + countRoom*len(list) + 1; room > cap(b) {
		b = append(b, make([]byte, room-len(b))...)[:len(b)]
	}
	to, n := b[:cap(b)], len(b)
	for _, bucket := range list {
		for ; key < bucket.Key; key++ {
			to[n] = 0
			n++
		}
		key++
		count := bucket.Count
		total += count
		if count >= 1<<14 {
			n = len(appendVarint(to[:n], count))
			continue
		}
		// One or two bytes, without a branch, as in appendBuckets.
		more := (0x7f - count) >> 63
		to[n], to[n+1] = byte(count&0x7f|more<<7), byte(count>>7)
		n += 1 + int(more)
	}
	return seal(seal(b[:n], start), message), total
}

// countRoom is the largest size of a count less the byte that each count has. One byte more can be written and
// is overwritten by the next count.
const countRoom = 10 - 1

// lowered returns the buckets without the shift lowest bits of each index. The result is valid until the next call.
func (o *otlpState) lowered(list []native.Bucket, shift int) []native.Bucket {
	if shift == 0 {
		return list
	}
	to := o.buckets[:0]
	for _, bucket := range list {
		key := (bucket.Key-1)>>shift + 1
		if last := len(to) - 1; last >= 0 && to[last].Key == key {
			to[last].Count += bucket.Count
		} else {
			to = append(to, native.Bucket{Key: key, Count: bucket.Count})
		}
	}
	o.buckets = to
	return to
}
