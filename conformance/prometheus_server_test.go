package conformance

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/discovery/targetgroup"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/scrape"
	"github.com/prometheus/prometheus/tsdb"
)

// A server is a part of Prometheus 3: the scrape loops, the storage and the query
// engine, connected like in the main function of Prometheus. A server has no rules,
// no alerts, no discovery and no web interface.
type server struct {
	log     warnings
	db      *tsdb.DB
	engine  *promql.Engine
	manager *scrape.Manager
}

// warnings collects log lines with level warning or error.
type warnings struct {
	mu   sync.Mutex
	text strings.Builder
}

func (c *warnings) Write(line []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text.Write(line)
}

func (c *warnings) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text.String()
}

// A target is a job of a server: a handler with a scrape configuration.
type target struct {
	job     string
	config  string // lines of the scrape configuration
	handler http.Handler
	want    string // expected Content-Type

	address string
	last    atomic.Pointer[http.Header] // header of the last response
	at      time.Time                   // time of the last scrape in method wait
}

const scrapeInterval = 400 * time.Millisecond

func newServer(t *testing.T, targets []*target) *server {
	t.Helper()
	s := &server{}
	log := slog.New(slog.NewTextHandler(&s.log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	opts := tsdb.DefaultOptions()
	opts.EnableExemplarStorage, opts.MaxExemplars = true, 10000
	opts.EnableSTAsZeroSample = true // with ParseST below: the feature flag created-timestamp-zero-ingestion
	var err error
	if s.db, err = tsdb.Open(t.TempDir(), log, nil, opts, tsdb.NewDBStats()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.db.Close() })
	s.engine = promql.NewEngine(promql.EngineOpts{
		MaxSamples: 1e6, Timeout: time.Minute, LookbackDelta: time.Minute,
		EnableAtModifier: true, EnableNegativeOffset: true, Parser: parser.NewParser(parser.Options{}),
	})
	t.Cleanup(func() { s.engine.Close() })
	s.manager, err = scrape.NewManager(&scrape.Options{
		DiscoveryReloadOnStartup: true, AppendMetadata: true, ParseST: true, EnableOpenMetrics2: true,
	}, log, nil, nil, s.db, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}

	var yaml strings.Builder
	fmt.Fprintf(&yaml, "global:\n  scrape_interval: %dms\n  scrape_timeout: %dms\nscrape_configs:\n",
		scrapeInterval.Milliseconds(), scrapeInterval.Milliseconds())
	groups := map[string][]*targetgroup.Group{}
	for _, target := range targets {
		target.serve(t)
		fmt.Fprintf(&yaml, "  - job_name: %s\n", target.job)
		for line := range strings.Lines(target.config) {
			fmt.Fprintf(&yaml, "    %s\n", strings.TrimSpace(line))
		}
		groups[target.job] = []*targetgroup.Group{{
			Source: target.job, Targets: []model.LabelSet{{"__address__": model.LabelValue(target.address)}},
		}}
	}
	cfg, err := config.Load(yaml.String(), log)
	if err != nil {
		t.Fatalf("%v in\n%s", err, &yaml)
	}
	if err := s.manager.ApplyConfig(cfg); err != nil {
		t.Fatal(err)
	}
	sets := make(chan map[string][]*targetgroup.Group, 1)
	sets <- groups
	ran := make(chan error, 1)
	go func() { ran <- s.manager.Run(sets) }()
	t.Cleanup(func() {
		s.manager.Stop()
		if err := <-ran; err != nil {
			t.Error(err)
		}
	})
	return s
}

func (g *target) serve(t *testing.T) {
	if g.handler == nil { // another server has the address
		return
	}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.handler.ServeHTTP(w, r)
		header := w.Header().Clone()
		g.last.Store(&header)
	}))
	t.Cleanup(web.Close)
	g.address = web.Listener.Addr().String()
}

// wait returns when the storage has a new, successful scrape of every target. On a busy
// machine a scrape can exceed the scrape timeout and fail. wait sets target.at, the
// evaluation time of later queries.
func (s *server) wait(t *testing.T, targets []*target) {
	t.Helper()
	start := time.Now()
	// Prometheus changes scrape timestamps by up to 2 ms to make intervals equal.
	since := start.Add(2 * scrape.ScrapeTimestampTolerance)
	for _, g := range targets {
		for {
			up := `up{job="` + g.job + `"}`
			vector := s.query(t, "timestamp("+up+") and "+up+" == 1", time.Now())
			if len(vector) == 1 {
				if g.at = time.UnixMilli(int64(math.Round(vector[0].F * 1000))); g.at.After(since) {
					break
				}
			}
			if time.Since(start) > time.Minute {
				t.Fatalf("%s: no successful scrape in a minute: %v", g.job, s.problem(g))
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
}

func (s *server) problem(g *target) error {
	for _, active := range s.manager.TargetsActive()[g.job] {
		return active.LastError()
	}
	return fmt.Errorf("no such target")
}

// query evaluates a PromQL expression at a time.
func (s *server) query(t *testing.T, expr string, at time.Time) promql.Vector {
	t.Helper()
	q, err := s.engine.NewInstantQuery(t.Context(), s.db, nil, expr, at)
	if err != nil {
		t.Fatalf("%s: %v", expr, err)
	}
	defer q.Close()
	result := q.Exec(t.Context())
	if result.Err != nil {
		t.Fatalf("%s: %v", expr, result.Err)
	}
	vector, err := result.Vector()
	if err != nil {
		t.Fatalf("%s: %v", expr, err)
	}
	return slices.Clone(vector)
}

// value evaluates a PromQL expression with a single result.
func (s *server) value(t *testing.T, g *target, expr string) float64 {
	t.Helper()
	vector := s.query(t, expr, g.at)
	if len(vector) != 1 {
		t.Fatalf("%s: %d results, want 1: %v", expr, len(vector), vector)
	}
	return vector[0].F
}

// points returns the stored samples of a selector. The selector must match a single
// series.
func (s *server) points(t *testing.T, g *target, selector string) []promql.FPoint {
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
	return slices.Clone(matrix[0].Floats)
}

// exemplars returns the stored exemplars of a metric of a job, by bucket bound. The
// bound is "" without a label le.
func (s *server) exemplars(t *testing.T, job, metric string) map[string][]exemplar {
	t.Helper()
	q, err := s.db.ExemplarQuerier(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	results, err := q.Select(0, time.Now().UnixMilli(), []*labels.Matcher{
		labels.MustNewMatcher(labels.MatchEqual, "job", job),
		labels.MustNewMatcher(labels.MatchEqual, "__name__", metric),
	})
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][]exemplar{}
	for _, r := range results {
		le := r.SeriesLabels.Get("le")
		for _, x := range r.Exemplars {
			_, pairs := split(x.Labels)
			at := float64(x.Ts) / 1e3
			found[le] = append(found[le], exemplar{labels: pairs, value: x.Value, at: &at})
		}
	}
	return found
}

// expectations returns functions that compare the results of queries at the time of the last scrape of g.
// exactly compares a single value, and none requires that a selector has no result.
func (s *server) expectations(t *testing.T, g *target) (exactly func(expr string, want float64), none func(selector string)) {
	exactly = func(expr string, want float64) {
		t.Helper()
		if got := s.value(t, g, expr); got != want && !(math.Abs(got-want) <= 1e-9*max(math.Abs(want), 1)) {
			t.Errorf("%s is %v, want %v", expr, got, want)
		}
	}
	none = func(selector string) {
		t.Helper()
		if got := s.query(t, selector, g.at); len(got) != 0 {
			t.Errorf("%s has results: %v", selector, got)
		}
	}
	return exactly, none
}
