package expo

import (
	"math"
	"math/bits"
	"unsafe"

	"github.com/tachikoma/tacho/internal/byteorder"
	"github.com/tachikoma/tacho/internal/decimal"
	"github.com/tachikoma/tacho/internal/escape"
	"github.com/tachikoma/tacho/internal/stringslite"
)

// JSON is the JSON view: an object of family names, with a list of series for each name.
var JSON = Format{jsonID, nil, jsonBegin, jsonWhole, jsonFloat, jsonHistogram, jsonFinish, unsafe.Pointer(&noSummary)}

// A member is the text of a JSON object before the value of a label, such as `,"path":"`.
type member struct {
	_    [0]func() // no ==; see internal/SIZE.md
	text [memberSize]byte
	skip int // length of the text in a label block, such as `,path="`
	more int // length of the text, less skip
}

// jsonState is what an Encoder keeps for JSON.
type jsonState struct {
	series bool               // the current family has a series
	learn  bool               // set member from the next series
	last   *member            // of the current family; nil if jsonFast must not copy
	member [maxMembers]member // of the current family
}

const (
	maxMembers = 8
	memberSize = 32
)

// jsonOpen and jsonValue are 16 bytes, of which the first jsonOpenLen and jsonValueLen are
// the text before the labels of a series and the text behind the last value.
const (
	jsonOpen, jsonOpenLen   = `,{"labels":{` + "    ", 12
	jsonValue, jsonValueLen = `"},"value":` + "     ", 11
)

// jsonRoom is the number of bytes that jsonFast and jsonWhole may write, besides the values.
const jsonRoom = jsonOpenLen + maxMembers*memberSize + memberSize + 16 + 16

func jsonBegin(e *Encoder, f *Family) {
	before, describe := "],\n", (*moreFormat)(e.format.more).describe
	if describe != nil {
		before = "]},\n"
	}
	if e.json == nil {
		e.json, before = unsafe.Pointer(new(jsonState)), "{"
	}
	j := (*jsonState)(e.json)
	j.last, j.learn = nil, f.SameLabels && !f.QuotedLabels
	if e.begun {
		return
	}
	e.begun, j.series = true, false
	b := put(e.buf, before)
	if f.Quoted {
		b = e.names.UTF8.rules().json(b, f.Name)
	} else {
		b = putQuoted(b, f.Name)
	}
	if describe != nil {
		b = describe(b, f)
	}
	e.buf = put(b, ":[")
}

// putQuoted appends s in double quotes, with the escapes of label values.
//
//go:noinline
func putQuoted(b []byte, s string) []byte {
	return put(escape.AppendLabelValue(put(b, `"`), s), `"`)
}

// jsonHead appends an element up to its value.
func jsonHead(e *Encoder, block string) []byte {
	if n := jsonFast(e, block); n > 0 {
		return e.buf[:n]
	}
	return jsonFirst(e, block)
}

// jsonFast writes an element up to its value behind e.buf. It returns the length of e.buf with
// the element, or 0 if jsonFirst must append the element.
//
// All series of most families have the same label names. Moves of 16 bytes copy the text
// before each value from the first series of the family. Moves of 8 bytes copy the values with
// the quotes behind them. The moves may write past the end of a text but stay within the
// capacity.
//
// A control character or an escaped quote ends a value too early. Then each later value ends
// too early too: at the latest, the quote before the value ends it. So one comparison, with the
// end of the last value, finds all such blocks. A word of 8 bytes at a value is within the
// block, unless the value is the last.
func jsonFast(e *Encoder, block string) int {
	j, n := (*jsonState)(e.json), len(e.buf)
	if j.last == nil || len(block) < 8 || cap(e.buf)-n < len(block)+jsonRoom {
		return 0
	}
	from, to := unsafe.Pointer(unsafe.StringData(block)), unsafe.Add(unsafe.Pointer(unsafe.SliceData(e.buf)), n)
	*(*[16]byte)(to) = *(*[16]byte)(unsafe.Pointer(unsafe.StringData(jsonOpen)))
	to = unsafe.Add(to, jsonOpenLen) // the place of block[0]
	i, m := 0, &j.member[0]
	for ; m != j.last; m = (*member)(unsafe.Add(unsafe.Pointer(m), unsafe.Sizeof(*m))) {
		*(*[memberSize]byte)(unsafe.Add(to, i)) = m.text
		i += m.skip
		to = unsafe.Add(to, m.more)
		for { // behind an empty value are at least the 8 bytes `",y=""} `
			word := byteorder.Load64((*[8]byte)(unsafe.Add(from, i)))
			byteorder.Store64((*[8]byte)(unsafe.Add(to, i)), word)
			i += 8
			if special := jsonSpecial(word); special != 0 {
				i += bits.TrailingZeros64(special)/8 - 7
				break
			}
		}
	}
	*(*[memberSize]byte)(unsafe.Add(to, i)) = m.text
	i += m.skip
	to = unsafe.Add(to, m.more)
	tail := max(len(block)-len("1234567\"} "), 0) // the word that ends in the last quote
	for ; i < tail; i += 8 {
		word := byteorder.Load64((*[8]byte)(unsafe.Add(from, i)))
		byteorder.Store64((*[8]byte)(unsafe.Add(to, i)), word)
		if jsonSpecial(word) != 0 {
			return 0
		}
	}
	word := byteorder.Load64((*[8]byte)(unsafe.Add(from, tail))) >> (8 * (i - tail) & 63)
	byteorder.Store64((*[8]byte)(unsafe.Add(to, i)), word)
	if i += bits.TrailingZeros64(jsonSpecial(word)) / 8; i != len(block)-len("\"} ") {
		return 0
	}
	to = unsafe.Add(to, i)
	*(*[16]byte)(to) = *(*[16]byte)(unsafe.Pointer(unsafe.StringData(jsonValue)))
	return int(uintptr(to)-uintptr(unsafe.Pointer(unsafe.SliceData(e.buf)))) + jsonValueLen
}

// jsonSpecial returns a word whose lowest byte that is not 0 is at the lowest byte of w
// that is a double quote or a control character.
func jsonSpecial(w uint64) uint64 {
	const ones = 0x0101010101010101
	// The exclusive or with 2 exchanges the double quote and the space, so that the quote
	// is next to the control characters.
	return ((w ^ ones*('"'^' ')) - ones*(' '+1)) &^ w & (ones << 7)
}

// jsonFirst appends an element up to its value, and sets up jsonFast for the next series
// of the family.
func jsonFirst(e *Encoder, block string) []byte {
	j, open := (*jsonState)(e.json), jsonOpen[:jsonOpenLen]
	if !j.series {
		open = open[len(","):]
	}
	j.series = true
	return put(j.appendLabels(put(e.buf, open), block), jsonValue[len("\""):jsonValueLen])
}

func jsonWhole(e *Encoder, block string, v uint64, negative bool, d *Details) bool {
	if v >= decimal.MaxShort || negative || d != nil {
		return jsonInteger(e, block, v, negative, d)
	}
	n := jsonFast(e, block)
	if n == 0 {
		return jsonInteger(e, block, v, false, nil)
	}
	to := unsafe.Add(unsafe.Pointer(unsafe.SliceData(e.buf)), n)
	digits := decimal.EightDigits(v)
	leading := decimal.LeadingZeros(digits)
	byteorder.Store64((*[8]byte)(to), (digits|decimal.EightZeros)>>(8*leading))
	*(*byte)(unsafe.Add(to, 8-leading)) = '}'
	e.buf = e.buf[:n+8-leading+1]
	return e.full()
}

// jsonInteger is jsonWhole for all samples.
//
//go:noinline
func jsonInteger(e *Encoder, block string, v uint64, negative bool, d *Details) bool {
	return jsonEnd(e, decimal.AppendWhole(jsonHead(e, block), v, negative), d)
}

func jsonFloat(e *Encoder, block string, v float64, d *Details) bool {
	return jsonEnd(e, appendJSONFloat(jsonHead(e, block), v), d)
}

// jsonEnd ends an element, after the time of the sample if there is one.
func jsonEnd(e *Encoder, b []byte, d *Details) bool {
	if d != nil && d.Timed {
		b = decimal.AppendSeconds(put(b, ",\"timestamp\":"), d.At)
	}
	e.buf = append(b, '}')
	return e.full()
}

func jsonHistogram(e *Encoder, block string, bounds *Bounds, counts []uint64, sum float64, d *Details) bool {
	var total uint64
	for _, c := range counts {
		total += c
	}
	b := put(appendJSONFloat(jsonHead(e, block), sum), ",\"count\":")
	b = put(decimal.AppendUint(b, total), ",\"buckets\":[")
	total = 0
	for i, c := range counts {
		number := bounds.number(i)
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
	b = append(b, ']')
	if d != nil && d.Native() != nil {
		b = d.Native().Code.AppendJSON(b, d.Native().Snapshot, sum)
	}
	return jsonEnd(e, b, d)
}

func jsonSummary(e *Encoder, block string, s *Distribution, d *Details) bool {
	b := put(appendJSONFloat(jsonHead(e, block), s.Sum), ",\"count\":")
	b = put(decimal.AppendUint(b, s.Count), ",\"quantiles\":[")
	for i, q := range s.Quantiles {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendJSONFloat(put(b, "{\"quantile\":"), q.Quantile)
		b = append(appendJSONFloat(put(b, ",\"value\":"), q.Value), '}')
	}
	return jsonEnd(e, append(b, ']'), d)
}

// appendJSONFloat appends v, and null for the values that JSON has no number for.
func appendJSONFloat(b []byte, v float64) []byte {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return put(b, "null")
	}
	return decimal.AppendFloat(b, v)
}

// appendLabels appends a rendered label block as the members of an object. It sets j.member
// if all series of the family have the same label names.
func (j *jsonState) appendLabels(b []byte, block string) []byte {
	if block == " " {
		return b
	}
	for n := 0; ; n++ {
		start := len(b)
		if n > 0 {
			b = put(b, `,`)
		}
		block = block[len(","):]
		skip := len(block)
		if block[0] == '"' {
			b, block = appendJSONQuoted(b, block)
		} else {
			eq := stringslite.IndexByte(block, '=')
			b, block = put(put(put(b, `"`), block[:eq]), `"`), block[eq:]
		}
		b = put(b, ":")
		end := len(b) + len("\"")
		skip -= len(block)
		b, block = appendJSONQuoted(b, block[len("="):])
		if j.learn = j.learn && n < maxMembers && end-start <= memberSize; j.learn {
			m := &j.member[n]
			m.skip = skip + len(",=\"")
			m.more = copy(m.text[:], b[start:end]) - m.skip
		}
		if block[0] == '}' {
			if j.learn {
				j.last, j.learn = &j.member[n], false
			}
			return b
		}
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
			return put(b, block[start:i+1]), block[i+1:]
		case c == '\\':
			i++
		case c < 0x20:
			b = append(put(put(b, block[start:i]), `\u00`), escape.HexDigits[c>>4], escape.HexDigits[c&15])
			start = i + 1
		}
	}
}

func jsonFinish(e *Encoder) {
	end := "]}\n"
	switch {
	case e.json == nil:
		end = "{}\n"
	case (*moreFormat)(e.format.more).describe != nil:
		end = "]}}\n"
	}
	e.buf = put(e.buf, end)
}
