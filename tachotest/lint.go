package tachotest

import (
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/tachikoma/tacho"
)

// Lint returns the violations of Prometheus' naming conventions in reg, one string for
// each violation. Lint checks the families that a scrape of reg shows and skips the
// families named in except. A vector without series is not in a scrape. A test
// should therefore record a value in each vector first. Lint ends the test if the scrape fails.
//
// The conventions are the page "Metric and label naming" of prometheus.io.
func Lint(tb testing.TB, reg *tacho.Registry, except ...string) (problems []string) {
	tb.Helper()
	help := map[string]string{}
	labels := map[string]bool{}
	family := ""
	report := func(name, problem string) {
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
				report(name, p)
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
				report(family, "label "+l[0]+" should be in snake_case")
			}
		}
	}
	return problems
}

func lintFamily(name, kind, help string) (problems []string) {
	reportIf := func(wrong bool, problem string) {
		if wrong {
			problems = append(problems, problem)
		}
	}
	words := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return r == '_' || r == ':' })
	reportIf(help == "", "should have a help text")
	reportIf(kind == "counter" && !strings.HasSuffix(name, "_total"), "a counter should end in _total")
	reportIf(kind != "counter" && strings.HasSuffix(name, "_total"), "only a counter should end in _total")
	for _, suffix := range []string{"_bucket", "_count", "_sum"} {
		reserved := kind != "histogram" && (kind != "summary" || suffix == "_bucket")
		reportIf(reserved && strings.HasSuffix(name, suffix), "the suffix "+suffix+" belongs to histograms and summaries")
	}
	reportIf(strings.Contains(name, ":"), "colons are reserved for recording rules")
	reportIf(camelCase(name), "should be in snake_case")
	for _, word := range words {
		reportIf(word == kind, "should not contain its type")
		if unit := baseUnits[word]; unit != "" {
			reportIf(true, "should be in "+unit+", not "+word)
		}
	}
	return problems
}

// baseUnits maps the name of another unit, or an abbreviation, to the base unit. Words
// with other common meanings (m, g, s, min) are left out.
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

// camelCase reports whether s has an upper-case letter after a lower-case letter.
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
