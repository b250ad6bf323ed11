//go:build linux || darwin || freebsd

package sortkeys

import (
	"slices"
	"strings"
	"testing"

	"github.com/tachikoma/tacho/internal/testkit"
)

func partOf(key string, at int) uint64 {
	part, _ := Part(key, at)
	return part
}

// TestNoReadOutsideKeys: Strings reads no byte outside the keys.
func TestNoReadOutsideKeys(t *testing.T) {
	g := testkit.NewGuarded(t)
	for n := range 71 {
		key := ""
		if n > 0 {
			key = strings.Repeat("aé\xff012345", 10)[:n-1] + "\xff"
		}
		g.Check(key, func(s string) {
			for at := 0; at <= len(s); at += 8 {
				if got, want := partOf(s, at), partOf(key, at); got != want {
					t.Errorf("%d bytes from %d: %x, want %x", n, at, got, want)
				}
			}
			keys := []string{key + "b\xff", s, s}
			if got := Strings(len(keys), func(i uint32) string { return keys[i] }); !slices.Equal(got, []uint32{1, 0}) {
				t.Errorf("%d bytes: %v, want the key and the longer key", n, got)
			}
		})
	}
}
