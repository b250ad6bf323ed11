//go:build !tacho_nohttp

package push

import (
	"encoding/binary"
	"errors"
)

const (
	snappyTableBits = 14
	snappyMaxOffset = 1<<16 - 1 // the limit of a copy with a two-byte offset
	snappyMaxCopy   = 64
	snappyMinMatch  = 4
)

// snappy compresses src in Snappy's block format (format_description.txt of Snappy).
// The format is a length, followed by literals and copies of earlier bytes. Remote
// write requests repeat the same names from series to series. A search for the latest
// occurrence of the next four bytes therefore finds most repetitions.
func snappy(src []byte) []byte {
	dst := binary.AppendUvarint(make([]byte, 0, len(src)/4+16), uint64(len(src)))
	table := make([]int32, 1<<snappyTableBits) // hash of four bytes to position plus one
	done := 0                                  // length of the part of src already in dst
	for i := 0; i+snappyMinMatch <= len(src); {
		word := binary.LittleEndian.Uint32(src[i:])
		slot := &table[word*0x9E3779B1>>(32-snappyTableBits)]
		from := int(*slot) - 1
		*slot = int32(i) + 1
		if from < 0 || i-from > snappyMaxOffset || binary.LittleEndian.Uint32(src[from:]) != word {
			i += 1 + (i-done)>>6 // larger steps through incompressible data
			continue
		}
		end := i + snappyMinMatch
		for end < len(src) && src[end] == src[from+end-i] {
			end++
		}
		dst = appendSnappyLiteral(dst, src[done:i])
		dst = appendSnappyCopy(dst, i-from, end-i)
		i, done = end, end
	}
	return appendSnappyLiteral(dst, src[done:])
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
	for ; n > 0; n -= snappyMaxCopy {
		length := min(n, snappyMaxCopy)
		dst = append(dst, byte(length-1)<<2|2, byte(offset), byte(offset>>8))
	}
	return dst
}

var errCorrupt = errors.New("tacho: push: malformed Snappy block")

// unsnappy decompresses Snappy's block format (format_description.txt of Snappy).
func unsnappy(src []byte) ([]byte, error) {
	size, n := binary.Uvarint(src)
	if n <= 0 || size > 1<<30 {
		return nil, errCorrupt
	}
	src = src[n:]
	var dst []byte
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
		for range length { // byte by byte, because a copy may overlap its output
			dst = append(dst, dst[len(dst)-offset])
		}
	}
	if uint64(len(dst)) != size {
		return nil, errCorrupt
	}
	return dst, nil
}
