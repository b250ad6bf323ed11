package tacho

import (
	"io"
	"math"
	"strconv"
	"strings"
)

// WriteJSON writes all metrics as one JSON object: family name to a list of
// {"labels":{...},"value":n}. The value of a histogram is its sum; "count" and
// the cumulative "buckets" stand beside it, the last with "le":null for +Inf.
// NaN and the infinities, which JSON cannot say, are null. Otherwise it is as
// [Registry.WriteText].
func (r *Registry) WriteJSON(w io.Writer) error {
	e := &jsonEncoder{output: output{w: w}}
	return e.run(func() {
		r.walk(e)
		switch e.state {
		case jsonEmpty:
			e.buf = append(e.buf, '{')
		case jsonSeries:
			e.buf = append(e.buf, ']')
		}
		e.buf = append(e.buf, "}\n"...)
	})
}

// A jsonEncoder is an encoder whose punctuation depends on what came before.
type jsonEncoder struct {
	output
	state uint8
}

const (
	jsonEmpty  uint8 = iota // nothing written
	jsonFamily              // a family's list was opened
	jsonSeries              // and has a series
)

func (e *jsonEncoder) begin(f *family) {
	if e.state == jsonEmpty {
		e.buf = append(e.buf, "{\""...)
	} else {
		e.buf = append(e.buf, "],\n\""...)
	}
	e.buf = append(append(e.buf, f.name...), "\":["...)
	e.state = jsonFamily
}

// head appends an element up to its value.
func (e *jsonEncoder) head(block string) []byte {
	b := e.buf
	if e.state == jsonSeries {
		b = append(b, ',')
	}
	e.state = jsonSeries
	b = append(b, "{\"labels\":{"...)
	return append(appendJSONLabels(b, block), "},\"value\":"...)
}

func (e *jsonEncoder) uint(block string, v uint64) bool {
	e.buf = append(strconv.AppendUint(e.head(block), v, 10), '}')
	return e.full()
}

func (e *jsonEncoder) int(block string, v int64) bool {
	e.buf = append(strconv.AppendInt(e.head(block), v, 10), '}')
	return e.full()
}

func (e *jsonEncoder) float(block string, v float64) bool {
	e.buf = append(appendJSONFloat(e.head(block), v), '}')
	return e.full()
}

func (e *jsonEncoder) histogram(block string, d *histogramDef, counts []uint64, sum float64) bool {
	var total uint64
	for _, c := range counts {
		total += c
	}
	b := append(appendJSONFloat(e.head(block), sum), ",\"count\":"...)
	b = append(strconv.AppendUint(b, total, 10), ",\"buckets\":["...)
	total = 0
	for i, c := range counts {
		if i > 0 {
			b = append(b, ',')
		}
		total += c
		b = append(appendJSONFloat(append(b, "{\"le\":"...), d.bound(i)), ",\"count\":"...)
		b = append(strconv.AppendUint(b, total, 10), '}')
	}
	e.buf = append(b, "]}"...)
	return e.full()
}

func appendJSONFloat(b []byte, v float64) []byte {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return append(b, "null"...)
	}
	return appendFloat(b, v)
}

// appendJSONLabels turns a rendered label block into the members of an object.
// The three escapes of the text format mean the same in JSON (RFC 8259, section
// 7); what is left to do is to quote the names and to escape control characters.
func appendJSONLabels(b []byte, block string) []byte {
	if block == " " {
		return b
	}
	block = block[len("{") : len(block)-len("} ")]
	for len(block) > 0 {
		eq := strings.IndexByte(block, '=')
		b = append(append(append(b, '"'), block[:eq]...), "\":\""...)
		end := eq + 2
		for ; block[end] != '"'; end++ {
			switch c := block[end]; {
			case c == '\\':
				b = append(b, c, block[end+1])
				end++
			case c < 0x20:
				b = append(b, '\\', 'u', '0', '0', "0123456789abcdef"[c>>4], "0123456789abcdef"[c&15])
			default:
				b = append(b, c)
			}
		}
		b = append(b, '"')
		if block = block[end+1:]; block != "" {
			block, b = block[1:], append(b, ',')
		}
	}
	return b
}
