package otelbridge

import (
	"context"
	"encoding/binary"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// A collection takes the exposition of a registry as an [io.Writer], and converts each message at
// once. So a call of Produce holds no exposition in memory.
type collection struct {
	ctx     context.Context
	now     time.Time // the time of data points without a time
	began   time.Time // the start time of series without a time of creation
	classic bool      // see WithClassic

	metrics []metricdata.Metrics
	family  family
	partial []byte // the beginning of an incomplete message

	// Reused for each series.
	labels    [][2][]byte
	keyValues []attribute.KeyValue
	histogram histogram

	bounds []float64 // of the histogram before
	spare  []uint64  // for the counts of the next histograms
}

// A family has the data points of the current family. Its messages follow each other.
type family struct {
	name, help, unit string

	sums        []metricdata.DataPoint[float64]
	gauges      []metricdata.DataPoint[float64]
	histograms  []metricdata.HistogramDataPoint[float64]
	exponential []metricdata.ExponentialHistogramDataPoint[float64]
	summaries   []metricdata.SummaryDataPoint
}

// A point is what the data points of all types have.
type point struct {
	attributes  attribute.Set
	start, time time.Time
}

// Write converts the complete messages, and keeps the rest of p.
func (c *collection) Write(p []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, context.Cause(c.ctx)
	}
	rest := p
	if len(c.partial) > 0 {
		c.partial = append(c.partial, p...)
		rest = c.partial
	}
	for len(rest) > 0 {
		size, n := binary.Uvarint(rest)
		if n < 0 {
			return 0, errMalformed
		}
		if n == 0 || size > uint64(len(rest)-n) {
			break
		}
		end := n + int(size)
		if err := c.readFamily(rest[n:end]); err != nil {
			return 0, err
		}
		rest = rest[end:]
	}
	c.partial = append(c.partial[:0], rest...)
	return len(p), nil
}

// end ends the last family. It returns an error if the exposition ends in an incomplete message.
func (c *collection) end() error {
	if len(c.partial) > 0 {
		return errMalformed
	}
	c.endFamily()
	return nil
}

// readFamily reads a MetricFamily. Messages in a row with the same name are one family.
func (c *collection) readFamily(b []byte) error {
	var name, help, unit []byte
	n := 0
	m := message{rest: b}
	for m.next() {
		switch m.tag {
		case familyName:
			name = m.bytes
		case familyHelp:
			help = m.bytes
		case familyUnit:
			unit = m.bytes
		case familyMetric:
			n++
		}
	}
	if m.err != nil {
		return m.err
	}
	if len(name) == 0 {
		return errMalformed
	}
	if string(name) != c.family.name {
		c.endFamily()
		c.family = family{name: string(name), help: string(help), unit: unitOf(string(unit))}
	}
	m = message{rest: b}
	for m.next() {
		if m.tag != familyMetric {
			continue
		}
		if err := c.readMetric(m.bytes, n); err != nil {
			return err
		}
		n--
	}
	return nil
}

// endFamily adds the current family to the metrics. A family with native histograms and classic
// ones is a metric of each type.
func (c *collection) endFamily() {
	f := &c.family
	if f.sums != nil {
		c.add(metricdata.Sum[float64]{DataPoints: f.sums, Temporality: metricdata.CumulativeTemporality, IsMonotonic: true})
	}
	if f.gauges != nil {
		c.add(metricdata.Gauge[float64]{DataPoints: f.gauges})
	}
	if f.histograms != nil {
		c.add(metricdata.Histogram[float64]{DataPoints: f.histograms, Temporality: metricdata.CumulativeTemporality})
	}
	if f.exponential != nil {
		c.add(metricdata.ExponentialHistogram[float64]{DataPoints: f.exponential, Temporality: metricdata.CumulativeTemporality})
	}
	if f.summaries != nil {
		c.add(metricdata.Summary{DataPoints: f.summaries})
	}
	c.family = family{}
}

func (c *collection) add(data metricdata.Aggregation) {
	c.metrics = append(c.metrics, metricdata.Metrics{Name: c.family.name, Description: c.family.help, Unit: c.family.unit, Data: data})
}

// grown returns list with room for n data points if list is full.
func grown[P any](list []P, n int) []P {
	if len(list) < cap(list) {
		return list
	}
	return slices.Grow(list, n)
}

// readMetric reads a Metric. n is the number of metrics in the message from this one on.
func (c *collection) readMetric(b []byte, n int) error {
	var (
		at    = c.now
		tag   uint64
		value []byte
	)
	c.labels = c.labels[:0]
	end := 0 // of the last label
	m := message{rest: b}
	for m.next() {
		switch m.tag {
		case metricLabel:
			name, text, err := readLabel(m.bytes)
			if err != nil {
				return err
			}
			c.labels, end = append(c.labels, [2][]byte{name, text}), len(b)-len(m.rest)
		case metricTime:
			at = time.UnixMilli(int64(m.value))
		case metricCounter, metricGauge, metricUntyped, metricHistogram, metricSummary:
			tag, value = m.tag, m.bytes
		}
	}
	if m.err != nil {
		return m.err
	}
	p := point{attributes: c.set(b, end), start: c.began, time: at}
	f := &c.family
	var err error
	switch tag {
	case metricCounter:
		f.sums = grown(f.sums, n)
		f.sums, err = appendCounter(f.sums, value, p)
	case metricGauge, metricUntyped:
		f.gauges = grown(f.gauges, n)
		f.gauges, err = appendGauge(f.gauges, value, p)
	case metricHistogram:
		err = c.readHistogram(value, p, n)
	case metricSummary:
		f.summaries = grown(f.summaries, n)
		f.summaries, err = appendSummary(f.summaries, value, p)
	default:
		err = errMalformed
	}
	return err
}

// set returns the set of c.labels, which are parts of b[:end].
func (c *collection) set(b []byte, end int) attribute.Set {
	// The names and values of a series share one string, since they have one lifetime.
	text := string(b[:end])
	part := func(p []byte) string {
		if len(p) == 0 {
			return ""
		}
		i := cap(b) - cap(p) // p is a part of b up to the end of its capacity
		return text[i : i+len(p)]
	}
	c.keyValues = c.keyValues[:0]
	for _, l := range c.labels {
		c.keyValues = append(c.keyValues, attribute.String(part(l[0]), part(l[1])))
	}
	return attribute.NewSet(c.keyValues...) // copies the list
}

// started sets the start time to the time of creation in b.
func (p *point) started(b []byte) (err error) {
	p.start, err = readTime(b)
	return err
}

// startTime returns the start time. A time of creation is newer than the data point if the series
// is newer than the scrape. The data point can be old because a collector has set its time.
func (p *point) startTime() time.Time {
	if p.start.After(p.time) {
		return p.time
	}
	return p.start
}

func appendCounter(to []metricdata.DataPoint[float64], b []byte, p point) ([]metricdata.DataPoint[float64], error) {
	var value float64
	var exemplars []metricdata.Exemplar[float64]
	m := message{rest: b}
	for m.next() {
		switch m.tag {
		case valueDouble:
			value = m.double()
		case counterExemplar:
			exemplars, m.err = appendExemplar(exemplars, m.bytes)
		case counterCreated:
			m.err = p.started(m.bytes)
		}
	}
	return append(to, metricdata.DataPoint[float64]{
		Attributes: p.attributes, StartTime: p.startTime(), Time: p.time, Value: value, Exemplars: exemplars,
	}), m.err
}

// appendGauge appends a Gauge or an Untyped, which have the same field. A gauge has no start time.
func appendGauge(to []metricdata.DataPoint[float64], b []byte, p point) ([]metricdata.DataPoint[float64], error) {
	var value float64
	m := message{rest: b}
	for m.next() {
		if m.tag == valueDouble {
			value = m.double()
		}
	}
	return append(to, metricdata.DataPoint[float64]{Attributes: p.attributes, Time: p.time, Value: value}), m.err
}

func appendSummary(to []metricdata.SummaryDataPoint, b []byte, p point) ([]metricdata.SummaryDataPoint, error) {
	s := metricdata.SummaryDataPoint{Attributes: p.attributes, Time: p.time}
	m := message{rest: b}
	for m.next() {
		switch m.tag {
		case totalCount:
			s.Count = m.value
		case totalSum:
			s.Sum = m.double()
		case summaryQuantile:
			var q metricdata.QuantileValue
			inner := message{rest: m.bytes}
			for inner.next() {
				switch inner.tag {
				case quantileRank:
					q.Quantile = inner.double()
				case quantileValue:
					q.Value = inner.double()
				}
			}
			s.QuantileValues, m.err = append(s.QuantileValues, q), inner.err
		case summaryCreated:
			m.err = p.started(m.bytes)
		}
	}
	s.StartTime = p.startTime()
	return append(to, s), m.err
}
