package otelbridge

import (
	"context"
	"errors"
	"math"
	"runtime/debug"
	"strconv"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/tachikoma/tacho"
)

// produce returns the metrics of a Producer by name. A family of two types has its last one.
func produce(t *testing.T, p metric.Producer) map[string]metricdata.Metrics {
	t.Helper()
	scopes, err := p.Produce(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]metricdata.Metrics{}
	for _, s := range scopes {
		for _, m := range s.Metrics {
			all[m.Name] = m
		}
	}
	return all
}

func set(pairs ...string) attribute.Set {
	var list []attribute.KeyValue
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, attribute.String(pairs[i], pairs[i+1]))
	}
	return attribute.NewSet(list...)
}

// TestEachType has one metric of each type, and compares all fields of its data.
func TestEachType(t *testing.T) {
	before := time.Now()
	reg := tacho.NewRegistry(tacho.WithConstLabels("zone", "a"))
	reg.Counter("jobs_total", "Jobs done.").Add(3)
	reg.FloatCounter("busy_seconds_total", "Time.", tacho.WithUnit("seconds")).Add(0.25)
	gauges := reg.GaugeVec("queue_bytes", "Bytes in the queue.", []string{"queue"}, tacho.WithUnit("bytes"))
	gauges.With("b\"\n").Set(-5)
	gauges.With("é").Set(1 << 60)
	h := reg.Histogram("wait_seconds", "Waits.", []float64{-1, 0.5, 2}, tacho.WithUnit("seconds"))
	for _, v := range []float64{-7, 0.5, 0.75, 1, 100} {
		h.Observe(v)
	}
	at := time.UnixMilli(1700000000123)
	reg.Collect(func(e *tacho.Emitter) {
		e.Untyped("raw", "Untyped.", math.Inf(-1))
		e.Info("build_info", "Build.", "version", "1.2")
		e.Summary("rtt", "Round trips.", tacho.SummarySnapshot{Count: 4, Sum: -2, Quantiles: []tacho.Quantile{{Quantile: 0.5, Value: -1}, {Quantile: 0.9, Value: math.NaN()}}})
		e.At(at).Gauge("old", "Measured before.", 7)
		e.At(at).Counter("old_total", "Counted before.", 8)
	})
	p := NewProducer(reg)
	after := time.Now()
	scopes, err := p.Produce(t.Context())
	if err != nil || len(scopes) != 1 {
		t.Fatal(len(scopes), err)
	}
	if s := scopes[0].Scope; s.Name != "github.com/tachikoma/tacho" || s.Version != version() || s.Attributes.Len() != 0 {
		t.Errorf("scope %+v", s)
	}
	zone := set("zone", "a")
	counter := func(v float64) metricdata.Aggregation {
		return metricdata.Sum[float64]{Temporality: metricdata.CumulativeTemporality, IsMonotonic: true, DataPoints: []metricdata.DataPoint[float64]{{Attributes: zone, Value: v}}}
	}
	gauge := func(v float64, pairs ...string) metricdata.Aggregation {
		return metricdata.Gauge[float64]{DataPoints: []metricdata.DataPoint[float64]{{Attributes: set(append(pairs, "zone", "a")...), Value: v}}}
	}
	want := []metricdata.Metrics{
		{Name: "build_info", Description: "Build.", Data: gauge(1, "version", "1.2")},
		{Name: "busy_seconds_total", Description: "Time.", Unit: "s", Data: counter(0.25)},
		{Name: "jobs_total", Description: "Jobs done.", Data: counter(3)},
		{Name: "old", Description: "Measured before.", Data: gauge(7)},
		{Name: "old_total", Description: "Counted before.", Data: counter(8)},
		{Name: "queue_bytes", Description: "Bytes in the queue.", Unit: "By", Data: metricdata.Gauge[float64]{DataPoints: []metricdata.DataPoint[float64]{
			{Attributes: set("queue", "b\"\n", "zone", "a"), Value: -5},
			{Attributes: set("queue", "é", "zone", "a"), Value: 1 << 60},
		}}},
		{Name: "raw", Description: "Untyped.", Data: gauge(math.Inf(-1))},
		{Name: "rtt", Description: "Round trips.", Data: metricdata.Summary{DataPoints: []metricdata.SummaryDataPoint{{
			Attributes: zone, Count: 4, Sum: -2, QuantileValues: []metricdata.QuantileValue{{Quantile: 0.5, Value: -1}, {Quantile: 0.9, Value: math.NaN()}},
		}}}},
		{Name: "wait_seconds", Description: "Waits.", Unit: "s", Data: metricdata.Histogram[float64]{Temporality: metricdata.CumulativeTemporality, DataPoints: []metricdata.HistogramDataPoint[float64]{{
			Attributes: zone, Count: 5, Sum: 95.25, Bounds: []float64{-1, 0.5, 2}, BucketCounts: []uint64{1, 1, 2, 1},
		}}}},
	}
	got := scopes[0].Metrics
	if len(got) != len(want) {
		t.Fatalf("%d metrics, want %d: %+v", len(got), len(want), got)
	}
	for i := range want {
		if got[i].Name == "rtt" { // NaN is not equal to itself
			q := got[i].Data.(metricdata.Summary).DataPoints[0].QuantileValues
			if !math.IsNaN(q[1].Value) {
				t.Errorf("quantiles %+v", q)
			}
			q[1].Value = 0
			want[i].Data.(metricdata.Summary).DataPoints[0].QuantileValues[1].Value = 0
		}
		metricdatatest.AssertEqual(t, want[i], got[i], metricdatatest.IgnoreTimestamp())
	}

	end := time.Now()
	for _, m := range got {
		for _, times := range timesOf(m) {
			start, sample := times[0], times[1]
			if m.Name == "old" || m.Name == "old_total" {
				if !sample.Equal(at) {
					t.Errorf("%s: time %v, want %v", m.Name, sample, at)
				}
			} else if sample.Before(after) || sample.After(end) {
				t.Errorf("%s: time %v is not of the scrape", m.Name, sample)
			}
			_, isGauge := m.Data.(metricdata.Gauge[float64])
			switch {
			case isGauge != start.IsZero():
				t.Errorf("%s: start time %v", m.Name, start)
			case m.Name == "old_total" && !start.Equal(at):
				t.Errorf("the start time %v is after the time %v", start, at)
			case !isGauge && m.Name != "old_total" && (start.Before(before) || start.After(after)):
				t.Errorf("%s: start time %v is not that of NewProducer", m.Name, start)
			}
		}
	}
}

// timesOf returns the start time and the time of each data point.
func timesOf(m metricdata.Metrics) (list [][2]time.Time) {
	switch d := m.Data.(type) {
	case metricdata.Sum[float64]:
		for _, p := range d.DataPoints {
			list = append(list, [2]time.Time{p.StartTime, p.Time})
		}
	case metricdata.Gauge[float64]:
		for _, p := range d.DataPoints {
			list = append(list, [2]time.Time{p.StartTime, p.Time})
		}
	case metricdata.Histogram[float64]:
		for _, p := range d.DataPoints {
			list = append(list, [2]time.Time{p.StartTime, p.Time})
		}
	case metricdata.ExponentialHistogram[float64]:
		for _, p := range d.DataPoints {
			list = append(list, [2]time.Time{p.StartTime, p.Time})
		}
	case metricdata.Summary:
		for _, p := range d.DataPoints {
			list = append(list, [2]time.Time{p.StartTime, p.Time})
		}
	}
	return list
}

// TestCreated: the start time is the time of creation, to the millisecond.
func TestCreated(t *testing.T) {
	before := time.Now().Truncate(time.Millisecond)
	reg := tacho.NewRegistry(tacho.WithCreated(), tacho.WithNative())
	reg.Counter("a_total", "")
	reg.Histogram("b", "", []float64{1})
	reg.Histogram("c", "", nil)
	reg.Gauge("d", "")
	created := time.Now()
	time.Sleep(2 * time.Millisecond)
	all := produce(t, NewProducer(reg))
	for _, name := range []string{"a_total", "b", "c"} {
		if start := timesOf(all[name])[0][0]; start.Before(before) || start.After(created) {
			t.Errorf("%s: start time %v, want one from %v to %v", name, start, before, created)
		}
	}
	if start := timesOf(all["d"])[0][0]; !start.IsZero() {
		t.Errorf("a gauge has the start time %v", start)
	}
}

// TestCreatedOfCollector: the start time of an emitted sample is that of Emitter.Created. Without it, the
// start time is the time of NewProducer.
func TestCreatedOfCollector(t *testing.T) {
	at := time.Now().Add(-time.Hour).Truncate(time.Millisecond)
	reg := tacho.NewRegistry(tacho.WithNative())
	reg.Collect(func(e *tacho.Emitter) {
		s := tacho.SummarySnapshot{Count: 4, Sum: 2, Quantiles: []tacho.Quantile{{Quantile: 0.5, Value: 1}}}
		h := tacho.HistogramSnapshot{Count: 1, Buckets: []tacho.Bucket{{UpperBound: 1, Count: 1}}}
		e.Summary("undated", "", s)
		e = e.Created(at)
		e.Counter("a_total", "", 1)
		e.Gauge("b", "", 1)
		e.Histogram("c", "", h)
		e.Summary("d", "", s)
		e.Summary("empty", "", tacho.SummarySnapshot{})
	})
	before := time.Now()
	producer := NewProducer(reg)
	after := time.Now()
	all := produce(t, producer)
	for _, name := range []string{"a_total", "c", "d", "empty"} {
		if start := timesOf(all[name])[0][0]; !start.Equal(at) {
			t.Errorf("%s: start time %v, want %v", name, start, at)
		}
	}
	if start := timesOf(all["b"])[0][0]; !start.IsZero() {
		t.Errorf("a gauge has the start time %v", start)
	}
	if start := timesOf(all["undated"])[0][0]; start.Before(before) || start.After(after) {
		t.Errorf("without a time of creation, the start time is %v", start)
	}
}

// TestStartIsNotAfterTime has a series that is newer than the scrape.
func TestStartIsNotAfterTime(t *testing.T) {
	reg := tacho.NewRegistry(tacho.WithCreated())
	reg.Collect(func(*tacho.Emitter) {
		time.Sleep(2 * time.Millisecond)
		reg.Counter("new_total", "")
	})
	times := timesOf(produce(t, NewProducer(reg))["new_total"])
	if len(times) != 1 || times[0][0].After(times[0][1]) {
		t.Errorf("times %v", times)
	}
}

// TestNames: names stay as the registry has them.
func TestNames(t *testing.T) {
	reg := tacho.NewRegistry(tacho.WithUTF8Names())
	reg.GaugeVec("http.server.größe", "", []string{"http.route"}).With("/x").Set(1)
	all := produce(t, NewProducer(reg))
	d, _ := all["http.server.größe"].Data.(metricdata.Gauge[float64])
	if len(d.DataPoints) != 1 || d.DataPoints[0].Attributes != set("http.route", "/x") {
		t.Errorf("%+v", all)
	}
}

// TestLargeFamily has families of several messages, and label values of several lengths.
func TestLargeFamily(t *testing.T) {
	const n = 5000
	reg := tacho.NewRegistry()
	vec := reg.CounterVec("a_total", "Help.", []string{"i", "text"})
	histograms := reg.HistogramVec("b", "", []float64{1, 2}, []string{"i"})
	long := make([]byte, 300)
	for i := range long {
		long[i] = 'a' + byte(i%26)
	}
	for i := range n {
		vec.With(strconv.Itoa(i), string(long[:i%300])).Add(uint64(i))
		histograms.With(strconv.Itoa(i)).Observe(float64(i % 4))
	}
	scopes, err := NewProducer(reg).Produce(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if m := scopes[0].Metrics; len(m) != 2 || m[0].Description != "Help." {
		t.Fatalf("%d metrics", len(m))
	}
	points := scopes[0].Metrics[0].Data.(metricdata.Sum[float64]).DataPoints
	seen := map[int]bool{}
	for _, p := range points {
		value, _ := p.Attributes.Value("i")
		i, err := strconv.Atoi(value.AsString())
		text, _ := p.Attributes.Value("text")
		if err != nil || p.Value != float64(i) || text.AsString() != string(long[:i%300]) {
			t.Fatalf("point %+v", p)
		}
		seen[i] = true
	}
	if len(points) != n || len(seen) != n {
		t.Errorf("%d points of %d series, want %d", len(points), len(seen), n)
	}
	list := scopes[0].Metrics[1].Data.(metricdata.Histogram[float64]).DataPoints
	for _, p := range list {
		if &p.Bounds[0] != &list[0].Bounds[0] {
			t.Fatal("histograms with equal bounds do not share them")
		}
	}
	// A consumer may append to the counts of a data point.
	second := list[1].BucketCounts[0]
	_ = append(list[0].BucketCounts, 99)
	if list[1].BucketCounts[0] != second {
		t.Error("the counts of two data points overlap")
	}
}

// TestEmpty: a registry without series has no metrics.
func TestEmpty(t *testing.T) {
	reg := tacho.NewRegistry()
	reg.CounterVec("a_total", "", []string{"l"})
	if scopes, err := NewProducer(reg).Produce(t.Context()); scopes != nil || err != nil {
		t.Error(scopes, err)
	}
}

func TestNilRegistry(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	NewProducer(nil)
}

// TestContextEnds: Produce returns the cause of the end of its context, and no metrics.
func TestContextEnds(t *testing.T) {
	reg := tacho.NewRegistry()
	vec := reg.CounterVec("a_total", "", []string{"i"})
	for i := range 5000 {
		vec.With(strconv.Itoa(i))
	}
	cause := errors.New("shutdown")
	for _, c := range []struct {
		name string
		ctx  func() context.Context
	}{
		{"before", func() context.Context {
			ctx, cancel := context.WithCancelCause(t.Context())
			cancel(cause)
			return ctx
		}},
		{"amid the messages", func() context.Context {
			ctx, cancel := context.WithCancelCause(t.Context())
			return &endsLater{Context: ctx, calls: 3, cancel: func() { cancel(cause) }}
		}},
	} {
		if scopes, err := NewProducer(reg).Produce(c.ctx()); scopes != nil || !errors.Is(err, cause) {
			t.Errorf("%s: %d scopes, error %v", c.name, len(scopes), err)
		}
	}
}

// endsLater is a context that ends at a call of Err.
type endsLater struct {
	context.Context
	calls  int
	cancel func()
}

func (e *endsLater) Err() error {
	if e.calls--; e.calls == 0 {
		e.cancel()
	}
	return e.Context.Err()
}

// TestDeadline: a function that does not return is left out before the deadline. On a busy machine the time that is
// left may be too short, so the test tries later deadlines.
func TestDeadline(t *testing.T) {
	reg := tacho.NewRegistry()
	reg.Counter("a_total", "").Inc()
	block := make(chan struct{})
	defer close(block)
	reg.GaugeFunc("stuck", "", func() float64 { <-block; return 1 })
	var scopes []metricdata.ScopeMetrics
	err := context.DeadlineExceeded
	for timeout := 500 * time.Millisecond; errors.Is(err, context.DeadlineExceeded) && timeout < time.Minute; timeout *= 4 {
		ctx, cancel := context.WithTimeout(t.Context(), timeout)
		scopes, err = NewProducer(reg).Produce(ctx)
		cancel()
	}
	if err != nil || len(scopes) != 1 {
		t.Fatal(scopes, err)
	}
	names := map[string]bool{}
	for _, m := range scopes[0].Metrics {
		names[m.Name] = true
	}
	if !names["a_total"] || names["stuck"] {
		t.Errorf("metrics %v", names)
	}
}

// TestConcurrent calls one Producer from several goroutines, while others record.
func TestConcurrent(t *testing.T) {
	reg := tacho.NewRegistry(tacho.WithNative(), tacho.WithCreated())
	vec := reg.CounterVec("a_total", "", []string{"i"})
	both := reg.HistogramVec("b", "", []float64{1, 10, 100}, []string{"i"})
	native := reg.HistogramVec("c", "", nil, []string{"i"})
	p := NewProducer(reg)
	var recording, reading sync.WaitGroup
	done := make(chan struct{})
	for g := range 2 {
		recording.Add(1)
		go func() {
			defer recording.Done()
			for i := g; ; i++ {
				select {
				case <-done:
					return
				default:
				}
				label := strconv.Itoa(i % 500)
				vec.With(label).AddExemplar(1, "id", label)
				both.With(label).Observe(float64(i % 200))
				native.With(label).ObserveExemplar(float64(i%200), "id", label)
			}
		}()
	}
	for range 3 {
		reading.Add(1)
		go func() {
			defer reading.Done()
			last := map[attribute.Distinct]float64{}
			for range 20 {
				all, err := p.Produce(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				for _, s := range all {
					for _, m := range s.Metrics {
						checkMetric(t, m)
						if d, ok := m.Data.(metricdata.Sum[float64]); ok {
							for _, p := range d.DataPoints {
								if k := p.Attributes.Equivalent(); p.Value < last[k] {
									t.Errorf("a counter fell from %v to %v", last[k], p.Value)
								} else {
									last[k] = p.Value
								}
							}
						}
					}
				}
			}
		}()
	}
	reading.Wait()
	close(done)
	recording.Wait()
}

// checkMetric checks what the data model of OpenTelemetry demands of any metric.
func checkMetric(t *testing.T, m metricdata.Metrics) {
	t.Helper()
	total := func(counts ...[]uint64) (sum uint64) {
		for _, list := range counts {
			for _, c := range list {
				sum += c
			}
		}
		return sum
	}
	for _, times := range timesOf(m) {
		if times[0].After(times[1]) {
			t.Errorf("%s: the start time %v is after the time %v", m.Name, times[0], times[1])
		}
	}
	switch d := m.Data.(type) {
	case metricdata.Histogram[float64]:
		for _, p := range d.DataPoints {
			if len(p.BucketCounts) != len(p.Bounds)+1 || total(p.BucketCounts) != p.Count {
				t.Errorf("%s: %+v", m.Name, p)
			}
		}
	case metricdata.ExponentialHistogram[float64]:
		for _, p := range d.DataPoints {
			sum := p.ZeroCount + total(p.PositiveBucket.Counts, p.NegativeBucket.Counts)
			if sum != p.Count && !(math.IsNaN(p.Sum) && sum < p.Count) {
				t.Errorf("%s: buckets have %d of %d: %+v", m.Name, sum, p.Count, p)
			}
			if n := max(len(p.PositiveBucket.Counts), len(p.NegativeBucket.Counts)); n > maxCounts {
				t.Errorf("%s: %d counts", m.Name, n)
			}
		}
	}
}

func TestVersionIn(t *testing.T) {
	module := func(path, version string, replace *debug.Module) *debug.Module {
		return &debug.Module{Path: path, Version: version, Replace: replace}
	}
	for _, c := range []struct {
		want string
		info debug.BuildInfo
	}{
		{"", debug.BuildInfo{}},
		{"v1.2.3", debug.BuildInfo{Deps: []*debug.Module{module("x", "v1.0.0", nil), module(modulePath, "v1.2.3", nil)}}},
		{"", debug.BuildInfo{Deps: []*debug.Module{module(modulePath, "v1.2.3", module("../tacho", "", nil))}}},
		{"v1.3.0", debug.BuildInfo{Deps: []*debug.Module{module(modulePath, "v1.2.3", module("example.com/fork", "v1.3.0", nil))}}},
		{"", debug.BuildInfo{Main: *module(modulePath, "(devel)", nil)}},
		{"v0.9.0", debug.BuildInfo{Main: *module(modulePath, "v0.9.0", nil)}},
	} {
		if got := versionIn(&c.info); got != c.want {
			t.Errorf("version %q, want %q", got, c.want)
		}
	}
}

func TestUnits(t *testing.T) {
	for unit, want := range map[string]string{
		"": "", "seconds": "s", "bytes": "By", "ratio": "1", "celsius": "Cel", "meters": "m", "volts": "V", "amperes": "A", "joules": "J", "grams": "g",
		"requests": "requests", "µs": "µs",
	} {
		if got := unitOf(unit); got != want {
			t.Errorf("unitOf(%q) = %q, want %q", unit, got, want)
		}
	}
}
