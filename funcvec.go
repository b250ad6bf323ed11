package tacho

import (
	"slices"
	"sync/atomic"
	"unsafe"

	"github.com/tachikoma/tacho/internal/escape"
	"github.com/tachikoma/tacho/internal/expo"
	"github.com/tachikoma/tacho/internal/label"
)

// A FuncVec is a family of series whose values functions return at each scrape. All methods are
// safe for concurrent use. [Registry.CounterFuncVec] and [Registry.GaugeFuncVec] make a FuncVec.
// Func of a zero FuncVec panics with a *[DefinitionError].
type FuncVec struct {
	fam  *family
	list *functionList
}

// CounterFuncVec defines a counter with variable labels whose series have functions; see
// [FuncVec.Func]. The same definition returns the same functions; see [Registry.Counter].
func (r *Registry) CounterFuncVec(name, help string, labels []string, opts ...Option) *FuncVec {
	return defineFuncVec(r, &family{Family: expo.Family{Name: name, Help: help, Kind: expo.Counter}}, labels, opts)
}

// GaugeFuncVec defines a gauge with variable labels whose series have functions; see
// [FuncVec.Func]. The same definition returns the same functions; see [Registry.Counter].
func (r *Registry) GaugeFuncVec(name, help string, labels []string, opts ...Option) *FuncVec {
	return defineFuncVec(r, &family{Family: expo.Family{Name: name, Help: help, Kind: expo.Gauge}}, labels, opts)
}

func defineFuncVec(r *Registry, f *family, labels []string, opts []Option) *FuncVec {
	f.labels = labels
	r.apply(f, opts) // a function has no metricType yet
	f.metric = &functionSeries
	f.Encode = encodeNothing
	f.functions = unsafe.Pointer(&functionList{set: map[string]*source{}})
	r.mu.Lock()
	r.functionsLocked()
	r.mu.Unlock()
	f = r.add(f)
	return &FuncVec{f, functionsOf(&f.Family)}
}

// Func adds a series with these label values, in the order of the label names. Each scrape calls f
// for the value, under the rules of [Registry.CounterFunc] and [Registry.GaugeFunc]. If f has no
// valid result in time, the scrape goes on without this series only. The result stop
// removes the series and releases f. No call of f begins after stop returned. A second call of stop
// has no effect, and any goroutine may call stop.
//
// Invalid UTF-8 in a value is replaced by U+FFFD. Func panics with a *[DefinitionError] if f is
// nil, the number of values is wrong, or the series exists: functions cannot be compared. After
// [Registry.Unregister] of the metric, and after [Registry.Close] of its registry, Func has no effect.
func (v *FuncVec) Func(f func() float64, values ...string) (stop func()) {
	block := v.check(f, values)
	var current atomic.Pointer[func() float64] // nil after stop: f and its data are released
	current.Store(&f)
	s := v.fam.valueSource(block, &current)
	l := v.list
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.set[block] != nil {
		refuse(v.fam.Name, "a function with the label values"+quoteAll(values)+" exists, and functions cannot be compared", v.fam.where)
	}
	l.set[block], l.sorted = s, nil
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if !s.stopped.Swap(true) {
			s.release()
			delete(l.set, block)
			l.sorted = nil
		}
	}
}

// check refuses a bad series, and returns its label block.
func (v *FuncVec) check(f func() float64, values []string) (block string) {
	switch {
	case v.fam == nil:
		refuse("", "the FuncVec is not from a registry", "")
	case f == nil:
		refuse(v.fam.Name, "the function is nil", "")
	case len(values) != len(v.fam.labels):
		refuse(v.fam.Name, "the labels are"+quoteAll(v.fam.labels)+", and the values are"+quoteAll(values), "")
	}
	all := slices.Clone(v.fam.Consts)
	for i, name := range v.fam.labels {
		all = append(all, label.Label{Name: name, Value: escape.Valid(values[i])})
	}
	return string(label.AppendBlock(nil, all))
}
