package expo

import (
	"math"
	"unsafe"

	"github.com/tachikoma/tacho/internal/escape"
	"github.com/tachikoma/tacho/internal/exemplar"
	"github.com/tachikoma/tacho/internal/label"
	"github.com/tachikoma/tacho/internal/stringslite"
	"github.com/tachikoma/tacho/internal/wire"
)

// symbols is the table of the strings of a request of version 2.0.
type symbols struct {
	raw   []byte       // fields symbols
	texts []symbolText // by reference
	slots []uint64     // a hash table: the hash of a string in the high half, and its reference
}

// A symbolText is the place of a string in symbols.raw.
type symbolText struct{ start, end uint32 }

// minSlots is the number of slots of a small table. It is a power of two.
const minSlots = 64

// reset removes all strings. The reference 0 is the empty string.
func (s *symbols) reset() {
	s.raw = append(s.raw[:0], wire.Write2Symbol, 0)
	s.texts = append(s.texts[:0], symbolText{2, 2})
	clear(s.slots)
}

// release frees large memory.
func (s *symbols) release() {
	if cap(s.raw) > maxRemoteText || len(s.slots)*8 > maxRemoteText {
		*s = symbols{}
	}
}

// is reports whether text is the string with the reference ref.
func (s *symbols) is(ref uint32, text string) bool {
	if int(ref) >= len(s.texts) {
		return false
	}
	t := s.texts[ref]
	return string(s.raw[t.start:t.end]) == text
}

// ref returns the reference of a string, which it adds if necessary.
func (s *symbols) ref(text string) uint32 {
	if text == "" {
		return 0
	}
	if 4*len(s.texts) >= 3*len(s.slots) {
		s.grow()
	}
	hash := label.NewHasher().Add([]string{text}).Sum() // clients cannot aim at one slot
	mask := uint32(len(s.slots) - 1)
	i := hash & mask
	for ; s.slots[i] != 0; i = (i + 1) & mask {
		if v := s.slots[i]; uint32(v>>32) == hash && s.is(uint32(v), text) {
			return uint32(v)
		}
	}
	ref := uint32(len(s.texts))
	s.slots[i] = uint64(hash)<<32 | uint64(ref)
	s.raw = appendVarint(append(s.raw, wire.Write2Symbol), uint64(len(text)))
	start := len(s.raw)
	s.raw = append(s.raw, text...)
	s.texts = append(s.texts, symbolText{uint32(start), uint32(len(s.raw))})
	return ref
}

// grow doubles the number of slots.
func (s *symbols) grow() {
	old := s.slots
	s.slots = make([]uint64, max(minSlots, 2*len(old)))
	mask := uint32(len(s.slots) - 1)
	for _, v := range old {
		if v != 0 {
			i := uint32(v>>32) & mask
			for s.slots[i] != 0 {
				i = (i + 1) & mask
			}
			s.slots[i] = v
		}
	}
}

// appendRef appends a reference as a varint. Most references have one or two bytes.
func appendRef(b []byte, ref uint32) []byte {
	switch {
	case ref < 1<<7:
		return append(b, byte(ref))
	case ref < 1<<14:
		return append(b, byte(ref)|0x80, byte(ref>>7))
	}
	return appendVarint(b, uint64(ref))
}

// appendKeyRefs appends the field labels_refs of the series with these encoded labels of version 1.0.
func (s *symbols) appendKeyRefs(b []byte, key []byte) []byte {
	b, start := nest(b, wire.Write2Refs)
	for len(key) > 0 {
		_, key = cutLength(key[1:]) // a LabelPair: a name and a value
		for range 2 {
			var n int
			n, key = cutLength(key[1:])
			text := key[:n]
			b, key = appendRef(b, s.ref(*(*string)(unsafe.Pointer(&text)))), key[n:]
		}
	}
	return seal(b, start)
}

// cutLength returns the varint at the beginning of b, and the rest of b.
func cutLength(b []byte) (n int, rest []byte) {
	for i, c := range b {
		n |= int(c&0x7f) << (7 * i)
		if c < 0x80 {
			return n, b[i+1:]
		}
	}
	return 0, nil
}

// appendExemplar appends the field exemplars of a TimeSeries. Its labels are sorted by name.
func (s *symbols) appendExemplar(b []byte, x *exemplar.Exemplar) []byte {
	var buf [8]label.Label
	sorted := buf[:0]
	for block := x.Labels; len(block) > len("}"); {
		block = block[1:]
		n := stringslite.IndexByte(block, '=')
		name, value := block[:n], ""
		if value, block, _ = escape.Unquote(block[n+len(`="`):]); value == "" {
			continue // an empty label is no label
		}
		i := len(sorted)
		for sorted = append(sorted, label.Label{}); i > 0 && sorted[i-1].Name > name; i-- {
			sorted[i] = sorted[i-1]
		}
		sorted[i] = label.Label{Name: name, Value: value}
	}
	b, start := nest(b, wire.Write2Exemplar)
	b, refs := nest(b, wire.Write2Refs)
	for i := range sorted {
		b = appendRef(appendRef(b, s.ref(sorted[i].Name)), s.ref(sorted[i].Value))
	}
	b = appendFixed(seal(b, refs), wire.WriteExemplarValue, math.Float64bits(x.Value))
	return seal(appendVarint(append(b, wire.WriteExemplarTime), uint64(x.At)), start)
}
