// Package tachotest helps to test programs that use tacho. [Value] returns the value of a
// sample. [Compare] compares a registry with expected text. [Lint] checks names.
//
// The text format has no native buckets. A histogram that has only native buckets has the
// samples x_bucket{le="+Inf"}, x_sum and x_count. [tacho.Histogram.Snapshot] returns the
// native buckets.
//
//	func TestJobs(t *testing.T) {
//		reg := tacho.NewRegistry()
//		jobs := reg.CounterVec("jobs_total", "Jobs done, by result.", []string{"result"})
//		jobs.With("ok").Add(3)
//
//		if got := tachotest.Value(t, reg, "jobs_total", "result", "ok"); got != 3 {
//			t.Errorf("got %v jobs, want 3", got)
//		}
//		tachotest.Compare(t, reg, `
//			jobs_total{result="ok"} 3
//		`)
//		for _, problem := range tachotest.Lint(t, reg) {
//			t.Error(problem)
//		}
//	}
package tachotest

import (
	"slices"
	"strings"
	"testing"

	"github.com/tachikoma/tacho"
)

// Value returns the value of a sample in a scrape of reg in the text format. The labels
// are pairs of a name and a value, in any order. Const labels must be listed too. A
// histogram x has the samples x_count, x_sum and x_bucket. Each x_bucket has a label le.
//
// Value ends the test if no sample has this name and these labels, or if the number of
// labels is odd.
func Value(tb testing.TB, reg *tacho.Registry, name string, labels ...string) float64 {
	tb.Helper()
	if len(labels)%2 != 0 {
		tb.Fatalf("tachotest: labels of %s must be pairs of a name and a value, got %q", name, labels)
	}
	want := sample{name: name}
	for i := 0; i < len(labels); i += 2 {
		want.labels = append(want.labels, [2]string{labels[i], labels[i+1]})
	}
	key := want.series()
	var sameName []string
	for _, line := range scrape(tb, reg) {
		s, err := parseSample(line)
		if err != nil {
			continue // metadata
		}
		if s.series() == key {
			return s.value
		}
		if s.name == name {
			sameName = append(sameName, line)
		}
	}
	switch {
	case sameName != nil:
		tb.Fatalf("tachotest: no sample %s, other samples of this name:\n\t%s", key, strings.Join(sameName, "\n\t"))
	default:
		tb.Fatalf("tachotest: no sample %s, no other samples of this name", key)
	}
	return 0
}

// Compare marks the test as failed if a scrape of reg in the text format does not have
// exactly the samples in want. The message is a diff. If families are given, Compare
// ignores all other families of reg.
//
// want is text in the same format. The order of lines and of labels does not matter.
// Empty lines and space around a line are ignored. A HELP or TYPE line in want must be
// in the scrape too, but the scrape can have more such lines. Compare ends the test if
// a line of want cannot be parsed.
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

func scrape(tb testing.TB, reg *tacho.Registry) []string {
	tb.Helper()
	var b strings.Builder
	if err := reg.WriteText(&b); err != nil {
		tb.Fatalf("tachotest: %v", err)
	}
	return strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
}

// selected returns the canonical lines of the named families. An empty list of names
// selects all families.
func selected(lines, families []string) (kept []string) {
	on := len(families) == 0
	for _, line := range lines {
		// A family without a help text begins with its TYPE line.
		if words := strings.SplitN(line, " ", 4); len(words) > 2 && words[0] == "#" && len(families) > 0 {
			on = slices.Contains(families, words[2])
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

// difference returns a diff, or "" without a difference. Unexpected metadata is not a
// difference.
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
