package tacho

import (
	"slices"
	"sync"
	"unsafe"
)

// Default is a registry for metrics that are package variables. Nothing in the
// package depends on it; a program may replace it before it defines metrics.
var Default = NewRegistry()

// Why something recorded was refused: the label reason of tacho_errors_total.
const (
	reasonLabelCount = "label_count" // With and a wrong number of values
	reasonNegative   = "negative"    // a counter was to go down
	reasonNaN        = "nan"         // not a number where it would spoil a total
	reasonPanic      = "panic"       // a function called by a scrape panicked
	reasonInvalid    = "invalid"     // a collector emitted what no format can say
	reasonConflict   = "conflict"    // a collector emitted a family defined elsewhere
	reasonDuplicate  = "duplicate"   // a collector emitted a series twice
	reasonExemplar   = "exemplar"    // an exemplar's labels were bad or too long
)

// A Registry holds definitions and writes what they recorded. All methods are
// safe for concurrent use. Make one with [NewRegistry].
type Registry struct {
	consts    []label
	badConsts bool
	limit     limit                 // of vectors that have none of their own
	created   func() *trackedSeries // makes series that say when they were made; nil if none does
	utf8      *utf8Rules            // nil where names are of the legacy set

	mu         sync.Mutex
	families   map[string]*family                 // by name
	defined    []*family                          // the same ones, in the order of their definition
	taken      map[string]*family                 // by the other names their samples take
	collectors unsafe.Pointer                     // *[]func(*Emitter), replaced, never changed
	collect    func() []*family                   // what they emit; nil before the first
	sorted     []*family                          // families by name; nil after a change, else never changed
	namings    [2 * len(escapings)]unsafe.Pointer // *keptNaming, how expositions call families

	errors, overflow *vec // of counters
}

var errorLabels = []string{"metric", "reason"}

// NewRegistry returns an empty registry. [WithConstLabels], [WithMaxSeries],
// [WithCreated] and [WithUTF8Names] apply.
func NewRegistry(opts ...Option) *Registry {
	o := makeOptions(opts)
	r := &Registry{
		consts:    o.consts,
		badConsts: o.badConsts,
		created:   o.created,
		utf8:      o.utf8,
		families:  map[string]*family{},
		taken:     map[string]*family{},
	}
	r.errors = r.define(&counters, nil, "tacho_errors_total", "Recordings and collected samples that were refused.",
		errorLabels, nil)
	r.overflow = r.define(&counters, nil, "tacho_series_overflow_total", "Lookups that a full vector answered with its overflow series.",
		errorLabels[:1], nil)
	r.limit = o.limit // not of those two
	return r
}

// fault counts something refused. A metric that no registry made has no family.
func (f *family) fault(reason string) {
	if f != nil {
		f.reg.fault(f.name, reason)
	}
}

func (r *Registry) fault(metric, reason string) {
	count(r.errors, metric, reason)
}

// overflowed counts a lookup that a full vector answered. Neither this nor count is on
// the way of a hit, so they are not inlined.
//
//go:noinline
func (f *family) overflowed() { count(f.reg.overflow, f.name) }

// count adds 1 to a counter of a vector of the registry's own.
//
//go:noinline
func count(v *vec, values ...string) { vecOf[Counter](v).With(values...).Inc() }

// Counter defines a counter, or returns the one defined before in the same way.
// Like every definition it panics with a *[DefinitionError] if the name or a
// label is invalid or the definition conflicts with another.
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

// Histogram defines a histogram with these finite upper bounds, which must
// increase strictly; a last +Inf is accepted and means nothing, since every
// histogram has that bucket. nil means [DefBuckets], an empty list only +Inf.
// See [Registry.Counter].
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
	bounds, reason := foldBounds(buckets)
	if reason != "" {
		refuse(name, reason, "")
	}
	def := newHistogramDef(bounds)
	def.index.init(bounds)
	return vecOf[Histogram](r.define(&histograms, def, name, help, labels, opts))
}

// CounterFunc defines a counter whose value f returns at each scrape. f must be
// safe for concurrent use. If it panics, or returns a negative number or NaN, the
// scrape goes on without this family and tacho_errors_total{metric,reason} counts.
// Functions cannot be compared, so defining one twice is a conflict; see
// [Registry.Counter].
func (r *Registry) CounterFunc(name, help string, f func() float64, opts ...Option) {
	r.defineFunc(&family{name: name, help: help, kind: kindCounter}, f, opts)
}

// GaugeFunc defines a gauge whose value f returns at each scrape. Every value is
// legal; see [Registry.CounterFunc] for the rest.
func (r *Registry) GaugeFunc(name, help string, f func() float64, opts ...Option) {
	r.defineFunc(&family{name: name, help: help, kind: kindGauge}, f, opts)
}

func (r *Registry) defineFunc(f *family, value func() float64, opts []Option) {
	r.apply(f, opts)
	block := f.constBlock()
	f.encode = func(e *encoder) {
		v, ok := f.call(value)
		if !ok || f.kind == kindCounter && f.refuses(v) {
			return
		}
		e.begin(f)
		e.float(block, v, nil)
	}
	r.add(f)
}

// call returns what a program's function returns, unless it panics.
func (f *family) call(value func() float64) (v float64, ok bool) {
	defer func() {
		if !ok {
			recover() // its scrape must not be the program's end
			f.fault(reasonPanic)
		}
	}()
	return value(), true
}

// define adds a family of series, or finds the same one. Only histograms have def.
func (r *Registry) define(t *metricType, def *histogramDef, name, help string, labels []string, opts []Option) *vec {
	f := &family{name: name, help: help, kind: t.kind, labels: labels, metric: t, hist: def}
	f.none = &exemplar{fam: f}
	if def != nil {
		def.fam = f
	}
	o := r.apply(f, opts)
	f.vec = newVec(f, o.limit)
	if o.expiry != nil && len(f.labels) > 0 {
		o.expiry.attach(f.vec, o.expiry)
	}
	return r.add(f).vec
}

// apply completes f by the options and checks what can be checked on its own.
func (r *Registry) apply(f *family, opts []Option) *options {
	o := makeOptions(opts)
	if !o.limited {
		o.limit = r.limit
	}
	f.reg = r
	f.where = callerOutside()
	f.help = string(appendValid(nil, f.help))
	f.unit = o.unit
	f.labels = slices.Clone(f.labels)
	f.consts = append(slices.Clip(r.consts), o.consts...)
	reason := f.check()
	if reason == "" && o.checkUnit != nil {
		reason = o.checkUnit(f)
	}
	if o.badConsts || r.badConsts {
		reason = "const labels must be pairs: name, value"
	}
	if reason != "" {
		refuse(f.name, reason, "")
	}
	return o
}

// add registers f and returns it, or the family that was defined before in the
// same way; it panics if f conflicts with another.
func (r *Registry) add(f *family) *family {
	r.mu.Lock()
	defer r.mu.Unlock()
	if old := r.families[f.name]; old != nil {
		if reason := f.differs(old); reason != "" {
			refuse(f.name, "already defined"+reason, old.where)
		}
		return old
	}
	if old, name := r.conflict(f.name, f.kind); old != nil {
		refuse(f.name, "sample name "+name+" is that of metric "+old.name, old.where)
	}
	r.families[f.name] = f
	r.defined = append(r.defined, f)
	for _, name := range f.sampleNames() {
		r.taken[name] = f
	}
	r.sorted = nil
	return f
}

// conflict finds the family whose samples would have the name of one of these.
// Two families may share the name that OpenMetrics gives to the time of their
// creation: a histogram x and a counter x_total are distinct in every format
// that this registry must keep valid. The mutex is held.
func (r *Registry) conflict(name string, k kind) (*family, string) {
	if old := r.taken[name]; old != nil {
		return old, name
	}
	for _, n := range sampleNames(name, k) {
		if old := r.families[n]; old != nil {
			return old, n
		}
		if old := r.taken[n]; old != nil && !hasSuffix(n, "_created") {
			return old, n
		}
	}
	return nil, ""
}

// Unregister removes a metric from the registry and reports whether there was
// one of this name. Pointers to it still work; no scrape shows them. The
// registry's own metrics stay.
func (r *Registry) Unregister(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := r.families[name]
	if f == nil || f == r.errors.fam || f == r.overflow.fam {
		return false
	}
	delete(r.families, name)
	r.defined = slices.DeleteFunc(r.defined, func(other *family) bool { return other == f })
	r.retake()
	r.sorted = nil
	return true
}

// retake rebuilds taken. The mutex is held.
func (r *Registry) retake() {
	clear(r.taken)
	for _, f := range r.defined {
		for _, name := range f.sampleNames() {
			r.taken[name] = f
		}
	}
}
