package store

import "unsafe"

// A move copies series from a view to another. Slabs without a series stay behind.
type move struct {
	old, to *view
	moved   int      // series
	passed  int      // groups of to that series have passed
	slabs   []uint32 // by the old number of a slab: 1 + the new number
	used    int      // slabs of to
}

// index returns the index of a metric in the new view.
//
//go:noinline
func (m *move) index(index uint32) uint32 {
	from := int(index >> slabShift)
	for from >= len(m.slabs) {
		m.slabs = push(m.slabs, 0)
	}
	if m.slabs[from] == 0 {
		m.to.slabs[m.used] = m.old.slabs[from]
		m.to.metrics[m.used].Store(m.old.metrics[from].Load())
		m.used++
		m.slabs[from] = uint32(m.used)
	}
	return (m.slabs[from]-1)<<slabShift | index&slabMask
}

// move copies the texts at some positions of old into the main arena of a new view.
//
//go:noinline
func (s *Store) move(old *view, list []uint32) *move {
	size := uint32(1)
	for _, pos := range list {
		size += old.at(pos).units()
	}
	arena := make([]uint64, size)
	v := &view{id: new(byte), groups: newTable(len(list) + len(list)/4), main: unsafe.Pointer(unsafe.SliceData(arena))}
	v.resize(len(old.slabs))
	m := &move{old: old, to: v, moved: len(list)}
	for i, pos := range list {
		t := old.at(pos)
		head := t.head.Load() &^ dead // Store.removed has the series that were removed meanwhile
		index := m.index(uint32(head))
		to := (*text)(unsafe.Pointer(&arena[v.end]))
		to.head.Store(head - uint64(uint32(head)) + uint64(index))
		to.setBlock(t.block())
		if i%indexed == 0 {
			v.index = push(v.index, v.end)
		}
		m.passed += v.insert(s.hashOf(t), newRef(v.end, index))
		v.end += to.units()
	}
	v.limit = v.end
	return m
}

// install publishes the new view of m, after it has removed the series of s.removed and
// added the texts of tail, which came after the move. It needs the mutex.
//
//go:noinline
func (s *Store) install(m *move, tail []uint32) {
	m.old = s.now
	removed, slab, taken, size := s.removed, s.slab, s.taken, s.size
	s.begin(m.to)
	s.live, s.units, s.passed = m.moved, int(m.to.end), m.passed
	for _, pos := range removed {
		t := m.old.at(pos)
		s.Remove(s.hashOf(t), t.block(), nil)
	}
	m.to.resize(len(m.old.slabs))
	for _, pos := range tail {
		t := m.old.at(pos)
		if head := t.head.Load(); head&dead == 0 {
			added := s.addText(t.block())
			s.list(s.hashOf(t), added, m.index(uint32(head)))
		}
	}
	s.now.resize(m.used)
	s.slabs = m.used
	if slab < len(m.slabs) && m.slabs[slab] != 0 {
		s.slab, s.taken, s.size = int(m.slabs[slab]-1), taken, size
	}
	s.publish()
}

// compact gives back the texts and slabs of removed series. The next Order sorts all series.
// It needs the mutex.
func (s *Store) compact() {
	s.removed = nil
	s.install(s.move(s.now, s.Snapshot().positions()), nil)
}
