package tachotest

import (
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/tachikoma/tacho"
)

// Lint returns what Prometheus' naming conventions (prometheus.io, "Metric and
// label naming") have against the names of reg, one line for each finding. It looks
// at the families that a scrape shows, so record something in each first. The
// families named in except are left alone.
func Lint(tb testing.TB, reg *tacho.Registry, except ...string) (problems []string) {
	tb.Helper()
	help := map[string]string{}
	labels := map[string]bool{}
	family := ""
	say := func(name, problem string) {
		if !slices.Contains(except, name) {
			problems = append(problems, name+": "+problem)
		}
	}
	for _, line := range scrape(tb, reg) {
		if rest, ok := strings.CutPrefix(line, "# HELP "); ok {
			name, text, _ := strings.Cut(rest, " ")
			help[name] = text
			continue
		}
		if rest, ok := strings.CutPrefix(line, "# TYPE "); ok {
			name, kind, _ := strings.Cut(rest, " ")
			family = name
			for _, p := range lintFamily(name, kind, help[name]) {
				say(name, p)
			}
			continue
		}
		s, err := parseSample(line)
		if err != nil {
			continue
		}
		for _, l := range s.labels {
			if key := family + "\xff" + l[0]; camelCase(l[0]) && !labels[key] {
				labels[key] = true
				say(family, "label "+l[0]+" should be in snake_case")
			}
		}
	}
	return problems
}

// lintFamily says what is wrong with the name of a family of this type.
func lintFamily(name, kind, help string) (problems []string) {
	say := func(wrong bool, problem string) {
		if wrong {
			problems = append(problems, problem)
		}
	}
	words := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return r == '_' || r == ':' })
	say(help == "", "should have a help text")
	say(kind == "counter" && !strings.HasSuffix(name, "_total"), "a counter should end in _total")
	say(kind != "counter" && strings.HasSuffix(name, "_total"), "only a counter should end in _total")
	for _, suffix := range []string{"_bucket", "_count", "_sum"} {
		taken := kind != "histogram" && (kind != "summary" || suffix == "_bucket")
		say(taken && strings.HasSuffix(name, suffix), "the suffix "+suffix+" belongs to histograms and summaries")
	}
	say(strings.Contains(name, ":"), "colons are for recording rules")
	say(camelCase(name), "should be in snake_case")
	for _, word := range words {
		say(word == kind, "should not say its type")
		if unit := baseUnits[word]; unit != "" {
			say(true, "should be in "+unit+", not "+word)
		}
	}
	return problems
}

// baseUnits gives the unit to use for the words that name another, or name it
// short. Words that mean something else as often (m, g, s, min) are not there.
var baseUnits = func() map[string]string {
	m := map[string]string{}
	for unit, words := range map[string]string{
		"seconds": "sec secs ms msec msecs millisecond milliseconds us usec microsecond microseconds ns nsec nanosecond nanoseconds " +
			"minute minutes hour hours day days week weeks",
		"bytes": "byte kb kib mb mib gb gib tb tib kilobyte kilobytes kibibytes megabyte megabytes mebibytes gigabyte gigabytes " +
			"gibibytes terabytes tebibytes bits kilobits megabits gigabits",
		"ratio":   "percent percents percentage",
		"meters":  "km kilometer kilometers mm millimeter millimeters centimeters",
		"grams":   "kg kilogram kilograms milligrams",
		"celsius": "kelvin fahrenheit",
		"volts":   "millivolts kilovolts",
		"amperes": "milliamperes",
		"joules":  "kilojoules calories kwh",
	} {
		for _, word := range strings.Fields(words) {
			m[word] = unit
		}
	}
	return m
}()

// camelCase reports whether a capital follows a small letter.
func camelCase(s string) bool {
	small := false
	for _, r := range s {
		if small && unicode.IsUpper(r) {
			return true
		}
		small = unicode.IsLower(r)
	}
	return false
}
