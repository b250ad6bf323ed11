// Package byteorder loads and stores little-endian words at any alignment. The compiler
// makes each function one instruction if the machine has such an instruction.
//
// encoding/binary does the same and is larger; see internal/SIZE.md. The parameters are
// pointers to arrays: a caller that has checked the bounds once needs no further check.
package byteorder

// Load64 returns the word in b.
func Load64(b *[8]byte) uint64 {
	return uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
		uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
}

// Load32 returns the word in b.
func Load32(b *[4]byte) uint64 {
	return uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24
}

// Load16 returns the word in b.
func Load16(b *[2]byte) uint64 { return uint64(b[0]) | uint64(b[1])<<8 }

// Store64 sets b to v.
func Store64(b *[8]byte, v uint64) {
	b[0], b[1], b[2], b[3] = byte(v), byte(v>>8), byte(v>>16), byte(v>>24)
	b[4], b[5], b[6], b[7] = byte(v>>32), byte(v>>40), byte(v>>48), byte(v>>56)
}

// Store16 sets b to v.
func Store16(b *[2]byte, v uint64) { b[0], b[1] = byte(v), byte(v>>8) }
