package otelbridge

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/tachikoma/tacho"
)

// modulePath is the path of the module tacho, and the name of the instrumentation scope.
const modulePath = "github.com/tachikoma/tacho"

// An Option configures [NewProducer].
type Option func(*producer)

// WithClassic makes a histogram that has native and classic buckets a Histogram. The native buckets
// are left out. A histogram with native buckets alone stays an ExponentialHistogram.
//
// It is for receivers that do not read exponential histograms.
func WithClassic() Option { return func(p *producer) { p.classic = true } }

// NewProducer returns a Producer with the metrics of reg, for the option WithProducer of a reader of
// the OpenTelemetry SDK. NewProducer panics
// with a *[tacho.DefinitionError] if reg or an option is nil.
//
// Each call of Produce reads the registry once. The functions of the registry have nine tenths of the
// time until the deadline of the context, or 5 seconds if there is no deadline. If the context
// ends before the end of the read, Produce returns the cause and no metrics. If the registry has no
// series, Produce returns no metrics and no error.
//
// The Producer is safe for concurrent use. The SDK may change the slices that Produce returns,
// except the bounds of histograms: data points with equal bounds share them.
func NewProducer(reg *tacho.Registry, opts ...Option) metric.Producer {
	if reg == nil {
		panic(&tacho.DefinitionError{Reason: "the registry is nil"})
	}
	p := &producer{reg: reg, began: time.Now(), scope: instrumentation.Scope{Name: modulePath, Version: version()}}
	for _, opt := range opts {
		if opt == nil {
			panic(&tacho.DefinitionError{Reason: "an option is nil"})
		}
		opt(p)
	}
	return p
}

type producer struct {
	reg     *tacho.Registry
	began   time.Time
	scope   instrumentation.Scope
	classic bool
}

// Produce implements [metric.Producer].
func (p *producer) Produce(ctx context.Context) ([]metricdata.ScopeMetrics, error) {
	c := &collection{ctx: ctx, now: time.Now(), began: p.began, classic: p.classic}
	err := p.reg.WriteProtobufContext(ctx, c)
	if err == nil {
		err = c.end()
	}
	if err != nil {
		return nil, fmt.Errorf("tacho: otelbridge: %w", err)
	}
	if len(c.metrics) == 0 {
		return nil, nil
	}
	return []metricdata.ScopeMetrics{{Scope: p.scope, Metrics: c.metrics}}, nil
}

// version returns the version of the module tacho in this program, or "" if it is not known.
var version = sync.OnceValue(func() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	return versionIn(info)
})

func versionIn(info *debug.BuildInfo) string {
	for _, m := range append(info.Deps, &info.Main) {
		if m.Path != modulePath {
			continue
		}
		if m.Replace != nil {
			m = m.Replace
		}
		if m.Version == "(devel)" {
			return ""
		}
		return m.Version
	}
	return ""
}
