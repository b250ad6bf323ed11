package tacho

import (
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/tachikoma/tacho/internal/escape"
	"github.com/tachikoma/tacho/internal/exemplar"
	"github.com/tachikoma/tacho/internal/expo"
	"github.com/tachikoma/tacho/internal/stringslite"
)

// Default is a registry for metrics that are package variables. No code of the package
// uses Default. A program may replace it before it defines metrics.
var Default = NewRegistry()

// A Registry holds definitions and writes the recorded values. All methods are safe for
// concurrent use. [NewRegistry] makes a Registry. A zero Registry refuses all definitions
// and has no metrics.
type Registry struct {
	*space                                           // nil in a zero Registry
	inherited                                        // by sub-registries and metrics
	prefix    string                                 // of all names
	rename    func(r *Registry, f *family) *Registry // renamed, of a sub-registry or with a prefix; otherwise nil
	native    unsafe.Pointer                         // *nativeDef of histograms without the option, or nil; see internal/SIZE.md
	branch    unsafe.Pointer                         // *branch of Sub or Join; otherwise nil; see internal/SIZE.md
}

// A space has what a registry shares with its sub-registries: the names and the families.
type space struct {
	root  *Registry // of NewRegistry
	names expo.Names

	// offer is a *nativeDef if the Handler offers the protobuf format, and otherwise nil.
	// WithNative of the registry or of a histogram sets offer, also if the definition is then
	// refused. So other programs do not contain the format. An atomic.Pointer[nativeDef] is
	// larger; see internal/SIZE.md.
	offer atomic.Pointer[byte]

	mu        sync.Mutex
	defined   []*family      // all families
	families  map[string]int // by name; see familyIn. One of those with the same name
	taken     map[string]int // by the names of samples that differ from the family's; see familyIn
	functions unsafe.Pointer // *functions; nil before the first; see internal/SIZE.md
	sorted    []*expo.Family // families by name; nil after a change, otherwise never changed
	tree      unsafe.Pointer // *tree; nil without sub-registries; see internal/SIZE.md

	errors, overflow *vec // of counters
}

// noSpace is the space of zero Registries.
var noSpace space

// offered returns the *nativeDef of space.offer, or nil.
//
//go:noinline
func offered(r *Registry) unsafe.Pointer {
	if r.branch != nil && (*branch)(r.branch).offer != nil {
		return (*branch)(r.branch).offer()
	}
	return unsafe.Pointer(spaceOf(r).offer.Load())
}

// spaceOf returns the space of r, also of a zero Registry.
func spaceOf(r *Registry) *space {
	if r.space == nil {
		return &noSpace
	}
	return r.space
}

// familyIn returns the family with a name in a map of the space of r, or nil. The maps have the index
// in space.defined plus 1, because a map of pointers is larger; see internal/SIZE.md.
//
//go:noinline
func familyIn(r *Registry, m map[string]int, name string) *family {
	if i := m[name]; i > 0 {
		return r.defined[i-1]
	}
	return nil
}

var errorLabels = []string{"metric", "reason"}

// NewRegistry returns an empty registry. [WithConstLabels], [WithPrefix], [WithMaxSeries],
// [WithCreated], [WithUTF8Names], [WithNative] and [WithContextExemplars] apply. NewRegistry panics
// with a *[DefinitionError] if an option is nil or bad, or does not apply.
func NewRegistry(opts ...Option) *Registry {
	o := makeOptions(nil, nil, opts)
	s := &space{names: expo.Names{UTF8: o.utf8}, families: map[string]int{}, taken: map[string]int{}}
	r := &Registry{space: s, inherited: o.inherited}
	s.root = r
	r.limit.max = 0 // of the registry's own metrics
	if n := (*nativeDef)(o.native); n != nil {
		n.define(r, n, nil)
	}
	r.errors = r.define(&counters, nil, "tacho_errors_total", "Recordings and collected samples that were refused.",
		errorLabels, nil)
	r.overflow = r.define(&counters, nil, "tacho_series_overflow_total", "Lookups beyond a limit of series.",
		errorLabels[:1], nil)
	r.limit.max, r.prefix, r.rename = o.limit.max, o.prefix, o.rename // not of those two
	if r.rename != nil {
		r.rename(r, nil) // checks the prefix
	}
	return r
}

// fault counts a refused recording or sample of a metric.
func (r *Registry) fault(metric, reason string) { count(r.errors, metric, reason) }

// countOverflow counts a lookup beyond the limit of series of f.
//
//go:noinline
func countOverflow(f *family) { count(f.reg.overflow, f.Name) }

// count adds 1 to a counter of the registry's own vectors. It is not inlined: no hit calls
// it.
//
//go:noinline
func count(v *vec, values ...string) { vecOf[Counter](v).With(values...).Inc() }

// Counter defines a counter and returns it. If the same definition exists, Counter returns
// the metric of that definition. If the name, a label or an option is bad, or the definition
// conflicts with another, Counter panics with a *[DefinitionError], as all definitions do.
func (r *Registry) Counter(name, help string, opts ...Option) *Counter {
	return r.CounterVec(name, help, nil, opts...).With()
}

// FloatCounter defines a float counter; see [Registry.Counter].
func (r *Registry) FloatCounter(name, help string, opts ...Option) *FloatCounter {
	return r.FloatCounterVec(name, help, nil, opts...).With()
}

// Gauge defines a gauge; see [Registry.Counter].
func (r *Registry) Gauge(name, help string, opts ...Option) *Gauge {
	return r.GaugeVec(name, help, nil, opts...).With()
}

// FloatGauge defines a float gauge; see [Registry.Counter].
func (r *Registry) FloatGauge(name, help string, opts ...Option) *FloatGauge {
	return r.FloatGaugeVec(name, help, nil, opts...).With()
}

// Histogram defines a histogram with these upper bounds, which must be finite and increase
// strictly; see [Registry.Counter]. Every histogram has a bucket for +Inf, so a last +Inf
// is accepted and ignored. If buckets is nil, the bounds are [DefBuckets]. With [WithNative] and
// nil, there are only native buckets. If buckets is empty, +Inf is the only classic bucket. More
// than 65,000 bounds are refused.
func (r *Registry) Histogram(name, help string, buckets []float64, opts ...Option) *Histogram {
	return r.HistogramVec(name, help, buckets, nil, opts...).With()
}

// CounterVec defines a counter with variable labels; see [Registry.Counter].
func (r *Registry) CounterVec(name, help string, labels []string, opts ...Option) *CounterVec {
	return vecOf[Counter](r.define(&counters, nil, name, help, labels, opts))
}

// FloatCounterVec defines a float counter with variable labels; see
// [Registry.Counter].
func (r *Registry) FloatCounterVec(name, help string, labels []string, opts ...Option) *FloatCounterVec {
	return vecOf[FloatCounter](r.define(&floatCounters, nil, name, help, labels, opts))
}

// GaugeVec defines a gauge with variable labels; see [Registry.Counter].
func (r *Registry) GaugeVec(name, help string, labels []string, opts ...Option) *GaugeVec {
	return vecOf[Gauge](r.define(&gauges, nil, name, help, labels, opts))
}

// FloatGaugeVec defines a float gauge with variable labels; see
// [Registry.Counter].
func (r *Registry) FloatGaugeVec(name, help string, labels []string, opts ...Option) *FloatGaugeVec {
	return vecOf[FloatGauge](r.define(&floatGauges, nil, name, help, labels, opts))
}

// HistogramVec defines a histogram with variable labels; see
// [Registry.Histogram].
func (r *Registry) HistogramVec(name, help string, buckets []float64, labels []string, opts ...Option) *HistogramVec {
	bounds, reason := finiteBounds(buckets)
	if reason != "" {
		refuse(name, reason, "")
	}
	def := newHistogramDef(bounds)
	def.given = buckets != nil
	return vecOf[Histogram](r.define(&histograms, def, name, help, labels, opts))
}

// CounterFunc defines a counter whose value f returns at each scrape. f runs on a goroutine
// of its own, beside other functions, and never twice at the same time. If f panics, or
// returns a negative number or NaN, the scrape goes on without this family and
// tacho_errors_total{metric,reason} counts. The same holds if f does not return before the
// time of the scrape is over; see [Registry.Handler] and [Registry.WriteText]. No scrape
// calls f again until that call has returned.
//
// Functions cannot be compared, so the same definition twice is a conflict; see
// [Registry.Counter]. A nil f is refused.
func (r *Registry) CounterFunc(name, help string, f func() float64, opts ...Option) {
	r.defineFunc(&family{Family: expo.Family{Name: name, Help: help, Kind: expo.Counter}}, f, opts)
}

// GaugeFunc defines a gauge whose value f returns at each scrape. Every value is valid.
// Otherwise GaugeFunc is like [Registry.CounterFunc].
func (r *Registry) GaugeFunc(name, help string, f func() float64, opts ...Option) {
	r.defineFunc(&family{Family: expo.Family{Name: name, Help: help, Kind: expo.Gauge}}, f, opts)
}

func (r *Registry) defineFunc(f *family, value func() float64, opts []Option) {
	if value == nil {
		refuse(f.Name, "the function is nil", "")
	}
	r.apply(f, opts)
	f.Encode = encodeNothing // each scrape has a family with the value; see Registry.gather
	var current atomic.Pointer[func() float64]
	current.Store(&value)
	f.functions = unsafe.Pointer(&functionList{sorted: []*source{f.valueSource(f.constBlock(), &current)}})
	r.mu.Lock()
	r.functionsLocked()
	r.mu.Unlock()
	r.add(f)
}

// define adds a family of series, or returns the vector of the same definition. def is nil
// except for histograms.
func (r *Registry) define(t *metricType, def *histogramDef, name, help string, labels []string, opts []Option) *vec {
	f := &family{Family: expo.Family{Name: name, Help: help, Kind: t.kind}, labels: labels, metric: t, hist: def}
	o := r.apply(f, opts)
	f.none = exemplar.None((*exemplar.Origin)(unsafe.Pointer(&f.fault)))
	if d := f.hist; d != nil {
		d.none, d.fault = f.none, f.fault
	}
	f.vec = newVec(f, o.limit, o.created)
	if o.expiry != nil {
		e := (*expiry)(o.expiry)
		e.attach(f.vec, e)
	}
	f.Encode, f.SameLabels = func(e *expo.Encoder) { f.metric.encode(f.vec, e) }, true
	return r.add(f).vec
}

// apply completes f by the options and checks f on its own.
func (r *Registry) apply(f *family, opts []Option) *options {
	r.check(f.Name)
	if r.rename != nil {
		r = r.rename(r, f)
	}
	o := makeOptions(r, f, opts)
	fault := func(reason string) { f.reg.fault(f.Name, reason) }
	where, help := callerOutside(), escape.Valid(f.Help)
	// Stores without calls between them are smaller; see internal/SIZE.md.
	f.reg, f.hook, f.utf8, f.fault = r, o.context, r.names.UTF8, fault
	f.where, f.Help, f.Unit, f.Consts = where, help, o.unit, o.consts
	reason := f.check()
	if reason == "" && o.checkUnit != nil {
		reason = o.checkUnit(f)
	}
	if o.badConsts {
		reason = badConsts
	}
	if reason != "" {
		refuse(f.Name, reason, "")
	}
	n := (*nativeDef)(o.native)
	if n == nil && f.hist != nil {
		n = (*nativeDef)(r.native)
	}
	if n != nil {
		n.define(r, n, f)
	}
	return o
}

const badConsts = "const labels must be pairs: name, value"

// check refuses a registry that NewRegistry did not make.
//
//go:noinline
func (r *Registry) check(name string) {
	if r == nil || r.space == nil {
		refuse(name, "the registry is not from NewRegistry", "")
	}
}

// add registers f and returns it, or returns the family of the same definition. It panics
// if f conflicts with another definition.
func (r *Registry) add(f *family) *family {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.tree != nil {
		if old := (*tree)(r.tree).add(r, f); old != nil {
			return old
		}
	}
	if old := familyIn(r, r.families, f.Name); old != nil {
		if reason := f.differs(old); reason != "" {
			refuse(f.Name, "already defined"+reason, old.where)
		}
		return old
	}
	if old, name := r.conflictLocked(f.Name, f.Kind); old != nil {
		refuse(f.Name, "sample name "+escape.Quote(name)+" is that of metric "+escape.Quote(old.Name), old.where)
	}
	f.index = len(r.defined)
	r.defined = append(r.defined, f)
	r.sorted = nil
	r.families[f.Name] = f.index + 1
	for _, name := range expo.SampleNames(f.Name, f.Kind) {
		r.taken[name] = f.index + 1
	}
	return f
}

// conflictLocked returns a family whose samples would have a name of the samples of this
// one, and that name. Two families may share the name of the sample of their times of
// creation: a histogram x and a counter x_total are distinct in every format.
func (r *Registry) conflictLocked(name string, k expo.Kind) (*family, string) {
	if old := familyIn(r, r.taken, name); old != nil {
		return old, name
	}
	for _, n := range expo.SampleNames(name, k) {
		if old := familyIn(r, r.families, n); old != nil {
			return old, n
		}
		if old := familyIn(r, r.taken, n); old != nil && !stringslite.HasSuffix(n, "_created") {
			return old, n
		}
	}
	return nil, ""
}

// Unregister removes the metric with this name and reports whether there was one. Pointers
// to the metric stay valid, but no scrape shows it. The registry's own metrics cannot be
// removed. The name is that of the definition, without the prefix of the registry. Unregister
// removes only what this registry has defined, and not what its sub-registries have.
func (r *Registry) Unregister(name string) bool {
	if r.space == nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !stringslite.HasPrefix(name, ownPrefix) {
		name = r.prefix + name
	}
	if r.tree != nil {
		return (*tree)(r.tree).remove(r, name)
	}
	f := familyIn(r, r.families, name)
	if f == nil || owns(r, f) {
		return false
	}
	freeLocked(r, f)
	unlistLocked(r, f)
	return true
}

// owns reports whether f is a metric of the registry itself.
func owns(r *Registry, f *family) bool { return f == r.errors.fam || f == r.overflow.fam }

// unlistLocked makes scrapes show f no more. No name refers to f.
func unlistLocked(r *Registry, f *family) {
	last := len(r.defined) - 1
	moved := r.defined[last]
	moved.index = f.index
	r.defined[f.index] = moved
	r.defined[last] = nil
	r.defined = r.defined[:last]
	r.sorted = nil
	referLocked(r, last, moved)
}

// referLocked makes the names of f refer to f if they refer to the family with the index old, which has
// the same names, or is f before a move.
func referLocked(r *Registry, old int, f *family) {
	refer := func(m map[string]int, name string) {
		if m[name] == old+1 {
			m[name] = f.index + 1
		}
	}
	refer(r.families, f.Name)
	for _, name := range expo.SampleNames(f.Name, f.Kind) {
		refer(r.taken, name)
	}
}

// freeLocked makes the names of f free for other families.
func freeLocked(r *Registry, f *family) {
	name := f.Name
	delete(r.families, name)
	for _, taken := range expo.SampleNames(name, f.Kind) {
		if r.taken[taken] == f.index+1 {
			delete(r.taken, taken)
		}
	}
	// Another family can have the same name for its times of creation.
	base := stringslite.TrimSuffix(name, "_total")
	for _, name := range []string{base, name + "_total"} {
		if other := familyIn(r, r.families, name); other != nil {
			for _, taken := range expo.SampleNames(name, other.Kind) {
				r.taken[taken] = other.index + 1
			}
		}
	}
}
