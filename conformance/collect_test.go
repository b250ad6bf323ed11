package conformance

import (
	"math"
	"slices"
	"time"

	"github.com/tachikoma/tacho"
)

// A collector lists the calls that a function for Registry.Collect makes.
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

// A function is the function of a CounterFunc or a GaugeFunc.
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

// scrape returns the metrics of the next scrape and counts the errors of the scrape.
// A test must call scrape exactly once for each scrape of the registry.
func (r *reference) scrape(functions map[string]function, collectors []collector) []*metric {
	emitted := map[string]*metric{}
	for _, c := range collectors {
		r.collect(c, emitted)
	}
	var all []*metric
	for _, m := range emitted {
		all = append(all, m)
	}
	for _, m := range r.metrics {
		if m.function {
			m.series = r.evaluate(m, functions[m.name])
		}
		all = append(all, m)
	}
	all = append(all, r.ownCounter("tacho_errors_total", "Recordings and collected samples that were refused.", "metric", "reason"))
	all = append(all, r.ownCounter("tacho_series_overflow_total", "Lookups beyond a limit of series.", "metric"))
	return all
}

func (r *reference) evaluate(m *metric, f function) map[string]*series {
	switch {
	case f.panics:
		r.countError(m.name, "panic")
	case m.kind == "counter" && f.value < 0:
		r.countError(m.name, "negative")
	case m.kind == "counter" && f.value != f.value:
		r.countError(m.name, "nan")
	default:
		return map[string]*series{"": {labels: slices.Concat(r.consts, m.consts), value: f.value}}
	}
	return nil
}

// ownCounter returns tacho_errors_total or tacho_series_overflow_total. Every registry
// has both counters.
func (r *reference) ownCounter(name, help string, labels ...string) *metric {
	m := &metric{name: name, help: help, kind: "counter", series: map[string]*series{}}
	add := func(value uint64, values ...string) {
		s := &series{labels: slices.Clone(r.consts), value: float64(value), created: span{seconds(r.began), seconds(time.Now())}}
		for i, name := range labels {
			s.labels = append(s.labels, label{name, valid(values[i])})
		}
		m.series[m.key(values)] = s
	}
	if len(labels) == 1 {
		for metric, n := range r.overflow {
			add(n, metric)
		}
		return m
	}
	for key, n := range r.errors {
		add(n, key[0], key[1])
	}
	return m
}

// collect adds the samples of a collector to emitted. Collectors run side by side, so a
// collector is first checked alone. The samples of a collector that panics are dropped.
func (r *reference) collect(c collector, emitted map[string]*metric) {
	own := map[string]*metric{}
	var order []*metric
	for _, s := range c.emissions {
		before := len(own)
		_, reason := r.emit(s, own)
		if len(own) > before {
			order = append(order, own[s.name])
		}
		if reason == "" {
			continue
		}
		charged := s.name
		if !legacy(s.name) && !goodName(s.name, r.utf8) {
			charged = ""
		}
		r.countError(charged, reason)
	}
	if c.panics {
		r.countError("", "panic")
		return
	}
	for _, m := range order {
		r.join(m, emitted)
	}
}

// join adds the family of one collector to the families of the collectors before.
func (r *reference) join(m *metric, emitted map[string]*metric) {
	reason, old := "", emitted[m.name]
	var names []label
	if old != nil {
		for _, name := range old.labels {
			names = append(names, label{name: name})
		}
		for _, name := range m.labels {
			if !slices.Contains(old.labels, name) {
				names = append(names, label{name: name})
			}
		}
	}
	switch {
	case old == nil && r.taken(m, emitted), old != nil && old.kind != m.kind:
		reason = "conflict"
	case old == nil:
		emitted[m.name] = m
		return
	case r.utf8 && !goodLabels(names, true):
		reason = "invalid"
	}
	for key, s := range m.series {
		if reason != "" {
			r.countError(m.name, reason)
		} else if old.series[key] != nil {
			r.countError(m.name, "duplicate")
		} else {
			old.series[key] = s
		}
	}
	if reason == "" && r.utf8 {
		old.labels = nil
		for _, l := range names {
			old.labels = append(old.labels, l.name)
		}
	}
}

// emit adds a sample and returns the key of the sample, or returns the reason for a
// rejection. The checks have the same order as the checks in tacho, so the reason
// is the same if a sample has several errors.
func (r *reference) emit(s emission, emitted map[string]*metric) (key, reason string) {
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
		if out.bounds, out.buckets, ok = perBucket(s.snapshot); !ok {
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
	out.labels = slices.Clone(r.consts)
	for i := 0; i < len(s.labels); i += 2 {
		out.labels = append(out.labels, label{s.labels[i], valid(s.labels[i+1])})
	}
	if !goodName(s.name, r.utf8) || !distinctLabels(out.labels, r.utf8) || s.kind == "histogram" && hasLabel(out.labels, "le") || s.kind == "summary" && hasLabel(out.labels, "quantile") {
		return "", "invalid"
	}
	if old := emitted[s.name]; old != nil {
		if old.kind != s.kind {
			return "", "conflict"
		}
		m = old
	} else if r.taken(m, emitted) {
		return "", "conflict"
	}
	if r.utf8 {
		// Two labels of a family must not have the same escaped name. A conflict of the
		// family comes before this reason.
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
	// A label with an empty value equals a missing label. The order of labels is not
	// significant.
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

// taken reports whether a name of m collides with a name of another metric.
func (r *reference) taken(m *metric, emitted map[string]*metric) bool {
	own := []*metric{{name: "tacho_errors_total", kind: "counter"}, {name: "tacho_series_overflow_total", kind: "counter"}}
	for _, others := range []map[string]*metric{r.metrics, emitted} {
		for _, other := range others {
			own = append(own, other)
		}
	}
	return slices.ContainsFunc(own, m.collides)
}

func hasLabel(labels []label, name string) bool {
	return slices.ContainsFunc(labels, func(l label) bool { return l.name == name })
}

// perBucket returns the bounds and the counts of each bucket, not cumulative. The
// result ok is false for an invalid snapshot: bounds that do not increase, or
// counts that decrease.
func perBucket(s tacho.HistogramSnapshot) (bounds []float64, counts []uint64, ok bool) {
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
