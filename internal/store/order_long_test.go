package store

import (
	"runtime"
	"strings"
	"testing"
)

// orderBytes returns the bytes that the Order of two series allocates. Their values are equal up
// to their last byte.
func orderBytes(prefix string) uint64 {
	v := newVector(counters(0), "l")
	v.add(prefix + "b")
	v.add(prefix + "a")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	v.ordered()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestOrderOfLongEscapes: the work for the order of values with escapes grows with their length,
// and not with its square. The bytes that Order allocates are the measure.
func TestOrderOfLongEscapes(t *testing.T) {
	const n = 1 << 13
	for _, escaped := range []string{`\`, `"`, "\n"} {
		if got := orderBytes(strings.Repeat("x", n) + escaped); got > 100*n {
			t.Errorf("the order of two values of %d bytes with %q allocates %d bytes", n, escaped, got)
		}
	}
}

// TestCursorOverEscapes: a Cursor over an Order allocates nothing, also if texts behind the main
// arena have escapes. Otherwise each scrape without changes would do the work again.
func TestCursorOverEscapes(t *testing.T) {
	for _, values := range []string{`C:/x`, `C:\x`} {
		v := newVector(counters(0), "l")
		for _, list := range numbers(100) {
			v.add(values + list[0])
		}
		v.layOut()
		for _, list := range numbers(unlaid) {
			v.add(values + " " + list[0])
		}
		o := v.ordered()
		if len(o.tail) != unlaid {
			t.Fatalf("%d texts are behind the main arena, want %d", len(o.tail), unlaid)
		}
		var c Cursor
		if n := testing.AllocsPerRun(10, func() {
			for c.Start(o); c.Next(); {
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", values, n)
		}
	}
}
