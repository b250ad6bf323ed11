package expo

import (
	"unsafe"

	"github.com/tachikoma/tacho/internal/decimal"
	"github.com/tachikoma/tacho/internal/escape"
	"github.com/tachikoma/tacho/internal/exemplar"
	"github.com/tachikoma/tacho/internal/names"
	"github.com/tachikoma/tacho/internal/stringslite"
)

// OpenMetrics is the text format of OpenMetrics 1.0 ("Text format").
var OpenMetrics = Format{openID, openNaming, openBegin, openWhole, openFloat, openHistogram, openFinish, unsafe.Pointer(&noSummary)}

func openNaming(n *Names, families []*Family, s names.Scheme) func(*Family) (string, bool) {
	return n.naming(families, true, s)
}

func openBegin(e *Encoder, f *Family) {
	full, plain := e.called(f)
	name, kind := full, f.Kind.openName()
	e.dated = f.Kind == Histogram
	switch {
	case f.Kind == Counter && (plain || !stringslite.HasSuffix(full, "_total")):
		kind = "unknown" // samples of a counter must end in _total
	case f.Kind == Counter:
		name, e.dated = stringslite.TrimSuffix(full, "_total"), true
	case f.Kind == Info && (plain || f.MixedTimes || !stringslite.HasSuffix(full, "_info")):
		// All samples of an info are one group for some parsers, and a group must not mix
		// samples with and without a time.
		kind = "gauge"
	case f.Kind == Info:
		name = stringslite.TrimSuffix(full, "_info")
	}
	e.enter(f, name, full, '.'|'0'<<8|'\n'<<16)
	if e.begun {
		return
	}
	e.begun = true
	b, word := e.buf, "# TYPE "
	if f.Help != "" { // HELP has the escapes of label values here
		b, word = escape.AppendLabelValue(e.appendHead(b, "# HELP ", ""), f.Help), "\n# TYPE "
	}
	b = e.appendHead(b, word, kind)
	if f.Unit != "" && stringslite.HasSuffix(name, "_"+f.Unit) { // a plain or escaped name may lack the suffix
		b = e.appendHead(b, "\n# UNIT ", f.Unit)
	}
	e.buf = put(b, "\n")
}

func openWhole(e *Encoder, block string, v uint64, negative bool, d *Details) bool {
	b := decimal.AppendWhole(e.appendSample(e.buf, block), v, negative)
	return openEnd(e, append(b, ".0"...), block, d)
}

func openFloat(e *Encoder, block string, v float64, d *Details) bool {
	return openEnd(e, decimal.AppendOpenFloat(e.appendSample(e.buf, block), v), block, d)
}

// openEnd ends a sample of one value and adds the sample of its time of creation.
func openEnd(e *Encoder, b []byte, block string, d *Details) bool {
	if d == nil {
		e.buf = append(b, '\n')
		return e.full()
	}
	x := d.Exemplar
	if !e.dated {
		x = nil
	}
	return openCreated(e, appendOpenEnd(b, d, x), block, d)
}

// appendOpenEnd appends the time of a sample in seconds, if there is one, its exemplar, and
// the end of its line.
//
//go:noinline
func appendOpenEnd(b []byte, d *Details, x *exemplar.Exemplar) []byte {
	if d != nil && d.Timed {
		b = decimal.AppendSeconds(put(b, " "), d.At)
	}
	if x != nil {
		b = put(put(put(b, " # "), x.Labels), " ")
		b = put(decimal.AppendOpenFloat(b, x.Value), " ")
		b = decimal.AppendSeconds(b, x.At)
	}
	return append(b, '\n')
}

// openCreated adds the sample of the time of creation of a series, if there is one.
func openCreated(e *Encoder, b []byte, block string, d *Details) bool {
	if d != nil && d.Created != 0 && e.dated {
		b = appendOpenEnd(decimal.AppendSeconds(e.appendSeries(b, "_created", block), d.Created), nil, nil)
	}
	e.buf = b
	return e.full()
}

func openHistogram(e *Encoder, block string, bounds *Bounds, counts []uint64, sum float64, d *Details) bool {
	b, total := e.appendBuckets(block, bounds.labels[1:], counts, d, appendOpenEnd)
	if bounds.At(0) >= 0 {
		b = e.appendTotals(b, block, sum, total, d)
	}
	return openCreated(e, b, block, d)
}

func openSummary(e *Encoder, block string, s *Distribution, d *Details) bool {
	b := e.buf
	for _, q := range s.Quantiles {
		if q.Value < 0 {
			continue // OpenMetrics 1.0, "Summary": quantile values must not be negative
		}
		b = decimal.AppendOpenFloat(put(e.appendOpen(b, "", block), `quantile="`), q.Quantile)
		b = appendOpenEnd(decimal.AppendOpenFloat(put(b, leEnd), q.Value), d, nil)
	}
	e.dated = true
	return openCreated(e, e.appendTotals(b, block, s.Sum, s.Count, d), block, d)
}

// appendTotals appends the samples _sum and _count, unless sum is negative or NaN: both
// samples must be counters.
func (e *Encoder) appendTotals(b []byte, block string, sum float64, count uint64, d *Details) []byte {
	if !(sum >= 0) {
		return b
	}
	b = appendOpenEnd(decimal.AppendOpenFloat(e.appendSeries(b, "_sum", block), sum), d, nil)
	return appendOpenEnd(decimal.AppendUint(e.appendSeries(b, "_count", block), count), d, nil)
}

func openFinish(e *Encoder) { e.buf = put(e.buf, "# EOF\n") }
