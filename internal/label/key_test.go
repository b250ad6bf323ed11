package label

import (
	"slices"
	"strings"
	"testing"

	"github.com/tachikoma/tacho/internal/escape"
)

func TestCompareKeys(t *testing.T) {
	lists := [][]string{{"", ""}, {"", "a"}, {"a", ""}, {"a", "a"}, {"a", "b"}, {"a\x00", ""}, {"a\x01", ""}, {"ab", ""}, {"b", ""}, {"é", ""}, {"日", ""}}
	for i, a := range lists {
		for j, b := range lists {
			got := Compare(keyOf(a...), keyOf(b...))
			if (got < 0) != (i < j) || (got == 0) != (i == j) {
				t.Errorf("%q and %q: %d", a, b, got)
			}
		}
	}
}

func TestKeyIs(t *testing.T) {
	lists := [][]string{{"", ""}, {"a", ""}, {"", "a"}, {"a", "bc"}, {"ab", "c"}, {"abc", ""}, {"a\x00", "b"}, {"é", "日"}}
	for i, a := range lists {
		key := keyOf(a...)
		for j, b := range lists {
			if keyIs(key, b...) != (i == j) {
				t.Errorf("key of %q for %q: %v", a, b, i != j)
			}
		}
		// A value with a separator in it must not equal a part of a key by chance.
		for _, b := range [][]string{{a[0] + "\xff", a[1]}, {a[0], "\xff" + a[1]}, {a[0] + "\xff" + a[1], ""}, {key, ""}, {"", key}} {
			if keyIs(key, b...) {
				t.Errorf("the key of %q equals %q", a, b)
			}
		}
	}
	// Values with all bytes of a key, but for one byte behind each value. Only the byte of
	// a separator may be there.
	for _, a := range append(lists, []string{"a", "b", "c"}, []string{"", "", ""}, []string{"ab", "", "c"}, []string{"", "abc", ""}) {
		key := keyOf(a...)
		var split func(rest string, values []string)
		split = func(rest string, values []string) {
			if len(values) == len(a)-1 {
				values = append(values[:len(values):len(values)], rest[:len(rest)-1])
				if keyIs(key, values...) != slices.Equal(values, a) {
					t.Errorf("the key of %q for %q: %v", a, values, !slices.Equal(values, a))
				}
				return
			}
			for n := range len(rest) - 1 {
				split(rest[n+1:], append(values[:len(values):len(values)], rest[:n]))
			}
		}
		split(key, nil)
	}
	if !KeyIs("", nil, 0) || KeyIs("\xff", nil, 0) || KeyIs("", []string{""}, 1) || !KeyIs("\xff", []string{""}, 1) {
		t.Error("the keys of no value and of an empty value are not told apart")
	}
}

// keyIs calls KeyIs with the size of the values.
func keyIs(key string, values ...string) bool {
	return KeyIs(key, values, NewHasher().Add(values).Size())
}

// TestKeyIsComparesEachByte: a difference in any byte of a value is found, at each length
// at which the comparison changes, and between other values.
func TestKeyIsComparesEachByte(t *testing.T) {
	text := "abcdefghijklmnopqrstuvwxyz0123456789ABCDEF"
	for n := range 41 {
		value := text[:n]
		around := func(s string) [][]string {
			return [][]string{{s}, {"GET", s}, {s, "200"}, {"GET", s, "200"}, {"", s, ""}}
		}
		for i, values := range around(value) {
			key := keyOf(values...)
			if !keyIs(key, values...) {
				t.Errorf("the key of %q does not equal it", values)
			}
			for at := range n {
				for bit := range 8 {
					b := []byte(value)
					b[at] ^= 1 << bit
					if other := around(string(b))[i]; keyIs(key, other...) {
						t.Errorf("the key of %q equals %q", values, other)
					}
				}
			}
			for _, length := range []int{n - 1, n + 1} {
				if length >= 0 && keyIs(key, around(text[:length])[i]...) {
					t.Errorf("the key of %q equals a value of %d bytes", values, length)
				}
			}
		}
	}
}

func TestValues(t *testing.T) {
	for _, values := range [][]string{{}, {""}, {"a"}, {"", ""}, {"a", "", "bc"}, {"é", "日\x00", strings.Repeat("x", 100)}} {
		if got := Values(keyOf(values...), len(values)); !slices.Equal(got, values) {
			t.Errorf("%q, want %q", got, values)
		}
	}
	if got := Values(keyOf("a\xff\xfeb", "\xff"), 2); !slices.Equal(got, []string{"a\uFFFDb", "\uFFFD"}) {
		t.Errorf("invalid UTF-8: %q", got)
	}
}

// FuzzKeys: Compare orders the keys of repaired values as the values. KeyIs reports equal
// values alone. A key has the values and the hash that it was made of.
func FuzzKeys(f *testing.F) {
	f.Add("a", "bc", "ab", "c")
	f.Add("\xff", "", "", "\xff")
	f.Add("a\x00", "b", "a", "\x00b")
	f.Fuzz(func(t *testing.T, a1, a2, b1, b2 string) {
		valid := escape.Valid
		ka, kb := keyOf(a1, a2), keyOf(b1, b2)
		want := strings.Compare(valid(a1), valid(b1))
		if want == 0 {
			want = strings.Compare(valid(a2), valid(b2))
		}
		got := Compare(ka, kb)
		if got < 0 != (want < 0) || got > 0 != (want > 0) {
			t.Errorf("%q and %q: %d, want %d", ka, kb, got, want)
		}
		if back := Compare(kb, ka); back < 0 != (got > 0) || back > 0 != (got < 0) {
			t.Errorf("%q and %q: %d, in the other order %d", ka, kb, got, back)
		}
		if KeyIs(ka, []string{b1, b2}, len(b1)+len(b2)+2) != (valid(a1) == b1 && valid(a2) == b2) {
			t.Errorf("KeyIs is wrong for %q, %q and %q", ka, b1, b2)
		}
		values := []string{valid(a1), valid(a2)}
		if got := Values(ka, 2); !slices.Equal(got, values) {
			t.Errorf("the values of %q are %q, want %q", ka, got, values)
		}
		if !keyIs(ka, values...) || HashKey(ka, 2) != hashOf(values...) {
			t.Errorf("the key %q is not that of %q, or its hash %x is not %x", ka, values, HashKey(ka, 2), hashOf(values...))
		}
	})
}
