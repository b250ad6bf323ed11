package expo

import (
	"github.com/tachikoma/tacho/internal/decimal"
	"github.com/tachikoma/tacho/internal/escape"
	"github.com/tachikoma/tacho/internal/exemplar"
)

// Text is the text format 0.0.4 (prometheus.io, "Exposition formats").
var Text = Format{textID, nil, textBegin, textWhole, textFloat, textHistogram, nil, nil}

func textBegin(e *Encoder, f *Family) {
	name, _ := e.called(f)
	e.enter(f, name, name, '\n')
	if e.begun {
		return
	}
	e.begun = true
	b, word := e.buf, "# TYPE "
	if f.Help != "" { // some parsers refuse a HELP line without a text
		b, word = escape.AppendHelp(e.appendHead(b, "# HELP ", ""), f.Help), "\n# TYPE "
	}
	e.buf = put(e.appendHead(b, word, f.Kind.TextName()), "\n")
}

func textWhole(e *Encoder, block string, v uint64, negative bool, d *Details) bool {
	b := e.appendSample(e.buf, block)
	if negative {
		b = put(b, "-")
	}
	return textEnd(e, decimal.AppendUint(b, v), d)
}

func textFloat(e *Encoder, block string, v float64, d *Details) bool {
	return textEnd(e, decimal.AppendFloat(e.appendSample(e.buf, block), v), d)
}

// textEnd ends a line, after the time of the sample if there is one.
func textEnd(e *Encoder, b []byte, d *Details) bool {
	if d != nil {
		if m := (*moreFormat)(e.format.more); m != nil {
			return m.end(e, b, d)
		}
		e.buf = appendTextEnd(b, d, nil)
	} else {
		e.buf = append(b, '\n')
	}
	return e.full()
}

// appendTextEnd appends the time of a sample in milliseconds, if there is one, and the end
// of its line.
//
//go:noinline
func appendTextEnd(b []byte, d *Details, _ *exemplar.Exemplar) []byte {
	if d != nil && d.Timed {
		b = decimal.AppendInt(put(b, " "), d.At)
	}
	return append(b, '\n')
}

func textHistogram(e *Encoder, block string, bounds *Bounds, counts []uint64, sum float64, d *Details) bool {
	b, total := e.appendBuckets(block, bounds.labels, counts, d, appendTextEnd)
	b = appendTextEnd(decimal.AppendFloat(e.appendSeries(b, "_sum", block), sum), d, nil)
	return textEnd(e, decimal.AppendUint(e.appendSeries(b, "_count", block), total), d)
}

func textSummary(e *Encoder, block string, s *Distribution, d *Details) bool {
	b := e.buf
	for _, q := range s.Quantiles {
		b = decimal.AppendFloat(put(e.appendOpen(b, "", block), `quantile="`), q.Quantile)
		b = appendTextEnd(decimal.AppendFloat(put(b, leEnd), q.Value), d, nil)
	}
	b = appendTextEnd(decimal.AppendFloat(e.appendSeries(b, "_sum", block), s.Sum), d, nil)
	return textEnd(e, decimal.AppendUint(e.appendSeries(b, "_count", block), s.Count), d)
}
