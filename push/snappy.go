//go:build !tacho_nohttp

package push

import (
	"encoding/binary"
	"errors"
	"math/bits"
	"unsafe"

	"github.com/tachikoma/tacho/internal/byteorder"
)

const (
	snappyBlock     = 1 << 16 // the size of a block, so that all offsets have two bytes
	snappyTableBits = 13
	snappyMaxCopy   = 64

	// snappyMargin is the number of bytes at the end of a block that begin no copy. Loads of eight bytes
	// then stay within the block.
	snappyMargin = 16
)

// snappy compresses src in Snappy's block format (format_description.txt of Snappy).
// The format is a length, followed by literals and copies of earlier bytes.
func snappy(src []byte) []byte {
	dst := binary.AppendUvarint(make([]byte, 0, len(src)/4+16), uint64(len(src)))
	return appendSnappy(dst, src)
}

// appendSnappy appends the literals and copies of src. A copy does not refer to bytes before src. So the
// results for consecutive parts of a text are together the result for the text, without the length.
func appendSnappy(dst, src []byte) []byte {
	var table [1 << snappyTableBits]uint16
	for first := true; len(src) > 0; first = false {
		block := src[:min(len(src), snappyBlock)]
		size := 8
		for size < snappyTableBits && 1<<size < len(block) {
			size++
		}
		if !first {
			clear(table[:])
		}
		dst = appendSnappyBlock(dst, block, &table, 32-uint(size))
		src = src[len(block):]
	}
	return dst
}

// appendSnappyBlock appends the literals and copies of a block. table has the positions of four bytes by
// their hash. The hash has 32-shift bits.
//
// Remote write requests repeat the same names from series to series. A search for the latest occurrence of
// the next four bytes therefore finds most repetitions.
func appendSnappyBlock(dst, src []byte, table *[1 << snappyTableBits]uint16, shift uint) []byte {
	done := 0 // length of the part of src already in dst
	end := len(src) - snappyMargin
	for i := 1; i < end; {
		word := uint32(load64(src, i))
		slot := &table[snappyHash(word, shift)]
		from := int(*slot)
		*slot = uint16(i)
		if uint32(load64(src, from)) != word {
			i += 1 + (i-done)>>3 // larger steps through incompressible data
			continue
		}
		for i > done && from > 0 && src[i-1] == src[from-1] { // a step passed these bytes
			i--
			from--
		}
		if n, size := len(dst), i-done; 0 < size && size <= snappyMargin && cap(dst)-n > snappyMargin {
			dst = dst[:n+1+snappyMargin]
			dst[n] = byte(size-1) << 2
			*(*[snappyMargin]byte)(dst[n+1:]) = *(*[snappyMargin]byte)(src[done:])
			dst = dst[:n+1+size]
		} else {
			dst = appendSnappyLiteral(dst, src[done:i])
		}
		for {
			n := 4 + commonLength(src, from+4, i+4)
			dst = appendSnappyCopy(dst, i-from, n)
			i += n
			done = i
			if i >= end {
				break
			}
			// The end of a copy is often the beginning of another copy.
			next := load64(src, i-1)
			table[snappyHash(uint32(next), shift)] = uint16(i - 1)
			word = uint32(next >> 8)
			slot = &table[snappyHash(word, shift)]
			from = int(*slot)
			*slot = uint16(i)
			if uint32(load64(src, from)) != word {
				i++
				break
			}
		}
	}
	return appendSnappyLiteral(dst, src[done:])
}

func snappyHash(word uint32, shift uint) uint32 {
	return (word * 0x9E3779B1) >> (shift & 31) & (1<<snappyTableBits - 1)
}

// load64 returns the eight bytes of src at i, the first byte lowest. There is no check of the index: i must
// be at most len(src)-8.
func load64(src []byte, i int) uint64 {
	return byteorder.Load64((*[8]byte)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(src)), i)))
}

// commonLength returns the length of the common prefix of src[i:] and src[j:]. i must be less than j.
func commonLength(src []byte, i, j int) int {
	start := j
	for ; j+8 <= len(src); i, j = i+8, j+8 {
		if x := load64(src, i) ^ load64(src, j); x != 0 {
			return j - start + bits.TrailingZeros64(x)/8
		}
	}
	for j < len(src) && src[i] == src[j] {
		i, j = i+1, j+1
	}
	return j - start
}

// appendSnappyLiteral appends lit as a literal, or nothing if lit is empty.
func appendSnappyLiteral(dst, lit []byte) []byte {
	if len(lit) == 0 {
		return dst
	}
	// The tag holds the length minus one if that is less than 60. Otherwise the tag
	// holds 60 to 63, and the length minus one follows in 1 to 4 bytes.
	n := uint32(len(lit) - 1)
	if n < 60 {
		return append(append(dst, byte(n)<<2), lit...)
	}
	size := byte(1)
	for n>>(8*size) != 0 {
		size++
	}
	dst = append(dst, (59+size)<<2)
	for ; size > 0; size-- {
		dst = append(dst, byte(n))
		n >>= 8
	}
	return append(dst, lit...)
}

// appendSnappyCopy appends copies of n bytes in total. Each copy starts offset bytes
// before the current end of the output.
func appendSnappyCopy(dst []byte, offset, n int) []byte {
	for ; n > snappyMaxCopy; n -= snappyMaxCopy {
		dst = append(dst, (snappyMaxCopy-1)<<2|2, byte(offset), byte(offset>>8))
	}
	if n >= 4 && n < 12 && offset < 1<<11 { // the form with an offset of 11 bits
		return append(dst, byte(offset>>8)<<5|byte(n-4)<<2|1, byte(offset))
	}
	return append(dst, byte(n-1)<<2|2, byte(offset), byte(offset>>8))
}

var errCorrupt = errors.New("tacho: push: malformed Snappy block")

// unsnappy decompresses Snappy's block format (format_description.txt of Snappy).
func unsnappy(src []byte) ([]byte, error) {
	size, n := binary.Uvarint(src)
	if n <= 0 || size > 1<<30 {
		return nil, errCorrupt
	}
	src = src[n:]
	// Three bytes of src become at most snappyMaxCopy bytes of dst.
	dst := make([]byte, 0, min(size, uint64(len(src)/3+1)*snappyMaxCopy))
	for len(src) > 0 {
		tag := src[0]
		src = src[1:]
		var length, offset, extra int
		switch tag & 3 {
		case 0:
			if length = int(tag >> 2); length >= 60 {
				extra = length - 59
			}
		case 1:
			length, extra = int(tag>>2&7)+4, 1
		case 2:
			length, extra = int(tag>>2)+1, 2
		case 3:
			length, extra = int(tag>>2)+1, 4
		}
		if len(src) < extra {
			return nil, errCorrupt
		}
		v := 0
		for i := extra - 1; i >= 0; i-- {
			v = v<<8 | int(src[i])
		}
		src = src[extra:]
		if tag&3 == 0 {
			if extra > 0 {
				length = v
			}
			if length++; len(src) < length {
				return nil, errCorrupt
			}
			dst = append(dst, src[:length]...)
			src = src[length:]
			continue
		}
		if offset = v; tag&3 == 1 {
			offset |= int(tag>>5) << 8
		}
		if offset <= 0 || offset > len(dst) {
			return nil, errCorrupt
		}
		for length > 0 { // in parts, because a copy may overlap its output
			part := min(length, offset)
			dst = append(dst, dst[len(dst)-offset:][:part]...)
			length -= part
		}
	}
	if uint64(len(dst)) != size {
		return nil, errCorrupt
	}
	return dst, nil
}
