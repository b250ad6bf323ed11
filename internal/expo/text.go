package expo

import (
	"github.com/tachikoma/tacho/internal/decimal"
	"github.com/tachikoma/tacho/internal/escape"
)

// Text is the text format 0.0.4 (prometheus.io, "Exposition formats").
var Text = Format{textID, nil, textBegin, textWhole, textFloat, textHistogram, nil}

func textBegin(e *Encoder, f *Family) {
	name, _ := e.called(f)
	e.enter(f, name, name, '\n')
	b, word := e.buf, "# TYPE "
	if f.Help != "" { // some parsers refuse a HELP line without a text
		b, word = escape.AppendHelp(e.appendHead(b, "# HELP "), f.Help), "\n# TYPE "
	}
	b = append(e.appendHead(b, word), f.Kind.TextName()...)
	e.buf = append(b, '\n')
}

func textWhole(e *Encoder, block string, v uint64, negative bool, d *Details) bool {
	return textEnd(e, decimal.AppendWhole(e.appendSample(e.buf, block), v, negative), d)
}

func textFloat(e *Encoder, block string, v float64, d *Details) bool {
	return textEnd(e, decimal.AppendFloat(e.appendSample(e.buf, block), v), d)
}

func textEnd(e *Encoder, b []byte, d *Details) bool {
	e.buf = appendTextEnd(b, d)
	return e.full()
}

// appendTextEnd ends a line, after the time of the sample if there is one.
func appendTextEnd(b []byte, d *Details) []byte {
	if d != nil && d.Timed {
		b = appendTextTime(b, d)
	}
	return append(b, '\n')
}

// appendTextTime appends the time of a sample in milliseconds.
//
//go:noinline
func appendTextTime(b []byte, d *Details) []byte {
	return decimal.AppendInt(append(b, ' '), d.At)
}

func textHistogram(e *Encoder, block string, bounds *Bounds, counts []uint64, sum float64, d *Details) bool {
	// All bucket lines start alike: the other lines copy the start of the first.
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
		b = append(b, bounds.le[i].text...)
		b = appendTextEnd(decimal.AppendUint(b, total), d)
	}
	b = appendTextEnd(decimal.AppendFloat(e.appendSeries(b, "_sum", block), sum), d)
	return textEnd(e, decimal.AppendUint(e.appendSeries(b, "_count", block), total), d)
}

func textSummary(e *Encoder, block string, s *Distribution, d *Details) bool {
	b := e.buf
	for _, q := range s.Quantiles {
		b = decimal.AppendFloat(append(e.appendOpen(b, "", block), `quantile="`...), q.Quantile)
		b = appendTextEnd(decimal.AppendFloat(append(b, `"} `...), q.Value), d)
	}
	b = appendTextEnd(decimal.AppendFloat(e.appendSeries(b, "_sum", block), s.Sum), d)
	return textEnd(e, decimal.AppendUint(e.appendSeries(b, "_count", block), s.Count), d)
}
