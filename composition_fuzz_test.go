//go:build !tacho_nohttp

package tacho

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tachikoma/tacho/internal/expo"
	"github.com/tachikoma/tacho/internal/names"
	"github.com/tachikoma/tacho/internal/testkit"
)

// A randomTree is a registry with sub-registries, made from bytes.
type randomTree struct {
	bytes   []byte
	utf8    bool
	root    *Registry
	all     []*Registry // open and closed; root is the first
	stops   []func()
	emitted map[string]bool // names of collected families
	yields  bool            // some families give way
	before  string          // the samples before the first sub-registry
}

// n returns a number below limit.
func (g *randomTree) n(limit int) int {
	if len(g.bytes) == 0 {
		return 0
	}
	b := g.bytes[0]
	g.bytes = g.bytes[1:]
	return int(b) % limit
}

func pickOne[T any](g *randomTree, list ...T) T { return list[g.n(len(list))] }

func (g *randomTree) name() string {
	if g.utf8 {
		return pickOne(g, "x", "x_total", "h", "h_count", "y.z", "y_z", "p_x", "U_", "é\"\\\n", "x_created", "h.count")
	}
	return pickOne(g, "x", "x_total", "h", "h_count", "p_x", "h_sum", "x_created", "z_info", "x_seconds", "x_a")
}

func (g *randomTree) label() string {
	if g.utf8 {
		return pickOne(g, "l", "m", "l.m", "l_m", "é", "\"\\\n")
	}
	return pickOne(g, "l", "m", "n", "le", "quantile", "l", "m")
}

func (g *randomTree) value() string {
	return pickOne(g, "1", "2", "", "a\"b\\\n", "\xff", "{},=", strings.Repeat("w", 70))
}

func (g *randomTree) number() float64 {
	return pickOne(g, 1, 2, 0.5, -3, math.Inf(1), math.NaN(), 1e300, math.Inf(-1))
}

func (g *randomTree) pairs() (pairs []string) {
	for range g.n(3) {
		pairs = append(pairs, g.label(), g.value())
	}
	return pairs
}

func (g *randomTree) options() (opts []Option) {
	if g.n(3) > 0 {
		opts = append(opts, WithConstLabels(g.pairs()...))
	}
	if g.n(4) == 0 {
		opts = append(opts, WithMaxSeries(2))
	}
	return opts
}

func newRandomTree(data []byte, utf8 bool) *randomTree {
	g := &randomTree{bytes: data, utf8: utf8, emitted: map[string]bool{}}
	opts := g.subOptions()
	if utf8 {
		opts = append(opts, WithUTF8Names())
	}
	r, err := Try(func() *Registry { return NewRegistry(opts...) })
	if err != nil {
		r = NewRegistry()
		g.utf8 = false
	}
	g.root, g.all = r, []*Registry{r}
	return g
}

func (g *randomTree) subOptions() []Option {
	opts := g.options()
	if g.n(3) == 0 {
		opts = append(opts, WithPrefix(pickOne(g, "p_", "x", "")))
	}
	if g.n(4) == 0 {
		opts = append(opts, WithNative())
	}
	if g.n(4) == 0 {
		opts = append(opts, WithCreated())
	}
	return opts
}

// grow makes sub-registries and metrics until the bytes are used.
func (g *randomTree) grow() {
	for range 60 {
		if len(g.bytes) == 0 {
			return
		}
		r := g.all[g.n(len(g.all))]
		_, _ = Try(func() bool { g.act(r); return true })
	}
}

func (g *randomTree) act(r *Registry) {
	var labels []string
	for range g.n(3) {
		labels = append(labels, g.label())
	}
	switch g.n(12) {
	case 0, 1, 2:
		g.all = append(g.all, r.Sub(g.subOptions()...))
	case 3:
		v := r.CounterVec(g.name(), pickOne(g, "", "Help."), labels, g.options()...)
		for range 3 {
			v.With(g.values(labels)...).AddExemplar(1, "t", g.value())
		}
	case 4:
		v := r.FloatGaugeVec(g.name(), "", labels, g.options()...)
		for range 3 {
			v.With(g.values(labels)...).Set(g.number())
		}
	case 5:
		v := r.HistogramVec(g.name(), "", pickOne(g, nil, []float64{1}, []float64{-1, 2}), labels, g.options()...)
		for range 3 {
			v.With(g.values(labels)...).ObserveExemplar(g.number(), "t", g.value())
		}
	case 6:
		n := g.number()
		if g.n(2) == 0 {
			r.GaugeFunc(g.name(), "", func() float64 { return n }, g.options()...)
		} else {
			r.CounterFunc(g.name(), "", func() float64 { return n }, g.options()...)
		}
	case 7:
		v := pickOne(g, r.GaugeFuncVec, r.CounterFuncVec)(g.name(), "", labels, g.options()...)
		for range 2 {
			n := g.number()
			g.stops = append(g.stops, v.Func(func() float64 { return n }, g.values(labels)...))
		}
	case 8, 9:
		g.stops = append(g.stops, r.Collect(g.collector(r)))
	case 10:
		r.Unregister(g.name())
	case 11:
		if g.n(2) == 0 {
			r.Close()
		} else if len(g.stops) > 0 {
			g.stops[g.n(len(g.stops))]()
		}
	}
}

func (g *randomTree) values(labels []string) (values []string) {
	for range labels {
		values = append(values, g.value())
	}
	return values
}

func (g *randomTree) collector(r *Registry) func(*Emitter) {
	var calls []func(*Emitter)
	for range g.n(4) {
		name, pairs, n, kind, how := g.name(), g.pairs(), g.number(), g.n(6), g.n(6)
		g.emitted[r.prefix+name] = true
		g.yields = g.yields || how == 0
		calls = append(calls, func(e *Emitter) {
			switch how {
			case 0:
				e = e.Fallback()
			case 1:
				e = e.Created(time.Unix(1, 0))
			case 2:
				e = e.Exemplars(Exemplar{n, []string{"t", "1"}, time.Unix(2, 0)})
			case 3:
				e = e.At(time.Unix(3, 0)).Unit("seconds")
			}
			switch kind {
			case 0:
				e.Counter(name, "", n, pairs...)
			case 1:
				e.Gauge(name, "", n, pairs...)
			case 2:
				e.Untyped(name, "", n, pairs...)
			case 3:
				e.Info(name, "", pairs...)
			case 4:
				e.Summary(name, "", SummarySnapshot{2, n, []Quantile{{0.5, n}}}, pairs...)
			case 5:
				e.Histogram(name, "", HistogramSnapshot{Count: 3, Sum: n, Buckets: []Bucket{{1, 2}}}, pairs...)
			}
		})
	}
	return func(e *Emitter) {
		for _, call := range calls {
			call(e)
		}
	}
}

// writtenAs returns a scrape with this scheme.
func writtenAs(t *testing.T, r *Registry, f *expo.Format, s names.Scheme) string {
	t.Helper()
	return write(t, func(w io.Writer) error { return expo.Write(w, f, s, r.scrapedFor(&query{}), &spaceOf(r).names) })
}

func isOwn(s testkit.Sample) bool { return strings.HasPrefix(s.Name, "tacho_") }

func sameFloat(a, b float64) bool { return a == b || a != a && b != b }

// A protoNode is a field of a message, as testkit.ReadProtobuf writes the message.
type protoNode struct {
	name, text string // the text of a string is unquoted
	fields     []protoNode
}

// child returns the text of the field with this name, or "0".
func (n *protoNode) child(name string) string {
	for _, f := range n.fields {
		if f.name == name {
			return f.text
		}
	}
	return "0"
}

// readNodes reads fields until the end of the message, and returns the rest of s.
func readNodes(t *testing.T, s string) (nodes []protoNode, rest string) {
	t.Helper()
	for s = strings.TrimPrefix(s, " "); s != "" && s[0] != '}'; s = strings.TrimPrefix(s, " ") {
		var n protoNode
		n.name, s, _ = strings.Cut(s, ":")
		switch s[0] {
		case '{':
			n.fields, s = readNodes(t, s[1:])
			s = strings.TrimPrefix(s, "}")
		case '"':
			quoted, err := strconv.QuotedPrefix(s)
			if err != nil {
				t.Fatal(err)
			}
			n.text, _ = strconv.Unquote(quoted)
			s = s[len(quoted):]
		default:
			end := strings.IndexAny(s, " }")
			if s[0] == '[' {
				end = strings.IndexByte(s, ']') + 1
			}
			if end < 0 {
				end = len(s)
			}
			n.text, s = s[:end], s[end:]
		}
		nodes = append(nodes, n)
	}
	return nodes, s
}

// protobufSamples returns the samples of messages as the text format has them, without the last bucket
// of histograms.
func protobufSamples(t *testing.T, lines []string) (samples []testkit.Sample) {
	t.Helper()
	for _, line := range lines {
		fields, rest := readNodes(t, line)
		if rest != "" {
			t.Fatalf("rest %q of %s", rest, line)
		}
		family := protoNode{fields: fields}
		name := family.child("name")
		for _, metric := range fields {
			if metric.name != "metric" {
				continue
			}
			var labels []testkit.Label
			add := func(suffix, value string, more ...testkit.Label) {
				v, err := strconv.ParseFloat(value, 64)
				if err != nil {
					t.Fatal(err)
				}
				samples = append(samples, testkit.Sample{Name: name + suffix, Labels: append(labels[:len(labels):len(labels)], more...), Value: v})
			}
			for _, f := range metric.fields {
				switch f.name {
				case "label":
					labels = append(labels, testkit.Label{Name: f.child("name"), Value: f.child("value")})
				case "counter", "gauge", "untyped":
					add("", f.child("value"))
				case "histogram", "summary":
					add("_count", f.child("count"))
					add("_sum", f.child("sum"))
					for _, b := range f.fields {
						switch b.name {
						case "bucket":
							if le := b.child("upper_bound"); le != "+Inf" {
								add("_bucket", b.child("cumulative_count"), testkit.Label{Name: "le", Value: le})
							}
						case "quantile":
							add("", b.child("value"), testkit.Label{Name: "quantile", Value: b.child("quantile")})
						}
					}
				}
			}
		}
	}
	return samples
}

// checkScrapes checks every format, and returns the values of the series in the text format or, with
// UTF-8 names, in OpenMetrics. The registry's own metrics are left out.
func checkScrapes(t *testing.T, r *Registry, utf8 bool) map[string]float64 {
	t.Helper()
	values := map[string]float64{}
	for _, s := range []names.Scheme{names.Underscores, names.Dots, names.Values} {
		for _, sample := range testkit.ParseOpenMetrics(t, writtenAs(t, r, &expo.OpenMetrics, s)) {
			if s == names.Underscores && !isOwn(sample) && utf8 {
				values[sample.Key()] = sample.Value
			}
		}
	}
	var inProtobuf []testkit.Sample
	for _, s := range []names.Scheme{names.Underscores, names.Dots, names.Values, names.AllowUTF8} {
		lines, err := testkit.ReadProtobuf([]byte(writtenAs(t, r, &expo.Protobuf, s)))
		if err != nil || len(lines) > 0 && lines[0] == "" {
			t.Fatal(err)
		}
		inProtobuf = protobufSamples(t, lines)
	}
	inJSON := testkit.ParseJSON(t, jsonText(t, r))
	if utf8 {
		return values
	}
	for _, sample := range testkit.ParseText(t, text(t, r)) {
		if !isOwn(sample) {
			values[sample.Key()] = sample.Value
		}
	}
	compare := func(format string, samples []testkit.Sample, created bool) {
		for _, s := range samples {
			if isOwn(s) || created && strings.HasSuffix(s.Name, "_created") {
				continue
			}
			v, ok := values[s.Key()]
			if !ok || !sameFloat(v, s.Value) && !(format == "JSON" && math.IsInf(v, 0) && s.Value != s.Value) {
				t.Fatalf("%s: %s is %v, in the text format %v, %v", format, s.Key(), s.Value, v, ok)
			}
		}
	}
	compare("JSON", inJSON, false)
	compare("protobuf", inProtobuf, false)
	inText := 0
	for key := range values {
		if !strings.Contains(key, `"le""+Inf"`) {
			inText++
		}
	}
	if n := len(slices.DeleteFunc(inProtobuf, isOwn)); n != inText {
		t.Fatalf("%d samples in protobuf, %d in the text format", n, inText)
	}
	compare("OpenMetrics", testkit.ParseOpenMetrics(t, open(t, r)), true)
	if n := len(inJSON); n < len(values) {
		t.Fatalf("%d samples in JSON, %d in the text format", n, len(values))
	}
	return values
}

// FuzzComposition: random trees of registries, and joined registries of two trees, are valid in
// every format. A tree shows what its sub-registries show, and nothing after they are closed.
func FuzzComposition(f *testing.F) {
	for seed := range 8 {
		data := make([]byte, 400)
		x := uint32(seed + 1)
		for i := range data {
			x = x*1664525 + 1013904223
			data[i] = byte(x >> 24)
		}
		f.Add(data, seed%2 == 0, seed%3 == 0)
	}
	f.Fuzz(func(t *testing.T, data []byte, utf8A, utf8B bool) {
		a, b := newRandomTree(data[:len(data)/2], utf8A), newRandomTree(data[len(data)/2:], utf8B)
		for _, g := range []*randomTree{a, b} {
			g.before = fmt.Sprint(checkScrapes(t, g.root, g.utf8))
			g.grow()
			if t.Failed() {
				return
			}
			whole := checkScrapes(t, g.root, g.utf8)
			for _, r := range g.all[1:] {
				for key, v := range checkScrapes(t, r, g.utf8) {
					name, _, _ := strings.Cut(key, `"`)
					if got, ok := whole[key]; !g.utf8 && len(g.emitted) == 0 && (!ok || !sameFloat(got, v)) {
						t.Fatalf("%s: %s is %v in the sub-registry, and %v in its parent, %v", name, key, v, got, ok)
					}
				}
			}
		}
		j := Join(append([]*Registry{a.root}, b.all...)...)
		utf8 := a.utf8 || b.utf8
		joined := checkScrapes(t, j, utf8)
		checkScrapes(t, Join(append(a.all[1:], b.all...)...), utf8)
		if !utf8 && !a.yields && !b.yields {
			of := []map[string]float64{checkScrapes(t, a.root, false), checkScrapes(t, b.root, false)}
			for key, v := range of[0] {
				if got, ok := joined[key]; !ok || !sameFloat(got, v) {
					t.Fatalf("%s is %v in the first part, and %v in the joined registry, %v", key, v, got, ok)
				}
			}
			for key, v := range joined {
				first, inFirst := of[0][key]
				second, inSecond := of[1][key]
				if !(inFirst && sameFloat(first, v)) && (inFirst || !inSecond || !sameFloat(second, v)) {
					t.Fatalf("%s is %v in the joined registry, %v and %v in its parts", key, v, first, second)
				}
			}
		}
		for _, g := range []*randomTree{a, b} {
			for _, stop := range g.stops {
				stop()
			}
			for _, r := range g.all {
				r.Close()
			}
			for _, name := range g.rootNames() {
				g.root.Unregister(strings.TrimPrefix(name, g.root.prefix))
			}
			if got := fmt.Sprint(checkScrapes(t, g.root, g.utf8)); got != g.before {
				t.Fatalf("left: %s", got)
			}
			s := g.root.space
			if n := len(s.defined) + len(s.families); n != 4 {
				t.Fatalf("%d families are left", n)
			}
			if s.tree != nil {
				tr := (*tree)(s.tree)
				keys := len(tr.keys(g.root.errors.fam)) + len(tr.keys(g.root.overflow.fam))
				if len(tr.groups) != 2 || len(tr.series) != keys || len(tr.root.own) != 2 || len(tr.root.children) != 0 {
					t.Fatalf("a tree has %d groups, %d series, %d own metrics and %d sub-registries", len(tr.groups), len(tr.series), len(tr.root.own), len(tr.root.children))
				}
			}
			if list := (*functions)(s.functions); list != nil && len(list.running()) != 0 {
				t.Fatal("collectors are left")
			}
		}
	})
}

// rootNames returns the names of the metrics that the registry itself has defined.
func (g *randomTree) rootNames() (list []string) {
	g.root.mu.Lock()
	defer g.root.mu.Unlock()
	for _, f := range g.root.defined {
		list = append(list, f.Name)
	}
	return list
}
