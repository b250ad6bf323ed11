package tacho

import (
	"sync"
	"sync/atomic"
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
type Vec[M any] struct{ vec }

// vec is all of a vector but the type of its metrics, so that the code is in a
// binary once and not for each type. Only Vec knows the type; its family's
// metricType makes metrics of it.
type vec struct {
	fam     *family
	limit   limit                 // of series, before new ones overflow
	dated   bool                  // series have a time of creation
	track   func() *trackedSeries // makes the series of a vector that is dated or has expiry
	expiry  *expiry               // of idle series; nil for none
	parking unsafe.Pointer        // *parking, with expiry
	lost    *series               // takes what was recorded with a wrong number of values

	table    atomic.Pointer[table]
	overflow atomic.Pointer[series] // not nil while the vector is full

	mu      sync.Mutex // held to create and delete series, never to find them
	added   []*series  // created since order was last brought up to date
	deleted bool       // series were deleted since then

	orderMu sync.Mutex // held to bring order up to date; taken before mu
	order   []*series  // sorted by label values; replaced, never changed
}

// A series is what a reader of the table and a scrape need to know of one
// metric. Nobody writes it once it is published. The metric itself, which
// everybody writes, lies in another allocation: With would otherwise miss the
// cache each time that another core had recorded.
type series struct {
	_    incomparable
	hash uint32
	cut  uint32 // text is the key up to here, then the label block
	text string
	m    unsafe.Pointer // *M, made by the metricType of the family
}

func (s *series) key() string   { return s.text[:s.cut] }
func (s *series) block() string { return s.text[s.cut:] }

// incomparable, as a field, takes == from a struct: code that nothing calls and a
// binary has all the same.
type incomparable = [0]func()

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
// and not the other takes the slot for another series', and what then finds nothing looks again by the key.
type slot struct {
	_    incomparable
	s    atomic.Pointer[series] // nil ends a probe
	hash atomic.Uint32
}

//go:noinline
func newTable(n int) *table {
	size := 4
	for size < 2*n {
		size *= 2
	}
	return &table{slots: make([]slot, size), grave: &series{text: "grave", cut: 5}}
}

// at returns the i-th slot, counted around.
func (t *table) at(i uint32) *slot { return &t.slots[int(i)&(len(t.slots)-1)] }

// find returns the series with this key, whose values are valid, or nil. It is not for
// hits, which vec.find is, and not inlined.
//
//go:noinline
func (t *table) find(hash uint32, key string) *series {
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

// each ranges over all series.
func (t *table) each(yield func(*series) bool) {
	for i := range t.slots {
		if s := t.slots[i].s.Load(); s != nil && s != t.grave && !yield(s) {
			return
		}
	}
}

// A metricType says how to make the metrics of a vector and how to show them. A
// binary has those that its program defines.
type metricType struct {
	kind kind
	make func(f *family, key string, early bool) unsafe.Pointer // the metric of a new series; of none if key is ""
	walk func(*vec, *encoder)
}

// earlySeries is how many series of a vector have their metrics on cache lines of
// their own. Two cores that add to neighbours on one line wait for each other as if
// they shared a counter, and nothing tells them so: an Inc took 17 times as long. The
// series that come first are often the busy ones, and those of a small vector all are.
// With more of them chance keeps busy ones apart, and 64 bytes each would be a third of
// a series: these cost a vector 4 KiB at most.
const earlySeries = 64

// apart, behind an early metric, keeps the cache line that it ends on from others. There
// is no generic function for it: what that allocates counts to the linker as a type in an
// interface, and all types in its reach stay with it, 5 KB of them.
type apart [cacheLine]byte

func newVec(fam *family, limit limit) *vec {
	v := &vec{fam: fam, limit: limit}
	if fam.kind == kindCounter || fam.kind == kindHistogram {
		v.track = fam.reg.created
		v.dated = v.track != nil
	}
	v.lost = &series{m: fam.metric.make(fam, "", false)}
	v.table.Store(newTable(0))
	return v
}

// vecOf returns v as a vector of Ms, which its family's metricType makes.
func vecOf[M any](v *vec) *Vec[M] { return (*Vec[M])(unsafe.Pointer(v)) }

// With returns the metric with these label values, given in the order of the
// label names, and creates it if need be. Keep the pointer to skip the lookup.
// The values are copied when a series is created: they may point into a buffer
// that is used again. Invalid UTF-8 in them is replaced by U+FFFD.
//
// A wrong number of values returns a metric that no scrape shows and counts in
// tacho_errors_total{metric,reason="label_count"}. Past the vector's limit (see
// [WithMaxSeries]) a new combination returns the one series whose values are
// all "other".
func (v *Vec[M]) With(values ...string) *M { return (*M)(v.find(values, true).m) }

// find returns the series with these label values, for all types: what is left of With
// is inlined. One that does not exist is made, or nil; of a wrong number of values it is
// always lost.
func (v *vec) find(values []string, create bool) *series {
	if len(values) != len(v.fam.labels) {
		v.fam.fault(reasonLabelCount)
		return v.lost
	}
	t := v.table.Load()
	h := newHasher().add(values)
	hash := h.hash()
	for i := hash; ; i++ {
		slot := t.at(i)
		s := slot.s.Load()
		if s == nil {
			break
		}
		if slot.hash.Load() == hash && keyIs(s.key(), values, h.size) {
			return s
		}
	}
	if create {
		return v.slow(values)
	}
	return nil
}

// slow finds what the first look did not: values with invalid UTF-8, new
// series, and those that overflow. Only the new ones take the lock.
func (v *vec) slow(values []string) *series {
	var store [256]byte // a miss must not allocate either: strangers cause misses
	b := appendKey(store[:0], values)
	key := unsafe.String(unsafe.SliceData(b), len(b)) // a view; create copies it
	hash := hashKey(key, len(v.fam.labels))
	if s := v.table.Load().find(hash, key); s != nil {
		return s
	}
	if s := v.overflow.Load(); s != nil {
		v.fam.overflowed()
		return s
	}
	v.mu.Lock() // no deferred Unlock, 500 bytes: nothing of the program's runs under it
	s := v.table.Load().find(hash, key)
	if s == nil && v.expiry != nil {
		s = v.expiry.revive(v, string(b))
	}
	if s == nil && v.limit.max > 0 && v.table.Load().live >= v.limit.max {
		if s = v.limit.overflows(v); s != nil {
			v.fam.overflowed()
		}
	}
	if s == nil {
		s = v.create(hash, string(b))
	}
	v.mu.Unlock()
	return s
}

// A limit is how many series a vector may have; 0 or less means no limit. Vectors
// reach the code for what exceeds it through it alone, so that a program without
// limits does not contain it.
type limit struct {
	max       int
	overflows func(v *vec) *series
}

// overflows returns the series that a new one goes to in a vector that is full, or
// nil if it is not: the series for the overflow does not count itself. It lets
// lookups reach that without the mutex, which is held here.
func (v *vec) overflows() *series {
	var key []byte
	for range v.fam.labels {
		key = append(append(key, overflowValue...), keySep)
	}
	hash := hashKey(string(key), len(v.fam.labels))
	s := v.table.Load().find(hash, string(key))
	switch {
	case s == nil:
		s = v.create(hash, string(key))
	case v.table.Load().live == v.limit.max:
		return nil
	}
	v.overflow.Store(s)
	return s
}

// create adds a series. The mutex is held.
func (v *vec) create(hash uint32, key string) *series {
	text := append(make([]byte, 0, 128), key...)
	text = appendBlock(text, v.fam.consts, v.fam.labels, key)
	s := v.newSeries()
	*s = series{hash: hash, cut: uint32(len(key)), text: string(text), m: v.fam.metric.make(v.fam, key, v.table.Load().live < earlySeries)}
	return v.add(s)
}

// add puts a series into the table. The mutex is held.
func (v *vec) add(s *series) *series {
	t := v.table.Load()
	if 4*(t.used+1) > 3*len(t.slots) {
		grown := newTable(t.live + 1)
		for s := range t.each {
			grown.insert(s)
		}
		v.table.Store(grown)
		t = grown
	}
	t.insert(s)
	v.added = append(v.added, s)
	return s
}

func (v *vec) newSeries() *series {
	if v.track != nil {
		return &v.track().series
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
	delete(v.parked(), key)
	s := v.table.Load().find(hashKey(key, len(v.fam.labels)), key)
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
	for s := range v.table.Load().each {
		if f(keyValues(s.key(), len(v.fam.labels))) {
			doomed = append(doomed, s)
		}
	}
	idle := v.idleKeys(f)
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, key := range idle {
		delete(v.parked(), key)
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
	clear(v.parked())
}

// Replace calls fill with an empty vector of the same definition, and then makes
// the series recorded there all that v has, at once: a scrape sees what was before
// or what is after, and no gap. It is for gauges of things that come and go, listed
// as a whole: fill records them in set, which must not be used after it returned.
// Pointers to the series of before still work but are shown no more, and what is
// recorded in v while fill runs goes with them. If fill panics, v stays as it is.
func (v *Vec[M]) Replace(fill func(set *Vec[M])) {
	set := vecOf[M](newVec(v.fam, v.limit))
	if set.track = v.track; v.expiry != nil {
		v.expiry.attach(&set.vec, v.expiry)
	}
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
func (v *vec) ordered() (order []*series) {
	v.orderMu.Lock() // nor is Unlock deferred here
	if v.expiry != nil {
		order = v.expiry.ordered(v)
	} else {
		order = v.merged()
	}
	v.orderMu.Unlock()
	return order
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
	// The sort takes what is in order as it is, so that this costs a comparison a
	// series and the moves that the new ones make.
	order := make([]*series, len(v.order)+len(added))
	copy(order[copy(order, v.order):], added)
	if deleted {
		n := 0
		for _, s := range order {
			if t.holds(s) {
				order[n] = s
				n++
			}
		}
		clear(order[n:]) // or the array would keep what was deleted
		order = order[:n]
	}
	sortSeries(order)
	v.order = order
	return order
}
