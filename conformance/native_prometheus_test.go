package conformance

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser/posrange"

	"github.com/tachikoma/tacho"
)

// histograms returns the stored native histograms of a selector. The selector must match a single
// series.
func (s *server) histograms(t *testing.T, g *target, selector string) []promql.HPoint {
	t.Helper()
	q, err := s.engine.NewInstantQuery(t.Context(), s.db, nil, selector+"[10m]", g.at)
	if err != nil {
		t.Fatalf("%s: %v", selector, err)
	}
	defer q.Close()
	matrix, err := q.Exec(t.Context()).Matrix()
	if err != nil || len(matrix) != 1 {
		t.Fatalf("%s: error %v, %d series, want 1", selector, err, len(matrix))
	}
	var list []promql.HPoint
	for _, p := range matrix[0].Histograms {
		list = append(list, promql.HPoint{T: p.T, H: p.H.Copy()})
	}
	return list
}

// observed are the values of each step of TestPrometheusNative. The values are the same in each
// step, so that rate() has the distribution of all values. Their sum is exact.
func observed() []float64 {
	rnd := rand.New(rand.NewPCG(1, 9))
	values := []float64{0, 1, 2}
	for range 400 {
		values = append(values, exact(math.Exp(rnd.NormFloat64())))
	}
	slices.Sort(values)
	return values
}

// TestPrometheusNative runs Prometheus 3 with scrape_native_histograms. The test records during the
// scrapes and then compares query results with the recorded values.
func TestPrometheusNative(t *testing.T) {
	const (
		utf8     = "; escaping=allow-utf-8"
		protobuf = typeProtobuf
		on       = "scrape_native_histograms: true\n"
	)
	began := span{seconds(time.Now()), 0}
	reg := tacho.NewRegistry(tacho.WithCreated(), tacho.WithUTF8Names(), tacho.WithConstLabels("region", "eu"))
	bounds := []float64{0.25, 0.5, 1, 2, 4, 8}
	alone := reg.HistogramVec("latency_seconds", "Native buckets.", nil, []string{"path"}, tacho.WithNative(), tacho.WithUnit("seconds")).With("/a")
	both := reg.Histogram("both_seconds", "Native and classic buckets.", bounds, tacho.WithNative())
	classic := reg.Histogram("classic_seconds", "Classic buckets.", bounds)
	dotted := reg.HistogramVec("http.server.duration_seconds", "A UTF-8 name.", nil, []string{"http.method"}, tacho.WithNative()).With("GET")
	idle := reg.Histogram("idle_seconds", "No observation.", nil, tacho.WithNative())
	requests := reg.Counter("requests_total", "Requests.")
	queued := reg.Gauge("queued", "Queued.")
	traced := reg.HistogramVec("traced_seconds", "Exemplars of native buckets.", nil, []string{"n"}, tacho.WithNative())
	tracedBoth := reg.HistogramVec("traced_both_seconds", "Exemplars of native and classic buckets.", []float64{1.5, 3, 6, 12}, []string{"n"}, tacho.WithNative())
	_ = idle

	handler := reg.Handler()
	targets := []*target{
		{job: "native", want: protobuf + utf8, config: on},
		{job: "both", want: protobuf + utf8, config: on + "always_scrape_classic_histograms: true"},
		{job: "off", want: typeOpenMetrics + utf8},
		{job: "legacy", want: protobuf + "; escaping=underscores", config: on + "metric_name_validation_scheme: legacy\nmetric_name_escaping_scheme: underscores"},
		{job: "nhcb", want: protobuf + utf8, config: on + "convert_classic_histograms_to_nhcb: true"},
		{job: "first", want: protobuf + utf8, config: "scrape_native_histograms: true\nscrape_protocols: [PrometheusProto]\nfallback_scrape_protocol: PrometheusProto"},
	}
	// With PrometheusProto alone no element of Accept names an escaping.
	targets[5].want = protobuf + "; escaping=underscores"
	for _, g := range targets {
		g.handler = handler
	}
	s := newServer(t, targets)

	const steps = 3
	values := observed()
	for step := range steps {
		for _, v := range values {
			for _, h := range []*tacho.Histogram{alone, both, classic, dotted} {
				h.Observe(v)
			}
		}
		requests.Add(5)
		queued.Set(int64(step))
		if step == 0 {
			for series := 1; series <= 4; series++ {
				for i := range series {
					for _, v := range []*tacho.HistogramVec{traced, tracedBoth} {
						v.With(fmt.Sprint(series)).ObserveExemplar(float64(int(1)<<i), "trace_id", fmt.Sprint(series, i))
					}
					time.Sleep(2 * time.Millisecond)
				}
			}
		}
		s.wait(t, targets)
	}
	began.to = seconds(time.Now())
	n := float64(steps * len(values))
	sum := steps * total(values)
	at1, _ := slices.BinarySearch(values, math.Nextafter(1, 2))
	widest := math.Exp2(math.Exp2(-3)) * (1 + 1e-9) // the factor of schema 3

	for _, g := range targets {
		t.Run(g.job, func(t *testing.T) {
			if got := g.last.Load().Get("Content-Type"); got != g.want {
				t.Errorf("Content-Type %s, want %s", got, g.want)
			}
			job := `job="` + g.job + `"`
			exactly, none := s.expectations(t, g)
			exactly("up{"+job+"}", 1)
			exactly("requests_total{"+job+"}", 5*steps)
			exactly("queued{"+job+"}", steps-1)
			if got, ok := s.manager.TargetsActive()[g.job][0].GetMetadata("both_seconds"); !ok || got.Type != model.MetricTypeHistogram || got.Help != "Native and classic buckets." {
				t.Errorf("metadata of both_seconds: %+v", got)
			}
			if g.job == "off" {
				exactly(`latency_seconds_bucket{path="/a",le="+Inf",`+job+`}`, n)
				exactly("latency_seconds_count{"+job+"}", n)
				exactly("latency_seconds_sum{"+job+"}", sum)
				exactly(`both_seconds_bucket{le="1.0",`+job+`}`, float64(steps*at1))
				none("latency_seconds{" + job + "}")
				none("both_seconds{" + job + "}")
				return
			}
			name := `{"http.server.duration_seconds","http.method"="GET",`
			if g.want == protobuf+"; escaping=underscores" {
				name = `http_server_duration_seconds{http_method="GET",`
				none(`{"http.server.duration_seconds",` + job + "}")
			} else {
				none(`http_server_duration_seconds{` + job + "}")
			}
			for selector, h := range map[string]*tacho.Histogram{
				`latency_seconds{path="/a",region="eu",` + job + "}": alone, "both_seconds{" + job + "}": both, name + job + "}": dotted,
			} {
				exactly("histogram_count("+selector+")", n)
				exactly("histogram_sum("+selector+")", sum)
				exactly("histogram_avg("+selector+")", sum/n)
				exactly("histogram_fraction(-Inf, 1, "+selector+")", float64(steps*at1)/n)
				exactly("histogram_fraction(0, +Inf, "+selector+")", 1)
				for _, q := range []float64{0.05, 0.25, 0.5, 0.9, 0.99, 1} {
					exactly(fmt.Sprintf("histogram_quantile(%v, %s)", q, selector), h.Snapshot().Quantile(q))
					expr := fmt.Sprintf("histogram_quantile(%v, rate(%s[10m]))", q, selector)
					want := values[int(math.Ceil(q*float64(len(values))))-1]
					if got := s.value(t, g, expr); got < want/widest || got > want*widest {
						t.Errorf("%s is %v, want %v to %v", expr, got, want/widest, want*widest)
					}
				}
				points := s.histograms(t, g, selector)
				if first := points[0]; first.H.Count != 0 || !began.contains(float64(first.T)/1e3) {
					t.Errorf("%s: first sample %v, want an empty histogram at the time of creation", selector, first)
				}
				for i, p := range points[1:] {
					if p.H.DetectReset(points[i].H) {
						t.Errorf("%s: a reset from %v to %v", selector, points[i], p)
					}
				}
				last := points[len(points)-1].H
				for _, q := range []float64{0.1, 0.5, 0.99} {
					want, _ := promql.HistogramQuantile(q, last, "", posrange.PositionRange{})
					if got := h.Snapshot().Quantile(q); !near(got, want, 0) {
						t.Errorf("%s: quantile %v is %v, want %v", selector, q, got, want)
					}
				}
			}
			exactly("histogram_count(idle_seconds{"+job+"})", 0)
			none("latency_seconds_bucket{" + job + "}")
			switch g.job {
			case "both":
				exactly("both_seconds_count{"+job+"}", n)
				exactly("both_seconds_sum{"+job+"}", sum)
				exactly(`both_seconds_bucket{le="1.0",`+job+`}`, float64(steps*at1))
				exactly(`both_seconds_bucket{le="+Inf",`+job+`}`, n)
				for _, q := range []float64{0.25, 0.5, 0.9} {
					expr := fmt.Sprintf("histogram_quantile(%v, rate(both_seconds_bucket{%s}[10m]))", q, job)
					want := values[int(math.Ceil(q*float64(len(values))))-1]
					i, _ := slices.BinarySearch(bounds, want)
					lower := 0.0
					if i > 0 {
						lower = bounds[i-1]
					}
					if got := s.value(t, g, expr); got < lower || got > bounds[i] {
						t.Errorf("%s is %v, want %v to %v", expr, got, lower, bounds[i])
					}
				}
			default:
				none("both_seconds_bucket{" + job + "}")
				none("both_seconds_count{" + job + "}")
			}
			if g.job == "nhcb" {
				exactly("histogram_count(classic_seconds{"+job+"})", n)
				points := s.histograms(t, g, "classic_seconds{"+job+"}")
				if last := points[len(points)-1].H; last.Schema != histogram.CustomBucketsSchema || !slices.Equal(last.CustomValues, bounds) {
					t.Errorf("classic_seconds: %v, want custom buckets", last)
				}
				if points := s.histograms(t, g, "both_seconds{"+job+"}"); points[len(points)-1].H.Schema != 3 {
					t.Errorf("both_seconds: %v, want schema 3", points[len(points)-1].H)
				}
			} else {
				exactly(`classic_seconds_bucket{le="1.0",`+job+`}`, float64(steps*at1))
				none("classic_seconds{" + job + "}")
			}
			for _, metric := range []string{"traced_seconds", "traced_both_seconds"} {
				s.checkNativeExemplars(t, g, metric, began)
			}
		})
	}
	if log := s.log.String(); log != "" {
		t.Errorf("warnings of Prometheus:\n%s", log)
	}
}

// checkNativeExemplars checks that the exemplar storage has one exemplar of series 1, two of series
// 2, and so on.
func (s *server) checkNativeExemplars(t *testing.T, g *target, metric string, began span) {
	t.Helper()
	got := map[string][]exemplar{}
	for _, x := range s.exemplars(t, g.job, metric)[""] {
		series := x.labels[0].value[:1]
		got[series] = append(got[series], x)
	}
	for series := 1; series <= 4; series++ {
		list := got[fmt.Sprint(series)]
		if len(list) != series {
			t.Errorf("%s, series %d: %d exemplars, want %d: %v", metric, series, len(list), series, list)
			continue
		}
		for i, x := range list {
			want := []label{{"trace_id", fmt.Sprint(series, i)}}
			if !slices.Equal(x.labels, want) || x.value != float64(int(1)<<i) || !began.contains(*x.at) {
				t.Errorf("%s, series %d: exemplar %d is %v at %f, want %v", metric, series, i, x, *x.at, want)
			}
		}
	}
}
