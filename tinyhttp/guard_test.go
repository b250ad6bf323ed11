//go:build linux || darwin || freebsd

package tinyhttp

import (
	"testing"

	"github.com/tachikoma/tacho/internal/testkit"
)

// TestNoReadOutsideHeads: the parser reads no byte outside a head.
func TestNoReadOutsideHeads(t *testing.T) {
	g := testkit.NewGuarded(t)
	check := func(s string) {
		testkit.CheckSlice(g, []byte(s), func(b []byte) { readHead(b) })
		g.Check(s, func(s string) {
			unescape(s, true)
			(&request{query: s}).parameters()
			(&request{}).parseTarget(s)
		})
	}
	for _, tt := range refusals {
		for n := range len(tt.head) + 1 {
			check(tt.head[:n])
		}
		check(tt.head + "\r\n\r\n")
	}
	for _, tt := range accepted {
		head := tt.head + "\r\n\r\n"
		check(head)
		g.Check(head, func(s string) { parse(s) })
	}
}
