package native

import (
	"math"
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
