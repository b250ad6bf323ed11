package wire

// The tags of the fields of OTLP metrics (opentelemetry-proto, metrics.proto, common.proto, resource.proto
// and metrics_service.proto). internal/expo writes the messages Metric, and push writes the messages that
// contain them.
const (
	OTLPResourceMetrics = 1<<3 | Bytes // of ExportMetricsServiceRequest
	OTLPResource        = 1<<3 | Bytes // of ResourceMetrics
	OTLPScopeMetrics    = 2<<3 | Bytes // of ResourceMetrics
	OTLPScope           = 1<<3 | Bytes // of ScopeMetrics
	OTLPMetric          = 2<<3 | Bytes // of ScopeMetrics

	OTLPResourceAttribute = 1<<3 | Bytes // of Resource
	OTLPScopeName         = 1<<3 | Bytes // of InstrumentationScope

	OTLPName        = 1<<3 | Bytes // of Metric, as the next ones
	OTLPDescription = 2<<3 | Bytes
	OTLPUnit        = 3<<3 | Bytes
	OTLPGauge       = 5<<3 | Bytes
	OTLPSum         = 7<<3 | Bytes
	OTLPHistogram   = 9<<3 | Bytes
	OTLPExponential = 10<<3 | Bytes
	OTLPSummary     = 11<<3 | Bytes
	OTLPMetadata    = 12<<3 | Bytes

	OTLPPoint       = 1<<3 | Bytes  // of a Gauge, a Sum, a histogram and a Summary
	OTLPTemporality = 2<<3 | Varint // of a Sum and a histogram
	OTLPMonotonic   = 3<<3 | Varint // of a Sum

	OTLPStart = 2<<3 | Fixed64 // of all data points
	OTLPTime  = 3<<3 | Fixed64 // of all data points
	OTLPCount = 4<<3 | Fixed64 // of a data point of a histogram and a summary
	OTLPTotal = 5<<3 | Fixed64 // the sum; of a data point of a histogram and a summary

	OTLPPointAttribute       = 7<<3 | Bytes // of NumberDataPoint and SummaryDataPoint
	OTLPHistogramAttribute   = 9<<3 | Bytes
	OTLPExponentialAttribute = 1<<3 | Bytes

	OTLPDouble            = 4<<3 | Fixed64 // of NumberDataPoint
	OTLPNumberExemplar    = 5<<3 | Bytes
	OTLPCounts            = 6<<3 | Bytes // of HistogramDataPoint
	OTLPBounds            = 7<<3 | Bytes // of HistogramDataPoint
	OTLPClassicExemplar   = 8<<3 | Bytes // of HistogramDataPoint
	OTLPQuantile          = 6<<3 | Bytes // of SummaryDataPoint
	OTLPScale             = 6<<3 | Varint
	OTLPZeroCount         = 7<<3 | Fixed64
	OTLPPositive          = 8<<3 | Bytes
	OTLPNegative          = 9<<3 | Bytes
	OTLPNativeExemplar    = 11<<3 | Bytes // of ExponentialHistogramDataPoint
	OTLPZeroThreshold     = 14<<3 | Fixed64
	OTLPOffset            = 1<<3 | Varint // of Buckets
	OTLPDenseCounts       = 2<<3 | Bytes  // of Buckets
	OTLPExemplarTime      = 2<<3 | Fixed64
	OTLPExemplarValue     = 3<<3 | Fixed64
	OTLPSpanID            = 4<<3 | Bytes
	OTLPTraceID           = 5<<3 | Bytes
	OTLPExemplarAttribute = 7<<3 | Bytes

	OTLPKey    = 1<<3 | Bytes // of KeyValue
	OTLPValue  = 2<<3 | Bytes // of KeyValue
	OTLPString = 1<<3 | Bytes // of AnyValue

	OTLPPartialSuccess = 1<<3 | Bytes // of ExportMetricsServiceResponse
	OTLPRejected       = 1<<3 | Varint
	OTLPMessage        = 2<<3 | Bytes // of ExportMetricsPartialSuccess
)

// OTLPCumulative is the AggregationTemporality of a sum since a start time.
const OTLPCumulative = 2
