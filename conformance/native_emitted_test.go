package conformance

import (
	"math"
	"math/bits"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/histogram"

	"github.com/tachikoma/tacho"
)

// emittedNative returns a random snapshot with native buckets, as a collector could emit it. Most
// snapshots are valid.
func emittedNative(rnd *rand.Rand) tacho.HistogramSnapshot {
	counts := []uint64{0, 1, 2, 3, 100, 1 << 20, 1 << 62, 1<<63 - 1, 1 << 63, math.MaxUint64}
	count := func() uint64 {
		if rnd.IntN(20) == 0 {
			return counts[rnd.IntN(len(counts))]
		}
		return counts[rnd.IntN(6)]
	}
	n := &tacho.NativeSnapshot{
		Schema:        rnd.IntN(13) - 4,
		ZeroThreshold: []float64{0, math.Copysign(0, -1), math.SmallestNonzeroFloat64, 0x1p-128, 0.01, 1, 1e300, math.MaxFloat64}[rnd.IntN(8)],
	}
	if rnd.IntN(2) == 0 {
		n.ZeroCount = count()
	}
	last := 1024 << 8 >> (8 - n.Schema)
	side := func() (list []tacho.NativeBucket) {
		index := []int{0, -10, last - 3, -last, -last * 1074 / 1024, -last * 1080 / 1024, 1}[rnd.IntN(7)]
		for range rnd.IntN(6) {
			list = append(list, tacho.NativeBucket{Index: index, Count: count()})
			index += 1 + rnd.IntN(5)*rnd.IntN(2)
		}
		return list
	}
	n.Positive, n.Negative = side(), side()
	s := tacho.HistogramSnapshot{Count: n.ZeroCount, Sum: []float64{0, 1, -1, 1e10, math.Inf(+1)}[rnd.IntN(5)], Native: n}
	for _, list := range [][]tacho.NativeBucket{n.Positive, n.Negative} {
		for _, b := range list {
			s.Count += b.Count
		}
	}
	switch rnd.IntN(20) {
	case 0:
		n.Schema += []int{-53, 9, -9, 100}[rnd.IntN(4)]
	case 1:
		n.ZeroThreshold = []float64{-1, math.NaN(), math.Inf(+1), math.Inf(-1)}[rnd.IntN(4)]
	case 2:
		s.Count += rnd.Uint64N(3) - 1
	case 3:
		s.Sum = math.NaN()
		s.Count += rnd.Uint64N(3) - 1
	case 4:
		if len(n.Positive) > 0 {
			n.Positive = append(n.Positive, n.Positive[0])
		}
	case 5:
		n.Negative = append(n.Negative, tacho.NativeBucket{Index: []int{math.MaxInt32, math.MinInt32, last + 2, last * 4}[rnd.IntN(4)], Count: 1})
		s.Count++
	}
	if rnd.IntN(3) == 0 {
		s.Buckets = []tacho.Bucket{{UpperBound: 1, Count: s.Count / 2}, {UpperBound: math.Inf(+1), Count: s.Count}}
	}
	return s
}

// TestEmittedNative emits random snapshots with native buckets. Prometheus accepts each snapshot
// that tacho accepts, and reads the same values. One bad native histogram would fail the scrape of
// the whole program. tacho refuses no snapshot that is valid for Prometheus.
func TestEmittedNative(t *testing.T) {
	t.Parallel()
	accepted, refused := 0, 0
	for run := range 10_000 {
		rnd := rand.New(rand.NewPCG(uint64(run), 11))
		s := emittedNative(rnd)
		reg := tacho.NewRegistry(tacho.WithNative())
		reg.Collect(func(e *tacho.Emitter) { e.Histogram("h", "", s) })
		all := scrapeProtobuf(t, reg)
		h, ok := all[`{__name__="h"}`]
		if !ok {
			refused++
			if err := nativeError(s); err == "" {
				t.Errorf("run %d: refused, though it is valid: %+v, native %+v", run, s, s.Native)
			}
			continue
		}
		accepted++
		if err := nativeError(s); err != "" {
			t.Errorf("run %d: accepted, though %s: %+v, native %+v", run, err, s, s.Native)
			continue
		}
		want := *s.Native
		want.Positive, want.Negative = populated(want.Positive), populated(want.Negative)
		want.ZeroThreshold += 0 // -0 is 0
		if got := fromInteger(h.native); h.native.Count != s.Count || !same(h.native.Sum, s.Sum) || !reflect.DeepEqual(got, want) {
			t.Errorf("run %d: count %d, sum %v, want %d, %v; %s", run, h.native.Count, h.native.Sum, s.Count, s.Sum, describe(got, want))
		}
	}
	if accepted < 3000 || refused < 300 {
		t.Errorf("%d accepted, %d refused, want more", accepted, refused)
	}
	t.Logf("%d accepted, %d refused", accepted, refused)
}

func populated(list []tacho.NativeBucket) []tacho.NativeBucket {
	own := []tacho.NativeBucket{}
	for _, b := range list {
		if b.Count > 0 {
			own = append(own, b)
		}
	}
	return own
}

// fromInteger returns a scraped histogram as a snapshot.
func fromInteger(h *histogram.Histogram) tacho.NativeSnapshot {
	side := func(it histogram.BucketIterator[uint64]) []tacho.NativeBucket {
		list := []tacho.NativeBucket{}
		for it.Next() {
			if b := it.At(); b.Count != 0 {
				list = append(list, tacho.NativeBucket{Index: int(b.Index), Count: b.Count})
			}
		}
		return list
	}
	return tacho.NativeSnapshot{
		Schema: int(h.Schema), ZeroThreshold: h.ZeroThreshold, ZeroCount: h.ZeroCount,
		Positive: side(h.PositiveBucketIterator()), Negative: side(h.NegativeBucketIterator()),
	}
}

// nativeError returns the reason for which Prometheus refuses a snapshot, or "". It calls
// Prometheus' own check. A histogram of Prometheus cannot contain a count above the maximum of
// int64, or buckets after the infinite bucket. nativeError checks these itself.
func nativeError(s tacho.HistogramSnapshot) string {
	n := s.Native
	h := &histogram.Histogram{
		Schema: int32(n.Schema), ZeroThreshold: n.ZeroThreshold, ZeroCount: n.ZeroCount, Count: s.Count, Sum: s.Sum,
	}
	total, overflows := n.ZeroCount, uint64(0)
	var reasons []string
	side := func(list []tacho.NativeBucket) (spans []histogram.Span, deltas []int64) {
		next, before := 0, int64(0)
		for i, b := range list {
			if b.Count > math.MaxInt64 {
				reasons = append(reasons, "a bucket has more than an int64")
			}
			if i > 0 && b.Index < next {
				reasons = append(reasons, "the indexes do not increase")
			}
			if n.Schema < minSchema || n.Schema > maxSchema || b.Index > 1024<<8>>(8-n.Schema)+1 || b.Index < -(1074<<8>>(8-n.Schema)) {
				reasons = append(reasons, "no value is in the bucket")
			}
			spans = append(spans, histogram.Span{Offset: int32(b.Index - next), Length: 1})
			deltas = append(deltas, int64(b.Count)-before)
			next, before = b.Index+1, int64(b.Count)
			var carry uint64
			total, carry = bits.Add64(total, b.Count, 0)
			overflows += carry
		}
		return spans, deltas
	}
	h.PositiveSpans, h.PositiveBuckets = side(n.Positive)
	h.NegativeSpans, h.NegativeBuckets = side(n.Negative)
	if overflows > 0 {
		reasons = append(reasons, "the counts exceed an uint64")
	}
	if len(reasons) == 0 {
		if err := h.Validate(); err != nil {
			reasons = append(reasons, err.Error())
		}
	}
	if !(n.ZeroThreshold >= 0 && n.ZeroThreshold <= math.MaxFloat64) {
		reasons = append(reasons, "the zero threshold is negative or not finite")
	}
	return strings.Join(reasons, ", ")
}
