package tacho

import (
	"math"
	"strings"
	"testing"
	"time"
)

func TestCounter(t *testing.T) {
	var c Counter
	c.Inc()
	c.Add(41)
	c.Add(0)
	if c.Value() != 42 {
		t.Error(c.Value())
	}
	c.Add(math.MaxUint64 - 42)
	if c.Value() != math.MaxUint64 {
		t.Error(c.Value())
	}
}

func TestFloatCounterRefuses(t *testing.T) {
	r := NewRegistry()
	c := r.FloatCounter("x", "")
	c.Inc()
	c.Add(0.5)
	c.Add(0)
	c.Add(math.Copysign(0, -1))
	for _, bad := range []float64{-1, math.NaN(), math.Inf(-1), -math.SmallestNonzeroFloat64} {
		c.Add(bad)
	}
	if c.Value() != 1.5 {
		t.Error(c.Value())
	}
	got := text(t, r)
	if !strings.Contains(got, `tacho_errors_total{metric="x",reason="negative"} 3`) || !strings.Contains(got, `tacho_errors_total{metric="x",reason="nan"} 1`) {
		t.Error(got)
	}
	var zero FloatCounter // made without a registry: refusals are nobody's
	zero.Add(-1)
	zero.Add(2)
	if zero.Value() != 2 {
		t.Error(zero.Value())
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
	if total := hammer(2000, func(int) { g.Add(0.5) }); g.Value() != float64(total)/2 {
		t.Error(g.Value())
	}
}

func TestHistogramBounds(t *testing.T) {
	r := NewRegistry()
	h := r.Histogram("x", "", []float64{-1, 0, 1})
	for _, v := range []float64{math.Inf(-1), -1, math.Copysign(0, -1), 0, math.SmallestNonzeroFloat64, 1, math.Nextafter(1, 2), math.NaN()} {
		h.Observe(v)
	}
	s := h.Snapshot()
	want := []Bucket{{-1, 2}, {0, 4}, {1, 6}, {math.Inf(1), 7}}
	for i, b := range s.Buckets {
		if b != want[i] {
			t.Errorf("bucket %d is %v, want %v", i, b, want[i])
		}
	}
	if s.Count != 7 || !math.IsInf(s.Sum, -1) {
		t.Errorf("%+v", s)
	}
	if got := text(t, r); !strings.Contains(got, `tacho_errors_total{metric="x",reason="nan"} 1`) {
		t.Error(got)
	}
}

func TestHistogramDurations(t *testing.T) {
	h := NewRegistry().Histogram("x", "", []float64{1})
	h.ObserveDuration(1500 * time.Millisecond)
	if s := h.Snapshot(); s.Sum != 1.5 || s.Buckets[0].Count != 0 {
		t.Errorf("%+v", s)
	}
	h.ObserveSince(time.Now().Add(-time.Hour))
	if s := h.Snapshot(); s.Count != 2 || s.Sum < 3600 {
		t.Errorf("%+v", s)
	}
}
