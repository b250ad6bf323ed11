package tacho

import (
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/tachikoma/tacho/internal/expo"
)

// An Emitter takes the samples that a collector computes at a scrape. Labels are given as
// name, value, name, value. The help of a family is the help of its first sample.
//
// A bad sample is left out and counted in tacho_errors_total{metric,reason}, so that the
// scrape stays valid. A sample is bad if it has a bad name, an odd number of label strings,
// or a series that was already emitted. It is also bad if its family is defined or has
// another type.
//
// All methods are safe for concurrent use. After the call that received the Emitter has
// ended, they do nothing.
type Emitter struct {
	*collection
	with *properties // of the samples; nil for none
}

// Collect adds f to the functions that each scrape calls. The families that f emits are
// sorted by name among the other families. The result stop removes and releases f. A scrape
// that begins after stop returned does not call f. A second call of stop has no effect, and
// any goroutine may call stop.
//
// The function f runs on a goroutine of its own, beside other functions. It never runs twice
// at the same time. If f panics, the scrape goes on without the samples of this call, and
// tacho_errors_total{metric="",reason="panic"} counts. If f does not return before the
// time of the scrape is over, the scrape shows none of its samples and
// tacho_errors_total{metric="",reason="timeout"} counts. No scrape calls f again until
// that call has returned. See [Registry.Handler] and [Registry.WriteText] for the time of
// a scrape. Collect panics with a *[DefinitionError] if f is nil.
func (r *Registry) Collect(f func(*Emitter)) (stop func()) {
	r.check("")
	if f == nil {
		refuse("", "the function is nil", "")
	}
	var current atomic.Pointer[func(*Emitter)] // nil after stop: f and its data are released
	current.Store(&f)
	s := &source{reg: r, release: func() { current.Store(nil) }, fault: func(reason string) { r.fault("", reason) }}
	s.call = func(c *call) {
		f := current.Load()
		if f == nil {
			return
		}
		emitted := &collection{reg: r}
		defer emitted.close() // also after a panic
		(*f)(&Emitter{collection: emitted})
		emitted.finish()
		c.emitted, c.ok = emitted, true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.tree != nil {
		(*tree)(r.tree).collect(r, s)
	}
	list := r.functionsLocked()
	// A program without collectors does not contain mergeCollected; see internal/SIZE.md.
	list.merge = mergeCollected
	list.collectors = append(list.collectors, s)
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		list.stopLocked(s)
		list.compactLocked()
	}
}

// At returns an Emitter of the same scrape whose samples have the time t, to the
// millisecond, instead of the time of the scrape. It is meant for values that another
// system measured at a known time. Prometheus refuses samples that are too old, and a
// series whose time does not advance becomes stale. Samples with a time before 1970 or
// after 9999, which scrapers cannot read, are bad.
func (e *Emitter) At(t time.Time) *Emitter {
	e, with := e.derived()
	with.times.Timed, with.times.At, with.detailed = true, t.UnixMilli(), true
	return e
}

// maxTime is the end of the year 9999 in Unix milliseconds.
const maxTime = 253402300799999

// Counter emits a sample of a counter. A negative or NaN value is left out, and
// tacho_errors_total counts.
func (e *Emitter) Counter(name, help string, value float64, labels ...string) {
	e.emit(refusal(value), name, help, expo.Counter, row{value: value}, labels)
}

// Gauge emits a sample of a gauge. Every value is valid.
func (e *Emitter) Gauge(name, help string, value float64, labels ...string) {
	e.emit("", name, help, expo.Gauge, row{value: value}, labels)
}

// Untyped emits a sample of unknown type. Every value is valid.
func (e *Emitter) Untyped(name, help string, value float64, labels ...string) {
	e.emit("", name, help, expo.Untyped, row{value: value}, labels)
}

// Info emits facts as the labels of a sample that is always 1 (OpenMetrics 1.0, "Info").
// By convention the name ends in _info. Otherwise OpenMetrics shows a gauge. It also shows a
// gauge if some samples of the family have a time (see [Emitter.At]) and some have none.
func (e *Emitter) Info(name, help string, labels ...string) {
	e.emit("", name, help, expo.Info, row{value: 1}, labels)
}

// Histogram emits a histogram. The bounds of its buckets must increase strictly, and the
// counts must not decrease. A missing bucket for +Inf is added from Count. A bad snapshot is
// left out, and tacho_errors_total counts.
//
// If the registry was made with [WithNative], the native part of s is shown too. The schema
// must be valid. The indexes must increase strictly and be those of float64 values. The
// counts must add up to Count, or to at most Count if Sum is NaN. Without WithNative the
// native part is ignored.
func (e *Emitter) Histogram(name, help string, s HistogramSnapshot, labels ...string) {
	d, reason := new(distribution), ""
	var ok bool
	if d.bounds, d.counts, ok = fromSnapshot(s); !ok {
		reason = reasonInvalid
	}
	if s.Native != nil && e.collection != nil && e.reg.native != nil {
		if d.native, ok = (*nativeDef)(e.reg.native).code.(nativeEmitter).emitNative(&s); !ok {
			reason = reasonInvalid
		}
	}
	e.emit(reason, name, help, expo.Histogram, row{value: s.Sum, more: d}, labels)
}

// nativeEmitter is the interface of nativeCode for Emitter.Histogram.
type nativeEmitter interface {
	emitNative(s *HistogramSnapshot) (n unsafe.Pointer, ok bool)
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
	d := &distribution{summary: expo.Distribution{Count: s.Count, Sum: s.Sum}}
	reason, last := "", -1.0
	for _, q := range s.Quantiles {
		if !(q.Quantile >= 0 && q.Quantile <= 1 && q.Quantile > last) {
			reason = reasonInvalid
		}
		last = q.Quantile
		d.summary.Quantiles = append(d.summary.Quantiles, expo.Quantile(q))
	}
	e.emit(reason, name, help, expo.Summary, row{more: d}, labels)
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
