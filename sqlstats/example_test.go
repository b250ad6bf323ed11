package sqlstats_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"time"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/sqlstats"
)

func ExampleRegister() {
	db := sql.OpenDB(fakeDriver{}) // or sql.Open("pgx", dsn)
	defer db.Close()
	db.SetMaxOpenConns(20)

	reg := tacho.NewRegistry()
	sqlstats.Register(reg, db, "missions")

	conn, err := db.Conn(context.Background())
	if err != nil {
		panic(err)
	}
	defer conn.Close()
	if err := reg.WriteText(os.Stdout); err != nil {
		panic(err)
	}
	// Output:
	// # HELP db_connections_active Active database connections
	// # TYPE db_connections_active gauge
	// db_connections_active{db="missions"} 1
	// # HELP db_connections_closed_total Total database connections closed because of a limit of the pool
	// # TYPE db_connections_closed_total counter
	// db_connections_closed_total{db="missions",reason="max_idle"} 0
	// db_connections_closed_total{db="missions",reason="max_idle_time"} 0
	// db_connections_closed_total{db="missions",reason="max_lifetime"} 0
	// # HELP db_connections_idle Idle database connections
	// # TYPE db_connections_idle gauge
	// db_connections_idle{db="missions"} 0
	// # HELP db_connections_max_open Limit of open database connections, 0 if there is none
	// # TYPE db_connections_max_open gauge
	// db_connections_max_open{db="missions"} 20
	// # HELP db_connections_wait_count_total Total waits for a database connection
	// # TYPE db_connections_wait_count_total counter
	// db_connections_wait_count_total{db="missions"} 0
	// # HELP db_connections_wait_seconds_total Total time of waits for a database connection in seconds
	// # TYPE db_connections_wait_seconds_total counter
	// db_connections_wait_seconds_total{db="missions"} 0
}

// A program that had client_golang's collectors.NewDBStatsCollector(db, "missions") keeps its
// names.
func ExampleRegisterGoSQL() {
	db := sql.OpenDB(fakeDriver{})
	defer db.Close()
	db.SetMaxOpenConns(20)

	reg := tacho.NewRegistry()
	stop := sqlstats.RegisterGoSQL(reg, db, "missions")
	defer stop()
	for f := range reg.Families() {
		if f.Series > 0 {
			fmt.Println(f.Type, f.Name, f.Labels)
		}
	}
	// Output:
	// gauge go_sql_idle_connections [db_name]
	// gauge go_sql_in_use_connections [db_name]
	// counter go_sql_max_idle_closed_total [db_name]
	// counter go_sql_max_idle_time_closed_total [db_name]
	// counter go_sql_max_lifetime_closed_total [db_name]
	// gauge go_sql_max_open_connections [db_name]
	// gauge go_sql_open_connections [db_name]
	// counter go_sql_wait_count_total [db_name]
	// counter go_sql_wait_duration_seconds_total [db_name]
}

func ExampleQueryDuration() {
	reg := tacho.NewRegistry()
	queries := sqlstats.QueryDuration(reg)

	missions := func(ctx context.Context, db *sql.DB) (*sql.Rows, error) {
		defer queries.With("select").ObserveSince(time.Now())
		return db.QueryContext(ctx, "select id, name from missions")
	}

	db := sql.OpenDB(fakeDriver{}) // every query fails, and failed queries count too
	defer db.Close()
	if _, err := missions(context.Background(), db); err != nil {
		fmt.Println("queries timed:", queries.With("select").Snapshot().Count)
	}
	// Output: queries timed: 1
}
