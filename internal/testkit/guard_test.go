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
	for _, n := range []int{0, 1, 7, 100, len(g.page)} {
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
			if n == len(g.page) { // both ends are at unreadable memory
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
