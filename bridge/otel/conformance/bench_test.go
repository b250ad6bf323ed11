package otelconformance

import (
	"strconv"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	bridge "go.opentelemetry.io/contrib/bridges/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"

	"github.com/tachikoma/tacho"
	otelbridge "github.com/tachikoma/tacho/bridge/otel"
)

// BenchmarkProduce reads 1,000 series with three labels. The classic histograms have 11 bounds. The
// sub-benchmarks contrib read the same series of client_golang by the bridge of OpenTelemetry.
func BenchmarkProduce(b *testing.B) {
	labels := []string{"method", "path", "status"}
	values := func(i int) []string { return []string{"GET", "/api/v1/items/" + strconv.Itoa(i), "200"} }
	for _, c := range []struct {
		name string
		fill func(*tacho.Registry, *prometheus.Registry)
	}{
		{"counters", func(reg *tacho.Registry, other *prometheus.Registry) {
			v := reg.CounterVec("http_requests_total", "Requests.", labels)
			w := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "http_requests_total", Help: "Requests."}, labels)
			other.MustRegister(w)
			for i := range 1000 {
				v.With(values(i)...).Add(uint64(i))
				w.WithLabelValues(values(i)...).Add(float64(i))
			}
		}},
		{"histograms", func(reg *tacho.Registry, other *prometheus.Registry) {
			v := reg.HistogramVec("http_request_duration_seconds", "Durations.", prometheus.DefBuckets, labels)
			w := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "http_request_duration_seconds", Help: "Durations."}, labels)
			other.MustRegister(w)
			for i := range 1000 {
				for j := range 100 {
					v.With(values(i)...).Observe(float64(j) / 50)
					w.WithLabelValues(values(i)...).Observe(float64(j) / 50)
				}
			}
		}},
		{"native", func(reg *tacho.Registry, other *prometheus.Registry) {
			v := reg.HistogramVec("http_request_duration_seconds", "Durations.", nil, labels, tacho.WithNative())
			w := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "http_request_duration_seconds", Help: "Durations.", NativeHistogramBucketFactor: 1.1}, labels)
			other.MustRegister(w)
			for i := range 1000 {
				for j := range 100 {
					v.With(values(i)...).Observe(float64(j) / 50)
					w.WithLabelValues(values(i)...).Observe(float64(j) / 50)
				}
			}
		}},
	} {
		reg, other := tacho.NewRegistry(), prometheus.NewRegistry()
		c.fill(reg, other)
		for _, p := range []struct {
			name     string
			producer metric.Producer
		}{
			{"tacho", otelbridge.NewProducer(reg)},
			{"contrib", bridge.NewMetricProducer(bridge.WithGatherer(other))},
		} {
			b.Run(c.name+"/"+p.name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := p.producer.Produce(b.Context()); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
