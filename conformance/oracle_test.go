package conformance

import (
	"bytes"
	"math"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// checkText compares a scrape in the text format with the expectation x. The scrape
// is parsed by textparse, expfmt and promlint.
func checkText(t testing.TB, data []byte, x *expecter) {
	t.Helper()
	want := x.text(t)
	for _, f := range want.families {
		f.help = textparseHelp(f.help)
	}
	got, err := readTextparse(data, typeText)
	if err != nil {
		t.Fatalf("textparse: %v\n%s", err, data)
	}
	compare(t, "textparse, text", want, got, ignored{})
	got, err = readExpfmt(data, typeText+escapingParameter(x))
	if err != nil {
		t.Fatalf("expfmt: %v\n%s", err, data)
	}
	want = x.text(t)
	for _, f := range want.families {
		f.help = expfmtHelp(f.help)
	}
	compare(t, "expfmt, text", want, got, ignored{})
	lint(t, data, x)
	if t.Failed() {
		t.Logf("scrape:\n%s", data)
	}
}

// checkOpenMetrics is like checkText, but for OpenMetrics. checkOpenMetrics also
// checks that Prometheus finds the creation time of every sample. Only scrapes of
// at most x.grammar bytes are parsed by expfmt.
func checkOpenMetrics(t testing.TB, data []byte, x *expecter) {
	t.Helper()
	want := x.openMetrics(t)
	if err := want.nameCollision(); err != nil {
		t.Errorf("the expectation is invalid in OpenMetrics: %v", err)
	}
	got, err := readTextparse(data, typeOpenMetrics)
	if err != nil {
		t.Fatalf("textparse: %v\n%s", err, data)
	}
	compare(t, "textparse, OpenMetrics", want, got, ignored{timestamps: true})
	starts, err := startTimes(data, typeOpenMetrics)
	if err != nil {
		t.Fatalf("textparse, start times: %v\n%s", err, data)
	}
	want.compareStarts(t, starts)
	if t.Failed() || len(data) > x.grammar {
		return
	}
	// The parser expfmt rejects a help text with a carriage return at the end. The
	// grammar of OpenMetrics allows such a help text.
	got, err = readExpfmt(bytes.ReplaceAll(withoutInfo(data), []byte("\r\n"), []byte("\n")), typeOpenMetrics+escapingParameter(x))
	if err != nil {
		t.Fatalf("expfmt: %v\n%s", err, data)
	}
	for _, f := range want.families {
		f.help = strings.TrimSuffix(f.help, "\r")
	}
	compare(t, "expfmt, OpenMetrics", want, got, ignored{skip: func(f *family) bool {
		return f.kind == "info" || len(f.samples) == 0
	}})
	if t.Failed() {
		t.Logf("scrape:\n%s", data)
	}
}

// grammarLimit is the maximum length, in bytes, of a random OpenMetrics scrape for
// expfmt. The grammar-based parser of expfmt is far slower than textparse (see
// README.md).
const grammarLimit = 1 << 10

// checkStarts compares the start times in data with the creation times, for formats without the samples
// _created. Such a sample of e has a time as its value, and no start time.
func (e *exposition) checkStarts(t testing.TB, data []byte, contentType string) {
	t.Helper()
	starts, err := startTimes(data, contentType)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range e.families {
		for key, s := range f.samples {
			if s.within != nil {
				starts[key] = math.NaN()
			}
		}
	}
	e.compareStarts(t, starts)
}

// compareStarts compares the start times from textparse with the creation times. A
// sample of a series without a creation time must have no start time.
func (e *exposition) compareStarts(t testing.TB, starts map[string]float64) {
	t.Helper()
	for _, f := range e.families {
		for key, s := range f.samples {
			if strings.HasSuffix(s.name, "_created") && typeHasStart[f.kind] {
				continue // textparse reads such a sample as a creation time, even a quantile of a summary x_created
			}
			created := &sample{name: f.name + "_created"}
			for _, l := range s.labels {
				if s.name != f.name+"_bucket" || l.name != "le" {
					created.labels = append(created.labels, l)
				}
			}
			start, ok := starts[key]
			if c := f.samples[created.key()]; !ok {
				t.Errorf("startTimes did not return %s", key)
			} else if c == nil && start == start {
				t.Errorf("%s has start time %f, want none", key, start)
			} else if c != nil && !c.within.contains(start) {
				t.Errorf("%s has start time %f, want %f to %f", key, start, c.within.from, c.within.to)
			}
		}
	}
}

var typeHasStart = map[string]bool{"counter": true, "histogram": true, "summary": true}

// withoutInfo removes the families of type info, which expfmt rejects.
func withoutInfo(data []byte) []byte {
	var kept, head []byte // head has the lines of a family before the first sample
	info := false
	for line := range bytes.Lines(data) {
		if bytes.HasPrefix(line, []byte("# HELP ")) {
			kept, head, info = append(kept, head...), nil, false
		}
		if bytes.HasPrefix(line, []byte("# TYPE ")) && bytes.HasSuffix(line, []byte(" info\n")) {
			info, head = true, nil
		}
		switch {
		case bytes.Equal(line, []byte("# EOF\n")):
			kept = append(append(kept, head...), line...)
			head = nil
		case info:
		case bytes.HasPrefix(line, []byte("# ")):
			head = append(head, line...)
		default:
			kept = append(append(kept, head...), line...)
			head = nil
		}
	}
	return kept
}

// textparseHelp returns the help text from the text parser of textparse. The parser
// returns an empty help text for a help text of blanks and NUL bytes.
func textparseHelp(help string) string {
	if strings.Trim(help, " \t\x00") == "" {
		return ""
	}
	return help
}

// expfmtHelp returns the help text from the text parser of expfmt. The parser removes
// blanks at the start.
func expfmtHelp(help string) string { return strings.TrimLeft(help, " \t") }

// escapingParameter returns the media type parameter with the escaping scheme. The
// decoder of expfmt needs the parameter to accept quoted names.
func escapingParameter(x *expecter) string {
	return "; escaping=" + x.escaping.String()
}

// lint runs promlint on a scrape and on the expected families. The problems must be
// the same.
func lint(t testing.TB, data []byte, x *expecter) {
	t.Helper()
	want, err := promlint.NewWithMetricFamilies(x.dto()).Lint()
	if err != nil {
		t.Fatal(err)
	}
	var l *promlint.Linter
	if x.escaping == model.NoEscaping {
		// The parser inside promlint accepts only legacy names.
		families, err := decode(data, typeText+escapingParameter(x))
		if err != nil {
			t.Fatal(err)
		}
		l = promlint.NewWithMetricFamilies(families)
	} else {
		l = promlint.New(bytes.NewReader(data))
	}
	got, err := l.Lint()
	if err != nil {
		t.Fatalf("promlint: %v\n%s", err, data)
	}
	if !slices.Equal(got, want) {
		t.Errorf("promlint returned %v, want %v", got, want)
	}
}

// dto returns the expected families as input for the encoders of client_golang.
func (x *expecter) dto() []*dto.MetricFamily {
	names := x.names()
	var families []*dto.MetricFamily
	for _, m := range x.metrics {
		mf := m.dto()
		name := names[m]
		mf.Name = &name
		for _, out := range mf.Metric {
			for _, l := range out.Label {
				name := escapeLabel(l.GetName(), x.escaping)
				l.Name = &name
			}
		}
		families = append(families, mf)
	}
	slices.SortFunc(families, func(a, b *dto.MetricFamily) int { return strings.Compare(a.GetName(), b.GetName()) })
	return families
}

func (m *metric) dto() *dto.MetricFamily {
	mf := &dto.MetricFamily{Name: &m.name, Type: dto.MetricType_UNTYPED.Enum()}
	if help := expfmtHelp(m.help); help != "" {
		mf.Help = &help
	}
	if m.unit != "" {
		mf.Unit = &m.unit
	}
	for _, s := range m.series {
		out := &dto.Metric{}
		for _, l := range s.labels {
			out.Label = append(out.Label, &dto.LabelPair{Name: &l.name, Value: &l.value})
		}
		if s.at != nil {
			ms := s.at.UnixMilli()
			out.TimestampMs = &ms
		}
		switch m.kind {
		case "counter":
			mf.Type, out.Counter = dto.MetricType_COUNTER.Enum(), &dto.Counter{Value: &s.value}
		case "gauge", "info":
			mf.Type, out.Gauge = dto.MetricType_GAUGE.Enum(), &dto.Gauge{Value: &s.value}
		case "unknown":
			out.Untyped = &dto.Untyped{Value: &s.value}
		case "summary":
			mf.Type, out.Summary = dto.MetricType_SUMMARY.Enum(), &dto.Summary{SampleSum: &s.value, SampleCount: &s.count}
		case "histogram":
			mf.Type, out.Histogram = dto.MetricType_HISTOGRAM.Enum(), s.dto()
		}
		mf.Metric = append(mf.Metric, out)
	}
	return mf
}

func (s *series) dto() *dto.Histogram {
	h := &dto.Histogram{SampleSum: &s.value}
	total := uint64(0)
	for i, n := range s.buckets {
		total += n
		if i < len(s.bounds) {
			count := total
			h.Bucket = append(h.Bucket, &dto.Bucket{UpperBound: &s.bounds[i], CumulativeCount: &count})
		}
	}
	h.SampleCount = &total
	return h
}

// encodeWithClient encodes families with the encoder of client_golang.
func encodeWithClient(t testing.TB, families []*dto.MetricFamily, format expfmt.Format) []byte {
	t.Helper()
	var b bytes.Buffer
	e := expfmt.NewEncoder(&b, format)
	for _, f := range families {
		if err := e.Encode(f); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.(expfmt.Closer).Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
