package bench

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A Cost is the cost of one unit of work: wall-clock nanoseconds and allocations.
type Cost struct {
	Nanoseconds, Allocations float64

	disturbed float64 // share of the turn in which threads waited for a core
}

// maxDisturbed is the largest accepted share of waiting time in a turn. Compare
// repeats a turn with a larger share. The reason is memory contention. Goroutines
// on the same core have no contention, so a side with contention looks too fast.
const maxDisturbed = 0.02

// MinSteady is the smallest value of Comparison.Steady in a quiet run.
const MinSteady = 0.8

// retries limits the time for repeated turns. The unit is the planned time of all
// turns.
const retries = 2

// A Comparison is the result of all rounds of one path.
type Comparison struct {
	Path     Path
	Parallel int // number of goroutines
	Peers    []string
	Rounds   [][]Cost // by peer, then by round
	Steady   float64  // share of the turns without a wait for a core
}

// Compare measures the sides of a path in rounds. In each round every side has one
// turn. A turn lasts about as long as the argument round.
//
// The sides take turns because the speed of the machine changes over time.
// Comparison.Ratio divides times of the same round and returns the median. The
// minimum is no substitute, for two reasons. A data structure with a random layout
// over cache lines shows its best layout. Two minima also come from different
// rounds.
func Compare(p Path, parallel, rounds int, round time.Duration) Comparison {
	sides := p.Sides()
	c := Comparison{Path: p, Parallel: parallel, Rounds: make([][]Cost, len(sides))}
	calls := make([]int, len(sides))
	for i, s := range sides {
		c.Peers = append(c.Peers, s.Peer)
		calls[i] = calibrate(p, s, parallel, round)
	}
	spare := retries * time.Duration(rounds*len(sides)) * round
	good, counted := 0, 0
	for r := range rounds {
		for k := range sides {
			i := (k + r) % len(sides) // the first side changes from round to round
			cost := turn(p, sides[i], parallel, calls[i])
			for cost.disturbed > maxDisturbed && spare > 0 && !p.Heavy {
				start := time.Now()
				if again := turn(p, sides[i], parallel, calls[i]); again.disturbed < cost.disturbed {
					cost = again
				}
				spare -= time.Since(start)
			}
			if !sides[i].Sleeps || parallel == 1 {
				counted++
				if cost.disturbed <= maxDisturbed {
					good++
				}
			}
			c.Rounds[i] = append(c.Rounds[i], cost)
		}
	}
	c.Steady = float64(good) / float64(counted)
	return c
}

// calibrate returns the number of calls for a turn. The calls take about as long as
// round.
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

// turn measures n calls of a side.
func turn(p Path, s Side, parallel, n int) Cost {
	if s.Reset != nil {
		s.Reset()
	}
	if p.Settle {
		runtime.GC()
		if p.Batch == 0 {
			s.Run(0, 1) // the collection also emptied each sync.Pool
		}
	}
	var before, after runtime.MemStats
	waited := waitedForCore()
	runtime.ReadMemStats(&before)
	took := run(s.Run, parallel, n)
	runtime.ReadMemStats(&after)
	waited = waitedForCore() - waited
	if s.Sleeps && parallel > 1 {
		waited = 0 // the wait has two possible causes: lock contention and other programs
	}
	units := float64(n * p.Units)
	return Cost{
		float64(took.Nanoseconds()) / units,
		float64(after.Mallocs-before.Mallocs) / units,
		float64(waited) / float64(int(took)*parallel),
	}
}

// waitedForCore returns the time in which threads of this process were ready to run
// but had no core, in nanoseconds. The source is the schedstat file of Linux. On
// other systems the result is 0, so Compare repeats no turn.
func waitedForCore() (sum int64) {
	threads, _ := filepath.Glob("/proc/self/task/*/schedstat")
	for _, name := range threads {
		b, _ := os.ReadFile(name) // the thread may have ended
		if fields := strings.Fields(string(b)); len(fields) > 1 {
			n, _ := strconv.ParseInt(fields[1], 10, 64)
			sum += n
		}
	}
	return sum
}

// run makes n calls from several goroutines and returns the duration.
func run(work func(from, to int), parallel, n int) time.Duration {
	if parallel <= 1 {
		start := time.Now()
		work(0, n)
		return time.Since(start)
	}
	// A goroutine fetches the next part after each part, like testing.PB. A delayed
	// goroutine then runs fewer parts and does not delay the result. The parts are
	// large, so the cost of the shared counter is negligible.
	part := max(1, n/(parallel*16))
	try := 1
	if parallel > runtime.GOMAXPROCS(0) {
		try = barrierTries // more goroutines than cores: the barrier cannot succeed
	}
	for ; ; try++ {
		var next atomic.Int64
		var done sync.WaitGroup
		b := barrier{of: int64(parallel)}
		begin, end := make([]time.Time, parallel), make([]time.Time, parallel)
		for g := range parallel {
			done.Go(func() {
				if try < barrierTries && !b.wait(g == 0) {
					return
				}
				begin[g] = time.Now()
				for {
					to := int(next.Add(int64(part)))
					from := to - part
					if from >= n {
						break
					}
					work(from, min(to, n))
				}
				end[g] = time.Now()
			})
		}
		done.Wait()
		if !end[0].IsZero() {
			return slices.MaxFunc(end, time.Time.Compare).Sub(slices.MinFunc(begin, time.Time.Compare))
		}
		time.Sleep(time.Millisecond) // the threads sleep too, and the system may wake up each thread on an idle core
	}
}

// A barrier releases goroutines at the same time, when every goroutine has a core.
// New goroutines may share a core for longer than a turn. Such goroutines never
// access the same memory at the same time.
type barrier struct {
	of      int64        // number of goroutines
	arrived atomic.Int64 // arrivals in all passes
	last    atomic.Int64 // number of the last pass
	fast    bool         // the last passes were fast
}

// The last barrierPasses passes are fast if the passes took less than barrierTime for
// each goroutine. Every goroutine then had a core.
const (
	barrierPasses  = 100
	barrierTime    = 50 * time.Microsecond
	barrierTimeout = 3 * time.Millisecond
	barrierTries   = 10
)

// wait passes the barrier until the last passes are fast, or until barrierTimeout.
// The result reports whether the last passes were fast. Exactly one goroutine must
// set leads.
func (b *barrier) wait(leads bool) bool {
	start := time.Now()
	mark := start
	for k := int64(1); ; k++ {
		if leads {
			now := time.Now()
			b.fast = k%barrierPasses == 0 && now.Sub(mark) < barrierTime*time.Duration(b.of)
			if b.fast || now.Sub(start) > barrierTimeout {
				b.last.Store(k)
			}
			if k%barrierPasses == 0 {
				mark = now
			}
		}
		b.arrived.Add(1)
		for b.arrived.Load() < k*b.of {
		}
		if b.last.Load() == k {
			return b.fast
		}
	}
}

// median sorts values and returns the median.
func median(values []float64) float64 { return quantile(values, 0.5) }

// quantile sorts values and returns the quantile q, from 0 to 1, by linear
// interpolation.
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

// Cost returns the median cost of a side over the rounds.
func (c Comparison) Cost(side int) Cost {
	return Cost{
		Nanoseconds: median(c.each(side, func(v Cost) float64 { return v.Nanoseconds })),
		Allocations: median(c.each(side, func(v Cost) float64 { return v.Allocations })),
	}
}

// Ratio returns the time of a side divided by the time of tacho: the median over
// the rounds, the quantile 0.1 and the quantile 0.9.
func (c Comparison) Ratio(side int) (mid, low, high float64) {
	ratios := make([]float64, len(c.Rounds[side]))
	for i, cost := range c.Rounds[side] {
		ratios[i] = cost.Nanoseconds / c.Rounds[0][i].Nanoseconds
	}
	return median(ratios), quantile(ratios, 0.1), quantile(ratios, 0.9)
}
