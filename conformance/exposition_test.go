package conformance

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// An exposition is the content of a scrape, either expected or parsed. The two kinds
// have the same form, so that compare can compare them. An exposition contains the
// lines of a scrape, not the objects of a parser. Some parsers accept an interleaved
// family, or a sample outside of its family. The methods add reject such lines.
type exposition struct {
	families map[string]*family
}

// A family has the name, the type and the samples of a metric in one format.
type family struct {
	name    string
	kind    string // type name of OpenMetrics: counter, gauge, histogram, info, summary, unknown
	help    string
	unit    string
	samples map[string]*sample // by key
}

// A sample is a sample line.
type sample struct {
	name     string
	labels   []label
	value    float64
	within   *span      // if set, the expected value is a time in within
	at       *int64     // timestamp in milliseconds
	exemplar []exemplar // at most 1 in a parsed sample; each expected exemplar can be the last
}

type label struct{ name, value string }

type exemplar struct {
	labels []label
	value  float64
	within span     // expected time of recording
	at     *float64 // parsed timestamp in seconds
}

func (x exemplar) String() string {
	if x.at == nil {
		return fmt.Sprintf("%v %v between %f and %f", x.labels, x.value, x.within.from, x.within.to)
	}
	return fmt.Sprintf("%v %v at %f", x.labels, x.value, *x.at)
}

// A span is a time interval, in seconds since 1970.
type span struct{ from, to float64 }

// timeSlack is the tolerance of a time comparison, in seconds. Formats and clocks have
// different resolutions: Prometheus truncates timestamps to milliseconds.
const timeSlack = 0.002

func (s span) contains(v float64) bool { return s.from-timeSlack <= v && v <= s.to+timeSlack }

func seconds(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }

func newExposition() *exposition { return &exposition{families: map[string]*family{}} }

// key returns the name and the sorted labels, which identify a sample.
func (s *sample) key() string {
	labels := slices.Clone(s.labels)
	slices.SortStableFunc(labels, func(a, b label) int { return strings.Compare(a.name, b.name) })
	var b strings.Builder
	b.WriteString(s.name)
	for _, l := range labels {
		fmt.Fprintf(&b, "|%q=%q", l.name, l.value)
	}
	return b.String()
}

// add adds a family. A second family with the same name is an error.
func (e *exposition) add(name string) (*family, error) {
	if e.families[name] != nil {
		return nil, fmt.Errorf("duplicate family %q", name)
	}
	f := &family{name: name, samples: map[string]*sample{}}
	e.families[name] = f
	return f, nil
}

// add adds a sample. The name must be valid for the type of the family. A duplicate
// series or a duplicate label name is an error.
func (f *family) add(s *sample) error {
	suffix, ok := strings.CutPrefix(s.name, f.name)
	if !ok || !slices.Contains(suffixes[f.kind], suffix) {
		return fmt.Errorf("invalid sample name %q in the %s %q", s.name, f.kind, f.name)
	}
	s.normalize(f.kind)
	key := s.key()
	if f.samples[key] != nil {
		return fmt.Errorf("duplicate series %s", key)
	}
	for i, l := range s.labels {
		for _, other := range s.labels[:i] {
			if l.name == other.name {
				return fmt.Errorf("duplicate label %q in %s", l.name, key)
			}
		}
	}
	f.samples[key] = s
	return nil
}

// normalize rewrites the values of the labels le and quantile, so that equal numbers
// are equal strings.
func (s *sample) normalize(kind string) {
	number := map[string]string{"histogram": "le", "summary": "quantile"}[kind]
	for i, l := range s.labels {
		if l.name != number {
			continue
		}
		if f, err := strconv.ParseFloat(l.value, 64); err == nil {
			s.labels[i].value = strconv.FormatFloat(f, 'g', -1, 64)
		}
	}
}

// suffixes has the suffixes of sample names, by type. A counter has the suffix "" in
// the text format, because the family name already ends in _total.
var suffixes = map[string][]string{
	"counter":   {"", "_total", "_created"},
	"gauge":     {""},
	"histogram": {"_bucket", "_sum", "_count", "_created"},
	"info":      {"", "_info"}, // "" in OpenMetrics 2.0
	"summary":   {"", "_sum", "_count", "_created"},
	"unknown":   {""},
}

// nameCollision checks a rule of OpenMetrics: a family name, with or without a suffix
// of its type, must not collide with a name of another family. Neither textparse nor
// expfmt checks the rule.
func (e *exposition) nameCollision() error {
	owner := map[string]string{}
	for _, f := range e.families {
		names := []string{f.name}
		for _, suffix := range suffixes[f.kind] {
			if suffix != "" {
				names = append(names, f.name+suffix)
			}
		}
		for _, name := range names {
			if other, taken := owner[name]; taken {
				return fmt.Errorf("the families %q and %q collide in the sample name %q", other, f.name, name)
			}
			owner[name] = f.name
		}
	}
	return nil
}

// ignored selects the parts of a comparison that a parser cannot support.
type ignored struct {
	exemplars  bool
	help       bool
	timestamps bool                 // accept a difference of 1 ms
	skip       func(f *family) bool // reports whether to skip a family
}

// compare reports all differences between want and got: missing parts, unexpected
// parts and wrong values.
func compare(t testing.TB, oracle string, want, got *exposition, b ignored) {
	t.Helper()
	skipped := func(f *family) bool { return b.skip != nil && b.skip(f) }
	for _, name := range slices.Sorted(maps.Keys(want.families)) {
		w := want.families[name]
		if skipped(w) {
			continue
		}
		g := got.families[name]
		if g == nil {
			t.Errorf("%s: missing family %q (%s)", oracle, name, w.kind)
			continue
		}
		w.compare(t, oracle, g, b)
	}
	for _, name := range slices.Sorted(maps.Keys(got.families)) {
		if want.families[name] == nil {
			t.Errorf("%s: unexpected family %q (%s)", oracle, name, got.families[name].kind)
		}
	}
}

func (w *family) compare(t testing.TB, oracle string, g *family, b ignored) {
	t.Helper()
	if g.kind != w.kind {
		t.Errorf("%s: %q is a %s, want a %s", oracle, w.name, g.kind, w.kind)
	}
	if g.help != w.help && !b.help {
		t.Errorf("%s: help of %q is %q, want %q", oracle, w.name, g.help, w.help)
	}
	if g.unit != w.unit {
		t.Errorf("%s: unit of %q is %q, want %q", oracle, w.name, g.unit, w.unit)
	}
	for _, key := range slices.Sorted(maps.Keys(w.samples)) {
		if s := g.samples[key]; s != nil {
			w.samples[key].compare(t, oracle, key, s, b)
		} else {
			t.Errorf("%s: missing sample %s of the %s %q", oracle, key, w.kind, w.name)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(g.samples)) {
		if w.samples[key] == nil {
			t.Errorf("%s: unexpected sample %s of the %s %q", oracle, key, w.kind, w.name)
		}
	}
}

func (w *sample) compare(t testing.TB, oracle, key string, g *sample, b ignored) {
	t.Helper()
	switch {
	case w.within != nil:
		if !w.within.contains(g.value) {
			t.Errorf("%s: %s is the time %f, want %f to %f", oracle, key, g.value, w.within.from, w.within.to)
		}
	case !same(w.value, g.value):
		t.Errorf("%s: %s is %v, want %v", oracle, key, g.value, w.value)
	}
	switch {
	case (w.at == nil) != (g.at == nil):
		t.Errorf("%s: %s has a timestamp is %v, want %v", oracle, key, g.at != nil, w.at != nil)
	case w.at != nil && *w.at != *g.at && !(b.timestamps && math.Abs(float64(*w.at-*g.at)) <= 1):
		t.Errorf("%s: timestamp of %s is %d ms, want %d", oracle, key, *g.at, *w.at)
	}
	if b.exemplars {
		return
	}
	if len(w.exemplar) == 0 && len(g.exemplar) == 0 {
		return
	}
	if len(g.exemplar) != 1 || !slices.ContainsFunc(w.exemplar, g.exemplar[0].matches) {
		t.Errorf("%s: exemplars of %s are %v, want exactly one from %v", oracle, key, g.exemplar, w.exemplar)
	}
}

// matches reports whether the parsed exemplar got equals the recorded exemplar want.
func (got exemplar) matches(want exemplar) bool {
	sorted := func(labels []label) []label {
		return slices.SortedFunc(slices.Values(labels), func(a, b label) int { return strings.Compare(a.name, b.name) })
	}
	return same(want.value, got.value) && slices.Equal(sorted(want.labels), sorted(got.labels)) &&
		got.at != nil && want.within.contains(*got.at)
}

// same reports whether a and b have the same bits. All NaN values are equal, because
// the formats have a single NaN.
func same(a, b float64) bool {
	return math.Float64bits(a) == math.Float64bits(b) || a != a && b != b
}
