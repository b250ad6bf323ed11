package tacho

import (
	"io"
	"math"
)

// WriteJSON writes all metrics as one JSON object: family name to a list of
// {"labels":{...},"value":n}. The value of a histogram is its sum; "count" and
// the cumulative "buckets" stand beside it, the last with "le":null for +Inf. That
// of a summary is its sum too, with "count" and "quantiles".
// NaN and the infinities, which JSON cannot say, are null. A sample that has a time
// (see [Emitter.At]) has it as "timestamp", in Unix seconds. Otherwise it is as
// [Registry.WriteText].
func (r *Registry) WriteJSON(w io.Writer) error { return r.write(w, &jsonFormat, escapeNone) }

var jsonFormat = encoding{formatJSON, nil, jsonBegin, jsonWhole, jsonFloat, jsonHistogram, jsonFinish}

// Punctuation depends on what came before.
const (
	jsonEmpty  uint8 = iota // nothing written
	jsonFamily              // a family's list was opened
	jsonSeries              // and has a series
)

func jsonBegin(e *encoder, f *family) {
	if e.json == jsonEmpty {
		e.buf = append(e.buf, '{')
	} else {
		e.buf = append(e.buf, "],\n"...)
	}
	if f.quoted {
		e.buf = f.reg.utf8.json(e.buf, f.name)
	} else {
		e.buf = append(append(append(e.buf, '"'), f.name...), '"')
	}
	e.buf = append(e.buf, ":["...)
	e.json = jsonFamily
}

// jsonHead appends an element up to its value.
func jsonHead(e *encoder, block string) []byte {
	b := e.buf
	if e.json == jsonSeries {
		b = append(b, ',')
	}
	e.json = jsonSeries
	b = append(b, "{\"labels\":{"...)
	return append(appendJSONLabels(b, block), "},\"value\":"...)
}

func jsonWhole(e *encoder, block string, v uint64, negative bool, d *details) bool {
	return jsonEnd(e, appendWhole(jsonHead(e, block), v, negative), d)
}

func jsonFloat(e *encoder, block string, v float64, d *details) bool {
	return jsonEnd(e, appendJSONFloat(jsonHead(e, block), v), d)
}

// jsonEnd ends an element, after the time of the sample if it has one.
func jsonEnd(e *encoder, b []byte, d *details) bool {
	if d != nil && d.timed {
		b = appendSeconds(append(b, ",\"timestamp\":"...), d.at)
	}
	e.buf = append(b, '}')
	return e.full()
}

func jsonHistogram(e *encoder, block string, def *histogramDef, counts []uint64, sum float64, d *details) bool {
	var total uint64
	for _, c := range counts {
		total += c
	}
	b := append(appendJSONFloat(jsonHead(e, block), sum), ",\"count\":"...)
	b = append(appendUint(b, total), ",\"buckets\":["...)
	total = 0
	for i, c := range counts {
		if i > 0 {
			b = append(b, ',')
		}
		total += c
		b = append(append(append(b, "{\"le\":"...), def.le[i].json...), ",\"count\":"...)
		b = append(appendUint(b, total), '}')
	}
	return jsonEnd(e, append(b, ']'), d)
}

func jsonSummary(e *encoder, block string, s *SummarySnapshot, d *details) bool {
	b := append(appendJSONFloat(jsonHead(e, block), s.Sum), ",\"count\":"...)
	b = append(appendUint(b, s.Count), ",\"quantiles\":["...)
	for i, q := range s.Quantiles {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendJSONFloat(append(b, "{\"quantile\":"...), q.Quantile)
		b = append(appendJSONFloat(append(b, ",\"value\":"...), q.Value), '}')
	}
	return jsonEnd(e, append(b, ']'), d)
}

func appendJSONFloat(b []byte, v float64) []byte {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return append(b, "null"...)
	}
	return appendFloat(b, v)
}

// appendJSONLabels turns a rendered label block into the members of an object.
func appendJSONLabels(b []byte, block string) []byte {
	if block == " " {
		return b
	}
	for block = block[len("{"):]; ; block = block[len(","):] {
		if block[0] == '"' {
			b, block = appendJSONQuoted(b, block)
		} else {
			eq := indexByte(block, '=')
			b = append(append(append(b, '"'), block[:eq]...), '"')
			block = block[eq:]
		}
		b, block = appendJSONQuoted(append(b, ':'), block[len("="):])
		if block[0] == '}' {
			return b
		}
		b = append(b, ',')
	}
}

// appendJSONQuoted appends the quoted string that block begins with as a JSON
// string, and returns what follows it. The three escapes of the text format mean
// the same in JSON (RFC 8259, section 7); what is left to do is to escape control
// characters. It is not inlined, since appendJSONLabels would have it twice.
//
//go:noinline
func appendJSONQuoted(b []byte, block string) ([]byte, string) {
	start := 0
	for i := 1; ; i++ {
		switch c := block[i]; {
		case c == '"':
			return append(b, block[start:i+1]...), block[i+1:]
		case c == '\\':
			i++
		case c < 0x20:
			b = append(append(b, block[start:i]...), '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			start = i + 1
		}
	}
}

func jsonFinish(e *encoder) {
	switch e.json {
	case jsonEmpty:
		e.buf = append(e.buf, '{')
	case jsonSeries:
		e.buf = append(e.buf, ']')
	}
	e.buf = append(e.buf, "}\n"...)
}
