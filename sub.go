package tacho

import (
	"cmp"
	"maps"
	"slices"
	"unsafe"

	"github.com/tachikoma/tacho/internal/expo"
	"github.com/tachikoma/tacho/internal/label"
	"github.com/tachikoma/tacho/internal/names"
	"github.com/tachikoma/tacho/internal/sortkeys"
	"github.com/tachikoma/tacho/internal/stringslite"
)

// Sub returns a registry whose metrics stand in the scrapes of r, with constant labels and a
// prefix of their own. So two HTTP servers, two caches or two pools can share the families of a
// scrape:
//
//	a := tacho.NewHTTPMetrics(reg.Sub(tacho.WithConstLabels("server", "public")))
//	b := tacho.NewHTTPMetrics(reg.Sub(tacho.WithConstLabels("server", "admin")))
//
// [WithConstLabels] adds to the labels of r, and [WithPrefix] to the prefix of r.
// [WithMaxSeries], [WithNative], [WithCreated] and [WithContextExemplars] apply too, and otherwise
// are as in r. Sub panics with a *[DefinitionError] if an option does not apply or is bad.
//
// Metrics with the same name must have the same type, help, unit and variable labels, and must
// differ in a constant label. Otherwise a definition is refused. Empty constant labels do not
// count. The same definition with the same constant labels, in r or another sub-registry,
// returns the same metric, as in one registry.
//
// The scrapes of a sub-registry show its own metrics and those of its own sub-registries.
// tacho_errors_total and tacho_series_overflow_total are in the scrapes of the registry of
// [NewRegistry] only. With sub-registries, each of the two has at most 2,000 series, and further errors
// have the label value other. [Registry.Close] removes the metrics of a sub-registry from all scrapes.
func (r *Registry) Sub(opts ...Option) *Registry {
	r.check("")
	o := makeOptions(r, &inSub, opts)
	if o.badConsts {
		refuse("", badConsts, "")
	}
	sub := &Registry{
		space:     r.space,
		inherited: o.inherited,
		prefix:    r.prefix + o.prefix,
		rename:    renamed,
		native:    r.native,
	}
	checkRegistry(sub)
	if n := (*nativeDef)(o.native); n != nil {
		n.define(sub, n, nil)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.tree != nil {
		(*tree)(r.tree).check(r, "")
	} else {
		r.tree = unsafe.Pointer(newTree(r.root))
	}
	sub.branch = unsafe.Pointer(newBranch(sub, r))
	return sub
}

// renamed puts the prefix of r before the name of f, and returns r. Metrics whose names begin with
// tacho_ are about the registry: packages define tacho_errors_total to count in it. They have neither
// a prefix nor the constant labels of a sub-registry. For these, renamed returns the registry of
// NewRegistry. If f is nil, renamed checks the
// prefix and the constant labels of r.
func renamed(r *Registry, f *family) *Registry {
	if f == nil {
		checkRegistry(r)
		return r
	}
	if stringslite.HasPrefix(f.Name, ownPrefix) {
		return r.root
	}
	f.Name = r.prefix + f.Name
	return r
}

// ownPrefix begins the names of metrics about the registry.
const ownPrefix = "tacho_"

// checkRegistry refuses a prefix or constant labels with which each definition in r would be refused.
func checkRegistry(r *Registry) {
	f := &family{utf8: r.names.UTF8}
	f.Name, f.Consts = r.prefix+"a", r.consts
	if reason := f.check(); reason != "" {
		refuse(r.prefix, reason, "")
	}
}

// Close removes the metrics of a sub-registry, and those of its own sub-registries, from all
// scrapes. Pointers to the metrics stay valid. The functions and collectors of these registries are
// released: no call of one begins after Close returned. A call that has begun may still run. Close
// does not wait for it. Definitions in a closed registry are refused, and its scrapes show nothing.
//
// Metrics that another registry has defined too stay, with their functions. Close of a registry
// of [NewRegistry] or [Join] has no effect, and a second Close has no effect. Close is safe for
// concurrent use. A function or a collector may call Close.
func (r *Registry) Close() {
	if r.branch != nil && (*branch)(r.branch).parent != nil {
		(*branch)(r.branch).close(r)
	}
}

// A branch is the part of a Registry that only sub-registries and joined registries have. The
// functions are values, so that other programs do not contain them; see internal/SIZE.md.
type branch struct {
	scrape  func(*query) []*expo.Family // the families of a scrape
	shown   func() []*expo.Family       // the defined families; the lock of the space is held
	running func() []*source            // the collectors that a scrape calls; the lock of the space is held
	offer   func() unsafe.Pointer       // likewise for space.offer

	parts []*Registry // of Join; otherwise nil

	parent *Registry // nil except for a sub-registry

	// The space's lock guards these fields.
	closed     bool
	own        map[string]*family // by name
	children   map[*Registry]struct{}
	collectors map[*source]int // of the registry itself, with the order of registration
	last       []*expo.Family  // the result of shown; nil after a change, otherwise never changed
}

func newBranch(sub, parent *Registry) *branch {
	b := &branch{
		parent:     parent,
		own:        map[string]*family{},
		children:   map[*Registry]struct{}{},
		collectors: map[*source]int{},
	}
	b.shown, b.running = b.shownLocked, b.runningLocked
	b.scrape = func(q *query) []*expo.Family {
		sub.mu.Lock()
		families, functions := b.shown(), sub.functions
		sub.mu.Unlock()
		if functions == nil {
			return families
		}
		return sub.gather(q)
	}
	(*tree)(parent.tree).of(parent).children[sub] = struct{}{}
	return b
}

func (t *tree) checkLocked(r *Registry, name string) {
	if t.of(r).closed {
		refuse(name, "the registry is closed", "")
	}
}

// shownLocked returns the families of a sub-registry and its own sub-registries.
func (b *branch) shownLocked() []*expo.Family {
	if b.last == nil {
		set := map[*expo.Family]bool{}
		b.addTo(set)
		b.last = make([]*expo.Family, 0, len(set))
		for f := range set {
			b.last = append(b.last, f)
		}
		sortMembers(b.last)
	}
	return b.last
}

// sortMembers sorts families of a tree by name, and those with the same name by their constant labels.
func sortMembers(families []*expo.Family) {
	list := slices.Clone(families)
	for i, n := range sortkeys.Strings(len(list), func(i uint32) string { return memberOf((*family)(unsafe.Pointer(list[i]))).order }) {
		families[i] = list[n]
	}
}

func (b *branch) addTo(set map[*expo.Family]bool) {
	for _, f := range b.own {
		set[&f.Family] = true
	}
	for child := range b.children {
		(*branch)(child.branch).addTo(set)
	}
}

// runningLocked returns the collectors of a sub-registry and its own sub-registries, in the order of their
// registration. The work does not depend on the number of other collectors in the space.
func (b *branch) runningLocked() []*source {
	numbers := map[*source]int{}
	b.addCollectorsTo(numbers)
	list := slices.Collect(maps.Keys(numbers))
	slices.SortFunc(list, func(x, y *source) int { return cmp.Compare(numbers[x], numbers[y]) })
	return list
}

func (b *branch) addCollectorsTo(numbers map[*source]int) {
	maps.Copy(numbers, b.collectors)
	for child := range b.children {
		(*branch)(child.branch).addCollectorsTo(numbers)
	}
}

func (b *branch) close(r *Registry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if b.closed {
		return
	}
	t := (*tree)(r.tree)
	delete(t.of(b.parent).children, r)
	t.changedLocked(b.parent)
	b.closeLocked(r)
	if list := (*functions)(r.functions); list != nil {
		list.compactLocked()
	}
}

func (b *branch) closeLocked(r *Registry) {
	b.closed = true
	for name := range b.own {
		(*tree)(r.tree).take(r, name)
	}
	for s := range b.collectors {
		(*functions)(r.functions).stopLocked(s)
	}
	for child := range b.children {
		(*branch)(child.branch).closeLocked(child)
	}
	b.children, b.last = nil, nil
}

// A tree has the functions and the names of a space with sub-registries. The space's lock guards
// a tree.
type tree struct {
	_       [0]func()                      // no ==; see internal/SIZE.md
	check   func(r *Registry, name string) // refuses a definition in r if r takes none
	add     func(r *Registry, f *family) *family
	collect func(r *Registry, s *source)
	remove  func(r *Registry, name string) bool

	reg    *Registry          // of NewRegistry
	root   *branch            // of reg, which has none of its own; only own and children are set
	groups map[string]*group  // by name
	series map[string]*family // by the keys of space.keys

	collected int // number of collectors that sub-registries had
}

// A group has the families with one name.
type group struct{ list []*family }

// A member is the part of a family that only a tree needs.
type member struct {
	index int    // in group.list
	uses  int    // number of registries that have defined the family
	order string // by which scrapes sort families
}

func memberOf(f *family) *member { return (*member)(f.member) }

func newTree(r *Registry) *tree {
	t := &tree{reg: r, groups: map[string]*group{}, series: map[string]*family{}}
	t.check, t.add, t.collect, t.remove = t.checkLocked, t.addLocked, t.collectLocked, t.removeLocked
	t.root = &branch{own: map[string]*family{}, children: map[*Registry]struct{}{}}
	for _, f := range r.defined {
		t.root.own[f.Name] = f
		t.join(f, t.keys(f))
	}
	for _, v := range []*vec{r.errors, r.overflow} {
		v.mu.Lock()
		v.limit = limit{maxOwn, ownOverflowLocked}
		v.mu.Unlock()
	}
	return t
}

// maxOwn is the number of series that tacho_errors_total and tacho_series_overflow_total each may have in
// a registry with sub-registries. A program can open and close sub-registries whose prefixes change, and
// the errors of a closed sub-registry stay. Collectors create at most maxCharged of these series.
const maxOwn = 2 * maxCharged

// ownOverflowLocked is the overflow of the limit maxOwn. The lock of v is held.
func ownOverflowLocked(v *vec) unsafe.Pointer {
	if v == v.fam.reg.overflow { // countOverflow counts in v itself, so this series must exist
		if hash, block := v.key([]string{v.fam.Name}); v.store.FindBlock(hash, block) == nil {
			v.createLocked(hash, block)
		}
	}
	return v.overflowLocked()
}

// of returns the branch of a registry of t.
func (t *tree) of(r *Registry) *branch {
	if r == t.reg {
		return t.root
	}
	return (*branch)(r.branch)
}

// addLocked is Registry.add for a name that exists. If the name is new, addLocked returns nil, and
// Registry.add adds f.
func (t *tree) addLocked(r *Registry, f *family) *family {
	b := t.of(r)
	t.checkLocked(r, f.Name)
	all := t.keys(f)
	old := b.own[f.Name]
	if old == nil {
		old = t.series[all[0]]
	}
	if old != nil {
		if reason := f.differs(old); reason != "" {
			refuse(f.Name, "already defined"+reason, old.where)
		}
		if b.own[f.Name] == nil {
			b.own[f.Name] = old
			memberOf(old).uses++
			t.changedLocked(r)
		}
		return old
	}
	g := t.groups[f.Name]
	if g != nil {
		t.fits(f, g.list[0], all)
	} else if other, _ := t.reg.conflictLocked(f.Name, f.Kind); other != nil {
		return nil // Registry.add refuses f
	}
	t.join(f, all)
	b.own[f.Name] = f
	t.changedLocked(r)
	if g == nil {
		return nil
	}
	f.index = len(t.reg.defined)
	t.reg.defined = append(t.reg.defined, f)
	t.reg.sorted = nil
	return f
}

// collectLocked adds a collector to r, until the collector is stopped.
func (t *tree) collectLocked(r *Registry, s *source) {
	t.checkLocked(r, "")
	if r == t.reg {
		return // Close of r has no effect
	}
	b, release := t.of(r), s.release
	t.collected++
	b.collectors[s] = t.collected
	s.release = func() {
		delete(b.collectors, s)
		release()
	}
}

// changedLocked is called after a change of what r shows.
func (t *tree) changedLocked(r *Registry) {
	for r != nil {
		b := t.of(r)
		b.last, r = nil, b.parent
	}
}

// fits refuses f if it cannot have the name of old.
func (t *tree) fits(f, old *family, all []string) {
	// The buckets and the constant labels may differ, and functions need not be the same.
	a, b := *f, *old
	a.hist, a.metric, a.Consts = nil, &functionSeries, nil
	b.hist, b.metric, b.Consts = nil, &functionSeries, nil
	if reason := a.differs(&b); reason != "" {
		refuse(f.Name, "already defined"+reason, old.where)
	}
	for _, key := range all {
		if other := t.series[key]; other != nil {
			refuse(f.Name, "already defined with const labels that are the same once escaped", other.where)
		}
	}
}

// join adds f to the metrics with its name.
func (t *tree) join(f *family, keys []string) {
	g := t.groups[f.Name]
	if g == nil {
		g = &group{}
		t.groups[f.Name] = g
	}
	f.member = unsafe.Pointer(&member{len(g.list), 1, keys[0]})
	g.list = append(g.list, f)
	for _, key := range keys {
		t.series[key] = f
	}
}

// removeLocked is Registry.Unregister.
func (t *tree) removeLocked(r *Registry, name string) bool {
	f := t.of(r).own[name]
	if f == nil || r == t.reg && owns(t.reg, f) {
		return false
	}
	t.changedLocked(r)
	t.take(r, name)
	return true
}

// take removes a metric from r. If no other registry has defined the metric, take also removes the
// metric from the space, and releases its functions.
func (t *tree) take(r *Registry, name string) {
	own := t.of(r).own
	f := own[name]
	delete(own, name)
	m := memberOf(f)
	if m.uses--; m.uses > 0 {
		return
	}
	if list := functionsOf(&f.Family); list != nil {
		list.release()
	}
	for _, key := range t.keys(f) {
		delete(t.series, key)
	}
	g := t.groups[name]
	last := len(g.list) - 1
	memberOf(g.list[last]).index = m.index
	g.list[m.index] = g.list[last]
	g.list[last] = nil
	if g.list = g.list[:last]; last == 0 {
		delete(t.groups, name)
		freeLocked(t.reg, f)
	} else {
		referLocked(t.reg, f.index, g.list[0])
	}
	unlistLocked(t.reg, f)
}

// keys returns texts that differ for families whose series differ. In a registry with UTF-8 names
// there is a text for each scheme, because escaped names can be the same.
func (t *tree) keys(f *family) []string {
	all := []string{key(f.Name, f.Consts, func(name string) string { return name })}
	if utf8 := t.reg.names.UTF8; utf8 != nil {
		for _, scheme := range [...]names.Scheme{names.Underscores, names.Dots} {
			escaped := key(f.Name, f.Consts, func(name string) string { return utf8.EscapedLabel(name, scheme) })
			if !slices.Contains(all, escaped) {
				all = append(all, escaped)
			}
		}
	}
	return all
}

// key returns a text for a name and the labels that are not empty, in the order of their names.
func key(name string, labels []label.Label, escaped func(string) string) string {
	pairs := make([]string, 0, len(labels))
	for _, l := range labels {
		if l.Value != "" {
			pairs = append(pairs, escaped(l.Name)+string([]byte{sortkeys.Sep})+l.Value)
		}
	}
	slices.Sort(pairs)
	for _, pair := range pairs {
		name += string([]byte{sortkeys.Sep}) + pair
	}
	return name
}
