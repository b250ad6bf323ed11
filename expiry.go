package tacho

import (
	"math"
	"runtime"
	"slices"
	"time"
	"unsafe"
	"weak"
)

// A series that nobody changes any more is dropped at a scrape, and what it was
// recorded in is parked: the vector keeps no more of it than a weak pointer. Where
// the program holds a pointer of its own, the next scrape that finds the metric
// changed takes the series back, as does the next With. Where the program holds
// none, the garbage collector takes the metric, after a finalizer has looked
// whether something was recorded since it was parked: by a With that found it just
// before, or through a pointer that was dropped right after. So nothing recorded is
// lost, a vector's memory is that of the series in use, and recording pays for none
// of it.

// WithIdleExpiry drops the series of a vector that did not change for d or longer,
// judged at each scrape. A later change, through [Vec.With] or a pointer that the
// program kept, brings a series back: with its value, if the metric was still in
// memory, else from zero. Setting a gauge to what it is, or adding 0, is no change, so
// a gauge that stands still goes too. It does nothing for a metric without labels.
// 0 or less means no expiry, the default.
//
// To Prometheus a series that is gone is stale: rate() and increase() over what was
// seen of it stay right, and a counter that comes back from zero is a reset, as
// after a restart of the program. What is lost is the increase from the value at the
// first scrape after the return, which a counter that starts anew always loses.
func WithIdleExpiry(d time.Duration) Option {
	var e *expiry
	if d > 0 {
		e = &expiry{idle: int64(d), attach: attachExpiry, ordered: (*vec).inUse, revive: (*vec).revive}
	}
	return func(o *options) { o.expiry = e }
}

// An expiry says when series are idle. Vectors reach the code below through it
// alone, so that a program which does not ask for it does not contain it; nor does
// it contain the descriptions of time.Time and all that is in one, since no type
// here has any: times are nanoseconds, from 1970 on.
type expiry struct {
	idle    int64
	attach  func(v *vec, e *expiry)
	ordered func(v *vec) []*series
	revive  func(v *vec, key string) *series
}

func attachExpiry(v *vec, e *expiry) {
	v.expiry, v.track, v.parking = e, newTracked, unsafe.Pointer(&parking{series: map[string]*parked{}})
}

// parking is what only a vector with expiry needs. Others have a pointer of no type
// to it, so that a program without expiry does not contain the types either.
type parking struct {
	series map[string]*parked // by key; under the vector's mutex
	words  []uint64           // for state
}

// parked returns the parked series by key; nil without expiry.
func (v *vec) parked() map[string]*parked {
	if v.parking == nil {
		return nil
	}
	return (*parking)(v.parking).series
}

// aging is what a vector must be able to ask of a metric that may be parked.
type aging interface {
	// appendState appends all that is recorded; the first word differs after a change.
	appendState([]uint64) []uint64
	// absorb records again what was recorded between two states.
	absorb(was, now []uint64)
}

// aging returns a metric of the vector as what can be parked.
func (v *vec) aging(m unsafe.Pointer) aging {
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

// A trackedSeries is a series of a vector that remembers when it made each, or
// must know how long each is idle: the others do not pay for it.
type trackedSeries struct {
	series
	created int64  // Unix milliseconds
	last    uint64 // the first word of the metric's state at the last scrape
	changed int64  // Unix nanoseconds of the scrape that found it changed
}

func tracked(s *series) *trackedSeries { return (*trackedSeries)(unsafe.Pointer(s)) }

func newTracked() *trackedSeries {
	now := time.Now()
	return &trackedSeries{created: now.UnixMilli(), changed: now.UnixNano()}
}

// A parked series is one that was dropped, while its metric may be in use.
type parked struct {
	series  // without m
	created int64
	was     []uint64 // the metric's state when it was parked
	metric  weak.Pointer[byte]
}

func (v *vec) inUse() []*series { return v.aged(time.Now().UnixNano()) }

// aged returns the series in order, without those that are idle and with those
// that are not idle any more. The order's mutex is held.
func (v *vec) aged(now int64) []*series {
	v.mu.Lock()
	for _, p := range v.parked() {
		if m := unsafe.Pointer(p.metric.Value()); m != nil && v.state(m)[0] != p.was[0] {
			v.unpark(p, m)
		}
	}
	v.mu.Unlock()
	for _, s := range v.merged() {
		t := tracked(s)
		if first := v.state(s.m)[0]; first != t.last {
			t.last, t.changed = first, now
		} else if now-t.changed >= v.expiry.idle {
			v.park(s)
		}
	}
	return v.merged()
}

// state returns the state of a metric, until the next call. The order's mutex is
// held.
func (v *vec) state(m unsafe.Pointer) []uint64 {
	p := (*parking)(v.parking)
	p.words = v.aging(m).appendState(p.words[:0])
	return p.words
}

// park drops a series, unless it is not there any more.
func (v *vec) park(s *series) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.table.Load().holds(s) {
		return
	}
	v.delete(s)
	p := &parked{series: *s, created: tracked(s).created, metric: weak.Make((*byte)(s.m))}
	p.m = nil
	// What is recorded from here on is a change, and brings the series back.
	p.was = v.aging(s.m).appendState(nil)
	v.parked()[p.key()] = p
	runtime.SetFinalizer((*byte)(s.m), func(m *byte) { v.bury(p, unsafe.Pointer(m)) })
}

// idleKeys returns the keys of the parked series whose values f wants.
func (v *vec) idleKeys(f func(values []string) bool) (keys []string) {
	v.mu.Lock()
	for key := range v.parked() {
		keys = append(keys, key)
	}
	v.mu.Unlock()
	return slices.DeleteFunc(keys, func(key string) bool { return !f(keyValues(key, len(v.fam.labels))) })
}

// revive takes a series back that is asked for while its metric is in memory, or
// returns nil. The mutex is held.
func (v *vec) revive(key string) *series {
	if p := v.parked()[key]; p != nil {
		if m := unsafe.Pointer(p.metric.Value()); m != nil {
			return v.unpark(p, m)
		}
	}
	return nil
}

// unpark takes a series back. The mutex is held.
func (v *vec) unpark(p *parked, m unsafe.Pointer) *series {
	delete(v.parked(), p.key())
	runtime.SetFinalizer((*byte)(m), nil)
	return v.adopt(p, m)
}

func (v *vec) adopt(p *parked, m unsafe.Pointer) *series {
	t := newTracked()
	t.series, t.created = p.series, p.created
	t.m = m
	return v.add(&t.series)
}

// bury is the finalizer of a parked metric, which nobody can reach any more. If
// something was recorded since, it goes to the series of that name, which With may
// have made anew in the meantime.
func (v *vec) bury(p *parked, m unsafe.Pointer) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.parked()[p.key()] != p {
		return // deleted
	}
	delete(v.parked(), p.key())
	now := v.aging(m).appendState(nil)
	if now[0] == p.was[0] {
		return
	}
	if s := v.table.Load().find(p.hash, p.key()); s != nil {
		v.aging(s.m).absorb(p.was, now)
	} else {
		v.adopt(p, m)
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

// A gauge that was set before another took its place has no more to say.

func (g *Gauge) appendState(b []uint64) []uint64 { return append(b, uint64(g.Value())) }
func (g *Gauge) absorb(_, _ []uint64)            {}

func (g *FloatGauge) appendState(b []uint64) []uint64 { return append(b, math.Float64bits(g.Value())) }
func (g *FloatGauge) absorb(_, _ []uint64)            {}

// appendState appends the number of observations, their sum, and the buckets.
func (h *Histogram) appendState(b []uint64) []uint64 {
	first := len(b)
	b = append(b, make([]uint64, 2+len(h.def.bounds)+1)...)
	counts := b[first+2:]
	b[first+1] = math.Float64bits(h.read(counts))
	for _, c := range counts {
		b[first] += c
	}
	return b
}

func (h *Histogram) absorb(was, now []uint64) {
	for i := range len(h.def.bounds) + 1 {
		h.row[1+i].Add(now[2+i] - was[2+i])
	}
	addFloat(&h.row[0], math.Float64frombits(now[1])-math.Float64frombits(was[1]))
}
