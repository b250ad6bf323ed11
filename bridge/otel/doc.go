// Package otelbridge gives the metrics of a tacho registry to an OpenTelemetry SDK. The readers and
// exporters of the SDK then export the registry beside the instruments of OpenTelemetry:
//
//	reader := metric.NewPeriodicReader(exporter, metric.WithProducer(otelbridge.NewProducer(tacho.Default)))
//	provider := metric.NewMeterProvider(metric.WithReader(reader))
//
// Names, help and labels stay as the registry has them, also names with UTF-8. Each type has one
// counterpart in OpenTelemetry:
//
//   - A counter is a Sum, monotonic and cumulative. Its value is a float64. Some counters of a registry
//     have fractions, and the type of a stream must not change with its values.
//   - A gauge, an untyped metric and an info metric are a Gauge.
//   - A histogram with native buckets is an ExponentialHistogram. Its classic buckets are left out,
//     unless [WithClassic] is given.
//   - A histogram with classic buckets alone is a Histogram.
//   - A summary is a Summary.
//
// The start time of a Sum, a Histogram, an ExponentialHistogram or a Summary is the time of
// creation of the series; see [tacho.WithCreated]. Without this time, the start time is the time of
// the call of [NewProducer]. A start time is never after the time of its data point.
//
// The units are those of UCUM for the base units of Prometheus: seconds are s, bytes are By, ratio is
// 1. Any other unit keeps its text. The labels trace_id and span_id of an exemplar become its
// TraceID and SpanID, if they are IDs of OpenTelemetry in hexadecimal digits. All other labels of an
// exemplar are attributes.
//
// The temporality is always cumulative, because an SDK does not convert the data of a producer. The
// exporter stdoutmetric refuses NaN and infinite values, as JSON has none. An SDK with several
// readers reads the registry once for each reader. A native histogram takes each of these reads for
// a scrape; see [tacho.WithNative].
//
// # The bridge of OpenTelemetry
//
// go.opentelemetry.io/contrib/bridges/prometheus v0.72.0 converts a prometheus.Gatherer. It copies the
// text of a trace ID instead of decoding it, and the OpenTelemetry Collector refuses a request with
// such an ID. It has no units, no exemplars of native histograms and no deadline. This package
// reads the protobuf format of the registry without a protobuf library.
package otelbridge
