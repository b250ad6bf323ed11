// Package tachotest helps to test programs that use tacho: it reads the value of
// a series, compares a registry with what it should hold, and lints names.
//
//	tachotest.Compare(t, reg, `
//		jobs_total{result="ok"} 3
//		queue_length 0
//	`)
package tachotest

import (
	"slices"
	"strings"
	"testing"

	"github.com/tachikoma/tacho"
)

// Value returns the value of a sample as a scrape of reg in the text format shows
// it: labels are given as name, value, name, value, in any order, const labels
// included. Samples of a histogram have names of their own, such as x_count, and
// its buckets the label le. It ends the test if there is no such sample.
func Value(tb testing.TB, reg *tacho.Registry, name string, labels ...string) float64 {
	tb.Helper()
	if len(labels)%2 != 0 {
		tb.Fatalf("tachotest: labels of %s must be pairs of a name and a value, not %q", name, labels)
	}
	want := sample{name: name}
	for i := 0; i < len(labels); i += 2 {
		want.labels = append(want.labels, [2]string{labels[i], labels[i+1]})
	}
	key := want.series()
	var near []string
	for _, line := range scrape(tb, reg) {
		s, err := parseSample(line)
		if err != nil {
			continue // metadata
		}
		if s.series() == key {
			return s.value
		}
		if s.name == name {
			near = append(near, line)
		}
	}
	switch {
	case near != nil:
		tb.Fatalf("tachotest: no sample %s, only\n\t%s", key, strings.Join(near, "\n\t"))
	default:
		tb.Fatalf("tachotest: no sample %s, nor another of that name", key)
	}
	return 0
}

// Compare fails the test, with a diff, if the samples of a scrape of reg in the
// text format are not those that want lists. Of reg it looks at the families whose
// names are given, or at all of them. Lines of want are samples, whose order and
// that of whose labels does not matter, HELP and TYPE lines, which must be there but
// need not be listed, and empty ones; space around them does not count.
func Compare(tb testing.TB, reg *tacho.Registry, want string, families ...string) {
	tb.Helper()
	var expected []string
	for _, line := range strings.Split(want, "\n") {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		canonical, err := canonicalLine(line)
		if err != nil {
			tb.Fatalf("tachotest: %v in the expected line %q", err, line)
		}
		expected = append(expected, canonical)
	}
	if diff := difference(expected, selected(scrape(tb, reg), families)); diff != "" {
		tb.Errorf("tachotest: the registry is not as expected (- missing, + not expected):\n%s", diff)
	}
}

// scrape returns the lines of a scrape.
func scrape(tb testing.TB, reg *tacho.Registry) []string {
	tb.Helper()
	var b strings.Builder
	if err := reg.WriteText(&b); err != nil {
		tb.Fatalf("tachotest: %v", err) // no writer is more willing
	}
	return strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
}

// selected returns the lines of the named families, canonical; of all for none.
func selected(lines, families []string) (kept []string) {
	on := len(families) == 0
	for _, line := range lines {
		if rest, ok := strings.CutPrefix(line, "# HELP "); ok && len(families) > 0 {
			name, _, _ := strings.Cut(rest, " ")
			on = slices.Contains(families, name)
		}
		if on && line != "" {
			canonical, err := canonicalLine(line)
			if err != nil {
				canonical = line
			}
			kept = append(kept, canonical)
		}
	}
	return kept
}

// difference lists what only one side has, among the lines around it. Metadata
// that is not expected is no difference.
func difference(expected, got []string) string {
	count := map[string]int{}
	for _, line := range expected {
		count[line]++
	}
	var b strings.Builder
	differs := false
	for _, line := range got {
		switch {
		case count[line] > 0:
			count[line]--
			b.WriteString("  " + line + "\n")
		case strings.HasPrefix(line, "#"):
		default:
			differs = true
			b.WriteString("+ " + line + "\n")
		}
	}
	for _, line := range expected {
		if count[line] > 0 {
			count[line]--
			differs = true
			b.WriteString("- " + line + "\n")
		}
	}
	if !differs {
		return ""
	}
	return b.String()
}
