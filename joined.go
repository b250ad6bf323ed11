package tacho

import (
	"slices"
	"sync"
	"unsafe"

	"github.com/tachikoma/tacho/internal/expo"
	"github.com/tachikoma/tacho/internal/stringslite"
)

// Join returns a registry that shows the metrics of several registries as one: in every format, for
// every handler, and for package push. A registry that occurs twice, or also as a part of
// another, is shown once. Join panics with a *[DefinitionError] if a registry is nil or not from
// [NewRegistry], [Registry.Sub] or Join.
//
// Families with the same name become one family, with the help and the unit of the first registry.
// A series that several registries have is shown once, with the value of the first, and
// tacho_errors_total{metric,reason="duplicate"} of the other registry counts. If the types differ, or
// the samples of two families would have the same name, the family of the later registry is left
// out, and tacho_errors_total{metric,reason="conflict"} of this registry counts. Families of
// [Emitter.Fallback] give way to those of the other registries too. The values of
// tacho_errors_total and tacho_series_overflow_total are added.
//
// The functions of all registries run at the same time, with the time of one scrape. Definitions in
// the result are refused. A family that several registries have takes memory for each of its samples
// while a scrape writes this family, unless a constant label has different values in the registries.
// The result is safe for concurrent use.
func Join(regs ...*Registry) *Registry {
	j := &joined{}
	for _, r := range regs {
		r.check("")
		if r.branch != nil && (*branch)(r.branch).parts != nil {
			j.parts = append(j.parts, (*branch)(r.branch).parts...)
		} else {
			j.parts = append(j.parts, r)
		}
	}
	given := map[*Registry]bool{} // true until the registry is in parts
	for _, r := range j.parts {
		given[r] = true
	}
	var parts []*Registry
	for _, r := range j.parts {
		if given[r] && !isPartOf(r, given) {
			parts = append(parts, r)
		}
		given[r] = false
	}
	j.parts = parts
	reg := &Registry{space: &space{families: map[string]int{}, taken: map[string]int{}}}
	reg.root = reg
	for _, r := range parts {
		if reg.names.UTF8 == nil {
			reg.names.UTF8 = r.names.UTF8
		}
	}
	reg.tree = unsafe.Pointer(&tree{
		check:   refuseJoined,
		add:     func(r *Registry, f *family) *family { refuseJoined(r, f.Name); return nil },
		collect: func(r *Registry, _ *source) { refuseJoined(r, "") },
		remove:  func(*Registry, string) bool { return false },
	})
	reg.branch = unsafe.Pointer(&branch{scrape: j.scrape, shown: j.shown, offer: j.offer, parts: append([]*Registry{}, parts...)})
	return reg
}

// isPartOf reports whether r is a sub-registry, at any depth, of one of the registries that are keys
// of set.
func isPartOf(r *Registry, set map[*Registry]bool) bool {
	for r.branch != nil {
		r = (*branch)(r.branch).parent
		if _, ok := set[r]; ok {
			return true
		}
	}
	return false
}

// joined has the registries of Join.
type joined struct {
	parts []*Registry

	mu   sync.Mutex
	last *keptConflicts
}

func refuseJoined(_ *Registry, name string) {
	refuse(name, expo.NoDefinitions, "")
}

// offer returns the first format that a part offers.
func (j *joined) offer() unsafe.Pointer {
	for _, r := range j.parts {
		if n := offered(r); n != nil {
			return n
		}
	}
	return nil
}

// shown returns the defined families of all parts, sorted by name.
func (j *joined) shown() []*expo.Family {
	lists := make([][]joinedFamily, len(j.parts))
	for i, r := range j.parts {
		r.mu.Lock()
		lists[i] = partsOf(i, shownLocked(r))
		r.mu.Unlock()
	}
	var families []*expo.Family
	for _, f := range merged(lists) {
		families = append(families, f.Family)
	}
	return families
}

func (j *joined) scrape(q *query) []*expo.Family {
	plans := make([]*plan, len(j.parts))
	var sources []*source
	for i, r := range j.parts {
		plans[i] = planOf(r, q)
		sources = append(sources, plans[i].sources...)
	}
	results, ok := q.calls(sources)
	if !ok {
		return nil
	}
	lists := make([][]joinedFamily, len(plans))
	for i, p := range plans {
		lists[i] = partsOf(i, p.families(results[:len(p.sources)]))
		results = results[len(p.sources):]
	}
	return j.resolve(merged(lists), j.refuse)
}

// A joinedFamily is a family of one of several registries.
type joinedFamily struct {
	*expo.Family
	reg int // index of the registry
}

func partsOf(reg int, families []*expo.Family) []joinedFamily {
	list := make([]joinedFamily, len(families))
	for i, f := range families {
		list[i] = joinedFamily{f, reg}
	}
	return list
}

// merged merges lists that are sorted by name. Of families with the same name, those of the first
// list come first.
func merged(lists [][]joinedFamily) []joinedFamily {
	switch len(lists) {
	case 0:
		return nil
	case 1:
		return lists[0]
	}
	a, b := merged(lists[:len(lists)/2]), merged(lists[len(lists)/2:])
	all := make([]joinedFamily, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		if a[0].Name <= b[0].Name {
			all, a = append(all, a[0]), a[1:]
		} else {
			all, b = append(all, b[0]), b[1:]
		}
	}
	return append(append(all, a...), b...)
}

// resolve returns the families of a scrape without conflicts between registries. It calls refuse for
// each family that is left out, unless the family gives way.
func (j *joined) resolve(all []joinedFamily, refuse func(p joinedFamily, reason string)) []*expo.Family {
	dropped := j.conflicts(all)
	families := make([]*expo.Family, 0, len(all))
	for first := 0; first < len(all); {
		end := first + 1
		for end < len(all) && all[end].Name == all[first].Name {
			end++
		}
		same := make([]joinedFamily, 0, end-first)
		for i := first; i < end; i++ {
			switch {
			case !dropped[i]:
				same = append(same, all[i])
			case !all[i].GivesWay:
				refuse(all[i], reasonConflict)
			}
		}
		families = append(families, j.join(same, refuse)...)
		first = end
	}
	return families
}

func (j *joined) refuse(p joinedFamily, reason string) {
	(&collection{reg: j.parts[p.reg]}).refuse(p.Name, reason)
}

// join returns one or more families with the samples of families that have the same name and kind.
func (j *joined) join(same []joinedFamily, refuse func(p joinedFamily, reason string)) []*expo.Family {
	families, own := make([]*expo.Family, len(same)), true
	for i, p := range same {
		families[i] = p.Family
		s := j.parts[p.reg].space
		own = own && (p.Family == &s.errors.fam.Family || p.Family == &s.overflow.fam.Family)
	}
	if len(same) < 2 || same[0].reg == same[len(same)-1].reg || disjoint(same) {
		return families
	}
	return []*expo.Family{expo.Joined(families, own, func(i int) {
		if !same[i].GivesWay {
			refuse(same[i], reasonDuplicate)
		}
	})}
}

// disjoint reports whether a constant label shows that families of different registries have no
// series in common.
func disjoint(same []joinedFamily) bool {
	if same[0].Kind == expo.Info { // see expo.Family.MixedTimes
		return false
	}
	for _, l := range same[0].Consts {
		regs := map[string]int{} // by the value of l
		differ := func(p joinedFamily) bool {
			for _, other := range p.Consts {
				if other.Name == l.Name && other.Value != "" {
					reg, ok := regs[other.Value]
					regs[other.Value] = p.reg
					return !ok || reg == p.reg
				}
			}
			return false
		}
		if !slices.ContainsFunc(same, func(p joinedFamily) bool { return !differ(p) }) {
			return true
		}
	}
	return false
}

// keptConflicts are the conflicts of the last scrape.
type keptConflicts struct {
	families []keptPart
	dropped  []bool
}

// A keptPart has the properties of a family that decide about conflicts.
type keptPart struct {
	name     string
	kind     expo.Kind
	reg      int
	givesWay bool
}

func (k *keptPart) is(p joinedFamily) bool {
	return k.name == p.Name && k.kind == p.Kind && k.reg == p.reg && k.givesWay == p.GivesWay
}

// conflicts returns for each family whether it is left out. It computes a new result only if the
// families differ from those of the last scrape.
func (j *joined) conflicts(all []joinedFamily) []bool {
	j.mu.Lock()
	last := j.last
	j.mu.Unlock()
	if last != nil && slices.EqualFunc(last.families, all, func(k keptPart, p joinedFamily) bool { return k.is(p) }) {
		return last.dropped
	}
	k := &keptConflicts{make([]keptPart, len(all)), conflicts(all, len(j.parts))}
	for i, p := range all {
		k.families[i] = keptPart{string([]byte(p.Name)), p.Kind, p.reg, p.GivesWay} // a collector's name may be part of a large buffer
	}
	j.mu.Lock()
	j.last = k
	j.mu.Unlock()
	return k.dropped
}

// conflicts computes the result of joined.conflicts. The families of a registry conflict only with
// those of the registries before it that are not left out. Families that give way come last.
func conflicts(all []joinedFamily, regs int) []bool {
	order := make([][]int, 2*regs) // indexes by registry
	for i, p := range all {
		at := p.reg
		if p.GivesWay {
			at += regs
		}
		order[at] = append(order[at], i)
	}
	dropped := make([]bool, len(all))
	families := map[string]*expo.Family{} // by name
	taken := map[string]bool{}            // names of samples that differ from the family's
	for _, list := range order {
		for _, i := range list {
			dropped[i] = conflictsWith(all[i].Family, families, taken)
		}
		for _, i := range list {
			f := all[i].Family
			if dropped[i] || families[f.Name] != nil {
				continue
			}
			families[f.Name] = f
			for _, name := range expo.SampleNames(f.Name, f.Kind) {
				taken[name] = true
			}
		}
	}
	return dropped
}

// conflictsWith reports whether f cannot be in an exposition with families whose samples have the
// names taken. Two families may share the name of the sample of their times of creation; see
// Registry.conflictLocked.
func conflictsWith(f *expo.Family, families map[string]*expo.Family, taken map[string]bool) bool {
	if old := families[f.Name]; old != nil {
		return old.Kind != f.Kind || f.GivesWay && !old.GivesWay
	}
	if taken[f.Name] {
		return true
	}
	for _, name := range expo.SampleNames(f.Name, f.Kind) {
		if families[name] != nil || taken[name] && !stringslite.HasSuffix(name, "_created") {
			return true
		}
	}
	return false
}
