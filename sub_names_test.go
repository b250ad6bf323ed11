package tacho

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/tachikoma/tacho/internal/expo"
)

// A nameModel describes which definitions a tree of registries has, by lists and without indexes.
type nameModel struct {
	regs []*modelRegistry
	defs []*modelDefinition
}

type modelRegistry struct {
	reg    *Registry
	parent *modelRegistry // nil for the registry of NewRegistry
	prefix string
	consts string
	closed bool
}

type modelDefinition struct {
	name, consts string
	kind         expo.Kind
	users        []*modelRegistry
}

// modelKinds are the types of the definitions. A counter, a gauge and a histogram cover all sets of
// sample names that a definition has.
var modelKinds = []expo.Kind{expo.Counter, expo.Gauge, expo.Histogram}

// modelNames have sample names in common, depending on the type: x_total as a histogram has
// x_total_created, as has x_total_total as a counter.
var modelNames = []string{"x", "x_total", "x_count", "x_created", "x_bucket", "x_sum", "x_total_total", "x_total_created", "x_total_count", "x_created_total"}

// find returns a definition with this name and, unless consts is "any", with these constant labels. It
// returns nil if there is none.
func (m *nameModel) find(name, consts string) *modelDefinition {
	for _, d := range m.defs {
		if d.name == name && (consts == "any" || d.consts == consts) {
			return d
		}
	}
	return nil
}

func (m *nameModel) own(r *modelRegistry, name string) *modelDefinition {
	for _, d := range m.defs {
		if d.name == name && slices.Contains(d.users, r) {
			return d
		}
	}
	return nil
}

// conflicts reports whether a definition with another name has a name of the samples.
func (m *nameModel) conflicts(name string, kind expo.Kind) bool {
	mine := expo.SampleNames(name, kind)
	for _, d := range m.defs {
		theirs := expo.SampleNames(d.name, d.kind)
		if d.name == name {
			continue
		}
		if slices.Contains(theirs, name) || slices.Contains(mine, d.name) {
			return true
		}
		for _, n := range mine {
			if slices.Contains(theirs, n) && !strings.HasSuffix(n, "_created") {
				return true
			}
		}
	}
	return false
}

// define reports whether the definition is accepted, and adds the definition.
func (m *nameModel) define(r *modelRegistry, name string, kind expo.Kind) bool {
	if r.closed {
		return false
	}
	name = r.prefix + name
	d := m.own(r, name)
	if d == nil {
		d = m.find(name, r.consts)
	}
	if d != nil {
		if d.kind == kind && !slices.Contains(d.users, r) {
			d.users = append(d.users, r)
		}
		return d.kind == kind
	}
	if other := m.find(name, "any"); other != nil && other.kind != kind || other == nil && m.conflicts(name, kind) {
		return false
	}
	m.defs = append(m.defs, &modelDefinition{name, r.consts, kind, []*modelRegistry{r}})
	return true
}

// remove removes what r has defined under a name, with the prefix.
func (m *nameModel) remove(r *modelRegistry, name string) bool {
	d := m.own(r, name)
	if d == nil {
		return false
	}
	d.users = slices.DeleteFunc(d.users, func(u *modelRegistry) bool { return u == r })
	m.defs = slices.DeleteFunc(m.defs, func(d *modelDefinition) bool { return len(d.users) == 0 })
	return true
}

func (r *modelRegistry) within(of *modelRegistry) bool {
	for ; r != nil; r = r.parent {
		if r == of {
			return true
		}
	}
	return false
}

func (m *nameModel) close(r *modelRegistry) {
	for _, sub := range m.regs {
		if r.parent != nil && sub.within(r) {
			sub.closed = true
			for _, d := range slices.Clone(m.defs) {
				if slices.Contains(d.users, sub) {
					m.remove(sub, d.name)
				}
			}
		}
	}
}

func (m *nameModel) shown(r *modelRegistry) (list []string) {
	for _, d := range m.defs {
		if slices.ContainsFunc(d.users, func(u *modelRegistry) bool { return u.within(r) }) {
			list = append(list, d.name+d.consts+d.kind.TextName())
		}
	}
	slices.Sort(list)
	return list
}

// scrapedNames returns what a scrape shows, in the form of nameModel.shown.
func scrapedNames(r *Registry) (list []string) {
	for _, f := range r.scrapedFor(&query{}) {
		if strings.HasPrefix(f.Name, "tacho_") {
			continue
		}
		d := (*family)(unsafe.Pointer(f))
		consts := ""
		for _, l := range d.Consts {
			consts += l.Name + l.Value
		}
		list = append(list, f.Name+consts+f.Kind.TextName())
	}
	slices.Sort(list)
	return list
}

// check compares the tree with the model.
func (m *nameModel) check(t *testing.T) {
	t.Helper()
	root := m.regs[0].reg
	for i, r := range m.regs {
		if got, want := scrapedNames(r.reg), m.shown(r); !slices.Equal(got, want) {
			t.Fatalf("registry %d shows %s, want %s", i, got, want)
		}
	}
	root.mu.Lock()
	defer root.mu.Unlock()
	for i, f := range root.defined {
		if f.index != i {
			t.Fatalf("index %d of %s is %d", i, f.Name, f.index)
		}
	}
	names, taken := map[string]bool{}, map[string]bool{}
	for _, f := range root.defined {
		names[f.Name] = true
		for _, name := range expo.SampleNames(f.Name, f.Kind) {
			taken[name] = true
		}
	}
	for _, c := range []struct {
		what string
		got  map[string]int
		want map[string]bool
	}{{"families", root.families, names}, {"taken", root.taken, taken}} {
		if got, want := slices.Sorted(maps.Keys(c.got)), slices.Sorted(maps.Keys(c.want)); !slices.Equal(got, want) {
			t.Fatalf("%s has %s, want %s", c.what, got, want)
		}
		for name := range c.got {
			f := familyIn(root, c.got, name)
			if f.Name != name && !slices.Contains(expo.SampleNames(f.Name, f.Kind), name) {
				t.Fatalf("%s: %s refers to %s", c.what, name, f.Name)
			}
		}
	}
	for _, name := range modelNames {
		for _, kind := range modelKinds {
			if m.find(name, "any") != nil {
				continue
			}
			if other, _ := root.conflictLocked(name, kind); (other != nil) != m.conflicts(name, kind) {
				t.Fatalf("%s as a %s: conflict %v, want %v", name, kind.TextName(), other != nil, m.conflicts(name, kind))
			}
		}
	}
}

func (m *nameModel) add(reg *Registry, parent *modelRegistry, prefix, consts string) {
	m.regs = append(m.regs, &modelRegistry{reg: reg, parent: parent, prefix: prefix, consts: consts})
}

// FuzzSubNames: definitions, Unregister and Close in any order, with names whose samples have the same
// names, accept and show what a simple model does.
func FuzzSubNames(f *testing.F) {
	for seed := range 30 {
		data := make([]byte, 600)
		x := uint32(seed + 1)
		for i := range data {
			x = x*1664525 + 1013904223
			data[i] = byte(x >> 24)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		n := func(limit int) int {
			if len(data) == 0 {
				return 0
			}
			b := data[0]
			data = data[1:]
			return int(b) % limit
		}
		m := &nameModel{}
		m.add(NewRegistry(), nil, "", "")
		step := ""
		defer func() {
			if t.Failed() {
				t.Log("step: " + step)
			}
		}()
		for len(data) > 0 && len(m.regs) < 50 {
			i := n(len(m.regs))
			r := m.regs[i]
			name := modelNames[n(len(modelNames))]
			switch op := n(16); {
			case op == 0: // a sub-registry, with the labels of its parent or one more
				prefix, consts := []string{"", "", "x_"}[n(3)], fmt.Sprint(n(3))
				step = fmt.Sprintf("Sub of %d with %q and %s", i, prefix, consts)
				label := fmt.Sprint("l", strings.Count(r.consts, "l"))
				opts := []Option{WithPrefix(prefix)}
				if consts == "0" {
					label, consts = "", ""
				} else {
					opts = append(opts, WithConstLabels(label, consts))
				}
				sub, err := Try(func() *Registry { return r.reg.Sub(opts...) })
				if (err == nil) == r.closed {
					t.Fatalf("%s: %v, closed %v", step, err, r.closed)
				}
				if err == nil {
					m.add(sub, r, r.prefix+prefix, r.consts+label+consts)
				}
			case op == 1:
				step = fmt.Sprint("Close of ", i)
				r.reg.Close()
				m.close(r)
			case op < 6:
				step = fmt.Sprintf("Unregister of %s in %d", name, i)
				if got, want := r.reg.Unregister(name), m.remove(r, r.prefix+name); got != want {
					t.Fatalf("%s: %v, want %v", step, got, want)
				}
			default:
				kind := modelKinds[n(len(modelKinds))]
				step = fmt.Sprintf("%s as a %s in %d", name, kind.TextName(), i)
				_, err := Try(func() bool {
					switch kind {
					case expo.Counter:
						r.reg.Counter(name, "")
					case expo.Gauge:
						r.reg.Gauge(name, "")
					default:
						r.reg.Histogram(name, "", nil)
					}
					return true
				})
				if accepted := m.define(r, name, kind); accepted != (err == nil) {
					t.Fatalf("%s: %v, want accepted %v", step, err, accepted)
				}
			}
			m.check(t)
		}
	})
}
