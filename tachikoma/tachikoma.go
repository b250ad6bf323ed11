//go:build !tacho_nohttp

// Package tachikoma holds the metrics of the Tachikoma server: its HTTP
// traffic, missions, forge sessions, tokens, database and cache.
package tachikoma

import (
	"database/sql"
	"math"
	"net/http"
	"time"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/sqlstats"
)

// AppMetrics is the metric collection of one Tachikoma server. The fields are
// set by [New] and [NewIn] and must not be changed; what they point to is safe
// for concurrent use. Bad input while recording never panics: it is counted in
// tacho_errors_total{metric,reason}.
type AppMetrics struct {
	// Registry holds all metrics below and what else the program defines there.
	Registry *tacho.Registry
	// HTTP measures requests and connections; see [tacho.HTTPMetrics].
	HTTP *tacho.HTTPMetrics

	// MissionsTotal counts created missions: tachikoma_missions_total{status}.
	MissionsTotal *tacho.CounterVec
	// MissionsActive is the number of missions under way: tachikoma_missions_active.
	MissionsActive *tacho.Gauge
	// ForgeSessionsTotal counts forge sessions: tachikoma_forge_sessions_total{status}.
	ForgeSessionsTotal *tacho.CounterVec
	// ForgeSessionsActive is the number of open forge sessions: tachikoma_forge_sessions_active.
	ForgeSessionsActive *tacho.Gauge

	// TokensUsedTotal counts tokens: tachikoma_tokens_used_total{model,type},
	// type being "input" or "output".
	TokensUsedTotal *tacho.CounterVec
	// TokensCostDollars sums cost in US dollars: tachikoma_tokens_cost_dollars{model}.
	TokensCostDollars *tacho.FloatCounterVec

	// DBConnectionsActive is the number of database connections in use: db_connections_active.
	DBConnectionsActive *tacho.Gauge
	// DBConnectionsIdle is the number of idle database connections: db_connections_idle.
	DBConnectionsIdle *tacho.Gauge
	// DBQueryDurationSeconds is the time of queries in seconds: db_query_duration_seconds{query_type}.
	// See [sqlstats.QueryDuration] for how to time one in a line.
	DBQueryDurationSeconds *tacho.HistogramVec

	// CacheHitsTotal counts look-ups that the cache answered: cache_hits_total.
	CacheHitsTotal *tacho.Counter
	// CacheMissesTotal counts look-ups that it did not: cache_misses_total.
	CacheMissesTotal *tacho.Counter
}

// New returns the metrics in a registry of their own; opts as for [NewIn].
func New(opts ...tacho.Option) *AppMetrics { return NewIn(tacho.NewRegistry(), opts...) }

// NewIn defines the metrics in reg, or finds those that are defined there
// already. It panics with a *[tacho.DefinitionError] if another metric of reg
// has one of the names. opts are those of [tacho.NewHTTPMetrics].
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

// RecordHTTPRequest counts a request that did not pass through
// [AppMetrics.Middleware], and its duration in seconds. The path is normalised;
// see [tacho.HTTPMetrics.Record]. A negative, NaN or endless duration is left
// out and counted in tacho_errors_total; the request counts all the same.
func (m *AppMetrics) RecordHTTPRequest(method, path string, status int, seconds float64) {
	d := time.Duration(-1)
	if 0 <= seconds && seconds < math.MaxInt64/1e9 {
		d = time.Duration(math.Round(seconds * 1e9))
	}
	m.HTTP.Record(method, path, status, d, -1)
}

// RecordTokens counts the tokens that a call of a model took in and gave out,
// and adds its cost in US dollars. A negative or NaN cost is refused and counted
// in tacho_errors_total; the tokens count all the same.
func (m *AppMetrics) RecordTokens(model string, input, output uint64, cost float64) {
	m.TokensUsedTotal.With(model, "input").Add(input)
	m.TokensUsedTotal.With(model, "output").Add(output)
	m.TokensCostDollars.With(model).Add(cost)
}

// ObserveDB lets each scrape read the connections of db, [AppMetrics.DBConnectionsActive]
// and [AppMetrics.DBConnectionsIdle], which the program then leaves alone, and adds its
// limit, waits and closed connections; see [sqlstats.Register]. The numbers of several
// pools are added up. Call it once for each.
func (m *AppMetrics) ObserveDB(db *sql.DB) { sqlstats.Register(m.Registry, db, "") }

// Middleware returns next with every request measured; see
// [tacho.HTTPMetrics.Handler].
func (m *AppMetrics) Middleware(next http.Handler) http.Handler { return m.HTTP.Handler(next) }

// Routes returns a handler that serves /metrics in the format that the client
// prefers and /metrics/json as JSON (see [tacho.Registry.Handler]), and answers 404
// elsewhere.
func (m *AppMetrics) Routes() http.Handler {
	text, json := m.Registry.Handler(), m.Registry.JSONHandler()
	// No ServeMux: that redirects //metrics and the like, which are elsewhere.
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/metrics":
			text.ServeHTTP(w, r)
		case "/metrics/json":
			json.ServeHTTP(w, r)
		default:
			http.NotFound(w, r)
		}
	})
}
