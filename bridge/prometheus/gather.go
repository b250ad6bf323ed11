// Package prombridge connects tacho and client_golang. [Collect] and [NewRegisterer] show metrics
// of client_golang in the scrapes of a tacho registry. [NewGatherer] and [NewCollector] show the
// metrics of a tacho registry where client_golang serves the scrapes.
//
// Do not connect the same registries in both directions: each scrape would then contain itself.
// Such a scrape ends without the families of the loop when the time of its functions is over. This
// is 5 seconds without another limit, and tacho_errors_total{metric="",reason="timeout"} counts.
package prombridge

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/tachikoma/tacho"
)

// An Option configures [Collect] or [NewRegisterer].
type Option func(*bridge)

// WithCreated makes the scrapes show the times of creation of counters, histograms and summaries.
// OpenMetrics has one sample more for each of these, as with [tacho.WithCreated]. The default is
// off, as in promhttp.
func WithCreated() Option { return func(b *bridge) { b.created = true } }

// OnError makes each scrape that has errors call report once. The error has all errors of Gather,
// and those of up to 100 families and metrics that tacho cannot show. A panic of Gather is an error too. A
// Gather that does not return in time is not reported: tacho_errors_total{metric="",reason="timeout"}
// counts. Scrapes do not call report at the
// same time. If report is nil, errors are not reported.
func OnError(report func(error)) Option { return func(b *bridge) { b.report = report } }

// A bridge shows the metrics of a Gatherer in a registry.
type bridge struct {
	reg     *tacho.Registry
	from    prometheus.Gatherer
	created bool
	report  func(error)
}

// Collect shows the families of g in the scrapes of reg. The result stop ends this; see
// [tacho.Registry.Collect]. A Gatherer that panics, or does not return in time, costs its own
// families only.
//
// Families of g give way to definitions of reg and to families of other collectors, and nothing is
// counted; see [tacho.Emitter.Fallback]. So go_* and process_* families of g are left out beside
// packages goruntime and process.
//
// Counters, gauges, untyped metrics, summaries and histograms have their values, help, units,
// exemplars and times. Native histograms have their native buckets if reg was made with
// [tacho.WithNative]. Times of creation need [WithCreated]. Left out are gauge histograms,
// histograms with float counts, and custom buckets of native histograms, which tacho cannot show.
//
// If reg was made without [tacho.WithUTF8Names], the characters of a name that are not in the
// legacy set become underscores. If two names of families or two names of labels become the same,
// the later family or metric is left out.
//
// If Gather returns an error, its families are shown, and tacho_gather_errors_total of reg counts.
// See [OnError] for the errors. Values that tacho refuses, such as a negative counter, are counted
// in tacho_errors_total. Collect panics with a *[tacho.DefinitionError] if reg, g or an option is nil.
func Collect(reg *tacho.Registry, g prometheus.Gatherer, opts ...Option) (stop func()) {
	if g == nil {
		panic(&tacho.DefinitionError{Reason: "the prometheus.Gatherer is nil"})
	}
	b := &bridge{reg: reg, from: g}
	for _, opt := range opts {
		if opt == nil {
			panic(&tacho.DefinitionError{Reason: "an option is nil"})
		}
		opt(b)
	}
	return reg.Collect(b.collect)
}

func (b *bridge) collect(e *tacho.Emitter) {
	families, err := b.gather()
	if err != nil {
		b.countError()
	}
	c := &conversion{
		emitter: e.Fallback(), now: time.Now(), created: b.created,
		escape: !e.UTF8Names(), seen: map[string]bool{},
	}
	for _, f := range families {
		c.family(f)
	}
	if err = errors.Join(err, c.err()); err != nil && b.report != nil {
		b.report(err)
	}
}

// gather calls Gather. It reports a panic, which costs the families of this scrape.
func (b *bridge) gather() ([]*dto.MetricFamily, error) {
	if b.report != nil {
		defer func() {
			if p := recover(); p != nil {
				b.report(fmt.Errorf("the prometheus.Gatherer panicked: %v", p))
				panic(p)
			}
		}()
	}
	return b.from.Gather()
}

// countError counts a Gather that returned an error. The counter is defined at the first error. If
// the program has another metric with the name, nothing is counted.
func (b *bridge) countError() {
	c, err := tacho.Try(func() *tacho.Counter {
		return b.reg.Counter("tacho_gather_errors_total", "Scrapes in which a Prometheus gatherer returned an error.")
	})
	if err == nil {
		c.Inc()
	}
}

// NewGatherer returns a Gatherer of the families of reg, for promhttp.HandlerFor or
// prometheus.Gatherers. Each Gather is a scrape of reg. Native histograms, exemplars, units and
// times are included. An info is a gauge. Gather returns no error. It is safe for concurrent use.
//
// The function prometheus.Gatherers reports an error if two of its Gatherers have a family with different help
// or type, or the same series.
func NewGatherer(reg *tacho.Registry) prometheus.Gatherer {
	if reg == nil {
		panic(&tacho.DefinitionError{Reason: "the registry is nil"})
	}
	return prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) { return gather(reg) })
}

func gather(reg *tacho.Registry) ([]*dto.MetricFamily, error) {
	families, err := decode(reg)
	if err != nil {
		return families, fmt.Errorf("tacho: a scrape of the registry: %w", err)
	}
	return families, nil
}
