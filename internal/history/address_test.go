package history

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"runtime"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/tachikoma/tacho/internal/expo"
)

// blocks passes label blocks that are in one allocation, with their places as values.
func blocks(to expo.Reader, memory []byte, size int) {
	for i := 0; i < len(memory); i += size {
		to.Float(unsafe.String(&memory[i], size), float64(i/size))
	}
}

// labels fills memory with label blocks of values that begin with first.
func labels(memory []byte, first byte) {
	copy(memory, strings.Repeat(`{l="x"} `, len(memory)/8))
	for i := 0; i < len(memory); i += 8 {
		memory[i+4] = first + byte(i/8)
	}
}

// labelsOf returns the labels of the present values of a ring.
func labelsOf(t *testing.T, r *Ring) string {
	t.Helper()
	var c client
	if err := c.read(r.Append(nil, c.position, time.Now())); err != nil {
		t.Fatal(err)
	}
	list := ""
	for _, first := range "abcdefghij" {
		for name := range c.steps[len(c.steps)-1].values {
			if strings.Contains(name, fmt.Sprintf("l=%c", first)) {
				list += string(first)
			}
		}
	}
	return list
}

// TestAddresses checks that a walk compares texts if the family does not keep their memory: the memory here
// has other texts in the second step. The families keep the memory in the first step, and then do not.
func TestAddresses(t *testing.T) {
	family := &expo.Family{Name: "x"}
	memory := make([]byte, 3*8)
	keeper := unsafe.Pointer(&memory[0])
	one := func(texts unsafe.Pointer) func(to expo.Reader) {
		return func(to expo.Reader) {
			to.Begin(family, texts)
			blocks(to, memory, 8)
		}
	}
	// The first of two families of the same name keeps its memory.
	two := func(to expo.Reader) {
		to.Begin(family, keeper)
		blocks(to, memory[:8], 8)
		to.Begin(&expo.Family{Name: "x"}, keeper)
		blocks(to, memory[8:], 8)
	}
	for name, c := range map[string][]func(to expo.Reader){
		"never kept":       {one(nil), one(nil), one(nil)},
		"kept before":      {one(keeper), one(keeper), one(nil), one(nil)},
		"kept, but mixed":  {two, two, two},
		"mixed, then kept": {two, one(keeper), one(keeper)},
		"kept, then mixed": {one(keeper), one(keeper), two, two},
	} {
		r := New(Config{Range: time.Minute, Step: time.Second, MaxBytes: 1 << 20})
		labels(memory, 'a')
		for i, pass := range c {
			if i == len(c)-1 {
				labels(memory, 'e')
			}
			steps(t, r, 1, func(_ int, to expo.Reader) { pass(to) })
		}
		if got := labelsOf(t, r); got != "efg" {
			t.Errorf("%s: the ring has %q, want efg", name, got)
		}
	}
}

// TestAddressOfAnotherFamily checks that a walk compares the family of a series too.
func TestAddressOfAnotherFamily(t *testing.T) {
	r := New(Config{Range: time.Minute, Step: time.Second, MaxBytes: 1 << 20})
	x, y, memory := &expo.Family{Name: "x"}, &expo.Family{Name: "y"}, make([]byte, 8)
	labels(memory, 'a')
	steps(t, r, 3, func(i int, to expo.Reader) {
		for _, f := range []*expo.Family{x, y}[i/2:] {
			to.Begin(f, unsafe.Pointer(&memory[0]))
			blocks(to, memory, 8)
		}
	})
	var c client
	if err := c.read(r.Append(nil, c.position, time.Now())); err != nil {
		t.Fatal(err)
	}
	if values := c.steps[2].values; !maps.Equal(values, map[string]float64{slotName("y", "l=a", column{}): 0}) {
		t.Errorf("the step has %v, want y only", values)
	}
}

// TestFailedWalkForgetsAddresses checks that a step after an error compares texts: the walk did not reach all
// series, so the memory of some may have changed.
func TestFailedWalkForgetsAddresses(t *testing.T) {
	r := New(Config{Range: time.Minute, Step: time.Second, MaxBytes: 1 << 20})
	family, memory := &expo.Family{Name: "x"}, make([]byte, 3*8)
	labels(memory, 'a')
	pass := func(to expo.Reader) {
		to.Begin(family, unsafe.Pointer(&memory[0]))
		blocks(to, memory, 8)
	}
	steps(t, r, 2, func(_ int, to expo.Reader) { pass(to) })
	_ = r.Sample(time.Now(), func(w io.Writer) error {
		other := make([]byte, 8)
		labels(other, 'a')
		w.(expo.Reader).Begin(family, unsafe.Pointer(&other[0]))
		blocks(w.(expo.Reader), other, 8)
		return errors.New("bad")
	})
	labels(memory[8:], 'f')
	steps(t, r, 1, func(_ int, to expo.Reader) { pass(to) })
	if got := labelsOf(t, r); got != "afg" {
		t.Errorf("the ring has %q, want afg", got)
	}
}

// TestAbsentSeriesHaveNoAddress checks that a series that returns is found by its text.
func TestAbsentSeriesHaveNoAddress(t *testing.T) {
	r := New(Config{Range: time.Minute, Step: time.Second, MaxBytes: 1 << 20})
	family, memory, other := &expo.Family{Name: "x"}, make([]byte, 3*8), make([]byte, 8)
	labels(memory, 'a')
	labels(other, 'a')
	pass := func(_ int, to expo.Reader) {
		to.Begin(family, unsafe.Pointer(&memory[0]))
		blocks(to, memory, 8)
	}
	steps(t, r, 2, pass)
	steps(t, r, 1, func(_ int, to expo.Reader) {
		to.Begin(family, unsafe.Pointer(&other[0]))
		blocks(to, other, 8)
	})
	labels(memory[8:], 'f')
	steps(t, r, 1, pass)
	if got := labelsOf(t, r); got != "afg" {
		t.Errorf("the ring has %q, want afg", got)
	}
}

// TestTextsAreReleased checks that a ring keeps the memory of texts until the end of the next step.
func TestTextsAreReleased(t *testing.T) {
	r := New(Config{Range: time.Minute, Step: time.Second, MaxBytes: 1 << 20})
	family, released := &expo.Family{Name: "x"}, make(chan int, 10)
	collected := func(n int) int {
		for i := 0; i < 1000 && len(released) < n; i++ {
			runtime.GC()
			time.Sleep(time.Millisecond)
		}
		return len(released)
	}
	pass := func(i int, to expo.Reader) {
		memory := make([]byte, 1<<10)
		runtime.AddCleanup(&memory[0], func(i int) { released <- i }, i)
		labels(memory[:8], 'a')
		to.Begin(family, unsafe.Pointer(&memory[0]))
		blocks(to, memory[:8], 8)
	}
	steps(t, r, 4, pass)
	if n := collected(3); n != 3 {
		t.Errorf("the memory of %d of 4 steps is released, want 3", n)
	}
	steps(t, r, 1, func(i int, to expo.Reader) {
		pass(i, to)
		runtime.GC()
		runtime.GC()
		time.Sleep(10 * time.Millisecond)
		if n := len(released); n != 3 {
			t.Errorf("during a step, the memory of %d steps is released, want 3", n)
		}
	})
	if n := collected(4); n != 4 {
		t.Errorf("the memory of %d of 5 steps is released, want 4", n)
	}
	runtime.KeepAlive(r)
}

// TestTextsOfGoneFamily checks that a ring keeps no memory of a family whose last series are gone.
func TestTextsOfGoneFamily(t *testing.T) {
	r := New(Config{Range: time.Hour, Step: time.Second, MaxBytes: 1 << 20})
	x, y, released := &expo.Family{Name: "x"}, &expo.Family{Name: "y"}, make(chan struct{})
	steps(t, r, 4, func(i int, to expo.Reader) {
		if i < 2 {
			memory := make([]byte, 1<<10)
			if i == 1 {
				runtime.AddCleanup(&memory[0], func(int) { close(released) }, 0)
			}
			labels(memory[:16], 'a')
			to.Begin(x, unsafe.Pointer(&memory[0]))
			blocks(to, memory[:16], 8)
		}
		to.Begin(y, nil)
		to.Float(" ", 1)
	})
	for range 1000 {
		runtime.GC()
		select {
		case <-released:
			runtime.KeepAlive(r)
			return
		case <-time.After(time.Millisecond):
		}
	}
	t.Error("the ring keeps the memory of a family that is gone")
	runtime.KeepAlive(r)
}

// TestReturnedFamilyHasNoAddress checks a family that returns without memory that it keeps, and then keeps
// memory again: the addresses of its first time are not those of the same labels.
func TestReturnedFamilyHasNoAddress(t *testing.T) {
	r := New(Config{Range: time.Hour, Step: time.Second, MaxBytes: 1 << 20})
	x, memory, other := &expo.Family{Name: "x"}, make([]byte, 3*8), make([]byte, 3*8)
	keeper := unsafe.Pointer(&memory[0])
	labels(memory, 'a')
	labels(other, 'a')
	pass := func(texts unsafe.Pointer, memory []byte) {
		steps(t, r, 1, func(_ int, to expo.Reader) {
			to.Begin(x, texts)
			blocks(to, memory, 8)
		})
	}
	pass(keeper, memory)
	pass(keeper, memory)
	steps(t, r, 1, func(int, expo.Reader) {})
	pass(nil, other)
	labels(memory, 'e')
	pass(keeper, memory)
	if got := labelsOf(t, r); got != "efg" {
		t.Errorf("the ring has %q, want efg", got)
	}
}
