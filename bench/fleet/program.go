//go:build unix

package main

import (
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/push"
)

// A program is one simulated program. It has a registry, a pusher and a transport of its own.
type program struct {
	labels   []string // job and instance
	reg      *tacho.Registry
	pusher   *push.Pusher // nil if the program is scraped
	wire     *wire
	beats    atomic.Uint64 // number of expositions
	first    uint64        // value of the counter of the expositions at the start
	counters []*tacho.Counter
}

// beatName is the counter of the expositions of a program. A value that the receiver does not have
// is a lost exposition.
const beatName = "fleet_beat_total"

// newProgram returns program number n with at least minSeries series.
func newProgram(n int, c *config) *program {
	p := &program{reg: tacho.NewRegistry()}
	if c.scenario == twins {
		p.first = uint64(n%2) * 1000 // twins do different work
	}
	p.labels = []string{"job", "fleet", "instance", instance(n, c)}
	p.define(c.series)
	return p
}

// instance returns the label instance of program n. In the scenario twins, two programs share it.
func instance(n int, c *config) string {
	if c.scenario == twins {
		n /= 2
	}
	return fmt.Sprintf("program-%05d.example.com:8080", n)
}

const minSeries = 50

// define defines metrics with the shape of an ordinary service. About 40 % of the series are those of
// classic histograms, 10 % are gauges, and the others are counters. Half of the counters move between
// two expositions.
func (p *program) define(series int) {
	const perHistogram = 13 // 10 buckets, +Inf, _sum and _count
	histograms, gauges := series*4/10/perHistogram, series/10
	counters := series - histograms*perHistogram - gauges - 1
	p.reg.CounterFunc(beatName, "Expositions.", func() float64 {
		p.move()
		return float64(p.first + p.beats.Add(1))
	})
	requests := p.reg.CounterVec("http_requests_total", "Requests.", []string{"method", "path", "status"})
	for i := range counters {
		c := requests.With([]string{"GET", "POST", "PUT"}[i%3], path(i/15), []string{"200", "201", "404", "429", "500"}[i/3%5])
		c.Add(uint64(i * 1000))
		p.counters = append(p.counters, c)
	}
	durations := p.reg.HistogramVec("http_request_duration_seconds", "Duration.",
		[]float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5}, []string{"path"})
	for i := range histograms {
		h := durations.With(path(i))
		for j := range 100 {
			h.Observe(float64(j*j) / 2000)
		}
	}
	pools := p.reg.GaugeVec("pool_connections", "Connections.", []string{"pool"})
	for i := range gauges {
		pools.With("pool-" + strconv.Itoa(i)).Set(int64(i))
	}
}

func path(i int) string { return "/api/v1/resource-" + strconv.Itoa(i) }

// move changes half of the counters.
func (p *program) move() {
	for i := 0; i < len(p.counters); i += 2 {
		p.counters[i].Add(uint64(i%7 + 1))
	}
}

// connect gives the program a pusher that pushes to base.
func (p *program) connect(base string, c *config, w *wire) error {
	var target push.Target
	switch c.mode {
	case modeText:
		target = push.VictoriaMetrics{URL: base, Labels: p.labels}
	default:
		target = push.RemoteWrite{URL: base + "/api/v1/write", Labels: p.labels}
	}
	p.wire = w
	var err error
	p.pusher, err = push.New(target, push.Config{
		Registry: p.reg,
		Metrics:  tacho.NewRegistry(), // so that the number of series is that of the flag
		Client:   &http.Client{Transport: w},
		Interval: c.interval,
	})
	return err
}
