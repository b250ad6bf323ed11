package bench

import (
	"context"
	"math"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/exp/api/remote"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
)

// The client of remote write in client_golang/exp sends finished messages. client_golang has no
// function that makes the messages from gathered families, so each program has such code. The code
// of this file keeps all memory from push to push, and shares the buckets of native histograms
// with the gathered families.

// maxRequest is the maximum number of series in a request, as in tacho and in Prometheus.
const maxRequest = 2000

const metricName = "__name__"

// A seriesWriter makes the requests of a version of remote write.
type seriesWriter interface {
	// begin begins a push.
	begin(now int64, send func(remote.WriteMessageType, any) error)
	// family begins a family.
	family(f *dto.MetricFamily)
	// sample adds a series with a value. If extra is not empty, the series has the label extra. The
	// argument start is the start time in Unix milliseconds, or 0.
	sample(name string, m *dto.Metric, extra, extraValue string, value float64, start int64) error
	// histogram adds a series with a native histogram.
	histogram(name string, m *dto.Metric, start int64) error
	// flush sends the last request.
	flush() error
}

// clientPush returns a push of a registry of client_golang by the client of remote write.
func clientPush(reg *prometheus.Registry, f format, w seriesWriter) *delivery {
	d := &delivery{format: f}
	ctx := context.Background()
	api := must(remote.NewAPI("http://receiver.invalid", remote.WithAPIHTTPClient(d.client()),
		remote.WithAPIBackoff(remote.BackoffConfig{Min: time.Millisecond, Max: time.Millisecond, MaxRetries: 1}))) // an error is a fault of the benchmark
	send := func(t remote.WriteMessageType, message any) error {
		_, err := api.Write(ctx, t, message)
		return err
	}
	var c converter
	d.send = func() error {
		families, err := reg.Gather()
		if err != nil {
			return err
		}
		w.begin(time.Now().UnixMilli(), send)
		if err := c.convert(families, w); err != nil {
			return err
		}
		return w.flush()
	}
	return d.started()
}

// A converter converts gathered families to series. The converter keeps the texts of the bounds,
// because all histograms of a family have the same bounds.
type converter struct {
	bounds []float64
	texts  []string
}

// text returns the text of the bound with the index i.
func (c *converter) text(i int, bound float64) string {
	for i >= len(c.bounds) {
		c.bounds, c.texts = append(c.bounds, 0), append(c.texts, "0")
	}
	if c.bounds[i] != bound {
		c.bounds[i], c.texts[i] = bound, strconv.FormatFloat(bound, 'g', -1, 64)
	}
	return c.texts[i]
}

func (c *converter) convert(families []*dto.MetricFamily, w seriesWriter) error {
	for _, f := range families {
		w.family(f)
		name := f.GetName()
		var bucket, sum, count string
		if t := f.GetType(); t == dto.MetricType_HISTOGRAM || t == dto.MetricType_SUMMARY {
			bucket, sum, count = name+"_bucket", name+"_sum", name+"_count"
		}
		for _, m := range f.Metric {
			var err error
			switch {
			case m.Counter != nil:
				err = w.sample(name, m, "", "", m.Counter.GetValue(), millis(m.Counter.CreatedTimestamp))
			case m.Gauge != nil:
				err = w.sample(name, m, "", "", m.Gauge.GetValue(), 0)
			case m.Untyped != nil:
				err = w.sample(name, m, "", "", m.Untyped.GetValue(), 0)
			case m.Summary != nil:
				err = c.summary(m, w, name, sum, count)
			case m.Histogram != nil:
				err = c.histogram(m, w, name, bucket, sum, count)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// A timestamp is a Timestamp of protobuf.
type timestamp interface {
	GetSeconds() int64
	GetNanos() int32
}

// millis converts a time to Unix milliseconds. The methods of a nil Timestamp return 0.
func millis(t timestamp) int64 { return t.GetSeconds()*1e3 + int64(t.GetNanos())/1e6 }

func (c *converter) summary(m *dto.Metric, w seriesWriter, name, sum, count string) error {
	s := m.Summary
	start := millis(s.CreatedTimestamp)
	for i, q := range s.Quantile {
		if err := w.sample(name, m, "quantile", c.text(i, q.GetQuantile()), q.GetValue(), start); err != nil {
			return err
		}
	}
	return totals(m, w, sum, count, s.GetSampleSum(), s.GetSampleCount(), start)
}

func (c *converter) histogram(m *dto.Metric, w seriesWriter, name, bucket, sum, count string) error {
	h := m.Histogram
	start := millis(h.CreatedTimestamp)
	native := h.Schema != nil
	if len(h.Bucket) > 0 || !native {
		last := 0.0
		for i, b := range h.Bucket {
			last = b.GetUpperBound()
			if err := w.sample(bucket, m, "le", c.text(i, last), float64(b.GetCumulativeCount()), start); err != nil {
				return err
			}
		}
		if !math.IsInf(last, +1) {
			if err := w.sample(bucket, m, "le", "+Inf", float64(h.GetSampleCount()), start); err != nil {
				return err
			}
		}
		if err := totals(m, w, sum, count, h.GetSampleSum(), h.GetSampleCount(), start); err != nil {
			return err
		}
	}
	if native {
		return w.histogram(name, m, start)
	}
	return nil
}

func totals(m *dto.Metric, w seriesWriter, sum, count string, s float64, n uint64, start int64) error {
	if err := w.sample(sum, m, "", "", s, start); err != nil {
		return err
	}
	return w.sample(count, m, "", "", float64(n), start)
}

// A pass has what the writers of both versions need in a push.
type pass struct {
	now  int64
	send func(remote.WriteMessageType, any) error
}

func (p *pass) begin(now int64, send func(remote.WriteMessageType, any) error) {
	p.now, p.send = now, send
}

// at returns the time of a metric in Unix milliseconds.
func (p *pass) at(m *dto.Metric) int64 {
	if m.TimestampMs != nil {
		return *m.TimestampMs
	}
	return p.now
}

// A writer1 makes messages of remote write 1.0. The fields of the series are slices of the other
// fields, so a request needs no allocation of its own.
type writer1 struct {
	pass
	req        prompb.WriteRequest
	labels     []prompb.Label
	samples    []prompb.Sample
	histograms []prompb.Histogram
	counts     []prompb.Histogram_CountInt
	zeroCounts []prompb.Histogram_ZeroCountInt
	spans      []prompb.BucketSpan
}

func newWriter1() *writer1 { return &writer1{} }

func (w *writer1) family(*dto.MetricFamily) {} // a request of version 1.0 needs no metadata

// appendLabels appends the labels of a series in the order of the names.
func (w *writer1) appendLabels(name string, m *dto.Metric, extra, extraValue string) []prompb.Label {
	begin := len(w.labels)
	named, extended := false, extra == ""
	for _, l := range m.Label { // in the order of the names
		own := l.GetName()
		if !named && own > metricName {
			w.labels, named = append(w.labels, prompb.Label{Name: metricName, Value: name}), true
		}
		if !extended && own > extra {
			w.labels, extended = append(w.labels, prompb.Label{Name: extra, Value: extraValue}), true
		}
		if value := l.GetValue(); value != "" {
			w.labels = append(w.labels, prompb.Label{Name: own, Value: value})
		}
	}
	if !named {
		w.labels = append(w.labels, prompb.Label{Name: metricName, Value: name})
	}
	if !extended {
		w.labels = append(w.labels, prompb.Label{Name: extra, Value: extraValue})
	}
	return w.labels[begin:len(w.labels):len(w.labels)]
}

func (w *writer1) sample(name string, m *dto.Metric, extra, extraValue string, value float64, _ int64) error {
	w.samples = append(w.samples, prompb.Sample{Value: value, Timestamp: w.at(m)})
	n := len(w.samples)
	return w.add(prompb.TimeSeries{Labels: w.appendLabels(name, m, extra, extraValue), Samples: w.samples[n-1 : n : n]})
}

func (w *writer1) histogram(name string, m *dto.Metric, _ int64) error {
	h := m.Histogram
	w.counts = append(w.counts, prompb.Histogram_CountInt{CountInt: h.GetSampleCount()})
	w.zeroCounts = append(w.zeroCounts, prompb.Histogram_ZeroCountInt{ZeroCountInt: h.GetZeroCount()})
	w.histograms = append(w.histograms, prompb.Histogram{
		Count: &w.counts[len(w.counts)-1], Sum: h.GetSampleSum(), Schema: h.GetSchema(), ZeroThreshold: h.GetZeroThreshold(),
		ZeroCount:     &w.zeroCounts[len(w.zeroCounts)-1],
		NegativeSpans: w.appendSpans(h.NegativeSpan), NegativeDeltas: h.NegativeDelta,
		PositiveSpans: w.appendSpans(h.PositiveSpan), PositiveDeltas: h.PositiveDelta,
		Timestamp: w.at(m)})
	n := len(w.histograms)
	return w.add(prompb.TimeSeries{Labels: w.appendLabels(name, m, "", ""), Histograms: w.histograms[n-1 : n : n]})
}

func (w *writer1) appendSpans(spans []*dto.BucketSpan) []prompb.BucketSpan {
	begin := len(w.spans)
	for _, s := range spans {
		w.spans = append(w.spans, prompb.BucketSpan{Offset: s.GetOffset(), Length: s.GetLength()})
	}
	return w.spans[begin:len(w.spans):len(w.spans)]
}

func (w *writer1) add(s prompb.TimeSeries) error {
	w.req.Timeseries = append(w.req.Timeseries, s)
	if len(w.req.Timeseries) < maxRequest {
		return nil
	}
	return w.flush()
}

func (w *writer1) flush() error {
	if len(w.req.Timeseries) == 0 {
		return nil
	}
	err := w.send(remote.WriteV1MessageType, &w.req)
	w.req.Timeseries, w.labels, w.samples = w.req.Timeseries[:0], w.labels[:0], w.samples[:0]
	w.histograms, w.counts, w.zeroCounts, w.spans = w.histograms[:0], w.counts[:0], w.zeroCounts[:0], w.spans[:0]
	return err
}

// A request2 is a message of remote write 2.0. The client calls its methods, which encode the message
// as Prometheus does. The generated methods allocate for each series.
type request2 struct{ writev2.Request }

func (r *request2) SizeVT() int { return r.Size() }

func (r *request2) MarshalToSizedBufferVT(b []byte) (int, error) {
	return r.OptimizedMarshalToSizedBuffer(b)
}

// A writer2 makes messages of remote write 2.0, as writer1 does.
type writer2 struct {
	pass
	req        request2
	symbols    writev2.SymbolsTable
	current    *dto.MetricFamily
	metadata   writev2.Metadata // of the current family
	described  bool             // metadata has the references of the current request
	refs       []uint32
	samples    []writev2.Sample
	histograms []writev2.Histogram
	counts     []writev2.Histogram_CountInt
	zeroCounts []writev2.Histogram_ZeroCountInt
	spans      []writev2.BucketSpan
}

func newWriter2() *writer2 { return &writer2{symbols: writev2.NewSymbolTable()} }

func (w *writer2) family(f *dto.MetricFamily) { w.current, w.described = f, false }

// describe returns the metadata of the current family. A request has symbols of its own.
func (w *writer2) describe() writev2.Metadata {
	if !w.described {
		w.described = true
		w.metadata = writev2.Metadata{Type: types2[w.current.GetType()],
			HelpRef: w.symbols.Symbolize(w.current.GetHelp()), UnitRef: w.symbols.Symbolize(w.current.GetUnit())}
	}
	return w.metadata
}

var types2 = map[dto.MetricType]writev2.Metadata_MetricType{
	dto.MetricType_COUNTER:         writev2.Metadata_METRIC_TYPE_COUNTER,
	dto.MetricType_GAUGE:           writev2.Metadata_METRIC_TYPE_GAUGE,
	dto.MetricType_SUMMARY:         writev2.Metadata_METRIC_TYPE_SUMMARY,
	dto.MetricType_HISTOGRAM:       writev2.Metadata_METRIC_TYPE_HISTOGRAM,
	dto.MetricType_GAUGE_HISTOGRAM: writev2.Metadata_METRIC_TYPE_GAUGEHISTOGRAM,
}

// appendLabels appends the references of the labels of a series in the order of the names.
func (w *writer2) appendLabels(name string, m *dto.Metric, extra, extraValue string) []uint32 {
	begin := len(w.refs)
	named, extended := false, extra == ""
	for _, l := range m.Label { // in the order of the names
		own := l.GetName()
		if !named && own > metricName {
			w.pair(metricName, name)
			named = true
		}
		if !extended && own > extra {
			w.pair(extra, extraValue)
			extended = true
		}
		if value := l.GetValue(); value != "" {
			w.pair(own, value)
		}
	}
	if !named {
		w.pair(metricName, name)
	}
	if !extended {
		w.pair(extra, extraValue)
	}
	return w.refs[begin:len(w.refs):len(w.refs)]
}

func (w *writer2) pair(name, value string) {
	w.refs = append(w.refs, w.symbols.Symbolize(name), w.symbols.Symbolize(value))
}

func (w *writer2) sample(name string, m *dto.Metric, extra, extraValue string, value float64, start int64) error {
	w.samples = append(w.samples, writev2.Sample{Value: value, Timestamp: w.at(m), StartTimestamp: start})
	n := len(w.samples)
	return w.add(writev2.TimeSeries{LabelsRefs: w.appendLabels(name, m, extra, extraValue),
		Samples: w.samples[n-1 : n : n], Metadata: w.describe()})
}

func (w *writer2) histogram(name string, m *dto.Metric, start int64) error {
	h := m.Histogram
	w.counts = append(w.counts, writev2.Histogram_CountInt{CountInt: h.GetSampleCount()})
	w.zeroCounts = append(w.zeroCounts, writev2.Histogram_ZeroCountInt{ZeroCountInt: h.GetZeroCount()})
	w.histograms = append(w.histograms, writev2.Histogram{
		Count: &w.counts[len(w.counts)-1], Sum: h.GetSampleSum(), Schema: h.GetSchema(), ZeroThreshold: h.GetZeroThreshold(),
		ZeroCount:     &w.zeroCounts[len(w.zeroCounts)-1],
		NegativeSpans: w.appendSpans(h.NegativeSpan), NegativeDeltas: h.NegativeDelta,
		PositiveSpans: w.appendSpans(h.PositiveSpan), PositiveDeltas: h.PositiveDelta,
		Timestamp: w.at(m), StartTimestamp: start})
	n := len(w.histograms)
	return w.add(writev2.TimeSeries{LabelsRefs: w.appendLabels(name, m, "", ""),
		Histograms: w.histograms[n-1 : n : n], Metadata: w.describe()})
}

func (w *writer2) appendSpans(spans []*dto.BucketSpan) []writev2.BucketSpan {
	begin := len(w.spans)
	for _, s := range spans {
		w.spans = append(w.spans, writev2.BucketSpan{Offset: s.GetOffset(), Length: s.GetLength()})
	}
	return w.spans[begin:len(w.spans):len(w.spans)]
}

func (w *writer2) add(s writev2.TimeSeries) error {
	w.req.Timeseries = append(w.req.Timeseries, s)
	if len(w.req.Timeseries) < maxRequest {
		return nil
	}
	return w.flush()
}

func (w *writer2) flush() error {
	if len(w.req.Timeseries) == 0 {
		return nil
	}
	w.req.Symbols = w.symbols.Symbols()
	err := w.send(remote.WriteV2MessageType, &w.req)
	w.symbols.Reset()
	w.described = false
	w.req.Timeseries, w.refs, w.samples = w.req.Timeseries[:0], w.refs[:0], w.samples[:0]
	w.histograms, w.counts, w.zeroCounts, w.spans = w.histograms[:0], w.counts[:0], w.zeroCounts[:0], w.spans[:0]
	return err
}
