package tacho

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

// rename answers for a naming. Registries and encoders hold this function, so that the
// types of a naming are only in programs that make one.
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

// naming returns the naming for a scrape of these families. It is worked out
// once for what is defined; what collectors emit can differ from scrape to scrape.
func (r *Registry) naming(families []*family, open bool, s escaping) func(*family) (string, bool) {
	kept := &r.namings[s]
	if open {
		kept = &r.namings[len(escapings)+int(s)]
	}
	r.mu.Lock()
	n := *kept
	if !sameList(r.sorted, families) {
		n = nil
	}
	r.mu.Unlock()
	if n != nil {
		return n
	}
	n = r.nameFamilies(families, open, s).rename
	r.mu.Lock()
	defer r.mu.Unlock()
	if sameList(r.sorted, families) {
		*kept = n
	}
	return n
}

// sameList reports whether two lists are one in memory. A registry is never
// without families.
func sameList(a, b []*family) bool {
	return len(a) == len(b) && len(a) > 0 && &a[0] == &b[0]
}
