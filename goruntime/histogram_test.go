package goruntime

import (
	"math"
	"runtime/metrics"
	"slices"
	"testing"

	"github.com/tachikoma/tacho"
)

// TestReduce checks bounds and counts of a histogram with bounds that are not 10 times the
// bound before, and with bounds above 1.
func TestReduce(t *testing.T) {
	from := &metrics.Float64Histogram{
		Buckets: []float64{math.Inf(-1), 0, 0.001, 0.005, 0.02, 0.1, 0.2, 1, 5, 50, math.Inf(1)},
		Counts:  []uint64{1, 2, 4, 8, 16, 32, 64, 128, 256, 512},
	}
	h := histogram{}
	h.reduce(from.Buckets)
	for range 2 { // a read replaces the counts of the earlier read
		h.read(from)
	}
	want := []tacho.Bucket{
		{UpperBound: math.Nextafter(0.001, 0), Count: 3},
		{UpperBound: math.Nextafter(0.02, 0), Count: 15},
		{UpperBound: math.Nextafter(0.2, 0), Count: 63},
	}
	if !slices.Equal(h.now.Buckets, want) || h.now.Count != 1023 {
		t.Errorf("got %v and count %d, want %v and 1023", h.now.Buckets, h.now.Count, want)
	}
	sum := 4*0.001 + 8*0.005 + 16*0.02 + 32*0.1 + 64*0.2 + 128*1 + 256*5 + 512*50
	if math.Abs(h.now.Sum-sum) > 1e-9 {
		t.Errorf("sum: got %v, want %v", h.now.Sum, sum)
	}
}

// TestCounterNeverDecreases reads a counter whose value was higher before.
func TestCounterNeverDecreases(t *testing.T) {
	r := newReader(advanced(), histograms{})
	for i := range r.values {
		r.values[i] = float64(1 << 60)
	}
	r.update()
	for i, f := range r.families {
		if kept := r.values[i] == 1<<60; kept != f.counter {
			t.Errorf("%s: got %v after %v", f.name, r.values[i], float64(1<<60))
		}
	}
}

// TestUnknownMetricIsLeftOut checks a version of Go that does not have a metric, or has it as
// another kind.
func TestUnknownMetricIsLeftOut(t *testing.T) {
	r := newReader([]family{{name: "a", from: []string{"/none:bytes"}}, {name: "b", from: []string{"/sched/latencies:seconds"}}, {name: "c", from: []string{objects}}}, histograms{})
	if len(r.families) != 1 || r.families[0].name != "c" || len(r.samples) != 1 {
		t.Errorf("got families %v, want c", r.families)
	}
	h, samples := newHistograms([]histogram{{name: "d", from: "/none:seconds"}, {name: "e", from: objects}, {name: "f", from: "/sched/latencies:seconds"}})
	if len(h) != 1 || h[0].name != "f" || len(samples) != 1 {
		t.Errorf("got histograms %v, want f", h)
	}
}
