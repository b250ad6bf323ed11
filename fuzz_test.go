package tacho

import (
	"encoding/binary"
	"errors"
	"math"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// everyFormat returns what the strict readers make of a registry, by format.
func everyFormat(t *testing.T, r *Registry) map[string][]engSample {
	t.Helper()
	all := map[string][]engSample{}
	for format, write := range map[string]func(*strings.Builder) error{
		"text":        func(b *strings.Builder) error { return r.WriteText(b) },
		"OpenMetrics": func(b *strings.Builder) error { return r.WriteOpenMetrics(b) },
		"JSON":        func(b *strings.Builder) error { return r.WriteJSON(b) },
	} {
		var b strings.Builder
		if err := write(&b); err != nil {
			t.Fatal(err)
		}
		all[format] = strictReaders[format](t, b.String())
		strictSound(t, all[format], nil, func(engSample) bool { return false })
	}
	return all
}

// FuzzEveryFormat puts the same strings and numbers into metrics of all types, and
// wants every format to say the same of them: what went in, made valid.
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
		va, vb := string(appendValid(nil, a)), string(appendValid(nil, b))
		all := everyFormat(t, r)
		want := map[string]float64{}
		for _, s := range all["text"] {
			want[s.key()] = s.value
		}
		for format, samples := range all {
			mine := 0
			for _, s := range samples {
				if strings.HasSuffix(s.name, "_created") {
					continue // in OpenMetrics alone
				}
				v, ok := want[s.key()]
				same := v == s.value || v != v && s.value != s.value || format == "JSON" && s.value != s.value && math.IsInf(v, 0)
				if !ok || !same {
					t.Errorf("%s: %s is %v, in text %v", format, s.key(), s.value, v)
				}
				if strings.HasPrefix(s.name, "tacho_") {
					continue
				}
				if mine++; s.labels[0] != [2]string{"const", va} || s.labels[1] != [2]string{"a", va} || s.labels[2] != [2]string{"b", vb} {
					t.Errorf("%s: labels %q, want %q, %q and %q", format, s.labels, va, va, vb)
				}
			}
			// 6 single samples, a histogram of 2 buckets, its _sum and its _count
			if mine != 10 && !(mine == 8 && format == "OpenMetrics" && value != value) {
				t.Errorf("%s has %d samples", format, mine)
			}
		}
	})
}

// FuzzBuckets defines a histogram with any bounds and observes any value: either
// the bounds are refused, or each bucket counts what is up to its bound.
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
				t.Errorf("a refused definition is shown: %s", s)
			}
			return
		}
		h.Observe(v)
		s := h.Snapshot()
		for _, b := range s.Buckets {
			if (b.Count == 1) != (v <= b.UpperBound) {
				t.Errorf("%v observed, bucket up to %v has %d", v, b.UpperBound, b.Count)
			}
		}
		if n := len(s.Buckets); !math.IsInf(s.Buckets[n-1].UpperBound, 1) || s.Count != s.Buckets[n-1].Count {
			t.Errorf("%+v", s)
		}
		everyFormat(t, r)
	})
}

// FuzzJSONString wants a label's value back from encoding/json, whatever bytes it
// was made of, and likewise one that was counted under a name in UTF-8.
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
		got := strictJSON(t, jsonView(t, r))
		if len(got) != n {
			t.Fatalf("%d samples, want %d: %v", len(got), n, got)
		}
		valid := string(appendValid(nil, s))
		for _, x := range got {
			for _, l := range x.labels {
				if l[1] != valid {
					t.Errorf("%q became %q", s, l[1])
				}
			}
			if x.name != "g" && x.name != "x "+s {
				t.Errorf("the name %q became %q", "x "+s, x.name)
			}
		}
	})
}

func jsonView(t *testing.T, r *Registry) string {
	var b strings.Builder
	if err := r.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// FuzzDefinition defines metrics of all types under any name, label and unit: each
// is refused with a *DefinitionError, or is in a scrape that every reader takes.
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
		var b strings.Builder
		if err := r.WriteOpenMetrics(&b); err != nil {
			t.Fatal(err)
		}
		strictOpen(t, b.String())
		if !anyName { // escaped names are not in order any more
			engParse(t, text(t, r))
		}
		strictJSON(t, jsonView(t, r))
		if !utf8.ValidString(b.String()) {
			t.Errorf("not UTF-8: %q", b.String())
		}
		if defined > 0 && !strings.Contains(b.String(), "# TYPE ") {
			t.Errorf("%d definitions and no family: %q", defined, b.String())
		}
	})
}
