package conformance

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/sqlstats"
)

// A noDriver is a driver without a database. Connections succeed.
type noDriver struct{}

func (noDriver) Connect(context.Context) (driver.Conn, error) { return noDriver{}, nil }
func (noDriver) Driver() driver.Driver                        { return nil }
func (noDriver) Prepare(string) (driver.Stmt, error)          { return nil, errors.ErrUnsupported }
func (noDriver) Close() error                                 { return nil }
func (noDriver) Begin() (driver.Tx, error)                    { return nil, errors.ErrUnsupported }

// TestGoSQL compares RegisterGoSQL with the collector of client_golang: names, types, help
// texts, labels and values are equal. Each statistic of the pool has another value than 0.
func TestGoSQL(t *testing.T) {
	db := sql.OpenDB(noDriver{})
	defer db.Close()
	client := prometheus.NewRegistry()
	reg := tacho.NewRegistry()
	for _, name := range []string{"main", ""} {
		client.MustRegister(collectors.NewDBStatsCollector(db, name))
		defer sqlstats.RegisterGoSQL(reg, db, name)()
	}
	compare := func(step string) {
		t.Helper()
		got, want := tachoFamilies(t, reg), clientFamilies(t, client)
		if names := slices.Sorted(maps.Keys(want)); len(names) != 9 || !slices.Equal(got.names(), names) {
			t.Fatalf("%s: families\n%q, want those of client_golang\n%q", step, got.names(), names)
		}
		for name := range want {
			if got, want := got[name].String(), want[name].String(); got != want {
				t.Errorf("%s: %s, want\n%s", step, got, want)
			}
		}
	}
	compare("without connections")

	acquire := func() *sql.Conn {
		c, err := db.Conn(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	db.SetMaxOpenConns(3)
	db.SetMaxIdleConns(2)
	conns := []*sql.Conn{acquire(), acquire(), acquire()}
	waiting := make(chan struct{})
	go func() {
		defer close(waiting)
		acquire().Close()
	}()
	for db.Stats().WaitCount == 0 {
		time.Sleep(time.Millisecond)
	}
	compare("with a wait")
	for _, c := range conns {
		c.Close()
	}
	<-waiting
	compare("with idle connections")

	db.SetConnMaxIdleTime(time.Nanosecond)
	for db.Stats().MaxIdleTimeClosed == 0 { // package sql looks for such connections every second
		time.Sleep(10 * time.Millisecond)
	}
	db.SetConnMaxIdleTime(0)
	db.SetConnMaxLifetime(time.Nanosecond)
	for range 2 {
		acquire().Close()
	}
	db.SetConnMaxLifetime(0)
	defer acquire().Close()
	acquire().Close() // one connection is in use, and one is idle
	compare("with closed connections")
	s := db.Stats()
	for what, n := range map[string]int64{
		"MaxOpenConnections": int64(s.MaxOpenConnections), "OpenConnections": int64(s.OpenConnections), "InUse": int64(s.InUse), "Idle": int64(s.Idle),
		"WaitCount": s.WaitCount, "WaitDuration": int64(s.WaitDuration),
		"MaxIdleClosed": s.MaxIdleClosed, "MaxIdleTimeClosed": s.MaxIdleTimeClosed, "MaxLifetimeClosed": s.MaxLifetimeClosed,
	} {
		if n == 0 {
			t.Errorf("%s is 0, so the test does not compare it", what)
		}
	}
}
