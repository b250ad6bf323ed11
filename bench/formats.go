package bench

import (
	"context"
	"io"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/push"
)

// TachoNoMarkers is a side of the paths of remote write: a pusher with NoStaleMarkers. The side
// Tacho has the default, which keeps the labels of all series for stale markers.
const TachoNoMarkers = "tacho, NoStaleMarkers"

// The formats of the table Formats, with protobuf. The formats with the bare side sameBodies are
// pushes.
var (
	openMetrics2 = format{"WriteOpenMetrics2", "a copy of the same bytes"}
	otlp         = format{"OTLP", sameBodies}
	remoteWrite1 = format{"remote write 1.0", sameBodies}
	remoteWrite2 = format{"remote write 2.0", sameBodies}
)

const sameBodies = "an http.Client that sends the same bodies"

// allFormats lists the formats of the table Formats.
var allFormats = []format{protobuf, openMetrics2, otlp, remoteWrite1, remoteWrite2}

// A formatLoad describes the series of a format. If native is not zero, the series are native
// histograms, and otherwise the series of load.
type formatLoad struct {
	load
	native nativeLoad
}

func (l formatLoad) String() string {
	if l.native.series > 0 {
		return l.native.String()
	}
	return l.load.String()
}

func (l formatLoad) series() int { return l.native.series + l.counters + l.histograms }

// written returns the number of series in a format. In remote write, a classic histogram has a series
// for each bucket, for the sum and for the count.
func (l formatLoad) written(f format) int {
	if f == remoteWrite1 || f == remoteWrite2 {
		return l.native.series + l.load.lines()
	}
	return l.series()
}

// formatLoads returns the loads of a format. Each load has a part of the series of s.
func formatLoads(s Sizes, part int) []formatLoad {
	return []formatLoad{
		{load: load{counters: s.Counters[0] / part}},
		{load: load{histograms: s.Histograms / part}},
		{native: nativeLoad{series: s.Native / part, values: nativeValues}},
	}
}

// FormatPaths returns the paths that write or push all metrics in the formats for Prometheus and
// for OpenTelemetry.
func FormatPaths(s Sizes) []Path {
	var paths []Path
	for _, f := range allFormats {
		for _, l := range formatLoads(s, 1) {
			if f == protobuf && l.native.series > 0 { // see NativePaths
				continue
			}
			paths = append(paths, Path{Name: f.name + ", " + l.String(), Bare: f.bare, Unit: "series", Units: l.series(),
				Alone: true, Settle: true, Sides: func() []Side { return l.formatSides(f) }})
		}
	}
	return paths
}

func (l formatLoad) formatSides(f format) []Side {
	sides := []Side{l.formatTacho(f, Tacho), l.formatBare(f)}
	if f == remoteWrite1 || f == remoteWrite2 {
		sides = append(sides, l.formatTacho(f, TachoNoMarkers))
	}
	return append(sides, l.formatPeer(f))
}

// formatTacho returns a side of tacho. A format with start times is written from a registry with
// WithCreated, because the other sides always have start times. Remote write 1.0 has none.
func (l formatLoad) formatTacho(f format, peer string) Side {
	var options []tacho.Option
	if f != remoteWrite1 {
		options = append(options, tacho.WithCreated())
	}
	var r *tacho.Registry
	if l.native.series > 0 {
		r = l.native.tacho(options, nil, tacho.WithNative())
	} else {
		r = l.tacho(options...)
	}
	if f.bare != sameBodies {
		return scrapeSide(peer, tachoWrite(r, f))
	}
	// The pushers take turns, because two pushes of a pusher have different times in milliseconds.
	// A pusher would sleep if the pushes followed one another faster.
	var pushes []*delivery
	for range pushersInTurn {
		pushes = append(pushes, tachoPush(r, f, peer == TachoNoMarkers))
	}
	return pushSide(peer, pushes...)
}

const pushersInTurn = 4

func tachoWrite(r *tacho.Registry, f format) func(io.Writer) error {
	if f == protobuf {
		return r.WriteProtobuf
	}
	return r.WriteOpenMetrics2
}

// tachoPush returns a push of a registry. The metrics of the pusher are in another registry, which
// is not pushed.
func tachoPush(r *tacho.Registry, f format, noMarkers bool) *delivery {
	d := &delivery{format: f}
	var target push.Target
	if f == otlp {
		target = push.OTLP{URL: pushURL}
	} else {
		target = push.RemoteWrite{URL: pushURL, NoStaleMarkers: noMarkers, Version2: f == remoteWrite2}
	}
	p := must(push.New(target, push.Config{Registry: r, Metrics: tacho.NewRegistry(), Client: d.client(),
		DisableCompression: true, Retries: -1}))
	d.send = func() error { return p.Push(context.Background()) }
	return d.started()
}

// formatBare copies the bytes of tacho, or sends the bodies of tacho.
func (l formatLoad) formatBare(f format) Side {
	side := l.formatTacho(f, Bare)
	if f.bare != sameBodies {
		return scrapeSide(Bare, copyBytes(side.Scrape))
	}
	return side
}

// formatPeer returns the side of the library that users of a format have.
func (l formatLoad) formatPeer(f format) Side {
	if f == otlp {
		return pushSide(OTel, otelPush(l.otelReader()))
	}
	var reg *prometheus.Registry
	if l.native.series > 0 {
		reg = l.native.client(clientNative())
	} else {
		reg = l.client()
	}
	switch f {
	case protobuf:
		return scrapeSide(Client, gather(reg, protobufFormat))
	case openMetrics2:
		return scrapeSide(Client, gather(reg, openMetrics2Format))
	case remoteWrite1:
		return pushSide(Client, clientPush(reg, f, newWriter1()))
	}
	return pushSide(Client, clientPush(reg, f, newWriter2()))
}

var openMetrics2Format = must(expfmt.NewOpenMetricsFormat(expfmt.OpenMetricsVersion_2_0_0))

// otelReader creates the series in a meter with a reader. The minimum and the maximum of the values
// are off, because no other side has them.
func (l formatLoad) otelReader() *sdkmetric.ManualReader {
	var histogram sdkmetric.Aggregation = sdkmetric.AggregationExplicitBucketHistogram{Boundaries: bounds, NoMinMax: true}
	if l.native.series > 0 {
		histogram = otelExponential
	}
	o := newOTelReader(sdkmetric.WithView(sdkmetric.NewView(sdkmetric.Instrument{Name: histogramName},
		sdkmetric.Stream{Aggregation: histogram})))
	ctx := context.Background()
	if l.native.series == 0 {
		l.otel(o)
		return o.reader
	}
	h := o.native()
	l.native.fill(func(k labels) func(float64) {
		set := otelLabels(k[0], k[1], k[2])
		return func(v float64) { h.Record(ctx, v, set) }
	})
	return o.reader
}

// otelPush returns a push by the exporter of OpenTelemetry. The metrics are collected as the
// PeriodicReader of the SDK collects metrics, into new memory.
func otelPush(reader *sdkmetric.ManualReader) *delivery {
	d := &delivery{format: otlp}
	ctx := context.Background()
	exporter := must(otlpmetrichttp.New(ctx, otlpmetrichttp.WithEndpointURL(pushURL), otlpmetrichttp.WithHTTPClient(d.client()),
		otlpmetrichttp.WithCompression(otlpmetrichttp.NoCompression)))
	d.send = func() error {
		var data metricdata.ResourceMetrics
		if err := reader.Collect(ctx, &data); err != nil {
			return err
		}
		return exporter.Export(ctx, &data)
	}
	return d.started()
}
