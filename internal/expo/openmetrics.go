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
var OpenMetrics = Format{openID, openNaming, openBegin, openWhole, openFloat, openHistogram, openFinish}

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
	b, word := e.buf, "# TYPE "
	if f.Help != "" { // HELP has the escapes of label values here
		b, word = escape.AppendLabelValue(e.appendHead(b, "# HELP "), f.Help), "\n# TYPE "
	}
	b = put(e.appendHead(b, word), kind)
	if f.Unit != "" && stringslite.HasSuffix(name, "_"+f.Unit) { // a plain or escaped name may lack the suffix
		b = put(e.appendHead(b, "\n# UNIT "), f.Unit)
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
	if d != nil {
		b = appendOpenTime(b, d)
		if e.dated {
			b = appendExemplar(b, d.Exemplar)
		}
	}
	b = append(b, '\n')
	e.buf = e.appendCreated(b, block, d)
	return e.full()
}

func openHistogram(e *Encoder, block string, bounds *Bounds, counts []uint64, sum float64, d *Details) bool {
	start, i, total := len(e.buf), 0, uint64(0)
	b := e.appendOpen(e.buf, "_bucket", block)
	head := b[start:] // all lines start alike
	b = b[:start]
	if d == nil {
		var n int
		n, i, total = copyBuckets(b, len(head), bounds.labels[1:], counts)
		b = b[:len(b)+n]
	}
	for ; i < len(counts); i++ {
		total += counts[i]
		b = decimal.AppendUint(put(put(b, *(*string)(unsafe.Pointer(&head))), bounds.labels[2*i+1]), total)
		if d != nil {
			b = appendOpenTime(b, d)
			if d.Buckets != nil {
				b = appendExemplar(b, d.Buckets[i].Load())
			}
		}
		b = put(b, "\n")
	}
	if bounds.At(0) >= 0 {
		b = e.appendTotals(b, block, sum, total, d)
	}
	e.buf = e.appendCreated(b, block, d)
	return e.full()
}

func openSummary(e *Encoder, block string, s *Distribution, d *Details) bool {
	b := e.buf
	for _, q := range s.Quantiles {
		if q.Value < 0 {
			continue // OpenMetrics 1.0, "Summary": quantile values must not be negative
		}
		b = decimal.AppendOpenFloat(append(e.appendOpen(b, "", block), `quantile="`...), q.Quantile)
		b = append(appendOpenTime(decimal.AppendOpenFloat(append(b, `"} `...), q.Value), d), '\n')
	}
	e.buf = e.appendTotals(b, block, s.Sum, s.Count, d)
	return e.full()
}

// appendTotals appends the samples _sum and _count, unless sum is negative or NaN: both
// samples must be counters.
func (e *Encoder) appendTotals(b []byte, block string, sum float64, count uint64, d *Details) []byte {
	if !(sum >= 0) {
		return b
	}
	b = decimal.AppendOpenFloat(e.appendSeries(b, "_sum", block), sum)
	b = append(appendOpenTime(b, d), '\n')
	b = decimal.AppendUint(e.appendSeries(b, "_count", block), count)
	return append(appendOpenTime(b, d), '\n')
}

// appendOpenTime appends the time of a sample in seconds, if there is one.
//
//go:noinline
func appendOpenTime(b []byte, d *Details) []byte {
	if d == nil || !d.Timed {
		return b
	}
	return decimal.AppendSeconds(append(b, ' '), d.At)
}

func (e *Encoder) appendCreated(b []byte, block string, d *Details) []byte {
	if d == nil || d.Created == 0 || !e.dated {
		return b
	}
	return append(decimal.AppendSeconds(e.appendSeries(b, "_created", block), d.Created), '\n')
}

func appendExemplar(b []byte, x *exemplar.Exemplar) []byte {
	if x == nil {
		return b
	}
	b = put(put(put(b, " # "), x.Labels), " ")
	b = put(decimal.AppendOpenFloat(b, x.Value), " ")
	return decimal.AppendSeconds(b, x.At)
}

func openFinish(e *Encoder) { e.buf = put(e.buf, "# EOF\n") }
