package tacho

import (
	"io"
	"math"
	"strconv"
)

// WriteText writes all metrics in Prometheus' text format 0.0.4. It returns the
// first error of w, after which it writes no more. It holds no lock while w
// writes, gathers no more than a bounded buffer, and allocates nothing for a
// series.
func (r *Registry) WriteText(w io.Writer) error {
	e := &textEncoder{output: output{w: w}}
	return e.run(func() { r.walk(e) })
}

// A textEncoder writes the text format 0.0.4 (prometheus.io, "Exposition
// formats").
type textEncoder struct {
	output
	name string // of the family
}

func (e *textEncoder) begin(f *family) {
	e.name = f.name
	b := append(append(e.buf, "# HELP "...), f.name...)
	b = appendHelp(append(b, ' '), f.help)
	b = append(append(b, "\n# TYPE "...), f.name...)
	b = append(append(b, ' '), f.kind.String()...)
	e.buf = append(b, '\n')
}

func (e *textEncoder) uint(block string, v uint64) bool {
	b := append(append(e.buf, e.name...), block...)
	e.buf = append(strconv.AppendUint(b, v, 10), '\n')
	return e.full()
}

func (e *textEncoder) int(block string, v int64) bool {
	b := append(append(e.buf, e.name...), block...)
	e.buf = append(strconv.AppendInt(b, v, 10), '\n')
	return e.full()
}

func (e *textEncoder) float(block string, v float64) bool {
	b := append(append(e.buf, e.name...), block...)
	e.buf = append(appendFloat(b, v), '\n')
	return e.full()
}

func (e *textEncoder) histogram(block string, d *histogramDef, counts []uint64, sum float64) bool {
	b := e.buf
	// All bucket lines begin alike: the first is put together, the others copy it.
	start := len(b)
	b = append(append(b, e.name...), "_bucket"...)
	b = appendOpenBlock(b, block)
	head := len(b) - start
	var total uint64
	for i, c := range counts {
		if i > 0 {
			b = append(b, b[start:start+head]...)
		}
		total += c
		b = append(b, d.le[i]...)
		b = append(strconv.AppendUint(b, total, 10), '\n')
	}
	b = append(append(append(b, e.name...), "_sum"...), block...)
	b = append(appendFloat(b, sum), '\n')
	b = append(append(append(b, e.name...), "_count"...), block...)
	e.buf = append(strconv.AppendUint(b, total, 10), '\n')
	return e.full()
}

// appendOpenBlock appends a label block without its end, ready for one more.
func appendOpenBlock(b []byte, block string) []byte {
	if block == " " {
		return append(b, '{')
	}
	return append(append(b, block[:len(block)-len("} ")]...), ',')
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
