package tacho

import (
	"io"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"unsafe"

	"github.com/tachikoma/tacho/internal/label"
)

// solo measures op in one goroutine, and in GOMAXPROCS goroutines at the same time.
func solo(b *testing.B, name string, op func(i int)) {
	b.Run(name+"/alone", func(b *testing.B) {
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			op(i)
			i++
		}
	})
	b.Run(name+"/parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for i := 0; pb.Next(); i++ {
				op(i)
			}
		})
	})
}

// BenchmarkAdd compares the recording methods with one atomic add.
func BenchmarkAdd(b *testing.B) {
	r := NewRegistry()
	c, f, g := r.Counter("c_total", ""), r.FloatCounter("f_total", ""), r.Gauge("g", "")
	h := r.Histogram("h", "", ExponentialBuckets(0.001, 2, 12))
	latencies := [8]float64{.001, .5, .02, .003, .9, .05, .2, .0015}
	var bare atomic.Uint64
	solo(b, "bare", func(int) { bare.Add(1) })
	solo(b, "counter", func(int) { c.Inc() })
	solo(b, "floatcounter", func(int) { f.Add(0.5) })
	solo(b, "gauge", func(i int) { g.Set(int64(i)) })
	solo(b, "histogram", func(i int) { h.Observe(latencies[i&7]) })
}

// benchPaths returns n label values of one length, in a random order that depends on seed.
// The strings are new in each call. Benchmarks create series in the order of benchCreated,
// because traffic creates series in no order. Lookups have the order of benchLookedUp.
func benchPaths(n int, seed uint64) []string {
	paths := make([]string, n)
	for k, i := range rand.New(rand.NewPCG(seed, 0)).Perm(n) {
		paths[k] = "/api/" + strconv.Itoa(1000000+i)
	}
	return paths
}

// Seeds of benchPaths.
const (
	benchCreated  = 1
	benchLookedUp = 2
)

// BenchmarkWith measures a counter behind a lookup of three labels.
func BenchmarkWith(b *testing.B) {
	for _, n := range []int{64, 8192} {
		v := NewRegistry().CounterVec("c_total", "", []string{"method", "path", "status"})
		for _, p := range benchPaths(n, benchCreated) {
			v.With("GET", p, "200")
		}
		paths := benchPaths(n, benchLookedUp)
		solo(b, strconv.Itoa(n), func(i int) { v.With("GET", paths[i&(n-1)], "200").Inc() })
	}
}

// BenchmarkLookup measures the parts of a lookup of three labels: the hash, then the hash
// and the search, then the whole recording. It does not use solo, whose call of op would
// be part of the results.
func BenchmarkLookup(b *testing.B) {
	v := NewRegistry().CounterVec("c_total", "", []string{"method", "path", "status"})
	for _, p := range benchPaths(64, benchCreated) {
		v.With("GET", p, "200")
	}
	paths := benchPaths(64, benchLookedUp)
	b.Run("hash", func(b *testing.B) {
		for i := range b.N {
			h := label.NewHasher().Add([]string{"GET", paths[i&63], "200"})
			hashed += h.Sum()
		}
	})
	b.Run("find", func(b *testing.B) {
		for i := range b.N {
			found = v.find([]string{"GET", paths[i&63], "200"}, false)
		}
	})
	b.Run("with", func(b *testing.B) {
		for i := range b.N {
			v.With("GET", paths[i&63], "200").Inc()
		}
	})
}

// BenchmarkLabelSets compares forms that give values to three labels. This package does not have the
// forms struct and map. The form struct reads fields by reflection. The form map has names and values.
func BenchmarkLabelSets(b *testing.B) {
	names := []string{"method", "path", "status"}
	v := NewRegistry().CounterVec("c_total", "", names)
	for _, p := range benchPaths(64, benchCreated) {
		v.With("GET", p, "200")
	}
	paths := benchPaths(64, benchLookedUp)
	typed := Typed3[typedMethod, typedPath, typedStatus](v)
	one, two := v.Curry("GET"), v.Curry("GET", paths[0])
	b.Run("with", func(b *testing.B) {
		b.ReportAllocs()
		for i := range b.N {
			v.With("GET", paths[i&63], "200").Inc()
		}
	})
	b.Run("typed", func(b *testing.B) {
		b.ReportAllocs()
		for i := range b.N {
			typed.With("GET", typedPath(paths[i&63]), "200").Inc()
		}
	})
	b.Run("curry1", func(b *testing.B) {
		b.ReportAllocs()
		for i := range b.N {
			one.With(paths[i&63], "200").Inc()
		}
	})
	b.Run("curry2", func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			two.With("200").Inc()
		}
	})
	b.Run("struct", func(b *testing.B) {
		b.ReportAllocs()
		for i := range b.N {
			var values [3]string
			fields := reflect.ValueOf(struct{ Method, Path, Status string }{"GET", paths[i&63], "200"})
			for k := range values {
				values[k] = fields.Field(k).String()
			}
			v.With(values[:]...).Inc()
		}
	})
	b.Run("map", func(b *testing.B) {
		b.ReportAllocs()
		for i := range b.N {
			var values [3]string
			set := map[string]string{"method": "GET", "path": paths[i&63], "status": "200"}
			for k := range values {
				values[k] = set[names[k]]
			}
			v.With(values[:]...).Inc()
		}
	})
}

// Results of benchmarks are stored here. Otherwise the compiler could remove the work.
var (
	hashed uint32
	found  unsafe.Pointer
)

// BenchmarkCreate measures the creation of series in random order.
func BenchmarkCreate(b *testing.B) {
	b.ReportAllocs()
	v := NewRegistry().CounterVec("c_total", "", []string{"path"})
	random := rand.New(rand.NewPCG(1, 2))
	for b.Loop() {
		v.With(strconv.FormatUint(random.Uint64(), 36))
	}
}

// BenchmarkWrite measures a scrape in each format. The series were created in random order.
func BenchmarkWrite(b *testing.B) {
	counters, histograms := NewRegistry(), NewRegistry()
	c := counters.CounterVec("http_requests_total", "", []string{"method", "path", "status"})
	for i, p := range benchPaths(10000, benchCreated) {
		c.With("GET", p, "200").Add(uint64(i))
	}
	h := histograms.HistogramVec("http_request_duration_seconds", "", ExponentialBuckets(0.001, 2, 12), []string{"method", "path"})
	for i, p := range benchPaths(1000, benchCreated) {
		h.With("GET", p).Observe(float64(i) / 1000)
	}
	write := func(name string, f func(io.Writer) error) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := f(io.Discard); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	write("text/10000counters", counters.WriteText)
	write("openmetrics/10000counters", counters.WriteOpenMetrics)
	write("json/10000counters", counters.WriteJSON)
	write("text/1000histograms", histograms.WriteText)
	write("openmetrics/1000histograms", histograms.WriteOpenMetrics)
	write("json/1000histograms", histograms.WriteJSON)
}

// BenchmarkCollect measures a scrape of a collector, with samples in the order of the
// scrape, in random order, and with labels in random order. Further benchmarks are of many
// families and of many functions.
func BenchmarkCollect(b *testing.B) {
	write := func(name string, r *Registry) {
		for format, write := range map[string]func(io.Writer) error{"text": r.WriteText, "openmetrics": r.WriteOpenMetrics} {
			b.Run(name+"/"+format, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if err := write(io.Discard); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
	const samples = 100000
	paths := benchPaths(samples, benchCreated)
	slices.Sort(paths)
	emit := func(order []int, swap bool) *Registry {
		r := NewRegistry()
		r.Collect(func(e *Emitter) {
			for i, n := range order {
				if swap && i&1 == 1 {
					e.Gauge("queue_length", "", float64(i), "path", paths[n], "zone", "eu", "method", "GET")
				} else {
					e.Gauge("queue_length", "", float64(i), "method", "GET", "path", paths[n], "zone", "eu")
				}
			}
		})
		return r
	}
	ordered := make([]int, samples)
	for i := range ordered {
		ordered[i] = i
	}
	random := rand.New(rand.NewPCG(1, 2)).Perm(samples)
	write("samples/ordered", emit(ordered, false))
	write("samples/random", emit(random, false))
	write("samples/random labels", emit(random, true))
	for _, utf8 := range []bool{false, true} {
		name, opts, path := "families", []Option(nil), "queue_"
		if utf8 {
			name, opts, path = "families/utf8", []Option{WithUTF8Names()}, "queue."
		}
		r := NewRegistry(opts...)
		names := make([]string, 16000)
		for i, n := range rand.New(rand.NewPCG(1, 2)).Perm(len(names)) {
			names[i] = path + strconv.Itoa(n) + "_total"
		}
		r.Collect(func(e *Emitter) {
			for i, name := range names {
				e.Counter(name, "Help.", float64(i), "zone", "eu")
			}
		})
		write(name, r)
	}
	r := NewRegistry()
	for i := range 1000 {
		r.GaugeFunc("queue_"+strconv.Itoa(i), "", func() float64 { return float64(i) })
	}
	write("functions", r)
}
