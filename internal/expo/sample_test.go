package expo

import (
	"math"
	"reflect"
	"slices"
	"testing"
)

// TestBounds: each bound has its text, its text in OpenMetrics, and its number in JSON.
func TestBounds(t *testing.T) {
	cases := []struct {
		upper              float64
		text, open, number string
	}{
		{-math.MaxFloat64, `le="-1.7976931348623157e+308"} `, `le="-1.7976931348623157e+308"} `, "-1.7976931348623157e+308"},
		{-2.5, `le="-2.5"} `, `le="-2.5"} `, "-2.5"},
		{-1, `le="-1"} `, `le="-1.0"} `, "-1"},
		{math.Copysign(0, -1), `le="-0"} `, `le="-0.0"} `, "-0"},
		{0, `le="0"} `, `le="0.0"} `, "0"},
		{5e-324, `le="5e-324"} `, `le="5e-324"} `, "5e-324"},
		{0.005, `le="0.005"} `, `le="0.005"} `, "0.005"},
		{1, `le="1"} `, `le="1.0"} `, "1"},
		{999999, `le="999999"} `, `le="999999.0"} `, "999999"},
		{1e6, `le="1e+06"} `, `le="1e+06"} `, "1e+06"},
		{math.Inf(1), `le="+Inf"} `, `le="+Inf"} `, "+Inf"},
	}
	var upper []float64
	for _, c := range cases[:len(cases)-1] {
		upper = append(upper, c.upper)
	}
	b := NewBounds(upper)
	if !slices.Equal(b.Upper, upper) || len(b.labels) != 2*len(cases) {
		t.Fatalf("bounds %v, %d texts", b.Upper, len(b.labels))
	}
	for i, c := range cases {
		if got := b.At(i); got != c.upper {
			t.Errorf("bound %d is %v, want %v", i, got, c.upper)
		}
		if b.labels[2*i] != c.text || b.labels[2*i+1] != c.open || b.number(i) != c.number {
			t.Errorf("%v: %q, open %q, number %q", c.upper, b.labels[2*i], b.labels[2*i+1], b.number(i))
		}
		if len(c.open) > leSize {
			t.Errorf("%q is longer than %d bytes", c.open, leSize)
		}
	}
	none := NewBounds(nil)
	if len(none.labels) != 2 || none.At(0) != math.Inf(1) || none.labels[0] != `le="+Inf"} ` {
		t.Errorf("without finite bounds: %+v", none)
	}
}

// TestBoundsInFormats: the formats write a histogram of these bounds.
func TestBoundsInFormats(t *testing.T) {
	bounds := NewBounds([]float64{0, 0.5, 1e6})
	family := &Family{Name: "h", Kind: Histogram}
	for name, want := range map[string]string{
		"text": "# TYPE h histogram\n" +
			"h_bucket{l=\"v\",le=\"0\"} 1\nh_bucket{l=\"v\",le=\"0.5\"} 3\nh_bucket{l=\"v\",le=\"1e+06\"} 6\nh_bucket{l=\"v\",le=\"+Inf\"} 10\n" +
			"h_sum{l=\"v\"} 7\nh_count{l=\"v\"} 10\n",
		"OpenMetrics": "# TYPE h histogram\n" +
			"h_bucket{l=\"v\",le=\"0.0\"} 1\nh_bucket{l=\"v\",le=\"0.5\"} 3\nh_bucket{l=\"v\",le=\"1e+06\"} 6\nh_bucket{l=\"v\",le=\"+Inf\"} 10\n" +
			"h_sum{l=\"v\"} 7.0\nh_count{l=\"v\"} 10\n",
		"JSON": `{"h":[{"labels":{"l":"v"},"value":7,"count":10,"buckets":[` +
			`{"le":0,"count":1},{"le":0.5,"count":3},{"le":1e+06,"count":6},{"le":null,"count":10}]}`,
	} {
		got := line(t, formats[name], family, func(e *Encoder) bool {
			return e.Histogram(`{l="v"} `, &bounds, []uint64{1, 2, 3, 4}, 7, nil)
		})
		if got != want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, want)
		}
	}
}

// TestTypesHaveNoEqual: a type that == cannot compare has no memory for that.
func TestTypesHaveNoEqual(t *testing.T) {
	for _, typ := range []reflect.Type{reflect.TypeFor[member](), reflect.TypeFor[Names]()} {
		if typ.Comparable() || typ.Field(0).Type.Size() != 0 {
			t.Errorf("%v: comparable %v, the first field has %d bytes", typ, typ.Comparable(), typ.Field(0).Type.Size())
		}
	}
}
