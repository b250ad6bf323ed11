//go:build !tacho_nohttp

package main

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/tachikoma/tacho"
)

// seriesOfFamily is the number of series of a family of scale.
const seriesOfFamily = 5000

// A scale adds many series, families or buckets to a registry.
type scale struct {
	series, families, buckets int
	churn                     bool
}

func (s scale) register(reg *tacho.Registry) {
	for first := 0; first < s.series; first += seriesOfFamily {
		vec := reg.CounterVec(fmt.Sprintf("load_%03d_total", first/seriesOfFamily), "Additional series.", []string{"shard", "path"})
		go count(vec, min(seriesOfFamily, s.series-first))
	}
	for i := range s.families {
		reg.Gauge(fmt.Sprintf("family_%06d", i), "Additional family.").Set(int64(i))
	}
	if s.buckets > 0 {
		go observe(reg.Histogram("wide_seconds", "A histogram with many buckets.", tacho.LinearBuckets(0.001, 0.001, s.buckets-1)), s.buckets)
	}
	if s.churn {
		go churn(reg.GaugeVec("pod_memory_bytes", "Memory of a pod.", []string{"pod"}))
	}
}

// count increments n series once. Each second it then increments one series of a hundred.
func count(vec *tacho.CounterVec, n int) {
	series := make([]*tacho.Counter, n)
	for i := range series {
		series[i] = vec.With(strconv.Itoa(i%16), fmt.Sprintf("/item/%04d", i))
		series[i].Inc()
	}
	for range time.Tick(time.Second) {
		for range max(1, n/100) {
			series[rand.IntN(n)].Inc()
		}
	}
}

// observe adds values in all of the n buckets.
func observe(h *tacho.Histogram, n int) {
	for range time.Tick(100 * time.Millisecond) {
		for range 100 {
			h.Observe(0.001 * float64(rand.IntN(n+1)))
		}
	}
}

// churn replaces 10 of 100 series each second.
func churn(vec *tacho.GaugeVec) {
	pod := func(i int) string { return fmt.Sprintf("pod-%06d", i) }
	next := 0
	for range time.Tick(time.Second) {
		for range 10 {
			vec.With(pod(next)).Set(int64(next) << 20)
			vec.Delete(pod(next - 100))
			next++
		}
	}
}
