package conformance

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	promexemplar "github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"

	"github.com/tachikoma/tacho"
)

const typeOpenMetrics2 = "application/openmetrics-text; version=2.0.0; charset=utf-8"

// openMetrics2 returns the expected content of OpenMetrics 2.0 as Prometheus reads it: a composite value
// is the samples of the text format. With created, the times of creation are samples, as in OpenMetrics 1.0.
func (x *expecter) openMetrics2(t testing.TB, created bool) *exposition {
	t.Helper()
	e := newExposition()
	names := x.names()
	for _, m := range x.metrics {
		kind := m.kind
		if kind == "info" && !strings.HasSuffix(names[m], "_info") {
			kind = "gauge"
		}
		f := x.begin(t, e, m, names[m], kind)
		if m.kind == "info" {
			f.unit = ""
		}
		if strings.HasSuffix(f.help, "\r") {
			f.help += " "
		}
		for _, s := range m.series {
			switch m.kind {
			case "histogram":
				x.histogram(t, f, s, true)
			case "summary":
				if s.value >= 0 {
					x.summary(t, f, s, 0)
					x.totals(t, f, s, s.count)
				}
			case "counter":
				x.line(t, f, s, "", s.value).exemplar = s.exemplars[0]
			default:
				x.line(t, f, s, "", s.value)
			}
			if created && x.created && s.created != (span{}) && (kind == "counter" || kind == "histogram") {
				x.line(t, f, s, "_created", 0).within = &s.created
			}
		}
	}
	return e
}

// checkOpenMetrics2 is like checkText, but for OpenMetrics 2.0. Prometheus cuts times off to
// milliseconds after a multiplication, and can so lose one.
func checkOpenMetrics2(t testing.TB, data []byte, x *expecter) {
	t.Helper()
	got, err := readTextparse(data, typeOpenMetrics2)
	if err != nil {
		t.Fatalf("textparse: %v\n%s", err, data)
	}
	compare(t, "textparse, OpenMetrics 2.0", x.openMetrics2(t, false), got, ignored{timestamps: true})
	x.openMetrics2(t, true).checkStarts(t, data, typeOpenMetrics2)
	if t.Failed() {
		t.Logf("scrape:\n%s", data)
	}
}

// FuzzOpenMetrics2 is like FuzzText, but for OpenMetrics 2.0 with all schemes for names. The encoder of
// prometheus/common is a second opinion.
func FuzzOpenMetrics2(f *testing.F) {
	seed(f, 150)
	f.Fuzz(func(t *testing.T, data []byte) {
		utf8 := len(data)%2 == 1
		r := newRandomRegistry(t, &generator{data}, utf8)
		written, x := r.scrapeAs(t, typeOpenMetrics2), r.expect()
		x.escaping = model.NoEscaping
		checkOpenMetrics2(t, written, x)
		for _, scheme := range schemes {
			if !utf8 {
				break
			}
			served, x := serve(t, r.reg, typeOpenMetrics2, scheme), r.expect()
			x.escaping = scheme
			checkOpenMetrics2(t, served, x)
		}
		if !r.concurrent {
			messages := r.scrapeAs(t, typeProtobuf)
			r.expect()
			written = r.scrapeAs(t, typeOpenMetrics2)
			r.expect()
			checkExpfmt20(t, messages, written)
		}
	})
}

// expfmt20Refuses reports whether expfmt may refuse a family with this error. The family breaks a rule of
// the specification. The exposition of tacho leaves out a part of such a family.
func expfmt20Refuses(err error) bool {
	for _, reason := range []string{"summary sum cannot be", "summary quantile value cannot be negative", "ends with a carriage return", "contains raw newlines"} {
		if strings.Contains(err.Error(), reason) {
			return true
		}
	}
	return false
}

// hasColon reports whether a family has a label name with a colon.
func hasColon(mf *dto.MetricFamily) bool {
	for _, m := range mf.Metric {
		for _, l := range m.Label {
			if strings.Contains(l.GetName(), ":") {
				return true
			}
		}
	}
	return false
}

// checkExpfmt20 encodes messages with expfmt, and compares the families with those of a scrape in
// OpenMetrics 2.0. The specification supports tacho in each difference. These are the differences of
// expfmt:
//
//   - The order is HELP, TYPE, UNIT. The specification recommends TYPE, UNIT, HELP.
//   - An info is a gauge, because client_model has no info.
//   - The value -0 is 0.
//   - A negative quantile is an error for the whole scrape. So is a summary with a bad sum.
//   - A label name with a colon is not quoted, so that the scrape cannot be read.
func checkExpfmt20(t testing.TB, messages, scrape []byte) {
	t.Helper()
	list, err := decode(messages, typeProtobuf+"; escaping=allow-utf-8")
	if err != nil {
		t.Fatal(err)
	}
	if list, err = mergeMessages(list); err != nil {
		t.Fatal(err)
	}
	mine, err := readTextparse(scrape, typeOpenMetrics2)
	if err != nil {
		t.Fatal(err)
	}
	for _, mf := range list {
		var b bytes.Buffer
		if _, err := expfmt.MetricFamilyToOpenMetrics20(&b, mf); err != nil {
			if !expfmt20Refuses(err) {
				t.Errorf("expfmt: %v", err)
			}
			continue
		}
		b.WriteString("# EOF\n")
		theirs, err := readTextparse(b.Bytes(), typeOpenMetrics2)
		if err != nil && hasColon(mf) {
			continue
		}
		if err != nil {
			t.Fatalf("expfmt: %v\n%s", err, &b)
		}
		own := newExposition()
		f := mine.families[mf.GetName()]
		if f == nil {
			t.Errorf("no family %q", mf.GetName())
			continue
		}
		if f.kind == "info" {
			f.kind = "gauge"
			theirs.families[mf.GetName()].unit = ""
		}
		if strings.HasPrefix(f.name, "tacho_") {
			continue // further errors between the two scrapes
		}
		own.families[f.name] = f
		for _, s := range f.samples {
			s.value += 0
			for i := range s.exemplar {
				s.exemplar[i].value += 0
			}
		}
		for _, s := range theirs.families[f.name].samples {
			for i := range s.exemplar {
				s.exemplar[i].within = span{*s.exemplar[i].at, *s.exemplar[i].at}
			}
		}
		compare(t, "expfmt, OpenMetrics 2.0", theirs, own, ignored{})
	}
}

// readNative2 returns the native histograms of a scrape in OpenMetrics 2.0 by their label l, and checks
// their exemplars.
func readNative2(t testing.TB, data []byte, exemplars func(l string, list []promexemplar.Exemplar)) map[string]tacho.HistogramSnapshot {
	t.Helper()
	p, err := textparse.New(data, typeOpenMetrics2, labels.NewSymbolTable(), textparse.ParserOptions{EnableOpenMetrics2: true})
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]tacho.HistogramSnapshot{}
	for {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, data)
		}
		if entry != textparse.EntryHistogram {
			continue
		}
		_, _, h, float := p.Histogram()
		if float != nil {
			t.Fatalf("a histogram with float counts:\n%s", data)
		}
		if err := h.Validate(); err != nil {
			t.Error(err)
		}
		var ls labels.Labels
		p.Labels(&ls)
		native := fromInteger(h)
		all[ls.Get("l")] = tacho.HistogramSnapshot{Count: h.Count, Sum: h.Sum, Native: &native}
		var list []promexemplar.Exemplar
		for x := (promexemplar.Exemplar{}); p.Exemplar(&x); x = (promexemplar.Exemplar{}) {
			list = append(list, x)
		}
		if exemplars != nil {
			exemplars(ls.Get("l"), list)
		}
	}
}

// TestOpenMetrics2Native observes random values. Prometheus reads the native buckets that Snapshot
// returns. The line is equal to that of expfmt, except where expfmt has the two empty buckets of
// protobuf instead of a span.
func TestOpenMetrics2Native(t *testing.T) {
	t.Parallel()
	rounds, equal := 300, 0
	if testing.Short() {
		rounds = 50
	}
	for seed := range uint64(rounds) {
		r := rand.New(rand.NewPCG(seed, 5))
		reg := tacho.NewRegistry(tacho.WithCreated(), tacho.WithUTF8Names())
		var bounds []float64
		if r.IntN(2) == 0 {
			bounds = []float64{-1, 0.25, 1, 8}
		}
		config := tacho.NativeConfig{Factor: []float64{1.003, 1.1, 1.5, 4, 70000}[r.IntN(5)], ZeroThreshold: []float64{0, 0.5}[r.IntN(2)]}
		v := reg.HistogramVec([]string{"h", "h.h"}[r.IntN(2)], "Help.", bounds, []string{"l"}, tacho.WithNative(config))
		for i := range 1 + r.IntN(3) {
			h := v.With(strconv.Itoa(i))
			width := []float64{0, 0.5, 3, 100}[r.IntN(4)]
			for range r.IntN([]int{1, 4, 2000}[r.IntN(3)]) {
				x := math.Exp(width * r.NormFloat64())
				switch r.IntN(20) {
				case 0:
					x = 0
				case 1:
					x = math.Inf(1)
				case 2, 3, 4:
					x = -x
				}
				h.ObserveExemplar(x, "id", fmt.Sprint(x))
			}
		}
		scrape := scrapeAs(t, reg, typeOpenMetrics2)
		got := readNative2(t, scrape, func(l string, list []promexemplar.Exemplar) {
			if n := v.With(l).Snapshot().Count; n > 0 && len(list) == 0 || uint64(len(list)) > n {
				t.Errorf("seed %d: %d exemplars of %d observations", seed, len(list), n)
			}
			for i, x := range list {
				if x.Labels.Get("id") != fmt.Sprint(x.Value) || !x.HasTs || i > 0 && bounds == nil && x.Ts < list[i-1].Ts {
					t.Errorf("seed %d: exemplar %+v", seed, x)
				}
			}
		})
		for l, snapshot := range got {
			want := v.With(l).Snapshot()
			want.Native.Positive, want.Native.Negative = populated(want.Native.Positive), populated(want.Native.Negative)
			if snapshot.Count != want.Count || !same(snapshot.Sum, want.Sum) || !reflect.DeepEqual(snapshot.Native, want.Native) {
				t.Errorf("seed %d: count %d, sum %v, want %d, %v; %s", seed, snapshot.Count, snapshot.Sum, want.Count, want.Sum, describe(*snapshot.Native, *want.Native))
			}
		}
		if len(got) == 0 {
			t.Errorf("seed %d: no histogram in\n%s", seed, scrape)
		}
		messages, err := decode(scrapeAs(t, reg, typeProtobuf), typeProtobuf+"; escaping=allow-utf-8")
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		for _, mf := range messages {
			for _, m := range mf.Metric {
				joined := *oneSpanEach(m.Histogram)
				_, err := expfmt.MetricFamilyToOpenMetrics20(&b, dtoFamily(mf.GetName(), mf.GetHelp(), dto.MetricType_HISTOGRAM, &dto.Metric{Label: m.Label, Histogram: &joined}))
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		mine, theirs := linesOf(scrape), linesOf(b.Bytes())
		if slices.Equal(mine, theirs) {
			equal++
		} else if !strings.Contains(b.String(), ",0,0,") {
			t.Errorf("seed %d: got\n%s\nwant\n%s", seed, strings.Join(mine, "\n"), strings.Join(theirs, "\n"))
		}
	}
	if equal < rounds/4 {
		t.Errorf("only %d of %d scrapes are equal to those of expfmt", equal, rounds)
	}
	t.Logf("%d of %d scrapes are equal to those of expfmt", equal, rounds)
}

// oneSpanEach removes the span without buckets by which protobuf marks an empty native histogram.
func oneSpanEach(h *dto.Histogram) *dto.Histogram {
	if len(h.PositiveSpan) == 1 && h.PositiveSpan[0].GetLength() == 0 {
		h.PositiveSpan = nil
	}
	return h
}

// linesOf returns the samples of a scrape, sorted.
func linesOf(scrape []byte) (list []string) {
	for line := range strings.Lines(string(scrape)) {
		if !strings.HasPrefix(line, "# ") {
			list = append(list, strings.TrimSuffix(line, "\n"))
		}
	}
	slices.Sort(list)
	return list
}

// TestOpenMetrics2Emitted is TestEmittedNative for OpenMetrics 2.0: Prometheus reads each snapshot that
// tacho accepts.
func TestOpenMetrics2Emitted(t *testing.T) {
	t.Parallel()
	accepted := 0
	for run := range 5000 {
		s := emittedNative(rand.New(rand.NewPCG(uint64(run), 11)))
		if s.Count > 1<<53 {
			continue // Prometheus reads the count through a float64, and then misses observations
		}
		reg := tacho.NewRegistry(tacho.WithNative())
		reg.Collect(func(e *tacho.Emitter) { e.Histogram("h", "", s) })
		got, ok := readNative2(t, scrapeAs(t, reg, typeOpenMetrics2), nil)[""]
		if !ok {
			continue
		}
		accepted++
		want := *s.Native
		want.Positive, want.Negative = populated(want.Positive), populated(want.Negative)
		want.ZeroThreshold += 0 // -0 is 0
		got.Native.ZeroThreshold += 0
		if got.Count != s.Count || !same(got.Sum, s.Sum) || !reflect.DeepEqual(*got.Native, want) {
			t.Errorf("run %d: count %d, sum %v, want %d, %v; %s", run, got.Count, got.Sum, s.Count, s.Sum, describe(*got.Native, want))
		}
	}
	if accepted < 1500 {
		t.Errorf("%d accepted, want more", accepted)
	}
}

// TestPrometheusOpenMetrics2 runs Prometheus 3 with the feature openmetrics2 and OpenMetrics 2.0 first in
// scrape_protocols, with and without native histograms.
func TestPrometheusOpenMetrics2(t *testing.T) {
	const (
		utf8 = "; escaping=allow-utf-8"
		two  = "scrape_protocols: [OpenMetricsText2.0.0, PrometheusProto, OpenMetricsText1.0.0, PrometheusText0.0.4]\n"
	)
	began := span{seconds(time.Now()), 0}
	reg := tacho.NewRegistry(tacho.WithCreated(), tacho.WithUTF8Names())
	bounds := []float64{0.25, 0.5, 1, 2, 4, 8}
	alone := reg.HistogramVec("latency_seconds", "Native buckets.", nil, []string{"path"}, tacho.WithNative(), tacho.WithUnit("seconds")).With("/a")
	both := reg.Histogram("both_seconds", "Native and classic buckets.", bounds, tacho.WithNative())
	classic := reg.Histogram("classic_seconds", "Classic buckets.", bounds)
	dotted := reg.CounterVec("http.requests", "A UTF-8 name without _total.", []string{"http.method"}).With("GET")
	requests := reg.Counter("requests_total", "Requests.")
	reg.Collect(func(e *tacho.Emitter) {
		e.Info("build_info", "Build.", "version", "1")
		e.Summary("rpc_seconds", "A summary.", tacho.SummarySnapshot{Count: 3, Sum: 1.5, Quantiles: []tacho.Quantile{{Quantile: 0.5, Value: 0.25}, {Quantile: 1, Value: 1}}})
	})
	handler := reg.Handler()
	targets := []*target{
		{job: "native", want: typeOpenMetrics2 + utf8, config: two + "scrape_native_histograms: true"},
		{job: "both", want: typeOpenMetrics2 + utf8, config: two + "scrape_native_histograms: true\nalways_scrape_classic_histograms: true"},
		{job: "classic", want: typeOpenMetrics2 + utf8, config: two},
		{job: "legacy", want: typeOpenMetrics2 + "; escaping=underscores", config: two + "metric_name_validation_scheme: legacy\nmetric_name_escaping_scheme: underscores"},
		{job: "default", want: typeOpenMetrics + utf8},
	}
	for _, g := range targets {
		g.handler = handler
	}
	s := newServer(t, targets)
	const steps = 3
	values := observed()
	for step := range steps {
		for _, v := range values {
			for _, h := range []*tacho.Histogram{alone, both, classic} {
				h.Observe(v)
			}
		}
		requests.AddExemplar(5, "trace_id", fmt.Sprint("r", step))
		dotted.Inc()
		for i := range 3 {
			alone.ObserveExemplar(0.5, "trace_id", fmt.Sprint("n", step, i))
			time.Sleep(2 * time.Millisecond)
		}
		classic.ObserveExemplar(0.5, "trace_id", fmt.Sprint("c", step))
		s.wait(t, targets)
	}
	began.to = seconds(time.Now())
	n := float64(steps * len(values))
	at1, _ := slices.BinarySearch(values, math.Nextafter(1, 2))
	for _, g := range targets {
		t.Run(g.job, func(t *testing.T) {
			if got := g.last.Load().Get("Content-Type"); got != g.want {
				t.Errorf("Content-Type %s, want %s", got, g.want)
			}
			job := `job="` + g.job + `"`
			exactly, none := s.expectations(t, g)
			exactly("up{"+job+"}", 1)
			exactly("requests_total{"+job+"}", 5*steps)
			exactly(`build_info{version="1",`+job+"}", 1)
			exactly("rpc_seconds_count{"+job+"}", 3)
			exactly("rpc_seconds_sum{"+job+"}", 1.5)
			exactly(`rpc_seconds{quantile="0.5",`+job+"}", 0.25)
			exactly(`rpc_seconds{quantile="1.0",`+job+"}", 1)
			name := `{"http.requests","http.method"="GET",` + job + "}"
			if g.job == "legacy" {
				name = `http_requests{http_method="GET",` + job + "}"
			}
			exactly(name, steps)
			exactly(`classic_seconds_bucket{le="1.0",`+job+"}", float64(steps*(at1+1)))
			exactly("classic_seconds_count{"+job+"}", n+steps)
			points := s.points(t, g, "requests_total{"+job+"}")
			if first := points[0]; first.F != 0 || !began.contains(float64(first.T)/1e3) {
				t.Errorf("first sample %v, want 0 at the time of creation", first)
			}
			want := "counter"
			for name, kind := range map[string]string{"http.requests": want, "build_info": "info", "both_seconds": "histogram", "rpc_seconds": "summary"} {
				switch {
				case g.job == "default" && name == "http.requests":
					kind = "unknown" // OpenMetrics 1.0
				case g.job == "default" && name == "build_info":
					name = "build"
				case g.job == "legacy":
					name = strings.ReplaceAll(name, ".", "_")
				}
				if got, ok := s.manager.TargetsActive()[g.job][0].GetMetadata(name); !ok || string(got.Type) != kind {
					t.Errorf("metadata of %s: %+v, want %s", name, got, kind)
				}
			}
			native := g.job == "native" || g.job == "both"
			if native {
				exactly(`histogram_count(latency_seconds{path="/a",`+job+"})", n+3*steps)
				exactly("histogram_sum(both_seconds{"+job+"})", steps*total(values))
				for _, q := range []float64{0.05, 0.5, 0.99, 1} {
					exactly(fmt.Sprintf("histogram_quantile(%v, both_seconds{%s})", q, job), both.Snapshot().Quantile(q))
				}
				points := s.histograms(t, g, "both_seconds{"+job+"}")
				if first := points[0]; first.H.Count != 0 || !began.contains(float64(first.T)/1e3) {
					t.Errorf("first sample %v, want an empty histogram at the time of creation", first)
				}
				none("latency_seconds_bucket{" + job + "}")
				list := s.exemplars(t, g.job, "latency_seconds")[""]
				if len(list) != 3*steps {
					t.Errorf("%d exemplars of native buckets, want %d: %v", len(list), 3*steps, list)
				}
			} else {
				none("both_seconds{" + job + "}")
				exactly(`latency_seconds_bucket{le="+Inf",`+job+"}", n+3*steps)
			}
			if g.job == "native" {
				none("both_seconds_bucket{" + job + "}")
			} else {
				exactly(`both_seconds_bucket{le="1.0",`+job+"}", float64(steps*at1))
			}
			if got := s.exemplars(t, g.job, "classic_seconds_bucket")["0.5"]; len(got) != steps {
				t.Errorf("%d exemplars of a classic bucket, want %d", len(got), steps)
			}
			if got := s.exemplars(t, g.job, "requests_total")[""]; len(got) != steps {
				t.Errorf("%d exemplars of a counter, want %d", len(got), steps)
			}
		})
	}
	if log := s.log.String(); log != "" {
		t.Errorf("warnings of Prometheus:\n%s", log)
	}
}
