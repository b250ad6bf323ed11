// Package wire has the tags of the protobuf format: the messages io.prometheus.client.MetricFamily (client_model,
// metrics.proto). internal/expo writes the messages, and push reads them.
package wire

// The wire types, which are the lowest bits of a tag (protobuf.dev, "Encoding").
const (
	Varint  = 0
	Fixed64 = 1
	Bytes   = 2
	Fixed32 = 5
)

// The tags of the fields, by the message that has them (client_model, metrics.proto).
const (
	FamilyName   = 1<<3 | Bytes
	FamilyHelp   = 2<<3 | Bytes
	FamilyType   = 3<<3 | Varint
	FamilyMetric = 4<<3 | Bytes
	FamilyUnit   = 5<<3 | Bytes

	MetricLabel     = 1<<3 | Bytes // also of an exemplar
	MetricGauge     = 2<<3 | Bytes
	MetricCounter   = 3<<3 | Bytes
	MetricSummary   = 4<<3 | Bytes
	MetricUntyped   = 5<<3 | Bytes
	MetricTime      = 6<<3 | Varint
	MetricHistogram = 7<<3 | Bytes

	LabelName  = 1<<3 | Bytes
	LabelValue = 2<<3 | Bytes

	ValueDouble     = 1<<3 | Fixed64 // of a counter, a gauge and an untyped value
	CounterExemplar = 2<<3 | Bytes
	CounterCreated  = 3<<3 | Bytes

	TotalCount      = 1<<3 | Varint // of a summary and a histogram
	TotalSum        = 2<<3 | Fixed64
	SummaryQuantile = 3<<3 | Bytes
	SummaryCreated  = 4<<3 | Bytes
	QuantileRank    = 1<<3 | Fixed64
	QuantileValue   = 2<<3 | Fixed64

	HistogramBucket        = 3<<3 | Bytes
	HistogramSchema        = 5<<3 | Varint
	HistogramZeroThreshold = 6<<3 | Fixed64
	HistogramZeroCount     = 7<<3 | Varint
	HistogramNegative      = 9<<3 | Bytes // spans; the deltas have the next field
	HistogramPositive      = 12<<3 | Bytes
	HistogramCreated       = 15<<3 | Bytes
	HistogramExemplar      = 16<<3 | Bytes // two bytes as a varint

	NextField = 1 << 3

	BucketCount    = 1<<3 | Varint
	BucketBound    = 2<<3 | Fixed64
	BucketExemplar = 3<<3 | Bytes

	SpanOffset = 1<<3 | Varint
	SpanLength = 2<<3 | Varint

	ExemplarValue = 2<<3 | Fixed64
	ExemplarTime  = 3<<3 | Bytes

	TimeSeconds = 1<<3 | Varint
	TimeNanos   = 2<<3 | Varint
)
