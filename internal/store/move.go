package store

import (
	"sync"
	"sync/atomic"
	"unsafe"
)

// A move copies series from a view to another. Slabs without a series stay behind.
type move struct {
	old, to *view
	slabs   []uint32 // by the old number of a slab: 1 + the new number
	passed  int      // groups of to that series have passed
}

// index returns the index of a metric in the new view.
//
//go:noinline
func (m *move) index(index uint32) uint32 {
	from := index >> slabShift
	for int(from) >= len(m.slabs) {
		m.slabs = append(m.slabs, 0)
	}
	if m.slabs[from] == 0 {
		m.to.slabs = append(m.to.slabs, m.old.slabs[from])
		m.to.metrics = append(m.to.metrics, atomic.Pointer[byte]{})
		m.to.metrics[len(m.to.slabs)-1].Store(m.old.metrics[from].Load())
		m.slabs[from] = uint32(len(m.to.slabs))
	}
	return (m.slabs[from]-1)<<slabShift | index&slabMask
}

// move copies the texts at some positions of old into the main arena of a new view.
//
//go:noinline
func (s *Store) move(old *view, list []uint32) *move {
	size := uint32(0)
	for _, pos := range list {
		size += old.at(pos).units()
	}
	arena := make([]uint64, size+1)
	v := &view{id: new(byte), groups: newGroups(len(list) + len(list)/4), main: unsafe.Pointer(&arena[0])}
	m := &move{old: old, to: v}
	for i, pos := range list {
		t := old.at(pos)
		head := t.head.Load() &^ dead // a series that was removed meanwhile is in Store.removed
		index := m.index(uint32(head))
		n := units(lengthOf(head))
		copy(arena[v.end+1:], unsafe.Slice((*uint64)(unsafe.Pointer(t)), n)[1:])
		arena[v.end] = head - uint64(uint32(head)) + uint64(index)
		if i%indexed == 0 {
			v.index = append(v.index, v.end)
		}
		m.passed += v.insert(s.hashOf(t), newRef(v.end, index))
		v.end += n
	}
	v.limit = v.end
	return m
}

// install makes the new view of m that of the store, after it has removed the series of
// s.removed and added the texts of tail, which came after the move. Readers see either the old
// series or the new ones. It needs the mutex.
//
//go:noinline
func (s *Store) install(m *move, moved int, tail []uint32) {
	v := m.to
	m.old = s.view.Load()
	live := make([]uint32, 0, len(tail))
	for _, pos := range tail {
		if t := m.old.at(pos); !t.dead() {
			live = append(live, pos)
			m.index(t.index()) // all slabs are in v now
		}
	}
	next := &Store{shape: s.shape, kind: s.kind}
	next.live, next.units, next.slabs = moved, int(v.end), len(v.slabs)
	if s.slab < len(m.slabs) && m.slabs[s.slab] != 0 {
		next.slab, next.taken, next.size = int(m.slabs[s.slab]-1), s.taken, s.size
	}
	next.passed = m.passed
	next.view.Store(v)
	for _, block := range s.removed {
		next.Remove(s.shape.hash(block), block, nil)
	}
	for _, pos := range live {
		t := m.old.at(pos)
		next.list(s.hashOf(t), next.addText(t.block()), m.index(t.index()))
	}
	s.state = next.state
	s.view.Store(next.view.Load())
}

// compact gives back the texts and slabs of removed series. The next Order sorts all series.
// It needs the mutex.
func (s *Store) compact() {
	list := s.Snapshot().positions()
	s.order.Store(nil)
	s.removed = nil
	s.install(s.move(s.view.Load(), list), len(list), nil)
}

// lay copies the texts of o in order into a new main arena. It locks mu, the mutex of the
// vector, for the series that are added and removed meanwhile. It needs the mutex of the
// order. It returns o if all series changed meanwhile.
func (s *Store) lay(mu *sync.Mutex, o *Order) *Order {
	mu.Lock()
	from := s.ordered
	s.removed, s.laying = nil, s.view.Load().id == o.view.id
	laying := s.laying
	mu.Unlock()
	if !laying {
		return o
	}
	list := o.positions()
	m := s.move(o.view, list)

	mu.Lock()
	defer mu.Unlock()
	if !s.laying { // Reset, Take or compact
		return o
	}
	s.install(m, len(list), s.tail[from:])
	return &Order{store: s, view: s.view.Load(), end: m.to.end}
}
