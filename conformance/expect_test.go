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

// An expecter turns what a ledger holds into what a format must show of it.
type expecter struct {
	escaping model.EscapingScheme // how names outside the legacy set are shown
	created  bool
	grammar  int // how long OpenMetrics may be to be read by its grammar too, which takes long
	metrics  []*metric
	named    []*metric // those and the ones without series, whose names are taken nonetheless
}

func newExpecter(l *ledger, metrics []*metric) *expecter {
	x := &expecter{escaping: escapedNames, created: l.created, named: metrics}
	for _, m := range metrics {
		if len(m.series) > 0 {
			x.metrics = append(x.metrics, m)
		}
	}
	return x
}

// escapedNames is what a registry writes for a client that says nothing of names.
const escapedNames = model.UnderscoreEscaping

// text is what the text format must show: every family under its own name, and
// none of what the format has no words for.
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

// openMetrics is what OpenMetrics must show.
func (x *expecter) openMetrics(t testing.TB) *exposition {
	t.Helper()
	e := newExposition()
	names := x.names()
	plain := x.plain(names)
	for _, m := range x.metrics {
		name, kind, suffix := names[m], m.kind, ""
		base, isInfo := strings.CutSuffix(name, "_info")
		switch {
		case m.kind == "counter" && plain[m]:
			kind = "unknown"
		case m.kind == "counter":
			name, suffix = strings.TrimSuffix(name, "_total"), "_total"
		case m.kind == "info" && (plain[m] || !isInfo):
			kind = "gauge"
		case m.kind == "info":
			name, suffix = base, "_info"
		}
		f := x.begin(t, e, m, name, kind)
		if !strings.HasSuffix(name, "_"+m.unit) {
			f.unit = "" // as that of a plain or an escaped counter need not any more
		}
		for _, s := range m.series {
			switch kind {
			case "histogram":
				// Both must be counters there, which such observations would not make them.
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

func (x *expecter) begin(t testing.TB, e *exposition, m *metric, name, kind string) *family {
	t.Helper()
	f, err := e.add(name)
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
		out.labels = append(out.labels, label{escapeLabel(l.name, x.escaping), l.value})
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
		x.totals(t, f, s, total)
	}
}

func (x *expecter) totals(t testing.TB, f *family, s *series, count uint64) {
	t.Helper()
	x.line(t, f, s, "_sum", s.value)
	x.line(t, f, s, "_count", float64(count))
}

// summary leaves out the quantiles whose value is below the least that a format has
// room for.
func (x *expecter) summary(t testing.TB, f *family, s *series, least float64) {
	t.Helper()
	for _, q := range s.quantiles {
		if q.Value >= least || q.Value != q.Value {
			x.line(t, f, s, "", q.Value, label{"quantile", strconv.FormatFloat(q.Quantile, 'g', -1, 64)})
		}
	}
}

// names gives every metric the name that it has in the text format: its own, or
// an escaped one. Those whose escaped names or samples would be another's are
// escaped by values, which no other name can be.
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
	for m := range meeting(x.named, func(m *metric) []string {
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

// plain are the counters and infos that OpenMetrics cannot show as what they are,
// because families would then have a name in common.
func (x *expecter) plain(names map[*metric]string) map[*metric]bool {
	plain := meeting(x.named, func(m *metric) []string {
		name := names[m]
		switch m.kind {
		case "histogram", "summary":
			return (&metric{name: name, kind: m.kind}).names()
		case "counter":
			base := strings.TrimSuffix(name, "_total")
			return []string{name, base, base + "_total", base + "_created"}
		case "info":
			return []string{name, strings.TrimSuffix(name, "_info")}
		}
		return []string{name}
	})
	for _, m := range x.named {
		if m.kind == "counter" && names[m] == "_total" || m.kind == "info" && names[m] == "_info" {
			plain[m] = true // nothing would be left
		}
		if m.kind != "counter" && m.kind != "info" {
			delete(plain, m)
		}
	}
	return plain
}

// meeting returns the metrics that claim a name that another claims too.
func meeting(metrics []*metric, claims func(*metric) []string) map[*metric]bool {
	by := map[string][]*metric{}
	for _, m := range metrics {
		names := claims(m)
		slices.Sort(names)
		for _, name := range slices.Compact(names) {
			by[name] = append(by[name], m)
		}
	}
	met := map[*metric]bool{}
	for _, list := range by {
		for _, m := range list {
			if len(list) > 1 {
				met[m] = true
			}
		}
	}
	return met
}

// escapeLabel is model.EscapeName for labels, whose names may not have the colons
// that it leaves, nor begin with the underscores that it makes.
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
