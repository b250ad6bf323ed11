package conformance

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/prometheus/common/model"
)

// An expecter converts the metrics of a reference to the expected content of a format.
type expecter struct {
	escaping model.EscapingScheme // scheme for names outside the legacy character set
	created  bool                 // write creation times
	grammar  int                  // maximum length of an OpenMetrics scrape for the slow parser expfmt
	metrics  []*metric            // metrics with at least one series
	named    []*metric            // all metrics; names without series can collide too
}

func newExpecter(r *reference, metrics []*metric) *expecter {
	x := &expecter{escaping: escapedNames, created: r.created, named: metrics}
	for _, m := range metrics {
		if len(m.series) > 0 {
			x.metrics = append(x.metrics, m)
		}
	}
	return x
}

// escapedNames is the scheme for requests without an escaping parameter.
const escapedNames = model.UnderscoreEscaping

// text returns the expected content of the text format. The text format has no units,
// no exemplars, no creation times and no infos. Each family keeps its name.
func (x *expecter) text(t testing.TB) *exposition {
	t.Helper()
	e := newExposition()
	names := x.names()
	for _, m := range x.metrics {
		kind := m.kind
		if kind == "info" {
			kind = "gauge"
		}
		f := x.begin(t, e, m, names[m], kind)
		f.unit = ""
		for _, s := range m.series {
			switch m.kind {
			case "histogram":
				x.histogram(t, f, s, true)
			case "summary":
				x.summary(t, f, s, math.Inf(-1))
				x.totals(t, f, s, s.count)
			default:
				x.line(t, f, s, "", s.value)
			}
		}
		for _, s := range f.samples {
			s.exemplar = nil
		}
	}
	return e
}

// openMetrics returns the expected content of OpenMetrics.
func (x *expecter) openMetrics(t testing.TB) *exposition {
	t.Helper()
	e := newExposition()
	names := x.names()
	fallback := x.fallbacks(names)
	for _, m := range x.metrics {
		name, kind, suffix := names[m], m.kind, ""
		base, isInfo := strings.CutSuffix(name, "_info")
		switch {
		case m.kind == "counter" && (fallback[m] || !strings.HasSuffix(name, "_total")):
			kind = "unknown"
		case m.kind == "counter":
			name, suffix = strings.TrimSuffix(name, "_total"), "_total"
		case m.kind == "info" && (fallback[m] || !isInfo || m.mixedTimes()):
			kind = "gauge"
		case m.kind == "info":
			name, suffix = base, "_info"
		}
		f := x.begin(t, e, m, name, kind)
		if !strings.HasSuffix(name, "_"+m.unit) {
			f.unit = "" // the name of a fallback or an escaped counter need not end in the unit
		}
		for _, s := range m.series {
			switch kind {
			case "histogram":
				// In OpenMetrics _sum and _count must be counters. With negative observations
				// the sum is not a counter.
				negative := len(s.bounds) > 0 && s.bounds[0] < 0
				x.histogram(t, f, s, !negative && s.value >= 0)
			case "summary":
				x.summary(t, f, s, 0)
				if s.value >= 0 {
					x.totals(t, f, s, s.count)
				}
			case "counter":
				x.line(t, f, s, suffix, s.value).exemplar = s.exemplars[0]
			default:
				x.line(t, f, s, suffix, s.value)
			}
			if x.created && s.created != (span{}) && (kind == "counter" || kind == "histogram") {
				x.line(t, f, s, "_created", 0).within = &s.created
			}
		}
	}
	return e
}

// mixedTimes reports whether some series have a time and some have none.
func (m *metric) mixedTimes() bool {
	timed := 0
	for _, s := range m.series {
		if s.at != nil {
			timed++
		}
	}
	return timed > 0 && timed < len(m.series)
}

func (x *expecter) begin(t testing.TB, e *exposition, m *metric, name, kind string) *family {
	t.Helper()
	f, err := e.add(name)
	if err != nil {
		t.Fatalf("invalid expectation: %v", err)
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
		out.labels = append(out.labels, label{escapeLabel(l.name, x.escaping), l.value})
	}
	if err := f.add(out); err != nil {
		t.Fatalf("invalid expectation: %v", err)
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
		x.totals(t, f, s, total)
	}
}

func (x *expecter) totals(t testing.TB, f *family, s *series, count uint64) {
	t.Helper()
	x.line(t, f, s, "_sum", s.value)
	x.line(t, f, s, "_count", float64(count))
}

// summary adds the quantiles of a summary. A quantile with a value below least is
// invalid in the format and is omitted.
func (x *expecter) summary(t testing.TB, f *family, s *series, least float64) {
	t.Helper()
	for _, q := range s.quantiles {
		if q.Value >= least || q.Value != q.Value {
			x.line(t, f, s, "", q.Value, label{"quantile", strconv.FormatFloat(q.Quantile, 'g', -1, 64)})
		}
	}
}

// names returns the name of each metric in the text format: the original name or an
// escaped name. If an escaped name or its samples collide with another metric, the
// scheme is ValueEncodingEscaping, whose names never collide.
func (x *expecter) names() map[*metric]string {
	names := map[*metric]string{}
	for _, m := range x.named {
		names[m] = m.name
		if !legacy(m.name) {
			names[m] = model.EscapeName(m.name, x.escaping)
		}
	}
	if x.escaping == model.NoEscaping {
		return names
	}
	for m := range colliding(x.named, func(m *metric) []string {
		if m.kind == "histogram" || m.kind == "summary" {
			return (&metric{name: names[m], kind: m.kind}).names()
		}
		return []string{names[m]}
	}) {
		if !legacy(m.name) {
			names[m] = model.EscapeName(m.name, model.ValueEncodingEscaping)
		}
	}
	return names
}

// fallbacks returns the counters and infos that have another type in OpenMetrics. With
// the proper type, the name of the family would collide with another family.
func (x *expecter) fallbacks(names map[*metric]string) map[*metric]bool {
	fallback := colliding(x.named, func(m *metric) []string {
		name := names[m]
		switch m.kind {
		case "histogram", "summary":
			return (&metric{name: name, kind: m.kind}).names()
		case "counter":
			if base, ok := strings.CutSuffix(name, "_total"); ok {
				return []string{name, base, base + "_created"}
			}
			return []string{name} // of type unknown
		case "info":
			return []string{name, strings.TrimSuffix(name, "_info")}
		}
		return []string{name}
	})
	for _, m := range x.named {
		if m.kind == "counter" && names[m] == "_total" || m.kind == "info" && names[m] == "_info" {
			fallback[m] = true // the family name would be empty
		}
		if m.kind != "counter" && m.kind != "info" {
			delete(fallback, m)
		}
	}
	return fallback
}

// colliding returns the metrics that have a name in common with another metric. The
// function claims returns the names of a metric.
func colliding(metrics []*metric, claims func(*metric) []string) map[*metric]bool {
	by := map[string][]*metric{}
	for _, m := range metrics {
		names := claims(m)
		slices.Sort(names)
		for _, name := range slices.Compact(names) {
			by[name] = append(by[name], m)
		}
	}
	result := map[*metric]bool{}
	for _, list := range by {
		for _, m := range list {
			if len(list) > 1 {
				result[m] = true
			}
		}
	}
	return result
}

// escapeLabel is like model.EscapeName, but for label names. A label name must not
// contain a colon or begin with two underscores. EscapeName preserves colons and can
// return two underscores at the start.
func escapeLabel(name string, scheme model.EscapingScheme) string {
	if legacyLabel(name) || scheme == model.NoEscaping {
		return name
	}
	var b strings.Builder
	if scheme == model.ValueEncodingEscaping {
		b.WriteString("U__")
	}
	for i, r := range name {
		switch {
		case r == '_' && scheme == model.UnderscoreEscaping:
			b.WriteRune(r)
		case r == '_':
			b.WriteString("__")
		case r < utf8.RuneSelf && legacyLabel("_"+string(r)) && (i > 0 || !('0' <= r && r <= '9')):
			b.WriteRune(r)
		case scheme == model.UnderscoreEscaping:
			b.WriteString("_")
		case scheme == model.DotsEscaping && r == '.':
			b.WriteString("_dot_")
		case scheme == model.DotsEscaping:
			b.WriteString("__")
		default:
			b.WriteString("_" + strconv.FormatInt(int64(r), 16) + "_")
		}
	}
	if strings.HasPrefix(b.String(), "__") {
		return escapeLabel(name, model.ValueEncodingEscaping)
	}
	return b.String()
}
