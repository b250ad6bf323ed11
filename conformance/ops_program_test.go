package conformance

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	foundation "github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/prometheus/prometheus/promql/parser"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/goruntime"
	"github.com/tachikoma/tacho/grpcmetrics"
	"github.com/tachikoma/tacho/httpclient"
	"github.com/tachikoma/tacho/process"
	"github.com/tachikoma/tacho/push"
	"github.com/tachikoma/tacho/sqlstats"
)

// An opsProgram uses every package of tacho that has metrics.
type opsProgram struct {
	reg    *tacho.Registry
	record func() // some of everything
}

func newOpsProgram(t *testing.T, opts ...tacho.Option) *opsProgram {
	t.Helper()
	reg := tacho.NewRegistry(opts...)
	goruntime.Register(reg)
	process.Register(reg)

	db := sql.OpenDB(noDriver{})
	t.Cleanup(func() { db.Close() })
	db.SetMaxOpenConns(1)
	sqlstats.Register(reg, db, "missions")
	queries := sqlstats.QueryDuration(reg)

	audit := sql.OpenDB(noDriver{})
	t.Cleanup(func() { audit.Close() })
	audit.SetMaxOpenConns(1)
	sqlstats.RegisterGoSQL(reg, audit, "audit")

	calls := newOpsCalls(t, reg)

	metrics := tacho.NewHTTPMetrics(reg, tacho.WithTimeToFirstByte(), tacho.WithRequestSize())
	mux := http.NewServeMux()
	mux.HandleFunc("GET /missions", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "[]") })
	mux.HandleFunc("GET /broken", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	mux.HandleFunc("PUT /metrics/job/", func(http.ResponseWriter, *http.Request) {}) // a Pushgateway
	web := httptest.NewUnstartedServer(metrics.Handler(mux))
	web.Config.ConnState = metrics.ConnState
	web.Start()
	t.Cleanup(web.Close)
	client := http.Client{Transport: httpclient.New(reg, httpclient.Config{Phases: true}).RoundTripper(nil)}

	pusher, err := push.New(push.Pushgateway{URL: web.URL, Job: "missions"}, push.Config{Registry: reg})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pusher.Close() })
	// The same definition as in package push. The Pushgateway refuses no single samples.
	dropped := reg.CounterVec("push_samples_dropped_total", "Samples that the receiver refused, by reason.", []string{"target", "reason"}, tacho.WithMaxSeries(0))
	small := reg.CounterVec("small_total", "A vector with a low limit.", []string{"kind"}, tacho.WithMaxSeries(1))

	return &opsProgram{reg, func() {
		for _, path := range []string{"/missions", "/missions", "/broken", "/nowhere"} {
			response, err := client.Get(web.URL + path)
			if err != nil {
				t.Error(err)
				return
			}
			io.Copy(io.Discard, response.Body)
			response.Body.Close()
		}
		waitForConn(t, db)
		waitForConn(t, audit)
		queries.With("select").Observe(0.1)
		calls()
		if err := pusher.Push(t.Context()); err != nil {
			t.Error(err)
		}
		dropped.With(strings.TrimPrefix(web.URL, "http://"), "duplicate").Inc()
		for _, kind := range []string{"a", "b"} {
			small.With(kind).Inc()
		}
		small.With("too", "many").Inc()
	}}
}

// waitForConn waits for a connection of a pool that has one connection: a second caller waits until the
// first releases it.
func waitForConn(t *testing.T, db *sql.DB) {
	t.Helper()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Error(err)
		return
	}
	time.AfterFunc(5*time.Millisecond, func() { conn.Close() })
	second, err := db.Conn(t.Context())
	if err != nil {
		t.Error(err)
		return
	}
	second.Close()
}

// names returns the names of the samples of a scrape.
func (p *opsProgram) names(t *testing.T) map[string]bool {
	t.Helper()
	var b strings.Builder
	if err := p.reg.WriteOpenMetrics(&b); err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for line := range strings.Lines(b.String()) {
		if !strings.HasPrefix(line, "#") {
			name := line[:strings.IndexAny(line, "{ ")]
			names[name] = true
			if histogram, ok := strings.CutSuffix(name, "_bucket"); ok {
				names[histogram] = true // the native histogram
			}
		}
	}
	return names
}

var (
	// fromPrometheus lists the metrics that Prometheus adds to each scrape.
	fromPrometheus = []string{"up", "scrape_duration_seconds", "scrape_samples_scraped", "scrape_series_added"}
	// fromGRPC lists metrics of package grpcmetrics that the dashboard must have.
	fromGRPC = []string{
		"grpc_server_started_total", "grpc_server_handled_total", "grpc_server_msg_received_total", "grpc_server_msg_sent_total",
		"grpc_server_handling_seconds", "grpc_client_handled_total", "grpc_client_handling_seconds",
	}
	// fromSQL lists metrics of sqlstats.RegisterGoSQL that the dashboard must have.
	fromSQL = []string{
		"go_sql_max_open_connections", "go_sql_in_use_connections", "go_sql_idle_connections", "go_sql_wait_count_total",
		"go_sql_wait_duration_seconds_total", "go_sql_max_idle_closed_total", "go_sql_max_idle_time_closed_total", "go_sql_max_lifetime_closed_total",
	}
	// fromOptions lists metrics of options of NewHTTPMetrics that the dashboard must have.
	fromOptions = []string{"http_time_to_first_byte_seconds", "http_request_size_bytes"}
)

// newOpsCalls starts a gRPC server and returns a function that makes calls: a unary one, a stream, and
// one that fails.
func newOpsCalls(t *testing.T, reg *tacho.Registry) (calls func()) {
	t.Helper()
	times := grpcmetrics.WithHandlingTimeHistogram(nil)
	server := grpc.NewServer(grpcmetrics.NewServerMetrics(reg, times).ServerOptions()...)
	healthpb.RegisterHealthServer(server, health.NewServer())
	testpb.RegisterTestServiceServer(server, testpb.UnimplementedTestServiceServer{})
	listener := bufconn.Listen(1 << 20)
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	conn, err := grpc.NewClient("passthrough:///server", append(grpcmetrics.NewClientMetrics(reg, times).DialOptions(),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	client := healthpb.NewHealthClient(conn)
	return func() {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		_, err := client.Check(ctx, &healthpb.HealthCheckRequest{})
		if _, failed := testpb.NewTestServiceClient(conn).EmptyCall(ctx, &testpb.Empty{}); status.Code(failed) != codes.Unimplemented {
			t.Errorf("EmptyCall: %v", failed)
		}
		watch, streamErr := client.Watch(ctx, &healthpb.HealthCheckRequest{})
		if streamErr == nil {
			_, streamErr = watch.Recv()
		}
		if err := errors.Join(err, streamErr); err != nil {
			t.Error(err)
		}
	}
}

// selectors returns the names of the metrics that a query selects.
func selectors(t *testing.T, expr string) (names []string) {
	t.Helper()
	tree, err := parser.NewParser(parser.Options{}).ParseExpr(expr)
	if err != nil {
		t.Errorf("%s: %v", expr, err)
		return nil
	}
	parser.Inspect(tree, func(node parser.Node, _ []parser.Node) error {
		if v, ok := node.(*parser.VectorSelector); ok {
			names = append(names, v.Name)
		}
		return nil
	})
	return names
}

var opsDashboards = []string{"grafana.json", "grafana-tachikoma.json"}

// TestOpsDashboardNames parses each query of the dashboards. A scrape of a program with every
// package must have the metrics, except those of Prometheus.
func TestOpsDashboardNames(t *testing.T) {
	p := newOpsProgram(t)
	p.record()
	names := p.names(t)
	for _, name := range fromPrometheus {
		names[name] = true
	}
	seen := map[string]bool{}
	for _, panel := range opsDashboard(t, "grafana.json") {
		for _, query := range panel.Targets {
			for _, name := range selectors(t, fill(query.Expr, ".*")) {
				seen[name] = true
				if !names[name] {
					t.Errorf("%s: no package has the metric %s", panel.Title, name)
				}
			}
		}
	}
	if len(seen) < 60 {
		t.Errorf("the queries select %d metrics, want at least 60", len(seen))
	}
	for _, name := range slices.Concat(fromPrometheus, fromGRPC, fromSQL, fromOptions) {
		if !seen[name] && !seen[name+"_bucket"] {
			t.Errorf("no query selects %s", name)
		}
	}
}

var legendLabel = regexp.MustCompile(`{{(\w+)}}`)

// TestOpsDashboardHasData runs the queries of the dashboard for any program with Prometheus 3.
// Job "classic" stores classic histograms, and job "native" stores native histograms. Each
// query must return data with the labels of its legend.
func TestOpsDashboardHasData(t *testing.T) {
	classic, native := newOpsProgram(t), newOpsProgram(t, tacho.WithNative())
	plain := tacho.NewRegistry()
	plain.Counter("jobs_total", "A program without HTTP and without further packages.").Inc()
	targets := []*target{
		{job: "classic", handler: classic.reg.Handler(), config: "scrape_native_histograms: true"},
		{job: "native", handler: native.reg.Handler(), config: "scrape_native_histograms: true"},
		{job: "plain", handler: plain.Handler()},
	}
	s := newServer(t, targets)
	for range 4 {
		for _, p := range []*opsProgram{classic, native} {
			p.record()
		}
		s.wait(t, targets)
	}
	queries := 0
	for _, panel := range opsDashboard(t, "grafana.json") {
		for _, query := range panel.Targets {
			for _, g := range targets[:2] {
				isNative := strings.HasSuffix(query.LegendFormat, "native")
				if isNative && g.job != "native" || strings.Contains(query.Expr, "_bucket{") && g.job != "classic" {
					continue
				}
				queries++
				got := s.query(t, fill(query.Expr, g.job), g.at)
				if len(got) == 0 {
					t.Errorf("%s, job %s: %s returned no data", panel.Title, g.job, fill(query.Expr, g.job))
					continue
				}
				for _, label := range legendLabel.FindAllStringSubmatch(query.LegendFormat, -1) {
					if strings.HasPrefix(query.Expr, "sum by (metric") {
						continue // vector(0) has no labels
					}
					found := false
					for _, sample := range got {
						found = found || sample.Metric.Get(label[1]) != ""
					}
					if !found {
						t.Errorf("%s, job %s: no result of %s has the label %s", panel.Title, g.job, query.Expr, label[1])
					}
				}
			}
		}
	}
	if queries < 150 {
		t.Errorf("%d queries ran, want at least 150", queries)
	}

	// The variables list each program.
	dashboard, problem := grafana(t, "grafana.json", "", "")
	if problem != "" {
		t.Fatal(problem)
	}
	values := regexp.MustCompile(`^label_values\((.*), (\w+)\)$`)
	for _, v := range dashboard.Templating.List[1:] {
		parts := values.FindStringSubmatch(*v.Definition)
		if parts == nil || parts[2] != v.Name {
			t.Errorf("variable %s has the definition %s", v.Name, *v.Definition)
			continue
		}
		jobs := map[string]bool{}
		for _, sample := range s.query(t, fill(parts[1], ".*"), targets[2].at) {
			jobs[sample.Metric.Get("job")] = true
			if v.Name != "namespace" && sample.Metric.Get(v.Name) == "" {
				t.Errorf("variable %s: %v has no label %s", v.Name, sample.Metric, v.Name)
			}
		}
		if len(jobs) != len(targets) {
			t.Errorf("variable %s: jobs %v, want %d", v.Name, jobs, len(targets))
		}
	}
	for _, a := range dashboard.Annotations.List {
		for _, g := range targets[:2] {
			got := s.query(t, fill(*a.Expr, g.job), g.at)
			if len(got) != 1 || time.Since(time.UnixMilli(int64(got[0].F))).Abs() > time.Hour {
				t.Errorf("annotation %s, job %s: %v, want the time of the start", a.Name, g.job, got)
			}
		}
	}
	if log := s.log.String(); log != "" {
		t.Errorf("warnings of Prometheus:\n%s", log)
	}
}

// grafana decodes a dashboard with Grafana's types. The text old is replaced before. A field
// that Grafana does not know is a problem.
//
//lint:ignore SA1019 the dashboards have the schema of version 1
func grafana(t *testing.T, name, old, replacement string) (d foundation.Dashboard, problem string) {
	t.Helper()
	plugins.RegisterDefaultPlugins()
	text, err := os.ReadFile(filepath.Join("..", "ops", name))
	if err != nil {
		t.Fatal(err)
	}
	text = bytes.Replace(text, []byte(old), []byte(replacement), 1)
	// Without an error, the methods return a nil value of a concrete type.
	if err := d.UnmarshalJSONStrict(text); err != nil && err.Error() != "" {
		return d, err.Error()
	}
	if err := d.Validate(); err != nil && err.Error() != "" {
		return d, err.Error()
	}
	return d, ""
}

func TestOpsDashboardSchema(t *testing.T) {
	for _, name := range opsDashboards {
		if _, problem := grafana(t, name, "", ""); problem != "" {
			t.Errorf("%s: %s", name, problem)
		}
		if _, problem := grafana(t, name, `"legendFormat"`, `"legendformat"`); !strings.Contains(problem, "legendformat") {
			t.Errorf("%s: a query with an unknown field has the problem %q", name, problem)
		}
		if _, problem := grafana(t, name, `"custom": {`, `"custom": {"lines": true,`); problem == "" {
			t.Errorf("%s: a panel with an unknown field has no problem", name)
		}
	}
}
