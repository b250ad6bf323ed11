package expo

import (
	"math"

	"github.com/tachikoma/tacho/internal/decimal"
	"github.com/tachikoma/tacho/internal/escape"
	"github.com/tachikoma/tacho/internal/stringslite"
)

// JSON is the JSON view: an object of family names, with a list of series for each name.
var JSON = Format{jsonID, nil, jsonBegin, jsonWhole, jsonFloat, jsonHistogram, jsonFinish}

// The punctuation before an element depends on what was written last.
const (
	jsonEmpty  uint8 = iota // nothing
	jsonFamily              // the start of a family's list
	jsonSeries              // a series of that list
)

func jsonBegin(e *Encoder, f *Family) {
	before := "],\n"
	if e.json == jsonEmpty {
		before = "{"
	}
	b := append(e.buf, before...)
	if f.Quoted {
		b = e.names.UTF8.rules().json(b, f.Name)
	} else {
		b = appendQuoted(b, f.Name, "")
	}
	e.buf = append(b, ":["...)
	e.json = jsonFamily
}

// jsonHead appends an element up to its value.
func jsonHead(e *Encoder, block string) []byte {
	b := e.buf
	if e.json == jsonSeries {
		b = append(b, ',')
	}
	e.json = jsonSeries
	b = append(b, "{\"labels\":{"...)
	return append(appendJSONLabels(b, block), "},\"value\":"...)
}

func jsonWhole(e *Encoder, block string, v uint64, negative bool, d *Details) bool {
	return jsonEnd(e, decimal.AppendWhole(jsonHead(e, block), v, negative), d)
}

func jsonFloat(e *Encoder, block string, v float64, d *Details) bool {
	return jsonEnd(e, appendJSONFloat(jsonHead(e, block), v), d)
}

// jsonEnd ends an element, after the time of the sample if there is one.
func jsonEnd(e *Encoder, b []byte, d *Details) bool {
	if d != nil && d.Timed {
		b = decimal.AppendSeconds(append(b, ",\"timestamp\":"...), d.At)
	}
	e.buf = append(b, '}')
	return e.full()
}

func jsonHistogram(e *Encoder, block string, bounds *Bounds, counts []uint64, sum float64, d *Details) bool {
	var total uint64
	for _, c := range counts {
		total += c
	}
	b := append(appendJSONFloat(jsonHead(e, block), sum), ",\"count\":"...)
	b = append(decimal.AppendUint(b, total), ",\"buckets\":["...)
	total = 0
	for i, c := range counts {
		number := bounds.le[i].number()
		if i > 0 {
			b = append(b, ',')
		}
		if i == len(counts)-1 {
			number = "null" // +Inf
		}
		total += c
		b = append(append(append(b, "{\"le\":"...), number...), ",\"count\":"...)
		b = append(decimal.AppendUint(b, total), '}')
	}
	return jsonEnd(e, append(b, ']'), d)
}

func jsonSummary(e *Encoder, block string, s *Distribution, d *Details) bool {
	b := append(appendJSONFloat(jsonHead(e, block), s.Sum), ",\"count\":"...)
	b = append(decimal.AppendUint(b, s.Count), ",\"quantiles\":["...)
	for i, q := range s.Quantiles {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendJSONFloat(append(b, "{\"quantile\":"...), q.Quantile)
		b = append(appendJSONFloat(append(b, ",\"value\":"...), q.Value), '}')
	}
	return jsonEnd(e, append(b, ']'), d)
}

// appendJSONFloat appends v, and null for the values that JSON has no number for.
func appendJSONFloat(b []byte, v float64) []byte {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return append(b, "null"...)
	}
	return decimal.AppendFloat(b, v)
}

// appendJSONLabels appends a rendered label block as the members of an object.
func appendJSONLabels(b []byte, block string) []byte {
	if block == " " {
		return b
	}
	for block = block[len("{"):]; ; block = block[len(","):] {
		if block[0] == '"' {
			b, block = appendJSONQuoted(b, block)
		} else {
			eq := stringslite.IndexByte(block, '=')
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

// appendJSONQuoted appends the quoted string that block begins with as a JSON string, and
// returns the text behind it. The three escapes of the text format mean the same in JSON
// (RFC 8259, section 7). Only control characters need another escape.
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
			b = append(append(b, block[start:i]...), '\\', 'u', '0', '0', escape.HexDigits[c>>4], escape.HexDigits[c&15])
			start = i + 1
		}
	}
}

func jsonFinish(e *Encoder) {
	switch e.json {
	case jsonEmpty:
		e.buf = append(e.buf, '{')
	case jsonSeries:
		e.buf = append(e.buf, ']')
	}
	e.buf = append(e.buf, "}\n"...)
}
