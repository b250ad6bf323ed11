package tacho

import (
	"time"

	"github.com/tachikoma/tacho/internal/exemplar"
	"github.com/tachikoma/tacho/internal/expo"
	"github.com/tachikoma/tacho/internal/names"
)

// properties are the properties of the samples of an Emitter, besides names, labels and values. The
// properties do not change after the call that made the Emitter: several goroutines can use an
// Emitter.
type properties struct {
	times      expo.Details
	detailed   bool // times is not empty
	unit       string
	badUnit    bool
	badCreated bool

	// Of an Emitter with exemplars: attachExemplars. Programs without exemplars do not contain
	// its code.
	attach    func(c *collection, p *properties, k expo.Kind, d *distribution) *expo.Details
	exemplars []*exemplar.Exemplar
	refused   int // number of exemplars that are not in exemplars
}

// derived returns an Emitter of the same scrape. Its properties are a copy of the properties of e,
// which the caller may change.
func (e *Emitter) derived() (*Emitter, *properties) {
	p := new(properties)
	if e.with != nil {
		*p = *e.with
	}
	return &Emitter{e.collection, p}, p
}

// details returns the details of a sample, or nil. d is the value of a histogram or a summary. It
// needs the lock of c.
func (p *properties) details(c *collection, k expo.Kind, d *distribution) *expo.Details {
	switch {
	case p.attach != nil:
		return p.attach(c, p, k, d)
	case p.detailed:
		return &p.times
	}
	return nil
}

// countBad counts the bad properties of a sample that was emitted without them.
func (p *properties) countBad(c *collection, name string) {
	if p.badUnit {
		c.refuse(name, reasonInvalid)
	}
	if p.badCreated {
		c.refuse(name, reasonInvalid)
	}
	if p.attach != nil {
		for range c.badExemplars {
			c.refuse(name, reasonExemplar)
		}
	}
}

// Created returns an Emitter of the same scrape whose counters, histograms and summaries have
// the time of creation t, to the millisecond; see [WithCreated]. OpenMetrics shows no time of
// creation for a counter whose name does not end in _total. The zero time removes the time of
// creation. If t is before 1970 or after 9999, the samples have no time of creation, and
// tacho_errors_total{metric,reason="invalid"} counts for each sample.
func (e *Emitter) Created(t time.Time) *Emitter {
	e, with := e.derived()
	with.times.Created, with.badCreated = 0, false
	if t.IsZero() {
		return e
	}
	if ms := t.UnixMilli(); ms < 0 || ms > maxTime {
		with.badCreated = true
	} else {
		with.times.Created, with.detailed = ms, true
	}
	return e
}

// Unit returns an Emitter of the same scrape whose families have a unit; see [WithUnit]. The
// unit of a family is the unit of its first sample. An info has no unit. A unit is shown only
// if the name ends in an underscore and the unit, before the suffix _total of a counter. The
// empty unit removes the unit. A unit with characters other than letters, digits, underscores
// and colons is left out, and tacho_errors_total{metric,reason="invalid"} counts for each sample.
func (e *Emitter) Unit(unit string) *Emitter {
	e, with := e.derived()
	with.unit, with.badUnit = unit, !names.ValidMetric("_"+unit)
	if with.badUnit {
		with.unit = ""
	}
	return e
}

// UTF8Names reports whether the registry was made with [WithUTF8Names]. Otherwise a sample is bad
// if its name, or the name of a label, is outside the legacy set. The result is false for a zero
// Emitter.
func (e *Emitter) UTF8Names() bool { return e.collection != nil && e.reg.names.UTF8 != nil }
