package bench

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync/atomic"

	vm "github.com/VictoriaMetrics/metrics"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	otelmetric "go.opentelemetry.io/otel/metric"

	"github.com/tachikoma/tacho"
)

// LookupPaths returns the paths that look up a series by label values and
// increment the series.
func LookupPaths(s Sizes) []Path {
	var paths []Path
	for _, n := range s.Lookup {
		paths = append(paths,
			Path{Unit: "call", Name: fmt.Sprintf("With(1 label).Inc, %s series", Count(n)), Bare: "a lookup in a read-only map, and an atomic add",
				Sides: func() []Side { return lookup1Sides(n) }},
			Path{Unit: "call", Name: fmt.Sprintf("With(3 labels).Inc, %s series", Count(n)), Bare: "a lookup in a read-only map, and an atomic add",
				Sides: func() []Side { return lookup3Sides(n) }})
	}
	return paths
}

// Count formats a non-negative number with commas between thousands.
func Count(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

const (
	method = "GET"
	status = "200"
)

// pathValue returns the label value of series i. The values of the first 9,000,000
// series have the same length.
func pathValue(i int) string { return "/api/" + strconv.Itoa(1_000_000+i) }

// created calls f for each of n series. The order is random and always the same, as
// traffic creates series in no order. The argument path is a new string for each
// call, as the path of a request is.
//
// The sides of a path create their series one after another, so the memory of a side
// has no series of another side in between.
func created(n int, f func(i int, path string)) {
	for _, i := range rand.New(rand.NewPCG(3, 4)).Perm(n) {
		f(i, pathValue(i))
	}
}

// requested returns the label values of n series in the order of the lookups. The
// order is random, but is not the order of the function created. The strings are
// consecutive in memory. A server also reads the path of a request just before the
// lookup.
func requested(n int) []string {
	paths := make([]string, n)
	for k, i := range rand.New(rand.NewPCG(1, 2)).Perm(n) {
		paths[k] = pathValue(i)
	}
	return paths
}

func lookup1Sides(n int) []Side {
	r := tacho.NewRegistry()
	ours := r.CounterVec(counterName, "", oneLabel)

	bare := make(map[string]*atomic.Uint64)

	reg := prometheus.NewRegistry()
	client := prometheus.NewCounterVec(prometheus.CounterOpts{Name: counterName}, oneLabel)
	reg.MustRegister(client)

	set := vm.NewSet()

	o := newOTel()
	otel, ctx := o.counter(), context.Background()

	created(n, func(_ int, path string) { ours.With(path) })
	created(n, func(_ int, path string) { bare[path] = new(atomic.Uint64) })
	created(n, func(_ int, path string) { client.WithLabelValues(path) })
	created(n, func(_ int, path string) { set.GetOrCreateCounter(vmName1(counterName, path)) })
	created(n, func(_ int, path string) {
		otel.Add(ctx, 0, otelmetric.WithAttributes(attribute.String("path", path)))
	})

	paths := requested(n)
	return []Side{
		{Peer: Tacho, Scrape: r.WriteText, Run: func(from, to int) {
			k := from % n
			for range to - from {
				ours.With(paths[k]).Inc()
				if k++; k == n {
					k = 0
				}
			}
		}},
		{Peer: Bare, Scrape: bareVec(bare), Run: func(from, to int) {
			k := from % n
			for range to - from {
				bare[paths[k]].Add(1)
				if k++; k == n {
					k = 0
				}
			}
		}},
		{Peer: Client, Scrape: gather(reg, textFormat), Run: func(from, to int) {
			k := from % n
			for range to - from {
				client.WithLabelValues(paths[k]).Inc()
				if k++; k == n {
					k = 0
				}
			}
		}},
		{Peer: Victoria, Sleeps: true, Scrape: vmScrape(set), Run: func(from, to int) {
			k := from % n
			for range to - from {
				set.GetOrCreateCounter(vmName1(counterName, paths[k])).Inc()
				if k++; k == n {
					k = 0
				}
			}
		}},
		{Peer: OTel, Scrape: o.scrape(), Run: func(from, to int) {
			k := from % n
			for range to - from {
				otel.Add(ctx, 1, otelmetric.WithAttributes(attribute.String("path", paths[k])))
				if k++; k == n {
					k = 0
				}
			}
		}},
	}
}

func lookup3Sides(n int) []Side {
	r := tacho.NewRegistry()
	ours := r.CounterVec(counterName, "", threeLabels)

	bare := make(map[[3]string]*atomic.Uint64)

	reg := prometheus.NewRegistry()
	client := prometheus.NewCounterVec(prometheus.CounterOpts{Name: counterName}, threeLabels)
	reg.MustRegister(client)

	set := vm.NewSet()

	o := newOTel()
	otel, ctx := o.counter(), context.Background()

	created(n, func(_ int, path string) { ours.With(method, path, status) })
	created(n, func(_ int, path string) { bare[[3]string{method, path, status}] = new(atomic.Uint64) })
	created(n, func(_ int, path string) { client.WithLabelValues(method, path, status) })
	created(n, func(_ int, path string) { set.GetOrCreateCounter(vmName3(counterName, method, path, status)) })
	created(n, func(_ int, path string) { otel.Add(ctx, 0, otelLabels(method, path, status)) })

	paths := requested(n)
	return []Side{
		{Peer: Tacho, Scrape: r.WriteText, Run: func(from, to int) {
			k := from % n
			for range to - from {
				ours.With(method, paths[k], status).Inc()
				if k++; k == n {
					k = 0
				}
			}
		}},
		{Peer: Bare, Scrape: bareVec(bare), Run: func(from, to int) {
			k := from % n
			for range to - from {
				bare[[3]string{method, paths[k], status}].Add(1)
				if k++; k == n {
					k = 0
				}
			}
		}},
		{Peer: Client, Scrape: gather(reg, textFormat), Run: func(from, to int) {
			k := from % n
			for range to - from {
				client.WithLabelValues(method, paths[k], status).Inc()
				if k++; k == n {
					k = 0
				}
			}
		}},
		{Peer: Victoria, Sleeps: true, Scrape: vmScrape(set), Run: func(from, to int) {
			k := from % n
			for range to - from {
				set.GetOrCreateCounter(vmName3(counterName, method, paths[k], status)).Inc()
				if k++; k == n {
					k = 0
				}
			}
		}},
		{Peer: OTel, Scrape: o.scrape(), Run: func(from, to int) {
			k := from % n
			for range to - from {
				otel.Add(ctx, 1, otelLabels(method, paths[k], status))
				if k++; k == n {
					k = 0
				}
			}
		}},
	}
}

// otelLabels returns an option with three labels. The option selects a series.
func otelLabels(method, path, status string) otelmetric.MeasurementOption {
	return otelmetric.WithAttributes(
		attribute.String("method", method), attribute.String("path", path), attribute.String("status", status))
}

// bareVec returns a scrape with a line for each entry.
func bareVec[K comparable](m map[K]*atomic.Uint64) func(io.Writer) error {
	return func(w io.Writer) error {
		var b strings.Builder
		for _, v := range m {
			fmt.Fprintln(&b, "bare", v.Load())
		}
		_, err := io.WriteString(w, b.String())
		return err
	}
}

// CreatePaths returns the paths that create series in an empty vector, in random
// order. Only a single goroutine creates series, because programs create each series
// once.
func CreatePaths(s Sizes) []Path {
	var paths []Path
	for _, n := range s.Create {
		paths = append(paths, Path{Name: fmt.Sprintf("creating with 3 labels, %s series", Count(n)), Unit: "series",
			Bare: "an entry in a map", Batch: n, Alone: true, Settle: true, Heavy: n >= s.Heavy,
			Sides: func() []Side { return createSides(n) }})
	}
	return paths
}

func createSides(n int) []Side {
	// Each Reset makes new strings, because some sides keep the strings.
	var paths []string
	arrive := func() {
		paths = make([]string, 0, n)
		created(n, func(_ int, path string) { paths = append(paths, path) })
	}

	var r *tacho.Registry
	var ours *tacho.CounterVec
	var bare map[[3]string]*atomic.Uint64
	var reg *prometheus.Registry
	var client *prometheus.CounterVec
	var set *vm.Set
	var o otelSide
	var otel otelmetric.Int64Counter
	ctx := context.Background()

	return []Side{
		{
			Peer: Tacho,
			Reset: func() {
				arrive()
				r = tacho.NewRegistry()
				ours = r.CounterVec(counterName, "", threeLabels)
			},
			Run: func(from, to int) {
				for i := from; i < to; i++ {
					ours.With(method, paths[i], status).Inc()
				}
			},
			Scrape: func(w io.Writer) error { return r.WriteText(w) },
		},
		{
			Peer: Bare,
			Reset: func() {
				arrive()
				bare = make(map[[3]string]*atomic.Uint64)
			},
			Run: func(from, to int) {
				for i := from; i < to; i++ {
					c := new(atomic.Uint64)
					bare[[3]string{method, paths[i], status}] = c
					c.Add(1)
				}
			},
			Scrape: func(w io.Writer) error { return bareVec(bare)(w) },
		},
		{
			Peer: Client,
			Reset: func() {
				arrive()
				reg = prometheus.NewRegistry()
				client = prometheus.NewCounterVec(prometheus.CounterOpts{Name: counterName}, threeLabels)
				reg.MustRegister(client)
			},
			Run: func(from, to int) {
				for i := from; i < to; i++ {
					client.WithLabelValues(method, paths[i], status).Inc()
				}
			},
			Scrape: func(w io.Writer) error { return gather(reg, textFormat)(w) },
		},
		{
			Peer: Victoria,
			Reset: func() {
				arrive()
				set = vm.NewSet()
			},
			Run: func(from, to int) {
				for i := from; i < to; i++ {
					set.GetOrCreateCounter(vmName3(counterName, method, paths[i], status)).Inc()
				}
			},
			Scrape: func(w io.Writer) error { return vmScrape(set)(w) },
		},
		{
			Peer: OTel,
			Reset: func() {
				arrive()
				o = newOTel()
				otel = o.counter()
			},
			Run: func(from, to int) {
				for i := from; i < to; i++ {
					otel.Add(ctx, 1, otelLabels(method, paths[i], status))
				}
			},
			Scrape: func(w io.Writer) error { return o.scrape()(w) },
		},
	}
}
