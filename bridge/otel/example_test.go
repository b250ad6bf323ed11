package otelbridge_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/trace"

	"github.com/tachikoma/tacho"
	otelbridge "github.com/tachikoma/tacho/bridge/otel"
)

// A program that exports gives the same option to metric.NewPeriodicReader.
func ExampleNewProducer() {
	reg := tacho.NewRegistry()
	reg.CounterVec("jobs_total", "Jobs done.", []string{"result"}).With("ok").Add(3)
	reg.FloatGauge("temperature_celsius", "Temperature.", tacho.WithUnit("celsius")).Set(21.5)

	reader := metric.NewManualReader(metric.WithProducer(otelbridge.NewProducer(reg)))
	provider := metric.NewMeterProvider(metric.WithReader(reader))
	defer provider.Shutdown(context.Background())

	var all metricdata.ResourceMetrics
	if err := reader.Collect(context.Background(), &all); err != nil {
		fmt.Println(err)
		return
	}
	for _, m := range all.ScopeMetrics[0].Metrics {
		switch data := m.Data.(type) {
		case metricdata.Sum[float64]:
			result, _ := data.DataPoints[0].Attributes.Value("result")
			fmt.Println(m.Name, m.Description, "result:", result.AsString(), data.DataPoints[0].Value)
		case metricdata.Gauge[float64]:
			fmt.Println(m.Name, m.Description, "unit:", m.Unit, data.DataPoints[0].Value)
		}
	}
	// Output:
	// jobs_total Jobs done. result: ok 3
	// temperature_celsius Temperature. unit: Cel 21.5
}

// span returns a context with a span that is sampled. In a program, a tracer of OpenTelemetry starts
// the span.
func span(ctx context.Context) context.Context {
	return trace.ContextWithSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{
		TraceID:    trace.TraceID{0x4b, 0xf9, 0x2f, 0x35, 15: 0x36},
		SpanID:     trace.SpanID{0x00, 0xf0, 0x67, 7: 0xb7},
		TraceFlags: trace.FlagsSampled,
	}))
}

// An observation leads to the trace of its context. The metrics of an HTTP server do so too; see the
// other example.
func ExampleTraceExemplar() {
	reg := tacho.NewRegistry(tacho.WithContextExemplars(otelbridge.TraceExemplar))
	wait := reg.Histogram("wait_seconds", "Waits.", []float64{1})

	ctx := span(context.Background())
	wait.ObserveContext(ctx, 0.25)
	wait.ObserveContext(context.Background(), 0.5) // without a span, there is no exemplar

	scopes, _ := otelbridge.NewProducer(reg).Produce(context.Background())
	point := scopes[0].Metrics[0].Data.(metricdata.Histogram[float64]).DataPoints[0]
	fmt.Println(point.Count, "observations")
	for _, x := range point.Exemplars {
		fmt.Printf("%v in trace %x, span %x\n", x.Value, x.TraceID, x.SpanID)
	}
	// Output:
	// 2 observations
	// 0.25 in trace 4bf92f35000000000000000000000036, span 00f06700000000b7
}

// The metrics of an HTTP server lead to the traces of its requests. The middleware of OpenTelemetry is
// outside of the middleware of tacho, so that the context of a request has a span.
func ExampleTraceExemplar_http() {
	reg := tacho.NewRegistry(tacho.WithContextExemplars(otelbridge.TraceExemplar))
	m := tacho.NewHTTPMetrics(reg)
	handler := m.Handler(http.NotFoundHandler())
	tracing := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { // for otelhttp.NewHandler
		handler.ServeHTTP(w, r.WithContext(span(r.Context())))
	})
	tracing.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))

	scopes, _ := otelbridge.NewProducer(reg).Produce(context.Background())
	for _, m := range scopes[0].Metrics {
		var exemplars []metricdata.Exemplar[float64]
		switch data := m.Data.(type) {
		case metricdata.Sum[float64]:
			exemplars = data.DataPoints[0].Exemplars
		case metricdata.Histogram[float64]:
			exemplars = data.DataPoints[0].Exemplars
		}
		for _, x := range exemplars {
			fmt.Printf("%s: trace %x\n", m.Name, x.TraceID)
		}
	}
	// Output:
	// http_request_duration_seconds: trace 4bf92f35000000000000000000000036
	// http_requests_total: trace 4bf92f35000000000000000000000036
	// http_response_size_bytes: trace 4bf92f35000000000000000000000036
}
