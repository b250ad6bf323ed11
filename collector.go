package tacho

import (
	"slices"
	"time"
	"unsafe"

	"github.com/tachikoma/tacho/internal/escape"
	"github.com/tachikoma/tacho/internal/expo"
	"github.com/tachikoma/tacho/internal/label"
	"github.com/tachikoma/tacho/internal/names"
	"github.com/tachikoma/tacho/internal/series"
)

// An Emitter takes the samples that a collector computes at a scrape. Labels are given as
// name, value, name, value. The help of a family is the help of its first sample.
//
// A bad sample is left out and counted in tacho_errors_total{metric,reason}, so that the
// scrape stays valid. A sample is bad if it has a bad name, an odd number of label strings,
// or a series that was already emitted. It is also bad if its family is defined or has
// another type.
//
// An Emitter is valid during the call that received it, and not for concurrent use.
type Emitter struct {
	*collection
	time *expo.Details // of the samples that follow; nil for none
}

// A collection has what the collectors of one scrape emit.
type collection struct {
	reg      *Registry
	families map[string]*emitted
	undo     []emission // the samples of the running collector
}

// An emission identifies one sample.
type emission struct{ name, key string }

// An emitted family is made by collectors during one scrape.
type emitted struct {
	family
	rows  map[string]row // by key: names and values of the labels
	names []string       // of all labels, if they may need escaping
}

type row struct {
	block   string
	value   float64
	bounds  *expo.Bounds // of a histogram; otherwise nil
	counts  []uint64
	summary *expo.Distribution // of a summary; otherwise nil
	time    *expo.Details
}

// Collect adds f to the functions that each scrape calls. The families that f emits are
// sorted by name among the other families. f must be safe for concurrent use: scrapes can
// overlap. If f panics, the scrape goes on without the samples of this call, and
// tacho_errors_total{metric="",reason="panic"} counts. Collect panics with a
// *[DefinitionError] if f is nil.
func (r *Registry) Collect(f func(*Emitter)) {
	r.check("")
	if f == nil {
		refuse("", "the function is nil", "")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	// A program without collectors contains neither runCollectors nor the type of the
	// list; see internal/SIZE.md.
	list := append(slices.Clip(r.collectorsLocked()), f)
	r.collectors, r.collect = unsafe.Pointer(&list), r.runCollectors
}

func (r *Registry) collectorsLocked() []func(*Emitter) {
	if r.collectors == nil {
		return nil
	}
	return *(*[]func(*Emitter))(r.collectors)
}

// At returns an Emitter of the same scrape whose samples have the time t, to the
// millisecond, instead of the time of the scrape. It is meant for values that another
// system measured at a known time. Prometheus refuses samples that are too old, and a
// series whose time does not advance becomes stale. Samples with a time before 1970 or
// after 9999, which scrapers cannot read, are bad.
func (e *Emitter) At(t time.Time) *Emitter {
	return &Emitter{e.collection, &expo.Details{Timed: true, At: t.UnixMilli()}}
}

// maxTime is the end of the year 9999 in Unix milliseconds.
const maxTime = 253402300799999

// Counter emits a sample of a counter. A negative or NaN value is left out, and
// tacho_errors_total counts.
func (e *Emitter) Counter(name, help string, value float64, labels ...string) {
	if reason := refusal(value); reason != "" {
		e.refuse(name, reason)
		return
	}
	e.emit(name, help, expo.Counter, row{value: value}, labels)
}

// Gauge emits a sample of a gauge. Every value is valid.
func (e *Emitter) Gauge(name, help string, value float64, labels ...string) {
	e.emit(name, help, expo.Gauge, row{value: value}, labels)
}

// Untyped emits a sample of unknown type. Every value is valid.
func (e *Emitter) Untyped(name, help string, value float64, labels ...string) {
	e.emit(name, help, expo.Untyped, row{value: value}, labels)
}

// Info emits facts as the labels of a sample that is always 1 (OpenMetrics 1.0, "Info").
// By convention the name ends in _info. Otherwise OpenMetrics shows a gauge.
func (e *Emitter) Info(name, help string, labels ...string) {
	e.emit(name, help, expo.Info, row{value: 1}, labels)
}

// Histogram emits a histogram. The bounds of its buckets must increase strictly, and the
// counts must not decrease. A missing bucket for +Inf is added from Count. A bad snapshot
// is left out, and tacho_errors_total counts.
func (e *Emitter) Histogram(name, help string, s HistogramSnapshot, labels ...string) {
	bounds, counts, ok := fromSnapshot(s)
	if !ok {
		e.refuse(name, reasonInvalid)
		return
	}
	e.emit(name, help, expo.Histogram, row{value: s.Sum, bounds: bounds, counts: counts}, labels)
}

// A SummarySnapshot is the state of a summary at one time, with quantiles that another
// system computed.
type SummarySnapshot struct {
	Count     uint64     // number of observations
	Sum       float64    // sum of the observed values
	Quantiles []Quantile // by increasing quantile; may be empty
}

// A Quantile is a value that the given fraction of the observations does not exceed.
type Quantile struct {
	Quantile float64 // from 0 to 1
	Value    float64 // NaN if there was no observation
}

// Summary emits a summary (OpenMetrics 1.0, "Summary"). Its quantiles must be from 0 to 1
// and increase strictly. A bad snapshot is left out, and tacho_errors_total counts.
func (e *Emitter) Summary(name, help string, s SummarySnapshot, labels ...string) {
	d := &expo.Distribution{Count: s.Count, Sum: s.Sum}
	last := -1.0
	for _, q := range s.Quantiles {
		if !(q.Quantile >= 0 && q.Quantile <= 1 && q.Quantile > last) {
			e.refuse(name, reasonInvalid)
			return
		}
		last = q.Quantile
		d.Quantiles = append(d.Quantiles, expo.Quantile(q))
	}
	e.emit(name, help, expo.Summary, row{summary: d}, labels)
}

// fromSnapshot returns the bounds and counts of a snapshot in the form of an encoder.
func fromSnapshot(s HistogramSnapshot) (*expo.Bounds, []uint64, bool) {
	var all []float64
	var counts []uint64
	var below uint64
	for _, b := range s.Buckets {
		if b.Count < below {
			return nil, nil, false
		}
		all, counts = append(all, b.UpperBound), append(counts, b.Count-below)
		below = b.Count
	}
	finite, reason := finiteBounds(append([]float64{}, all...))
	if len(finite) == len(all) {
		counts = append(counts, s.Count-below)
	}
	if reason != "" || s.Count < below || len(finite) < len(all) && s.Count != below {
		return nil, nil, false
	}
	bounds := expo.NewBounds(finite)
	return &bounds, counts, true
}

// maxCharged is the number of series of tacho_errors_total that collectors may create:
// the names that a collector emits may come from another system, and change with every
// scrape.
const maxCharged = 1000

// refuse counts a bad sample under its name. The label metric is empty if the name is bad
// or tacho_errors_total has maxCharged series.
func (c *collection) refuse(name, reason string) {
	utf8 := c.reg.names.UTF8
	valid := names.ValidMetric(name) || utf8 != nil && utf8.ValidName(name)
	if !valid || c.reg.errors.Len() >= maxCharged {
		name = ""
	}
	c.reg.fault(name, reason)
}

func (e *Emitter) emit(name, help string, k expo.Kind, sample row, pairs []string) {
	if e.time != nil && (e.time.At < 0 || e.time.At > maxTime) {
		e.refuse(name, reasonInvalid)
		return
	}
	one := &family{Family: expo.Family{Name: name, Help: help, Kind: k}, utf8: e.reg.names.UTF8}
	sample.time = e.time
	reason := e.check(one, pairs)
	if reason == "" {
		reason = e.put(one, sample)
	}
	if reason != "" {
		e.refuse(name, reason)
	}
}

// check adds the labels to a family of one sample, and checks the family like a
// definition.
func (c *collection) check(f *family, pairs []string) string {
	if len(pairs)%2 != 0 {
		return reasonInvalid
	}
	f.consts = slices.Clone(c.reg.consts)
	for i := 0; i < len(pairs); i += 2 {
		f.consts = append(f.consts, label.Label{Name: pairs[i], Value: escape.Valid(pairs[i+1])})
	}
	if c.reg.badConsts || f.check() != "" {
		return reasonInvalid
	}
	return ""
}

// put adds the sample of a family of one sample to the family with that name, or returns
// the reason why it cannot.
func (c *collection) put(one *family, sample row) string {
	f := c.families[one.Name]
	if f == nil {
		if c.taken(one.Name, one.Kind) {
			return reasonConflict
		}
		f = &emitted{rows: map[string]row{}}
		f.Family = expo.Family{Name: one.Name, Help: escape.Valid(one.Help), Kind: one.Kind, Quoted: one.Quoted, Encode: f.encode}
		c.families[one.Name] = f
	}
	if f.Kind != one.Kind {
		return reasonConflict
	}
	if one.utf8 != nil && !f.addNames(one.consts, one.utf8) {
		return reasonInvalid
	}
	key := seriesKey(one.consts)
	if _, ok := f.rows[key]; ok {
		return reasonDuplicate
	}
	sample.block = one.constBlock()
	f.rows[key] = sample
	f.QuotedLabels = f.QuotedLabels || one.QuotedLabels
	c.undo = append(c.undo, emission{one.Name, key})
	return ""
}

// addNames adds the names of labels. It returns false if a scheme would give two of the
// names the same name: two series could then be the same.
func (f *emitted) addNames(labels []label.Label, utf8 *expo.UTF8Rules) bool {
	all := f.names
	for _, l := range labels {
		if !slices.Contains(all, l.Name) {
			all = append(all, l.Name)
		}
	}
	if len(all) > len(f.names) && utf8.CheckLabels(all) != "" {
		return false
	}
	f.names = all
	return true
}

// taken reports whether a defined or emitted family has one of the names of the samples of
// this family.
func (c *collection) taken(name string, k expo.Kind) bool {
	c.reg.mu.Lock()
	defined := c.reg.families[name]
	if defined == nil {
		defined, _ = c.reg.conflictLocked(name, k)
	}
	c.reg.mu.Unlock()
	if defined != nil {
		return true
	}
	mine := expo.SampleNames(name, k)
	for other, f := range c.families {
		if slices.Contains(expo.SampleNames(f.Name, f.Kind), name) || slices.Contains(mine, other) {
			return true
		}
	}
	return false
}

// seriesKey returns a key that is the same for the same series. Prometheus ignores the
// order of labels, and a label with an empty value.
func seriesKey(labels []label.Label) string {
	sorted := slices.Clone(labels)
	for i := range sorted { // few, and mostly in order
		for ; i > 0 && label.Compare(sorted[i].Name, sorted[i-1].Name) < 0; i-- {
			sorted[i], sorted[i-1] = sorted[i-1], sorted[i]
		}
	}
	var key []byte
	for _, l := range sorted {
		if l.Value == "" {
			continue
		}
		key = append(append(append(append(key, l.Name...), label.Sep), l.Value...), label.Sep)
	}
	return string(key)
}

// encode passes the samples of f to an encoder, sorted by their labels.
func (f *emitted) encode(e *expo.Encoder) {
	all, sorted := make([]series.Series, len(f.rows)), make([]*series.Series, 0, len(f.rows))
	for key := range f.rows {
		s := &all[len(sorted)]
		*s = series.New(0, len(key), key, nil)
		sorted = append(sorted, s)
	}
	series.Sort(sorted)
	for i, s := range sorted {
		if i == 0 {
			e.Begin(&f.Family)
		}
		r := f.rows[s.Key()]
		if !r.encode(e) {
			return
		}
	}
}

func (r *row) encode(e *expo.Encoder) bool {
	switch {
	case r.bounds != nil:
		return e.Histogram(r.block, r.bounds, r.counts, r.value, r.time)
	case r.summary != nil:
		return e.Summary(r.block, r.summary, r.time)
	}
	return e.Float(r.block, r.value, r.time)
}

// runCollectors returns the families of a scrape with collectors, sorted by name.
func (r *Registry) runCollectors() []*expo.Family {
	r.mu.Lock()
	collectors := r.collectorsLocked()
	r.mu.Unlock()
	c := &collection{reg: r, families: map[string]*emitted{}}
	for _, f := range collectors {
		c.run(f)
	}
	var families []*expo.Family
	for _, f := range c.families {
		families = append(families, &f.Family)
	}
	sortFamilies(families)
	return r.merge(families)
}

// merge returns the collected and the defined families, sorted by name. It leaves out
// collected families that conflict with a definition: a metric may have been defined
// while the collectors ran.
func (r *Registry) merge(collected []*expo.Family) []*expo.Family {
	r.mu.Lock()
	defined := r.sortedLocked()
	merged := make([]*expo.Family, 0, len(defined)+len(collected))
	var refused []string
	for _, f := range collected {
		for len(defined) > 0 && defined[0].Name < f.Name {
			merged, defined = append(merged, defined[0]), defined[1:]
		}
		if other, _ := r.conflictLocked(f.Name, f.Kind); other != nil || r.families[f.Name] != nil {
			refused = append(refused, f.Name)
		} else {
			merged = append(merged, f)
		}
	}
	r.mu.Unlock()
	for _, name := range refused {
		r.fault(name, reasonConflict)
	}
	return append(merged, defined...)
}

// run calls a collector. If the collector panics, run removes the samples of this call.
func (c *collection) run(f func(*Emitter)) {
	c.undo = c.undo[:0]
	returned := false
	defer func() {
		if !returned {
			recover() // a scrape must not end the program
			for _, u := range c.undo {
				f := c.families[u.name]
				if delete(f.rows, u.key); len(f.rows) == 0 {
					delete(c.families, u.name) // other collectors may use the name
				}
			}
			c.reg.fault("", reasonPanic)
		}
	}()
	f(&Emitter{collection: c})
	returned = true
}
