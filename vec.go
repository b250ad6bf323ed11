package tacho

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

// The vectors, one for each metric type that a program writes.
type (
	CounterVec      = Vec[Counter]
	FloatCounterVec = Vec[FloatCounter]
	GaugeVec        = Vec[Gauge]
	FloatGaugeVec   = Vec[FloatGauge]
	HistogramVec    = Vec[Histogram]
)

// A Vec is a family of metrics that differ in the values of their labels. All
// methods are safe for concurrent use; finding a series that exists takes no
// lock and allocates nothing. Make one with [Registry.CounterVec] and its
// siblings.
type Vec[M any] struct {
	vec
	init func(m *M, key string) // what a new M needs beyond its zero value; nil for nothing
}

// vec is what vectors of all types share. It does not know the type of its
// metrics, so that the code is in a binary once and not for each type; only Vec
// turns the pointers back, into the type that its own makeMetric made.
type vec struct {
	fam   *family
	max   int                             // series before new ones overflow; 0 means no limit
	dated bool                            // series have a time of creation
	idle  time.Duration                   // after which a series is parked; 0 for never
	aging func(unsafe.Pointer) aging      // a metric as what can be parked; nil without idle
	make  func(key string) unsafe.Pointer // makes the metric of a new series
	lost  unsafe.Pointer                  // takes what was recorded with a wrong number of values

	table    atomic.Pointer[table]
	overflow atomic.Pointer[series] // not nil while the vector is full

	mu      sync.Mutex // held to create and delete series, never to find them
	added   []*series  // created since order was last brought up to date
	deleted bool       // series were deleted since then

	parked map[string]*parked // by key; under mu

	orderMu sync.Mutex // held to bring order up to date; taken before mu
	order   []*series  // sorted by label values; replaced, never changed
	words   []uint64   // for state
}

// A series is what a reader of the table and a scrape need to know of one
// metric. Nobody writes it once it is published. The metric itself, which
// everybody writes, lies in another allocation: With would otherwise miss the
// cache each time that another core had recorded.
type series struct {
	hash uint32
	cut  uint32 // text is the key up to here, then the label block
	text string
	m    unsafe.Pointer // *M of the vector that made it
}

func (s *series) key() string   { return s.text[:s.cut] }
func (s *series) block() string { return s.text[s.cut:] }

// A table is an open-addressed hash table that readers probe without a lock.
// The vector's mutex serialises writers; they fill free slots in place, turn
// deleted ones into gravestones, and replace the table when it is three
// quarters full.
type table struct {
	slots []slot  // a power of two
	grave *series // what a deleted slot holds; its key is none, since each value of a key ends in keySep
	live  int     // series, under the mutex
	used  int     // series and gravestones, under the mutex
}

// A slot repeats the hash of its series, so that a probe looks at no series but the
// one it is after, which in a large vector is mostly not in the cache. It is stored
// before the series and matters only with it. A reader that sees one of them changed
// and not the other takes the slot for another series' and asks again under the mutex.
type slot struct {
	s    atomic.Pointer[series] // nil ends a probe
	hash atomic.Uint32
}

func newTable(n int) *table {
	size := 4
	for size < 2*n {
		size *= 2
	}
	return &table{slots: make([]slot, size), grave: &series{text: "grave", cut: 5}}
}

// at returns the i-th slot, counted around.
func (t *table) at(i uint32) *slot { return &t.slots[int(i)&(len(t.slots)-1)] }

// find returns the series with these label values, or nil.
func (t *table) find(values []string) *series {
	h := newHasher().add(values)
	hash := h.hash()
	for i := hash; ; i++ {
		slot := t.at(i)
		s := slot.s.Load()
		if s == nil || slot.hash.Load() == hash && int(s.cut) == h.size && keyIs(s.text, values) {
			return s
		}
	}
}

// findKey is find for a key, whose values are valid.
func (t *table) findKey(hash uint32, key string) *series {
	for i := hash; ; i++ {
		slot := t.at(i)
		s := slot.s.Load()
		if s == nil || slot.hash.Load() == hash && s.key() == key {
			return s
		}
	}
}

func (t *table) insert(s *series) {
	for i := s.hash; ; i++ {
		slot := t.at(i)
		switch slot.s.Load() {
		case nil:
			t.used++
		case t.grave:
		default:
			continue
		}
		t.live++
		slot.hash.Store(s.hash)
		slot.s.Store(s)
		return
	}
}

func (t *table) remove(s *series) {
	for i := s.hash; ; i++ {
		if slot := t.at(i); slot.s.Load() == s {
			slot.s.Store(t.grave)
			t.live--
			return
		}
	}
}

// holds reports whether s is still in the table.
func (t *table) holds(s *series) bool {
	for i := s.hash; ; i++ {
		switch t.at(i).s.Load() {
		case s:
			return true
		case nil:
			return false
		}
	}
}

// each calls f for every series.
func (t *table) each(f func(*series)) {
	for i := range t.slots {
		if s := t.slots[i].s.Load(); s != nil && s != t.grave {
			f(s)
		}
	}
}

func newVec[M any](fam *family, max int, init func(*M, string)) *Vec[M] {
	v := &Vec[M]{init: init}
	v.fam, v.max, v.make = fam, max, v.makeMetric
	v.dated = fam.reg.created && (fam.kind == kindCounter || fam.kind == kindHistogram)
	v.lost = v.makeMetric("")
	v.table.Store(newTable(0))
	return v
}

func (v *Vec[M]) makeMetric(key string) unsafe.Pointer {
	m := new(M)
	if v.init != nil {
		v.init(m, key)
	}
	return unsafe.Pointer(m)
}

// With returns the metric with these label values, given in the order of the
// label names, and creates it if need be. Keep the pointer to skip the lookup.
// The values are copied when a series is created: they may point into a buffer
// that is used again. Invalid UTF-8 in them is replaced by U+FFFD.
//
// A wrong number of values returns a metric that no scrape shows and counts in
// tacho_errors_total{metric,reason="label_count"}. Past the vector's limit (see
// [WithMaxSeries]) a new combination returns the one series whose values are
// all "other".
func (v *Vec[M]) With(values ...string) *M { return (*M)(v.with(values)) }

// with is With for all types: what is left of that is inlined.
func (v *vec) with(values []string) unsafe.Pointer {
	if len(values) != len(v.fam.labels) {
		v.fam.fault(reasonLabelCount)
		return v.lost
	}
	s := v.table.Load().find(values)
	if s == nil {
		s = v.slow(values)
	}
	return s.m
}

// lookup returns the series with these label values, or nil.
func (v *vec) lookup(values []string) *series {
	return v.table.Load().find(values)
}

// slow finds what the first look did not: values with invalid UTF-8, new
// series, and those that overflow. Only the new ones take the lock.
func (v *vec) slow(values []string) *series {
	var store [256]byte // a miss must not allocate either: strangers cause misses
	b := appendKey(store[:0], values)
	key := unsafe.String(unsafe.SliceData(b), len(b)) // a view; create copies it
	hash := hashKey(key, len(v.fam.labels))
	if s := v.table.Load().findKey(hash, key); s != nil {
		return s
	}
	if s := v.overflow.Load(); s != nil {
		v.fam.overflowed()
		return s
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if s := v.table.Load().findKey(hash, key); s != nil {
		return s
	}
	if s := v.revive(key); s != nil {
		return s
	}
	if v.full() {
		v.fam.overflowed()
		return v.overflowSeries()
	}
	return v.create(hash, strings.Clone(key))
}

// full reports whether a new series must overflow. The overflow series itself
// does not count. The mutex is held.
func (v *vec) full() bool {
	t := v.table.Load()
	if v.max <= 0 || t.live < v.max {
		return false
	}
	key := v.overflowKey()
	return t.live > v.max || t.findKey(hashKey(key, len(v.fam.labels)), key) == nil
}

func (v *vec) overflowKey() string {
	return strings.Repeat(overflowValue+string([]byte{keySep}), len(v.fam.labels))
}

// overflowSeries finds or makes the series for what the limit refuses, and
// lets lookups reach it without the mutex, which is held here.
func (v *vec) overflowSeries() *series {
	key := v.overflowKey()
	hash := hashKey(key, len(v.fam.labels))
	s := v.table.Load().findKey(hash, key)
	if s == nil {
		s = v.create(hash, key)
	}
	v.overflow.Store(s)
	return s
}

// create adds a series. The mutex is held.
func (v *vec) create(hash uint32, key string) *series {
	text := append(make([]byte, 0, 128), key...)
	text = appendBlock(text, v.fam.consts, v.fam.labels, key)
	s := v.newSeries()
	*s = series{hash: hash, cut: uint32(len(key)), text: string(text), m: v.make(key)}
	return v.add(s)
}

// add puts a series into the table. The mutex is held.
func (v *vec) add(s *series) *series {
	t := v.table.Load()
	if 4*(t.used+1) > 3*len(t.slots) {
		grown := newTable(t.live + 1)
		t.each(grown.insert)
		v.table.Store(grown)
		t = grown
	}
	t.insert(s)
	v.added = append(v.added, s)
	return s
}

func (v *vec) newSeries() *series {
	if v.dated || v.idle > 0 {
		return &newTracked(time.Now()).series
	}
	return new(series)
}

// Delete removes the series with these label values and reports whether there
// was one. A pointer that somebody keeps still works, but no scrape shows it:
// the next With makes a new series, from zero.
func (v *vec) Delete(values ...string) bool {
	if len(values) != len(v.fam.labels) {
		v.fam.fault(reasonLabelCount)
		return false
	}
	key := string(appendKey(nil, values))
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.parked, key)
	s := v.table.Load().findKey(hashKey(key, len(v.fam.labels)), key)
	if s == nil {
		return false
	}
	v.delete(s)
	return true
}

// DeleteFunc removes the series for whose label values f answers true, and
// returns how many those were. f runs without a lock, so it may use the vector;
// it must not keep the slice.
func (v *vec) DeleteFunc(f func(values []string) bool) int {
	var doomed []*series
	v.table.Load().each(func(s *series) {
		if f(keyValues(s.key(), len(v.fam.labels))) {
			doomed = append(doomed, s)
		}
	})
	idle := v.idleKeys(f)
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, key := range idle {
		delete(v.parked, key)
	}
	n := 0
	for _, s := range doomed {
		if v.table.Load().holds(s) { // else somebody else was faster
			v.delete(s)
			n++
		}
	}
	return n
}

// delete removes a series that the table holds. The mutex is held.
func (v *vec) delete(s *series) {
	v.table.Load().remove(s)
	v.overflow.Store(nil) // there is room again, or the next miss finds there is none
	v.deleted = true
	v.forget()
}

// forget drops deleted series from added once they are most of it: where nobody
// scrapes, series that come and go would pile up there. The mutex is held.
func (v *vec) forget() {
	t := v.table.Load()
	if len(v.added) <= 2*t.live+16 {
		return
	}
	kept := make([]*series, 0, t.live)
	for _, s := range v.added {
		if t.holds(s) {
			kept = append(kept, s)
		}
	}
	v.added = kept
}

// Reset removes all series.
func (v *vec) Reset() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.reset()
}

// reset is Reset with the mutex held.
func (v *vec) reset() {
	v.table.Store(newTable(0))
	v.overflow.Store(nil)
	v.added, v.deleted = nil, true
	clear(v.parked)
}

// Replace calls fill with an empty vector of the same definition, and then makes
// the series recorded there all that v has, at once: a scrape sees what was before
// or what is after, and no gap. It is for gauges of things that come and go, listed
// as a whole: fill records them in set, which must not be used after it returned.
// Pointers to the series of before still work but are shown no more, and what is
// recorded in v while fill runs goes with them. If fill panics, v stays as it is.
func (v *Vec[M]) Replace(fill func(set *Vec[M])) {
	set := newVec(v.fam, v.max, v.init)
	set.idle, set.aging = v.idle, v.aging
	fill(set)
	set.mu.Lock()
	table, added, overflow := set.table.Load(), set.added, set.overflow.Load()
	set.reset() // what is late lands in a table of its own
	set.mu.Unlock()
	v.mu.Lock()
	defer v.mu.Unlock()
	v.reset()
	v.table.Store(table)
	v.overflow.Store(overflow)
	v.added = added
}

// Len returns the number of series, the overflow series included.
func (v *vec) Len() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.table.Load().live
}

// ordered returns the series sorted by label values. The work is that of what
// changed since the last call; creating series waits for none of it.
func (v *vec) ordered() []*series {
	v.orderMu.Lock()
	defer v.orderMu.Unlock()
	if v.idle > 0 {
		return v.aged(time.Now())
	}
	return v.merged()
}

// merged brings order up to date. Its mutex is held.
func (v *vec) merged() []*series {
	v.mu.Lock()
	added, deleted, t := v.added, v.deleted, v.table.Load()
	v.added, v.deleted = nil, false
	v.mu.Unlock()
	if len(added) == 0 && !deleted {
		return v.order
	}
	slices.SortFunc(added, func(a, b *series) int { return compareKeys(a.key(), b.key()) })
	v.order = mergeSeries(v.order, added, func(s *series) bool { return !deleted || t.holds(s) })
	return v.order
}

// mergeSeries merges two sorted lists into a new one of those that keep wants.
func mergeSeries(a, b []*series, keep func(*series) bool) []*series {
	merged := make([]*series, 0, len(a)+len(b))
	for len(a) > 0 || len(b) > 0 {
		from := &a
		if len(a) == 0 || len(b) > 0 && compareKeys(b[0].key(), a[0].key()) < 0 {
			from = &b
		}
		if s := (*from)[0]; keep(s) {
			merged = append(merged, s)
		}
		*from = (*from)[1:]
	}
	return merged
}
