//go:build !tacho_nohttp

package history_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/internal/history"
)

// paths returns n paths in the order of traffic, which is none.
func paths(n int) []string {
	list := make([]string, n)
	for k, i := range rand.New(rand.NewPCG(1, 0)).Perm(n) {
		list[k] = "/api/" + strconv.Itoa(1000000+i)
	}
	return list
}

// A benchCase is a registry, and a function that changes a part of its series.
type benchCase struct {
	name   string
	series int
	reg    *tacho.Registry
	change func(step int)
	scrape func(r *tacho.Registry, w io.Writer) error
	accept string
}

func counterCase(n, percent int) benchCase {
	reg := tacho.NewRegistry()
	v := reg.CounterVec("http_requests_total", "Requests.", []string{"method", "path", "status"})
	var all []*tacho.Counter
	for _, p := range paths(n) {
		all = append(all, v.With("GET", p, "200"))
	}
	return benchCase{fmt.Sprintf("counters=%d/changed=%d%%", n, percent), n, reg, func(step int) {
		r := rand.New(rand.NewPCG(uint64(step), 0))
		for i, c := range all {
			if r.IntN(100) < percent {
				c.Add(uint64(1 + i%100))
			}
		}
	}, (*tacho.Registry).WriteText, "text/plain"}
}

func histogramCase(n int, options ...tacho.Option) benchCase {
	reg := tacho.NewRegistry()
	name, buckets, scrape := "native", []float64(nil), (*tacho.Registry).WriteProtobuf
	accept := "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
	if len(options) == 0 {
		name, scrape, accept = "classic", (*tacho.Registry).WriteText, "text/plain"
		buckets = tacho.ExponentialBuckets(0.001, 2, 12)
	}
	v := reg.HistogramVec("http_request_seconds", "Latency.", buckets, []string{"method", "path", "status"}, options...)
	var all []*tacho.Histogram
	for _, p := range paths(n) {
		all = append(all, v.With("GET", p, "200"))
	}
	return benchCase{fmt.Sprintf("histograms=%d/%s", n, name), n, reg, func(step int) {
		r := rand.New(rand.NewPCG(uint64(step), 0))
		for _, h := range all {
			for range 4 {
				h.Observe(0.001 * r.ExpFloat64() * 50)
			}
		}
	}, scrape, accept}
}

func benchCases() []benchCase {
	return []benchCase{
		counterCase(10_000, 5), counterCase(10_000, 100), counterCase(200_000, 5), counterCase(200_000, 100),
		histogramCase(1000), histogramCase(1000, tacho.WithNative()),
	}
}

// A discard is a client that reads everything.
type discard struct{ header http.Header }

func (d discard) Header() http.Header       { return d.header }
func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) WriteHeader(int)             {}

// median returns the median in microseconds.
func median(times []time.Duration) float64 {
	slices.Sort(times)
	return float64(times[len(times)/2].Nanoseconds()) / 1000
}

// BenchmarkSample compares a step of the ring with two scrapes of the same registry. One writes the text format to
// io.Discard. The other is a request to the handler with gzip, as Prometheus scrapes. Native histograms are scraped
// in protobuf, since the text format does not show them. The order of the three alternates, and the times are
// medians. ratio and ratio-gzip are the time of a step divided by the time of a scrape.
func BenchmarkSample(b *testing.B) {
	for _, c := range benchCases() {
		b.Run(c.name, func(b *testing.B) {
			ring := history.New(history.Config{Range: 15 * time.Minute, Step: 5 * time.Second, MaxBytes: 32 << 20})
			now := time.Now()
			handler, request := c.reg.Handler(), httptest.NewRequest("GET", "/metrics", nil)
			request.Header.Set("Accept", c.accept)
			request.Header.Set("Accept-Encoding", "gzip")
			sample := func(step int) {
				err := ring.Sample(now.Add(time.Duration(step)*5*time.Second), func(w io.Writer) error {
					return c.reg.WriteProtobufContext(context.Background(), w)
				})
				if err != nil {
					b.Fatal(err)
				}
			}
			for step := range 20 {
				c.change(step)
				sample(step)
			}
			if n := ring.Stats().LeftOut; n > 0 {
				b.Errorf("%d series are left out", n)
			}
			payload := 0
			var times [3][]time.Duration
			sides := [3]func(i int){
				func(i int) { sample(20 + i) },
				func(int) {
					if err := c.scrape(c.reg, io.Discard); err != nil {
						b.Fatal(err)
					}
				},
				func(int) { handler.ServeHTTP(discard{http.Header{}}, request) },
			}
			for i := range b.N {
				c.change(20 + i)
				for k := range sides { // the first has fewer series in the cache
					side := (k + i) % len(sides)
					begin := time.Now()
					sides[side](i)
					times[side] = append(times[side], time.Since(begin))
				}
				payload += ring.Stats().PayloadBytes
			}
			step, scrape, zipped := median(times[0]), median(times[1]), median(times[2])
			s := ring.Stats()
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(step, "µs/step")
			b.ReportMetric(scrape, "µs/scrape")
			b.ReportMetric(step/scrape, "ratio")
			b.ReportMetric(zipped, "µs/gzip")
			b.ReportMetric(step/zipped, "ratio-gzip")
			b.ReportMetric(float64(payload)/float64(b.N)/float64(c.series), "bytes/series/step")
			b.ReportMetric(float64(s.DictionaryBytes)/float64(c.series), "bytes/series")
			b.ReportMetric(float64(s.Steps), "steps")
		})
	}
}
