package tacho

import (
	"maps"
	"slices"

	"github.com/tachikoma/tacho/internal/expo"
	"github.com/tachikoma/tacho/internal/sortkeys"
)

// sorted returns the rows of f by key.
func (f *emitted) sorted() []*row {
	if f.order == nil {
		return []*row{&f.rows[0]}
	}
	return f.order
}

// mergeCollected returns the families of a scrape with the families that the calls of
// collectors have emitted, sorted by name.
func mergeCollected(r *Registry, calls []*call, families []*expo.Family) []*expo.Family {
	var all *collection
	var fallback *collection
	joined := false
	for _, c := range calls {
		switch {
		case c == nil || !c.ok:
			continue
		case len(c.emitted.list) == 0:
		case all == nil:
			all = c.emitted
		case !joined:
			all = all.copied()
			joined = true
			fallthrough
		default:
			all.join(c.emitted)
		}
		if c.emitted.fallback != nil {
			fallback = c.emitted.fallback
		}
	}
	if all != nil {
		families = r.merge(families, all.sorted(joined), false)
	}
	if fallback != nil {
		families = fallback.merge(r, calls, all, families)
	}
	return families
}

// sorted returns the families of c, sorted by name. joined is true if c has families of several
// collectors.
func (c *collection) sorted(joined bool) []*expo.Family {
	collected := make([]*expo.Family, 0, len(c.families))
	for _, f := range c.list {
		if joined {
			if f = c.families[f.Name]; f.joined {
				c.setOrder(f, f.order)
			}
		}
		collected = append(collected, &f.Family)
	}
	sortFamilies(collected)
	return collected
}

// copied returns a copy of c that can join others.
func (c *collection) copied() *collection {
	return &collection{reg: c.reg, list: slices.Clip(c.list), families: maps.Clone(c.families), taken: maps.Clone(c.taken)}
}

// join adds the families of another collector. Samples that conflict with those of c are
// refused.
func (c *collection) join(other *collection) {
	for _, f := range other.list {
		c.joinFamily(f)
	}
}

func (c *collection) joinFamily(f *emitted) {
	old, reason := c.families[f.Name], ""
	switch {
	case old == nil && c.conflicts(f), old != nil && old.Kind != f.Kind:
		reason = reasonConflict
	case old == nil:
		c.insert(f)
	default:
		if !old.joined {
			old = old.copied()
			c.families[f.Name] = old
		}
		if len(f.Consts) != len(old.Consts) || len(f.Consts) > 0 && &f.Consts[0] != &old.Consts[0] {
			old.Consts = nil // of different sub-registries
		}
		if old.addNames(c.reg, f.known) {
			old.order = append(old.order, f.sorted()...)
			old.QuotedLabels = old.QuotedLabels || f.QuotedLabels
		} else {
			reason = reasonInvalid
		}
	}
	if reason != "" {
		for range f.count {
			c.refuse(f.Name, reason)
		}
	}
}

// copied returns a copy of f that can join others.
func (f *emitted) copied() *emitted {
	c := &emitted{Family: f.Family, joined: true, order: slices.Clip(f.sorted()), known: slices.Clip(f.known)}
	for i, escaped := range f.escaped {
		c.escaped[i] = maps.Clone(escaped)
	}
	c.Encode = c.encode
	return c
}

// merge returns the families and the collected families, sorted by name. It leaves out
// collected families that conflict with a definition: a metric may have been defined
// while the collectors ran. It counts these families unless silent is true.
func (r *Registry) merge(families, collected []*expo.Family, silent bool) []*expo.Family {
	merged := make([]*expo.Family, 0, len(families)+len(collected))
	var refused []string
	r.mu.Lock()
	for _, f := range collected {
		for len(families) > 0 && families[0].Name < f.Name {
			merged, families = append(merged, families[0]), families[1:]
		}
		if other, _ := r.conflictLocked(f.Name, f.Kind); other != nil || familyIn(r, r.families, f.Name) != nil || len(families) > 0 && families[0].Name == f.Name {
			refused = append(refused, f.Name)
		} else {
			merged = append(merged, f)
		}
	}
	r.mu.Unlock()
	for _, name := range refused {
		if !silent {
			r.fault(name, reasonConflict)
		}
	}
	return append(merged, families...)
}

// sortFamilies sorts families by name, in place. Names are unique.
func sortFamilies(families []*expo.Family) {
	list := slices.Clone(families)
	for i, n := range sortkeys.Strings(len(list), func(i uint32) string { return list[i].Name }) {
		families[i] = list[n]
	}
}
