package native

import (
	"math"
	"sort"
	"testing"
)

func TestBound(t *testing.T) {
	for _, c := range []struct {
		schema, key int
		want        float64
	}{
		{0, 0, 1}, {0, 1, 2}, {0, -1, 0.5}, {3, 8, 2}, {3, 9, 2.1810154653305154}, {3, 0, 1}, {-4, 1, 65536}, {-4, -1, 1.0 / 65536},
		{0, 1024, math.MaxFloat64}, {0, 1025, math.Inf(+1)}, {8, 1024 << 8, math.MaxFloat64}, {8, 1024<<8 + 1, math.Inf(+1)},
		{-4, 64, math.MaxFloat64}, {-4, 65, math.Inf(+1)}, {0, -1074, 5e-324},
	} {
		if got := Bound(c.schema, c.key); got != c.want {
			t.Errorf("Bound(%d, %d) = %v, want %v", c.schema, c.key, got, c.want)
		}
	}
}

// definition returns the key of a value above 0 by the definition of the bounds.
func definition(schema int, v float64) int {
	if math.IsInf(v, +1) {
		return definition(schema, math.MaxFloat64) + 1
	}
	frac, exp := math.Frexp(v)
	if schema <= 0 {
		if frac == 0.5 {
			exp--
		}
		return (exp + 1<<-schema - 1) >> -schema
	}
	n := 1 << schema
	i := sort.Search(n, func(i int) bool { return fraction(schema, i) >= frac })
	return i + (exp-1)*n
}

// values calls f for each bound of a schema with both neighbors.
func values(schema int, f func(v float64)) {
	first, last := definition(schema, math.SmallestNonzeroFloat64), definition(schema, math.MaxFloat64)
	for key := first; key <= last; key++ {
		b := Bound(schema, key)
		for _, v := range []float64{math.Nextafter(b, 0), b, math.Nextafter(b, math.Inf(+1))} {
			if v > 0 {
				f(v)
			}
		}
	}
	f(math.Inf(+1))
}

// TestIndex compares the index of each bound of all schemas, and of its neighbors, with the definition.
func TestIndex(t *testing.T) {
	n := 0
	for schema := MinSchema; schema <= MaxSchema; schema++ {
		if testing.Short() && schema > 5 {
			continue
		}
		table := TableOf(schema)
		values(schema, func(v float64) {
			if n++; math.IsInf(v, +1) {
				return // has a side of its own
			}
			if got, want := table.index(math.Float64bits(v))-offset(schema)+1, definition(schema, v); got != want {
				t.Fatalf("schema %d: the key of %v is %d, want %d", schema, v, got, want)
			}
		})
	}
	t.Logf("%d values", n)
}
