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
// The goroutine that uses a counter most owns n: its adds are bare atomic adds, inlined
// into its own code. Others add in a call, and now and then one of them becomes the
// owner, so whoever stays is it soon. Where the owner changes all the time, the
// counter's cache line wanders from core to core, and the counter needs stripes. The
// owner pays for none of that: looking for company with each add, by a
// compare-and-swap or a load before it, took 1.7 times as long.
type Counter struct {
	n     atomic.Uint64
	owner uint32                  // stack number; not an atomic.Uint32, whose method is too much for an inlined Inc
	met   atomic.Uint32           // see meet; what meets is owners
	wide  atomic.Pointer[stripes] // nil until there are stripes
	last  exemplarSlot
}

// Inc adds 1.
func (c *Counter) Inc() {
	// What stackNumber does, which as a call would be too much to inline.
	if atomic.LoadUint32(&c.owner) == uint32(uintptr(unsafe.Pointer(new(struct{})))>>stackShift) {
		c.n.Add(1)
	} else {
		c.add(1)
	}
}

// Add adds n.
func (c *Counter) Add(n uint64) {
	if atomic.LoadUint32(&c.owner) == uint32(uintptr(unsafe.Pointer(new(struct{})))>>stackShift) {
		c.n.Add(n)
	} else {
		c.add(n)
	}
}

// add is Add for a goroutine that does not own n.
func (c *Counter) add(n uint64) {
	at := stackNumber()
	if s := c.wide.Load(); s != nil {
		row := s.row(at)
		if s.words[row+1].Load() == uint64(at) {
			s.words[row].Add(n) // a row has an owner too
		} else {
			s.add(&c.wide, row, at, n)
		}
		return
	}
	if now := c.n.Add(n); nowAndThen(now) {
		c.own(at)
	}
}

// own makes a goroutine the owner of n or, where owners change often, makes stripes and
// ends all ownership, so that every core can read the counter and none writes to it.
// Who becomes the owner looks for stripes after that, so that one of the two ends it.
func (c *Counter) own(at uint32) {
	met := meet(c.met.Load())
	c.met.Store(met)
	if oftenMet(met) {
		widen(&c.wide, nil, lineWords)
	}
	if atomic.LoadUint32(&c.owner) == at {
		at++ // and yet it came here: the frame that Inc looks at is on the next page of the stack
	}
	atomic.StoreUint32(&c.owner, at)
	if c.wide.Load() != nil {
		atomic.StoreUint32(&c.owner, 0)
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
	met  atomic.Uint32           // see meet
	wide atomic.Pointer[stripes] // nil until two cores met on bits
	last exemplarSlot
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
	w, row, at := &c.bits, 0, uint32(0)
	s := c.wide.Load()
	if s != nil {
		at = stackNumber()
		row = s.row(at)
		w = &s.words[row]
	}
	if !swapAdd(w, v) {
		c.meet(s, row, at)
		addFloat(w, v)
	}
	return true
}

// meet is called for an add that met another at bits or, where s is not nil, at the
// first word of a row.
func (c *FloatCounter) meet(s *stripes, row int, at uint32) {
	if s != nil {
		if s.met(row, at) {
			widen(&c.wide, s, lineWords)
		}
		return
	}
	met := meet(c.met.Load())
	c.met.Store(met)
	if oftenMet(met) {
		widen(&c.wide, nil, lineWords)
	}
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
