//go:build !tacho_nohttp

// Package tachikoma defines the metrics of the Tachikoma server: HTTP traffic, missions,
// forge sessions, tokens, database and cache.
//
// This program serves requests, measures the requests and serves the metrics:
//
//	package main
//
//	import (
//		"log"
//		"net/http"
//
//		"github.com/tachikoma/tacho/tachikoma"
//	)
//
//	func main() {
//		metrics := tachikoma.New()
//		mux := http.NewServeMux()
//		mux.Handle("/metrics", metrics.Routes())
//		mux.Handle("/metrics/json", metrics.Routes())
//		mux.HandleFunc("POST /missions", func(w http.ResponseWriter, r *http.Request) {
//			metrics.MissionsTotal.With("created").Inc()
//			w.WriteHeader(http.StatusCreated)
//		})
//		log.Fatal(http.ListenAndServe("127.0.0.1:8080", metrics.Middleware(mux)))
//	}
package tachikoma

import (
	"database/sql"
	"math"
	"net/http"
	"time"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/sqlstats"
)

// AppMetrics holds the metrics of one Tachikoma server. [New] and [NewIn] set the
// fields. A program must not change the fields. All metrics are safe for concurrent use.
// Recording never panics: tacho_errors_total{metric,reason} counts bad input.
type AppMetrics struct {
	// Registry contains all metrics below. A program can define more metrics in it.
	Registry *tacho.Registry
	// HTTP measures requests and connections.
	HTTP *tacho.HTTPMetrics

	// MissionsTotal counts created missions: tachikoma_missions_total{status}.
	MissionsTotal *tacho.CounterVec
	// MissionsActive is the number of active missions: tachikoma_missions_active.
	MissionsActive *tacho.Gauge
	// ForgeSessionsTotal counts forge sessions: tachikoma_forge_sessions_total{status}.
	ForgeSessionsTotal *tacho.CounterVec
	// ForgeSessionsActive is the number of open forge sessions: tachikoma_forge_sessions_active.
	ForgeSessionsActive *tacho.Gauge

	// TokensUsedTotal counts tokens: tachikoma_tokens_used_total{model,type}. The type is
	// "input" or "output".
	TokensUsedTotal *tacho.CounterVec
	// TokensCostDollars sums costs in US dollars: tachikoma_tokens_cost_dollars{model}.
	TokensCostDollars *tacho.FloatCounterVec

	// DBConnectionsActive is the number of database connections in use: db_connections_active.
	DBConnectionsActive *tacho.Gauge
	// DBConnectionsIdle is the number of idle database connections: db_connections_idle.
	DBConnectionsIdle *tacho.Gauge
	// DBQueryDurationSeconds observes the durations of queries in seconds:
	// db_query_duration_seconds{query_type}. The documentation of
	// [sqlstats.QueryDuration] shows an observation in one line of code.
	DBQueryDurationSeconds *tacho.HistogramVec

	// CacheHitsTotal counts lookups that found a value in the cache: cache_hits_total.
	CacheHitsTotal *tacho.Counter
	// CacheMissesTotal counts lookups that found no value: cache_misses_total.
	CacheMissesTotal *tacho.Counter
}

// New is like [NewIn] with a new registry.
func New(opts ...tacho.Option) *AppMetrics { return NewIn(tacho.NewRegistry(), opts...) }

// NewIn defines the metrics in reg and returns the metrics. The options apply to the
// HTTP metrics; see [tacho.NewHTTPMetrics]. A second call with the same reg returns the
// same metrics. NewIn panics with a *[tacho.DefinitionError] if a different metric of reg
// has one of the names.
func NewIn(reg *tacho.Registry, opts ...tacho.Option) *AppMetrics {
	return &AppMetrics{
		Registry: reg,
		HTTP:     tacho.NewHTTPMetrics(reg, opts...),

		MissionsTotal:       reg.CounterVec("tachikoma_missions_total", "Total missions created", []string{"status"}),
		MissionsActive:      reg.Gauge("tachikoma_missions_active", "Currently active missions"),
		ForgeSessionsTotal:  reg.CounterVec("tachikoma_forge_sessions_total", "Total forge sessions", []string{"status"}),
		ForgeSessionsActive: reg.Gauge("tachikoma_forge_sessions_active", "Currently active forge sessions"),

		TokensUsedTotal:   reg.CounterVec("tachikoma_tokens_used_total", "Total tokens used", []string{"model", "type"}),
		TokensCostDollars: reg.FloatCounterVec("tachikoma_tokens_cost_dollars", "Total cost in dollars", []string{"model"}),

		DBConnectionsActive:    reg.Gauge("db_connections_active", "Active database connections"),
		DBConnectionsIdle:      reg.Gauge("db_connections_idle", "Idle database connections"),
		DBQueryDurationSeconds: sqlstats.QueryDuration(reg),

		CacheHitsTotal:   reg.Counter("cache_hits_total", "Total cache hits"),
		CacheMissesTotal: reg.Counter("cache_misses_total", "Total cache misses"),
	}
}

// RecordHTTPRequest records a request and its duration in seconds. RecordHTTPRequest is
// for requests that do not pass through [AppMetrics.Middleware]. The path label is the
// result of [tacho.NormalizePath]. A negative, NaN or infinite duration is not observed,
// and tacho_errors_total counts an error. The request is counted in any case.
func (m *AppMetrics) RecordHTTPRequest(method, path string, status int, seconds float64) {
	d := time.Duration(-1)
	if 0 <= seconds && seconds < math.MaxInt64/1e9 {
		d = time.Duration(math.Round(seconds * 1e9))
	}
	m.HTTP.Record(method, path, status, d, -1)
}

// RecordTokens counts the input and output tokens of a call of a model and adds the cost
// in US dollars. A negative or NaN cost is not added, and tacho_errors_total counts an
// error. The tokens are counted in any case.
func (m *AppMetrics) RecordTokens(model string, input, output uint64, cost float64) {
	m.TokensUsedTotal.With(model, "input").Add(input)
	m.TokensUsedTotal.With(model, "output").Add(output)
	m.TokensCostDollars.With(model).Add(cost)
}

// ObserveDB makes each scrape read the statistics of db. A scrape sets
// [AppMetrics.DBConnectionsActive] and [AppMetrics.DBConnectionsIdle], so a program must
// not set these fields itself. ObserveDB also defines metrics of the connection limit,
// waits and closed connections; see [sqlstats.Register].
//
// A program calls ObserveDB once for each pool. The metrics show the sum of all pools. stop
// removes the pool from the metrics; a second call of stop has no effect.
func (m *AppMetrics) ObserveDB(db *sql.DB) (stop func()) {
	return sqlstats.Register(m.Registry, db, "")
}

// Middleware returns a handler that measures each request and calls next; see
// [tacho.HTTPMetrics.Handler].
func (m *AppMetrics) Middleware(next http.Handler) http.Handler { return m.HTTP.Handler(next) }

// Routes returns a handler of two paths. [tacho.Registry.Handler] serves /metrics, and
// [tacho.Registry.JSONHandler] serves /metrics/json. Any other path gets status 404.
func (m *AppMetrics) Routes() http.Handler {
	text, json := m.Registry.Handler(), m.Registry.JSONHandler()
	// An http.ServeMux would redirect //metrics to /metrics instead of status 404.
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := ""
		if r.URL != nil { // nil if a program made the request
			path = r.URL.Path
		}
		switch path {
		case "/metrics":
			text.ServeHTTP(w, r)
		case "/metrics/json":
			json.ServeHTTP(w, r)
		default:
			http.NotFound(w, r)
		}
	})
}
