package conformance

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// checkText holds a scrape in the text format against what it must show, as
// Prometheus, client libraries and promlint read it.
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
	compare(t, "textparse, text", want, got, blind{})
	got, err = readExpfmt(data, typeText+escapingParameter(x))
	if err != nil {
		t.Fatalf("expfmt: %v\n%s", err, data)
	}
	want = x.text(t)
	for _, f := range want.families {
		f.help = expfmtHelp(f.help)
	}
	compare(t, "expfmt, text", want, got, blind{})
	lint(t, data, x)
	if t.Failed() {
		t.Logf("the scrape:\n%s", data)
	}
}

// checkOpenMetrics is checkText for OpenMetrics, and wants of the times of creation
// that Prometheus finds them from every sample.
func checkOpenMetrics(t testing.TB, data []byte, x *expecter) {
	t.Helper()
	want := x.openMetrics(t)
	if err := want.clashes(); err != nil {
		t.Errorf("what is expected is no OpenMetrics: %v", err)
	}
	got, err := readTextparse(data, typeOpenMetrics)
	if err != nil {
		t.Fatalf("textparse: %v\n%s", err, data)
	}
	compare(t, "textparse, OpenMetrics", want, got, blind{timestamps: true})
	starts, err := startTimes(data)
	if err != nil {
		t.Fatalf("textparse, start times: %v\n%s", err, data)
	}
	want.compareStarts(t, starts)
	if t.Failed() || len(data) > x.grammar {
		return
	}
	// expfmt refuses a help text that ends in a carriage return, which the grammar allows.
	got, err = readExpfmt(bytes.ReplaceAll(withoutInfo(data), []byte("\r\n"), []byte("\n")), typeOpenMetrics+escapingParameter(x))
	if err != nil {
		t.Fatalf("expfmt: %v\n%s", err, data)
	}
	for _, f := range want.families {
		f.help = strings.TrimSuffix(f.help, "\r")
	}
	compare(t, "expfmt, OpenMetrics", want, got, blind{skip: func(f *family) bool {
		return f.kind == "info" || len(f.samples) == 0
	}})
	if t.Failed() {
		t.Logf("the scrape:\n%s", data)
	}
}

// grammarLimit is how long a random scrape may be for expfmt to read it: matching
// lines against the grammar takes it about 35 µs a byte, 600 times what textparse
// does.
const grammarLimit = 1 << 10

// compareStarts wants the time of creation with every sample of a series that has
// one, and none with the others.
func (e *exposition) compareStarts(t testing.TB, starts map[string]float64) {
	t.Helper()
	for _, f := range e.families {
		for key, s := range f.samples {
			if strings.HasSuffix(s.name, "_created") && typeHasStart[f.kind] {
				continue // the parser takes it for the time of another, even a quantile of a summary x_created
			}
			created := &sample{name: f.name + "_created"}
			for _, l := range s.labels {
				if s.name != f.name+"_bucket" || l.name != "le" {
					created.labels = append(created.labels, l)
				}
			}
			start, ok := starts[key]
			if c := f.samples[created.key()]; !ok {
				t.Errorf("no start time was looked for with %s", key)
			} else if c == nil && start == start {
				t.Errorf("%s began at %f, of which nothing is known", key, start)
			} else if c != nil && !c.within.holds(start) {
				t.Errorf("%s began at %f, want one of %f to %f", key, start, c.within.from, c.within.to)
			}
		}
	}
}

var typeHasStart = map[string]bool{"counter": true, "histogram": true, "summary": true}

// withoutInfo leaves out the families of a type that expfmt does not read.
func withoutInfo(data []byte) []byte {
	var kept, head []byte // head: the lines of a family before its first sample
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

// textparseHelp is what Prometheus' text parser makes of a help text: it takes one
// of nothing but blanks, or NUL, for separators.
func textparseHelp(help string) string {
	if strings.Trim(help, " \t\x00") == "" {
		return ""
	}
	return help
}

// expfmtHelp is what expfmt's text parser makes of a help text: it takes the
// blanks before it for separators.
func expfmtHelp(help string) string { return strings.TrimLeft(help, " \t") }

// escapingParameter is what tells expfmt's decoder which names to expect.
func escapingParameter(x *expecter) string {
	return "; escaping=" + x.escaping.String()
}

// lint wants of promlint exactly the problems that it has with the definitions.
func lint(t testing.TB, data []byte, x *expecter) {
	t.Helper()
	want, err := promlint.NewWithMetricFamilies(x.dto()).Lint()
	if err != nil {
		t.Fatal(err)
	}
	var l *promlint.Linter
	if x.escaping == model.NoEscaping {
		// The linter's own reader takes legacy names only.
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
		t.Errorf("promlint: %v, want %v", got, want)
	}
}

// dto is what x expects as client_golang would hand it to its encoders.
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

// peer encodes what x expects with client_golang's encoder.
func peer(t testing.TB, families []*dto.MetricFamily, format expfmt.Format) []byte {
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
