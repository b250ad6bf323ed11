//go:build linux || darwin || freebsd

package label

import (
	"strings"
	"testing"

	"github.com/tachikoma/tacho/internal/testkit"
)

// TestNoReadOutsideStrings: no function reads a byte before or behind a string, for all
// lengths at which the way of reading changes.
func TestNoReadOutsideStrings(t *testing.T) {
	g := testkit.NewGuarded(t)
	text := strings.Repeat("0123456789abcdef", 10)
	for n := range 101 {
		for _, s := range []string{text[:n], strings.Repeat("\xff", n)} {
			g.Check(s, func(s string) {
				hash := NewHasher().Add([]string{s}).Sum()
				if hash != hashOf(strings.Clone(s)) {
					t.Errorf("the hash of %q depends on other memory", s)
				}
				hashOf("x", s)
				hashOf(s, "x", s)
				if got := string(AppendBlock(nil, []Label{{Name: s, Value: s}})); got != string(AppendBlock(nil, []Label{{Name: strings.Clone(s), Value: s}})) {
					t.Errorf("the block %s depends on other memory", got)
				}
			})
		}
	}
}
