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

// An exposition is what was recorded, or what a parser read of a scrape, in one
// form, so that the two can be compared. It is made of the lines that a scrape
// has, not of the objects of one parser: what a parser would gloss over (a
// family in two pieces, a sample outside of its family) must show.
type exposition struct {
	families map[string]*family
}

// A family has the name, the type and the samples that one format gives it.
type family struct {
	name    string
	kind    string // in the words of OpenMetrics: counter, gauge, histogram, info, summary, unknown
	help    string
	unit    string
	samples map[string]*sample // by key
}

// A sample is one line.
type sample struct {
	name     string
	labels   []label
	value    float64
	within   *span // for times that only the engine knows exactly: the value lies in here
	at       *int64
	exemplar []exemplar // none or one read; of those expected, any one may have been the latest
}

type label struct{ name, value string }

type exemplar struct {
	labels []label
	value  float64
	within span // when it was recorded
	at     *float64
}

func (x exemplar) String() string {
	if x.at == nil {
		return fmt.Sprintf("%v %v of %f to %f", x.labels, x.value, x.within.from, x.within.to)
	}
	return fmt.Sprintf("%v %v at %f", x.labels, x.value, *x.at)
}

// A span is two times, in seconds since 1970.
type span struct{ from, to float64 }

// Formats and clocks differ in resolution: Prometheus keeps milliseconds and cuts the rest off.
const timeSlack = 0.002

func (s span) holds(v float64) bool { return s.from-timeSlack <= v && v <= s.to+timeSlack }

func seconds(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }

func newExposition() *exposition { return &exposition{families: map[string]*family{}} }

// key tells lines apart: the name and the labels, sorted.
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

// add adds a family, which must be the first of its name.
func (e *exposition) add(name string) (*family, error) {
	if e.families[name] != nil {
		return nil, fmt.Errorf("family %q comes twice", name)
	}
	f := &family{name: name, samples: map[string]*sample{}}
	e.families[name] = f
	return f, nil
}

// add adds a sample, which must be the first of its name and labels, and have a
// name that the type of the family allows.
func (f *family) add(s *sample) error {
	suffix, ok := strings.CutPrefix(s.name, f.name)
	if !ok || !slices.Contains(suffixes[f.kind], suffix) {
		return fmt.Errorf("sample %q in the %s %q", s.name, f.kind, f.name)
	}
	s.settle(f.kind)
	key := s.key()
	if f.samples[key] != nil {
		return fmt.Errorf("series %s comes twice", key)
	}
	for i, l := range s.labels {
		for _, other := range s.labels[:i] {
			if l.name == other.name {
				return fmt.Errorf("label %q comes twice in %s", l.name, key)
			}
		}
	}
	f.samples[key] = s
	return nil
}

// settle gives the numbers in labels one form.
func (s *sample) settle(kind string) {
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

// suffixes are what names of samples add to that of their family, by type. A
// counter has "" in the text format, which names its family in full.
var suffixes = map[string][]string{
	"counter":   {"", "_total", "_created"},
	"gauge":     {""},
	"histogram": {"_bucket", "_sum", "_count", "_created"},
	"info":      {"_info"},
	"summary":   {"", "_sum", "_count", "_created"},
	"unknown":   {""},
}

// clashes checks the rule of OpenMetrics that no parser here checks: the name of
// a family, with or without a suffix that its type has, is nobody else's.
func (e *exposition) clashes() error {
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
				return fmt.Errorf("families %q and %q both may have a %q", other, f.name, name)
			}
			owner[name] = f.name
		}
	}
	return nil
}

// What an oracle cannot tell is left out of the comparison that it takes part in.
type blind struct {
	exemplars  bool
	help       bool                 // of families whose help it changes
	timestamps bool                 // to the millisecond
	skip       func(f *family) bool // families that it does not read
}

// compare says in what got is not want, both ways.
func compare(t testing.TB, oracle string, want, got *exposition, b blind) {
	t.Helper()
	skipped := func(f *family) bool { return b.skip != nil && b.skip(f) }
	for _, name := range slices.Sorted(maps.Keys(want.families)) {
		w := want.families[name]
		if skipped(w) {
			continue
		}
		g := got.families[name]
		if g == nil {
			t.Errorf("%s: no family %q (%s)", oracle, name, w.kind)
			continue
		}
		w.compare(t, oracle, g, b)
	}
	for _, name := range slices.Sorted(maps.Keys(got.families)) {
		if want.families[name] == nil {
			t.Errorf("%s: family %q (%s) came from nowhere", oracle, name, got.families[name].kind)
		}
	}
}

func (w *family) compare(t testing.TB, oracle string, g *family, b blind) {
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
			t.Errorf("%s: no sample %s of the %s %q", oracle, key, w.kind, w.name)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(g.samples)) {
		if w.samples[key] == nil {
			t.Errorf("%s: sample %s of the %s %q came from nowhere", oracle, key, w.kind, w.name)
		}
	}
}

func (w *sample) compare(t testing.TB, oracle, key string, g *sample, b blind) {
	t.Helper()
	switch {
	case w.within != nil:
		if !w.within.holds(g.value) {
			t.Errorf("%s: %s is the time %f, want one of %f to %f", oracle, key, g.value, w.within.from, w.within.to)
		}
	case !same(w.value, g.value):
		t.Errorf("%s: %s is %v, want %v", oracle, key, g.value, w.value)
	}
	switch {
	case (w.at == nil) != (g.at == nil):
		t.Errorf("%s: %s has a timestamp: %v, want %v", oracle, key, g.at != nil, w.at != nil)
	case w.at != nil && *w.at != *g.at && !(b.timestamps && math.Abs(float64(*w.at-*g.at)) <= 1):
		t.Errorf("%s: %s is of %d ms, want %d", oracle, key, *g.at, *w.at)
	}
	if b.exemplars {
		return
	}
	if len(w.exemplar) == 0 && len(g.exemplar) == 0 {
		return
	}
	if len(g.exemplar) != 1 || !slices.ContainsFunc(w.exemplar, g.exemplar[0].matches) {
		t.Errorf("%s: %s has exemplar %v, want one of %v", oracle, key, g.exemplar, w.exemplar)
	}
}

// matches reports whether what was read is what was recorded.
func (got exemplar) matches(want exemplar) bool {
	sorted := func(labels []label) []label {
		return slices.SortedFunc(slices.Values(labels), func(a, b label) int { return strings.Compare(a.name, b.name) })
	}
	return same(want.value, got.value) && slices.Equal(sorted(want.labels), sorted(got.labels)) &&
		got.at != nil && want.within.holds(*got.at)
}

// same is equality bit by bit, but for NaN, of which the formats have one.
func same(a, b float64) bool {
	return math.Float64bits(a) == math.Float64bits(b) || a != a && b != b
}
