package bench

import (
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"

	vm "github.com/VictoriaMetrics/metrics"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
	otelmetric "go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"

	"github.com/tachikoma/tacho"
)

// Further sides of the tables of native histograms. In these tables Tacho and Client are
// histograms with native buckets alone, in schema 3 and with at most 160 buckets. OTel is
// the exponential histogram of the SDK with the same limits. Victoria is the vmrange
// histogram of VictoriaMetrics, which has 18 buckets per power of ten.
const (
	TachoBoth     = "tacho, native and 12 buckets"
	TachoClassic  = "tacho, 12 buckets"
	ClientClassic = "client_golang, 12 buckets"
)

// NativePeers lists the sides of the tables of native histograms.
var NativePeers = []string{Tacho, Bare, TachoBoth, TachoClassic, Client, ClientClassic, Victoria, OTel}

// The configuration of the native buckets is the default of tacho. The schema follows from
// the factor: in schema 3 a bound is 1.0905 times the bound before.
const (
	nativeFactor  = 1.1
	nativeSchema  = 3
	nativeBuckets = 160
)

// classicBounds has the 12 bounds of the classic buckets in the tables of native
// histograms.
var classicBounds = []float64{.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}

// logNormal returns random latencies in seconds. The values are log-normal with the median
// 0.01 and sigma 1. The values populate about 70 buckets of schema 3.
func logNormal() *[samples]float64 {
	random := rand.New(rand.NewPCG(1, 2))
	var v [samples]float64
	for i := range v {
		v[i] = 0.01 * math.Exp(random.NormFloat64())
	}
	return &v
}

// anyFloats returns n float64s with random bits, except NaN. The exponents and signs are
// uniform, so the values populate nearly all buckets that a schema has.
func anyFloats(n int) []float64 {
	random := rand.New(rand.NewPCG(5, 6))
	v := make([]float64, 0, n)
	for len(v) < n {
		if f := math.Float64frombits(random.Uint64()); f == f {
			v = append(v, f)
		}
	}
	return v
}

// NativePaths returns the paths with native histograms. Observe uses a single histogram in
// all goroutines. WriteProtobuf writes each series with three labels and nativeValues
// values.
func NativePaths(s Sizes) []Path {
	l := nativeLoad{series: s.Native, values: nativeValues}
	return []Path{
		{Unit: "call", Name: "Observe, native", Bare: "two atomic adds, to a count and to a sum",
			Sides: func() []Side { return nativeObserveSides(logNormal()) }},
		{Unit: "series", Name: protobuf.name + ", " + l.String(), Bare: protobuf.bare, Units: l.series, Alone: true, Settle: true,
			Sides: l.sides},
	}
}

func clientNative() prometheus.HistogramOpts {
	return prometheus.HistogramOpts{Name: histogramName, Help: "Latency.",
		NativeHistogramBucketFactor: nativeFactor, NativeHistogramMaxBucketNumber: nativeBuckets}
}

func clientClassic() prometheus.HistogramOpts {
	return prometheus.HistogramOpts{Name: histogramName, Help: "Latency.", Buckets: classicBounds}
}

// newOTelNative uses exponential histograms. The minimum and the maximum of the values are
// off, because the Prometheus exporter shows neither.
func newOTelNative() otelSide {
	return newOTel(sdkmetric.WithView(sdkmetric.NewView(sdkmetric.Instrument{Name: histogramName},
		sdkmetric.Stream{Aggregation: otelExponential})))
}

var otelExponential = sdkmetric.AggregationBase2ExponentialHistogram{MaxSize: nativeBuckets, MaxScale: nativeSchema, NoMinMax: true}

func (o otelSide) native() otelmetric.Float64Histogram {
	return must(o.meter.Float64Histogram(histogramName, otelmetric.WithDescription("Latency.")))
}

// protobuf is the format that shows native buckets. The sides client_golang and
// OpenTelemetry write protobuf by Gather and the encoder of expfmt.
var (
	protobuf       = format{"WriteProtobuf", "a copy of the same bytes"}
	protobufFormat = expfmt.NewFormat(expfmt.TypeProtoDelim)
)

func nativeObserveSides(values *[samples]float64) []Side {
	tachoSide := func(peer string, buckets []float64, opts ...tacho.Option) Side {
		r := tacho.NewRegistry()
		h := r.Histogram(histogramName, "Latency.", buckets, opts...)
		return Side{Peer: peer, Scrape: r.WriteProtobuf, Run: func(from, to int) {
			for i := from; i < to; i++ {
				h.Observe(values[i&(samples-1)])
			}
		}}
	}
	clientSide := func(peer string, opts prometheus.HistogramOpts) Side {
		reg := prometheus.NewRegistry()
		h := prometheus.NewHistogram(opts)
		reg.MustRegister(h)
		return Side{Peer: peer, Scrape: gather(reg, protobufFormat), Run: func(from, to int) {
			for i := from; i < to; i++ {
				h.Observe(values[i&(samples-1)])
			}
		}}
	}

	var bare bareHistogram

	set := vm.NewSet()
	victoria := set.NewHistogram(histogramName)

	o := newOTelNative()
	otel, ctx := o.native(), context.Background()

	return []Side{
		tachoSide(Tacho, nil, tacho.WithNative()),
		{Peer: Bare, Scrape: bare.scrape(), Run: func(from, to int) {
			for i := from; i < to; i++ {
				bare.count.Add(1)
				bare.sum.Add(math.Float64bits(values[i&(samples-1)]))
			}
		}},
		tachoSide(TachoBoth, classicBounds, tacho.WithNative()),
		tachoSide(TachoClassic, classicBounds),
		clientSide(Client, clientNative()),
		clientSide(ClientClassic, clientClassic()),
		{Peer: Victoria, Sleeps: true, Scrape: vmScrape(set), Run: func(from, to int) {
			for i := from; i < to; i++ {
				victoria.Update(values[i&(samples-1)])
			}
		}},
		{Peer: OTel, Sleeps: true, Scrape: gather(o.reg, protobufFormat), Run: func(from, to int) {
			for i := from; i < to; i++ {
				otel.Record(ctx, values[i&(samples-1)])
			}
		}},
	}
}

// Numbers of values of a series: of latencies, and of float64s with random bits.
const (
	nativeValues = 1000
	anyValues    = 20_000
)

// A nativeLoad describes series with three labels, created in random order. Every
// side has the same series and values.
type nativeLoad struct {
	series, values int
	floats         bool // the values are those of anyFloats instead of logNormal
	scrapes        int  // scrapes after the values, for a measurement of memory
}

func (l nativeLoad) String() string { return Count(l.series) + " native histograms" }

// fill creates the series. The function series returns the observe function of a series.
// The values of logNormal begin at another place in each series.
func (l nativeLoad) fill(series func(k labels) (observe func(float64))) {
	values := logNormal()[:]
	if l.floats {
		values = anyFloats(l.values)
	}
	created(l.series, func(i int, path string) {
		observe := series(labels{method, path, status})
		for j := range l.values {
			observe(values[(i+j)%len(values)])
		}
	})
}

// open creates the series in a peer. The result scrapes the peer in the format protobuf,
// or in the text format of VictoriaMetrics. The result holds the series in memory.
func (l nativeLoad) open(peer string) func(io.Writer) error {
	switch peer {
	case Tacho:
		return l.tacho(nil, nil, tacho.WithNative()).WriteProtobuf
	case Bare:
		return copyBytes(l.tacho(nil, nil, tacho.WithNative()).WriteProtobuf)
	case TachoBoth:
		return l.tacho(nil, classicBounds, tacho.WithNative()).WriteProtobuf
	case TachoClassic:
		return l.tacho(nil, classicBounds).WriteProtobuf
	case Client:
		return gather(l.client(clientNative()), protobufFormat)
	case ClientClassic:
		return gather(l.client(clientClassic()), protobufFormat)
	case Victoria:
		set := vm.NewSet()
		l.fill(func(k labels) func(float64) {
			return set.GetOrCreateHistogram(vmName3(histogramName, k[0], k[1], k[2])).Update
		})
		return vmScrape(set)
	}
	o := newOTelNative()
	h, ctx := o.native(), context.Background()
	l.fill(func(k labels) func(float64) {
		set := otelLabels(k[0], k[1], k[2])
		return func(v float64) { h.Record(ctx, v, set) }
	})
	return gather(o.reg, protobufFormat)
}

// tacho creates the series in a registry with the options registry. The other options are of the
// histograms.
func (l nativeLoad) tacho(registry []tacho.Option, buckets []float64, opts ...tacho.Option) *tacho.Registry {
	r := tacho.NewRegistry(registry...)
	v := r.HistogramVec(histogramName, "Latency.", buckets, threeLabels, opts...)
	l.fill(func(k labels) func(float64) { return v.With(k[0], k[1], k[2]).Observe })
	return r
}

func (l nativeLoad) client(opts prometheus.HistogramOpts) *prometheus.Registry {
	reg := prometheus.NewRegistry()
	v := prometheus.NewHistogramVec(opts, threeLabels)
	reg.MustRegister(v)
	l.fill(func(k labels) func(float64) { return v.WithLabelValues(k[0], k[1], k[2]).Observe })
	return reg
}

// sides has no side for VictoriaMetrics, which lacks protobuf.
func (l nativeLoad) sides() []Side {
	var sides []Side
	for _, peer := range NativePeers {
		if peer != Victoria {
			sides = append(sides, scrapeSide(peer, l.open(peer)))
		}
	}
	return sides
}

// nativeLoads returns the loads of the rows about memory. Half of the rows include scrapes,
// because a scrape can change the memory of a series. A scrape of client_golang makes a second
// set of buckets. A scrape of tacho frees the buckets of earlier schemas.
func nativeLoads(s Sizes) []nativeLoad {
	latencies := nativeLoad{series: s.Memory[0], values: nativeValues}
	floats := nativeLoad{series: s.NativeAny, values: anyValues, floats: true}
	loads := []nativeLoad{latencies, latencies, floats, floats}
	loads[1].scrapes, loads[3].scrapes = 2, 2
	return loads
}

func nativeName(l nativeLoad) string {
	name := fmt.Sprintf("a series of %v, %s values", l, Count(l.values))
	if l.floats {
		name = fmt.Sprintf("a series of %v, any %s float64s", l, Count(l.values))
	}
	if l.scrapes > 0 {
		name += fmt.Sprintf(", %d scrapes", l.scrapes)
	}
	return name
}

func protobufName(l nativeLoad) string { return "protobuf of " + l.String() }

// NativeBytes returns the bytes on the heap for each series, and the bytes of a scrape
// in protobuf. The heap includes the labels of the series.
func NativeBytes(s Sizes) []Size {
	var sizes []Size
	for _, l := range nativeLoads(s) {
		size := Size{Name: nativeName(l)}
		for _, peer := range NativePeers {
			if peer == Bare {
				continue
			}
			size.add(peer, heapOf(func() any {
				scrape := l.open(peer)
				for range l.scrapes {
					if err := scrape(io.Discard); err != nil {
						panic(err)
					}
				}
				return scrape
			})/float64(l.series))
		}
		sizes = append(sizes, size)
	}
	l := nativeLoad{series: s.Native, values: nativeValues}
	size := Size{Name: protobufName(l)}
	for _, side := range l.sides() {
		if side.Peer != Bare {
			size.add(side.Peer, float64(len(bodyOf(side.Scrape))))
		}
	}
	return append(sizes, size)
}
