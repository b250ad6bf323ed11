package goruntime

import (
	"math"
	"runtime/metrics"

	"github.com/tachikoma/tacho"
)

// A histogram is an exposed histogram of durations from package runtime/metrics. The
// runtime has about 160 buckets. The scrape shows those that client_golang shows: each bound
// is at least 10 times the bound before, and the last bound is below 1 s.
type histogram struct {
	name, help, from string

	ends []int // of each exposed bucket, the number of the runtime's buckets up to its end
	now  tacho.HistogramSnapshot
}

// reduce sets the buckets of h. The bounds of the runtime do not change while the program
// runs.
func (h *histogram) reduce(bounds []float64) {
	last := 0.0
	for i, bound := range bounds {
		if bound <= 0 || bound < 10*last {
			continue
		}
		if bound > 1 {
			break
		}
		last = bound
		h.ends = append(h.ends, i)
		// The runtime's bucket ends before the bound, and the exposed bucket includes the bound.
		h.now.Buckets = append(h.now.Buckets, tacho.Bucket{UpperBound: math.Nextafter(bound, 0)})
	}
}

// read sets the counts and the sum of h. The sum counts each duration as the lower bound of
// its bucket in from, so the sum never decreases.
func (h *histogram) read(from *metrics.Float64Histogram) {
	h.now.Count, h.now.Sum = 0, 0
	next := 0
	for i, n := range from.Counts {
		if next < len(h.ends) && h.ends[next] == i {
			h.now.Buckets[next].Count = h.now.Count
			next++
		}
		h.now.Count += n
		h.now.Sum += float64(n) * max(from.Buckets[i], 0) // the lowest bound is -Inf
	}
}

// histograms are distributions with one sample each.
type histograms []histogram

// newHistograms returns the histograms that this version of Go supports, and their samples.
func newHistograms(list []histogram) (histograms, []metrics.Sample) {
	var all histograms
	var samples []metrics.Sample
	for _, h := range list {
		sample := samplesOf(h.from)
		if sample[0].Value.Kind() != metrics.KindFloat64Histogram {
			continue
		}
		h.help = withSource(h.help, h.from)
		h.reduce(sample[0].Value.Float64Histogram().Buckets)
		all, samples = append(all, h), append(samples, sample...)
	}
	return all, samples
}

func (all histograms) read(samples []metrics.Sample) {
	for i, s := range samples {
		all[i].read(s.Value.Float64Histogram())
	}
}

func (all histograms) emit(e *tacho.Emitter) {
	e = e.Unit("seconds")
	for _, h := range all {
		e.Histogram(h.name, h.help, h.now)
	}
}
