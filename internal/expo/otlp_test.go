package expo

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tachikoma/tacho/internal/exemplar"
	"github.com/tachikoma/tacho/internal/label"
	"github.com/tachikoma/tacho/internal/names"
	"github.com/tachikoma/tacho/internal/native"
	"github.com/tachikoma/tacho/internal/race"
	"github.com/tachikoma/tacho/internal/testkit"
)

// readOTLP returns the Metrics of an exposition as text.
func readOTLP(t *testing.T, format *Format, families ...*Family) []string {
	t.Helper()
	var b strings.Builder
	if err := Write(&b, format, names.AllowUTF8, families, &Names{UTF8: &UTF8}); err != nil {
		t.Fatal(err)
	}
	lines, err := testkit.ReadOTLP([]byte(b.String()))
	if err != nil {
		t.Fatalf("%v: %q", err, b.String())
	}
	return lines
}

// otlpAt is the time of the tests in Unix milliseconds, and atText the field of a data point.
const otlpAt, atText = 5000, "time:5000000000"

func metadataText(kind string) string {
	return `metadata:{key:"prometheus.type" value:{string:"` + kind + `"}}`
}

// TestOTLPFields has one series for each field.
func TestOTLPFields(t *testing.T) {
	classic, only := NewBounds([]float64{1, 2.5}), NewBounds(nil)
	timed := func(d *Details) *Details { d.Timed, d.At = true, 4500; return d }
	created := func(d *Details) *Details { d.Created = 1500; return d }
	x := exemplarSlot(t, 0.5, 2001, "id", "a\"b").Load()
	slots := make([]exemplar.Slot, 3)
	for i, at := range []int64{3000, 0, 1000} {
		if at > 0 {
			slots[i].Init(exemplarSlot(t, float64(i), at, "id", "x").Load())
		}
	}
	const first, third = `exemplar:{time:3000000000 double:0 attribute:{key:"id" value:{string:"x"}}}`, `exemplar:{time:1000000000 double:2 attribute:{key:"id" value:{string:"x"}}}`
	whole := func(e *Encoder) bool { return e.Whole(" ", 1, false, nil) }
	nativeOf := func(e *Encoder, s native.Snapshot) *Details {
		d := e.Details()
		d.SetNative(&Native{Code: NativeCode{}, Snapshot: &s})
		return d
	}
	const cumulative = "temporality:2 "
	for _, c := range []struct {
		name   string
		family Family
		pass   func(e *Encoder) bool
		want   string // the Metric from its metadata on
	}{
		{"counter", Family{Kind: Counter}, func(e *Encoder) bool { return e.Whole(" ", 7, false, nil) }, `sum:{temporality:2 monotonic:1 point:{` + atText + ` double:7}}`},
		{"float_counter", Family{Kind: Counter}, func(e *Encoder) bool { return e.Float(" ", .5, nil) }, `sum:{temporality:2 monotonic:1 point:{` + atText + ` double:0.5}}`},
		{"gauge", Family{Kind: Gauge}, func(e *Encoder) bool { return e.Whole(" ", 7, true, nil) }, `gauge:{point:{` + atText + ` double:-7}}`},
		{"large", Family{Kind: Gauge}, func(e *Encoder) bool { return e.Whole(" ", 1<<53+1, false, nil) }, `gauge:{point:{` + atText + ` double:9.007199254740992e+15}}`},
		{"unknown", Family{Kind: Untyped}, func(e *Encoder) bool { return e.Float(" ", math.NaN(), nil) }, `gauge:{point:{` + atText + ` double:NaN}}`},
		{"infinite", Family{Kind: Gauge}, func(e *Encoder) bool { return e.Float(" ", math.Inf(-1), nil) }, `gauge:{point:{` + atText + ` double:-Inf}}`},
		{"info", Family{Kind: Info}, func(e *Encoder) bool { return e.Whole(`{a="b"} `, 1, false, created(e.Details())) },
			`sum:{temporality:2 point:{attribute:{key:"a" value:{string:"b"}} ` + atText + ` double:1}}`},
		{"help", Family{Kind: Gauge, Help: "a\\\n\"é"}, whole, `gauge:{point:{` + atText + ` double:1}}`},
		{"a_seconds", Family{Kind: Gauge, Unit: "seconds"}, whole, `gauge:{point:{` + atText + ` double:1}}`},
		{"a_seconds_total", Family{Kind: Counter, Unit: "seconds"}, whole, `sum:{temporality:2 monotonic:1 point:{` + atText + ` double:1}}`},
		{"labels", Family{Kind: Gauge}, func(e *Encoder) bool { return e.Float(`{a="",b="\\\n\"é","c.d"="1"} `, 0, nil) },
			`gauge:{point:{attribute:{key:"a" value:{string:""}} attribute:{key:"b" value:{string:"\\\n\"é"}} attribute:{key:"c.d" value:{string:"1"}} ` + atText + ` double:0}}`},
		{"time", Family{Kind: Gauge}, func(e *Encoder) bool { return e.Float(" ", 0, created(timed(e.Details()))) }, `gauge:{point:{time:4500000000 double:0}}`},
		{"created", Family{Kind: Counter}, func(e *Encoder) bool { return e.Float(" ", 0, created(e.Details())) },
			`sum:{temporality:2 monotonic:1 point:{start:1500000000 ` + atText + ` double:0}}`},
		{"created_later", Family{Kind: Counter}, func(e *Encoder) bool {
			d := timed(e.Details())
			d.Created = 4501
			return e.Float(" ", 0, d)
		}, `sum:{temporality:2 monotonic:1 point:{start:4500000000 time:4500000000 double:0}}`},
		{"times", Family{Kind: Counter}, func(e *Encoder) bool {
			d := e.Details()
			d.Timed, d.At, d.Created = true, math.MaxInt64, -1
			return e.Float(" ", 0, d)
		}, `sum:{temporality:2 monotonic:1 point:{start:0 time:9223372036854000000 double:0}}`},
		{"exemplar", Family{Kind: Counter}, func(e *Encoder) bool {
			d := timed(e.Details())
			d.Exemplar = x
			return e.Float(" ", 0, d)
		}, `sum:{temporality:2 monotonic:1 point:{time:4500000000 double:0 exemplar:{time:2001000000 double:0.5 attribute:{key:"id" value:{string:"a\"b"}}}}}`},
		{"gauge_exemplar", Family{Kind: Gauge}, func(e *Encoder) bool {
			d := e.Details()
			d.Exemplar = x
			return e.Float(" ", 0, d)
		}, `gauge:{point:{` + atText + ` double:0}}`},
		{"summary", Family{Kind: Summary}, func(e *Encoder) bool {
			return e.Summary(" ", &Distribution{3, -1, []Quantile{{0.5, -1}, {0.9, math.Inf(1)}}}, timed(created(e.Details())))
		}, `summary:{point:{start:1500000000 time:4500000000 count:3 sum:-1 quantile:{quantile:0.5 value:-1} quantile:{quantile:0.9 value:+Inf}}}`},
		{"empty_summary", Family{Kind: Summary}, func(e *Encoder) bool { return e.Summary(" ", &Distribution{Sum: math.NaN()}, nil) },
			`summary:{point:{` + atText + ` count:0 sum:NaN}}`},
		{"classic", Family{Kind: Histogram}, func(e *Encoder) bool {
			return e.Histogram(" ", &classic, []uint64{1, 0, 4}, 9, timed(created(e.Details())))
		}, `histogram:{` + cumulative + `point:{start:1500000000 time:4500000000 count:5 sum:9 counts:[1 0 4] bounds:[1 2.5]}}`},
		{"classic_exemplars", Family{Kind: Histogram}, func(e *Encoder) bool {
			d := e.Details()
			d.Buckets = slots
			return e.Histogram(`{l="v"} `, &classic, []uint64{1, 2, 4}, 9, d)
		}, `histogram:{` + cumulative + `point:{attribute:{key:"l" value:{string:"v"}} ` + atText + ` count:7 sum:9 counts:[1 2 4] bounds:[1 2.5] ` + first + ` ` + third + `}}`},
		{"no_bounds", Family{Kind: Histogram}, func(e *Encoder) bool { return e.Histogram(" ", &only, []uint64{4}, math.Inf(-1), nil) },
			`histogram:{` + cumulative + `point:{` + atText + ` count:4 sum:-Inf counts:[4]}}`},
		{"native", Family{Kind: Histogram}, func(e *Encoder) bool {
			d := created(nativeOf(e, native.Snapshot{Schema: -4, ZeroThreshold: 0.5, Zero: 2, Positive: []native.Bucket{{Key: -3, Count: 1}}, Negative: []native.Bucket{{Key: 5, Count: 200}, {Key: 8, Count: 3}}}))
			d.Native().Exemplars = slots
			return e.Histogram(`{l="v"} `, &only, []uint64{206}, math.NaN(), d)
		}, `exponential:{` + cumulative + `point:{attribute:{key:"l" value:{string:"v"}} start:1500000000 ` + atText + ` count:206 sum:NaN scale:-4 zero_count:2 positive:{offset:-4 counts:[1]} negative:{offset:4 counts:[200 0 0 3]} ` +
			third + ` ` + first + ` zero_threshold:0.5}}`},
		{"both", Family{Kind: Histogram}, func(e *Encoder) bool {
			d := nativeOf(e, native.Snapshot{Schema: 8, Zero: 3})
			d.Buckets = slots
			return e.Histogram(" ", &classic, []uint64{1, 2, 0}, 9, d)
		}, `exponential:{` + cumulative + `point:{` + atText + ` count:3 sum:9 scale:8 zero_count:3 ` + first + ` ` + third + ` zero_threshold:0}}`},
		{"empty_native", Family{Kind: Histogram}, func(e *Encoder) bool {
			return e.Histogram(" ", &only, []uint64{0}, 0, nativeOf(e, native.Snapshot{Schema: 3, ZeroThreshold: 0x1p-128}))
		}, `exponential:{` + cumulative + `point:{` + atText + ` count:0 sum:0 scale:3 zero_count:0 zero_threshold:2.938735877055719e-39}}`},
	} {
		f := c.family
		f.Name = c.name
		f.Encode = func(e *Encoder) {
			e.Begin(&f)
			if !c.pass(e) {
				t.Errorf("%s ends the exposition", c.name)
			}
		}
		want := fmt.Sprintf("name:%q ", c.name)
		if f.Help != "" {
			want += "description:" + strconv.Quote(f.Help) + " "
		}
		if f.Unit != "" {
			want += `unit:"s" `
		}
		want += metadataText([]string{"counter", "gauge", "histogram", "unknown", "info", "summary"}[f.Kind]) + " " + c.want
		for _, same := range []bool{false, true} {
			f.SameLabels = same && c.name != "labels"
			if got := readOTLP(t, OTLP(otlpAt, false), &f); !slices.Equal(got, []string{want}) {
				t.Errorf("%s: %q\nwant %q", c.name, got, want)
			}
		}
	}
}

// TestOTLPUnits: units are those of UCUM. A unit is the end of the name, as in the other formats.
func TestOTLPUnits(t *testing.T) {
	for _, c := range []struct {
		name, unit, want string
		kind             Kind
	}{
		{"a_seconds", "seconds", "s", Gauge},
		{"a_bytes_total", "bytes", "By", Counter},
		{"a_ratio", "ratio", "1", Gauge},
		{"a_celsius", "celsius", "Cel", Gauge},
		{"a_meters", "meters", "m", Gauge},
		{"a_volts", "volts", "V", Gauge},
		{"a_amperes", "amperes", "A", Gauge},
		{"a_joules", "joules", "J", Gauge},
		{"a_grams", "grams", "g", Histogram},
		{"a_hours", "hours", "hours", Gauge},
		{"a.seconds", "seconds", "", Gauge},
		{"aseconds", "seconds", "", Gauge},
		{"seconds", "seconds", "", Gauge},
		{"_seconds", "seconds", "s", Gauge},
		{"a_seconds_total", "seconds", "", Gauge},
		{"a", "seconds", "", Gauge},
	} {
		f := &Family{Name: c.name, Unit: c.unit, Kind: c.kind}
		bounds := NewBounds(nil)
		f.Encode = func(e *Encoder) {
			e.Begin(f)
			if c.kind == Histogram {
				e.Histogram(" ", &bounds, []uint64{0}, 0, nil)
			} else {
				e.Whole(" ", 1, false, nil)
			}
		}
		want := fmt.Sprintf("name:%q unit:%q metadata", c.name, c.want)
		if c.want == "" {
			want = fmt.Sprintf("name:%q metadata", c.name)
		}
		if got := readOTLP(t, OTLP(otlpAt, false), f); len(got) != 1 || !strings.HasPrefix(got[0], want) {
			t.Errorf("%+v: %q, want %s", c, got, want)
		}
	}
}

// TestOTLPIDs: only the labels trace_id and span_id with valid IDs are IDs.
func TestOTLPIDs(t *testing.T) {
	const trace, span = "0af7651916cd43dd8448eb211c80319C", "b7ad6b7169203331"
	const traceBytes, spanBytes = "\x0a\xf7\x65\x19\x16\xcd\x43\xdd\x84\x48\xeb\x21\x1c\x80\x31\x9c", "\xb7\xad\x6b\x71\x69\x20\x33\x31"
	attribute := func(name, value string) string {
		return fmt.Sprintf(` attribute:{key:%q value:{string:%s}}`, name, strconv.Quote(value))
	}
	for _, c := range []struct {
		labels []string
		want   string
	}{
		{nil, ""},
		{[]string{"trace_id", trace}, ` trace:` + strconv.Quote(traceBytes)},
		{[]string{"span_id", span}, ` span:` + strconv.Quote(spanBytes)},
		{[]string{"a", "1", "span_id", span, "trace_id", trace, "z", ""}, attribute("a", "1") + ` span:` + strconv.Quote(spanBytes) + ` trace:` + strconv.Quote(traceBytes) + attribute("z", "")},
		{[]string{"trace_id", trace[1:]}, attribute("trace_id", trace[1:])},
		{[]string{"trace_id", trace + "0"}, attribute("trace_id", trace+"0")},
		{[]string{"trace_id", trace[1:] + "g"}, attribute("trace_id", trace[1:]+"g")},
		{[]string{"trace_id", trace[1:] + "/"}, attribute("trace_id", trace[1:]+"/")},
		{[]string{"trace_id", trace[1:] + "\""}, attribute("trace_id", trace[1:]+"\"")},
		{[]string{"trace_id", trace[2:] + "\\\\"}, attribute("trace_id", trace[2:]+"\\\\")},
		{[]string{"trace_id", strings.Repeat("0", 32)}, attribute("trace_id", strings.Repeat("0", 32))},
		{[]string{"trace_id", span, "span_id", trace}, attribute("trace_id", span) + attribute("span_id", trace)},
		{[]string{"trace_id", "", "span_id", ""}, attribute("trace_id", "") + attribute("span_id", "")},
		{[]string{"xtrace_id", trace, "trace_idx", trace}, attribute("xtrace_id", trace) + attribute("trace_idx", trace)},
	} {
		slot := exemplarSlot(t, 2, 1000, c.labels...)
		f := &Family{Name: "c", Kind: Counter}
		f.Encode = func(e *Encoder) {
			e.Begin(f)
			d := e.Details()
			d.Exemplar = slot.Load()
			e.Whole(" ", 1, false, d)
		}
		want := `exemplar:{time:1000000000 double:2` + c.want + `}}}`
		if got := readOTLP(t, OTLP(otlpAt, false), f); len(got) != 1 || !strings.HasSuffix(got[0], want) {
			t.Errorf("%q: %q, want %q", c.labels, got, want)
		}
	}
}

// TestOTLPNoNative: without native histograms, a histogram has its classic buckets, or one bucket. The
// exposition does not restart native histograms.
func TestOTLPNoNative(t *testing.T) {
	classic, only := NewBounds([]float64{1}), NewBounds(nil)
	slots := make([]exemplar.Slot, 1)
	slots[0].Init(exemplarSlot(t, 1, 1000, "id", "x").Load())
	f := &Family{Name: "h", Kind: Histogram}
	f.Encode = func(e *Encoder) {
		e.Begin(f)
		if e.RestartsNative() || e.Native() == nil {
			t.Error("the exposition restarts native histograms, or cannot read them")
		}
		d := e.Details()
		d.SetNative(&Native{Code: NativeCode{}, Snapshot: &native.Snapshot{Zero: 3}})
		e.Histogram(" ", &classic, []uint64{1, 2}, 4, d)
		d = e.Details()
		d.Buckets = slots
		d.SetNative(&Native{Code: NativeCode{}, Snapshot: &native.Snapshot{Zero: 3}, Exemplars: slots})
		e.Histogram(`{l="v"} `, &only, []uint64{3}, 4, d)
	}
	want := `name:"h" ` + metadataText("histogram") + ` histogram:{temporality:2 point:{` + atText + ` count:3 sum:4 counts:[1 2] bounds:[1]} ` +
		`point:{attribute:{key:"l" value:{string:"v"}} ` + atText + ` count:3 sum:4 counts:[3] exemplar:{time:1000000000 double:1 attribute:{key:"id" value:{string:"x"}}}}}`
	if got := readOTLP(t, OTLP(otlpAt, true), f); !slices.Equal(got, []string{want}) {
		t.Errorf("%q\nwant %q", got, want)
	}
	f.Encode = func(e *Encoder) {
		if !e.RestartsNative() {
			t.Error("the exposition does not restart native histograms")
		}
	}
	readOTLP(t, OTLP(otlpAt, false), f)
}

// TestOTLPDense: a bucket is counted at its key less 1. Buckets far apart lower the scale, so that the number of
// counts is bounded.
func TestOTLPDense(t *testing.T) {
	points := func(buckets ...native.Bucket) (positive, negative string) {
		bounds := NewBounds(nil)
		for i, s := range []native.Snapshot{{Schema: 8, Positive: buckets}, {Schema: 8, Negative: buckets}} {
			f := &Family{Name: "h", Kind: Histogram}
			f.Encode = func(e *Encoder) {
				e.Begin(f)
				d := e.Details()
				d.SetNative(&Native{Code: NativeCode{}, Snapshot: &s})
				e.Histogram(" ", &bounds, []uint64{1}, 0, d)
			}
			got := readOTLP(t, OTLP(otlpAt, false), f)[0]
			got = got[strings.Index(got, "scale"):strings.Index(got, " zero_threshold")]
			if i == 0 {
				positive = strings.Replace(got, "positive", "side", 1)
			} else {
				negative = strings.Replace(got, "negative", "side", 1)
			}
		}
		return positive, negative
	}
	zeros := func(n int) string { return strings.Repeat(" 0", n) }
	for _, c := range []struct {
		buckets []native.Bucket
		want    string
	}{
		{[]native.Bucket{{Key: 1, Count: 5}}, `scale:8 zero_count:0 side:{offset:0 counts:[5]}`},
		{[]native.Bucket{{Key: -1, Count: 127}, {Key: 0, Count: 128}, {Key: 3, Count: math.MaxUint64}}, `scale:8 zero_count:0 side:{offset:-2 counts:[127 128 0 0 18446744073709551615]}`},
		{[]native.Bucket{{Key: 1, Count: 5}, {Key: maxCounts, Count: 6}}, `scale:8 zero_count:0 side:{offset:0 counts:[5` + zeros(maxCounts-2) + ` 6]}`},
		{[]native.Bucket{{Key: 1, Count: 5}, {Key: maxCounts + 1, Count: 6}}, `scale:7 zero_count:0 side:{offset:0 counts:[5` + zeros(maxCounts/2-1) + ` 6]}`},
		{[]native.Bucket{{Key: 0, Count: 1}, {Key: 1, Count: 2}, {Key: 2, Count: 3}, {Key: 3, Count: 4}, {Key: maxCounts + 4, Count: 6}}, `scale:7 zero_count:0 side:{offset:-1 counts:[1 5 4` + zeros(maxCounts/2-1) + ` 6]}`},
	} {
		positive, negative := points(c.buckets...)
		if positive != c.want || negative != c.want {
			t.Errorf("%v: %.300q and %.300q, want %.300q", c.buckets, positive, negative, c.want)
		}
	}
	// The ends of float64.
	first, last := native.Keys(8)
	positive, _ := points(native.Bucket{Key: first, Count: 1}, native.Bucket{Key: last, Count: 1})
	if n := strings.Count(positive, " ") - 2; n > maxCounts || !strings.HasPrefix(positive, "scale:0 ") {
		t.Errorf("%d counts: %.100q", n, positive)
	}
}

// TestOTLPKinds: a family with native histograms and classic ones is a Metric of each type. Families with one name
// are one Metric if their kinds are the same.
func TestOTLPKinds(t *testing.T) {
	bounds := NewBounds([]float64{1})
	h := &Family{Name: "h", Kind: Histogram, SameLabels: true}
	h.Encode = func(e *Encoder) {
		e.Begin(h)
		for _, c := range "ccnnc" {
			d := e.Details()
			if c == 'n' {
				d.SetNative(&Native{Code: NativeCode{}, Snapshot: &native.Snapshot{Zero: 1}})
			}
			e.Histogram(`{l="`+string(c)+`"} `, &bounds, []uint64{1, 0}, 0, d)
		}
	}
	gauge := func(name, help, block string, k Kind) *Family {
		f := &Family{Name: name, Help: help, Kind: k, SameLabels: true}
		f.Encode = func(e *Encoder) {
			e.Begin(f)
			e.Whole(block, 1, false, nil)
			e.Whole(block, 2, false, nil)
		}
		return f
	}
	classic := `attribute:{key:"l" value:{string:"c"}} ` + atText + ` count:1 sum:0 counts:[1 0] bounds:[1]`
	exponential := `attribute:{key:"l" value:{string:"n"}} ` + atText + ` count:1 sum:0 scale:0 zero_count:1 zero_threshold:0`
	head := `name:"h" ` + metadataText("histogram")
	point := func(name string, v int) string {
		return fmt.Sprintf(`point:{attribute:{key:%q value:{string:"1"}} %s double:%d}`, name, atText, v)
	}
	for i, c := range []struct {
		families []*Family
		want     []string
	}{
		{[]*Family{h}, []string{
			head + ` histogram:{temporality:2 point:{` + classic + `} point:{` + classic + `}}`,
			head + ` exponential:{temporality:2 point:{` + exponential + `} point:{` + exponential + `}}`,
			head + ` histogram:{temporality:2 point:{` + classic + `}}`,
		}},
		{[]*Family{gauge("g", "A.", `{a="1"} `, Gauge), gauge("g", "B.", `{bb="1"} `, Gauge), gauge("i", "", `{a="1"} `, Gauge)}, []string{
			`name:"g" description:"A." ` + metadataText("gauge") + ` gauge:{` + point("a", 1) + ` ` + point("a", 2) + ` ` + point("bb", 1) + ` ` + point("bb", 2) + `}`,
			`name:"i" ` + metadataText("gauge") + ` gauge:{` + point("a", 1) + ` ` + point("a", 2) + `}`,
		}},
		{[]*Family{gauge("g", "A.", `{a="1"} `, Gauge), gauge("g", "", `{bb="1"} `, Counter)}, []string{
			`name:"g" description:"A." ` + metadataText("gauge") + ` gauge:{` + point("a", 1) + ` ` + point("a", 2) + `}`,
			`name:"g" description:"A." ` + metadataText("counter") + ` sum:{temporality:2 monotonic:1 ` + point("bb", 1) + ` ` + point("bb", 2) + `}`,
		}},
		{[]*Family{gauge("g", "A.", `{a="1"} `, Counter), gauge("g", "", `{bb="1"} `, Info)}, []string{
			`name:"g" description:"A." ` + metadataText("counter") + ` sum:{temporality:2 monotonic:1 ` + point("a", 1) + ` ` + point("a", 2) + `}`,
			`name:"g" description:"A." ` + metadataText("info") + ` sum:{temporality:2 ` + point("bb", 1) + ` ` + point("bb", 2) + `}`,
		}},
		{nil, nil},
	} {
		if got := readOTLP(t, OTLP(otlpAt, false), c.families...); !slices.Equal(got, c.want) {
			t.Errorf("%d: %q\nwant %q", i, got, c.want)
		}
	}
}

// otlpReference returns f in OTLP, as text.
func otlpReference(f *testFamily) string {
	text := "name:" + strconv.Quote(f.Name)
	if f.Help != "" {
		text += " description:" + strconv.Quote(f.Help)
	}
	base := f.Name
	if f.Kind == Counter {
		base = strings.TrimSuffix(f.Name, "_total")
	}
	if f.Unit != "" && strings.HasSuffix(base, "_"+f.Unit) {
		text += ` unit:"s"`
	}
	text += " " + metadataText([]string{"counter", "gauge", "histogram", "unknown", "info", "summary"}[f.Kind]) +
		[]string{" sum:{temporality:2 monotonic:1", " gauge:{", " histogram:{temporality:2", " gauge:{", " sum:{temporality:2", " summary:{"}[f.Kind]
	attribute := func(name, value string) string {
		return "attribute:{key:" + strconv.Quote(name) + " value:{string:" + strconv.Quote(value) + "}}"
	}
	exemplarText := func(x *exemplar.Exemplar) string {
		if x == nil {
			return ""
		}
		value, err := strconv.Unquote(strings.ReplaceAll(strings.TrimSuffix(strings.TrimPrefix(x.Labels, "{id="), "}"), "\n", `\n`))
		if err != nil {
			panic(x.Labels)
		}
		return fmt.Sprintf("exemplar:{time:%d double:%s %s}", min(x.At, 9223372036854)*1e6, shortest(x.Value), attribute("id", value))
	}
	var points []string
	for _, x := range f.samples {
		var fields []string
		for _, l := range x.labels {
			fields = append(fields, attribute(l.Name, l.Value))
		}
		at := int64(otlpAt)
		if d := x.details; d != nil {
			if d.Timed {
				at = min(d.At, 9223372036854)
			}
			if d.Created != 0 && f.Kind != Gauge && f.Kind != Untyped && f.Kind != Info {
				fields = append(fields, fmt.Sprintf("start:%d", min(d.Created, at)*1e6))
			}
		}
		fields = append(fields, fmt.Sprintf("time:%d", at*1e6))
		switch v := x.value.(type) {
		case testHistogram:
			total, counts, bounds := uint64(0), "", ""
			for i, n := range v.counts {
				total += n
				counts += fmt.Sprintf(" %d", n)
				if i < len(v.counts)-1 {
					bounds += " " + shortest(v.bounds.At(i))
				}
			}
			fields = append(fields, fmt.Sprintf("count:%d sum:%s counts:[%s]", total, shortest(v.sum), counts[1:]))
			if bounds != "" {
				fields = append(fields, "bounds:["+bounds[1:]+"]")
			}
			for _, x := range v.exemplars {
				fields = append(fields, exemplarText(x))
			}
		case Distribution:
			fields = append(fields, fmt.Sprintf("count:%d sum:%s", v.Count, shortest(v.Sum)))
			for _, q := range v.Quantiles {
				fields = append(fields, fmt.Sprintf("quantile:{quantile:%s value:%s}", shortest(q.Quantile), shortest(q.Value)))
			}
		default:
			parsed, err := strconv.ParseFloat(wholeText(v, shortest, ""), 64)
			if err != nil {
				panic(err)
			}
			fields = append(fields, "double:"+shortest(parsed))
			if f.Kind == Counter {
				fields = append(fields, exemplarText(x.exemplar))
			}
		}
		fields = slices.DeleteFunc(fields, func(s string) bool { return s == "" })
		points = append(points, "point:{"+strings.Join(fields, " ")+"}")
	}
	if strings.HasSuffix(text, "{") {
		return text + strings.Join(points, " ") + "}"
	}
	return text + " " + strings.Join(points, " ") + "}"
}

// TestOTLPReference is TestFormats for OTLP.
func TestOTLPReference(t *testing.T) {
	rounds := 600
	if testing.Short() {
		rounds = 150
	}
	for seed := range uint64(rounds) {
		r := &source{Rand: rand.New(rand.NewPCG(seed, 3)), utf8: seed%3 > 0}
		var all []*testFamily
		for range r.IntN(5) {
			all = append(all, r.families()...)
		}
		slices.SortFunc(all, func(a, b *testFamily) int { return strings.Compare(a.Name, b.Name) })
		var families []*Family
		var want []string
		for _, f := range all {
			f.Encode = f.encode(t)
			families = append(families, &f.Family)
			if len(f.samples) > 0 {
				want = append(want, otlpReference(f))
			}
		}
		if got := readOTLP(t, OTLP(otlpAt, seed%2 == 0), families...); !slices.Equal(got, want) {
			t.Fatalf("seed %d:\n%s\nwant\n%s", seed, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// TestOTLPSplit: a large family is several Metrics with the same name, description and unit. Each call of Write gets
// complete Metrics.
func TestOTLPSplit(t *testing.T) {
	const series = 3000
	f := &Family{Name: "g_bytes", Help: "Help.", Unit: "bytes", Kind: Gauge, SameLabels: true}
	f.Encode = func(e *Encoder) {
		e.Begin(f)
		for i := range series {
			if !e.Whole(`{l="`+strconv.Itoa(i)+`"} `, uint64(i), false, nil) {
				return
			}
		}
	}
	last := &Family{Name: "last", Kind: Gauge}
	last.Encode = func(e *Encoder) {
		e.Begin(last)
		e.Whole(" ", 1, false, nil)
	}
	var w completeWrites
	if err := Write(&w, OTLP(otlpAt, false), names.AllowUTF8, []*Family{f, last}, new(Names)); err != nil {
		t.Fatal(err)
	}
	all := ""
	lines := w.lines
	for i, line := range lines[:len(lines)-1] {
		rest, ok := strings.CutPrefix(line, `name:"g_bytes" description:"Help." unit:"By" `+metadataText("gauge")+` gauge:{`)
		if !ok {
			t.Fatalf("Metric %d: %.200q", i, line)
		}
		all += strings.TrimSuffix(rest, "}") + " "
	}
	for i := range series {
		var ok bool
		if all, ok = strings.CutPrefix(all, fmt.Sprintf(`point:{attribute:{key:"l" value:{string:"%d"}} %s double:%d} `, i, atText, i)); !ok {
			t.Fatalf("series %d is missing: %.200q", i, all)
		}
	}
	if len(lines) != 4 || w.calls != 3 || all != "" || lines[3] != `name:"last" `+metadataText("gauge")+` gauge:{point:{`+atText+` double:1}}` {
		t.Errorf("%d Metrics in %d writes, rest %q, last %q", len(lines), w.calls, all, lines[len(lines)-1])
	}
}

// completeWrites is an [io.Writer] that reads each write alone.
type completeWrites struct {
	lines []string
	calls int
}

func (w *completeWrites) Write(p []byte) (int, error) {
	lines, err := testkit.ReadOTLP(p)
	w.lines = append(w.lines, lines...)
	w.calls++
	return len(p), err
}

// TestOTLPLongMessages: the length of a Metric, a data point or an attribute has more bytes if needed.
func TestOTLPLongMessages(t *testing.T) {
	sizes := []int{16370, 16383, 16384, 1 << 21}
	for n := range 140 {
		sizes = append(sizes, n)
	}
	for _, n := range sizes {
		text := strings.Repeat("v", n)
		for _, count := range []int{1, 3} {
			f := &Family{Name: "g", Help: text, Kind: Gauge, SameLabels: true}
			f.Encode = func(e *Encoder) {
				e.Begin(f)
				for range count {
					e.Whole(`{a="x",b="`+text+`"} `, 1, false, nil)
				}
			}
			head, all := `name:"g" `, ""
			if n > 0 {
				head += `description:"` + text + `" `
			}
			head += metadataText("gauge") + ` gauge:{`
			for i, line := range readOTLP(t, OTLP(otlpAt, false), f) {
				rest, ok := strings.CutPrefix(line, head)
				if !ok {
					t.Fatalf("%d bytes: Metric %d: %.100q", n, i, line)
				}
				all += " " + strings.TrimSuffix(rest, "}")
			}
			if want := strings.Repeat(` point:{attribute:{key:"a" value:{string:"x"}} attribute:{key:"b" value:{string:"`+text+`"}} `+atText+` double:1}`, count); all != want {
				t.Errorf("%d bytes, %d series: %.200q", n, count, all)
			}
		}
	}
}

// TestOTLPShapes: all series of a family have their labels, for each number of labels and each length of a
// name. Their values can be longer or shorter than those of the first series.
func TestOTLPShapes(t *testing.T) {
	check := func(number, length int, sizes ...int) {
		want := `name:"g" ` + metadataText("gauge") + ` gauge:{`
		var blocks []string
		for i, size := range sizes {
			var list []label.Label
			for n := range number {
				list = append(list, label.Label{Name: string(rune('a'+n)) + strings.Repeat("n", length-1), Value: strings.Repeat("v", size)})
			}
			blocks = append(blocks, string(label.AppendBlock(nil, list)))
			if i > 0 {
				want += " "
			}
			want += "point:{"
			for _, l := range list {
				want += fmt.Sprintf("attribute:{key:%q value:{string:%q}} ", l.Name, l.Value)
			}
			want += atText + " double:1}"
		}
		f := &Family{Name: "g", Kind: Gauge, SameLabels: true}
		f.Encode = func(e *Encoder) {
			e.Begin(f)
			for _, block := range blocks {
				e.Whole(block, 1, false, nil)
			}
		}
		if got := readOTLP(t, OTLP(otlpAt, false), f); !slices.Equal(got, []string{want + "}"}) {
			t.Errorf("%d labels with names of %d bytes and values of %d: %q\nwant %q", number, length, sizes, got, want)
		}
	}
	for length := 1; length <= 40; length++ {
		for number := range 12 {
			check(number, length, 1, 2, 0, 9)
		}
		for size := 80; size <= 140; size++ {
			check(1, length, 1, size, 1)
			check(2, length, size, 1, size)
		}
	}
	check(2, 200, 1, 2)
}

// TestOTLPAllocations: no series makes an allocation, of whatever kind.
func TestOTLPAllocations(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector allocates")
	}
	bounds, only, snapshot := NewBounds([]float64{1, 2}), NewBounds(nil), logNormal(1000)
	slots := []exemplar.Slot{{}, {}, {}}
	slots[0].Init(exemplarSlot(t, 1, 1000, "trace_id", strings.Repeat("1", 32)).Load())
	counts, total, own := []uint64{1, 2, 3}, []uint64{snapshot.Count()}, &Native{Code: NativeCode{}, Snapshot: snapshot, Exemplars: slots}
	first, last := native.Keys(native.MaxSchema)
	ends := []native.Bucket{{Key: first, Count: 1}, {Key: last, Count: 1}}
	wide := &Native{Code: NativeCode{}, Snapshot: &native.Snapshot{Schema: native.MaxSchema, Positive: ends, Negative: ends}}
	summary := &Distribution{1, 2, []Quantile{{.5, 1}}}
	for name, c := range map[string]struct {
		kind Kind
		pass func(e *Encoder, block string)
	}{
		"counter": {Counter, func(e *Encoder, block string) {
			d := e.Details()
			d.Exemplar, d.Created = slots[0].Load(), 1
			e.Whole(block, 1, false, d)
		}},
		"gauge":   {Gauge, func(e *Encoder, block string) { e.Float(block, .5, nil) }},
		"summary": {Summary, func(e *Encoder, block string) { e.Summary(block, summary, nil) }},
		"classic": {Histogram, func(e *Encoder, block string) {
			d := e.Details()
			d.Buckets = slots
			e.Histogram(block, &bounds, counts, 1, d)
		}},
		"native": {Histogram, func(e *Encoder, block string) {
			d := e.Details()
			d.SetNative(own)
			e.Histogram(block, &only, total, 1, d)
		}},
		"lowered": {Histogram, func(e *Encoder, block string) {
			d := e.Details()
			d.SetNative(wide)
			e.Histogram(block, &only, total, 1, d)
		}},
		"mixed": {Histogram, func(e *Encoder, block string) {
			d := e.Details()
			d.SetNative(own)
			e.Histogram(block, &only, total, 1, d)
			e.Histogram(block, &bounds, counts, 1, nil)
		}},
	} {
		for _, quoted := range []bool{false, true} {
			f := &Family{Name: "h_seconds", Help: "Help.", Unit: "seconds", Kind: c.kind, SameLabels: true, Quoted: quoted, QuotedLabels: quoted}
			block := `{l="some \"value"} `
			if quoted {
				block = `{"l.m"="some \"value"} `
			}
			var allocations [2]float64
			for i, n := range []int{20, 3000} {
				f.Encode = func(e *Encoder) {
					e.Begin(f)
					for range n {
						c.pass(e, block)
					}
				}
				format, ns := OTLP(otlpAt, false), &Names{UTF8: &UTF8}
				allocations[i] = testing.AllocsPerRun(20, func() { Write(io.Discard, format, names.AllowUTF8, []*Family{f}, ns) })
			}
			if allocations[1] > allocations[0]+1 {
				t.Errorf("%s: %v allocations for 3000 series, %v for 20", name, allocations[1], allocations[0])
			}
		}
	}
}

// FuzzAttributes is FuzzPairs for attributes, and for the labels of exemplars.
func FuzzAttributes(f *testing.F) {
	f.Add("a", "1", "b", "2", "x")
	f.Add("a", "", "le", "\"\\\n", "")
	f.Add("a.b", "v", "c\"", "1234567", "12345678")
	f.Add("trace_id", "0af7651916cd43dd8448eb211c80319c", "span_id", "b7ad6b7169203331", "b7ad6b716920333")
	f.Add(strings.Repeat("n", 26), strings.Repeat("v", 100), "abc", strings.Repeat(`\`, 64), strings.Repeat("v", 128))
	f.Fuzz(func(t *testing.T, name1, value1, name2, value2, value3 string) {
		if !names.ValidUTF8(name1) || !names.ValidUTF8(name2) {
			return
		}
		attribute := func(l label.Label) string {
			return fmt.Sprintf("attribute:{key:%s value:{string:%s}} ", strconv.Quote(l.Name), strconv.Quote(l.Value))
		}
		family := &Family{Name: "c", Kind: Counter, SameLabels: true, QuotedLabels: !names.ValidLabel(name1) || !names.ValidLabel(name2)}
		var blocks []string
		want := `name:"c" ` + metadataText("counter") + ` sum:{temporality:2 monotonic:1`
		for _, values := range [][2]string{{value1, value2}, {value2, value3}, {value3, value1}, {value1, value1}} {
			labels := []label.Label{{Name: name1, Value: values[0]}, {Name: name2, Value: values[1]}}
			blocks = append(blocks, string(label.AppendBlock(nil, labels)))
			want += " point:{" + attribute(labels[0]) + attribute(labels[1]) + atText + " double:0}"
		}
		want += "}"
		family.Encode = func(e *Encoder) {
			e.Begin(family)
			for _, block := range blocks {
				e.Whole(block, 0, false, nil)
			}
		}
		got := readOTLP(t, OTLP(otlpAt, false), family)
		if len(want) < flushAt/2 && (len(got) != 1 || got[0] != want) {
			t.Errorf("%q: %q, want %q", blocks, got, want)
		}
		// Exemplars have legacy names.
		var slot exemplar.Slot
		slot.Init(exemplar.None(&exemplar.Origin{Fault: func(string) {}}))
		if slot.Record(1, []string{name1, value1, name2, value2}); slot.Load() == nil {
			return
		}
		family.Encode = func(e *Encoder) {
			e.Begin(family)
			d := e.Details()
			d.Exemplar = slot.Load()
			e.Whole(" ", 0, false, d)
		}
		line := readOTLP(t, OTLP(otlpAt, false), family)[0]
		if n := strings.Count(line, "attribute:{key:") + strings.Count(line, " trace:\"") + strings.Count(line, " span:\""); n < 2 {
			t.Errorf("%s: an exemplar of %s lacks a label", line, slot.Load().Labels)
		}
	})
}

// TestOTLPFits: nothing is stored behind the capacity of the buffer, however little room is left.
func TestOTLPFits(t *testing.T) {
	bounds := NewBounds([]float64{1})
	s := &native.Snapshot{Zero: 1}
	for i := range 20 {
		s.Positive = append(s.Positive, native.Bucket{Key: 3 * i, Count: 1 << (3 * i)})
	}
	const block = `{a="1",b="12345678"} `
	format := OTLP(otlpAt, false)
	encoder := func(b []byte) *Encoder { return &Encoder{format: format, names: new(Names), w: io.Discard, buf: b} }
	for kind, sample := range map[Kind]func(e *Encoder){
		Gauge: func(e *Encoder) { e.Whole(block, 1, false, nil) },
		Histogram: func(e *Encoder) {
			d := e.Details()
			d.SetNative(&Native{Code: NativeCode{}, Snapshot: s})
			e.Histogram(block, &bounds, []uint64{1}, 0, d)
			e.Histogram(block, &bounds, []uint64{1, 2}, 0, nil)
		},
	} {
		pass := func(e *Encoder) {
			e.Begin(&Family{Name: "x", Kind: kind, SameLabels: true})
			for range 4 {
				sample(e)
			}
			otlpFinish(e)
		}
		whole := encoder(make([]byte, 0, 10_000))
		pass(whole)
		for room := range 2500 {
			memory := bytes.Repeat([]byte("."), room+2000)
			e := encoder(memory[:0:room])
			pass(e)
			if behind := memory[room:]; len(bytes.Trim(behind, ".")) > 0 {
				t.Fatalf("%s, room for %d bytes: stored behind the capacity: %q", kind.TextName(), room, behind)
			}
			if !bytes.Equal(e.buf, whole.buf) {
				t.Fatalf("%s, room for %d bytes: %q, want %q", kind.TextName(), room, e.buf, whole.buf)
			}
		}
	}
}
