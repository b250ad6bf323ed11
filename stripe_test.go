package tacho

import (
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"
)

// hammer runs f from many goroutines, n times in each.
func hammer(n int, f func(i int)) (total int) {
	const workers = 8
	var wg sync.WaitGroup
	for range workers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range n {
				f(i)
			}
		}()
	}
	wg.Wait()
	return workers * n
}

// wider makes stripes, or more of them.
func wider(p *atomic.Pointer[stripes], stride int) *stripes { return widen(p, p.Load(), stride) }

// TestTotalsAreExact records from many goroutines, before the stripes are made,
// while they are, while sets follow each other, and after, with goroutines moving all
// the time.
func TestTotalsAreExact(t *testing.T) {
	r := NewRegistry()
	c, f, h := r.Counter("c", ""), r.FloatCounter("f", ""), r.Histogram("h", "", []float64{1, 3})
	const n = 5000
	total := hammer(n, func(i int) {
		if i == n/3 || i == n/2 {
			wider(&c.wide, lineWords)
			wider(&f.wide, lineWords)
			wider(&h.wide, h.def.stride)
		}
		if i > n/2 && i%10 == 0 {
			c.wide.Load().move(stackNumber())
			f.wide.Load().move(stackNumber())
			h.wide.Load().move(stackNumber())
		}
		c.Inc()
		f.Add(0.5)
		h.Observe(float64(i % 5))
	})
	if c.Value() != uint64(total) || f.Value() != float64(total)/2 {
		t.Errorf("counters %d and %v, want %d and half of it", c.Value(), f.Value(), total)
	}
	s := h.Snapshot()
	if s.Count != uint64(total) || s.Sum != float64(2*total) || s.Buckets[0].Count != uint64(total*2/5) || s.Buckets[1].Count != uint64(total*4/5) {
		t.Errorf("histogram %+v, want %d", s, total)
	}
}

// TestValuesNeverGoDown reads while others write and stripes appear; what was read
// last is all that was written.
func TestValuesNeverGoDown(t *testing.T) {
	r := NewRegistry()
	c, f, h := r.Counter("c", ""), r.FloatCounter("f", ""), r.Histogram("h", "", []float64{1})
	done := make(chan int, 1)
	go func() {
		done <- hammer(20000, func(i int) {
			if i == 5000 || i == 10000 {
				wider(&c.wide, lineWords)
				wider(&f.wide, lineWords)
				wider(&h.wide, h.def.stride)
			}
			c.Inc()
			f.Add(0.5)
			h.Observe(0.5)
		})
	}()
	var lastC, lastH uint64
	var lastF float64
	total := 0
	for ; total == 0; runtime.Gosched() {
		select {
		case total = <-done:
		default:
		}
		nc, nf, s := c.Value(), f.Value(), h.Snapshot()
		if nc < lastC || nf < lastF || s.Count < lastH || s.Buckets[1].Count != s.Count {
			t.Fatalf("%d after %d, %v after %v, %d after %d", nc, lastC, nf, lastF, s.Count, lastH)
		}
		lastC, lastF, lastH = nc, nf, s.Count
	}
	if lastC != uint64(total) || lastF != 0.5*float64(total) || lastH != uint64(total) {
		t.Errorf("%d, %v and %d of %d", lastC, lastF, lastH, total)
	}
}

// TestStackNumbersDiffer: goroutines that live at the same time have different
// numbers, and each has one that stays while its stack stays where it is.
func TestStackNumbersDiffer(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // collecting garbage may move stacks
	numbers := make([]uintptr, 1000)
	var started, counted, done sync.WaitGroup
	started.Add(len(numbers))
	counted.Add(len(numbers))
	for i := range numbers {
		done.Add(1)
		go func() {
			defer done.Done()
			started.Done()
			started.Wait() // from here on no stack grows
			numbers[i] = stackNumber()
			counted.Done()
			counted.Wait()
			if again := stackNumber(); again != numbers[i] {
				t.Errorf("number %d became %d", numbers[i], again)
			}
		}()
	}
	done.Wait()
	slices.Sort(numbers)
	if n := len(slices.Compact(numbers)); n != cap(numbers) {
		t.Errorf("%d goroutines have %d numbers", cap(numbers), n)
	}
}

// stackNumbers makes up the numbers of n goroutines, as stacks of one size lie side
// by side, or of several sizes in several places.
func stackNumbers(rnd *rand.Rand, n int, spacing uint64) []uintptr {
	const heap = 0xc000000000
	seen := map[uintptr]bool{}
	for at := uint64(heap + rnd.Uint64N(1<<30)&^(spacing-1)); len(seen) < n; at += spacing {
		if spacing == 0 {
			size := uint64(2048) << rnd.IntN(6)
			at = heap + rnd.Uint64N(1<<32)&^(size-1)
		}
		seen[uintptr(at>>stackShift)] = true
	}
	var all []uintptr
	for at := range seen {
		all = append(all, at)
	}
	return all
}

// round lets all numbers add at once and calls met for those that meet. It returns
// how many do, and whether the set is too small for them.
func (s *stripes) round(running []uintptr) (meet int, small bool) {
	taken := map[int]bool{}
	for _, at := range running {
		row := s.row(at)
		if taken[row] {
			meet++
			small = s.met(row, at) || small
		}
		taken[row] = true
	}
	return meet, small
}

// TestThoseWhoMeetArePart: whatever the addresses of their stacks, goroutines that
// run all the time soon have rows of their own, from two of them to as many as
// GOMAXPROCS is, and few have moved for it.
func TestThoseWhoMeetArePart(t *testing.T) {
	needThreads(t)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, procs := range []int{2, 4, 16, 64} {
		runtime.GOMAXPROCS(procs)
		for _, spacing := range []uint64{0, 2 << 10, 4 << 10, 8 << 10, 32 << 10, 256 << 10, 1 << 30} {
			worst, moves := 0, 0
			for range 50 {
				running := stackNumbers(rnd, procs, spacing)
				s := newStripes(minRows, lineWords, nil)
				rounds := 0
				for meet, small := s.round(running); meet > 0; meet, small = s.round(running) {
					if small {
						moves += int(s.moves.Load())
						s = newStripes(2*len(s.deal), lineWords, s)
					}
					if rounds++; rounds > 1000*meetings {
						t.Fatalf("%d goroutines, stacks %d apart: %d still meet in %d rows", procs, spacing, meet, len(s.deal))
					}
				}
				moves += int(s.moves.Load())
				worst = max(worst, rounds)
			}
			t.Logf("%2d goroutines, stacks %7d KiB apart: parted after at most %3d adds each, with %.1f moves", procs, spacing>>10, worst, float64(moves)/50)
		}
	}
}

// TestCrowdsMoveSeldom: where new goroutines come all the time, somebody meets in
// every round for ever. The deal must not change each time, or all would wait for
// it.
func TestCrowdsMoveSeldom(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	all := stackNumbers(rnd, 5000, 0)
	s := newStripes(64, lineWords, nil)
	met := 0
	for range 100_000 {
		rnd.Shuffle(16, func(i, _ int) {
			j := rnd.IntN(len(all))
			all[i], all[j] = all[j], all[i]
		})
		n, _ := s.round(all[:16])
		met += n
	}
	if moves := int(s.moves.Load()); moves > met/100 || moves < 64 {
		t.Errorf("%d moves for %d meetings", moves, met)
	}
}

func TestRowsStayInside(t *testing.T) {
	for rows := minRows; rows <= maxRows; rows *= 2 {
		s := newStripes(rows, 2*lineWords, nil)
		used := map[int]bool{}
		for range 10_000 {
			at := uintptr(rand.Uint32())
			row := s.row(at)
			if row < 0 || row+2*lineWords > len(s.words) || row%(2*lineWords) != 0 {
				t.Fatalf("word %d of %d", row, len(s.words))
			}
			used[row] = true
			s.move(at)
		}
		if len(used) != rows {
			t.Errorf("%d of %d rows are used", len(used), rows)
		}
	}
}

// TestRowsAreApart: what is written shares no cache line with what is read, nor with
// the next row.
func TestRowsAreApart(t *testing.T) {
	var s stripes
	if unsafe.Offsetof(s.before)+unsafe.Sizeof(s.before) > cacheLine {
		t.Error("an add reads more than one line of the header")
	}
	if unsafe.Offsetof(s.moves) < unsafe.Offsetof(s.before)+unsafe.Sizeof(s.before)+cacheLine || unsafe.Sizeof(s)-unsafe.Offsetof(s.moves) < cacheLine {
		t.Errorf("moves at %d of %d", unsafe.Offsetof(s.moves), unsafe.Sizeof(s))
	}
	for rows := minRows; rows <= maxRows; rows *= 2 {
		w := newStripes(rows, lineWords, nil).words
		if at := uintptr(unsafe.Pointer(&w[0])); at%cacheLine != 0 {
			t.Errorf("rows begin at %x", at)
		}
	}
}

// TestStripesAreMadeOnce: all who widen at the same time get the same set, else adds
// were lost.
func TestStripesAreMadeOnce(t *testing.T) {
	for range 50 {
		var c Counter
		old := widen(&c.wide, nil, lineWords)
		var mu sync.Mutex
		sets := map[*stripes]bool{}
		hammer(1, func(int) {
			s := widen(&c.wide, old, lineWords)
			mu.Lock()
			sets[s] = true
			mu.Unlock()
		})
		if len(sets) != 1 || sets[old] {
			t.Fatalf("%d sets of rows", len(sets))
		}
		if s := c.wide.Load(); len(s.deal) != 2*minRows || s.before != old {
			t.Fatalf("%d rows after %p, want twice those of %p", len(s.deal), s.before, old)
		}
	}
}

func TestRowLimit(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for procs, want := range map[int]int{1: 4, 2: 8, 3: 16, 8: 32, 16: 64, 64: 256, 100: 256} {
		if runtime.GOMAXPROCS(procs); runtime.GOMAXPROCS(0) != procs {
			continue // WebAssembly has one
		}
		if got := rowLimit(); got != want {
			t.Errorf("%d procs: %d rows, want %d", procs, got, want)
		}
	}
}

// TestMovesKeepTotals moves one goroutine over the rows of several sets: what it left
// in the old ones still counts.
func TestMovesKeepTotals(t *testing.T) {
	var c Counter
	var f FloatCounter
	h := NewRegistry().Histogram("x", "", []float64{1})
	for i := range 1000 {
		if i%250 == 0 {
			wider(&c.wide, lineWords)
			wider(&f.wide, lineWords)
			wider(&h.wide, h.def.stride)
		}
		c.Add(3)
		f.Add(0.25)
		h.Observe(2)
		if c.Value() != uint64(3*(i+1)) || f.Value() != 0.25*float64(i+1) || h.Snapshot().Count != uint64(i+1) {
			t.Fatalf("after %d: %d, %v, %v", i+1, c.Value(), f.Value(), h.Snapshot())
		}
		for _, s := range []*stripes{c.wide.Load(), f.wide.Load(), h.wide.Load()} {
			s.move(stackNumber())
		}
	}
	for s := c.wide.Load(); s != nil; s = s.before {
		used := 0
		for row := 0; row < len(s.words); row += lineWords {
			if s.words[row].Load() != 0 {
				used++
			}
		}
		if used < len(s.deal)/2 {
			t.Errorf("%d of %d rows used: who moved did not go far", used, len(s.deal))
		}
	}
}

// TestChanceMeetings: meetings count only in quick succession.
func TestChanceMeetings(t *testing.T) {
	for _, c := range []struct {
		apart time.Duration
		count int
	}{{time.Second, 0}, {3 * time.Millisecond, 0}, {100 * time.Microsecond, 1000 / meetings}, {0, 1000 / meetings}} {
		var met uint32
		count := 0
		now := 8795 * time.Second // soon the units do not fit above the count and begin again at 0
		for range 1000 {
			var often bool
			if met, often = nextMet(met, now); often {
				count++
			}
			now += c.apart
		}
		if count != c.count {
			t.Errorf("%v apart: often %d times, want %d", c.apart, count, c.count)
		}
	}
}

// TestOwner: a goroutine that adds for a while owns the counter, whatever the depth of
// its stack. Once there are stripes, the counter has no owner.
func TestOwner(t *testing.T) {
	var c Counter
	n := uint64(0)
	var frame uintptr
	add := func() {
		for range 1000 {
			c.Inc()
			n++
		}
		frame = stackNumber() // after the loop: a stack moves when it grows
	}
	add()
	owner := c.owner.Load()
	if owner < frame-1 || owner > frame+1 { // two addresses in one frame can have neighbouring numbers
		t.Errorf("owner %d, want %d or a neighbour", owner, frame)
	}
	if add(); c.owner.Load() != owner {
		t.Errorf("owner %d, then %d", owner, c.owner.Load())
	}
	wider(&c.wide, lineWords)
	c.reassign(frame)
	if owner := c.owner.Load(); owner != 0 {
		t.Errorf("owner %d beside stripes", owner)
	}
	was := c.n.Load()
	add()
	if c.n.Load() != was || c.Value() != n {
		t.Errorf("%d, want %d, of which %d with stripes", c.Value(), n, n-was)
	}
	s, owned := c.wide.Load(), 0
	for row := 0; row < len(s.words); row += lineWords {
		if s.words[row+1].Load() != 0 && s.words[row].Load() != 0 {
			owned++
		}
	}
	if owned == 0 {
		t.Error("no row has an owner")
	}
}

// TestDepthsMakeNoStripes: one goroutine that adds from several depths of its stack
// has several stack numbers. There is no contention, so there are no stripes.
func TestDepthsMakeNoStripes(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	var c Counter
	numbers := map[uintptr]bool{}
	var atDepth func(depth int)
	atDepth = func(depth int) {
		var frame [512]byte
		if depth > 0 {
			atDepth(depth - 1)
		}
		numbers[uintptr(unsafe.Pointer(&frame))>>stackShift] = true
		for range 20 {
			c.Inc()
			c.Add(1)
		}
	}
	for range 2_000 {
		atDepth(40)
	}
	if len(numbers) < 8 {
		t.Fatalf("only %d stack numbers", len(numbers))
	}
	if c.wide.Load() != nil {
		t.Error("one goroutine made stripes")
	}
	if want := uint64(2_000 * 41 * 40); c.Value() != want {
		t.Errorf("%d, want %d", c.Value(), want)
	}
}

// TestManyGoroutinesMakeNoStripes: a counter that many use, but each seldom, stays
// small.
func TestManyGoroutinesMakeNoStripes(t *testing.T) {
	var c Counter
	for range 500 {
		done := make(chan bool)
		go func() {
			c.Inc()
			close(done)
		}()
		<-done
	}
	if c.wide.Load() != nil || c.Value() != 500 {
		t.Errorf("%d, stripes %v", c.Value(), c.wide.Load() != nil)
	}
}

// TestTurnsMakeNoStripes: two goroutines that take turns never add at the same time. No
// stripes are made, and none are needed.
func TestTurnsMakeNoStripes(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	var c Counter
	turn := make(chan bool)
	n := 0
	take := func() {
		for range turn {
			for range 100 {
				c.Inc()
			}
			if n++; n == 10_000 {
				close(turn)
				return
			}
			turn <- true
		}
	}
	go take()
	turn <- true
	take()
	if c.wide.Load() != nil {
		t.Error("stripes without contention")
	}
	if c.Value() != 1_000_000 {
		t.Error(c.Value())
	}
}

// TestContentionMakesStripes: goroutines on several cores that add all the time get
// stripes.
func TestContentionMakesStripes(t *testing.T) {
	var c Counter
	var f FloatCounter
	h := NewRegistry().Histogram("h", "", nil)
	var bare, failed atomic.Uint64 // how often goroutines really met
	for range 2000 {
		if c.wide.Load() != nil && f.wide.Load() != nil && h.wide.Load() != nil {
			return
		}
		hammer(2_000, func(int) {
			c.Inc()
			f.Add(1)
			h.Observe(1)
			if old := bare.Load(); !bare.CompareAndSwap(old, old+1) {
				failed.Add(1)
			}
		})
		if failed.Load() > 1_000_000 {
			t.Fatalf("no stripes: %v %v %v", c.wide.Load() == nil, f.wide.Load() == nil, h.wide.Load() == nil)
		}
	}
	t.Skipf("goroutines hardly ran at the same time: they met %d times", failed.Load())
}

// needThreads skips a test of what happens where goroutines run at once: WebAssembly
// has one thread, on which nobody meets, and makes no stripes.
func needThreads(t *testing.T) {
	t.Helper()
	if runtime.GOARCH == "wasm" {
		t.Skip("one thread")
	}
}
