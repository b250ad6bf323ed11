//go:build linux || darwin || freebsd

package expo

import (
	"strings"
	"testing"

	"github.com/tachikoma/tacho/internal/decimal"
	"github.com/tachikoma/tacho/internal/label"
	"github.com/tachikoma/tacho/internal/names"
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

// requests is a RemoteRequests that keeps the parts.
type requests struct {
	raw     strings.Builder
	keys    strings.Builder
	symbols string
}

func (r *requests) Write(p []byte) (int, error) { return r.raw.Write(p) }

func (r *requests) Series(key []byte, _, _ bool) bool {
	r.keys.Write(key)
	return false
}

func (r *requests) End(symbols []byte, _ RemoteCounts, _ bool) { r.symbols += string(symbols) }

func (r *requests) Missing(*RemoteWriter) {}

// TestNoReadOutsideBlockRemote: remote write reads no byte before or behind a label block, and copies all
// bytes of the labels.
func TestNoReadOutsideBlockRemote(t *testing.T) {
	g := testkit.NewGuarded(t)
	bounds, counts := NewBounds([]float64{1}), []uint64{1, 2}
	for n := range 140 {
		for _, block := range []string{" ", `{l="` + strings.Repeat("v", n) + `"} `, `{l="` + strings.Repeat("v", n) + `",m="x\n"} `, `{a="",l="` + strings.Repeat("v", n) + `"} `} {
			for version := 1; version <= 2; version++ {
				encode := func(block string, same bool) string {
					r := new(requests)
					w := &RemoteWriter{Version: version, Now: 5, Left: 1 << 20, Tracked: true, Requests: r, Targets: []label.Label{{Name: "job", Value: "j"}}}
					f := &Family{Name: "f", Kind: Gauge, SameLabels: same}
					f.Encode = func(e *Encoder) {
						e.Begin(f)
						for i := range 3 {
							e.Whole(block, uint64(i), false, nil)
						}
						e.Histogram(block, &bounds, counts, 1, nil)
						e.Summary(block, &Distribution{1, 2, []Quantile{{.5, 3}}}, nil)
					}
					if err := Write(r, w.Format(), names.Underscores, []*Family{f}, new(Names)); err != nil {
						t.Error(err)
					}
					w.Release()
					return r.raw.String() + r.keys.String() + r.symbols
				}
				want := encode(block, false)
				g.Check(block, func(block string) {
					if got := encode(block, true); got != want {
						t.Errorf("version %d: %q, want %q", version, got, want)
					}
				})
			}
		}
	}
}
