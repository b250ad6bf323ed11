//go:build linux || darwin || freebsd

package gzip

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/tachikoma/tacho/internal/race"
	"github.com/tachikoma/tacho/internal/testkit"
)

// TestNoReadOutsideInput: a writer reads no byte before or behind its input, also if the
// slice has more capacity. Reads of whole words end before the end of a chunk.
func TestNoReadOutsideInput(t *testing.T) {
	g := testkit.NewGuarded(t)
	var lengths []int
	for n := range 71 {
		lengths = append(lengths, n)
	}
	powers := []int{128, 256, 4 << 10, window, maxChunk + 1}
	if race.Enabled {
		powers = powers[:3]
	}
	for _, power := range powers {
		lengths = append(lengths, power-2, power-1, power, power+1, power+15)
	}
	random := make([]byte, 1<<17)
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range random {
		random[i] = byte(rnd.Uint32())
	}
	texts := map[string][]byte{
		"random bytes": random,
		"one byte":     make([]byte, 1<<17),
		"lines":        []byte(strings.Repeat("requests_total{path=\"/a\"} 1234\nrequests_total{path=\"/bc\"} 56\n", 1<<11)),
	}
	for name, text := range texts {
		for _, n := range lengths {
			want := zipped(t, text[:n], maxChunk)
			testkit.CheckSlice(g, text[:n], func(p []byte) {
				if !bytes.Equal(zipped(t, p, maxChunk), want) {
					t.Errorf("%d bytes of %s: the output depends on other memory", n, name)
				}
			})
		}
	}
}
