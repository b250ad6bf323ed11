package tacho

import "unsafe"

// Expositions do not all call a family by the name of its definition. Names
// outside the legacy set are escaped for most clients. OpenMetrics takes _total
// and _info off the name of a family and puts them on its samples, so that a
// gauge x and a counter x_total, distinct in the text format, meet under the name
// x there. What goes out must have unique families all the same, and all of them.

// exposed is what an exposition shows of a family.
type exposed struct {
	name string
	// plain: OpenMetrics shows a counter or info as it stands in the text format,
	// one sample of the family's full name, and says that its type is not known:
	// as what it is, it would meet another family.
	plain bool
}

// A naming holds the families that an exposition does not call by the name of
// their definition, or does not show as what they are.
type naming map[string]exposed // by that name

func (n naming) of(f *family) exposed {
	if x, ok := n[f.name]; ok {
		return x
	}
	return exposed{name: f.name}
}

// rename answers for a naming. Encoders hold this function, and registries a pointer of
// no type, so that the types of a naming are only in programs that make one.
func (n naming) rename(f *family) (name string, plain bool) {
	x := n.of(f)
	return x.name, x.plain
}

// nameFamilies finds names under which no two families meet. A name whose
// escaped form is another's is escaped by "values" instead, which no other name
// can be, in the text format and OpenMetrics alike. What still meets in
// OpenMetrics does so by a suffix that comes or goes: it is shown plain, under a
// name that is its own in the text format.
func (r *Registry) nameFamilies(families []*family, open bool, s escaping) naming {
	n := naming{}
	if r.utf8 != nil && s != escapeNone {
		pairs := r.utf8.escape(families, s)
		for i := 0; i < len(pairs); i += 2 {
			n[pairs[i]] = exposed{name: pairs[i+1]}
		}
	}
	if open {
		for _, f := range append(n.nameless(families), n.meeting(families, open)...) {
			if f.kind == kindCounter || f.kind == kindInfo {
				n[f.name] = exposed{n.of(f).name, true}
			}
		}
	}
	return n
}

// nameless returns the families of which a suffix is all.
func (n naming) nameless(families []*family) (found []*family) {
	for _, f := range families {
		name := n.of(f).name
		if f.kind == kindCounter && name == "_total" || f.kind == kindInfo && name == "_info" {
			found = append(found, f)
		}
	}
	return found
}

// escapeFamilies returns the names that must be escaped, each before what it is then.
func escapeFamilies(families []*family, s escaping) (pairs []string) {
	n := naming{}
	n.escape(families, s)
	if s != escapeValues {
		n.escape(n.meeting(families, false), escapeValues)
	}
	for _, f := range families {
		if x, ok := n[f.name]; ok {
			pairs = append(pairs, f.name, x.name)
		}
	}
	return pairs
}

func (n naming) escape(families []*family, s escaping) {
	for _, f := range families {
		if f.quoted {
			n[f.name] = exposed{name: string(appendEscapedMetric(nil, f.name, s))}
		}
	}
}

// meeting returns the families that have a name, their own or a sample's, in
// common with another; some of them twice.
func (n naming) meeting(families []*family, open bool) (met []*family) {
	owner := map[string]*family{}
	for _, f := range families {
		for _, name := range n.claims(f, open) {
			if other := owner[name]; other == nil {
				owner[name] = f
			} else if other != f {
				met = append(met, f, other)
			}
		}
	}
	return met
}

// claims lists the names that a family and its samples take in an exposition.
func (n naming) claims(f *family, open bool) []string {
	name := n.of(f).name
	switch {
	case f.kind == kindHistogram || f.kind == kindSummary:
		return append(sampleNames(name, f.kind), name)
	case open && f.kind == kindCounter:
		base := trimSuffix(name, "_total")
		return []string{name, base, base + "_total", base + "_created"}
	case open && f.kind == kindInfo:
		return []string{name, trimSuffix(name, "_info")}
	}
	return []string{name}
}

// A keptNaming is the naming of the last scrape in a format and escaping scheme. Its
// strings are its own: what a collector emitted may be part of something large.
type keptNaming struct {
	named  []named // the families that it is for
	rename func(*family) (name string, plain bool)
}

// named is what of a family decides how an exposition calls it.
type named struct {
	name string
	kind kind
}

func keepNaming(families []*family, n naming) *keptNaming {
	own := func(s string) string { return string(append([]byte(nil), s...)) }
	kept, list := naming{}, make([]named, len(families))
	for i, f := range families {
		name := own(f.name)
		list[i] = named{name, f.kind}
		if x, ok := n[name]; ok {
			kept[name] = exposed{own(x.name), x.plain}
		}
	}
	return &keptNaming{list, kept.rename}
}

// isFor reports whether the naming is for these families or others that are alike, as
// those are that collectors make anew for each scrape.
func (k *keptNaming) isFor(families []*family) bool {
	if k == nil || len(k.named) != len(families) {
		return false
	}
	for i, f := range families {
		if k.named[i].name != f.name || k.named[i].kind != f.kind {
			return false
		}
	}
	return true
}

// naming returns the naming for a scrape of these families. It is worked out anew when
// there are others than at the last scrape.
func (r *Registry) naming(families []*family, open bool, s escaping) func(*family) (string, bool) {
	last := &r.namings[s]
	if open {
		last = &r.namings[len(escapings)+int(s)]
	}
	r.mu.Lock()
	k := (*keptNaming)(*last)
	r.mu.Unlock()
	if k.isFor(families) {
		return k.rename
	}
	k = keepNaming(families, r.nameFamilies(families, open, s))
	r.mu.Lock()
	*last = unsafe.Pointer(k)
	r.mu.Unlock()
	return k.rename
}
