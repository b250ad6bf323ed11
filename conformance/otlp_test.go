package conformance

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/config"
	promexemplar "github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/prometheus/prometheus/storage/remote"
	"github.com/prometheus/prometheus/util/teststorage"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.yaml.in/yaml/v2"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/push"
)

// An otlpSample is a series of a scrape or of a push by OTLP.
type otlpSample struct {
	value     float64
	native    *histogram.Histogram // nil for a number
	at        int64                // Unix milliseconds; 0 for none
	start     int64                // Unix milliseconds; 0 for none
	exemplars []string
	kind      string
	help      string
	unit      string
}

// otlpKey returns a text of the labels of a series, which is the same for the forms of a bound. A label with an
// empty value is no label.
func otlpKey(name string, pairs map[string]string) string {
	list := []string{}
	for name, value := range pairs {
		if value == "" || name == model.MetricNameLabel {
			continue
		}
		if name == "le" || name == "quantile" {
			if v, err := strconv.ParseFloat(value, 64); err == nil {
				value = strconv.FormatFloat(v, 'g', -1, 64)
			}
		}
		list = append(list, fmt.Sprintf("%q=%q", name, value))
	}
	slices.Sort(list)
	return name + "{" + strings.Join(list, ",") + "}"
}

func exemplarText(ls map[string]string, value float64, at int64) string {
	return fmt.Sprintf("%s %v %d", otlpKey("", ls), value, at)
}

// scrapedForOTLP returns the series of a scrape in protobuf, with more labels.
func scrapedForOTLP(t *testing.T, scrape []byte, more map[string]string) map[string]*otlpSample {
	t.Helper()
	all := map[string]*otlpSample{}
	kind, help, unit := "", "", ""
	p := textparse.NewProtobufParser(scrape, false, false, false, false, labels.NewSymbolTable())
	for {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		s := &otlpSample{kind: kind, help: help, unit: unit}
		switch entry {
		case textparse.EntryType:
			_, k := p.Type()
			kind = string(k)
			continue
		case textparse.EntryHelp:
			_, text := p.Help() // the first entry of a message
			help, unit = string(text), ""
			continue
		case textparse.EntryUnit:
			_, text := p.Unit()
			unit = string(text)
			continue
		case textparse.EntrySeries:
			_, at, v := p.Series()
			s.value = v
			if at != nil {
				s.at = min(*at, math.MaxInt64/1_000_000) // OTLP has nanoseconds
			}
		case textparse.EntryHistogram:
			_, at, h, _ := p.Histogram()
			s.native = h
			if at != nil {
				s.at = min(*at, math.MaxInt64/1_000_000) // OTLP has nanoseconds
			}
		default:
			continue
		}
		s.start = p.StartTimestamp()
		for x := (promexemplar.Exemplar{}); p.Exemplar(&x); x = (promexemplar.Exemplar{}) {
			s.exemplars = append(s.exemplars, exemplarText(x.Labels.Map(), x.Value, x.Ts))
		}
		slices.Sort(s.exemplars)
		var ls labels.Labels
		p.Labels(&ls)
		pairs := ls.Map()
		maps.Copy(pairs, more)
		all[otlpKey(ls.Get(model.MetricNameLabel), pairs)] = s
	}
}

// An otlpReceiver is the OTLP handler of Prometheus. It also keeps the bodies of the requests.
type otlpReceiver struct {
	*httptest.Server
	stored *teststorage.Appendable
	bodies [][]byte
}

func newOTLPReceiver(t *testing.T, set func(*config.OTLPConfig)) *otlpReceiver {
	t.Helper()
	c := config.Config{OTLPConfig: config.DefaultOTLPConfig}
	set(&c.OTLPConfig)
	r := &otlpReceiver{stored: teststorage.NewAppendable()}
	h := remote.NewOTLPWriteHandler(slog.New(slog.DiscardHandler), prometheus.NewRegistry(), r.stored, func() config.Config { return c }, remote.OTLPOptions{})
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			t.Error(err)
		}
		z, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			t.Error(err)
			return
		}
		plain, err := io.ReadAll(z)
		if err != nil {
			t.Error(err)
		}
		r.bodies = append(r.bodies, plain)
		req.Body = io.NopCloser(bytes.NewReader(body))
		h.ServeHTTP(w, req)
	}))
	t.Cleanup(r.Close)
	return r
}

// noTranslation makes Prometheus keep the names.
func noTranslation(c *config.OTLPConfig) { c.TranslationStrategy = "NoTranslation" }

func pushOTLP(t *testing.T, target push.OTLP, reg *tacho.Registry) (before, after int64, err error) {
	t.Helper()
	p, err := push.New(target, push.Config{Registry: reg, Metrics: tacho.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	before = time.Now().UnixMilli()
	err = p.Push(context.Background())
	return before, time.Now().UnixMilli(), err
}

// storedByOTLP returns the series that Prometheus stored.
func (r *otlpReceiver) storedByOTLP(t *testing.T) map[string]*otlpSample {
	t.Helper()
	all := map[string]*otlpSample{}
	for _, got := range r.stored.ResultSamples() {
		s := &otlpSample{value: got.V, native: got.H, at: got.T, start: got.ST, kind: string(got.M.Type), help: got.M.Help, unit: got.M.Unit}
		for _, x := range got.ES {
			s.exemplars = append(s.exemplars, exemplarText(x.Labels.Map(), x.Value, x.Ts))
		}
		slices.Sort(s.exemplars)
		key := otlpKey(got.L.Get(model.MetricNameLabel), got.L.Map())
		if all[key] != nil {
			t.Errorf("%s was stored twice", key)
		}
		all[key] = s
	}
	return all
}

// compareOTLP compares the series of a push with those of a scrape.
func compareOTLP(t *testing.T, what string, got, want map[string]*otlpSample, before, after int64) {
	t.Helper()
	for key, w := range want {
		g := got[key]
		if g == nil {
			t.Errorf("%s: %s was not pushed", what, key)
			continue
		}
		if strings.HasPrefix(key, "tacho_errors_total{") {
			continue // each scrape increments the errors
		}
		if w.native != nil {
			compareNative(t, what+": "+key, g.native, w.native)
		} else if g.native != nil || g.value != w.value && !(math.IsNaN(g.value) && math.IsNaN(w.value)) {
			t.Errorf("%s: %s is %v, want %v", what, key, g.value, w.value)
		}
		if w.at != 0 && g.at != w.at || w.at == 0 && g.at != 0 && (g.at < before || g.at > after) {
			t.Errorf("%s: %s has the time %d, want %d, or %d to %d without a time", what, key, g.at, w.at, before, after)
		}
		if start := min(w.start, g.at); g.start != start { // a start time is not later than the sample
			t.Errorf("%s: %s starts at %d, want %d", what, key, g.start, start)
		}
		if !slices.Equal(g.exemplars, w.exemplars) {
			t.Errorf("%s: %s has the exemplars %q, want %q", what, key, g.exemplars, w.exemplars)
		}
		kind := w.kind
		if kind == "unknown" {
			kind = "gauge"
		}
		if g.kind != kind || g.help != w.help || g.unit != w.unit {
			t.Errorf("%s: %s has type %q, help %q and unit %q, want %q, %q and %q", what, key, g.kind, g.help, g.unit, kind, w.help, w.unit)
		}
	}
	for key := range got {
		if want[key] == nil {
			t.Errorf("%s: %s is not in the scrape", what, key)
		}
	}
}

// compareNative compares native histograms. Prometheus replaces the zero threshold, and the number of buckets of
// an exponential histogram is bounded.
func compareNative(t *testing.T, what string, got, want *histogram.Histogram) {
	t.Helper()
	if got == nil {
		t.Errorf("%s is no native histogram", what)
		return
	}
	want = want.Copy()
	if got.Schema < want.Schema {
		if buckets := max(denseBuckets(want.PositiveSpans), denseBuckets(want.NegativeSpans)); buckets <= 4096 {
			t.Errorf("%s: the schema fell to %d although there are %d buckets", what, got.Schema, buckets)
		}
		if err := want.ReduceResolution(got.Schema); err != nil {
			t.Fatal(err)
		}
	}
	want.ZeroThreshold = got.ZeroThreshold
	if !got.Copy().Compact(0).Equals(want.Compact(0)) || got.Validate() != nil {
		t.Errorf("%s is %v, want %v (%v)", what, got, want, got.Validate())
	}
}

// denseBuckets returns the number of buckets from the first to the last.
func denseBuckets(spans []histogram.Span) (n int) {
	for i, s := range spans {
		if n += int(s.Length); i > 0 {
			n += int(s.Offset)
		}
	}
	return n
}

// TestOTLP pushes random registries to Prometheus' handler and reads the requests by the package of the Collector. Both
// have the series of a scrape in protobuf.
func TestOTLP(t *testing.T) {
	taken := 0
	for i := range 200 {
		r := rand.New(rand.NewPCG(uint64(i), 4))
		data := make([]byte, 10*i)
		for j := range data {
			data[j] = byte(r.Uint32())
		}
		if checkOTLP(t, fmt.Sprint("registry ", i), newRandomRegistry(t, &generator{data}, i%2 == 1).reg) {
			taken++
		}
		if t.Failed() {
			return
		}
	}
	if taken < 100 {
		t.Errorf("%d of 200 pushes succeeded, want at least 100", taken)
	}
}

// TestOTLPManyMetrics: a family in several Metrics and requests has all its series.
func TestOTLPManyMetrics(t *testing.T) {
	reg := tacho.NewRegistry(tacho.WithCreated())
	v := reg.HistogramVec("h_seconds", "Help.", []float64{1, 2}, []string{"n"}, tacho.WithUnit("seconds"))
	c := reg.CounterVec("c_total", "", []string{"n"})
	for i := range 3000 {
		v.With(fmt.Sprint(i)).ObserveExemplar(1.5, "trace_id", "0af7651916cd43dd8448eb211c80319c", "n", fmt.Sprint(i))
		c.With(fmt.Sprint(i)).AddExemplar(1, "span_id", "b7ad6b7169203331")
	}
	if !checkOTLP(t, "many", reg) {
		t.Error("push rejected")
	}
}

// TestOTLPNative: the buckets of native histograms are those of a scrape, and a histogram of both kinds is pushed once.
func TestOTLPNative(t *testing.T) {
	for i := range 60 {
		reg := nativeRegistry(rand.New(rand.NewPCG(uint64(i), 5)), tacho.WithCreated())
		if !checkOTLP(t, fmt.Sprint("registry ", i), reg) || t.Failed() {
			t.Fatal("push rejected")
		}
	}
}

// TestOTLPJoined: a joined registry is pushed as it is scraped, and so are its parts.
func TestOTLPJoined(t *testing.T) {
	for i := range uint64(20) {
		a, b := nativeRegistry(rand.New(rand.NewPCG(i, 6)), tacho.WithCreated()), tacho.NewRegistry()
		other := b.HistogramVec("h0_seconds", "Help.", nil, []string{"b", "Z"}, tacho.WithNative())
		other.With("0", "z").Observe(1)
		other.With("4", "z").ObserveExemplar(-2, "span_id", "b7ad6b7169203331")
		b.CounterVec("c_total", "", []string{"l"}).With("").AddExemplar(2, "trace_id", "0af7651916cd43dd8448eb211c80319c")
		joined := tacho.Join(a, b, b.Sub(tacho.WithConstLabels("s", "1")))
		for what, reg := range map[string]*tacho.Registry{"a": a, "b": b, "joined": joined} {
			if !checkOTLP(t, fmt.Sprint(what, " ", i), reg) {
				t.Fatal("push rejected")
			}
		}
		if t.Failed() {
			return
		}
	}
}

// TestOTLPCollected: samples of collectors have their units, times and exemplars.
func TestOTLPCollected(t *testing.T) {
	reg := tacho.NewRegistry(tacho.WithUTF8Names())
	at := time.Now().Add(-time.Minute).Truncate(time.Millisecond)
	id := []string{"trace_id", "0af7651916cd43dd8448eb211c80319c", "span_id", "b7ad6b7169203331"}
	native := tacho.NewRegistry()
	h := native.Histogram("h", "", []float64{1}, tacho.WithNative())
	h.Observe(3)
	reg.Collect(func(e *tacho.Emitter) {
		dated := e.Unit("bytes").Created(at.Add(-time.Hour)).Exemplars(tacho.Exemplar{Value: 0.5, Labels: id, Time: at})
		dated.Counter("c_bytes_total", "Help.", 7)
		dated.At(at).Counter("d_bytes_total", "Help.", 7, "l.m", "é")
		dated.Histogram("h_bytes", "", h.Snapshot())
		e.Histogram("n", "", h.Snapshot(), "l", "")
		e.Created(time.Now().Add(time.Hour)).Summary("s", "", tacho.SummarySnapshot{Count: 1, Sum: math.NaN(), Quantiles: []tacho.Quantile{{Quantile: 0.5, Value: math.Inf(1)}}})
	})
	if !checkOTLP(t, "collected", reg) {
		t.Error("push rejected")
	}
}

func checkOTLP(t *testing.T, what string, reg *tacho.Registry) (taken bool) {
	t.Helper()
	receiver := newOTLPReceiver(t, noTranslation)
	defer receiver.Close()
	target := push.OTLP{URL: receiver.URL, Service: "svc", Instance: "i-1"}
	resource, more := map[string]string{"service.name": "svc", "service.instance.id": "i-1"}, map[string]string{"job": "svc", "instance": "i-1"}
	for key := range scrapedForOTLP(t, scrapeAs(t, reg, typeProtobuf), nil) {
		// Prometheus would replace the labels, and two series could become one.
		if strings.Contains(key, `"job"=`) || strings.Contains(key, `"instance"=`) {
			target.Service, target.Instance = "", ""
			clear(resource)
			clear(more)
		}
	}
	before, after, err := pushOTLP(t, target, reg)
	late := err != nil && strings.Contains(err.Error(), "too far in the future") // the timestamp of a collector
	if err != nil && !late && !strings.Contains(err.Error(), "out of bounds") {
		t.Fatal(err)
	}
	scrape := scrapeAs(t, reg, typeProtobuf)
	received := map[string]*otlpSample{}
	for _, body := range receiver.bodies {
		receivedByCollector(t, body, resource, received)
	}
	compareOTLP(t, what+", pdata", received, scrapedForOTLP(t, scrape, nil), before, after)
	if err != nil {
		return false
	}
	compareOTLP(t, what+", Prometheus", receiver.storedByOTLP(t), scrapedForOTLP(t, scrape, more), before, after)
	return true
}

// receivedByCollector adds the series of a request to all, as the package of the Collector reads them. The names of the
// series are those of a scrape.
func receivedByCollector(t *testing.T, body []byte, want map[string]string, all map[string]*otlpSample) {
	t.Helper()
	request := pmetricotlp.NewExportRequest()
	if err := request.UnmarshalProto(body); err != nil {
		t.Fatal(err)
	}
	again, err := request.MarshalProto()
	if err != nil {
		t.Fatal(err)
	}
	second := pmetricotlp.NewExportRequest()
	if err := second.UnmarshalProto(again); err != nil {
		t.Fatal(err)
	}
	var texts [2][]byte
	for i, r := range []pmetricotlp.ExportRequest{request, second} {
		if texts[i], err = (&pmetric.JSONMarshaler{}).MarshalMetrics(r.Metrics()); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(texts[0], texts[1]) {
		t.Errorf("a request is another one if it is marshaled again:\n%s\n%s", texts[0], texts[1])
	}
	resources := request.Metrics().ResourceMetrics()
	if resources.Len() != 1 || resources.At(0).ScopeMetrics().Len() != 1 {
		t.Fatalf("%s has not one resource and scope", texts[0])
	}
	resource, scope := resources.At(0).Resource().Attributes(), resources.At(0).ScopeMetrics().At(0)
	if got := resource.AsRaw(); !maps.Equal(stringsOf(resource), want) || scope.Scope().Name() != "github.com/tachikoma/tacho" {
		t.Errorf("resource %v, scope %q", got, scope.Scope().Name())
	}
	for _, m := range scope.Metrics().All() {
		metricOfCollector(t, m, all)
	}
}

func stringsOf(m pcommon.Map) map[string]string {
	all := map[string]string{}
	for key, value := range m.All() {
		all[key] = value.Str()
	}
	return all
}

// prometheusUnits are the units that tacho translates.
var prometheusUnits = map[string]string{"s": "seconds", "By": "bytes"}

func metricOfCollector(t *testing.T, m pmetric.Metric, all map[string]*otlpSample) {
	t.Helper()
	kind, ok := m.Metadata().Get("prometheus.type")
	if !ok {
		t.Fatalf("%s has no prometheus.type", m.Name())
	}
	unit := m.Unit()
	if name, ok := prometheusUnits[unit]; ok {
		unit = name
	}
	add := func(suffix string, attributes pcommon.Map, extra, bound string, s otlpSample, at, start pcommon.Timestamp) {
		s.at, s.start = int64(at)/1e6, int64(start)/1e6
		s.kind, s.help, s.unit = kind.Str(), m.Description(), unit
		if s.kind == "info" || s.kind == "unknown" {
			s.kind = "gauge"
		}
		pairs := stringsOf(attributes)
		if extra != "" {
			pairs[extra] = bound
		}
		key := otlpKey(m.Name()+suffix, pairs)
		if all[key] != nil {
			t.Errorf("%s is twice in the push", key)
		}
		slices.Sort(s.exemplars)
		all[key] = &s
	}
	number := func(list pmetric.NumberDataPointSlice) {
		for _, p := range list.All() {
			if p.ValueType() != pmetric.NumberDataPointValueTypeDouble {
				t.Errorf("a data point of %s has the type %v", m.Name(), p.ValueType())
			}
			add("", p.Attributes(), "", "", otlpSample{value: p.DoubleValue(), exemplars: exemplarsOfCollector(p.Exemplars(), math.Inf(-1), math.Inf(1))}, p.Timestamp(), p.StartTimestamp())
		}
	}
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		if k := kind.Str(); k != "gauge" && k != "unknown" {
			t.Errorf("%s has the type %s and is a gauge", m.Name(), k)
		}
		number(m.Gauge().DataPoints())
	case pmetric.MetricTypeSum:
		sum := m.Sum()
		if k := kind.Str(); sum.IsMonotonic() != (k == "counter") || k != "counter" && k != "info" || sum.AggregationTemporality() != pmetric.AggregationTemporalityCumulative {
			t.Errorf("%s has the type %s and is a sum: monotonic %v, %v", m.Name(), k, sum.IsMonotonic(), sum.AggregationTemporality())
		}
		number(sum.DataPoints())
	case pmetric.MetricTypeHistogram:
		if m.Histogram().AggregationTemporality() != pmetric.AggregationTemporalityCumulative {
			t.Errorf("%s is not cumulative", m.Name())
		}
		for _, p := range m.Histogram().DataPoints().All() {
			total, below := uint64(0), math.Inf(-1)
			bounds := append(slices.Clone(p.ExplicitBounds().AsRaw()), math.Inf(1))
			if p.BucketCounts().Len() != len(bounds) || !p.HasSum() {
				t.Fatalf("%s has %d counts and %d bounds", m.Name(), p.BucketCounts().Len(), len(bounds)-1)
			}
			for i, bound := range bounds {
				total += p.BucketCounts().At(i)
				add("_bucket", p.Attributes(), "le", fmt.Sprint(bound), otlpSample{value: float64(total), exemplars: exemplarsOfCollector(p.Exemplars(), below, bound)}, p.Timestamp(), p.StartTimestamp())
				below = bound
			}
			if total != p.Count() {
				t.Errorf("%s has the count %d and %d in its buckets", m.Name(), p.Count(), total)
			}
			add("_sum", p.Attributes(), "", "", otlpSample{value: p.Sum()}, p.Timestamp(), p.StartTimestamp())
			add("_count", p.Attributes(), "", "", otlpSample{value: float64(p.Count())}, p.Timestamp(), p.StartTimestamp())
		}
	case pmetric.MetricTypeExponentialHistogram:
		if m.ExponentialHistogram().AggregationTemporality() != pmetric.AggregationTemporalityCumulative {
			t.Errorf("%s is not cumulative", m.Name())
		}
		for _, p := range m.ExponentialHistogram().DataPoints().All() {
			h := &histogram.Histogram{Schema: p.Scale(), Count: p.Count(), Sum: p.Sum(), ZeroCount: p.ZeroCount(), ZeroThreshold: p.ZeroThreshold()}
			h.PositiveSpans, h.PositiveBuckets = spansOf(p.Positive())
			h.NegativeSpans, h.NegativeBuckets = spansOf(p.Negative())
			add("", p.Attributes(), "", "", otlpSample{native: h, exemplars: exemplarsOfCollector(p.Exemplars(), math.Inf(-1), math.Inf(1))}, p.Timestamp(), p.StartTimestamp())
		}
	case pmetric.MetricTypeSummary:
		for _, p := range m.Summary().DataPoints().All() {
			for _, q := range p.QuantileValues().All() {
				add("", p.Attributes(), "quantile", fmt.Sprint(q.Quantile()), otlpSample{value: q.Value()}, p.Timestamp(), p.StartTimestamp())
			}
			add("_sum", p.Attributes(), "", "", otlpSample{value: p.Sum()}, p.Timestamp(), p.StartTimestamp())
			add("_count", p.Attributes(), "", "", otlpSample{value: float64(p.Count())}, p.Timestamp(), p.StartTimestamp())
		}
	default:
		t.Errorf("%s has the type %v", m.Name(), m.Type())
	}
}

// spansOf returns buckets in the form of Prometheus, whose index is larger by 1.
func spansOf(b pmetric.ExponentialHistogramDataPointBuckets) (spans []histogram.Span, deltas []int64) {
	before := int64(0)
	for _, count := range b.BucketCounts().All() {
		deltas = append(deltas, int64(count)-before)
		before = int64(count)
	}
	if len(deltas) > 0 {
		spans = []histogram.Span{{Offset: b.Offset() + 1, Length: uint32(len(deltas))}}
	}
	return spans, deltas
}

// exemplarsOfCollector returns the exemplars with values above a bound, up to another.
func exemplarsOfCollector(list pmetric.ExemplarSlice, above, to float64) (texts []string) {
	for _, x := range list.All() {
		if v := x.DoubleValue(); !(v > above || math.IsInf(above, -1)) || v > to {
			continue
		}
		pairs := stringsOf(x.FilteredAttributes())
		if id := x.TraceID(); !id.IsEmpty() {
			pairs["trace_id"] = hex.EncodeToString(id[:])
		}
		if id := x.SpanID(); !id.IsEmpty() {
			pairs["span_id"] = hex.EncodeToString(id[:])
		}
		texts = append(texts, exemplarText(pairs, x.DoubleValue(), int64(x.Timestamp())/1e6))
	}
	return texts
}

// TestOTLPNames has the names, types and labels that Prometheus stores. By default Prometheus replaces characters and
// adds units and _total. Its settings can keep all names.
func TestOTLPNames(t *testing.T) {
	reg := tacho.NewRegistry(tacho.WithUTF8Names())
	reg.Counter("jobs_total", "").Inc()
	reg.Counter("jobs", "").Inc()
	reg.FloatCounter("cpu_seconds_total", "", tacho.WithUnit("seconds")).Inc()
	reg.CounterVec("http.requests_total", "", []string{"http.route", "job"}).With("/", "own").Inc()
	reg.Gauge("free_bytes", "", tacho.WithUnit("bytes")).Inc()
	reg.FloatGauge("hit_ratio", "", tacho.WithUnit("ratio")).Inc()
	reg.Gauge("queue", "").Inc()
	reg.Histogram("time_seconds", "", []float64{0.5}, tacho.WithUnit("seconds")).Observe(1)
	reg.Histogram("wait_seconds", "", nil, tacho.WithUnit("seconds"), tacho.WithNative()).Observe(1)
	reg.Collect(func(e *tacho.Emitter) {
		e.Info("build_info", "", "version", "1")
		e.Untyped("other", "", 1)
		e.Summary("size", "", tacho.SummarySnapshot{Count: 1, Sum: 1, Quantiles: []tacho.Quantile{{Quantile: 0.5, Value: 1}}})
	})
	same := []string{
		`jobs_total counter`, `cpu_seconds_total counter seconds`, `free_bytes gauge bytes`, `hit_ratio gauge`, `queue gauge`,
		`time_seconds_bucket{le="+Inf"} histogram seconds`, `time_seconds_bucket{le="0.5"} histogram seconds`, `time_seconds_count histogram seconds`,
		`time_seconds_sum histogram seconds`, `wait_seconds histogram seconds`, `build_info{version="1"} gauge`, `other gauge`,
		`size{quantile="0.5"} summary`, `size_count summary`, `size_sum summary`,
	}
	for strategy, want := range map[string][]string{
		"NoTranslation":                     append([]string{`jobs counter`, `http.requests_total{"http.route"="/"} counter`}, same...),
		"NoUTF8EscapingWithSuffixes":        append([]string{`jobs_total counter`, `http.requests_total{"http.route"="/"} counter`}, same...),
		"UnderscoreEscapingWithoutSuffixes": append([]string{`jobs counter`, `http_requests_total{http_route="/"} counter`}, same...),
		"UnderscoreEscapingWithSuffixes":    append([]string{`jobs_total counter`, `http_requests_total{http_route="/"} counter`}, same...), // the default
	} {
		receiver := newOTLPReceiver(t, func(c *config.OTLPConfig) {
			if err := yaml.Unmarshal([]byte("translation_strategy: "+strategy), c); err != nil {
				t.Fatal(err)
			}
		})
		if _, _, err := pushOTLP(t, push.OTLP{URL: receiver.URL, Service: "svc", Instance: "i-1", Attributes: []string{"zone", "eu"}}, reg); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, s := range receiver.stored.ResultSamples() {
			if s.L.Get("job") != "svc" || s.L.Get("instance") != "i-1" {
				t.Errorf("%s: %v has not the labels of the resource", strategy, s.L)
			}
			name := s.L.Get(model.MetricNameLabel)
			if name == "target_info" {
				if s.L.Get("zone") != "eu" {
					t.Errorf("%s: target_info is %v", strategy, s.L)
				}
				continue
			}
			ls := labels.NewBuilder(s.L).Del(model.MetricNameLabel, "job", "instance").Labels()
			text := name
			if ls.Len() > 0 {
				text += ls.String()
			}
			text += " " + string(s.M.Type)
			if s.M.Unit != "" {
				text += " " + s.M.Unit
			}
			got = append(got, text)
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q\nwant %q", strategy, got, want)
		}
	}
}

// TestOTLPEmpty: Prometheus accepts a push without samples, and stores nothing.
func TestOTLPEmpty(t *testing.T) {
	receiver := newOTLPReceiver(t, noTranslation)
	if _, _, err := pushOTLP(t, push.OTLP{URL: receiver.URL, Service: "svc", Attributes: []string{"zone", "eu"}}, tacho.NewRegistry()); err != nil {
		t.Error(err)
	}
	if n := len(receiver.stored.ResultSamples()); n != 0 || len(receiver.bodies) != 1 {
		t.Errorf("%d samples of %d requests", n, len(receiver.bodies))
	}
}

// TestOTLPPartialSuccess: the pusher reads the response of the package of the Collector.
func TestOTLPPartialSuccess(t *testing.T) {
	for rejected, want := range map[int64]string{0: "", 1: `rejected 1 of 1 data points: "no room"`} {
		response := pmetricotlp.NewExportResponse()
		response.PartialSuccess().SetRejectedDataPoints(rejected)
		response.PartialSuccess().SetErrorMessage("no room")
		body, err := response.MarshalProto()
		if err != nil {
			t.Fatal(err)
		}
		web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/x-protobuf")
			w.Write(body)
		}))
		defer web.Close()
		reg := tacho.NewRegistry()
		reg.Gauge("g", "")
		_, _, err = pushOTLP(t, push.OTLP{URL: web.URL}, reg)
		if got := fmt.Sprint(err); (err != nil) != (want != "") || !strings.Contains(got, want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
