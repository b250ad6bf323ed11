package tacho

import (
	"math"
	"runtime"
	"sync/atomic"
	"time"
	"unsafe"
)

// Striping spreads one busy number over several cache lines, so that cores add
// side by side instead of handing one line around.
//
// A metric starts as one row of words, for a counter a single word. Signs that cores
// meet there are, for a counter, that its owner changes (see Counter), and for the
// others a failed compare-and-swap. Sixteen of them in quick succession (see oftenMet)
// make the stripes: a set of rows, each on cache lines of its own, among which
// goroutines are dealt by the address of their stack. The memory of a metric that
// many goroutines use, but not often, stays that of one row, whatever chance meetings
// a long life has.
//
// Goroutines that meet in a row are parted: at the sixteenth time that an add finds
// another at work on the same word, the one that noticed moves to another row, and
// nobody with it but the few that share its place in the deal. When that has happened
// as often as there are rows, they are too few, and a set of twice the size follows,
// until there are four rows for each of GOMAXPROCS. Meetings in a row must double in
// number before they move somebody again: where more goroutines run than there are
// rows, moving is no help, and the deal, which every add reads, must not change all
// the time. So the memory follows the number of cores that really meet on a metric,
// and no pair of goroutines stays together.
//
// Why this is safe under the Go memory model: every word is only touched through
// sync/atomic, so no access races. Each add lands in exactly one word, and no
// word is ever taken away while the metric lives: a set of rows is published by a
// compare-and-swap of the pointer to it (losers of that race use the winner's), a
// larger set keeps the one before it, and the deal only says where later adds
// go. The total is the sum of all words. Atomic operations are sequentially
// consistent, so an add that happened before a read is in one of the words that
// the read loads. A word never goes down, so neither does a total read twice in
// order. Who owns a counter's word (see Counter) only decides which code adds to it,
// never where an add that has begun lands.

// cacheLine is the distance that keeps two words from sharing a line; 64 bytes
// on the machines that Go mostly runs on.
const cacheLine = 64

// lineWords is the number of 64-bit words in a line.
const lineWords = cacheLine / 8

// wholeLines rounds a number of words up to whole lines.
func wholeLines(words int) int { return (words + lineWords - 1) / lineWords * lineWords }

// rowsApart is how many words stay free behind each row of several lines. A core that walks
// along the lines of a row fetches those behind it before they are asked for, and takes
// them from the neighbour: two goroutines in neighbouring rows took 6 to 10 ns for an
// Observe, and take 5 with two lines between, as in two histograms. One line was not
// enough.
const rowsApart = 2 * lineWords

// rowStride returns how far apart rows lie of some words and one that counts meetings.
func rowStride(words int) int {
	stride := wholeLines(words + 1)
	if stride > lineWords {
		stride += rowsApart
	}
	return stride
}

const (
	minRows = 4   // of the first set: two cores are parted soon
	maxRows = 256 // of any set: 16 KiB for a counter

	// meetings is how many of them make the stripes, or move a goroutine: enough that
	// chance does neither, few enough (microseconds of contention) to lose
	// nothing.
	meetings = 16
)

// stackShift makes of an address on a stack a number that no other stack has: the
// smallest stacks are 2 KiB, and aligned. Frames of one stack that are far apart
// have different numbers, which costs no more than a second row.
const stackShift = 11

// stackNumber tells goroutines apart by the address of a variable on the stack,
// without a call into the runtime. It is a hint and no more: a stack may move, and
// be another goroutine's later. A new goroutine mostly gets a stack that one before
// it left on the same processor: 100,000 of them, 64 at a time, had 127 numbers with
// GOMAXPROCS 2 and 394 with 16.
func stackNumber() uintptr { return uintptr(unsafe.Pointer(new(struct{}))) >> stackShift }

// stripes is a set of rows. All that an add reads of it is written only when
// somebody moves, so it stays in every core's cache, on a line of its own.
type stripes struct {
	words  []atomic.Uint64 // of all rows, each whole cache lines long
	deal   []atomic.Uint32 // factors, one for as many stack numbers as there are rows
	stride uint32          // words from one row to the next; the last of a row counts meetings
	shift  uint32          // of a 32-bit hash, to the number of a row
	before *stripes        // the smaller set that this one followed

	_     [cacheLine]byte
	moves atomic.Uint32
	_     [cacheLine - 4]byte
}

const phi = 0x9e3779b9 // 2^32 divided by the golden ratio: spreads what is evenly spaced

func newStripes(rows, stride int, before *stripes) *stripes {
	s := &stripes{
		words:  make([]atomic.Uint64, rows*stride),
		deal:   make([]atomic.Uint32, rows),
		stride: uint32(stride),
		shift:  32,
		before: before,
	}
	for ; rows > 1; rows >>= 1 {
		s.shift--
	}
	for i := range s.deal {
		s.deal[i].Store(phi)
	}
	return s
}

// rowLimit is the power of two from four times GOMAXPROCS up: room enough that
// whoever moves mostly finds a row to itself.
func rowLimit() int {
	n := minRows
	for n < 4*runtime.GOMAXPROCS(0) && n < maxRows {
		n *= 2
	}
	return n
}

// widen replaces the set behind p, or the nil, by a larger one, unless somebody
// else just did, and returns what is there then.
func widen(p *atomic.Pointer[stripes], old *stripes, stride int) *stripes {
	rows := minRows
	if old != nil {
		rows = 2 * len(old.deal)
	}
	p.CompareAndSwap(old, newStripes(rows, stride, old))
	return p.Load()
}

// place returns where in the deal a stack number belongs.
func (s *stripes) place(at uintptr) int { return int(uint32(at)*phi>>(s.shift&31)) & (len(s.deal) - 1) }

// row returns the first word of the row of a stack number. With a random odd
// factor, two numbers share a row with a probability of at most 2/rows (that is
// what multiply-shift hashing promises), so a new factor parts two that met, be
// they of one place in the deal or of two.
func (s *stripes) row(at uintptr) int {
	factor := s.deal[s.place(at)].Load()
	return int(uint32(at)*factor>>(s.shift&31)) * int(s.stride)
}

// met is called for an add that met another in a row, and moves its goroutine now
// and then. It reports whether the set is too small: it is for the caller, who
// knows the pointer, to widen it.
func (s *stripes) met(row int, at uintptr) bool {
	last := row + int(s.stride) - 1
	if s.stride > lineWords {
		last -= rowsApart
	}
	n := s.words[last].Add(1)
	if n < meetings || n&(n-1) != 0 && n%(1<<16) != 0 {
		return false
	}
	s.move(at)
	return int(s.moves.Add(1)) >= len(s.deal) && len(s.deal) < rowLimit()
}

// move gives a stack number another row, mostly.
func (s *stripes) move(at uintptr) {
	f := &s.deal[s.place(at)]
	x := (f.Load() ^ uint32(at)) * 0x85ebca6b
	f.Store((x ^ x>>15) | 1)
}

// sum adds up the first words of all rows, integers.
func (s *stripes) sum() (n uint64) {
	for ; s != nil; s = s.before {
		for row := 0; row < len(s.words); row += int(s.stride) {
			n += s.words[row].Load()
		}
	}
	return n
}

// sumFloat is sum for words that hold the bits of a float64.
func (s *stripes) sumFloat() (v float64) {
	for ; s != nil; s = s.before {
		for row := 0; row < len(s.words); row += int(s.stride) {
			v += math.Float64frombits(s.words[row].Load())
		}
	}
	return v
}

// nowAndThen is true for one in 64 values of a counter: often enough that whoever stays
// owns it soon, seldom enough that changing the owner, and the time it takes to read
// the clock, cost nothing.
func nowAndThen(n uint64) bool { return n*0x9e3779b97f4a7c15>>58 == 0 }

// changes reports whether another goroutine adds to w during the given number of loads,
// each of which takes less than a nanosecond.
func changes(w *atomic.Uint64, loads int) bool {
	was := w.Load()
	for range loads {
		if w.Load() != was {
			return true
		}
	}
	return false
}

// meet is called for an add that met another, in a row or, where s is nil, in the metric
// itself, and reports whether that needs stripes, or more of them.
func meet(s *stripes, row int, at uintptr, metric unsafe.Pointer) bool {
	if s != nil {
		return s.met(row, at)
	}
	return oftenMet(metric)
}

// recent is what is known about the meetings in metrics without stripes, by their
// address: in the low 8 bits how many there were since there was none for a while,
// above them when the last one was, in units of half a millisecond. It is of no use
// after a millisecond, so no metric has memory for it. Metrics may share a place;
// that matters only if a program adds a hundred million times a second.
var recent [1024]atomic.Uint32

// oftenMet notes a meeting in a metric without stripes and reports whether it needs
// them. Meetings further apart cost less than a hundredth of a core, and stripes for
// them would cost memory and a slower scrape for ever.
func oftenMet(metric unsafe.Pointer) bool {
	known := &recent[uint32(uintptr(metric)>>5)*phi>>22]
	// The wall clock, since what time.Since needs is 3 KB in a program that has it from
	// nowhere else; where that clock jumps, a meeting or two are taken for rare or often.
	met, often := nextMet(known.Load(), time.Duration(time.Now().UnixNano()))
	known.Store(met)
	return often && runtime.GOMAXPROCS(0) > 1
}

// nextMet is what is known after one more meeting. often is true for each 16th in quick
// succession.
func nextMet(was uint32, now time.Duration) (_ uint32, often bool) {
	tick := uint32(now>>19) << 8
	if tick-was&^0xff > 1<<8 {
		return tick | 1, false
	}
	if n := was&0xff + 1; n < meetings {
		return tick | n, false
	}
	return tick, true
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
