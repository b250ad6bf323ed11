package tacho

import (
	"encoding/json"
	"flag"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tachikoma/tacho/internal/exemplar"
	"github.com/tachikoma/tacho/internal/names"
	"github.com/tachikoma/tacho/internal/testkit"
)

var update = flag.Bool("update", false, "rewrite testdata/*.golden")

// goldens has registries whose output in each format is in testdata/*.golden.
var goldens = map[string]func() *Registry{
	"types": func() *Registry {
		r := NewRegistry()
		r.Counter("counter_total", "A counter.").Add(3)
		r.FloatCounter("float_counter_total", "A float counter.").Add(0.5)
		r.Gauge("gauge", "A gauge.").Set(-7)
		r.FloatGauge("float_gauge", "A float gauge.").Set(-0.25)
		h := r.Histogram("histogram_seconds", "A histogram.", []float64{.1, 1, math.Inf(1)})
		h.Observe(.1) // bounds are inclusive
		h.Observe(.2)
		h.Observe(5)
		r.CounterFunc("counter_func_total", "A counter function.", func() float64 { return 1.5 })
		r.GaugeFunc("gauge_func", "A gauge function.", func() float64 { return -1 })
		r.HistogramVec("sizes_bytes", "Default buckets.", nil, []string{"kind"}).With("a").Observe(.3)
		r.Collect(func(e *Emitter) {
			e.Counter("emitted_total", "Emitted counter.", 4, "a", "1")
			e.Gauge("emitted_gauge", "Emitted gauge.", 5)
			e.Untyped("emitted_untyped", "Emitted untyped.", 6)
			e.Info("emitted_info", "Emitted info.", "version", "1")
			e.Histogram("emitted_seconds", "Emitted histogram.", HistogramSnapshot{Count: 3, Sum: 7, Buckets: []Bucket{{1, 1}, {2, 2}}}, "x", "y")
		})
		return r
	},
	"order": func() *Registry {
		r := NewRegistry(WithConstLabels("zone", "eu"))
		v := r.CounterVec("b_total", "Series by label values, labels as defined.", []string{"z", "a"}, WithConstLabels("k", "v"))
		for _, s := range []string{"b", "a", "ab", "a\x01", "", "é"} {
			v.With(s, "2").Inc()
			v.With(s, "1").Inc()
		}
		r.Counter("c_total", "")
		r.Counter("a_total", "")
		r.Counter("B_total", "")
		r.GaugeVec("empty", "A family without series is left out.", []string{"x"})
		return r
	},
	"escapes": func() *Registry {
		r := NewRegistry()
		v := r.GaugeVec("g", "Help with \\ and\nnewline and \"quotes\" and é.", []string{"v"})
		for _, s := range []string{"", "é日本", `\`, "\n", `"`, `\n`, "bad\xff\xfeutf8", "tab\tnul\x00", "{}=,", " "} {
			v.With(s).Set(1)
		}
		return r
	},
	"values": func() *Registry {
		r := NewRegistry()
		v := r.FloatGaugeVec("f", "Floats.", []string{"v"})
		for _, f := range []float64{0, math.Copysign(0, -1), 1e21, 1e-7, 1e6, 999999, -999999, 123456789, 0.1, 1. / 3,
			math.MaxFloat64, math.SmallestNonzeroFloat64, math.NaN(), math.Inf(1), math.Inf(-1)} {
			v.With(strconv.FormatFloat(f, 'g', -1, 64)).Set(f)
		}
		r.Counter("max_total", "Largest counter.").Add(math.MaxUint64)
		r.Gauge("min", "Smallest gauge.").Set(math.MinInt64)
		h := r.Histogram("h", "Bounds.", []float64{math.Copysign(0, -1), 1e-7, 100, 1e6, 1e21})
		h.Observe(math.Inf(1))
		return r
	},
	"labels": func() *Registry { // every type of metric, with const labels that need escaping
		r := NewRegistry(WithConstLabels("r", "a\\b\n\"c\""))
		c := WithConstLabels("m", "bad\xff", "empty", "")
		r.CounterVec("counter_total", "", []string{"l"}, c).With("\n").Add(1)
		r.FloatCounterVec("float_counter_total", "", []string{"l"}, c).With("").Add(0.5)
		r.GaugeVec("gauge", "", []string{"l"}, c).With("é").Set(-1)
		r.FloatGaugeVec("float_gauge", "", []string{"l"}, c).With("\x7f").Set(1e-7)
		h := r.HistogramVec("histogram", "", []float64{1, 2.5}, []string{"z", "a"}, c)
		h.With("2", "1").Observe(2)
		h.With("1", "2").Observe(3)
		r.CounterFunc("func_total", "", func() float64 { return 1e21 }, c)
		r.GaugeFunc("func", "Help with \xff inside.", func() float64 { return math.NaN() }, c)
		return r
	},
	"collected": func() *Registry { // collected families are sorted among the defined families
		r := NewRegistry()
		r.Gauge("b", "").Set(2)
		r.Gauge("d", "").Set(4)
		r.Collect(func(e *Emitter) {
			e.Gauge("e", "", 5)
			e.Gauge("a", "Series sorted by labels.", 3, "l", "b")
			e.Gauge("a", "", 2, "l", "a\x01")
			e.Gauge("a", "", 1, "l", "a")
			e.Histogram("c", "Without finite buckets.", HistogramSnapshot{Count: 2, Sum: math.Inf(1)})
			e.Histogram("f", "", HistogramSnapshot{Count: 2, Sum: -1, Buckets: []Bucket{{-1, 1}, {math.Inf(1), 2}}}, "l", "\\")
			e.Counter("g_total", "", 1e6)
			e.Untyped("h", "", math.Inf(-1), "l", "")
			e.Info("i_info", "", "v", "\"1\"")
		})
		r.Collect(func(e *Emitter) { e.Gauge("a", "", 4, "l", "c") })
		return r
	},
	"openmetrics": func() *Registry { // properties that only OpenMetrics shows
		r := NewRegistry()
		c := r.CounterVec("sent_bytes_total", "Help with \\, \"quotes\" and\nnewline.", []string{"to"}, WithUnit("bytes"))
		c.With("a").AddExemplar(7, "trace_id", "4bf92f35", "quote", "\"")
		c.With("b").AddExemplar(1<<40, "trace_id", "00f067aa")
		r.FloatCounter("work_seconds", "A counter without _total.", WithUnit("seconds")).AddExemplar(0.5, "id", "1")
		h := r.HistogramVec("wait_seconds", "", []float64{0, .5, 1}, []string{"q"}, WithUnit("seconds"))
		h.With("").ObserveExemplar(.5, "id", "half")
		h.With("").ObserveExemplar(2, "id", "two")
		h.With("x").Observe(.1)
		r.Gauge("size_bytes", "", WithUnit("bytes")).Set(-1)
		r.Histogram("below", "A negative bound: no sum, no count.", []float64{-1, 1}).Observe(-.5)
		r.Histogram("below_by_sum", "A negative sum.", []float64{1}).Observe(-2)
		r.Histogram("nan_sum", "", nil).Observe(math.Inf(1))
		nan := r.Histogram("nan_sum_too", "", nil)
		nan.Observe(math.Inf(1))
		nan.Observe(math.Inf(-1))
		r.Collect(func(e *Emitter) {
			at := e.At(time.UnixMilli(1520879607789))
			at.Gauge("timed", "", 1)
			e.Gauge("timed", "", 2, "l", "untimed")
			e.At(time.UnixMilli(1500)).Counter("timed_total", "", 3, "l", "early")
			e.At(time.UnixMilli(1520879607000)).Untyped("timed_whole", "", 4)
			at.Histogram("timed_h", "", HistogramSnapshot{Count: 1, Sum: 1, Buckets: []Bucket{{1, 1}}}, "l", "1")
			at.Info("timed_info", "", "version", "1")
			e.Summary("sum_seconds", "", SummarySnapshot{Count: 3, Sum: 1.5, Quantiles: []Quantile{{0, -.1}, {.5, .5}, {1, math.NaN()}}}, "l", "1")
			e.Summary("sum_seconds", "", SummarySnapshot{Count: 1, Sum: -1}, "l", "below")
			at.Summary("sum_alone", "", SummarySnapshot{Quantiles: []Quantile{{.99, 2}}})
			e.Info("not_named_so", "A gauge in OpenMetrics.", "version", "1")
		})
		stamp(r)
		return r
	},
	"name_collision": func() *Registry { // families whose names collide only in OpenMetrics
		r := NewRegistry()
		r.Gauge("a", "").Set(1)
		r.Counter("a_total", "Has its name and no type.").AddExemplar(2, "id", "not shown")
		r.Histogram("b", "", []float64{1}).Observe(1)
		r.Counter("b_total", "").Add(3)
		r.Counter("c", "Both without a type.").Add(4)
		r.Counter("c_total", "").Add(5)
		r.Counter("d", "Its sample collides with a gauge.").Add(6)
		r.Gauge("d_total", "").Set(7)
		r.Counter("e_total", "Collides with a collected family.").Add(8)
		r.Counter("f_total", "Collides with no family.").Add(9)
		r.Collect(func(e *Emitter) {
			e.Gauge("e", "", 10)
			e.Gauge("g", "", 11)
			e.Info("g_info", "A gauge in OpenMetrics.", "version", "1")
			e.Info("h_info", "", "version", "1")
		})
		stamp(r)
		return r
	},
	"utf8": func() *Registry {
		r := NewRegistry(WithUTF8Names(), WithConstLabels("const.label", "c"))
		v := r.CounterVec("http.requests_total", "Help.", []string{"http.method", "legacy", "naïve \"\\\n=,{} "})
		v.With("GET", "a", "x").Inc()
		v.With("\"", "\\", "\n").Add(2)
		r.Histogram("wait.time_seconds", "", []float64{1}, WithUnit("seconds")).Observe(.5)
		r.Gauge("a.b", "Escaped by values: a_b exists.").Set(1)
		r.Gauge("a_b", "").Set(2)
		r.Gauge("x/y", "Both escaped by values.").Set(3)
		r.Gauge("x.y", "").Set(4)
		r.Gauge("m.n_count", "Would collide with a sample.").Set(5)
		r.Histogram("m_n", "", []float64{}).Observe(1)
		r.GaugeVec("..", "", []string{"..x"}).With("reserved").Set(6)
		r.Counter("1", "").Inc()
		r.GaugeFunc("é", "", func() float64 { return 7 })
		r.Collect(func(e *Emitter) {
			e.Gauge("emitted.gauge", "", 8, "l.l", "1")
			e.Gauge("emitted.gauge", "", 9, "l", "1")
			e.Info("emitted.gauge_info", "", "v v", "1")
		})
		stamp(r)
		return r
	},
}

// stamp sets the time of every exemplar of a registry.
func stamp(r *Registry) {
	at := func(s *exemplar.Slot) {
		if x := s.Load(); x != nil {
			x.At = 1520879607789
		}
	}
	for _, f := range r.defined {
		if f.vec == nil {
			continue
		}
		for _, m := range f.vec.store.Snapshot().Each {
			switch f.metric {
			case &counters:
				at(&(*Counter)(m).last)
			case &floatCounters:
				at(&(*FloatCounter)(m).last)
			case &histograms:
				slots := (*Histogram)(m).last.Load()
				for i := 0; slots != nil && i < len(*slots); i++ {
					at(&(*slots)[i])
				}
			}
		}
	}
}

func TestGolden(t *testing.T) {
	for name, build := range goldens {
		r := build()
		golden(t, name+".txt", text(t, r))
		golden(t, name+".om", open(t, r))
		golden(t, name+".om2", open2(t, r))
		golden(t, name+".pb", protobufText(t, r))
		view := jsonText(t, r)
		golden(t, name+".json", view)
		if !json.Valid([]byte(view)) {
			t.Errorf("%s.json is not JSON", name)
		}
	}
}

// golden compares got with a file in testdata. With -update it writes the file first.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
	}
}

// TestGoldensParse: the golden files in the text format are valid.
func TestGoldensParse(t *testing.T) {
	for name := range goldens {
		if name == "utf8" {
			continue // families are sorted by names before escaping; see TestEscapedOutput
		}
		file, err := os.ReadFile(filepath.Join("testdata", name+".txt.golden"))
		if err != nil {
			t.Fatal(err)
		}
		if len(testkit.ParseText(t, string(file))) == 0 {
			t.Errorf("%s has no sample", name)
		}
	}
}

// TestFormatsAgree: all formats have the same samples. JSON has null for NaN and the
// infinities.
func TestFormatsAgree(t *testing.T) {
	for name, build := range goldens {
		if name == "utf8" || name == "name_collision" {
			continue // the names of the families depend on the format
		}
		r := build()
		if n := len(testkit.ParseOpenMetrics(t, open(t, r))); n == 0 {
			t.Errorf("%s: no samples in OpenMetrics", name)
		}
		want := map[string]float64{}
		for _, s := range testkit.ParseText(t, text(t, r)) {
			want[s.Key()] = s.Value
		}
		got := testkit.ParseJSON(t, jsonText(t, r))
		for _, s := range got {
			if v, ok := want[s.Key()]; !ok || s.Value == s.Value && s.Value != v {
				t.Errorf("%s: JSON has %s %v, text %v %v", name, s.Key(), s.Value, ok, v)
			}
		}
		if len(got) != len(want) {
			t.Errorf("%s: JSON has %d samples, text %d", name, len(got), len(want))
		}
	}
}

// TestEscapedOutput: escaped output is valid text format 0.0.4, whose names are all in the
// legacy set.
func TestEscapedOutput(t *testing.T) {
	r := goldens["utf8"]()
	seen := map[string]bool{}
	for _, line := range strings.Split(text(t, r), "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		s := testkit.ParseLine(t, line)
		seen[s.Name] = true
		if !names.ValidMetric(s.Name) {
			t.Errorf("name %q", s.Name)
		}
		for _, l := range s.Labels {
			if !names.ValidLabel(l.Name) {
				t.Errorf("label %q in %q", l.Name, line)
			}
		}
	}
	if len(seen) != 17 {
		t.Errorf("%d names: %v", len(seen), seen)
	}
}
