package tacho

import "github.com/tachikoma/tacho/internal/expo"

// Fallback returns an Emitter of the same scrape whose families give way. A family that gives way
// is left out if the registry has a family of the same name. The family is also left out if a
// collector emits a family of the same name with an Emitter that does not give way. The same holds
// if the name of a sample of one family is the name of the other family, such as x_count beside a
// histogram x. Nothing is counted. The order of the collectors does not matter.
//
// If several collectors emit families of the same name that give way, the families are joined. A
// series that the joined family already has is left out, and nothing is counted. The same holds for
// a family of another type.
//
// Fallback is meant for metrics that come from another library: metrics of the program have
// precedence.
func (e *Emitter) Fallback() *Emitter {
	c := e.collection
	if c == nil || c.merge != nil { // a zero Emitter, or one of Fallback
		return e
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return e
	}
	if c.fallback == nil {
		c.fallback = &collection{reg: c.reg, merge: mergeFallback}
	}
	return &Emitter{c.fallback, e.with}
}

// mergeFallback returns the families of a scrape with the families that give way. all has the
// other families that collectors emitted, or is nil.
func mergeFallback(r *Registry, calls []*call, all *collection, families []*expo.Family) []*expo.Family {
	joined := &collection{reg: r, silent: true}
	for _, c := range calls {
		if c == nil || !c.ok || c.emitted.fallback == nil {
			continue
		}
		for _, f := range c.emitted.fallback.list {
			if all == nil || all.families[f.Name] == nil && !all.conflicts(f) {
				joined.joinFamily(f)
			}
		}
	}
	return r.merge(families, joined.sorted(true), true)
}
