// Package store keeps the series of a vector: the table of a lookup, the texts of the series
// in the order of a scrape, and the slabs of their metrics.
//
// The text of a series is its rendered label block, such as `{method="GET",path="/x"} `. A
// lookup compares label values with the text. A series has no other key.
//
// # Cache lines
//
// In a large vector, a lookup waits for two cache lines, one after the other: the group of the
// table, and the text. The lookup starts to read the line of the metric before it compares the
// text. A long text has further lines behind the first. Inc writes the line of the metric, which
// two counters share. A line of a scrape reads a text, which lies behind the text of the line
// before, and the line of a metric. The scrape reads the metrics of 32 series ahead, and the
// waits for their lines overlap.
//
// # The collector
//
// Table and texts have no pointers. The collector reads slabs of up to 64 metrics.
//
// # Lifetimes
//
// A slab stays in memory while one of its series is in the vector. A pointer to one of its
// metrics, which the program keeps, has the same effect. A kept pointer keeps at most 63 other
// metrics. The memory of a metric is never used for another series. A scrape gives back the
// texts of deleted series once they are about an eighth of all, in number or length. Without
// scrapes, the next new series gives them back once they are more than half.
package store

import (
	"sync/atomic"
	"unsafe"

	"github.com/tachikoma/tacho/internal/label"
)

// A Store has the series of one vector. Find and FindBlock take no lock. The mutex is that of
// the vector. The mutex of the order is locked before it. Each method states the mutexes that
// its caller holds.
type Store struct {
	view  atomic.Pointer[byte] // *view: now, once it is complete; atomic.Pointer[view] is larger, see internal/SIZE.md
	shape Shape
	kind  Kind
	state // under the mutex of the vector
}

type state struct {
	now     *view    // the view of a change; see Store.publish
	order   *Order   // of the last scrape, if it is of the view
	live    int      // series
	gone    int      // texts of removed series
	units   int      // of the texts of series
	waste   int      // units of the texts of removed series
	passed  int      // groups with the flag passed
	slabs   int      // in use
	slab    int      // the slab of the next metric
	taken   uint32   // metrics of that slab that are in use
	size    uint32   // of that slab
	tail    []uint32 // positions of the texts behind the main arena, also of deleted series
	ordered int      // of tail: in the order of the last scrape
	used    uint32   // units behind main that have texts
	room    uint32   // units behind main up to the end of the last chunk
	removed []uint32 // while Order runs: positions of removed series
	laying  bool     // Order runs, and the view has the texts that Order reads
}

// A Kind has what a store knows about the metrics of its vector.
type Kind struct {
	Size   uintptr                                              // of a metric
	New    func(n int, apart bool, block string) unsafe.Pointer // makes n metrics, or one with cache lines of its own, for block
	Single bool                                                 // each metric is an allocation of its own
	Times  int                                                  // words for each series: 0, or 1 for the time of creation, or 3 with an Idle
}

// An Idle has what expiry knows of a series. It is under the mutex of the order.
type Idle struct {
	Last    uint64 // the mark of the metric at the last scrape
	Changed int64  // the monotonic time of the scrape that saw the mark change, or 0
}

// A view has the series for readers. The fields of a view do not change. Groups, chunks and
// slabs are filled in place. A reader reaches an entry only by a slot that refers to the entry.
type view struct {
	_       [0]func()              // no ==; see internal/SIZE.md
	groups  []group                // a hash table; their number is a power of two
	main    unsafe.Pointer         // the arena of the texts in order
	end     uint32                 // of main, in units
	limit   uint32                 // positions below are in main or in chunks
	chunks  []unsafe.Pointer       // of the texts behind main
	metrics []atomic.Pointer[byte] // of each slab
	slabs   []slab
	index   []uint32 // positions of every 64th text in main
	id      *byte    // of the texts: positions in views with one id are of the same texts
}

// Early is the number of series of a vector whose metrics have cache lines of their own. Two
// cores that add to two counters on one line wait for each other as if they shared a
// counter, and the counters do not notice. The first series are often the busy ones. Among
// many series, chance mostly keeps busy ones apart.
const Early = 64

// Init makes s an empty store of series with these constant labels and label names.
func (s *Store) Init(consts []label.Label, names []string, kind Kind) {
	s.shape.init(consts, names)
	s.kind = kind
	s.Reset()
}

// Reset removes all series. It needs the mutex.
func (s *Store) Reset() {
	s.begin(&view{id: new(byte), groups: newTable(0)})
	s.publish()
}

// begin makes v, which no reader has, the view.
//
//go:noinline
func (s *Store) begin(v *view) { s.state = state{now: v} }

// change returns a copy of the view, which becomes the view.
//
//go:noinline
func (s *Store) change() *view {
	v := *s.now
	s.now = &v
	return &v
}

// publish shows readers the view after a change.
//
//go:noinline
func (s *Store) publish() {
	if s.current() != s.now { // otherwise lookups would wait for the cache line
		s.view.Store((*byte)(unsafe.Pointer(s.now)))
	}
}

// current returns the view of readers.
func (s *Store) current() *view { return (*view)(unsafe.Pointer(s.view.Load())) }

// Take removes all series of s, and moves the series of from to s. No scrape may have read
// from. Take needs the mutexes of both.
func (s *Store) Take(from *Store) {
	s.state = from.state
	s.order = nil
	s.publish()
	from.Reset() // a late recording in from is in a view of its own
}

// Len returns the number of series. It needs the mutex.
func (s *Store) Len() int { return s.live }

// AppendBlock appends the label block of values. Invalid UTF-8 is replaced by U+FFFD.
func (s *Store) AppendBlock(b []byte, values []string) []byte { return s.shape.append(b, values) }

// Hash returns the hash of the values of a block.
func (s *Store) Hash(block string) uint32 { return s.shape.hash(block, s.shape.escaped(block)) }

// AppendValues appends the values of a block, which share its memory unless they have
// escapes.
func (s *Store) AppendValues(values []string, block string) []string {
	return s.shape.appendValues(values, block)
}

// Find returns the metric of the series with these values, or nil. It also returns nil for
// a series with invalid UTF-8 or with escapes in its block, and sometimes while the store
// changes; see [Store.FindBlock].
func (s *Store) Find(values []string) unsafe.Pointer {
	if len(values) != len(s.shape.gaps) {
		return nil
	}
	v := s.current()
	h := label.NewHasher().Add(values)
	hash, length := h.Sum(), h.Size()+s.shape.fixed
	// Nearly all series are the first match in their first group.
	g := v.group(hash)
	if match := matches(g.words[0].Load(), tagOf(hash)); match != 0 {
		if r := ref(g.slot(first(match)).Load()); v.has(r) {
			m := v.metric(r.index(), s.kind.Size)
			if m == nil {
				return nil
			}
			(*atomic.Uint32)(m).Load() // the wait for its line begins before that for the text ends
			t := v.text(r.pos())
			if int(t.head.Load()>>32) == length && s.shape.is(unsafe.Add(unsafe.Pointer(t), unit), values) {
				return m
			}
		}
	}
	// Not the first match in the first group.
	m, _, _, _ := s.find(v, hash, values, "", length)
	return m
}

// FindBlock returns the metric of the series with this block, or nil.
func (s *Store) FindBlock(hash uint32, block string) unsafe.Pointer {
	m, _, _, _ := s.find(s.current(), hash, nil, block, 0)
	return m
}

// Add adds a series with a copy of block, which the store does not have, and returns its
// metric. If m is not nil, m is the metric, which is an allocation of its own. It needs the
// mutex.
func (s *Store) Add(hash uint32, block string, m unsafe.Pointer, created int64) unsafe.Pointer {
	if s.gone > s.live+compactAt || s.waste > s.units+compactUnits {
		s.compact()
	}
	pos := s.addText(block)
	if s.taken == s.size || m != nil {
		s.addSlab(m, s.now.at(pos).block())
	}
	index := uint32(s.slab)<<slabShift + s.taken
	s.taken++
	if s.kind.Times > 0 {
		*(*int64)(s.now.times(index, s.kind.Times)) = created
	}
	s.list(hash, pos, index)
	s.publish()
	return s.now.metric(index, s.kind.Size)
}

// list adds the text at pos, which has no index yet, to the table.
func (s *Store) list(hash, pos, index uint32) {
	s.grow()
	s.tail = push(s.tail, pos)
	s.live++
	t := s.now.at(pos)
	t.head.Store(t.head.Load() + uint64(index))
	s.units += int(t.units())
	s.passed += s.now.insert(hash, newRef(pos, index))
}

//go:noinline
func push(list []uint32, x uint32) []uint32 { return append(list, x) }

// Without scrapes, texts of removed series are kept up to the number, and up to the length, of
// those of all series, and so many more.
const (
	compactAt    = 256
	compactUnits = 1 << 15 // 256 KiB
)

// Remove removes the series with this block and reports whether there was one. If m is not
// nil, the series must have the metric m. The metric stays valid, and is never that of
// another series. It needs the mutex.
func (s *Store) Remove(hash uint32, block string, m unsafe.Pointer) bool {
	v := s.now
	found, g, slot, r := s.find(v, hash, nil, block, 0)
	if g == nil || m != nil && m != found { // found is nil if install removes a series without neighbours
		return false
	}
	// The next series may use the slot at once: a lookup that has read the tag compares the
	// text that it finds.
	g.words[0].Store(g.words[0].Load() &^ (0xff << (8 * slot)))
	t := v.at(r.pos())
	if s.laying {
		s.removed = push(s.removed, r.pos())
	}
	t.head.Store(t.head.Load() | dead)
	v.release(r.index())
	if o := s.order; o != nil && o.view.id == v.id { // maybe with an older list of slabs
		o.view.release(r.index())
	}
	n := int(t.units())
	s.live--
	s.gone++
	s.units -= n
	s.waste += n
	return true
}

// A Snapshot has the series that a store has at one time.
type Snapshot struct {
	view *view
	tail []uint32
	size uintptr
}

// Snapshot returns the series of s. It needs the mutex.
func (s *Store) Snapshot() Snapshot { return Snapshot{s.now, s.tail, s.kind.Size} }

// Each passes block and metric of each series that was not removed meanwhile, in no order. It
// needs no mutex. The memory of block is that of many series: copy what you keep.
func (s Snapshot) Each(yield func(block string, m unsafe.Pointer) bool) {
	for _, pos := range s.positions() {
		t := s.view.at(pos)
		if m := s.view.metric(t.index(), s.size); m != nil && !yield(t.block(), m) {
			return
		}
	}
}

// positions returns the positions of all texts whose series were not removed.
func (s Snapshot) positions() []uint32 {
	list := s.view.live(nil, 0, s.view.end)
	for _, pos := range s.tail {
		list = s.view.live(list, pos, pos+1)
	}
	return list
}
