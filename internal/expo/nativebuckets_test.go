package expo

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/tachikoma/tacho/internal/native"
	"github.com/tachikoma/tacho/internal/wire"
)

// randomBuckets returns neighboring buckets and gaps. The counts are near the limits of the encoders.
func randomBuckets(r *rand.Rand) (list []native.Bucket) {
	limits := []uint64{2, 10, 64, 100, 128, 1000, 1 << 13, 1e4, 1 << 14, 1e8, 1 << 32, 1 << 63, math.MaxUint64}
	limits = limits[r.IntN(len(limits)):][:1]
	key, far := r.IntN(100)-50, r.IntN(40)+1
	for range 1 + r.IntN(40) {
		limit := limits[0]
		if r.IntN(20) == 0 {
			limit = 1 << r.IntN(64)
		}
		count := 1 + r.Uint64N(limit)
		if r.IntN(3) == 0 {
			count = limit - uint64(r.IntN(2))
		}
		list = append(list, native.Bucket{Key: key, Count: max(count, 1)})
		if key++; r.IntN(far) == 0 {
			key += r.IntN(6)
		}
	}
	return list
}

// spansOf returns the offsets and lengths of spans, and their counts with those of empty buckets.
func spansOf(list []native.Bucket, gap int) (spans [][2]int, counts []uint64) {
	end := 0
	for i, b := range list {
		if i == 0 || b.Key-end > gap {
			spans = append(spans, [2]int{b.Key - end, 0})
			end = b.Key
		}
		for ; end < b.Key; end++ {
			counts = append(counts, 0)
			spans[len(spans)-1][1]++
		}
		counts = append(counts, b.Count)
		spans[len(spans)-1][1]++
		end++
	}
	return spans, counts
}

// TestNativeBuckets compares the buckets of each format with those of plain loops.
func TestNativeBuckets(t *testing.T) {
	message := func(b []byte, field byte, m []byte) []byte {
		return append(binary.AppendUvarint(append(b, field), uint64(len(m))), m...)
	}
	protobuf := func(list []native.Bucket) (b []byte) {
		spans, counts := spansOf(list, maxGap)
		for _, s := range spans {
			m := binary.AppendVarint([]byte{wire.SpanOffset}, int64(s[0]))
			b = message(b, wire.HistogramPositive, binary.AppendUvarint(append(m, wire.SpanLength), uint64(s[1])))
		}
		var deltas []byte
		before := uint64(0)
		for _, c := range counts {
			deltas, before = binary.AppendVarint(deltas, int64(c-before)), c
		}
		return message(b, wire.HistogramPositive+wire.NextField, deltas)
	}
	otlp := func(list []native.Bucket) []byte {
		var dense []byte
		_, counts := spansOf(list, math.MaxInt)
		for _, c := range counts {
			dense = binary.AppendUvarint(dense, c)
		}
		m := binary.AppendVarint([]byte{wire.OTLPOffset}, int64(list[0].Key-1))
		return message(nil, wire.OTLPPositive, message(m, wire.OTLPDenseCounts, dense))
	}
	openMetrics2 := func(list []native.Bucket) []byte {
		spans, counts := spansOf(list, open2Gap)
		b := []byte(",positive_spans:[")
		for _, s := range spans {
			b = fmt.Appendf(b, "%d:%d,", s[0], s[1])
		}
		b = append(b[:len(b)-1], "],positive_buckets:["...)
		for _, c := range counts {
			b = fmt.Appendf(b, "%d,", c)
		}
		return append(b[:len(b)-1], ']')
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		list := randomBuckets(r)
		// The buffer has room that is not zero.
		b := bytes.Repeat([]byte{0xff}, r.IntN(400))[:0]
		for name, c := range map[string]struct{ got, want []byte }{
			"protobuf":        {appendBuckets(b, wire.HistogramPositive, list), protobuf(list)},
			"OTLP":            {appendDense(b[:0:0], wire.OTLPPositive, list), otlp(list)},
			"OpenMetrics 2.0": {appendOpen2Buckets(bytes.Clone(b[:cap(b)])[:0], ",positive", list), openMetrics2(list)},
		} {
			if !bytes.Equal(c.got, c.want) {
				t.Fatalf("%s: %v\n got %q\nwant %q", name, list, c.got, c.want)
			}
		}
	}
}

// TestNativeRoom: the longest buckets fit into a buffer of each capacity.
func TestNativeRoom(t *testing.T) {
	for gap := range 3 {
		var list []native.Bucket
		for i := range 30 {
			list = append(list, native.Bucket{Key: i * (gap + 1), Count: 1e19})
		}
		for name, f := range map[string]func(b []byte) []byte{
			"protobuf":        func(b []byte) []byte { return appendBuckets(b, wire.HistogramPositive, list) },
			"OTLP":            func(b []byte) []byte { return appendDense(b, wire.OTLPPositive, list) },
			"OpenMetrics 2.0": func(b []byte) []byte { return appendOpen2Buckets(b, ",positive", list) },
		} {
			want := f(make([]byte, 0, 10_000))
			for size := range 1500 {
				if got := f(make([]byte, 0, size)); !bytes.Equal(got, want) {
					t.Fatalf("%s, gap %d, capacity %d: got %q, want %q", name, gap, size, got, want)
				}
			}
		}
	}
}

// TestOpen2Head: series of a family can have different schemas and thresholds.
func TestOpen2Head(t *testing.T) {
	bounds, f := NewBounds(nil), &Family{Name: "h", Kind: Histogram}
	got := line(t, &OpenMetrics2, f, func(e *Encoder) bool {
		for _, s := range []native.Snapshot{{Schema: 3, ZeroThreshold: 0.5}, {Schema: 2, ZeroThreshold: 0.5}, {Schema: 2, ZeroThreshold: 0.25}} {
			d := e.Details()
			d.SetNative(&Native{Code: NativeCode{}, Snapshot: &s})
			e.Histogram(" ", &bounds, []uint64{0}, 0, d)
		}
		return true
	})
	for _, want := range []string{"schema:3,zero_threshold:0.5,", "schema:2,zero_threshold:0.5,", "schema:2,zero_threshold:0.25,"} {
		if strings.Count(got, want) != 1 {
			t.Errorf("got %s, want %s once", got, want)
		}
	}
}

// TestOTLPCount: if the sum is NaN, the number of observations can exceed those in buckets. In OTLP they are the same.
func TestOTLPCount(t *testing.T) {
	bounds := NewBounds(nil)
	s := native.Snapshot{Zero: 1, Positive: []native.Bucket{{Key: 1, Count: 2}}}
	f := &Family{Name: "h", Kind: Histogram}
	f.Encode = func(e *Encoder) {
		e.Begin(f)
		for _, sum := range []float64{4, math.NaN()} {
			d := e.Details()
			d.SetNative(&Native{Code: NativeCode{}, Snapshot: &s})
			e.Histogram(" ", &bounds, []uint64{5}, sum, d)
		}
	}
	for i, got := range readOTLP(t, OTLP(otlpAt, false), f) {
		if want := []string{" count:5 ", " count:3 "}[i]; !strings.Contains(got, want) {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
