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

// A twin is a registry and the ledger of what was recorded in it.
type twin struct {
	*ledger
	reg        *tacho.Registry
	handles    []handle
	functions  map[string]function
	collectors []collector
	concurrent bool // several goroutines record
}

// A handle is how a program records in a defined metric: one of the vectors.
type handle struct {
	*metric
	counters      *tacho.CounterVec
	floatCounters *tacho.FloatCounterVec
	gauges        *tacho.GaugeVec
	floatGauges   *tacho.FloatGaugeVec
	histograms    *tacho.HistogramVec
}

// An op is one recording.
type op struct {
	handle
	verb      byte
	values    []string
	n         uint64
	v         float64
	exemplars []string
}

// newTwin makes a registry from bytes, records in it, and keeps book.
func newTwin(t testing.TB, d *dice, utf8Names bool) *twin {
	t.Helper()
	w := &twin{ledger: newLedger(), functions: map[string]function{}}
	w.utf8 = utf8Names
	w.concurrent = d.oneIn(3)
	w.anyOrder = w.concurrent
	w.reg = tacho.NewRegistry(w.options(d)...)
	for range d.n(8) + 1 {
		w.define(t, d)
	}
	for range d.n(4) {
		w.collectors = append(w.collectors, w.collector(d))
	}
	for _, c := range w.collectors {
		w.reg.Collect(c.run)
	}
	var ops []op
	for len(w.handles) > 0 && !d.empty() {
		ops = append(ops, w.op(d))
	}
	w.record(t, ops)
	return w
}

func (w *twin) options(d *dice) []tacho.Option {
	var opts []tacho.Option
	if w.utf8 {
		opts = append(opts, tacho.WithUTF8Names())
	}
	if w.created = d.oneIn(2); w.created {
		opts = append(opts, tacho.WithCreated())
	}
	for _, name := range []string{"region", "a"} {
		if d.oneIn(6) {
			value := d.text()
			w.consts = append(w.consts, label{name, valid(value)})
			opts = append(opts, tacho.WithConstLabels(name, value))
		}
	}
	return opts
}

// define defines a metric and wants it refused exactly if it should be.
func (w *twin) define(t testing.TB, d *dice) {
	m := &metric{name: d.name(w.utf8), help: d.text(), series: map[string]*series{}}
	var opts []tacho.Option
	kind := d.n(7)
	if kind >= 5 {
		// What a function counts must be counted before the scrape comes to the counter of it.
		if m.name = d.name(false); m.name > "tacho" {
			m.name = "b"
		}
	}
	m.kind = []string{"counter", "counter", "gauge", "gauge", "histogram", "gauge", "counter"}[kind]
	m.whole = kind == 0 || kind == 2
	if kind < 5 {
		m.labels = d.labelNames(kind == 4, w.utf8)
	}
	if d.oneIn(6) {
		value := d.text()
		m.consts = append(m.consts, label{"k", valid(value)})
		opts = append(opts, tacho.WithConstLabels("k", value))
	}
	if d.oneIn(4) && !w.concurrent {
		m.limit = d.n(4)
		opts = append(opts, tacho.WithMaxSeries(m.limit))
	}
	if d.oneIn(2) {
		m.unit = pick(d, []string{"seconds", "bytes", "total", "x", "a b"})
		if !d.oneIn(4) && !m.hasUnit() {
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
		h.counters, err = tacho.Try(func() *tacho.CounterVec { return w.reg.CounterVec(m.name, help, m.labels, opts...) })
	case 1:
		h.floatCounters, err = tacho.Try(func() *tacho.FloatCounterVec { return w.reg.FloatCounterVec(m.name, help, m.labels, opts...) })
	case 2:
		h.gauges, err = tacho.Try(func() *tacho.GaugeVec { return w.reg.GaugeVec(m.name, help, m.labels, opts...) })
	case 3:
		h.floatGauges, err = tacho.Try(func() *tacho.FloatGaugeVec { return w.reg.FloatGaugeVec(m.name, help, m.labels, opts...) })
	case 4:
		m.bounds = d.bounds()
		bounds := m.bounds
		h.histograms, err = tacho.Try(func() *tacho.HistogramVec { return w.reg.HistogramVec(m.name, help, bounds, m.labels, opts...) })
		m.bounds = finite(m.bounds)
	default:
		f := function{value: d.float(), panics: d.oneIn(8)}
		m.function = true
		_, err = tacho.Try(func() *struct{} {
			if kind == 5 {
				w.reg.GaugeFunc(m.name, help, f.call, opts...)
			} else {
				w.reg.CounterFunc(m.name, help, f.call, opts...)
			}
			return nil
		})
		if err == nil {
			w.functions[m.name] = f
		}
	}
	var refused *tacho.DefinitionError
	if err != nil && !errors.As(err, &refused) {
		t.Fatalf("definition of %q: %v", m.name, err)
	}
	same, reason := w.refuses(m)
	if (reason != "") != (err != nil) {
		t.Fatalf("definition of the %s %q with labels %q: error %v, want one: %q", m.kind, m.name, m.labels, err, reason)
	}
	if err != nil {
		return
	}
	if !same {
		w.metrics[m.name] = m
		if !m.function {
			w.handles = append(w.handles, h)
		}
	}
}

// refuses says why a definition must be refused, or whether it was made before.
func (w *twin) refuses(m *metric) (same bool, reason string) {
	all := slices.Concat(w.consts, m.consts)
	for _, name := range m.labels {
		all = append(all, label{name: name})
	}
	switch {
	case !goodName(m.name, w.utf8):
		return false, "its name"
	case !goodLabels(all, w.utf8):
		return false, "its labels"
	case m.kind == "histogram" && hasLabel(all, "le"):
		return false, "le"
	case m.unit != "" && !m.hasUnit():
		return false, "its unit"
	case !slices.IsSortedFunc(m.bounds, rising) || slices.ContainsFunc(m.bounds, func(b float64) bool { return b != b || math.IsInf(b, 0) }):
		return false, "its bounds"
	case w.taken(&metric{name: m.name}, nil) && w.metrics[m.name] == nil:
		return false, "its name is that of a sample"
	}
	old := w.metrics[m.name]
	if old == nil {
		if w.taken(m, nil) {
			return false, "its samples"
		}
		return false, ""
	}
	i := slices.IndexFunc(w.handles, func(other handle) bool { return other.metric == old })
	if i < 0 || m.function {
		return false, "functions cannot be compared"
	}
	switch {
	case old.kind != m.kind || old.unit != m.unit || old.help != m.help || !slices.Equal(old.labels, m.labels) || !slices.Equal(old.consts, m.consts):
		return false, "it is another"
	case m.kind == "histogram" && !slices.Equal(old.bounds, m.bounds):
		return false, "its bounds differ"
	case old.whole != m.whole:
		return false, "it has another type of value"
	}
	return true, ""
}

// hasUnit reports whether the name ends in the unit, as OpenMetrics wants it.
func (m *metric) hasUnit() bool {
	name := m.name
	if m.kind == "counter" {
		name = strings.TrimSuffix(name, "_total")
	}
	return legacy("_"+m.unit) && strings.HasSuffix(name, "_"+m.unit)
}

// rising orders equal bounds wrongly on purpose: they must not be equal.
func rising(a, b float64) int {
	if a > b {
		return 1
	}
	return -1
}

// finite is what a definition makes of bounds.
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

func (w *twin) collector(d *dice) collector {
	var c collector
	for range d.n(5) {
		s := emission{name: d.name(w.utf8), help: d.text(), value: d.float()}
		s.kind = pick(d, []string{"counter", "gauge", "unknown", "info", "histogram", "summary"})
		switch s.kind {
		case "histogram":
			s.snapshot = d.snapshot()
		case "summary":
			s.summary = d.summary()
		}
		for _, name := range d.labelNames(s.kind == "histogram", w.utf8) {
			s.labels = append(s.labels, name, d.text())
		}
		if d.oneIn(16) {
			s.labels = append(s.labels, "odd")
		}
		if d.oneIn(4) {
			at := d.time()
			s.at = &at
		}
		c.emissions = append(c.emissions, s)
	}
	c.panics = d.oneIn(8)
	return c
}

// snapshot is one that may be emitted, most of the time.
func (d *dice) snapshot() tacho.HistogramSnapshot {
	var s tacho.HistogramSnapshot
	for _, b := range finite(d.bounds()) {
		s.Count += uint64(d.byte())
		s.Buckets = append(s.Buckets, tacho.Bucket{UpperBound: b, Count: s.Count})
	}
	s.Count += uint64(d.byte())
	if d.oneIn(2) {
		s.Buckets = append(s.Buckets, tacho.Bucket{UpperBound: math.Inf(1), Count: s.Count})
	}
	if d.oneIn(16) {
		s.Count -= uint64(d.byte()) // most likely wrong
	}
	s.Sum = d.float()
	return s
}

// summary is one that may be emitted, most of the time.
func (d *dice) summary() tacho.SummarySnapshot {
	s := tacho.SummarySnapshot{Count: uint64(d.byte()), Sum: d.float()}
	qs := pick(d, [][]float64{{0.5}, {}, {0, 0.25, 0.5, 0.9, 0.99, 1}, {0.1, 1. / 3}, {0.5, 0.5}, {1, 0}, {1.5}, {-0.5}, {math.NaN()}})
	for _, q := range qs {
		s.Quantiles = append(s.Quantiles, tacho.Quantile{Quantile: q, Value: d.float()})
	}
	return s
}

func (w *twin) op(d *dice) op {
	o := op{handle: pick(d, w.handles), verb: d.byte(), n: uint64(d.byte()), v: d.float()}
	for range o.labels {
		o.values = append(o.values, d.text())
	}
	if d.oneIn(16) {
		o.values = append(o.values, "")
	}
	if d.oneIn(32) {
		o.n = d.uint64()
	}
	if d.oneIn(4) {
		o.exemplars = []string{"trace_id", d.text()}
		switch d.n(16) {
		case 12:
			o.exemplars = []string{"e", strings.Repeat("é", 126+d.n(4))} // 128 characters are the limit
		case 15:
			o.exemplars = append(o.exemplars, "odd")
		case 14:
			o.exemplars = append(o.exemplars, d.labelName(false), d.text())
		case 13:
			o.exemplars = append(o.exemplars, "long", string(bytes.Repeat([]byte("é"), 100+d.n(30))))
		}
	}
	if math.IsInf(o.v, 0) {
		o.exemplars = nil // expfmt takes no such exemplar, see TestInfiniteExemplar
	}
	if w.concurrent {
		// What several goroutines do must come to the same in every order.
		o.verb |= 1
		o.v = float64(o.n%64) / 4
		o.n %= 1 << 20
	}
	return o
}

// record does the ops, by one goroutine or several, and writes them down.
func (w *twin) record(t testing.TB, ops []op) {
	t.Helper()
	if !w.concurrent {
		for _, o := range ops {
			from := time.Now()
			o.do()
			w.write(o, span{seconds(from), seconds(time.Now())})
		}
		return
	}
	const goroutines, scrapes = 4, 8
	from := time.Now()
	var running sync.WaitGroup
	seen := make([][]byte, scrapes)
	running.Go(func() {
		for i := range seen {
			seen[i] = w.scrapeAs(t, contentTypes[i%2])
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
		w.expect() // for what it counts: functions and collectors ran
		contentType := contentTypes[i%2]
		now, err := readTextparse(data, contentType)
		if err != nil {
			t.Fatalf("a scrape between recordings: %v\n%s", err, data)
		}
		now.neverFell(t, before[contentType])
		before[contentType] = now
	}
	during := span{seconds(from), seconds(time.Now())}
	for _, o := range ops {
		w.write(o, during)
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

// write is do for the ledger.
func (w *twin) write(o op, when span) {
	w.now = when
	m := o.metric
	s := w.with(m, o.values)
	switch {
	case o.counters != nil:
		w.add(m, s, o.n, o.exemplars, when)
	case o.floatCounters != nil:
		w.addFloat(m, s, o.v, o.exemplars, when)
	case o.histograms != nil:
		w.observe(m, s, o.v, o.exemplars, when)
	case o.gauges != nil:
		n := int64(0)
		switch o.verb % 8 {
		case 2:
			if s == nil {
				w.fault(m.name, "label_count")
			} else {
				delete(m.series, m.key(validAll(o.values)))
			}
			return
		case 4:
			m.series = map[string]*series{}
			if s = w.with(m, o.values); s == nil {
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

// expect returns what the next scrape, which must be the next thing that happens,
// has to show.
func (w *twin) expect() *expecter {
	return newExpecter(w.ledger, w.scrape(maps.Clone(w.functions), w.collectors))
}

// scrapeAs writes the registry in the text format or OpenMetrics.
func (w *twin) scrapeAs(t testing.TB, contentType string) []byte {
	t.Helper()
	write := w.reg.WriteText
	if contentType == typeOpenMetrics {
		write = w.reg.WriteOpenMetrics
	}
	var b bytes.Buffer
	if err := write(&b); err != nil {
		t.Error(err)
	}
	return b.Bytes()
}

// neverFell wants of a scrape during recording what rate() relies on: counts that
// do not go down, within a bucket and from one bucket to the next.
func (e *exposition) neverFell(t testing.TB, before *exposition) {
	t.Helper()
	for name, f := range e.families {
		if f.kind != "counter" && f.kind != "histogram" {
			continue
		}
		for key, s := range f.samples {
			if s.name == name+"_count" {
				inf := &sample{name: name + "_bucket", labels: append(slices.Clone(s.labels), label{"le", "+Inf"})}
				if f.samples[inf.key()].value != s.value {
					t.Errorf("%s is not what the +Inf bucket says", key)
				}
			}
			if before == nil || before.families[name] == nil || s.name == name+"_sum" {
				continue
			}
			if old := before.families[name].samples[key]; old != nil && old.value > s.value {
				t.Errorf("%s fell from %v to %v", key, old.value, s.value)
			}
		}
	}
}
