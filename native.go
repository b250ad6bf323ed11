package tacho

import (
	"math"
	"slices"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/tachikoma/tacho/internal/atomicfloat"
	"github.com/tachikoma/tacho/internal/exemplar"
	"github.com/tachikoma/tacho/internal/expo"
	"github.com/tachikoma/tacho/internal/native"
	"github.com/tachikoma/tacho/internal/store"
	"github.com/tachikoma/tacho/internal/stripe"
)

// A NativeConfig configures native buckets; see [WithNative]. A field that is 0 has its default.
type NativeConfig struct {
	// Factor is the largest factor from one bound to the next. It must be above 1 and finite. The
	// factor in use is a power of two with an exponent of 2^-s, for a schema s from -4 to 8
	// (prometheus.io, "Native Histograms", section "Schema"): the largest such power that is not above Factor, or the
	// smallest, 1.0027. The default, 1.1, is schema 3, a factor of 1.0905.
	Factor float64

	// MaxBuckets is the largest number of populated buckets of a series. It must be from 1 to 65,000.
	// The default is 160.
	MaxBuckets int

	// ZeroThreshold is the bound of the zero bucket, which counts the values from -ZeroThreshold to
	// ZeroThreshold. It must not be negative, and finite. The default is 2^-128.
	ZeroThreshold float64
}

// maxNativeBuckets is the maximum of NativeConfig.MaxBuckets. A reader merges buckets in time that
// is proportional to their number.
const maxNativeBuckets = 65_000

// WithNative gives a histogram native buckets: exponential buckets that exist where there are
// values (prometheus.io, "Native Histograms"). They are beside the classic buckets of the
// definition, or alone if it has nil buckets. WithNative applies to histograms, to [NewHTTPMetrics], whose histograms keep their classic
// buckets, and to [NewRegistry], as the default of its histograms. At most one config can be given.
// A definition with a bad config is refused.
//
// The protobuf format, which the handler serves to scrapers that prefer it, and the JSON view show native
// buckets. The text formats show the classic buckets, of which every histogram has +Inf, and _sum and _count.
//
// If a series has more buckets than the limit, its resolution is halved: two neighboring buckets
// become one, and no observation is lost. The first exposition in protobuf that is at least an hour later restarts the series at
// the configured resolution. That exposition has everything recorded up to then, and the next one
// starts from 0, with a new time of creation (see [WithCreated]). So rate() and increase() of one scraper
// miss nothing. A second scraper misses the observations since its last scrape, as at a restart of the program.
func WithNative(config ...NativeConfig) Option {
	n := &nativeOption{define: defineNative, emit: emitNative, config: NativeConfig{1.1, 160, 0x1p-128}, protobuf: (*byte)(unsafe.Pointer(&expo.Protobuf))}
	for _, c := range config {
		if c.Factor != 0 {
			n.config.Factor = c.Factor
		}
		if c.MaxBuckets != 0 {
			n.config.MaxBuckets = c.MaxBuckets
		}
		if c.ZeroThreshold != 0 {
			n.config.ZeroThreshold = c.ZeroThreshold
		}
	}
	c := &n.config
	switch {
	case len(config) > 1:
		n.reason = "more than one NativeConfig"
	case !(c.Factor > 1 && c.Factor <= math.MaxFloat64):
		n.reason = "the factor of native buckets must be above 1 and finite"
	case c.MaxBuckets < 1 || c.MaxBuckets > maxNativeBuckets:
		n.reason = "the number of native buckets must be from 1 to 65000"
	case !(c.ZeroThreshold >= 0 && c.ZeroThreshold <= math.MaxFloat64):
		n.reason = "the threshold of the zero bucket must not be negative, and finite"
	}
	return func(o *options) { o.native = unsafe.Pointer(n) }
}

// A nativeOption has the code of native histograms as function values: a program without WithNative contains none
// of it; see internal/SIZE.md.
type nativeOption struct {
	config   NativeConfig
	reason   string // of a bad config, or ""
	emit     func(s *HistogramSnapshot) (n unsafe.Pointer, ok bool)
	protobuf *byte // &expo.Protobuf, which registries with native histograms offer
	define   func(r *Registry, n *nativeOption, name string, d *histogramDef) *metricType
}

// check refuses a definition with a bad config.
func (n *nativeOption) check(name string) {
	if n.reason != "" {
		refuse(name, n.reason, "")
	}
}

// A nativeDef is the part of a definition that the native buckets of all series share.
type nativeDef struct {
	config   NativeConfig
	observe  func(h *Histogram, n *nativeDef, v float64) int
	snapshot func(h *Histogram, counts []uint64) (sum float64, s *NativeSnapshot)
	state    func(h *Histogram, b []uint64) []uint64
	marker   func(d *histogramDef) func(m unsafe.Pointer) uint64
	absorb   func(h *Histogram, was, now []uint64) []uint64
	stride   int // of histogramDef
	classic  int // number of finite bounds of classic buckets
	rules    native.Config
}

// sameNative reports whether two definitions have the same native buckets.
func sameNative(a, b *histogramDef) bool {
	if a.native == nil || b.native == nil {
		return a.native == b.native
	}
	x, y := &(*nativeDef)(a.native).config, &(*nativeDef)(b.native).config
	return x.Factor == y.Factor && x.MaxBuckets == y.MaxBuckets && x.ZeroThreshold == y.ZeroThreshold
}

func defineNative(r *Registry, n *nativeOption, name string, d *histogramDef) *metricType {
	n.check(name)
	r.protobuf.Store(n.protobuf)
	def := &nativeDef{config: n.config, observe: observeNative, snapshot: snapshotNative, state: appendNativeState, marker: nativeMarker, absorb: absorbNative, stride: d.stride, classic: len(d.Upper)}
	def.rules.Init(native.SchemaOf(n.config.Factor), n.config.MaxBuckets, n.config.ZeroThreshold)
	d.native = unsafe.Pointer(def)
	if len(d.Upper) == 0 {
		d.slots = nativeExemplars
	}
	return &nativeHistograms
}

// nativeExemplars is the number of exemplars of a series without classic buckets.
const nativeExemplars = 10

// A nativeHistogram is a Histogram with native buckets. A row has the same words as without: the count of
// +Inf is that of the zero bucket.
type nativeHistogram struct {
	Histogram
	buckets native.Buckets
	restart *restart // the last one, or nil; under the mutex of the readers
}

// A restart is the last restart of a histogram, which an exposition makes after the resolution fell.
//
// The next exposition that may restart the histogram decides whether the restart stands. It stands if the schema is
// higher than before: Prometheus takes a higher schema for a reset of the counter. If the resolution has fallen again, the
// restart is undone: the counts of all buckets could be higher than before, and Prometheus would not see the reset. So a histogram whose
// values always need the low resolution never restarts. Until the decision, all other readers see the counts from before the restart too.
type restart struct {
	created int64  // the time, in Unix milliseconds
	before  int64  // created of the restart before, or 0
	taken   *taken // what the exposition showed; nil after the decision
}

// A taken has the counts that a histogram had before its restart.
type taken struct {
	native.Snapshot
	counts []uint64 // of the words of a row
	sum    float64
}

var nativeHistograms = metricType{expo.Histogram, unsafe.Sizeof(nativeHistogram{}), false, newNativeHistogram, encodeNativeHistograms}

func nativeOf(h *Histogram) *nativeHistogram { return (*nativeHistogram)(unsafe.Pointer(h)) }

func (h *Histogram) nativeRules() *native.Config { return &(*nativeDef)(h.def.native).rules }

func newNativeHistogram(f *family, n int, apart bool, _ string) unsafe.Pointer {
	words := 1 + len(f.hist.Upper) + 1
	if apart {
		words = stripe.WholeLines(words)
	}
	list, rows := make([]nativeHistogram, n), make([]atomic.Uint64, n*words)
	for i := range list {
		h := &list[i]
		h.def, h.row = f.hist, &rows[i*words]
		h.buckets.Init(h.nativeRules())
	}
	return unsafe.Pointer(&list[0])
}

const pointerSize = unsafe.Sizeof(uintptr(0))

// observeNative is Histogram.observe with native buckets. It and observeStriped have what most values need. The rest
// is in other functions, so that its variables take no registers here: together all takes a fifth longer (BenchmarkObserve).
func observeNative(h *Histogram, n *nativeDef, v float64) int {
	s := h.wide.Load()
	if s != nil {
		return h.observeStriped(n, v, s)
	}
	bits, b := math.Float64bits(v), &nativeOf(h).buckets
	l := b.Level()
	if !n.rules.Plain(bits) {
		return h.observeOther(n, v, nil)
	}
	w := l.Word(bits + native.Biased)
	if w == nil {
		return h.observeOther(n, v, nil)
	}
	if k := w.Add(1); int64(k) <= 1 || b.Level() != l {
		b.Added(&n.rules, l, bits, k)
	}
	if n.classic > 0 || !atomicfloat.TryAdd(h.row, v) {
		return h.observeRest(n, v, nil, n.classic == 0)
	}
	return 0
}

// observeStriped is observeNative with stripes.
//
//go:noinline
func (h *Histogram) observeStriped(n *nativeDef, v float64, s *stripe.Set) int {
	number := uintptr(s.Number(stripe.StackNumber()))
	bits, b := math.Float64bits(v), (*native.Buckets)(unsafe.Add(s.Side(), number*pointerSize))
	l := b.Level()
	if !n.rules.Plain(bits) {
		return h.observeOther(n, v, s)
	}
	w := l.Word(bits + native.Biased)
	if w == nil {
		return h.observeOther(n, v, s)
	}
	if k := w.Add(1); int64(k) <= 1 || b.Level() != l {
		b.Added(&n.rules, l, bits, k)
	}
	if n.classic > 0 || !atomicfloat.TryAdd(&s.Words[number*uintptr(n.stride)], v) {
		return h.observeRest(n, v, s, n.classic == 0)
	}
	return 0
}

// observeOther observes a value that [native.Level.Word] has no word for.
//
//go:noinline
func (h *Histogram) observeOther(n *nativeDef, v float64, s *stripe.Set) int {
	row, b := h.row, &nativeOf(h).buckets
	if s != nil {
		number := uintptr(s.Number(stripe.StackNumber()))
		row, b = &s.Words[number*uintptr(n.stride)], (*native.Buckets)(unsafe.Add(s.Side(), number*pointerSize))
	}
	if !b.Add(&n.rules, v) {
		if v != v {
			h.def.fault(reasonNaN)
			return -1
		}
		(*atomic.Uint64)(unsafe.Add(unsafe.Pointer(row), 8*(1+n.classic))).Add(1) // the zero bucket
	}
	return h.observeRest(n, v, s, false)
}

// observeRest completes an observation whose native bucket has counted. If collided is true, another goroutine changed the
// sum at the same time. Another attempt would mostly succeed, and hide the contention from stripe.Contended.
//
//go:noinline
func (h *Histogram) observeRest(n *nativeDef, v float64, s *stripe.Set, collided bool) int {
	row, first, at := h.row, 0, uintptr(0)
	if s != nil {
		at = stripe.StackNumber()
		first = s.Number(at) * n.stride
		row = &s.Words[first]
	}
	if n.classic > 0 {
		h.def.countClassic(row, v)
	}
	if collided || !atomicfloat.TryAdd(row, v) {
		if stripe.Contended(s, first, at, unsafe.Pointer(h)) {
			stripe.WidenWith(&h.wide, s, n.stride, h.newSide)
		}
		atomicfloat.Add(row, v)
	}
	return 0
}

// countClassic counts v in its classic bucket, unless that is the bucket of +Inf. The native bucket counts before:
// a reader, which reads the classic buckets first, then finds at least as many observations in the native ones.
func (d *histogramDef) countClassic(row *atomic.Uint64, v float64) {
	i := d.index.start(v)
	for i < len(d.Upper) && !(v <= d.Upper[i]) {
		i++
	}
	if i++; i > len(d.Upper)+1 {
		i = d.search(v)
	}
	if i <= len(d.Upper) {
		(*atomic.Uint64)(unsafe.Add(unsafe.Pointer(row), 8*i)).Add(1)
	}
}

// newSide returns the native buckets of rows.
func (h *Histogram) newSide(rows int) unsafe.Pointer {
	list := make([]native.Buckets, rows)
	for i := range list {
		list[i].Init(h.nativeRules())
	}
	return unsafe.Pointer(&list[0])
}

// undecided returns what the last restart took, until the restart stands or is undone, and otherwise nil.
func (h *nativeHistogram) undecided() *taken {
	if h.restart == nil {
		return nil
	}
	return h.restart.taken
}

// created returns the time of the last restart that stands, or 0.
func (h *nativeHistogram) created() int64 {
	switch {
	case h.restart == nil:
		return 0
	case h.restart.taken != nil:
		return h.restart.before
	}
	return h.restart.created
}

// settle decides whether the last restart stands. The rows are those of h.
func (h *nativeHistogram) settle(r *native.Reader) {
	t := h.restart.taken
	h.restart.taken = nil
	if r.Read(); r.Schema > t.Schema {
		return
	}
	h.restart.created = h.restart.before
	h.buckets.AddDifference(h.nativeRules(), &native.Snapshot{Schema: t.Schema}, &t.Snapshot)
	words := h.words()
	for i, n := range t.counts {
		words[1+i].Add(n)
	}
	atomicfloat.Add(h.row, t.sum)
}

// begin makes r read all rows of h.
func (h *nativeHistogram) begin(r *native.Reader) {
	r.Begin(h.nativeRules())
	r.Row(&h.buckets)
	if s := h.wide.Load(); s != nil {
		s.Sides(func(n int, side unsafe.Pointer) {
			for i := range n {
				r.Row((*native.Buckets)(unsafe.Add(side, uintptr(i)*pointerSize)))
			}
		})
	}
}

// read sets counts to the counts of the classic buckets, and r to the native ones. Both have
// the same number of observations, the number that the native buckets have. It returns the sum, and the time of the last restart or 0.
// If buckets is false, r has only the number of observations. If restarts is true, the histogram may restart.
func (h *nativeHistogram) read(r *native.Reader, counts []uint64, buckets, restarts bool) (sum float64, created int64) {
	h.begin(r)
	was := h.undecided()
	if was != nil && restarts {
		h.settle(r)
		was = nil
	}
	created = h.created()
	restarts = restarts && r.Restart()
	if restarts {
		sum = h.take(counts)
	} else {
		sum = h.Histogram.read(counts)
	}
	last := len(counts) - 1
	if was != nil {
		sum += was.sum
		for i, n := range was.counts {
			counts[i] += n
		}
	}
	var total uint64
	if r.Zero = counts[last]; buckets {
		if r.Read(); was != nil {
			r.Merge(&was.Snapshot)
		}
		total = r.Snapshot.Count()
	} else {
		if total = r.Zero + r.Count(); was != nil {
			total += was.Count() - was.Zero
		}
	}
	if restarts {
		t := &taken{r.Snapshot, slices.Clone(counts), sum}
		t.Positive, t.Negative = slices.Clone(t.Positive), slices.Clone(t.Negative)
		h.restart = &restart{time.Now().UnixMilli(), created, t}
	}
	r.End()
	for i := range counts[:last] { // a restart can leave an observation in one kind of buckets
		counts[i] = min(counts[i], total)
		total -= counts[i]
	}
	counts[last] = total
	return sum, created
}

// take is read, and sets all words to 0.
func (h *nativeHistogram) take(counts []uint64) (sum float64) {
	row := h.words()
	sum = math.Float64frombits(row[0].Swap(0))
	for i := range counts {
		counts[i] = row[1+i].Swap(0)
	}
	if s := h.wide.Load(); s != nil {
		sum += s.TakeFloat(counts)
	}
	return sum
}

func encodeNativeHistograms(v *vec, e *expo.Encoder) {
	def := v.fam.hist
	shown, restarts := e.ShowsNative()
	counts := make([]uint64, len(def.Upper)+1)
	r := new(native.Reader)
	n := &expo.Native{Snapshot: &r.Snapshot, AppendJSON: expo.AppendNativeJSON}
	var newest [1]exemplar.Slot
	var c store.Cursor
	for ok := v.begin(&c, e); ok; ok = c.Next() {
		for i, metric := range c.Metrics[:c.N] {
			h := (*Histogram)(metric)
			sum, created := nativeOf(h).read(r, counts, shown, restarts)
			d := v.details(e, &c, i, nil, h.last.Load())
			if n.Exemplars = nil; len(def.Upper) == 0 && d.Buckets != nil {
				n.Exemplars = d.Buckets
				newest[0].Copy(exemplar.Newest(n.Exemplars))
				d.Buckets = newest[:]
			}
			d.SetNative(n)
			if v.dated {
				d.Created = max(d.Created, created)
			}
			if !e.Histogram(c.Block(i), &def.Bounds, counts, sum, d) {
				return
			}
		}
	}
}

// A NativeSnapshot has the native buckets of a histogram at one time.
type NativeSnapshot struct {
	Schema        int     // from -4 to 8: the factor from one bound to the next is 2^(2^-Schema)
	ZeroThreshold float64 // the zero bucket has the values from -ZeroThreshold to ZeroThreshold
	ZeroCount     uint64
	Positive      []NativeBucket // by increasing index
	Negative      []NativeBucket // of the absolute values of negative observations
}

// A NativeBucket counts the observations in one bucket. It is not cumulative.
type NativeBucket struct {
	Index int // see [NativeSnapshot.Bound]
	Count uint64
}

// Bound returns the upper bound of the bucket with the given index. The bound is inclusive, and the bound of
// the index before is the exclusive lower bound. Index 0 ends at 1. For negative observations the bounds are those of their absolute values.
func (s *NativeSnapshot) Bound(index int) float64 { return native.Bound(s.Schema, index) }

func snapshotNative(h *Histogram, counts []uint64) (float64, *NativeSnapshot) {
	r := new(native.Reader)
	sum, _ := nativeOf(h).read(r, counts, true, false)
	return sum, &NativeSnapshot{r.Schema, r.ZeroThreshold, r.Zero, nativeBuckets(r.Positive), nativeBuckets(r.Negative)}
}

func nativeBuckets(list []native.Bucket) []NativeBucket {
	own := make([]NativeBucket, len(list))
	for i, b := range list {
		own[i] = NativeBucket{b.Key, b.Count}
	}
	return own
}

// appendNativeState is Histogram.appendState with native buckets. Behind the counts of the classic buckets and the zero
// bucket it appends the time of the restart, the schema, the number of positive buckets, and the buckets.
func appendNativeState(h *Histogram, b []uint64) []uint64 {
	first := len(b)
	b = append(b, make([]uint64, 2+len(h.def.Upper)+1+3)...)
	counts := make([]uint64, len(h.def.Upper)+1)
	r := new(native.Reader)
	sum, created := nativeOf(h).read(r, counts, true, false)
	b[first], b[first+1] = nativeMark(created, r.Snapshot.Count()), math.Float64bits(sum)
	counts[len(counts)-1] = r.Zero
	n := first + 2 + copy(b[first+2:], counts)
	b[n], b[n+1], b[n+2] = uint64(created), uint64(r.Schema), uint64(len(r.Positive))
	for _, list := range [2][]native.Bucket{r.Positive, r.Negative} {
		for _, k := range list {
			b = append(b, uint64(k.Key), k.Count)
		}
	}
	return b
}

// nativeMark returns the mark of a histogram with its number of observations. It contains the time of the
// restart: the count restarts from 0.
func nativeMark(created int64, count uint64) uint64 { return count + uint64(created)<<32 }

// nativeMarker is vec.marker for native buckets. It reads only their number.
func nativeMarker(d *histogramDef) func(m unsafe.Pointer) uint64 {
	r, counts := new(native.Reader), make([]uint64, len(d.Upper)+1)
	return func(m unsafe.Pointer) uint64 {
		h := (*nativeHistogram)(m)
		h.begin(r)
		h.Histogram.read(counts)
		count := counts[len(counts)-1] + r.Count()
		if was := h.undecided(); was != nil {
			count += was.Count()
		}
		mark := nativeMark(h.created(), count)
		r.End()
		return mark
	}
}

// absorbNative is the part of Histogram.absorb for native buckets. It returns the earlier state, or a state of zeros if the
// histogram restarted in between.
func absorbNative(h *Histogram, was, now []uint64) []uint64 {
	at := 2 + len(h.def.Upper) + 1
	if was[at] != now[at] {
		was = make([]uint64, at+3)
		was[at+1] = now[at+1]
	}
	before, after := stateBuckets(was[at+1:]), stateBuckets(now[at+1:])
	nativeOf(h).buckets.AddDifference(h.nativeRules(), before, after)
	return was
}

func stateBuckets(state []uint64) *native.Snapshot {
	s := &native.Snapshot{Schema: int(state[0])}
	for i := 2; i < len(state); i += 2 {
		k := native.Bucket{Key: int(state[i]), Count: state[i+1]}
		if uint64(len(s.Positive)) < state[1] {
			s.Positive = append(s.Positive, k)
		} else {
			s.Negative = append(s.Negative, k)
		}
	}
	return s
}
