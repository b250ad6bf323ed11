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

// bounds has 12 bounds from 1 ms to 2 s.
var bounds = tacho.ExponentialBuckets(0.001, 2, 12)

// Names and labels of all sides. VictoriaMetrics expects the labels in the name:
// vmName1 and vmName3 build the name with one concatenation.
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

// The result of gather scrapes a client_golang registry in a format.
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
		if c, ok := enc.(expfmt.Closer); ok { // Close writes the # EOF line of OpenMetrics
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

// otelSide is an OpenTelemetry meter with its exporter. The configuration omits
// optional output. The default limit of 2,000 series is off, because the SDK
// merges further series into a single series.
type otelSide struct {
	provider *sdkmetric.MeterProvider
	meter    otelmetric.Meter
	reg      *prometheus.Registry    // set by newOTel
	reader   *sdkmetric.ManualReader // set by newOTelReader
}

func newOTel(options ...sdkmetric.Option) otelSide {
	reg := prometheus.NewRegistry()
	exporter, err := otelprom.New(otelprom.WithRegisterer(reg), otelprom.WithoutScopeInfo(), otelprom.WithoutTargetInfo())
	if err != nil {
		panic(err)
	}
	p := sdkmetric.NewMeterProvider(append(options, sdkmetric.WithReader(exporter), sdkmetric.WithCardinalityLimit(0))...)
	return otelSide{provider: p, meter: p.Meter("bench"), reg: reg}
}

// newOTelReader uses the ManualReader of the SDK instead of the Prometheus exporter.
func newOTelReader(options ...sdkmetric.Option) otelSide {
	reader := sdkmetric.NewManualReader()
	p := sdkmetric.NewMeterProvider(append(options, sdkmetric.WithReader(reader), sdkmetric.WithCardinalityLimit(0))...)
	return otelSide{provider: p, meter: p.Meter("bench"), reader: reader}
}

func (o otelSide) counter() otelmetric.Int64Counter {
	return must(o.meter.Int64Counter(counterName, otelmetric.WithDescription("Requests.")))
}

func (o otelSide) histogram() otelmetric.Float64Histogram {
	return must(o.meter.Float64Histogram(histogramName, otelmetric.WithDescription("Latency."),
		otelmetric.WithExplicitBucketBoundaries(bounds...)))
}

func (o otelSide) scrape() func(io.Writer) error { return gather(o.reg, textFormat) }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
