package conformance

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/tachikoma/tacho/tachikoma"
)

// An opsPanel is a dashboard, a row or a panel with queries.
type opsPanel struct {
	Title   string
	Panels  []opsPanel
	Targets []opsTarget
}

type opsTarget struct {
	Expr, LegendFormat string
}

// opsDashboard returns the panels of a dashboard of ../ops, with those of collapsed rows.
func opsDashboard(t *testing.T, name string) (panels []opsPanel) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "ops", name))
	if err != nil {
		t.Fatal(err)
	}
	var dashboard opsPanel
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	for _, p := range dashboard.Panels {
		panels = append(append(panels, p), p.Panels...)
	}
	return panels
}

// fill replaces the variables of Grafana. The query selects a job.
func fill(expr, job string) string {
	return strings.NewReplacer("$__rate_interval", "1m", "$__range", "5m", "$__from", "0", "$namespace", ".*", "$job", job, "$instance", ".*").Replace(expr)
}

// TestOpsDashboard runs the queries of Tachikoma's dashboard that select histograms. Prometheus
// 3 scrapes classic histograms, native histograms, and both. Job "classic" is a registry of
// tacho. The other jobs are registries of client_golang with the same names.
func TestOpsDashboard(t *testing.T) {
	app := tachikoma.New()
	duration, size, database := nativeHistogram("http_request_duration_seconds", "method", "path"),
		nativeHistogram("http_response_size_bytes", "method", "path"), nativeHistogram("db_query_duration_seconds", "query_type")
	reg := prometheus.NewRegistry()
	reg.MustRegister(duration, size, database)
	record := func() {
		for range 10 {
			app.HTTP.Record("GET", "/missions", 200, 300*time.Millisecond, 1000)
			app.DBQueryDurationSeconds.With("select").Observe(0.3)
			duration.WithLabelValues("GET", "/missions").Observe(0.3)
			size.WithLabelValues("GET", "/missions").Observe(1000)
			database.WithLabelValues("select").Observe(0.3)
		}
	}
	native := promhttp.HandlerFor(reg, promhttp.HandlerOpts{EnableOpenMetrics: true})
	targets := []*target{
		{job: "classic", handler: app.Registry.Handler(), config: "scrape_native_histograms: true"},
		{job: "native", handler: native, config: "scrape_native_histograms: true"},
		{job: "both", handler: native, config: "scrape_native_histograms: true\nalways_scrape_classic_histograms: true"},
	}
	s := newServer(t, targets)
	for range 4 {
		record()
		s.wait(t, targets)
	}

	// The bounds of the bucket of 0.3 s, in a classic histogram and in a native histogram of schema 3.
	type span struct{ low, high float64 }
	buckets := map[bool]span{false: {0.25, 0.5}, true: {math.Exp2(-1.75), math.Exp2(-1.625)}}
	queries := map[bool]int{}
	for _, p := range opsDashboard(t, "grafana-tachikoma.json") {
		for _, query := range p.Targets {
			isNative := strings.HasSuffix(query.LegendFormat, "native")
			isBoth := strings.Contains(query.Expr, "histogram_sum(")
			if !isNative && !isBoth && !strings.Contains(query.Expr, "_bucket{") {
				continue
			}
			queries[isNative]++
			for _, g := range targets {
				expr := fill(query.Expr, g.job)
				got := s.query(t, expr, g.at)
				if stored := isBoth || g.job == "both" || (g.job == "native") == isNative; !stored {
					if len(got) != 0 {
						t.Errorf("%s, job %s: %s returned %v, want no data", p.Title, g.job, expr, got)
					}
					continue
				}
				switch {
				case len(got) == 0:
					t.Errorf("%s, job %s: %s returned no data", p.Title, g.job, expr)
				case strings.Contains(expr, "histogram_quantile("):
					if b := buckets[isNative]; len(got) != 1 || !(got[0].F > b.low && got[0].F <= b.high) {
						t.Errorf("%s, job %s: %s is %v, want a value above %v and at most %v", p.Title, g.job, expr, got, b.low, b.high)
					}
				case isBoth:
					if len(got) != 1 || !(got[0].F > 0) {
						t.Errorf("%s, job %s: %s is %v, want a single value above 0", p.Title, g.job, expr, got)
					}
				case isNative: // heatmap
					if len(got) != 1 || got[0].H == nil || !(got[0].H.Count > 0) {
						t.Errorf("%s, job %s: %s is %v, want a native histogram", p.Title, g.job, expr, got)
					}
				}
			}
		}
	}
	if queries[true] < 6 || queries[false] != queries[true]+1 {
		t.Errorf("%d native queries and %d others, want at least 6, and one more of the others", queries[true], queries[false])
	}
	// Both jobs have one path. The sum over jobs counts each instance once.
	sum := `sum by (path) (rate(http_response_size_bytes_sum[1m]) or histogram_sum(rate(http_response_size_bytes[1m])))`
	parts := `sum by (path) (rate(http_response_size_bytes_sum[1m])) + sum by (path) (histogram_sum(rate(http_response_size_bytes{job="native"}[1m])))`
	at := targets[0].at
	if got, want := s.query(t, sum, at), s.query(t, parts, at); len(got) != 1 || len(want) != 1 || math.Abs(got[0].F-want[0].F) > 1e-9*want[0].F {
		t.Errorf("%s is %v, want %v", sum, got, want)
	}
	if log := s.log.String(); log != "" {
		t.Errorf("warnings of Prometheus:\n%s", log)
	}
}

// TestNativeQueries compares queries of classic histograms with the queries that replace them.
// docs/MIGRATING.md has the same queries. Prometheus stores both kinds of one histogram.
func TestNativeQueries(t *testing.T) {
	x := nativeHistogram("x", "path")
	reg := prometheus.NewRegistry()
	reg.MustRegister(x)
	targets := []*target{{
		job: "both", handler: promhttp.HandlerFor(reg, promhttp.HandlerOpts{EnableOpenMetrics: true}),
		config: "scrape_native_histograms: true\nalways_scrape_classic_histograms: true",
	}}
	s := newServer(t, targets)
	for range 4 {
		for i, v := range []float64{0.2, 0.25, 0.3, 0.9, 1, 1.1, 3} {
			for range 1 + i {
				x.WithLabelValues("/a").Observe(v)
			}
			x.WithLabelValues("/b").Observe(3 * v)
		}
		s.wait(t, targets)
	}
	for _, c := range []struct {
		classic, native string
		quantile        bool // the result depends on the width of buckets
	}{
		{classic: `sum(rate(x_count[5m]))`, native: `histogram_count(sum(rate(x[5m])))`},
		{classic: `sum by (path) (increase(x_count[5m]))`, native: `histogram_count(sum by (path) (increase(x[5m])))`},
		{classic: `sum by (path) (rate(x_sum[5m]))`, native: `histogram_sum(sum by (path) (rate(x[5m])))`},
		{
			classic: `sum by (path) (rate(x_sum[5m])) / sum by (path) (rate(x_count[5m]))`,
			native:  `histogram_sum(sum by (path) (rate(x[5m]))) / histogram_count(sum by (path) (rate(x[5m])))`,
		},
		{classic: `histogram_quantile(0.9, sum by (path, le) (rate(x_bucket[5m])))`, native: `histogram_quantile(0.9, sum by (path) (rate(x[5m])))`, quantile: true},
		{classic: `histogram_quantile(0.5, sum by (le) (rate(x_bucket[5m])))`, native: `histogram_quantile(0.5, sum(rate(x[5m])))`, quantile: true},
		{
			classic: `sum(rate(x_bucket{le="1.0"}[5m])) / sum(rate(x_count[5m]))`,
			native:  `histogram_fraction(-Inf, 1, sum(rate(x[5m])))`,
		},
		{
			classic: `sum(rate(x_count[5m])) - sum(rate(x_bucket{le="1.0"}[5m]))`,
			native:  `histogram_fraction(1, +Inf, sum(rate(x[5m]))) * histogram_count(sum(rate(x[5m])))`,
		},
		{
			classic: `(sum(rate(x_bucket{le="0.25"}[5m])) + sum(rate(x_bucket{le="1.0"}[5m]))) / 2 / sum(rate(x_count[5m]))`,
			native:  `(histogram_fraction(-Inf, 0.25, sum(rate(x[5m]))) + histogram_fraction(-Inf, 1, sum(rate(x[5m])))) / 2`,
		},
		{classic: `count by (path) (x_count)`, native: `count by (path) (x)`},
	} {
		classic, native := s.query(t, c.classic, targets[0].at), s.query(t, c.native, targets[0].at)
		if len(classic) == 0 || len(native) != len(classic) {
			t.Errorf("%s is %v, want the labels of %s: %v", c.native, native, c.classic, classic)
			continue
		}
		for _, w := range classic {
			ok := false
			for _, g := range native {
				if g.Metric.Hash() == w.Metric.Hash() {
					// Classic buckets of this test are up to 2.5 times as wide as their lower bound.
					ok = math.Abs(g.F-w.F) <= 1e-9*w.F || c.quantile && g.F > w.F/2.5 && g.F < w.F*2.5
				}
			}
			if !ok {
				t.Errorf("%s is %v, want %v as %s", c.native, native, classic, c.classic)
			}
		}
	}
}

// nativeHistogram returns a histogram of client_golang that is classic and native.
func nativeHistogram(name string, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: name, Help: "Help.", Buckets: prometheus.DefBuckets, NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 160,
	}, labels)
}
