// Command opentelemetry is the program bare with a counter and a histogram. The
// Prometheus exporter provides the metrics for the output to standard output.
package main

import (
	"context"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
	"go.opentelemetry.io/otel/attribute"
	otelprom "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
)

func main() {
	reg := prometheus.NewRegistry()
	exporter, err := otelprom.New(otelprom.WithRegisterer(reg))
	if err != nil {
		os.Exit(1)
	}
	meter := sdkmetric.NewMeterProvider(sdkmetric.WithReader(exporter)).Meter("jobs")
	jobs, err := meter.Int64Counter("jobs_total", metric.WithDescription("Jobs done, by result."))
	if err != nil {
		os.Exit(1)
	}
	seconds, err := meter.Float64Histogram("job_duration_seconds", metric.WithDescription("Duration of jobs."))
	if err != nil {
		os.Exit(1)
	}
	ctx, start := context.Background(), time.Now()
	jobs.Add(ctx, 1, metric.WithAttributes(attribute.String("result", "ok")))
	seconds.Record(ctx, time.Since(start).Seconds())
	families, err := reg.Gather()
	if err != nil {
		os.Exit(1)
	}
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(os.Stdout, f); err != nil {
			os.Exit(1)
		}
	}
}
