package bench

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/exp/api/remote"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
	collectorpb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/protobuf/proto"
)

// An exposed is the decoded output of a format: counters and histograms by the label "path".
type exposed struct {
	counters   map[string]float64
	histograms histograms
	started    int // number of series with a start time
	described  int // number of series with a type and a help text
}

func newExposed() *exposed {
	return &exposed{counters: map[string]float64{}, histograms: histograms{}}
}

func (e *exposed) series() int { return len(e.counters) + len(e.histograms) }

// TestFormatsAgree checks that all sides of a format have the same series with the same values,
// start times and descriptions. The expected values are those of tacho's protobuf format.
func TestFormatsAgree(t *testing.T) {
	for _, f := range allFormats {
		part := 1
		if f == openMetrics2 {
			part = 10 // the time of expfmt's parser grows with the square of the number of series
		}
		for _, l := range formatLoads(Small, part) {
			t.Run(f.name+", "+l.String(), func(t *testing.T) { formatAgrees(t, f, l) })
		}
	}
}

// formatAgrees compares the sides of a format.
func formatAgrees(t *testing.T, f format, l formatLoad) {
	want := decode(t, protobuf, bodyOf(l.formatTacho(protobuf, Tacho).Scrape))
	if want.series() != l.series() {
		t.Fatalf("%d series in the format protobuf, want %d", want.series(), l.series())
	}
	for _, s := range l.formatSides(f) {
		run(s.Run, 1, 3) // further pushes differ from the first
		got := decode(t, f, bodyOf(s.Scrape))
		if !maps.Equal(got.counters, want.counters) {
			t.Errorf("%s: %d counters differ from the %d counters in the format protobuf", s.Peer, len(got.counters), len(want.counters))
		}
		if !slices.Equal(slices.Sorted(maps.Keys(got.histograms)), slices.Sorted(maps.Keys(want.histograms))) {
			t.Errorf("%s: %d histograms, want %d", s.Peer, len(got.histograms), len(want.histograms))
		}
		for path, h := range got.histograms {
			if !sameHistogram(h, want.histograms[path]) {
				t.Fatalf("%s: %+v\nwant %+v", s.Peer, h, want.histograms[path])
			}
		}
		if started := l.series(); f != remoteWrite1 && got.started != started {
			t.Errorf("%s: %d series with a start time, want %d", s.Peer, got.started, started)
		}
		if f != remoteWrite1 && got.described != l.series() {
			t.Errorf("%s: %d series with a type and a help text, want %d", s.Peer, got.described, l.series())
		}
	}
}

func sameHistogram(a, b histogram) bool {
	return a.count == b.count && a.count > 0 && math.Abs(a.sum-b.sum) <= 1e-9*b.sum && a.native == b.native && a.schema == b.schema &&
		a.zero == b.zero && maps.Equal(a.positive, b.positive) && maps.Equal(a.negative, b.negative) && maps.Equal(a.classic, b.classic) &&
		(a.native && len(a.positive) > 40 || len(a.classic) == len(bounds))
}

// decode decodes the output of a side.
func decode(t *testing.T, f format, body []byte) *exposed {
	t.Helper()
	switch f {
	case protobuf:
		return decodeFamilies(t, body, protobufFormat)
	case openMetrics2:
		return decodeFamilies(t, body, openMetrics2Format)
	}
	e := newExposed()
	for len(body) > 0 {
		size, n := binary.Uvarint(body)
		message := body[n : n+int(size)]
		body = body[n+int(size):]
		switch f {
		case remoteWrite1:
			decodeWrite1(t, e, message)
		case remoteWrite2:
			decodeWrite2(t, e, message)
		case otlp:
			decodeOTLP(t, e, message)
		}
	}
	return e
}

// checkedPath returns the value of the label "path". Every series has the three labels of a load.
func checkedPath(t *testing.T, l map[string]string) string {
	t.Helper()
	if len(l) != 3 || l["method"] != method || l["status"] != status || l["path"] == "" {
		t.Fatalf("labels %v", l)
	}
	return l["path"]
}

func checkedName(t *testing.T, name, want string) {
	t.Helper()
	if name != want {
		t.Fatalf("name %q, want %q", name, want)
	}
}

func (e *exposed) addCounter(t *testing.T, path string, v float64) {
	t.Helper()
	if _, ok := e.counters[path]; ok {
		t.Fatalf("two counters with the path %q", path)
	}
	e.counters[path] = v
}

func (e *exposed) addHistogram(t *testing.T, path string, h histogram) {
	t.Helper()
	if _, ok := e.histograms[path]; ok {
		t.Fatalf("two histograms with the path %q", path)
	}
	e.histograms[path] = h
}

// decodeFamilies decodes a format by the decoder of expfmt.
func decodeFamilies(t *testing.T, body []byte, f expfmt.Format) *exposed {
	t.Helper()
	e := newExposed()
	dec := expfmt.NewDecoder(bytes.NewReader(body), f)
	for {
		var family dto.MetricFamily
		if err := dec.Decode(&family); errors.Is(err, io.EOF) {
			return e
		} else if err != nil {
			t.Fatal(err)
		}
		for _, m := range family.Metric {
			l := map[string]string{}
			for _, pair := range m.Label {
				l[pair.GetName()] = pair.GetValue()
			}
			path := checkedPath(t, l)
			if family.GetHelp() != "" {
				e.described++
			}
			var start interface{ GetSeconds() int64 }
			switch family.GetType() {
			case dto.MetricType_COUNTER:
				checkedName(t, family.GetName(), counterName)
				e.addCounter(t, path, m.Counter.GetValue())
				start = m.Counter.GetCreatedTimestamp()
			case dto.MetricType_HISTOGRAM:
				checkedName(t, family.GetName(), histogramName)
				e.addHistogram(t, path, familyHistogram(m.Histogram))
				start = m.Histogram.GetCreatedTimestamp()
			default:
				t.Fatalf("type %v", family.GetType())
			}
			if start.GetSeconds() > 0 {
				e.started++
			}
		}
	}
}

func familyHistogram(h *dto.Histogram) histogram {
	got := histogram{count: h.GetSampleCount(), sum: h.GetSampleSum(), native: h.Schema != nil, schema: h.GetSchema(),
		zeroThreshold: h.GetZeroThreshold(), zero: h.GetZeroCount(), classic: map[float64]uint64{},
		positive: keyed(h.PositiveSpan, h.PositiveDelta), negative: keyed(h.NegativeSpan, h.NegativeDelta)}
	for _, b := range h.Bucket {
		if !math.IsInf(b.GetUpperBound(), +1) {
			got.classic[b.GetUpperBound()] = b.GetCumulativeCount()
		}
	}
	return got
}

// addWritten adds a series of remote write. A classic histogram has a series for each bucket, for
// the sum and for the count. The labels must be in order.
func (e *exposed) addWritten(t *testing.T, pairs [][2]string, values []float64, native []histogram, started, described bool) {
	t.Helper()
	l := map[string]string{}
	for i, p := range pairs {
		if i > 0 && pairs[i-1][0] >= p[0] {
			t.Fatalf("labels out of order: %v", pairs)
		}
		l[p[0]] = p[1]
	}
	name, le := l[metricName], l["le"]
	delete(l, metricName)
	delete(l, "le")
	path := checkedPath(t, l)
	if len(values)+len(native) != 1 {
		t.Fatalf("%d values and %d native histograms in a series", len(values), len(native))
	}
	whole := true // not a series beside others of a histogram
	switch suffix := strings.TrimPrefix(name, histogramName); {
	case name == counterName && len(values) == 1:
		e.addCounter(t, path, values[0])
	case suffix == "" && len(native) == 1:
		e.addHistogram(t, path, native[0])
	case len(values) != 1 || suffix == name:
		t.Fatalf("series %s with %d values", name, len(values))
	default:
		h, ok := e.histograms[path]
		if !ok {
			h = histogram{classic: map[float64]uint64{}, positive: map[int32]int64{}, negative: map[int32]int64{}}
		}
		switch suffix {
		case "_bucket":
			bound, err := strconv.ParseFloat(le, 64)
			if _, twice := h.classic[bound]; err != nil || twice {
				t.Fatalf("bucket le=%q: %v", le, err)
			}
			if !math.IsInf(bound, +1) {
				h.classic[bound] = uint64(values[0])
			}
			whole = false
		case "_sum":
			h.sum = values[0]
			whole = false
		case "_count":
			h.count = uint64(values[0])
		default:
			t.Fatalf("series %s", name)
		}
		e.histograms[path] = h
	}
	if !whole {
		return
	}
	if started {
		e.started++
	}
	if described {
		e.described++
	}
}

func checkedTime(t *testing.T, ms int64) {
	t.Helper()
	if ms < 1e12 {
		t.Fatalf("time %d, want Unix milliseconds", ms)
	}
}

func decodeWrite1(t *testing.T, e *exposed, message []byte) {
	t.Helper()
	var req prompb.WriteRequest
	if err := req.Unmarshal(message); err != nil {
		t.Fatal(err)
	}
	if n := len(req.Timeseries); n == 0 || n > maxRequest {
		t.Fatalf("%d series in a request", n)
	}
	for _, s := range req.Timeseries {
		var pairs [][2]string
		for _, l := range s.Labels {
			pairs = append(pairs, [2]string{l.Name, l.Value})
		}
		var values []float64
		for _, v := range s.Samples {
			checkedTime(t, v.Timestamp)
			values = append(values, v.Value)
		}
		var native []histogram
		for _, h := range s.Histograms {
			checkedTime(t, h.Timestamp)
			native = append(native, histogram{count: h.GetCountInt(), sum: h.Sum, native: true, schema: h.Schema, zeroThreshold: h.ZeroThreshold,
				zero: h.GetZeroCountInt(), classic: map[float64]uint64{},
				positive: keyed(dtoSpans(h.PositiveSpans), h.PositiveDeltas), negative: keyed(dtoSpans(h.NegativeSpans), h.NegativeDeltas)})
		}
		e.addWritten(t, pairs, values, native, false, false)
	}
}

// dtoSpans converts the spans of remote write.
func dtoSpans[S prompb.BucketSpan | writev2.BucketSpan](spans []S) []*dto.BucketSpan {
	var all []*dto.BucketSpan
	for _, s := range spans {
		switch s := any(s).(type) {
		case prompb.BucketSpan:
			all = append(all, &dto.BucketSpan{Offset: &s.Offset, Length: &s.Length})
		case writev2.BucketSpan:
			all = append(all, &dto.BucketSpan{Offset: &s.Offset, Length: &s.Length})
		}
	}
	return all
}

func decodeWrite2(t *testing.T, e *exposed, message []byte) {
	t.Helper()
	var req writev2.Request
	if err := req.Unmarshal(message); err != nil {
		t.Fatal(err)
	}
	if n := len(req.Timeseries); n == 0 || n > maxRequest {
		t.Fatalf("%d series in a request", n)
	}
	if len(req.Symbols) == 0 || req.Symbols[0] != "" || !distinct(req.Symbols) {
		t.Fatal("the symbols are not distinct, or the first symbol is not empty")
	}
	for _, s := range req.Timeseries {
		var pairs [][2]string
		for i := 0; i < len(s.LabelsRefs); i += 2 {
			pairs = append(pairs, [2]string{req.Symbols[s.LabelsRefs[i]], req.Symbols[s.LabelsRefs[i+1]]})
		}
		var values []float64
		started := false
		for _, v := range s.Samples {
			checkedTime(t, v.Timestamp)
			started = v.StartTimestamp > 1e12
			values = append(values, v.Value)
		}
		var native []histogram
		for _, h := range s.Histograms {
			checkedTime(t, h.Timestamp)
			started = h.StartTimestamp > 1e12
			native = append(native, histogram{count: h.GetCountInt(), sum: h.Sum, native: true, schema: h.Schema, zeroThreshold: h.ZeroThreshold,
				zero: h.GetZeroCountInt(), classic: map[float64]uint64{},
				positive: keyed(dtoSpans(h.PositiveSpans), h.PositiveDeltas), negative: keyed(dtoSpans(h.NegativeSpans), h.NegativeDeltas)})
		}
		described := s.Metadata.Type != writev2.Metadata_METRIC_TYPE_UNSPECIFIED && req.Symbols[s.Metadata.HelpRef] != ""
		e.addWritten(t, pairs, values, native, started, described)
	}
}

func distinct(list []string) bool {
	seen := map[string]bool{}
	for _, s := range list {
		seen[s] = true
	}
	return len(seen) == len(list)
}

func decodeOTLP(t *testing.T, e *exposed, message []byte) {
	t.Helper()
	var req collectorpb.ExportMetricsServiceRequest
	if err := proto.Unmarshal(message, &req); err != nil {
		t.Fatal(err)
	}
	for _, r := range req.ResourceMetrics {
		for _, s := range r.ScopeMetrics {
			for _, m := range s.Metrics {
				e.addOTLP(t, m)
			}
		}
	}
}

func attributes(list []*commonpb.KeyValue) map[string]string {
	l := map[string]string{}
	for _, a := range list {
		l[a.Key] = a.Value.GetStringValue()
	}
	return l
}

// addOTLP adds a metric of OTLP. The bounds of an explicit histogram are those of a cumulative
// classic histogram. The index of an exponential bucket is one less than the key of the bucket.
func (e *exposed) addOTLP(t *testing.T, m *metricspb.Metric) {
	t.Helper()
	times := func(start, now uint64) {
		checkedTime(t, int64(now)/1e6)
		if start/1e6 > 1e12 && start <= now {
			e.started++
		}
		if m.Description != "" {
			e.described++
		}
	}
	cumulative := func(v metricspb.AggregationTemporality) {
		if v != metricspb.AggregationTemporality_AGGREGATION_TEMPORALITY_CUMULATIVE {
			t.Fatalf("temporality %v", v)
		}
	}
	switch data := m.Data.(type) {
	case *metricspb.Metric_Sum:
		cumulative(data.Sum.AggregationTemporality)
		if !data.Sum.IsMonotonic {
			t.Fatal("the sum is not monotonic")
		}
		for _, p := range data.Sum.DataPoints {
			times(p.StartTimeUnixNano, p.TimeUnixNano)
			e.addCounter(t, checkedPath(t, attributes(p.Attributes)), p.GetAsDouble()+float64(p.GetAsInt()))
		}
	case *metricspb.Metric_Histogram:
		cumulative(data.Histogram.AggregationTemporality)
		for _, p := range data.Histogram.DataPoints {
			times(p.StartTimeUnixNano, p.TimeUnixNano)
			h := histogram{count: p.Count, sum: p.GetSum(), classic: map[float64]uint64{}, positive: map[int32]int64{}, negative: map[int32]int64{}}
			if p.Min != nil || p.Max != nil || len(p.BucketCounts) != len(p.ExplicitBounds)+1 {
				t.Fatalf("data point %v", p)
			}
			n := uint64(0)
			for i, bound := range p.ExplicitBounds {
				n += p.BucketCounts[i]
				h.classic[bound] = n
			}
			e.addHistogram(t, checkedPath(t, attributes(p.Attributes)), h)
		}
	case *metricspb.Metric_ExponentialHistogram:
		cumulative(data.ExponentialHistogram.AggregationTemporality)
		for _, p := range data.ExponentialHistogram.DataPoints {
			times(p.StartTimeUnixNano, p.TimeUnixNano)
			if p.Min != nil || p.Max != nil {
				t.Fatalf("data point %v", p)
			}
			e.addHistogram(t, checkedPath(t, attributes(p.Attributes)), histogram{count: p.Count, sum: p.GetSum(), native: true, schema: p.Scale,
				zeroThreshold: p.ZeroThreshold, zero: p.ZeroCount, classic: map[float64]uint64{},
				positive: exponential(p.Positive), negative: exponential(p.Negative)})
		}
	default:
		t.Fatalf("metric %v", m)
	}
}

func exponential(b *metricspb.ExponentialHistogramDataPoint_Buckets) map[int32]int64 {
	counts := map[int32]int64{}
	for i, n := range b.GetBucketCounts() {
		if n != 0 {
			counts[b.Offset+int32(i)+1] = int64(n)
		}
	}
	return counts
}

// TestFormatGrowth checks that tacho allocates no object for a further series in any format, and that
// the other sides do. A push allocates for each request, which has up to 2,000 series.
func TestFormatGrowth(t *testing.T) {
	for _, g := range FormatGrowth(Sizes{Counters: []int{2000}, Histograms: 500, Native: 200}) {
		if len(g.Peers) < 2 || g.Peers[0] != Tacho || len(g.Objects) != len(g.Peers) || g.Series[0] >= g.Series[1] {
			t.Errorf("incomplete result, or tacho is not first: %+v", g)
		}
		for i, peer := range g.Peers {
			objects, bytes := g.Each(i)
			if isTacho := peer == Tacho || peer == TachoNoMarkers; isTacho != (objects < MaxObjects) {
				t.Errorf("%s: %s allocates %.2f objects for a further series, %+v", g.Name, peer, objects, g.Objects[i])
			}
			if bytes < -10 || bytes > 1e5 {
				t.Errorf("%s: %s allocates %.0f bytes for a further series", g.Name, peer, bytes)
			}
		}
	}
}

// TestDeliveryChecks checks that a delivery refuses a body in another format, and a push with
// another number of requests.
func TestDeliveryChecks(t *testing.T) {
	l := formatLoads(Small, 1)[0]
	d := clientPush(l.client(), remoteWrite1, newWriter1())
	if err := d.push(); err != nil {
		t.Error(err)
	}
	d.answers = append(d.answers, d.answers[0])
	if err := d.push(); err == nil || !strings.Contains(err.Error(), "requests, want") {
		t.Errorf("error %v for a push with a missing request", err)
	}
	for _, f := range []format{remoteWrite2, otlp} {
		d.format = f
		if err := d.keep(); err == nil {
			t.Errorf("no error for a body of remote write 1.0 as %s", f.name)
		}
	}
}

// TestConverterTypes converts types that the loads do not have: a summary, and a gauge with a time.
func TestConverterTypes(t *testing.T) {
	text := "# HELP s S.\n# TYPE s summary\ns{z=\"1\",quantile=\"0.5\"} 3\ns_sum{z=\"1\"} 10\ns_count{z=\"1\"} 4\n" +
		"# HELP g G.\n# TYPE g gauge\ng{A=\"1\",empty=\"\"} 5 1700000000000\n# HELP h H.\n# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 7\nh_count 2\n"
	var families []*dto.MetricFamily
	dec := expfmt.NewDecoder(strings.NewReader(text), textFormat)
	for {
		var f dto.MetricFamily
		if dec.Decode(&f) != nil {
			break
		}
		families = append(families, &f)
	}
	slices.SortFunc(families, func(a, b *dto.MetricFamily) int { return strings.Compare(a.GetName(), b.GetName()) })
	want := []string{
		"A=1 __name__=g 5@1700000000000",
		"__name__=h_bucket le=1 1@9", "__name__=h_bucket le=+Inf 2@9", "__name__=h_sum 7@9", "__name__=h_count 2@9",
		"__name__=s quantile=0.5 z=1 3@9", "__name__=s_sum z=1 10@9", "__name__=s_count z=1 4@9",
	}
	for _, w := range []seriesWriter{newWriter1(), newWriter2()} {
		var got []string
		w.begin(9, func(_ remote.WriteMessageType, message any) error {
			switch req := message.(type) {
			case *prompb.WriteRequest:
				for _, s := range req.Timeseries {
					line := ""
					for _, l := range s.Labels {
						line += l.Name + "=" + l.Value + " "
					}
					got = append(got, fmt.Sprintf("%s%v@%d", line, s.Samples[0].Value, s.Samples[0].Timestamp))
				}
			case *request2:
				for _, s := range req.Timeseries {
					line := ""
					for i := 0; i < len(s.LabelsRefs); i += 2 {
						line += req.Symbols[s.LabelsRefs[i]] + "=" + req.Symbols[s.LabelsRefs[i+1]] + " "
					}
					got = append(got, fmt.Sprintf("%s%v@%d", line, s.Samples[0].Value, s.Samples[0].Timestamp))
				}
			}
			return nil
		})
		var c converter
		if err := errors.Join(c.convert(families, w), w.flush()); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%T: got\n%s\nwant\n%s", w, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}
