package native

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

// A chunk counts the values of 8 neighboring buckets: those of one index>>3. It has the size of a
// cache line. The first value in one of the buckets makes the chunk. While the resolution stays, no
// count moves to another chunk.
type chunk [chunkSize]atomic.Uint64

const (
	chunkBits = 3
	chunkSize = 1 << chunkBits
)

// Two chunks count nothing. A place is empty before it gets a chunk. A place is frozen if it must not
// get a chunk any more. The words of empty and frozen begin at none, so an add to them has a result
// above none. The caller then repeats the add in a chunk. So Word needs no comparison.
var (
	empty  = (*chunk)(unsafe.Pointer(&noWords[0]))
	frozen = (*chunk)(unsafe.Pointer(&noWords[1]))

	// The two chunks overlap, which is smaller. The words are not of type chunk, because code at the
	// start of a program would then set them. See internal/SIZE.md.
	noWords = [chunkSize + 1]uint64{none, none, none, none, none, none, none, none, none}
)

const none = 1 << 63

// A side is a directory of the chunks of positive, negative or infinite values.
type side struct {
	_      [0]func()      // no ==; see internal/SIZE.md
	first  int32          // the index>>3 of the first place
	n      uint16         // number of places
	shift  uint8          // from biased bits to an index>>3; the same for all sides, see Word
	places unsafe.Pointer // to n places
}

const pointerSize = unsafe.Sizeof(uintptr(0))

// A place is a pointer to a chunk, to empty or to frozen.
type place struct {
	_ [0]func()            // no ==; see internal/SIZE.md
	p atomic.Pointer[byte] // atomic.Pointer[chunk] is larger, see internal/SIZE.md
}

func (p *place) load() *chunk { return (*chunk)(unsafe.Pointer(p.p.Load())) }

func (p *place) store(ch *chunk) { p.p.Store((*byte)(unsafe.Pointer(ch))) }

// counts returns the chunk of the place, or nil if the place is empty or frozen.
func (p *place) counts() *chunk {
	if ch := p.load(); ch != empty && ch != frozen {
		return ch
	}
	return nil
}

func (p *place) swap(from, to *chunk) bool {
	return p.p.CompareAndSwap((*byte)(unsafe.Pointer(from)), (*byte)(unsafe.Pointer(to)))
}

// The sides of a level. Infinite values have a side of their own, with index 0 for +Inf and 1 for
// -Inf. Their bucket follows the last finite bucket, far from most values.
const (
	positive = iota
	negative
	infinite
	sides
)

func (s *side) all() []place { return unsafe.Slice((*place)(s.places), int(s.n)) }

// A Level has the chunks of one resolution. The fields of a Level do not change. A Level with a larger
// directory of the same chunks can replace it, or an empty Level of another resolution.
type Level struct {
	_        [0]func() // no ==; see internal/SIZE.md
	table    *Table
	positive side
	negative *side // nil if there is none
	infinite *side // nil if there is none
	history  *history
	room     atomic.Uint32 // an int32: number of new buckets before the next check of the limit, at least
}

// A history is shared by the levels that have the same chunks. Nil is the history of the levels before
// the first fall of the resolution.
type history struct {
	_      [0]func()            // no ==; see internal/SIZE.md
	before atomic.Pointer[byte] // *Level: the replaced level, until a reader moves its counts; or nil
	fell   int64                // time of the fall in Unix milliseconds; 0 after a restart
}

func (l *Level) before() *Level {
	if l.history == nil {
		return nil
	}
	return (*Level)(unsafe.Pointer(l.history.before.Load()))
}

func (l *Level) side(kind int) *side {
	switch kind {
	case positive:
		return &l.positive
	case negative:
		return l.negative
	}
	return l.infinite
}

// index returns the index of a value in a side. If the value is infinite, bits is the index.
func (l *Level) index(kind int, bits uint64) int {
	if kind == infinite {
		return int(bits)
	}
	return l.table.index(bits)
}

// Buckets are the native buckets of a histogram, or of a row of its stripes. Add is safe for
// concurrent use, takes no lock, and allocates only chunks and directories.
//
// # Memory model
//
// Every shared word is accessed through sync/atomic alone. A count is added to one word of one
// chunk. Only readers, who exclude each other by the mutex of the Config, move counts.
//
// If the resolution falls, an empty level replaces the level. The new level refers to the old level
// until the next reader moves the counts. An Add can still count in the old level. After the count,
// Add loads the level again. If Add loads the old level, the replacement came later, and the reader
// that moves the counts finds the count. If Add loads a level with other chunks, Add lists the old
// level in Config.late for the next reader. So no count is lost. A count that one reader saw is in
// a chunk that the next reader sees.
//
// Before a larger directory replaces a directory, the empty places of the old one are frozen. Then the
// pointers to chunks are copied. So both directories have the same chunks.
type Buckets struct {
	_ [0]func()            // no ==; see internal/SIZE.md
	p atomic.Pointer[byte] // *Level; atomic.Pointer[Level] is larger, see internal/SIZE.md
}

func (b *Buckets) swap(from, to *Level) bool {
	return b.p.CompareAndSwap((*byte)(unsafe.Pointer(from)), (*byte)(unsafe.Pointer(to)))
}

// maxPlaces is the number of places to which every directory may grow; see Config.places. Values that
// need more places lower the resolution. 128 places have 1,024 buckets. In schema 3 these reach from 1
// to 2^128.
const maxPlaces = 128

// fewPlaces is the number of places below which a directory has no places in reserve.
const fewPlaces = 16

// A Config is the definition of a native histogram, which all series of a family share.
type Config struct {
	_         [0]func() // no ==; see internal/SIZE.md
	least     uint64    // bits of the least plain value; see Plain
	span      uint64    // number of values from least to MaxFloat64; 0 if the threshold is MaxFloat64
	schema    int
	max       int     // greatest number of populated buckets
	threshold float64 // of the zero bucket
	places    int     // greatest number of places of a directory
	empty     Level   // of Buckets without observations

	late atomic.Pointer[byte] // *late: a list
	mu   sync.Mutex           // held by readers, never by Add
}

// A late is a replaced level that may have got a count after the replacement.
type late struct {
	_       [0]func() // no ==; see internal/SIZE.md
	level   *Level
	buckets unsafe.Pointer // *Buckets, without its methods; see internal/SIZE.md
	next    *late
}

// Init sets the schema, the greatest number of populated buckets, and the threshold of the zero
// bucket. Afterwards c must not be copied.
func (c *Config) Init(schema, buckets int, threshold float64) {
	c.schema, c.max, c.threshold = schema, buckets, threshold
	c.least = max(math.Float64bits(threshold)+1, 1<<mantissaBits)
	c.span = maxBits + 1 - c.least
	c.places = max(maxPlaces, buckets/2)
	for s := MinSchema; s <= schema; s++ {
		TableOf(s) // so that Add does not allocate tables
	}
	c.empty.table = TableOf(schema)
}

// Empty returns the *Level in which Buckets begin.
func (c *Config) Empty() unsafe.Pointer { return unsafe.Pointer(&c.empty) }

// NewBuckets returns the first of n Buckets in a row, which are empty.
func NewBuckets(c *Config, n int) *Buckets {
	list := make([]atomic.Pointer[byte], n) // no []Buckets; see internal/SIZE.md
	for i := range list {
		list[i].Store((*byte)(c.Empty()))
	}
	return (*Buckets)(unsafe.Pointer(&list[0]))
}

// Init makes b empty.
func (b *Buckets) Init(c *Config) { b.p.Store((*byte)(c.Empty())) }

// Level returns the current Level.
func (b *Buckets) Level() *Level { return (*Level)(unsafe.Pointer(b.p.Load())) }

// Room returns the number of new buckets before the next check of the limit, at least.
func (l *Level) Room() int { return int(int32(l.room.Load())) }

// Plain reports whether bits are those of a positive, finite and normal value above the zero
// bucket. Only for such values [Level.Word] may be called.
func (c *Config) Plain(bits uint64) bool { return bits-c.least < c.span }

// Biased must be added to the bits of a value for [Level.Word].
const Biased = biased

// Word returns the word that counts a plain value. x is the sum of Biased and the bits of the value. If
// Word returns nil, [Buckets.Add] must count the value.
//
// The caller adds 1 to the word, and then loads the Level of the Buckets again. If the result of
// the add is 1, or negative as an int64, or the Level has changed, the caller calls
// [Buckets.Added].
func (l *Level) Word(x uint64) *atomic.Uint64 {
	t := l.table
	d := uint64(t.slots[x>>(mantissaBits-slotBits)%(1<<slotBits)])
	// Up to the schema coarse, the place depends on the exponent alone. In other schemas d is at least
	// far. So the processor reads the chunk while it reads the slot. The shift is in the side, because
	// an address that depends on two loads in a row is known later.
	at := uintptr(x>>(l.positive.shift&63)) - uintptr(l.positive.first)
	if d >= far || at >= uintptr(l.positive.n) {
		return nil
	}
	return &(*place)(unsafe.Add(l.positive.places, at*pointerSize)).load()[(x>>(t.indexShift&63)+d)%chunkSize]
}

// Add counts v. It returns false, and counts nothing, if v is NaN or in the zero bucket.
func (b *Buckets) Add(c *Config, v float64) bool {
	if bits := math.Float64bits(v); c.Plain(bits) && b.addFine(c, bits) {
		return true
	}
	kind, inf := positive, uint64(0)
	if v < 0 {
		kind, inf, v = negative, 1, -v
	}
	switch {
	case !(v > c.threshold):
		return false
	case v > math.MaxFloat64:
		b.add(c, infinite, inf, 1)
	default:
		b.add(c, kind, math.Float64bits(v), 1)
	}
	return true
}

// addFine is Add for most values of a schema above coarse. It returns false if add must count the value.
func (b *Buckets) addFine(c *Config, bits uint64) bool {
	l := b.Level()
	x := bits + biased
	d := l.table.slots[x>>(mantissaBits-slotBits)%(1<<slotBits)]
	i := int(x>>(l.table.indexShift&63)) + int(d%far)
	at := i>>chunkBits - int(l.positive.first)
	if d >= split || uint(at) >= uint(l.positive.n) {
		return false
	}
	k := l.positive.all()[at].load()[i&(chunkSize-1)].Add(1)
	if int64(k) <= 1 || b.Level() != l {
		b.Added(c, l, bits, k)
	}
	return true
}

// Added completes an add of 1 to a word that Word returned. n is the result of the add.
//
//go:noinline
func (b *Buckets) Added(c *Config, l *Level, bits, n uint64) {
	if n > none { // the chunk counts nothing
		b.add(c, positive, bits, 1)
		return
	}
	b.added(c, l, n == 1)
}

// add adds n to the bucket of a value, given by its side and the bits of its absolute value.
//
//go:noinline
func (b *Buckets) add(c *Config, kind int, bits, n uint64) {
	for {
		l := b.Level()
		i := l.index(kind, bits)
		ch := l.side(kind).chunk(i)
		if ch == nil {
			b.grow(c, l, kind, i>>chunkBits)
			continue
		}
		first := ch[i&(chunkSize-1)].Add(n) == n
		b.added(c, l, first)
		return
	}
}

// chunk returns the chunk of an index, and makes the chunk if the place is empty. It returns nil if the
// directory has no place for the chunk, or the place is frozen.
func (s *side) chunk(i int) *chunk {
	if s == nil {
		return nil
	}
	at := i>>chunkBits - int(s.first)
	if at < 0 || at >= int(s.n) {
		return nil
	}
	p := &s.all()[at]
	if p.load() == empty {
		p.swap(empty, (*chunk)(make([]atomic.Uint64, chunkSize)))
	}
	return p.counts()
}

// added completes an add to a chunk of l. If the add was the first in its bucket, the number of buckets
// may exceed the limit. If the level of b has other chunks than l, readers may not find the count.
//
//go:noinline
func (b *Buckets) added(c *Config, l *Level, first bool) {
	now := b.Level()
	if now.history != l.history {
		c.listLate(b, l)
		return
	}
	if first && int32(now.room.Add(^uint32(0))) < 0 {
		down, n := 0, now.populated(0)
		now.room.Store(uint32(c.max - n))
		for ; n > c.max && now.table.Schema-down > MinSchema; n = now.populated(down) {
			down++
		}
		b.lower(now, now.table.Schema-down)
	}
}

// listLate adds l, which is not the level of b any more, to c.late.
func (c *Config) listLate(b *Buckets, l *Level) {
	x := &late{level: l, buckets: unsafe.Pointer(b)}
	for {
		next := c.late.Load()
		x.next = (*late)(unsafe.Pointer(next))
		if c.late.CompareAndSwap(next, (*byte)(unsafe.Pointer(x))) {
			return
		}
	}
}

// populated returns the number of populated buckets after the schema is lowered by down.
func (l *Level) populated(down int) (n int) {
	for kind := range sides {
		last := math.MinInt
		down := down
		if kind == infinite {
			down = 0
		}
		s := l.side(kind)
		if s == nil {
			continue
		}
		for at := range s.all() { // Level.next takes longer
			ch := s.all()[at].counts()
			if ch == nil {
				continue
			}
			for i := range ch {
				if key := ((int(s.first)+at)<<chunkBits + i) >> down; key != last && ch[i].Load() > 0 {
					n, last = n+1, key
				}
			}
		}
	}
	return n
}

// next returns the index and the word of the first populated bucket of a side with at least the
// index i. If there is none, the word is nil.
//
//go:noinline
func (l *Level) next(kind, i int) (int, *atomic.Uint64) {
	s := l.side(kind)
	if s == nil {
		return 0, nil
	}
	for i = max(i, int(s.first)<<chunkBits); ; i++ {
		at := i>>chunkBits - int(s.first)
		if at >= int(s.n) {
			return 0, nil
		}
		ch := s.all()[at].counts()
		if ch == nil {
			i |= chunkSize - 1
		} else if w := &ch[i&(chunkSize-1)]; w.Load() > 0 {
			return i, w
		}
	}
}

// grow replaces l by a level whose directory has the place at. If the directory would have too many
// places, grow replaces l by a level of a lower schema instead.
//
//go:noinline
func (b *Buckets) grow(c *Config, l *Level, kind, at int) {
	old := l.side(kind)
	if old == nil {
		old = new(side)
	}
	first, end := at, at+1 // of the places that have chunks
	for i := range old.all() {
		p := &old.all()[i]
		if p.swap(empty, frozen); p.load() != frozen {
			first, end = min(first, int(old.first)+i), max(end, int(old.first)+i+1)
		}
	}
	if down := 0; end-first > c.places { // not in MinSchema, whose values need fewer than maxPlaces
		for ; (end-1)>>down-first>>down >= c.places; down++ {
		}
		b.lower(l, l.table.Schema-down)
		return
	}
	// A large directory gets more places, so that the copies take time in proportion to the places.
	if n := end - first; n >= fewPlaces {
		if n = min(n/4, c.places-n); at == first {
			first -= n
		} else {
			end += n
		}
	}
	s := &side{
		first:  int32(first),
		n:      uint16(end - first),
		shift:  l.table.indexShift + chunkBits,
		places: unsafe.Pointer(unsafe.SliceData(make([]atomic.Pointer[byte], end-first))), // see place
	}
	for i := range s.all() {
		ch := empty
		if at := first + i - int(old.first); uint(at) < uint(old.n) {
			if ch = old.all()[at].load(); ch == frozen {
				ch = empty
			}
		}
		s.all()[i].store(ch)
	}
	larger := &Level{table: l.table, positive: l.positive, negative: l.negative, infinite: l.infinite, history: l.history}
	larger.room.Store(l.room.Load()) // may miss buckets that are new right now; readers keep to the limit too
	switch kind {
	case positive:
		larger.positive = *s
	case negative:
		larger.negative = s
	default:
		larger.infinite = s
	}
	b.swap(l, larger)
}

// lower replaces l by an empty level of the given schema, if that is lower than the schema of l.
//
//go:noinline
func (b *Buckets) lower(l *Level, schema int) {
	if l.table.Schema > schema {
		h := &history{fell: time.Now().UnixMilli()}
		h.before.Store((*byte)(unsafe.Pointer(l)))
		b.swap(l, &Level{table: TableOf(schema), history: h})
	}
}
