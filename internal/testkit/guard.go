//go:build linux || darwin || freebsd

package testkit

import (
	"runtime/debug"
	"syscall"
	"testing"
	"unsafe"
)

// A Guarded places strings directly beside unreadable memory, so that a read of one byte
// outside a string faults.
type Guarded struct {
	t    testing.TB
	page []byte // readable; the pages before and after it are not
}

// NewGuarded maps the memory, and unmaps the memory when the test ends. Until then a fault
// in the goroutine of the test is a panic that [Guarded.Check] reports. NewGuarded skips
// the test if the system refuses the memory.
func NewGuarded(t testing.TB) *Guarded {
	t.Helper()
	size := syscall.Getpagesize()
	all, err := syscall.Mmap(-1, 0, 3*size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Skip("no memory can be mapped: ", err)
	}
	for _, guard := range [][]byte{all[:size], all[2*size:]} {
		if err := protect(guard); err != nil {
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
	return &Guarded{t, all[size : 2*size]}
}

// Check calls f with a copy of s that ends where readable memory ends, and with a copy that
// begins where readable memory begins. A fault or another panic of f fails the test. The
// copies are valid only during the call.
func (g *Guarded) Check(s string, f func(s string)) {
	g.t.Helper()
	if len(s) > len(g.page) {
		g.t.Fatalf("%d bytes do not fit into a page of %d", len(s), len(g.page))
	}
	for _, place := range []struct {
		name string
		at   []byte
	}{
		{"before unreadable memory", g.page[len(g.page)-len(s):]},
		{"after unreadable memory", g.page[:len(s)]},
	} {
		copy(place.at, s)
		func() {
			g.t.Helper()
			defer func() {
				if p := recover(); p != nil {
					g.t.Errorf("%d bytes %s: %v", len(s), place.name, p)
				}
			}()
			f(unsafe.String(unsafe.SliceData(place.at), len(s)))
		}()
	}
}
