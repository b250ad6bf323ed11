package integration

import (
	"context"
	"database/sql"
	"os"
	"strings"
	"testing"
	"time"

	_ "github.com/lib/pq"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/sqlstats"
	"github.com/tachikoma/tacho/tachikoma"
	"github.com/tachikoma/tacho/tachotest"
)

// open returns a connection pool for the PostgreSQL server of .ci/postgres. The
// application_name of the connections is app. Without POSTGRES_DSN, open skips the test.
func open(t *testing.T, app string) *sql.DB {
	t.Helper()
	dsn := os.Getenv("POSTGRES_DSN")
	if dsn == "" {
		t.Skip("no POSTGRES_DSN: run .ci/postgres")
	}
	db, err := sql.Open("postgres", dsn+" application_name="+app)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// sessions returns the number of sessions of app on the server, over a separate
// connection.
func sessions(t *testing.T, app string) float64 { return count(t, app, "") }

// asleep returns the number of sessions of app whose query sleeps. A session without a query
// ignores a cancellation.
func asleep(t *testing.T, app string) float64 { return count(t, app, " and wait_event = 'PgSleep'") }

func count(t *testing.T, app, condition string) (n float64) {
	t.Helper()
	query := "select count(*) from pg_stat_activity where application_name = $1" + condition
	db := open(t, "observer")
	defer db.Close() // the server allows 100 connections
	if err := db.QueryRow(query, app).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// eventually calls f until f returns true. After half a minute the test fails.
func eventually(t *testing.T, condition string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if f() {
			return
		}
	}
	t.Errorf("timeout while waiting for %s", condition)
}

// TestTachikomaPool compares the metrics of a pool with the sessions in PostgreSQL.
func TestTachikomaPool(t *testing.T) {
	const app = "tachikoma"
	m := tachikoma.New()
	db := open(t, app)
	db.SetMaxOpenConns(3)
	db.SetMaxIdleConns(3)
	m.ObserveDB(db)
	value := func(name string, labels ...string) float64 {
		t.Helper()
		return tachotest.Value(t, m.Registry, name, labels...)
	}
	want := func(name string, v float64, labels ...string) {
		t.Helper()
		if got := value(name, labels...); got != v {
			t.Errorf("%s%q is %v, want %v", name, labels, got, v)
		}
	}
	want("db_connections_active", 0)
	want("db_connections_idle", 0)
	want("db_connections_max_open", 3)

	// Three queries use all connections, and a fourth request waits for a connection.
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error)
	query := func(kind, text string) {
		defer m.DBQueryDurationSeconds.With(kind).ObserveSince(time.Now())
		_, err := db.ExecContext(ctx, text)
		ended <- err
	}
	for range 3 {
		go query("sleep", "select pg_sleep(600)")
	}
	eventually(t, "three queries", func() bool { return asleep(t, app) == 3 })
	want("db_connections_active", 3)
	want("db_connections_idle", 0)
	go func() {
		conn, err := db.Conn(context.Background())
		if err == nil {
			err = conn.Close()
		}
		ended <- err
	}()
	eventually(t, "a wait", func() bool { return value("db_connections_wait_count_total") == 1 })
	want("db_connections_wait_seconds_total", 0) // counted at the end of a wait
	cancel()
	failed := 0
	for range 4 {
		if err := <-ended; err != nil {
			failed++
		}
	}
	if failed != 3 {
		t.Errorf("%d queries failed, want the 3 canceled queries", failed)
	}
	if value("db_connections_wait_seconds_total") <= 0 {
		t.Error("db_connections_wait_seconds_total is still 0 after the wait")
	}
	// A canceled query may close its connection. The pool then opens a new connection
	// for the waiting request, and a connection counts as active during the opening.
	eventually(t, "no connection in use", func() bool { return value("db_connections_active") == 0 })
	eventually(t, "equal numbers of idle connections and sessions", func() bool { return value("db_connections_idle") == sessions(t, app) })

	eventually(t, "timed queries", func() bool { return value("db_query_duration_seconds_count", "query_type", "sleep") == 3 })
	ctx = context.Background()
	go query("nap", "select pg_sleep(0.02)")
	if err := <-ended; err != nil {
		t.Error(err)
	}
	eventually(t, "a timed query", func() bool { return value("db_query_duration_seconds_count", "query_type", "nap") == 1 })
	want("db_query_duration_seconds_bucket", 0, "query_type", "nap", "le", "0.01") // the query sleeps for 20 ms
	var scrape strings.Builder
	if err := m.Registry.WriteText(&scrape); err != nil || strings.Contains(scrape.String(), "tacho_errors_total{") {
		t.Errorf("error %v or tacho_errors_total in\n%s", err, scrape.String())
	}
}

// TestClosedConnections exceeds each limit of a pool.
func TestClosedConnections(t *testing.T) {
	const app = "closed"
	db := open(t, app)
	reg := tacho.NewRegistry()
	sqlstats.Register(reg, db, app)
	closed := func(reason string) float64 {
		t.Helper()
		return tachotest.Value(t, reg, "db_connections_closed_total", "db", app, "reason", reason)
	}
	fill := func(n int) {
		t.Helper()
		var conns []*sql.Conn
		for range n {
			conn, err := db.Conn(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			conns = append(conns, conn)
		}
		for _, conn := range conns {
			if err := conn.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	db.SetMaxIdleConns(1)
	fill(3)
	if n := closed("max_idle"); n != 2 {
		t.Errorf("%v connections closed for max_idle, want 2", n)
	}
	eventually(t, "one session", func() bool { return sessions(t, app) == 1 })

	db.SetConnMaxIdleTime(time.Millisecond)
	eventually(t, "a connection closed for max_idle_time", func() bool { return closed("max_idle_time") == 1 && sessions(t, app) == 0 })

	db.SetConnMaxIdleTime(0)
	fill(1)
	db.SetConnMaxLifetime(time.Millisecond)
	eventually(t, "a connection closed for max_lifetime", func() bool { return closed("max_lifetime") == 1 && sessions(t, app) == 0 })
	if n := tachotest.Value(t, reg, "db_connections_idle", "db", app); n != 0 {
		t.Errorf("%v idle connections, want 0", n)
	}
}
