package tacho

import (
	"math"
	"sync/atomic"
	"time"
	"unsafe"
)

// A Gauge is an int64 that goes up and down (OpenMetrics 1.0, "Gauge"). All
// methods are safe for concurrent use, never block and never allocate. Make one
// with [Registry.Gauge].
//
// A gauge has no stripes, since Set must reach its one word: each method is a single
// atomic instruction, and cores that change one gauge at the same time wait for its
// cache line as for any shared word. Where that is too much, two counters, of what
// began and what ended, tell the same.
type Gauge struct{ n atomic.Int64 }

var gauges = metricType{kindGauge, newGauge, walkGauges}

func newGauge(_ *family, _ string, early bool) unsafe.Pointer {
	if early {
		return unsafe.Pointer(&new(struct {
			m Gauge
			_ apart
		}).m)
	}
	return unsafe.Pointer(new(Gauge))
}

// Set makes the value n.
func (g *Gauge) Set(n int64) { g.n.Store(n) }

// Inc adds 1.
func (g *Gauge) Inc() { g.n.Add(1) }

// Dec subtracts 1.
func (g *Gauge) Dec() { g.n.Add(-1) }

// Add adds n, which may be negative; past the ends of int64 it wraps.
func (g *Gauge) Add(n int64) { g.n.Add(n) }

// Value returns the value.
func (g *Gauge) Value() int64 { return g.n.Load() }

// A FloatGauge is a float64 that goes up and down. Every value is legal, NaN
// and the infinities too: the formats write them. All methods are safe for
// concurrent use, lock-free and allocate nothing. Make one with
// [Registry.FloatGauge].
type FloatGauge struct{ bits atomic.Uint64 }

var floatGauges = metricType{kindGauge, newFloatGauge, walkFloatGauges}

func newFloatGauge(_ *family, _ string, early bool) unsafe.Pointer {
	if early {
		return unsafe.Pointer(&new(struct {
			m FloatGauge
			_ apart
		}).m)
	}
	return unsafe.Pointer(new(FloatGauge))
}

// Set makes the value v.
func (g *FloatGauge) Set(v float64) { g.bits.Store(math.Float64bits(v)) }

// Inc adds 1.
func (g *FloatGauge) Inc() { g.Add(1) }

// Dec subtracts 1.
func (g *FloatGauge) Dec() { g.Add(-1) }

// Add adds v, which may be negative.
func (g *FloatGauge) Add(v float64) { addFloat(&g.bits, v) }

// SetToCurrentTime makes the value the time now, in seconds since 1970 UTC.
func (g *FloatGauge) SetToCurrentTime() { g.Set(float64(time.Now().UnixNano()) / 1e9) }

// Value returns the value.
func (g *FloatGauge) Value() float64 { return math.Float64frombits(g.bits.Load()) }
