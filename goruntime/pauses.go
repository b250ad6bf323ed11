package goruntime

import (
	"runtime/debug"
	"time"

	"github.com/tachikoma/tacho"
)

var lastGC = family{name: "go_memstats_last_gc_time_seconds",
	help: "When the latest garbage collection ended, in seconds since 1970; 0 if there was none."}

// pauses are how long the garbage collector stopped the world, once a collection
// and in sum. Package runtime/metrics has but a histogram of each single stop, which
// knows neither the sum nor the exact quantiles.
type pauses struct {
	stats     debug.GCStats // its slices are used again
	quantiles []tacho.Quantile
}

// newPauses returns pauses with the quantiles that dashboards ask for.
func newPauses() pauses {
	p := pauses{quantiles: []tacho.Quantile{{Quantile: 0}, {Quantile: 0.25}, {Quantile: 0.5}, {Quantile: 0.75}, {Quantile: 1}}}
	p.stats.PauseQuantiles = make([]time.Duration, len(p.quantiles)) // debug.ReadGCStats spaces them evenly
	return p
}

func (p *pauses) read() { debug.ReadGCStats(&p.stats) }

// last returns the Unix time of the latest collection.
func (p *pauses) last() float64 { return float64(p.stats.LastGC.UnixNano()) / 1e9 }

func (p *pauses) emit(e *tacho.Emitter) {
	for i, d := range p.stats.PauseQuantiles {
		p.quantiles[i].Value = d.Seconds()
	}
	e.Summary("go_gc_duration_seconds", "Time for which a garbage collection stopped the world.",
		tacho.SummarySnapshot{Count: uint64(p.stats.NumGC), Sum: p.stats.PauseTotal.Seconds(), Quantiles: p.quantiles})
}
