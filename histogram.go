package tacho

import (
	"math"
	"sync/atomic"
	"time"
	"unsafe"
)

// DefBuckets are the buckets of a histogram defined with nil: seconds, for the
// latency of a network service. It is read when a histogram is defined.
var DefBuckets = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}

// LinearBuckets returns count upper bounds, width apart, from start. It panics
// with a *[DefinitionError] if count is below 1 or the bounds do not increase.
func LinearBuckets(start, width float64, count int) []float64 {
	return makeBuckets(start, count, func(v float64) float64 { return v + width })
}

// ExponentialBuckets returns count upper bounds from start, each factor times
// the one before. It panics with a *[DefinitionError] if count is below 1 or the
// bounds do not increase.
func ExponentialBuckets(start, factor float64, count int) []float64 {
	return makeBuckets(start, count, func(v float64) float64 { return v * factor })
}

func makeBuckets(start float64, count int, next func(float64) float64) []float64 {
	if count < 1 {
		refuse("", "a bucket list needs at least one bound", "")
	}
	bounds := make([]float64, count)
	for i := range bounds {
		bounds[i], start = start, next(start)
	}
	if reason := checkBounds(bounds); reason != "" {
		refuse("", reason, "")
	}
	return bounds
}

// checkBounds says what is wrong with a list of finite upper bounds.
func checkBounds(bounds []float64) string {
	for i, b := range bounds {
		if math.IsNaN(b) || math.IsInf(b, 0) {
			return "bucket bounds must be finite"
		}
		if i > 0 && b <= bounds[i-1] {
			return "bucket bounds must increase strictly"
		}
	}
	return ""
}

// foldBounds returns its own copy of the finite bounds that a definition means.
func foldBounds(bounds []float64) ([]float64, string) {
	if bounds == nil {
		bounds = DefBuckets
	}
	if n := len(bounds); n > 0 && math.IsInf(bounds[n-1], +1) {
		bounds = bounds[:n-1]
	}
	own := append(make([]float64, 0, len(bounds)), bounds...)
	for i, b := range own {
		if b == 0 {
			own[i] = 0 // le="-0" would be another series than le="0"
		}
	}
	return own, checkBounds(own)
}

// histogramDef is what all series of a histogram share.
type histogramDef struct {
	bounds []float64 // finite upper bounds; +Inf follows without being stored
	le     []leLabel // what ends the label block of each bucket
	stride int       // words from one row of stripes to the next
	fam    *family
	index  bucketIndex // empty in a collector's, in which nobody observes
}

// A leLabel is a bound as it ends a label block: `le="1"} `, and `le="1.0"} ` where
// OpenMetrics wants a float; json is the bound alone.
type leLabel struct {
	_                incomparable
	text, open, json string
}

func newHistogramDef(bounds []float64) *histogramDef {
	d := &histogramDef{bounds: bounds, stride: rowStride(1 + len(bounds) + 1)} // sum, counts
	for i := range len(bounds) + 1 {
		text := string(append(appendFloat([]byte(`le="`), d.bound(i)), `"} `...))
		le := leLabel{text: text, open: text, json: text[len(`le="`) : len(text)-len(`"} `)]}
		if readsWhole([]byte(le.json)) {
			le.open = `le="` + le.json + `.0"} `
		}
		if i == len(bounds) {
			le.json = "null"
		}
		d.le = append(d.le, le)
	}
	return d
}

// A Histogram counts observations in buckets and sums them (OpenMetrics 1.0,
// "Histogram"). All methods are safe for concurrent use, lock-free and allocate
// nothing, but for the few times that contention makes stripes. Make one
// with [Registry.Histogram]: a zero Histogram has no buckets and records nothing.
//
// A row of words holds the bits of the sum, a count for each bound and one for +Inf;
// the rows of stripes hold a word of theirs too. The number of observations is not stored:
// it is the sum of the counts, so a scrape cannot show a _count that its buckets
// contradict.
type Histogram struct {
	def  *histogramDef
	row  []atomic.Uint64                // whole cache lines: writers of two histograms do not meet
	wide atomic.Pointer[stripes]        // nil until two cores met on the row's sum
	last atomic.Pointer[[]exemplarSlot] // of each bucket; nil until there was one
}

var histograms = metricType{kindHistogram, newHistogram, walkHistograms}

func newHistogram(f *family, _ string, _ bool) unsafe.Pointer {
	return unsafe.Pointer(&Histogram{def: f.hist, row: make([]atomic.Uint64, wholeLines(1+len(f.hist.bounds)+1))})
}

// Observe counts v in the first bucket whose upper bound is not below it, and
// adds it to the sum. NaN changes nothing and is counted in
// tacho_errors_total{metric,reason="nan"}.
func (h *Histogram) Observe(v float64) { h.observe(v) }

// ObserveExemplar observes v and makes an exemplar of it for its bucket; see
// [Counter.AddExemplar]. NaN makes none.
func (h *Histogram) ObserveExemplar(v float64, labels ...string) {
	if i := h.observe(v); i >= 0 && len(labels) > 0 {
		h.leaveExemplar(v, labels)
	}
}

// leaveExemplar makes an exemplar of v, which was observed.
func (h *Histogram) leaveExemplar(v float64, labels []string) {
	h.exemplars()[h.def.bucket(v)-1].record(h.def.fam, v, labels)
}

// observe records v and returns the word of its bucket, or -1 for NaN.
func (h *Histogram) observe(v float64) int {
	if h.def == nil {
		return -1 // not made by a registry; recording must not panic even so
	}
	i := h.def.bucket(v)
	if i < 0 {
		h.def.fam.fault(reasonNaN)
		return i
	}
	words, first, at := h.row, 0, uintptr(0)
	s := h.wide.Load()
	if s != nil {
		at = stackNumber()
		words, first = s.words, s.row(at)
	}
	words[first+i].Add(1)
	if !swapAdd(&words[first], v) {
		// The count is in; only the sum still has to find its way.
		if meet(s, first, at, unsafe.Pointer(h)) {
			widen(&h.wide, s, h.def.stride)
		}
		addFloat(&words[first], v)
	}
	return i
}

// exemplars returns the slots of all buckets and makes them if need be.
func (h *Histogram) exemplars() []exemplarSlot {
	if slots := h.last.Load(); slots != nil {
		return *slots
	}
	slots := make([]exemplarSlot, len(h.def.bounds)+1)
	h.last.CompareAndSwap(nil, &slots) // the loser of a race uses the winner's
	return *h.last.Load()
}

// ObserveDuration observes d in seconds.
func (h *Histogram) ObserveDuration(d time.Duration) { h.Observe(d.Seconds()) }

// ObserveSince observes the seconds since start, by the monotonic clock.
func (h *Histogram) ObserveSince(start time.Time) { h.Observe(time.Since(start).Seconds()) }

// bucket returns the word of v's bucket in a row, or -1 for NaN.
func (d *histogramDef) bucket(v float64) int {
	for i := d.index.start(v); i < len(d.bounds); i++ {
		if v <= d.bounds[i] {
			return i + 1
		}
	}
	if v != v {
		return -1
	}
	return len(d.bounds) + 1
}

// A bucketIndex says where to begin the search for a value's bucket, mostly in that
// bucket itself. It cuts the range from the least positive bound to the largest
// into equal pieces of the bits of a float64, which is roughly by the logarithm, as
// most buckets are. A search from the lowest bound up costs 1.6 times as much an
// observation where latencies come in no order, since then no branch of the
// search can be predicted; bisection, whose branches are worse, twice as much. With
// the index, a histogram of 100 buckets records as fast as one of 10.
type bucketIndex struct {
	_     incomparable
	low   float64    // the least positive bound
	bits  uint64     // of low
	shift uint       // from a distance in bits to a piece
	below [256]uint8 // how many bounds are below each piece, 255 if more
}

func (x *bucketIndex) init(bounds []float64) {
	x.low = math.Inf(+1)
	for i := len(bounds) - 1; i >= 0 && bounds[i] > 0; i-- {
		x.low = bounds[i]
	}
	x.bits = math.Float64bits(x.low)
	if math.IsInf(x.low, +1) {
		return // no bound is positive: all searches begin at the lowest
	}
	for (math.Float64bits(bounds[len(bounds)-1])-x.bits)>>x.shift >= uint64(len(x.below)) {
		x.shift++
	}
	n := 0
	for i := range x.below {
		from := x.bits + uint64(i)<<x.shift // past all bounds it may be no number, but still above their bits
		for n < len(bounds) && n < math.MaxUint8 && (bounds[n] <= 0 || math.Float64bits(bounds[n]) < from) {
			n++
		}
		x.below[i] = uint8(n)
	}
}

// start returns an index of a bound such that all before it are below v.
func (x *bucketIndex) start(v float64) int {
	if !(v >= x.low) {
		return 0
	}
	return int(x.below[min((math.Float64bits(v)-x.bits)>>(x.shift&63), uint64(len(x.below)-1))])
}

// A HistogramSnapshot is what a histogram held at one time.
type HistogramSnapshot struct {
	Count   uint64   // observations; what the +Inf bucket of Buckets says
	Sum     float64  // of the observed values
	Buckets []Bucket // by rising bound; the last bound is +Inf
}

// A Bucket counts the observations up to a bound.
type Bucket struct {
	UpperBound float64 // inclusive
	Count      uint64  // cumulative
}

// Snapshot returns the state of the histogram. Sum may lack observations that
// were in flight; Count is always that of the +Inf bucket.
func (h *Histogram) Snapshot() HistogramSnapshot {
	if h.def == nil {
		return HistogramSnapshot{}
	}
	counts := make([]uint64, len(h.def.bounds)+1)
	s := HistogramSnapshot{Sum: h.read(counts), Buckets: make([]Bucket, len(counts))}
	for i, c := range counts {
		s.Count += c
		s.Buckets[i] = Bucket{h.def.bound(i), s.Count}
	}
	return s
}

// bound returns the i-th upper bound, +Inf after the finite ones.
func (d *histogramDef) bound(i int) float64 {
	if i < len(d.bounds) {
		return d.bounds[i]
	}
	return math.Inf(+1)
}

// read fills counts, not cumulated, over all rows and returns the sum.
func (h *Histogram) read(counts []uint64) (sum float64) {
	sum = math.Float64frombits(h.row[0].Load())
	for i := range counts {
		counts[i] = h.row[i+1].Load()
	}
	for s := h.wide.Load(); s != nil; s = s.before {
		for row := 0; row < len(s.words); row += h.def.stride {
			sum += math.Float64frombits(s.words[row].Load())
			for i := range counts {
				counts[i] += s.words[row+1+i].Load()
			}
		}
	}
	return sum
}
