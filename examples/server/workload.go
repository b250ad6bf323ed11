//go:build !tacho_nohttp

package main

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/tachikoma/tacho/tachikoma"
)

// workload makes up a server's day until ctx ends.
func workload(ctx context.Context, m *tachikoma.AppMetrics) {
	m.DBConnectionsIdle.Set(10)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		work(m)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// work is one step, which moves every metric.
func work(m *tachikoma.AppMetrics) {
	step(m.MissionsActive.Value(), m.MissionsActive.Add, func() {
		m.MissionsTotal.With("completed").Inc()
	}, func() {
		m.MissionsTotal.With("created").Inc()
	})
	step(m.ForgeSessionsActive.Value(), m.ForgeSessionsActive.Add, func() {
		m.ForgeSessionsTotal.With("closed").Inc()
	}, func() {
		m.ForgeSessionsTotal.With("opened").Inc()
	})

	model := pick("fuchikoma-small", "fuchikoma-large")
	input, output := rand.Uint64N(2000), rand.Uint64N(500)
	m.RecordTokens(model, input, output, float64(input)*3e-6+float64(output)*15e-6)

	busy := rand.Int64N(10)
	m.DBConnectionsActive.Set(busy)
	m.DBConnectionsIdle.Set(10 - busy)
	m.DBQueryDurationSeconds.With(pick("select", "insert", "update")).Observe(rand.ExpFloat64() * 0.01)

	if rand.IntN(10) < 8 {
		m.CacheHitsTotal.Inc()
	} else {
		m.CacheMissesTotal.Inc()
	}
}

// step lets the number of things under way, now n, wander between 0 and 10.
func step(n int64, add func(int64), ended, began func()) {
	if n > 0 && rand.Int64N(10) < n {
		add(-1)
		ended()
		return
	}
	add(1)
	began()
}

func pick(from ...string) string { return from[rand.IntN(len(from))] }
