package history

import (
	"encoding/binary"
	"hash/maphash"
	"unsafe"
)

// A table has the series, and finds a series by its shape and its label block. It contains no pointers
// for each series, so that a collection does not scan it.
type table struct {
	seed   maphash.Seed
	series []series // by id
	text   []byte   // the label blocks
	unused int      // bytes of text
	index  []uint32 // id plus 1, at a place that the hash selects; 0 for none
	n      int      // series in index
}

// A series is the label block of a shape. It has no field of 8 bytes, which would need padding.
type series struct {
	shape   uint32  // none if the id is not in use
	slot    uint32  // the first of as many slots as the shape has columns
	next    uint32  // the series that followed in the last walk; none if unknown
	step    uint32  // the number of the last step that has the series
	at      uint32  // of the length of the label block, in table.text; the block follows
	address address // of the label block that the last walk passed, if family.texts keeps it; none if absent
}

// An address is the two halves of the address of a label block; zero for none.
type address [2]uint32

func (t *table) init() { t.seed = maphash.MakeSeed() }

func (t *table) bytes() int {
	return cap(t.series)*int(unsafe.Sizeof(series{})) + cap(t.text) + 4*cap(t.index)
}

func (t *table) block(s *series) []byte {
	n, size := binary.Uvarint(t.text[s.at:])
	return t.text[int(s.at)+size:][:n]
}

func appendLength(text []byte, block int) []byte { return binary.AppendUvarint(text, uint64(block)) }

// textSize returns the bytes of a label block in table.text.
func textSize(block int) int {
	var length [binary.MaxVarintLen64]byte
	return len(appendLength(length[:0], block)) + block
}

// is reports whether the series id is in use and has a shape and a block. A series that is not in use has
// the shape none, as samples of a new family have.
func (t *table) is(id, shape uint32, block string) bool {
	s := &t.series[id]
	return s.shape == shape && shape != none && string(t.block(s)) == block
}

func (t *table) place(shape uint32, block []byte) uint32 {
	hash := maphash.Bytes(t.seed, block) + uint64(shape)*0x9e3779b97f4a7c15
	return uint32(hash>>32) & uint32(len(t.index)-1)
}

// find returns the series with a shape and a block, or none.
func (t *table) find(shape uint32, block string) uint32 {
	if shape == none || t.n == 0 {
		return none
	}
	for i := t.place(shape, unsafe.Slice(unsafe.StringData(block), len(block))); t.index[i] != 0; i = t.after(i) {
		if id := t.index[i] - 1; t.is(id, shape, block) {
			return id
		}
	}
	return none
}

func (t *table) after(i uint32) uint32 { return (i + 1) & uint32(len(t.index)-1) }

// full reports whether the index has to grow for one more series. At most seven eighths are in use.
func (t *table) full() bool { return 8*(t.n+1) > 7*len(t.index) }

// growth returns the bytes that add may need for a block of this size.
func (t *table) growth(ids, size int) int {
	n := growth(t.series, ids) + growth(t.text, textSize(size))
	if t.full() {
		n += max(4*len(t.index), 4*64)
	}
	return n
}

// add adds a series.
func (t *table) add(id uint32, s series, block string) {
	s.at = uint32(len(t.text))
	t.text = append(appendLength(grow(t.text, textSize(len(block))), len(block)), block...)
	t.series = put(t.series, id, s)
	if t.full() {
		old := t.index
		t.index = make([]uint32, max(2*len(old), 64))
		for _, entry := range old {
			if entry != 0 {
				t.insert(entry)
			}
		}
	}
	t.insert(id + 1)
	t.n++
}

func (t *table) insert(entry uint32) {
	s := &t.series[entry-1]
	i := t.place(s.shape, t.block(s))
	for t.index[i] != 0 {
		i = t.after(i)
	}
	t.index[i] = entry
}

// remove removes a series. The entries that follow its entry move back, so that find needs no
// tombstones.
func (t *table) remove(id uint32) {
	s := &t.series[id]
	i := t.place(s.shape, t.block(s))
	for t.index[i] != id+1 {
		i = t.after(i)
	}
	t.index[i] = 0
	for j := t.after(i); t.index[j] != 0; j = t.after(j) {
		entry := t.index[j]
		t.index[j] = 0
		t.insert(entry)
	}
	t.n--
	t.unused += textSize(len(t.block(s)))
	*s = series{shape: none, next: none}
	if 4*t.unused > len(t.text) {
		t.compact()
	}
}

// compact removes the unused bytes of text.
func (t *table) compact() {
	text := make([]byte, 0, len(t.text)-t.unused)
	for i := range t.series {
		s := &t.series[i]
		if s.shape != none {
			at := len(text)
			block := t.block(s)
			text = append(appendLength(text, len(block)), block...)
			s.at = uint32(at)
		}
	}
	t.text, t.unused = text, 0
}
