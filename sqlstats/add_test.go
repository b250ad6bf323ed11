package sqlstats

import (
	"database/sql"
	"testing"
	"time"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/tachotest"
)

// TestEveryStatistic: each statistic of a pool reaches its own series. A second reading adds
// the changes. The values differ, because two exchanged statistics would otherwise look right.
func TestEveryStatistic(t *testing.T) {
	type want struct {
		family, reason string
		value          float64
	}
	byDefault := []want{
		{"db_connections_max_open", "", 19},
		{"db_connections_active", "", 17},
		{"db_connections_idle", "", 16},
		{"db_connections_wait_count_total", "", 15},
		{"db_connections_wait_seconds_total", "", 14},
		{"db_connections_closed_total", "max_idle", 13},
		{"db_connections_closed_total", "max_idle_time", 12},
		{"db_connections_closed_total", "max_lifetime", 11},
	}
	for _, c := range []struct {
		name, label string
		define      func(*tacho.Registry, bool) families
		want        []want
	}{
		{"", "", define, byDefault},
		{"main", "db", define, byDefault},
		{"main", "db_name", defineGoSQL, []want{
			{"go_sql_max_open_connections", "", 19},
			{"go_sql_open_connections", "", 18},
			{"go_sql_in_use_connections", "", 17},
			{"go_sql_idle_connections", "", 16},
			{"go_sql_wait_count_total", "", 15},
			{"go_sql_wait_duration_seconds_total", "", 14},
			{"go_sql_max_idle_closed_total", "", 13},
			{"go_sql_max_idle_time_closed_total", "", 12},
			{"go_sql_max_lifetime_closed_total", "", 11},
		}},
	} {
		reg := tacho.NewRegistry()
		p := &pool{labeled: c.label != "", families: c.define(reg, c.label != "")}
		p.key.name = c.name
		p.attach()
		p.add(sql.DBStats{MaxOpenConnections: 90, OpenConnections: 80, InUse: 70, Idle: 60})
		p.add(sql.DBStats{
			MaxOpenConnections: 9, OpenConnections: 8, InUse: 7, Idle: 6, WaitCount: 5, WaitDuration: 4 * time.Second,
			MaxIdleClosed: 3, MaxIdleTimeClosed: 2, MaxLifetimeClosed: 1,
		})
		p.add(sql.DBStats{
			MaxOpenConnections: 19, OpenConnections: 18, InUse: 17, Idle: 16, WaitCount: 15, WaitDuration: 14 * time.Second,
			MaxIdleClosed: 13, MaxIdleTimeClosed: 12, MaxLifetimeClosed: 11,
		})
		var db []string
		if c.label != "" {
			db = []string{c.label, c.name}
		}
		for _, want := range c.want {
			labels := append([]string{}, db...)
			if want.reason != "" {
				labels = append(labels, "reason", want.reason)
			}
			if got := tachotest.Value(t, reg, want.family, labels...); got != want.value {
				t.Errorf("pool %q: %s %s is %v, want %v", c.name, want.family, want.reason, got, want.value)
			}
		}
		p.detach()
	}
}
