package tacho

import (
	"math"
	"runtime"
	"slices"
	"time"
	"unsafe"
	"weak"

	"github.com/tachikoma/tacho/internal/atomicfloat"
	"github.com/tachikoma/tacho/internal/label"
	"github.com/tachikoma/tacho/internal/series"
)

// A scrape unlists idle series: it removes each from the vector and keeps a weak pointer
// to its metric. If the program still holds the metric, the next scrape that sees the
// metric changed, or the next With, relists the series. Otherwise a finalizer adds what was
// recorded in the meantime to the series with the same key. So no recording is lost, the
// vector's memory is that of the series in use, and recording does no work for it.

// An expiry has the idle time in nanoseconds, and the code of expiry as function values: a
// program without the option contains none of the code. No type here has a time.Time, for
// the same reason; see internal/SIZE.md.
type expiry struct {
	idle    int64
	attach  func(v *vec, e *expiry)
	ordered func(v *vec) []*series.Series
	relist  func(v *vec, key string) *series.Series
	routes  func(m unsafe.Pointer) // makes a *HTTPMetrics drop expired routes; nil without HTTP
}

func newExpiry(d time.Duration) *expiry {
	return &expiry{idle: int64(d), attach: attachExpiry, ordered: (*vec).orderedInUse, relist: (*vec).relistKeyLocked, routes: expireRoutes}
}

func attachExpiry(v *vec, e *expiry) {
	v.expiry, v.track, v.unlisted = e, newTracked, unsafe.Pointer(&unlistedSeries{byKey: map[string]*unlisted{}})
}

// unlistedSeries is the part of a vector that only expiry needs.
type unlistedSeries struct {
	byKey map[string]*unlisted // under the vector's mutex
	words []uint64             // for state
}

// unlistedLocked returns the unlisted series by key; nil without expiry.
func (v *vec) unlistedLocked() map[string]*unlisted {
	if v.unlisted == nil {
		return nil
	}
	return (*unlistedSeries)(v.unlisted).byKey
}

// An expiring metric can be unlisted.
type expiring interface {
	// appendState appends everything recorded. The first word differs after a change.
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

// An unlisted series was removed while its metric may still be in use.
type unlisted struct {
	series.Series // without M
	created       int64
	was           []uint64 // the state of the metric when the series was unlisted
	metric        weak.Pointer[byte]
}

func (v *vec) orderedInUse() []*series.Series { return v.inUseAt(time.Now().UnixNano()) }

// inUseAt returns the series in order. It relists unlisted series that have changed, and
// unlists idle series. It needs orderMu.
func (v *vec) inUseAt(now int64) []*series.Series {
	v.mu.Lock()
	for _, u := range v.unlistedLocked() {
		if m := unsafe.Pointer(u.metric.Value()); m != nil && v.state(m)[0] != u.was[0] {
			v.relistLocked(u, m)
		}
	}
	v.mu.Unlock()
	for _, s := range v.updateOrderLocked() {
		t := tracked(s)
		if first := v.state(s.M)[0]; first != t.last {
			t.last, t.changed = first, now
		} else if now-t.changed >= v.expiry.idle {
			v.unlist(s)
		}
	}
	return v.updateOrderLocked()
}

// state returns the state of a metric, valid until the next call. It needs orderMu.
func (v *vec) state(m unsafe.Pointer) []uint64 {
	u := (*unlistedSeries)(v.unlisted)
	u.words = v.expiring(m).appendState(u.words[:0])
	return u.words
}

// unlist removes a series unless another goroutine has removed it.
func (v *vec) unlist(s *series.Series) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.table.Load().Holds(s) {
		return
	}
	v.deleteLocked(s)
	u := &unlisted{Series: *s, created: tracked(s).created, metric: weak.Make((*byte)(s.M))}
	u.M = nil
	u.was = v.expiring(s.M).appendState(nil) // a recording after this line is a change
	v.unlistedLocked()[u.Key()] = u
	runtime.SetFinalizer((*byte)(s.M), func(m *byte) { v.finalize(u, unsafe.Pointer(m)) })
}

// unlistedKeys returns the keys of the unlisted series for whose values f returns true.
func (v *vec) unlistedKeys(f func(values []string) bool) (keys []string) {
	v.mu.Lock()
	for key := range v.unlistedLocked() {
		keys = append(keys, key)
	}
	v.mu.Unlock()
	return slices.DeleteFunc(keys, func(key string) bool { return !f(label.Values(key, len(v.fam.labels))) })
}

// relistKeyLocked relists the series with this key if its metric is still in memory, and
// returns nil otherwise.
func (v *vec) relistKeyLocked(key string) *series.Series {
	if u := v.unlistedLocked()[key]; u != nil {
		if m := unsafe.Pointer(u.metric.Value()); m != nil {
			return v.relistLocked(u, m)
		}
	}
	return nil
}

func (v *vec) relistLocked(u *unlisted, m unsafe.Pointer) *series.Series {
	delete(v.unlistedLocked(), u.Key())
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
	if v.unlistedLocked()[u.Key()] != u {
		return // deleted
	}
	delete(v.unlistedLocked(), u.Key())
	now := v.expiring(m).appendState(nil)
	if now[0] == u.was[0] {
		return
	}
	if s := v.table.Load().Find(u.Hash, u.Key()); s != nil {
		v.expiring(s.M).absorb(u.was, now)
	} else {
		v.addAgainLocked(u, m)
	}
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
