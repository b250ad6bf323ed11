package wire

// The tags of remote write 1.0 (prompb, remote.proto and types.proto). internal/expo writes the requests,
// and push splits and joins them.
const (
	WriteSeries    = 1<<3 | Bytes // of WriteRequest
	WriteLabel     = 1<<3 | Bytes // of TimeSeries and Exemplar
	WriteSample    = 2<<3 | Bytes // of TimeSeries, as the next ones
	WriteExemplar  = 3<<3 | Bytes
	WriteHistogram = 4<<3 | Bytes

	SampleValue = 1<<3 | Fixed64
	SampleTime  = 2<<3 | Varint

	WriteExemplarValue = 2<<3 | Fixed64
	WriteExemplarTime  = 3<<3 | Varint
)

// The tags of a Histogram in remote write 1.0 and 2.0.
const (
	WriteCount         = 1<<3 | Varint
	WriteSum           = 3<<3 | Fixed64
	WriteSchema        = 4<<3 | Varint
	WriteZeroThreshold = 5<<3 | Fixed64
	WriteZeroCount     = 6<<3 | Varint
	WriteNegative      = 8<<3 | Bytes // spans; the deltas have the next field
	WritePositive      = 11<<3 | Bytes
	WriteTime          = 15<<3 | Varint
	WriteCustom        = 16<<3 | Bytes  // of version 2.0; two bytes as a varint
	WriteStart         = 17<<3 | Varint // of version 2.0; two bytes as a varint
)

// The tags of remote write 2.0 (prompb/io/prometheus/write/v2, types.proto). A Sample and an Exemplar
// have the fields of version 1.0 too.
const (
	Write2Symbol = 4<<3 | Bytes // of Request, as the next one
	Write2Series = 5<<3 | Bytes

	Write2Refs      = 1<<3 | Bytes // packed; of TimeSeries and Exemplar
	Write2Sample    = 2<<3 | Bytes // of TimeSeries, as the next ones
	Write2Histogram = 3<<3 | Bytes
	Write2Exemplar  = 4<<3 | Bytes
	Write2Metadata  = 5<<3 | Bytes

	Write2SampleStart = 3<<3 | Varint

	Write2Type = 1<<3 | Varint // of Metadata, as the next ones
	Write2Help = 3<<3 | Varint
	Write2Unit = 4<<3 | Varint
)
