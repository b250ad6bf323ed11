package expo

import (
	"unsafe"

	"github.com/tachikoma/tacho/internal/byteorder"
	"github.com/tachikoma/tacho/internal/decimal"
	"github.com/tachikoma/tacho/internal/escape"
	"github.com/tachikoma/tacho/internal/stringslite"
)

// OpenMetrics2 is the text format of OpenMetrics 2.0 (2.0.0-rc0, "Text Format"). A sample without
// details has the bytes of the text format.
var OpenMetrics2 = Format{open2ID, nil, open2Begin, textWhole, textFloat, open2Histogram, openFinish, unsafe.Pointer(&more2)}

var more2 = moreFormat{open2Summaries{}, encodeNative, nil, open2End}

// open2Summaries has the code of summaries; see moreFormat.
type open2Summaries struct{}

func open2Begin(e *Encoder, f *Family) {
	name, _ := e.called(f)
	kind, unit := f.Kind.openName(), f.Unit
	e.dated = f.Kind == Counter || f.Kind == Histogram || f.Kind == Summary
	if f.Kind == Info {
		unit = ""
		if !stringslite.HasSuffix(name, "_info") {
			kind = "gauge"
		}
	}
	e.enter(f, name, name, '\n')
	if e.begun {
		return
	}
	e.begun = true
	b := e.appendHead(e.buf, "# TYPE ", kind)
	if unit != "" { // also if the name is escaped and does not end in the unit
		b = e.appendHead(b, "\n# UNIT ", unit)
	}
	if f.Help != "" {
		b = escape.AppendLabelValue(e.appendHead(b, "\n# HELP ", ""), f.Help)
		if b[len(b)-1] == '\r' { // a line must not end in \r\n ("Overall Structure")
			b = put(b, " ")
		}
	}
	e.buf = put(b, "\n")
}

// open2End ends a sample: its time, its time of creation, its exemplars, and the end of the line.
func open2End(e *Encoder, b []byte, d *Details) bool {
	b = appendOpenEnd(b, d, nil)
	if d != nil && e.dated {
		if d.Created != 0 {
			b = put(decimal.AppendSeconds(put(b[:len(b)-1], " st@"), d.Created), "\n")
		}
		x := d.Exemplar
		for i := 0; ; i++ {
			if x != nil {
				b = appendOpenEnd(b[:len(b)-1], nil, x)
			}
			if i == len(d.Buckets) {
				break
			}
			x = d.Buckets[i].Load()
		}
	}
	e.buf = b
	return e.full()
}

func open2Histogram(e *Encoder, block string, bounds *Bounds, counts []uint64, sum float64, d *Details) bool {
	all := uint64(0)
	for _, c := range counts {
		all += c
	}
	b := e.appendComposite(block, all, sum)
	if d != nil && d.Native() != nil {
		b, d = d.Native().Code.open2Native(e, b, d)
		if len(bounds.Upper) == 0 {
			return open2End(e, put(b, "}"), d)
		}
	}
	b = appendOpen2Classic(put(b, ",bucket:["), bounds, counts)
	return open2End(e, put(b, "}"), d)
}

// appendOpen2Classic appends the buckets of a composite value and the bracket behind them.
//
// A move of leSize bytes and a store of eight digits may write past the end of a bucket but stay within the
// capacity.
func appendOpen2Classic(b []byte, bounds *Bounds, counts []uint64) []byte {
	total := uint64(0)
	digits, size := uint64('0'), 1 // of total, unless total is long
	for i, c := range counts {
		if c > 0 { // many buckets are empty
			total += c
			digits, size = shortDigits(total)
		}
		text := bounds.number(i)
		n := len(b)
		if total >= decimal.MaxShort || cap(b)-n < leSize+len(":,")+8 {
			b = put(decimal.AppendUint(put(put(b, text), ":"), total), ",")
			continue
		}
		to := unsafe.Add(unsafe.Pointer(unsafe.SliceData(b)), n)
		*(*[leSize]byte)(to) = *(*[leSize]byte)(unsafe.Pointer(unsafe.StringData(text)))
		to = unsafe.Add(to, len(text))
		*(*byte)(to) = ':'
		byteorder.Store64((*[8]byte)(unsafe.Add(to, 1)), digits)
		*(*byte)(unsafe.Add(to, 1+size)) = ','
		b = b[:n+len(text)+len(":,")+size]
	}
	b[len(b)-1] = ']'
	return b
}

func (open2Summaries) encodeSummary(e *Encoder, block string, s *Distribution, d *Details) bool {
	if !(s.Sum >= 0) {
		return true // the sum must be there, and must not be negative or NaN ("Summary")
	}
	b, before := e.appendComposite(block, s.Count, s.Sum), ""
	b = put(b, ",quantile:[")
	for _, q := range s.Quantiles {
		if q.Value < 0 {
			continue // quantile values must not be negative ("Summary")
		}
		b = put(decimal.AppendFloat(put(b, before), q.Quantile), ":")
		b, before = decimal.AppendFloat(b, q.Value), ","
	}
	return open2End(e, put(b, "]}"), d)
}

// appendComposite appends a sample with a composite value up to the sum.
func (e *Encoder) appendComposite(block string, count uint64, sum float64) []byte {
	b := decimal.AppendUint(put(e.appendSample(e.buf, block), "{count:"), count)
	return decimal.AppendFloat(put(b, ",sum:"), sum)
}
