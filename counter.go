package tacho

import (
	"math"
	"sync/atomic"
	"unsafe"
)

// A Counter is a uint64 that only goes up (OpenMetrics 1.0, "Counter"). It
// wraps to 0 past 2^64-1, which Prometheus takes for a restart. All methods are
// safe for concurrent use, never block and never allocate, but for the one
// time that contention makes the stripes. Make one with [Registry.Counter].
type Counter struct {
	_    incomparable
	n    atomic.Uint64
	wide atomic.Pointer[stripes] // nil until two cores met on n
	last exemplarSlot
}

var counters = metricType{kindCounter, newCounter, walkCounters}

func newCounter(f *family, _ string) unsafe.Pointer {
	c := new(Counter)
	c.last.p.Store(f.none)
	return unsafe.Pointer(c)
}

// Inc adds 1.
func (c *Counter) Inc() { c.Add(1) }

// Add adds n.
func (c *Counter) Add(n uint64) {
	if s := c.wide.Load(); s != nil {
		s.add(n)
		return
	}
	if old := c.n.Load(); !c.n.CompareAndSwap(old, old+n) {
		loadStripes(&c.wide).add(n)
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
	wide atomic.Pointer[stripes]
	last exemplarSlot
}

var floatCounters = metricType{kindCounter, newFloatCounter, walkFloatCounters}

func newFloatCounter(f *family, _ string) unsafe.Pointer {
	c := new(FloatCounter)
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
	if s := c.wide.Load(); s != nil {
		s.addFloat(v)
	} else if !swapAdd(&c.bits, v) {
		loadStripes(&c.wide).addFloat(v)
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
