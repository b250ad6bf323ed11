package expo

import (
	"math/bits"
	"unsafe"

	"github.com/tachikoma/tacho/internal/byteorder"
	"github.com/tachikoma/tacho/internal/decimal"
	"github.com/tachikoma/tacho/internal/exemplar"
	"github.com/tachikoma/tacho/internal/native"
)

// An open2State is what an Encoder keeps for native histograms in OpenMetrics 2.0.
type open2State struct {
	_         [0]func() // no ==; see internal/SIZE.md
	details   Details
	exemplars []exemplar.Slot
	next      exemplar.Slot // a variable would be allocated
}

// open2Native appends the native part of a histogram to a composite value. It returns the details
// for the rest of the line. Their Buckets are the exemplars of native buckets in the order of their
// times, unless classic buckets have all exemplars.
func (NativeCode) open2Native(e *Encoder, b []byte, d *Details) ([]byte, *Details) {
	n := d.Native()
	b = decimal.AppendInt(put(b, ",schema:"), int64(n.Schema))
	b = decimal.AppendFloat(put(b, ",zero_threshold:"), n.ZeroThreshold)
	b = decimal.AppendUint(put(b, ",zero_count:"), n.Zero)
	b = appendOpen2Buckets(b, ",negative", n.Negative)
	b = appendOpen2Buckets(b, ",positive", n.Positive)
	if n.Exemplars == nil {
		return b, d
	}
	s := (*open2State)(e.proto)
	if s == nil {
		s = new(open2State)
		e.proto = unsafe.Pointer(s)
	}
	s.load(n.Exemplars)
	s.details = *d
	s.details.Buckets = s.exemplars
	return b, &s.details
}

// load sets s.exemplars to the exemplars of slots in the order of their times. The elements are
// copies, because a recording may replace the exemplar of a slot.
func (s *open2State) load(slots []exemplar.Slot) {
	list := s.exemplars[:0]
	for i := range slots {
		s.next.Copy(&slots[i])
		x := s.next.Load()
		if x == nil {
			continue
		}
		list = append(list, exemplar.Slot{})
		j := len(list) - 1
		for ; j > 0 && list[j-1].Load().At > x.At; j-- {
			list[j].Copy(&list[j-1])
		}
		list[j].Copy(&s.next)
	}
	s.exemplars = list
}

// open2Gap is the number of empty buckets in a row that are written as buckets. A new span is not
// longer than two empty buckets, and empty buckets should not be present ("Histogram with Native
// Buckets").
const open2Gap = 1

// appendOpen2Buckets appends the spans and the counts of buckets. side is a comma and the start of
// the names of both fields.
func appendOpen2Buckets(b []byte, side string, list []native.Bucket) []byte {
	if len(list) == 0 {
		return b
	}
	b = put(put(b, side), "_spans:[")
	end, first, before := 0, list[0].Key, "" // end of the span before, and first key of this one
	for i, bucket := range list {
		next := bucket.Key + 1
		if i+1 < len(list) && list[i+1].Key-next <= open2Gap {
			continue
		}
		b = decimal.AppendInt(put(b, before), int64(first-end))
		b = decimal.AppendUint(append(b, ':'), uint64(next-first))
		before = ","
		if end = next; i+1 < len(list) {
			first = list[i+1].Key
		}
	}
	b = put(put(put(b, "]"), side), "_buckets:[")
	for i, bucket := range list {
		if i > 0 {
			if bucket.Key == list[i-1].Key+2 {
				b = append(b, ",0"...)
			}
			b = append(b, ',')
		}
		v := bucket.Count
		n := len(b)
		if v >= 1e4 || cap(b)-n < 8 {
			b = decimal.AppendUint(b, v)
			continue
		}
		// Up to four digits without a branch, which would often be mispredicted.
		q := v * 10486 >> 20 // v/100
		digits := q | (v-q*100)<<16
		q = digits * 103 >> 10 & 0xf_000f
		digits = q | (digits-q*10)<<8
		leading := bits.TrailingZeros64(digits|1<<24) / 8
		byteorder.Store64((*[8]byte)(b[n:n+8]), (digits|0x30303030)>>(8*leading))
		b = b[:n+4-leading]
	}
	return append(b, ']')
}
