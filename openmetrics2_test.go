package tacho

import (
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/tachikoma/tacho/internal/exemplar"
	"github.com/tachikoma/tacho/internal/expo"
	"github.com/tachikoma/tacho/internal/names"
	"github.com/tachikoma/tacho/internal/race"
	"github.com/tachikoma/tacho/internal/testkit"
)

// TestOpenMetrics2Lines has the lines of each rule of OpenMetrics 2.0 (2.0.0-rc0), with the section.
func TestOpenMetrics2Lines(t *testing.T) {
	at := time.UnixMilli(1520430000123)
	for name, c := range map[string]struct {
		options []Option
		emit    func(e *Emitter)
		want    string
	}{
		"Counter: the suffix _total is part of the name": {nil, func(e *Emitter) { e.Counter("a_total", "", 17) },
			"# TYPE a_total counter\na_total 17\n"},
		"Counter: _total is no condition": {nil, func(e *Emitter) { e.At(at).Created(time.Unix(1, 5e6)).Counter("a", "", 17) },
			"# TYPE a counter\na 17 1520430000.123 st@1.005\n"},
		"Counter: the start time precedes the exemplar": {nil, func(e *Emitter) {
			e.Created(at).Exemplars(Exemplar{0.67, []string{"trace_id", "KOO5S4vxi0o"}, time.UnixMilli(1520879606100)}).Counter("a_total", "", 0.5)
		}, "# TYPE a_total counter\na_total 0.5 st@1520430000.123 # {trace_id=\"KOO5S4vxi0o\"} 0.67 1520879606.1\n"},
		"Exemplars: escapes": {nil, func(e *Emitter) {
			e.Exemplars(Exemplar{1, []string{"a", "\\\"\n"}, at}).Counter("a_total", "", 1)
		}, "# TYPE a_total counter\na_total 1 # {a=\"\\\\\\\"\\n\"} 1.0 1520430000.123\n"},
		"Gauge: neither a start time nor an exemplar": {nil, func(e *Emitter) {
			e.At(time.Unix(123, 0)).Created(at).Exemplars(Exemplar{1, []string{"a", "b"}, at}).Gauge("a", "", -1.5)
		}, "# TYPE a gauge\na -1.5 123\n"},
		"Gauge: not a number": {nil, func(e *Emitter) {
			e.Gauge("a", "", math.NaN(), "v", "1")
			e.Gauge("a", "", math.Inf(-1), "v", "2")
			e.Gauge("a", "", math.Inf(1), "v", "3")
			e.Gauge("a", "", 1e21, "v", "4")
		}, "# TYPE a gauge\na{v=\"1\"} NaN\na{v=\"2\"} -Inf\na{v=\"3\"} +Inf\na{v=\"4\"} 1e+21\n"},
		"Unknown": {nil, func(e *Emitter) { e.Created(at).Untyped("a", "", 42.23) }, "# TYPE a unknown\na 42.23\n"},
		"Info: the name must end in _info": {nil, func(e *Emitter) {
			e.Info("a_info", "", "version", "1")
			e.Info("b", "", "version", "1")
		}, "# TYPE a_info info\na_info{version=\"1\"} 1\n# TYPE b gauge\nb{version=\"1\"} 1\n"},
		"Info: samples with and without a time": {nil, func(e *Emitter) {
			e.At(at).Info("a_info", "", "v", "1")
			e.Info("a_info", "", "v", "2")
		}, "# TYPE a_info info\na_info{v=\"1\"} 1 1520430000.123\na_info{v=\"2\"} 1\n"},
		"Info: no unit": {nil, func(e *Emitter) { e.Unit("bytes").Info("a_bytes_info", "", "v", "1") },
			"# TYPE a_bytes_info info\na_bytes_info{v=\"1\"} 1\n"},
		"MetricFamily metadata: TYPE, UNIT, HELP": {nil, func(e *Emitter) {
			e.Unit("seconds").Counter("a_seconds_total", "Some text and \n some \" escaping\\", 1)
		},
			"# TYPE a_seconds_total counter\n# UNIT a_seconds_total seconds\n# HELP a_seconds_total Some text and \\n some \\\" escaping\\\\\na_seconds_total 1\n"},
		"Overall Structure: no line ends in a carriage return": {nil, func(e *Emitter) { e.Gauge("a", "x\r\r", 1, "v", "\r") },
			"# TYPE a gauge\n# HELP a x\r\r \na{v=\"\r\"} 1\n"},
		"Histogram: composite, all classic buckets, +Inf": {nil, func(e *Emitter) {
			e.Histogram("a", "", HistogramSnapshot{Count: 17, Sum: 324789.3, Buckets: []Bucket{{0, 0}, {1e-5, 0}, {0.1, 8}, {1, 10}, {1e6, 15}, {1.1e23, 17}}})
		}, "# TYPE a histogram\na {count:17,sum:324789.3,bucket:[0:0,1e-05:0,0.1:8,1:10,1e+06:15,1.1e+23:17,+Inf:17]}\n"},
		"Histogram: negative bounds, and any sum": {nil, func(e *Emitter) {
			for i, sum := range []float64{-1.5, math.NaN(), math.Inf(1), math.Inf(-1)} {
				e.Histogram("a", "", HistogramSnapshot{Count: 2, Sum: sum, Buckets: []Bucket{{-2, 1}}}, "v", string(rune('a'+i)))
			}
		}, "# TYPE a histogram\na{v=\"a\"} {count:2,sum:-1.5,bucket:[-2:1,+Inf:2]}\na{v=\"b\"} {count:2,sum:NaN,bucket:[-2:1,+Inf:2]}\n" +
			"a{v=\"c\"} {count:2,sum:+Inf,bucket:[-2:1,+Inf:2]}\na{v=\"d\"} {count:2,sum:-Inf,bucket:[-2:1,+Inf:2]}\n"},
		"Histogram: time, start time and an exemplar of each bucket": {nil, func(e *Emitter) {
			x := func(v float64, ms int64) Exemplar { return Exemplar{v, []string{"id", "x"}, time.UnixMilli(ms)} }
			e.At(at).Created(time.Unix(1, 0)).Exemplars(x(0.054, 3000), x(1.67, 2000), x(9.8, 1000)).
				Histogram("a", "", HistogramSnapshot{Count: 17, Sum: 1, Buckets: []Bucket{{0.1, 8}, {5, 11}, {10, 17}}})
		}, "# TYPE a histogram\na {count:17,sum:1,bucket:[0.1:8,5:11,10:17,+Inf:17]} 1520430000.123 st@1 # {id=\"x\"} 0.054 3 # {id=\"x\"} 1.67 2 # {id=\"x\"} 9.8 1\n"},
		"Summary: composite": {nil, func(e *Emitter) {
			e.Summary("a", "", SummarySnapshot{Count: 17, Sum: 324789.3}, "v", "1")
			e.At(time.Unix(2, 0)).Created(at).Summary("a", "", SummarySnapshot{Quantiles: []Quantile{{0, math.NaN()}, {0.95, 123.7}, {1, 150}}}, "v", "2")
		}, "# TYPE a summary\na{v=\"1\"} {count:17,sum:324789.3,quantile:[]}\na{v=\"2\"} {count:0,sum:0,quantile:[0:NaN,0.95:123.7,1:150]} 2 st@1520430000.123\n"},
		"Summary: no negative quantile value": {nil, func(e *Emitter) {
			e.Summary("a", "", SummarySnapshot{Count: 2, Sum: 1, Quantiles: []Quantile{{0.1, -1}, {0.5, 1}, {0.9, math.Inf(-1)}}})
		}, "# TYPE a summary\na {count:2,sum:1,quantile:[0.5:1]}\n"},
		"Summary: the sum must be there, not negative and not NaN": {nil, func(e *Emitter) {
			e.Summary("a", "", SummarySnapshot{Count: 2, Sum: -1}, "v", "1")
			e.Summary("a", "", SummarySnapshot{Count: 2, Sum: math.NaN()}, "v", "2")
			e.Summary("a", "", SummarySnapshot{Count: 2, Sum: math.Inf(1)}, "v", "3")
		}, "# TYPE a summary\na{v=\"3\"} {count:2,sum:+Inf,quantile:[]}\n"},
		"UTF-8 Quoting": {[]Option{WithUTF8Names()}, func(e *Emitter) {
			e.Unit("seconds").Counter("process.cpu_seconds", "CPU.", 4.5, "node.name", "my\nnode", "a", "1")
			e.Histogram("h\"\\\n", "", HistogramSnapshot{})
		}, "# TYPE \"h\\\"\\\\\\n\" histogram\n{\"h\\\"\\\\\\n\"} {count:0,sum:0,bucket:[+Inf:0]}\n" +
			"# TYPE \"process.cpu_seconds\" counter\n# UNIT \"process.cpu_seconds\" seconds\n# HELP \"process.cpu_seconds\" CPU.\n{\"process.cpu_seconds\",\"node.name\"=\"my\\nnode\",a=\"1\"} 4.5\n"},
	} {
		r := NewRegistry(c.options...)
		r.Collect(c.emit)
		got := open2(t, r)
		if got != c.want+"# EOF\n" {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, c.want)
		}
		testkit.ParseOpenMetrics2(t, got)
	}
	if got := open2(t, NewRegistry()); got != "# EOF\n" {
		t.Errorf("an empty registry: %q", got)
	}
}

// TestOpenMetrics2Native has the lines of histograms with native buckets.
func TestOpenMetrics2Native(t *testing.T) {
	coarse := WithNative(NativeConfig{Factor: 2}) // bucket i is from 2^(i-1) to 2^i
	const empty = "a {count:0,sum:0,schema:0,zero_threshold:2.938735877055719e-39,zero_count:0}"
	for name, c := range map[string]struct {
		bounds []float64
		values []float64
		want   string
	}{
		"no observation":     {nil, nil, empty},
		"classic and native": {[]float64{1, 4}, nil, strings.TrimSuffix(empty, "}") + ",bucket:[1:0,4:0,+Inf:0]}"},
		"a gap of one bucket is an empty bucket": {nil, []float64{1, 3, 3, 8},
			"a {count:4,sum:15,schema:0,zero_threshold:2.938735877055719e-39,zero_count:0,positive_spans:[0:4],positive_buckets:[1,0,2,1]}"},
		"a gap of two buckets begins a span": {nil, []float64{0.25, 2, 3, 32},
			"a {count:4,sum:37.25,schema:0,zero_threshold:2.938735877055719e-39,zero_count:0,positive_spans:[-2:1,2:2,2:1],positive_buckets:[1,1,1,1]}"},
		"negative buckets come first": {[]float64{-1}, []float64{-4, -4, 0, 1},
			"a {count:4,sum:-7,schema:0,zero_threshold:2.938735877055719e-39,zero_count:1,negative_spans:[2:1],negative_buckets:[2],positive_spans:[0:1],positive_buckets:[1],bucket:[-1:2,+Inf:4]}"},
		"the last bucket": {nil, []float64{math.MaxFloat64, math.Inf(1)},
			"a {count:2,sum:+Inf,schema:0,zero_threshold:2.938735877055719e-39,zero_count:0,positive_spans:[1024:2],positive_buckets:[1,1]}"},
	} {
		r := NewRegistry()
		h := r.Histogram("a", "", c.bounds, coarse)
		for _, v := range c.values {
			h.Observe(v)
		}
		got := open2(t, r)
		if want := "# TYPE a histogram\n" + c.want + "\n# EOF\n"; got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
		}
		testkit.ParseOpenMetrics2(t, got)
	}
}

// TestOpenMetrics2NativeExemplars: a histogram without classic buckets shows the exemplars of its
// native buckets in the order of their times. A histogram with classic buckets shows those of its
// classic buckets.
func TestOpenMetrics2NativeExemplars(t *testing.T) {
	r := NewRegistry(WithCreated())
	v := r.HistogramVec("a", "", nil, []string{"n"}, WithNative(NativeConfig{Factor: 2}))
	both := r.Histogram("b", "", []float64{1}, WithNative(NativeConfig{Factor: 2}))
	for i, n := range []string{"3", "1", "2"} { // more exemplars before fewer
		for k := range 3 - i {
			v.With(n).ObserveExemplar(math.Exp2(float64(9*k)), "k", string(rune('a'+k)))
		}
		times(v.With(n), func(x *exemplar.Exemplar) int64 { return 300_000 - int64(x.Value) })
	}
	both.ObserveExemplar(8, "k", "above")
	both.ObserveExemplar(0.5, "k", "below")
	times(both, func(x *exemplar.Exemplar) int64 { return int64(1000 * x.Value) })
	got := open2(t, r)
	testkit.ParseOpenMetrics2(t, got)
	for start, want := range map[string]string{
		`a{n="3"} `: ` # {k="c"} 262144.0 37.856 # {k="b"} 512.0 299.488 # {k="a"} 1.0 299.999`,
		`a{n="1"} `: ` # {k="b"} 512.0 299.488 # {k="a"} 1.0 299.999`,
		`a{n="2"} `: ` # {k="a"} 1.0 299.999`,
		`b `:        ` # {k="below"} 0.5 0.5 # {k="above"} 8.0 8`,
	} {
		_, line, _ := strings.Cut(got, "\n"+start)
		line, _, _ = strings.Cut(line, "\n")
		_, rest, _ := strings.Cut(line, "} st@")
		if _, exemplars, _ := strings.Cut(rest, " "); " "+exemplars != want {
			t.Errorf("%s: exemplars %s, want%s", start, exemplars, want)
		}
	}
}

// times sets the times of the exemplars of h, in Unix milliseconds.
func times(h *Histogram, at func(*exemplar.Exemplar) int64) {
	for i := range *h.last.Load() {
		if x := (*h.last.Load())[i].Load(); x != nil {
			x.At = at(x)
		}
	}
}

// TestOpenMetrics2OfSubAndJoin: registries with a prefix and joined registries have the same lines as
// a single registry.
func TestOpenMetrics2OfSubAndJoin(t *testing.T) {
	build := func(define func(r *Registry)) *Registry { r := NewRegistry(WithNative()); define(r); return r }
	a := build(func(r *Registry) {
		r.CounterVec("a_total", "", []string{"l"}).With("1").Inc()
		r.Histogram("h_seconds", "", []float64{1}).ObserveExemplar(0.5, "id", "1")
		r.Collect(func(e *Emitter) { e.Summary("s", "", SummarySnapshot{Count: 1, Sum: 2}, "l", "1") })
	})
	b := build(func(r *Registry) {
		r.CounterVec("a_total", "", []string{"l"}).With("2").Add(2)
		r.Collect(func(e *Emitter) {
			e.Summary("s", "", SummarySnapshot{Count: 2, Sum: 2, Quantiles: []Quantile{{0.5, 1}}}, "l", "2")
		})
	})
	got := open2(t, Join(a, b))
	testkit.ParseOpenMetrics2(t, got)
	line := func(s, start string) string {
		_, s, _ = strings.Cut(s, "\n"+start)
		s, _, _ = strings.Cut(s, "\n")
		return start + s
	}
	want := "# TYPE a_total counter\na_total{l=\"1\"} 1\na_total{l=\"2\"} 2\n# TYPE h_seconds histogram\n" + line(open2(t, a), "h_seconds ") +
		"\n# TYPE s summary\ns{l=\"1\"} {count:1,sum:2,quantile:[]}\ns{l=\"2\"} {count:2,sum:2,quantile:[0.5:1]}\n# EOF\n"
	if got != want || !strings.Contains(got, ",positive_buckets:[1],bucket:[1:1,+Inf:1]} # {id=\"1\"} 0.5 ") {
		t.Errorf("joined: got\n%s\nwant\n%s", got, want)
	}
	r := NewRegistry()
	r.Sub(WithPrefix("p_"), WithConstLabels("k", "v")).Counter("a_total", "").Inc()
	if got := open2(t, r); got != "# TYPE p_a_total counter\np_a_total{k=\"v\"} 1\n# EOF\n" {
		t.Errorf("a registry with a part: %s", got)
	}
}

// TestOpenMetrics2Allocations: a series allocates nothing.
func TestOpenMetrics2Allocations(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector allocates")
	}
	registry := func(n int) *Registry {
		r := NewRegistry(WithCreated())
		counters := r.FloatCounterVec("a_total", "", []string{"l"})
		classic := r.HistogramVec("b", "", nil, []string{"l"})
		native := r.HistogramVec("c", "", nil, []string{"l"}, WithNative())
		both := r.HistogramVec("d", "", []float64{1}, []string{"l"}, WithNative())
		for i := range n {
			l := strings.Repeat("x", i%7) + string(rune(0x100+i))
			counters.With(l).AddExemplar(1.5, "id", "1")
			for _, v := range []*HistogramVec{classic, native, both} {
				for k := range 20 {
					v.With(l).ObserveExemplar(float64(k*k), "id", "1")
				}
			}
		}
		return r
	}
	count := func(r *Registry) float64 {
		return testing.AllocsPerRun(20, func() { r.WriteOpenMetrics2(io.Discard) })
	}
	if a, b := count(registry(1)), count(registry(1000)); b > a {
		t.Errorf("%v allocations for 1000 series, %v for one", b, a)
	}
}

// TestOpenMetrics2BrokenWriter: nothing is written after an error, in particular not # EOF.
func TestOpenMetrics2BrokenWriter(t *testing.T) {
	r := NewRegistry()
	v := r.HistogramVec("a", "", nil, []string{"l"}, WithNative())
	for i := range 5000 {
		v.With(string(rune(0x100 + i))).Observe(1)
	}
	w := &failingWriter{n: 1}
	if err := r.WriteOpenMetrics2(w); err == nil || w.calls != 2 {
		t.Errorf("error %v after %d writes", err, w.calls)
	}
}

// FuzzOpenMetrics2 emits samples of all types with random strings and numbers. The strict parser of
// the tests must accept the exposition.
func FuzzOpenMetrics2(f *testing.F) {
	f.Add("a.b", "l l", "v\n", "help\r", 1.5, int64(1500), uint8(3))
	f.Add("a", "a", "\xff", "\"\\", math.NaN(), int64(-1), uint8(255))
	f.Add("", "quantile", "", "", math.Inf(-1), int64(math.MaxInt64), uint8(7))
	f.Fuzz(func(t *testing.T, name, label, value, help string, v float64, ms int64, n uint8) {
		r := NewRegistry(WithUTF8Names(), WithNative(NativeConfig{Factor: 1 + float64(int(n)+1)/64}), WithCreated())
		r.Collect(func(e *Emitter) {
			for i, e := range []*Emitter{e, e.At(time.UnixMilli(ms)).Created(time.UnixMilli(ms / 2)).Exemplars(Exemplar{v, []string{label, value}, time.UnixMilli(ms)}).Unit(label)} {
				for _, label := range []string{label, "l"} {
					l := []string{label, value, "i", string(rune('a' + i))}
					e.Counter(name+"_total", help, v, l...)
					e.Counter(name+"_"+label, help, v, l...)
					e.Gauge(name+"g", help, v, l...)
					e.Untyped(name+"u", help, v, l...)
					e.Info(name+"_info", help, l...)
					e.Summary(name+"s", help, SummarySnapshot{uint64(n), v, []Quantile{{0, v}, {float64(n) / 255, -v}}}, l...)
					e.Histogram(name+"h", help, HistogramSnapshot{Count: uint64(n), Sum: v, Buckets: []Bucket{{v, uint64(n / 2)}}}, l...)
					s := &NativeSnapshot{Schema: int(n%13) - 4, ZeroThreshold: max(v, 0), ZeroCount: uint64(n % 3)}
					count := s.ZeroCount
					for k := range int(n % 7) {
						s.Positive = append(s.Positive, NativeBucket{int(n%5)*k - 3 + k, uint64(k + 1)})
						s.Negative = append(s.Negative, NativeBucket{int(n%3)*k + k, 1})
						count += uint64(k + 2)
					}
					e.Histogram(name+"n", help, HistogramSnapshot{Count: count, Sum: v, Native: s}, l...)
				}
			}
		})
		if m, err := Try(func() *HistogramVec { return r.HistogramVec(name+"r", help, nil, []string{label}) }); err == nil {
			for k := range int(n) {
				m.With(value).ObserveExemplar(v*float64(k), "id", value)
			}
		}
		testkit.ParseOpenMetrics2(t, open2(t, r))
		for _, scheme := range []names.Scheme{names.Underscores, names.Dots, names.Values} {
			testkit.ParseOpenMetrics2(t, write(t, func(w io.Writer) error { return r.write(w, &expo.OpenMetrics2, scheme) }))
		}
	})
}
