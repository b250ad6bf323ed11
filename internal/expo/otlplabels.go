package expo

import (
	"math/bits"
	"unsafe"

	"github.com/tachikoma/tacho/internal/byteorder"
	"github.com/tachikoma/tacho/internal/escape"
	"github.com/tachikoma/tacho/internal/stringslite"
	"github.com/tachikoma/tacho/internal/wire"
)

// attributeHead is the size of an attribute without its key and its value: the tags and lengths of the
// KeyValue, the key, the AnyValue and the string.
const attributeHead = len("........")

// attributeSkipped is the size of an attribute up to its value, less the length of the text in a label block,
// such as `,path="`.
const attributeSkipped = attributeHead - len(`,="`)

// slowAttributes appends the labels of a series, and sets up fastAttributes for the next series of the
// family.
//
//go:noinline
func (o *otlpState) slowAttributes(b []byte, block string, field byte) []byte {
	start := len(b)
	for len(block) > len("} ") {
		b, block = appendAttribute(b, field, block)
	}
	if o.learn {
		o.n = o.learnAttributes(b[start:])
		o.learn = o.n == 0 // the next labels can be shorter
	}
	return b
}

// learnAttributes sets the pairs to the attributes in text, and returns their number. It returns 0 if
// fastAttributes cannot copy the attributes.
func (o *otlpState) learnAttributes(text []byte) (n int) {
	for ; len(text) > 0; n++ {
		length, size := int(text[1]), attributeHead+int(text[3])
		if n == maxPairs || length >= 0x80 || size > pairSize {
			return 0
		}
		o.sizes[n] = uint8(size)
		copy(o.texts[n*pairSize:], text[:size])
		text = text[len("..")+length:]
	}
	return n
}

// fastAttributes is fastPairs for attributes, which have two lengths more.
func (o *otlpState) fastAttributes(b []byte, block string) int {
	if o.n == 0 || len(block) < 8 || cap(b)-len(b) < len(block)+pairRoom {
		return 0
	}
	from, last := unsafe.Pointer(unsafe.StringData(block)), len(block)-8 // the last word
	start := unsafe.Pointer(unsafe.SliceData(b))
	to, i := unsafe.Add(start, len(b)), 0
	for n := range o.n {
		size, text := int(o.sizes[n&(maxPairs-1)]), unsafe.Pointer(&o.texts[n&(maxPairs-1)*pairSize])
		head := to
		*(*[16]byte)(head) = *(*[16]byte)(text)
		*(*[16]byte)(unsafe.Add(head, 16)) = *(*[16]byte)(unsafe.Add(text, 16))
		to = unsafe.Add(to, size)
		i += size - attributeSkipped
		length := -i
		for {
			var word uint64
			if i <= last {
				word = byteorder.Load64((*[8]byte)(unsafe.Add(from, i)))
			} else { // the block ends in the quote of the value, which is in the word
				word = byteorder.Load64((*[8]byte)(unsafe.Add(from, last))) >> (8 * (i - last) & 63)
			}
			byteorder.Store64((*[8]byte)(to), word)
			if special := protoSpecial(word); special != 0 {
				last := bits.TrailingZeros64(special) / 8
				i += last
				to = unsafe.Add(to, last)
				break
			}
			i += 8
			to = unsafe.Add(to, 8)
		}
		length += i
		total := length + size - len("..")
		if total >= 0x80 || *(*byte)(unsafe.Add(from, i)) != '"' {
			return 0 // a long label, or an escape
		}
		*(*byte)(unsafe.Add(head, 1)) = byte(total)
		*(*byte)(unsafe.Add(head, size-3)) = byte(length + len(".."))
		*(*byte)(unsafe.Add(head, size-1)) = byte(length)
		i++ // the quote
	}
	return int(uintptr(to) - uintptr(start))
}

// appendAttribute appends the first label of a rendered block as a KeyValue, and returns the rest of the
// block.
func appendAttribute(b []byte, field byte, block string) (_ []byte, rest string) {
	b, pair := nest(b, field)
	b, start := nest(b, wire.OTLPKey)
	if block = block[1:]; block[0] == '"' { // a name outside the legacy set
		b, block, _ = escape.AppendUnquoted(b, block[1:])
	} else {
		n := stringslite.IndexByte(block, '=')
		b, block = append(b, block[:n]...), block[n:]
	}
	b, value := nest(seal(b, start), wire.OTLPValue)
	b, start = nest(b, wire.OTLPString)
	b, block, _ = escape.AppendUnquoted(b, block[len(`="`):])
	return seal(seal(seal(b, start), value), pair), block
}
