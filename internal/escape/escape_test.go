package escape

import (
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/tachikoma/tacho/internal/race"
)

// TestAppendValid repairs all strings of up to five bytes that begin, continue, cut short
// and break a rune in each way, and strings with U+FFFD itself.
func TestAppendValid(t *testing.T) {
	alphabet := "a\x80\xbf\xc3\xe2\xed\xef\xf0\xff\xbd"
	var check func(prefix string, more int)
	check = func(prefix string, more int) {
		want := strings.ToValidUTF8(prefix, "\uFFFD")
		if got := string(AppendValid([]byte("+"), prefix)); got != "+"+want {
			t.Fatalf("%q becomes %q, want %q", prefix, got, "+"+want)
		}
		if got := Valid(prefix); got != want {
			t.Fatalf("Valid(%q) = %q, want %q", prefix, got, want)
		}
		for i := 0; more > 0 && i < len(alphabet); i++ {
			check(prefix+alphabet[i:i+1], more-1)
		}
	}
	check("", 5)
	check("\uFFFD\xff\uFFFD", 2)
	check("\xff\uFFFD\uFFFD\xff", 2)
}

func TestEscapes(t *testing.T) {
	for _, c := range []struct{ s, value, help string }{
		{"", "", ""},
		{"abc", "abc", "abc"},
		{`"`, `\"`, `"`},
		{`\`, `\\`, `\\`},
		{"\n", `\n`, `\n`},
		{"a\\n\n\"é\x00\t\r\xff", `a\\n\n\"é` + "\x00\t\r\xff", `a\\n\n"é` + "\x00\t\r\xff"},
		{`\\""`, `\\\\\"\"`, `\\\\""`},
		{"\u2028\u2029", "\u2028\u2029", "\u2028\u2029"},
	} {
		if got := string(AppendLabelValue([]byte("x"), c.s)); got != "x"+c.value {
			t.Errorf("label value %q: %s, want x%s", c.s, got, c.value)
		}
		if got := string(AppendHelp([]byte("x"), c.s)); got != "x"+c.help {
			t.Errorf("help %q: %s, want x%s", c.s, got, c.help)
		}
	}
}

func TestUnquote(t *testing.T) {
	for _, c := range []struct {
		s, value, rest string
		ok             bool
	}{
		{`"`, "", "", true},
		{`abc"`, "abc", "", true},
		{`abc",d="e"} 1`, "abc", `,d="e"} 1`, true},
		{`a\\b\"c\nd"x`, "a\\b\"c\nd", "x", true},
		{`\\"`, `\`, "", true},
		{`\\\"" "`, `\"`, ` "`, true},
		{"a\nb\x00\xff\"", "a\nb\x00\xff", "", true}, // bytes that need no escape to be read
		{``, "", "", false},
		{`abc`, "", "", false},
		{`abc\"`, "", "", false},
		{`abc\`, "", "", false},
		{`a\tb"`, "", "", false},
		{`a\x41"`, "", "", false},
		{"a\\\n\"", "", "", false},
	} {
		value, rest, ok := Unquote(c.s)
		if value != c.value || rest != c.rest || ok != c.ok {
			t.Errorf("%q: %q, %q, %v, want %q, %q, %v", c.s, value, rest, ok, c.value, c.rest, c.ok)
		}
	}
	if race.Enabled {
		return // the race detector allocates
	}
	if n := testing.AllocsPerRun(100, func() { Unquote(`value without escapes",rest`) }); n != 0 {
		t.Errorf("%v allocations for a value without escapes", n)
	}
}

// FuzzUnquote: each escaped string comes back, and text without a closing quote is refused.
func FuzzUnquote(f *testing.F) {
	for _, s := range []string{"", `\`, `"`, "\n", `a\\"b`, "\xff\x00", `\x`} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, s, rest string) {
		escaped := string(AppendLabelValue(nil, s))
		if value, after, ok := Unquote(escaped + `"` + rest); value != s || after != rest || !ok {
			t.Errorf("%q and %q: %q, %q, %v", s, rest, value, after, ok)
		}
		if value, after, ok := Unquote(escaped); value != "" || after != "" || ok {
			t.Errorf("%q without a quote: %q, %q, %v", escaped, value, after, ok)
		}
		Unquote(rest)
	})
}

func TestQuote(t *testing.T) {
	for s, want := range map[string]string{
		"":               `""`,
		"abc é 日 😀":      `"abc é 日 😀"`,
		`a"b\c`:          `"a\"b\\c"`,
		"a\nb\t\x00\x1f": `"a\x0ab\x09\x00\x1f"`,
		"\x7f~ ":         `"\x7f~ "`,
		"\xff":           `"\xff"`,
		"é\xff":          `"\xc3\xa9\xff"`, // all bytes, so that the invalid bytes can be found
		"a\xc3b":         `"a\xc3b"`,
		"\uFFFD":         "\"\uFFFD\"",
	} {
		if got := Quote(s); got != want {
			t.Errorf("%q: %s, want %s", s, got, want)
		}
	}
}

// FuzzQuote: strconv.Unquote reads every quoted string back, of a long string the part that
// Quote shows.
func FuzzQuote(f *testing.F) {
	for _, s := range []string{"", "\xff", "\"\\\n", "é\x7f", "\u2028", strings.Repeat("\u00e9\xff", 60)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		q := Quote(s)
		short, cut := strings.CutSuffix(q, `"...`)
		if cut {
			short += `"`
		}
		got, err := strconv.Unquote(short)
		if err != nil || cut != (len(s) > maxQuoted) || !cut && got != s || !strings.HasPrefix(s, got) || len(got) > maxQuoted || cut && len(got) < maxQuoted-utf8.UTFMax {
			t.Errorf("%q: %s is read as %q, %v", s, q, got, err)
		}
		if !utf8.ValidString(q) || strings.ContainsFunc(q, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			t.Errorf("%q: %q cannot be printed", s, q)
		}
	})
}

// TestQuoteCuts: of a long string Quote shows at most 128 bytes, and no part of a rune.
func TestQuoteCuts(t *testing.T) {
	a, e := strings.Repeat("a", 127), strings.Repeat("\u00e9", 63)
	for s, want := range map[string]string{
		a + "b":                         `"` + a + `b"`,
		a + "bc":                        `"` + a + `b"...`,
		a + "\u00e9":                    `"` + a + `"...`,
		a + "\u20ac":                    `"` + a + `"...`,
		e + "a\u00e9":                   `"` + e + `a"...`,
		"a" + e + "\U0001f600":          `"a` + e + `"...`,
		strings.Repeat("\x80", 1<<20):   `"` + strings.Repeat(`\x80`, 124) + `"...`,
		strings.Repeat("\x00", 3<<20):   `"` + strings.Repeat(`\x00`, 128) + `"...`,
		strings.Repeat("a", 128) + "\"": `"` + strings.Repeat("a", 128) + `"...`,
	} {
		if got := Quote(s); got != want {
			t.Errorf("%.200q: %s, want %s", s, got, want)
		}
	}
}
