package tacho

import (
	"math"
	"runtime"
	"sync"
	"time"
	"unsafe"
	"weak"

	"github.com/tachikoma/tacho/internal/atomicfloat"
	"github.com/tachikoma/tacho/internal/series"
)

// A scrape unlists idle series: it removes each from the vector and keeps a weak pointer
// to its metric. If the program still holds the metric, the next scrape that sees the
// metric changed, or the next With, relists the series. Otherwise a finalizer adds what was
// recorded in the meantime to the series with the same key. So no recording is lost, the
// vector's memory is that of the series in use, and recording does no work for it.
//
// A weak pointer and a finalizer cost about a microsecond, and an idle series is shown until
// it is unlisted. So a scrape unlists a bounded number, and holds the vector's mutex for a
// few at a time. Tables grow and shrink without the mutex. Of many unlisted series a scrape
// checks a part.

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
)

// An expiry has the idle time in nanoseconds, and the code of expiry as function values: a
// program without the option contains none of the code. No type here has a time.Time, for
// the same reason; see internal/SIZE.md. Functions that differ little have the same type.
type expiry struct {
	idle    int64
	attach  func(v *vec, e *expiry)
	ordered func(v *vec) []*series.Series
	relist  func(v *vec, hash uint32, key string) *series.Series // needs the mutex
	remove  func(v *vec, hash uint32, key string) *series.Series // nil; needs the mutex
	all     func(v *vec) []*series.Series                        // also the unlisted series
	reset   func(v *vec) []*series.Series                        // nil; needs the mutex
	routes  func(m unsafe.Pointer)                               // makes a *HTTPMetrics drop expired routes; nil without HTTP
}

func newExpiry(d time.Duration) *expiry {
	return &expiry{
		idle:    int64(d),
		attach:  attachExpiry,
		ordered: (*vec).orderedInUse,
		relist:  (*vec).relistKeyLocked,
		remove:  (*vec).removeUnlistedLocked,
		all:     (*vec).withUnlisted,
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
	u := &unlistedVec{mark: v.marker()}
	u.table.Store(series.NewTable(0))
	v.expiry, v.track, v.unlisted = unsafe.Pointer(e), newTracked, unsafe.Pointer(u)
}

// unlistedVec is the part of a vector that only expiry needs.
type unlistedVec struct {
	mark func(m unsafe.Pointer) uint64 // needs orderMu

	// table has the unlisted series by key. Only a scrape inserts, under both mutexes of
	// the vector. Others remove, under its mutex.
	table   series.TablePointer
	idle    int              // series that the last scrape did not unlist; under orderMu
	turn    uintptr          // changes with each scrape; under orderMu
	part    int              // of the table that the last scrape checked; under orderMu
	moving  bool             // a scrape copies table; under the mutex
	removed []*series.Series // while moving
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
	var words []uint64
	return func(m unsafe.Pointer) uint64 {
		words = v.expiring(m).appendState(words[:0])
		return words[0]
	}
}

// An unlisted series was removed while its metric may still be in use.
type unlisted struct {
	series.Series // without M
	created       int64
	mark          uint64   // of the metric when the series was unlisted
	was           []uint64 // the state at that time; nil if it is only the mark
	metric        weak.Pointer[byte]
}

func (u *unlisted) state() []uint64 {
	if u.was != nil {
		return u.was
	}
	return []uint64{u.mark}
}

func unlistedOf(s *series.Series) *unlisted { return (*unlisted)(unsafe.Pointer(s)) }

func (v *vec) orderedInUse() []*series.Series { return v.inUseAt(monotonic()) }

// inUseAt returns the series in order. It relists unlisted series that have changed, and
// unlists idle series. The idle time of a series begins at the first scrape that sees the
// series. It needs orderMu.
func (v *vec) inUseAt(now int64) []*series.Series {
	x := v.unlistedVec()
	x.relistChanged(v)
	order := v.updateOrderLocked()
	var idle []int // indexes of order
	// If more series are idle than a scrape may unlist, each scrape takes the series whose
	// metrics are on some pages of memory. The runtime keeps the weak pointers and finalizers
	// of the objects on one page in a list. Each search of the list begins at its start. So
	// a scrape visits a page once, and the page becomes free as a whole.
	seen, groups := 0, uintptr(1)
	for int(groups)*unlistedPerScrape < x.idle {
		groups *= 2
	}
	x.turn++
	for i, s := range order {
		t := tracked(s)
		if mark := x.mark(s.M); mark != t.last || t.changed == 0 {
			t.last, t.changed = mark, now
		} else if now-t.changed >= v.expires().idle {
			seen++
			if (uintptr(s.M)>>metricPage^x.turn)&(groups-1) == 0 && len(idle) < unlistedPerScrape {
				idle = append(idle, i)
			}
		}
	}
	x.idle = seen - len(idle)
	x.resize(v, len(idle))
	if len(idle) == 0 {
		return order
	}
	// Backwards: series that were created in order are in order of their addresses, as the
	// runtime's list is.
	sparse := false
	for end := len(idle); end > 0; end -= unlistedAtOnce {
		v.mu.Lock()
		for n := end - 1; n >= max(end-unlistedAtOnce, 0); n-- {
			if !v.unlistLocked(order[idle[n]]) {
				idle[n] = -1
			}
		}
		sparse = v.table.Load().Sparse()
		v.mu.Unlock()
	}
	listed := make([]*series.Series, 0, len(order)-len(idle))
	next := 0
	for _, i := range idle {
		if i >= 0 {
			listed = append(listed, order[next:i]...)
			next = i + 1
		}
	}
	v.order = append(listed, order[next:]...)
	if sparse {
		v.shrink()
	}
	return v.order
}

// relistChanged relists the unlisted series that have changed. It needs orderMu.
func (x *unlistedVec) relistChanged(v *vec) {
	v.mu.Lock()
	t := x.table.Load()
	parts := 1
	if t.Len() > manyUnlisted {
		parts = 4
	}
	v.mu.Unlock()
	x.part = (x.part + 1) % parts
	t.EachOf(x.part, parts, func(s *series.Series) bool {
		u := unlistedOf(s)
		if m := unsafe.Pointer(u.metric.Value()); m != nil && x.mark(m) != u.mark {
			v.mu.Lock()
			if x.table.Load().Holds(s) {
				v.relistLocked(u, m)
			}
			v.mu.Unlock()
		}
		return true
	})
}

// unlistLocked unlists a series, unless its metric has changed since the scrape looked, or
// another goroutine has removed the series. It needs orderMu too.
func (v *vec) unlistLocked(s *series.Series) bool {
	t, x := tracked(s), v.unlistedVec()
	u := &unlisted{Series: *s, created: t.created, mark: t.last}
	u.M = nil
	if v.fam.metric == &histograms {
		u.was = (*Histogram)(s.M).appendState(nil)
		if u.was[0] != u.mark {
			return false
		}
	}
	// A recording that the mark does not contain is a change, also if it is made later.
	if !v.table.Load().Holds(s) {
		return false
	}
	v.table.Load().Remove(s)
	v.overflow.Store(nil) // there is room again, as in deleteLocked
	u.metric = weak.Make((*byte)(s.M))
	x.table.Load().Insert(&u.Series)
	runtime.SetFinalizer((*byte)(s.M), func(m *byte) { v.finalize(u, unsafe.Pointer(m)) })
	return true
}

// shrink replaces the table of the vector by a smaller one, without holding the mutex for
// long. It needs orderMu. If series were deleted meanwhile, a later scrape shrinks.
func (v *vec) shrink() {
	t := v.table.Load()
	small := series.NewTable(len(v.order))
	for _, s := range v.order {
		small.Insert(s)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, s := range v.added {
		if small.Full() {
			return
		}
		small.Insert(s)
	}
	if v.table.Load() == t && !v.deleted && small.Len() == t.Len() {
		v.table.Store(small)
	}
}

// resize makes room for more series in the table of unlisted series, or shrinks the table,
// without holding the mutex for long. It needs orderMu.
func (x *unlistedVec) resize(v *vec, more int) {
	v.mu.Lock()
	old := x.table.Load()
	x.moving = old.FullWith(more) || old.Sparse()
	moving, size := x.moving, old.Len()+more
	v.mu.Unlock()
	if !moving {
		return
	}
	t := series.NewTable(size)
	for s := range old.Each {
		t.Insert(s)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, s := range x.removed {
		if t.Holds(s) {
			t.Remove(s)
		}
	}
	if x.table.Load() != old { // the vector was reset
		t = series.NewTable(more)
	}
	x.table.Store(t)
	x.moving, x.removed = false, nil
}

// removeLocked removes an unlisted series.
func (x *unlistedVec) removeLocked(s *series.Series) {
	x.table.Load().Remove(s)
	if x.moving {
		x.removed = append(x.removed, s)
	}
}

func (v *vec) resetUnlistedLocked() []*series.Series {
	v.unlistedVec().table.Store(series.NewTable(0))
	return nil
}

func (v *vec) removeUnlistedLocked(hash uint32, key string) *series.Series {
	x := v.unlistedVec()
	for s := x.table.Load().Find(hash, key); s != nil; s = x.table.Load().Find(hash, key) {
		x.removeLocked(s)
	}
	return nil
}

// withUnlisted returns all series of the vector, also the unlisted series. It holds the
// mutex: a series that a scrape moved meanwhile could be missed.
func (v *vec) withUnlisted() []*series.Series {
	v.mu.Lock()
	defer v.mu.Unlock()
	listed, unlisted := v.table.Load(), v.unlistedVec().table.Load()
	all := make([]*series.Series, 0, listed.Len()+unlisted.Len())
	for _, t := range []*series.Table{listed, unlisted} {
		for s := range t.Each {
			all = append(all, s)
		}
	}
	return all
}

// relistKeyLocked relists the series with this key if its metric is still in memory, and
// returns nil otherwise. The table may have several series with this key: one that is in
// memory, and others whose finalizers did not run yet.
func (v *vec) relistKeyLocked(hash uint32, key string) *series.Series {
	t := v.unlistedVec().table.Load()
	for i := hash; ; i++ {
		s, match := t.At(i, hash)
		if s == nil {
			return nil
		}
		if match && s.Key() == key {
			u := unlistedOf(s)
			if m := unsafe.Pointer(u.metric.Value()); m != nil {
				return v.relistLocked(u, m)
			}
		}
	}
}

func (v *vec) relistLocked(u *unlisted, m unsafe.Pointer) *series.Series {
	v.unlistedVec().removeLocked(&u.Series)
	runtime.SetFinalizer((*byte)(m), nil)
	return v.addAgainLocked(u, m)
}

func (v *vec) addAgainLocked(u *unlisted, m unsafe.Pointer) *series.Series {
	t := newTracked()
	t.Series, t.created = u.Series, u.created
	t.M = m
	return v.addLocked(&t.Series)
}

// finalize is the finalizer of the metric of an unlisted series. If something was recorded
// since then, finalize adds it to the series with the same key, which With may have
// created again, or relists the series.
func (v *vec) finalize(u *unlisted, m unsafe.Pointer) {
	v.mu.Lock()
	defer v.mu.Unlock()
	x := v.unlistedVec()
	if !x.table.Load().Holds(&u.Series) {
		return // deleted
	}
	x.removeLocked(&u.Series)
	now := v.expiring(m).appendState(nil)
	if now[0] == u.mark {
		return
	}
	s := v.table.Load().Find(u.Hash, u.Key())
	if s == nil {
		s = v.relistKeyLocked(u.Hash, u.Key()) // With created another series, which is unlisted
	}
	if s == nil {
		v.addAgainLocked(u, m)
		return
	}
	v.expiring(s.M).absorb(u.state(), now)
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

// appendState appends the number of observations, their sum, and the counts of the
// buckets.
func (h *Histogram) appendState(b []uint64) []uint64 {
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
	for i := range len(h.def.Upper) + 1 {
		h.row[1+i].Add(now[2+i] - was[2+i])
	}
	atomicfloat.Add(&h.row[0], math.Float64frombits(now[1])-math.Float64frombits(was[1]))
}
