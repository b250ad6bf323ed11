package native

import (
	"math"
	"math/rand/v2"
	"strconv"
	"testing"
	"unsafe"
)

// BenchmarkRead reads 1,000 histograms.
func BenchmarkRead(b *testing.B) {
	latency := func(r *rand.Rand) float64 { return .01 * math.Exp(r.NormFloat64()) }
	for _, shape := range []struct {
		name   string
		values int // of a histogram
		value  func(r *rand.Rand) float64
	}{
		{"latency", 1000, latency},
		{"sparse", 20, func(r *rand.Rand) float64 { return math.Exp(20 * (r.Float64() - .5)) }},
		{"signed", 1000, (*rand.Rand).NormFloat64},
	} {
		for _, rows := range []int{1, 4} {
			b.Run(shape.name+"/rows="+strconv.Itoa(rows), func(b *testing.B) {
				c, r := newConfig(3, 160, 0x1p-128), rand.New(rand.NewPCG(1, 2))
				var histograms []*Buckets
				for range 1000 {
					first := NewBuckets(c, rows)
					all := unsafe.Slice(first, rows)
					for range shape.values {
						all[r.IntN(rows)].Add(c, shape.value(r))
					}
					histograms = append(histograms, first)
				}
				var reader Reader
				for b.Loop() {
					for _, first := range histograms {
						reader.Begin(c)
						reader.Rows(first, rows)
						reader.Read()
						reader.End()
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(histograms)), "ns/histogram")
			})
		}
	}
}
