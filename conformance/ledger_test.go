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

// A ledger is kept beside a registry: it says what was recorded, in the words of
// the API, and never asks the registry. What a format must show of it is worked
// out in expect_test.go.
type ledger struct {
	metrics  map[string]*metric // by the name of their definition
	consts   []label
	created  bool // WithCreated
	utf8     bool // WithUTF8Names
	errors   map[[2]string]uint64
	overflow map[string]uint64
	began    time.Time
	now      span // of what is being written down
	anyOrder bool // several goroutines recorded: any exemplar may be the latest
}

func newLedger() *ledger {
	return &ledger{
		metrics:  map[string]*metric{},
		errors:   map[[2]string]uint64{},
		overflow: map[string]uint64{},
		began:    time.Now(),
	}
}

// A metric is a family as it was defined or emitted.
type metric struct {
	name, help, unit string
	kind             string   // counter, gauge, histogram, info, summary, unknown
	whole            bool     // of a type with whole numbers
	labels           []string // variable ones; those of all samples if it is emitted
	consts           []label  // its own, without the registry's
	bounds           []float64
	limit            int
	function         bool // evaluated at scrape time
	emitted          bool // by a collector, at scrape time
	series           map[string]*series
}

// A series is what was recorded under one set of label values.
type series struct {
	labels    []label
	value     float64
	count     uint64 // of a Counter, which is exact where a float64 is not
	bounds    []float64
	buckets   []uint64 // not cumulated; the last is +Inf
	quantiles []tacho.Quantile
	exemplars map[int][]exemplar
	at        *time.Time
	created   span
}

// valid is what becomes of a string that is to be UTF-8.
func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

func validAll(values []string) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = valid(v)
	}
	return out
}

func (l *ledger) fault(metric, reason string) { l.errors[[2]string{metric, reason}]++ }

// full reports whether the limit of a vector leaves no room. The series that takes
// the overflow is not counted.
func (m *metric) full() bool {
	n := len(m.series)
	if m.series[m.key(m.others())] != nil {
		n--
	}
	return m.limit > 0 && n >= m.limit
}

func (m *metric) others() []string {
	return slices.Repeat([]string{"other"}, len(m.labels))
}

func (m *metric) key(values []string) string { return strings.Join(values, "\xff") }

// with is Vec.With. It returns nil for a wrong number of values.
func (l *ledger) with(m *metric, values []string) *series {
	if len(values) != len(m.labels) {
		l.fault(m.name, "label_count")
		return nil
	}
	values = validAll(values)
	if s := m.series[m.key(values)]; s != nil {
		return s
	}
	if m.full() {
		l.overflow[m.name]++
		values = m.others()
	}
	if s := m.series[m.key(values)]; s != nil {
		return s
	}
	s := &series{labels: slices.Concat(l.consts, m.consts), exemplars: map[int][]exemplar{}}
	for i, name := range m.labels {
		s.labels = append(s.labels, label{name, values[i]})
	}
	s.bounds, s.buckets = m.bounds, make([]uint64, len(m.bounds)+1)
	s.created = span{l.now.from, seconds(time.Now())}
	m.series[m.key(values)] = s
	return s
}

// bucket is the first whose bound is not below v.
func (m *metric) bucket(v float64) int {
	i, _ := slices.BinarySearchFunc(m.bounds, v, func(bound, v float64) int { return cmp.Compare(bound, v) })
	return i
}

// add is Counter.Add and AddExemplar.
func (l *ledger) add(m *metric, s *series, n uint64, pairs []string, when span) {
	if s != nil {
		s.count += n
		s.value = float64(s.count)
	}
	l.exemplar(m, s, 0, float64(n), pairs, when)
}

// addFloat is FloatCounter.Add and AddExemplar.
func (l *ledger) addFloat(m *metric, s *series, v float64, pairs []string, when span) {
	switch {
	case v != v:
		l.fault(m.name, "nan")
		return
	case v < 0:
		l.fault(m.name, "negative")
		return
	}
	if s != nil {
		s.value += v
	}
	l.exemplar(m, s, 0, v, pairs, when)
}

// observe is Histogram.Observe and ObserveExemplar.
func (l *ledger) observe(m *metric, s *series, v float64, pairs []string, when span) {
	if v != v {
		l.fault(m.name, "nan")
		return
	}
	i := m.bucket(v)
	if s != nil {
		s.buckets[i]++
		s.value += v
	}
	l.exemplar(m, s, i, v, pairs, when)
}

// exemplar replaces the one of a bucket.
func (l *ledger) exemplar(m *metric, s *series, bucket int, v float64, pairs []string, when span) {
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
		l.fault(m.name, "exemplar")
		return
	}
	if s != nil {
		if !l.anyOrder {
			s.exemplars[bucket] = nil
		}
		s.exemplars[bucket] = append(s.exemplars[bucket], x)
	}
}

// goodLabels reports whether the names may stand together in one label set.
func goodLabels(labels []label, utf8Names bool) bool {
	for i, l := range labels {
		if !goodLabelName(l.name, utf8Names) {
			return false
		}
		for _, other := range labels[:i] {
			if l.name == other.name {
				return false
			}
			// Where clients want names escaped, two must not become one.
			for _, scheme := range []model.EscapingScheme{model.UnderscoreEscaping, model.DotsEscaping} {
				if escapeLabel(l.name, scheme) == escapeLabel(other.name, scheme) {
					return false
				}
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

// goodUTF8 leaves out the names that escaping others could lead to, and NUL, which
// Prometheus' lexers take for the end.
func goodUTF8(name string) bool {
	return name != "" && utf8.ValidString(name) && !strings.HasPrefix(name, "U__") && !strings.Contains(name, "\x00")
}

func legacyLabel(name string) bool { return legacy(name) && !strings.Contains(name, ":") }

// legacy reports whether a name is one without quotes in every version of the formats.
func legacy(name string) bool {
	for i, c := range []byte(name) {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' || c == ':'
		if !letter && !(i > 0 && '0' <= c && c <= '9') {
			return false
		}
	}
	return name != ""
}

// names are those that samples of a metric have in one format or another.
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

// meets reports whether two metrics cannot stand in one scrape because samples
// of one have the name of the other or of its samples. The times of creation of a
// counter and a histogram may share their name: formats know how to tell them apart,
// see the fallback in expect_test.go.
func (m *metric) meets(other *metric) bool {
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

// goodExemplar reports whether the names, which are never escaped, may stand in an exemplar.
func goodExemplar(labels []label) bool { return goodLabels(labels, false) }
