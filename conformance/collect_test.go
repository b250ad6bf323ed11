package conformance

import (
	"math"
	"slices"
	"time"

	"github.com/tachikoma/tacho"
)

// A collector is a function given to Registry.Collect, as a list of what it emits.
type collector struct {
	emissions []emission
	panics    bool
}

// An emission is one call of an Emitter.
type emission struct {
	kind, name, help string
	value            float64
	snapshot         tacho.HistogramSnapshot
	summary          tacho.SummarySnapshot
	labels           []string
	at               *time.Time
}

// A function is what CounterFunc or GaugeFunc was given.
type function struct {
	value  float64
	panics bool
}

func (c collector) run(e *tacho.Emitter) {
	for _, s := range c.emissions {
		s.run(e)
	}
	if c.panics {
		panic("collector")
	}
}

func (s emission) run(e *tacho.Emitter) {
	if s.at != nil {
		e = e.At(*s.at)
	}
	switch s.kind {
	case "counter":
		e.Counter(s.name, s.help, s.value, s.labels...)
	case "gauge":
		e.Gauge(s.name, s.help, s.value, s.labels...)
	case "unknown":
		e.Untyped(s.name, s.help, s.value, s.labels...)
	case "info":
		e.Info(s.name, s.help, s.labels...)
	case "histogram":
		e.Histogram(s.name, s.help, s.snapshot, s.labels...)
	case "summary":
		e.Summary(s.name, s.help, s.summary, s.labels...)
	}
}

func (f function) call() float64 {
	if f.panics {
		panic("function")
	}
	return f.value
}

// scrape returns the metrics that there are at a scrape from now on, and counts
// what it refuses. It must be called once for each scrape.
func (l *ledger) scrape(functions map[string]function, collectors []collector) []*metric {
	emitted := map[string]*metric{}
	for _, c := range collectors {
		l.collect(c, emitted)
	}
	var all []*metric
	for _, m := range emitted {
		all = append(all, m)
	}
	for _, m := range l.metrics {
		if m.function {
			m.series = l.evaluate(m, functions[m.name])
		}
		all = append(all, m)
	}
	all = append(all, l.own("tacho_errors_total", "Recordings and collected samples that were refused.", "metric", "reason"))
	all = append(all, l.own("tacho_series_overflow_total", "Lookups that a full vector answered with its overflow series.", "metric"))
	return all
}

func (l *ledger) evaluate(m *metric, f function) map[string]*series {
	switch {
	case f.panics:
		l.fault(m.name, "panic")
	case m.kind == "counter" && f.value < 0:
		l.fault(m.name, "negative")
	case m.kind == "counter" && f.value != f.value:
		l.fault(m.name, "nan")
	default:
		return map[string]*series{"": {labels: slices.Concat(l.consts, m.consts), value: f.value}}
	}
	return nil
}

// own makes one of the two counters that every registry has.
func (l *ledger) own(name, help string, labels ...string) *metric {
	m := &metric{name: name, help: help, kind: "counter", series: map[string]*series{}}
	add := func(value uint64, values ...string) {
		s := &series{labels: slices.Clone(l.consts), value: float64(value), created: span{seconds(l.began), seconds(time.Now())}}
		for i, name := range labels {
			s.labels = append(s.labels, label{name, valid(values[i])})
		}
		m.series[m.key(values)] = s
	}
	if len(labels) == 1 {
		for metric, n := range l.overflow {
			add(n, metric)
		}
		return m
	}
	for key, n := range l.errors {
		add(n, key[0], key[1])
	}
	return m
}

// collect adds what one collector emits.
func (l *ledger) collect(c collector, emitted map[string]*metric) {
	type place struct{ metric, key string }
	var undo []place
	for _, s := range c.emissions {
		key, reason := l.emit(s, emitted)
		if reason == "" {
			undo = append(undo, place{s.name, key})
			continue
		}
		charged := s.name
		if !legacy(s.name) && !goodName(s.name, l.utf8) {
			charged = ""
		}
		l.fault(charged, reason)
	}
	if !c.panics {
		return
	}
	for _, p := range undo {
		m := emitted[p.metric]
		if delete(m.series, p.key); len(m.series) == 0 {
			delete(emitted, p.metric)
		}
	}
	l.fault("", "panic")
}

// emit adds a sample or says why not. Where there is more than one reason, the
// order in which they are looked for is the engine's own.
func (l *ledger) emit(s emission, emitted map[string]*metric) (key, reason string) {
	out := &series{value: s.value, at: s.at}
	m := &metric{name: s.name, help: valid(s.help), kind: s.kind, emitted: true, series: map[string]*series{}}
	switch s.kind {
	case "counter":
		if s.value < 0 {
			return "", "negative"
		} else if s.value != s.value {
			return "", "nan"
		}
	case "info":
		out.value = 1
	case "histogram":
		var ok bool
		if out.bounds, out.buckets, ok = uncumulated(s.snapshot); !ok {
			return "", "invalid"
		}
		out.value = s.snapshot.Sum
	case "summary":
		for i, q := range s.summary.Quantiles {
			if !(q.Quantile >= 0 && q.Quantile <= 1) || i > 0 && q.Quantile <= s.summary.Quantiles[i-1].Quantile {
				return "", "invalid"
			}
		}
		out.quantiles, out.value, out.count = s.summary.Quantiles, s.summary.Sum, s.summary.Count
	}
	if len(s.labels)%2 != 0 || s.at != nil && (s.at.UnixMilli() < 0 || s.at.Year() > 9999) {
		return "", "invalid"
	}
	out.labels = slices.Clone(l.consts)
	for i := 0; i < len(s.labels); i += 2 {
		out.labels = append(out.labels, label{s.labels[i], valid(s.labels[i+1])})
	}
	if !goodName(s.name, l.utf8) || !goodLabels(out.labels, l.utf8) || s.kind == "histogram" && hasLabel(out.labels, "le") || s.kind == "summary" && hasLabel(out.labels, "quantile") {
		return "", "invalid"
	}
	if old := emitted[s.name]; old != nil {
		if old.kind != s.kind {
			return "", "conflict"
		}
		m = old
	} else if l.taken(m, emitted) {
		return "", "conflict"
	}
	if l.utf8 {
		// Nor must two labels of a family become one where names are escaped.
		var names []label
		for _, name := range m.labels {
			names = append(names, label{name: name})
		}
		for _, p := range out.labels {
			if !slices.Contains(m.labels, p.name) {
				names = append(names, p)
			}
		}
		if !goodLabels(names, true) {
			return "", "invalid"
		}
		m.labels = nil
		for _, p := range names {
			m.labels = append(m.labels, p.name)
		}
	}
	// An empty label is none, and order makes no difference.
	line := sample{name: s.name}
	for _, p := range out.labels {
		if p.value != "" {
			line.labels = append(line.labels, p)
		}
	}
	if key = line.key(); m.series[key] != nil {
		return "", "duplicate"
	}
	m.series[key] = out
	emitted[s.name] = m
	return key, ""
}

func (l *ledger) taken(m *metric, emitted map[string]*metric) bool {
	own := []*metric{{name: "tacho_errors_total", kind: "counter"}, {name: "tacho_series_overflow_total", kind: "counter"}}
	for _, others := range []map[string]*metric{l.metrics, emitted} {
		for _, other := range others {
			own = append(own, other)
		}
	}
	return slices.ContainsFunc(own, m.meets)
}

func hasLabel(labels []label, name string) bool {
	return slices.ContainsFunc(labels, func(l label) bool { return l.name == name })
}

// uncumulated takes a snapshot apart, unless it is none: bounds that do not rise,
// counts that fall.
func uncumulated(s tacho.HistogramSnapshot) (bounds []float64, counts []uint64, ok bool) {
	below := uint64(0)
	for i, b := range s.Buckets {
		if b.UpperBound != b.UpperBound || b.Count < below || math.IsInf(b.UpperBound, -1) {
			return nil, nil, false
		}
		if i > 0 && b.UpperBound <= s.Buckets[i-1].UpperBound {
			return nil, nil, false
		}
		if !math.IsInf(b.UpperBound, 1) {
			bounds = append(bounds, b.UpperBound+0) // -0 is 0
		} else if b.Count != s.Count {
			return nil, nil, false
		}
		if !math.IsInf(b.UpperBound, 1) {
			counts = append(counts, b.Count-below)
			below = b.Count
		}
	}
	if s.Count < below {
		return nil, nil, false
	}
	return bounds, append(counts, s.Count-below), true
}
