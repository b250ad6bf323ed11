package tacho

import (
	"slices"
	"strings"
)

// An Emitter takes the samples that a collector computes at a scrape. Labels
// are given as name, value, name, value. A sample that no format can say (a bad
// name, an odd number of label strings, a series that was emitted before, a
// family that is defined or was emitted with another type) is left out and
// counted in tacho_errors_total{metric,reason}, so the scrape stays valid. An
// Emitter belongs to the call that got it: no concurrent use, no use after it.
type Emitter struct {
	reg      *Registry
	families map[string]*emitted
	undo     []emission // what the running collector added
}

// An emission names one sample.
type emission struct{ name, key string }

// emitted is a family that collectors make during one scrape.
type emitted struct {
	family
	rows map[string]row // by key: names and values of the labels
}

type row struct {
	block  string
	value  float64
	def    *histogramDef // nil but for histograms
	counts []uint64
}

// Collect adds f to what each scrape calls. The families that it emits stand
// among the others, sorted by name. f must be safe for concurrent use, since
// scrapes can overlap. If it panics, the scrape goes on without what this call
// emitted and tacho_errors_total{metric="",reason="panic"} counts.
func (r *Registry) Collect(f func(*Emitter)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.collectors = append(slices.Clip(r.collectors), f)
}

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
// name ends in _info.
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
	return newHistogramDef(bounds, nil), counts, true
}

// charge returns the name to count a refusal under: a bad one, which could be
// anything, under none.
func (e *Emitter) charge(name string) string {
	if !validMetricName(name) {
		return ""
	}
	return name
}

func (e *Emitter) emit(name, help string, k kind, sample row, pairs []string) {
	consts, reason := e.labels(name, k, pairs)
	if reason == "" {
		reason = e.put(name, help, k, sample, consts)
	}
	if reason != "" {
		e.reg.fault(e.charge(name), reason)
	}
}

// labels checks name and labels as a definition would.
func (e *Emitter) labels(name string, k kind, pairs []string) ([]label, string) {
	if len(pairs)%2 != 0 {
		return nil, reasonInvalid
	}
	consts := slices.Clone(e.reg.consts)
	for i := 0; i < len(pairs); i += 2 {
		consts = append(consts, label{pairs[i], string(appendValid(nil, pairs[i+1]))})
	}
	probe := family{name: name, kind: k, consts: consts}
	if e.reg.badConsts || probe.check() != "" {
		return nil, reasonInvalid
	}
	return consts, ""
}

// put adds a sample to its family and says why if it may not.
func (e *Emitter) put(name, help string, k kind, sample row, consts []label) string {
	f := e.families[name]
	if f == nil {
		if e.taken(name, k) {
			return reasonConflict
		}
		f = &emitted{rows: map[string]row{}}
		f.family = family{reg: e.reg, name: name, help: string(appendValid(nil, help)), kind: k}
		f.walk = f.encode
		e.families[name] = f
	}
	if f.kind != k {
		return reasonConflict
	}
	key := seriesKey(consts)
	if _, twice := f.rows[key]; twice {
		return reasonDuplicate
	}
	sample.block = string(appendBlock(nil, consts, nil, ""))
	f.rows[key] = sample
	e.undo = append(e.undo, emission{name, key})
	return ""
}

// taken reports whether a defined or an emitted family has one of the names
// that samples of this one would have.
func (e *Emitter) taken(name string, k kind) bool {
	e.reg.mu.Lock()
	defined := e.reg.families[name]
	if defined == nil {
		defined, _ = e.reg.conflict(name, k)
	}
	e.reg.mu.Unlock()
	if defined != nil {
		return true
	}
	mine := sampleNames(name, k)
	for other, f := range e.families {
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
	slices.SortFunc(sorted, func(a, b label) int { return strings.Compare(a.name, b.name) })
	var key []byte
	for _, l := range sorted {
		if l.value == "" {
			continue // to Prometheus an empty label is none
		}
		key = append(append(append(append(key, l.name...), keySep), l.value...), keySep)
	}
	return string(key)
}

// encode is the walk of an emitted family.
func (f *emitted) encode(e encoder) {
	keys := make([]string, 0, len(f.rows))
	for key := range f.rows {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, compareKeys)
	for i, key := range keys {
		if i == 0 {
			e.begin(&f.family)
		}
		r := f.rows[key]
		on := false
		if r.def != nil {
			on = e.histogram(r.block, r.def, r.counts, r.value)
		} else {
			on = e.float(r.block, r.value)
		}
		if !on {
			return
		}
	}
}

// collect runs the collectors and returns what they emitted, sorted by name.
func (r *Registry) collect() []*family {
	r.mu.Lock()
	collectors := r.collectors
	r.mu.Unlock()
	if len(collectors) == 0 {
		return nil
	}
	e := &Emitter{reg: r, families: map[string]*emitted{}}
	for _, f := range collectors {
		e.run(f)
	}
	var families []*family
	for _, f := range e.families {
		families = append(families, &f.family)
	}
	slices.SortFunc(families, func(a, b *family) int { return strings.Compare(a.name, b.name) })
	return families
}

// run calls a collector and, if it panics, takes back what this call emitted.
func (e *Emitter) run(f func(*Emitter)) {
	e.undo = e.undo[:0]
	returned := false
	defer func() {
		if !returned {
			recover() // its scrape must not be the program's end
			for _, u := range e.undo {
				f := e.families[u.name]
				if delete(f.rows, u.key); len(f.rows) == 0 {
					delete(e.families, u.name) // its name is free for others
				}
			}
			e.reg.fault("", reasonPanic)
		}
	}()
	f(e)
	returned = true
}
