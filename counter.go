package tacho

import (
	"math"
	"sync/atomic"
	"unsafe"
)

// A Counter is a uint64 that only goes up (OpenMetrics 1.0, "Counter"). It
// wraps to 0 past 2^64-1, which Prometheus takes for a restart. All methods are
// safe for concurrent use, never block and never allocate, but for the few
// times that contention makes stripes. Make one with [Registry.Counter].
//
// The goroutine that uses a counter most owns n: its Inc is a bare atomic add, inlined
// into its own code. Others add in a call, and now and then one of them becomes the
// owner, so whoever stays is it soon. Where the owner changes all the time, the
// counter's cache line wanders from core to core, and the counter needs stripes. The
// owner pays for none of that: to look for company with each add, by a
// compare-and-swap or a load before it, took 1.7 times as long.
type Counter struct {
	_     incomparable
	n     atomic.Uint64
	owner atomic.Uintptr          // a stackNumber
	wide  atomic.Pointer[stripes] // nil until there are stripes
	last  exemplarSlot
}

var counters = metricType{kindCounter, newCounter, walkCounters}

func newCounter(f *family, _ string, early bool) unsafe.Pointer {
	var c *Counter
	if early {
		c = &new(struct {
			m Counter
			_ apart
		}).m
	} else {
		c = new(Counter)
	}
	c.last.p.Store(f.none)
	return unsafe.Pointer(c)
}

// Inc adds 1.
func (c *Counter) Inc() {
	// This is as much as the compiler inlines, and spells stackNumber out for that.
	if c.owner.Load() == uintptr(unsafe.Pointer(new(struct{})))>>stackShift {
		c.n.Add(1)
	} else {
		c.inc()
	}
}

// inc is Inc for a goroutine that does not own n. It has no parameter because passing
// one is more than Inc can do and still be inlined.
//
//go:noinline
func (c *Counter) inc() {
	at := stackNumber()
	if now := c.word(at).Add(1); nowAndThen(now) {
		if c.owner.Load() == at {
			at++ // and yet it came here: the frame that Inc looks at is on the next page of the stack
		}
		c.share(at)
	}
}

// Add adds n.
func (c *Counter) Add(n uint64) {
	at := stackNumber()
	if now := c.word(at).Add(n); nowAndThen(now) {
		c.share(at)
	}
}

// word returns where a goroutine adds.
func (c *Counter) word(at uintptr) *atomic.Uint64 {
	if s := c.wide.Load(); s != nil {
		return &s.words[s.row(at)]
	}
	return &c.n
}

// share is called now and then, for a goroutine that may not own the word it adds to.
// A change of the owner of n is a sign of contention, but no proof: one goroutine that
// adds from two depths of its stack changes it too. After 16 changes in quick succession
// share watches n. Only an add of another goroutine meanwhile makes stripes. They end all
// ownership of n, so that every core can read the counter and none writes to it. The
// second word of a row is the owner of its first; there each change of owner is checked.
func (c *Counter) share(at uintptr) {
	if s := c.wide.Load(); s != nil {
		row := s.row(at)
		word, owner := &s.words[row], &s.words[row+1]
		if owner.Load() == uint64(at) {
			return
		}
		owner.Store(uint64(at))
		if changes(word, 32) && s.met(row, at) {
			widen(&c.wide, s, lineWords)
		}
		return
	}
	if c.owner.Load() == at {
		return
	}
	if oftenMet(unsafe.Pointer(c)) && changes(&c.n, 1024) {
		widen(&c.wide, nil, lineWords)
	}
	c.reassign(at)
}

// reassign makes goroutine at the owner of n, unless there are stripes. owner is stored
// before wide is read again: a concurrent widen cannot leave n owned.
func (c *Counter) reassign(at uintptr) {
	c.owner.Store(at)
	if c.wide.Load() != nil {
		c.owner.Store(0)
	}
}

// AddExemplar adds n and makes an exemplar of it, which OpenMetrics shows: labels,
// given as name, value, name, value, that lead to one of the counted events, such
// as "trace_id", id. The latest stays. An exemplar whose labels are not pairs, have
// a bad name or a NUL, or are together longer than 128 code points (OpenMetrics
// 1.0, "Exemplars") is dropped and counted in
// tacho_errors_total{metric,reason="exemplar"}; n is added all the same. It
// allocates the exemplar; the strings are copied.
func (c *Counter) AddExemplar(n uint64, labels ...string) {
	c.Add(n)
	if len(labels) > 0 {
		c.last.record(c.last.family(), float64(n), labels)
	}
}

// Value returns the count. Adds in flight may or may not be in it; two reads
// in order never go down.
func (c *Counter) Value() uint64 {
	n := c.n.Load()
	if s := c.wide.Load(); s != nil {
		n += s.sum()
	}
	return n
}

// A FloatCounter is a float64 that only goes up: seconds, dollars, joules.
// All methods are safe for concurrent use and never block. Make one with
// [Registry.FloatCounter].
type FloatCounter struct {
	bits atomic.Uint64
	wide atomic.Pointer[stripes] // nil until two cores met on bits
	last exemplarSlot
}

var floatCounters = metricType{kindCounter, newFloatCounter, walkFloatCounters}

func newFloatCounter(f *family, _ string, early bool) unsafe.Pointer {
	var c *FloatCounter
	if early {
		c = &new(struct {
			m FloatCounter
			_ apart
		}).m
	} else {
		c = new(FloatCounter)
	}
	c.last.p.Store(f.none)
	return unsafe.Pointer(c)
}

// Inc adds 1.
func (c *FloatCounter) Inc() { c.Add(1) }

// Add adds v. A negative or NaN v changes nothing and is counted in
// tacho_errors_total{metric,reason} (reason "negative" or "nan").
func (c *FloatCounter) Add(v float64) {
	c.add(v)
}

// AddExemplar adds v and makes an exemplar of it; see [Counter.AddExemplar]. A
// v that [FloatCounter.Add] refuses makes none.
func (c *FloatCounter) AddExemplar(v float64, labels ...string) {
	if c.add(v) && len(labels) > 0 {
		c.last.record(c.last.family(), v, labels)
	}
}

// add reports whether v was added.
func (c *FloatCounter) add(v float64) bool {
	if !(v >= 0) {
		c.last.family().refuses(v)
		return false
	}
	w, row, at := &c.bits, 0, uintptr(0)
	s := c.wide.Load()
	if s != nil {
		at = stackNumber()
		row = s.row(at)
		w = &s.words[row]
	}
	if !swapAdd(w, v) {
		if meet(s, row, at, unsafe.Pointer(c)) {
			widen(&c.wide, s, lineWords)
		}
		addFloat(w, v)
	}
	return true
}

// refuses counts a value that no counter may take, and reports whether v is one.
func (f *family) refuses(v float64) bool {
	if v >= 0 {
		return false
	}
	if v < 0 {
		f.fault(reasonNegative)
	} else {
		f.fault(reasonNaN)
	}
	return true
}

// Value returns the sum of what was added.
func (c *FloatCounter) Value() float64 {
	v := math.Float64frombits(c.bits.Load())
	if s := c.wide.Load(); s != nil {
		v += s.sumFloat()
	}
	return v
}
