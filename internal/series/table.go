package series

import (
	"sync/atomic"
)

// A Table is an open-addressed hash table. Readers probe it without a lock. Writers
// must hold the mutex of the vector: they fill free slots in place and replace deleted
// series by a tombstone. A full table is replaced by a new one; see [Table.Full].
type Table struct {
	slots []slot // a power of two
	live  int    // series
	used  int    // series and tombstones
}

// tombstone is in deleted slots. Its key equals no other key: keys are empty or end in
// label.Sep.
var tombstone = &Series{text: "tombstone", cut: uint32(len("tombstone"))}

// A slot repeats the hash of its series, so that a probe dereferences only the series
// that it looks for.
//
// A reader that sees one of the two stores without the other misses the series. The vector
// then compares keys under its mutex.
type slot struct {
	_    [0]func() // no ==; see internal/SIZE.md
	s    Pointer   // nil ends a probe
	hash atomic.Uint32
}

// NewTable returns a table for n series, and for as many again.
//
//go:noinline
func NewTable(n int) *Table {
	size := 4
	for size < 2*n {
		size *= 2
	}
	return &Table{slots: make([]slot, size)}
}

// Len returns the number of series.
func (t *Table) Len() int { return t.live }

// Full reports whether one more series would fill more than three quarters of the slots.
func (t *Table) Full() bool { return t.FullWith(1) }

// FullWith reports whether n more series would fill more than three quarters of the slots.
func (t *Table) FullWith(n int) bool { return 4*(t.used+n) > 3*len(t.slots) }

// Sparse reports whether the series fill less than an eighth of the slots of a table that
// is not small.
func (t *Table) Sparse() bool { return len(t.slots) > 64 && 8*t.live < len(t.slots) }

// At returns the series in the i-th slot, counted around, and reports whether its hash is
// hash. A nil series ends a probe.
func (t *Table) At(i, hash uint32) (s *Series, match bool) {
	slot := t.at(i)
	s = slot.s.Load()
	return s, s != nil && slot.hash.Load() == hash
}

func (t *Table) at(i uint32) *slot { return &t.slots[int(i)&(len(t.slots)-1)] }

// Find returns the series with this key, whose values are valid UTF-8, or nil.
//
//go:noinline
func (t *Table) Find(hash uint32, key string) *Series {
	for i := hash; ; i++ {
		s, match := t.At(i, hash)
		if s == nil || match && s.Key() == key {
			return s
		}
	}
}

// Insert adds s, whose key is not in the table.
func (t *Table) Insert(s *Series) {
	for i := s.Hash; ; i++ {
		slot := t.at(i)
		switch slot.s.Load() {
		case nil:
			t.used++
		case tombstone:
		default:
			continue
		}
		t.live++
		slot.hash.Store(s.Hash)
		slot.s.Store(s)
		return
	}
}

// Remove removes s, which is in the table.
func (t *Table) Remove(s *Series) {
	for i := s.Hash; ; i++ {
		if slot := t.at(i); slot.s.Load() == s {
			slot.s.Store(tombstone)
			t.live--
			return
		}
	}
}

// Holds reports whether s is in the table.
func (t *Table) Holds(s *Series) bool {
	for i := s.Hash; ; i++ {
		switch t.at(i).s.Load() {
		case s:
			return true
		case nil:
			return false
		}
	}
}

// Each ranges over all series, in no order.
func (t *Table) Each(yield func(*Series) bool) { t.EachOf(0, 1, yield) }

// EachOf ranges over the series in one of several equal parts of the table. parts is a
// power of two, and not above 4.
func (t *Table) EachOf(part, parts int, yield func(*Series) bool) {
	n := len(t.slots) / parts
	for i := range n {
		if s := t.slots[part*n+i].s.Load(); s != nil && s != tombstone && !yield(s) {
			return
		}
	}
}
