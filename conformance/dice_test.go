package conformance

import (
	"encoding/binary"
	"math"
	"slices"
	"time"
)

// A dice turns bytes into choices. Past their end everything is zero, so that
// fewer bytes are a simpler registry.
type dice struct{ data []byte }

func (d *dice) empty() bool { return len(d.data) == 0 }

func (d *dice) byte() byte {
	if d.empty() {
		return 0
	}
	b := d.data[0]
	d.data = d.data[1:]
	return b
}

// n returns one of 0 to n-1; n is at most 256.
func (d *dice) n(n int) int { return int(d.byte()) % n }

// once in n times.
func (d *dice) oneIn(n int) bool { return d.n(n) == n-1 }

func (d *dice) uint64() uint64 {
	var b [8]byte
	for i := range b {
		b[i] = d.byte()
	}
	return binary.BigEndian.Uint64(b[:])
}

func pick[T any](d *dice, from []T) T { return from[d.n(len(from))] }

// float is any float64: mostly one that is written in a way of its own.
func (d *dice) float() float64 {
	some := []float64{1, 0, math.Copysign(0, -1), -1, 0.5, 0.1, 1. / 3, 42, 999999, 1e6, 1000001, -999999, 123456789, 1e15,
		1 << 53, 1e20, 1e21, 1e-4, 1e-7, -2.5e-300, math.MaxFloat64, math.SmallestNonzeroFloat64, math.Inf(1), math.Inf(-1), math.NaN()}
	i := d.n(len(some) + 5)
	if i < len(some) {
		return some[i]
	}
	return math.Float64frombits(d.uint64())
}

// text is any string, in valid UTF-8 or not.
func (d *dice) text() string {
	some := []string{"", "a", "b", "other", "é", "日本", " ", "  a", "a ", "\\", "\"", "\n", "\\n", `\"`, "a\\", "a\"b\nc\\d", "{}", "a=\"b\",c=\"d\"} 1",
		"\x00", "a\x00", "\r", "a\r\n", "\t", "\xff", "\xc3", "a\xff\xfeb", "\ufeff", "\u2028", "\U0010ffff", "# EOF", "# {", " # {a=\"b\"} 1", "NaN", "1e9"}
	i := d.n(len(some) + 4)
	if i < len(some) {
		return some[i]
	}
	raw := make([]byte, d.n(20))
	for i := range raw {
		raw[i] = d.byte()
	}
	return string(raw)
}

// name is one of few, so that names meet; or any string.
func (d *dice) name(utf8Names bool) string {
	if d.oneIn(16) {
		return d.text()
	}
	if utf8Names && d.oneIn(2) {
		some := []string{"a.b", "a_b", "a/b", "é", "1", ".", "a b", "a\nb", "a\"b", "a\\", "U__a", "a_dot_b", "a\x00b", "日本", "..a"}
		endings := []string{"", "_total", ".total", "_seconds_total", ".seconds", "_seconds", "_info", ".count", "_sum", "_bucket", "_created"}
		return pick(d, some) + pick(d, endings)
	}
	some := []string{"a", "b", "c", "a_b", "B", "_x", "d:e", "g2", ""}
	if d.oneIn(2) {
		some = []string{"a", "a_b", ""}
	}
	endings := []string{"", "_total", "_seconds", "_seconds_total", "_bytes", "_info", "_sum", "_count", "_bucket", "_created"}
	return pick(d, some) + pick(d, endings)
}

// labelName is one of few, good or not; or any string.
func (d *dice) labelName(utf8Names bool) string {
	if d.oneIn(24) {
		return d.text()
	}
	if utf8Names && d.oneIn(2) {
		return pick(d, []string{"a.b", "a/b", "a_b", "é", "..x", "a:b", "1", "l e", "q\"=\n\\,{}", "U__a", "_.a", "a_dot_b"})
	}
	return pick(d, []string{"a", "b", "c", "le", "quantile", "job", "A", "_a", "a1"})
}

// bounds are those of a histogram, nearly always good ones.
func (d *dice) bounds() []float64 {
	some := [][]float64{{1}, {}, nil, {0.1, 1, 10}, {math.Copysign(0, -1), 1e-7, 100, 1e6, 1e21}, {-1, 1}, {-2.5, -1, 0}, {1, 2, 4, 8, 16, 32, 64, 128, 256, 512},
		{0.3, math.Inf(1)}, {1e-300, 1e300}, {1, 1}, {2, 1}, {math.NaN()}}
	i := d.n(len(some) + 2)
	if i < len(some) {
		return some[i]
	}
	bounds := make([]float64, d.n(6))
	last := math.Inf(-1)
	for i := range bounds {
		bounds[i] = d.float()
		if bounds[i] <= last {
			bounds[i] = last + 1
		}
		last = bounds[i]
	}
	return bounds
}

// labelNames are up to three that may stand together, nearly always.
func (d *dice) labelNames(histogram, utf8Names bool) []string {
	var names []string
	careless := d.oneIn(16)
	for range d.n(4) {
		name := d.labelName(utf8Names)
		if careless || goodLabelName(name, utf8Names) && !slices.Contains(names, name) && !(histogram && name == "le") {
			names = append(names, name)
		}
	}
	return names
}

// time is one that a collector may give, long ago or to come.
func (d *dice) time() time.Time {
	some := []int64{1520879607789, 0, 1, 1520879607000, 253402300799999, 253402300800000, -1, -62135596800000, math.MinInt64, math.MaxInt64}
	if i := d.n(len(some) + 2); i < len(some) {
		return time.UnixMilli(some[i])
	}
	return time.Unix(0, int64(d.uint64()))
}
