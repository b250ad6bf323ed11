package tacho

import (
	"math"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/tachikoma/tacho/internal/atomicfloat"
	"github.com/tachikoma/tacho/internal/decimal"
	"github.com/tachikoma/tacho/internal/exemplar"
	"github.com/tachikoma/tacho/internal/expo"
	"github.com/tachikoma/tacho/internal/store"
	"github.com/tachikoma/tacho/internal/stripe"
)

// DefBuckets are the buckets of a histogram that is defined with nil buckets. They are in
// seconds and fit the latency of a network service. A definition reads DefBuckets once.
var DefBuckets = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}

// LinearBuckets returns count upper bounds: start, start+width and so on. Each bound is the
// float64 nearest to the decimal result, so that LinearBuckets(.1, .1, 10) has the bounds
// 0.3 and 1. LinearBuckets panics with a *[DefinitionError] if count is below 1 or above
// 65,000, or if the bounds are not finite or do not increase.
func LinearBuckets(start, width float64, count int) []float64 {
	return makeBuckets(decimal.Linear, start, width, count)
}

// ExponentialBuckets returns count upper bounds: start, start*factor and so on. Each bound
// is the float64 nearest to the decimal result, so that ExponentialBuckets(.1, 1.5, 2) has
// the bound 0.15. It panics like [LinearBuckets].
func ExponentialBuckets(start, factor float64, count int) []float64 {
	return makeBuckets(decimal.Exponential, start, factor, count)
}

// maxBounds is the maximum number of bounds of a histogram. Each series has a word for each
// bound, and each scrape a line.
const maxBounds = 65_000

func makeBuckets(progression func(start, step float64, count int) []float64, start, step float64, count int) []float64 {
	var bounds []float64
	reason := ""
	switch {
	case count < 1:
		reason = "a bucket list needs at least one bound"
	case count > maxBounds:
		reason = tooManyBounds
	case math.IsNaN(start-start) || math.IsNaN(step-step):
		reason = boundsNotFinite
	default:
		bounds = progression(start, step, count)
		reason = checkBounds(bounds)
	}
	if reason != "" {
		refuse("", reason, "")
	}
	return bounds
}

const (
	tooManyBounds   = "more than 65000 bucket bounds"
	boundsNotFinite = "bucket bounds must be finite"
)

// checkBounds returns an error text for a bad list of finite upper bounds, or "".
func checkBounds(bounds []float64) string {
	for i, b := range bounds {
		if math.IsNaN(b - b) { // also for the infinities
			return boundsNotFinite
		}
		if i > 0 && b <= bounds[i-1] {
			return "bucket bounds must increase"
		}
	}
	return ""
}

// finiteBounds returns a copy of the finite bounds of a definition, and an error text or
// "".
func finiteBounds(bounds []float64) ([]float64, string) {
	if bounds == nil {
		bounds = DefBuckets
	}
	if n := len(bounds); n > 0 && math.IsInf(bounds[n-1], +1) {
		bounds = bounds[:n-1]
	}
	if len(bounds) > maxBounds {
		return nil, tooManyBounds
	}
	own := append(make([]float64, 0, len(bounds)), bounds...)
	for i := range own {
		own[i] += 0 // -0 becomes 0: le="-0" would be another series than le="0"
	}
	return own, checkBounds(own)
}

// histogramDef is the part of a definition that all series of a histogram share.
type histogramDef struct {
	expo.Bounds
	index  bucketIndex
	stride int  // words from one row of a stripe to the next
	given  bool // the definition has buckets that are not nil
	none   *exemplar.Exemplar
	fault  func(reason string)

	native          unsafe.Pointer // *nativeDef, or nil without native buckets; see internal/SIZE.md
	schema, buckets int            // of native buckets, before the resolution falls
	threshold       float64        // of the zero bucket
}

func newHistogramDef(bounds []float64) *histogramDef {
	b := expo.NewBounds(bounds)
	d := &histogramDef{Bounds: b, stride: stripe.RowStride(1 + len(bounds) + 1)} // sum, counts
	d.index.init(bounds)
	return d
}

// A Histogram counts observations in buckets and sums their values (OpenMetrics 1.0,
// "Histogram"). All methods are safe for concurrent use and never block. They allocate
// only if contention on the histogram makes it grow, and for exemplars.
// [Registry.Histogram] makes a Histogram. A zero Histogram records nothing.
type Histogram struct {
	// A row of words has the sum as a float64, a count for each bound and a count for
	// +Inf. Rows of stripes have one word more. The number of observations is not stored:
	// it is the sum of the counts, so that _count cannot contradict the buckets.
	row  *atomic.Uint64 // the first word; see words
	def  *histogramDef  // nil in a zero Histogram
	wide stripe.Pointer // nil until there are stripes
	last exemplar.Slots // of each bucket; none until the first exemplar
}

// A HistogramVec is a [Vec] of histograms.
type HistogramVec = Vec[Histogram]

var histograms = metricType{expo.Histogram, false, unsafe.Sizeof(Histogram{}), newHistogram, encodeHistograms}

// words returns the row of h. A slice in each Histogram would take 16 bytes more.
func (h *Histogram) words() []atomic.Uint64 {
	return unsafe.Slice(h.row, 1+len(h.def.Upper)+1)
}

func newHistogram(f *family, n int, apart bool, _ string) unsafe.Pointer {
	words := 1 + len(f.hist.Upper) + 1
	if apart {
		words = stripe.WholeLines(words)
	}
	list, rows := make([]Histogram, n), make([]atomic.Uint64, n*words)
	for i := range list {
		list[i].def, list[i].row = f.hist, &rows[i*words]
	}
	return unsafe.Pointer(&list[0])
}

// Observe counts v in the first bucket whose upper bound is at least v, and adds v to the
// sum. With [WithNative] a native bucket counts v too. If v is NaN, the histogram does not
// change and tacho_errors_total{metric,reason="nan"} counts.
func (h *Histogram) Observe(v float64) { h.observe(v) }

// ObserveExemplar observes v and leaves an exemplar for the bucket of v; see
// [Counter.AddExemplar]. If v is NaN, there is no exemplar. A histogram with native buckets
// alone keeps up to 10 exemplars.
func (h *Histogram) ObserveExemplar(v float64, labels ...string) {
	if i := h.observe(v); i >= 0 && len(labels) > 0 {
		h.leaveExemplar(v, labels)
	}
}

// leaveExemplar leaves an exemplar of v, which has been observed.
func (h *Histogram) leaveExemplar(v float64, labels []string) {
	slots := h.exemplars()
	slot := exemplar.Oldest(slots) // a series without classic buckets keeps the newest exemplars
	if len(slots) <= len(h.def.Upper)+1 {
		slot = &slots[h.def.search(v)-1]
	}
	slot.Record(v, labels)
}

// ObserveDuration observes d in seconds.
func (h *Histogram) ObserveDuration(d time.Duration) { h.Observe(d.Seconds()) }

// ObserveSince observes the seconds since start. It uses the monotonic clock if start has
// a monotonic reading, as the result of time.Now has.
func (h *Histogram) ObserveSince(start time.Time) { h.Observe(time.Since(start).Seconds()) }

// observe records v. It returns -1 if v was refused, and otherwise a number that is not negative.
func (h *Histogram) observe(v float64) int {
	if h.def == nil {
		return -1
	}
	if n := h.def.native; n != nil {
		return (*nativeDef)(n).observe(h, (*nativeDef)(n), v)
	}
	upper := h.def.Upper
	i := h.def.index.start(v)
	for i < len(upper) && !(v <= upper[i]) {
		i++
	}
	if i++; i > len(upper) && (i > len(upper)+1 || v != v) {
		if i = h.def.search(v); i < 0 {
			h.def.fault(reasonNaN)
			return i
		}
	}
	row, first, at := h.row, 0, uintptr(0)
	s := h.wide.Load()
	if s != nil {
		at = stripe.StackNumber()
		first = s.Row(at)
		row = &s.Words[first]
	}
	(*atomic.Uint64)(unsafe.Add(unsafe.Pointer(row), 8*i)).Add(1) // every row has the word i
	if !atomicfloat.TryAdd(row, v) {
		if stripe.Contended(s, first, at, unsafe.Pointer(h)) {
			stripe.Widen(&h.wide, s, h.def.stride, nil, nil)
		}
		atomicfloat.Add(row, v) // in the old row, where the count is
	}
	return i
}

// exemplars returns the slots of all buckets, and allocates them if there are none.
func (h *Histogram) exemplars() []exemplar.Slot {
	if slots := h.last.Load(); slots != nil {
		return *slots
	}
	slots := make([]exemplar.Slot, h.def.slots())
	for i := range slots {
		slots[i].Init(h.def.none)
	}
	h.last.Set(&slots) // the loser of a race uses the winner's slots
	return *h.last.Load()
}

// slots returns the number of exemplars of a series.
func (d *histogramDef) slots() int {
	if d.native != nil && len(d.Upper) == 0 {
		return nativeExemplars
	}
	return len(d.Upper) + 1
}

// search returns the word of v's bucket in a row, or -1 for NaN. It does not depend on the
// pieces being sparse, and its work grows with the logarithm of the number of bounds.
//
//go:noinline
func (d *histogramDef) search(v float64) int {
	if v != v {
		return -1
	}
	i, end := d.index.between(v, len(d.Upper))
	// The compiler makes no branch of this comparison: half of the branches would be
	// predicted wrongly.
	for end-i > maxScanned {
		half := (end - i) / 2
		above := 0
		if v > d.Upper[i+half] {
			above = 1
		}
		end -= half & (above - 1)
		i += half & -above
	}
	for i < end && v > d.Upper[i] {
		i++
	}
	return i + 1
}

// A bucketIndex returns the bound at which the search for a value's bucket starts, mostly
// the bucket itself. It divides the range from the least positive bound to the greatest
// bound into 256 equal pieces of the bits of a float64. That is roughly by the logarithm,
// as most buckets are.
//
// A search from the lowest bound takes 1.3 to 1.5 times as long for latencies in no order,
// since no branch can be predicted (BenchmarkAdd).
type bucketIndex struct {
	_     [0]func()   // no ==; see internal/SIZE.md
	low   float64     // the least positive bound
	bits  uint64      // of low
	shift uint        // from a distance in bits to a piece
	below [256]uint16 // the number of bounds below each piece; crowded if the piece has many
	first uint16      // 0; crowded if many bounds are not positive
	fine  []uint16    // of pieces for search, as below; nil if no piece is crowded
}

const (
	crowded    = math.MaxUint16
	maxScanned = 24   // bounds of a piece that are compared one after the other
	maxBelow   = 100  // bounds that are not positive and are compared one after the other
	maxRefused = 1000 // bounds that NaN is compared with
	finePieces = 4096
	fineBits   = 4 // 16 fine pieces are one piece
)

func (x *bucketIndex) init(bounds []float64) {
	positive := 0
	for positive < len(bounds) && bounds[positive] <= 0 {
		positive++
	}
	x.low = math.Inf(+1)
	if positive < len(bounds) {
		x.low = bounds[positive]
		x.bits = math.Float64bits(x.low)
		for (math.Float64bits(bounds[len(bounds)-1])-x.bits)>>x.shift >= uint64(len(x.below)) {
			x.shift++
		}
	}
	x.count(bounds, x.below[:], x.shift)
	many := positive > maxBelow || len(bounds) > maxRefused
	if many {
		x.first = crowded
	}
	next := len(bounds)
	for i := len(x.below) - 1; i >= 0; i-- {
		n := int(x.below[i])
		if next-n > maxScanned {
			x.below[i], many = crowded, true
		}
		next = n
	}
	if many {
		x.fine = make([]uint16, finePieces)
		x.count(bounds, x.fine, max(x.shift, fineBits)-fineBits)
	}
}

// count sets below to the number of bounds below each piece.
func (x *bucketIndex) count(bounds []float64, below []uint16, shift uint) {
	n := 0
	for i := range below {
		from := x.bits + uint64(i)<<shift // past the greatest bound these may be the bits of NaN
		for n < len(bounds) && (bounds[n] <= 0 || math.Float64bits(bounds[n]) < from) {
			n++
		}
		below[i] = uint16(n)
	}
}

// start returns the index of a bound, or crowded. All bounds before the index are below v.
func (x *bucketIndex) start(v float64) int {
	if !(v >= x.low) {
		return int(x.first)
	}
	return int(x.below[min((math.Float64bits(v)-x.bits)>>(x.shift&63), uint64(len(x.below)-1))])
}

// between returns two indexes of bounds, or n, the number of bounds. The bounds before the
// first index are below v, and the bounds from the second index are at least v.
func (x *bucketIndex) between(v float64, n int) (first, end int) {
	switch {
	case x.fine == nil:
		return 0, n
	case !(v >= x.low):
		return 0, int(x.fine[0])
	}
	piece := min((math.Float64bits(v)-x.bits)>>(max(x.shift, fineBits)-fineBits), finePieces-1)
	if piece < finePieces-1 {
		n = int(x.fine[piece+1])
	}
	return int(x.fine[piece]), n
}

// A HistogramSnapshot is the state of a histogram at one time.
type HistogramSnapshot struct {
	Count   uint64          // number of observations, equal to the count of the +Inf bucket
	Sum     float64         // sum of the observed values
	Buckets []Bucket        // by increasing bound; the last bound is +Inf
	Native  *NativeSnapshot // nil without native buckets; see [WithNative]
}

// A Bucket counts the observations up to an upper bound.
type Bucket struct {
	UpperBound float64 // inclusive
	Count      uint64  // cumulative: includes the buckets below
}

// Snapshot returns the current state. Count always equals the count of the +Inf bucket.
// Sum may lack observations that are still running.
func (h *Histogram) Snapshot() HistogramSnapshot {
	if h.def == nil {
		return HistogramSnapshot{}
	}
	counts := make([]uint64, len(h.def.Upper)+1)
	s := HistogramSnapshot{Buckets: make([]Bucket, len(counts))}
	if n := h.def.native; n != nil {
		s.Sum, s.Native = (*nativeDef)(n).code.(nativeSnapshotter).snapshotNative(h, counts)
	} else {
		s.Sum = h.read(counts)
	}
	for i, c := range counts {
		s.Count += c
		s.Buckets[i] = Bucket{h.def.At(i), s.Count}
	}
	return s
}

// nativeSnapshotter is the interface of nativeCode for Snapshot.
type nativeSnapshotter interface {
	snapshotNative(h *Histogram, counts []uint64) (sum float64, s *NativeSnapshot)
}

// read sets counts to the counts of all buckets, not cumulative, and returns the sum.
func (h *Histogram) read(counts []uint64) (sum float64) {
	row := h.words()
	sum = atomicfloat.Load(&row[0])
	buckets := row[1:][:len(counts)]
	for i := range buckets {
		counts[i] = buckets[i].Load()
	}
	if s := h.wide.Load(); s != nil {
		sum += s.SumFloat(counts)
	}
	return sum
}

func encodeHistograms(v *vec, e *expo.Encoder) {
	def := v.fam.hist
	counts := make([]uint64, len(def.Upper)+1)
	read := (*Histogram).read
	if def.native != nil {
		read = (*nativeDef)(def.native).count
	}
	var c store.Cursor
	for ok := v.begin(&c, e); ok; ok = c.Next() {
		for _, m := range c.Metrics[:c.N] { // the waits for rows overlap too
			(*Histogram)(m).row.Load()
		}
		for i, metric := range c.Metrics[:c.N] {
			h := (*Histogram)(metric)
			var d *expo.Details
			if slots := h.last.Load(); slots != nil || v.dated {
				d = v.details(e, &c, i, nil, slots)
			}
			if sum := read(h, counts); !e.Histogram(c.Block(i), &def.Bounds, counts, sum, d) {
				return
			}
		}
	}
}
