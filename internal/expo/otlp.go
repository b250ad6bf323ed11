package expo

import (
	"math"
	"math/bits"
	"unsafe"

	"github.com/tachikoma/tacho/internal/byteorder"
	"github.com/tachikoma/tacho/internal/exemplar"
	"github.com/tachikoma/tacho/internal/native"
	"github.com/tachikoma/tacho/internal/stringslite"
	"github.com/tachikoma/tacho/internal/wire"
)

// OTLP returns the format of OTLP metrics (opentelemetry-proto, metrics.proto): the fields metrics of a
// ScopeMetrics, one after the other. Each call of Write gets complete fields. at is the time of samples
// without a time, in Unix milliseconds. If noNative is true, native histograms have classic buckets
// alone.
//
// Types, units and exemplars are those of the OpenTelemetry specification, "Prometheus and OpenMetrics
// Compatibility". All values are of the type double. A receiver can store integers and doubles as
// different series, and the value of a float counter can be whole.
//
// Only programs that refer to OTLP contain the functions of this file; see internal/SIZE.md.
func OTLP(at int64, noNative bool) *Format {
	o := &otlpFormat{more: moreFormat{summary: otlpSummaries{}, native: encodeNative}, at: nanoseconds(at), noNative: noNative}
	id := otlpID
	if noNative {
		id = openID // no restarts of native histograms, since nothing shows their resolution
	}
	return &Format{id, nil, otlpBegin, otlpWhole, otlpFloat, otlpHistogram, otlpFinish, unsafe.Pointer(o)}
}

// An otlpFormat has what the functions of OTLP share.
type otlpFormat struct {
	more     moreFormat // the first field; see Format.more
	at       uint64     // Unix nanoseconds
	noNative bool
	points   int // see OTLPPoints
}

// OTLPPoints returns the number of data points that an Encoder wrote in a format from OTLP. A receiver of the writes
// can set the number to 0.
func OTLPPoints(format *Format) *int { return &(*otlpFormat)(format.more).points }

// otlpSummaries has the code of summaries; see moreFormat.
type otlpSummaries struct{}

// otlpFields has the field of a Metric with the data points of each Kind. The compatibility specification
// makes an info a sum that is not monotonic. The field of a histogram depends on the series.
var otlpFields = [8]byte{wire.OTLPSum, wire.OTLPGauge, wire.OTLPHistogram, wire.OTLPGauge, wire.OTLPSum, wire.OTLPSummary}

// otlpState is the state of an Encoder for OTLP.
type otlpState struct {
	_          [0]func()       // no ==; see internal/SIZE.md
	protoState                 // the first field; its field is that of the data points in the open Metric
	data       int             // the index in Encoder.buf of the message with the data points
	buckets    []native.Bucket // the result of lowered
}

func otlpOf(e *Encoder) *otlpState { return (*otlpState)(e.proto) }

func otlpBegin(e *Encoder, f *Family) {
	if e.proto == nil {
		e.proto = unsafe.Pointer(new(otlpState))
	}
	o := otlpOf(e)
	if !e.begun {
		o.close(e)
		e.begun, o.head = true, f
		o.name, _ = e.called(f)
	} else if o.family.Kind != f.Kind {
		o.close(e)
	}
	o.family = f
	o.n, o.learn = 0, f.SameLabels && !f.QuotedLabels
}

// open begins a Metric of the current family. A Metric ends before the Encoder writes its buffer, as in
// protoState.open. The specification has no rule against several Metrics with the same name.
func (o *otlpState) open(e *Encoder, field byte) {
	o.close(e)
	f := o.head
	b := append(e.buf, wire.OTLPMetric, 0)
	o.start = len(b)
	b = appendString(b, wire.OTLPName, o.name)
	if f.Help != "" {
		b = appendString(b, wire.OTLPDescription, f.Help)
	}
	// As in the protobuf format, a unit is the end of the name.
	base := o.name
	if f.Kind == Counter {
		base = stringslite.TrimSuffix(base, "_total")
	}
	if f.Unit != "" && stringslite.HasSuffix(base, "_"+f.Unit) {
		b = appendString(b, wire.OTLPUnit, otlpUnit(f.Unit))
	}
	b, metadata := nest(b, wire.OTLPMetadata)
	b = appendString(b, wire.OTLPKey, "prometheus.type")
	b, value := nest(b, wire.OTLPValue)
	b = seal(seal(appendString(b, wire.OTLPString, o.family.Kind.openName()), value), metadata)
	b = append(b, field, 0)
	o.data = len(b)
	if field != wire.OTLPGauge && field != wire.OTLPSummary {
		b = append(b, wire.OTLPTemporality, wire.OTLPCumulative)
	}
	if o.family.Kind == Counter {
		b = append(b, wire.OTLPMonotonic, 1)
	}
	e.buf = b
	if o.field != field { // the attributes have another field
		o.field, o.n, o.learn = field, 0, o.family.SameLabels && !o.family.QuotedLabels
	}
}

// otlpUnit returns the unit of OpenTelemetry (UCUM) for a unit of Prometheus. The base units of
// Prometheus (prometheus.io, "Metric and label naming") have a unit in UCUM. Other units keep their
// text.
func otlpUnit(unit string) string {
	switch unit {
	case "seconds":
		return "s"
	case "bytes":
		return "By"
	case "ratio":
		return "1"
	case "celsius":
		return "Cel"
	case "meters":
		return "m"
	case "volts":
		return "V"
	case "amperes":
		return "A"
	case "joules":
		return "J"
	case "grams":
		return "g"
	}
	return unit
}

// close ends the open Metric, if there is one. It moves the data points once for the two lengths.
func (o *otlpState) close(e *Encoder) {
	if o.start == 0 {
		return
	}
	size := len(e.buf)
	inner := size - o.data
	innerMore := varintSize(inner) - 1
	outer := size - o.start + innerMore
	outerMore := varintSize(outer) - 1
	b := append(e.buf, "................"[:innerMore+outerMore]...)
	data := o.data + innerMore + outerMore
	copy(b[data:], b[o.data:size])
	copy(b[o.start+outerMore:], b[o.start:o.data])
	appendVarint(b[:o.start-1], uint64(outer))
	appendVarint(b[:o.data+outerMore-1], uint64(inner))
	e.buf, o.start = b, 0
}

// varintSize returns the size of a varint.
func varintSize(v int) int { return (bits.Len64(uint64(v)|1) + 6) / 7 }

func otlpFinish(e *Encoder) {
	if e.proto != nil {
		otlpOf(e).close(e)
	}
}

// otlpHead appends a data point up to its attributes. It returns the buffer and the index of the data point.
func otlpHead(e *Encoder, block string, field, attribute byte) (b []byte, point int) {
	o := otlpOf(e)
	if o.start == 0 || o.field != field {
		o.open(e, field)
	}
	b, point = nest(e.buf, wire.OTLPPoint)
	if field != wire.OTLPSum && field != wire.OTLPGauge {
		b = append(b, 0) // see sealLong
	}
	if n := o.fastAttributes(b, block); n > 0 {
		return b[:n], point
	}
	return o.slowAttributes(b, block, attribute), point
}

// sealLong is seal for a message that follows one byte more for its length. Most of these messages have a length of
// two bytes and are not moved.
func sealLong(b []byte, start int) []byte {
	n := len(b) - start - 1
	if n < 0x80 || n >= 0x4000 {
		copy(b[start:], b[start+1:])
		return seal(b[:len(b)-1], start)
	}
	b[start-1], b[start] = byte(n)|0x80, byte(n>>7)
	return b
}

// otlpEnd ends a data point. b has its length.
func otlpEnd(e *Encoder, b []byte) bool {
	e.buf = b
	(*otlpFormat)(e.format.more).points++
	if len(b) < flushAt {
		return true
	}
	otlpOf(e).close(e)
	return e.full()
}

// appendPointTimes appends the time of a sample. If dated is true, the time of creation precedes the time
// of the sample. A start time is not later than the time of the sample.
func appendPointTimes(b []byte, e *Encoder, d *Details, dated bool) []byte {
	at := (*otlpFormat)(e.format.more).at
	if d != nil {
		if d.Timed {
			at = nanoseconds(d.At)
		}
		if d.Created != 0 && dated {
			b = appendFixed(b, wire.OTLPStart, min(nanoseconds(d.Created), at))
		}
	}
	return appendFixed(b, wire.OTLPTime, at)
}

// nanoseconds returns Unix milliseconds as Unix nanoseconds, from 0 to the latest time of an int64. Prometheus
// reads the times of OTLP as int64.
func nanoseconds(ms int64) uint64 {
	return uint64(min(max(ms, 0), math.MaxInt64/1_000_000)) * 1_000_000
}

func otlpWhole(e *Encoder, block string, v uint64, negative bool, d *Details) bool {
	return otlpFloat(e, block, signed(v, negative), d)
}

func otlpFloat(e *Encoder, block string, v float64, d *Details) bool {
	k := otlpOf(e).family.Kind
	b, point := otlpHead(e, block, otlpFields[k%8], wire.OTLPPointAttribute)
	b = appendDouble(appendPointTimes(b, e, d, k == Counter), wire.OTLPDouble, v)
	if d != nil && d.Exemplar != nil && k == Counter {
		b = appendPointExemplar(b, wire.OTLPNumberExemplar, d.Exemplar)
	}
	return otlpEnd(e, seal(b, point))
}

func (otlpSummaries) encodeSummary(e *Encoder, block string, s *Distribution, d *Details) bool {
	b, point := otlpHead(e, block, wire.OTLPSummary, wire.OTLPPointAttribute)
	b = appendFixed(appendPointTimes(b, e, d, true), wire.OTLPCount, s.Count)
	b = appendDouble(b, wire.OTLPTotal, s.Sum)
	for _, q := range s.Quantiles {
		var start int
		b, start = nest(b, wire.OTLPQuantile)
		b = seal(appendDouble(appendDouble(b, wire.QuantileRank, q.Quantile), wire.QuantileValue, q.Value), start)
	}
	return otlpEnd(e, sealLong(b, point))
}

// otlpHistogram appends a histogram with classic buckets. A histogram without bounds has one bucket.
func otlpHistogram(e *Encoder, block string, bounds *Bounds, counts []uint64, sum float64, d *Details) bool {
	if d != nil && d.Native() != nil && !(*otlpFormat)(e.format.more).noNative {
		return d.Native().Code.otlpHistogram(e, block, counts, sum, d)
	}
	b, point := otlpHead(e, block, wire.OTLPHistogram, wire.OTLPHistogramAttribute)
	b = appendPointTimes(b, e, d, true)
	if room := len(b) + histogramRoom + 8*len(counts) + 8*len(bounds.Upper); room > cap(b) {
		b = append(b, make([]byte, room-len(b))...)[:len(b)]
	}
	count := len(b)
	b = appendDouble(appendFixed(b, wire.OTLPCount, 0), wire.OTLPTotal, sum)
	b, to := extend(b, wire.OTLPCounts, len(counts))
	total := uint64(0)
	for i := range to {
		total += counts[i]
		byteorder.Store64(&to[i], counts[i])
	}
	byteorder.Store64((*[8]byte)(b[count+1:]), total)
	if n := len(bounds.Upper); n > 0 {
		b, to = extend(b, wire.OTLPBounds, n)
		for i := range to {
			byteorder.Store64(&to[i], math.Float64bits(bounds.Upper[i]))
		}
	}
	if d != nil {
		b = appendSlots(b, wire.OTLPClassicExemplar, d.Buckets)
	}
	return otlpEnd(e, sealLong(b, point))
}

// histogramRoom is at least the size of the fields of a histogram from the count to the bounds, without the elements
// of packed fields.
const histogramRoom = 2*(1+8) + 2*(1+10)

// extend appends a packed field of n words without their values, which have to be stored in words. b must have
// the capacity.
func extend(b []byte, field byte, n int) (_ []byte, words [][8]byte) {
	b = appendVarint(append(b, field), uint64(8*n))
	end := len(b) + 8*n
	return b[:end], unsafe.Slice((*[8]byte)(unsafe.Pointer(unsafe.SliceData(b[len(b):end]))), n)
}

// appendSlots appends the exemplars of classic buckets.
func appendSlots(b []byte, field byte, slots []exemplar.Slot) []byte {
	for i := range slots {
		if x := slots[i].Load(); x != nil {
			b = appendPointExemplar(b, field, x)
		}
	}
	return b
}

// appendPointExemplar appends an Exemplar. The labels trace_id and span_id are IDs if their values are.
// All other labels are attributes.
func appendPointExemplar(b []byte, field byte, x *exemplar.Exemplar) []byte {
	b, start := nest(b, field)
	b = appendFixed(b, wire.OTLPExemplarTime, nanoseconds(x.At))
	b = appendDouble(b, wire.OTLPExemplarValue, x.Value)
	for block := x.Labels; len(block) > len("} "); {
		if id := idOf(block[1:], `trace_id="`, 16); id != "" {
			b, block = appendID(b, wire.OTLPTraceID, id), block[len(`{trace_id=""`)+len(id):]
		} else if id := idOf(block[1:], `span_id="`, 8); id != "" {
			b, block = appendID(b, wire.OTLPSpanID, id), block[len(`{span_id=""`)+len(id):]
		} else {
			b, block = appendAttribute(b, wire.OTLPExemplarAttribute, block)
		}
	}
	return seal(b, start)
}

// idOf returns the hexadecimal digits of an ID with this number of bytes, or "". text must begin with name, and a
// quote must follow the digits. An ID of zeros is invalid (W3C Trace Context, section "traceparent Header").
func idOf(text, name string, size int) string {
	if !stringslite.HasPrefix(text, name) || len(text) <= len(name)+2*size || text[len(name)+2*size] != '"' {
		return ""
	}
	text = text[len(name) : len(name)+2*size]
	all := byte(0)
	for i := range len(text) {
		digit := hexDigit(text[i])
		if digit > 15 {
			return ""
		}
		all |= digit
	}
	if all == 0 {
		return ""
	}
	return text
}

// hexDigit returns the value of a hexadecimal digit, or a number above 15.
func hexDigit(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10
	}
	return 16
}

// appendID appends the bytes of an ID.
func appendID(b []byte, field byte, digits string) []byte {
	b = append(b, field, byte(len(digits)/2))
	for i := 0; i < len(digits); i += 2 {
		b = append(b, hexDigit(digits[i])<<4|hexDigit(digits[i+1]))
	}
	return b
}
