package tacho

import (
	"math"
	"runtime"
	"sync"
	"time"
	"unsafe"
	"weak"

	"github.com/tachikoma/tacho/internal/atomicfloat"
	"github.com/tachikoma/tacho/internal/expo"
	"github.com/tachikoma/tacho/internal/store"
)

// A scrape unlists idle series: it removes each from the vector and keeps a weak pointer
// to its metric. If the program still holds the metric, the next scrape that sees the
// metric changed, or the next With, relists the series. Otherwise a finalizer adds what was
// recorded in the meantime to the series with the same key. So no recording is lost, the
// vector's memory is that of the series in use, and recording does no work for it.
//
// A weak pointer and a finalizer cost about a microsecond, and an idle series is shown until
// it is unlisted. So a scrape unlists a bounded number, and holds the vector's mutex for a
// few at a time. Of many unlisted series a scrape checks a part.

const (
	// unlistedPerScrape bounds what a scrape adds to its own time (BenchmarkExpiry).
	unlistedPerScrape = 1 << 14

	// metricPage is the size of a page of the runtime, as a shift. Objects of one size are on
	// one page.
	metricPage = 13

	// manyUnlisted is the number of unlisted series above which a scrape checks a quarter.
	manyUnlisted = 1 << 15

	// unlistedAtOnce is the number of series that are unlisted while the mutex is held.
	unlistedAtOnce = 64

	unlistedShards = 256
)

// An expiry has the idle time in nanoseconds, and the code of expiry as function values: a
// program without the option contains none of the code. No type here has a time.Time, for
// the same reason; see internal/SIZE.md. Functions that differ little have the same type.
type expiry struct {
	idle    int64
	attach  func(v *vec, e *expiry)
	ordered func(v *vec) *store.Order
	relist  func(v *vec, hash uint32, block string) unsafe.Pointer // the metric, or nil; needs the mutex
	remove  func(v *vec, hash uint32, block string) unsafe.Pointer // nil; needs the mutex
	all     func(v *vec) []string                                  // blocks, also of unlisted series; needs the mutex
	reset   func(v *vec) []string                                  // nil; needs the mutex
	routes  func(m unsafe.Pointer)                                 // makes a *HTTPMetrics drop expired routes; nil without HTTP
}

func newExpiry(d time.Duration) *expiry {
	return &expiry{
		idle:    int64(d),
		attach:  attachExpiry,
		ordered: (*vec).orderedInUse,
		relist:  (*vec).relistKeyLocked,
		remove:  (*vec).removeUnlistedLocked,
		all:     (*vec).withUnlistedLocked,
		reset:   (*vec).resetUnlistedLocked,
		routes:  expireRoutes,
	}
}

// monotonicStart is a time with a monotonic reading. The wall clock can jump, and a jump
// would unlist all series.
var (
	monotonicStart time.Time
	monotonicOnce  sync.Once
)

// monotonic returns the nanoseconds since its first call, and at least 1.
func monotonic() int64 {
	monotonicOnce.Do(func() { monotonicStart = time.Now() })
	return int64(time.Since(monotonicStart)) + 1
}

func attachExpiry(v *vec, e *expiry) {
	v.expiry, v.unlisted = unsafe.Pointer(e), unsafe.Pointer(&unlistedVec{mark: v.marker()})
	v.initStore(true) // a weak pointer is to a whole allocation
}

// unlistedVec is the part of a vector that only expiry needs.
type unlistedVec struct {
	mark func(m unsafe.Pointer) uint64 // needs orderMu

	shards [unlistedShards]unlistedShard // of the unlisted series, by hash; under the mutex
	count  int                           // unlisted series; under the mutex
	idle   int                           // series that the last scrape did not unlist; under orderMu
	turn   uintptr                       // changes with each scrape; under orderMu
	part   int                           // of the shards that the last scrape checked; under orderMu
}

// An unlistedShard has a part of the unlisted series, by block. A map does not shrink, so a
// smaller map replaces a map that is mostly empty. While a scrape holds the mutex, it checks the
// series of one shard.
type unlistedShard struct {
	_      [0]func() // no ==; see internal/SIZE.md
	series map[string]*unlisted
	most   int // series that the map had
}

func (v *vec) unlistedVec() *unlistedVec { return (*unlistedVec)(v.unlisted) }

// An expiring metric can be unlisted.
type expiring interface {
	// appendState appends everything recorded. The first word is the mark of the metric:
	// it differs after a change.
	appendState([]uint64) []uint64
	// absorb records again what was recorded between two states.
	absorb(was, now []uint64)
}

// expiring returns a metric of the vector by its type.
func (v *vec) expiring(m unsafe.Pointer) expiring {
	switch v.fam.metric {
	case &counters:
		return (*Counter)(m)
	case &floatCounters:
		return (*FloatCounter)(m)
	case &gauges:
		return (*Gauge)(m)
	case &floatGauges:
		return (*FloatGauge)(m)
	default:
		return (*Histogram)(m)
	}
}

// marker returns a function that returns the mark of a metric, without an allocation.
func (v *vec) marker() func(m unsafe.Pointer) uint64 {
	if v.fam.metric == &counters { // by far the most series
		return func(m unsafe.Pointer) uint64 { return (*Counter)(m).Value() }
	}
	if d := v.fam.hist; d != nil && d.native != nil {
		return (*nativeDef)(d.native).code.(nativeExpirer).nativeMarker(d)
	}
	var words []uint64
	return func(m unsafe.Pointer) uint64 {
		words = v.expiring(m).appendState(words[:0])
		return words[0]
	}
}

// An unlisted series was removed while its metric may still be in use.
type unlisted struct {
	_       [0]func() // no ==; see internal/SIZE.md
	hash    uint32
	block   string
	next    *unlisted // with the same block
	created int64
	mark    uint64   // of the metric when the series was unlisted
	was     []uint64 // the state at that time; nil if it is only the mark
	metric  weak.Pointer[byte]
}

func (u *unlisted) state() []uint64 {
	if u.was != nil {
		return u.was
	}
	return []uint64{u.mark}
}

func (x *unlistedVec) shard(hash uint32) *unlistedShard { return &x.shards[hash%unlistedShards] }

// find returns the unlisted series with a block, of which the first refers to the next. There
// can be one whose metric is in memory, and others whose finalizers did not run yet.
func (x *unlistedVec) find(hash uint32, block string) *unlisted { return x.shard(hash).series[block] }

// holds reports whether u is unlisted.
func (x *unlistedVec) holds(u *unlisted) bool {
	for o := x.find(u.hash, u.block); o != nil; o = o.next {
		if o == u {
			return true
		}
	}
	return false
}

func (x *unlistedVec) addLocked(u *unlisted) {
	s := x.shard(u.hash)
	if s.series == nil {
		s.series = map[string]*unlisted{}
	}
	u.next = s.series[u.block]
	s.series[u.block] = u
	s.most = max(s.most, len(s.series))
	x.count++
}

// removeLocked removes an unlisted series.
func (x *unlistedVec) removeLocked(u *unlisted) {
	s := x.shard(u.hash)
	first := s.series[u.block]
	for at := &first; *at != nil; at = &(*at).next {
		if *at == u {
			*at = u.next
			x.count--
			break
		}
	}
	if first != nil {
		s.series[u.block] = first
		return
	}
	delete(s.series, u.block)
	if s.most > 64 && len(s.series) < s.most/8 {
		small := make(map[string]*unlisted, len(s.series))
		for block, u := range s.series {
			small[block] = u
		}
		s.series, s.most = small, len(small)
	}
}

func (v *vec) orderedInUse() *store.Order { return v.inUseAt(monotonic()) }

// An idleSeries is a series that a scrape may unlist.
type idleSeries struct {
	block   string
	metric  unsafe.Pointer
	created int64
	mark    uint64
}

// inUseAt returns the series in order. It relists unlisted series that have changed, and
// unlists idle series. The idle time of a series begins at the first scrape that sees the
// series. It needs orderMu.
func (v *vec) inUseAt(now int64) *store.Order {
	x := v.unlistedVec()
	x.relistChanged(v)
	order := v.store.Order(&v.mu)
	var idle []idleSeries
	// If more series are idle than a scrape may unlist, each scrape takes the series whose
	// metrics are on some pages of memory. The runtime keeps the weak pointers and finalizers
	// of the objects on one page in a list. Each search of the list begins at its start. So
	// a scrape visits a page once, and the page becomes free as a whole.
	seen, groups := 0, uintptr(1)
	for int(groups)*unlistedPerScrape < x.idle {
		groups *= 2
	}
	x.turn++
	var c store.Cursor
	for c.Start(order); c.Next(); {
		for i, m := range c.Metrics[:c.N] {
			t := c.Idle(i)
			if mark := x.mark(m); mark != t.Last || t.Changed == 0 {
				t.Last, t.Changed = mark, now
			} else if now-t.Changed >= v.expires().idle {
				seen++
				if (uintptr(m)>>metricPage^x.turn)&(groups-1) == 0 && len(idle) < unlistedPerScrape {
					idle = append(idle, idleSeries{c.Block(i), m, c.Created(i), mark})
				}
			}
		}
	}
	x.idle = seen - len(idle)
	// Backwards: series that were created in order are in order of their addresses, as the
	// runtime's list is.
	for end := len(idle); end > 0; end -= unlistedAtOnce {
		v.mu.Lock()
		for n := end - 1; n >= max(end-unlistedAtOnce, 0); n-- {
			v.unlistLocked(&idle[n])
		}
		v.mu.Unlock()
	}
	return order // without the series that are removed now
}

// relistChanged relists the unlisted series that have changed. It needs orderMu.
func (x *unlistedVec) relistChanged(v *vec) {
	v.mu.Lock()
	parts := 1
	if x.count > manyUnlisted {
		parts = 4
	}
	v.mu.Unlock()
	x.part = (x.part + 1) % parts
	var changed []*unlisted
	for i := x.part; i < unlistedShards; i += parts {
		v.mu.Lock()
		changed = changed[:0]
		for _, u := range x.shards[i].series {
			for ; u != nil; u = u.next {
				if m := unsafe.Pointer(u.metric.Value()); m != nil && x.mark(m) != u.mark {
					changed = append(changed, u)
				}
			}
		}
		for _, u := range changed {
			if m := unsafe.Pointer(u.metric.Value()); m != nil {
				v.relistLocked(u, m)
			}
		}
		v.mu.Unlock()
	}
}

// unlistLocked unlists a series, unless its metric has changed since the scrape looked, or
// another goroutine has removed the series. It needs orderMu too.
func (v *vec) unlistLocked(s *idleSeries) {
	u := &unlisted{block: string([]byte(s.block)), created: s.created, mark: s.mark} // a copy: the texts of others are there too
	if v.fam.Kind == expo.Histogram {
		u.was = (*Histogram)(s.metric).appendState(nil)
		if u.was[0] != u.mark {
			return
		}
	}
	// A recording that the mark does not contain is a change, also if it is made later.
	u.hash = v.store.Hash(u.block)
	if !v.deleteLocked(u.hash, u.block, s.metric) {
		return
	}
	u.metric = weak.Make((*byte)(s.metric))
	v.unlistedVec().addLocked(u)
	runtime.SetFinalizer((*byte)(s.metric), func(m *byte) { v.finalize(u, unsafe.Pointer(m)) })
}

func (v *vec) resetUnlistedLocked() []string {
	x := v.unlistedVec()
	x.shards, x.count = [unlistedShards]unlistedShard{}, 0
	return nil
}

func (v *vec) removeUnlistedLocked(hash uint32, block string) unsafe.Pointer {
	x := v.unlistedVec()
	for u := x.find(hash, block); u != nil; u = x.find(hash, block) {
		x.removeLocked(u)
	}
	return nil
}

// withUnlistedLocked returns the blocks of all series of the vector, also of the unlisted
// series. It needs the mutex: a series that a scrape moved meanwhile could be missed.
func (v *vec) withUnlistedLocked() []string {
	x := v.unlistedVec()
	all := make([]string, 0, v.store.Len()+x.count)
	for block := range v.store.Snapshot().Each {
		all = append(all, block)
	}
	for i := range x.shards {
		for block := range x.shards[i].series {
			all = append(all, block)
		}
	}
	return all
}

// relistKeyLocked relists the series with this block if its metric is still in memory. It
// returns the metric, or nil.
func (v *vec) relistKeyLocked(hash uint32, block string) unsafe.Pointer {
	for u := v.unlistedVec().find(hash, block); u != nil; u = u.next {
		if m := unsafe.Pointer(u.metric.Value()); m != nil {
			return v.relistLocked(u, m)
		}
	}
	return nil
}

func (v *vec) relistLocked(u *unlisted, m unsafe.Pointer) unsafe.Pointer {
	v.unlistedVec().removeLocked(u)
	runtime.SetFinalizer((*byte)(m), nil)
	return v.store.Add(u.hash, u.block, m, u.created)
}

// finalize is the finalizer of the metric of an unlisted series. If something was recorded
// since then, finalize adds it to the series with the same block, which With may have
// created again, or relists the series.
func (v *vec) finalize(u *unlisted, m unsafe.Pointer) {
	v.mu.Lock()
	defer v.mu.Unlock()
	x := v.unlistedVec()
	if !x.holds(u) {
		return // deleted
	}
	x.removeLocked(u)
	now := v.expiring(m).appendState(nil)
	if now[0] == u.mark {
		return
	}
	other := v.store.FindBlock(u.hash, u.block)
	if other == nil {
		other = v.relistKeyLocked(u.hash, u.block) // With created another series, which is unlisted
	}
	if other == nil {
		v.store.Add(u.hash, u.block, m, u.created)
		return
	}
	v.expiring(other).absorb(u.state(), now)
}

func (c *Counter) appendState(b []uint64) []uint64 { return append(b, c.Value()) }
func (c *Counter) absorb(was, now []uint64)        { c.Add(now[0] - was[0]) }

func (c *FloatCounter) appendState(b []uint64) []uint64 {
	return append(b, math.Float64bits(c.Value()))
}
func (c *FloatCounter) absorb(was, now []uint64) {
	c.Add(math.Float64frombits(now[0]) - math.Float64frombits(was[0]))
}

// The value of a gauge that With replaced by a new gauge is out of date, so absorb does
// nothing.

func (g *Gauge) appendState(b []uint64) []uint64 { return append(b, uint64(g.Value())) }
func (g *Gauge) absorb(_, _ []uint64)            {}

func (g *FloatGauge) appendState(b []uint64) []uint64 { return append(b, math.Float64bits(g.Value())) }
func (g *FloatGauge) absorb(_, _ []uint64)            {}

// nativeExpirer is the interface of nativeCode for expiry.
type nativeExpirer interface {
	nativeMarker(d *histogramDef) func(m unsafe.Pointer) uint64
	appendNativeState(h *Histogram, b []uint64) []uint64
	absorbNative(h *Histogram, was, now []uint64) []uint64
}

// appendState appends the number of observations, their sum, and the counts of the
// buckets. With native buckets, see nativeCode.appendNativeState.
func (h *Histogram) appendState(b []uint64) []uint64 {
	if n := h.def.native; n != nil {
		return (*nativeDef)(n).code.(nativeExpirer).appendNativeState(h, b)
	}
	first := len(b)
	b = append(b, make([]uint64, 2+len(h.def.Upper)+1)...)
	counts := b[first+2:]
	b[first+1] = math.Float64bits(h.read(counts))
	for _, c := range counts {
		b[first] += c
	}
	return b
}

func (h *Histogram) absorb(was, now []uint64) {
	if n := h.def.native; n != nil {
		was = (*nativeDef)(n).code.(nativeExpirer).absorbNative(h, was, now)
	}
	for i := range len(h.def.Upper) + 1 {
		h.words()[1+i].Add(now[2+i] - was[2+i])
	}
	atomicfloat.Add(h.row, math.Float64frombits(now[1])-math.Float64frombits(was[1]))
}
