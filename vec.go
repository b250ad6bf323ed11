package tacho

import (
	"sync"
	"time"
	"unsafe"

	"github.com/tachikoma/tacho/internal/exemplar"
	"github.com/tachikoma/tacho/internal/expo"
	"github.com/tachikoma/tacho/internal/label"
	"github.com/tachikoma/tacho/internal/series"
	"github.com/tachikoma/tacho/internal/stripe"
)

// A Vec is a family of metrics that differ in the values of their labels. All methods are
// safe for concurrent use. A Vec is made by [Registry.CounterVec] and its siblings. All
// methods of a zero Vec panic.
type Vec[M any] struct{ vec }

// vec is a Vec without the type of its metrics, so that its code is in a binary once and
// not for each type. Only Vec knows the type. The metricType of the family makes the
// metrics.
type vec struct {
	fam      *family
	limit    limit                 // of series
	dated    bool                  // series have a time of creation
	track    func() *trackedSeries // makes series that are dated or may expire; nil otherwise
	expiry   unsafe.Pointer        // *expiry, of idle series; nil for none; see internal/SIZE.md
	unlisted unsafe.Pointer        // *unlistedVec, with expiry; see internal/SIZE.md
	lost     *series.Series        // takes recordings with a wrong number of label values

	table    series.TablePointer
	overflow series.Pointer // not nil while the vector is full

	mu      sync.Mutex       // held to create and delete series, never to find them
	added   []*series.Series // created since order was updated
	deleted bool             // series were deleted since order was updated

	orderMu sync.Mutex       // held to update order; locked before mu
	order   []*series.Series // sorted by label values; replaced, never changed
}

// A metricType makes the metrics of a vector and passes them to an encoder. A binary
// contains the types that its program defines.
type metricType struct {
	kind   expo.Kind
	make   func(f *family, key string, early bool) unsafe.Pointer // key is "" for the metric of vec.lost
	encode func(*vec, *expo.Encoder)
}

// earlySeries is the number of series of a vector whose metrics have cache lines of their
// own. Two cores that add to two counters on one line wait for each other as if they
// shared a counter, and the counters do not notice. The first series are often the busy
// ones. Among many series, chance mostly keeps busy ones apart.
const earlySeries = 64

// metricsPerAllocation returns how many metrics to allocate for one. Only the first is
// used. The others keep the cache lines of an early metric free of other metrics.
func metricsPerAllocation(size uintptr, early bool) int {
	if early {
		return 1 + stripe.CacheLine/int(size)
	}
	return 1
}

// A trackedSeries is a series with a time of creation, or one that may expire. Vectors
// without either have plain series.
type trackedSeries struct {
	series.Series
	created int64  // Unix milliseconds
	last    uint64 // with expiry: the mark of the metric at the last scrape
	changed int64  // with expiry: the monotonic time of the scrape that saw the mark change, or 0
}

func tracked(s *series.Series) *trackedSeries { return (*trackedSeries)(unsafe.Pointer(s)) }

func newTracked() *trackedSeries {
	return &trackedSeries{created: time.Now().UnixMilli()}
}

func (v *vec) expires() *expiry { return (*expiry)(v.expiry) }

func newVec(fam *family, limit limit, created func() *trackedSeries) *vec {
	v := &vec{fam: fam, limit: limit}
	if fam.Kind == expo.Counter || fam.Kind == expo.Histogram {
		v.track = created
		v.dated = created != nil
	}
	v.lost = &series.Series{M: fam.metric.make(fam, "", false)}
	v.table.Store(series.NewTable(0))
	return v
}

// vecOf returns v as a vector of M, the type of the metrics that its metricType makes.
func vecOf[M any](v *vec) *Vec[M] { return (*Vec[M])(unsafe.Pointer(v)) }

// With returns the metric with these label values, in the order of the label names. It
// creates the metric if there is none. If the metric exists, With takes no lock and
// allocates nothing. Keep the pointer to save the lookup.
//
// With copies the values of a new series, so the caller may reuse their memory. Invalid
// UTF-8 is replaced by U+FFFD. With a wrong number of values, With returns a metric that
// no scrape shows, and tacho_errors_total{metric,reason="label_count"} counts. If the
// vector is full (see [WithMaxSeries]), a new combination returns the one series whose
// values are all "other".
func (v *Vec[M]) With(values ...string) *M { return (*M)(v.find(values, true).M) }

// find returns the series with these label values. If there is none, find creates it, or
// returns nil if create is false. With a wrong number of values it returns v.lost.
func (v *vec) find(values []string, create bool) *series.Series {
	if len(values) != len(v.fam.labels) {
		v.fam.fault(reasonLabelCount)
		return v.lost
	}
	t := v.table.Load()
	h := label.NewHasher().Add(values)
	hash := h.Sum()
	for i := hash; ; i++ {
		s, match := t.At(i, hash)
		if s == nil {
			break
		}
		if match && label.KeyIs(s.Key(), values, h.Size()) {
			return s
		}
	}
	if create {
		return v.slow(values)
	}
	return nil
}

// slow finds what find missed: values with invalid UTF-8, new series, and the overflow
// series. Only a new series takes the lock, and a miss allocates nothing: clients cause
// misses.
func (v *vec) slow(values []string) *series.Series {
	var store [256]byte
	b := label.AppendKey(store[:0], values)
	key := unsafe.String(unsafe.SliceData(b), len(b)) // shares b; createLocked copies it
	hash := label.HashKey(key, len(v.fam.labels))
	if s := v.table.Load().Find(hash, key); s != nil {
		return s
	}
	if s := v.overflow.Load(); s != nil {
		v.fam.overflowed()
		return s
	}
	v.mu.Lock() // no deferred Unlock: none of the program's code runs until Unlock
	s := v.table.Load().Find(hash, key)
	if s == nil && v.expiry != nil {
		s = v.expires().relist(v, hash, string(b)) // a copy: key must stay on the stack
	}
	if s == nil && v.limit.max > 0 && v.table.Load().Len() >= v.limit.max {
		if s = v.limit.overflow(v); s != nil {
			v.fam.overflowed()
		}
	}
	if s == nil {
		s = v.createLocked(hash, key)
	}
	v.mu.Unlock()
	return s
}

// A limit is the number of series that a vector may have. If max is 0 or less, there is no
// limit. The field overflow is a function value, so that only programs with a limit link
// its code; see internal/SIZE.md.
type limit struct {
	max      int
	overflow func(v *vec) *series.Series
}

// overflowValue is the value of all labels of an overflow series.
const overflowValue = "other"

// overflowLocked returns the overflow series of a full vector and stores it in v.overflow,
// so that later misses need no lock. It returns nil if the vector is not full: the
// overflow series itself does not count.
func (v *vec) overflowLocked() *series.Series {
	var key []byte
	for range v.fam.labels {
		key = append(append(key, overflowValue...), label.Sep)
	}
	hash := label.HashKey(string(key), len(v.fam.labels))
	s := v.table.Load().Find(hash, string(key))
	switch {
	case s == nil:
		s = v.createLocked(hash, string(key))
	case v.table.Load().Len() == v.limit.max:
		return nil
	}
	v.overflow.Store(s)
	return s
}

// createLocked adds a new series with a copy of key.
func (v *vec) createLocked(hash uint32, key string) *series.Series {
	b := append(make([]byte, 0, 128), key...)
	text := string(label.AppendBlock(b, v.fam.consts, v.fam.labels, key))
	s := v.newSeries()
	early := v.table.Load().Len() < earlySeries
	*s = series.New(hash, len(key), text, v.fam.metric.make(v.fam, text[:len(key)], early))
	return v.addLocked(s)
}

// addLocked adds a series to the table.
func (v *vec) addLocked(s *series.Series) *series.Series {
	t := v.table.Load()
	if t.Full() {
		grown := series.NewTable(t.Len() + 1)
		for s := range t.Each {
			grown.Insert(s)
		}
		v.table.Store(grown)
		t = grown
	}
	t.Insert(s)
	v.added = append(v.added, s)
	return s
}

func (v *vec) newSeries() *series.Series {
	if v.track != nil {
		return &v.track().Series
	}
	return new(series.Series)
}

// Delete removes the series with these label values and reports whether there was one.
// Pointers to its metric stay valid, but no scrape shows the metric. The next With creates
// a new series, from zero. A wrong number of values deletes nothing, and
// tacho_errors_total{metric,reason="label_count"} counts.
func (v *vec) Delete(values ...string) bool {
	if len(values) != len(v.fam.labels) {
		v.fam.fault(reasonLabelCount)
		return false
	}
	key := string(label.AppendKey(nil, values))
	v.mu.Lock()
	defer v.mu.Unlock()
	hash := label.HashKey(key, len(v.fam.labels))
	if v.expiry != nil {
		v.expires().remove(v, hash, key)
	}
	s := v.table.Load().Find(hash, key)
	if s == nil {
		return false
	}
	v.deleteLocked(s)
	return true
}

// DeleteFunc removes the series for whose label values f returns true, and returns their
// number. The function f runs without a lock, may use the vector, and must not keep the
// slice.
func (v *vec) DeleteFunc(f func(values []string) bool) int {
	var found []*series.Series
	add := func(s *series.Series) bool {
		if f(label.Values(s.Key(), len(v.fam.labels))) {
			found = append(found, s)
		}
		return true
	}
	if v.expiry == nil {
		v.table.Load().Each(add)
	} else {
		for _, s := range v.expires().all(v) {
			add(s)
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	n := 0
	for _, s := range found {
		if v.expiry != nil { // s may have been unlisted or relisted
			v.expires().remove(v, s.Hash, s.Key())
			if s = v.table.Load().Find(s.Hash, s.Key()); s == nil {
				continue
			}
		}
		if v.table.Load().Holds(s) { // another goroutine may have deleted s
			v.deleteLocked(s)
			n++
		}
	}
	return n
}

// deleteLocked removes a series that the table holds.
func (v *vec) deleteLocked(s *series.Series) {
	v.table.Load().Remove(s)
	v.overflow.Store(nil) // there is room again; otherwise the next miss stores it again
	v.deleted = true
	v.trimAddedLocked()
}

// trimAddedLocked removes deleted series from added once they are most of it. Otherwise
// added would grow without bound in a program that is never scraped.
func (v *vec) trimAddedLocked() {
	t := v.table.Load()
	if len(v.added) <= 2*t.Len()+16 {
		return
	}
	kept := make([]*series.Series, 0, t.Len())
	for _, s := range v.added {
		if t.Holds(s) {
			kept = append(kept, s)
		}
	}
	v.added = kept
}

// Reset removes all series.
func (v *vec) Reset() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.resetLocked()
}

func (v *vec) resetLocked() {
	v.table.Store(series.NewTable(0))
	v.overflow.Store(nil)
	v.added, v.deleted = nil, true
	if v.expiry != nil {
		v.expires().reset(v)
	}
}

// Replace replaces all series of v at once by the series that fill records in set. A
// scrape shows either the old series or the new ones. It is meant for gauges of things
// that come and go and are listed as a whole.
//
// set is an empty vector with the definition of v. fill must not use set after it
// returned. Series that are recorded in v while fill runs are removed with the old
// series. Pointers to the metrics of removed series stay valid, but no scrape shows them.
// If fill panics, v does not change.
func (v *Vec[M]) Replace(fill func(set *Vec[M])) {
	set := vecOf[M](newVec(v.fam, v.limit, nil))
	set.track, set.dated = v.track, v.dated
	if v.expiry != nil {
		v.expires().attach(&set.vec, v.expires())
	}
	fill(set)
	set.mu.Lock()
	table, added, overflow := set.table.Load(), set.added, set.overflow.Load()
	set.resetLocked() // a late recording in set is in a table of its own
	set.mu.Unlock()
	v.mu.Lock()
	defer v.mu.Unlock()
	v.resetLocked()
	v.table.Store(table)
	v.overflow.Store(overflow)
	v.added = added
}

// Len returns the number of series, including the overflow series.
func (v *vec) Len() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.table.Load().Len()
}

// ordered returns the series sorted by label values. Its work is proportional to the
// changes since the last call. Creating a series does not wait for ordered.
func (v *vec) ordered() (order []*series.Series) {
	v.orderMu.Lock() // no deferred Unlock, as in slow
	if v.expiry != nil {
		order = v.expires().ordered(v)
	} else {
		order = v.updateOrderLocked()
	}
	v.orderMu.Unlock()
	return order
}

// updateOrderLocked needs orderMu.
func (v *vec) updateOrderLocked() []*series.Series {
	v.mu.Lock()
	added, deleted, t := v.added, v.deleted, v.table.Load()
	v.added, v.deleted = nil, false
	v.mu.Unlock()
	if len(added) == 0 && !deleted {
		return v.order
	}
	// Sort keeps runs that are in order, so the old series cost one comparison each.
	order := make([]*series.Series, len(v.order)+len(added))
	copy(order[copy(order, v.order):], added)
	if deleted {
		n := 0
		for _, s := range order {
			if t.Holds(s) {
				order[n] = s
				n++
			}
		}
		clear(order[n:]) // otherwise the array would keep deleted series alive
		order = order[:n]
	}
	series.Sort(order)
	v.order = order
	return order
}

// details returns the details of a sample. Few samples have details, so callers check
// first.
//
//go:noinline
func (v *vec) details(e *expo.Encoder, s *series.Series, last *exemplar.Slot, buckets *[]exemplar.Slot) *expo.Details {
	d := e.Details()
	if last != nil {
		d.Exemplar = last.Load()
	}
	if buckets != nil {
		d.Buckets = *buckets
	}
	if v.dated {
		d.Created = tracked(s).created
	}
	return d
}
