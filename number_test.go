package tacho

import (
	"math"
	"strconv"
	"testing"
)

func TestAppendUint(t *testing.T) {
	check := func(v uint64) {
		t.Helper()
		if got, want := string(appendUint([]byte("x"), v)), "x"+strconv.FormatUint(v, 10); got != want {
			t.Fatalf("%s, want %s", got, want)
		}
		if got, want := string(appendInt(nil, int64(v))), strconv.FormatInt(int64(v), 10); got != want {
			t.Fatalf("%s, want %s", got, want)
		}
	}
	for v := range uint64(20000) {
		check(v)
	}
	for p := uint64(1); ; p *= 10 {
		for d := range uint64(3) {
			check(p + d - 1)
			check(9*p + d)
			check(-p - d)
		}
		if p > math.MaxUint64/10 {
			break
		}
	}
	for i := range 64 {
		check(1 << i)
		check(1<<i - 1)
	}
	check(math.MaxUint64)
}

// TestAppendUintGrows: numbers are put in place, so the place must be there.
func TestAppendUintGrows(t *testing.T) {
	for n := range 50 {
		b := append(make([]byte, 0, n), make([]byte, n)...)
		if got := appendUint(b, math.MaxUint64); len(got) != n+maxDigits || string(got[n:]) != "18446744073709551615" {
			t.Errorf("after %d bytes: %q", n, got)
		}
	}
}

func TestOpenFloats(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0.0", 1: "1.0", -1: "-1.0", .5: "0.5", 1e6: "1e+06", 999999: "999999.0", 1e21: "1e+21", 123456789: "1.23456789e+08",
		math.Inf(1): "+Inf", math.Inf(-1): "-Inf",
	} {
		if got := string(appendOpenFloat(nil, v)); got != want {
			t.Errorf("%v: %s, want %s", v, got, want)
		}
	}
	if got := string(appendOpenFloat(nil, math.NaN())); got != "NaN" {
		t.Errorf("NaN: %s", got)
	}
	if got := string(appendOpenFloat(nil, math.Copysign(0, -1))); got != "-0.0" {
		t.Errorf("-0: %s", got)
	}
}

func TestSeconds(t *testing.T) {
	for ms, want := range map[int64]string{
		0: "0", 1: "0.001", 10: "0.01", 100: "0.1", 1000: "1", 1010: "1.01", 1520879607789: "1520879607.789", maxTime: "253402300799.999",
	} {
		if got := string(appendSeconds(nil, ms)); got != want {
			t.Errorf("%d ms: %s, want %s", ms, got, want)
		}
	}
}
