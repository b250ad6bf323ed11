package otelbridge

import (
	"context"
	"encoding/hex"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/trace"
)

// The labels of an exemplar that have the IDs of a span (OpenTelemetry specification, "Prometheus and
// OpenMetrics Compatibility", section "Exemplars").
const (
	traceLabel = "trace_id"
	spanLabel  = "span_id"
)

// TraceExemplar returns the labels of an exemplar that leads to the span of ctx: "trace_id" and
// "span_id", each before its ID in hexadecimal digits. If ctx has no span or the span is not
// sampled, TraceExemplar returns nil. TraceExemplar is safe for concurrent use.
//
// A trace that is not sampled is not stored, so an exemplar would lead to nothing.
func TraceExemplar(ctx context.Context) []string {
	s := trace.SpanContextFromContext(ctx)
	if !s.IsValid() || !s.IsSampled() {
		return nil
	}
	return []string{traceLabel, s.TraceID().String(), spanLabel, s.SpanID().String()}
}

// appendExemplar appends an Exemplar.
func appendExemplar(to []metricdata.Exemplar[float64], b []byte) ([]metricdata.Exemplar[float64], error) {
	var x metricdata.Exemplar[float64]
	m := message{rest: b}
	for m.next() {
		switch m.tag {
		case exemplarLabel:
			name, value, err := readLabel(m.bytes)
			switch {
			case err != nil:
				m.err = err
			case string(name) == traceLabel && x.TraceID == nil && isID(value, len(trace.TraceID{})):
				x.TraceID = decodeID(value)
			case string(name) == spanLabel && x.SpanID == nil && isID(value, len(trace.SpanID{})):
				x.SpanID = decodeID(value)
			default:
				x.FilteredAttributes = append(x.FilteredAttributes, attribute.String(string(name), string(value)))
			}
		case exemplarValue:
			x.Value = m.double()
		case exemplarTime:
			x.Time, m.err = readTime(m.bytes)
		}
	}
	return append(to, x), m.err
}

// isID reports whether text has size bytes in hexadecimal digits that are not all 0. An ID of zeros is
// invalid (W3C Trace Context, section "traceparent Header").
func isID(text []byte, size int) bool {
	zeros := true
	for _, c := range text {
		if !('0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F') {
			return false
		}
		zeros = zeros && c == '0'
	}
	return len(text) == 2*size && !zeros
}

// decodeID returns the bytes of an ID that isID accepts.
func decodeID(text []byte) []byte {
	id := make([]byte, hex.DecodedLen(len(text)))
	hex.Decode(id, text)
	return id
}
