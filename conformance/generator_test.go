package conformance

import (
	"encoding/binary"
	"math"
	"slices"
	"time"
)

// A generator derives choices from bytes. After the last byte every choice is zero, so
// a shorter input gives a simpler registry.
type generator struct{ data []byte }

func (g *generator) empty() bool { return len(g.data) == 0 }

func (g *generator) byte() byte {
	if g.empty() {
		return 0
	}
	b := g.data[0]
	g.data = g.data[1:]
	return b
}

// n returns a number from 0 to n-1. The argument n must be at most 256.
func (g *generator) n(n int) int { return int(g.byte()) % n }

// oneIn reports true with probability 1/n for random bytes.
func (g *generator) oneIn(n int) bool { return g.n(n) == n-1 }

func (g *generator) uint64() uint64 {
	var b [8]byte
	for i := range b {
		b[i] = g.byte()
	}
	return binary.BigEndian.Uint64(b[:])
}

func pick[T any](g *generator, from []T) T { return from[g.n(len(from))] }

// float returns any float64, mostly a value with a special text form.
func (g *generator) float() float64 {
	some := []float64{1, 0, math.Copysign(0, -1), -1, 0.5, 0.1, 1. / 3, 42, 999999, 1e6, 1000001, -999999, 123456789, 1e15,
		1 << 53, 1e20, 1e21, 1e-4, 1e-7, -2.5e-300, math.MaxFloat64, math.SmallestNonzeroFloat64, math.Inf(1), math.Inf(-1), math.NaN()}
	i := g.n(len(some) + 5)
	if i < len(some) {
		return some[i]
	}
	return math.Float64frombits(g.uint64())
}

// text returns any string, including invalid UTF-8.
func (g *generator) text() string {
	some := []string{"", "a", "b", "other", "é", "日本", " ", "  a", "a ", "\\", "\"", "\n", "\\n", `\"`, "a\\", "a\"b\nc\\d", "{}", "a=\"b\",c=\"d\"} 1",
		"\x00", "a\x00", "\r", "a\r\n", "\t", "\xff", "\xc3", "a\xff\xfeb", "\ufeff", "\u2028", "\U0010ffff", "# EOF", "# {", " # {a=\"b\"} 1", "NaN", "1e9"}
	i := g.n(len(some) + 4)
	if i < len(some) {
		return some[i]
	}
	raw := make([]byte, g.n(20))
	for i := range raw {
		raw[i] = g.byte()
	}
	return string(raw)
}

// name returns a metric name from a short list, so that names collide, or any string.
func (g *generator) name(utf8Names bool) string {
	if g.oneIn(16) {
		return g.text()
	}
	if utf8Names && g.oneIn(2) {
		some := []string{"a.b", "a_b", "a/b", "é", "1", ".", "a b", "a\nb", "a\"b", "a\\", "U__a", "a_dot_b", "a\x00b", "日本", "..a"}
		endings := []string{"", "_total", ".total", "_seconds_total", ".seconds", "_seconds", "_info", ".count", "_sum", "_bucket", "_created"}
		return pick(g, some) + pick(g, endings)
	}
	some := []string{"a", "b", "c", "a_b", "B", "_x", "d:e", "g2", ""}
	if g.oneIn(2) {
		some = []string{"a", "a_b", ""}
	}
	endings := []string{"", "_total", "_seconds", "_seconds_total", "_bytes", "_info", "_sum", "_count", "_bucket", "_created"}
	return pick(g, some) + pick(g, endings)
}

// labelName returns a valid or invalid label name from a short list, or any string.
func (g *generator) labelName(utf8Names bool) string {
	if g.oneIn(24) {
		return g.text()
	}
	if utf8Names && g.oneIn(2) {
		return pick(g, []string{"a.b", "a/b", "a_b", "é", "..x", "a:b", "1", "l e", "q\"=\n\\,{}", "U__a", "_.a", "a_dot_b"})
	}
	return pick(g, []string{"a", "b", "c", "le", "quantile", "job", "A", "_a", "a1"})
}

// bounds returns histogram bounds, which are mostly valid.
func (g *generator) bounds() []float64 {
	some := [][]float64{{1}, {}, nil, {0.1, 1, 10}, {math.Copysign(0, -1), 1e-7, 100, 1e6, 1e21}, {-1, 1}, {-2.5, -1, 0}, {1, 2, 4, 8, 16, 32, 64, 128, 256, 512},
		{0.3, math.Inf(1)}, {1e-300, 1e300}, {1, 1}, {2, 1}, {math.NaN()}}
	i := g.n(len(some) + 2)
	if i < len(some) {
		return some[i]
	}
	bounds := make([]float64, g.n(6))
	last := math.Inf(-1)
	for i := range bounds {
		bounds[i] = g.float()
		if bounds[i] <= last {
			bounds[i] = last + 1
		}
		last = bounds[i]
	}
	return bounds
}

// labelNames returns up to three label names, which are mostly valid together.
func (g *generator) labelNames(histogram, utf8Names bool) []string {
	var names []string
	allowInvalid := g.oneIn(16)
	for range g.n(4) {
		name := g.labelName(utf8Names)
		if allowInvalid || goodLabelName(name, utf8Names) && !slices.Contains(names, name) && !(histogram && name == "le") {
			names = append(names, name)
		}
	}
	return names
}

// time returns a timestamp for a collector. The timestamp can be in the distant past or
// future, or invalid.
func (g *generator) time() time.Time {
	some := []int64{1520879607789, 0, 1, 1520879607000, 253402300799999, 253402300800000, -1, -62135596800000, math.MinInt64, math.MaxInt64}
	if i := g.n(len(some) + 2); i < len(some) {
		return time.UnixMilli(some[i])
	}
	return time.Unix(0, int64(g.uint64()))
}
