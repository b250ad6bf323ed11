package bench

import (
	"io"

	vm "github.com/VictoriaMetrics/metrics"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
	otelprom "go.opentelemetry.io/otel/exporters/prometheus"
	otelmetric "go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"

	"github.com/tachikoma/tacho"
)

// Twelve bounds, 1 ms to 2 s.
var bounds = tacho.ExponentialBuckets(0.001, 2, 12)

// The names and labels that all sides use. VictoriaMetrics takes labels as part
// of the name: requestName writes it as cheaply as a program can.
const (
	counterName   = "http_requests_total"
	histogramName = "http_request_duration_seconds"
)

var (
	oneLabel    = []string{"path"}
	threeLabels = []string{"method", "path", "status"}
)

func vmName1(name, path string) string { return name + `{path="` + path + `"}` }

func vmName3(name, method, path, status string) string {
	return name + `{method="` + method + `",path="` + path + `",status="` + status + `"}`
}

// gather returns a scrape of a client_golang registry in a format.
func gather(reg *prometheus.Registry, format expfmt.Format) func(io.Writer) error {
	return func(w io.Writer) error {
		families, err := reg.Gather()
		if err != nil {
			return err
		}
		enc := expfmt.NewEncoder(w, format)
		for _, f := range families {
			if err := enc.Encode(f); err != nil {
				return err
			}
		}
		if c, ok := enc.(expfmt.Closer); ok { // OpenMetrics ends with a line of its own
			return c.Close()
		}
		return nil
	}
}

var (
	textFormat        = expfmt.NewFormat(expfmt.TypeTextPlain)
	openMetricsFormat = expfmt.NewFormat(expfmt.TypeOpenMetrics)
)

func vmScrape(set *vm.Set) func(io.Writer) error {
	return func(w io.Writer) error {
		set.WritePrometheus(w)
		return nil
	}
}

// otelSide is an OpenTelemetry meter whose metrics a client_golang registry
// shows. It is set up as lean as it can be, and without the limit of 2,000
// series that would fold the rest into one.
type otelSide struct {
	provider *sdkmetric.MeterProvider
	meter    otelmetric.Meter
	reg      *prometheus.Registry
	reader   *sdkmetric.ManualReader // of newOTelReader, which has no reg
}

func newOTel() otelSide {
	reg := prometheus.NewRegistry()
	exporter, err := otelprom.New(otelprom.WithRegisterer(reg), otelprom.WithoutScopeInfo(), otelprom.WithoutTargetInfo())
	if err != nil {
		panic(err)
	}
	p := sdkmetric.NewMeterProvider(sdkmetric.WithReader(exporter), sdkmetric.WithCardinalityLimit(0))
	return otelSide{provider: p, meter: p.Meter("bench"), reg: reg}
}

// newOTelReader has the SDK's own reader in place of the Prometheus exporter.
func newOTelReader() otelSide {
	reader := sdkmetric.NewManualReader()
	p := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader), sdkmetric.WithCardinalityLimit(0))
	return otelSide{provider: p, meter: p.Meter("bench"), reader: reader}
}

func (o otelSide) counter() otelmetric.Int64Counter { return must(o.meter.Int64Counter(counterName)) }

func (o otelSide) histogram() otelmetric.Float64Histogram {
	return must(o.meter.Float64Histogram(histogramName, otelmetric.WithExplicitBucketBoundaries(bounds...)))
}

func (o otelSide) scrape() func(io.Writer) error { return gather(o.reg, textFormat) }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
