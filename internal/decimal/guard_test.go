//go:build linux || darwin || freebsd

package decimal

import (
	"strings"
	"testing"
	"unsafe"

	"github.com/tachikoma/tacho/internal/testkit"
)

// TestNoReadOutsideText: IsWhole reads no byte before or behind the text of a number.
func TestNoReadOutsideText(t *testing.T) {
	g := testkit.NewGuarded(t)
	for n := range 101 {
		g.Check(strings.Repeat("7", n), func(s string) {
			if !IsWhole(unsafe.Slice(unsafe.StringData(s), n)) {
				t.Errorf("%q is not whole", s)
			}
		})
	}
}
