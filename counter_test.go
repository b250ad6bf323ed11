package tacho

import (
	"math"
	"strings"
	"testing"
)

// TestCounterWraps: past the largest uint64 a counter starts again from 0,
// with and without stripes.
func TestCounterWraps(t *testing.T) {
	for _, striped := range []bool{false, true} {
		var c Counter
		c.Add(math.MaxUint64)
		if striped {
			wider(&c.wide, lineWords)
		}
		c.Add(3)
		if c.Value() != 2 {
			t.Errorf("striped %v: %d, want 2", striped, c.Value())
		}
	}
}

// TestCounterKeepsWhatStripesFound: what was counted before the stripes were
// made stays, and the numbers need all 64 bits on a 32-bit machine too.
func TestCounterKeepsWhatStripesFound(t *testing.T) {
	var c Counter
	var f FloatCounter
	const big = 1 << 40
	c.Add(big)
	f.Add(big)
	wider(&c.wide, lineWords)
	wider(&f.wide, lineWords)
	c.Add(big)
	f.Add(big + 0.5)
	if c.Value() != 2*big || f.Value() != 2*big+0.5 {
		t.Errorf("%d and %v", c.Value(), f.Value())
	}
}

func TestFloatCounterRefusesWhenStriped(t *testing.T) {
	r := NewRegistry()
	c := r.FloatCounterVec("x", "", []string{"a"}).With("1")
	wider(&c.wide, lineWords)
	c.Add(-1)
	c.Add(math.NaN())
	c.Add(math.Copysign(0, -1))
	if v := c.Value(); v != 0 || math.Signbit(v) {
		t.Errorf("%v, want 0", v)
	}
	c.Add(math.Inf(1))
	if v := c.Value(); !math.IsInf(v, 1) {
		t.Errorf("%v, want +Inf", v)
	}
	got := text(t, r)
	for _, reason := range []string{"negative", "nan"} {
		if !strings.Contains(got, `tacho_errors_total{metric="x",reason="`+reason+`"} 1`+"\n") {
			t.Errorf("%s is not counted:\n%s", reason, got)
		}
	}
}

// TestErrorsAreSilentUntilOne: a program without mistakes sees no such family.
func TestErrorsAreSilentUntilOne(t *testing.T) {
	r := NewRegistry()
	c := r.FloatCounter("x", "")
	c.Inc()
	if got := text(t, r); strings.Contains(got, "tacho_") {
		t.Error(got)
	}
	c.Add(-1)
	if got := text(t, r); strings.Count(got, "tacho_errors_total{") != 1 {
		t.Error(got)
	}
}

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
