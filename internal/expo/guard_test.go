//go:build linux || darwin || freebsd

package expo

import (
	"strings"
	"testing"

	"github.com/tachikoma/tacho/internal/decimal"
	"github.com/tachikoma/tacho/internal/testkit"
)

// TestNoReadOutsideBlock: Whole and Histogram read no byte before or behind a label block, for all
// lengths.
func TestNoReadOutsideBlock(t *testing.T) {
	g := testkit.NewGuarded(t)
	blocks := []string{" "}
	for n := range 101 {
		blocks = append(blocks, `{l="`+strings.Repeat("v", n)+`"} `)
	}
	bounds, counts := NewBounds([]float64{1}), []uint64{1, 2}
	for _, size := range []int{1, 16, 40, 64, 65} {
		family := &Family{Name: strings.Repeat("n", size), Kind: Gauge}
		for name, format := range formats {
			for _, block := range blocks {
				family.SameLabels = len(block) > 1
				for _, value := range []uint64{7, 99999999, decimal.MaxShort} {
					pass := func(block string) func(e *Encoder) bool {
						return func(e *Encoder) bool {
							for range 2 {
								if !e.Whole(block, value, false, nil) {
									return false
								}
							}
							return e.Histogram(block, &bounds, counts, 1, nil)
						}
					}
					want := line(t, format, family, pass(block))
					g.Check(block, func(block string) {
						if got := line(t, format, family, pass(block)); got != want {
							t.Errorf("%s: %q, want %q", name, got, want)
						}
					})
				}
			}
		}
	}
}

// TestNoReadOutsideNames: no format reads a byte before or behind the name, help and unit
// of a family.
func TestNoReadOutsideNames(t *testing.T) {
	g := testkit.NewGuarded(t)
	for n := 1; n <= 100; n++ {
		g.Check(strings.Repeat("n", n), func(s string) {
			for _, format := range formats {
				line(t, format, &Family{Name: s, Help: s, Unit: s, Kind: Counter, Quoted: n%2 == 0}, func(e *Encoder) bool {
					return e.Whole(`{l="some value"} `, 7, false, nil) && e.Float(" ", 0.5, nil)
				})
			}
		})
	}
}
