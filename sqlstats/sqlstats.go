// Package sqlstats measures connection pools of package database/sql and the durations
// of queries. [Register] exposes the statistics of a pool. [QueryDuration] defines a
// histogram for queries:
//
//	db, err := sql.Open("pgx", dsn)
//	if err != nil {
//		log.Fatal(err)
//	}
//	sqlstats.Register(tacho.Default, db, "")
//	queries := sqlstats.QueryDuration(tacho.Default)
//
//	func missions(ctx context.Context) (*sql.Rows, error) {
//		defer queries.With("select").ObserveSince(time.Now())
//		return db.QueryContext(ctx, "select id, name from missions")
//	}
package sqlstats

import (
	"database/sql"
	"sync"

	"github.com/tachikoma/tacho"
)

// Register defines the statistics of db in reg. Every scrape of reg reads [sql.DB.Stats]:
//
//	db_connections_active              gauge    connections in use
//	db_connections_idle                gauge    idle connections
//	db_connections_max_open            gauge    limit of open connections, 0 without a limit
//	db_connections_wait_count_total    counter  waits for a connection
//	db_connections_wait_seconds_total  counter  time of these waits
//	db_connections_closed_total        counter  by reason: max_idle, max_idle_time, max_lifetime
//
// The metrics have the label db with the value name. If name is empty, the metrics have
// no label db. The statistics of pools with the same name are added together.
//
// Call Register once for each pool. A second call with the same name counts the pool
// twice. The registry keeps a reference to db.
//
// Register panics with a *[tacho.DefinitionError] if reg has a different metric of the
// same name. Register also panics if some pools of reg have a name and some have an
// empty name. Register and the scrapes are safe for concurrent use.
func Register(reg *tacho.Registry, db *sql.DB, name string) {
	var labels, values []string
	if name != "" {
		labels, values = []string{"db"}, []string{name}
	}
	active := reg.GaugeVec("db_connections_active", "Active database connections", labels)
	idle := reg.GaugeVec("db_connections_idle", "Idle database connections", labels)
	maxOpen := reg.GaugeVec("db_connections_max_open", "Limit of open database connections, 0 if there is none", labels)
	waits := reg.CounterVec("db_connections_wait_count_total", "Total waits for a database connection", labels)
	waitSeconds := reg.FloatCounterVec("db_connections_wait_seconds_total", "Total time of waits for a database connection in seconds",
		labels, tacho.WithUnit("seconds"))
	closed := reg.CounterVec("db_connections_closed_total", "Total database connections closed because of a limit of the pool",
		append(labels, "reason"))
	p := &pool{
		db:          db,
		active:      active.With(values...),
		idle:        idle.With(values...),
		maxOpen:     maxOpen.With(values...),
		waits:       waits.With(values...),
		waitSeconds: waitSeconds.With(values...),
		maxIdle:     closed.With(append(values, "max_idle")...),
		maxIdleTime: closed.With(append(values, "max_idle_time")...),
		maxLifetime: closed.With(append(values, "max_lifetime")...),
	}
	p.update(nil)
	reg.Collect(p.update)
}

// A pool adds the changes of its statistics to the series. Several pools can therefore
// share a series.
type pool struct {
	db *sql.DB

	active, idle, maxOpen             *tacho.Gauge
	waits                             *tacho.Counter
	waitSeconds                       *tacho.FloatCounter
	maxIdle, maxIdleTime, maxLifetime *tacho.Counter

	mu   sync.Mutex // held by update, because scrapes can overlap
	last sql.DBStats
}

// update adds the changes since the last update to all series.
func (p *pool) update(*tacho.Emitter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now, last := p.db.Stats(), p.last
	p.last = now
	p.active.Add(int64(now.InUse - last.InUse))
	p.idle.Add(int64(now.Idle - last.Idle))
	p.maxOpen.Add(int64(now.MaxOpenConnections - last.MaxOpenConnections))
	p.waits.Add(uint64(now.WaitCount - last.WaitCount))
	p.waitSeconds.Add((now.WaitDuration - last.WaitDuration).Seconds())
	p.maxIdle.Add(uint64(now.MaxIdleClosed - last.MaxIdleClosed))
	p.maxIdleTime.Add(uint64(now.MaxIdleTimeClosed - last.MaxIdleTimeClosed))
	p.maxLifetime.Add(uint64(now.MaxLifetimeClosed - last.MaxLifetimeClosed))
}
