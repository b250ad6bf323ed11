package conformance

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
)

// An expecter turns what a ledger holds into what a format must show of it.
type expecter struct {
	escaping model.EscapingScheme
	created  bool
	metrics  []*metric
}

// text is what the text format must show: every family under its own name, and
// none of what the format has no words for.
func (x *expecter) text(t testing.TB) *exposition {
	t.Helper()
	e := newExposition()
	for _, m := range x.metrics {
		f := x.begin(t, e, m, m.name, m.kind)
		if m.kind == "info" {
			f.kind = "gauge"
		}
		for _, s := range m.series {
			if m.kind == "histogram" {
				x.histogram(t, f, s, true)
			} else {
				x.line(t, f, s, "", s.value)
			}
		}
		for _, s := range f.samples {
			s.exemplar = nil
		}
		f.unit = ""
	}
	return e
}

func (x *expecter) begin(t testing.TB, e *exposition, m *metric, name, kind string) *family {
	t.Helper()
	f, err := e.add(x.name(name))
	if err != nil {
		t.Fatalf("expectation: %v", err)
	}
	f.kind, f.help, f.unit = kind, m.help, m.unit
	return f
}

func (x *expecter) line(t testing.TB, f *family, s *series, suffix string, value float64, more ...label) *sample {
	t.Helper()
	out := &sample{name: f.name + suffix, value: value}
	if s.at != nil {
		ms := s.at.UnixMilli()
		out.at = &ms
	}
	for _, l := range slices.Concat(s.labels, more) {
		out.labels = append(out.labels, label{x.label(l.name), l.value})
	}
	if err := f.add(out); err != nil {
		t.Fatalf("expectation: %v", err)
	}
	return out
}

func (x *expecter) histogram(t testing.TB, f *family, s *series, totals bool) {
	t.Helper()
	total := uint64(0)
	for i, n := range s.buckets {
		total += n
		bound := math.Inf(1)
		if i < len(s.bounds) {
			bound = s.bounds[i]
		}
		le := label{"le", strconv.FormatFloat(bound, 'g', -1, 64)}
		x.line(t, f, s, "_bucket", float64(total), le).exemplar = s.exemplars[i]
	}
	if totals {
		x.line(t, f, s, "_sum", s.value)
		x.line(t, f, s, "_count", float64(total))
	}
}

// name and label are what becomes of names that need quotes where the client
// does not take them.
func (x *expecter) name(name string) string {
	if legacy(name) {
		return name
	}
	return model.EscapeName(name, x.escaping)
}

func (x *expecter) label(name string) string {
	if legacy(name) && !strings.Contains(name, ":") {
		return name
	}
	return model.EscapeName(name, x.escaping)
}

// escapedNames is what a registry writes for a client that says nothing of names.
const escapedNames = model.UnderscoreEscaping
