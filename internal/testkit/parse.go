package testkit

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// The parsers share no code with the encoders. A parser fails the test if a scraper could
// refuse the scrape. All parsers return the samples of the text format, so that samples of
// different formats can be compared. So a histogram is samples of _bucket, _sum and _count,
// and a bound is written in the shortest way.

// Parsers has each parser by the name of its format.
var Parsers = map[string]func(testing.TB, string) []Sample{
	"text":            ParseText,
	"OpenMetrics":     ParseOpenMetrics,
	"OpenMetrics 2.0": ParseOpenMetrics2,
	"JSON":            ParseJSON,
}

// A Sample is one sample of a scrape.
type Sample struct {
	Name   string
	Labels []Label // in the order of the scrape
	Value  float64
	Text   string // Value as the scrape has it; "" from ParseJSON
	Time   string // as the scrape has it; "" if the sample has no time
}

// A Label is a label of a sample.
type Label struct{ Name, Value string }

// Pairs returns labels that are given as name, value, name, value.
func Pairs(pairs ...string) (labels []Label) {
	for i := 0; i < len(pairs); i += 2 {
		labels = append(labels, Label{pairs[i], pairs[i+1]})
	}
	return labels
}

// Key returns the same string for samples of the same series. Prometheus ignores the order
// of labels, and a label with an empty value.
func (s Sample) Key() string {
	labels := slices.Clone(s.Labels)
	slices.SortFunc(labels, func(a, b Label) int { return strings.Compare(a.Name, b.Name) })
	key := s.Name
	for _, l := range labels {
		if l.Value != "" {
			key += strconv.Quote(l.Name) + strconv.Quote(l.Value)
		}
	}
	return key
}

// ParseText parses the text format 0.0.4 with legacy names. It fails the test if the
// families are not sorted by name, a sample is not of the family before it, or a series
// repeats.
func ParseText(t testing.TB, s string) (samples []Sample) {
	t.Helper()
	family, kind, helped := "", "", ""
	seen := map[string]bool{}
	for line := range strings.Lines(s) {
		line, ok := strings.CutSuffix(line, "\n")
		if !ok {
			t.Fatalf("no newline after %q", line)
		}
		if rest, ok := strings.CutPrefix(line, "# HELP "); ok {
			var help string
			if helped, help, _ = strings.Cut(rest, " "); help == "" {
				t.Fatalf("empty help: %q", line)
			}
			continue
		}
		if rest, ok := strings.CutPrefix(line, "# TYPE "); ok {
			name, k, _ := strings.Cut(rest, " ")
			if helped != "" && name != helped || name <= family {
				t.Fatalf("TYPE of %s after HELP of %s and family %s", name, helped, family)
			}
			family, kind, helped = name, k, ""
			continue
		}
		sample := ParseLine(t, line)
		suffix, ok := strings.CutPrefix(sample.Name, family)
		if !ok || helped != "" || !slices.Contains(textSuffixes(kind), suffix) {
			t.Fatalf("%q in the %s %s", line, kind, family)
		}
		if seen[sample.Key()] {
			t.Fatalf("series twice: %q", line)
		}
		seen[sample.Key()] = true
		samples = append(samples, sample)
	}
	return samples
}

// textSuffixes returns the suffixes that a sample's name can have after the name of its
// family.
func textSuffixes(kind string) []string {
	switch kind {
	case "histogram":
		return []string{"_bucket", "_sum", "_count"}
	case "summary":
		return []string{"", "_sum", "_count"}
	}
	return []string{""}
}

// ParseHelp returns the help of each family of a scrape in the text format.
func ParseHelp(s string) map[string]string {
	help := map[string]string{}
	for line := range strings.Lines(s) {
		if rest, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "# HELP "); ok {
			name, text, _ := strings.Cut(rest, " ")
			help[name] = strings.NewReplacer(`\\`, `\`, `\n`, "\n").Replace(text)
		}
	}
	return help
}

// ParseLine parses a sample of the text format:
//
//	name{label="value",...} value time
//
// The braces and the time may be missing. Braces without a label fail the test.
func ParseLine(t testing.TB, line string) (s Sample) {
	t.Helper()
	i := strings.IndexAny(line, "{ ")
	if i < 0 {
		t.Fatalf("no value: %q", line)
	}
	s.Name = line[:i]
	rest := line[i:]
	if rest[0] == '{' {
		s.Labels, rest = parseLabels(t, rest)
	}
	rest, ok := strings.CutPrefix(rest, " ")
	if !ok {
		t.Fatalf("no space before the value: %q", line)
	}
	s.Text, s.Time, _ = strings.Cut(rest, " ")
	v, err := strconv.ParseFloat(s.Text, 64)
	if err != nil {
		t.Fatalf("%v: %q", err, line)
	}
	s.Value = v
	return s
}

// parseLabels parses labels in braces. It returns the rest of the line.
func parseLabels(t testing.TB, line string) (labels []Label, rest string) {
	t.Helper()
	rest = line
	for before := "{"; !strings.HasPrefix(rest, "}"); before = "," {
		name, after, ok := strings.Cut(rest, `="`)
		name, separated := strings.CutPrefix(name, before)
		if !ok || !separated {
			t.Fatalf("no label: %q", line)
		}
		var value string
		value, rest = parseQuoted(t, after)
		labels = append(labels, Label{name, value})
	}
	return labels, rest[1:]
}

// parseQuoted parses a label value up to its closing quote. It returns the rest of the
// line.
func parseQuoted(t testing.TB, line string) (value, rest string) {
	t.Helper()
	var b []byte
	for i := 0; i < len(line); i++ {
		c := line[i]
		if c == '"' {
			return string(b), line[i+1:]
		}
		if c == '\\' {
			i++
			escape := -1
			if i < len(line) {
				escape = strings.IndexByte(`\"n`, line[i])
			}
			if escape < 0 {
				t.Fatalf("unknown escape at byte %d: %q", i, line)
			}
			c = "\\\"\n"[escape]
		}
		b = append(b, c)
	}
	t.Fatalf("no closing quote: %q", line)
	return "", ""
}

// ParseOpenMetrics parses OpenMetrics 1.0 with legacy names. It fails the test if the
// scrape does not end in # EOF, a family or a series repeats, or a sample is not of the
// family before it. It also fails the test if a name does not end in its unit, or an
// exemplar is not allowed.
func ParseOpenMetrics(t testing.TB, s string) (samples []Sample) {
	t.Helper()
	s, ok := strings.CutSuffix(s, "# EOF\n")
	if !ok {
		t.Fatalf("no # EOF: %q", s[max(0, len(s)-100):])
	}
	suffixes := map[string][]string{
		"counter": {"_total", "_created"}, "histogram": {"_bucket", "_count", "_sum", "_created"},
		"gauge": {""}, "unknown": {""}, "info": {"_info"}, "summary": {"", "_count", "_sum", "_created"},
	}
	families, seen := map[string]bool{}, map[string]bool{}
	family, kind, helped := "", "", ""
	for line := range strings.Lines(s) {
		line, ok = strings.CutSuffix(line, "\n")
		if !ok {
			t.Fatalf("no newline after %q", line)
		}
		if rest, ok := strings.CutPrefix(line, "# "); ok {
			what, rest, _ := strings.Cut(rest, " ")
			name, rest, _ := strings.Cut(rest, " ")
			switch {
			case what == "HELP" && !families[name] && rest != "":
				helped = name
			case what == "TYPE" && (helped == "" || name == helped) && !families[name]:
				family, kind, helped = name, rest, ""
				families[name] = true
			case what == "UNIT" && name == family && strings.HasSuffix(name, "_"+rest):
			default:
				t.Fatalf("%q in the %s %s", line, kind, family)
			}
			continue
		}
		line, exemplar := cutExemplar(line)
		sample := ParseLine(t, line)
		suffix, ok := strings.CutPrefix(sample.Name, family)
		if !ok || helped != "" || !slices.Contains(suffixes[kind], suffix) {
			t.Fatalf("%q in the %s %s", line, kind, family)
		}
		if seen[sample.Key()] {
			t.Fatalf("series twice: %q", line)
		}
		seen[sample.Key()] = true
		if suffix == "_bucket" {
			shortenBound(t, &sample)
		}
		if exemplar != "" {
			checkExemplar(t, sample, suffix, exemplar)
		}
		samples = append(samples, sample)
	}
	return samples
}

// cutExemplar cuts a line before its exemplar. A # in a label value starts no exemplar.
func cutExemplar(line string) (sample, exemplar string) {
	quoted := false
	for i := 0; i < len(line); i++ {
		switch {
		case line[i] == '"':
			quoted = !quoted
		case line[i] == '\\' && quoted:
			i++
		case strings.HasPrefix(line[i:], " # ") && !quoted:
			return line[:i], line[i+len(" # "):]
		}
	}
	return line, ""
}

// checkExemplar parses an exemplar, {labels} value time, and fails the test if its sample
// cannot have this exemplar.
func checkExemplar(t testing.TB, of Sample, suffix, s string) {
	t.Helper()
	x := ParseLine(t, s)
	runes := 0
	for _, l := range x.Labels {
		runes += utf8.RuneCountInString(l.Name) + utf8.RuneCountInString(l.Value)
	}
	if suffix != "_total" && suffix != "_bucket" || x.Name != "" || x.Time == "" || runes > 128 {
		t.Fatalf("exemplar %q of %s", s, of.Name)
	}
	for _, l := range of.Labels {
		if bound, _ := strconv.ParseFloat(l.Value, 64); suffix == "_bucket" && l.Name == "le" && x.Value > bound {
			t.Fatalf("exemplar %q in the bucket up to %v", s, bound)
		}
	}
}

// shortenBound writes the bound of a bucket as the text format does.
func shortenBound(t testing.TB, s *Sample) {
	t.Helper()
	for i, l := range s.Labels {
		if l.Name == "le" {
			bound, err := strconv.ParseFloat(l.Value, 64)
			if err != nil {
				t.Fatalf("bound of %s: %v", s.Name, err)
			}
			s.Labels[i].Value = shortest(bound)
		}
	}
}

func shortest(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

// ParseJSON parses the JSON format. It fails the test if a family is empty, or a family, a
// series or a label repeats. A null value is NaN. JSON has null for the infinities too.
func ParseJSON(t testing.TB, s string) (samples []Sample) {
	t.Helper()
	seen := map[string]bool{}
	parseObject(t, s, func(name string, d *json.Decoder) {
		var list []struct {
			Labels  json.RawMessage
			Value   *float64
			Count   *uint64
			Buckets []struct {
				Le    *float64
				Count uint64
			}
			Quantiles []struct{ Quantile, Value *float64 }
		}
		if err := d.Decode(&list); err != nil {
			t.Fatalf("%v: %s", err, s)
		}
		if len(list) == 0 {
			t.Fatalf("%s has no series", name)
		}
		for _, e := range list {
			var labels []Label
			parseObject(t, string(e.Labels), func(name string, d *json.Decoder) {
				token, err := d.Token()
				value, ok := token.(string)
				if !ok {
					t.Fatalf("%v, label %q is %v: %s", err, name, token, s)
				}
				labels = append(labels, Label{name, value})
			})
			add := func(suffix string, value float64, more ...Label) {
				samples = append(samples, Sample{Name: name + suffix, Labels: append(slices.Clip(labels), more...), Value: value})
			}
			series := Sample{Name: name, Labels: labels}
			if seen[series.Key()] {
				t.Fatalf("series twice: %s %q", name, labels)
			}
			seen[series.Key()] = true
			if e.Count == nil {
				add("", orNaN(e.Value))
				continue
			}
			for _, b := range e.Buckets {
				bound := math.Inf(+1)
				if b.Le != nil {
					bound = *b.Le
				}
				add("_bucket", float64(b.Count), Label{"le", shortest(bound)})
			}
			for _, q := range e.Quantiles {
				add("", orNaN(q.Value), Label{"quantile", shortest(orNaN(q.Quantile))})
			}
			add("_sum", orNaN(e.Value))
			add("_count", float64(*e.Count))
		}
	})
	return samples
}

func orNaN(v *float64) float64 {
	if v == nil {
		return math.NaN()
	}
	return *v
}

// parseObject calls member for each member of a JSON object, with a decoder in front of
// the value. It fails the test if a name repeats: json.Unmarshal would use the last value.
func parseObject(t testing.TB, s string, member func(name string, d *json.Decoder)) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(s))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		t.Fatalf("%v, %v starts no object: %s", err, open, s)
	}
	names := map[string]bool{}
	for d.More() {
		token, err := d.Token()
		name, ok := token.(string)
		if err != nil || !ok || names[name] {
			t.Fatalf("%v, member %v: %s", err, token, s)
		}
		names[name] = true
		member(name, d)
	}
	if end, err := d.Token(); err != nil || end != json.Delim('}') || d.More() {
		t.Fatalf("%v, %v does not end the object: %s", err, end, s)
	}
}

// CheckHistograms fails the test if the counts of the buckets of a histogram decrease. It
// also fails the test if the last bucket is not +Inf, or _count differs from its count.
// Summaries must not be among the samples.
func CheckHistograms(t testing.TB, samples []Sample) {
	t.Helper()
	below, le := 0.0, ""
	for _, s := range samples {
		switch {
		case strings.HasSuffix(s.Name, "_bucket"):
			if le != "" && le != "+Inf" && s.Value < below {
				t.Errorf("%s is %v after %v", s.Key(), s.Value, below)
			}
			below, le = s.Value, s.Labels[len(s.Labels)-1].Value
		case strings.HasSuffix(s.Name, "_count"):
			if le != "+Inf" || s.Value != below {
				t.Errorf("%s is %v, the bucket up to %s has %v", s.Key(), s.Value, le, below)
			}
		}
	}
}

// CheckMonotonic fails the test if a sample is missing or has decreased since last, an
// earlier result of CheckMonotonic. It returns the values of the samples for which keep
// returns true, by [Sample.Key].
func CheckMonotonic(t testing.TB, samples []Sample, last map[string]float64, keep func(Sample) bool) map[string]float64 {
	t.Helper()
	now := map[string]float64{}
	for _, s := range samples {
		if keep(s) {
			now[s.Key()] = s.Value
		}
	}
	for key, before := range last {
		if after, ok := now[key]; !ok || after < before {
			t.Errorf("%s went from %v to %v, present: %v", key, before, after, ok)
		}
	}
	return now
}
