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

	head      []byte // the fields schema and zero_threshold, and the name zero_count
	schema    int    // in head
	threshold float64
}

// open2Native appends the native part of a histogram to a composite value. It returns the details
// for the rest of the line. Their Buckets are the exemplars of native buckets in the order of their
// times, unless classic buckets have all exemplars.
func (NativeCode) open2Native(e *Encoder, b []byte, d *Details) ([]byte, *Details) {
	s := (*open2State)(e.proto)
	if s == nil {
		s = new(open2State)
		e.proto = unsafe.Pointer(s)
	}
	n := d.Native()
	if s.head == nil || n.Schema != s.schema || n.ZeroThreshold != s.threshold {
		s.setHead(n.Snapshot)
	}
	b = decimal.AppendUint(append(b, s.head...), n.Zero)
	b = appendOpen2Buckets(b, ",negative", n.Negative)
	b = appendOpen2Buckets(b, ",positive", n.Positive)
	if n.Exemplars == nil {
		return b, d
	}
	s.load(n.Exemplars)
	s.details = *d
	s.details.Buckets = s.exemplars
	return b, &s.details
}

// setHead sets s.head. Most series of a family have the same text, and the shortest digits of a threshold take long
// to find.
func (s *open2State) setHead(n *native.Snapshot) {
	s.schema, s.threshold = n.Schema, n.ZeroThreshold
	b := decimal.AppendInt(put(s.head[:0], ",schema:"), int64(n.Schema))
	b = decimal.AppendFloat(put(b, ",zero_threshold:"), n.ZeroThreshold)
	s.head = put(b, ",zero_count:")
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

// open2Room is the largest number of bytes that storeCounts writes for one bucket and the empty bucket before it.
const open2Room = len(",0,18446744073709551615")

// appendOpen2Buckets appends the spans and the counts of buckets. side is a comma and the start of
// the names of both fields.
func appendOpen2Buckets(b []byte, side string, list []native.Bucket) []byte {
	if len(list) == 0 {
		return b
	}
	b = put(put(b, side), "_spans:[")
	end, before := 0, "" // end of the span before
	for i := 0; i < len(list); {
		first := list[i].Key
		i = spanEnd(list, i, open2Gap)
		next := list[i-1].Key + 1
		b = decimal.AppendInt(put(b, before), int64(first-end))
		b = decimal.AppendUint(append(b, ':'), uint64(next-first))
		end, before = next, ","
	}
	b = put(put(put(b, "]"), side), "_buckets:")
	if room := open2Room * len(list); cap(b)-len(b) < room {
		b = append(b, make([]byte, room)...)[:len(b)]
	}
	start := len(b)
	b = b[:storeCounts(b[:cap(b)], start, list)]
	b[start] = '[' // instead of a comma
	return append(b, ']')
}

// storeCounts stores a comma and a count for each bucket at to[n]. It returns the index behind the last count.
func storeCounts(to []byte, n int, list []native.Bucket) int {
	next := list[0].Key
	for _, bucket := range list {
		if bucket.Key == next+1 { // an empty bucket
			byteorder.Store16((*[2]byte)(to[n:n+2]), ','|'0'<<8)
			n += 2
		}
		next = bucket.Key + 1
		v := bucket.Count
		if v >= 1e4 {
			to[n] = ','
			n = len(decimal.AppendUint(to[:n+1], v))
			continue
		}
		// The number of digits is often mispredicted, so it has no branch.
		if v < 100 {
			tens, short := v*103>>10, (v-10)>>63*8 // short is 8 if v has one digit
			digits := tens | (v-tens*10)<<8 | 0x3030
			byteorder.Store64((*[8]byte)(to[n:n+8]), digits>>(short&8)<<8|',')
			n += len(",00") - int(short/8)
			continue
		}
		q := v * 10486 >> 20 // v/100
		digits := q | (v-q*100)<<16
		q = digits * 103 >> 10 & 0xf_000f
		digits = q | (digits-q*10)<<8
		leading := bits.TrailingZeros64(digits|1<<24) & 24 // 8 for each zero before the number
		byteorder.Store64((*[8]byte)(to[n:n+8]), (digits|0x30303030)>>leading<<8|',')
		n += len(",0000") - leading/8
	}
	return n
}
