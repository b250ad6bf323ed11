package tachotest

import "testing"

func TestParseSample(t *testing.T) {
	for line, want := range map[string]sample{
		"x 1":                        {name: "x", value: 1},
		"x\t-0.5":                    {name: "x", value: -0.5},
		"x 1e300":                    {name: "x", value: 1e300},
		"x{} 1 1500":                 {name: "x", value: 1, time: "1500"},
		`x{a="b"} 2`:                 {name: "x", value: 2, labels: [][2]string{{"a", "b"}}},
		`x{ a = "}", c="d\"", } 2 3`: {name: "x", value: 2, time: "3", labels: [][2]string{{"a", "}"}, {"c", `d"`}}},
	} {
		got, err := parseSample(line)
		if err != nil || got.name != want.name || got.value != want.value || got.time != want.time || len(got.labels) != len(want.labels) {
			t.Errorf("%q: got %v, error %v, want %v", line, got, err, want)
			continue
		}
		for i, l := range got.labels {
			if l != want.labels[i] {
				t.Errorf("%q: got label %q, want %q", line, l, want.labels[i])
			}
		}
	}
	for _, line := range []string{
		"", "# x 1", " x 1", "x", "x ", "x{}", "x 1 2 3", "x one", `{a="b"} 1`, `x{a="b" 1`, `x{a="b`, `x{a=b} 1`, `x{a=1} 2`, `x{="b"} 1`, `x{a} 1`,
	} {
		if got, err := parseSample(line); err == nil {
			t.Errorf("%q: got %v, want an error", line, got)
		}
	}
}
