package tacho

import (
	"io"
	"strconv"
	"strings"
)

// WriteOpenMetrics writes all metrics in the format OpenMetrics 1.0, which
// differs from [Registry.WriteText] in that
//
//   - a counter's family is named without _total and its sample with it, whether
//     the definition has it or not;
//   - units (see [WithUnit]), exemplars and, if the registry has [WithCreated], the
//     times of creation are there;
//   - values and bounds are floats (1.0), times are in seconds;
//   - a histogram with a bound below zero, or whose sum is below zero or NaN, has
//     no _sum and no _count: both must be counters there;
//   - a counter that would share its family's name with another metric, as x_total
//     does with a gauge x, keeps its full name and has the type unknown.
//
// Names that are not in the legacy set are escaped by underscores. Otherwise it
// is as [Registry.WriteText].
func (r *Registry) WriteOpenMetrics(w io.Writer) error {
	return r.writeOpenMetrics(w, escapeUnderscores)
}

func (r *Registry) writeOpenMetrics(w io.Writer, s escaping) error {
	e := &openEncoder{exposition: exposition{output: output{w: w}, scheme: s}}
	return e.run(func() {
		r.walk(e)
		e.buf = append(e.buf, "# EOF\n"...)
	})
}

// An openEncoder writes OpenMetrics 1.0 ("Text format").
type openEncoder struct {
	exposition
	base    string // the family's name; names of samples are base and a suffix
	suffix  string // of a counter's samples
	special bool   // the family may have exemplars and times of creation
}

func (e *openEncoder) prepare(r *Registry, defined, collected []*family) {
	e.names = r.naming(defined, collected, namingKey{true, e.scheme})
}

func (e *openEncoder) begin(f *family) {
	x := e.names.of(f)
	e.base, e.suffix, e.special = x.name, "", false
	kind := f.kind.openString()
	switch {
	case x.plain && f.kind == kindCounter:
		kind = "unknown"
	case f.kind == kindCounter:
		e.base, e.suffix, e.special = strings.TrimSuffix(x.name, "_total"), "_total", true
	case f.kind == kindHistogram:
		e.special = true
	case f.kind == kindInfo:
		if base, ok := strings.CutSuffix(x.name, "_info"); ok && !x.plain {
			e.base, e.suffix = base, "_info"
		} else {
			kind = "gauge"
		}
	}
	e.enter(f, e.base)
	b := e.appendFamily(append(e.buf, "# HELP "...))
	b = appendLabelValue(append(b, ' '), f.help) // the same escapes as in label values
	b = e.appendFamily(append(b, "\n# TYPE "...))
	b = append(append(b, ' '), kind...)
	if f.unit != "" && !x.plain {
		b = e.appendFamily(append(b, "\n# UNIT "...))
		b = append(append(b, ' '), f.unit...)
	}
	e.buf = append(b, '\n')
}

func (e *openEncoder) uint(block string, v uint64, d *details) bool {
	b := e.appendSeries(e.buf, e.suffix, block)
	return e.end(append(strconv.AppendUint(b, v, 10), ".0"...), block, d)
}

func (e *openEncoder) int(block string, v int64, d *details) bool {
	b := e.appendSeries(e.buf, e.suffix, block)
	return e.end(append(strconv.AppendInt(b, v, 10), ".0"...), block, d)
}

func (e *openEncoder) float(block string, v float64, d *details) bool {
	return e.end(appendOpenFloat(e.appendSeries(e.buf, e.suffix, block), v), block, d)
}

// end ends a sample of one value and adds the time of its creation.
func (e *openEncoder) end(b []byte, block string, d *details) bool {
	if d != nil {
		b = e.appendTime(b, d)
		if e.special {
			b = appendExemplar(b, d.exemplar)
		}
	}
	b = append(b, '\n')
	e.buf = e.appendCreated(b, block, d)
	return e.full()
}

func (e *openEncoder) histogram(block string, def *histogramDef, counts []uint64, sum float64, d *details) bool {
	b := e.buf
	start := len(b)
	b = e.appendBuckets(b, block)
	head := len(b) - start
	var total uint64
	for i, c := range counts {
		if i > 0 {
			b = append(b, b[start:start+head]...)
		}
		total += c
		b = append(b, def.le[i].open...)
		b = strconv.AppendUint(b, total, 10)
		if d != nil {
			b = e.appendTime(b, d)
			if d.buckets != nil {
				b = appendExemplar(b, d.buckets[i].load())
			}
		}
		b = append(b, '\n')
	}
	if sum >= 0 && def.bound(0) >= 0 {
		b = appendOpenFloat(e.appendSeries(b, "_sum", block), sum)
		b = append(e.appendTime(b, d), '\n')
		b = strconv.AppendUint(e.appendSeries(b, "_count", block), total, 10)
		b = append(e.appendTime(b, d), '\n')
	}
	e.buf = e.appendCreated(b, block, d)
	return e.full()
}

// appendTime appends the time of a sample, if it has one, in seconds.
func (e *openEncoder) appendTime(b []byte, d *details) []byte {
	if d == nil || !d.timed {
		return b
	}
	return appendSeconds(append(b, ' '), d.at)
}

func (e *openEncoder) appendCreated(b []byte, block string, d *details) []byte {
	if d == nil || d.created == 0 || !e.special {
		return b
	}
	return append(appendSeconds(e.appendSeries(b, "_created", block), d.created), '\n')
}

func appendExemplar(b []byte, x *exemplar) []byte {
	if x == nil {
		return b
	}
	b = append(append(append(b, " # "...), x.labels...), ' ')
	b = append(appendOpenFloat(b, x.value), ' ')
	return appendSeconds(b, x.at)
}

// appendOpenFloat appends v as OpenMetrics has floats: with a point, an
// exponent, or as one of the three words (OpenMetrics 1.0, "Numbers").
func appendOpenFloat(b []byte, v float64) []byte {
	start := len(b)
	b = appendFloat(b, v)
	for _, c := range b[start:] {
		switch c {
		case '.', 'e', 'N', 'I':
			return b
		}
	}
	return append(b, ".0"...)
}

// appendSeconds appends a time given in Unix milliseconds as seconds, with the
// digits it needs.
func appendSeconds(b []byte, ms int64) []byte {
	if ms < 0 {
		b, ms = append(b, '-'), -ms
	}
	b = strconv.AppendInt(b, ms/1000, 10)
	if ms %= 1000; ms == 0 {
		return b
	}
	b = append(b, '.', byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10))
	for b[len(b)-1] == '0' {
		b = b[:len(b)-1]
	}
	return b
}
