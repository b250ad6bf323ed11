package store

import (
	"math/bits"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/tachikoma/tacho/internal/byteorder"
	"github.com/tachikoma/tacho/internal/sortkeys"
)

// An Order has the series of a scrape, sorted by their label values. Most are the texts of the
// main arena of a view. Each other text has its place between two texts of the main arena.
type Order struct {
	kind *Kind
	view *view
	end  uint32  // of the main arena, or 0 if its texts are in tail
	tail []place // sorted
}

// A place is the position of a text, and the position of the text of the main arena that
// follows in the order.
type place struct {
	_        [0]func() // no ==; see internal/SIZE.md
	pos, end uint32
}

const (
	batch   = 32 // series of a Cursor
	indexed = 64 // texts of main for each entry of view.index
	unlaid  = 16 // texts out of order that a small vector may have
)

// Order returns the series in order. The work is proportional to the changes since the last
// call and to the texts behind the main arena. Order locks mu, the mutex of the vector, for what
// changed since the last call and, at the end, for what changed meanwhile. The caller holds the
// mutex of the order.
func (s *Store) Order(mu *sync.Mutex) *Order {
	mu.Lock()
	o, all, fresh := s.order, s.Snapshot(), s.tail[s.ordered:]
	s.ordered = len(s.tail)
	limit := s.live/8 + unlaid - s.gone
	if s.waste > s.units/8+compactUnits {
		limit = -1
	}
	s.laying = true
	mu.Unlock()
	v := all.view
	switch {
	case o == nil || o.view.id != v.id:
		o, fresh = s.newOrder(v, 0, nil), all.positions()
	case o.view != v:
		o = s.newOrder(v, o.end, o.tail)
	}
	o = s.merge(o, fresh)
	var m *move
	if len(o.tail) > limit { // copy the texts into a new main arena
		m = s.move(v, o.positions())
	}
	mu.Lock()
	if s.laying { // otherwise Reset, Take or compact: o would keep removed series
		if m != nil {
			s.install(m, s.tail[s.ordered:])
			o = s.newOrder(s.now, s.now.end, nil)
		} else if s.now != o.view {
			o = s.newOrder(s.now, o.end, o.tail)
		}
		s.order, s.removed, s.laying = o, nil, false
	}
	mu.Unlock()
	return o
}

//go:noinline
func (s *Store) newOrder(v *view, end uint32, tail []place) *Order {
	return &Order{kind: &s.kind, view: v, end: end, tail: tail}
}

// positions returns the positions of the series in order.
func (o *Order) positions() (list []uint32) {
	for r := (runs{single: true}); r.next(o); {
		list = o.view.live(list, r.pos, r.until)
	}
	return list
}

// merge returns o with the live texts of fresh.
func (s *Store) merge(o *Order, fresh []uint32) *Order {
	v := o.view
	keys, n := make([]key, len(fresh)), 0
	for _, pos := range fresh {
		if v.at(pos).head.Load()&dead == 0 {
			keys[n].set(s, v, pos)
			n++
		}
	}
	if n == 0 {
		return o
	}
	sorted := sortkeys.Sort(n, func(i uint32, at int) (uint64, bool) { return keys[i].part(at) })
	old := o.tail
	n = 0
	merged := make([]place, len(old)+len(sorted))
	for i, k := 0, 0; i+k < len(merged); {
		var next *key
		if k < len(sorted) {
			next = &keys[sorted[k]]
		}
		var p place
		if next == nil || i < len(old) && s.before(v, old[i].pos, next) {
			p = old[i]
			i++
		} else {
			p = place{pos: next.pos, end: s.end(o, next)}
			k++
		}
		if v.at(p.pos).head.Load()&dead == 0 {
			merged[n] = p
			n++
		}
	}
	return s.newOrder(v, o.end, merged[:n])
}

// end returns the end of the texts of the main arena of o that come before a key.
func (s *Store) end(o *Order, k *key) uint32 {
	v := o.view
	low, high := 0, len(v.index) // entries before low are before k
	for low < high && o.end > 0 {
		if half := (low + high) / 2; s.before(v, v.index[half], k) {
			low = half + 1
		} else {
			high = half
		}
	}
	pos := uint32(0)
	if low > 0 {
		pos = v.index[low-1]
	}
	for pos < o.end && s.before(v, pos, k) {
		pos += v.at(pos).units()
	}
	return pos
}

// A key is the block of a text without escapes, or the key of a block with escapes; see
// Shape.key. It orders series by the bytes of their values.
type key struct {
	_       [0]func() // no ==; see internal/SIZE.md
	pos     uint32
	text    *text
	escaped string
}

// set makes k the key of the text at pos.
//
//go:noinline
func (k *key) set(s *Store, v *view, pos uint32) {
	k.pos, k.text = pos, v.at(pos)
	if k.text.head.Load()&escapes != 0 {
		k.escaped = s.shape.key(k.text.block())
	}
}

// part is the function for package sortkeys. A quote, which ends a value, comes first.
func (k *key) part(at int) (part uint64, more bool) {
	if k.escaped != "" {
		return sortkeys.Part(k.escaped, at)
	}
	n := lengthOf(k.text.head.Load())
	if at >= n {
		return 0, false
	}
	// The last word of a text may end in zeros: no block begins with the whole text of
	// another block. Each byte grows by one, without a carry, and a quote becomes 0.
	x := bits.ReverseBytes64(byteorder.Load64(word64(unsafe.Add(unsafe.Pointer(k.text), unit+at))))
	q := x ^ 0x22222222_22222222
	quotes := ^(q&0x7f7f7f7f_7f7f7f7f + 0x7f7f7f7f_7f7f7f7f | q) & 0x80808080_80808080
	x = x&0x7f7f7f7f_7f7f7f7f + 0x01010101_01010101 ^ x&0x80808080_80808080
	return x &^ (quotes >> 7 * 0xff), n-at > 8
}

// before reports whether the text at pos comes before k.
//
//go:noinline
func (s *Store) before(v *view, pos uint32, k *key) bool {
	var t key
	t.set(s, v, pos)
	for at := 0; ; at += 8 {
		x, left := t.part(at)
		y, more := k.part(at)
		if x != y {
			return x < y
		}
		if !left && !more {
			return false // a removed series, which was added again
		}
	}
}

// A Cursor passes the series of an Order, some at a time. The zero Cursor is ready for Start.
type Cursor struct {
	_ [0]func() // no ==; see internal/SIZE.md

	order *Order
	runs

	// The series of the last call of Next.
	N       int
	Metrics [batch]unsafe.Pointer
	texts   [batch]*text
}

// runs are the texts of an Order as ranges of positions: from pos up to until.
type runs struct {
	_          [0]func() // no ==; see internal/SIZE.md
	pos, until uint32
	main       uint32 // the end of the last range of the main arena
	tail       int    // the number of the next text of Order.tail
	single     bool   // the range is of a text of tail
}

// Start makes c begin with the first series of o.
func (c *Cursor) Start(o *Order) {
	c.order = o
	c.runs = runs{}
	c.single = true
}

// Next sets the fields of c to the next series, and reports whether there are any. It reads
// the first word of each metric, so that the waits for memory overlap.
func (c *Cursor) Next() bool {
	o := c.order
	v, size := o.view, o.kind.Size
	n := 0
	for n < batch {
		if c.pos == c.until {
			if !c.next(o) {
				break
			}
			continue
		}
		t := v.text(c.pos)
		head := t.head.Load()
		c.pos += units(head)
		if head&dead != 0 {
			continue
		}
		if m := v.metric(uint32(head), size); m != nil {
			c.Metrics[n], c.texts[n] = m, t
			n++
		}
	}
	c.N = n
	for _, m := range c.Metrics[:n] {
		(*atomic.Uint32)(m).Load()
	}
	return n > 0
}

// Block returns the label block of the i-th series.
func (c *Cursor) Block(i int) string {
	t := c.texts[i]
	return t.blockOf(lengthOf(t.head.Load()))
}

// Created returns the time of creation of the i-th series.
func (c *Cursor) Created(i int) int64 { return *(*int64)(c.times(i)) }

// Idle returns the Idle of the i-th series.
func (c *Cursor) Idle(i int) *Idle { return (*Idle)(unsafe.Add(c.times(i), 8)) }

func (c *Cursor) times(i int) unsafe.Pointer {
	return c.order.view.times(c.texts[i].index(), c.order.kind.Times)
}

// next goes on to the next range of o, which can be empty, and reports whether there is one.
func (r *runs) next(o *Order) bool {
	r.single = !r.single
	if r.single {
		r.main = r.until
		if r.tail == len(o.tail) {
			return false
		}
		r.pos = o.tail[r.tail].pos
		r.until = r.pos + o.view.at(r.pos).units()
		r.tail++
		return true
	}
	r.pos, r.until = r.main, o.end
	if r.tail < len(o.tail) {
		r.until = o.tail[r.tail].end
	}
	return true
}
