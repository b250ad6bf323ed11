// Command opentelemetry is the server bare with a counter, a histogram, the otelhttp
// middleware and the Prometheus exporter.
package main

import (
	"log"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/attribute"
	otelprom "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
)

func main() {
	reg := prometheus.NewRegistry()
	exporter, err := otelprom.New(otelprom.WithRegisterer(reg))
	if err != nil {
		log.Fatal(err)
	}
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(exporter))
	meter := provider.Meter("jobs")
	jobs, err := meter.Int64Counter("jobs_total", metric.WithDescription("Jobs done, by result."))
	if err != nil {
		log.Fatal(err)
	}
	seconds, err := meter.Float64Histogram("job_duration_seconds", metric.WithDescription("Duration of jobs."))
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /jobs/{id}", func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		_, _ = w.Write([]byte("done\n"))
		jobs.Add(r.Context(), 1, metric.WithAttributes(attribute.String("result", "ok")))
		seconds.Record(r.Context(), time.Since(start).Seconds())
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	measured := otelhttp.NewHandler(mux, "server", otelhttp.WithMeterProvider(provider))
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", measured))
}
