// Package sqlstats measures a database/sql pool and the queries that go through it:
//
//	db, err := sql.Open("pgx", dsn)
//	...
//	sqlstats.Register(tacho.Default, db, "")
//	queries := sqlstats.QueryDuration(tacho.Default)
//
//	defer queries.With("select").ObserveSince(time.Now())
package sqlstats

import (
	"database/sql"
	"sync"

	"github.com/tachikoma/tacho"
)

// Register defines in reg what [sql.DB.Stats] says of db, and reads it at each
// scrape:
//
//	db_connections_active              gauge    connections in use
//	db_connections_idle                gauge    connections not in use
//	db_connections_max_open            gauge    limit of both; 0 is none
//	db_connections_wait_count_total    counter  waits for a connection
//	db_connections_wait_seconds_total  counter  time spent in them
//	db_connections_closed_total        counter  by reason: max_idle, max_idle_time, max_lifetime
//
// They have the label db with the value name, but none if name is empty. Pools in
// one registry each have a name, or they share one: then their numbers are added up.
// So call it once for each pool, which reg then keeps. It panics with a
// *[tacho.DefinitionError] if another metric of reg has one of the names, and so too
// if some pools of reg have a name and others none. It is safe for concurrent use,
// and so are the scrapes.
func Register(reg *tacho.Registry, db *sql.DB, name string) {
	var labels, values []string
	if name != "" {
		labels, values = []string{"db"}, []string{name}
	}
	active := reg.GaugeVec("db_connections_active", "Active database connections", labels)
	idle := reg.GaugeVec("db_connections_idle", "Idle database connections", labels)
	maxOpen := reg.GaugeVec("db_connections_max_open", "Limit of open database connections, 0 if there is none", labels)
	waits := reg.CounterVec("db_connections_wait_count_total", "Total waits for a database connection", labels)
	waited := reg.FloatCounterVec("db_connections_wait_seconds_total", "Total time of waits for a database connection in seconds",
		labels, tacho.WithUnit("seconds"))
	closed := reg.CounterVec("db_connections_closed_total", "Total database connections closed because of a limit of the pool",
		append(labels, "reason"))
	p := &pool{
		db:          db,
		active:      active.With(values...),
		idle:        idle.With(values...),
		maxOpen:     maxOpen.With(values...),
		waits:       waits.With(values...),
		waited:      waited.With(values...),
		maxIdle:     closed.With(append(values, "max_idle")...),
		maxIdleTime: closed.With(append(values, "max_idle_time")...),
		maxLifetime: closed.With(append(values, "max_lifetime")...),
	}
	p.update(nil)
	reg.Collect(p.update)
}

// A pool records by how much its numbers changed, so that pools can share a series.
type pool struct {
	db *sql.DB

	active, idle, maxOpen             *tacho.Gauge
	waits                             *tacho.Counter
	waited                            *tacho.FloatCounter
	maxIdle, maxIdleTime, maxLifetime *tacho.Counter

	mu   sync.Mutex // scrapes can overlap
	last sql.DBStats
}

// update brings all series up to date, which a scrape shows afterwards.
func (p *pool) update(*tacho.Emitter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now, last := p.db.Stats(), p.last
	p.last = now
	p.active.Add(int64(now.InUse - last.InUse))
	p.idle.Add(int64(now.Idle - last.Idle))
	p.maxOpen.Add(int64(now.MaxOpenConnections - last.MaxOpenConnections))
	p.waits.Add(uint64(now.WaitCount - last.WaitCount))
	p.waited.Add((now.WaitDuration - last.WaitDuration).Seconds())
	p.maxIdle.Add(uint64(now.MaxIdleClosed - last.MaxIdleClosed))
	p.maxIdleTime.Add(uint64(now.MaxIdleTimeClosed - last.MaxIdleTimeClosed))
	p.maxLifetime.Add(uint64(now.MaxLifetimeClosed - last.MaxLifetimeClosed))
}
