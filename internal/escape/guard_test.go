//go:build linux || darwin || freebsd

package escape

import (
	"strings"
	"testing"

	"github.com/tachikoma/tacho/internal/testkit"
)

// TestNoReadOutsideStrings: no function reads a byte before or behind a string.
func TestNoReadOutsideStrings(t *testing.T) {
	g := testkit.NewGuarded(t)
	for n := range 101 {
		for _, unit := range []string{"a", "é", "😀", "\xff", "\xe2\x82", "\\", "\"", "\n"} {
			s := strings.Repeat(unit, n)[:n] // may end in the middle of a rune
			g.Check(s, func(s string) {
				AppendValid(nil, s)
				Valid(s)
				AppendLabelValue(nil, s)
				AppendHelp(nil, s)
				Unquote(s)
				Quote(s)
			})
		}
	}
}
