package tacho

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/tachikoma/tacho/internal/escape"
	"github.com/tachikoma/tacho/internal/testkit"
)

// FuzzExposition: the text format and JSON return the strings and the value of a gauge.
func FuzzExposition(f *testing.F) {
	f.Add("a", "b", "help", 1.5)
	f.Add("", "\xff\x00", "\\\n\"", math.NaN())
	f.Add("\\\"\n", "{},=", "", math.Inf(-1))
	f.Fuzz(func(t *testing.T, a, b, help string, value float64) {
		r := NewRegistry()
		v := r.FloatGaugeVec("g", help, []string{"a", "b"})
		v.With(a, b).Set(value)
		va, vb := escape.Valid(a), escape.Valid(b)
		scrape := text(t, r)
		if got, want := testkit.ParseHelp(scrape)["g"], escape.Valid(help); got != want {
			t.Errorf("help %q, want %q", got, want)
		}
		samples := testkit.ParseText(t, scrape)
		if len(samples) != 1 || samples[0].Name != "g" || !slices.Equal(samples[0].Labels, testkit.Pairs("a", va, "b", vb)) {
			t.Fatalf("samples %+v, want one with the labels %q and %q", samples, va, vb)
		}
		if got := samples[0].Value; math.Float64bits(got) != math.Float64bits(value) && value == value {
			t.Errorf("value %v, want %v, in %q", got, value, scrape)
		}
		var view map[string][]struct {
			Labels map[string]string
			Value  *float64
		}
		raw := jsonText(t, r)
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

// FuzzSeries passes the same strings to every argument that is a string. The text format
// and JSON must return them.
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
		samples := testkit.ParseText(t, text(t, r))
		va, vb := escape.Valid(a), escape.Valid(b)
		want := testkit.Pairs("const", vb, "a", va, "b", vb)
		found, counted := 0, 0.
		for _, s := range samples {
			if s.Name == "c" {
				counted += s.Value
			}
			if s.Name == "e" || s.Name == "h_sum" || s.Name == "h_count" || s.Name == "c" && slices.Equal(s.Labels, want) {
				if found++; !slices.Equal(s.Labels, want) {
					t.Errorf("%s: labels %q, want %q", s.Name, s.Labels, want)
				}
			}
			if s.Name == "e" && math.Float64bits(s.Value) != math.Float64bits(value) && value == value {
				t.Errorf("%v became %v", value, s.Value)
			}
		}
		if found != 4 || counted != 3 {
			t.Errorf("%d samples, want 4, and a total of %v, want 3", found, counted)
		}
		raw := jsonText(t, r)
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

// everyFormat returns the samples of a registry in each format, and checks its histograms.
func everyFormat(t *testing.T, r *Registry) map[string][]testkit.Sample {
	t.Helper()
	all := map[string][]testkit.Sample{}
	for format, f := range writers(r) {
		all[format] = testkit.Parsers[format](t, write(t, f))
		testkit.CheckHistograms(t, all[format])
	}
	return all
}

// FuzzEveryFormat passes the same strings and numbers to metrics of all types. Every format
// must have the same samples, with these strings made valid UTF-8.
func FuzzEveryFormat(f *testing.F) {
	f.Add("a", "b", "help", 1.5)
	f.Add("\xff", "\\\"\n", "\\\n\"", math.Inf(1))
	f.Fuzz(func(t *testing.T, a, b, help string, value float64) {
		r := NewRegistry(WithConstLabels("const", a), WithCreated())
		labels := []string{"a", "b"}
		r.CounterVec("c_total", help, labels).With(a, b).AddExemplar(1, "a", a, "b", b)
		r.GaugeVec("g", help, labels).With(a, b).Set(1)
		r.FloatGaugeVec("fg", help, labels).With(a, b).Set(value)
		r.FloatCounterVec("fc_total", help, labels).With(a, b).AddExemplar(value, "a", a)
		r.HistogramVec("h", help, []float64{1}, labels).With(a, b).ObserveExemplar(math.Abs(value), "b", b)
		r.Collect(func(e *Emitter) {
			e.Gauge("e", help, value, "a", a, "b", b)
			e.Info("i_info", help, "a", a, "b", b)
		})
		va, vb := escape.Valid(a), escape.Valid(b)
		all := everyFormat(t, r)
		want := map[string]float64{}
		for _, s := range all["text"] {
			want[s.Key()] = s.Value
		}
		for format, samples := range all {
			mine := 0
			for _, s := range samples {
				if strings.HasSuffix(s.Name, "_created") {
					continue // only in OpenMetrics
				}
				v, ok := want[s.Key()]
				same := v == s.Value || v != v && s.Value != s.Value || format == "JSON" && s.Value != s.Value && math.IsInf(v, 0)
				if !ok || !same {
					t.Errorf("%s: %s is %v, in the text format %v", format, s.Key(), s.Value, v)
				}
				if strings.HasPrefix(s.Name, "tacho_") {
					continue
				}
				if mine++; !slices.Equal(s.Labels[:3], testkit.Pairs("const", va, "a", va, "b", vb)) {
					t.Errorf("%s: labels %q, want %q, %q and %q", format, s.Labels, va, va, vb)
				}
			}
			// 6 metrics of one sample, and a histogram of 2 buckets, _sum and _count. OpenMetrics
			// has no _sum and _count if the sum is NaN.
			if mine != 10 && !(mine == 8 && format == "OpenMetrics" && value != value) {
				t.Errorf("%s has %d samples", format, mine)
			}
		}
	})
}

// FuzzWith: two lists of label values have the same series if and only if they are equal
// after invalid UTF-8 is replaced.
func FuzzWith(f *testing.F) {
	f.Add("a", "bc", "ab", "c")
	f.Add("\xff", "", "", "\xff")
	f.Add("a\x00", "b", "a", "\x00b")
	f.Fuzz(func(t *testing.T, a1, a2, b1, b2 string) {
		valid := func(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
		want := valid(a1) == valid(b1) && valid(a2) == valid(b2)
		v := NewRegistry().CounterVec("x", "", []string{"a", "b"})
		if same := v.With(a1, a2) == v.With(b1, b2); same != want {
			t.Errorf("(%q,%q) and (%q,%q): same series %v", a1, a2, b1, b2, same)
		}
	})
}

// FuzzBuckets defines a histogram with any bounds and observes any value. Bad bounds are
// refused. Otherwise each bucket counts the values up to its bound.
func FuzzBuckets(f *testing.F) {
	f.Add([]byte(nil), 0.)
	f.Fuzz(func(t *testing.T, raw []byte, v float64) {
		bounds := []float64{}
		for ; len(raw) >= 8; raw = raw[8:] {
			bounds = append(bounds, math.Float64frombits(binary.BigEndian.Uint64(raw)))
		}
		good := true
		for i, b := range bounds {
			last := i == len(bounds)-1
			good = good && b == b && !math.IsInf(b, -1) && (last || !math.IsInf(b, 1)) && (i == 0 || b > bounds[i-1])
		}
		r := NewRegistry()
		h, err := Try(func() *Histogram { return r.Histogram("h", "", bounds) })
		if (err == nil) != good {
			t.Fatalf("%v: %v", bounds, err)
		}
		if err != nil {
			if s := text(t, r); s != "" {
				t.Errorf("a scrape shows a refused definition: %s", s)
			}
			return
		}
		h.Observe(v)
		s := h.Snapshot()
		for _, b := range s.Buckets {
			if (b.Count == 1) != (v <= b.UpperBound) {
				t.Errorf("%v observed, the bucket up to %v has %d", v, b.UpperBound, b.Count)
			}
		}
		if n := len(s.Buckets); !math.IsInf(s.Buckets[n-1].UpperBound, 1) || s.Count != s.Buckets[n-1].Count {
			t.Errorf("%+v", s)
		}
		everyFormat(t, r)
	})
}

// FuzzJSONString: JSON returns every label value and every UTF-8 name.
func FuzzJSONString(f *testing.F) {
	f.Add("")
	f.Add("\x00\x1f\x7f\u2028\\\"/")
	f.Fuzz(func(t *testing.T, s string) {
		r := NewRegistry(WithUTF8Names())
		r.GaugeVec("g", s, []string{"before", "v", "after"}).With(s, s, s).Set(1)
		n := 1
		if _, err := Try(func() *Gauge { return r.Gauge("x "+s, "") }); err == nil {
			n++
		}
		got := testkit.ParseJSON(t, jsonText(t, r))
		if len(got) != n {
			t.Fatalf("%d samples, want %d: %v", len(got), n, got)
		}
		valid := escape.Valid(s)
		for _, x := range got {
			for _, l := range x.Labels {
				if l.Value != valid {
					t.Errorf("%q became %q", s, l.Value)
				}
			}
			if x.Name != "g" && x.Name != "x "+s {
				t.Errorf("the name %q became %q", "x "+s, x.Name)
			}
		}
	})
}

// FuzzDefinition defines metrics of all types with any names, labels and units. A definition
// is refused with a *DefinitionError, or every parser accepts the scrape.
func FuzzDefinition(f *testing.F) {
	f.Add("name", "label", "", "other", false)
	f.Add("é.total", "le", "total", "é_total", true)
	f.Fuzz(func(t *testing.T, name, label, unit, other string, anyName bool) {
		opts := []Option{}
		if anyName {
			opts = append(opts, WithUTF8Names())
		}
		r := NewRegistry(opts...)
		unitOf := []Option{}
		if unit != "" {
			unitOf = append(unitOf, WithUnit(unit))
		}
		defined := 0
		try := func(define func()) {
			_, err := Try(func() int { define(); return 0 })
			var bad *DefinitionError
			if err == nil {
				defined++
			} else if !errors.As(err, &bad) || !strings.HasPrefix(err.Error(), "tacho: ") {
				t.Errorf("%v", err)
			}
		}
		for i, name := range []string{name, other, name + "_total", name + "_" + unit, name + "_" + unit + "_total"} {
			try(func() { r.CounterVec(name, "", []string{label}, unitOf...).With("v").Inc() })
			try(func() { r.GaugeVec(name+strconv.Itoa(i), "", []string{label, other}, unitOf...).With("v", "w").Set(1) })
			try(func() { r.HistogramVec(other+name, "", nil, []string{label}, unitOf...).With("v").Observe(1) })
			try(func() { r.Gauge(strings.TrimSuffix(name, "_total"), "", WithConstLabels(label, other)) })
		}
		r.Collect(func(e *Emitter) { e.Info(name, "", label, other) })
		om := open(t, r)
		testkit.ParseOpenMetrics(t, om)
		if !anyName { // escaped names are not sorted
			testkit.ParseText(t, text(t, r))
		}
		testkit.ParseJSON(t, jsonText(t, r))
		if !utf8.ValidString(om) {
			t.Errorf("not UTF-8: %q", om)
		}
		if defined > 0 && !strings.Contains(om, "# TYPE ") {
			t.Errorf("%d definitions and no family in %q", defined, om)
		}
	})
}
