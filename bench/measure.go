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

// A Cost is what one unit of a path's work costs a side: nanoseconds by the
// clock on the wall, and allocations.
type Cost struct {
	Nanoseconds, Allocations float64

	disturbed float64 // the part of the time that threads waited for a core
}

// steady is how much of its time a turn may be disturbed. One that is disturbed
// more is taken again: two goroutines that take turns on a core do not meet in
// memory, and what suffers from that looks better than it is.
const steady = 0.02

// retries is how long turns may be taken again, by the time that all should take.
const retries = 2

// A Comparison is what the rounds of one path showed.
type Comparison struct {
	Path     Path
	Parallel int // goroutines
	Peers    []string
	Rounds   [][]Cost // by peer, then by round
	Steady   float64  // the part of the turns that had the cores to themselves
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
	spare := retries * time.Duration(rounds*len(sides)) * round
	good, asked := 0, 0
	for r := range rounds {
		for k := range sides {
			i := (k + r) % len(sides) // nobody is always after the same neighbour
			cost := turn(p, sides[i], parallel, calls[i])
			for cost.disturbed > steady && spare > 0 && !p.Heavy {
				start := time.Now()
				if again := turn(p, sides[i], parallel, calls[i]); again.disturbed < cost.disturbed {
					cost = again
				}
				spare -= time.Since(start)
			}
			if !sides[i].Sleeps || parallel == 1 {
				asked++
				if cost.disturbed <= steady {
					good++
				}
			}
			c.Rounds[i] = append(c.Rounds[i], cost)
		}
	}
	c.Steady = float64(good) / float64(asked)
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
	waited := waitedForCore()
	runtime.ReadMemStats(&before)
	took := run(s.Run, parallel, n)
	runtime.ReadMemStats(&after)
	waited = waitedForCore() - waited
	if s.Sleeps && parallel > 1 {
		waited = 0 // nothing tells whose doing it was; the other sides' turns show what the machine did
	}
	units := float64(n * p.Units)
	return Cost{
		float64(took.Nanoseconds()) / units,
		float64(after.Mallocs-before.Mallocs) / units,
		float64(waited) / float64(int(took)*parallel),
	}
}

// waitedForCore returns how long the threads of this process were ready to run
// and did not, in nanoseconds. Linux says so; elsewhere it is 0, and every turn
// counts.
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
	try := 1
	if parallel > runtime.GOMAXPROCS(0) {
		try = meetTries // there is no core for each
	}
	for ; ; try++ {
		var next atomic.Int64
		var done sync.WaitGroup
		m := meeting{of: int64(parallel)}
		begin, end := make([]time.Time, parallel), make([]time.Time, parallel)
		for g := range parallel {
			done.Go(func() {
				if try < meetTries && !m.meet(g == 0) {
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
		time.Sleep(time.Millisecond) // the threads sleep too, and wake up where there is room
	}
}

// A meeting lets goroutines go on together, when each has a core: goroutines
// that were just started may share one for longer than a turn lasts, and would
// then never touch the same memory at the same time.
type meeting struct {
	of      int64
	arrived atomic.Int64
	last    atomic.Int64 // the time they meet after which they part
	well    bool         // they part because they met well
}

const (
	meetings  = 100                   // in a row,
	together  = 50 * time.Microsecond // this fast for each goroutine: nobody was without a core
	meetFor   = 3 * time.Millisecond
	meetTries = 10
)

// meet waits for all others, again and again, until they answer at once, which
// it reports, or have not for some time. One of them leads.
func (m *meeting) meet(leads bool) bool {
	start := time.Now()
	mark := start
	for k := int64(1); ; k++ {
		if leads {
			now := time.Now()
			m.well = k%meetings == 0 && now.Sub(mark) < together*time.Duration(m.of)
			if m.well || now.Sub(start) > meetFor {
				m.last.Store(k)
			}
			if k%meetings == 0 {
				mark = now
			}
		}
		m.arrived.Add(1)
		for m.arrived.Load() < k*m.of {
		}
		if m.last.Load() == k {
			return m.well
		}
	}
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
		Nanoseconds: median(c.each(side, func(v Cost) float64 { return v.Nanoseconds })),
		Allocations: median(c.each(side, func(v Cost) float64 { return v.Allocations })),
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
