package expo

import (
	"github.com/tachikoma/tacho/internal/byteorder"
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
	end := 0 // of the span before
	for i := 0; i < len(list); {
		first := list[i].Key
		i = spanEnd(list, i, maxGap)
		next := list[i-1].Key + 1
		b = appendSpan(b, field, first-end, next-first)
		end = next
	}
	b, start := nest(b, field+wire.NextField)
	if room := len(list) * deltaRoom; cap(b)-len(b) < room {
		b = append(b, make([]byte, room)...)[:len(b)]
	}
	n := storeDeltas(b[:cap(b)], len(b), list)
	return seal(b[:n], start)
}

// spanEnd returns the index behind the span that begins at list[i]. gap is the largest number of empty buckets in
// a row within a span.
func spanEnd(list []native.Bucket, i, gap int) int {
	for ; i+8 < len(list) && list[i+8].Key-list[i].Key <= 8+gap; i += 8 { // one test for eight buckets
	}
	for i++; i < len(list) && list[i].Key-list[i-1].Key <= 1+gap; i++ {
	}
	return i
}

// storeDeltas stores the deltas of buckets at to[n], and returns the index behind them.
//
// Most histograms have many neighboring buckets with small counts. The deltas of eight of them are computed at
// once.
func storeDeltas(to []byte, n int, list []native.Bucket) int {
	before, next := uint64(0), list[0].Key
	for i := 0; i < len(list); {
		end := i + 1
		if i+8 <= len(list) && list[i+7].Key-next == 7 {
			end = i + 8
			if counts, all := eightCounts((*[8]native.Bucket)(list[i:end])); all|before < 1<<6 {
				byteorder.Store64((*[8]byte)(to[n:n+8]), eightDeltas(counts, before))
				i, n, before, next = end, n+8, counts>>56, next+8
				continue
			}
		}
		for i < end {
			count, gap := list[i].Count, list[i].Key-next
			if gap > 0 && gap <= maxGap { // an empty bucket before list[i]
				count = 0
				next++
			} else {
				next = list[i].Key + 1
				i++
			}
			n = storeVarint(to, n, zigzag(int64(count-before)))
			before = count
		}
	}
	return n
}

// eightCounts returns the lowest bytes of eight counts as a word, the first count in the lowest byte. all has the
// bits of all counts.
//
//go:noinline
func eightCounts(list *[8]native.Bucket) (word, all uint64) {
	a, b, c, d := list[0].Count, list[1].Count, list[2].Count, list[3].Count
	e, f, g, h := list[4].Count, list[5].Count, list[6].Count, list[7].Count
	return a | b<<8 | c<<16 | d<<24 | e<<32 | f<<40 | g<<48 | h<<56, a | b | c | d | e | f | g | h
}

// eightDeltas returns the deltas of eight counts in the ZigZag encoding, a byte for each. counts is a word of
// eightCounts, and before is the count before them. All counts are below 64.
func eightDeltas(counts, before uint64) uint64 {
	const low, high = 0x0101010101010101, 0x8080808080808080
	d := (counts | high) - (counts<<8 | before) // the high bit of a byte is 0 if the delta is negative
	negative := (^d & high) >> 7 * 0xff         // all bits of these bytes
	return d<<1&^low ^ negative
}

// storeVarint stores v at to[n], and returns the index behind v. It may write one byte more.
func storeVarint(to []byte, n int, v uint64) int {
	for ; v >= 1<<14; v >>= 7 {
		to[n] = byte(v) | 0x80
		n++
	}
	// One or two bytes, without a branch, which would often be mispredicted.
	more := (0x7f - v) >> 63
	byteorder.Store16((*[2]byte)(to[n:n+2]), v+v&^0x7f+more<<7)
	return n + 1 + int(more)
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
