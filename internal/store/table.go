package store

import (
	"math/bits"
	"sync/atomic"
	"unsafe"
)

// A ref is a slot of the table: the position of a text above 32 bits, and the index of a
// metric. One word has both, so that a reader always sees the metric of the text.
type ref uint64

func newRef(pos, index uint32) ref { return ref(pos)<<32 | ref(index) }

func (r ref) pos() uint32   { return uint32(r >> 32) }
func (r ref) index() uint32 { return uint32(r) }

// A group is a cache line of the hash table with up to seven series. A lookup compares seven
// bits of all hashes at once, and mostly reads no other group.
//
// The first word has the tags. Byte i of it is the tag of slot i, or 0 for an empty slot. Byte
// 7 is not 0 if a series found no room in the group, and is in a later group.
type group struct {
	_     [0]func() // no ==; see internal/SIZE.md
	words [1 + slotsPerGroup]atomic.Uint64
}

func (g *group) slot(n int) *atomic.Uint64 { return &g.words[(1+n)&7] }

const (
	slotsPerGroup = 7
	ones          = 0x00010101_01010101
	highs         = 0x00808080_80808080
	passed        = 1 << 56 // byte 7 of tags
)

// tagOf returns the tag of a hash in each of seven bytes.
func tagOf(hash uint32) uint64 { return uint64(hash>>25|0x80) * ones }

// matches returns the high bit of each byte of tags that equals the tag. A byte above a match
// may be marked too, so the caller compares the series.
func matches(tags, tag uint64) uint64 {
	x := tags ^ tag
	return (x - ones) &^ x & highs
}

// first returns the slot of the lowest match.
func first(m uint64) int { return bits.TrailingZeros64(m) >> 3 }

// newTable returns an empty table, of which n series fill at most four fifths.
//
//go:noinline
func newTable(n int) []group {
	groups := 1
	for full(groups, n) {
		groups *= 2
	}
	return make([]group, groups)
}

// full reports whether n series fill more than four fifths of so many groups.
func full(groups, n int) bool { return 5*n > 4*slotsPerGroup*groups }

func (v *view) group(i uint32) *group { return &v.groups[int(i)&(len(v.groups)-1)] }

// has reports whether v has the text and the slab of r. If not, r is of a newer view.
func (v *view) has(r ref) bool {
	return r.pos() < v.limit && int(r.index()>>slabShift) < len(v.metrics)
}

// insert adds a series to the table, and returns the number of groups that it passed first. A
// reader that sees the series also sees these flags.
//
//go:noinline
func (v *view) insert(hash uint32, r ref) (newly int) {
	for i := hash; ; i++ {
		g := v.group(i)
		tags := g.words[0].Load()
		empty := ^tags & highs // every tag has the high bit
		if empty == 0 {
			if tags&passed == 0 {
				g.words[0].Store(tags | passed)
				newly++
			}
			continue
		}
		n := first(empty)
		g.slot(n).Store(uint64(r))
		g.words[0].Store(tags | tagOf(hash)&(0xff<<(8*n)))
		return newly
	}
}

// find returns the metric, and the place in the table, of the series with a block, or with values
// whose block, without escapes, has the given length. No block is empty. It does not find a
// series of a newer view. If it finds no series, g is nil. If the series is removed meanwhile, m
// may be nil, and g is not.
//
//go:noinline
func (s *Store) find(v *view, hash uint32, values []string, block string, length int) (m unsafe.Pointer, g *group, slot int, r ref) {
	for i, left := hash, len(v.groups); left > 0; i, left = i+1, left-1 {
		g = v.group(i)
		tags := g.words[0].Load()
		for match := matches(tags, tagOf(hash)); match != 0; match &= match - 1 {
			slot = first(match)
			if r = ref(g.slot(slot).Load()); !v.has(r) {
				continue
			}
			t := v.text(r.pos())
			if t.is(block) || int(t.head.Load()>>32) == length && s.shape.is(unsafe.Add(unsafe.Pointer(t), unit), values) {
				return v.metric(r.index(), s.kind.Size), g, slot, r
			}
		}
		if tags&passed == 0 {
			break
		}
	}
	return nil, nil, 0, 0
}

// grow makes a new table if one more series does not fit, or if series have passed most
// groups, so that lookups of other series read several groups. It needs the mutex.
func (s *Store) grow() {
	n := len(s.now.groups)
	if !full(n, s.live+1) && 4*s.passed <= 3*n {
		return
	}
	v := s.change()
	v.groups = newTable(2 * (s.live + 1))
	s.passed = 0
	for _, pos := range s.Snapshot().positions() {
		t := v.at(pos)
		s.passed += v.insert(s.hashOf(t), newRef(pos, t.index()))
	}
}
