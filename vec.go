package tacho

import (
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/tachikoma/tacho/internal/exemplar"
	"github.com/tachikoma/tacho/internal/expo"
	"github.com/tachikoma/tacho/internal/store"
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
	limit    limit          // of series
	dated    bool           // a scrape shows the times of creation
	expiry   unsafe.Pointer // *expiry, of idle series; nil for none; see internal/SIZE.md
	unlisted unsafe.Pointer // *unlistedVec, with expiry; see internal/SIZE.md
	lost     unsafe.Pointer // metric that takes recordings with a wrong number of label values
	store    store.Store

	overflow atomic.Pointer[byte] // metric of the overflow series; not nil while the vector is full

	mu      sync.Mutex // held to create and delete series, never to find them
	orderMu sync.Mutex // held to update the order of series; locked before mu
}

// A metricType makes the metrics of a vector and passes them to an encoder. A binary
// contains the types that its program defines.
type metricType struct {
	kind   expo.Kind
	single bool    // each metric is an allocation of its own
	size   uintptr // of a metric
	make   func(f *family, n int, apart bool, block string) unsafe.Pointer
	encode func(*vec, *expo.Encoder)
}

// functionSeries is the metricType of vectors of functions. A vector of functions has no vec.
var functionSeries metricType

// metricsPerAllocation returns how many metrics to allocate for n. If apart is true, n is 1,
// and the other metrics are unused: they keep the cache lines of the metric free of others.
func metricsPerAllocation(n int, apart bool, size uintptr) int {
	if apart {
		n += stripe.CacheLine / int(size)
	}
	return n
}

func (v *vec) expires() *expiry { return (*expiry)(v.expiry) }

func newVec(fam *family, limit limit, created bool) *vec {
	v := &vec{fam: fam, limit: limit}
	v.dated = created && (fam.Kind == expo.Counter || fam.Kind == expo.Histogram)
	v.lost = fam.metric.make(fam, 1, false, "")
	v.initStore(fam.metric.single)
	return v
}

// initStore makes v empty. If single is true, each metric is an allocation of its own.
func (v *vec) initStore(single bool) {
	t, times := v.fam.metric, 0
	switch {
	case v.expiry != nil:
		times = 3
	case v.dated:
		times = 1
	}
	v.store.Init(v.fam.Consts, v.fam.labels, store.Kind{
		Size:   t.size,
		New:    func(n int, apart bool, block string) unsafe.Pointer { return t.make(v.fam, n, apart, block) },
		Single: single,
		Times:  times,
	})
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
func (v *Vec[M]) With(values ...string) *M { return (*M)(v.find(values, true)) }

// find returns the metric of the series with these label values. If there is none, find
// creates it, or returns nil if create is false. With a wrong number of values it returns
// v.lost.
func (v *vec) find(values []string, create bool) unsafe.Pointer {
	m := v.store.Find(values)
	if m == nil {
		m = v.slow(values, create)
	}
	return m
}

// slow finds what find missed: values with invalid UTF-8 or escapes, new series, and the
// overflow series. Only a new series takes the lock. Clients cause misses, so a miss allocates
// nothing for values of usual length.
func (v *vec) slow(values []string, create bool) unsafe.Pointer {
	if len(values) != len(v.fam.labels) {
		v.fam.fault(reasonLabelCount)
		return v.lost
	}
	var buf [1280]byte // holds also the longest path of a stranger, escaped
	b := v.store.AppendBlock(buf[:0], values)
	block := unsafe.String(unsafe.SliceData(b), len(b)) // shares b; the store copies it
	hash := v.store.Hash(block)
	if len(block) > store.MaxBlock {
		v.fam.fault(reasonInvalid)
		return v.lost
	}
	full := v.overflow.Load() // before the lookup: a series that exists must not be "other"
	if m := v.store.FindBlock(hash, block); m != nil || !create {
		return m
	}
	if full != nil {
		countOverflow(v.fam)
		return unsafe.Pointer(full)
	}
	v.mu.Lock() // no deferred Unlock: none of the program's code runs until Unlock
	m := v.store.FindBlock(hash, block)
	if m == nil && v.expiry != nil {
		m = v.expires().relist(v, hash, string(b)) // a copy: block must stay on the stack
	}
	if m == nil && v.limit.max > 0 && v.store.Len() >= v.limit.max {
		if m = v.limit.overflow(v); m != nil {
			countOverflow(v.fam)
		}
	}
	if m == nil {
		m = v.createLocked(hash, block)
	}
	v.mu.Unlock()
	return m
}

// A limit is the number of series that a vector may have. If max is 0 or less, there is no
// limit. The field overflow is a function value, so that only programs with a limit link
// its code; see internal/SIZE.md.
type limit struct {
	max      int
	overflow func(v *vec) unsafe.Pointer
}

// overflowValue is the value of all labels of an overflow series.
const overflowValue = "other"

// overflowLocked returns the metric of the overflow series of a full vector and stores it in
// v.overflow, so that later misses need no lock. It returns nil if the vector is not full: the
// overflow series itself does not count.
func (v *vec) overflowLocked() unsafe.Pointer {
	values := make([]string, len(v.fam.labels))
	for i := range values {
		values[i] = overflowValue
	}
	hash, block := v.key(values)
	m := v.store.FindBlock(hash, block)
	switch {
	case m == nil:
		m = v.createLocked(hash, block)
	case v.store.Len() == v.limit.max:
		return nil
	}
	v.overflow.Store((*byte)(m))
	return m
}

// key returns the label block of values, and the hash by which the store finds it.
//
//go:noinline
func (v *vec) key(values []string) (hash uint32, block string) {
	block = string(v.store.AppendBlock(nil, values))
	return v.store.Hash(block), block
}

// createLocked adds a new series with a copy of block.
func (v *vec) createLocked(hash uint32, block string) unsafe.Pointer {
	created := int64(0)
	if v.dated {
		created = time.Now().UnixMilli()
	}
	return v.store.Add(hash, block, nil, created)
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
	hash, block := v.key(values)
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.expiry != nil {
		v.expires().remove(v, hash, block)
	}
	return v.deleteLocked(hash, block, nil)
}

// DeleteFunc removes the series for whose label values f returns true, and returns their
// number. The function f runs without a lock, may use the vector, and must not keep the
// slice.
func (v *vec) DeleteFunc(f func(values []string) bool) int {
	type series struct {
		block  string
		metric unsafe.Pointer
	}
	var found []series
	var values []string
	add := func(block string, m unsafe.Pointer) bool {
		block = string([]byte(block)) // a value that f keeps must not keep the texts of others
		values = v.store.AppendValues(values[:0], block)
		if f(values) {
			found = append(found, series{block, m})
		}
		return true
	}
	v.mu.Lock()
	snapshot := v.store.Snapshot()
	var all []string
	if v.expiry != nil {
		all = v.expires().all(v)
	}
	v.mu.Unlock()
	if v.expiry == nil {
		snapshot.Each(add)
	}
	for _, block := range all {
		add(block, nil)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	n := 0
	for _, s := range found {
		hash := v.store.Hash(s.block)
		if v.expiry != nil { // the series may have been unlisted or relisted
			v.expires().remove(v, hash, s.block)
		}
		if v.deleteLocked(hash, s.block, s.metric) { // another goroutine may have deleted it
			n++
		}
	}
	return n
}

// deleteLocked removes the series with this block, if it has the metric m or m is nil.
func (v *vec) deleteLocked(hash uint32, block string, m unsafe.Pointer) bool {
	if !v.store.Remove(hash, block, m) {
		return false
	}
	v.overflow.Store(nil) // there is room again; otherwise the next miss stores it again
	return true
}

// Reset removes all series.
func (v *vec) Reset() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.resetLocked()
}

func (v *vec) resetLocked() {
	v.store.Reset()
	v.overflow.Store(nil)
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
	set := vecOf[M](newVec(v.fam, v.limit, v.dated))
	if v.expiry != nil {
		v.expires().attach(&set.vec, v.expires())
	}
	fill(set)
	set.mu.Lock()
	defer set.mu.Unlock()
	v.mu.Lock()
	defer v.mu.Unlock()
	v.resetLocked()
	v.store.Take(&set.store)
	v.overflow.Store(set.overflow.Swap(nil))
}

// Len returns the number of series, including the overflow series.
func (v *vec) Len() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.store.Len()
}

// ordered returns the series sorted by label values. Its work is proportional to the
// changes since the last call. Creating a series does not wait for ordered.
func (v *vec) ordered() (order *store.Order) {
	v.orderMu.Lock() // no deferred Unlock, as in slow
	if v.expiry != nil {
		order = v.expires().ordered(v)
	} else {
		order = v.store.Order(&v.mu)
	}
	v.orderMu.Unlock()
	return order
}

// begin makes c read the series in order, and begins the family. It reports whether there are
// series.
func (v *vec) begin(c *store.Cursor, e *expo.Encoder) bool {
	order := v.ordered()
	c.Start(order)
	if !c.Next() {
		return false
	}
	e.Texts = unsafe.Pointer(order)
	e.Begin(&v.fam.Family)
	return true
}

// details returns the details of the i-th sample of c. Few samples have details, so callers check
// first.
//
//go:noinline
func (v *vec) details(e *expo.Encoder, c *store.Cursor, i int, last *exemplar.Slot, buckets *[]exemplar.Slot) *expo.Details {
	d := e.Details()
	if last != nil {
		d.Exemplar = last.Load()
	}
	if buckets != nil {
		d.Buckets = *buckets
	}
	if v.dated {
		d.Created = c.Created(i)
	}
	return d
}
