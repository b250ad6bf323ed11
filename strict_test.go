package tacho

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// Readers of the three formats that share nothing with the writers. They fail the
// test where a scraper could, and give all of them the same samples: those that
// engParse makes of the text format.
var strictReaders = map[string]func(testing.TB, string) []engSample{
	"text":        engParse,
	"OpenMetrics": strictOpen,
	"JSON":        strictJSON,
}

// strictOpen reads OpenMetrics 1.0, line by line.
func strictOpen(t testing.TB, s string) (samples []engSample) {
	t.Helper()
	s, ok := strings.CutSuffix(s, "# EOF\n")
	if !ok {
		t.Fatalf("no end: %q", s[max(0, len(s)-100):])
	}
	suffixes := map[string][]string{
		"counter": {"_total", "_created"}, "histogram": {"_bucket", "_count", "_sum", "_created"},
		"gauge": {""}, "unknown": {""}, "info": {"_info"}, "summary": {"", "_count", "_sum"},
	}
	families, seen := map[string]bool{}, map[string]bool{}
	family, kind, helped := "", "", ""
	for line := range strings.Lines(s) {
		line, ok = strings.CutSuffix(line, "\n")
		if !ok {
			t.Fatalf("the last line has no end: %q", line)
		}
		if rest, ok := strings.CutPrefix(line, "# "); ok {
			what, rest, _ := strings.Cut(rest, " ")
			name, rest, _ := strings.Cut(rest, " ")
			switch {
			case what == "HELP" && !families[name]:
				helped = name
			case what == "TYPE" && name == helped && !families[name]:
				family, kind = name, rest
				families[name] = true
			case what == "UNIT" && name == family && strings.HasSuffix(name, "_"+rest):
			default:
				t.Fatalf("%q in the %s %s", line, kind, family)
			}
			continue
		}
		line, exemplar := strictCut(line)
		sample := engLine(t, line)
		suffix, ok := strings.CutPrefix(sample.name, family)
		if !ok || !slices.Contains(suffixes[kind], suffix) {
			t.Fatalf("%q in the %s %s", line, kind, family)
		}
		if seen[sample.key()] {
			t.Fatalf("series twice: %q", line)
		}
		seen[sample.key()] = true
		if suffix == "_bucket" {
			strictLe(t, &sample)
		}
		if exemplar != "" {
			strictExemplar(t, sample, suffix, exemplar)
		}
		samples = append(samples, sample)
	}
	return samples
}

// strictCut cuts a line before its exemplar: at a # that is in no label's value.
func strictCut(line string) (sample, exemplar string) {
	quoted := false
	for i := 0; i < len(line); i++ {
		switch {
		case line[i] == '"':
			quoted = !quoted
		case line[i] == '\\' && quoted:
			i++
		case strings.HasPrefix(line[i:], " # ") && !quoted:
			return line[:i], line[i+len(" # "):]
		}
	}
	return line, ""
}

// strictExemplar reads {labels} value time, and holds it to where it stands.
func strictExemplar(t testing.TB, of engSample, suffix, s string) {
	t.Helper()
	x := engLine(t, s)
	runes := 0
	for _, l := range x.labels {
		runes += utf8.RuneCountInString(l[0]) + utf8.RuneCountInString(l[1])
	}
	if suffix != "_total" && suffix != "_bucket" || x.name != "" || x.at == "" || runes > 128 {
		t.Fatalf("exemplar %q of %s", s, of.name)
	}
	for _, l := range of.labels {
		if bound, _ := strconv.ParseFloat(l[1], 64); suffix == "_bucket" && l[0] == "le" && x.value > bound {
			t.Fatalf("exemplar %q in the bucket up to %v", s, bound)
		}
	}
}

// strictLe writes a bound as the text format does: all formats mean one number.
func strictLe(t testing.TB, s *engSample) {
	for i, l := range s.labels {
		if l[0] == "le" {
			bound, err := strconv.ParseFloat(l[1], 64)
			if err != nil {
				t.Fatal(err)
			}
			s.labels[i][1] = strconv.FormatFloat(bound, 'g', -1, 64)
		}
	}
}

// strictJSON reads the JSON view. encoding/json takes the last of two members of
// one name, so the names are read one by one.
func strictJSON(t testing.TB, s string) (samples []engSample) {
	t.Helper()
	seen := map[string]bool{}
	strictObject(t, s, func(name string, d *json.Decoder) {
		var list []struct {
			Labels  json.RawMessage
			Value   *float64
			Count   *uint64
			Buckets []struct {
				Le    *float64
				Count uint64
			}
			Quantiles []struct{ Quantile, Value *float64 }
		}
		if err := d.Decode(&list); err != nil {
			t.Fatalf("%v: %s", err, s)
		}
		if len(list) == 0 {
			t.Fatalf("%s has no series", name)
		}
		for _, e := range list {
			var labels [][2]string
			strictObject(t, string(e.Labels), func(name string, d *json.Decoder) {
				value, _ := d.Token()
				labels = append(labels, [2]string{name, value.(string)})
			})
			series := engSample{name: name, labels: labels}
			if seen[series.key()] {
				t.Fatalf("series twice: %s %q", name, labels)
			}
			seen[series.key()] = true
			if series.value = math.NaN(); e.Value != nil {
				series.value = *e.Value
			}
			if e.Count == nil {
				samples = append(samples, series)
				continue
			}
			for _, b := range e.Buckets {
				le := "+Inf"
				if b.Le != nil {
					le = strconv.FormatFloat(*b.Le, 'g', -1, 64)
				}
				samples = append(samples, engSample{name: name + "_bucket", labels: append(slices.Clone(labels), [2]string{"le", le}), value: float64(b.Count)})
			}
			for _, q := range e.Quantiles {
				of := engSample{name: name, labels: append(slices.Clone(labels), [2]string{"quantile", strconv.FormatFloat(*q.Quantile, 'g', -1, 64)}), value: math.NaN()}
				if q.Value != nil {
					of.value = *q.Value
				}
				samples = append(samples, of)
			}
			series.name = name + "_sum"
			samples = append(samples, series, engSample{name: name + "_count", labels: labels, value: float64(*e.Count)})
		}
	})
	return samples
}

// strictObject calls member for each member of a JSON object, with a decoder that
// stands before its value, and wants them to have distinct names.
func strictObject(t testing.TB, s string, member func(name string, d *json.Decoder)) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(s))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		t.Fatalf("%v, %v: no object: %s", open, err, s)
	}
	names := map[string]bool{}
	for d.More() {
		token, err := d.Token()
		name, ok := token.(string)
		if err != nil || !ok || names[name] {
			t.Fatalf("%v, member %v: %s", err, token, s)
		}
		names[name] = true
		member(name, d)
	}
	if end, err := d.Token(); err != nil || end != json.Delim('}') || d.More() {
		t.Fatalf("%v, %v: the object does not end: %s", end, err, s)
	}
}

// strictSound holds samples to what every scrape must show: buckets never fall, the
// last of them is +Inf and says what _count says. Of those that keep chooses, none
// may have gone down since last, or be gone.
func strictSound(t testing.TB, samples []engSample, last map[string]float64, keep func(engSample) bool) map[string]float64 {
	t.Helper()
	now := map[string]float64{}
	below, le := 0., ""
	for _, s := range samples {
		switch {
		case strings.HasSuffix(s.name, "_bucket"):
			if bound := s.labels[len(s.labels)-1][1]; le == "" || le == "+Inf" {
				below, le = s.value, bound
			} else {
				if s.value < below {
					t.Errorf("%s is %v after %v", s.key(), s.value, below)
				}
				below, le = s.value, bound
			}
		case strings.HasSuffix(s.name, "_count"):
			if le != "+Inf" || s.value != below {
				t.Errorf("%s is %v, the bucket %s %v", s.key(), s.value, le, below)
			}
		}
		if keep(s) {
			now[s.key()] = s.value
		}
	}
	for key, before := range last {
		if after, ok := now[key]; !ok || after < before {
			t.Errorf("%s went from %v to %v, there %v", key, before, after, ok)
		}
	}
	return now
}

// TestStrictReaders: the readers agree on the kept files, and see what is wrong.
func TestStrictReaders(t *testing.T) {
	for name, build := range goldens {
		if name == "utf8" || name == "meeting" {
			continue // the formats give these families different names
		}
		r := build()
		if n := len(strictOpen(t, open(t, r))); n == 0 {
			t.Errorf("%s: no samples in OpenMetrics", name)
		}
		want := map[string]float64{}
		for _, s := range engParse(t, text(t, r)) {
			want[s.key()] = s.value
		}
		var b strings.Builder
		if err := r.WriteJSON(&b); err != nil {
			t.Fatal(err)
		}
		got := strictJSON(t, b.String())
		for _, s := range got {
			if v, ok := want[s.key()]; !ok || s.value == s.value && s.value != v {
				t.Errorf("%s: JSON has %s %v, text %v %v", name, s.key(), s.value, ok, v)
			}
		}
		if len(got) != len(want) {
			t.Errorf("%s: JSON has %d samples, text %d", name, len(got), len(want))
		}
	}
	for reader, bad := range map[string][]string{
		"text": {
			"a 1\n", "# HELP a \n# TYPE a gauge\na 1", "# HELP a \n# TYPE a gauge\na 1\na 1\n", "# HELP a \n# TYPE a gauge\na x\n",
			"# HELP b \n# TYPE b gauge\nb 1\n# HELP a \n# TYPE a gauge\na 1\n", "# HELP a \n# TYPE a gauge\nb 1\n",
		},
		"OpenMetrics": {
			"", "a 1\n# EOF\n", "# EOF\n# EOF\n", "# HELP a \n# TYPE a gauge\na 1.0\n", "# HELP a \n# TYPE a counter\na 1.0\n# EOF\n",
			"# HELP a \n# TYPE a gauge\na 1.0\na 1.0\n# EOF\n", "# HELP a \n# TYPE a gauge\n# UNIT a s\na 1.0\n# EOF\n",
			"# HELP a \n# TYPE a gauge\na 1.0 # {} 1.0 1\n# EOF\n", "# HELP a \n# TYPE a counter\na_total 1.0 # {} 1.0\n# EOF\n",
			"# HELP a \n# TYPE a histogram\na_bucket{le=\"1.0\"} 1 # {} 2.0 1\n# EOF\n",
			"# HELP a \n# TYPE a gauge\na 1.0\n# HELP a \n# TYPE a gauge\n# EOF\n",
		},
		"JSON": {
			"", "[]", "{", `{"a":[]}`, `{"a":[{"labels":{},"value":1}],"a":[{"labels":{},"value":1}]}`,
			`{"a":[{"labels":{},"value":1},{"labels":{},"value":1}]}`, `{"a":[{"labels":{"x":"1","x":"1"},"value":1}]}`,
		},
	} {
		for _, s := range bad {
			if !strictRefuses(strictReaders[reader], s) {
				t.Errorf("%s takes %q", reader, s)
			}
		}
	}
	for _, bad := range []string{
		"_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n",
		"_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 2\n", "_bucket{le=\"1\"} 2\nh_sum 1\nh_count 2\n", "_bucket{le=\"+Inf\"} 0\nh_count 0\n",
	} {
		last := map[string]float64{engSample{name: "h_count"}.key(): 1}
		if !strictRefuses(func(t testing.TB, s string) []engSample {
			strictSound(t, engParse(t, s), last, func(s engSample) bool { return s.name == "h_count" })
			return nil
		}, "# HELP h \n# TYPE h histogram\nh"+bad) {
			t.Errorf("%q is taken for sound", bad)
		}
	}
}

// strictRefuses reports whether a reader fails its test.
func strictRefuses(read func(testing.TB, string) []engSample, s string) bool {
	f := &strictFailure{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { f.failed = recover() != nil || f.failed }()
		read(f, s)
	}()
	<-done
	return f.failed
}

// A strictFailure is a test that is to fail.
type strictFailure struct {
	testing.TB
	failed bool
}

func (f *strictFailure) Helper()               {}
func (f *strictFailure) Errorf(string, ...any) { f.failed = true }
func (f *strictFailure) Fatalf(string, ...any) { panic("failed") }
func (f *strictFailure) Fatal(...any)          { panic("failed") }
