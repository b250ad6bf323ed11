package tacho

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
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

func TestGolden(t *testing.T) {
	for name, build := range goldens {
		r := build()
		golden(t, name+".txt", text(t, r))
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
		return testing.AllocsPerRun(20, func() { r.WriteText(w); r.WriteJSON(w) })
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
