package native

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tachikoma/tacho/internal/race"
	"github.com/tachikoma/tacho/internal/testkit"
)

const writers = 4

// A round is a histogram that several goroutines write and one reads.
type round struct {
	c        *Config
	rows     []*Buckets
	recorded [writers]map[float64]uint64
	running  atomic.Int32
	done     sync.WaitGroup
}

// startRound starts the writers. Their values are in a narrow range at first, and then in a wide one.
func startRound(c *Config, rows int, seed uint64, n int, narrow, wide func(rnd *rand.Rand) float64) *round {
	x := &round{c: c, rows: newRows(c, rows)}
	x.running.Store(writers)
	x.done.Add(writers)
	for i := range writers {
		x.recorded[i] = map[float64]uint64{}
		go func() {
			defer x.done.Done()
			defer x.running.Add(-1)
			rnd := rand.New(rand.NewPCG(seed, uint64(i)))
			b := x.rows[i%rows]
			for k := range n {
				v := narrow(rnd)
				if k > n/4 && rnd.IntN(20) == 0 {
					v = wide(rnd)
				}
				if observe(b, c, v) {
					x.recorded[i][v]++
				}
			}
		}()
	}
	return x
}

// model returns the model of everything recorded.
func (x *round) model() *model {
	m := newModel(x.c, len(x.rows))
	for i := range x.recorded {
		for v, n := range x.recorded[i] {
			m.add(i%len(x.rows), v, n)
		}
	}
	return m
}

// checkShape returns an error text if a snapshot is not valid, or "".
func checkShape(s *Snapshot, limit int) string {
	for _, list := range [][]Bucket{s.Positive, s.Negative} {
		for i, b := range list {
			if i > 0 && list[i-1].Key >= b.Key {
				return fmt.Sprintf("key %d before %d", list[i-1].Key, b.Key)
			}
			if b.Count == 0 || b.Count > 1<<40 {
				return fmt.Sprintf("count %d in %d", b.Count, b.Key)
			}
		}
	}
	if n := len(s.Positive) + len(s.Negative); n > limit && s.Schema > MinSchema {
		return fmt.Sprintf("%d buckets", n)
	}
	return ""
}

func rounds() int {
	switch {
	case testing.Short():
		return 20
	case race.Enabled:
		return 200
	}
	return 400
}

// threads gives a test more threads than there are cores, so that the system interrupts an Add
// anywhere.
func threads(t *testing.T) {
	testkit.NeedThreads(t)
	old := runtime.GOMAXPROCS(8)
	t.Cleanup(func() { runtime.GOMAXPROCS(old) })
}

// stressConfig returns the definition and the values of a round.
func stressConfig(i int) (c *Config, rows, n int, narrow, wide func(rnd *rand.Rand) float64) {
	rnd := rand.New(rand.NewPCG(4, uint64(i)))
	schema := rnd.IntN(13) + MinSchema
	if i%2 == 0 {
		schema = 3
	}
	n = 4000
	if race.Enabled {
		n = 1500
	}
	narrow = generators[[]string{"log-normal", "small powers of two"}[rnd.IntN(2)]]
	wide = generators[generatorNames[rnd.IntN(len(generatorNames))]]
	return newConfig(schema, 1+rnd.IntN(200), []float64{0, 0x1p-128, 1}[rnd.IntN(3)]), 1 + rnd.IntN(3), n, narrow, wide
}

// TestConcurrent: four goroutines add, directories grow, and resolutions fall. Meanwhile a reader
// sees counts that do not fall, a schema that does not rise, and no more buckets than the limit. At
// the end every bucket is exact.
func TestConcurrent(t *testing.T) {
	threads(t)
	var reads, fell int
	for i := range rounds() {
		c, rows, n, narrow, wide := stressConfig(i)
		x := startRound(c, rows, uint64(i), n, narrow, wide)
		var r Reader
		last, schema := uint64(0), c.schema
		for running := true; running && !t.Failed(); reads++ {
			running = x.running.Load() > 0
			if reads%4 == 0 {
				r.Begin(c)
				for _, b := range x.rows {
					r.Rows(b, 1)
				}
				n := countOf(&r)
				r.End()
				if n < last {
					t.Errorf("round %d: the count fell from %d to %d", i, last, n)
				}
				last = n
			}
			read(&r, c, false, x.rows...)
			if text := checkShape(&r.Snapshot, c.max); text != "" {
				t.Errorf("round %d: %s", i, text)
			}
			if n := r.Snapshot.Count(); n < last || r.Schema > schema {
				t.Errorf("round %d: count %d after %d, schema %d after %d", i, n, last, r.Schema, schema)
			} else {
				last, schema = n, r.Schema
			}
			if reads%3 == 0 {
				runtime.Gosched()
			}
		}
		x.done.Wait()
		for range 2 {
			read(&r, c, false, x.rows...)
			if text := differ(&r.Snapshot, x.model().snapshot()); text != "" {
				t.Fatalf("round %d, schema %d, limit %d, threshold %v, %d rows: %s", i, c.schema, c.max, c.threshold, rows, text)
			}
		}
		for _, b := range x.rows {
			checkFreed(t, c, b, r.Schema)
		}
		if r.Schema < c.schema {
			fell++
		}
		if t.Failed() {
			return
		}
	}
	t.Logf("%d reads; the resolution of %d of %d histograms fell", reads, fell, rounds())
}

// TestConcurrentRestarts: the counts that all restarts took and the counts that are left add up to the
// recorded counts. The test compares bucket by bucket in the lowest schema that a reader saw.
func TestConcurrentRestarts(t *testing.T) {
	restartAfter(t, 0)
	threads(t)
	var reads, restarts int
	for i := range rounds() {
		c, rows, n, narrow, wide := stressConfig(i)
		x := startRound(c, rows, uint64(i), n, narrow, wide)
		var r Reader
		total := Snapshot{Schema: c.schema}
		take := func() {
			total.lowerTo(r.Schema)
			s := Snapshot{r.Schema, 0, 0, append([]Bucket(nil), r.Positive...), append([]Bucket(nil), r.Negative...)}
			s.lowerTo(total.Schema)
			total.Positive, total.Negative = merged(total.Positive, s.Positive), merged(total.Negative, s.Negative)
		}
		last, schema := uint64(0), c.schema
		for running := true; running && !t.Failed(); reads++ {
			running = x.running.Load() > 0
			restarted := read(&r, c, true, x.rows...)
			if text := checkShape(&r.Snapshot, c.max); text != "" {
				t.Errorf("round %d: %s", i, text)
			}
			if n := r.Snapshot.Count(); n < last || r.Schema > schema {
				t.Errorf("round %d: count %d after %d, schema %d after %d", i, n, last, r.Schema, schema)
			} else {
				last, schema = n, r.Schema
			}
			if restarted {
				restarts++
				take()
				last, schema = 0, c.schema
			}
		}
		x.done.Wait()
		read(&r, c, false, x.rows...)
		take()
		m := x.model()
		m.schema = total.Schema
		positive, negative, _ := m.lists(total.Schema)
		total.ZeroThreshold = c.threshold
		if text := differ(&total, &Snapshot{total.Schema, c.threshold, 0, positive, negative}); text != "" {
			t.Fatalf("round %d, schema %d, limit %d, threshold %v, %d rows: %s", i, c.schema, c.max, c.threshold, rows, text)
		}
		if t.Failed() {
			return
		}
	}
	t.Logf("%d reads, %d restarts", reads, restarts)
}

// merged returns the sum of two lists.
func merged(a, b []Bucket) []Bucket {
	counts := map[int]uint64{}
	for _, list := range [][]Bucket{a, b} {
		for _, k := range list {
			counts[k.Key] += k.Count
		}
	}
	return sorted(counts)
}

// TestInterruptedAdds: while goroutines add in few buckets, levels are replaced as often as
// possible. The system interrupts some Adds between the load of the level and the count. A read has
// each count whose Add returned before.
func TestInterruptedAdds(t *testing.T) {
	threads(t)
	n := 2_000_000
	if testing.Short() || race.Enabled {
		n = 200_000
	}
	for _, v := range []float64{1.5, 2, -3} { // the first on the way without calls
		c := newConfig(3, 160, 0x1p-128)
		b := newRows(c, 1)[0]
		var returned [writers]struct {
			atomic.Uint64
			_ [56]byte
		}
		var done sync.WaitGroup
		done.Add(writers)
		for i := range writers {
			go func() {
				defer done.Done()
				for range n {
					observe(b, c, v)
					returned[i].Add(1)
				}
			}()
		}
		var r Reader
		taken := uint64(0)
		for taken < writers*uint64(n) {
			want := uint64(0)
			for i := range returned {
				want += returned[i].Load()
			}
			r.Begin(c)
			r.Rows(b, 1)
			r.taken = true
			r.Read()
			r.End()
			if taken += r.Snapshot.Count(); taken < want {
				t.Fatalf("%v: %d observations after %d", v, taken, want)
			}
		}
		done.Wait()
		read(&r, c, false, b)
		if got, want := taken+r.Snapshot.Count(), uint64(writers*n); got != want {
			t.Errorf("%v: %d of %d observations were lost", v, int64(want-got), want)
		}
	}
}

// TestConcurrentDifference: Add grows directories while AddDifference lowers the resolution.
// Afterwards it is at most that of the difference.
func TestConcurrentDifference(t *testing.T) {
	threads(t)
	for i := range 10 * rounds() {
		c := newConfig(8, 160, 0)
		b := newRows(c, 1)[0]
		var done sync.WaitGroup
		var begun atomic.Bool
		done.Add(1)
		go func() {
			defer done.Done()
			for k := range 60 {
				if k == 10 {
					begun.Store(true)
				}
				observe(b, c, math.Exp2(float64(k)/32)) // each in a chunk of its own
			}
		}()
		for !begun.Load() {
			runtime.Gosched()
		}
		before, after := Snapshot{Schema: 5}, Snapshot{Schema: 5, Positive: []Bucket{{7, 3}}}
		b.AddDifference(c, &before, &after)
		done.Wait()
		var r Reader
		read(&r, c, false, b)
		if r.Schema > 5 || r.Snapshot.Count() != 63 {
			t.Fatalf("round %d: schema %d, %d observations", i, r.Schema, r.Snapshot.Count())
		}
	}
}
