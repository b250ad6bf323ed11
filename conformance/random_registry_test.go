package conformance

import (
	"bytes"
	"errors"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tachikoma/tacho"
)

// A randomRegistry is a random registry with its reference.
type randomRegistry struct {
	*reference
	reg        *tacho.Registry
	handles    []handle
	functions  map[string]function
	collectors []collector
	concurrent bool // record from several goroutines
}

// A handle is a defined metric with its vector. Exactly one vector is not nil.
type handle struct {
	*metric
	counters      *tacho.CounterVec
	floatCounters *tacho.FloatCounterVec
	gauges        *tacho.GaugeVec
	floatGauges   *tacho.FloatGaugeVec
	histograms    *tacho.HistogramVec
}

// An op is a recording call.
type op struct {
	handle
	verb      byte
	values    []string
	n         uint64
	v         float64
	exemplars []string
}

// newRandomRegistry makes a registry from the bytes of g and records in the registry
// and in the reference.
func newRandomRegistry(t testing.TB, g *generator, utf8Names bool) *randomRegistry {
	t.Helper()
	r := &randomRegistry{reference: newReference(), functions: map[string]function{}}
	r.utf8 = utf8Names
	r.concurrent = g.oneIn(3)
	r.anyOrder = r.concurrent
	r.reg = tacho.NewRegistry(r.options(g)...)
	for range g.n(8) + 1 {
		r.define(t, g)
	}
	for range g.n(4) {
		r.collectors = append(r.collectors, r.collector(g))
	}
	for _, c := range r.collectors {
		r.reg.Collect(c.run)
	}
	var ops []op
	for len(r.handles) > 0 && !g.empty() {
		ops = append(ops, r.op(g))
	}
	r.record(t, ops)
	return r
}

func (r *randomRegistry) options(g *generator) []tacho.Option {
	var opts []tacho.Option
	if r.utf8 {
		opts = append(opts, tacho.WithUTF8Names())
	}
	if r.created = g.oneIn(2); r.created {
		opts = append(opts, tacho.WithCreated())
	}
	for _, name := range []string{"region", "a"} {
		if g.oneIn(6) {
			value := g.text()
			r.consts = append(r.consts, label{name, valid(value)})
			opts = append(opts, tacho.WithConstLabels(name, value))
		}
	}
	return opts
}

// define defines a random metric. The registry must reject the definition exactly if
// the method refuses returns a reason.
func (r *randomRegistry) define(t testing.TB, g *generator) {
	m := &metric{name: g.name(r.utf8), help: g.text(), series: map[string]*series{}}
	var opts []tacho.Option
	kind := g.n(7)
	if kind >= 5 {
		// A failing function increments tacho_errors_total, so the function must run
		// before the registry writes tacho_errors_total. The order of names decides.
		if m.name = g.name(false); m.name > "tacho" {
			m.name = "b"
		}
	}
	m.kind = []string{"counter", "counter", "gauge", "gauge", "histogram", "gauge", "counter"}[kind]
	m.integer = kind == 0 || kind == 2
	if kind < 5 {
		m.labels = g.labelNames(kind == 4, r.utf8)
	}
	if g.oneIn(6) {
		value := g.text()
		m.consts = append(m.consts, label{"k", valid(value)})
		opts = append(opts, tacho.WithConstLabels("k", value))
	}
	if g.oneIn(4) && !r.concurrent && (len(m.labels) > 0 || g.oneIn(8)) {
		m.limited, m.limit = true, g.n(4)
		opts = append(opts, tacho.WithMaxSeries(m.limit))
	}
	if g.oneIn(2) {
		m.unit = pick(g, []string{"seconds", "bytes", "total", "x", "a b"})
		if !g.oneIn(4) && !m.hasUnit() {
			m.unit = ""
		}
		opts = append(opts, tacho.WithUnit(m.unit))
	}
	h := handle{metric: m}
	help := m.help
	m.help = valid(help)
	var err error
	switch kind {
	case 0:
		h.counters, err = tacho.Try(func() *tacho.CounterVec { return r.reg.CounterVec(m.name, help, m.labels, opts...) })
	case 1:
		h.floatCounters, err = tacho.Try(func() *tacho.FloatCounterVec { return r.reg.FloatCounterVec(m.name, help, m.labels, opts...) })
	case 2:
		h.gauges, err = tacho.Try(func() *tacho.GaugeVec { return r.reg.GaugeVec(m.name, help, m.labels, opts...) })
	case 3:
		h.floatGauges, err = tacho.Try(func() *tacho.FloatGaugeVec { return r.reg.FloatGaugeVec(m.name, help, m.labels, opts...) })
	case 4:
		m.bounds = g.bounds()
		bounds := m.bounds
		h.histograms, err = tacho.Try(func() *tacho.HistogramVec { return r.reg.HistogramVec(m.name, help, bounds, m.labels, opts...) })
		m.bounds = finite(m.bounds)
	default:
		f := function{value: g.float(), panics: g.oneIn(8)}
		m.function = true
		_, err = tacho.Try(func() *struct{} {
			if kind == 5 {
				r.reg.GaugeFunc(m.name, help, f.call, opts...)
			} else {
				r.reg.CounterFunc(m.name, help, f.call, opts...)
			}
			return nil
		})
		if err == nil {
			r.functions[m.name] = f
		}
	}
	var refused *tacho.DefinitionError
	if err != nil && !errors.As(err, &refused) {
		t.Fatalf("definition of %q: error %v is no DefinitionError", m.name, err)
	}
	same, reason := r.refuses(m)
	if (reason != "") != (err != nil) {
		t.Fatalf("definition of the %s %q with labels %q: error %v, expected reason %q", m.kind, m.name, m.labels, err, reason)
	}
	if err != nil {
		return
	}
	if !same {
		r.metrics[m.name] = m
		if !m.function {
			r.handles = append(r.handles, h)
		}
	}
}

// refuses returns the reason to reject a definition, or "". The result same reports
// whether an equal definition exists.
func (r *randomRegistry) refuses(m *metric) (same bool, reason string) {
	all := slices.Concat(r.consts, m.consts)
	for _, name := range m.labels {
		all = append(all, label{name: name})
	}
	switch {
	case !goodName(m.name, r.utf8):
		return false, "invalid name"
	case !goodLabels(all, r.utf8):
		return false, "invalid labels"
	case m.kind == "histogram" && hasLabel(all, "le"):
		return false, "label le in a histogram"
	case m.unit != "" && !m.hasUnit():
		return false, "invalid unit"
	case m.limited && len(m.labels) == 0:
		return false, "WithMaxSeries without labels"
	case !slices.IsSortedFunc(m.bounds, rising) || slices.ContainsFunc(m.bounds, func(b float64) bool { return b != b || math.IsInf(b, 0) }):
		return false, "invalid bounds"
	case r.taken(&metric{name: m.name}, nil) && r.metrics[m.name] == nil:
		return false, "name equals a sample name"
	}
	old := r.metrics[m.name]
	if old == nil {
		if r.taken(m, nil) {
			return false, "sample names collide"
		}
		return false, ""
	}
	i := slices.IndexFunc(r.handles, func(other handle) bool { return other.metric == old })
	if i < 0 || m.function {
		return false, "duplicate definition with a function"
	}
	switch {
	case old.kind != m.kind || old.unit != m.unit || old.help != m.help || !slices.Equal(old.labels, m.labels) || !slices.Equal(old.consts, m.consts):
		return false, "kind, unit, help or labels differ"
	case m.kind == "histogram" && !slices.Equal(old.bounds, m.bounds):
		return false, "bounds differ"
	case old.integer != m.integer:
		return false, "value types differ"
	}
	return true, ""
}

// hasUnit reports whether the name ends in the unit, as OpenMetrics requires.
func (m *metric) hasUnit() bool {
	name := m.name
	if m.kind == "counter" {
		name = strings.TrimSuffix(name, "_total")
	}
	return legacy("_"+m.unit) && strings.HasSuffix(name, "_"+m.unit)
}

// rising compares bounds for slices.IsSortedFunc. The result for equal bounds is 1, so
// equal bounds are not sorted.
func rising(a, b float64) int {
	if a > b {
		return 1
	}
	return -1
}

// finite returns the bounds of a histogram definition: DefBuckets instead of nil, no
// +Inf at the end, and 0 instead of -0.
func finite(bounds []float64) []float64 {
	if bounds == nil {
		bounds = tacho.DefBuckets
	}
	var own []float64
	for i, b := range bounds {
		if i < len(bounds)-1 || !math.IsInf(b, 1) {
			own = append(own, b+0)
		}
	}
	return own
}

func (r *randomRegistry) collector(g *generator) collector {
	var c collector
	for range g.n(5) {
		s := emission{name: g.name(r.utf8), help: g.text(), value: g.float()}
		s.kind = pick(g, []string{"counter", "gauge", "unknown", "info", "histogram", "summary"})
		switch s.kind {
		case "histogram":
			s.snapshot = g.snapshot()
		case "summary":
			s.summary = g.summary()
		}
		for _, name := range g.labelNames(s.kind == "histogram", r.utf8) {
			s.labels = append(s.labels, name, g.text())
		}
		if g.oneIn(16) {
			s.labels = append(s.labels, "odd")
		}
		if g.oneIn(4) {
			at := g.time()
			s.at = &at
		}
		c.emissions = append(c.emissions, s)
	}
	c.panics = g.oneIn(8)
	return c
}

// snapshot returns a histogram snapshot, which is mostly valid.
func (g *generator) snapshot() tacho.HistogramSnapshot {
	var s tacho.HistogramSnapshot
	for _, b := range finite(g.bounds()) {
		s.Count += uint64(g.byte())
		s.Buckets = append(s.Buckets, tacho.Bucket{UpperBound: b, Count: s.Count})
	}
	s.Count += uint64(g.byte())
	if g.oneIn(2) {
		s.Buckets = append(s.Buckets, tacho.Bucket{UpperBound: math.Inf(1), Count: s.Count})
	}
	if g.oneIn(16) {
		s.Count -= uint64(g.byte()) // probably invalid
	}
	s.Sum = g.float()
	return s
}

// summary returns a summary snapshot, which is mostly valid.
func (g *generator) summary() tacho.SummarySnapshot {
	s := tacho.SummarySnapshot{Count: uint64(g.byte()), Sum: g.float()}
	qs := pick(g, [][]float64{{0.5}, {}, {0, 0.25, 0.5, 0.9, 0.99, 1}, {0.1, 1. / 3}, {0.5, 0.5}, {1, 0}, {1.5}, {-0.5}, {math.NaN()}})
	for _, q := range qs {
		s.Quantiles = append(s.Quantiles, tacho.Quantile{Quantile: q, Value: g.float()})
	}
	return s
}

func (r *randomRegistry) op(g *generator) op {
	o := op{handle: pick(g, r.handles), verb: g.byte(), n: uint64(g.byte()), v: g.float()}
	for range o.labels {
		o.values = append(o.values, g.text())
	}
	if g.oneIn(16) {
		o.values = append(o.values, "")
	}
	if g.oneIn(32) {
		o.n = g.uint64()
	}
	if g.oneIn(4) {
		o.exemplars = []string{"trace_id", g.text()}
		switch g.n(16) {
		case 12:
			o.exemplars = []string{"e", strings.Repeat("é", 126+g.n(4))} // the limit is 128 characters
		case 15:
			o.exemplars = append(o.exemplars, "odd")
		case 14:
			o.exemplars = append(o.exemplars, g.labelName(false), g.text())
		case 13:
			o.exemplars = append(o.exemplars, "long", string(bytes.Repeat([]byte("é"), 100+g.n(30))))
		}
	}
	if math.IsInf(o.v, 0) {
		o.exemplars = nil // expfmt rejects such an exemplar (see TestInfiniteExemplar)
	}
	if r.concurrent {
		// The result must not depend on the order of the goroutines.
		o.verb |= 1
		o.v = float64(o.n%64) / 4
		o.n %= 1 << 20
	}
	return o
}

// record makes the calls of ops on the registry, from one goroutine or several, and on
// the reference. With several goroutines, scrapes run at the same time.
func (r *randomRegistry) record(t testing.TB, ops []op) {
	t.Helper()
	if !r.concurrent {
		for _, o := range ops {
			from := time.Now()
			o.do()
			r.apply(o, span{seconds(from), seconds(time.Now())})
		}
		return
	}
	const goroutines, scrapes = 4, 8
	from := time.Now()
	var running sync.WaitGroup
	seen := make([][]byte, scrapes)
	running.Go(func() {
		for i := range seen {
			seen[i] = r.scrapeAs(t, contentTypes[i%2])
		}
	})
	for g := range goroutines {
		running.Go(func() {
			for i := g; i < len(ops); i += goroutines {
				ops[i].do()
			}
		})
	}
	running.Wait()
	before := map[string]*exposition{}
	for i, data := range seen {
		r.expect() // counts the errors of the functions and collectors in the scrape
		contentType := contentTypes[i%2]
		now, err := readTextparse(data, contentType)
		if err != nil {
			t.Fatalf("invalid scrape during recording: %v\n%s", err, data)
		}
		now.checkMonotonic(t, before[contentType])
		before[contentType] = now
	}
	during := span{seconds(from), seconds(time.Now())}
	for _, o := range ops {
		r.apply(o, during)
	}
}

func (o op) do() {
	switch {
	case o.counters != nil:
		o.counters.With(o.values...).AddExemplar(o.n, o.exemplars...)
	case o.floatCounters != nil:
		o.floatCounters.With(o.values...).AddExemplar(o.v, o.exemplars...)
	case o.gauges != nil:
		g := o.gauges.With(o.values...)
		switch o.verb % 8 {
		case 0:
			g.Set(int64(o.n))
		case 2:
			o.gauges.Delete(o.values...)
		case 4:
			o.gauges.Replace(func(set *tacho.GaugeVec) { set.With(o.values...).Set(int64(o.n)) })
		case 1, 3:
			g.Add(-int64(o.n))
		case 5:
			g.Inc()
		default:
			g.Dec()
		}
	case o.floatGauges != nil:
		g := o.floatGauges.With(o.values...)
		switch o.verb % 8 {
		case 0, 2:
			g.Set(o.v)
		case 4:
			o.floatGauges.Reset()
		default:
			g.Add(o.v)
		}
	case o.histograms != nil:
		o.histograms.With(o.values...).ObserveExemplar(o.v, o.exemplars...)
	}
}

// apply models op.do on the reference.
func (r *randomRegistry) apply(o op, when span) {
	r.now = when
	m := o.metric
	s := r.with(m, o.values)
	switch {
	case o.counters != nil:
		r.add(m, s, o.n, o.exemplars, when)
	case o.floatCounters != nil:
		r.addFloat(m, s, o.v, o.exemplars, when)
	case o.histograms != nil:
		r.observe(m, s, o.v, o.exemplars, when)
	case o.gauges != nil:
		n := int64(0)
		switch o.verb % 8 {
		case 2:
			if s == nil {
				r.countError(m.name, "label_count")
			} else {
				delete(m.series, m.key(validAll(o.values)))
			}
			return
		case 4:
			m.series = map[string]*series{}
			if s = r.with(m, o.values); s == nil {
				return
			}
			n = int64(o.n)
		case 0:
			if s != nil {
				s.count = 0
			}
			n = int64(o.n)
		case 1, 3:
			n = -int64(o.n)
		case 5:
			n = 1
		default:
			n = -1
		}
		if s != nil {
			s.count += uint64(n)
			s.value = float64(int64(s.count))
		}
	case o.floatGauges != nil:
		switch o.verb % 8 {
		case 0, 2:
			if s != nil {
				s.value = o.v
			}
		case 4:
			m.series = map[string]*series{}
		default:
			if s != nil {
				s.value += o.v
			}
		}
	}
}

// expect returns the expectation of a scrape. A test must call expect once for each
// scrape, with no calls on the registry in between.
func (r *randomRegistry) expect() *expecter {
	return newExpecter(r.reference, r.scrape(maps.Clone(r.functions), r.collectors))
}

// scrapeAs writes the registry in the text format, OpenMetrics 1.0 or 2.0, or the protobuf format.
func (r *randomRegistry) scrapeAs(t testing.TB, contentType string) []byte {
	t.Helper()
	return scrapeAs(t, r.reg, contentType)
}

func scrapeAs(t testing.TB, reg *tacho.Registry, contentType string) []byte {
	t.Helper()
	write := reg.WriteText
	switch contentType {
	case typeOpenMetrics:
		write = reg.WriteOpenMetrics
	case typeOpenMetrics2:
		write = reg.WriteOpenMetrics2
	case typeProtobuf:
		write = reg.WriteProtobuf
	}
	var b bytes.Buffer
	if err := write(&b); err != nil {
		t.Error(err)
	}
	return b.Bytes()
}

// checkMonotonic checks that no counter, bucket or count decreased since the scrape
// before, and that _count equals the bucket +Inf. The function rate of PromQL relies on
// both.
func (e *exposition) checkMonotonic(t testing.TB, before *exposition) {
	t.Helper()
	for name, f := range e.families {
		if f.kind != "counter" && f.kind != "histogram" {
			continue
		}
		for key, s := range f.samples {
			if s.name == name+"_count" {
				inf := &sample{name: name + "_bucket", labels: append(slices.Clone(s.labels), label{"le", "+Inf"})}
				if f.samples[inf.key()].value != s.value {
					t.Errorf("%s differs from the +Inf bucket", key)
				}
			}
			if before == nil || before.families[name] == nil || s.name == name+"_sum" {
				continue
			}
			if old := before.families[name].samples[key]; old != nil && old.value > s.value {
				t.Errorf("%s decreased from %v to %v", key, old.value, s.value)
			}
		}
	}
}
