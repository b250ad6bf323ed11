package tacho

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestEscapedNames(t *testing.T) {
	for _, c := range []struct{ name, underscores, dots, values string }{
		{"a.b", "a_b", "a_dot_b", "U__a_2e_b"},
		{"http.server_duration", "http_server_duration", "http_dot_server__duration", "U__http_2e_server__duration"},
		{"a/b:c d", "a_b:c_d", "a__b:c__d", "U__a_2f_b:c_20_d"},
		{"1a2", "_a2", "__a2", "U___31_a2"},
		{"é€😀", "___", "______", "U___e9__20ac__1f600_"},
		{"a\n\x00", "a__", "a____", "U__a_a__0_"},
	} {
		for s, want := range map[escaping]string{escapeUnderscores: c.underscores, escapeDots: c.dots, escapeValues: c.values} {
			if got := string(appendEscapedMetric(nil, c.name, s)); got != want {
				t.Errorf("%q by %v: %q, want %q", c.name, s, got, want)
			}
		}
	}
	for _, c := range []struct {
		name string
		s    escaping
		want string
	}{
		{"a.b", escapeUnderscores, "a_b"},
		{"a:b", escapeUnderscores, "a_b"}, // no colons in names of labels
		{"a:b", escapeValues, "U__a_3a_b"},
		{"..a", escapeUnderscores, "U___2e__2e_a"}, // __a is reserved
		{"1", escapeDots, "U___31_"},
		{"_.a", escapeDots, "U_____2e_a"},
	} {
		if got := string(appendEscapedLabel(nil, c.name, c.s)); got != c.want {
			t.Errorf("label %q by %v: %q, want %q", c.name, c.s, got, c.want)
		}
	}
}

// FuzzEscape: what escaping makes is in the legacy set, "values" makes no two
// names one, and a relabelled block has the values of the block.
func FuzzEscape(f *testing.F) {
	for _, s := range []string{"a.b", "", "é", "\"\\\n", "U__a", "__", "=\",{}", "1"} {
		f.Add(s, s+"x", s)
	}
	f.Fuzz(func(t *testing.T, a, b, value string) {
		value = string(appendValid(nil, value))
		ok := func(s string) bool { return validUTF8Name(s) && !strings.HasPrefix(s, "__") }
		if !ok(a) || !ok(b) || a == b {
			t.Skip()
		}
		for _, s := range []escaping{escapeUnderscores, escapeDots, escapeValues} {
			metric, name := string(appendEscapedMetric(nil, a, s)), string(appendEscapedLabel(nil, a, s))
			if !validMetricName(metric) || !validLabelName(name) {
				t.Errorf("%q by %v: metric %q, label %q", a, s, metric, name)
			}
			block := string(appendBlock(nil, []label{{name: a, value: value}, {name: "legacy", value: value}, {name: b}}, nil, ""))
			want := string(appendBlock(nil, []label{{name: shown(a, s), value: value}, {name: "legacy", value: value}, {name: shown(b, s)}}, nil, ""))
			if got := string(appendRelabelled(nil, block, s)); got != want {
				t.Errorf("%s by %v: %s, want %s", block, s, got, want)
			}
		}
		if validMetricName(a) || validMetricName(b) {
			return
		}
		if x, y := appendEscapedMetric(nil, a, escapeValues), appendEscapedMetric(nil, b, escapeValues); string(x) == string(y) {
			t.Errorf("%q and %q are both %s", a, b, x)
		}
		if got := unquoted(string(appendLabelValue(nil, a))); got != a || !utf8.ValidString(got) {
			t.Errorf("%q came back as %q", a, got)
		}
	})
}

// shown is the name of a label in an exposition.
func shown(name string, s escaping) string {
	if validLabelName(name) {
		return name
	}
	return string(appendEscapedLabel(nil, name, s))
}

// TestEscapedOutput: what is escaped reads as the text format of 0.0.4, in which
// all names are legacy.
func TestEscapedOutput(t *testing.T) {
	r := goldens["utf8"]()
	names := map[string]bool{}
	for _, line := range strings.Split(text(t, r), "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		s := engLine(t, line)
		names[s.name] = true
		if !validMetricName(s.name) {
			t.Errorf("name %q", s.name)
		}
		for _, l := range s.labels {
			if !validLabelName(l[0]) {
				t.Errorf("label %q in %q", l[0], line)
			}
		}
	}
	if len(names) != 17 {
		t.Errorf("%d names: %v", len(names), names)
	}
}
