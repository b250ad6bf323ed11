package tacho

import (
	"math"
	"testing"
	"time"

	"github.com/tachikoma/tacho/internal/testkit"
)

// TestGaugeWraps: past the limits of int64 a gauge wraps.
func TestGaugeWraps(t *testing.T) {
	var g Gauge
	g.Set(math.MinInt64)
	g.Dec()
	if g.Value() != math.MaxInt64 {
		t.Error(g.Value())
	}
	g.Set(math.MinInt64)
	g.Add(math.MaxInt64)
	if g.Value() != -1 {
		t.Error(g.Value())
	}
}

func TestGaugeAddsAreExact(t *testing.T) {
	var g Gauge
	total := testkit.Hammer(2000, func(i int) {
		g.Inc()
		g.Add(1 << 33)
		g.Dec()
		g.Add(1 - 1<<33)
	})
	if g.Value() != int64(total) {
		t.Errorf("%d, want %d", g.Value(), total)
	}
}

// TestFloatGaugeKeepsEveryValue compares the bits of values, because -0 == 0.
func TestFloatGaugeKeepsEveryValue(t *testing.T) {
	var g FloatGauge
	for _, v := range []float64{0, math.Copysign(0, -1), math.Inf(1), math.Inf(-1), math.MaxFloat64, math.SmallestNonzeroFloat64, math.NaN()} {
		g.Set(v)
		if math.Float64bits(g.Value()) != math.Float64bits(v) {
			t.Errorf("%v became %v", v, g.Value())
		}
	}
	g.Add(1) // to NaN
	if !math.IsNaN(g.Value()) {
		t.Error(g.Value())
	}
	g.Set(2) // after NaN
	if g.Add(1); g.Value() != 3 {
		t.Error(g.Value())
	}
}

func TestGauge(t *testing.T) {
	var g Gauge
	g.Set(10)
	g.Inc()
	g.Dec()
	g.Dec()
	g.Add(-20)
	if g.Value() != -11 {
		t.Error(g.Value())
	}
}

func TestFloatGauge(t *testing.T) {
	var g FloatGauge
	g.Set(1.5)
	g.Inc()
	g.Dec()
	g.Dec()
	g.Add(-0.25)
	if g.Value() != 0.25 {
		t.Error(g.Value())
	}
	g.Set(math.NaN())
	if !math.IsNaN(g.Value()) {
		t.Error(g.Value())
	}
	before := time.Now()
	g.SetToCurrentTime()
	if s := g.Value(); s < float64(before.Unix()) || s > float64(time.Now().Unix()+1) {
		t.Errorf("%v is not now in seconds", s)
	}
}

func TestFloatGaugeAddsAreExact(t *testing.T) {
	var g FloatGauge
	if total := testkit.Hammer(2000, func(int) { g.Add(0.5) }); g.Value() != float64(total)/2 {
		t.Error(g.Value())
	}
}
