//go:build linux || darwin || freebsd

package store

import (
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/tachikoma/tacho/internal/testkit"
)

// TestNoReadOutsideValues: a lookup, a new series and the hash of a block read no byte outside
// the values and the block. The lengths are all at which the way of reading changes.
func TestNoReadOutsideValues(t *testing.T) {
	g := testkit.NewGuarded(t)
	text := strings.Repeat("0123456789abcdef", 10)
	for n := range 101 {
		value := text[:n]
		others := []string{text[1 : n+1], "x" + text[:n], text[:max(n-1, 0)]}
		for i, values := range around(value) {
			v := newVector(counters(0), fiveNames[:len(values)]...)
			hash, block := v.key(values)
			m := v.add(values...)
			g.Check(value, func(s string) {
				values := around(s)[i]
				if v.Find(values) != m || v.find(values...) != m {
					t.Errorf("%q are not found", values)
				}
				for _, other := range others {
					if other != s && v.finds(t, around(other)[i], values) {
						t.Errorf("%q find the series of %q", s, other)
					}
				}
				v.Reset()
				m = v.addLocked(values)
			})
			for _, s := range []string{strings.Repeat("\xff", n), strings.Repeat("\\", n), strings.Repeat("\"", n)} {
				g.Check(s, func(s string) {
					values := around(s)[i]
					v.Reset()
					if m := v.addLocked(values); v.find(values...) != m {
						t.Errorf("%q are not found", values)
					}
					v.Find(values)
				})
			}
			g.Check(block, func(block string) {
				p := unsafe.Pointer(unsafe.StringData(block))
				if !v.shape.is(p, values) || v.Hash(block) != hash || !slices.Equal(v.AppendValues(nil, block), values) {
					t.Errorf("%s: the block is not that of %q", block, values)
				}
				for _, other := range others {
					if len(other) == n && v.shape.is(p, around(other)[i]) != (other == value) {
						t.Errorf("%s is the block of %q", block, other)
					}
				}
				v.shape.key(block)
				v.shape.escaped(block)
			})
		}
	}
}

// TestNoReadOutsideTexts: the comparison and the lookup of texts read no unit outside an arena.
func TestNoReadOutsideTexts(t *testing.T) {
	g := testkit.NewGuarded(t)
	for n := range 50 {
		for _, value := range []string{strings.Repeat("a", n), strings.Repeat("a", n) + `\`} {
			v := newVector(counters(0), "l")
			m := v.add(value)
			longer := v.add(value + "a")
			o := v.layOut()
			arena := unsafe.Slice((*uint64)(o.view.main), o.view.end)
			testkit.CheckSlice(g, arena, func(arena []uint64) {
				view := *o.view
				view.main = unsafe.Pointer(unsafe.SliceData(arena))
				second := view.text(0).units()
				before := func(a, b uint32) bool { var k key; k.set(&v.Store, &view, b); return v.before(&view, a, &k) }
				if !before(0, second) || before(second, 0) || before(second, second) {
					t.Errorf("%q is not before its extension", value)
				}
				v.show(&view)
				if v.find(value) != m || v.find(value+"a") != longer || !strings.Contains(value, `\`) && (v.Find([]string{value}) != m || v.Find([]string{value + "a"}) != longer) {
					t.Errorf("%q is not found", value)
				}
				if got := v.listed(&Order{kind: &v.kind, view: &view, end: view.end}); !equalLists(got, [][]string{{value}, {value + "a"}}) {
					t.Errorf("the order is %q", got)
				}
			})
		}
	}
}

// TestMissReadsOneGroup: a lookup that finds nothing ends at the first group that no series passed.
// Clients cause misses, so a miss must not read the whole table.
func TestMissReadsOneGroup(t *testing.T) {
	v := newVector(counters(0), "l")
	_, block := v.key([]string{"x"})
	testkit.CheckSlice(testkit.NewGuarded(t), make([]group, 1), func(groups []group) {
		w := *v.current()
		w.groups = groups
		if cap(groups) > 16 { // all other groups are unreadable
			w.groups = groups[:16]
		}
		if m, g, _, _ := v.Store.find(&w, 0, nil, block, 0); m != nil || g != nil {
			t.Error("an empty table has a series")
		}
	})
}
