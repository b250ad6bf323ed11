package bench

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"

	vm "github.com/VictoriaMetrics/metrics"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/tachikoma/tacho"
)

// observations is the number of values in each scraped histogram.
const observations = 100

// A load describes the series of a scrape. Every side has the same series and
// values, created in the same random order.
type load struct {
	counters, histograms int
	routes               bool // the label values are those of the function route
	ordered              bool // with routes: the order of creation is the order of the lines
}

// created calls f for each of n series of the load, in the order of creation. The
// label values are new strings for each call.
func (l load) created(n int, f func(i int, values labels)) {
	if !l.routes {
		created(n, func(i int, path string) { f(i, labels{method, path, status}) })
		return
	}
	order := rand.New(rand.NewPCG(createdRoutes, 0)).Perm(n)
	if l.ordered {
		list := make([]labels, n)
		for i := range list {
			list[i] = route(i)
		}
		slices.SortFunc(order, func(a, b int) int { return slices.Compare(list[a][:], list[b][:]) })
	}
	for _, i := range order {
		f(i, route(i))
	}
}

func (l load) lines() int { return l.counters + l.histograms*(len(bounds)+3) } // + 3 for +Inf, _sum and _count

func (l load) String() string {
	if l.histograms > 0 {
		return Count(l.histograms) + " histograms"
	}
	return Count(l.counters) + " counters"
}

// A format is a kind of scrape. The field bare describes the bare side.
type format struct{ name, bare string }

var (
	text        = format{"WriteText", "a copy of the same lines"}
	openMetrics = format{"WriteOpenMetrics", "a copy of the same lines"}
	jsonView    = format{"WriteJSON", "a copy of the same bytes"}
	handler     = format{"Handler", "a copy of the same bytes"}
	gzipHandler = format{"Handler with gzip", "compress/gzip at BestSpeed over the same bytes"}
	negotiated  = format{"Handler as Prometheus asks", "compress/gzip at BestSpeed over the same bytes"}
)

// The last format is jsonView, because the OpenTelemetry side needs new state for
// jsonView (see load.open).
var formats = []format{text, openMetrics, handler, gzipHandler, negotiated, jsonView}

// prometheus3 is the Accept header of Prometheus 3. OpenMetrics has the highest
// weight. The Accept-Encoding header of Prometheus 3 is always gzip.
const prometheus3 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.7," +
	"application/openmetrics-text;version=0.0.1;q=0.6,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.5," +
	"text/plain;version=0.0.4;q=0.4,*/*;q=0.3"

// ScrapePaths returns the paths that write all recorded metrics.
func ScrapePaths(s Sizes) []Path {
	var paths []Path
	add := func(l load, formats ...format) {
		for _, f := range formats {
			paths = append(paths, Path{Name: f.name + ", " + l.String(), Bare: f.bare, Unit: "line", Units: l.lines(),
				Alone: true, Settle: true, Heavy: l.lines() >= s.Heavy, Sides: func() []Side { return l.sides(f) }})
		}
	}
	add(load{counters: s.Counters[0]}, formats...)
	add(load{histograms: s.Histograms}, formats...)
	for _, n := range s.Counters[1:] {
		add(load{counters: n}, text, negotiated)
	}
	paths = append(paths, collectedPath(s, "in order", false), collectedPath(s, "in random order", true))
	return paths
}

func (l load) sides(f format) []Side {
	var sides []Side
	for _, peer := range Peers {
		if scrape := l.open(peer)(f); scrape != nil {
			sides = append(sides, scrapeSide(peer, scrape))
		}
	}
	return sides
}

// open creates the series in a peer. The result maps a format to a scrape, or to
// nil if the peer does not support the format.
func (l load) open(peer string) func(format) func(io.Writer) error {
	switch peer {
	case Tacho:
		r := l.tacho()
		return func(f format) func(io.Writer) error { return tachoScrape(r, f) }
	case Bare:
		r := l.tacho()
		return func(f format) func(io.Writer) error { return bareScrapeOf(r, f) }
	case Client:
		reg := l.client()
		return func(f format) func(io.Writer) error { return clientScrape(reg, f) }
	case Victoria:
		set := l.victoria()
		return func(f format) func(io.Writer) error { return victoriaScrape(set, f) }
	}
	var o otelSide
	return func(f format) func(io.Writer) error {
		if f == jsonView {
			o = l.otel(newOTelReader())
			return otelJSON(o)
		}
		if o.reg == nil {
			o = l.otel(newOTel())
		}
		return clientScrape(o.reg, f)
	}
}

// scrapeSide makes a side that scrapes.
func scrapeSide(peer string, scrape func(io.Writer) error) Side {
	return Side{Peer: peer, Scrape: scrape, Run: func(from, to int) {
		for range to - from {
			if err := scrape(io.Discard); err != nil {
				panic(err)
			}
		}
	}}
}

func (l load) tacho(options ...tacho.Option) *tacho.Registry {
	r := tacho.NewRegistry(options...)
	values := unordered()
	if l.counters > 0 {
		v := r.CounterVec(counterName, "Requests.", threeLabels)
		l.created(l.counters, func(i int, k labels) { v.With(k[0], k[1], k[2]).Add(uint64(i)) })
	}
	if l.histograms > 0 {
		v := r.HistogramVec(histogramName, "Latency.", bounds, threeLabels)
		l.created(l.histograms, func(i int, k labels) {
			h := v.With(k[0], k[1], k[2])
			for j := range observations {
				h.Observe(values[(i+j)&(samples-1)])
			}
		})
	}
	return r
}

func (l load) client() *prometheus.Registry {
	reg := prometheus.NewRegistry()
	values := unordered()
	if l.counters > 0 {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: counterName, Help: "Requests."}, threeLabels)
		reg.MustRegister(v)
		l.created(l.counters, func(i int, k labels) { v.WithLabelValues(k[0], k[1], k[2]).Add(float64(i)) })
	}
	if l.histograms > 0 {
		v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: histogramName, Help: "Latency.", Buckets: bounds}, threeLabels)
		reg.MustRegister(v)
		l.created(l.histograms, func(i int, k labels) {
			h := v.WithLabelValues(k[0], k[1], k[2])
			for j := range observations {
				h.Observe(values[(i+j)&(samples-1)])
			}
		})
	}
	return reg
}

func (l load) victoria() *vm.Set {
	set := vm.NewSet()
	values := unordered()
	l.created(l.counters, func(i int, k labels) {
		set.GetOrCreateCounter(vmName3(counterName, k[0], k[1], k[2])).AddInt64(int64(i))
	})
	l.created(l.histograms, func(i int, k labels) {
		h := set.GetOrCreatePrometheusHistogramExt(vmName3(histogramName, k[0], k[1], k[2]), bounds)
		for j := range observations {
			h.Update(values[(i+j)&(samples-1)])
		}
	})
	return set
}

func (l load) otel(o otelSide) otelSide {
	ctx := context.Background()
	values := unordered()
	if l.counters > 0 {
		c := o.counter()
		l.created(l.counters, func(i int, k labels) { c.Add(ctx, int64(i), otelLabels(k[0], k[1], k[2])) })
	}
	if l.histograms > 0 {
		h := o.histogram()
		l.created(l.histograms, func(i int, k labels) {
			set := otelLabels(k[0], k[1], k[2])
			for j := range observations {
				h.Record(ctx, values[(i+j)&(samples-1)], set)
			}
		})
	}
	return o
}

func tachoScrape(r *tacho.Registry, f format) func(io.Writer) error {
	switch f {
	case text:
		return r.WriteText
	case openMetrics:
		return r.WriteOpenMetrics
	case jsonView:
		return r.WriteJSON
	}
	return handlerScrape(r.Handler(), f)
}

// clientScrape scrapes client_golang. For jsonView, which client_golang lacks,
// encoding/json encodes the gathered families.
func clientScrape(reg *prometheus.Registry, f format) func(io.Writer) error {
	switch f {
	case text:
		return gather(reg, textFormat)
	case openMetrics:
		return gather(reg, openMetricsFormat)
	case jsonView:
		return func(w io.Writer) error {
			families, err := reg.Gather()
			if err != nil {
				return err
			}
			return json.NewEncoder(w).Encode(families)
		}
	}
	return handlerScrape(promhttp.HandlerFor(reg, promhttp.HandlerOpts{EnableOpenMetrics: true}), f)
}

// victoriaScrape scrapes VictoriaMetrics. VictoriaMetrics has no OpenMetrics, no
// JSON view and no handler. The handler below calls WritePrometheus, as the
// documentation of VictoriaMetrics recommends. Compression uses the level of tacho.
func victoriaScrape(set *vm.Set, f format) func(io.Writer) error {
	switch f {
	case text:
		return vmScrape(set)
	case openMetrics, jsonView, negotiated:
		return nil
	}
	return handlerScrape(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("Accept-Encoding") != "gzip" {
			set.WritePrometheus(w)
			return
		}
		w.Header().Set("Content-Encoding", "gzip")
		_ = compressed(w, vmScrape(set)) // an error means a closed connection
	}), f)
}

// otelJSON encodes the metrics of the OpenTelemetry reader with encoding/json. The
// standard output exporter of OpenTelemetry does the same.
func otelJSON(o otelSide) func(io.Writer) error {
	return func(w io.Writer) error {
		var data metricdata.ResourceMetrics
		if err := o.reader.Collect(context.Background(), &data); err != nil {
			return err
		}
		return json.NewEncoder(w).Encode(data.ScopeMetrics)
	}
}

// bareScrapeOf copies or compresses a finished scrape of tacho.
func bareScrapeOf(r *tacho.Registry, f format) func(io.Writer) error {
	switch f {
	case text:
		return copyLines(r.WriteText)
	case openMetrics:
		return copyLines(r.WriteOpenMetrics)
	case jsonView:
		return copyBytes(r.WriteJSON)
	case handler:
		return copyBytes(r.WriteText)
	}
	body := bodyOf(r.WriteText)
	if f == negotiated {
		body = bodyOf(r.WriteOpenMetrics)
	}
	return func(w io.Writer) error {
		return compressed(w, func(z io.Writer) error {
			_, err := z.Write(body)
			return err
		})
	}
}

func bodyOf(scrape func(io.Writer) error) []byte {
	var b bytes.Buffer
	if err := scrape(&b); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// bufferSize is close to the buffer sizes of the encoders.
const bufferSize = 32 << 10

// The result of copyBytes copies the output of a single scrape through a buffer.
func copyBytes(scrape func(io.Writer) error) func(io.Writer) error {
	all := bodyOf(scrape)
	buf := make([]byte, bufferSize)
	return func(w io.Writer) error {
		for rest := all; len(rest) > 0; {
			n := copy(buf, rest)
			rest = rest[n:]
			if _, err := w.Write(buf[:n]); err != nil {
				return err
			}
		}
		return nil
	}
}

// copyLines is like copyBytes with another memory layout. Each line has a separate
// allocation, like a series.
func copyLines(scrape func(io.Writer) error) func(io.Writer) error {
	var lines []string
	for line := range bytes.Lines(bodyOf(scrape)) {
		lines = append(lines, string(line))
	}
	buf := make([]byte, 0, bufferSize)
	return func(w io.Writer) error {
		buf = buf[:0]
		for _, line := range lines {
			if len(buf)+len(line) > bufferSize {
				if _, err := w.Write(buf); err != nil {
					return err
				}
				buf = buf[:0]
			}
			buf = append(buf, line...)
		}
		_, err := w.Write(buf)
		return err
	}
}

var gzipWriters = sync.Pool{New: func() any { return must(gzip.NewWriterLevel(nil, gzip.BestSpeed)) }}

func compressed(w io.Writer, write func(io.Writer) error) error {
	z := gzipWriters.Get().(*gzip.Writer)
	defer gzipWriters.Put(z)
	z.Reset(w)
	if err := write(z); err != nil {
		return err
	}
	return z.Close()
}

// response is a ResponseWriter with minimal overhead.
type response struct {
	io.Writer
	header http.Header
	status int
}

func (r *response) Header() http.Header { return r.header }

func (r *response) WriteHeader(status int) { r.status = status }

// handlerScrape returns a scrape through a handler. The scrape fails if the status
// is 300 or more, or if the encoding or the type of the response does not match f.
func handlerScrape(h http.Handler, f format) func(io.Writer) error {
	req := must(http.NewRequest(http.MethodGet, "/metrics", nil))
	encoding, contentType := "", "text/plain"
	if f != handler {
		encoding = "gzip"
		req.Header.Set("Accept-Encoding", encoding)
	}
	if f == negotiated {
		contentType = "application/openmetrics-text"
		req.Header.Set("Accept", prometheus3)
	}
	return func(w io.Writer) error {
		resp := response{Writer: w, header: http.Header{}}
		h.ServeHTTP(&resp, req)
		if resp.status >= 300 {
			return fmt.Errorf("status %d", resp.status)
		}
		if got := resp.header.Get("Content-Encoding"); got != encoding {
			return fmt.Errorf("Content-Encoding %q for Accept-Encoding %q", got, encoding)
		}
		if got := resp.header.Get("Content-Type"); got != "" && !strings.HasPrefix(got, contentType) {
			return fmt.Errorf("Content-Type %q", got)
		}
		return nil
	}
}
