package tacho

import (
	"math"
	"runtime"
	"sync/atomic"
	"unsafe"
)

// Striping spreads one busy number over several cache lines, so that cores add
// side by side instead of handing one line around.
//
// A metric starts as a single word. A compare-and-swap that fails on it proves
// that another core wrote in between, and only then are the cells made: the
// memory of a quiet metric stays that of one word.
//
// Why this is safe under the Go memory model: every cell, like the first word,
// is only touched through sync/atomic, so no access races. Each add lands in
// exactly one place, and no place is ever taken away while the metric lives:
// cells are published once by a compare-and-swap of the pointer (losers of that
// race use the winner's), and changing the salt only moves later adds to other
// cells of the same set. The total is the sum of all places. atomic operations
// are sequentially consistent, so an add that happened before a read is in one
// of the words that the read loads. A word never goes down, so neither does a
// total read twice in order.

// cacheLine is the distance that keeps two words from sharing a line; 64 bytes
// on the machines that Go mostly runs on.
const cacheLine = 64

// maxStripes bounds what one contended metric can take: 64 cells are 4 KiB.
const maxStripes = 64

// resaltAfter is how many collisions a cell sees before its users are dealt
// anew: rare enough that dealing costs nothing, soon enough (microseconds of
// contention) that two goroutines never stay on one cell.
const resaltAfter = 16

// A cell is one stripe of a counter, alone on its cache line.
type cell struct {
	_      incomparable
	bits   atomic.Uint64
	misses atomic.Uint32 // failed swaps; on the line that they dirtied anyway
	_      [cacheLine - 12]byte
}

// stripes is a set of cells. The header is read by every add and written only
// when the salt changes, so it stays in every core's cache.
type stripes struct {
	deal
	cells []cell // a power of two
}

// deal maps goroutines to stripes.
type deal struct {
	_     incomparable
	salt  atomic.Uint64
	shift uint
}

// init makes the mapping for n stripes, a power of two.
func (d *deal) init(n int) {
	d.salt.Store(0x9e3779b97f4a7c15)
	d.shift = 64
	for ; n > 1; n >>= 1 {
		d.shift--
	}
}

// pick chooses a stripe by the address of a variable on the caller's stack:
// goroutines have different stacks, and one goroutine keeps its own. It is a
// hint and no more, so that a stack that moves, or a frame that is deeper than
// another, costs nothing but a cold line. The low bits only tell frames of the
// same stack apart (stacks begin at 2 KiB) and are dropped.
func (d *deal) pick() int {
	var here byte
	at := uint64(uintptr(unsafe.Pointer(&here))) >> 10
	return int((at * d.salt.Load()) >> (d.shift & 63))
}

// redeal gives every goroutine a new stripe. Two that met are parted with
// probability 1-1/n each time, so no pair stays together.
func (d *deal) redeal() {
	d.salt.Store(d.salt.Load()*0xd1342543de82ef95 | 1)
}

// stripeCount is the power of two from four times GOMAXPROCS up, at most
// maxStripes: room enough that goroutines on distinct cores seldom meet.
func stripeCount() int {
	n := 2
	for n < 4*runtime.GOMAXPROCS(0) && n < maxStripes {
		n *= 2
	}
	return n
}

// loadStripes returns the cells behind p and makes them if need be.
func loadStripes(p *atomic.Pointer[stripes]) *stripes {
	if s := p.Load(); s != nil {
		return s
	}
	s := &stripes{cells: make([]cell, stripeCount())}
	s.init(len(s.cells))
	if p.CompareAndSwap(nil, s) {
		return s
	}
	return p.Load()
}

// add adds n to one cell. The swap is tried once, as a probe for company; then
// the wait-free add, so that no writer waits for another.
func (s *stripes) add(n uint64) {
	c := &s.cells[s.pick()&(len(s.cells)-1)]
	old := c.bits.Load()
	if c.bits.CompareAndSwap(old, old+n) {
		return
	}
	c.bits.Add(n)
	s.collided(c)
}

// addFloat adds v to one cell that holds the bits of a float64.
func (s *stripes) addFloat(v float64) {
	c := &s.cells[s.pick()&(len(s.cells)-1)]
	if swapAdd(&c.bits, v) {
		return
	}
	s.collided(c)
	addFloat(&c.bits, v)
}

func (s *stripes) collided(c *cell) {
	if c.misses.Add(1)%resaltAfter == 0 {
		s.redeal()
	}
}

func (s *stripes) sum() (n uint64) {
	for i := range s.cells {
		n += s.cells[i].bits.Load()
	}
	return n
}

func (s *stripes) sumFloat() (v float64) {
	for i := range s.cells {
		v += math.Float64frombits(s.cells[i].bits.Load())
	}
	return v
}

// swapAdd tries once to add v to the float64 whose bits w holds.
func swapAdd(w *atomic.Uint64, v float64) bool {
	old := w.Load()
	return w.CompareAndSwap(old, math.Float64bits(math.Float64frombits(old)+v))
}

// addFloat adds v to the float64 whose bits w holds. It is lock-free: a failed
// swap means that another writer got through.
func addFloat(w *atomic.Uint64, v float64) {
	for !swapAdd(w, v) {
	}
}
