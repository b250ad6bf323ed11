//go:build linux || darwin || freebsd

package testkit

import (
	"runtime/debug"
	"syscall"
	"testing"
	"unsafe"
)

// A Guarded places strings and slices directly beside unreadable memory, so that a read of
// one byte outside of them faults.
type Guarded struct {
	t      testing.TB
	memory []byte // readable; the pages before and after it are not
	guard  int    // bytes that are unreadable after memory
}

// guardedSize is at least the size of the readable memory.
const guardedSize = 128 << 10

// NewGuarded maps the memory, and unmaps the memory when the test ends. Until then a fault
// in the goroutine of the test is a panic that [Guarded.Check] reports. NewGuarded skips
// the test if the system refuses the memory.
func NewGuarded(t testing.TB) *Guarded {
	t.Helper()
	guard := syscall.Getpagesize()
	size := (guardedSize + guard - 1) / guard * guard
	all, err := syscall.Mmap(-1, 0, guard+size+guard, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Skip("no memory can be mapped: ", err)
	}
	for _, pages := range [][]byte{all[:guard], all[guard+size:]} {
		if err := protect(pages); err != nil {
			t.Skip("no memory can be protected: ", err)
		}
	}
	old := debug.SetPanicOnFault(true)
	t.Cleanup(func() {
		debug.SetPanicOnFault(old)
		if err := syscall.Munmap(all); err != nil {
			t.Error(err)
		}
	})
	return &Guarded{t, all[guard : guard+size], guard}
}

// Check calls f with a copy of s that ends where readable memory ends, and with a copy that
// begins where readable memory begins. A fault or another panic of f fails the test. The
// copies are valid only during the call.
func (g *Guarded) Check(s string, f func(s string)) {
	g.t.Helper()
	CheckSlice(g, []byte(s), func(b []byte) { f(unsafe.String(unsafe.SliceData(b), len(b))) })
}

// CheckSlice is [Guarded.Check] with a slice. The first copy has a capacity of unreadable
// memory, so that an append to the slice of the program faults too. The copies do not keep
// the memory alive that the elements of list refer to.
func CheckSlice[E any](g *Guarded, list []E, f func(list []E)) {
	g.t.Helper()
	one := int(unsafe.Sizeof(*new(E)))
	size := one * len(list)
	if size > len(g.memory) {
		g.t.Fatalf("%d bytes do not fit into %d", size, len(g.memory))
	}
	for _, place := range []struct {
		name string
		at   int
		cap  int
	}{
		{"before unreadable memory", len(g.memory) - size, len(list) + g.guard/one},
		{"after unreadable memory", 0, len(list)},
	} {
		at := (*E)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(g.memory)), place.at))
		placed := unsafe.Slice(at, place.cap)[:len(list)]
		copy(placed, list)
		func() {
			g.t.Helper()
			defer func() {
				if p := recover(); p != nil {
					g.t.Errorf("%d bytes %s: %v", size, place.name, p)
				}
			}()
			f(placed)
		}()
	}
}
