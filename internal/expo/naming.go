package expo

import (
	"sync"
	"unsafe"

	"github.com/tachikoma/tacho/internal/names"
	"github.com/tachikoma/tacho/internal/stringslite"
)

// An exposition cannot always call a family by the name of its definition:
//
//   - Names outside the legacy set are escaped for most clients.
//   - OpenMetrics takes the suffixes _total and _info from the name of a family and leaves
//     them in the names of its samples. A gauge x and a counter x_total, distinct in the
//     text format, would both be called x.
//
// An exposition must have every family once, under a name that no other family has.

// exposed is the name of a family in an exposition.
type exposed struct {
	_    [0]func() // no ==; see internal/SIZE.md
	name string
	// plain: OpenMetrics shows this family under its full name with type unknown (an info
	// as a gauge), because its usual name belongs to another family.
	plain bool
}

// A naming has the families whose name in an exposition differs from the name of their
// definition, and the plain families. The key is the name of the definition.
type naming map[string]exposed

func (n naming) of(f *Family) exposed {
	if x, ok := n[f.Name]; ok {
		return x
	}
	return exposed{name: f.Name}
}

// rename is naming.of as a function. An Encoder holds this function, so that only programs
// that make a naming contain the types of a naming; see internal/SIZE.md.
func (n naming) rename(f *Family) (name string, plain bool) {
	x := n.of(f)
	return x.name, x.plain
}

// Names decides how the expositions of a registry call its families.
type Names struct {
	_    [0]func()  // no ==; see internal/SIZE.md
	UTF8 *UTF8Rules // nil if all names are in the legacy set

	mu sync.Mutex
	// kept are *keptNaming, of the text format and then of OpenMetrics. A program that
	// makes no naming does not contain that type; see internal/SIZE.md.
	kept [2 * names.NumSchemes]unsafe.Pointer
}

// name returns a naming in which no two families have the same name. If two escaped names
// are the same, both are escaped by the scheme Values, which makes names that no other
// name equals, in the text format and OpenMetrics alike. If two names are the same only in
// OpenMetrics, a suffix was removed: the families are shown plain, and their
// plain names are unique in the text format.
func (ns *Names) name(families []*Family, open bool, s names.Scheme) naming {
	n := naming{}
	if ns.UTF8 != nil && s != names.AllowUTF8 {
		pairs := ns.UTF8.rules().escape(families, s)
		for i := 0; i < len(pairs); i += 2 {
			n[pairs[i]] = exposed{name: pairs[i+1]}
		}
	}
	if open {
		for _, f := range append(n.nameless(families), n.conflicting(families, open)...) {
			if f.Kind == Counter || f.Kind == Info {
				n[f.Name] = exposed{name: n.of(f).name, plain: true}
			}
		}
	}
	return n
}

// nameless returns the families whose name is only a suffix that OpenMetrics removes.
func (n naming) nameless(families []*Family) (found []*Family) {
	for _, f := range families {
		name := n.of(f).name
		if f.Kind == Counter && name == "_total" || f.Kind == Info && name == "_info" {
			found = append(found, f)
		}
	}
	return found
}

// conflicting returns the families that have a name, their own or the name of a sample,
// in common with another family. A family may be returned twice.
func (n naming) conflicting(families []*Family, open bool) (found []*Family) {
	owner := map[string]*Family{}
	for _, f := range families {
		for _, name := range n.claims(f, open) {
			if other := owner[name]; other == nil {
				owner[name] = f
			} else if other.Name != f.Name {
				found = append(found, f, other)
			}
		}
	}
	return found
}

// claims returns the names of a family and its samples in an exposition.
func (n naming) claims(f *Family, open bool) []string {
	name := n.of(f).name
	base := name
	var all []string
	switch {
	case f.Kind == Histogram || f.Kind == Summary:
		all = SampleNames(name, f.Kind)
	case open && f.Kind == Counter && stringslite.HasSuffix(name, "_total"):
		base = stringslite.TrimSuffix(name, "_total")
		all = SampleNames(name, f.Kind)
	case open && f.Kind == Info:
		base = stringslite.TrimSuffix(name, "_info")
	}
	return append(all, name, base) // not a literal; see internal/SIZE.md
}

// A keptNaming is the naming of the last exposition in one format and scheme.
type keptNaming struct {
	families []keptFamily
	rename   func(*Family) (name string, plain bool)
}

// keptFamily has the properties of a family that decide its name in an exposition.
type keptFamily struct {
	_    [0]func() // no ==; see internal/SIZE.md
	name string
	kind Kind
}

// keepNaming copies the strings of n: a name that a collector emitted may be part of a
// large buffer.
func keepNaming(families []*Family, n naming) *keptNaming {
	own := func(s string) string { return string([]byte(s)) }
	kept, list := naming{}, make([]keptFamily, len(families))
	for i, f := range families {
		name := own(f.Name)
		list[i].name, list[i].kind = name, f.Kind
		if x, ok := n[name]; ok {
			kept[name] = exposed{name: own(x.name), plain: x.plain}
		}
	}
	return &keptNaming{list, kept.rename}
}

// isFor reports whether k is the naming of these families. Collectors emit new families
// for each scrape, so names and kinds are compared.
func (k *keptNaming) isFor(families []*Family) bool {
	if k == nil || len(k.families) != len(families) {
		return false
	}
	for i, f := range families {
		if k.families[i].name != f.Name || k.families[i].kind != f.Kind {
			return false
		}
	}
	return true
}

// naming returns the naming of these families as a function. It computes a new naming only
// if the families differ from those of the last exposition.
func (ns *Names) naming(families []*Family, open bool, s names.Scheme) func(*Family) (string, bool) {
	last := &ns.kept[s]
	if open {
		last = &ns.kept[names.NumSchemes+int(s)]
	}
	ns.mu.Lock()
	k := (*keptNaming)(*last)
	ns.mu.Unlock()
	if k.isFor(families) {
		return k.rename
	}
	k = keepNaming(families, ns.name(families, open, s))
	ns.mu.Lock()
	*last = unsafe.Pointer(k)
	ns.mu.Unlock()
	return k.rename
}
