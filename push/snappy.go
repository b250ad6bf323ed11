//go:build !tacho_nohttp

package push

import "encoding/binary"

const (
	snappyTableBits = 14
	snappyMaxOffset = 1<<16 - 1 // what a copy with two bytes of offset can say
	snappyMaxCopy   = 64
	snappyMinMatch  = 4
)

// snappy compresses src in Snappy's block format (its format_description.txt): a
// length, then literals and copies of what came before. Requests of remote write
// repeat the same names from series to series, so that looking for the latest
// occurrence of the next four bytes finds most of what there is.
func snappy(src []byte) []byte {
	dst := binary.AppendUvarint(make([]byte, 0, len(src)/4+16), uint64(len(src)))
	table := make([]int32, 1<<snappyTableBits) // a position plus one, by the hash of the bytes there
	done := 0                                  // src up to here is in dst
	for i := 0; i+snappyMinMatch <= len(src); {
		word := binary.LittleEndian.Uint32(src[i:])
		slot := &table[word*0x9E3779B1>>(32-snappyTableBits)]
		from := int(*slot) - 1
		*slot = int32(i) + 1
		if from < 0 || i-from > snappyMaxOffset || binary.LittleEndian.Uint32(src[from:]) != word {
			i += 1 + (i-done)>>6 // ever faster over what does not compress
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

func appendSnappyLiteral(dst, lit []byte) []byte {
	if len(lit) == 0 {
		return dst
	}
	// Up to 60 the length less one is in the tag; longer ones follow in 1 to 4
	// bytes, and 60 to 63 in the tag say how many.
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

// appendSnappyCopy appends copies of n bytes that stand offset before.
func appendSnappyCopy(dst []byte, offset, n int) []byte {
	for ; n > 0; n -= snappyMaxCopy {
		length := min(n, snappyMaxCopy)
		dst = append(dst, byte(length-1)<<2|2, byte(offset), byte(offset>>8))
	}
	return dst
}
