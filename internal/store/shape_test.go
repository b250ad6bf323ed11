package store

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/tachikoma/tacho/internal/escape"
	"github.com/tachikoma/tacho/internal/label"
	"github.com/tachikoma/tacho/internal/race"
)

func TestAppendBlock(t *testing.T) {
	for _, c := range []struct {
		consts []label.Label
		names  []string
		values []string
		want   string
	}{
		{nil, nil, nil, ` `},
		{nil, []string{"a"}, []string{"1"}, `{a="1"} `},
		{nil, []string{"a", "b"}, []string{"", "2"}, `{a="",b="2"} `},
		{[]label.Label{{Name: "c", Value: "3"}}, nil, nil, `{c="3"} `},
		{[]label.Label{{Name: "c", Value: "3"}, {Name: "d", Value: ""}}, []string{"a"}, []string{"1"}, `{c="3",d="",a="1"} `},
		{nil, []string{"a"}, []string{"\\ \" \n \t é"}, `{a="\\ \" \n ` + "\t é" + `"} `},
		{nil, []string{"a"}, []string{"x\xffy"}, "{a=\"x\uFFFDy\"} "},
		{[]label.Label{{Name: "a.b", Value: "1"}}, []string{"é\"\\\n", "le"}, []string{"2", "3"}, `{"a.b"="1","é\"\\\n"="2",le="3"} `},
		{nil, []string{"a"}, []string{strings.Repeat("\xff-", 100)}, `{a="` + strings.Repeat("\uFFFD-", 100) + `"} `},
	} {
		v := newVectorWith(c.consts, counters(0), c.names...)
		if got := string(v.AppendBlock([]byte("name"), c.values)); got != "name"+c.want {
			t.Errorf("%s, want name%s", got, c.want)
		}
		all := slices.Clone(c.consts)
		for i, name := range c.names {
			all = append(all, label.Label{Name: name, Value: escape.Valid(c.values[i])})
		}
		if got := string(label.AppendBlock(nil, all)); got != c.want {
			t.Errorf("package label appends %s, package store %s", got, c.want)
		}
	}
}

// finds reports whether Find(b) finds the only series, which has the values a, although the
// hash is that of b. FindBlock must agree.
func (v *vector) finds(t *testing.T, a, b []string) bool {
	t.Helper()
	v.Reset()
	_, block := v.key(a)
	m := v.Add(label.NewHasher().Add(b).Sum(), block, nil, 0)
	got := v.Find(b)
	if got != nil && got != m {
		t.Fatalf("Find(%q) returns the metric of no series", b)
	}
	_, blockOfB := v.key(b)
	if byBlock := v.FindBlock(label.NewHasher().Add(b).Sum(), blockOfB); (byBlock == m) != (blockOfB == block) || got != nil && byBlock == nil {
		t.Errorf("the series of %q: FindBlock of %q returns %v", a, b, byBlock)
	}
	return got == m
}

// around returns lists of values with s at each place.
func around(s string) [][]string {
	return [][]string{{s}, {"GET", s}, {s, "200"}, {"GET", s, "200"}, {"", s, ""}}
}

var fiveNames = []string{"a", "bb", "ccc", "dddd", "eeeee"}

// TestFindComparesEachByte: a difference in any byte of a value is found, at each length
// at which the comparison changes, and between other values.
func TestFindComparesEachByte(t *testing.T) {
	text := "abcdefghijklmnopqrstuvwxyz0123456789ABCDEF"
	for i, values := range around("") {
		v := newVector(counters(0), fiveNames[:len(values)]...)
		for n := range scale(27, 41) {
			values := around(text[:n])[i]
			if !v.finds(t, values, values) {
				t.Errorf("%q are not found", values)
			}
			for at := range n {
				for bit := range 8 {
					b := []byte(text[:n])
					b[at] ^= 1 << bit
					if other := around(string(b))[i]; v.finds(t, values, other) {
						t.Errorf("%q find the series of %q", other, values)
					}
				}
			}
			for _, length := range []int{n - 1, n + 1} {
				if length < 0 {
					continue
				}
				if other := around(text[:length])[i]; v.finds(t, values, other) {
					t.Errorf("%q find the series of %q", other, values)
				}
			}
		}
	}
}

// TestFindIsNotByChance: values that contain parts of a block are not found in another place
// of a block. Quotes end a value, so no value without escapes contains a quote.
func TestFindIsNotByChance(t *testing.T) {
	consts := []label.Label{{Name: "z", Value: `",a="`}}
	for _, consts := range [][]label.Label{nil, consts} {
		v := newVectorWith(consts, counters(0), "a", "b")
		lists := [][]string{{"", ""}, {"a", ""}, {"", "a"}, {"a", "bc"}, {"ab", "c"}, {"abc", ""}, {"a\x00", "b"}, {"é", "日"},
			{",b=", ""}, {",b=,b=", "} "}, {"} ", "} "}, {"a=", ",b="}, {"01234567", "0123456789abcdefg"}}
		for i, a := range lists {
			for j, b := range lists {
				if v.finds(t, a, b) != (i == j) {
					t.Errorf("the series of %q for %q: %v", a, b, i != j)
				}
			}
			_, block := v.key(a)
			for _, b := range [][]string{{a[0] + `"`, a[1]}, {a[0], `"` + a[1]}, {a[0] + `",b="` + a[1], ""}, {"", a[0] + `",b="` + a[1]}, {a[0] + "\xff", a[1]}, {block, ""}, {"", block},
				{a[0] + `\`, a[1]}, {a[0] + `\"`, a[1]}} {
				if v.finds(t, a, b) {
					t.Errorf("%q find the series of %q", b, a)
				}
			}
		}
		for _, a := range [][]string{{`"`, ""}, {`\`, "a"}, {"\n", "\n"}, {`\\`, ""}, {`\"`, ""}, {`",b="`, ""}, {"", `",b="`}, {`a\`, `b`}} {
			for _, b := range [][]string{a, {escape.Quote(a[0]), escape.Quote(a[1])}, {strings.Trim(escape.Quote(a[0]), `"`), a[1]}} {
				if v.finds(t, a, b) {
					t.Errorf("Find of %q finds the series of %q, which has escapes", b, a)
				}
			}
		}
	}
}

// TestFindInEachSplit: lists of values are read from a block as Find reads it, with every
// length of each value. All bytes agree. Only the quotes tell that the values are others.
func TestFindInEachSplit(t *testing.T) {
	for _, consts := range [][]label.Label{nil, {{Name: "z", Value: `"x`}}} {
		for _, a := range [][]string{{"", ""}, {"a", "bc"}, {"abc", ""}, {"", "abcdefgh"}, {",b=", ",b="}, {"a", "b", "c"}, {"", "", ""}, {"ab", "", "c"}, {"", "abcdef", ""}, {"abcdefghijklm", "x", "nop"}} {
			v := newVectorWith(consts, counters(0), []string{"a", "b", "c"}[:len(a)]...)
			_, block := v.key(a)
			total := len(strings.Join(a, ""))
			splits := 0
			var split func(at, left int, values []string)
			split = func(at, left int, values []string) {
				at += v.shape.gaps[len(values)]
				if len(values) == len(a)-1 {
					values = append(values[:len(values):len(values)], block[at:at+left])
					splits++
					if v.finds(t, a, values) != slices.Equal(values, a) {
						t.Errorf("the series of %q for %q: %v", a, values, !slices.Equal(values, a))
					}
					return
				}
				for n := range left + 1 {
					split(at+n, left-n, append(values[:len(values):len(values)], block[at:at+n]))
				}
			}
			split(0, total, nil)
			if splits <= total {
				t.Errorf("%d splits of %q", splits, a)
			}
		}
	}
}

// randomValues returns random values: short, long, empty, with escapes, and alike.
func randomValues(r *rand.Rand, n int) []string {
	pieces := []string{"", "a", "GET", `"`, `\`, "\n", `",b="`, "é", "/api/v1/", "0123456789abcdef", strings.Repeat("x", 40)}
	v := make([]string, n)
	for i := range v {
		for range r.IntN(4) {
			v[i] += pieces[r.IntN(len(pieces))]
		}
		if r.IntN(3) == 0 {
			v[i] += string(rune('0' + r.IntN(1000)))
		}
	}
	return v
}

// needsBlock reports whether only FindBlock finds values.
func needsBlock(values []string) bool {
	return slices.ContainsFunc(values, func(v string) bool { return strings.ContainsAny(v, "\"\\\n") || escape.Valid(v) != v })
}

// TestFindByNumberOfLabels: series with up to five labels are found, also with constant labels
// and quoted label names.
func TestFindByNumberOfLabels(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	escaped := []label.Label{{Name: "z", Value: "\"\\\n"}, {Name: "é.é", Value: `",a="`}}
	for _, consts := range [][]label.Label{nil, {{Name: "zone", Value: "a"}}, escaped} {
		for n := range 6 {
			for quoted := range n + 1 { // this label name is quoted; the last round has none
				names := slices.Clone(fiveNames[:n])
				if quoted < n {
					names[quoted] = "é\"\\" + names[quoted]
				}
				v := newVectorWith(consts, counters(0), names...)
				var list [][]string
				var metrics []unsafe.Pointer
				for range 200 {
					values := randomValues(r, n)
					if v.find(values...) == nil {
						list, metrics = append(list, values), append(metrics, v.add(values...))
					}
				}
				for range 2 {
					for i, values := range list {
						want := metrics[i]
						if got := v.find(values...); got != want {
							t.Errorf("names %q: FindBlock of %q returns %v, want %v", names, values, got, want)
						}
						if quoted < n || needsBlock(values) {
							want = nil
						}
						if got := v.Find(values); got != want {
							t.Errorf("names %q: Find(%q) returns %v, want %v", names, values, got, want)
						}
						_, block := v.key(values)
						if got := v.AppendValues(nil, block); !slices.Equal(got, values) {
							t.Errorf("the values of %s are %q, want %q", block, got, values)
						}
					}
					if got := v.listed(v.layOut()); !equalLists(got, sortedValues(list)) {
						t.Errorf("names %q: the order is %q", names, got)
					}
				}
			}
		}
	}
}

// TestLookupsAllocateNothing: Find, and the lookup of a block on the stack, allocate nothing.
func TestLookupsAllocateNothing(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector allocates")
	}
	for _, values := range [][]string{{"GET", "/x"}, {"\"\\\n", "\xff"}, {strings.Repeat("\\", 30), "x"}} {
		v := newVector(counters(0), "a", "b")
		m := v.add(values...)
		missing := append(slices.Clone(values)[:1], "missing")
		if n := testing.AllocsPerRun(100, func() {
			v.Find(values)
			for _, values := range [][]string{values, missing} {
				var store [256]byte
				b := v.AppendBlock(store[:0], values)
				block := unsafe.String(unsafe.SliceData(b), len(b))
				if got := v.FindBlock(v.Hash(block), block); (got == m) != (values[1] != "missing") {
					t.Error("FindBlock is wrong")
				}
			}
		}); n != 0 {
			t.Errorf("%q: %v allocations", values, n)
		}
	}
}

// FuzzStore: two lists of values have the same block exactly if the repaired values are equal.
// Find and FindBlock find the right series. An order has the order of the values.
func FuzzStore(f *testing.F) {
	f.Add("a", "bc", "ab", "c")
	f.Add("\xff", "", "", "\xff")
	f.Add("a\x00", "b", "a", "\x00b")
	f.Add(`",b="`, "", "", `",b="`)
	f.Add(`\`, `"`, `\"`, "")
	f.Add("a\x7f", "", "aé", "")
	f.Add("\xcf", "\x94", "0", "0") // valid UTF-8 only together
	f.Add("\n", "a", "n", "a")
	f.Add("12345678", "1234567", "1234567", "12345678")
	f.Fuzz(func(t *testing.T, a1, a2, b1, b2 string) {
		v := newVector(counters(0), "a", "b")
		a, b := []string{a1, a2}, []string{b1, b2}
		validA, validB := []string{escape.Valid(a1), escape.Valid(a2)}, []string{escape.Valid(b1), escape.Valid(b2)}
		same := slices.Equal(validA, validB)
		hashA, blockA := v.key(a)
		hashB, blockB := v.key(b)
		if (blockA == blockB) != same || same && hashA != hashB {
			t.Fatalf("%q and %q: blocks %s and %s, hashes %x and %x", a, b, blockA, blockB, hashA, hashB)
		}
		if got := v.AppendValues(nil, blockA); !slices.Equal(got, validA) || hashA != label.NewHasher().Add(validA).Sum() {
			t.Errorf("%s: values %q, hash %x, want %q", blockA, got, hashA, validA)
		}
		m := v.add(a...)
		check := func(values []string, want unsafe.Pointer) {
			t.Helper()
			if got := v.find(values...); got != want {
				t.Errorf("FindBlock of %q returns %v, want %v", values, got, want)
			}
			if needsBlock(values) {
				want = nil
			}
			if got := v.Find(values); got != want {
				t.Errorf("Find(%q) returns %v, want %v", values, got, want)
			}
		}
		check(a, m)
		check(validA, m)
		want := [][]string{validA}
		if same {
			check(b, m)
		} else {
			check(b, nil)
			if v.finds(t, a, b) {
				t.Errorf("%q find the series of %q", b, a)
			}
			v.Reset()
			m := v.add(a...)
			n := v.add(b...)
			check(a, m)
			check(b, n)
			want = sortedValues([][]string{validA, validB})
		}
		for range 2 {
			if got := v.listed(v.ordered()); !equalLists(got, want) {
				t.Errorf("the order is %q, want %q", got, want)
			}
			v.layOut()
		}
	})
}
