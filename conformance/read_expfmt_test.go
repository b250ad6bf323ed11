package conformance

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
)

// readExpfmt parses a scrape with expfmt, the parser of client libraries and of the
// Pushgateway.
func readExpfmt(data []byte, contentType string) (*exposition, error) {
	families, err := decode(data, contentType)
	if err != nil {
		return nil, err
	}
	e := newExposition()
	for _, mf := range families {
		if err := e.addFamily(mf, contentType); err != nil {
			return nil, err
		}
	}
	return e, nil
}

func decode(data []byte, contentType string) ([]*dto.MetricFamily, error) {
	var families []*dto.MetricFamily
	d := expfmt.NewDecoder(bytes.NewReader(data), expfmt.Format(contentType))
	for {
		mf := &dto.MetricFamily{}
		err := d.Decode(mf)
		if errors.Is(err, io.EOF) {
			return families, nil
		}
		if err != nil {
			return nil, err
		}
		families = append(families, mf)
	}
}

var dtoKinds = map[dto.MetricType]string{
	dto.MetricType_COUNTER:   "counter",
	dto.MetricType_GAUGE:     "gauge",
	dto.MetricType_HISTOGRAM: "histogram",
	dto.MetricType_SUMMARY:   "summary",
	dto.MetricType_UNTYPED:   "unknown",
}

// addFamily splits a family into the lines of the scrape and adds the lines to e.
func (e *exposition) addFamily(mf *dto.MetricFamily, contentType string) error {
	name, total := mf.GetName(), ""
	if mf.GetType() == dto.MetricType_COUNTER && expfmt.Format(contentType).FormatType() == expfmt.TypeOpenMetrics {
		// The decoder appends the suffix of the samples to the name of the family.
		name, total = name[:len(name)-len("_total")], "_total"
	}
	f, err := e.add(name)
	if err != nil {
		return err
	}
	f.kind, f.help, f.unit = dtoKinds[mf.GetType()], mf.GetHelp(), mf.GetUnit()
	for _, m := range mf.GetMetric() {
		var lines []*sample
		line := func(suffix string, value float64, more ...label) *sample {
			s := &sample{name: name + suffix, labels: append(fromPairs(m.GetLabel()), more...), value: value, at: m.TimestampMs}
			lines = append(lines, s)
			return s
		}
		switch {
		case m.Counter != nil:
			line(total, m.Counter.GetValue()).exemplar = fromExemplar(m.Counter.Exemplar)
			if at := m.Counter.CreatedTimestamp; at != nil {
				line("_created", seconds(at.AsTime()))
			}
		case m.Gauge != nil:
			line("", m.Gauge.GetValue())
		case m.Untyped != nil:
			line("", m.Untyped.GetValue())
		case m.Summary != nil:
			for _, q := range m.Summary.GetQuantile() {
				line("", q.GetValue(), label{"quantile", strconv.FormatFloat(q.GetQuantile(), 'g', -1, 64)})
			}
			if m.Summary.SampleSum != nil {
				line("_sum", m.Summary.GetSampleSum())
			}
			if m.Summary.SampleCount != nil {
				line("_count", float64(m.Summary.GetSampleCount()))
			}
		case m.Histogram != nil:
			h := m.Histogram
			for _, b := range h.GetBucket() {
				count := float64(b.GetCumulativeCount())
				if b.CumulativeCountFloat != nil {
					count = b.GetCumulativeCountFloat()
				}
				le := label{"le", strconv.FormatFloat(b.GetUpperBound(), 'g', -1, 64)}
				line("_bucket", count, le).exemplar = fromExemplar(b.Exemplar)
			}
			if h.SampleSum != nil {
				line("_sum", h.GetSampleSum())
			}
			if h.SampleCountFloat != nil {
				line("_count", h.GetSampleCountFloat())
			} else if h.SampleCount != nil {
				line("_count", float64(h.GetSampleCount()))
			}
			if at := h.CreatedTimestamp; at != nil {
				line("_created", seconds(at.AsTime()))
			}
		default:
			return fmt.Errorf("family %q has a metric without a value", name)
		}
		for _, s := range lines {
			if err := f.add(s); err != nil {
				return err
			}
		}
	}
	return nil
}

func fromPairs(pairs []*dto.LabelPair) []label {
	labels := make([]label, 0, len(pairs)+1)
	for _, p := range pairs {
		labels = append(labels, label{p.GetName(), p.GetValue()})
	}
	return labels
}

func fromExemplar(x *dto.Exemplar) []exemplar {
	if x == nil {
		return nil
	}
	read := exemplar{labels: fromPairs(x.GetLabel()), value: x.GetValue()}
	if x.Timestamp != nil {
		at := seconds(x.Timestamp.AsTime())
		read.at = &at
	}
	return []exemplar{read}
}
