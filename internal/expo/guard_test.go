//go:build linux || darwin || freebsd

package expo

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/tachikoma/tacho/internal/decimal"
	"github.com/tachikoma/tacho/internal/label"
	"github.com/tachikoma/tacho/internal/names"
	"github.com/tachikoma/tacho/internal/native"
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

// TestNoWriteOutsideBuckets: the copies of buckets write no byte behind the capacity of the buffer, and
// read no byte behind the prepared labels.
func TestNoWriteOutsideBuckets(t *testing.T) {
	g := testkit.NewGuarded(t)
	bounds := NewBounds([]float64{1e-300, .001, 1, 2.5, 1234567.5})
	counts := []uint64{0, 5, 0, 99999990, 3, 7}
	l := &remoteLayout{gaps: []remoteGap{{src: srcExtra, start: 0, at: 8, size: 6}}}
	for size := range 300 {
		testkit.CheckSlice(g, make([]byte, size), func(b []byte) {
			b = b[:0:size]
			got := appendOpen2Classic(b, &bounds, counts)
			want, total := "", uint64(0)
			for j, c := range counts {
				total += c
				want += fmt.Sprintf("%s:%d,", bounds.number(j), total)
			}
			if want = want[:len(want)-1] + "]"; string(got) != want {
				t.Errorf("size %d: %q, want %q", size, got, want)
			}
			w := &RemoteWriter{before: padded([]byte("12345678")), behind: padded(bytes.Repeat([]byte("b"), size%50)), sampled: size % 50 / 2}
			if got, n, ok := w.appendBucket(b, l, bounds.number(0)); ok {
				want := "1\x0c34567\x06" + bounds.number(0) + string(w.behind)
				if string(got) != want || n != 8+6+w.sampled {
					t.Errorf("size %d: %q and %d, want %q", size, got, n, want)
				}
			} else if size > 200 {
				t.Errorf("size %d: no copy", size)
			}
		})
	}
	for n := range 50 {
		testkit.CheckSlice(g, make([]byte, n+fastPadding), func(b []byte) {
			b = b[: n : n+fastPadding]
			w := &RemoteWriter{before: padded(b), behind: padded(b)}
			if n >= 8 {
				w.appendBucket(make([]byte, 0, 400), l, bounds.number(0))
			}
		})
	}
}

// TestOpen2Counts: the counts of native buckets in OpenMetrics 2.0 are decimal.
func TestOpen2Counts(t *testing.T) {
	for v := uint64(1); v < 12000; v++ {
		list := []native.Bucket{{Key: 1, Count: v}, {Key: 2, Count: 1}}
		want := fmt.Sprintf(",p_spans:[1:2],p_buckets:[%d,1]", v)
		for _, room := range []int{0, len(want) - 4, 100} {
			if got := string(appendOpen2Buckets(make([]byte, 0, room), ",p", list)); got != want {
				t.Fatalf("got %s, want %s", got, want)
			}
		}
	}
}
