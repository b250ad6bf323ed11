package decimal

import (
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tachikoma/tacho/internal/race"
)

// written returns the list that a person writes: numbers between spaces.
func written(t *testing.T, text string) (list []float64) {
	t.Helper()
	for _, s := range strings.Fields(text) {
		v, err := strconv.ParseFloat(s, 64)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, v)
	}
	return list
}

func TestLinear(t *testing.T) {
	for _, c := range []struct {
		start, width float64
		want         string
	}{
		{.1, .1, "0.1 0.2 0.3 0.4 0.5 0.6 0.7 0.8 0.9 1"},
		{0, .05, "0 .05 .1 .15 .2 .25 .3 .35 .4 .45 .5"},
		{-.3, .1, "-.3 -.2 -.1 0 .1 .2 .3"},
		{-1, .3, "-1 -.7 -.4 -.1 .2 .5"},
		{5, 5, "5 10 15"},
		{1, -.1, "1 .9 .8 .7"},
		{1e-9, 1e-9, "1e-9 2e-9 3e-9"},
		{1e300, 1e-300, "1e300 1e300"},
		{1e308, 1e308, "1e308 +Inf +Inf"},
		{7, 0, "7 7"},
		{.1, .1, ""},
	} {
		want := written(t, c.want)
		if got := Linear(c.start, c.width, len(want)); !slices.Equal(got, want) {
			t.Errorf("from %v by %v: %v, want %v", c.start, c.width, got, want)
		}
	}
}

func TestExponential(t *testing.T) {
	for _, c := range []struct {
		start, factor float64
		want          string
	}{
		{.1, 1.5, ".1 .15 .225 .3375 .50625"},
		{.001, 2, ".001 .002 .004 .008 .016 .032 .064 .128 .256 .512 1.024 2.048"},
		{.1, 10, ".1 1 10 100"},
		{1e-6, 10, "1e-6 1e-5 1e-4 1e-3 .01 .1 1"},
		{1, 1.1, "1 1.1 1.21 1.331 1.4641 1.61051"},
		{-8, .1, "-8 -.8 -.08 -.008"},
		{1, -3, "1 -3 9 -27"},
		{1e-322, .5, "1e-322 5e-323 2.5e-323 1.25e-323"},
		{-5e-324, .1, "-5e-324 0 0"},
		{5, 0, "5 0 0"},
		{1e300, 1e300, "1e300 +Inf"},
	} {
		want := written(t, c.want)
		if got := Exponential(c.start, c.factor, len(want)); !slices.Equal(got, want) {
			t.Errorf("from %v by factor %v: %v, want %v", c.start, c.factor, got, want)
		}
	}
}

// exactly returns the shortest decimal of v as a fraction.
func exactly(v float64) *big.Rat {
	r, _ := new(big.Rat).SetString(strconv.FormatFloat(v, 'g', -1, 64))
	return r
}

// nearest returns the float64 nearest to r.
func nearest(r *big.Rat) float64 {
	v, _ := r.Float64()
	return v
}

// TestProgressionsAreExact compares Linear and Exponential with fractions of big integers,
// for numbers that a person writes and for numbers of any bits.
func TestProgressionsAreExact(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	number := func() float64 {
		if random.IntN(4) > 0 { // a few digits
			v, _ := strconv.ParseFloat(strconv.Itoa(random.IntN(100000))+"e"+strconv.Itoa(random.IntN(14)-10), 64)
			return v * float64(1-2*random.IntN(2))
		}
		for {
			if v := math.Float64frombits(random.Uint64()); !math.IsNaN(v) && !math.IsInf(v, 0) {
				return v
			}
		}
	}
	rounds := 1000
	if testing.Short() {
		rounds = 100
	}
	for range rounds {
		start, step := number(), number()
		sum, product := exactly(start), exactly(start)
		linear, exponential := Linear(start, step, 20), Exponential(start, step, 20)
		for i := range linear {
			if want := nearest(sum); linear[i] != want {
				t.Fatalf("from %v by %v, number %d: %v, want %v", start, step, i, linear[i], want)
			}
			if want := nearest(product); exponential[i] != want {
				t.Fatalf("from %v by factor %v, number %d: %v, want %v", start, step, i, exponential[i], want)
			}
			sum.Add(sum, exactly(step))
			product.Mul(product, exactly(step))
		}
	}
}

// TestLongExponential: the digits that Exponential drops do not change the results.
func TestLongExponential(t *testing.T) {
	const factor = 1.0034567890123457
	got := Exponential(1e-300, factor, 1000)
	product := new(big.Float).SetPrec(4000)
	product.SetString("1e-300")
	by, _ := new(big.Float).SetPrec(4000).SetString(strconv.FormatFloat(factor, 'g', -1, 64))
	for i, v := range got {
		if want, _ := product.Float64(); v != want {
			t.Fatalf("number %d: %v, want %v", i, v, want)
		}
		product.Mul(product, by)
	}
}

// TestPowers: power takes one step for 16 multiplications. The test passes another factor
// for these steps to count them.
func TestPowers(t *testing.T) {
	for n, want := range map[int]uint64{-20: 1, -1: 1, 0: 1, 1: 10, 15: 1e15, 16: 3, 17: 30, 31: 3e15, 32: 9, 50: 2700} {
		x := exact{limbs: []uint64{1, 0}}
		if x.power(10, 3, n); x.mantissa() != want {
			t.Errorf("%d multiplications make %d, want %d", n, x.mantissa(), want)
		}
	}
}

// TestFewSteps: the search for the nearest float64 begins at a guess and needs few steps.
// Each step copies its numbers, so allocations count the steps. A search through all
// float64 values needs more than 60.
func TestFewSteps(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector allocates")
	}
	const count = 1000
	for name, list := range map[string]func(){
		"Linear":      func() { Linear(.1, .1, count) },
		"from below":  func() { Linear(-70, .1, count) },
		"Exponential": func() { Exponential(1, 1.01, count) },
		"downwards":   func() { Exponential(1e10, .97, count) },
	} {
		if n := testing.AllocsPerRun(1, list) / count; n > 30 {
			t.Errorf("%s: %.1f allocations for each number", name, n)
		} else {
			t.Logf("%s: %.1f allocations for each number", name, n)
		}
	}
}

func FuzzProgressions(f *testing.F) {
	f.Add(.1, .1)
	f.Add(-1e308, 5e-324)
	f.Add(math.Copysign(0, -1), 1.5)
	f.Fuzz(func(t *testing.T, start, step float64) {
		if math.IsNaN(start-start) || math.IsNaN(step-step) {
			t.Skip("not finite")
		}
		second := nearest(new(big.Rat).Add(exactly(start), exactly(step)))
		if got := Linear(start, step, 2); got[0] != start || got[1] != second {
			t.Errorf("Linear(%v, %v): %v, want %v", start, step, got, second)
		}
		second = nearest(new(big.Rat).Mul(exactly(start), exactly(step)))
		if got := Exponential(start, step, 2); got[0] != start || got[1] != second {
			t.Errorf("Exponential(%v, %v): %v, want %v", start, step, got, second)
		}
	})
}
