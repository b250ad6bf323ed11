package expo

import (
	"unsafe"

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
	b = put(e.appendHead(b, word), f.Kind.TextName())
	e.buf = put(b, "\n")
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
		b = appendTextTime(b, d)
	}
	e.buf = append(b, '\n')
	return e.full()
}

// appendTextTime appends the time of a sample in milliseconds, if there is one.
//
//go:noinline
func appendTextTime(b []byte, d *Details) []byte {
	if d == nil || !d.Timed {
		return b
	}
	return decimal.AppendInt(put(b, " "), d.At)
}

func textHistogram(e *Encoder, block string, bounds *Bounds, counts []uint64, sum float64, d *Details) bool {
	start, i, total := len(e.buf), 0, uint64(0)
	b := e.appendOpen(e.buf, "_bucket", block)
	head := b[start:] // all lines start alike
	b = b[:start]
	if d == nil {
		var n int
		n, i, total = copyBuckets(b, len(head), bounds.labels, counts)
		b = b[:len(b)+n]
	}
	for ; i < len(counts); i++ {
		total += counts[i]
		b = decimal.AppendUint(put(put(b, *(*string)(unsafe.Pointer(&head))), bounds.labels[2*i]), total)
		b = put(appendTextTime(b, d), "\n")
	}
	b = put(appendTextTime(decimal.AppendFloat(e.appendNamed(b, e.family, "_sum", block), sum), d), "\n")
	return textEnd(e, decimal.AppendUint(e.appendNamed(b, e.family, "_count", block), total), d)
}

func textSummary(e *Encoder, block string, s *Distribution, d *Details) bool {
	b := e.buf
	for _, q := range s.Quantiles {
		b = decimal.AppendFloat(append(e.appendOpen(b, "", block), `quantile="`...), q.Quantile)
		b = put(appendTextTime(decimal.AppendFloat(append(b, `"} `...), q.Value), d), "\n")
	}
	b = put(appendTextTime(decimal.AppendFloat(e.appendSeries(b, "_sum", block), s.Sum), d), "\n")
	return textEnd(e, decimal.AppendUint(e.appendSeries(b, "_count", block), s.Count), d)
}
