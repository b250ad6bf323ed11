// Package names checks the names of metrics and labels, and escapes names outside the
// legacy set for clients that do not accept them.
package names

import (
	"strconv"
	"unicode/utf8"

	"github.com/tachikoma/tacho/internal/escape"
	"github.com/tachikoma/tacho/internal/stringslite"
)

// ValidMetric reports whether s matches [a-zA-Z_:][a-zA-Z0-9_:]*, the legacy set of
// metric names (prometheus.io, "Metric names and labels").
//
//go:noinline
func ValidMetric(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; !isNameByte(c, i) && c != ':' {
			return false
		}
	}
	return s != ""
}

// ValidLabel reports whether s matches [a-zA-Z_][a-zA-Z0-9_]*, the legacy set of label
// names, and does not begin with "__". Prometheus reserves that prefix for itself.
//
//go:noinline
func ValidLabel(s string) bool {
	for i := 0; i < len(s); i++ {
		if !isNameByte(s[i], i) {
			return false
		}
	}
	return s != "" && !stringslite.HasPrefix(s, "__")
}

func isNameByte(c byte, i int) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' || i > 0 && '0' <= c && c <= '9'
}

// A Scheme escapes names outside the legacy set (prometheus.io, "UTF-8 metric and label
// name escaping schemes").
type Scheme uint8

// The schemes, with what they make of the name a.b.
const (
	Underscores Scheme = iota // a_b, for clients that name no scheme
	Dots                      // a_dot_b
	Values                    // U__a_2e_b, the one scheme that can be undone
	AllowUTF8                 // a.b in quotes, for clients that accept UTF-8
)

// NumSchemes is the number of schemes.
const NumSchemes = 4

var schemes = [NumSchemes]string{"underscores", "dots", "values", "allow-utf-8"}

// HeaderValue returns the name of s in the headers Accept and Content-Type.
func (s Scheme) HeaderValue() string { return schemes[s] }

// SchemeNamed returns the scheme with this name in the header Accept, or Underscores if
// there is none.
func SchemeNamed(name string) Scheme {
	for i, s := range schemes {
		if s == name {
			return Scheme(i)
		}
	}
	return Underscores
}

// ValuesPrefix begins every name that the scheme Values made. No name of a definition
// may begin with ValuesPrefix.
const ValuesPrefix = "U__"

// ValidUTF8 reports whether s can be a name in a registry that allows UTF-8 names: valid
// UTF-8, not empty, without NUL and without the prefix [ValuesPrefix]. Prometheus' parser
// takes a NUL for the end of its input.
func ValidUTF8(s string) bool {
	return s != "" && utf8.ValidString(s) && stringslite.IndexByte(s, 0) < 0 && !stringslite.HasPrefix(s, ValuesPrefix)
}

// SameEscaped returns an error text if a scheme gives two of the label names the same
// name, and otherwise "".
func SameEscaped(labels []string) string {
	for _, s := range []Scheme{Underscores, Dots} {
		seen := map[string]string{}
		for _, name := range labels {
			escaped := EscapedLabel(name, s)
			if other, ok := seen[escaped]; ok {
				return "label names " + escape.Quote(other) + " and " + escape.Quote(name) + " are both escaped as " + escape.Quote(escaped)
			}
			seen[escaped] = name
		}
	}
	return ""
}

// EscapedLabel returns a label name as s escapes it. A name of the legacy set stays.
func EscapedLabel(name string, s Scheme) string {
	if ValidLabel(name) {
		return name
	}
	return string(AppendEscapedLabel(nil, name, s))
}

// AppendEscapedMetric appends a metric name outside the legacy set, escaped by s.
func AppendEscapedMetric(b []byte, name string, s Scheme) []byte {
	return appendEscaped(b, name, s, true)
}

// AppendEscapedLabel appends a label name outside the legacy set, escaped by s. If the
// result would begin with "__", AppendEscapedLabel escapes the name by Values instead.
func AppendEscapedLabel(b []byte, name string, s Scheme) []byte {
	start := len(b)
	b = appendEscaped(b, name, s, false)
	if stringslite.HasPrefix(string(b[start:]), "__") {
		b = appendEscaped(b[:start], name, Values, false)
	}
	return b
}

// appendEscaped escapes a name character by character. Only names of metrics may have a
// colon.
func appendEscaped(b []byte, name string, s Scheme, colon bool) []byte {
	if s == Values {
		b = append(b, ValuesPrefix...)
	}
	for i, r := range name {
		if r < utf8.RuneSelf && (isNameByte(byte(r), i) || colon && r == ':') && (r != '_' || s == Underscores) {
			b = append(b, byte(r))
			continue
		}
		switch {
		case s == Underscores:
			b = append(b, '_')
		case s == Dots && r == '.':
			b = append(b, "_dot_"...)
		case s == Values && r != '_':
			b = append(strconv.AppendInt(append(b, '_'), int64(r), 16), '_')
		default:
			b = append(b, "__"...)
		}
	}
	return b
}
