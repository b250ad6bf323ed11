package conformance

import (
	"cmp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/prometheus/common/model"

	"github.com/tachikoma/tacho"
)

// A reference is a simple model of a registry. A test makes the same calls on the
// registry and on the reference, and the reference never reads the registry. The
// expecter derives the expected scrapes from the reference.
type reference struct {
	metrics  map[string]*metric // by metric name
	consts   []label
	created  bool                 // WithCreated
	utf8     bool                 // WithUTF8Names
	errors   map[[2]string]uint64 // by metric name and reason
	overflow map[string]uint64    // by metric name
	began    time.Time
	now      span // time of the current op
	anyOrder bool // several goroutines record, so every exemplar can be the last
}

func newReference() *reference {
	return &reference{
		metrics:  map[string]*metric{},
		errors:   map[[2]string]uint64{},
		overflow: map[string]uint64{},
		began:    time.Now(),
	}
}

// A metric is a family, defined by a program or emitted by a collector.
type metric struct {
	name, help, unit string
	kind             string   // counter, gauge, histogram, info, summary, unknown
	integer          bool     // values are integers
	labels           []string // variable labels; for an emitted metric, labels of all samples
	consts           []label  // constant labels of the metric, without constant labels of the registry
	bounds           []float64
	limited          bool // WithMaxSeries was given
	limit            int
	function         bool // CounterFunc or GaugeFunc
	emitted          bool // from a collector
	series           map[string]*series
}

// A series has the recorded values for a set of label values.
type series struct {
	labels    []label
	value     float64
	count     uint64 // exact value of a Counter or a Gauge, or count of a summary
	bounds    []float64
	buckets   []uint64 // not cumulative; the last bucket is +Inf
	quantiles []tacho.Quantile
	exemplars map[int][]exemplar
	at        *time.Time
	created   span
}

// valid replaces invalid UTF-8 with U+FFFD, like tacho.
func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

func validAll(values []string) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = valid(v)
	}
	return out
}

func (r *reference) countError(metric, reason string) { r.errors[[2]string{metric, reason}]++ }

// full reports whether the number of series has reached the limit of the vector. The
// overflow series does not count.
func (m *metric) full() bool {
	n := len(m.series)
	if m.series[m.key(m.overflowValues())] != nil {
		n--
	}
	return m.limit > 0 && n >= m.limit
}

func (m *metric) overflowValues() []string {
	return slices.Repeat([]string{"other"}, len(m.labels))
}

func (m *metric) key(values []string) string { return strings.Join(values, "\xff") }

// with models the method With of a vector. The result is nil for a wrong number of
// values.
func (r *reference) with(m *metric, values []string) *series {
	if len(values) != len(m.labels) {
		r.countError(m.name, "label_count")
		return nil
	}
	values = validAll(values)
	if s := m.series[m.key(values)]; s != nil {
		return s
	}
	if m.full() {
		r.overflow[m.name]++
		values = m.overflowValues()
	}
	if s := m.series[m.key(values)]; s != nil {
		return s
	}
	s := &series{labels: slices.Concat(r.consts, m.consts), exemplars: map[int][]exemplar{}}
	for i, name := range m.labels {
		s.labels = append(s.labels, label{name, values[i]})
	}
	s.bounds, s.buckets = m.bounds, make([]uint64, len(m.bounds)+1)
	s.created = span{r.now.from, seconds(time.Now())}
	m.series[m.key(values)] = s
	return s
}

// bucket returns the index of the first bucket whose bound is at least v.
func (m *metric) bucket(v float64) int {
	i, _ := slices.BinarySearchFunc(m.bounds, v, func(bound, v float64) int { return cmp.Compare(bound, v) })
	return i
}

// add models Counter.Add and Counter.AddExemplar.
func (r *reference) add(m *metric, s *series, n uint64, pairs []string, when span) {
	if s != nil {
		s.count += n
		s.value = float64(s.count)
	}
	r.exemplar(m, s, 0, float64(n), pairs, when)
}

// addFloat models FloatCounter.Add and FloatCounter.AddExemplar.
func (r *reference) addFloat(m *metric, s *series, v float64, pairs []string, when span) {
	switch {
	case v != v:
		r.countError(m.name, "nan")
		return
	case v < 0:
		r.countError(m.name, "negative")
		return
	}
	if s != nil {
		s.value += v
	}
	r.exemplar(m, s, 0, v, pairs, when)
}

// observe models Histogram.Observe and Histogram.ObserveExemplar.
func (r *reference) observe(m *metric, s *series, v float64, pairs []string, when span) {
	if v != v {
		r.countError(m.name, "nan")
		return
	}
	i := m.bucket(v)
	if s != nil {
		s.buckets[i]++
		s.value += v
	}
	r.exemplar(m, s, i, v, pairs, when)
}

// exemplar replaces the exemplar of a bucket. With anyOrder, exemplar adds a candidate.
func (r *reference) exemplar(m *metric, s *series, bucket int, v float64, pairs []string, when span) {
	if len(pairs) == 0 {
		return
	}
	x := exemplar{value: v, within: when}
	runes, bad := 0, len(pairs)%2 != 0
	for i := 0; i+1 < len(pairs); i += 2 {
		x.labels = append(x.labels, label{pairs[i], valid(pairs[i+1])})
		bad = bad || strings.Contains(pairs[i+1], "\x00")
		runes += utf8.RuneCountInString(pairs[i] + valid(pairs[i+1]))
	}
	if bad || runes > 128 || !goodExemplar(x.labels) {
		r.countError(m.name, "exemplar")
		return
	}
	if s != nil {
		if !r.anyOrder {
			s.exemplars[bucket] = nil
		}
		s.exemplars[bucket] = append(s.exemplars[bucket], x)
	}
}

// goodLabels reports whether the names are valid and distinct in a label set, also if they
// are escaped.
func goodLabels(labels []label, utf8Names bool) bool {
	if !distinctLabels(labels, utf8Names) {
		return false
	}
	for i, l := range labels {
		for _, other := range labels[:i] {
			for _, scheme := range []model.EscapingScheme{model.UnderscoreEscaping, model.DotsEscaping} {
				if escapeLabel(l.name, scheme) == escapeLabel(other.name, scheme) {
					return false
				}
			}
		}
	}
	return true
}

// distinctLabels reports whether the names are valid and distinct in a label set.
func distinctLabels(labels []label, utf8Names bool) bool {
	for i, l := range labels {
		if !goodLabelName(l.name, utf8Names) {
			return false
		}
		for _, other := range labels[:i] {
			if l.name == other.name {
				return false
			}
		}
	}
	return true
}

func goodLabelName(name string, utf8Names bool) bool {
	if strings.HasPrefix(name, "__") || name == "" {
		return false
	}
	return legacyLabel(name) && !(utf8Names && strings.HasPrefix(name, "U__")) || utf8Names && goodUTF8(name)
}

func goodName(name string, utf8Names bool) bool {
	if utf8Names {
		return goodUTF8(name)
	}
	return legacy(name)
}

// goodUTF8 reports whether a name is valid with WithUTF8Names. The prefix U__ is
// reserved for escaped names. NUL is invalid because the lexers of Prometheus treat
// NUL as the end of the input.
func goodUTF8(name string) bool {
	return name != "" && utf8.ValidString(name) && !strings.HasPrefix(name, "U__") && !strings.Contains(name, "\x00")
}

func legacyLabel(name string) bool { return legacy(name) && !strings.Contains(name, ":") }

// legacy reports whether a name is valid without quotes in every format version.
func legacy(name string) bool {
	for i, c := range []byte(name) {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' || c == ':'
		if !letter && !(i > 0 && '0' <= c && c <= '9') {
			return false
		}
	}
	return name != ""
}

// names returns the sample names of a metric in all formats.
func (m *metric) names() []string {
	switch m.kind {
	case "counter":
		return []string{m.name, strings.TrimSuffix(m.name, "_total") + "_created"}
	case "histogram":
		return []string{m.name, m.name + "_bucket", m.name + "_sum", m.name + "_count", m.name + "_created"}
	case "summary":
		return []string{m.name, m.name + "_sum", m.name + "_count", m.name + "_created"}
	}
	return []string{m.name}
}

// collides reports whether the names of two metrics collide, sample names included. Two
// equal _created names are no collision: in OpenMetrics the counter falls back to
// another type (see expecter.fallbacks).
func (m *metric) collides(other *metric) bool {
	for _, name := range m.names() {
		if !slices.Contains(other.names(), name) {
			continue
		}
		if name == m.name || name == other.name || !strings.HasSuffix(name, "_created") {
			return true
		}
	}
	return false
}

// goodExemplar reports whether the label names are valid in an exemplar. Label names in
// exemplars are never escaped.
func goodExemplar(labels []label) bool { return goodLabels(labels, false) }
