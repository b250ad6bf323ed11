//go:build linux || darwin || freebsd

package byteorder

import (
	"testing"

	"github.com/tachikoma/tacho/internal/testkit"
)

// TestNoAccessOutsideWords: no function reads or writes a byte before or behind its word.
func TestNoAccessOutsideWords(t *testing.T) {
	g := testkit.NewGuarded(t)
	text := []byte("12345678")
	testkit.CheckSlice(g, text[:2], func(b []byte) {
		if got := Load16((*[2]byte)(b)); got != 0x3231 {
			t.Errorf("Load16 returned %x", got)
		}
	})
	testkit.CheckSlice(g, text[:4], func(b []byte) {
		if got := Load32((*[4]byte)(b)); got != 0x34333231 {
			t.Errorf("Load32 returned %x", got)
		}
	})
	testkit.CheckSlice(g, text, func(b []byte) {
		if got := Load64((*[8]byte)(b)); got != 0x3837363534333231 {
			t.Errorf("Load64 returned %x", got)
		}
		if Store64((*[8]byte)(b), 0x6867666564636261); string(b) != "abcdefgh" {
			t.Errorf("Store64 stored %q", b)
		}
	})
}
