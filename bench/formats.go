package bench

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strconv"

	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
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

// pushURL is the URL of all pushes. No connection is made.
const pushURL = "http://receiver.invalid/api/v1/write"

// A delivery is a push in a format, with the transport of the push. The transport reads and
// discards each body, and responds as a receiver does. All sides send through the same transport.
type delivery struct {
	format  format
	send    func() error
	keeping bool     // the bodies are kept
	bodies  [][]byte // as sent
	headers []http.Header
	answers []http.Header // by request of a push
	next    int           // index in answers
}

func (d *delivery) client() *http.Client { return &http.Client{Transport: d} }

// started pushes once, so that later pushes have answers.
func (d *delivery) started() *delivery {
	if err := d.keep(); err != nil {
		panic(err)
	}
	return d
}

// keep pushes once and keeps the bodies.
func (d *delivery) keep() error {
	d.keeping, d.bodies, d.headers, d.answers = true, nil, nil, nil
	defer func() { d.keeping = false }()
	return d.push()
}

// push pushes once.
func (d *delivery) push() error {
	d.next = 0
	if err := d.send(); err != nil {
		return err
	}
	if d.next != len(d.answers) {
		return fmt.Errorf("%d requests, want %d as in the first push", d.next, len(d.answers))
	}
	return nil
}

// RoundTrip implements [http.RoundTripper].
func (d *delivery) RoundTrip(req *http.Request) (*http.Response, error) {
	defer req.Body.Close()
	if d.keeping {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		answer, err := d.answer(body, req.Header)
		if err != nil {
			return nil, err
		}
		d.bodies, d.headers, d.answers = append(d.bodies, body), append(d.headers, req.Header), append(d.answers, answer)
	} else if _, err := io.Copy(io.Discard, req.Body); err != nil {
		return nil, err
	}
	status := http.StatusNoContent
	if d.format == otlp {
		status = http.StatusOK
	}
	d.next++
	return &http.Response{StatusCode: status, Status: strconv.Itoa(status) + " " + http.StatusText(status),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: d.answers[d.next-1], Body: http.NoBody, Request: req}, nil
}

// answer returns the header of the response to a body. A receiver of remote write 2.0 responds with
// the numbers of samples and histograms.
func (d *delivery) answer(body []byte, h http.Header) (http.Header, error) {
	message, err := d.message(body, h)
	if err != nil {
		return nil, err
	}
	if d.format != remoteWrite2 {
		return http.Header{}, nil
	}
	var req writev2.Request
	if err := req.Unmarshal(message); err != nil {
		return nil, err
	}
	samples, histograms := 0, 0
	for _, s := range req.Timeseries {
		samples += len(s.Samples)
		histograms += len(s.Histograms)
	}
	return http.Header{
		"X-Prometheus-Remote-Write-Samples-Written":    {strconv.Itoa(samples)},
		"X-Prometheus-Remote-Write-Histograms-Written": {strconv.Itoa(histograms)},
		"X-Prometheus-Remote-Write-Exemplars-Written":  {"0"},
	}, nil
}

// message returns the protobuf message of a body. The headers must be those of the format.
func (d *delivery) message(body []byte, h http.Header) ([]byte, error) {
	version, contentType, encoding := "", "application/x-protobuf", ""
	switch d.format {
	case remoteWrite1:
		version, encoding = "0.1.0", "snappy"
	case remoteWrite2:
		version, encoding, contentType = "2.0.0", "snappy", contentType+";proto=io.prometheus.write.v2.Request"
	}
	for name, want := range map[string]string{
		"X-Prometheus-Remote-Write-Version": version, "Content-Type": contentType, "Content-Encoding": encoding} {
		if got := h.Get(name); got != want {
			return nil, fmt.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if encoding == "" {
		return body, nil
	}
	return snappy.Decode(nil, body)
}

// messages pushes once, and writes the protobuf messages of all requests to w. The length of a
// message precedes the message.
func (d *delivery) messages(w io.Writer) error {
	if err := d.keep(); err != nil {
		return err
	}
	for i, body := range d.bodies {
		message, err := d.message(body, d.headers[i])
		if err != nil {
			return err
		}
		if _, err := w.Write(append(binary.AppendUvarint(nil, uint64(len(message))), message...)); err != nil {
			return err
		}
	}
	return nil
}

// replay returns a delivery that sends the bodies of d.
func (d *delivery) replay() *delivery {
	if err := d.keep(); err != nil {
		panic(err)
	}
	bodies, headers := d.bodies, d.headers
	bare := &delivery{format: d.format}
	client := bare.client()
	bare.send = func() error {
		for i, body := range bodies {
			req, err := http.NewRequest(http.MethodPost, pushURL, bytes.NewReader(body))
			if err != nil {
				return err
			}
			req.Header = headers[i]
			resp, err := client.Do(req)
			if err != nil {
				return err
			}
			resp.Body.Close()
		}
		return nil
	}
	return bare.started()
}

// pushSide returns a side that pushes. The pushes take turns. For Bare, the side sends the bodies
// of the pushes.
func pushSide(peer string, pushes ...*delivery) Side {
	if peer == Bare {
		pushes = []*delivery{pushes[0].replay()}
	}
	turn := 0
	return Side{Peer: peer, Scrape: pushes[0].messages, Run: func(from, to int) {
		for range to - from {
			turn = (turn + 1) % len(pushes)
			if err := pushes[turn].push(); err != nil {
				panic(err)
			}
		}
	}}
}

// A Growth is the memory that a format allocates for two numbers of series.
type Growth struct {
	Name    string
	Series  [2]int // the smaller number first
	Peers   []string
	Objects [][2]float64 // by peer: allocations of an exposition or a push
	Bytes   [][2]float64 // by peer: allocated bytes
}

// Each returns the objects and bytes that a side allocates for a further series.
func (g Growth) Each(side int) (objects, bytes float64) {
	n := float64(g.Series[1] - g.Series[0])
	return (g.Objects[side][1] - g.Objects[side][0]) / n, (g.Bytes[side][1] - g.Bytes[side][0]) / n
}

// MaxObjects is the maximum of the objects that tacho allocates for a further series. The runtime
// and net/http allocate a few objects too, and a push has a request for each 2,000 series.
const MaxObjects = 0.05

// growthRepeats is the number of measurements. The smallest result counts, because the runtime
// allocates too, for example after a collection emptied a sync.Pool.
const growthRepeats = 5

// FormatGrowth returns the memory that each format allocates, for the series of s and for a tenth.
func FormatGrowth(s Sizes) []Growth {
	var all []Growth
	few, many := formatLoads(s, 10), formatLoads(s, 1)
	for _, f := range allFormats {
		for i := range many {
			g := Growth{Name: f.name + ", " + many[i].kind(), Series: [2]int{few[i].written(f), many[i].written(f)}}
			for k, l := range []formatLoad{few[i], many[i]} {
				for _, side := range l.formatSides(f) {
					if side.Peer == Bare {
						continue
					}
					at := slices.Index(g.Peers, side.Peer)
					if at < 0 {
						at = len(g.Peers)
						g.Peers = append(g.Peers, side.Peer)
						g.Objects, g.Bytes = append(g.Objects, [2]float64{}), append(g.Bytes, [2]float64{})
					}
					g.Objects[at][k], g.Bytes[at][k] = allocated(side)
				}
			}
			all = append(all, g)
		}
	}
	return all
}

// kind describes the series of a load without their number.
func (l formatLoad) kind() string {
	switch {
	case l.native.series > 0:
		return "native histograms"
	case l.histograms > 0:
		return "histograms"
	}
	return "counters"
}

// allocated returns the smallest numbers of allocations and allocated bytes of one call of a side.
func allocated(side Side) (objects, bytes float64) {
	for i := range growthRepeats {
		side.Run(0, 2*pushersInTurn) // fills each sync.Pool
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		side.Run(0, 1)
		runtime.ReadMemStats(&after)
		o, b := float64(after.Mallocs-before.Mallocs), float64(after.TotalAlloc-before.TotalAlloc)
		if i == 0 || o < objects {
			objects = o
		}
		if i == 0 || b < bytes {
			bytes = b
		}
	}
	return objects, bytes
}
