package expo

import (
	"github.com/tachikoma/tacho/internal/native"
	"github.com/tachikoma/tacho/internal/wire"
)

// protoHistogram is the function protoHistogram with native buckets.
func (NativeCode) protoHistogram(e *Encoder, block string, bounds *Bounds, counts []uint64, sum float64, d *Details) bool {
	p := (*protoState)(e.proto)
	alone := p.loadExemplars(d)
	if alone {
		p.close(e)
	}
	b, metric, value := protoTotals(e, block, counts, sum, d)
	if len(bounds.Upper) > 0 {
		b = appendClassic(b, bounds, counts, d)
	}
	b = appendCreated(appendNative(b, d.Native().Snapshot), wire.HistogramCreated, d)
	for _, x := range p.exemplars {
		b = appendExemplar(append(b, wire.HistogramExemplar&0x7f|0x80, wire.HistogramExemplar>>7), x)
	}
	p.exemplars = p.exemplars[:0]
	more := protoEnd(e, seal(b, value), metric)
	if alone {
		p.close(e)
	}
	return more
}

// loadExemplars sets p.exemplars to the exemplars of native buckets, in the order of their
// times. It reports whether the series needs a message of its own.
//
// The parser of Prometheus 3.16 counts the exemplars of native histograms, and does not reset the
// count before the next series of a message. So the parser skips as many exemplars of a series as
// the series before had. If there are no exemplars of native buckets, Prometheus reads those of
// classic buckets in the same way.
func (p *protoState) loadExemplars(d *Details) bool {
	own := d.Native().Exemplars
	for i := range own {
		x := own[i].Load()
		if x == nil {
			continue
		}
		list := append(p.exemplars, x)
		j := len(list) - 1
		for ; j > 0 && list[j-1].At > x.At; j-- {
			list[j] = list[j-1]
		}
		list[j] = x
		p.exemplars = list
	}
	for i := range d.Buckets {
		if d.Buckets[i].Load() != nil {
			return true
		}
	}
	return len(p.exemplars) > 0
}

// appendNative appends the native part of a histogram.
func appendNative(b []byte, s *native.Snapshot) []byte {
	b = appendVarint(append(b, wire.HistogramSchema), zigzag(int64(s.Schema)))
	b = appendDouble(b, wire.HistogramZeroThreshold, s.ZeroThreshold)
	b = appendVarint(append(b, wire.HistogramZeroCount), s.Zero)
	b = appendBuckets(b, wire.HistogramNegative, s.Negative)
	b = appendBuckets(b, wire.HistogramPositive, s.Positive)
	if len(s.Positive)+len(s.Negative) == 0 && s.Zero == 0 && s.ZeroThreshold == 0 {
		// Without a span Prometheus would take the histogram for a classic one.
		b = appendSpan(b, wire.HistogramPositive, 0, 0)
	}
	return b
}

// appendBuckets appends the spans and the deltas of buckets. field is the tag of a span.
func appendBuckets(b []byte, field byte, list []native.Bucket) []byte {
	if len(list) == 0 {
		return b
	}
	end, first := 0, list[0].Key // of the span before, and of this one
	for i, bucket := range list {
		next := bucket.Key + 1
		if i+1 < len(list) && list[i+1].Key-next <= maxGap {
			continue
		}
		b = appendSpan(b, field, first-end, next-first)
		if end = next; i+1 < len(list) {
			first = list[i+1].Key
		}
	}
	b, start := nest(b, field+wire.NextField)
	if room := len(list) * deltaRoom; cap(b)-len(b) < room {
		b = append(b, make([]byte, room)...)[:len(b)]
	}
	to, n := b[:cap(b)], len(b)
	before, next := uint64(0), list[0].Key
	for _, bucket := range list {
		gap := bucket.Key - next
		d := zigzag(int64(bucket.Count - before))
		if gap > 0 && gap <= maxGap { // empty buckets
			n = len(appendVarint(to[:n], zigzag(-int64(before))))
			to[n] = 0
			n += gap - 1
			d = zigzag(int64(bucket.Count))
		}
		if before, next = bucket.Count, bucket.Key+1; d >= 1<<14 {
			n = len(appendVarint(to[:n], d))
			continue
		}
		// One or two bytes, without a branch, which would often be mispredicted.
		more := (0x7f - d) >> 63
		to[n], to[n+1] = byte(d&0x7f|more<<7), byte(d>>7)
		n += 1 + int(more)
	}
	return seal(b[:n], start)
}

// appendSpan appends a BucketSpan. offset is the number of buckets since the span before.
func appendSpan(b []byte, field byte, offset, length int) []byte {
	b, start := nest(b, field)
	b = appendVarint(append(b, wire.SpanOffset), zigzag(int64(offset)))
	return seal(appendVarint(append(b, wire.SpanLength), uint64(length)), start)
}

// zigzag returns v in the ZigZag encoding (protobuf.dev, "Encoding"): small numbers of both signs
// are short varints.
func zigzag(v int64) uint64 { return uint64(v)<<1 ^ uint64(v>>63) }
