package tacho

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite testdata/*.golden")

// goldens are registries whose whole output is kept in testdata.
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
	"labels": func() *Registry { // of each kind that has them, with awkward const labels before them
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
	"collected": func() *Registry { // among defined families, in the order of names
		r := NewRegistry()
		r.Gauge("b", "").Set(2)
		r.Gauge("d", "").Set(4)
		r.Collect(func(e *Emitter) {
			e.Gauge("e", "", 5)
			e.Gauge("a", "Series by labels, not as they came.", 3, "l", "b")
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
	"openmetrics": func() *Registry { // what only that format shows
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
			e.Info("not_named_so", "A gauge there.", "version", "1")
		})
		stamp(r)
		return r
	},
	"meeting": func() *Registry { // families that only OpenMetrics would give one name
		r := NewRegistry()
		r.Gauge("a", "").Set(1)
		r.Counter("a_total", "Keeps its name, loses its type.").AddExemplar(2, "id", "not shown")
		r.Histogram("b", "", []float64{1}).Observe(1)
		r.Counter("b_total", "").Add(3)
		r.Counter("c", "Both without a type.").Add(4)
		r.Counter("c_total", "").Add(5)
		r.Counter("d", "A gauge has the name of its sample.").Add(6)
		r.Gauge("d_total", "").Set(7)
		r.Counter("e_total", "Meets what a collector emits.").Add(8)
		r.Counter("f_total", "Meets nothing.").Add(9)
		r.Collect(func(e *Emitter) {
			e.Gauge("e", "", 10)
			e.Gauge("g", "", 11)
			e.Info("g_info", "A gauge there.", "version", "1")
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
		r.Gauge("a.b", "Escaped by values where a_b is taken.").Set(1)
		r.Gauge("a_b", "").Set(2)
		r.Gauge("x/y", "Both escaped by values.").Set(3)
		r.Gauge("x.y", "").Set(4)
		r.Gauge("m.n_count", "Would meet a sample.").Set(5)
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

// stamp gives every exemplar of a registry one time.
func stamp(r *Registry) {
	at := func(s *exemplarSlot) {
		if x := s.load(); x != nil {
			x.at = 1520879607789
		}
	}
	for _, f := range r.families {
		if f.vec == nil {
			continue
		}
		for s := range f.vec.table.Load().each {
			switch f.metric {
			case &counters:
				at(&(*Counter)(s.m).last)
			case &floatCounters:
				at(&(*FloatCounter)(s.m).last)
			case &histograms:
				slots := (*Histogram)(s.m).last.Load()
				for i := 0; slots != nil && i < len(*slots); i++ {
					at(&(*slots)[i])
				}
			}
		}
	}
}

func write(t testing.TB, f func(*bytes.Buffer) error) string {
	t.Helper()
	var b bytes.Buffer
	if err := f(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func text(t testing.TB, r *Registry) string {
	t.Helper()
	return write(t, func(b *bytes.Buffer) error { return r.WriteText(b) })
}

func open(t testing.TB, r *Registry) string {
	t.Helper()
	return write(t, func(b *bytes.Buffer) error { return r.WriteOpenMetrics(b) })
}

func TestGolden(t *testing.T) {
	for name, build := range goldens {
		r := build()
		golden(t, name+".txt", text(t, r))
		golden(t, name+".om", open(t, r))
		view := write(t, func(b *bytes.Buffer) error { return r.WriteJSON(b) })
		golden(t, name+".json", view)
		if !json.Valid([]byte(view)) {
			t.Errorf("%s.json is not JSON", name)
		}
	}
}

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

func TestEmptyRegistry(t *testing.T) {
	r := NewRegistry()
	if got := text(t, r); got != "" {
		t.Errorf("text %q", got)
	}
	if got := write(t, func(b *bytes.Buffer) error { return r.WriteJSON(b) }); got != "{}\n" {
		t.Errorf("JSON %q", got)
	}
}

// failing fails every write after the first n.
type failing struct{ n, calls int }

func (w *failing) Write(p []byte) (int, error) {
	if w.calls++; w.calls > w.n {
		return 0, errors.New("gone")
	}
	return len(p), nil
}

func TestWriteErrorEndsTheScrape(t *testing.T) {
	r := NewRegistry()
	v := r.CounterVec("c_total", "", []string{"i"})
	for i := range 20000 {
		v.With(strconv.Itoa(i))
	}
	calls := 0
	r.GaugeFunc("z", "", func() float64 { calls++; return 0 })
	w := &failing{n: 1}
	if err := r.WriteText(w); err == nil || err.Error() != "gone" {
		t.Errorf("error %v", err)
	}
	if w.calls != 2 || calls != 0 {
		t.Errorf("%d writes, %d calls of a later function", w.calls, calls)
	}
	if err := r.WriteJSON(&failing{}); err == nil {
		t.Error("JSON: no error")
	}
}

func TestScrapeAllocatesNothingForASeries(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	allocs := func(n int) float64 {
		r := NewRegistry()
		c := r.CounterVec("c_total", "", []string{"i"})
		h := r.HistogramVec("h", "", nil, []string{"i"})
		for i := range n {
			c.With(strconv.Itoa(i)).Inc()
			h.With(strconv.Itoa(i)).Observe(1)
		}
		w := &failing{n: math.MaxInt}
		r.WriteText(w)
		r.WriteOpenMetrics(w)
		return testing.AllocsPerRun(20, func() { r.WriteText(w); r.WriteOpenMetrics(w); r.WriteJSON(w) })
	}
	if few, many := allocs(1), allocs(1000); many > few+1 { // the pool may be emptied once
		t.Errorf("%v allocations for 1 series, %v for 1000", few, many)
	}
}

// parseText is a reader of the text format that shares nothing with its writer.
func parseText(t testing.TB, s string) (help map[string]string, samples map[string]string) {
	help, samples = map[string]string{}, map[string]string{}
	unescape := strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\"`, `"`)
	for _, line := range strings.Split(strings.TrimSuffix(s, "\n"), "\n") {
		if rest, ok := strings.CutPrefix(line, "# HELP "); ok {
			name, text, _ := strings.Cut(rest, " ")
			help[name] = strings.NewReplacer(`\\`, `\`, `\n`, "\n").Replace(text)
			continue
		}
		if strings.HasPrefix(line, "# ") || line == "" {
			continue
		}
		space := strings.LastIndexByte(line, ' ')
		series, value := line[:space], line[space+1:]
		if brace := strings.IndexByte(series, '{'); brace >= 0 {
			series = series[:brace] + "{" + unescape.Replace(series[brace+1:])
		}
		if _, twice := samples[series]; twice {
			t.Errorf("series twice: %q", series)
		}
		samples[series] = value
	}
	return help, samples
}

func FuzzExposition(f *testing.F) {
	f.Add("a", "b", "help", 1.5)
	f.Add("", "\xff\x00", "\\\n\"", math.NaN())
	f.Add("\\\"\n", "{},=", "", math.Inf(-1))
	f.Fuzz(func(t *testing.T, a, b, help string, value float64) {
		r := NewRegistry()
		v := r.FloatGaugeVec("g", help, []string{"a", "b"})
		v.With(a, b).Set(value)
		va, vb := string(appendValid(nil, a)), string(appendValid(nil, b))
		helps, samples := parseText(t, text(t, r))
		if want := string(appendValid(nil, help)); helps["g"] != want {
			t.Errorf("help %q, want %q", helps["g"], want)
		}
		got, ok := samples[`g{a="`+va+`",b="`+vb+`"}`]
		if parsed, err := strconv.ParseFloat(got, 64); !ok || err != nil || math.Float64bits(parsed) != math.Float64bits(value) && value == value {
			t.Errorf("%q: value %q of %v in %q", samples, got, value, text(t, r))
		}
		var view map[string][]struct {
			Labels map[string]string
			Value  *float64
		}
		raw := write(t, func(b *bytes.Buffer) error { return r.WriteJSON(b) })
		if err := json.Unmarshal([]byte(raw), &view); err != nil {
			t.Fatalf("%v: %s", err, raw)
		}
		s := view["g"][0]
		if s.Labels["a"] != va || s.Labels["b"] != vb {
			t.Errorf("JSON labels %q", s.Labels)
		}
		if finite := !math.IsNaN(value) && !math.IsInf(value, 0); finite != (s.Value != nil) || finite && *s.Value != value {
			t.Errorf("JSON value %s", raw)
		}
	})
}

// An engSample is one line of an exposition, taken apart.
type engSample struct {
	name   string
	labels [][2]string // in the order of the line
	value  float64
	at     string // the time, if there is one
}

// key tells series apart as Prometheus does: an empty label is none.
func (s engSample) key() string {
	labels := slices.Clone(s.labels)
	slices.SortFunc(labels, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	key := s.name
	for _, l := range labels {
		if l[1] != "" {
			key += strconv.Quote(l[0]) + strconv.Quote(l[1])
		}
	}
	return key
}

// engParse reads the text format byte by byte, and fails if families are out of
// order or in pieces, lines have no family, or series repeat.
func engParse(t testing.TB, s string) (samples []engSample) {
	t.Helper()
	if s != "" && !strings.HasSuffix(s, "\n") {
		t.Fatalf("the last line has no end: %q", s)
	}
	family, kind, helped := "", "", ""
	seen := map[string]bool{}
	for s != "" {
		end := strings.IndexByte(s, '\n')
		line := s[:end]
		s = s[end+1:]
		if rest, ok := strings.CutPrefix(line, "# HELP "); ok {
			helped, _, _ = strings.Cut(rest, " ")
			continue
		}
		if rest, ok := strings.CutPrefix(line, "# TYPE "); ok {
			name, k, _ := strings.Cut(rest, " ")
			if name != helped || name <= family {
				t.Fatalf("TYPE of %s after HELP of %s and family %s", name, helped, family)
			}
			family, kind = name, k
			continue
		}
		sample := engLine(t, line)
		suffix, ok := strings.CutPrefix(sample.name, family)
		if plain := suffix == ""; !ok || plain && kind == "histogram" || !plain && kind != "histogram" && kind != "summary" || !plain && !slices.Contains([]string{"_bucket", "_sum", "_count"}, suffix) {
			t.Fatalf("%q in the %s %s", line, kind, family)
		}
		if seen[sample.key()] {
			t.Fatalf("series twice: %q", line)
		}
		seen[sample.key()] = true
		samples = append(samples, sample)
	}
	return samples
}

// engLine reads name{label="value",...} value.
func engLine(t testing.TB, line string) (s engSample) {
	t.Helper()
	i := strings.IndexAny(line, "{ ")
	if i < 0 {
		t.Fatalf("no value: %q", line)
	}
	s.name = line[:i]
	if line[i] == '{' {
		for rest := line[i:]; ; {
			eq := strings.Index(rest, `="`)
			if eq < 0 {
				t.Fatalf("no label: %q", line)
			}
			name, value := rest[1:eq], []byte{}
			j := eq + 2
			for ; j < len(rest) && rest[j] != '"'; j++ {
				c := rest[j]
				if c == '\\' {
					j++
					escape := strings.IndexByte(`\"n`, rest[j])
					if escape < 0 {
						t.Fatalf("escape %q: %q", rest[j], line)
					}
					c = "\\\"\n"[escape]
				}
				value = append(value, c)
			}
			s.labels = append(s.labels, [2]string{name, string(value)})
			if rest = rest[j+1:]; rest[0] == '}' {
				line, i = rest, 1
				break
			}
		}
	}
	if line[i] != ' ' {
		t.Fatalf("no space before the value: %q", line)
	}
	value, at, _ := strings.Cut(line[i+1:], " ")
	s.at = at
	v, err := strconv.ParseFloat(value, 64)
	if err != nil {
		t.Fatal(err)
	}
	s.value = v
	return s
}

// FuzzSeries puts the same strings into every place that takes a string, and
// wants each of them back from both formats.
func FuzzSeries(f *testing.F) {
	f.Add("a", "b", "help", 1.5)
	f.Add("", "", "", 0.)
	f.Add("\xff", "\xfe", "\xc3", -1e300)
	f.Add(`",b="`, `\`, "\r\n", math.Inf(1))
	f.Add("other", "\u2028\x7f\x00", "# TYPE x", math.NaN())
	f.Fuzz(func(t *testing.T, a, b, help string, value float64) {
		r := NewRegistry(WithConstLabels("const", b))
		labels := []string{"a", "b"}
		r.CounterVec("c", help, labels, WithMaxSeries(2)).With(a, b).Inc()
		r.CounterVec("c", help, labels, WithMaxSeries(2)).With(b, a).Inc()
		r.CounterVec("c", help, labels, WithMaxSeries(2)).With(a+b, "").Inc()
		r.HistogramVec("h", help, []float64{0}, labels).With(a, b).Observe(value)
		r.Collect(func(e *Emitter) {
			e.Gauge("e", help, value, "a", a, "b", b)
			e.Untyped(a, help, value)
			e.Info("i", help, b, a)
		})
		samples := engParse(t, text(t, r))
		va, vb := string(appendValid(nil, a)), string(appendValid(nil, b))
		want := [][2]string{{"const", vb}, {"a", va}, {"b", vb}}
		found, counted := 0, 0.
		for _, s := range samples {
			if s.name == "c" {
				counted += s.value
			}
			if s.name == "e" || s.name == "h_sum" || s.name == "h_count" || s.name == "c" && slices.Equal(s.labels, want) {
				if found++; !slices.Equal(s.labels, want) {
					t.Errorf("%s: labels %q, want %q", s.name, s.labels, want)
				}
			}
			if s.name == "e" && math.Float64bits(s.value) != math.Float64bits(value) && value == value {
				t.Errorf("%v became %v", value, s.value)
			}
		}
		if found != 4 || counted != 3 {
			t.Errorf("%d of 4 samples, %v counted of 3", found, counted)
		}
		raw := write(t, func(b *bytes.Buffer) error { return r.WriteJSON(b) })
		var view map[string][]struct{ Labels map[string]string }
		if err := json.Unmarshal([]byte(raw), &view); err != nil {
			t.Fatalf("%v: %s", err, raw)
		}
		for _, name := range []string{"e", "h"} {
			if l := view[name][0].Labels; l["a"] != va || l["b"] != vb || l["const"] != vb {
				t.Errorf("JSON %s: labels %q", name, l)
			}
		}
	})
}

// TestGoldensParse holds the kept files themselves to the format.
func TestGoldensParse(t *testing.T) {
	for name := range goldens {
		if name == "utf8" {
			continue // in the order of names that are not there; see TestEscapedOutput
		}
		kept, err := os.ReadFile(filepath.Join("testdata", name+".txt.golden"))
		if err != nil {
			t.Fatal(err)
		}
		if len(engParse(t, string(kept))) == 0 {
			t.Errorf("%s has no sample", name)
		}
	}
}
