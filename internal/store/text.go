package store

import (
	"sync/atomic"
	"unsafe"
)

// A text is the head of a text: the index of the metric, and above 32 bits the length of the
// block and two flags. The block follows.
type text struct {
	_    [0]func() // no ==; see internal/SIZE.md
	head atomic.Uint64
}

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

// units returns the number of units of a text with this head.
func units(head uint64) uint32 { return uint32((unit + int(head<<2>>34) + unit - 1) / unit) }

func (t *text) index() uint32 { return uint32(t.head.Load()) }

//go:noinline
func (t *text) units() uint32 { return units(t.head.Load()) }

//go:noinline
func (t *text) block() string { return t.blockOf(lengthOf(t.head.Load())) }

// blockOf returns the block, which has n bytes.
func (t *text) blockOf(n int) string {
	return unsafe.String((*byte)(unsafe.Add(unsafe.Pointer(t), unit)), n)
}

// setBlock copies a block behind the head.
func (t *text) setBlock(block string) {
	copy(unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(t), unit)), len(block)), block)
}

// hashOf returns the hash of the values of a text.
//
//go:noinline
func (s *Store) hashOf(t *text) uint32 {
	return s.shape.hash(t.block(), t.head.Load()&escapes != 0)
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
		head := v.text(pos).head.Load()
		if head&dead == 0 {
			list = push(list, pos)
		}
		pos += units(head)
	}
	return list
}

// addText copies a block behind the last text, and returns the position of the text, which has
// no index yet. It needs the mutex.
//
//go:noinline
func (s *Store) addText(block string) (pos uint32) {
	head := uint64(len(block)) << 32
	n := units(head)
	if s.used+n > s.room {
		s.addChunk(n)
	}
	pos = s.now.end + s.used
	s.used += n
	t := s.now.at(pos)
	t.setBlock(block)
	if s.shape.escaped(block) {
		head |= escapes
	}
	t.head.Store(head)
	return pos
}

// addChunk makes room for a text of n units. Chunks have 64 KiB of positions, but the
// first ones have less memory. A long text has an allocation of several chunks.
func (s *Store) addChunk(n uint32) {
	v := s.change()
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
