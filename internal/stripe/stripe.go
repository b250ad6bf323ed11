// Package stripe spreads a contended number over several cache lines, so that cores add
// side by side.
//
// A metric starts as one row of words. A counter has a row of one word. If contention on
// the metric is frequent, the metric gets a [Set] of rows, and each goroutine adds in a
// row that a hash of its stack address chooses. A metric that many goroutines use, but
// seldom at the same time, keeps its one row.
//
// Two events are contention: a failed compare-and-swap, and a word that changes while a
// goroutine watches it ([Changes]).
//
// A 16th collision in a row of a set rehashes the goroutine that noticed it to another
// row, with the few goroutines that share its hash slot. The slots belong to all sets: a
// goroutine that moves in one set mostly has a row of its own in the next set too. After as
// many moves as the set has rows, a set of twice the size replaces the set, up to four rows
// for each of GOMAXPROCS. Each further move needs twice as many collisions: if more
// goroutines run than there are rows, moving is no help, and every add reads the slots.
//
// # Memory model
//
// Every word is accessed through sync/atomic alone, so no access is a race. Each add is
// in exactly one word. No word is removed while the metric lives. A compare-and-swap
// publishes a set, and the losers of that race use the winner's set. A larger set refers to
// the set that it replaced. The hash slots only choose where later adds go. The total
// is the sum of all words. Atomic operations are sequentially consistent, so a read
// includes every add that happened before the read. Words never fall, so a total that is
// read twice in order never falls.
package stripe

import (
	"math"
	"runtime"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/tachikoma/tacho/internal/atomicfloat"
)

// CacheLine is the distance that keeps two words on different cache lines. Most machines
// that run Go have lines of 64 bytes.
const CacheLine = 64

// LineWords is the number of 64-bit words in a cache line.
const LineWords = CacheLine / 8

// WholeLines returns a number of words rounded up to whole cache lines.
func WholeLines(words int) int { return (words + LineWords - 1) / LineWords * LineWords }

// rowGap is the number of free words behind each row of several lines. A core that walks
// along the lines of a row prefetches the lines behind the row, and would take these
// lines from the neighbour. A gap of one line was not enough. Observe from two goroutines
// took 6 to 10 ns without a gap and 5 ns with this one (bench, "Observe").
const rowGap = 2 * LineWords

// RowStride returns the distance of rows of so many words. A row has one more word, which
// counts collisions.
func RowStride(words int) int {
	stride := WholeLines(words + 1)
	if stride > LineWords {
		stride += rowGap
	}
	return stride
}

const (
	minRows = 4   // of a metric's first set
	maxRows = 256 // of any set: 16 KiB for a counter

	// burst is the number of collisions that create a set or move a goroutine. Chance
	// does not reach it, and contention reaches it within microseconds.
	burst = 16
)

// StackShift makes a stack number of an address on a stack: the smallest stacks have
// 2 KiB and are aligned. A goroutine whose frames are far apart has several stack numbers.
const StackShift = 11

// StackNumber returns a number of the goroutine that calls it, without a call into the
// runtime. The number is a hint: a stack may move, and another goroutine may use it later.
//
// A new goroutine mostly gets a stack that a finished goroutine left on the same
// processor, so few numbers are in use: TestStackNumbersDiffer.
func StackNumber() uintptr { return uintptr(unsafe.Pointer(new(struct{}))) >> StackShift }

// A Set is a set of rows. An add only reads the fields before the padding, so that they
// stay in the cache of every core.
type Set struct {
	Words  []atomic.Uint64 // of all rows; each row is whole cache lines long
	stride uint32          // words from one row to the next
	shift  uint32          // from a 32-bit hash to the number of a row
	before *Set            // the smaller set that this set replaced
	side   unsafe.Pointer  // further data of the rows; see Widen

	_     [CacheLine]byte
	moves atomic.Uint32
	_     [CacheLine - 4]byte
}

// slots has hash factors, each as its exclusive or with phi. Several stack numbers share a slot.
//
// An add waits for all loads and multiplications between the atomic add before it and the
// address of its own word. The slots are not in a Set, because the wait for a slot then
// overlaps with the wait for the Set.
var slots struct {
	_       [CacheLine]byte // variables that adds write to are on other lines
	factors [1 << slotBits]atomic.Uint32
	_       [CacheLine]byte
}

const slotBits = 10

const phi = 0x9e3779b9 // 2^32 divided by the golden ratio: spreads evenly spaced numbers

func newSet(rows, stride int, before *Set) *Set {
	s := &Set{
		Words:  make([]atomic.Uint64, rows*stride),
		stride: uint32(stride),
		shift:  32,
		before: before,
	}
	for ; rows > 1; rows >>= 1 {
		s.shift--
	}
	return s
}

// Rows returns the number of rows.
func (s *Set) Rows() int { return 1 << (32 - s.shift) }

// rowLimit returns the least power of two that is at least four times GOMAXPROCS. A
// goroutine that moves then mostly finds a row without another goroutine.
func rowLimit() int {
	n := minRows
	for n < 4*runtime.GOMAXPROCS(0) && n < maxRows {
		n *= 2
	}
	return n
}

// A Pointer is an atomic.Pointer[Set] that is smaller; see internal/SIZE.md.
type Pointer struct {
	_ [0]func() // no ==; see internal/SIZE.md
	p atomic.Pointer[byte]
}

// Load returns the Set, or nil if there is none yet.
func (p *Pointer) Load() *Set { return (*Set)(unsafe.Pointer(p.p.Load())) }

// Widen replaces the set old in p, or nil, by a larger set, unless another goroutine has
// replaced old already. If side is not nil, side(def, rows) returns the data that the rows
// have besides words; see [Set.Side]. Widen calls side before another goroutine can load the set.
func Widen(p *Pointer, old *Set, stride int, def unsafe.Pointer, side func(def unsafe.Pointer, rows int) unsafe.Pointer) {
	rows := minRows
	if old != nil {
		rows = 2 * old.Rows()
	}
	s := newSet(rows, stride, old)
	if side != nil {
		s.side = side(def, rows)
	}
	p.p.CompareAndSwap((*byte)(unsafe.Pointer(old)), (*byte)(unsafe.Pointer(s)))
}

func slot(at uintptr) *atomic.Uint32 { return &slots.factors[uint32(at)*phi>>(32-slotBits)] }

// hash returns a hash of a stack number. With a random odd factor, two numbers share a row
// with a probability of at most 2/rows (multiply-shift hashing), so a new factor mostly
// separates two goroutines.
func hash(at uintptr) uint32 { return uint32(at) * (slot(at).Load() ^ phi) }

// Row returns the index in Words of the first word of the row of a stack number.
func (s *Set) Row(at uintptr) int { return int(hash(at)>>(s.shift&31)) * int(s.stride) }

// Number returns the number of the row of a stack number. Row returns the product of Number and
// the stride.
func (s *Set) Number(at uintptr) int { return int(hash(at) >> (s.shift & 31)) }

// Side returns the result of the function side of [Widen], or nil.
func (s *Set) Side() unsafe.Pointer { return s.side }

// Word returns the first word of the row of a stack number, in a set with rows of [LineWords].
func (s *Set) Word(at uintptr) *atomic.Uint64 {
	return &s.Words[hash(at)>>(s.shift&31)*LineWords]
}

// Move gives the slot of a stack number another factor, for all sets. It is safe for concurrent use.
func Move(at uintptr) {
	f := slot(at)
	x := (f.Load() ^ phi ^ uint32(at)) * 0x85ebca6b
	f.Store((x ^ x>>15 | 1) ^ phi)
}

// Sum returns the sum of the first words of all rows, also of the sets that s replaced.
func (s *Set) Sum() (n uint64) {
	for ; s != nil; s = s.before {
		for row := 0; row < len(s.Words); row += int(s.stride) {
			n += s.Words[row].Load()
		}
	}
	return n
}

// SumFloat is Sum for first words that hold float64 values. It adds the words behind each
// first word to counts.
func (s *Set) SumFloat(counts []uint64) (v float64) {
	for ; s != nil; s = s.before {
		for row := 0; row < len(s.Words); row += int(s.stride) {
			v += atomicfloat.Load(&s.Words[row])
			for i := range counts {
				counts[i] += s.Words[row+1+i].Load()
			}
		}
	}
	return v
}

// TakeFloat is SumFloat, and sets the words to 0. It has each concurrent addition once: in the
// result, or in the words.
func (s *Set) TakeFloat(counts []uint64) (v float64) {
	for ; s != nil; s = s.before {
		for row := 0; row < len(s.Words); row += int(s.stride) {
			v += math.Float64frombits(s.Words[row].Swap(0))
			for i := range counts {
				counts[i] += s.Words[row+1+i].Swap(0)
			}
		}
	}
	return v
}

// Before returns the set that s replaced, or nil.
func (s *Set) Before() *Set { return s.before }

// Sampled is true for one in 64 values of a counter. A goroutine that adds for a while
// soon finds it true, and the work that depends on it costs an add nearly nothing.
func Sampled(n uint64) bool { return n*0x9e3779b97f4a7c15>>58 == 0 }

// Changes reports whether another goroutine adds to w during the given number of loads.
// A load takes less than a nanosecond.
func Changes(w *atomic.Uint64, loads int) bool {
	was := w.Load()
	for range loads {
		if w.Load() != was {
			return true
		}
	}
	return false
}

// Contended counts a collision of goroutine at with another goroutine: in a row of s, or
// in the metric itself if s is nil. The 16th collision in a row, then each doubling of
// their number, and each 65,536th, moves the goroutine. Contended reports whether the caller should call
// [Widen].
func Contended(s *Set, row int, at uintptr, metric unsafe.Pointer) bool {
	if s == nil {
		return Frequent(metric)
	}
	last := row + int(s.stride) - 1
	if s.stride > LineWords {
		last -= rowGap
	}
	n := s.Words[last].Add(1)
	if n < burst || n&(n-1) != 0 && n%(1<<16) != 0 {
		return false
	}
	Move(at)
	return int(s.moves.Add(1)) >= s.Rows() && s.Rows() < rowLimit()
}

// recent counts collisions in metrics without a set, keyed by a hash of their address.
// The low 8 bits are the collisions in the current burst. The high 24 bits are the time
// of the last collision in units of 2^19 ns. An entry is of no use after a millisecond,
// so metrics have no field for it. Metrics with the same entry add up, which matters only
// above 1e8 adds a second.
var recent [1024]atomic.Uint32

// Frequent counts a collision in a metric without a set, and reports true for each 16th
// in quick succession. Collisions further apart cost less than a hundredth of a core, and
// a set would cost memory and a slower scrape.
func Frequent(metric unsafe.Pointer) bool {
	known := &recent[uint32(uintptr(metric)>>5)*phi>>22]
	// The wall clock: time.Since is larger; see internal/SIZE.md. If the clock jumps, one
	// burst is ended or continued wrongly.
	next, frequent := count(known.Load(), time.Duration(time.Now().UnixNano()))
	known.Store(next)
	return frequent && runtime.GOMAXPROCS(0) > 1
}

// count returns an entry of recent after one more collision, and reports whether the
// collision ends a burst.
func count(was uint32, now time.Duration) (next uint32, frequent bool) {
	tick := uint32(now>>19) << 8
	if tick-was&^0xff > 1<<8 {
		return tick | 1, false
	}
	if n := was&0xff + 1; n < burst {
		return tick | n, false
	}
	return tick, true
}
