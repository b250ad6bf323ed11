package expo

import (
	"math/bits"
	"unsafe"

	"github.com/tachikoma/tacho/internal/byteorder"
	"github.com/tachikoma/tacho/internal/escape"
	"github.com/tachikoma/tacho/internal/stringslite"
	"github.com/tachikoma/tacho/internal/wire"
)

// slowPairs appends the labels of a series, and sets up fastPairs for the next series of the
// family.
//
//go:noinline
func (p *protoState) slowPairs(e *Encoder, b []byte, block string) []byte {
	if p.escaped {
		p.block = e.names.UTF8.rules().sample(e, p.block[:0], "", "", block)
		block = *(*string)(unsafe.Pointer(&p.block))
	}
	if p.learn {
		start := len(b)
		b = appendPairs(b, block)
		p.n = p.learnPairs(b[start:])
		p.learn = p.n == 0 // the next labels can be shorter
		return b
	}
	return appendPairs(b, block)
}

// learnPairs sets the pairs to those of the messages LabelPair in text, and returns their number. It
// returns 0 if fastPairs cannot copy the pairs.
func (p *protoState) learnPairs(text []byte) (n int) {
	for ; len(text) > 0; n++ {
		length, size := int(text[1]), len("......")+int(text[3])
		if n == maxPairs || length >= 0x80 || size > pairSize {
			return 0
		}
		p.sizes[n] = uint8(size)
		copy(p.texts[n*pairSize:], text[:size])
		text = text[len("..")+length:]
	}
	return n
}

// fastPairs writes the labels of a series after b. It returns the length of b with the labels, or
// 0 if slowPairs must append the labels.
//
// All series of most families have the same label names. Moves of 16 bytes copy the text
// before each value from the first series of the family. Moves of 8 bytes copy the values. The
// moves may write past the end of a text but stay within the capacity.
//
// The loop that copies a value stands in fastAttributes and remoteFast.append too. One function for all
// three takes 1.2 to 1.3 times as long (BenchmarkProtobuf/counters, BenchmarkOTLP/counters).
func (p *protoState) fastPairs(b []byte, block string) int {
	if p.n == 0 || len(block) < 8 || cap(b)-len(b) < len(block)+pairRoom {
		return 0
	}
	from, last := unsafe.Pointer(unsafe.StringData(block)), len(block)-8 // the last word
	start := unsafe.Pointer(unsafe.SliceData(b))
	to, i := unsafe.Add(start, len(b)), 0
	for n := range p.n {
		size, text := int(p.sizes[n&(maxPairs-1)]), unsafe.Pointer(&p.texts[n&(maxPairs-1)*pairSize])
		head := to
		*(*[16]byte)(head) = *(*[16]byte)(text)
		*(*[16]byte)(unsafe.Add(head, 16)) = *(*[16]byte)(unsafe.Add(text, 16))
		to = unsafe.Add(to, size)
		i += size - skipped
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
		*(*byte)(unsafe.Add(head, size-1)) = byte(length)
		i++ // the quote
	}
	return int(uintptr(to) - uintptr(start))
}

// protoSpecial returns a word whose lowest byte that is not 0 is at the lowest byte of w that
// is a double quote or a backslash.
func protoSpecial(w uint64) uint64 {
	const ones = 0x0101010101010101
	quote, escape := w^ones*'"', w^ones*'\\'
	return ((quote-ones)&^quote | (escape-ones)&^escape) & (ones << 7)
}

// appendPairs appends the labels of a rendered block as messages LabelPair.
func appendPairs(b []byte, block string) []byte {
	for len(block) > len("} ") {
		var pair, start int
		b = append(b, wire.MetricLabel, 0, wire.LabelName, 0)
		pair, start = len(b)-len(".."), len(b)
		if block = block[1:]; block[0] == '"' { // a name outside the legacy set
			b, block, _ = escape.AppendUnquoted(b, block[1:])
		} else {
			n := stringslite.IndexByte(block, '=')
			b, block = append(b, block[:n]...), block[n:]
		}
		b = seal(b, start)
		b, start = nest(b, wire.LabelValue)
		b, block, _ = escape.AppendUnquoted(b, block[len(`="`):])
		b = seal(seal(b, start), pair)
	}
	return b
}
