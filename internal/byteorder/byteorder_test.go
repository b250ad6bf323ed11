package byteorder

import (
	"encoding/binary"
	"testing"
)

// TestLittleEndian compares all functions with encoding/binary, at each alignment.
func TestLittleEndian(t *testing.T) {
	for _, bytes := range [][]byte{
		make([]byte, 16),
		{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		{0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x10, 0x32, 0x54, 0x76, 0x98, 0xba, 0xdc, 0xfe},
		{0x80, 0, 0, 0, 0, 0, 0, 0x80, 0, 0, 0x7f, 0, 0xff, 0, 0, 0x80},
	} {
		for at := range 8 {
			b := bytes[at:]
			if got, want := Load64((*[8]byte)(b)), binary.LittleEndian.Uint64(b); got != want {
				t.Errorf("Load64(% x) = %x, want %x", b[:8], got, want)
			}
			if got, want := Load32((*[4]byte)(b)), uint64(binary.LittleEndian.Uint32(b)); got != want {
				t.Errorf("Load32(% x) = %x, want %x", b[:4], got, want)
			}
			if got, want := Load16((*[2]byte)(b)), uint64(binary.LittleEndian.Uint16(b)); got != want {
				t.Errorf("Load16(% x) = %x, want %x", b[:2], got, want)
			}
			v := binary.BigEndian.Uint64(b)
			var got, want [18]byte
			Store64((*[8]byte)(got[at+1:]), v)
			binary.LittleEndian.PutUint64(want[at+1:], v)
			if got != want {
				t.Errorf("Store64 of %x at %d: % x, want % x", v, at+1, got, want)
			}
			Store16((*[2]byte)(got[at:]), v)
			binary.LittleEndian.PutUint16(want[at:], uint16(v))
			if got != want {
				t.Errorf("Store16 of %x at %d: % x, want % x", v, at, got, want)
			}
		}
	}
}
