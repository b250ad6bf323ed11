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
	for _, name := range []string{"", "main"} {
		reg := tacho.NewRegistry()
		p := &pool{families: define(reg, name)}
		p.key.name = name
		p.attach()
		p.add(sql.DBStats{MaxOpenConnections: 90, InUse: 70, Idle: 60})
		p.add(sql.DBStats{
			MaxOpenConnections: 9, InUse: 7, Idle: 6, WaitCount: 5, WaitDuration: 4 * time.Second,
			MaxIdleClosed: 3, MaxIdleTimeClosed: 2, MaxLifetimeClosed: 1,
		})
		p.add(sql.DBStats{
			MaxOpenConnections: 19, InUse: 17, Idle: 16, WaitCount: 15, WaitDuration: 14 * time.Second,
			MaxIdleClosed: 13, MaxIdleTimeClosed: 12, MaxLifetimeClosed: 11,
		})
		var db []string
		if name != "" {
			db = []string{"db", name}
		}
		for _, want := range []struct {
			family, reason string
			value          float64
		}{
			{"db_connections_max_open", "", 19},
			{"db_connections_active", "", 17},
			{"db_connections_idle", "", 16},
			{"db_connections_wait_count_total", "", 15},
			{"db_connections_wait_seconds_total", "", 14},
			{"db_connections_closed_total", "max_idle", 13},
			{"db_connections_closed_total", "max_idle_time", 12},
			{"db_connections_closed_total", "max_lifetime", 11},
		} {
			labels := append([]string{}, db...)
			if want.reason != "" {
				labels = append(labels, "reason", want.reason)
			}
			if got := tachotest.Value(t, reg, want.family, labels...); got != want.value {
				t.Errorf("pool %q: %s %s is %v, want %v", name, want.family, want.reason, got, want.value)
			}
		}
		p.detach()
	}
}
