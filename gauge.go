package tacho

import (
	"math"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/tachikoma/tacho/internal/atomicfloat"
	"github.com/tachikoma/tacho/internal/expo"
	"github.com/tachikoma/tacho/internal/store"
)

// A Gauge is an int64 that goes up and down, such as the length of a queue (OpenMetrics
// 1.0, "Gauge"). All methods are safe for concurrent use, never block and never allocate.
// [Registry.Gauge] makes a Gauge. A zero Gauge is ready for use, but no scrape shows it.
//
// If many cores change one gauge all the time, use two counters instead, for the starts
// and the ends: counters grow with contention and a gauge does not.
type Gauge struct{ n atomic.Int64 }

// A GaugeVec is a [Vec] of gauges.
type GaugeVec = Vec[Gauge]

var gauges = metricType{expo.Gauge, false, unsafe.Sizeof(Gauge{}), newGauge, encodeGauges}

func newGauge(_ *family, n int, apart bool, _ string) unsafe.Pointer {
	return unsafe.Pointer(&make([]Gauge, metricsPerAllocation(n, apart, unsafe.Sizeof(Gauge{})))[0])
}

// Set sets the value to n.
func (g *Gauge) Set(n int64) { g.n.Store(n) }

// Inc adds 1.
func (g *Gauge) Inc() { g.n.Add(1) }

// Dec subtracts 1.
func (g *Gauge) Dec() { g.n.Add(-1) }

// Add adds n, which may be negative. Past the limits of int64 the value wraps.
func (g *Gauge) Add(n int64) { g.n.Add(n) }

// Value returns the value.
func (g *Gauge) Value() int64 { return g.n.Load() }

func encodeGauges(v *vec, e *expo.Encoder) {
	var c store.Cursor
	for ok := v.begin(&c, e); ok; ok = c.Next() {
		for i, metric := range c.Metrics[:c.N] {
			m := (*Gauge)(metric)
			n, negative := m.Value(), false
			if n < 0 {
				n, negative = -n, true // -n of the least int64 is right as a uint64
			}
			if !e.Whole(c.Block(i), uint64(n), negative, nil) {
				return
			}
		}
	}
}

// A FloatGauge is a float64 that goes up and down, such as a temperature (OpenMetrics 1.0,
// "Gauge"). Every value is valid, also NaN and the infinities. All methods are safe for
// concurrent use, never block and never allocate. [Registry.FloatGauge] makes a
// FloatGauge. A zero FloatGauge is ready for use, but no scrape shows it.
type FloatGauge struct{ bits atomic.Uint64 }

// A FloatGaugeVec is a [Vec] of float gauges.
type FloatGaugeVec = Vec[FloatGauge]

var floatGauges = metricType{expo.Gauge, false, unsafe.Sizeof(FloatGauge{}), newFloatGauge, encodeFloatGauges}

func newFloatGauge(_ *family, n int, apart bool, _ string) unsafe.Pointer {
	return unsafe.Pointer(&make([]FloatGauge, metricsPerAllocation(n, apart, unsafe.Sizeof(FloatGauge{})))[0])
}

// Set sets the value to v.
func (g *FloatGauge) Set(v float64) { g.bits.Store(math.Float64bits(v)) }

// Inc adds 1.
func (g *FloatGauge) Inc() { g.Add(1) }

// Dec subtracts 1.
func (g *FloatGauge) Dec() { g.Add(-1) }

// Add adds v, which may be negative.
func (g *FloatGauge) Add(v float64) { atomicfloat.Add(&g.bits, v) }

// SetToCurrentTime sets the value to the current time in Unix seconds.
func (g *FloatGauge) SetToCurrentTime() { g.Set(float64(time.Now().UnixNano()) / 1e9) }

// Value returns the value.
func (g *FloatGauge) Value() float64 { return atomicfloat.Load(&g.bits) }

func encodeFloatGauges(v *vec, e *expo.Encoder) {
	var c store.Cursor
	for ok := v.begin(&c, e); ok; ok = c.Next() {
		for i, metric := range c.Metrics[:c.N] {
			if !e.Float(c.Block(i), (*FloatGauge)(metric).Value(), nil) {
				return
			}
		}
	}
}
