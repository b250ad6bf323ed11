package goruntime

import (
	"runtime/debug"
	"runtime/metrics"
	"time"

	"github.com/tachikoma/tacho"
)

var lastGC = family{name: "go_memstats_last_gc_time_seconds",
	help: "When the latest garbage collection ended, in seconds since 1970; 0 if there was none."}

// A pauses holds the pause times of garbage collections. Package runtime/metrics has
// only a histogram of pauses, without the sum and without exact quantiles.
type pauses struct {
	stats     debug.GCStats // reused: ReadGCStats keeps its slices
	quantiles []tacho.Quantile
}

func newPauses() *pauses {
	// Dashboards use the quantiles of client_golang.
	p := &pauses{quantiles: []tacho.Quantile{{Quantile: 0}, {Quantile: 0.25}, {Quantile: 0.5}, {Quantile: 0.75}, {Quantile: 1}}}
	p.stats.PauseQuantiles = make([]time.Duration, len(p.quantiles)) // debug.ReadGCStats fills in evenly spaced quantiles
	return p
}

func (p *pauses) read([]metrics.Sample) { debug.ReadGCStats(&p.stats) }

// last returns the Unix time, in seconds, of the latest garbage collection. If the clock
// was set back since then, last returns the time now, because a time in the future is wrong.
func (p *pauses) last() float64 {
	return float64(min(p.stats.LastGC.UnixNano(), time.Now().UnixNano())) / 1e9
}

func (p *pauses) emit(e *tacho.Emitter) {
	for i, d := range p.stats.PauseQuantiles {
		p.quantiles[i].Value = d.Seconds()
	}
	e.Summary("go_gc_duration_seconds", "Time for which a garbage collection stopped the world.",
		tacho.SummarySnapshot{Count: uint64(p.stats.NumGC), Sum: p.stats.PauseTotal.Seconds(), Quantiles: p.quantiles})
}
