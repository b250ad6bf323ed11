package sqlstats_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"weak"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/sqlstats"
)

// A fakeDriver is a driver without a database. Connections succeed, and queries fail.
type fakeDriver struct{}

func (fakeDriver) Connect(context.Context) (driver.Conn, error) { return fakeDriver{}, nil }
func (fakeDriver) Driver() driver.Driver                        { return nil }
func (fakeDriver) Prepare(string) (driver.Stmt, error)          { return nil, errors.ErrUnsupported }
func (fakeDriver) Close() error                                 { return nil }
func (fakeDriver) Begin() (driver.Tx, error)                    { return nil, errors.ErrUnsupported }

func open(t testing.TB) *sql.DB {
	db := sql.OpenDB(fakeDriver{})
	t.Cleanup(func() { db.Close() })
	return db
}

// acquire takes n connections from the pool.
func acquire(t *testing.T, db *sql.DB, n int) (conns []*sql.Conn) {
	t.Helper()
	for range n {
		c, err := db.Conn(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	return conns
}

// release returns connections to the pool.
func release(t *testing.T, conns []*sql.Conn) {
	t.Helper()
	for _, c := range conns {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// text returns the exposition of reg in the text format.
func text(t *testing.T, reg *tacho.Registry) string {
	t.Helper()
	var b strings.Builder
	if err := reg.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// wantLines fails the test unless the exposition contains all lines.
func wantLines(t *testing.T, reg *tacho.Registry, lines ...string) {
	t.Helper()
	got := text(t, reg)
	for _, line := range lines {
		if !strings.Contains("\n"+got, "\n"+line+"\n") {
			t.Errorf("no line %s in\n%s", line, got)
		}
	}
}

func TestPool(t *testing.T) {
	reg := tacho.NewRegistry()
	db := open(t)
	db.SetMaxOpenConns(3)
	db.SetMaxIdleConns(3)
	sqlstats.Register(reg, db, "")
	wantLines(t, reg, "# TYPE db_connections_active gauge", "db_connections_active 0", "db_connections_idle 0", "db_connections_max_open 3",
		"# TYPE db_connections_wait_count_total counter", "db_connections_wait_count_total 0", "db_connections_wait_seconds_total 0",
		`db_connections_closed_total{reason="max_idle"} 0`, `db_connections_closed_total{reason="max_idle_time"} 0`, `db_connections_closed_total{reason="max_lifetime"} 0`)

	conns := acquire(t, db, 3)
	wantLines(t, reg, "db_connections_active 3", "db_connections_idle 0")
	waiting := make(chan struct{})
	go func() {
		defer close(waiting)
		c, err := db.Conn(context.Background())
		if err == nil {
			err = c.Close()
		}
		if err != nil {
			t.Error(err)
		}
	}()
	for db.Stats().WaitCount == 0 { // WaitCount rises at the start of a wait, WaitDuration at the end
		time.Sleep(time.Millisecond)
	}
	wantLines(t, reg, "db_connections_wait_count_total 1")
	release(t, conns)
	<-waiting
	wantLines(t, reg, "db_connections_active 0", "db_connections_idle 3", "db_connections_wait_count_total 1")
	if got := text(t, reg); strings.Contains(got, "db_connections_wait_seconds_total 0\n") {
		t.Errorf("db_connections_wait_seconds_total is still 0 in\n%s", got)
	}

	db.SetMaxIdleConns(1)
	wantLines(t, reg, "db_connections_idle 1", `db_connections_closed_total{reason="max_idle"} 2`)
	db.SetConnMaxLifetime(time.Nanosecond)
	release(t, acquire(t, db, 1))
	wantLines(t, reg, "db_connections_active 0", "db_connections_idle 0")
	if got := text(t, reg); strings.Contains(got, `closed_total{reason="max_lifetime"} 0`) {
		t.Errorf("no connection is closed for max_lifetime in\n%s", got)
	}
	for range 2 { // a second scrape adds only the change
		release(t, acquire(t, db, 1))
		wantLines(t, reg, fmt.Sprintf(`db_connections_closed_total{reason="max_lifetime"} %d`, db.Stats().MaxLifetimeClosed))
	}
	db.SetMaxOpenConns(0)
	wantLines(t, reg, "db_connections_max_open 0")
	if got := text(t, reg); strings.Contains(got, "tacho_errors_total") {
		t.Errorf("tacho_errors_total in\n%s", got)
	}
}

func TestPoolsByName(t *testing.T) {
	reg := tacho.NewRegistry()
	a, b := open(t), open(t)
	sqlstats.Register(reg, a, "main")
	sqlstats.Register(reg, b, `re"plica`)
	defer release(t, acquire(t, a, 1))
	defer release(t, acquire(t, b, 2))
	wantLines(t, reg, `db_connections_active{db="main"} 1`, `db_connections_active{db="re\"plica"} 2`,
		`db_connections_closed_total{db="main",reason="max_idle"} 0`)
}

func TestPoolsShareName(t *testing.T) {
	reg := tacho.NewRegistry()
	a, b := open(t), open(t)
	conns := acquire(t, a, 1) // before Register
	a.SetMaxOpenConns(5)
	b.SetMaxOpenConns(10)
	sqlstats.Register(reg, a, "shards")
	sqlstats.Register(reg, b, "shards")
	defer release(t, acquire(t, b, 2))
	wantLines(t, reg, `db_connections_active{db="shards"} 3`, `db_connections_max_open{db="shards"} 15`)
	release(t, conns)
	wantLines(t, reg, `db_connections_active{db="shards"} 2`, `db_connections_idle{db="shards"} 1`)
}

// TestGoSQL: a pool has the names of client_golang, and can have both sets of names. The
// series of a name go with its last pool.
func TestGoSQL(t *testing.T) {
	reg := tacho.NewRegistry()
	a, b := open(t), open(t)
	a.SetMaxOpenConns(5)
	defer release(t, acquire(t, a, 2))
	defer release(t, acquire(t, b, 1))
	stopA := sqlstats.RegisterGoSQL(reg, a, "main")
	stopB := sqlstats.RegisterGoSQL(reg, b, "main")
	stopEmpty := sqlstats.RegisterGoSQL(reg, b, "")
	stopBoth := sqlstats.Register(reg, a, "main")
	release(t, acquire(t, a, 1))
	wantLines(t, reg, "# TYPE go_sql_open_connections gauge", `go_sql_open_connections{db_name="main"} 4`, `go_sql_open_connections{db_name=""} 1`,
		`go_sql_in_use_connections{db_name="main"} 3`, `go_sql_idle_connections{db_name="main"} 1`, `go_sql_max_open_connections{db_name="main"} 5`,
		"# TYPE go_sql_max_idle_closed_total counter", `go_sql_max_idle_closed_total{db_name="main"} 0`,
		`db_connections_active{db="main"} 2`)
	stopA()
	stopA()
	stopBoth()
	wantLines(t, reg, `go_sql_open_connections{db_name="main"} 1`, `go_sql_max_open_connections{db_name="main"} 0`)
	if got := text(t, reg); strings.Contains(got, "db_connections") {
		t.Errorf("after the stop of db_connections_*: got\n%s", got)
	}
	stopB()
	stopEmpty()
	if got := text(t, reg); got != "" {
		t.Errorf("after the last stop: got\n%s", got)
	}
}

func TestNameAndEmptyName(t *testing.T) {
	reg := tacho.NewRegistry()
	sqlstats.Register(reg, open(t), "")
	_, err := tacho.Try(func() struct{} { sqlstats.Register(reg, open(t), "main"); return struct{}{} })
	if err == nil || !strings.Contains(err.Error(), "labels") || !strings.Contains(err.Error(), "sqlstats_test.go:") {
		t.Errorf("got error %v, want labels and a position in this file", err)
	}
}

// TestConflictLeavesNoSeries checks that a failed Register leaves no series. A remaining
// series would falsely show 0 connections.
func TestConflictLeavesNoSeries(t *testing.T) {
	reg := tacho.NewRegistry()
	reg.Counter("db_connections_closed_total", "Another definition.")
	before := text(t, reg)
	_, err := tacho.Try(func() struct{} { sqlstats.Register(reg, open(t), ""); return struct{}{} })
	if err == nil {
		t.Error("no conflict")
	}
	if got := text(t, reg); got != before {
		t.Errorf("after the conflict the registry exposes\n%s", got)
	}
}

// TestStop checks the series while pools of one name come and go.
func TestStop(t *testing.T) {
	reg := tacho.NewRegistry()
	a, b := open(t), open(t)
	a.SetMaxOpenConns(5)
	b.SetMaxOpenConns(10)
	a.SetMaxIdleConns(-1)
	stopA := sqlstats.Register(reg, a, "shards")
	stopB := sqlstats.Register(reg, b, "shards")
	defer release(t, acquire(t, b, 2))
	release(t, acquire(t, a, 3)) // closed for max_idle after the last scrape
	held := acquire(t, a, 1)
	stopA()
	stopA()
	release(t, held)
	wantLines(t, reg, `db_connections_active{db="shards"} 2`, `db_connections_max_open{db="shards"} 10`,
		`db_connections_closed_total{db="shards",reason="max_idle"} 3`)
	stopB()
	if got := text(t, reg); got != "" {
		t.Errorf("after the last stop: got\n%s", got)
	}
	sqlstats.Register(reg, a, "shards")
	wantLines(t, reg, `db_connections_active{db="shards"} 0`, `db_connections_max_open{db="shards"} 5`)
}

// TestStopWithoutName checks that series without the label db stay: the program can hold
// them.
func TestStopWithoutName(t *testing.T) {
	reg := tacho.NewRegistry()
	active := reg.Gauge("db_connections_active", "Active database connections")
	db := open(t)
	db.SetMaxOpenConns(5)
	stop := sqlstats.Register(reg, db, "")
	defer release(t, acquire(t, db, 2))
	wantLines(t, reg, "db_connections_active 2")
	stop()
	wantLines(t, reg, "db_connections_active 0", "db_connections_max_open 0")
	active.Set(1)
	wantLines(t, reg, "db_connections_active 1")
}

// TestStopFreesPool checks that neither the registry nor the package keeps a pool after
// stop.
func TestStopFreesPool(t *testing.T) {
	reg := tacho.NewRegistry()
	var pools []weak.Pointer[sql.DB]
	for i := range 100 {
		db := sql.OpenDB(fakeDriver{})
		db.SetMaxOpenConns(10)
		pools = append(pools, weak.Make(db))
		stop := sqlstats.Register(reg, db, strconv.Itoa(i))
		text(t, reg)
		stop()
		db.Close()
	}
	kept := len(pools)
	for end := time.Now().Add(30 * time.Second); kept > 0 && time.Now().Before(end); time.Sleep(time.Millisecond) {
		runtime.GC() // a goroutine of each closed pool also needs time to end
		kept = 0
		for _, p := range pools {
			if p.Value() != nil {
				kept++
			}
		}
	}
	if kept > 0 {
		t.Errorf("%d of %d stopped pools are still in memory", kept, len(pools))
	}
	if got := text(t, reg); got != "" {
		t.Errorf("after stop: got\n%s", got)
	}
}

// TestStopDuringScrapes swaps pools during scrapes. A scrape never shows negative or stale
// connections.
func TestStopDuringScrapes(t *testing.T) {
	reg := tacho.NewRegistry()
	db := open(t)
	db.SetMaxOpenConns(7)
	defer release(t, acquire(t, db, 2))
	var wg sync.WaitGroup
	for range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range 100 {
				stop := sqlstats.Register(reg, db, "swapped")
				_ = reg.WriteText(io.Discard)
				stop()
			}
		}()
	}
	wg.Wait()
	if got := text(t, reg); got != "" {
		t.Errorf("after the last stop: got\n%s", got)
	}
	sqlstats.Register(reg, db, "swapped")
	wantLines(t, reg, `db_connections_active{db="swapped"} 2`, `db_connections_max_open{db="swapped"} 7`)
}

func TestScrapesOverlap(t *testing.T) {
	reg := tacho.NewRegistry()
	db := open(t)
	sqlstats.Register(reg, db, "")
	defer release(t, acquire(t, db, 4))
	var wg sync.WaitGroup
	for range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range 50 {
				wantLines(t, reg, "db_connections_active 4")
			}
		}()
	}
	wg.Wait()
}

func TestAllocationsConstant(t *testing.T) {
	reg := tacho.NewRegistry()
	db := open(t)
	sqlstats.Register(reg, db, "main")
	allocs := func() float64 {
		return testing.AllocsPerRun(50, func() { _ = reg.WriteText(io.Discard) })
	}
	first := allocs()
	defer release(t, acquire(t, db, 100))
	if last := allocs(); last > first+1 { // a scrape may allocate a new buffer
		t.Errorf("%v allocations in a scrape with 100 connections, %v without", last, first)
	}
}

func TestQueryDuration(t *testing.T) {
	reg := tacho.NewRegistry()
	queries := sqlstats.QueryDuration(reg)
	func() {
		defer func() { _ = recover() }()
		defer queries.With("select").ObserveSince(time.Now())
		panic("a failed query counts too")
	}()
	queries.With("insert").Observe(0.02)
	wantLines(t, reg, "# TYPE db_query_duration_seconds histogram", `db_query_duration_seconds_count{query_type="select"} 1`,
		`db_query_duration_seconds_bucket{query_type="insert",le="0.01"} 0`, `db_query_duration_seconds_bucket{query_type="insert",le="0.025"} 1`)
	if n := testing.AllocsPerRun(100, func() {
		defer queries.With("select").ObserveSince(time.Now())
	}); n != 0 {
		t.Errorf("%v allocations to time a query, want 0", n)
	}
}
