package stripe

import (
	"math"
	"math/bits"
	"math/rand/v2"
	"reflect"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/tachikoma/tacho/internal/testkit"
)

// TestStackNumbersDiffer: goroutines that exist at the same time have different numbers.
// The number of a goroutine does not change while its stack does not move.
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
			numbers[i] = StackNumber()
			counted.Done()
			counted.Wait()
			if again := StackNumber(); again != numbers[i] {
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

// stackNumbers returns the numbers of n made-up goroutines. Their stacks have the given
// distance, or, if spacing is 0, several sizes and random places.
func stackNumbers(rnd *rand.Rand, n int, spacing uint64) []uintptr {
	const heap = 0xc000000000
	seen := map[uintptr]bool{}
	for at := uint64(heap + rnd.Uint64N(1<<30)&^(spacing-1)); len(seen) < n; at += spacing {
		if spacing == 0 {
			size := uint64(2048) << rnd.IntN(6)
			at = heap + rnd.Uint64N(1<<32)&^(size-1)
		}
		seen[uintptr(at>>StackShift)] = true
	}
	var all []uintptr
	for at := range seen {
		all = append(all, at)
	}
	return all
}

// round lets all goroutines add at once and counts their collisions. It returns the number
// of collisions, and whether the set should be replaced by a larger set.
func round(s *Set, running []uintptr) (collisions int, small bool) {
	taken := map[int]bool{}
	for _, at := range running {
		row := s.Row(at)
		if taken[row] {
			collisions++
			small = Contended(s, row, at, nil) || small
		}
		taken[row] = true
	}
	return collisions, small
}

// TestCollisionsEnd: for all distances of stacks, goroutines that add all the time soon
// have rows of their own, after few moves.
func TestCollisionsEnd(t *testing.T) {
	testkit.NeedThreads(t)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, procs := range []int{2, 4, 16, 64} {
		runtime.GOMAXPROCS(procs)
		for _, spacing := range []uint64{0, 2 << 10, 4 << 10, 8 << 10, 32 << 10, 256 << 10, 1 << 30} {
			worst, moves := 0, 0
			for range 50 {
				running := stackNumbers(rnd, procs, spacing)
				s := newSet(minRows, LineWords, nil)
				rounds := 0
				for n, small := round(s, running); n > 0; n, small = round(s, running) {
					if small {
						moves += int(s.moves.Load())
						s = newSet(2*s.Rows(), LineWords, s)
					}
					if rounds++; rounds > 1000*burst {
						t.Fatalf("%d goroutines, stacks %d apart: %d still collide in %d rows", procs, spacing, n, s.Rows())
					}
				}
				moves += int(s.moves.Load())
				worst = max(worst, rounds)
			}
			t.Logf("%2d goroutines, stacks %7d KiB apart: no collisions after at most %3d adds each, with %.1f moves", procs, spacing>>10, worst, float64(moves)/50)
		}
	}
}

// TestMovesServeAllSets: goroutines that have rows of their own in one set have rows of their own in
// another set of the same size at once. Many contended metrics then need no more moves than one.
func TestMovesServeAllSets(t *testing.T) {
	testkit.NeedThreads(t)
	running := stackNumbers(rand.New(rand.NewPCG(1, 2)), 16, 0)
	one := newSet(64, LineWords, nil)
	for n := -1; n != 0; {
		n, _ = round(one, running)
	}
	if n, _ := round(newSet(64, RowStride(20), nil), running); n > 0 {
		t.Errorf("%d goroutines collide in a set", n)
	}
}

// TestManyGoroutinesMoveSeldom: if new goroutines start all the time, collisions never
// end. The slots must not change with each collision, since every add reads them.
func TestManyGoroutinesMoveSeldom(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	all := stackNumbers(rnd, 5000, 0)
	s := newSet(64, LineWords, nil)
	collisions := 0
	for range 100_000 {
		rnd.Shuffle(16, func(i, _ int) {
			j := rnd.IntN(len(all))
			all[i], all[j] = all[j], all[i]
		})
		n, _ := round(s, all[:16])
		collisions += n
	}
	if moves := int(s.moves.Load()); moves > collisions/100 || moves < 64 {
		t.Errorf("%d moves for %d collisions", moves, collisions)
	}
}

// TestSlotsAreSpread: goroutines whose stacks have equal distances use many slots. A move
// concerns all goroutines of a slot.
func TestSlotsAreSpread(t *testing.T) {
	for spacing := uintptr(1); spacing <= 1<<16; spacing *= 2 {
		used := map[*atomic.Uint32]bool{}
		for i := range len(slots.factors) {
			used[slot(1<<20+uintptr(i)*spacing)] = true
		}
		if len(used) < len(slots.factors)/4 {
			t.Errorf("%d stacks %d KiB apart use %d slots", len(slots.factors), spacing<<StackShift>>10, len(used))
		}
	}
	if 1<<StackShift != 2<<10 {
		t.Errorf("a stack number for each %d bytes: the smallest stacks have 2 KiB", 1<<StackShift)
	}
}

func TestRowsStayInside(t *testing.T) {
	for rows := minRows; rows <= maxRows; rows *= 2 {
		s := newSet(rows, 2*LineWords, nil)
		used := map[int]bool{}
		for range 10_000 {
			at := uintptr(rand.Uint32())
			row := s.Row(at)
			if row < 0 || row+2*LineWords > len(s.Words) || row%(2*LineWords) != 0 {
				t.Fatalf("word %d of %d", row, len(s.Words))
			}
			used[row] = true
			Move(at)
		}
		if len(used) != rows {
			t.Errorf("%d of %d rows are used", len(used), rows)
		}
	}
}

// TestRowsAreApart: words that adds write to share no cache line with words that adds only
// read, or with the next row.
func TestRowsAreApart(t *testing.T) {
	var s Set
	if unsafe.Offsetof(s.before)+unsafe.Sizeof(s.before) > CacheLine {
		t.Error("an add reads more than one line of the header")
	}
	if unsafe.Offsetof(s.moves) < unsafe.Offsetof(s.before)+unsafe.Sizeof(s.before)+CacheLine || unsafe.Sizeof(s)-unsafe.Offsetof(s.moves) < CacheLine {
		t.Errorf("moves at %d of %d", unsafe.Offsetof(s.moves), unsafe.Sizeof(s))
	}
	if from := unsafe.Offsetof(slots.factors); from < CacheLine || unsafe.Sizeof(slots)-from-unsafe.Sizeof(slots.factors) < CacheLine {
		t.Errorf("factors at %d of %d", from, unsafe.Sizeof(slots))
	}
	for rows := minRows; rows <= maxRows; rows *= 2 {
		w := newSet(rows, LineWords, nil).Words
		if at := uintptr(unsafe.Pointer(&w[0])); at%CacheLine != 0 {
			t.Errorf("rows begin at %x", at)
		}
	}
}

// TestWidenOnce: goroutines that call Widen at the same time get the same set. With two
// sets, adds would be lost.
func TestWidenOnce(t *testing.T) {
	for range 50 {
		var p Pointer
		Widen(&p, nil, LineWords, nil, nil)
		old := p.Load()
		var mu sync.Mutex
		sets := map[*Set]bool{}
		testkit.Hammer(1, func(int) {
			Widen(&p, old, LineWords, nil, nil)
			mu.Lock()
			sets[p.Load()] = true
			mu.Unlock()
		})
		if len(sets) != 1 || sets[old] {
			t.Fatalf("%d sets of rows", len(sets))
		}
		if s := p.Load(); s.Rows() != 2*minRows || s.before != old {
			t.Fatalf("%d rows after %p, want twice those of %p", s.Rows(), s.before, old)
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

// TestFrequent: collisions count only in quick succession.
func TestFrequent(t *testing.T) {
	for _, c := range []struct {
		apart  time.Duration
		bursts int
	}{{time.Second, 0}, {3 * time.Millisecond, 0}, {100 * time.Microsecond, 1000 / burst}, {0, 1000 / burst}} {
		var entry uint32
		bursts := 0
		now := 8795 * time.Second // soon the time no longer fits into 24 bits and wraps
		for range 1000 {
			var frequent bool
			if entry, frequent = count(entry, now); frequent {
				bursts++
			}
			now += c.apart
		}
		if bursts != c.bursts {
			t.Errorf("%v apart: %d bursts, want %d", c.apart, bursts, c.bursts)
		}
	}
}

// TestRowsHaveRoom: a row has its words, one word that counts collisions, and a gap if it
// has several lines.
func TestRowsHaveRoom(t *testing.T) {
	for words := 1; words < 60; words++ {
		if got := WholeLines(words); got < words || got >= words+LineWords || got%LineWords != 0 {
			t.Errorf("%d words take %d in whole lines", words, got)
		}
		stride := RowStride(words)
		if words < LineWords && stride != LineWords || stride >= words+1+LineWords+rowGap {
			t.Errorf("%d words have a stride of %d", words, stride)
		}
		s := newSet(minRows, stride, nil)
		Contended(s, stride, 0, nil) // a collision in the second row
		counted := -1
		for i := range s.Words {
			if s.Words[i].Load() != 0 {
				if counted >= 0 {
					t.Errorf("%d words: a collision changes words %d and %d", words, counted, i)
				}
				counted = i
			}
		}
		if last := counted - stride; last < words || last >= stride {
			t.Errorf("%d words in a stride of %d: word %d of the row counts collisions", words, stride, last)
		} else if gap := stride - last - 1; words >= LineWords && gap < 2*CacheLine/8 {
			t.Errorf("%d words in a stride of %d: the gap behind the row has %d words", words, stride, gap)
		}
	}
}

// TestSums: a sum includes the sets that were replaced, and no collisions.
func TestSums(t *testing.T) {
	const counts = 20
	stride := RowStride(1 + counts)
	var p Pointer
	want, wantFloat, wantCounts := uint64(0), 0.0, make([]uint64, counts)
	for range 3 {
		Widen(&p, p.Load(), stride, nil, nil)
		s := p.Load()
		for row := 0; row < len(s.Words); row += stride {
			bits := math.Float64bits(0.5 * float64(row+1))
			s.Words[row].Store(bits)
			want += bits
			wantFloat += 0.5 * float64(row+1)
			for i := range wantCounts {
				s.Words[row+1+i].Store(uint64(row + i))
				wantCounts[i] += uint64(row + i)
			}
			for range 3 * burst {
				Contended(s, row, uintptr(row), nil)
			}
		}
		gotCounts := make([]uint64, counts)
		if got := p.Load().SumFloat(gotCounts); got != wantFloat || !slices.Equal(gotCounts, wantCounts) {
			t.Errorf("sum %v and counts %d, want %v and %d", got, gotCounts, wantFloat, wantCounts)
		}
		if got := p.Load().Sum(); got != want {
			t.Errorf("sum %d, want %d", got, want)
		}
	}
	if got := (*Set)(nil).Sum(); got != 0 {
		t.Errorf("the sum of no set is %d", got)
	}
	if got := (*Set)(nil).SumFloat(make([]uint64, counts)); got != 0 {
		t.Errorf("the sum of no set is %v", got)
	}
}

// TestMovesDouble: the 16th collision in a row moves the goroutine, then each doubling of
// their number, and each 65,536th collision. A new factor is odd.
func TestMovesDouble(t *testing.T) {
	s := newSet(64, LineWords, nil)
	var moved, want []int
	for n := 1; n <= 1<<18; n++ {
		before := s.moves.Load()
		Contended(s, 0, 12345, nil)
		if s.moves.Load() != before {
			moved = append(moved, n)
			if factor := slot(12345).Load() ^ phi; factor%2 != 1 || factor == phi {
				t.Errorf("factor %#x after %d collisions", factor, n)
			}
		}
		if n >= 16 && bits.OnesCount(uint(n)) == 1 || n%65536 == 0 {
			want = append(want, n)
		}
	}
	if !slices.Equal(moved, want) {
		t.Errorf("collisions %d move the goroutine, want %d", moved, want)
	}
}

// TestSetsGrow: a set should be replaced after as many moves as it has rows, unless the set
// has four rows for each of GOMAXPROCS. Sets that grow too early or without a limit cost
// memory and slower scrapes.
func TestSetsGrow(t *testing.T) {
	testkit.NeedThreads(t)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for _, procs := range []int{1, 2, 3, 8, 64, 100} {
		runtime.GOMAXPROCS(procs)
		for rows := minRows; rows <= maxRows; rows *= 2 {
			s := newSet(rows, LineWords, nil)
			for n := 1; n <= 3*rows; n++ {
				row, small := n%rows*LineWords, false
				for before := s.moves.Load(); s.moves.Load() == before; {
					if small {
						t.Fatalf("%d procs, %d rows: a collision that moves no goroutine makes a larger set", procs, rows)
					}
					small = Contended(s, row, uintptr(n), nil)
				}
				if want := n >= rows && rows < min(4*procs, maxRows); small != want {
					t.Fatalf("%d procs, %d rows: after %d moves a larger set is made: %v", procs, rows, n, small)
				}
			}
		}
	}
}

// TestAllBitsChooseRow: goroutines whose stack numbers differ in one bit can have different
// rows and slots in a new set. The first factor must be odd for the highest bit.
func TestAllBitsChooseRow(t *testing.T) {
	s := newSet(maxRows, LineWords, nil)
	for bit := range 32 {
		rows, slots := false, false
		for at := range uintptr(1000) {
			other := at ^ 1<<bit
			rows = rows || s.Row(at) != s.Row(other)
			slots = slots || slot(at) != slot(other)
		}
		if !rows || !slots {
			t.Errorf("bit %d of a stack number: chooses rows %v, slots %v", bit, rows, slots)
		}
	}
}

// TestBursts compares count with a list of all collisions: 16 collisions are a burst if no
// tick of 2^19 ns passes without a collision. A burst begins after each other.
func TestBursts(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	const tick = 1 << 19
	entry, collisions, last := uint32(0), 0, int64(-1000)
	now := int64(8795*time.Second) / tick // soon the ticks no longer fit into 24 bits and wrap
	for i := range 200_000 {
		switch random.IntN(20) {
		case 0:
			now += 2
		case 1, 2, 3, 4:
			now++
		case 5:
			now += random.Int64N(1<<24 - 2) // longer gaps wrap to short ones
		}
		var frequent bool
		entry, frequent = count(entry, time.Duration(now*tick+random.Int64N(tick)))
		if now > last+1 {
			collisions = 0
		}
		collisions++
		want := collisions == 16
		if want {
			collisions = 0
		}
		if last = now; frequent != want {
			t.Fatalf("collision %d: ends a burst %v, want %v", i, frequent, want)
		}
	}
}

// TestMetricsHaveEntries: metrics side by side use most entries of recent. If metrics
// shared few entries, seldom collisions of many metrics would be a burst.
func TestMetricsHaveEntries(t *testing.T) {
	var metrics [len(recent)][4]uint64
	old := make([]uint32, len(recent))
	for i := range recent {
		old[i] = recent[i].Swap(0)
	}
	for i := range metrics {
		Frequent(unsafe.Pointer(&metrics[i]))
	}
	used := 0
	for i := range recent {
		if recent[i].Swap(old[i]) != 0 {
			used++
		}
	}
	if used < len(recent)*3/4 {
		t.Errorf("%d metrics use %d entries", len(metrics), used)
	}
}

// TestContendedMetric: without a set, a burst of collisions is contention unless only one
// processor runs goroutines.
func TestContendedMetric(t *testing.T) {
	testkit.NeedThreads(t)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	var metric [2]uint64
	contended := func() bool {
		for range 100_000 { // a burst needs 16 in a millisecond
			if Contended(nil, 0, 0, unsafe.Pointer(&metric)) {
				return true
			}
		}
		return false
	}
	if runtime.GOMAXPROCS(2); !contended() {
		t.Error("no contention in 100,000 collisions")
	}
	if runtime.GOMAXPROCS(1); contended() {
		t.Error("contention on one processor")
	}
}

func TestSampled(t *testing.T) {
	sampled, gap, largest := 0, 0, 0
	const n = 64 * 10_000
	for i := range uint64(n) {
		gap++
		if Sampled(i) {
			sampled++
			largest = max(largest, gap)
			gap = 0
		}
	}
	if sampled < n/64*99/100 || sampled > n/64*101/100 || largest > 200 {
		t.Errorf("%d of %d values are sampled, at most %d apart", sampled, n, largest)
	}
}

// TestSampledSteps: a counter that grows in equal steps is sampled too, for each start.
func TestSampledSteps(t *testing.T) {
	const n = 64 * 1000
	for _, step := range []uint64{1, 2, 4, 8, 10, 16, 32, 64, 100, 128, 1000, 1024, 1 << 16, 1 << 20} {
		for start := range uint64(3) {
			sampled := 0
			for i := range uint64(n) {
				if Sampled(start + i*step) {
					sampled++
				}
			}
			if sampled < n/64/2 || sampled > n/64*2 {
				t.Errorf("from %d by %d: %d of %d values are sampled", start, step, sampled, n)
			}
		}
	}
}

func TestChanges(t *testing.T) {
	var w atomic.Uint64
	if Changes(&w, 1000) || Changes(&w, 0) {
		t.Error("a word that stays changes")
	}
	testkit.NeedThreads(t)
	var stop atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		for !stop.Load() {
			w.Add(1)
		}
	}()
	for !Changes(&w, 1<<30) { // ends when the goroutine runs
	}
	stop.Store(true)
	<-done
}

// TestTypesHaveNoEqual: a type that == cannot compare has no memory for that.
func TestTypesHaveNoEqual(t *testing.T) {
	if typ := reflect.TypeFor[Pointer](); typ.Comparable() || typ.Field(0).Type.Size() != 0 {
		t.Errorf("%v: comparable %v, the first field has %d bytes", typ, typ.Comparable(), typ.Field(0).Type.Size())
	}
}
