package bench

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A Cost is what one unit of a path's work costs a side: nanoseconds by the
// clock on the wall, and allocations.
type Cost struct {
	Nanoseconds, Allocations float64
}

// A Comparison is what the rounds of one path showed.
type Comparison struct {
	Path     Path
	Parallel int // goroutines
	Peers    []string
	Rounds   [][]Cost // by peer, then by round
}

// Compare takes the sides in turn, round after round: what else the machine does
// meets all of them. Each turn lasts about as long as round says.
//
// The ratio of two sides is taken within each round, and the median of those is
// the result. The minimum would be wrong here: it shows a structure that spreads
// by chance over cache lines at its luckiest, and two minima come from two
// different moments of the machine.
func Compare(p Path, parallel, rounds int, round time.Duration) Comparison {
	sides := p.Sides()
	c := Comparison{Path: p, Parallel: parallel, Rounds: make([][]Cost, len(sides))}
	calls := make([]int, len(sides))
	for i, s := range sides {
		c.Peers = append(c.Peers, s.Peer)
		calls[i] = calibrate(p, s, parallel, round)
	}
	for r := range rounds {
		for k := range sides {
			i := (k + r) % len(sides) // nobody is always after the same neighbour
			c.Rounds[i] = append(c.Rounds[i], turn(p, sides[i], parallel, calls[i]))
		}
	}
	return c
}

// calibrate returns how many calls take about a round.
func calibrate(p Path, s Side, parallel int, round time.Duration) int {
	if p.Batch > 0 {
		return p.Batch
	}
	n := 1
	for {
		took := time.Duration(turn(p, s, parallel, n).Nanoseconds * float64(n*p.Units))
		if took >= round/2 {
			return max(1, int(float64(n)*float64(round)/float64(took)))
		}
		n *= int(min(max(round/2/max(took, 1), 2), 100))
	}
}

// turn times n calls of a side.
func turn(p Path, s Side, parallel, n int) Cost {
	if s.Reset != nil {
		s.Reset()
	}
	if p.Settle {
		runtime.GC()
		if p.Batch == 0 {
			s.Run(0, 1) // what is pooled was collected too
		}
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	took := run(s.Run, parallel, n)
	runtime.ReadMemStats(&after)
	units := float64(n * p.Units)
	return Cost{float64(took.Nanoseconds()) / units, float64(after.Mallocs-before.Mallocs) / units}
}

// run makes n calls from several goroutines and returns how long they took.
func run(work func(from, to int), parallel, n int) time.Duration {
	if parallel <= 1 {
		start := time.Now()
		work(0, n)
		return time.Since(start)
	}
	// Each goroutine takes a part when it is done with one, as testing.PB deals
	// calls out: one that the machine holds up does not hold up the result. The
	// parts are large, so that dealing costs nothing.
	part := max(1, n/(parallel*16))
	var next atomic.Int64
	var done sync.WaitGroup
	begin := make(chan struct{})
	for range parallel {
		done.Go(func() {
			<-begin
			for {
				to := int(next.Add(int64(part)))
				from := to - part
				if from >= n {
					return
				}
				work(from, min(to, n))
			}
		})
	}
	start := time.Now()
	close(begin)
	done.Wait()
	return time.Since(start)
}

// median returns the middle of values, which it sorts.
func median(values []float64) float64 { return quantile(values, 0.5) }

// quantile returns the value below which the part q of values lies. It sorts them.
func quantile(values []float64, q float64) float64 {
	slices.Sort(values)
	at := q * float64(len(values)-1)
	low := int(at)
	if low == len(values)-1 {
		return values[low]
	}
	return values[low] + (at-float64(low))*(values[low+1]-values[low])
}

func (c Comparison) each(side int, f func(Cost) float64) []float64 {
	values := make([]float64, len(c.Rounds[side]))
	for i, cost := range c.Rounds[side] {
		values[i] = f(cost)
	}
	return values
}

// Cost returns the median cost of a side.
func (c Comparison) Cost(side int) Cost {
	return Cost{
		median(c.each(side, func(v Cost) float64 { return v.Nanoseconds })),
		median(c.each(side, func(v Cost) float64 { return v.Allocations })),
	}
}

// Ratio returns the median over the rounds of a peer's time by tacho's, and
// between which ratios the middle eight tenths of the rounds lay.
func (c Comparison) Ratio(side int) (mid, low, high float64) {
	ratios := make([]float64, len(c.Rounds[side]))
	for i, cost := range c.Rounds[side] {
		ratios[i] = cost.Nanoseconds / c.Rounds[0][i].Nanoseconds
	}
	return median(ratios), quantile(ratios, 0.1), quantile(ratios, 0.9)
}
