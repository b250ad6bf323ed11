package otelbridge

import (
	"encoding/binary"
	"errors"
	"math"
	"time"
)

// The wire types, which are the lowest bits of a tag (protobuf.dev, "Encoding").
const (
	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2
	wireFixed32 = 5
)

// The tags of the fields, by the message that has them (client_model, metrics.proto). The module
// tacho has the same list in an internal package, whose names can change with each of its versions.
const (
	familyName   = 1<<3 | wireBytes
	familyHelp   = 2<<3 | wireBytes
	familyMetric = 4<<3 | wireBytes
	familyUnit   = 5<<3 | wireBytes

	metricLabel     = 1<<3 | wireBytes
	metricGauge     = 2<<3 | wireBytes
	metricCounter   = 3<<3 | wireBytes
	metricSummary   = 4<<3 | wireBytes
	metricUntyped   = 5<<3 | wireBytes
	metricTime      = 6<<3 | wireVarint
	metricHistogram = 7<<3 | wireBytes

	labelName  = 1<<3 | wireBytes
	labelValue = 2<<3 | wireBytes

	valueDouble     = 1<<3 | wireFixed64 // of a counter, a gauge and an untyped value
	counterExemplar = 2<<3 | wireBytes
	counterCreated  = 3<<3 | wireBytes

	totalCount      = 1<<3 | wireVarint // of a summary and a histogram
	totalSum        = 2<<3 | wireFixed64
	summaryQuantile = 3<<3 | wireBytes
	summaryCreated  = 4<<3 | wireBytes
	quantileRank    = 1<<3 | wireFixed64
	quantileValue   = 2<<3 | wireFixed64

	histogramBucket         = 3<<3 | wireBytes
	histogramSchema         = 5<<3 | wireVarint
	histogramZeroThreshold  = 6<<3 | wireFixed64
	histogramZeroCount      = 7<<3 | wireVarint
	histogramNegativeSpan   = 9<<3 | wireBytes
	histogramNegativeDeltas = 10<<3 | wireBytes
	histogramPositiveSpan   = 12<<3 | wireBytes
	histogramPositiveDeltas = 13<<3 | wireBytes
	histogramCreated        = 15<<3 | wireBytes
	histogramExemplar       = 16<<3 | wireBytes

	bucketCount    = 1<<3 | wireVarint
	bucketBound    = 2<<3 | wireFixed64
	bucketExemplar = 3<<3 | wireBytes

	spanOffset = 1<<3 | wireVarint
	spanLength = 2<<3 | wireVarint

	exemplarLabel = 1<<3 | wireBytes
	exemplarValue = 2<<3 | wireFixed64
	exemplarTime  = 3<<3 | wireBytes

	timeSeconds = 1<<3 | wireVarint
	timeNanos   = 2<<3 | wireVarint
)

// errMalformed is the error for a malformed exposition. It is not expected, because the registry
// makes the exposition.
var errMalformed = errors.New("malformed exposition")

// A field is one field of a message.
type field struct {
	tag   uint64
	value uint64 // of a number
	bytes []byte // of a string or a message
}

func (f *field) double() float64 { return math.Float64frombits(f.value) }

// A message iterates over the fields of a protobuf message:
//
//	m := message{rest: b}
//	for m.next() {
//		// use m.field
//	}
//	return m.err
type message struct {
	field
	rest []byte
	err  error
}

// next reads the next field. It returns false at the end of the message and after an error.
func (m *message) next() bool {
	if len(m.rest) == 0 || m.err != nil {
		return false
	}
	if m.tag = m.varint(); m.err != nil {
		return false
	}
	switch m.tag & 7 {
	case wireVarint:
		m.value = m.varint()
	case wireFixed64:
		if b := m.cut(8); m.err == nil {
			m.value = binary.LittleEndian.Uint64(b)
		}
	case wireBytes:
		m.bytes = m.cut(m.varint())
	case wireFixed32: // only of unknown fields
		m.cut(4)
	default:
		m.err = errMalformed
	}
	return m.err == nil
}

// varint removes a varint from the rest of the message and returns it.
func (m *message) varint() uint64 {
	if len(m.rest) > 0 && m.rest[0] < 1<<7 {
		v := m.rest[0]
		m.rest = m.rest[1:]
		return uint64(v)
	}
	v, n := binary.Uvarint(m.rest)
	if n <= 0 {
		m.err = errMalformed
		return 0
	}
	m.rest = m.rest[n:]
	return v
}

// cut removes n bytes from the rest of the message and returns them.
func (m *message) cut(n uint64) []byte {
	if m.err != nil || n > uint64(len(m.rest)) {
		m.err = errMalformed
		return nil
	}
	b := m.rest[:n]
	m.rest = m.rest[n:]
	return b
}

// zigzag decodes a number of the type sint (protobuf.dev, "Encoding").
func zigzag(v uint64) int64 { return int64(v>>1) ^ -int64(v&1) }

// readLabel returns the name and the value of a LabelPair.
func readLabel(b []byte) (name, value []byte, err error) {
	m := message{rest: b}
	for m.next() {
		switch m.tag {
		case labelName:
			name = m.bytes
		case labelValue:
			value = m.bytes
		}
	}
	return name, value, m.err
}

// readTime returns the time of a google.protobuf.Timestamp.
func readTime(b []byte) (time.Time, error) {
	var seconds, nanos int64
	m := message{rest: b}
	for m.next() {
		switch m.tag {
		case timeSeconds:
			seconds = int64(m.value)
		case timeNanos:
			nanos = int64(m.value)
		}
	}
	return time.Unix(seconds, nanos), m.err
}
