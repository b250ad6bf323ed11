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

// readProtobuf returns the messages of an exposition as text.
func readProtobuf(t *testing.T, s names.Scheme, ns *Names, families ...*Family) []string {
	t.Helper()
	var b strings.Builder
	if err := Write(&b, &Protobuf, s, families, ns); err != nil {
		t.Fatal(err)
	}
	lines, err := testkit.ReadProtobuf([]byte(b.String()))
	if err != nil {
		t.Fatalf("%v: %q", err, b.String())
	}
	return lines
}

// exemplarSlot returns a slot with an exemplar.
func exemplarSlot(t *testing.T, v float64, at int64, labels ...string) *exemplar.Slot {
	t.Helper()
	var s exemplar.Slot
	s.Init(exemplar.None(&exemplar.Origin{Fault: func(reason string) { t.Error(reason) }}))
	s.Record(v, labels)
	s.Load().At = at
	return &s
}

// TestProtobufFields has one series for each field.
func TestProtobufFields(t *testing.T) {
	classic := NewBounds([]float64{1, 2.5})
	only := NewBounds(nil)
	timed := func(d *Details) *Details { d.Timed, d.At = true, -1500; return d }
	created := func(d *Details) *Details { d.Created = 1500; return d }
	x := exemplarSlot(t, 0.5, 2001, "id", "a\"b").Load()
	slots := make([]exemplar.Slot, 3)
	for i, at := range []int64{3000, 0, 1000} {
		if at > 0 {
			slots[i].Init(exemplarSlot(t, float64(i), at, "id", "x").Load())
		}
	}
	const first, third = `exemplar:{label:{name:"id" value:"x"} value:0 timestamp:{seconds:3 nanos:0}}`, `exemplar:{label:{name:"id" value:"x"} value:2 timestamp:{seconds:1 nanos:0}}`
	for _, c := range []struct {
		name   string
		family Family
		pass   func(e *Encoder) bool
		want   string
	}{
		{"counter", Family{Kind: Counter}, func(e *Encoder) bool { return e.Whole(" ", 7, false, nil) }, `type:COUNTER metric:{counter:{value:7}}`},
		{"negative", Family{Kind: Gauge}, func(e *Encoder) bool { return e.Whole(" ", 7, true, nil) }, `type:GAUGE metric:{gauge:{value:-7}}`},
		{"large", Family{Kind: Gauge}, func(e *Encoder) bool { return e.Whole(" ", 1<<53+1, false, nil) }, `type:GAUGE metric:{gauge:{value:9.007199254740992e+15}}`},
		{"untyped", Family{Kind: Untyped}, func(e *Encoder) bool { return e.Float(" ", math.NaN(), nil) }, `type:UNTYPED metric:{untyped:{value:NaN}}`},
		{"info", Family{Kind: Info}, func(e *Encoder) bool { return e.Whole(" ", 1, false, nil) }, `type:GAUGE metric:{gauge:{value:1}}`},
		{"help", Family{Kind: Gauge, Help: "a\\\n\"é"}, func(e *Encoder) bool { return e.Float(" ", 0, nil) }, `help:"a\\\n\"é" type:GAUGE metric:{gauge:{value:0}}`},
		{"a_seconds", Family{Kind: Gauge, Unit: "seconds"}, func(e *Encoder) bool { return e.Float(" ", 0, nil) }, `type:GAUGE unit:"seconds" metric:{gauge:{value:0}}`},
		{"a_seconds_total", Family{Kind: Counter, Unit: "seconds"}, func(e *Encoder) bool { return e.Float(" ", 0, nil) }, `type:COUNTER unit:"seconds" metric:{counter:{value:0}}`},
		{"b_seconds_total", Family{Kind: Gauge, Unit: "seconds"}, func(e *Encoder) bool { return e.Float(" ", 0, nil) }, `type:GAUGE metric:{gauge:{value:0}}`},
		{"labels", Family{Kind: Gauge}, func(e *Encoder) bool { return e.Float(`{a="",b="\\\n\"é"} `, 0, nil) },
			`type:GAUGE metric:{label:{name:"a" value:""} label:{name:"b" value:"\\\n\"é"} gauge:{value:0}}`},
		{"time", Family{Kind: Gauge}, func(e *Encoder) bool { return e.Float(" ", 0, timed(e.Details())) }, `type:GAUGE metric:{gauge:{value:0} timestamp_ms:-1500}`},
		{"created", Family{Kind: Counter}, func(e *Encoder) bool { return e.Float(" ", 0, created(e.Details())) },
			`type:COUNTER metric:{counter:{value:0 created:{seconds:1 nanos:500000000}}}`},
		{"created_gauge", Family{Kind: Gauge}, func(e *Encoder) bool { return e.Float(" ", 0, created(e.Details())) }, `type:GAUGE metric:{gauge:{value:0}}`},
		{"exemplar", Family{Kind: Counter}, func(e *Encoder) bool {
			d := timed(created(e.Details()))
			d.Exemplar = x
			return e.Float(" ", 0, d)
		}, `type:COUNTER metric:{counter:{value:0 exemplar:{label:{name:"id" value:"a\"b"} value:0.5 timestamp:{seconds:2 nanos:1000000}} created:{seconds:1 nanos:500000000}} timestamp_ms:-1500}`},
		{"summary", Family{Kind: Summary}, func(e *Encoder) bool {
			return e.Summary(" ", &Distribution{3, -1, []Quantile{{0.5, -1}, {0.9, math.Inf(1)}}}, timed(e.Details()))
		}, `type:SUMMARY metric:{summary:{count:3 sum:-1 quantile:{quantile:0.5 value:-1} quantile:{quantile:0.9 value:+Inf}} timestamp_ms:-1500}`},
		{"classic", Family{Kind: Histogram}, func(e *Encoder) bool {
			return e.Histogram(" ", &classic, []uint64{1, 2, 4}, 9, timed(created(e.Details())))
		}, `type:HISTOGRAM metric:{timestamp_ms:-1500 histogram:{count:7 sum:9 bucket:{cumulative_count:1 upper_bound:1} bucket:{cumulative_count:3 upper_bound:2.5} created:{seconds:1 nanos:500000000}}}`},
		{"classic_exemplars", Family{Kind: Histogram}, func(e *Encoder) bool {
			d := e.Details()
			d.Buckets = slots
			return e.Histogram(" ", &classic, []uint64{1, 2, 4}, 9, d)
		}, `type:HISTOGRAM metric:{histogram:{count:7 sum:9 bucket:{cumulative_count:1 upper_bound:1 ` + first + `} bucket:{cumulative_count:3 upper_bound:2.5} ` +
			`bucket:{cumulative_count:7 upper_bound:+Inf ` + third + `}}}`},
		{"no_bounds", Family{Kind: Histogram}, func(e *Encoder) bool { return e.Histogram(" ", &only, []uint64{4}, 9, nil) },
			`type:HISTOGRAM metric:{histogram:{count:4 sum:9}}`},
		{"native", Family{Kind: Histogram}, func(e *Encoder) bool {
			d := created(e.Details())
			d.SetNative(&Native{Code: NativeCode{}, Snapshot: &native.Snapshot{Schema: -4, ZeroThreshold: 0.5, Zero: 2, Positive: []native.Bucket{{Key: -3, Count: 1}}, Negative: []native.Bucket{{Key: 5, Count: 200}}}})
			d.Native().Exemplars = slots
			return e.Histogram(" ", &only, []uint64{203}, math.NaN(), d)
		}, `type:HISTOGRAM metric:{histogram:{count:203 sum:NaN schema:-4 zero_threshold:0.5 zero_count:2 negative_span:{offset:5 length:1} negative_delta:[200] ` +
			`positive_span:{offset:-3 length:1} positive_delta:[1] created:{seconds:1 nanos:500000000} ` + third + ` ` + first + `}}`},
		{"both", Family{Kind: Histogram}, func(e *Encoder) bool {
			d := e.Details()
			d.Buckets = slots
			d.SetNative(&Native{Code: NativeCode{}, Snapshot: &native.Snapshot{Schema: 8, ZeroThreshold: 0.5, Zero: 3}})
			return e.Histogram(" ", &classic, []uint64{1, 2, 0}, 9, d)
		}, `type:HISTOGRAM metric:{histogram:{count:3 sum:9 bucket:{cumulative_count:1 upper_bound:1 ` + first + `} bucket:{cumulative_count:3 upper_bound:2.5} ` +
			`bucket:{cumulative_count:3 upper_bound:+Inf ` + third + `} schema:8 zero_threshold:0.5 zero_count:3}}`},
		{"native_bucket_exemplar", Family{Kind: Histogram}, func(e *Encoder) bool {
			d := e.Details()
			d.Buckets = slots[:1]
			d.SetNative(&Native{Code: NativeCode{}, Snapshot: &native.Snapshot{Zero: 1}})
			return e.Histogram(" ", &only, []uint64{1}, 0, d)
		}, `type:HISTOGRAM metric:{histogram:{count:1 sum:0 schema:0 zero_threshold:0 zero_count:1}}`},
		{"empty_native", Family{Kind: Histogram}, func(e *Encoder) bool {
			d := e.Details()
			d.SetNative(&Native{Code: NativeCode{}, Snapshot: &native.Snapshot{Schema: 3}})
			return e.Histogram(" ", &only, []uint64{0}, 0, d)
		}, `type:HISTOGRAM metric:{histogram:{count:0 sum:0 schema:3 zero_threshold:0 zero_count:0 positive_span:{offset:0 length:0}}}`},
		{"empty_threshold", Family{Kind: Histogram}, func(e *Encoder) bool {
			d := e.Details()
			d.SetNative(&Native{Code: NativeCode{}, Snapshot: &native.Snapshot{Schema: 3, ZeroThreshold: 1}})
			return e.Histogram(" ", &only, []uint64{0}, 0, d)
		}, `type:HISTOGRAM metric:{histogram:{count:0 sum:0 schema:3 zero_threshold:1 zero_count:0}}`},
		{"only_zeros", Family{Kind: Histogram}, func(e *Encoder) bool {
			d := e.Details()
			d.SetNative(&Native{Code: NativeCode{}, Snapshot: &native.Snapshot{Schema: 3, Zero: 1}})
			return e.Histogram(" ", &only, []uint64{1}, 0, d)
		}, `type:HISTOGRAM metric:{histogram:{count:1 sum:0 schema:3 zero_threshold:0 zero_count:1}}`},
	} {
		f := c.family
		f.Name = c.name
		f.Encode = func(e *Encoder) {
			e.Begin(&f)
			if !c.pass(e) {
				t.Errorf("%s ends the exposition", c.name)
			}
		}
		for _, same := range []bool{false, true} {
			f.SameLabels = same
			got := readProtobuf(t, names.AllowUTF8, new(Names), &f)
			if want := []string{`name:"` + c.name + `" ` + c.want}; !slices.Equal(got, want) {
				t.Errorf("%s: %q\nwant %q", c.name, got, want)
			}
		}
	}
}

// TestProtobufSpans: up to two empty buckets in a row are written as buckets.
func TestProtobufSpans(t *testing.T) {
	list := func(keysAndCounts ...uint64) (buckets []native.Bucket) {
		for i := 0; i < len(keysAndCounts); i += 2 {
			buckets = append(buckets, native.Bucket{Key: int(int32(keysAndCounts[i])), Count: keysAndCounts[i+1]})
		}
		return buckets
	}
	for _, c := range []struct {
		buckets []native.Bucket
		want    string
	}{
		{list(0, 1), `span:{offset:0 length:1} delta:[1]`},
		{list(1<<64-2, 5, 1<<64-1, 5, 0, 4), `span:{offset:-2 length:3} delta:[5 0 -1]`},
		{list(1, 5, 3, 7), `span:{offset:1 length:3} delta:[5 -5 7]`},
		{list(1, 5, 4, 7), `span:{offset:1 length:4} delta:[5 -5 0 7]`},
		{list(1, 5, 5, 7), `span:{offset:1 length:1} span:{offset:3 length:1} delta:[5 2]`},
		{list(1, 5, 3, 1, 100, 2, 103, 2), `span:{offset:1 length:3} span:{offset:96 length:4} delta:[5 -5 1 1 -2 0 2]`},
		{list(1<<64-70000, 1<<62, 70000, 1), `span:{offset:-70000 length:1} span:{offset:139999 length:1} delta:[4611686018427387904 -4611686018427387903]`},
		// The lengths of a delta: 1 byte up to 63, 2 bytes up to 8191, and so on.
		{list(0, 63, 1, 127, 2, 63, 3, 0, 4, 8191, 5, 16383, 6, 8191, 7, 0, 8, 1<<40, 10, 1<<63, 13, math.MaxUint64), `span:{offset:0 length:14} delta:[63 64 -64 -63 8191 8192 -8192 -8191 1099511627776 -1099511627776 -9223372036854775808 -9223372036854775808 0 -1]`},
	} {
		for side, s := range map[string]native.Snapshot{"positive": {Positive: c.buckets}, "negative": {Negative: c.buckets}} {
			f := &Family{Name: "h", Kind: Histogram}
			bounds := NewBounds(nil)
			f.Encode = func(e *Encoder) {
				e.Begin(f)
				d := e.Details()
				d.SetNative(&Native{Code: NativeCode{}, Snapshot: &s})
				e.Histogram(" ", &bounds, []uint64{1}, 0, d)
			}
			want := strings.NewReplacer("span", side+"_span", "delta", side+"_delta").Replace(c.want)
			if got := readProtobuf(t, names.AllowUTF8, new(Names), f); len(got) != 1 || !strings.HasSuffix(got[0], " zero_count:0 "+want+"}}") {
				t.Errorf("%v: %q, want %q", c.buckets, got, want)
			}
		}
	}
}

// TestProtobufNames: names are written as defined if the client accepts UTF-8, and otherwise
// as the text format escapes them.
func TestProtobufNames(t *testing.T) {
	ns := &Names{UTF8: &UTF8}
	f := &Family{Name: "a.b", Kind: Gauge, Quoted: true, QuotedLabels: true, SameLabels: true}
	f.Encode = func(e *Encoder) {
		e.Begin(f)
		for range 2 {
			e.Whole(`{"c.\"\\\n"="1.\"",d="2"} `, 1, false, nil)
		}
	}
	for s, want := range map[names.Scheme][2]string{
		names.AllowUTF8:   {"a.b", "c.\"\\\n"},
		names.Underscores: {"a_b", "c____"},
		names.Dots:        {"a_dot_b", "c_dot_______"},
		names.Values:      {"U__a_2e_b", "U__c_2e__22__5c__a_"},
	} {
		metric := ` metric:{label:{name:` + strconv.Quote(want[1]) + ` value:"1.\""} label:{name:"d" value:"2"} gauge:{value:1}}`
		message := `name:"` + want[0] + `" type:GAUGE` + metric + metric
		if got := readProtobuf(t, s, ns, f); len(got) != 1 || got[0] != message {
			t.Errorf("%s: %q, want %q", s.HeaderValue(), got, message)
		}
	}
}

// protoReference returns f in the protobuf format, as text.
func protoReference(f *testFamily, s names.Scheme) string {
	var b strings.Builder
	name := shownName(f, s)
	fmt.Fprintf(&b, "name:%q", name)
	if f.Help != "" {
		fmt.Fprintf(&b, " help:%s", strconv.Quote(f.Help))
	}
	kind := map[Kind]string{Counter: "COUNTER", Gauge: "GAUGE", Histogram: "HISTOGRAM", Untyped: "UNTYPED", Info: "GAUGE", Summary: "SUMMARY"}[f.Kind]
	fmt.Fprintf(&b, " type:%s", kind)
	base := name
	if f.Kind == Counter {
		base = strings.TrimSuffix(name, "_total")
	}
	if f.Unit != "" && strings.HasSuffix(base, "_"+f.Unit) {
		fmt.Fprintf(&b, " unit:%q", f.Unit)
	}
	time := func(ms int64) string { return fmt.Sprintf("{seconds:%d nanos:%d}", ms/1000, ms%1000*1e6) }
	pair := func(l label.Label) string {
		if !names.ValidLabel(l.Name) && s != names.AllowUTF8 {
			l.Name = shown(l.Name, s)
		}
		return "label:{name:" + strconv.Quote(l.Name) + " value:" + strconv.Quote(l.Value) + "}"
	}
	exemplarText := func(x *exemplar.Exemplar) string {
		if x == nil {
			return ""
		}
		value, err := strconv.Unquote(strings.ReplaceAll(strings.TrimSuffix(strings.TrimPrefix(x.Labels, "{id="), "}"), "\n", `\n`))
		if err != nil {
			panic(x.Labels)
		}
		return " exemplar:{" + pair(label.Label{Name: "id", Value: value}) + " value:" + shortest(x.Value) + " timestamp:" + time(x.At) + "}"
	}
	for _, x := range f.samples {
		var fields []string
		for _, l := range x.labels {
			fields = append(fields, pair(l))
		}
		created, timed := "", ""
		if x.details != nil && x.details.Created != 0 {
			created = " created:" + time(x.details.Created)
		}
		if x.details != nil && x.details.Timed {
			timed = fmt.Sprintf("timestamp_ms:%d", x.details.At)
		}
		value := ""
		switch v := x.value.(type) {
		case testHistogram:
			total, buckets := uint64(0), ""
			for i, n := range v.counts {
				total += n
				if i < len(v.counts)-1 || v.exemplars[i] != nil {
					buckets += fmt.Sprintf(" bucket:{cumulative_count:%d upper_bound:%s%s}", total, shortest(v.bounds.At(i)), exemplarText(v.exemplars[i]))
				}
			}
			fields = append(fields, timed, fmt.Sprintf("histogram:{count:%d sum:%s%s%s}", total, shortest(v.sum), buckets, created))
			timed = ""
		case Distribution:
			value = fmt.Sprintf("summary:{count:%d sum:%s", v.Count, shortest(v.Sum))
			for _, q := range v.Quantiles {
				value += fmt.Sprintf(" quantile:{quantile:%s value:%s}", shortest(q.Quantile), shortest(q.Value))
			}
			value += created + "}"
		default:
			number := wholeText(v, shortest, "")
			parsed, err := strconv.ParseFloat(number, 64)
			if err != nil {
				panic(number)
			}
			field := map[Kind]string{Counter: "counter", Untyped: "untyped"}[f.Kind]
			if field == "" {
				field = "gauge"
			}
			value = field + ":{value:" + shortest(parsed)
			if f.Kind == Counter {
				value += exemplarText(x.exemplar) + created
			}
			value += "}"
		}
		fields = slices.DeleteFunc(append(fields, value, timed), func(s string) bool { return s == "" })
		b.WriteString(" metric:{" + strings.Join(fields, " ") + "}")
	}
	return b.String()
}

// TestProtobufReference is TestFormats for the protobuf format.
func TestProtobufReference(t *testing.T) {
	rounds := 400
	if testing.Short() {
		rounds = 100
	}
	for seed := range uint64(rounds) {
		r := &source{Rand: rand.New(rand.NewPCG(seed, 2)), utf8: seed%3 > 0}
		ns := new(Names)
		if r.utf8 {
			ns.UTF8 = &UTF8
		}
		var all []*testFamily
		for range r.IntN(5) {
			all = append(all, r.families()...)
		}
		slices.SortFunc(all, func(a, b *testFamily) int { return strings.Compare(a.Name, b.Name) })
		for s := names.Underscores; s < names.NumSchemes; s++ {
			var families []*Family
			var want []string
			for _, f := range all {
				f.Encode = f.encode(t)
				families = append(families, &f.Family)
				if len(f.samples) > 0 {
					want = append(want, protoReference(f, s))
				}
			}
			if got := readProtobuf(t, s, ns, families...); !slices.Equal(got, want) {
				t.Fatalf("seed %d, scheme %s:\n%s\nwant\n%s", seed, s.HeaderValue(), strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		}
	}
}

// TestProtobufSplit: a large family is several messages with the same name, help, type and
// unit. Each but the last has about 32 KiB.
func TestProtobufSplit(t *testing.T) {
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
	lines := readProtobuf(t, names.AllowUTF8, new(Names), f, last)
	all := ""
	for i, line := range lines[:len(lines)-1] {
		rest, ok := strings.CutPrefix(line, `name:"g_bytes" help:"Help." type:GAUGE unit:"bytes" `)
		if !ok {
			t.Fatalf("message %d: %.200q", i, line)
		}
		all += rest + " "
	}
	for i := range series {
		var ok bool
		if all, ok = strings.CutPrefix(all, fmt.Sprintf(`metric:{label:{name:"l" value:"%d"} gauge:{value:%d}} `, i, i)); !ok {
			t.Fatalf("series %d is missing: %.200q", i, all)
		}
	}
	if len(lines) != 4 || all != "" || lines[3] != `name:"last" type:GAUGE metric:{gauge:{value:1}}` {
		t.Errorf("%d messages, rest %q, last %q", len(lines), all, lines[len(lines)-1])
	}
	var w writes
	if err := Write(&w, &Protobuf, names.AllowUTF8, []*Family{f, last}, new(Names)); err != nil || len(w.sizes) != 3 {
		t.Errorf("writes of %d bytes, error %v", w.sizes, err)
	}
}

// TestProtobufLongMessages: the length of a message, a metric or a label has more bytes if
// needed.
func TestProtobufLongMessages(t *testing.T) {
	for _, n := range []int{0, 1, 90, 91, 92, 100, 110, 111, 112, 113, 114, 115, 116, 117, 118, 119, 120, 121, 122, 123, 124, 125, 126, 127, 128, 129, 200, 16370, 16383, 16384, 3 << 20} {
		text := strings.Repeat("v", n)
		for _, count := range []int{1, 3} {
			f := &Family{Name: "g", Help: text, Kind: Gauge, SameLabels: true}
			f.Encode = func(e *Encoder) {
				e.Begin(f)
				for range count {
					e.Whole(`{a="x",b="`+text+`"} `, 1, false, nil)
				}
			}
			head, all := `name:"g" type:GAUGE`, ""
			if n > 0 {
				head = `name:"g" help:"` + text + `" type:GAUGE`
			}
			for i, line := range readProtobuf(t, names.AllowUTF8, new(Names), f) {
				rest, ok := strings.CutPrefix(line, head)
				if !ok {
					t.Fatalf("%d bytes: message %d: %.100q", n, i, line)
				}
				all += rest
			}
			if want := strings.Repeat(` metric:{label:{name:"a" value:"x"} label:{name:"b" value:"`+text+`"} gauge:{value:1}}`, count); all != want {
				t.Errorf("%d bytes, %d series: %.200q", n, count, all)
			}
		}
	}
}

// TestProtobufExemplarsAlone: a native histogram with exemplars is a message of its own, since
// Prometheus 3.16 would skip exemplars of the series behind it.
func TestProtobufExemplarsAlone(t *testing.T) {
	classic, only := NewBounds([]float64{1}), NewBounds(nil)
	slots := make([]exemplar.Slot, 2)
	slots[0].Init(exemplarSlot(t, 1, 1000, "id", "x").Load())
	f := &Family{Name: "h", Kind: Histogram}
	f.Encode = func(e *Encoder) {
		e.Begin(f)
		for _, c := range "n n e e b n b c" {
			d := e.Details()
			d.SetNative(&Native{Code: NativeCode{}, Snapshot: &native.Snapshot{Zero: 1}})
			bounds, counts := &only, []uint64{1}
			switch c {
			case ' ':
				continue
			case 'e':
				d.Native().Exemplars = slots
			case 'c':
				d.SetNative(nil)
				fallthrough
			case 'b':
				bounds, counts, d.Buckets = &classic, []uint64{1, 0}, slots
			}
			if !e.Histogram(`{l="`+string(c)+`"} `, bounds, counts, 0, d) {
				t.Error("the exposition ends")
			}
		}
	}
	var got []string
	for _, line := range readProtobuf(t, names.AllowUTF8, new(Names), f) {
		labels := ""
		for _, part := range strings.Split(line, `{name:"l" value:"`)[1:] {
			labels += part[:1]
		}
		got = append(got, labels)
	}
	if want := []string{"nn", "e", "e", "b", "n", "b", "c"}; !slices.Equal(got, want) {
		t.Errorf("messages %q, want %q", got, want)
	}
}

// TestProtobufExemplarOrder: exemplars of native buckets are in the order of their times.
func TestProtobufExemplarOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	bounds := NewBounds(nil)
	for range 100 {
		slots := make([]exemplar.Slot, r.IntN(12))
		var times []int64
		for i := range slots {
			if r.IntN(3) > 0 {
				at := r.Int64N(20)
				slots[i].Init(exemplarSlot(t, 1, 1000*at, "id", "x").Load())
				times = append(times, at)
			}
		}
		slices.Sort(times)
		want := ""
		for _, at := range times {
			want += fmt.Sprintf(` exemplar:{label:{name:"id" value:"x"} value:1 timestamp:{seconds:%d nanos:0}}`, at)
		}
		f := &Family{Name: "h", Kind: Histogram}
		f.Encode = func(e *Encoder) {
			e.Begin(f)
			for range 2 {
				d := e.Details()
				d.SetNative(&Native{Code: NativeCode{}, Snapshot: &native.Snapshot{Zero: 1}, Exemplars: slots})
				e.Histogram(" ", &bounds, []uint64{1}, 0, d)
			}
		}
		for _, line := range readProtobuf(t, names.AllowUTF8, new(Names), f) {
			if !strings.Contains(line, " zero_count:1"+want+"}}") {
				t.Fatalf("%q has not the exemplars %q", line, want)
			}
		}
	}
}

// TestProtobufAllocations: native histograms and exemplars make no allocation for a series.
func TestProtobufAllocations(t *testing.T) {
	bounds, snapshot := NewBounds(nil), logNormal(1000)
	counts := []uint64{snapshot.Count()}
	slots := []exemplar.Slot{{}, {}}
	slots[0].Init(exemplarSlot(t, 1, 1000, "id", "x").Load())
	if race.Enabled {
		t.Skip("the race detector allocates")
	}
	for name, f := range map[string]*Family{
		"same labels": {Name: "h", Kind: Histogram, SameLabels: true},
		"UTF-8":       {Name: "h.", Kind: Histogram, SameLabels: true, Quoted: true, QuotedLabels: true},
	} {
		var allocations [2]float64
		for i, n := range []int{20, 3000} {
			block := `{l="some \"value"} `
			if f.Quoted {
				block = `{"l.m"="some \"value"} `
			}
			f.Encode = func(e *Encoder) {
				e.Begin(f)
				own := &Native{Code: NativeCode{}, Snapshot: snapshot, Exemplars: slots}
				for range n {
					d := e.Details()
					d.SetNative(own)
					e.Histogram(block, &bounds, counts, 1, d)
				}
			}
			ns := &Names{UTF8: &UTF8}
			allocations[i] = testing.AllocsPerRun(20, func() { Write(io.Discard, &Protobuf, names.AllowUTF8, []*Family{f}, ns) })
		}
		if allocations[1] > allocations[0]+1 {
			t.Errorf("%s: %v allocations for 3000 series, %v for 20", name, allocations[1], allocations[0])
		}
	}
}

// FuzzPairs: the labels of a block are those from which the block was made, in the first
// series of a family and in the next ones.
func FuzzPairs(f *testing.F) {
	f.Add("a", "1", "b", "2", "x")
	f.Add("a", "", "le", "\"\\\n", "")
	f.Add("a.b", "v", "c\"", "1234567", "12345678")
	f.Add(strings.Repeat("n", 26), strings.Repeat("v", 100), "abc", strings.Repeat(`\`, 64), strings.Repeat("v", 128))
	f.Fuzz(func(t *testing.T, name1, value1, name2, value2, value3 string) {
		if !names.ValidUTF8(name1) || !names.ValidUTF8(name2) {
			return
		}
		family := &Family{Name: "g", Kind: Gauge, SameLabels: true, QuotedLabels: !names.ValidLabel(name1) || !names.ValidLabel(name2)}
		var blocks []string
		want := `name:"g" type:GAUGE`
		for _, values := range [][2]string{{value1, value2}, {value2, value3}, {value3, value1}, {value1, value1}} {
			labels := []label.Label{{Name: name1, Value: values[0]}, {Name: name2, Value: values[1]}}
			blocks = append(blocks, string(label.AppendBlock(nil, labels)))
			want += " metric:{"
			for _, l := range labels {
				want += fmt.Sprintf("label:{name:%s value:%s} ", strconv.Quote(l.Name), strconv.Quote(l.Value))
			}
			want += "gauge:{value:0}}"
		}
		family.Encode = func(e *Encoder) {
			e.Begin(family)
			for _, block := range blocks {
				e.Whole(block, 0, false, nil)
			}
		}
		got := readProtobuf(t, names.AllowUTF8, &Names{UTF8: &UTF8}, family)
		if len(want) < flushAt/2 && (len(got) != 1 || got[0] != want) {
			t.Errorf("%q: %q, want %q", blocks, got, want)
		}
	})
}

// TestProtobufFits: nothing is stored behind the capacity of the buffer, however little room
// is left.
func TestProtobufFits(t *testing.T) {
	bounds := NewBounds(nil)
	s := &native.Snapshot{Zero: 1}
	for i := range 20 {
		s.Positive = append(s.Positive, native.Bucket{Key: 3 * i, Count: 1 << (3 * i)})
	}
	const block = `{a="1",b="12345678"} `
	encoder := func(b []byte) *Encoder {
		return &Encoder{format: &Protobuf, names: new(Names), w: io.Discard, buf: b}
	}
	for kind, sample := range map[Kind]func(e *Encoder){
		Gauge: func(e *Encoder) { e.Whole(block, 1, false, nil) },
		Histogram: func(e *Encoder) {
			d := e.Details()
			d.SetNative(&Native{Code: NativeCode{}, Snapshot: s})
			e.Histogram(block, &bounds, []uint64{1}, 0, d)
		},
	} {
		pass := func(e *Encoder) {
			e.Begin(&Family{Name: "x", Kind: kind, SameLabels: true})
			for range 4 {
				sample(e)
			}
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
