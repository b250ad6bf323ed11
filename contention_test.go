package tacho

import (
	"runtime"
	"sync/atomic"
	"testing"
	"unsafe"

	"github.com/tachikoma/tacho/internal/stripe"
	"github.com/tachikoma/tacho/internal/testkit"
)

// widen gives a metric stripes, or more of them.
func widen(p *stripe.Pointer, stride int) { stripe.Widen(p, p.Load(), stride, nil, nil) }

// TestTotalsAreExact records from many goroutines before, while and after stripes are
// made, with goroutines moving to other rows all the time.
func TestTotalsAreExact(t *testing.T) {
	r := NewRegistry()
	c, f, h := r.Counter("c", ""), r.FloatCounter("f", ""), r.Histogram("h", "", []float64{1, 3})
	const n = 5000
	total := testkit.Hammer(n, func(i int) {
		if i == n/3 || i == n/2 {
			widen(&c.wide, stripe.LineWords)
			widen(&f.wide, stripe.LineWords)
			widen(&h.wide, h.def.stride)
		}
		if i > n/2 && i%10 == 0 {
			stripe.Move(stripe.StackNumber())
		}
		c.Inc()
		f.Add(0.5)
		h.Observe(float64(i % 5))
	})
	if c.Value() != uint64(total) || f.Value() != float64(total)/2 {
		t.Errorf("counters %d and %v, want %d and half of that number", c.Value(), f.Value(), total)
	}
	s := h.Snapshot()
	if s.Count != uint64(total) || s.Sum != float64(2*total) || s.Buckets[0].Count != uint64(total*2/5) || s.Buckets[1].Count != uint64(total*4/5) {
		t.Errorf("histogram %+v, want %d observations", s, total)
	}
}

// TestValuesNeverGoDown reads while other goroutines write and stripes are made. The last
// value read is the sum of everything written.
func TestValuesNeverGoDown(t *testing.T) {
	r := NewRegistry()
	c, f, h := r.Counter("c", ""), r.FloatCounter("f", ""), r.Histogram("h", "", []float64{1})
	done := make(chan int, 1)
	go func() {
		done <- testkit.Hammer(20000, func(i int) {
			if i == 5000 || i == 10000 {
				widen(&c.wide, stripe.LineWords)
				widen(&f.wide, stripe.LineWords)
				widen(&h.wide, h.def.stride)
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
		t.Errorf("%d, %v and %d recorded, want %d", lastC, lastF, lastH, total)
	}
}

// TestMovesKeepTotals moves one goroutine over the rows of several sets. Its adds in the
// old rows still count.
func TestMovesKeepTotals(t *testing.T) {
	var c Counter
	var f FloatCounter
	h := NewRegistry().Histogram("x", "", []float64{1})
	for i := range 1000 {
		if i%250 == 0 {
			widen(&c.wide, stripe.LineWords)
			widen(&f.wide, stripe.LineWords)
			widen(&h.wide, h.def.stride)
		}
		c.Add(3)
		f.Add(0.25)
		h.Observe(2)
		if c.Value() != uint64(3*(i+1)) || f.Value() != 0.25*float64(i+1) || h.Snapshot().Count != uint64(i+1) {
			t.Fatalf("after %d rounds: %d, %v and %v", i+1, c.Value(), f.Value(), h.Snapshot())
		}
		stripe.Move(stripe.StackNumber())
	}
}

// TestOwner: a goroutine that adds for a while owns the counter, at any depth of its
// stack. Once there are stripes, the counter has no owner.
func TestOwner(t *testing.T) {
	var c Counter
	n := uint64(0)
	var frame uintptr
	add := func() {
		for range 1000 {
			c.Inc()
			n++
		}
		frame = stripe.StackNumber() // after the loop: the stack moves if it grows
	}
	add()
	owner := c.owner.Load()
	if owner < frame-1 || owner > frame+1 { // two addresses in one frame can have neighbouring numbers
		t.Errorf("owner %d, want %d or a neighbour", owner, frame)
	}
	if add(); c.owner.Load() != owner {
		t.Errorf("owner %d, then %d", owner, c.owner.Load())
	}
	widen(&c.wide, stripe.LineWords)
	c.reassign(frame)
	if owner := c.owner.Load(); owner != 0 {
		t.Errorf("owner %d beside stripes", owner)
	}
	was := c.n.Load()
	add()
	if c.n.Load() != was || c.Value() != n {
		t.Errorf("value %d, want %d, of which %d in stripes", c.Value(), n, n-was)
	}
	s, owned := c.wide.Load(), 0
	for row := 0; row < len(s.Words); row += stripe.LineWords {
		if s.Words[row+1].Load() != 0 && s.Words[row].Load() != 0 {
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
		numbers[uintptr(unsafe.Pointer(&frame))>>stripe.StackShift] = true
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

// TestManyGoroutinesMakeNoStripes: a counter that many goroutines use, one after another,
// keeps its one word.
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
		t.Errorf("value %d, want 500; stripes: %v", c.Value(), c.wide.Load() != nil)
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

// TestContentionMakesStripes: metrics to which several cores add all the time get stripes.
func TestContentionMakesStripes(t *testing.T) {
	var c Counter
	var f FloatCounter
	h := NewRegistry().Histogram("h", "", nil)
	var bare, failed atomic.Uint64 // failed counts collisions
	for range 2000 {
		if c.wide.Load() != nil && f.wide.Load() != nil && h.wide.Load() != nil {
			return
		}
		testkit.Hammer(2_000, func(int) {
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
	t.Skipf("goroutines seldom ran at the same time: %d collisions", failed.Load())
}
