package otelconformance

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/hex"
	"encoding/json"
	"io"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/exporters/stdout/stdoutmetric"
	api "go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	collectorpb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	pb "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/protobuf/proto"

	"github.com/tachikoma/tacho"
	otelbridge "github.com/tachikoma/tacho/bridge/otel"
)

// exampleRegistry has metrics of all types that exporters of OpenTelemetry convert to Prometheus.
func exampleRegistry() *tacho.Registry {
	reg := tacho.NewRegistry(tacho.WithCreated())
	reg.CounterVec("http_requests_total", "Requests.", []string{"code"}).With("200").AddExemplar(7, "trace_id", traceID, "span_id", spanID)
	reg.CounterVec("http_requests_total", "Requests.", []string{"code"}).With("500").Add(2)
	reg.FloatCounter("cpu_seconds_total", "CPU.", tacho.WithUnit("seconds")).Add(1.5)
	reg.FloatGauge("temperature_celsius", "Temperature.", tacho.WithUnit("celsius")).Set(-21.25)
	reg.FloatGauge("load_ratio", "Load.", tacho.WithUnit("ratio")).Set(0.75)
	reg.Gauge("heap_bytes", "Heap.", tacho.WithUnit("bytes")).Set(1 << 30)
	reg.FloatGauge("nan", "").Set(math.NaN())
	classic := reg.HistogramVec("wait_seconds", "Waits.", []float64{0.1, 1, 10}, []string{"queue"}, tacho.WithUnit("seconds"))
	native := reg.Histogram("size_bytes", "Sizes.", nil, tacho.WithUnit("bytes"), tacho.WithNative())
	for i := range 100 {
		classic.With("a").Observe(float64(i) / 5)
		classic.With("b").Observe(-float64(i) / 5)
		native.Observe(float64(i*i) - 20)
	}
	classic.With("a").ObserveExemplar(0.5, "trace_id", traceID, "span_id", spanID, "user", "x")
	return reg
}

// parse returns the families of an exposition, as Prometheus' own parser reads them.
func parse(t *testing.T, h http.Handler) map[string]*dto.MetricFamily {
	t.Helper()
	req := httptest.NewRequest("GET", "/metrics", nil)
	req.Header.Set("Accept", "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	if w.Code != http.StatusOK {
		t.Fatal(w.Code, w.Body)
	}
	all := map[string]*dto.MetricFamily{}
	d := expfmt.NewDecoder(w.Body, expfmt.ResponseFormat(w.Result().Header))
	for {
		f := new(dto.MetricFamily)
		if err := d.Decode(f); err == io.EOF {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		if before := all[f.GetName()]; before != nil { // messages in a row
			before.Metric = append(before.Metric, f.Metric...)
		} else {
			all[f.GetName()] = f
		}
	}
}

// TestPrometheusExporter compares a scrape of the registry with a scrape of OpenTelemetry's exporter
// for Prometheus, which reads the registry by a Producer.
func TestPrometheusExporter(t *testing.T) {
	reg := exampleRegistry()
	target := prometheus.NewRegistry()
	exporter, err := otelprometheus.New(otelprometheus.WithRegisterer(target), otelprometheus.WithProducer(otelbridge.NewProducer(reg)),
		otelprometheus.WithoutScopeInfo(), otelprometheus.WithoutTargetInfo())
	if err != nil {
		t.Fatal(err)
	}
	provider := metric.NewMeterProvider(metric.WithReader(exporter))
	defer provider.Shutdown(context.Background())

	want, got := parse(t, reg.Handler()), parse(t, promhttp.HandlerFor(target, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	if w, g := slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got)); !slices.Equal(w, g) {
		t.Fatalf("families %q, want %q", g, w)
	}
	labels := func(m *dto.Metric) string {
		var b strings.Builder
		for _, l := range m.Label {
			b.WriteString(l.GetName() + "=" + l.GetValue() + ",")
		}
		return b.String()
	}
	for name, w := range want {
		g := got[name]
		if w.GetType() != g.GetType() || w.GetHelp() != g.GetHelp() || len(w.Metric) != len(g.Metric) {
			t.Fatalf("%v, want %v", g, w)
		}
		for _, f := range []*dto.MetricFamily{w, g} {
			slices.SortFunc(f.Metric, func(a, b *dto.Metric) int { return strings.Compare(labels(a), labels(b)) })
		}
		for i := range w.Metric {
			a, b := w.Metric[i], g.Metric[i]
			if labels(a) != labels(b) || !same(a.GetCounter().GetValue(), b.GetCounter().GetValue()) || !same(a.GetGauge().GetValue(), b.GetGauge().GetValue()) {
				t.Errorf("%v, want %v", b, a)
			}
			if x, y := a.GetCounter().GetExemplar(), b.GetCounter().GetExemplar(); !sameExemplar(x, y) {
				t.Errorf("exemplar %v, want %v", y, x)
			}
			h, k := a.GetHistogram(), b.GetHistogram()
			if h.GetSampleCount() != k.GetSampleCount() || h.GetSampleSum() != k.GetSampleSum() || h.GetSchema() != k.GetSchema() || h.GetZeroCount() != k.GetZeroCount() ||
				!maps.Equal(expand(h.GetPositiveSpan(), h.GetPositiveDelta(), 0), expand(k.GetPositiveSpan(), k.GetPositiveDelta(), 0)) ||
				!maps.Equal(expand(h.GetNegativeSpan(), h.GetNegativeDelta(), 0), expand(k.GetNegativeSpan(), k.GetNegativeDelta(), 0)) {
				t.Errorf("%v, want %v", k, h)
			}
			if len(h.GetPositiveSpan()) > 0 && !h.CreatedTimestamp.AsTime().Equal(k.CreatedTimestamp.AsTime()) {
				t.Errorf("created %v, want %v", k.CreatedTimestamp, h.CreatedTimestamp)
			}
			for j, bucket := range h.GetBucket() {
				other := k.GetBucket()[j]
				if bucket.GetUpperBound() != other.GetUpperBound() || bucket.GetCumulativeCount() != other.GetCumulativeCount() || !sameExemplar(bucket.Exemplar, other.Exemplar) {
					t.Errorf("%v, want %v", other, bucket)
				}
			}
		}
	}
}

func sameExemplar(a, b *dto.Exemplar) bool {
	labels := func(x *dto.Exemplar) map[string]string {
		m := map[string]string{}
		for _, l := range x.GetLabel() {
			m[l.GetName()] = l.GetValue()
		}
		return m
	}
	return a.GetValue() == b.GetValue() && a.GetTimestamp().AsTime().Equal(b.GetTimestamp().AsTime()) && maps.Equal(labels(a), labels(b))
}

// TestManualReader: the metrics of a registry stand beside those of instruments.
func TestManualReader(t *testing.T) {
	reader := metric.NewManualReader(metric.WithProducer(otelbridge.NewProducer(exampleRegistry())), metric.WithProducer(otelbridge.NewProducer(exampleRegistry(), otelbridge.WithClassic())))
	provider := metric.NewMeterProvider(metric.WithReader(reader))
	defer provider.Shutdown(context.Background())
	counter, err := provider.Meter("test").Int64Counter("own")
	if err != nil {
		t.Fatal(err)
	}
	counter.Add(t.Context(), 5, api.WithAttributes(attribute.String("a", "b")))
	var rm metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &rm); err != nil {
		t.Fatal(err)
	}
	if len(rm.ScopeMetrics) != 3 || rm.ScopeMetrics[0].Scope.Name != "test" || rm.ScopeMetrics[1].Scope.Name != "github.com/tachikoma/tacho" || len(rm.ScopeMetrics[1].Metrics) != 8 {
		t.Errorf("%+v", rm.ScopeMetrics)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := reader.Collect(ctx, &rm); err == nil {
		t.Error("no error after the end of the context")
	}
}

// TestPeriodicReader exports a registry by the exporter that writes JSON.
func TestPeriodicReader(t *testing.T) {
	reg := tacho.NewRegistry()
	reg.CounterVec("jobs_total", "Jobs.", []string{"result"}).With("ok").AddExemplar(3, "trace_id", traceID)
	reg.Histogram("wait_seconds", "Waits.", []float64{1}, tacho.WithUnit("seconds")).Observe(0.5)
	var b bytes.Buffer
	exporter, err := stdoutmetric.New(stdoutmetric.WithWriter(&b))
	if err != nil {
		t.Fatal(err)
	}
	provider := metric.NewMeterProvider(metric.WithReader(metric.NewPeriodicReader(exporter, metric.WithInterval(time.Hour), metric.WithProducer(otelbridge.NewProducer(reg)))))
	if err := provider.ForceFlush(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer provider.Shutdown(context.Background())
	var out struct {
		ScopeMetrics []struct {
			Scope   struct{ Name string }
			Metrics []struct {
				Name, Description, Unit string
				Data                    struct {
					IsMonotonic bool
					DataPoints  []struct {
						Value        float64
						Count        uint64
						BucketCounts []uint64
						Exemplars    []struct{ TraceID []byte }
					}
				}
			}
		}
	}
	if err := json.Unmarshal(b.Bytes(), &out); err != nil {
		t.Fatal(err)
	}
	m := out.ScopeMetrics[0].Metrics
	if len(m) != 2 || m[0].Name != "jobs_total" || !m[0].Data.IsMonotonic || m[0].Data.DataPoints[0].Value != 3 || hex.EncodeToString(m[0].Data.DataPoints[0].Exemplars[0].TraceID) != traceID ||
		m[1].Unit != "s" || m[1].Data.DataPoints[0].Count != 1 || !slices.Equal(m[1].Data.DataPoints[0].BucketCounts, []uint64{1, 0}) {
		t.Errorf("%s", &b)
	}
}

// TestOTLP exports a registry by OTLP over HTTP, and reads the request as a receiver does.
func TestOTLP(t *testing.T) {
	reg := exampleRegistry()
	reg.Collect(func(e *tacho.Emitter) {
		e.Summary("rtt", "Round trips.", tacho.SummarySnapshot{Count: 4, Sum: -2, Quantiles: []tacho.Quantile{{Quantile: 0.5, Value: 1}}})
	})
	requests := make(chan *collectorpb.ExportMetricsServiceRequest, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := io.Reader(r.Body)
		if r.Header.Get("Content-Encoding") == "gzip" {
			body, _ = gzip.NewReader(body)
		}
		data, err := io.ReadAll(body)
		req := new(collectorpb.ExportMetricsServiceRequest)
		if err == nil {
			err = proto.Unmarshal(data, req)
		}
		if err != nil {
			t.Error(err)
		}
		requests <- req
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	defer server.Close()
	exporter, err := otlpmetrichttp.New(t.Context(), otlpmetrichttp.WithEndpointURL(server.URL+"/v1/metrics"))
	if err != nil {
		t.Fatal(err)
	}
	provider := metric.NewMeterProvider(metric.WithReader(metric.NewPeriodicReader(exporter, metric.WithInterval(time.Hour), metric.WithProducer(otelbridge.NewProducer(reg)))))
	if err := provider.ForceFlush(t.Context()); err != nil {
		t.Fatal(err)
	}
	var req *collectorpb.ExportMetricsServiceRequest
	select {
	case req = <-requests:
	default:
		t.Fatal("no request")
	}
	scope := req.ResourceMetrics[0].ScopeMetrics[0]
	if scope.Scope.Name != "github.com/tachikoma/tacho" {
		t.Errorf("scope %v", scope.Scope)
	}
	all := map[string]*pb.Metric{}
	for _, m := range scope.Metrics {
		all[m.Name] = m
	}
	sum := all["http_requests_total"].GetSum()
	if !sum.GetIsMonotonic() || sum.GetAggregationTemporality() != pb.AggregationTemporality_AGGREGATION_TEMPORALITY_CUMULATIVE || len(sum.DataPoints) != 2 {
		t.Fatalf("%v", sum)
	}
	p := sum.DataPoints[0]
	if p.GetAsDouble() != 7 || p.Attributes[0].Key != "code" || p.Attributes[0].Value.GetStringValue() != "200" || p.StartTimeUnixNano == 0 || p.StartTimeUnixNano > p.TimeUnixNano {
		t.Errorf("%v", p)
	}
	if x := p.Exemplars[0]; hex.EncodeToString(x.TraceId) != traceID || hex.EncodeToString(x.SpanId) != spanID || x.GetAsDouble() != 7 || len(x.FilteredAttributes) != 0 {
		t.Errorf("exemplar %v", x)
	}
	if g := all["nan"].GetGauge(); !math.IsNaN(g.DataPoints[0].GetAsDouble()) || g.DataPoints[0].StartTimeUnixNano != 0 {
		t.Errorf("%v", g)
	}
	if m := all["temperature_celsius"]; m.Unit != "Cel" || m.GetGauge().DataPoints[0].GetAsDouble() != -21.25 {
		t.Errorf("%v", m)
	}
	if h := all["wait_seconds"].GetHistogram().DataPoints; len(h) != 2 || !slices.Equal(h[0].ExplicitBounds, []float64{0.1, 1, 10}) || !slices.Equal(h[0].BucketCounts, []uint64{1, 6, 45, 49}) ||
		len(h[0].Exemplars) != 1 || h[0].Exemplars[0].FilteredAttributes[0].Key != "user" || h[1].GetSum() != -990 {
		t.Errorf("%v", h)
	}
	e := all["size_bytes"].GetExponentialHistogram().DataPoints
	if len(e) != 1 || e[0].Scale != 3 || e[0].Count != 100 {
		t.Fatalf("%v", e)
	}
	total := func(b *pb.ExponentialHistogramDataPoint_Buckets) (n uint64) {
		for _, c := range b.BucketCounts {
			n += c
		}
		return n
	}
	if total(e[0].Negative) != 5 || total(e[0].Positive) != 95 {
		t.Errorf("%v", e)
	}
	if s := all["rtt"].GetSummary().DataPoints; len(s) != 1 || s[0].Count != 4 || s[0].Sum != -2 || s[0].QuantileValues[0].Quantile != 0.5 || s[0].QuantileValues[0].Value != 1 {
		t.Errorf("%v", s)
	}
	// A shutdown exports once more.
	if err := provider.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
}
