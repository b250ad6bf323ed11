package expo

import (
	"unsafe"

	"github.com/tachikoma/tacho/internal/exemplar"
	"github.com/tachikoma/tacho/internal/names"
	"github.com/tachikoma/tacho/internal/stringslite"
	"github.com/tachikoma/tacho/internal/wire"
)

// Protobuf is the protobuf format (prometheus.io, "Exposition formats"): messages
// io.prometheus.client.MetricFamily, each after its length.
//
// Only programs that refer to Protobuf contain the functions of this file; see
// internal/SIZE.md.
var Protobuf = Format{protoID, nil, protoBegin, protoWhole, protoFloat, protoHistogram, protoFinish, unsafe.Pointer(&moreProto)}

var moreProto = moreFormat{protoSummaries{}, encodeNative, nil, nil}

// protoSummaries has the code of summaries; see moreFormat.
type protoSummaries struct{}

// protoTypes has the MetricType of each Kind, and protoFields the field of a Metric that has
// the value. An info is a gauge, as in the text format.
var (
	protoTypes  = [8]byte{0, 1, 4, 3, 1, 2} // with 8 elements an index %8 needs no check; see internal/SIZE.md
	protoFields = [8]byte{wire.MetricCounter, wire.MetricGauge, wire.MetricHistogram, wire.MetricUntyped, wire.MetricGauge, wire.MetricSummary}
)

// protoState is the state of an Encoder for Protobuf.
type protoState struct {
	_         [0]func()            // no ==; see internal/SIZE.md
	family    *Family              // the current family
	head      *Family              // the first family with the same name
	name      string               // the name of family in the exposition
	field     byte                 // the tag of a value in a Metric
	escaped   bool                 // label names must be escaped
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
	p.name, _ = e.called(f)
	if p.family = f; !e.begun {
		e.begun, p.head = true, f
	}
	p.field = protoFields[f.Kind%8]
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
	f := p.head
	b := append(e.buf, 0) // the place of the length
	p.start = len(b)
	b = appendString(b, wire.FamilyName, p.name)
	if f.Help != "" {
		b = appendString(b, wire.FamilyHelp, f.Help)
	}
	b = append(b, wire.FamilyType, protoTypes[f.Kind%8])
	base := p.name
	if f.Kind == Counter {
		base = stringslite.TrimSuffix(base, "_total")
	}
	// As in OpenMetrics, a unit is the end of the name. An escaped name may lack the unit.
	if n := len(base) - len(f.Unit); f.Unit != "" && n > 0 && base[n-1] == '_' && base[n:] == f.Unit {
		b = appendString(b, wire.FamilyUnit, f.Unit)
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
	b, metric = nest(e.buf, wire.FamilyMetric)
	if n := p.fastPairs(b, block); n > 0 {
		return b[:n], metric
	}
	return p.slowPairs(e, b, block), metric
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
	return protoFloat(e, block, signed(v, negative), d)
}

func protoFloat(e *Encoder, block string, v float64, d *Details) bool {
	p := (*protoState)(e.proto)
	b, metric := protoHead(e, block)
	const size = 1 + 8 // of the value without details: a tag and a float64
	b = appendDouble(append(b, p.field, size), wire.ValueDouble, v)
	if d != nil {
		if p.family.Kind == Counter {
			value := len(b) - size
			if d.Exemplar != nil {
				b = appendExemplar(append(b, wire.CounterExemplar), d.Exemplar)
			}
			b = appendCreated(b, wire.CounterCreated, d)
			b = seal(b, value)
		}
		b = appendTime(b, d)
	}
	return protoEnd(e, b, metric)
}

func (protoSummaries) encodeSummary(e *Encoder, block string, s *Distribution, d *Details) bool {
	b, metric := protoHead(e, block)
	b, value := nest(b, wire.MetricSummary)
	b = appendVarint(append(b, wire.TotalCount), s.Count)
	b = appendDouble(b, wire.TotalSum, s.Sum)
	for _, q := range s.Quantiles {
		var start int
		b, start = nest(b, wire.SummaryQuantile)
		b = seal(appendDouble(appendDouble(b, wire.QuantileRank, q.Quantile), wire.QuantileValue, q.Value), start)
	}
	b = appendCreated(b, wire.SummaryCreated, d)
	return protoEnd(e, appendTime(seal(b, value), d), metric)
}

func protoHistogram(e *Encoder, block string, bounds *Bounds, counts []uint64, sum float64, d *Details) bool {
	if d != nil && d.Native() != nil {
		return d.Native().Code.protoHistogram(e, block, bounds, counts, sum, d)
	}
	b, metric, value := protoTotals(e, block, counts, sum, d)
	b = appendCreated(appendClassic(b, bounds, counts, d), wire.HistogramCreated, d)
	return protoEnd(e, seal(b, value), metric)
}

// protoTotals appends a Metric with a Histogram up to its buckets. It returns the buffer and the
// indexes of the Metric and the Histogram.
//
//go:noinline
func protoTotals(e *Encoder, block string, counts []uint64, sum float64, d *Details) (b []byte, metric, value int) {
	b, metric = protoHead(e, block)
	b = append(appendTime(b, d), wire.MetricHistogram, 0, wire.TotalCount)
	value = len(b) - len(".")
	total := uint64(0)
	for _, c := range counts {
		total += c
	}
	return appendDouble(appendVarint(b, total), wire.TotalSum, sum), metric, value
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
		b = append(b, wire.HistogramBucket, 0, wire.BucketCount)
		start := len(b) - len(".")
		b = appendDouble(appendVarint(b, total), wire.BucketBound, bounds.At(i))
		if x != nil {
			b = appendExemplar(append(b, wire.BucketExemplar), x)
		}
		b = seal(b, start)
	}
	return b
}

// maxGap is the number of empty buckets in a row that are written as buckets. A new span
// would be larger.
const maxGap = 2

// deltaRoom is the largest number of bytes that appendBuckets writes for one bucket and the empty
// buckets before that bucket. These are two varints, a zero, and one byte that the next delta
// overwrites.
const deltaRoom = 10 + 1 + 10 + 1

func protoFinish(e *Encoder) {
	if e.proto != nil {
		(*protoState)(e.proto).close(e)
	}
}
