package expo

import (
	"math"
	"math/bits"
	"unsafe"

	"github.com/tachikoma/tacho/internal/byteorder"
	"github.com/tachikoma/tacho/internal/escape"
	"github.com/tachikoma/tacho/internal/exemplar"
	"github.com/tachikoma/tacho/internal/names"
	"github.com/tachikoma/tacho/internal/native"
	"github.com/tachikoma/tacho/internal/stringslite"
)

// Protobuf is the protobuf format (prometheus.io, "Exposition formats"): messages
// io.prometheus.client.MetricFamily, each after its length.
//
// Only programs that refer to Protobuf contain the functions of this file; see
// internal/SIZE.md.
var Protobuf = Format{protoID, nil, protoBegin, protoWhole, protoFloat, protoHistogram, protoFinish, unsafe.Pointer(&moreProto)}

// RemoteWrite is Protobuf for package push, which converts the messages into remote write requests. A
// counter that OpenMetrics shows with type unknown has no time of creation, because the name of the
// series _created could be the name of another family.
var RemoteWrite = Format{protoID, openNaming, protoBegin, protoWhole, protoFloat, protoHistogram, protoFinish, unsafe.Pointer(&moreProto)}

var moreProto = moreFormat{protoSummaries{}, encodeNative}

// protoSummaries has the code of summaries; see moreFormat.
type protoSummaries struct{}

// Wire types, which are the lowest bits of a tag (protobuf.dev, "Encoding").
const (
	wireVarint = 0
	wireDouble = 1
	wireBytes  = 2
)

// The tags of the fields, by the message that has them (client_model, metrics.proto).
const (
	familyName   = 1<<3 | wireBytes
	familyHelp   = 2<<3 | wireBytes
	familyType   = 3<<3 | wireVarint
	familyMetric = 4<<3 | wireBytes
	familyUnit   = 5<<3 | wireBytes

	metricLabel     = 1<<3 | wireBytes // also of an exemplar
	metricGauge     = 2<<3 | wireBytes
	metricCounter   = 3<<3 | wireBytes
	metricSummary   = 4<<3 | wireBytes
	metricUntyped   = 5<<3 | wireBytes
	metricTime      = 6<<3 | wireVarint
	metricHistogram = 7<<3 | wireBytes

	labelName  = 1<<3 | wireBytes
	labelValue = 2<<3 | wireBytes

	valueDouble     = 1<<3 | wireDouble // of a counter, a gauge and an untyped value
	counterExemplar = 2<<3 | wireBytes
	counterCreated  = 3<<3 | wireBytes

	totalCount      = 1<<3 | wireVarint // of a summary and a histogram
	totalSum        = 2<<3 | wireDouble
	summaryQuantile = 3<<3 | wireBytes
	quantileRank    = 1<<3 | wireDouble
	quantileValue   = 2<<3 | wireDouble

	histogramBucket        = 3<<3 | wireBytes
	histogramSchema        = 5<<3 | wireVarint
	histogramZeroThreshold = 6<<3 | wireDouble
	histogramZeroCount     = 7<<3 | wireVarint
	histogramNegative      = 9<<3 | wireBytes // spans; the deltas have the next field
	histogramPositive      = 12<<3 | wireBytes
	histogramCreated       = 15<<3 | wireBytes
	histogramExemplar      = 16<<3 | wireBytes // two bytes as a varint

	nextField = 1 << 3

	bucketCount    = 1<<3 | wireVarint
	bucketBound    = 2<<3 | wireDouble
	bucketExemplar = 3<<3 | wireBytes

	spanOffset = 1<<3 | wireVarint
	spanLength = 2<<3 | wireVarint

	exemplarValue = 2<<3 | wireDouble
	exemplarTime  = 3<<3 | wireBytes

	timeSeconds = 1<<3 | wireVarint
	timeNanos   = 2<<3 | wireVarint
)

// protoTypes has the MetricType of each Kind, and protoFields the field of a Metric that has
// the value. An info is a gauge, as in the text format.
var (
	protoTypes  = [8]byte{0, 1, 4, 3, 1, 2} // with 8 elements an index %8 needs no check; see internal/SIZE.md
	protoFields = [8]byte{metricCounter, metricGauge, metricHistogram, metricUntyped, metricGauge, metricSummary}
)

// protoState is the state of an Encoder for Protobuf and RemoteWrite.
type protoState struct {
	_         [0]func()            // no ==; see internal/SIZE.md
	family    *Family              // the current family
	name      string               // the name of family in the exposition
	field     byte                 // the tag of a value in a Metric
	escaped   bool                 // label names must be escaped
	plain     bool                 // OpenMetrics shows family with type unknown; false in Protobuf
	learn     bool                 // the next series sets the pairs
	start     int                  // the index in Encoder.buf of the open message; 0 if no message is open
	block     []byte               // a label block with escaped names
	exemplars []*exemplar.Exemplar // of the native buckets of the current series
	n         int                  // number of pairs; 0 if fastPairs must not copy

	// The pairs of the labels of the current family. A pair is the text of a LabelPair up to its
	// value. An array of structs is larger; see internal/SIZE.md.
	sizes [maxPairs]uint8
	texts [maxPairs * pairSize]byte
}

const (
	maxPairs = 8
	pairSize = 32

	// skipped is the size of a pair less the length of its text in a label block, such as `,path="`.
	skipped = len("......") - len(`,="`)

	// pairRoom is the number of bytes that fastPairs may write besides the values.
	pairRoom = maxPairs*pairSize + pairSize + 8
)

func protoBegin(e *Encoder, f *Family) {
	p := (*protoState)(e.proto)
	if p == nil {
		p = new(protoState)
		e.proto = unsafe.Pointer(p)
	}
	p.close(e)
	p.name, p.plain = e.called(f)
	p.family, p.field = f, protoFields[f.Kind%8]
	p.escaped = f.QuotedLabels && e.scheme != names.AllowUTF8
	p.n, p.learn = 0, f.SameLabels && !f.QuotedLabels
}

// close ends the open message, if there is one.
//
//go:noinline
func (p *protoState) close(e *Encoder) {
	if p.start > 0 {
		e.buf, p.start = seal(e.buf, p.start), 0
	}
}

// open begins a message of the current family. A message ends before the Encoder writes its buffer.
// The length precedes the message, so a family in one message would need a buffer for the whole
// family. Prometheus reads consecutive messages with the same name as one family.
func (p *protoState) open(e *Encoder) {
	f := p.family
	b := append(e.buf, 0) // the place of the length
	p.start = len(b)
	b = appendString(b, familyName, p.name)
	if f.Help != "" {
		b = appendString(b, familyHelp, f.Help)
	}
	b = append(b, familyType, protoTypes[f.Kind%8])
	base := p.name
	if f.Kind == Counter {
		base = stringslite.TrimSuffix(base, "_total")
	}
	// As in OpenMetrics, a unit is the end of the name. An escaped name may lack the unit.
	if n := len(base) - len(f.Unit); f.Unit != "" && n > 0 && base[n-1] == '_' && base[n:] == f.Unit {
		b = appendString(b, familyUnit, f.Unit)
	}
	e.buf = b
}

// protoHead appends a Metric up to its labels. It returns the buffer and the index of the
// Metric.
func protoHead(e *Encoder, block string) (b []byte, metric int) {
	p := (*protoState)(e.proto)
	if p.start == 0 {
		p.open(e)
	}
	b, metric = nest(e.buf, familyMetric)
	if n := p.fastPairs(b, block); n > 0 {
		return b[:n], metric
	}
	return p.slowPairs(e, b, block), metric
}

// slowPairs appends the labels of a series, and sets up fastPairs for the next series of the
// family.
//
//go:noinline
func (p *protoState) slowPairs(e *Encoder, b []byte, block string) []byte {
	if p.escaped {
		p.block = e.names.UTF8.rules().sample(e, p.block[:0], "", "", block)
		block = *(*string)(unsafe.Pointer(&p.block))
	}
	if p.learn {
		start := len(b)
		b = appendPairs(b, block)
		p.n = p.learnPairs(b[start:])
		p.learn = p.n == 0 // the next labels can be shorter
		return b
	}
	return appendPairs(b, block)
}

// learnPairs sets the pairs to those of the messages LabelPair in text, and returns their number. It
// returns 0 if fastPairs cannot copy the pairs.
func (p *protoState) learnPairs(text []byte) (n int) {
	for ; len(text) > 0; n++ {
		length, size := int(text[1]), len("......")+int(text[3])
		if n == maxPairs || length >= 0x80 || size > pairSize {
			return 0
		}
		p.sizes[n] = uint8(size)
		copy(p.texts[n*pairSize:], text[:size])
		text = text[len("..")+length:]
	}
	return n
}

// fastPairs writes the labels of a series after b. It returns the length of b with the labels, or
// 0 if slowPairs must append the labels.
//
// All series of most families have the same label names. Moves of 16 bytes copy the text
// before each value from the first series of the family. Moves of 8 bytes copy the values. The
// moves may write past the end of a text but stay within the capacity.
func (p *protoState) fastPairs(b []byte, block string) int {
	if p.n == 0 || len(block) < 8 || cap(b)-len(b) < len(block)+pairRoom {
		return 0
	}
	from, last := unsafe.Pointer(unsafe.StringData(block)), len(block)-8 // the last word
	start := unsafe.Pointer(unsafe.SliceData(b))
	to, i := unsafe.Add(start, len(b)), 0
	for n := range p.n {
		size, text := int(p.sizes[n&(maxPairs-1)]), unsafe.Pointer(&p.texts[n&(maxPairs-1)*pairSize])
		head := to
		*(*[16]byte)(head) = *(*[16]byte)(text)
		*(*[16]byte)(unsafe.Add(head, 16)) = *(*[16]byte)(unsafe.Add(text, 16))
		to = unsafe.Add(to, size)
		i += size - skipped
		length := -i
		for {
			var word uint64
			if i <= last {
				word = byteorder.Load64((*[8]byte)(unsafe.Add(from, i)))
			} else { // the block ends in the quote of the value, which is in the word
				word = byteorder.Load64((*[8]byte)(unsafe.Add(from, last))) >> (8 * (i - last) & 63)
			}
			byteorder.Store64((*[8]byte)(to), word)
			if special := protoSpecial(word); special != 0 {
				last := bits.TrailingZeros64(special) / 8
				i += last
				to = unsafe.Add(to, last)
				break
			}
			i += 8
			to = unsafe.Add(to, 8)
		}
		length += i
		total := length + size - len("..")
		if total >= 0x80 || *(*byte)(unsafe.Add(from, i)) != '"' {
			return 0 // a long label, or an escape
		}
		*(*byte)(unsafe.Add(head, 1)) = byte(total)
		*(*byte)(unsafe.Add(head, size-1)) = byte(length)
		i++ // the quote
	}
	return int(uintptr(to) - uintptr(start))
}

// protoSpecial returns a word whose lowest byte that is not 0 is at the lowest byte of w that
// is a double quote or a backslash.
func protoSpecial(w uint64) uint64 {
	const ones = 0x0101010101010101
	quote, escape := w^ones*'"', w^ones*'\\'
	return ((quote-ones)&^quote | (escape-ones)&^escape) & (ones << 7)
}

// protoEnd ends a Metric.
func protoEnd(e *Encoder, b []byte, metric int) bool {
	e.buf = seal(b, metric)
	if len(e.buf) < flushAt {
		return true
	}
	(*protoState)(e.proto).close(e)
	return e.full()
}

func protoWhole(e *Encoder, block string, v uint64, negative bool, d *Details) bool {
	f := float64(v)
	if negative {
		f = -f
	}
	return protoFloat(e, block, f, d)
}

func protoFloat(e *Encoder, block string, v float64, d *Details) bool {
	p := (*protoState)(e.proto)
	b, metric := protoHead(e, block)
	const size = 1 + 8 // of the value without details: a tag and a float64
	b = appendDouble(append(b, p.field, size), valueDouble, v)
	if d != nil {
		if p.family.Kind == Counter {
			value := len(b) - size
			if d.Exemplar != nil {
				b = appendExemplar(append(b, counterExemplar), d.Exemplar)
			}
			if !p.plain {
				b = appendCreated(b, counterCreated, d)
			}
			b = seal(b, value)
		}
		b = appendTime(b, d)
	}
	return protoEnd(e, b, metric)
}

func (protoSummaries) encodeSummary(e *Encoder, block string, s *Distribution, d *Details) bool {
	b, metric := protoHead(e, block)
	b, value := nest(b, metricSummary)
	b = appendVarint(append(b, totalCount), s.Count)
	b = appendDouble(b, totalSum, s.Sum)
	for _, q := range s.Quantiles {
		var start int
		b, start = nest(b, summaryQuantile)
		b = seal(appendDouble(appendDouble(b, quantileRank, q.Quantile), quantileValue, q.Value), start)
	}
	return protoEnd(e, appendTime(seal(b, value), d), metric)
}

func protoHistogram(e *Encoder, block string, bounds *Bounds, counts []uint64, sum float64, d *Details) bool {
	if d != nil && d.Native() != nil {
		return d.Native().Code.protoHistogram(e, block, bounds, counts, sum, d)
	}
	b, metric, value := protoTotals(e, block, counts, sum, d)
	b = appendCreated(appendClassic(b, bounds, counts, d), histogramCreated, d)
	return protoEnd(e, seal(b, value), metric)
}

// protoTotals appends a Metric with a Histogram up to its buckets. It returns the buffer and the
// indexes of the Metric and the Histogram.
//
//go:noinline
func protoTotals(e *Encoder, block string, counts []uint64, sum float64, d *Details) (b []byte, metric, value int) {
	b, metric = protoHead(e, block)
	b = append(appendTime(b, d), metricHistogram, 0, totalCount)
	value = len(b) - len(".")
	total := uint64(0)
	for _, c := range counts {
		total += c
	}
	return appendDouble(appendVarint(b, total), totalSum, sum), metric, value
}

// protoHistogram is the function protoHistogram with native buckets.
func (NativeCode) protoHistogram(e *Encoder, block string, bounds *Bounds, counts []uint64, sum float64, d *Details) bool {
	p := (*protoState)(e.proto)
	alone := p.loadExemplars(d)
	if alone {
		p.close(e)
	}
	b, metric, value := protoTotals(e, block, counts, sum, d)
	if len(bounds.Upper) > 0 {
		b = appendClassic(b, bounds, counts, d)
	}
	b = appendCreated(appendNative(b, d.Native().Snapshot), histogramCreated, d)
	for _, x := range p.exemplars {
		b = appendExemplar(append(b, histogramExemplar&0x7f|0x80, histogramExemplar>>7), x)
	}
	p.exemplars = p.exemplars[:0]
	more := protoEnd(e, seal(b, value), metric)
	if alone {
		p.close(e)
	}
	return more
}

// loadExemplars sets p.exemplars to the exemplars of native buckets, in the order of their
// times. It reports whether the series needs a message of its own.
//
// The parser of Prometheus 3.16 counts the exemplars of native histograms, and does not reset the
// count before the next series of a message. So the parser skips as many exemplars of a series as
// the series before had. If there are no exemplars of native buckets, Prometheus reads those of
// classic buckets in the same way.
func (p *protoState) loadExemplars(d *Details) bool {
	own := d.Native().Exemplars
	for i := range own {
		x := own[i].Load()
		if x == nil {
			continue
		}
		list := append(p.exemplars, x)
		j := len(list) - 1
		for ; j > 0 && list[j-1].At > x.At; j-- {
			list[j] = list[j-1]
		}
		list[j] = x
		p.exemplars = list
	}
	for i := range d.Buckets {
		if d.Buckets[i].Load() != nil {
			return true
		}
	}
	return len(p.exemplars) > 0
}

// appendClassic appends the buckets of a histogram. It leaves out the bucket +Inf, whose
// count is that of the histogram, unless the bucket has an exemplar.
func appendClassic(b []byte, bounds *Bounds, counts []uint64, d *Details) []byte {
	total := uint64(0)
	for i, c := range counts {
		var x *exemplar.Exemplar
		if d != nil && d.Buckets != nil {
			x = d.Buckets[i].Load()
		}
		if i == len(bounds.Upper) && x == nil {
			break
		}
		total += c
		b = append(b, histogramBucket, 0, bucketCount)
		start := len(b) - len(".")
		b = appendDouble(appendVarint(b, total), bucketBound, bounds.At(i))
		if x != nil {
			b = appendExemplar(append(b, bucketExemplar), x)
		}
		b = seal(b, start)
	}
	return b
}

// appendNative appends the native part of a histogram.
func appendNative(b []byte, s *native.Snapshot) []byte {
	b = appendVarint(append(b, histogramSchema), zigzag(int64(s.Schema)))
	b = appendDouble(b, histogramZeroThreshold, s.ZeroThreshold)
	b = appendVarint(append(b, histogramZeroCount), s.Zero)
	b = appendBuckets(b, histogramNegative, s.Negative)
	b = appendBuckets(b, histogramPositive, s.Positive)
	if len(s.Positive)+len(s.Negative) == 0 && s.Zero == 0 && s.ZeroThreshold == 0 {
		// Without a span Prometheus would take the histogram for a classic one.
		b = appendSpan(b, histogramPositive, 0, 0)
	}
	return b
}

// maxGap is the number of empty buckets in a row that are written as buckets. A new span
// would be larger.
const maxGap = 2

// appendBuckets appends the spans and the deltas of buckets. field is the tag of a span.
func appendBuckets(b []byte, field byte, list []native.Bucket) []byte {
	if len(list) == 0 {
		return b
	}
	end, first := 0, list[0].Key // of the span before, and of this one
	for i, bucket := range list {
		next := bucket.Key + 1
		if i+1 < len(list) && list[i+1].Key-next <= maxGap {
			continue
		}
		b = appendSpan(b, field, first-end, next-first)
		if end = next; i+1 < len(list) {
			first = list[i+1].Key
		}
	}
	b, start := nest(b, field+nextField)
	if room := len(list) * deltaRoom; cap(b)-len(b) < room {
		b = append(b, make([]byte, room)...)[:len(b)]
	}
	to, n := b[:cap(b)], len(b)
	before, next := uint64(0), list[0].Key
	for _, bucket := range list {
		gap := bucket.Key - next
		d := zigzag(int64(bucket.Count - before))
		if gap > 0 && gap <= maxGap { // empty buckets
			n = len(appendVarint(to[:n], zigzag(-int64(before))))
			to[n] = 0
			n += gap - 1
			d = zigzag(int64(bucket.Count))
		}
		if before, next = bucket.Count, bucket.Key+1; d >= 1<<14 {
			n = len(appendVarint(to[:n], d))
			continue
		}
		// One or two bytes, without a branch, which would often be mispredicted.
		more := (0x7f - d) >> 63
		to[n], to[n+1] = byte(d&0x7f|more<<7), byte(d>>7)
		n += 1 + int(more)
	}
	return seal(b[:n], start)
}

// deltaRoom is the largest number of bytes that appendBuckets writes for one bucket and the empty
// buckets before that bucket. These are two varints, a zero, and one byte that the next delta
// overwrites.
const deltaRoom = 10 + 1 + 10 + 1

// appendSpan appends a BucketSpan. offset is the number of buckets since the span before.
func appendSpan(b []byte, field byte, offset, length int) []byte {
	b, start := nest(b, field)
	b = appendVarint(append(b, spanOffset), zigzag(int64(offset)))
	return seal(appendVarint(append(b, spanLength), uint64(length)), start)
}

// zigzag returns v in the ZigZag encoding (protobuf.dev, "Encoding"): small numbers of both signs
// are short varints.
func zigzag(v int64) uint64 { return uint64(v)<<1 ^ uint64(v>>63) }

// appendExemplar appends an Exemplar after its tag.
func appendExemplar(b []byte, x *exemplar.Exemplar) []byte {
	b = append(b, 0)
	start := len(b)
	b = appendDouble(appendPairs(b, x.Labels), exemplarValue, x.Value)
	return seal(appendTimestamp(b, exemplarTime, x.At), start)
}

// appendCreated appends the time of creation of a series, if there is one.
//
//go:noinline
func appendCreated(b []byte, field byte, d *Details) []byte {
	if d == nil || d.Created == 0 {
		return b
	}
	return appendTimestamp(b, field, d.Created)
}

// appendTimestamp appends a google.protobuf.Timestamp. Its nanoseconds are not negative.
func appendTimestamp(b []byte, field byte, ms int64) []byte {
	b = append(b, field, 0, timeSeconds)
	start := len(b) - len(".")
	seconds, rest := ms/1000, ms%1000
	if rest < 0 {
		seconds, rest = seconds-1, rest+1000
	}
	b = appendVarint(b, uint64(seconds))
	return seal(appendVarint(append(b, timeNanos), uint64(rest)*1e6), start)
}

// appendTime appends the time of a sample, if there is one.
//
//go:noinline
func appendTime(b []byte, d *Details) []byte {
	if d == nil || !d.Timed {
		return b
	}
	return appendVarint(append(b, metricTime), uint64(d.At))
}

// appendPairs appends the labels of a rendered block as messages LabelPair.
func appendPairs(b []byte, block string) []byte {
	for len(block) > len("} ") {
		var pair, start int
		b = append(b, metricLabel, 0, labelName, 0)
		pair, start = len(b)-len(".."), len(b)
		if block = block[1:]; block[0] == '"' { // a name outside the legacy set
			b, block, _ = escape.AppendUnquoted(b, block[1:])
		} else {
			n := stringslite.IndexByte(block, '=')
			b, block = append(b, block[:n]...), block[n:]
		}
		b = seal(b, start)
		b, start = nest(b, labelValue)
		b, block, _ = escape.AppendUnquoted(b, block[len(`="`):])
		b = seal(seal(b, start), pair)
	}
	return b
}

// appendString appends a string field.
//
//go:noinline
func appendString(b []byte, field byte, s string) []byte {
	b = appendVarint(append(b, field), uint64(len(s)))
	return append(b, s...)
}

func appendDouble(b []byte, field byte, v float64) []byte {
	var text [9]byte
	text[0] = field
	byteorder.Store64((*[8]byte)(text[1:]), math.Float64bits(v))
	return append(b, text[:]...)
}

//go:noinline
func appendVarint(b []byte, v uint64) []byte {
	for ; v >= 0x80; v >>= 7 {
		b = append(b, byte(v)|0x80)
	}
	return append(b, byte(v))
}

// nest appends the tag of a message and one byte for its length. It returns the buffer and
// the index of the message; see seal.
func nest(b []byte, field byte) (_ []byte, start int) {
	b = append(b, field, 0)
	return b, len(b)
}

// seal sets the length of the message b[start:]. Most messages are short and have a length of one
// byte. seal moves a longer message by one byte for each further byte of the length.
//
//go:noinline
func seal(b []byte, start int) []byte {
	n := len(b) - start
	for ; n >= 0x80; n >>= 7 {
		b = append(b, 0)
		copy(b[start+1:], b[start:])
		b[start-1] = byte(n) | 0x80
		start++
	}
	b[start-1] = byte(n)
	return b
}

func protoFinish(e *Encoder) {
	if e.proto != nil {
		(*protoState)(e.proto).close(e)
	}
}
