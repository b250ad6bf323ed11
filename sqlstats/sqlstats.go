// Package sqlstats measures connection pools of package database/sql and the durations
// of queries. [Register] exposes the statistics of a pool. [RegisterGoSQL] does so under the
// names of client_golang. [QueryDuration] defines a histogram for queries:
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
	return register(reg, db, name, "db_connections_active", define, name != "")
}

// RegisterGoSQL defines the statistics of db in reg under the names, labels and help texts of
// client_golang's collectors.NewDBStatsCollector, so dashboards for that collector show the
// values:
//
//	go_sql_max_open_connections          gauge    limit of open connections, 0 without a limit
//	go_sql_open_connections              gauge    connections in use and idle connections
//	go_sql_in_use_connections            gauge    connections in use
//	go_sql_idle_connections              gauge    idle connections
//	go_sql_wait_count_total              counter  waits for a connection
//	go_sql_wait_duration_seconds_total   counter  time of these waits
//	go_sql_max_idle_closed_total         counter  connections closed because of SetMaxIdleConns
//	go_sql_max_idle_time_closed_total    counter  connections closed because of SetConnMaxIdleTime
//	go_sql_max_lifetime_closed_total     counter  connections closed because of SetConnMaxLifetime
//
// The metrics have the label db_name with the value dbName, which can be empty. The last stop
// of a name deletes its series, also if the name is empty. Otherwise RegisterGoSQL is like
// [Register]. A program can register a pool under both sets of names.
func RegisterGoSQL(reg *tacho.Registry, db *sql.DB, dbName string) (stop func()) {
	return register(reg, db, dbName, "go_sql_open_connections", defineGoSQL, true)
}

// register is Register for the families of define. If labeled is false, the families have no
// label for the name. The name first is that of a family, for an error.
func register(reg *tacho.Registry, db *sql.DB, name, first string, define func(*tacho.Registry, bool) families, labeled bool) (stop func()) {
	if db == nil {
		panic(&tacho.DefinitionError{Metric: first, Reason: "the pool is nil"})
	}
	p := &pool{db: db, key: key{weak.Make(reg), name, first}, labeled: labeled, families: define(reg, labeled)}
	p.attach()
	p.update(nil)
	end := reg.Collect(p.update)
	return sync.OnceFunc(func() {
		end()
		p.detach()
	})
}

// The families of pools. The vectors have a label for the name of a pool if pools have names.
type families struct {
	active, idle, maxOpen *tacho.GaugeVec
	open                  *tacho.GaugeVec // nil for none
	waits                 *tacho.CounterVec
	waitSeconds           *tacho.FloatCounterVec
	closed                [numReasons]*tacho.CounterVec
	byReason              bool // closed is the same vector for all reasons, with a label for the reason
}

// The reasons for which a pool closes connections.
const (
	maxIdle = iota
	maxIdleTime
	maxLifetime
	numReasons
)

var reasons = [numReasons]string{"max_idle", "max_idle_time", "max_lifetime"}

func define(reg *tacho.Registry, labeled bool) families {
	var labels []string
	if labeled {
		labels = []string{"db"}
	}
	f := families{
		active:  reg.GaugeVec("db_connections_active", "Active database connections", labels),
		idle:    reg.GaugeVec("db_connections_idle", "Idle database connections", labels),
		maxOpen: reg.GaugeVec("db_connections_max_open", "Limit of open database connections, 0 if there is none", labels),
		waits:   reg.CounterVec("db_connections_wait_count_total", "Total waits for a database connection", labels),
		waitSeconds: reg.FloatCounterVec("db_connections_wait_seconds_total", "Total time of waits for a database connection in seconds",
			labels, tacho.WithUnit("seconds")),
		byReason: true,
	}
	closed := reg.CounterVec("db_connections_closed_total", "Total database connections closed because of a limit of the pool",
		append(labels, "reason"))
	for i := range f.closed {
		f.closed[i] = closed
	}
	return f
}

// The help texts are those of client_golang.
func defineGoSQL(reg *tacho.Registry, _ bool) families {
	labels := []string{"db_name"}
	return families{
		active:  reg.GaugeVec("go_sql_in_use_connections", "The number of connections currently in use.", labels),
		idle:    reg.GaugeVec("go_sql_idle_connections", "The number of idle connections.", labels),
		maxOpen: reg.GaugeVec("go_sql_max_open_connections", "Maximum number of open connections to the database.", labels),
		open:    reg.GaugeVec("go_sql_open_connections", "The number of established connections both in use and idle.", labels),
		waits:   reg.CounterVec("go_sql_wait_count_total", "The total number of connections waited for.", labels),
		waitSeconds: reg.FloatCounterVec("go_sql_wait_duration_seconds_total", "The total time blocked waiting for a new connection.",
			labels, tacho.WithUnit("seconds")),
		closed: [numReasons]*tacho.CounterVec{
			maxIdle: reg.CounterVec("go_sql_max_idle_closed_total",
				"The total number of connections closed due to SetMaxIdleConns.", labels),
			maxIdleTime: reg.CounterVec("go_sql_max_idle_time_closed_total",
				"The total number of connections closed due to SetConnMaxIdleTime.", labels),
			maxLifetime: reg.CounterVec("go_sql_max_lifetime_closed_total",
				"The total number of connections closed due to SetConnMaxLifetime.", labels),
		},
	}
}

// A key identifies the series of pools with the same name. It does not keep the registry.
type key struct {
	reg   weak.Pointer[tacho.Registry]
	name  string
	first string // the name of a family
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
	labeled  bool
	families families

	active, idle, maxOpen *tacho.Gauge
	open                  *tacho.Gauge // nil for none
	waits                 *tacho.Counter
	waitSeconds           *tacho.FloatCounter
	closed                [numReasons]*tacho.Counter

	mu   sync.Mutex // held by update, because scrapes can overlap
	db   *sql.DB    // nil after detach
	last sql.DBStats
}

// values returns the values of the labels.
func (p *pool) values() []string {
	if !p.labeled {
		return nil
	}
	return []string{p.key.name}
}

// closedValues returns the values of the labels of closed connections.
func (p *pool) closedValues(reason int) []string {
	values := p.values()
	if p.families.byReason {
		values = append(values, reasons[reason])
	}
	return values
}

// attach creates the series, or shares them with other pools of the same name.
func (p *pool) attach() {
	named.Lock()
	defer named.Unlock()
	if named.pools == nil {
		named.pools = map[key]int{}
	}
	if p.labeled {
		named.pools[p.key]++
	}
	f, values := &p.families, p.values()
	p.active = f.active.With(values...)
	p.idle = f.idle.With(values...)
	p.maxOpen = f.maxOpen.With(values...)
	p.waits = f.waits.With(values...)
	p.waitSeconds = f.waitSeconds.With(values...)
	for i, closed := range f.closed {
		p.closed[i] = closed.With(p.closedValues(i)...)
	}
	if f.open != nil {
		p.open = f.open.With(values...)
	}
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
	if !p.labeled {
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
	for i, closed := range f.closed {
		closed.Delete(p.closedValues(i)...)
	}
	if f.open != nil {
		f.open.Delete(values...)
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
	p.closed[maxIdle].Add(uint64(now.MaxIdleClosed - last.MaxIdleClosed))
	p.closed[maxIdleTime].Add(uint64(now.MaxIdleTimeClosed - last.MaxIdleTimeClosed))
	p.closed[maxLifetime].Add(uint64(now.MaxLifetimeClosed - last.MaxLifetimeClosed))
	if p.open != nil {
		p.open.Add(int64(now.OpenConnections - last.OpenConnections))
	}
}
