package expo

import (
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
	s := d.Native().Snapshot
	shift := 0
	for denseSize(s.Positive, shift) > maxCounts || denseSize(s.Negative, shift) > maxCounts {
		shift++
	}
	b = appendFixed(appendPointTimes(b, e, d, true), wire.OTLPCount, s.Count())
	b = appendDouble(b, wire.OTLPTotal, sum)
	b = appendVarint(append(b, wire.OTLPScale), zigzag(int64(s.Schema-shift)))
	b = appendFixed(b, wire.OTLPZeroCount, s.Zero)
	b = appendDense(b, wire.OTLPPositive, s.Positive, shift)
	b = appendDense(b, wire.OTLPNegative, s.Negative, shift)
	// As in the protobuf format, a histogram without exemplars of native buckets has those of the classic
	// buckets.
	p := &otlpOf(e).protoState
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
func appendDense(b []byte, field byte, list []native.Bucket, shift int) []byte {
	if len(list) == 0 {
		return b
	}
	next := (list[0].Key - 1) >> shift
	b, message := nest(b, field)
	b = appendVarint(append(b, wire.OTLPOffset), zigzag(int64(next)))
	b, start := nest(b, wire.OTLPDenseCounts)
	for len(list) > 0 {
		index, count := (list[0].Key-1)>>shift, uint64(0)
		for ; len(list) > 0 && (list[0].Key-1)>>shift == index; list = list[1:] {
			count += list[0].Count
		}
		for ; next < index; next++ {
			b = append(b, 0)
		}
		b = appendVarint(b, count)
		next++
	}
	return seal(seal(b, start), message)
}
