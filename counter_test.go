package tacho

import (
	"math"
	"strings"
	"testing"

	"github.com/tachikoma/tacho/internal/stripe"
)

// TestCounterWraps: past the greatest uint64 a counter starts again from 0, with and
// without stripes.
func TestCounterWraps(t *testing.T) {
	for _, striped := range []bool{false, true} {
		var c Counter
		c.Add(math.MaxUint64)
		if striped {
			widen(&c.wide, stripe.LineWords)
		}
		c.Add(3)
		if c.Value() != 2 {
			t.Errorf("striped %v: %d, want 2", striped, c.Value())
		}
	}
}

// TestStripesKeepEarlierCounts: what was counted before there were stripes stays in the
// total. The values need more than 32 bits.
func TestStripesKeepEarlierCounts(t *testing.T) {
	var c Counter
	var f FloatCounter
	const big = 1 << 40
	c.Add(big)
	f.Add(big)
	widen(&c.wide, stripe.LineWords)
	widen(&f.wide, stripe.LineWords)
	c.Add(big)
	f.Add(big + 0.5)
	if c.Value() != 2*big || f.Value() != 2*big+0.5 {
		t.Errorf("%d and %v, want %d and %v", c.Value(), f.Value(), uint64(2*big), 2*big+0.5)
	}
}

func TestFloatCounterRefusesWhenStriped(t *testing.T) {
	r := NewRegistry()
	c := r.FloatCounterVec("x", "", []string{"a"}).With("1")
	widen(&c.wide, stripe.LineWords)
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
			t.Errorf("reason %s is not counted:\n%s", reason, got)
		}
	}
}

// TestNoErrorsFamilyBeforeAnError: a scrape shows tacho_errors_total only after an error.
func TestNoErrorsFamilyBeforeAnError(t *testing.T) {
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
	var zero FloatCounter // without a registry, so refusals are not counted
	zero.Add(-1)
	zero.Add(2)
	if zero.Value() != 2 {
		t.Error(zero.Value())
	}
}
