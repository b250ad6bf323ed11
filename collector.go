package tacho

import (
	"slices"
	"time"
	"unsafe"
)

// An Emitter takes the samples that a collector computes at a scrape. Labels
// are given as name, value, name, value. Help is that of the family's first
// sample. A sample that no format can say (a bad name, an odd number of label
// strings, a series that was emitted before, a family that is defined or was
// emitted with another type) is left out and counted in
// tacho_errors_total{metric,reason}, so the scrape stays valid. An Emitter
// belongs to the call that got it: no concurrent use, no use after it.
type Emitter struct {
	*collection
	time *details // of the samples to come; nil for none
}

// A collection is what the collectors of one scrape emit.
type collection struct {
	reg      *Registry
	families map[string]*emitted
	undo     []emission // what the running collector added
}

// An emission names one sample.
type emission struct{ name, key string }

// emitted is a family that collectors make during one scrape.
type emitted struct {
	family
	rows  map[string]row // by key: names and values of the labels
	names []string       // of the labels of all rows, where they may need escaping
}

type row struct {
	block  string
	value  float64
	def    *histogramDef // nil but for histograms
	counts []uint64
	sum    *SummarySnapshot // of a summary
	time   *details
}

// Collect adds f to what each scrape calls. The families that it emits stand
// among the others, sorted by name. f must be safe for concurrent use, since
// scrapes can overlap. If it panics, the scrape goes on without what this call
// emitted and tacho_errors_total{metric="",reason="panic"} counts.
func (r *Registry) Collect(f func(*Emitter)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	// Here and by a pointer of no type, so that a program without collectors is
	// without the code and the types.
	list := append(slices.Clip(r.collectorList()), f)
	r.collectors, r.collect = unsafe.Pointer(&list), r.runCollectors
}

// collectorList returns the collectors. The mutex is held.
func (r *Registry) collectorList() []func(*Emitter) {
	if r.collectors == nil {
		return nil
	}
	return *(*[]func(*Emitter))(r.collectors)
}

// At returns an Emitter of the same scrape whose samples say that they are of the
// time t, to the millisecond, not of the time of the scrape. It is for values that
// another system measured at a known time; Prometheus refuses those that are too
// old, and takes a series whose time stands still for a stale one. Samples of times
// before 1970 or after 9999, which scrapers cannot read, are left out.
func (e *Emitter) At(t time.Time) *Emitter {
	return &Emitter{e.collection, &details{timed: true, at: t.UnixMilli()}}
}

// maxTime is the end of the year 9999 in Unix milliseconds.
const maxTime = 253402300799999

// Counter emits a sample of a counter. A negative or NaN value is left out.
func (e *Emitter) Counter(name, help string, value float64, labels ...string) {
	// Charged to a family of that name, which may not exist.
	if charged := (family{reg: e.reg, name: e.charge(name)}); !charged.refuses(value) {
		e.emit(name, help, kindCounter, row{value: value}, labels)
	}
}

// Gauge emits a sample of a gauge.
func (e *Emitter) Gauge(name, help string, value float64, labels ...string) {
	e.emit(name, help, kindGauge, row{value: value}, labels)
}

// Untyped emits a sample whose type is not known; OpenMetrics says unknown.
func (e *Emitter) Untyped(name, help string, value float64, labels ...string) {
	e.emit(name, help, kindUntyped, row{value: value}, labels)
}

// Info emits facts as labels of a sample that is always 1. By convention the
// name ends in _info; to OpenMetrics it is a gauge if it does not.
func (e *Emitter) Info(name, help string, labels ...string) {
	e.emit(name, help, kindInfo, row{value: 1}, labels)
}

// Histogram emits a histogram. Its buckets must increase strictly in bound and
// never fall in count; a missing +Inf bucket is made from Count.
func (e *Emitter) Histogram(name, help string, s HistogramSnapshot, labels ...string) {
	def, counts, ok := fromSnapshot(s)
	if !ok {
		e.reg.fault(e.charge(name), reasonInvalid)
		return
	}
	e.emit(name, help, kindHistogram, row{value: s.Sum, def: def, counts: counts}, labels)
}

// A SummarySnapshot is what a summary holds at one time: quantiles that another
// system worked out.
type SummarySnapshot struct {
	Count     uint64     // observations
	Sum       float64    // of the observed values
	Quantiles []Quantile // by rising quantile; may be none
}

// A Quantile is a value that a fraction of the observations does not exceed.
type Quantile struct {
	Quantile float64 // from 0 to 1
	Value    float64 // NaN where there was no observation
}

// Summary emits a summary (OpenMetrics 1.0, "Summary"). Its quantiles must be from
// 0 to 1 and increase strictly.
func (e *Emitter) Summary(name, help string, s SummarySnapshot, labels ...string) {
	last := -1.0
	for _, q := range s.Quantiles {
		if !(q.Quantile >= 0 && q.Quantile <= 1 && q.Quantile > last) {
			e.reg.fault(e.charge(name), reasonInvalid)
			return
		}
		last = q.Quantile
	}
	s.Quantiles = slices.Clone(s.Quantiles)
	e.emit(name, help, kindSummary, row{sum: &s}, labels)
}

// fromSnapshot turns cumulative buckets into the form that encoders take.
func fromSnapshot(s HistogramSnapshot) (*histogramDef, []uint64, bool) {
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
	bounds, reason := foldBounds(append([]float64{}, all...))
	if len(bounds) == len(all) {
		counts = append(counts, s.Count-below)
	}
	if reason != "" || s.Count < below || len(bounds) < len(all) && s.Count != below {
		return nil, nil, false
	}
	return newHistogramDef(bounds), counts, true
}

// maxCharged is how many series of tacho_errors_total collectors may make: what
// they emit can come from elsewhere, and differ from scrape to scrape.
const maxCharged = 1000

// charge returns the name to count a refusal under: a bad one, which could be
// anything, under none, as all where there are too many.
func (c *collection) charge(name string) string {
	good := validMetricName(name) || c.reg.utf8 != nil && c.reg.utf8.validName(name)
	if !good || c.reg.errors.Len() >= maxCharged {
		return ""
	}
	return name
}

func (e *Emitter) emit(name, help string, k kind, sample row, pairs []string) {
	if e.time != nil && (e.time.at < 0 || e.time.at > maxTime) {
		e.reg.fault(e.charge(name), reasonInvalid)
		return
	}
	probe := &family{reg: e.reg, name: name, help: help, kind: k}
	sample.time = e.time
	reason := e.check(probe, pairs)
	if reason == "" {
		reason = e.put(probe, sample)
	}
	if reason != "" {
		e.reg.fault(e.charge(name), reason)
	}
}

// check gives a family of one sample its labels, and checks them and its name as
// those of a definition.
func (c *collection) check(f *family, pairs []string) string {
	if len(pairs)%2 != 0 {
		return reasonInvalid
	}
	f.consts = slices.Clone(c.reg.consts)
	for i := 0; i < len(pairs); i += 2 {
		f.consts = append(f.consts, label{name: pairs[i], value: string(appendValid(nil, pairs[i+1]))})
	}
	if c.reg.badConsts || f.check() != "" {
		return reasonInvalid
	}
	return ""
}

// put adds a sample, which comes as a family of its own, to the family of that
// name and says why if it may not.
func (c *collection) put(one *family, sample row) string {
	f := c.families[one.name]
	if f == nil {
		if c.taken(one.name, one.kind) {
			return reasonConflict
		}
		f = &emitted{rows: map[string]row{}}
		f.family = family{reg: c.reg, name: one.name, help: string(appendValid(nil, one.help)), kind: one.kind, quoted: one.quoted}
		f.family.encode = f.encodeRows
		c.families[one.name] = f
	}
	if f.kind != one.kind {
		return reasonConflict
	}
	if c.reg.utf8 != nil && !f.addNames(one.consts) {
		return reasonInvalid
	}
	key := seriesKey(one.consts)
	if _, twice := f.rows[key]; twice {
		return reasonDuplicate
	}
	sample.block = one.constBlock()
	f.rows[key] = sample
	f.quotedLabels = f.quotedLabels || one.quotedLabels
	c.undo = append(c.undo, emission{one.name, key})
	return ""
}

// addNames adds names of labels, unless escaping would make one of them that of
// another: two series could become one.
func (f *emitted) addNames(labels []label) bool {
	names := f.names
	for _, l := range labels {
		if !slices.Contains(names, l.name) {
			names = append(names, l.name)
		}
	}
	if len(names) > len(f.names) && f.reg.utf8.checkLabels(names) != "" {
		return false
	}
	f.names = names
	return true
}

// taken reports whether a defined or an emitted family has one of the names
// that samples of this one would have.
func (c *collection) taken(name string, k kind) bool {
	c.reg.mu.Lock()
	defined := c.reg.families[name]
	if defined == nil {
		defined, _ = c.reg.conflict(name, k)
	}
	c.reg.mu.Unlock()
	if defined != nil {
		return true
	}
	mine := sampleNames(name, k)
	for other, f := range c.families {
		if slices.Contains(f.sampleNames(), name) || slices.Contains(mine, other) {
			return true
		}
	}
	return false
}

// seriesKey tells series apart as Prometheus does: the order of labels makes no
// other series.
func seriesKey(labels []label) string {
	sorted := slices.Clone(labels)
	for i := range sorted { // few, and mostly in order
		for ; i > 0 && compareKeys(sorted[i].name, sorted[i-1].name) < 0; i-- {
			sorted[i], sorted[i-1] = sorted[i-1], sorted[i]
		}
	}
	var key []byte
	for _, l := range sorted {
		if l.value == "" {
			continue // to Prometheus an empty label is none
		}
		key = append(append(append(append(key, l.name...), keySep), l.value...), keySep)
	}
	return string(key)
}

// encodeRows hands the samples of an emitted family to an encoder.
func (f *emitted) encodeRows(e *encoder) {
	all, sorted := make([]series, len(f.rows)), make([]*series, 0, len(f.rows))
	for key := range f.rows {
		s := &all[len(sorted)]
		s.text, s.cut = key, uint32(len(key))
		sorted = append(sorted, s)
	}
	sortSeries(sorted)
	for i, s := range sorted {
		if i == 0 {
			e.begin(&f.family)
		}
		r := f.rows[s.text]
		if !r.encode(e) {
			return
		}
	}
}

// summaries are what encoders make of a summary, which only collectors have.
var summaries = [...]func(e *encoder, block string, s *SummarySnapshot, d *details) bool{
	formatText: textSummary, formatOpen: openSummary, formatJSON: jsonSummary,
}

func (r *row) encode(e *encoder) bool {
	switch {
	case r.def != nil:
		return e.format.histogram(e, r.block, r.def, r.counts, r.value, r.time)
	case r.sum != nil:
		return summaries[e.format.id](e, r.block, r.sum, r.time)
	}
	return e.float(r.block, r.value, r.time)
}

// runCollectors returns the families of a scrape where there are collectors.
func (r *Registry) runCollectors() []*family {
	r.mu.Lock()
	collectors := r.collectorList()
	r.mu.Unlock()
	c := &collection{reg: r, families: map[string]*emitted{}}
	for _, f := range collectors {
		c.run(f)
	}
	var families []*family
	for _, f := range c.families {
		families = append(families, &f.family)
	}
	return r.settle(sortFamilies(families))
}

// settle merges the collected families with the defined ones and leaves out those
// that one of them conflicts with: it may have been defined while the collectors ran.
func (r *Registry) settle(collected []*family) []*family {
	r.mu.Lock()
	defined := r.byName()
	merged := make([]*family, 0, len(defined)+len(collected))
	var refused []*family
	for _, f := range collected {
		for len(defined) > 0 && defined[0].name < f.name {
			merged, defined = append(merged, defined[0]), defined[1:]
		}
		if other, _ := r.conflict(f.name, f.kind); other != nil || r.families[f.name] != nil {
			refused = append(refused, f)
		} else {
			merged = append(merged, f)
		}
	}
	r.mu.Unlock()
	for _, f := range refused {
		f.fault(reasonConflict)
	}
	return append(merged, defined...)
}

// run calls a collector and, if it panics, takes back what this call emitted.
func (c *collection) run(f func(*Emitter)) {
	c.undo = c.undo[:0]
	returned := false
	defer func() {
		if !returned {
			recover() // its scrape must not be the program's end
			for _, u := range c.undo {
				f := c.families[u.name]
				if delete(f.rows, u.key); len(f.rows) == 0 {
					delete(c.families, u.name) // its name is free for others
				}
			}
			c.reg.fault("", reasonPanic)
		}
	}()
	f(&Emitter{collection: c})
	returned = true
}
