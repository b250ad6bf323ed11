package prombridge

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/tachikoma/tacho"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// A conversion passes the families of one Gather to an Emitter.
type conversion struct {
	emitter  *tacho.Emitter
	now      time.Time // of exemplars without a time
	created  bool
	escape   bool            // names must be in the legacy set
	seen     map[string]bool // names of families that were escaped or passed
	problems []error         // at most maxProblems
	omitted  int             // number of further problems

	labels []string // of the current metric; reused
}

// leaveOut records that a family, or one of its metrics, is not shown.
func (c *conversion) leaveOut(f *dto.MetricFamily, reason string) {
	if len(c.problems) == maxProblems {
		c.omitted++
		return
	}
	c.problems = append(c.problems, fmt.Errorf("tacho: metric %q: %s", f.GetName(), reason))
}

// maxProblems is the number of families and metrics that an error names.
const maxProblems = 100

// err returns the problems as one error, or nil.
func (c *conversion) err() error {
	if c.omitted > 0 {
		return errors.Join(append(c.problems, fmt.Errorf("tacho: %d further metrics", c.omitted))...)
	}
	return errors.Join(c.problems...)
}

func (c *conversion) family(f *dto.MetricFamily) {
	name := f.GetName()
	if c.escape {
		name = escape(name, true)
	}
	if c.seen[name] {
		c.leaveOut(f, "another family has the name "+name)
		return
	}
	c.seen[name] = true
	emitter := c.emitter
	if unit := f.GetUnit(); unit != "" && unit == escape(unit, true) {
		emitter = emitter.Unit(unit)
	}
	reason := ""
	for _, m := range f.GetMetric() {
		if m == nil {
			m = new(dto.Metric)
		}
		if why := c.metric(emitter, f, name, m); why != "" {
			reason = why
		}
	}
	if reason != "" { // one error, also of many metrics
		c.leaveOut(f, reason)
	}
}

// metric passes a metric. It returns the reason if tacho cannot show the metric, or "".
func (c *conversion) metric(e *tacho.Emitter, f *dto.MetricFamily, name string, m *dto.Metric) (reason string) {
	if !c.setLabels(m) {
		return "two labels have the same name"
	}
	if m.TimestampMs != nil {
		e = e.At(time.UnixMilli(m.GetTimestampMs()))
	}
	help := f.GetHelp()
	switch t := f.GetType(); {
	case t == dto.MetricType_COUNTER && m.Counter != nil:
		if x := m.Counter.Exemplar; x != nil {
			e = e.Exemplars(c.exemplars(nil, x)...)
		}
		c.withCreated(e, m.Counter.CreatedTimestamp).Counter(name, help, m.Counter.GetValue(), c.labels...)
	case t == dto.MetricType_GAUGE && m.Gauge != nil:
		e.Gauge(name, help, m.Gauge.GetValue(), c.labels...)
	case t == dto.MetricType_UNTYPED && m.Untyped != nil:
		e.Untyped(name, help, m.Untyped.GetValue(), c.labels...)
	case t == dto.MetricType_SUMMARY && m.Summary != nil:
		s := tacho.SummarySnapshot{Count: m.Summary.GetSampleCount(), Sum: m.Summary.GetSampleSum()}
		for _, q := range m.Summary.Quantile {
			s.Quantiles = append(s.Quantiles, tacho.Quantile{Quantile: q.GetQuantile(), Value: q.GetValue()})
		}
		c.withCreated(e, m.Summary.CreatedTimestamp).Summary(name, help, s, c.labels...)
	case t == dto.MetricType_HISTOGRAM && m.Histogram != nil:
		h := m.Histogram
		s, ok := snapshot(h)
		if !ok {
			return "tacho cannot show a histogram with float counts"
		}
		if list := c.histogramExemplars(h); len(list) > 0 {
			e = e.Exemplars(list...)
		}
		c.withCreated(e, h.CreatedTimestamp).Histogram(name, help, s, c.labels...)
	case t == dto.MetricType_GAUGE_HISTOGRAM:
		return "tacho cannot show a gauge histogram"
	default:
		return "a metric has no value of the type of the family"
	}
	return ""
}

func (c *conversion) withCreated(e *tacho.Emitter, at *timestamppb.Timestamp) *tacho.Emitter {
	if !c.created || at == nil || at.AsTime().UnixMilli() <= 0 { // 0 is no time
		return e
	}
	return e.Created(at.AsTime())
}

// setLabels sets c.labels. It returns false if two names are the same after they are escaped.
func (c *conversion) setLabels(m *dto.Metric) bool {
	list := c.labels[:0]
	for _, l := range m.Label {
		name := l.GetName()
		if c.escape {
			name = escape(name, false)
		}
		for i := 0; i < len(list); i += 2 {
			if list[i] == name {
				return false
			}
		}
		list = append(list, name, l.GetValue())
	}
	c.labels = list
	return true
}

// escape replaces each character outside the legacy set of names by an underscore. Names of labels
// have no colons.
func escape(name string, colons bool) string {
	i := -1
	return strings.Map(func(c rune) rune {
		i++
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' || colons && c == ':' || '0' <= c && c <= '9' && i > 0 {
			return c
		}
		return '_'
	}, name)
}

// exemplars appends an exemplar to list. An exemplar without labels is of no use, and is left out.
func (c *conversion) exemplars(list []tacho.Exemplar, x *dto.Exemplar) []tacho.Exemplar {
	if x == nil || len(x.Label) == 0 {
		return list
	}
	own := tacho.Exemplar{Value: x.GetValue(), Time: c.now}
	if x.Timestamp != nil {
		own.Time = x.Timestamp.AsTime()
	}
	for _, l := range x.Label {
		own.Labels = append(own.Labels, escape(l.GetName(), false), l.GetValue())
	}
	return append(list, own)
}

// histogramExemplars returns the exemplars of the native histogram and of the classic buckets. If
// the times are equal, those of the classic buckets have precedence.
func (c *conversion) histogramExemplars(h *dto.Histogram) (list []tacho.Exemplar) {
	for _, x := range h.Exemplars {
		list = c.exemplars(list, x)
	}
	for _, b := range h.Bucket {
		list = c.exemplars(list, b.GetExemplar())
	}
	return list
}

// snapshot returns a histogram in the form of tacho. ok is false if the counts are floats.
func snapshot(h *dto.Histogram) (s tacho.HistogramSnapshot, ok bool) {
	if h.GetSampleCountFloat() > 0 || h.GetZeroCountFloat() > 0 || len(h.PositiveCount)+len(h.NegativeCount) > 0 {
		return s, false
	}
	s.Count, s.Sum = h.GetSampleCount(), h.GetSampleSum()
	for _, b := range h.Bucket {
		if b.GetCumulativeCountFloat() > 0 {
			return s, false
		}
		s.Buckets = append(s.Buckets, tacho.Bucket{UpperBound: b.GetUpperBound(), Count: b.GetCumulativeCount()})
	}
	s.Native = native(h)
	return s, true
}

// native returns the native part of a histogram, or nil if there is none. Prometheus finds a native
// histogram in the same way.
func native(h *dto.Histogram) *tacho.NativeSnapshot {
	if len(h.PositiveSpan)+len(h.NegativeSpan) == 0 && h.GetZeroThreshold() <= 0 && h.GetZeroCount() == 0 {
		return nil
	}
	const minSchema, maxSchema = -4, 8 // of exponential buckets
	if s := h.GetSchema(); s < minSchema || s > maxSchema {
		return nil
	}
	return &tacho.NativeSnapshot{
		Schema: int(h.GetSchema()), ZeroThreshold: h.GetZeroThreshold(), ZeroCount: h.GetZeroCount(),
		Positive: buckets(h.PositiveSpan, h.PositiveDelta), Negative: buckets(h.NegativeSpan, h.NegativeDelta),
	}
}

// buckets returns the populated buckets of spans. Bad deltas, which make a count negative or leave
// out counts, give counts that do not add up, which tacho refuses.
func buckets(spans []*dto.BucketSpan, deltas []int64) (list []tacho.NativeBucket) {
	index, count := int64(0), int64(0)
	for _, s := range spans {
		index += int64(s.GetOffset())
		for range s.GetLength() {
			if len(deltas) == 0 {
				return list
			}
			count += deltas[0]
			deltas = deltas[1:]
			if index < math.MinInt32 || index > math.MaxInt32 {
				return list
			}
			if count != 0 {
				list = append(list, tacho.NativeBucket{Index: int(index), Count: uint64(count)})
			}
			index++
		}
	}
	return list
}
