package tacho

import (
	"runtime"
	"sync"
	"testing"
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

// TestTotalsAreExact records from many goroutines, before the stripes are made,
// while they are, and after, with the salt changing all the time.
func TestTotalsAreExact(t *testing.T) {
	r := NewRegistry()
	c, f, h := r.Counter("c", ""), r.FloatCounter("f", ""), r.Histogram("h", "", []float64{1, 3})
	const n = 5000
	total := hammer(n, func(i int) {
		if i == n/3 {
			loadStripes(&c.wide)
			loadStripes(&f.wide)
			h.widen()
		}
		if i > n/2 && i%10 == 0 {
			c.wide.Load().redeal()
			f.wide.Load().redeal()
			h.wide.Load().redeal()
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

// TestValuesNeverGoDown reads while others write and stripes appear.
func TestValuesNeverGoDown(t *testing.T) {
	r := NewRegistry()
	c, f, h := r.Counter("c", ""), r.FloatCounter("f", ""), r.Histogram("h", "", []float64{1})
	done := make(chan struct{})
	go func() {
		defer close(done)
		hammer(20000, func(i int) {
			if i == 5000 {
				loadStripes(&c.wide)
				loadStripes(&f.wide)
				h.widen()
			}
			c.Inc()
			f.Add(0.1)
			h.Observe(0.5)
		})
	}()
	var lastC, lastH uint64
	var lastF float64
	for running := true; running; runtime.Gosched() {
		select {
		case <-done:
			running = false
		default:
		}
		nc, nf, s := c.Value(), f.Value(), h.Snapshot()
		if nc < lastC || nf < lastF || s.Count < lastH || s.Buckets[1].Count != s.Count {
			t.Fatalf("%d after %d, %v after %v, %d after %d", nc, lastC, nf, lastF, s.Count, lastH)
		}
		lastC, lastF, lastH = nc, nf, s.Count
	}
}

func TestStripesStayInside(t *testing.T) {
	for _, n := range []int{2, 8, maxStripes} {
		var d deal
		d.init(n)
		for range 1000 {
			if i := d.pick(); i < 0 || i >= n {
				t.Fatalf("stripe %d of %d", i, n)
			}
			d.redeal()
		}
	}
}

// TestRedealParts shows that no two stacks stay on one stripe: whatever their
// addresses, some of the next few salts part them.
func TestRedealParts(t *testing.T) {
	var d deal
	d.init(8)
	at := func(addr uint64) uint64 { return (addr >> 10) * d.salt.Load() >> d.shift }
	for _, apart := range []uint64{1 << 11, 1 << 12, 1 << 13, 1 << 16, 1 << 20, 1 << 30} {
		const base = 0xc000100000
		tries := 0
		for ; at(base) == at(base+apart) && tries < 50; tries++ {
			d.redeal()
		}
		if tries == 50 {
			t.Errorf("stacks %d apart share a stripe after %d deals", apart, tries)
		}
	}
}

func TestCellsAreApart(t *testing.T) {
	if size := unsafe.Sizeof(cell{}); size != cacheLine {
		t.Errorf("a cell is %d bytes", size)
	}
}

// TestStripesAreMadeOnce: all who meet get the same cells, else adds were lost.
func TestStripesAreMadeOnce(t *testing.T) {
	for range 50 {
		var c Counter
		h := NewRegistry().Histogram("x", "", nil)
		var mu sync.Mutex
		cells, rows := map[*stripes]bool{}, map[*shards]bool{}
		hammer(1, func(int) {
			s, w := loadStripes(&c.wide), h.widen()
			mu.Lock()
			cells[s], rows[w] = true, true
			mu.Unlock()
		})
		if len(cells) != 1 || len(rows) != 1 {
			t.Fatalf("%d sets of cells, %d of shards", len(cells), len(rows))
		}
	}
}

func TestStripeCount(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for procs, want := range map[int]int{1: 4, 2: 8, 3: 16, 8: 32, 16: 64, 100: 64} {
		if runtime.GOMAXPROCS(procs); runtime.GOMAXPROCS(0) != procs {
			continue // WebAssembly has one
		}
		if got := stripeCount(); got != want {
			t.Errorf("%d procs: %d stripes, want %d", procs, got, want)
		}
	}
}

// TestRedealKeepsTotals moves one goroutine over the cells: what it left in the
// old ones still counts.
func TestRedealKeepsTotals(t *testing.T) {
	var c Counter
	var f FloatCounter
	h := NewRegistry().Histogram("x", "", []float64{1})
	s, g, w := loadStripes(&c.wide), loadStripes(&f.wide), h.widen()
	for i := range 1000 {
		c.Add(3)
		f.Add(0.25)
		h.Observe(2)
		if c.Value() != uint64(3*(i+1)) || f.Value() != 0.25*float64(i+1) || h.Snapshot().Count != uint64(i+1) {
			t.Fatalf("after %d: %d, %v, %v", i+1, c.Value(), f.Value(), h.Snapshot())
		}
		s.redeal()
		g.redeal()
		w.redeal()
	}
	used := 0
	for i := range s.cells {
		if s.cells[i].bits.Load() != 0 {
			used++
		}
	}
	if used < 2 {
		t.Errorf("%d of %d cells used: dealing anew moved nobody", used, len(s.cells))
	}
}
