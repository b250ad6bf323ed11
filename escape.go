package tacho

import (
	"strconv"
	"unicode/utf8"
)

// An escaping is how an exposition says names outside the legacy set, which only
// registries made with [WithUTF8Names] have (prometheus.io, "UTF-8 metric and
// label name escaping schemes").
type escaping uint8

const (
	escapeUnderscores escaping = iota // a.b is a_b: what a client gets that asks for nothing
	escapeDots                        // a.b is a_dot_b
	escapeValues                      // a.b is U__a_2e_b: can be undone
	escapeNone                        // a.b is "a.b": for clients that accept UTF-8
)

// escapings are the schemes by the name they have in HTTP headers.
var escapings = [...]string{"underscores", "dots", "values", "allow-utf-8"}

// valuesPrefix begins every name that the scheme "values" made. Names in a
// registry may not begin so, or they could be taken for one.
const valuesPrefix = "U__"

// utf8Rules are what only a registry made with [WithUTF8Names] needs. It comes by
// them through that option alone, so that other programs do not contain them.
type utf8Rules struct {
	checkMetric func(f *family) string              // what is wrong with the name of a metric
	checkLabel  func(f *family, name string) string // and with that of a label
	checkLabels func(names []string) string         // and with all of a metric's together
	validName   func(name string) bool
	naming      func(r *Registry, families []*family, open bool, s escaping) func(*family) (string, bool)
	escape      func(families []*family, s escaping) (pairs []string)
	json        func(b []byte, name string) []byte
	quoted      func(name string) string
	sample      func(e *encoder, b []byte, name, suffix, block string) []byte
}

var utf8Names = utf8Rules{
	checkUTF8Metric, checkUTF8Label, checkEscaped, validUTF8Name, (*Registry).naming, escapeFamilies, appendJSONName, quotedName, appendUTF8Sample,
}

func checkUTF8Metric(f *family) string {
	f.quoted = !validMetricName(f.name)
	if !validUTF8Name(f.name) {
		return "the name must be valid UTF-8 without NUL and not begin with " + valuesPrefix
	}
	return ""
}

func checkUTF8Label(f *family, name string) string {
	f.quotedLabels = f.quotedLabels || !validLabelName(name)
	if !validUTF8Name(name) || hasPrefix(name, "__") {
		return "must be valid UTF-8 without NUL and not begin with __ or " + valuesPrefix
	}
	return ""
}

// checkEscaped refuses labels of one metric that an escaping scheme would give
// one name.
func checkEscaped(names []string) string {
	for _, s := range []escaping{escapeUnderscores, escapeDots} {
		seen := map[string]string{}
		for _, name := range names {
			escaped := name
			if !validLabelName(name) {
				escaped = string(appendEscapedLabel(nil, name, s))
			}
			if other, ok := seen[escaped]; ok {
				return "label names " + quote(other) + " and " + quote(name) + " are both " + escaped + " where names are escaped"
			}
			seen[escaped] = name
		}
	}
	return ""
}

// validUTF8Name reports whether s can be a name where UTF-8 is allowed: text, and
// nothing that the escaping scheme "values" makes of other names. Prometheus'
// parser takes a NUL in a name for the end of its input.
func validUTF8Name(s string) bool {
	return s != "" && utf8.ValidString(s) && indexByte(s, 0) < 0 && !hasPrefix(s, valuesPrefix)
}

// appendEscapedMetric appends the name of a metric as the scheme says it.
func appendEscapedMetric(b []byte, name string, s escaping) []byte {
	return appendEscaped(b, name, s, true)
}

// appendEscapedLabel appends the name of a label as the scheme says it, or as
// "values" does if that would begin with the underscores that the data model
// reserves.
func appendEscapedLabel(b []byte, name string, s escaping) []byte {
	start := len(b)
	b = appendEscaped(b, name, s, false)
	if hasPrefix(string(b[start:]), "__") {
		b = appendEscaped(b[:start], name, escapeValues, false)
	}
	return b
}

// appendEscaped appends a name that is not in the legacy set, character by
// character; only names of metrics may keep a colon.
func appendEscaped(b []byte, name string, s escaping, colon bool) []byte {
	if s == escapeValues {
		b = append(b, valuesPrefix...)
	}
	for i, r := range name {
		if r < utf8.RuneSelf && (isNameByte(byte(r), i) || colon && r == ':') && (r != '_' || s == escapeUnderscores) {
			b = append(b, byte(r))
			continue
		}
		switch {
		case s == escapeUnderscores:
			b = append(b, '_')
		case s == escapeDots && r == '.':
			b = append(b, "_dot_"...)
		case s == escapeValues && r != '_':
			b = append(strconv.AppendInt(append(b, '_'), int64(r), 16), '_')
		default:
			b = append(b, "__"...)
		}
	}
	return b
}

// appendQuotedName appends a name in double quotes, escaped as label values are.
func appendQuotedName(b []byte, name, suffix string) []byte {
	b = appendLabelValue(append(b, '"'), name)
	return append(append(b, suffix...), '"')
}

func quotedName(name string) string { return string(appendQuotedName(nil, name, "")) }

// appendUTF8Sample appends a sample whose names are quoted or escaped, up to its value.
func appendUTF8Sample(e *encoder, b []byte, name, suffix, block string) []byte {
	if !e.quoted {
		return appendRelabelled(append(append(b, name...), suffix...), block, e.scheme)
	}
	// {"name",label="value"}
	b = appendQuotedName(append(b, '{'), name, suffix)
	if block == " " {
		return append(b, "} "...)
	}
	return append(append(b, ','), block[1:]...)
}

// appendJSONName appends the name of a family as a JSON string.
func appendJSONName(b []byte, name string) []byte {
	b, _ = appendJSONQuoted(b, quotedName(name))
	return b
}

// appendRelabelled appends a rendered label block with its quoted names escaped.
func appendRelabelled(b []byte, block string, s escaping) []byte {
	for {
		quote := indexByte(block, '"')
		if quote < 0 {
			return append(b, block...)
		}
		end := quote + 1 + quotedEnd(block[quote+1:])
		if before := block[:quote]; hasSuffix(before, "=") { // a value
			b = append(b, block[:end]...)
		} else {
			b = append(b, before...)
			b = appendEscapedLabel(b, unquoted(block[quote+1:end-1]), s)
		}
		block = block[end:]
	}
}

// quotedEnd returns the length of a quoted string after its first quote.
func quotedEnd(s string) int {
	for i := 0; ; i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
}

// unquoted undoes appendLabelValue; nearly always there is nothing to undo.
func unquoted(s string) string {
	if indexByte(s, '\\') < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '\\' {
			if i++; s[i] == 'n' {
				c = '\n'
			} else {
				c = s[i]
			}
		}
		b = append(b, c)
	}
	return string(b)
}
