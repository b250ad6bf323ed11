package decimal

import (
	"fmt"
	"math"
	"strconv"
	"testing"
)

func TestAppendUint(t *testing.T) {
	check := func(v uint64) {
		t.Helper()
		if got, want := string(AppendUint([]byte("x"), v)), "x"+strconv.FormatUint(v, 10); got != want {
			t.Fatalf("%s, want %s", got, want)
		}
		if got, want := string(AppendInt(nil, int64(v))), strconv.FormatInt(int64(v), 10); got != want {
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

// TestAppendUintGrows: digits are stored at once, so the buffer must have room for them.
func TestAppendUintGrows(t *testing.T) {
	for n := range 50 {
		b := append(make([]byte, 0, n), make([]byte, n)...)
		if got := AppendUint(b, math.MaxUint64); len(got) != n+maxDigits || string(got[n:]) != "18446744073709551615" {
			t.Errorf("after %d bytes: %q", n, got)
		}
	}
}

// TestBufferGrows: a buffer that numbers are appended to doubles. It is copied few times and
// has at most about twice the memory that it needs.
func TestBufferGrows(t *testing.T) {
	var b []byte
	grown := 0
	for v := range uint64(100_000) {
		before := cap(b)
		if b = AppendUint(b, 10+v); cap(b) != before {
			grown++
			if most := 2*len(b) + 3*maxDigits; cap(b) > most {
				t.Errorf("%d bytes of %d are used", len(b), cap(b))
			}
		}
	}
	if grown > 20 {
		t.Errorf("the buffer of %d bytes is copied %d times", len(b), grown)
	}
}

func TestOpenFloats(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0.0", 1: "1.0", -1: "-1.0", .5: "0.5", 1e6: "1e+06", 999999: "999999.0", 1e21: "1e+21", 123456789: "1.23456789e+08",
		math.Inf(1): "+Inf", math.Inf(-1): "-Inf",
	} {
		if got := string(AppendOpenFloat(nil, v)); got != want {
			t.Errorf("%v: %s, want %s", v, got, want)
		}
	}
	if got := string(AppendOpenFloat(nil, math.NaN())); got != "NaN" {
		t.Errorf("NaN: %s", got)
	}
	if got := string(AppendOpenFloat(nil, math.Copysign(0, -1))); got != "-0.0" {
		t.Errorf("-0: %s", got)
	}
}

// TestAppendFloat compares AppendFloat with strconv, mostly at the ends of the range in
// which whole numbers are appended as integers.
func TestAppendFloat(t *testing.T) {
	for _, v := range []float64{
		0, math.Copysign(0, -1), 1, -1, .5, -.5, 1.5, 1e5, 999998, 999999, 999999.5, 1e6, 1e6 + 1, 1e20, 1e21, 1 << 53, 1<<53 + 2, 1 << 63, 1 << 64,
		math.MaxInt64, math.MinInt64, math.MaxFloat64, math.SmallestNonzeroFloat64, 1e-5, 1e-4, 0.1, 1.0 / 3, math.Pi, math.Inf(1), math.NaN(),
	} {
		for _, v := range []float64{v, -v, math.Nextafter(v, 0), math.Nextafter(v, math.Inf(1))} {
			if got, want := string(AppendFloat([]byte("x"), v)), "x"+strconv.FormatFloat(v, 'g', -1, 64); got != want {
				t.Errorf("%s, want %s", got, want)
			}
		}
	}
}

// TestWholeFloatsAreShort: small whole numbers are appended as integers, which is faster.
// The integer path makes room for the longest number, and so shows in the capacity.
func TestWholeFloatsAreShort(t *testing.T) {
	for v, whole := range map[float64]bool{12: true, -12: true, 999999: true, -999999: true, 12.5: false, 1e6: false, -1e6: false} {
		text := strconv.FormatFloat(v, 'g', -1, 64)
		b := AppendFloat(make([]byte, 0, len(text)), v)
		if grown := cap(b) > len(text); grown != whole || string(b) != text {
			t.Errorf("%v is %q, as an integer: %v, want %v", v, b, grown, whole)
		}
	}
}

func TestAppendWhole(t *testing.T) {
	for _, c := range []struct {
		v        uint64
		negative bool
		want     string
	}{
		{0, false, "0"}, {0, true, "-0"}, {7, true, "-7"}, {1 << 63, true, "-9223372036854775808"},
		{math.MaxUint64, false, "18446744073709551615"}, {math.MaxUint64, true, "-18446744073709551615"},
	} {
		if got := string(AppendWhole([]byte("x"), c.v, c.negative)); got != "x"+c.want {
			t.Errorf("%s, want x%s", got, c.want)
		}
	}
	for v, want := range map[int64]string{math.MinInt64: "-9223372036854775808", math.MaxInt64: "9223372036854775807", -1: "-1"} {
		if got := string(AppendInt(nil, v)); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// TestEightDigits: each byte of the word is a digit of the number.
func TestEightDigits(t *testing.T) {
	check := func(v uint64) {
		t.Helper()
		var text [8]byte
		digits := EightDigits(v)
		for i := range text {
			text[i] = byte((digits | EightZeros) >> (8 * i))
		}
		if want := fmt.Sprintf("%08d", v); string(text[:]) != want {
			t.Fatalf("%q, want %q", text, want)
		}
		if got, want := LeadingZeros(digits), 8-len(strconv.FormatUint(v, 10)); got != want {
			t.Fatalf("%d: %d leading zeros, want %d", v, got, want)
		}
	}
	for v := range uint64(20_000) {
		check(v)
		check(v * 5000)
		check(MaxShort - 1 - v)
	}
}

func TestIsWhole(t *testing.T) {
	for s, want := range map[string]bool{
		"0": true, "-1": true, "123456": true, "1.5": false, "1e+06": false, "NaN": false, "+Inf": false, "-Inf": false,
	} {
		if got := IsWhole([]byte(s)); got != want {
			t.Errorf("IsWhole(%q) = %v", s, got)
		}
	}
}

func TestSeconds(t *testing.T) {
	for ms, want := range map[int64]string{
		0: "0", 1: "0.001", 10: "0.01", 100: "0.1", 1000: "1", 1010: "1.01", 1520879607789: "1520879607.789", 253402300799999: "253402300799.999",
	} {
		if got := string(AppendSeconds(nil, ms)); got != want {
			t.Errorf("%d ms: %s, want %s", ms, got, want)
		}
	}
}
