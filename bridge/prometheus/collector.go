package prombridge

import (
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/tachikoma/tacho"
)

// NewCollector returns a Collector of the families of reg, for a prometheus.Registry whose endpoint
// stays promhttp. Each Collect is a scrape of reg; see [NewGatherer]. The Collector is unchecked: it
// describes no metrics, so that reg can have new families later.
//
// A registry of client_golang reports an error for a scrape if another Collector has the same
// series, or a family of the same name with different help or type. Package promhttp then returns
// status 500 unless HandlerOpts.ErrorHandling is ContinueOnError. So a program has either packages
// goruntime and process of tacho, or collectors.NewGoCollector and NewProcessCollector.
func NewCollector(reg *tacho.Registry) prometheus.Collector {
	if reg == nil {
		panic(&tacho.DefinitionError{Reason: "the registry is nil"})
	}
	return collector{reg}
}

type collector struct{ reg *tacho.Registry }

// Describe sends nothing.
func (collector) Describe(chan<- *prometheus.Desc) {}

// Collect sends all metrics of a scrape.
func (c collector) Collect(to chan<- prometheus.Metric) {
	families, err := gather(c.reg)
	for _, f := range families {
		var opts []prometheus.DescOpt
		if f.GetUnit() != "" {
			opts = append(opts, prometheus.WithUnit(f.GetUnit()))
		}
		desc := prometheus.V2.NewDesc(f.GetName(), f.GetHelp(), prometheus.UnconstrainedLabels(nil), nil, opts...)
		for _, m := range f.Metric {
			to <- metric{desc, m}
		}
	}
	if err != nil {
		to <- prometheus.NewInvalidMetric(prometheus.NewInvalidDesc(err), err)
	}
}

// A metric is one series of a scrape.
type metric struct {
	desc  *prometheus.Desc
	value *dto.Metric
}

func (m metric) Desc() *prometheus.Desc { return m.desc }

// Write sets the fields of out. The messages in the fields are shared, and must not be changed.
func (m metric) Write(out *dto.Metric) error {
	v := m.value
	out.Label, out.TimestampMs = v.Label, v.TimestampMs
	out.Gauge, out.Counter, out.Summary, out.Untyped, out.Histogram = v.Gauge, v.Counter, v.Summary, v.Untyped, v.Histogram
	return nil
}
