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
				if key := keyOf(s, "x", s); !strings.HasSuffix(key, "\xff") {
					t.Errorf("key %q", key)
				}
				AppendBlock(nil, []Label{{Name: s, Value: s}}, []string{"a"}, keyOf(s))
			})
		}

		// KeyIs with the key beside unreadable memory, and with the values there.
		value := text[:n]
		others := []string{text[1 : n+1], "x" + text[:n], text[:max(n-1, 0)]}
		for _, values := range [][]string{{value}, {"GET", value}, {value, "200"}, {value, value}} {
			key := keyOf(values...)
			g.Check(key, func(key string) {
				if !keyIs(key, values...) || HashKey(key, len(values)) != hashOf(values...) {
					t.Errorf("%q is not the key of %q", key, values)
				}
				for i := range values {
					for _, other := range others {
						changed := append([]string{}, values...)
						if changed[i] = other; other != value && keyIs(key, changed...) {
							t.Errorf("%q is the key of %q", key, changed)
						}
					}
				}
				Values(key, len(values))
				Compare(key, key)
				Compare(key, keyOf(others...))
				AppendBlock(nil, nil, values, key) // names and values
			})
		}
		g.Check(value, func(s string) {
			if !keyIs(keyOf(value), s) || !keyIs(keyOf("GET", value, "200"), "GET", s, "200") {
				t.Errorf("the key of %q does not equal it", s)
			}
			for _, other := range others {
				if other != s && (keyIs(keyOf(other), s) || keyIs(keyOf(other, "200"), s, "200")) {
					t.Errorf("the key of %q equals %q", other, s)
				}
			}
		})
	}
}
