package tacho

import (
	"io"
)

// WriteOpenMetrics writes all metrics in the format OpenMetrics 1.0, which
// differs from [Registry.WriteText] in that
//
//   - a counter's family is named without _total and its sample with it, whether
//     the definition has it or not;
//   - units (see [WithUnit]), exemplars and, if the registry has [WithCreated], the
//     times of creation are there;
//   - values and bounds are floats (1.0), times are in seconds;
//   - a histogram with a bound below zero, or a histogram or summary whose sum is
//     below zero or NaN, has no _sum and no _count: both must be counters there;
//     quantiles whose value is below zero are left out for the like reason;
//   - a counter that would share its family's name with another metric, as x_total
//     does with a gauge x, keeps its full name and has the type unknown.
//
// Names that are not in the legacy set are escaped by underscores. Otherwise it
// is as [Registry.WriteText].
func (r *Registry) WriteOpenMetrics(w io.Writer) error {
	return r.write(w, &openFormat, escapeUnderscores)
}

// openFormat is OpenMetrics 1.0 ("Text format").
var openFormat = encoding{formatOpen, openNaming, openBegin, openWhole, openFloat, openHistogram, openFinish}

func openNaming(r *Registry, families []*family, s escaping) func(*family) (string, bool) {
	return r.naming(families, true, s)
}

func openBegin(e *encoder, f *family) {
	full, plain := e.called(f)
	name, sample := full, full
	e.dated = f.kind == kindCounter && !plain || f.kind == kindHistogram
	kind := f.kind.openName()
	switch {
	case plain && f.kind == kindCounter:
		kind = "unknown"
	case f.kind == kindCounter:
		if name = trimSuffix(name, "_total"); name == sample {
			sample += "_total"
		}
	case f.kind == kindInfo:
		if hasSuffix(full, "_info") && !plain {
			name = trimSuffix(full, "_info")
		} else {
			kind = "gauge"
		}
	}
	e.enter(f, name, sample, '.'|'0'<<8|'\n'<<16)
	b := appendLabelValue(e.appendHead(e.buf, "# HELP "), f.help) // the same escapes as in label values
	b = append(e.appendHead(b, "\n# TYPE "), kind...)
	if f.unit != "" && hasSuffix(name, "_"+f.unit) { // not if it is plain, or escaping took the end
		b = append(e.appendHead(b, "\n# UNIT "), f.unit...)
	}
	e.buf = append(b, '\n')
}

func openWhole(e *encoder, block string, v uint64, negative bool, d *details) bool {
	b := appendWhole(e.appendSample(e.buf, block), v, negative)
	return openEnd(e, append(b, ".0"...), block, d)
}

func openFloat(e *encoder, block string, v float64, d *details) bool {
	return openEnd(e, appendOpenFloat(e.appendSample(e.buf, block), v), block, d)
}

// openEnd ends a sample of one value and adds the time of its creation.
func openEnd(e *encoder, b []byte, block string, d *details) bool {
	if d != nil {
		b = appendOpenTime(b, d)
		if e.dated {
			b = appendExemplar(b, d.exemplar)
		}
	}
	b = append(b, '\n')
	e.buf = e.appendCreated(b, block, d)
	return e.full()
}

func openHistogram(e *encoder, block string, def *histogramDef, counts []uint64, sum float64, d *details) bool {
	b := e.buf
	start := len(b)
	b = e.appendOpen(b, "_bucket", block)
	head := len(b) - start
	var total uint64
	for i, c := range counts {
		if i > 0 {
			b = append(b, b[start:start+head]...)
		}
		total += c
		b = append(b, def.le[i].open...)
		b = appendUint(b, total)
		if d != nil {
			b = appendOpenTime(b, d)
			if d.buckets != nil {
				b = appendExemplar(b, d.buckets[i].load())
			}
		}
		b = append(b, '\n')
	}
	if def.bound(0) >= 0 {
		b = e.appendTotals(b, block, sum, total, d)
	}
	e.buf = e.appendCreated(b, block, d)
	return e.full()
}

func openSummary(e *encoder, block string, s *SummarySnapshot, d *details) bool {
	b := e.buf
	for _, q := range s.Quantiles {
		if q.Value < 0 {
			continue // the specification has no place for it
		}
		b = appendOpenFloat(append(e.appendOpen(b, "", block), `quantile="`...), q.Quantile)
		b = append(appendOpenTime(appendOpenFloat(append(b, `"} `...), q.Value), d), '\n')
	}
	e.buf = e.appendTotals(b, block, s.Sum, s.Count, d)
	return e.full()
}

// appendTotals appends sum and count, unless the sum cannot be that of a counter.
func (e *encoder) appendTotals(b []byte, block string, sum float64, count uint64, d *details) []byte {
	if !(sum >= 0) {
		return b
	}
	b = appendOpenFloat(e.appendSeries(b, "_sum", block), sum)
	b = append(appendOpenTime(b, d), '\n')
	b = appendUint(e.appendSeries(b, "_count", block), count)
	return append(appendOpenTime(b, d), '\n')
}

// appendOpenTime appends the time of a sample, if it has one, in seconds.
func appendOpenTime(b []byte, d *details) []byte {
	if d == nil || !d.timed {
		return b
	}
	return appendSeconds(append(b, ' '), d.at)
}

func (e *encoder) appendCreated(b []byte, block string, d *details) []byte {
	if d == nil || d.created == 0 || !e.dated {
		return b
	}
	return append(appendSeconds(e.appendSeries(b, "_created", block), d.created), '\n')
}

func appendExemplar(b []byte, x *exemplar) []byte {
	if x == nil {
		return b
	}
	b = append(append(append(b, " # "...), x.labels...), ' ')
	b = append(appendOpenFloat(b, x.value), ' ')
	return appendSeconds(b, x.at)
}

func openFinish(e *encoder) { e.buf = append(e.buf, "# EOF\n"...) }
