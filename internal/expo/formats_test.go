package expo

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tachikoma/tacho/internal/exemplar"
	"github.com/tachikoma/tacho/internal/label"
	"github.com/tachikoma/tacho/internal/names"
)

// A testFamily has the samples that its Encode passes. The tests write a testFamily a
// second time with fmt, line by line.
type testFamily struct {
	Family
	plain   bool // another family needs the OpenMetrics name of this family
	samples []testSample
}

// A testSample is passed by the method of an Encoder that fits its value.
type testSample struct {
	labels   []label.Label
	details  *Details
	value    any // a testWhole, a float64, a testHistogram or a Distribution
	exemplar *exemplar.Exemplar
}

type testWhole struct {
	v        uint64
	negative bool
}

type testHistogram struct {
	bounds    Bounds
	counts    []uint64
	sum       float64
	exemplars []*exemplar.Exemplar
}

func (f *testFamily) encode(t *testing.T) func(*Encoder) {
	return func(e *Encoder) {
		if len(f.samples) > 0 {
			e.Begin(&f.Family)
		}
		for _, s := range f.samples {
			block := string(label.AppendBlock(nil, s.labels))
			d := s.details
			if d != nil { // as the registry does
				d = e.Details()
				if !reflect.ValueOf(*d).IsZero() {
					t.Errorf("details %+v are not empty", d)
				}
				*d = *s.details
			}
			more := false
			switch v := s.value.(type) {
			case testWhole:
				more = e.Whole(block, v.v, v.negative, d)
			case float64:
				more = e.Float(block, v, d)
			case testHistogram:
				more = e.Histogram(block, &v.bounds, v.counts, v.sum, d)
			case Distribution:
				more = e.Summary(block, &v, d)
			}
			if !more {
				t.Errorf("a sample of %s ends the exposition", f.Name)
			}
		}
	}
}

// A source makes random families.
type source struct {
	*rand.Rand
	utf8 bool
	made int
}

func (r *source) oneIn(n int) bool { return r.IntN(n) == 0 }

func (r *source) text() string {
	var b strings.Builder
	for range r.IntN(20) {
		switch r.IntN(6) {
		case 0:
			b.WriteByte(byte(r.IntN(0x80)))
		case 1:
			b.WriteByte("\\\"\n{},= #"[r.IntN(9)])
		case 2:
			b.WriteRune([]rune("é日😀\u2028\u00a0")[r.IntN(5)])
		default:
			b.WriteByte(byte('a' + r.IntN(26)))
		}
	}
	return b.String()
}

func (r *source) labels() (list []label.Label) {
	for i := range r.IntN(4) {
		name := string(rune('a'+i)) + "abcdefgh"[:r.IntN(8)]
		if r.utf8 && r.oneIn(3) {
			name += []string{".", "é", "\"", "\\", "\n", "="}[r.IntN(6)]
		}
		list = append(list, label.Label{Name: name, Value: r.text()})
	}
	return list
}

func (r *source) number() float64 {
	special := []float64{0, math.Copysign(0, -1), 1, -1, 1e6, 999999, 5e-324, math.MaxFloat64, math.Inf(1), math.Inf(-1), math.NaN()}
	switch r.IntN(3) {
	case 0:
		return special[r.IntN(len(special))]
	case 1:
		return float64(r.IntN(2000) - 1000)
	}
	return r.NormFloat64() * math.Pow(10, float64(r.IntN(20)-10))
}

func (r *source) exemplar() *exemplar.Exemplar {
	if r.oneIn(2) {
		return nil
	}
	var s exemplar.Slot
	s.Init(exemplar.None(&exemplar.Origin{Fault: func(string) {}})) // some texts have a NUL
	s.Record(r.number(), []string{"id", r.text()})
	x := s.Load()
	if x != nil {
		x.At = r.Int64N(1e13)
	}
	return x
}

func (r *source) details() *Details {
	if r.oneIn(2) {
		return nil
	}
	d := new(Details)
	if r.oneIn(2) {
		d.Timed, d.At = true, r.Int64N(1<<r.IntN(43))
	}
	if r.oneIn(2) {
		d.Created = 1 + r.Int64N(1<<r.IntN(43))
	}
	return d
}

func (r *source) sample(k Kind) testSample {
	s := testSample{labels: r.labels(), details: r.details()}
	switch k {
	case Histogram:
		var upper []float64
		for v := r.NormFloat64() - float64(r.IntN(3)); len(upper) < r.IntN(8); v += float64(r.IntN(1000)+1) / 8 {
			upper = append(upper, v)
			if r.oneIn(4) {
				v = math.Ceil(v)
			}
		}
		h := testHistogram{bounds: NewBounds(upper), sum: r.number(), exemplars: make([]*exemplar.Exemplar, len(upper)+1)}
		for range len(upper) + 1 {
			h.counts = append(h.counts, r.Uint64N(1<<r.IntN(40)))
		}
		if s.details != nil && r.oneIn(2) {
			s.details.Buckets = make([]exemplar.Slot, len(upper)+1)
			for i := range h.exemplars {
				if x := r.exemplar(); x != nil {
					h.exemplars[i] = x
					s.details.Buckets[i].Init(x)
				}
			}
		}
		s.value = h
	case Summary:
		d := Distribution{Count: r.Uint64N(1 << r.IntN(60)), Sum: r.number()}
		for i := range r.IntN(4) {
			d.Quantiles = append(d.Quantiles, Quantile{float64(i+1) / 4, r.number()})
		}
		s.value = d
	default:
		if s.details != nil {
			s.exemplar = r.exemplar()
			s.details.Exemplar = s.exemplar
		}
		s.value = testWhole{r.Uint64N(1 << r.IntN(64)), r.oneIn(4)}
		if r.oneIn(2) {
			s.value = r.number()
		}
	}
	return s
}

func (r *source) family(name string, k Kind) *testFamily {
	f := &testFamily{Family: Family{Name: name, Kind: k, Help: r.text(), MixedTimes: k == Info && r.oneIn(3)}}
	if r.oneIn(2) {
		f.Unit = "seconds"
	}
	f.Quoted = !names.ValidMetric(name)
	for range r.IntN(4) {
		s := r.sample(k)
		f.samples = append(f.samples, s)
		for _, l := range s.labels {
			f.QuotedLabels = f.QuotedLabels || !names.ValidLabel(l.Name)
		}
	}
	return f
}

// families returns one family, or two of which one is shown plain in OpenMetrics. Their
// names are not in the results of other calls.
func (r *source) families() []*testFamily {
	r.made++
	stem := "n" + strconv.Itoa(r.made) + strings.Repeat("x", r.IntN(70)) + "q"
	pair := r.oneIn(4)
	if r.utf8 && !pair && r.oneIn(2) { // an escaped suffix would be another one
		stem += []string{".", "é", "\"", "\\", "\n", " "}[r.IntN(6)] + "z"
	}
	if r.oneIn(3) {
		stem += "_seconds"
	}
	if pair {
		k := []Kind{Counter, Info}[r.IntN(2)]
		other, suffix := stem, "_total"
		if k == Info {
			suffix = "_info"
		} else if r.oneIn(3) {
			other += "_created"
		}
		plain := r.family(stem+suffix, k)
		plain.plain = true
		return []*testFamily{plain, r.family(other, Gauge)}
	}
	k := Kind(r.IntN(int(Summary) + 1))
	switch {
	case k == Counter && !r.oneIn(4):
		stem += "_total"
	case k == Info && !r.oneIn(4):
		stem += "_info"
	}
	return []*testFamily{r.family(stem, k)}
}

// quoted returns s in double quotes, with the escapes of label values.
func quoted(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`).Replace(s) + `"`
}

// sampleHead returns a sample up to its value. more are labels behind those of the sample.
func sampleHead(f *testFamily, name string, s names.Scheme, labels []label.Label, more ...string) string {
	var inside []string
	if f.Quoted && s == names.AllowUTF8 {
		inside, name = append(inside, quoted(name)), ""
	}
	for _, l := range labels {
		shownName := l.Name
		if !names.ValidLabel(l.Name) {
			if shownName = quoted(l.Name); s != names.AllowUTF8 {
				shownName = shown(l.Name, s)
			}
		}
		inside = append(inside, shownName+"="+quoted(l.Value))
	}
	if inside = append(inside, more...); len(inside) > 0 {
		name += "{" + strings.Join(inside, ",") + "}"
	}
	return name + " "
}

func shortest(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

func openNumber(v float64) string {
	s := shortest(v)
	if !strings.ContainsAny(s, ".eIN") {
		s += ".0"
	}
	return s
}

// wholeText returns the value of a testWhole or a float64. format formats a float64.
func wholeText(value any, format func(float64) string, end string) string {
	w, ok := value.(testWhole)
	if !ok {
		return format(value.(float64))
	}
	text := strconv.FormatUint(w.v, 10) + end
	if w.negative {
		text = "-" + text
	}
	return text
}

// shownName returns the name of f in an exposition.
func shownName(f *testFamily, s names.Scheme) string {
	if f.Quoted && s != names.AllowUTF8 {
		return string(names.AppendEscapedMetric(nil, f.Name, s))
	}
	return f.Name
}

// headName returns a name as lines about a family have it.
func headName(f *testFamily, name string, s names.Scheme) string {
	if f.Quoted && s == names.AllowUTF8 {
		return quoted(name)
	}
	return name
}

// textReference returns f in the text format.
func textReference(f *testFamily, s names.Scheme) string {
	var b strings.Builder
	name := shownName(f, s)
	head := headName(f, name, s)
	if f.Help != "" {
		fmt.Fprintf(&b, "# HELP %s %s\n", head, strings.NewReplacer(`\`, `\\`, "\n", `\n`).Replace(f.Help))
	}
	kind := map[Kind]string{Counter: "counter", Gauge: "gauge", Histogram: "histogram", Untyped: "untyped", Info: "gauge", Summary: "summary"}[f.Kind]
	fmt.Fprintf(&b, "# TYPE %s %s\n", head, kind)
	for _, x := range f.samples {
		end := "\n"
		if x.details != nil && x.details.Timed {
			end = fmt.Sprintf(" %d\n", x.details.At)
		}
		line := func(suffix, value string, more ...string) {
			b.WriteString(sampleHead(f, name+suffix, s, x.labels, more...) + value + end)
		}
		switch v := x.value.(type) {
		case testHistogram:
			total := uint64(0)
			for i, n := range v.counts {
				total += n
				line("_bucket", fmt.Sprint(total), `le="`+shortest(v.bounds.At(i))+`"`)
			}
			line("_sum", shortest(v.sum))
			line("_count", fmt.Sprint(total))
		case Distribution:
			for _, q := range v.Quantiles {
				line("", shortest(q.Value), `quantile="`+shortest(q.Quantile)+`"`)
			}
			line("_sum", shortest(v.Sum))
			line("_count", fmt.Sprint(v.Count))
		default:
			line("", wholeText(v, shortest, ""))
		}
	}
	return b.String()
}

// openReference returns f in OpenMetrics.
func openReference(f *testFamily, s names.Scheme) string {
	var b strings.Builder
	full := shownName(f, s)
	name, dated := full, f.Kind == Histogram || f.Kind == Summary
	kind := map[Kind]string{Counter: "unknown", Gauge: "gauge", Histogram: "histogram", Untyped: "unknown", Info: "gauge", Summary: "summary"}[f.Kind]
	if base, ok := strings.CutSuffix(full, "_total"); f.Kind == Counter && ok && !f.plain {
		name, kind, dated = base, "counter", true
	}
	if base, ok := strings.CutSuffix(full, "_info"); f.Kind == Info && ok && !f.plain && !f.MixedTimes {
		name, kind = base, "info"
	}
	head := headName(f, name, s)
	if f.Help != "" {
		help := quoted(f.Help)
		fmt.Fprintf(&b, "# HELP %s %s\n", head, help[1:len(help)-1])
	}
	fmt.Fprintf(&b, "# TYPE %s %s\n", head, kind)
	if f.Unit != "" && strings.HasSuffix(name, "_"+f.Unit) {
		fmt.Fprintf(&b, "# UNIT %s %s\n", head, f.Unit)
	}
	seconds := func(ms int64) string {
		return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%d.%03d", ms/1000, ms%1000), "0"), ".")
	}
	for _, x := range f.samples {
		end := ""
		if x.details != nil && x.details.Timed {
			end = " " + seconds(x.details.At)
		}
		line := func(name, value string, of *exemplar.Exemplar, more ...string) {
			b.WriteString(sampleHead(f, name, s, x.labels, more...) + value + end)
			if of != nil && dated {
				fmt.Fprintf(&b, " # %s %s %s", of.Labels, openNumber(of.Value), seconds(of.At))
			}
			b.WriteByte('\n')
		}
		totals := func(sum float64, count uint64) {
			if sum >= 0 {
				line(name+"_sum", openNumber(sum), nil)
				line(name+"_count", fmt.Sprint(count), nil)
			}
		}
		switch v := x.value.(type) {
		case testHistogram:
			total := uint64(0)
			for i, n := range v.counts {
				total += n
				line(name+"_bucket", fmt.Sprint(total), v.exemplars[i], `le="`+openNumber(v.bounds.At(i))+`"`)
			}
			if v.bounds.At(0) >= 0 {
				totals(v.sum, total)
			}
		case Distribution:
			for _, q := range v.Quantiles {
				if !(q.Value < 0) {
					line(name, openNumber(q.Value), nil, `quantile="`+openNumber(q.Quantile)+`"`)
				}
			}
			totals(v.Sum, v.Count)
		default:
			line(full, wholeText(v, openNumber, ".0"), x.exemplar)
		}
		if end = ""; dated && x.details != nil && x.details.Created != 0 {
			line(name+"_created", seconds(x.details.Created), nil)
		}
	}
	return b.String()
}

// open2Reference returns f in OpenMetrics 2.0.
func open2Reference(f *testFamily, s names.Scheme) string {
	var b strings.Builder
	name := shownName(f, s)
	head := headName(f, name, s)
	kind := map[Kind]string{Counter: "counter", Gauge: "gauge", Histogram: "histogram", Untyped: "unknown", Info: "gauge", Summary: "summary"}[f.Kind]
	if f.Kind == Info && strings.HasSuffix(name, "_info") {
		kind = "info"
	}
	fmt.Fprintf(&b, "# TYPE %s %s\n", head, kind)
	if f.Unit != "" && f.Kind != Info {
		fmt.Fprintf(&b, "# UNIT %s %s\n", head, f.Unit)
	}
	if f.Help != "" {
		help := quoted(f.Help)
		if help = help[1 : len(help)-1]; strings.HasSuffix(help, "\r") {
			help += " "
		}
		fmt.Fprintf(&b, "# HELP %s %s\n", head, help)
	}
	seconds := func(ms int64) string {
		return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%d.%03d", ms/1000, ms%1000), "0"), ".")
	}
	for _, x := range f.samples {
		exemplars := []*exemplar.Exemplar{x.exemplar}
		value := ""
		switch v := x.value.(type) {
		case testHistogram:
			exemplars = v.exemplars
			total := uint64(0)
			var buckets []string
			for i, n := range v.counts {
				total += n
				buckets = append(buckets, shortest(v.bounds.At(i))+":"+fmt.Sprint(total))
			}
			value = fmt.Sprintf("{count:%d,sum:%s,bucket:[%s]}", total, shortest(v.sum), strings.Join(buckets, ","))
		case Distribution:
			if !(v.Sum >= 0) {
				continue
			}
			var quantiles []string
			for _, q := range v.Quantiles {
				if !(q.Value < 0) {
					quantiles = append(quantiles, shortest(q.Quantile)+":"+shortest(q.Value))
				}
			}
			value = fmt.Sprintf("{count:%d,sum:%s,quantile:[%s]}", v.Count, shortest(v.Sum), strings.Join(quantiles, ","))
		default:
			value = wholeText(v, shortest, "")
		}
		b.WriteString(sampleHead(f, name, s, x.labels) + value)
		if d := x.details; d != nil {
			if d.Timed {
				b.WriteString(" " + seconds(d.At))
			}
			if d.Created != 0 && (f.Kind == Counter || f.Kind == Histogram || f.Kind == Summary) {
				b.WriteString(" st@" + seconds(d.Created))
			}
		}
		for _, x := range exemplars {
			if x != nil && (f.Kind == Counter || f.Kind == Histogram) {
				fmt.Fprintf(&b, " # %s %s %s", x.Labels, openNumber(x.Value), seconds(x.At))
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// A jsonElement is one series of the JSON view. Numbers are text, and null is nil.
type jsonElement struct {
	Labels    map[string]string
	Value     *json.Number
	Timestamp *json.Number
	Count     *json.Number
	Buckets   []jsonBucket
	Quantiles []jsonQuantile
}

type jsonBucket struct{ Le, Count *json.Number }

type jsonQuantile struct{ Quantile, Value *json.Number }

// jsonReference returns the series of f in the JSON view.
func jsonReference(f *testFamily) (list []jsonElement) {
	number := func(s string) *json.Number { return (*json.Number)(&s) }
	float := func(v float64) *json.Number {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil
		}
		return number(shortest(v))
	}
	for _, x := range f.samples {
		e := jsonElement{Labels: map[string]string{}}
		for _, l := range x.labels {
			e.Labels[l.Name] = l.Value
		}
		if x.details != nil && x.details.Timed {
			ms := x.details.At
			e.Timestamp = number(strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%d.%03d", ms/1000, ms%1000), "0"), "."))
		}
		switch v := x.value.(type) {
		case testHistogram:
			total := uint64(0)
			e.Buckets = []jsonBucket{}
			for i, n := range v.counts {
				total += n
				e.Buckets = append(e.Buckets, jsonBucket{float(v.bounds.At(i)), number(fmt.Sprint(total))})
			}
			e.Value, e.Count = float(v.sum), number(fmt.Sprint(total))
		case Distribution:
			e.Quantiles = []jsonQuantile{}
			for _, q := range v.Quantiles {
				e.Quantiles = append(e.Quantiles, jsonQuantile{float(q.Quantile), float(q.Value)})
			}
			e.Value, e.Count = float(v.Sum), number(fmt.Sprint(v.Count))
		case float64:
			e.Value = float(v)
		default:
			e.Value = number(wholeText(v, shortest, ""))
		}
		list = append(list, e)
	}
	return list
}

// A jsonFamily is one family of the JSON view with metadata.
type jsonFamily struct {
	Type, Help *string // nil for none
	Unit       *string
	Series     []jsonElement
}

// metadataReference returns f in the JSON view with metadata.
func metadataReference(f *testFamily) jsonFamily {
	kind := map[Kind]string{Counter: "counter", Gauge: "gauge", Histogram: "histogram", Untyped: "unknown", Info: "info", Summary: "summary"}[f.Kind]
	x := jsonFamily{Type: &kind, Help: &f.Help, Series: jsonReference(f)}
	if f.Unit != "" {
		x.Unit = &f.Unit
	}
	return x
}

// decodeJSON decodes the one JSON object that s has. It refuses unknown members.
func decodeJSON(s string, into any) error {
	d := json.NewDecoder(strings.NewReader(s))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if d.More() || !strings.HasSuffix(s, "}\n") {
		return errors.New("more than an object and a line break")
	}
	return nil
}

// TestFormats compares each format with a second writer, which is simple and slow, for
// random families of all kinds, under all schemes.
func TestFormats(t *testing.T) {
	rounds := 400
	if testing.Short() {
		rounds = 100
	}
	for seed := range uint64(rounds) {
		r := &source{Rand: rand.New(rand.NewPCG(seed, 1)), utf8: seed%3 > 0}
		ns := new(Names)
		if r.utf8 {
			ns.UTF8 = &UTF8
		}
		var all []*testFamily
		for range r.IntN(5) {
			all = append(all, r.families()...)
		}
		slices.SortFunc(all, func(a, b *testFamily) int { return strings.Compare(a.Name, b.Name) })
		var families []*Family
		for _, f := range all {
			f.Encode = f.encode(t)
			families = append(families, &f.Family)
		}
		for s := names.Underscores; s < names.NumSchemes; s++ {
			text, open, open2 := "", "", ""
			series, described := map[string][]jsonElement{}, map[string]jsonFamily{}
			for _, f := range all {
				if len(f.samples) > 0 {
					text += textReference(f, s)
					open += openReference(f, s)
					open2 += open2Reference(f, s)
					series[f.Name] = jsonReference(f)
					described[f.Name] = metadataReference(f)
				}
			}
			var b strings.Builder
			if err := Write(&b, &Text, s, families, ns); err != nil || b.String() != text {
				t.Fatalf("seed %d, scheme %s: error %v, text format\n%s\nwant\n%s", seed, s.HeaderValue(), err, b.String(), text)
			}
			b.Reset()
			if err := Write(&b, &OpenMetrics, s, families, ns); err != nil || b.String() != open+"# EOF\n" {
				t.Fatalf("seed %d, scheme %s: error %v, OpenMetrics\n%s\nwant\n%s", seed, s.HeaderValue(), err, b.String(), open)
			}
			b.Reset()
			if err := Write(&b, &OpenMetrics2, s, families, ns); err != nil || b.String() != open2+"# EOF\n" {
				t.Fatalf("seed %d, scheme %s: error %v, OpenMetrics 2.0\n%s\nwant\n%s", seed, s.HeaderValue(), err, b.String(), open2)
			}
			b.Reset()
			if err := Write(&b, &JSON, s, families, ns); err != nil {
				t.Fatal(err)
			}
			got := map[string][]jsonElement{}
			if err := decodeJSON(b.String(), &got); err != nil || !reflect.DeepEqual(got, series) {
				t.Fatalf("seed %d: error %v, JSON\n%s\nis\n%+v\nwant\n%+v", seed, err, b.String(), got, series)
			}
			b.Reset()
			if err := Write(&b, &JSONMetadata, s, families, ns); err != nil {
				t.Fatal(err)
			}
			with := map[string]jsonFamily{}
			if err := decodeJSON(b.String(), &with); err != nil || !reflect.DeepEqual(with, described) {
				t.Fatalf("seed %d: error %v, JSON with metadata\n%s\nis\n%+v\nwant\n%+v", seed, err, b.String(), with, described)
			}
		}
	}
}
