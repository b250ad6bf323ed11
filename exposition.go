package tacho

import (
	"io"
	"math/bits"
)

// WriteText writes all metrics in Prometheus' text format 0.0.4. It returns the
// first error of w, after which it writes no more. It holds no lock while w
// writes, gathers no more than a bounded buffer, and allocates nothing for a
// series. Names that are not in the legacy set (see [WithUTF8Names]) are escaped
// by underscores.
func (r *Registry) WriteText(w io.Writer) error { return r.write(w, &textFormat, escapeUnderscores) }

// called returns what the exposition calls a family, and whether it shows it plain.
func (e *encoder) called(f *family) (name string, plain bool) {
	if e.rename == nil {
		return f.name, false
	}
	return e.rename(f)
}

// enter makes f the family that lines are of, under the given names. After a whole
// number, lines have end, the first byte lowest.
func (e *encoder) enter(f *family, name, sample string, end uint64) {
	e.head, e.family, e.sample = name, name, sample
	if e.quoted = f.quoted && e.scheme == escapeNone; e.quoted {
		e.head = f.reg.utf8.quoted(name)
	}
	if e.special = nil; e.quoted || f.quotedLabels && e.scheme != escapeNone {
		e.special = f.reg.utf8.sample
	}
	e.size = 0
	if e.special == nil && len(sample) <= len(e.name) {
		e.size = copy(e.name[:], sample)
	}
	e.end, e.ends = end, (bits.Len64(end)+7)/8
}

// appendHead appends the beginning of a line about the family.
//
//go:noinline
func (e *encoder) appendHead(b []byte, word string) []byte {
	return append(append(append(b, word...), e.head...), ' ')
}

// appendSample appends a sample that is one value, up to that value.
func (e *encoder) appendSample(b []byte, block string) []byte {
	return e.appendNamed(b, e.sample, "", block)
}

// appendSeries appends one of several samples of a series, up to its value.
func (e *encoder) appendSeries(b []byte, suffix, block string) []byte {
	return e.appendNamed(b, e.family, suffix, block)
}

// appendNamed is both. Inlined wherever those are called it would be 3 KB.
//
//go:noinline
func (e *encoder) appendNamed(b []byte, name, suffix, block string) []byte {
	if e.special != nil {
		return e.special(e, b, name, suffix, block)
	}
	return append(append(append(b, name...), suffix...), block...)
}

// appendOpen appends a sample up to a label that is still to come: a bucket of a
// histogram to its bound, a quantile of a summary.
func (e *encoder) appendOpen(b []byte, suffix, block string) []byte {
	b = e.appendSeries(b, suffix, block)
	if block == " " && !e.quoted {
		b[len(b)-1] = '{'
		return b
	}
	b = b[:len(b)-1]
	b[len(b)-1] = ','
	return b
}

// textFormat is the text format 0.0.4 (prometheus.io, "Exposition formats").
var textFormat = encoding{formatText, nil, textBegin, textWhole, textFloat, textHistogram, nil}

func textBegin(e *encoder, f *family) {
	name, _ := e.called(f)
	e.enter(f, name, name, '\n')
	b := appendHelp(e.appendHead(e.buf, "# HELP "), f.help)
	b = append(e.appendHead(b, "\n# TYPE "), f.kind.name()...)
	e.buf = append(b, '\n')
}

func textWhole(e *encoder, block string, v uint64, negative bool, d *details) bool {
	return textEnd(e, appendWhole(e.appendSample(e.buf, block), v, negative), d)
}

func textFloat(e *encoder, block string, v float64, d *details) bool {
	return textEnd(e, appendFloat(e.appendSample(e.buf, block), v), d)
}

func textEnd(e *encoder, b []byte, d *details) bool {
	e.buf = appendTextEnd(b, d)
	return e.full()
}

// appendTextEnd ends a line, after the time of the sample in milliseconds if it has
// one.
func appendTextEnd(b []byte, d *details) []byte {
	if d != nil && d.timed {
		b = appendInt(append(b, ' '), d.at)
	}
	return append(b, '\n')
}

func textHistogram(e *encoder, block string, def *histogramDef, counts []uint64, sum float64, d *details) bool {
	b := e.buf
	// All bucket lines begin alike: the first is put together, the others copy it.
	start := len(b)
	b = e.appendOpen(b, "_bucket", block)
	head := len(b) - start
	var total uint64
	for i, c := range counts {
		if i > 0 {
			b = append(b, b[start:start+head]...)
		}
		total += c
		b = append(b, def.le[i].text...)
		b = appendTextEnd(appendUint(b, total), d)
	}
	b = appendTextEnd(appendFloat(e.appendSeries(b, "_sum", block), sum), d)
	return textEnd(e, appendUint(e.appendSeries(b, "_count", block), total), d)
}

func textSummary(e *encoder, block string, s *SummarySnapshot, d *details) bool {
	b := e.buf
	for _, q := range s.Quantiles {
		b = appendFloat(append(e.appendOpen(b, "", block), `quantile="`...), q.Quantile)
		b = appendTextEnd(appendFloat(append(b, `"} `...), q.Value), d)
	}
	b = appendTextEnd(appendFloat(e.appendSeries(b, "_sum", block), s.Sum), d)
	return textEnd(e, appendUint(e.appendSeries(b, "_count", block), s.Count), d)
}
