package tacho

import (
	"sync/atomic"
	"unsafe"

	"github.com/tachikoma/tacho/internal/atomicfloat"
	"github.com/tachikoma/tacho/internal/exemplar"
	"github.com/tachikoma/tacho/internal/expo"
	"github.com/tachikoma/tacho/internal/store"
	"github.com/tachikoma/tacho/internal/stripe"
)

// A Counter counts events: a uint64 that only goes up (OpenMetrics 1.0, "Counter"). Past
// 2^64-1 it wraps to 0, and Prometheus takes that for a restart. All methods are safe for
// concurrent use and never block. They allocate only if contention on the counter makes
// it grow. [Registry.Counter] makes a Counter. A zero Counter counts, but no scrape shows it.
type Counter struct {
	_     [0]func() // no ==; see internal/SIZE.md
	n     atomic.Uint64
	owner atomic.Uintptr // a stack number, or 0 if there are stripes
	wide  stripe.Pointer // nil until there are stripes
	last  exemplar.Slot

	// One goroutine at a time owns n. For the owner, Inc is one inlined atomic add. Other
	// goroutines add through inc, and about one call in 64 makes its caller the owner.
	// Frequent changes of owner mean contention and create stripes. To detect contention
	// on every add, by a compare-and-swap, makes Inc 1.4 times slower (BenchmarkAdd).
}

// A CounterVec is a [Vec] of counters.
type CounterVec = Vec[Counter]

var counters = metricType{expo.Counter, false, unsafe.Sizeof(Counter{}), newCounter, encodeCounters}

func newCounter(f *family, n int, apart bool, _ string) unsafe.Pointer {
	list := make([]Counter, metricsPerAllocation(n, apart, unsafe.Sizeof(Counter{})))
	for i := range n {
		list[i].last.Init(f.none)
	}
	return unsafe.Pointer(&list[0])
}

// Inc adds 1.
func (c *Counter) Inc() {
	// On 64-bit machines the compiler inlines exactly this much (TestInlining), so
	// stripe.StackNumber is written out.
	if c.owner.Load() == uintptr(unsafe.Pointer(new(struct{})))>>stripe.StackShift {
		c.n.Add(1)
	} else {
		c.inc()
	}
}

// inc is the slow path of Inc. It takes no argument: with one, Inc would exceed the
// inlining budget.
//
//go:noinline
func (c *Counter) inc() {
	at := stripe.StackNumber()
	if now := c.word(at).Add(1); stripe.Sampled(now) {
		if c.owner.Load() == at {
			at++ // the frame of Inc's caller is on the next page of the stack
		}
		c.share(at)
	}
}

// Add adds n.
func (c *Counter) Add(n uint64) {
	at := stripe.StackNumber()
	if now := c.word(at).Add(n); stripe.Sampled(now) {
		c.share(at)
	}
}

// word returns the word in which goroutine at adds.
func (c *Counter) word(at uintptr) *atomic.Uint64 {
	if s := c.wide.Load(); s != nil {
		return s.Word(at)
	}
	return &c.n
}

// share makes goroutine at the owner of the word it adds to. A change of owner is a sign
// of contention, but no proof: a goroutine that adds from two depths of its stack changes
// the owner too. After a burst of changes share watches n, and only an add of another
// goroutine meanwhile creates stripes. In a stripe, word 1 of a row is the owner of word
// 0, and share watches word 0 after each change.
func (c *Counter) share(at uintptr) {
	if s := c.wide.Load(); s != nil {
		row := s.Row(at)
		word, owner := &s.Words[row], &s.Words[row+1]
		if owner.Load() == uint64(at) {
			return
		}
		owner.Store(uint64(at))
		if stripe.Changes(word, 32) && stripe.Contended(s, row, at, nil) {
			stripe.Widen(&c.wide, s, stripe.LineWords, nil, nil)
		}
		return
	}
	if c.owner.Load() == at {
		return
	}
	if stripe.Frequent(unsafe.Pointer(c)) && stripe.Changes(&c.n, 1024) {
		stripe.Widen(&c.wide, nil, stripe.LineWords, nil, nil)
	}
	c.reassign(at)
}

// reassign makes goroutine at the owner of n. With stripes, n has no owner, so that no
// core writes to the cache line of the counter itself. The field owner is stored before
// wide is read again: a concurrent stripe.Widen cannot leave n owned.
func (c *Counter) reassign(at uintptr) {
	c.owner.Store(at)
	if c.wide.Load() != nil {
		c.owner.Store(0)
	}
}

// AddExemplar adds n and leaves an exemplar: labels, given as name, value, name, value,
// that lead to one of the counted events, such as "trace_id", id. OpenMetrics shows the
// latest exemplar of a counter.
//
// Bad labels leave no exemplar, and tacho_errors_total{metric,reason="exemplar"} counts.
// Labels are bad if they are not pairs, have a bad name or a NUL, or have together more
// than 128 code points (OpenMetrics 1.0, "Exemplars"). The addition of n is recorded in
// any case. AddExemplar copies the strings and allocates the exemplar.
func (c *Counter) AddExemplar(n uint64, labels ...string) {
	c.Add(n)
	if len(labels) > 0 {
		c.last.Record(float64(n), labels)
	}
}

// Value returns the count. An Add that is still running may or may not be included. Of two
// calls in order, the second never returns less.
func (c *Counter) Value() uint64 {
	n := c.n.Load()
	if s := c.wide.Load(); s != nil {
		n += s.Sum()
	}
	return n
}

func encodeCounters(v *vec, e *expo.Encoder) {
	none := v.fam.none
	var c store.Cursor
	for ok := v.begin(&c, e); ok; ok = c.Next() {
		for i, metric := range c.Metrics[:c.N] {
			m := (*Counter)(metric)
			var d *expo.Details
			if !m.last.Is(none) || v.dated {
				d = v.details(e, &c, i, &m.last, nil)
			}
			if !e.Whole(c.Block(i), m.Value(), false, d) {
				return
			}
		}
	}
}

// A FloatCounter sums amounts such as seconds or dollars: a float64 that only goes up
// (OpenMetrics 1.0, "Counter"). All methods are safe for concurrent use and never block.
// They allocate only if contention on the counter makes it grow. [Registry.FloatCounter]
// makes a FloatCounter. A zero FloatCounter sums, but no scrape shows it.
type FloatCounter struct {
	bits atomic.Uint64
	wide stripe.Pointer // nil until there are stripes
	last exemplar.Slot
}

// A FloatCounterVec is a [Vec] of float counters.
type FloatCounterVec = Vec[FloatCounter]

var floatCounters = metricType{expo.Counter, false, unsafe.Sizeof(FloatCounter{}), newFloatCounter, encodeFloatCounters}

func newFloatCounter(f *family, n int, apart bool, _ string) unsafe.Pointer {
	list := make([]FloatCounter, metricsPerAllocation(n, apart, unsafe.Sizeof(FloatCounter{})))
	for i := range n {
		list[i].last.Init(f.none)
	}
	return unsafe.Pointer(&list[0])
}

// Inc adds 1.
func (c *FloatCounter) Inc() { c.Add(1) }

// Add adds v. If v is negative or NaN, the counter does not change and
// tacho_errors_total{metric,reason} counts, with reason "negative" or "nan".
func (c *FloatCounter) Add(v float64) { c.add(v) }

// AddExemplar adds v and leaves an exemplar; see [Counter.AddExemplar]. If v is negative
// or NaN, there is no exemplar.
func (c *FloatCounter) AddExemplar(v float64, labels ...string) {
	if c.add(v) && len(labels) > 0 {
		c.last.Record(v, labels)
	}
}

// add reports whether v was added.
func (c *FloatCounter) add(v float64) bool {
	if !(v >= 0) {
		c.last.Fault(refusal(v))
		return false
	}
	w, row, at := &c.bits, 0, uintptr(0)
	s := c.wide.Load()
	if s != nil {
		at = stripe.StackNumber()
		row = s.Row(at)
		w = &s.Words[row]
	}
	if !atomicfloat.TryAdd(w, v) {
		if stripe.Contended(s, row, at, unsafe.Pointer(c)) {
			stripe.Widen(&c.wide, s, stripe.LineWords, nil, nil)
		}
		atomicfloat.Add(w, v)
	}
	return true
}

// Value returns the sum. An Add that is still running may or may not be included.
func (c *FloatCounter) Value() float64 {
	v := atomicfloat.Load(&c.bits)
	if s := c.wide.Load(); s != nil {
		v += s.SumFloat(nil)
	}
	return v
}

func encodeFloatCounters(v *vec, e *expo.Encoder) {
	none := v.fam.none
	var c store.Cursor
	for ok := v.begin(&c, e); ok; ok = c.Next() {
		for i, metric := range c.Metrics[:c.N] {
			m := (*FloatCounter)(metric)
			var d *expo.Details
			if !m.last.Is(none) || v.dated {
				d = v.details(e, &c, i, &m.last, nil)
			}
			if !e.Float(c.Block(i), m.Value(), d) {
				return
			}
		}
	}
}
