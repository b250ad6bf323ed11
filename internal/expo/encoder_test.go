package expo

import (
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/tachikoma/tacho/internal/decimal"
	"github.com/tachikoma/tacho/internal/names"
	"github.com/tachikoma/tacho/internal/race"
	"github.com/tachikoma/tacho/internal/testkit"
)

// gauges returns a family with n samples of a label of this length.
func gauges(name string, n, length int) *Family {
	block := `{l="` + strings.Repeat("v", length) + `"} `
	f := &Family{Name: name, Kind: Gauge}
	f.Encode = func(e *Encoder) {
		e.Begin(f)
		for i := range n {
			if !e.Whole(block, uint64(i), false, nil) {
				return
			}
		}
	}
	return f
}

// TestLongLineLeavesNoBuffer: a buffer that grew for one long line is not kept for the
// next exposition. Every other buffer is kept.
func TestLongLineLeavesNoBuffer(t *testing.T) {
	f := &Family{Name: "g", Help: strings.Repeat("h", 10*maxPooled), Kind: Gauge}
	f.Encode = func(e *Encoder) {
		e.Begin(f)
		e.Whole(" ", 1, false, nil)
	}
	for range 3 {
		var b strings.Builder
		if err := Write(&b, &Text, names.Underscores, []*Family{f}, new(Names)); err != nil || b.Len() < 10*maxPooled {
			t.Fatalf("%d bytes, %v", b.Len(), err)
		}
		if p := spare.Load(); p != nil && cap(*p) > maxPooled {
			t.Fatalf("a buffer of %d bytes is kept", cap(*p))
		}
	}
	if err := Write(io.Discard, &Text, names.Underscores, []*Family{gauges("g", 5000, 20)}, new(Names)); err != nil {
		t.Fatal(err)
	}
	if p := spare.Load(); p == nil || cap(*p) != 64<<10 {
		t.Errorf("the buffer %v is kept, want one of 64 KiB", p)
	}
}

// writes notes the sizes of the writes. The write of that number fails.
type writes struct {
	sizes []int
	fail  int
}

var errWrite = errors.New("write failed")

func (w *writes) Write(p []byte) (int, error) {
	w.sizes = append(w.sizes, len(p))
	if len(w.sizes) == w.fail {
		return 0, errWrite
	}
	return len(p), nil
}

// TestWritesHaveTheSizeOfTheBuffer: an exposition is written in pieces of about 32 KiB.
func TestWritesHaveTheSizeOfTheBuffer(t *testing.T) {
	for name, format := range formats {
		var w writes
		if err := Write(&w, format, names.Underscores, []*Family{gauges("a", 5000, 50), gauges("b", 5000, 3)}, new(Names)); err != nil {
			t.Fatal(err)
		}
		for i, size := range w.sizes {
			if size > 32<<10+500 || size < 32<<10 && i < len(w.sizes)-1 {
				t.Errorf("%s: write %d of %d has %d bytes", name, i, len(w.sizes), size)
			}
		}
		if len(w.sizes) < 10 {
			t.Errorf("%s: %d writes", name, len(w.sizes))
		}
	}
}

// TestErrorEndsExposition: after an error of w nothing is written, no family begins, and
// the current family is told to pass no more samples.
func TestErrorEndsExposition(t *testing.T) {
	const block = `{l="some value"} `
	bounds := NewBounds(nil)
	distribution := Distribution{}
	for method, pass := range map[string]func(e *Encoder) bool{
		"Whole":        func(e *Encoder) bool { return e.Whole(block, 1, false, nil) },
		"long Whole":   func(e *Encoder) bool { return e.Whole(block, decimal.MaxShort, false, nil) },
		"Float":        func(e *Encoder) bool { return e.Float(block, 0.5, nil) },
		"Histogram":    func(e *Encoder) bool { return e.Histogram(block, &bounds, []uint64{1}, 1, nil) },
		"Summary":      func(e *Encoder) bool { return e.Summary(block, &distribution, nil) },
		"with details": func(e *Encoder) bool { return e.Float(block, 0.5, e.Details()) },
	} {
		for name, format := range formats {
			passed, later := 0, 0
			first := &Family{Name: "a", Kind: Gauge}
			first.Encode = func(e *Encoder) {
				e.Begin(first)
				for passed = 1; pass(e) && passed < flushAt; passed++ {
				}
			}
			second := &Family{Name: "b", Kind: Gauge, Encode: func(*Encoder) { later++ }}
			w := writes{fail: 2}
			if err := Write(&w, format, names.Underscores, []*Family{first, second}, new(Names)); err != errWrite {
				t.Errorf("%s, %s: error %v", name, method, err)
			}
			if len(w.sizes) != 2 || later != 0 || passed < 2*flushAt/200 || passed > 2*flushAt/10 {
				t.Errorf("%s, %s: %d writes, %d samples, %d later families", name, method, len(w.sizes), passed, later)
			}
		}
	}
}

// TestConcurrentExpositions: expositions at the same time share no buffer.
func TestConcurrentExpositions(t *testing.T) {
	var want [4]string
	var families [4][]*Family
	for i := range want {
		families[i] = []*Family{gauges("name"+strconv.Itoa(i), 500, 10*i)}
		var b strings.Builder
		if err := Write(&b, &Text, names.Underscores, families[i], new(Names)); err != nil {
			t.Fatal(err)
		}
		want[i] = b.String()
	}
	testkit.Hammer(50, func(i int) {
		var b strings.Builder
		if err := Write(&b, &Text, names.Underscores, families[i%4], new(Names)); err != nil || b.String() != want[i%4] {
			t.Errorf("error %v, or an exposition has bytes of another", err)
		}
	})
}

// TestExpositionAllocations: the number of samples makes no allocation.
func TestExpositionAllocations(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector allocates")
	}
	for name, format := range formats {
		var allocations [2]float64
		for i, n := range []int{1, 3000} {
			families := []*Family{gauges("g", n, 20)}
			ns := new(Names)
			allocations[i] = testing.AllocsPerRun(20, func() { Write(io.Discard, format, names.Underscores, families, ns) })
		}
		if allocations[1] > allocations[0] {
			t.Errorf("%s: %v allocations for 3000 samples, %v for one", name, allocations[1], allocations[0])
		}
	}
}
