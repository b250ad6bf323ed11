package expo

import (
	"io"
	"math"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/tachikoma/tacho/internal/names"
	"github.com/tachikoma/tacho/internal/native"
)

// benchmarkBlocks returns the label blocks of n series.
func benchmarkBlocks(n int) (blocks []string) {
	for i := range n {
		blocks = append(blocks, `{method="GET",path="/api/v1/items/`+strconv.Itoa(i)+`",status="200"} `)
	}
	return blocks
}

// logNormal returns the native histogram of n values with a median of 10 ms and schema 3.
func logNormal(n int) *native.Snapshot {
	r := rand.New(rand.NewPCG(1, 2))
	counts := map[int]uint64{}
	for range n {
		counts[int(math.Ceil(math.Log2(0.01*math.Exp(r.NormFloat64()))*8))]++
	}
	s := &native.Snapshot{Schema: 3, ZeroThreshold: 0x1p-128}
	for key := -1000; key <= 1000; key++ {
		if counts[key] > 0 {
			s.Positive = append(s.Positive, native.Bucket{Key: key, Count: counts[key]})
		}
	}
	return s
}

// BenchmarkProtobuf is benchmarkFormat for the protobuf format.
func BenchmarkProtobuf(b *testing.B) { benchmarkFormat(b, &Protobuf) }

// BenchmarkOTLP is benchmarkFormat for OTLP.
func BenchmarkOTLP(b *testing.B) { benchmarkFormat(b, OTLP(1, false)) }

// benchmarkFormat writes families of 1,000 series with three labels. The classic histograms
// have 12 buckets.
func benchmarkFormat(b *testing.B, format *Format) {
	blocks := benchmarkBlocks(1000)
	bounds := NewBounds([]float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5})
	counts := []uint64{3, 7, 30, 200, 400, 200, 120, 30, 8, 1, 1, 0}
	nativeOnly, snapshot := NewBounds(nil), logNormal(1000)
	nativeCounts := []uint64{snapshot.Count()}
	own := &Native{Code: NativeCode{}, Snapshot: snapshot}
	for _, c := range []struct {
		name string
		kind Kind
		pass func(e *Encoder, block string, i int) bool
	}{
		{"counters", Counter, func(e *Encoder, block string, i int) bool { return e.Whole(block, uint64(i), false, nil) }},
		{"histograms", Histogram, func(e *Encoder, block string, i int) bool {
			return e.Histogram(block, &bounds, counts, 12.5, nil)
		}},
		{"native", Histogram, func(e *Encoder, block string, i int) bool {
			d := e.Details()
			d.SetNative(own)
			return e.Histogram(block, &nativeOnly, nativeCounts, 12.5, d)
		}},
	} {
		f := &Family{Name: "http_requests_total", Help: "Requests.", Kind: c.kind, SameLabels: true}
		f.Encode = func(e *Encoder) {
			e.Begin(f)
			for i, block := range blocks {
				if !c.pass(e, block, i) {
					return
				}
			}
		}
		families, ns := []*Family{f}, new(Names)
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				if err := Write(io.Discard, format, names.AllowUTF8, families, ns); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(blocks)), "ns/series")
		})
	}
}
