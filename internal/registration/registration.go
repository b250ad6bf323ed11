// Package registration defines the metrics of a package in a registry: all or none.
package registration

import (
	"sync"

	"github.com/tachikoma/tacho"
)

// A Registration has the metrics that one call of Register defines. It is not for
// concurrent use.
type Registration struct {
	reg   *tacho.Registry
	names []string
	done  bool
}

// New returns a Registration without metrics. The caller defers [Registration.Undo].
func New(reg *tacho.Registry) *Registration { return &Registration{reg: reg} }

// CounterFunc is [tacho.Registry.CounterFunc].
func (r *Registration) CounterFunc(name, help string, f func() float64, opts ...tacho.Option) {
	r.reg.CounterFunc(name, help, f, opts...)
	r.names = append(r.names, name)
}

// GaugeFunc is [tacho.Registry.GaugeFunc].
func (r *Registration) GaugeFunc(name, help string, f func() float64, opts ...tacho.Option) {
	r.reg.GaugeFunc(name, help, f, opts...)
	r.names = append(r.names, name)
}

// FloatGauge defines a gauge without a series: the vector has no labels. Unlike
// [tacho.Registry.FloatGaugeVec], it panics if the registry has the same definition.
//
// The function shows that no other code has defined the gauge, because functions cannot be
// compared. Undo would otherwise remove a gauge of other code. A scrape in between shows
// the value of f.
func (r *Registration) FloatGauge(name, help string, f func() float64, opts ...tacho.Option) *tacho.FloatGaugeVec {
	r.reg.GaugeFunc(name, help, f, opts...)
	r.reg.Unregister(name)
	v := r.reg.FloatGaugeVec(name, help, nil, opts...)
	r.names = append(r.names, name)
	return v
}

// Collect calls [tacho.Registry.Collect] and completes the registration. stop undoes the
// registration. stop is safe for concurrent use, and a second call has no effect.
func (r *Registration) Collect(f func(*tacho.Emitter)) (stop func()) {
	end := r.reg.Collect(f)
	r.done = true
	return sync.OnceFunc(func() {
		end()
		r.unregister()
	})
}

// Undo removes the metrics unless Collect was reached. Without the collector they would
// never change their value.
func (r *Registration) Undo() {
	if !r.done {
		r.unregister()
	}
}

func (r *Registration) unregister() {
	for _, name := range r.names {
		r.reg.Unregister(name)
	}
}
