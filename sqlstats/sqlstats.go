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
	"weak"

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
// twice. The registry keeps a reference to db until the call of stop.
//
// stop ends the registration of this call, for example when the program replaces the pool.
// The gauges lose the connections of the pool, and the counters keep their values. If no
// pool with the name is left, stop deletes the series of the name. Series without the label
// db stay. A second call of stop has no effect.
//
// Register panics with a *[tacho.DefinitionError] if reg has a different metric of the
// same name, or if db is nil. Register also panics if some pools of reg have a name and
// some have an empty name. Register, stop and the scrapes are safe for concurrent use.
func Register(reg *tacho.Registry, db *sql.DB, name string) (stop func()) {
	if db == nil {
		panic(&tacho.DefinitionError{Metric: "db_connections_active", Reason: "the pool is nil"})
	}
	p := &pool{db: db, key: key{weak.Make(reg), name}, families: define(reg, name)}
	p.attach()
	p.update(nil)
	end := reg.Collect(p.update)
	return sync.OnceFunc(func() {
		end()
		p.detach()
	})
}

// The families of pools. The vectors have the label db if the pools have names.
type families struct {
	active, idle, maxOpen *tacho.GaugeVec
	waits                 *tacho.CounterVec
	waitSeconds           *tacho.FloatCounterVec
	closed                *tacho.CounterVec // by reason as well
}

func define(reg *tacho.Registry, name string) families {
	var labels []string
	if name != "" {
		labels = []string{"db"}
	}
	return families{
		active:  reg.GaugeVec("db_connections_active", "Active database connections", labels),
		idle:    reg.GaugeVec("db_connections_idle", "Idle database connections", labels),
		maxOpen: reg.GaugeVec("db_connections_max_open", "Limit of open database connections, 0 if there is none", labels),
		waits:   reg.CounterVec("db_connections_wait_count_total", "Total waits for a database connection", labels),
		waitSeconds: reg.FloatCounterVec("db_connections_wait_seconds_total", "Total time of waits for a database connection in seconds",
			labels, tacho.WithUnit("seconds")),
		closed: reg.CounterVec("db_connections_closed_total", "Total database connections closed because of a limit of the pool",
			append(labels, "reason")),
	}
}

const maxIdle, maxIdleTime, maxLifetime = "max_idle", "max_idle_time", "max_lifetime"

// A key identifies the series of pools with the same name. It does not keep the registry.
type key struct {
	reg  weak.Pointer[tacho.Registry]
	name string
}

// named counts the registered pools with a name. A pool without stop stays in named.
var named struct {
	sync.Mutex
	pools map[key]int
}

// A pool adds the changes of its statistics to the series. Several pools can therefore
// share a series.
type pool struct {
	key      key
	families families

	active, idle, maxOpen             *tacho.Gauge
	waits                             *tacho.Counter
	waitSeconds                       *tacho.FloatCounter
	maxIdle, maxIdleTime, maxLifetime *tacho.Counter

	mu   sync.Mutex // held by update, because scrapes can overlap
	db   *sql.DB    // nil after detach
	last sql.DBStats
}

// values returns the values of the labels, with more at the end.
func (p *pool) values(more ...string) []string {
	if p.key.name == "" {
		return more
	}
	return append([]string{p.key.name}, more...)
}

// attach creates the series, or shares them with other pools of the same name.
func (p *pool) attach() {
	named.Lock()
	defer named.Unlock()
	if named.pools == nil {
		named.pools = map[key]int{}
	}
	if p.key.name != "" {
		named.pools[p.key]++
	}
	f, values := &p.families, p.values()
	p.active = f.active.With(values...)
	p.idle = f.idle.With(values...)
	p.maxOpen = f.maxOpen.With(values...)
	p.waits = f.waits.With(values...)
	p.waitSeconds = f.waitSeconds.With(values...)
	p.maxIdle = f.closed.With(p.values(maxIdle)...)
	p.maxIdleTime = f.closed.With(p.values(maxIdleTime)...)
	p.maxLifetime = f.closed.With(p.values(maxLifetime)...)
}

// detach removes the pool from the series, or deletes the series if no other pool shares
// them. The pool then has no reference to the database.
func (p *pool) detach() {
	p.update(nil) // the counters get the changes since the last scrape
	p.mu.Lock()
	p.db = nil
	p.add(sql.DBStats{
		WaitCount:         p.last.WaitCount,
		WaitDuration:      p.last.WaitDuration,
		MaxIdleClosed:     p.last.MaxIdleClosed,
		MaxIdleTimeClosed: p.last.MaxIdleTimeClosed,
		MaxLifetimeClosed: p.last.MaxLifetimeClosed,
	})
	p.mu.Unlock()
	if p.key.name == "" {
		return // the program can hold the gauges, as package tachikoma does
	}
	named.Lock()
	defer named.Unlock()
	if named.pools[p.key]--; named.pools[p.key] > 0 {
		return
	}
	delete(named.pools, p.key)
	f, values := &p.families, p.values()
	f.active.Delete(values...)
	f.idle.Delete(values...)
	f.maxOpen.Delete(values...)
	f.waits.Delete(values...)
	f.waitSeconds.Delete(values...)
	for _, reason := range []string{maxIdle, maxIdleTime, maxLifetime} {
		f.closed.Delete(p.values(reason)...)
	}
}

// update adds the changes since the last update to all series.
func (p *pool) update(*tacho.Emitter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.db != nil {
		p.add(p.db.Stats())
	}
}

// add adds the changes from p.last to now. The caller holds p.mu.
func (p *pool) add(now sql.DBStats) {
	last := p.last
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
