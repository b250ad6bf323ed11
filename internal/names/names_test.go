package names

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// someNames are names inside and outside the legacy sets.
var someNames = []string{
	"", "a", "Z", "_", "a_b", "abc_total", "a1", "1a", "1", ":", "a:b", ":a", "__", "__a", "_a", "a__b", "U__a", "U_", "a.b", "a-b", "a b",
	"é", "aé", "\xff", "a\xffb", "a\x00b", "\x00", "a\n", "a\"b", "a{b", "日本", "@", "[", "`", "{", "/", "A@", "a/", "le", "quantile",
	strings.Repeat("x", 1000), strings.Repeat("é", 1000),
}

func TestLegacyNames(t *testing.T) {
	metric := regexp.MustCompile(`^[a-zA-Z_:][a-zA-Z0-9_:]*\z`)
	label := regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*\z`)
	list := someNames
	for c := range 256 { // each byte as the first and as the second
		list = append(list, string([]byte{byte(c)}), string([]byte{'a', byte(c)}))
	}
	for _, s := range list {
		if got, want := ValidMetric(s), metric.MatchString(s); got != want {
			t.Errorf("ValidMetric(%q) = %v", s, got)
		}
		if got, want := ValidLabel(s), label.MatchString(s) && !strings.HasPrefix(s, "__"); got != want {
			t.Errorf("ValidLabel(%q) = %v", s, got)
		}
		if got, want := ValidUTF8(s), s != "" && utf8.ValidString(s) && !strings.Contains(s, "\x00") && !strings.HasPrefix(s, "U__"); got != want {
			t.Errorf("ValidUTF8(%q) = %v", s, got)
		}
	}
}

func TestSchemes(t *testing.T) {
	for s, name := range map[Scheme]string{Underscores: "underscores", Dots: "dots", Values: "values", AllowUTF8: "allow-utf-8"} {
		if s.HeaderValue() != name || SchemeNamed(name) != s {
			t.Errorf("scheme %d has the name %q, and %q is scheme %d", s, s.HeaderValue(), name, SchemeNamed(name))
		}
	}
	for _, name := range []string{"", "Dots", "DOTS", "allow-utf8", "value", "values ", "unknown"} {
		if got := SchemeNamed(name); got != Underscores {
			t.Errorf("%q is scheme %d", name, got)
		}
	}
}

func TestEscapedNames(t *testing.T) {
	for _, c := range []struct{ name, underscores, dots, values string }{
		{"a.b", "a_b", "a_dot_b", "U__a_2e_b"},
		{"http.server_duration", "http_server_duration", "http_dot_server__duration", "U__http_2e_server__duration"},
		{"a/b:c d", "a_b:c_d", "a__b:c__d", "U__a_2f_b:c_20_d"},
		{"1a2", "_a2", "__a2", "U___31_a2"},
		{"é€😀", "___", "______", "U___e9__20ac__1f600_"},
		{"\u0161\u0141\u0130\u015f\u013a", "_____", "__________", "U___161__141__130__15f__13a_"}, // their low bytes are aA0_:
		{"a\n\x00", "a__", "a____", "U__a_a__0_"},
	} {
		for s, want := range map[Scheme]string{Underscores: c.underscores, Dots: c.dots, Values: c.values} {
			if got := string(AppendEscapedMetric([]byte("x"), c.name, s)); got != "x"+want {
				t.Errorf("%q by %s: %q, want x%s", c.name, s.HeaderValue(), got, want)
			}
		}
	}
	for _, c := range []struct {
		name string
		s    Scheme
		want string
	}{
		{"a.b", Underscores, "a_b"},
		{"a:b", Underscores, "a_b"}, // names of labels have no colon
		{"a:b", Values, "U__a_3a_b"},
		{"..a", Underscores, "U___2e__2e_a"}, // __a is reserved
		{"1", Dots, "U___31_"},
		{"_.a", Dots, "U_____2e_a"},
	} {
		if got := string(AppendEscapedLabel([]byte("__"), c.name, c.s)); got != "__"+c.want {
			t.Errorf("label %q by %s: %q, want __%s", c.name, c.s.HeaderValue(), got, c.want)
		}
	}
}

// unescape undoes the scheme Values.
func unescape(t *testing.T, escaped string) string {
	rest, ok := strings.CutPrefix(escaped, ValuesPrefix)
	if !ok {
		t.Fatalf("%q has no prefix", escaped)
	}
	var b strings.Builder
	for rest != "" {
		c := rest[0]
		rest = rest[1:]
		if c != '_' {
			b.WriteByte(c)
			continue
		}
		digits, after, ok := strings.Cut(rest, "_")
		if rest = after; !ok {
			t.Fatalf("%q has an open escape", escaped)
		}
		if digits == "" {
			b.WriteByte('_')
			continue
		}
		r, err := strconv.ParseInt(digits, 16, 32)
		if err != nil {
			t.Fatalf("%q: %v", escaped, err)
		}
		b.WriteRune(rune(r))
	}
	return b.String()
}

// TestValuesCanBeUndone: names that the scheme Values made lead back to the names of the
// definitions.
func TestValuesCanBeUndone(t *testing.T) {
	for _, name := range someNames {
		if !ValidUTF8(name) {
			continue
		}
		if got := unescape(t, string(AppendEscapedMetric(nil, name, Values))); got != name {
			t.Errorf("the metric %q becomes %q", name, got)
		}
		if got := unescape(t, string(AppendEscapedLabel(nil, name, Values))); got != name {
			t.Errorf("the label %q becomes %q", name, got)
		}
	}
}

// TestEscapedNamesAreLegacy: every scheme makes names that clients without UTF-8 accept.
func TestEscapedNamesAreLegacy(t *testing.T) {
	for _, name := range someNames {
		if !ValidUTF8(name) {
			continue
		}
		for _, s := range []Scheme{Underscores, Dots, Values} {
			if got := string(AppendEscapedMetric(nil, name, s)); !ValidMetric(got) {
				t.Errorf("the metric %q by %s: %q", name, s.HeaderValue(), got)
			}
			if got := string(AppendEscapedLabel(nil, name, s)); !ValidLabel(got) {
				t.Errorf("the label %q by %s: %q", name, s.HeaderValue(), got)
			}
		}
	}
}

func TestSameEscaped(t *testing.T) {
	for _, c := range []struct {
		labels []string
		want   string
	}{
		{nil, ""},
		{[]string{"a"}, ""},
		{[]string{"a", "b", "c"}, ""},
		{[]string{"a.b", "a_c", "a/d"}, ""},
		{[]string{"a.b", "a_b"}, `label names "a.b" and "a_b" are both escaped as "a_b"`},
		{[]string{"a_b", "x", "a.b"}, `label names "a_b" and "a.b" are both escaped as "a_b"`},
		{[]string{"a.b", "a/b"}, `label names "a.b" and "a/b" are both escaped as "a_b"`},
		{[]string{"a.b", "a_dot_b"}, `label names "a.b" and "a_dot_b" are both escaped as "a_dot_b"`},
		{[]string{"a\n", "a\t"}, `label names "a\x0a" and "a\x09" are both escaped as "a_"`},
		{[]string{"é", "è"}, `label names "é" and "è" are both escaped as "_"`},
		{[]string{"éé", "èè"}, ""}, // __ is reserved, so both are escaped by Values
	} {
		if got := SameEscaped(c.labels); got != c.want {
			t.Errorf("%q: %q, want %q", c.labels, got, c.want)
		}
	}
}
