package expo

import (
	"math"

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
func (NativeCode) otlpHistogram(e *Encoder, block string, counts []uint64, sum float64, d *Details) bool {
	b, point := otlpHead(e, block, wire.OTLPExponential, wire.OTLPExponentialAttribute)
	o, s := otlpOf(e), d.Native().Snapshot
	shift := 0
	for denseSize(s.Positive, shift) > maxCounts || denseSize(s.Negative, shift) > maxCounts {
		shift++
	}
	b = appendPointTimes(b, e, d, true)
	total := uint64(0)
	for _, c := range counts {
		total += c
	}
	if math.IsNaN(sum) {
		total = s.Count() // counts may contain values in no bucket; see tacho.emitNative
	}
	b = appendDouble(appendFixed(b, wire.OTLPCount, total), wire.OTLPTotal, sum)
	b = appendVarint(append(b, wire.OTLPScale), zigzag(int64(s.Schema-shift)))
	b = appendFixed(b, wire.OTLPZeroCount, s.Zero)
	b = appendDense(b, wire.OTLPPositive, o.lowered(s.Positive, shift))
	b = appendDense(b, wire.OTLPNegative, o.lowered(s.Negative, shift))
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

// appendDense appends the message Buckets of one sign.
func appendDense(b []byte, field byte, list []native.Bucket) []byte {
	if len(list) == 0 {
		return b
	}
	b, message := nest(b, field)
	b = appendVarint(append(b, wire.OTLPOffset), zigzag(int64(list[0].Key-1)))
	b, start := nest(b, wire.OTLPDenseCounts)
	if room := len(b) + denseSize(list, 0) + countRoom*len(list) + 1; room > cap(b) {
		b = append(b, make([]byte, room-len(b))...)[:len(b)]
	}
	n := storeDense(b[:cap(b)], len(b), list)
	return seal(seal(b[:n], start), message)
}

// storeDense stores the counts of all buckets from the first to the last at to[n]. It returns the index behind the
// last count. As in storeDeltas, eight small counts are stored at once.
func storeDense(to []byte, n int, list []native.Bucket) int {
	next := list[0].Key
	for i := 0; i < len(list); {
		end := i + 1
		if i+8 <= len(list) && list[i+7].Key-next == 7 {
			end = i + 8
			if counts, all := eightCounts((*[8]native.Bucket)(list[i:end])); all < 1<<7 {
				byteorder.Store64((*[8]byte)(to[n:n+8]), counts)
				i, n, next = end, n+8, next+8
				continue
			}
		}
		for ; i < end; i++ {
			for ; next < list[i].Key; next++ {
				to[n] = 0
				n++
			}
			n = storeVarint(to, n, list[i].Count)
			next++
		}
	}
	return n
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
