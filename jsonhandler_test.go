//go:build !tacho_nohttp

package tacho

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"testing"
)

// A jsonSeries is a series in the output of the JSON handler.
type jsonSeries struct {
	Labels  map[string]string
	Value   *float64
	Count   *uint64
	Buckets []struct {
		Le    *float64
		Count uint64
	}
}

// jsonFamilies decodes the output of the JSON handler. It fails the test if there are
// unknown members.
func jsonFamilies(t *testing.T, r *Registry) map[string][]jsonSeries {
	t.Helper()
	w := requestMetrics(r.JSONHandler(), "GET")
	d := json.NewDecoder(w.Body)
	d.DisallowUnknownFields()
	var all map[string][]jsonSeries
	if err := d.Decode(&all); err != nil {
		t.Fatalf("%v\n%s", err, w.Body)
	}
	if token, err := d.Token(); err != io.EOF {
		t.Fatalf("token %v and error %v after the object, want %v", token, err, io.EOF)
	}
	return all
}

func TestJSONShape(t *testing.T) {
	r := NewRegistry(WithConstLabels("app", "x"))
	if got := jsonFamilies(t, r); len(got) != 0 {
		t.Errorf("the JSON of an empty registry is %v, want no family", got)
	}
	r.CounterVec("unused_total", "No series.", []string{"a"})
	r.Counter("max_total", "").Add(math.MaxUint64)
	r.Gauge("low", "").Set(math.MinInt64)
	fg := r.FloatGaugeVec("f", "", []string{"v"})
	floats := map[string]float64{
		"nan": math.NaN(), "+inf": math.Inf(1), "-inf": math.Inf(-1),
		"0": 0, "-0": math.Copysign(0, -1), "huge": math.MaxFloat64, "tiny": 5e-324, "1e21": 1e21, "1e-7": 1e-7,
	}
	for k, v := range floats {
		fg.With(k).Set(v)
	}
	h := r.HistogramVec("h", "", []float64{0.5, 1}, []string{"k"}).With("v")
	for _, v := range []float64{0.25, 0.5, 0.75, 8} {
		h.Observe(v)
	}
	r.Histogram("none", "", []float64{})

	all := jsonFamilies(t, r)
	if _, ok := all["unused_total"]; ok {
		t.Error("the JSON has a family without series")
	}
	if e := all["max_total"]; len(e) != 1 || e[0].Value == nil || *e[0].Value != math.MaxUint64 || e[0].Labels["app"] != "x" || e[0].Count != nil {
		t.Errorf("max_total is %+v", e)
	}
	if body := requestMetrics(r.JSONHandler(), "GET").Body.String(); !strings.Contains(body, "18446744073709551615") || !strings.Contains(body, "-9223372036854775808") {
		t.Errorf("integers are not exact:\n%s", body)
	}
	if len(all["f"]) != len(floats) {
		t.Errorf("f is %+v, want %d series", all["f"], len(floats))
	}
	for _, e := range all["f"] {
		want := floats[e.Labels["v"]]
		if math.IsNaN(want) || math.IsInf(want, 0) {
			if e.Value != nil {
				t.Errorf("%s is %v, want null", e.Labels["v"], *e.Value)
			}
		} else if e.Value == nil || math.Float64bits(*e.Value) != math.Float64bits(want) {
			t.Errorf("%s is %v, want %v", e.Labels["v"], e.Value, want)
		}
	}
	hs := all["h"]
	if len(hs) != 1 || *hs[0].Value != 9.5 || *hs[0].Count != 4 || len(hs[0].Buckets) != 3 ||
		fmt.Sprint(hs[0].Labels) != "map[app:x k:v]" {
		t.Fatalf("h is %+v", hs)
	}
	for i, want := range []struct {
		le    float64
		count uint64
	}{{0.5, 2}, {1, 3}, {math.Inf(1), 4}} {
		b := hs[0].Buckets[i]
		if b.Count != want.count || (b.Le == nil) != math.IsInf(want.le, 1) || b.Le != nil && *b.Le != want.le {
			t.Errorf("bucket %d is %+v, want %v", i, b, want)
		}
	}
	if e := all["none"]; len(e) != 1 || len(e[0].Buckets) != 1 || e[0].Buckets[0].Le != nil || *e[0].Count != 0 || *e[0].Value != 0 {
		t.Errorf("none is %+v", e)
	}
}

func TestJSONLabelsRoundTrip(t *testing.T) {
	values := []string{"", " ", `"`, `\`, `\"`, `\n`, "\n", "a\"b\\c\nd", `{a="b",c="d"} `, "=,{}", "é世🙂", "\u2028\u2029", "\x7f", "</script>", `\u0041`, `trailing\`}
	for c := 0; c < 0x20; c++ {
		values = append(values, "c"+string(rune(c)))
	}
	r := NewRegistry()
	v := r.GaugeVec("g", "", []string{"a", "b"})
	for i, s := range values {
		v.With(s, strconv.Itoa(i)).Set(int64(i))
	}
	v.With("\xff", "bad")
	got := jsonFamilies(t, r)["g"]
	if len(got) != len(values)+1 {
		t.Fatalf("%d series, want %d", len(got), len(values)+1)
	}
	for _, e := range got {
		if e.Labels["b"] == "bad" {
			if e.Labels["a"] != "\uFFFD" {
				t.Errorf("invalid UTF-8 is decoded as %q, want U+FFFD", e.Labels["a"])
			}
			continue
		}
		if i := int(*e.Value); e.Labels["a"] != values[i] || e.Labels["b"] != strconv.Itoa(i) || len(e.Labels) != 2 {
			t.Errorf("the labels of %q are decoded as %q", values[i], e.Labels)
		}
	}
}
