package tacho

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// BenchmarkObserveBuckets measures Observe for lists of bounds, with values in no order and
// in order. Half of the values are bounds, so that every bucket is used.
func BenchmarkObserveBuckets(b *testing.B) {
	clustered := []float64{}
	for _, at := range []float64{1e-9, 1e-3, 1, 1e3, 1e9} {
		for i := range 20 {
			clustered = append(clustered, at*(1+float64(i)*1e-6))
		}
	}
	for _, c := range []struct {
		name   string
		bounds []float64
	}{
		{"default", DefBuckets},
		{"12exponential", ExponentialBuckets(.001, 2, 12)},
		{"100exponential", ExponentialBuckets(1e-6, 1.2, 100)},
		{"100linear", LinearBuckets(10, 10, 100)},
		{"100negative", LinearBuckets(-1000, 10, 100)},
		{"100clustered", clustered},
		{"5000negative", LinearBuckets(-6000, 1, 5000)},
		{"1000linear", LinearBuckets(1, 1, 1000)},
		{"1000exponential", ExponentialBuckets(1e-6, 1.02, 1000)},
		{"5000linear", LinearBuckets(1, 1, 5000)},
	} {
		random := rand.New(rand.NewPCG(1, 2))
		values := make([]float64, 1<<14)
		for i := range values {
			at := random.IntN(len(c.bounds))
			values[i] = c.bounds[at]
			if i%2 == 0 && at > 0 {
				values[i] -= (values[i] - c.bounds[at-1]) * random.Float64()
			}
		}
		for _, order := range []string{"random", "sorted"} {
			h := NewRegistry().Histogram("h", "", c.bounds)
			b.Run(c.name+"/"+order, func(b *testing.B) {
				for i := range b.N {
					h.Observe(values[i&(len(values)-1)])
				}
			})
			slices.Sort(values)
		}
	}
}
