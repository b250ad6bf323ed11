package tacho

import (
	"io"
	"math"
	"strconv"
)

// WriteText writes all metrics in Prometheus' text format 0.0.4. It returns the
// first error of w, after which it writes no more. It holds no lock while w
// writes, gathers no more than a bounded buffer, and allocates nothing for a
// series. Names that are not in the legacy set (see [WithUTF8Names]) are escaped
// by underscores.
func (r *Registry) WriteText(w io.Writer) error { return r.writeText(w, escapeUnderscores) }

func (r *Registry) writeText(w io.Writer, s escaping) error {
	e := &textEncoder{exposition{output: output{w: w}, scheme: s}}
	return e.run(func() { r.walk(e) })
}

// An exposition is what the text format and OpenMetrics have in common: how a
// line begins.
type exposition struct {
	output
	scheme  escaping
	names   naming
	family  string // the name in the lines about the family, and before the suffixes of samples
	quoted  bool   // it must stand in quotes, and inside the braces of a sample
	relabel bool   // label blocks have names to escape
}

// enter makes f the family that lines are of, under the given name.
func (e *exposition) enter(f *family, name string) {
	e.family = name
	e.quoted = f.quoted && e.scheme == escapeNone
	e.relabel = f.quotedLabels && e.scheme != escapeNone
}

func (e *exposition) appendFamily(b []byte) []byte {
	if e.quoted {
		return appendQuotedName(b, e.family, "")
	}
	return append(b, e.family...)
}

// appendSeries appends a sample up to its value.
func (e *exposition) appendSeries(b []byte, suffix, block string) []byte {
	if !e.quoted && !e.relabel {
		return append(append(append(b, e.family...), suffix...), block...)
	}
	if !e.quoted {
		return appendRelabelled(append(append(b, e.family...), suffix...), block, e.scheme)
	}
	// {"name",label="value"}
	b = appendQuotedName(append(b, '{'), e.family, suffix)
	if block == " " {
		return append(b, "} "...)
	}
	return append(append(b, ','), block[1:]...)
}

// appendBuckets appends the bucket of a histogram up to its bound: a label block
// without its end, ready for one more.
func (e *exposition) appendBuckets(b []byte, block string) []byte {
	b = e.appendSeries(b, "_bucket", block)
	if block == " " && !e.quoted {
		b[len(b)-1] = '{'
		return b
	}
	b = b[:len(b)-1]
	b[len(b)-1] = ','
	return b
}

// A textEncoder writes the text format 0.0.4 (prometheus.io, "Exposition
// formats").
type textEncoder struct{ exposition }

func (e *textEncoder) prepare(r *Registry, defined, collected []*family) {
	e.names = r.naming(defined, collected, namingKey{false, e.scheme})
}

func (e *textEncoder) begin(f *family) {
	e.enter(f, e.names.of(f).name)
	b := e.appendFamily(append(e.buf, "# HELP "...))
	b = appendHelp(append(b, ' '), f.help)
	b = e.appendFamily(append(b, "\n# TYPE "...))
	b = append(append(b, ' '), f.kind.String()...)
	e.buf = append(b, '\n')
}

func (e *textEncoder) uint(block string, v uint64, d *details) bool {
	return e.end(strconv.AppendUint(e.appendSeries(e.buf, "", block), v, 10), d)
}

func (e *textEncoder) int(block string, v int64, d *details) bool {
	return e.end(strconv.AppendInt(e.appendSeries(e.buf, "", block), v, 10), d)
}

func (e *textEncoder) float(block string, v float64, d *details) bool {
	return e.end(appendFloat(e.appendSeries(e.buf, "", block), v), d)
}

func (e *textEncoder) end(b []byte, d *details) bool {
	e.buf = e.appendEnd(b, d)
	return e.full()
}

// appendEnd ends a line, after the time of the sample in milliseconds if it has
// one.
func (e *textEncoder) appendEnd(b []byte, d *details) []byte {
	if d != nil && d.timed {
		b = strconv.AppendInt(append(b, ' '), d.at, 10)
	}
	return append(b, '\n')
}

func (e *textEncoder) histogram(block string, def *histogramDef, counts []uint64, sum float64, d *details) bool {
	b := e.buf
	// All bucket lines begin alike: the first is put together, the others copy it.
	start := len(b)
	b = e.appendBuckets(b, block)
	head := len(b) - start
	var total uint64
	for i, c := range counts {
		if i > 0 {
			b = append(b, b[start:start+head]...)
		}
		total += c
		b = append(b, def.le[i].text...)
		b = e.appendEnd(strconv.AppendUint(b, total, 10), d)
	}
	b = e.appendEnd(appendFloat(e.appendSeries(b, "_sum", block), sum), d)
	return e.end(strconv.AppendUint(e.appendSeries(b, "_count", block), total, 10), d)
}

// appendFloat appends the shortest decimal that reads back as v, as Go's 'g'
// format has it, and NaN, +Inf, -Inf as the text format spells them.
func appendFloat(b []byte, v float64) []byte {
	// Most values are small whole numbers, which need no search for the
	// shortest form. From 1e6 up the format switches to an exponent.
	if n := int64(v); -1e6 < v && v < 1e6 && float64(n) == v && (n != 0 || !math.Signbit(v)) {
		return strconv.AppendInt(b, n, 10)
	}
	return strconv.AppendFloat(b, v, 'g', -1, 64)
}
