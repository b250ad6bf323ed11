package expo

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/tachikoma/tacho/internal/escape"
	"github.com/tachikoma/tacho/internal/label"
	"github.com/tachikoma/tacho/internal/names"
)

// TestUTF8Samples: a sample has its quoted names in the braces, or escaped names.
func TestUTF8Samples(t *testing.T) {
	const block = `{"c.d"="\\\"\n",e="c.d"} `
	for _, c := range []struct {
		family Family
		scheme names.Scheme
		block  string
		want   string
	}{
		{Family{Name: "a.b"}, names.AllowUTF8, " ", `{"a.b"} 7`},
		{Family{Name: "a.b"}, names.AllowUTF8, block, `{"a.b","c.d"="\\\"\n",e="c.d"} 7`},
		{Family{Name: "a.b"}, names.Underscores, " ", `a_b 7`},
		{Family{Name: "a.b"}, names.Underscores, block, `a_b{c_d="\\\"\n",e="c.d"} 7`},
		{Family{Name: "a.b"}, names.Dots, block, `a_dot_b{c_dot_d="\\\"\n",e="c.d"} 7`},
		{Family{Name: "a.b"}, names.Values, block, `U__a_2e_b{U__c_2e_d="\\\"\n",e="c.d"} 7`},
		{Family{Name: "a\\\"\n"}, names.AllowUTF8, `{e="f"} `, `{"a\\\"\n",e="f"} 7`},
		{Family{Name: "a_b"}, names.AllowUTF8, block, `a_b{"c.d"="\\\"\n",e="c.d"} 7`},
		{Family{Name: "a_b"}, names.Dots, block, `a_b{c_dot_d="\\\"\n",e="c.d"} 7`},
		{Family{Name: "a_b"}, names.Underscores, `{e="c.d"} `, `a_b{e="c.d"} 7`},
	} {
		f := c.family
		f.Kind, f.Quoted, f.QuotedLabels = Gauge, !names.ValidMetric(f.Name), strings.Contains(c.block, `"c.d"=`)
		f.Encode = func(e *Encoder) {
			e.Begin(&f)
			e.Whole(c.block, 7, false, nil)
		}
		var b strings.Builder
		if err := Write(&b, &Text, c.scheme, []*Family{&f}, &Names{UTF8: &UTF8}); err != nil {
			t.Fatal(err)
		}
		if lines := strings.Split(b.String(), "\n"); len(lines) != 3 || lines[1] != c.want {
			t.Errorf("%q, scheme %s: %q, want %s", f.Name, c.scheme.HeaderValue(), lines, c.want)
		}
	}
}

// TestUTF8Rules: a name is valid UTF-8 without NUL. A name outside the legacy set marks its
// family.
func TestUTF8Rules(t *testing.T) {
	for _, c := range []struct {
		name                 string
		metric, quotedMetric bool
		label, quotedLabel   bool
	}{
		{"a", true, false, true, false},
		{"a:b", true, false, true, true},
		{"a.b", true, true, true, true},
		{"1", true, true, true, true},
		{"é", true, true, true, true},
		{"__a", true, false, false, true},
		{"__é", true, true, false, true},
		{"", false, true, false, true},
		{"a\x00", false, true, false, true},
		{"\xff", false, true, false, true},
		{"U__a", false, false, false, false},
		{"U_a", true, false, true, false},
	} {
		rules := &UTF8
		for _, before := range []bool{false, true} {
			f := Family{Name: c.name, Quoted: before, QuotedLabels: before}
			if got := rules.CheckMetric(&f); (got == "") != c.metric || f.Quoted != c.quotedMetric || f.QuotedLabels != before {
				t.Errorf("metric %q: error %q, quoted %v, want %v", c.name, got, f.Quoted, c.quotedMetric)
			}
			f.Quoted = before
			want := before || c.quotedLabel // another label may be quoted
			if got := rules.CheckLabel(&f, c.name); (got == "") != c.label || f.QuotedLabels != want || f.Quoted != before {
				t.Errorf("label %q: error %q, quoted %v, want %v", c.name, got, f.QuotedLabels, want)
			}
		}
		if rules.ValidName(c.name) != c.metric {
			t.Errorf("ValidName(%q) is %v", c.name, !c.metric)
		}
	}
	if got := UTF8.CheckLabels([]string{"a.b", "a_c"}); got != "" {
		t.Errorf("labels that differ: error %q", got)
	}
	if got := UTF8.CheckLabels([]string{"a.b", "a_b"}); !strings.Contains(got, `"a.b" and "a_b"`) {
		t.Errorf("labels with the same escaped name: error %q", got)
	}
	for s, want := range map[names.Scheme]string{names.Underscores: "a_b", names.Dots: "a_dot_b", names.Values: "U__a_2e_b"} {
		if got := UTF8.EscapedLabel("a.b", s); got != want {
			t.Errorf("label a.b by %s is %s, want %s", s.HeaderValue(), got, want)
		}
		if got := UTF8.EscapedLabel("a_b", s); got != "a_b" {
			t.Errorf("label a_b by %s is %s", s.HeaderValue(), got)
		}
	}
}

// FuzzEscape: all schemes make names of the legacy set. Values makes different names of
// different names. An escaped block has the values of the block.
func FuzzEscape(f *testing.F) {
	for _, s := range []string{"a.b", "", "é", "\"\\\n", "U__a", "__", "=\",{}", "1"} {
		f.Add(s, s+"x", s)
	}
	f.Fuzz(func(t *testing.T, a, b, value string) {
		value = escape.Valid(value)
		ok := func(s string) bool { return names.ValidUTF8(s) && !strings.HasPrefix(s, "__") }
		if !ok(a) || !ok(b) || a == b {
			t.Skip()
		}
		for _, s := range []names.Scheme{names.Underscores, names.Dots, names.Values} {
			metric, name := string(names.AppendEscapedMetric(nil, a, s)), string(names.AppendEscapedLabel(nil, a, s))
			if !names.ValidMetric(metric) || !names.ValidLabel(name) {
				t.Errorf("%q by %s: metric %q, label %q", a, s.HeaderValue(), metric, name)
			}
			block := string(label.AppendBlock(nil, []label.Label{{Name: a, Value: value}, {Name: "legacy", Value: value}, {Name: b}}))
			want := string(label.AppendBlock(nil, []label.Label{{Name: shown(a, s), Value: value}, {Name: "legacy", Value: value}, {Name: shown(b, s)}}))
			if got := string(appendEscapedBlock(nil, block, s)); got != want {
				t.Errorf("%s by %s: %s, want %s", block, s.HeaderValue(), got, want)
			}
		}
		if names.ValidMetric(a) || names.ValidMetric(b) {
			return
		}
		if x, y := names.AppendEscapedMetric(nil, a, names.Values), names.AppendEscapedMetric(nil, b, names.Values); string(x) == string(y) {
			t.Errorf("%q and %q are both escaped as %s", a, b, x)
		}
		if got, rest, ok := escape.Unquote(string(escape.AppendLabelValue(nil, a)) + `"`); got != a || rest != "" || !ok || !utf8.ValidString(got) {
			t.Errorf("%q becomes %q", a, got)
		}
	})
}

// shown returns the name of a label in an exposition.
func shown(name string, s names.Scheme) string {
	if names.ValidLabel(name) {
		return name
	}
	return string(names.AppendEscapedLabel(nil, name, s))
}
