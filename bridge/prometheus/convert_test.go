package prombridge

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/internal/testkit"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// text returns a scrape in the text format.
func text(t testing.TB, reg *tacho.Registry) string {
	t.Helper()
	var b strings.Builder
	if err := reg.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// noErrors fails the test if a scrape shows an error.
func noErrors(t testing.TB, reg *tacho.Registry) {
	t.Helper()
	text(t, reg)
	for line := range strings.Lines(text(t, reg)) {
		if strings.HasPrefix(line, "tacho_") {
			t.Error(line)
		}
	}
}

// fixed returns a Gatherer of these families.
func fixed(families ...*dto.MetricFamily) prometheus.Gatherer {
	return prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) { return families, nil })
}

// normalized returns the families as text, in the form that tacho shows. Times are in milliseconds,
// and there are native buckets instead of spans. Exemplars of native histograms are in the order of
// their times. A bucket +Inf without an exemplar is left out, and also the only bucket of a native
// histogram.
func normalized(t testing.TB, g prometheus.Gatherer) (list []string) {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	ms := func(at *timestamppb.Timestamp) *timestamppb.Timestamp {
		if at == nil {
			return nil
		}
		return timestamppb.New(at.AsTime().Truncate(time.Millisecond))
	}
	exemplar := func(x *dto.Exemplar) {
		if x != nil {
			x.Timestamp = ms(x.Timestamp)
			slices.SortFunc(x.Label, func(a, b *dto.LabelPair) int { return strings.Compare(a.GetName(), b.GetName()) })
		}
	}
	for _, f := range families {
		if f.GetHelp() == "" {
			f.Help = nil
		}
		for _, m := range f.Metric {
			m = proto.Clone(m).(*dto.Metric)
			name := f.GetName() + " " + f.GetType().String() + " " + f.GetHelp() + " " + f.GetUnit() + " "
			if c := m.Counter; c != nil {
				c.CreatedTimestamp = ms(c.CreatedTimestamp)
				exemplar(c.Exemplar)
			}
			if s := m.Summary; s != nil {
				s.CreatedTimestamp = ms(s.CreatedTimestamp)
			}
			if h := m.Histogram; h != nil {
				h.CreatedTimestamp = ms(h.CreatedTimestamp)
				h.Bucket = slices.DeleteFunc(h.Bucket, func(b *dto.Bucket) bool {
					exemplar(b.Exemplar)
					return math.IsInf(b.GetUpperBound(), +1) && (b.Exemplar == nil || len(h.Bucket) == 1 && h.Schema != nil)
				})
				for _, x := range h.Exemplars {
					exemplar(x)
				}
				slices.SortFunc(h.Exemplars, func(a, b *dto.Exemplar) int { return a.Timestamp.AsTime().Compare(b.Timestamp.AsTime()) })
				for _, part := range []struct {
					spans  *[]*dto.BucketSpan
					deltas *[]int64
				}{{&h.PositiveSpan, &h.PositiveDelta}, {&h.NegativeSpan, &h.NegativeDelta}} {
					own := buckets(*part.spans, *part.deltas)
					*part.spans, *part.deltas = nil, nil
					for _, b := range own {
						*part.spans = append(*part.spans, &dto.BucketSpan{Offset: proto.Int32(int32(b.Index)), Length: proto.Uint32(uint32(b.Count))})
					}
				}
			}
			// prototext adds spaces at random.
			list = append(list, name+strings.ReplaceAll(prototext.MarshalOptions{}.Format(m), "  ", " "))
		}
	}
	return list
}

// library returns a registry of client_golang with metrics of all types.
func library(t testing.TB) *prometheus.Registry {
	reg := prometheus.NewRegistry()
	labels := prometheus.Labels{"zone": "eu\n\"\\é", "az": "1"}
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "lib_requests_total", Help: "Requests \\ \n served.", ConstLabels: labels}, []string{"code"})
	c.WithLabelValues("200").Add(1.5)
	c.WithLabelValues("500").(prometheus.ExemplarAdder).AddWithExemplar(7, prometheus.Labels{"trace_id": "abc", "span": "1"})
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: "lib_queue_bytes", Help: "Queue.", Unit: "bytes"})
	g.Set(math.Inf(-1))
	s := prometheus.NewSummaryVec(prometheus.SummaryOpts{Name: "lib_size_bytes", Help: "Sizes.", Objectives: map[float64]float64{.5: .05, .99: .001}}, []string{"kind"})
	s.WithLabelValues("empty")
	for i := range 100 {
		s.WithLabelValues("some").Observe(float64(i))
	}
	classic := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "lib_wait_seconds", Help: "Waits.", Buckets: []float64{-1, .1, 1}})
	native := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "lib_native_seconds", NativeHistogramBucketFactor: 1.1, Help: "Native."}, []string{"l"})
	both := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "lib_both_seconds", NativeHistogramBucketFactor: 1.5, Buckets: []float64{.1, 1, 100}})
	native.WithLabelValues("empty")
	for i, v := range []float64{0, 1e-200, -3, -3.1, .05, .7, 20, 1e9, math.Inf(+1)} {
		trace := prometheus.Labels{"trace_id": string(rune('a' + i))}
		classic.(prometheus.ExemplarObserver).ObserveWithExemplar(v, trace)
		native.WithLabelValues("some").(prometheus.ExemplarObserver).ObserveWithExemplar(v, trace)
		both.(prometheus.ExemplarObserver).ObserveWithExemplar(v, trace)
		time.Sleep(2 * time.Millisecond) // exemplars have different times
	}
	native.WithLabelValues("NaN").Observe(math.NaN())
	old := prometheus.NewDesc("lib_old", "Another system.", []string{"l"}, nil)
	reg.MustRegister(c, g, s, classic, native, both,
		prometheus.NewUntypedFunc(prometheus.UntypedOpts{Name: "lib_untyped", Help: "Untyped."}, func() float64 { return math.NaN() }),
		prometheus.CollectorFunc(func(to chan<- prometheus.Metric) {
			to <- prometheus.NewMetricWithTimestamp(time.UnixMilli(1500), prometheus.MustNewConstMetric(old, prometheus.GaugeValue, 5, "x"))
		}))
	return reg
}

// TestCollectAndGather: the families of a Gatherer come through a tacho registry, and back, with all
// values.
func TestCollectAndGather(t *testing.T) {
	from := library(t)
	reg := tacho.NewRegistry(tacho.WithNative())
	stop := Collect(reg, from, WithCreated())
	want := normalized(t, from)
	for i, g := range []prometheus.Gatherer{NewGatherer(reg), inRegistry(NewCollector(reg))} {
		if got := normalized(t, g); !slices.Equal(got, want) {
			for j := range max(len(got), len(want)) {
				if j >= len(got) || j >= len(want) || got[j] != want[j] {
					t.Errorf("%d: got\n%s\nwant\n%s", i, strings.Join(got[j:], "\n"), strings.Join(want[j:], "\n"))
					break
				}
			}
		}
	}
	noErrors(t, reg)
	stop()
	if got := text(t, reg); got != "" {
		t.Errorf("after stop: %s", got)
	}
}

func inRegistry(c prometheus.Collector) prometheus.Gatherer {
	reg := prometheus.NewRegistry()
	reg.MustRegister(c)
	return reg
}

// TestCollectWithoutOptions: a registry without WithNative shows the classic part of histograms, and
// times of creation need the option.
func TestCollectWithoutOptions(t *testing.T) {
	reg := tacho.NewRegistry()
	Collect(reg, library(t))
	for _, line := range normalized(t, NewGatherer(reg)) {
		if strings.Contains(line, "created") || strings.Contains(line, "_span:") {
			t.Error(line)
		}
	}
	noErrors(t, reg)
}

// TestCollectLeavesOut: histograms that tacho cannot show are left out and reported, and nothing is
// counted.
func TestCollectLeavesOut(t *testing.T) {
	float := &dto.Histogram{SampleCountFloat: proto.Float64(1.5), Bucket: []*dto.Bucket{{CumulativeCountFloat: proto.Float64(1), UpperBound: proto.Float64(1)}}}
	custom := &dto.Histogram{SampleCount: proto.Uint64(1), Schema: proto.Int32(-53), PositiveSpan: []*dto.BucketSpan{{Length: proto.Uint32(1)}}, PositiveDelta: []int64{1}}
	family := func(name string, typ dto.MetricType, list ...*dto.Metric) *dto.MetricFamily {
		return &dto.MetricFamily{Name: &name, Type: &typ, Metric: list}
	}
	one := &dto.Metric{Gauge: &dto.Gauge{Value: proto.Float64(1)}}
	for name, c := range map[string]struct {
		f      *dto.MetricFamily
		report string // "" for none
		shown  string
	}{
		"float histogram":         {family("x", dto.MetricType_HISTOGRAM, &dto.Metric{Histogram: float}), "float counts", ""},
		"float bucket":            {family("x", dto.MetricType_HISTOGRAM, &dto.Metric{Histogram: &dto.Histogram{Bucket: float.Bucket}}), "float counts", ""},
		"native floats":           {family("x", dto.MetricType_HISTOGRAM, &dto.Metric{Histogram: &dto.Histogram{PositiveCount: []float64{1}}}), "float counts", ""},
		"gauge histogram":         {family("x", dto.MetricType_GAUGE_HISTOGRAM, &dto.Metric{Histogram: &dto.Histogram{}}), "gauge histogram", ""},
		"custom buckets":          {family("x", dto.MetricType_HISTOGRAM, &dto.Metric{Histogram: custom}), "", "x_count 1\n"},
		"no value":                {family("x", dto.MetricType_COUNTER, one, nil), "no value", ""},
		"nil":                     {nil, "", ""},
		"no metric":               {family("x", dto.MetricType_GAUGE), "", ""},
		"unknown type":            {family("x", 99, one), "no value", ""},
		"nil parts":               {family("x", dto.MetricType_HISTOGRAM, &dto.Metric{Label: []*dto.LabelPair{}, Histogram: &dto.Histogram{Bucket: []*dto.Bucket{nil}, Exemplars: []*dto.Exemplar{nil}, PositiveSpan: []*dto.BucketSpan{nil}}}), "", "x_count 0\n"},
		"a bad unit":              {&dto.MetricFamily{Name: proto.String("x"), Type: dto.MetricType_GAUGE.Enum(), Unit: proto.String("a\nb"), Metric: []*dto.Metric{one}}, "", "x 1\n"},
		"time of creation 0":      {family("x", dto.MetricType_COUNTER, &dto.Metric{Counter: &dto.Counter{CreatedTimestamp: &timestamppb.Timestamp{Seconds: -5}}}), "", "x 0\n"},
		"exemplar without labels": {family("x", dto.MetricType_COUNTER, &dto.Metric{Counter: &dto.Counter{Exemplar: &dto.Exemplar{Value: proto.Float64(1)}}}), "", "x 0\n"},
	} {
		var reports []error
		reg := tacho.NewRegistry(tacho.WithNative())
		Collect(reg, fixed(c.f, family("shown", dto.MetricType_GAUGE, one)), WithCreated(), OnError(func(err error) { reports = append(reports, err) }))
		got := text(t, reg)
		if !strings.Contains(got, c.shown) || !strings.Contains(got, "shown 1\n") || c.shown == "" && strings.Contains(got, "# TYPE x ") {
			t.Errorf("%s:\n%s", name, got)
		}
		if n := len(reports); n > 1 || (n == 1) != (c.report != "") || n == 1 && !strings.Contains(reports[0].Error(), c.report) {
			t.Errorf("%s: reports %v", name, reports)
		}
		noErrors(t, reg)
	}
}

// TestExemplarWithoutTime: an exemplar without a time has the time of the scrape.
func TestExemplarWithoutTime(t *testing.T) {
	x := &dto.Exemplar{Label: []*dto.LabelPair{{Name: proto.String("id.x"), Value: proto.String("1")}}, Value: proto.Float64(1)}
	reg := tacho.NewRegistry()
	Collect(reg, fixed(&dto.MetricFamily{Name: proto.String("x_total"), Metric: []*dto.Metric{{Counter: &dto.Counter{Value: proto.Float64(2), Exemplar: x}}}}))
	families, _ := NewGatherer(reg).Gather()
	got := families[0].Metric[0].Counter.Exemplar
	if age := time.Since(got.Timestamp.AsTime()); age < 0 || age > time.Hour || got.Label[0].GetName() != "id_x" {
		t.Errorf("got %v", got)
	}
	noErrors(t, reg)
}

// TestUTF8Names: names outside the legacy set are shown if the registry allows these names, and
// otherwise with underscores.
func TestUTF8Names(t *testing.T) {
	from := prometheus.NewRegistry()
	for _, name := range []string{"a.b", "a_b", "1é"} {
		g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: name}, []string{"l:m"})
		g.WithLabelValues("v").Set(1)
		from.MustRegister(g)
	}
	twice := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "labels"}, []string{"l.m", "l_m"})
	twice.WithLabelValues("v", "w").Set(1)
	from.MustRegister(twice)
	var reports []error
	legacy := tacho.NewRegistry()
	Collect(legacy, from, OnError(func(err error) { reports = append(reports, err) }))
	const want = "# HELP __ 1é\n# TYPE __ gauge\n__{l_m=\"v\"} 1\n# HELP a_b a.b\n# TYPE a_b gauge\na_b{l_m=\"v\"} 1\n"
	if got := text(t, legacy); got != want {
		t.Errorf("got\n%s", got)
	}
	if len(reports) != 1 || !strings.Contains(reports[0].Error(), `"a_b": another family`) || !strings.Contains(reports[0].Error(), `"labels": two labels`) {
		t.Errorf("reports %v", reports)
	}
	noErrors(t, legacy)
	utf8 := tacho.NewRegistry(tacho.WithUTF8Names())
	without := prometheus.NewRegistry() // tacho refuses two names of labels that could be escaped to one
	for _, name := range []string{"a.b", "a_b", "1é"} {
		g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: name}, []string{"l:m"})
		g.WithLabelValues("v").Set(1)
		without.MustRegister(g)
	}
	Collect(utf8, without)
	if got, want := normalized(t, NewGatherer(utf8)), normalized(t, without); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	noErrors(t, utf8)
}

// FuzzCollect: whatever a Gatherer returns, every parser accepts the scrape.
func FuzzCollect(f *testing.F) {
	one, _ := proto.Marshal(&dto.MetricFamily{Name: proto.String("x_seconds"), Unit: proto.String("seconds"), Type: dto.MetricType_HISTOGRAM.Enum(), Metric: []*dto.Metric{{
		Label: []*dto.LabelPair{{Name: proto.String("l.m"), Value: proto.String("v")}},
		Histogram: &dto.Histogram{SampleCount: proto.Uint64(3), SampleSum: proto.Float64(1), Schema: proto.Int32(3), ZeroThreshold: proto.Float64(1e-9),
			PositiveSpan: []*dto.BucketSpan{{Offset: proto.Int32(2), Length: proto.Uint32(2)}}, PositiveDelta: []int64{2, -1},
			Bucket:           []*dto.Bucket{{UpperBound: proto.Float64(1), CumulativeCount: proto.Uint64(2), Exemplar: &dto.Exemplar{Label: []*dto.LabelPair{{Name: proto.String("id"), Value: proto.String("1")}}, Value: proto.Float64(.5)}}},
			CreatedTimestamp: &timestamppb.Timestamp{Seconds: 5}}, TimestampMs: proto.Int64(7)}}})
	two, _ := proto.Marshal(&dto.MetricFamily{Name: proto.String("x_seconds_count"), Type: dto.MetricType_COUNTER.Enum(), Metric: []*dto.Metric{{Counter: &dto.Counter{Value: proto.Float64(1)}}}})
	f.Add(one, two, false)
	f.Add(two, one, true)
	f.Fuzz(func(t *testing.T, one, two []byte, anyName bool) {
		var families []*dto.MetricFamily
		for _, data := range [][]byte{one, two} {
			family := new(dto.MetricFamily)
			if proto.Unmarshal(data, family) == nil {
				families = append(families, family)
			}
		}
		opts := []tacho.Option{tacho.WithNative()}
		if anyName {
			opts = append(opts, tacho.WithUTF8Names())
		}
		reg := tacho.NewRegistry(opts...)
		Collect(reg, fixed(families...), WithCreated(), OnError(func(err error) { _ = err.Error() }))
		reg.Gauge("own", "").Set(1)
		if !anyName { // escaped names are not sorted
			testkit.ParseText(t, text(t, reg))
		}
		var open, json strings.Builder
		if err := errors.Join(reg.WriteOpenMetrics(&open), reg.WriteJSON(&json)); err != nil {
			t.Fatal(err)
		}
		testkit.ParseOpenMetrics(t, open.String())
		testkit.ParseJSON(t, json.String())
		back, err := NewGatherer(reg).Gather()
		if err != nil || !slices.ContainsFunc(back, func(f *dto.MetricFamily) bool { return f.GetName() == "own" }) {
			t.Errorf("%v, families %v", err, back)
		}
	})
}
