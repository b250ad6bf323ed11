//go:build linux || darwin || freebsd

package testkit

import (
	"fmt"
	"strings"
	"testing"
	"unsafe"
)

// errorList is a test that lists its errors.
type errorList struct {
	testing.TB
	errors []string
}

func (e *errorList) Errorf(format string, args ...any) {
	e.errors = append(e.errors, fmt.Sprintf(format, args...))
}

// TestGuarded: a read of one byte before or behind a string is found, in one of the two
// places. A read inside is no error.
func TestGuarded(t *testing.T) {
	list := &errorList{TB: t}
	g := NewGuarded(list)
	var sum byte
	for _, n := range []int{0, 1, 7, 100, len(g.memory)} {
		text := strings.Repeat("x", n)
		calls := 0
		g.Check(text, func(s string) {
			calls++
			if s != text {
				t.Errorf("%d bytes became %d others", n, len(s))
			}
			for i := range len(s) {
				sum += s[i]
			}
		})
		if calls != 2 || len(list.errors) != 0 {
			t.Errorf("%d bytes: %d calls, errors %q", n, calls, list.errors)
		}
		for _, c := range []struct {
			at    int // of the read
			place string
		}{{n, "before unreadable memory"}, {-1, "after unreadable memory"}} {
			g.Check(text, func(s string) {
				sum += *(*byte)(unsafe.Add(unsafe.Pointer(unsafe.StringData(s)), c.at))
			})
			found := len(list.errors) == 1 && strings.Contains(list.errors[0], c.place)
			if n == len(g.memory) { // both ends are at unreadable memory
				found = len(list.errors) == 2
			}
			if !found {
				t.Errorf("%d bytes, read at %d: errors %q", n, c.at, list.errors)
			}
			list.errors = nil
		}
	}
	g.Check("x", func(string) { panic("other") })
	if len(list.errors) != 2 || !strings.Contains(list.errors[0], "other") {
		t.Errorf("a panic: errors %q", list.errors)
	}
}

// TestGuardedSlice: a read of one element before or behind a slice, and an append to the
// slice, are found.
func TestGuardedSlice(t *testing.T) {
	list := &errorList{TB: t}
	g := NewGuarded(list)
	var sum float64
	read := func(p []float64, at int) {
		sum += *(*float64)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(p)), 8*at))
	}
	for _, c := range []struct {
		name, place string // place is "" if there is no error
		f           func(p []float64)
	}{
		{"reads inside", "", func(p []float64) {
			if len(p) != 3 || p[0] != 1 || p[1] != 2 || p[2] != 3 {
				t.Errorf("the copy is %v", p)
			}
		}},
		{"a read behind", "before unreadable memory", func(p []float64) { read(p, 3) }},
		{"a read before", "after unreadable memory", func(p []float64) { read(p, -1) }},
		{"an append", "before unreadable memory", func(p []float64) { read(append(p, 4), 3) }},
	} {
		list.errors = nil
		CheckSlice(g, []float64{1, 2, 3}, c.f)
		if c.place == "" && len(list.errors) == 0 || len(list.errors) == 1 && strings.HasPrefix(list.errors[0], "24 bytes "+c.place) {
			continue
		}
		t.Errorf("%s: errors %q", c.name, list.errors)
	}
}
