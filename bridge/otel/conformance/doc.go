// Package otelconformance tests package otelbridge with the exporters of OpenTelemetry, the parser of
// Prometheus and the protobuf library. Its benchmarks compare otelbridge with the bridge of
// OpenTelemetry. It is a module of its own, so that otelbridge does not require these modules.
package otelconformance
