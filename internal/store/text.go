package store

import (
	"sync/atomic"
	"unsafe"
)

// A text is the head of a text: the index of the metric, and above 32 bits the length of the
// block and two flags. The block follows.
type text struct{ head atomic.Uint64 }

const (
	dead    = 1 << 63 // the series was removed
	escapes = 1 << 62 // values in the block have escapes, or label names are quoted

	unit       = 8  // bytes; texts begin at multiples
	chunkShift = 13 // a chunk has 8,192 units, which are 64 KiB
	chunkUnits = 1 << chunkShift
	firstShift = 4
	firstUnits = 1 << firstShift // of the first chunk
)

// MaxBlock is the length of the longest block.
const MaxBlock = 1<<30 - 1

func lengthOf(head uint64) int { return int(head << 2 >> 34) }

// units returns the number of units of a text with a block of n bytes.
func units(n int) uint32 { return uint32((unit + n + unit - 1) / unit) }

func (t *text) index() uint32 { return uint32(t.head.Load()) }
func (t *text) dead() bool    { return t.head.Load()&dead != 0 }
func (t *text) units() uint32 { return units(lengthOf(t.head.Load())) }
func (t *text) block() string { return t.blockOf(lengthOf(t.head.Load())) }

// blockOf returns the block, which has n bytes.
func (t *text) blockOf(n int) string {
	return unsafe.String((*byte)(unsafe.Add(unsafe.Pointer(t), unit)), n)
}

// hashOf returns the hash of the values of a text.
func (s *Store) hashOf(t *text) uint32 {
	if t.head.Load()&escapes == 0 {
		return s.shape.hashIn(nil, t.block())
	}
	return s.shape.hashEscaped(t.block())
}

// is reports whether t is the text of a series with this block that was not removed.
func (t *text) is(block string) bool {
	head := t.head.Load()
	return head&dead == 0 && lengthOf(head) == len(block) && t.blockOf(len(block)) == block
}

// text returns the text at a position that the view has.
func (v *view) text(pos uint32) *text {
	if pos < v.end {
		return (*text)(unsafe.Add(v.main, uintptr(pos)*unit))
	}
	pos -= v.end
	return (*text)(unsafe.Add(v.chunks[pos>>chunkShift], uintptr(pos&(chunkUnits-1))*unit))
}

// at is text, and not inlined; see internal/SIZE.md.
//
//go:noinline
func (v *view) at(pos uint32) *text { return v.text(pos) }

// live appends the positions, from pos up to until, of texts whose series were not removed.
//
//go:noinline
func (v *view) live(list []uint32, pos, until uint32) []uint32 {
	for pos < until {
		t := v.text(pos)
		if !t.dead() {
			list = append(list, pos)
		}
		pos += t.units()
	}
	return list
}

// addText copies a block behind the last text, and returns the position of the text, which has
// no index yet. It needs the mutex.
//
//go:noinline
func (s *Store) addText(block string) (pos uint32) {
	n := units(len(block))
	v := s.view.Load()
	if s.used+n > s.room {
		w := *v
		v = &w
		s.addChunk(v, n)
		s.view.Store(v)
	}
	pos = v.end + s.used
	s.used += n
	t := v.at(pos)
	copy(unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(t), unit)), len(block)), block)
	head := uint64(len(block)) << 32
	if s.shape.escaped(block) {
		head |= escapes
	}
	t.head.Store(head)
	return pos
}

// addChunk makes room for a text of n units in v. Chunks have 64 KiB of positions, but the
// first ones have less memory. A long text has an allocation of several chunks.
func (s *Store) addChunk(v *view, n uint32) {
	size := uint32(firstUnits) << min(len(v.chunks), chunkShift-firstShift)
	if len(s.shape.gaps) == 0 {
		size = 0 // there is one text
	}
	chunk := make([]uint64, max(size, n))
	s.used = uint32(len(v.chunks)) << chunkShift
	s.room = s.used + uint32(len(chunk))
	v.limit = v.end + s.room
	v.chunks = v.chunks[:len(v.chunks):len(v.chunks)] // older views keep their lists
	for i := 0; i < len(chunk); i += chunkUnits {
		v.chunks = append(v.chunks, unsafe.Pointer(&chunk[i]))
	}
}
