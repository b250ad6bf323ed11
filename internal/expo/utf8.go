package expo

import (
	"unsafe"

	"github.com/tachikoma/tacho/internal/escape"
	"github.com/tachikoma/tacho/internal/names"
	"github.com/tachikoma/tacho/internal/stringslite"
)

// UTF8Rules are the rules that only a registry with UTF-8 names needs. A program reaches
// them through [UTF8] alone, so that other programs do not contain them; see
// internal/SIZE.md.
type UTF8Rules struct{ table unsafe.Pointer } // *utf8Table; see internal/SIZE.md

type utf8Table struct {
	checkMetric func(f *Family) string
	checkLabel  func(f *Family, name string) string
	checkLabels func(labels []string) string
	escaped     func(name string, s names.Scheme) string
	validName   func(name string) bool
	naming      func(n *Names, families []*Family, open bool, s names.Scheme) func(*Family) (string, bool)
	escape      func(families []*Family, s names.Scheme) (pairs []string)
	json        func(b []byte, name string) []byte
	quote       func(name string) string
	sample      func(e *Encoder, b []byte, name, suffix, block string) []byte
}

var utf8Functions = utf8Table{
	checkMetric, checkLabel, names.SameEscaped, names.EscapedLabel, names.ValidUTF8,
	(*Names).naming, escapeFamilies, appendJSONName, quote, appendUTF8Sample,
}

// UTF8 are the rules of UTF-8 names.
var UTF8 = UTF8Rules{unsafe.Pointer(&utf8Functions)}

func (r *UTF8Rules) rules() *utf8Table { return (*utf8Table)(r.table) }

// CheckMetric returns an error text for a name that no metric may have, or "". It sets
// Quoted of f.
func (r *UTF8Rules) CheckMetric(f *Family) string { return r.rules().checkMetric(f) }

// CheckLabel returns an error text for a name that no label may have, or "". It sets
// QuotedLabels of f.
func (r *UTF8Rules) CheckLabel(f *Family, name string) string { return r.rules().checkLabel(f, name) }

// CheckLabels returns an error text if two labels of one metric would have the same name
// once escaped, or "".
func (r *UTF8Rules) CheckLabels(labels []string) string { return r.rules().checkLabels(labels) }

// EscapedLabel returns a label name as s escapes it. A name of the legacy set stays.
func (r *UTF8Rules) EscapedLabel(name string, s names.Scheme) string {
	return r.rules().escaped(name, s)
}

// ValidName reports whether a name can be that of a metric.
func (r *UTF8Rules) ValidName(name string) bool { return r.rules().validName(name) }

func checkMetric(f *Family) string {
	f.Quoted = !names.ValidMetric(f.Name)
	if !names.ValidUTF8(f.Name) {
		return "the name must be valid UTF-8 without NUL and not begin with " + names.ValuesPrefix
	}
	return ""
}

func checkLabel(f *Family, name string) string {
	f.QuotedLabels = f.QuotedLabels || !names.ValidLabel(name)
	if !names.ValidUTF8(name) || stringslite.HasPrefix(name, "__") {
		return "must be valid UTF-8 without NUL and not begin with __ or " + names.ValuesPrefix
	}
	return ""
}

// escapeFamilies returns each name that must be escaped, followed by its escaped form.
func escapeFamilies(families []*Family, s names.Scheme) (pairs []string) {
	n := naming{}
	n.escape(families, s)
	if s != names.Values {
		n.escape(n.conflicting(families, false), names.Values)
	}
	for _, f := range families {
		if x, ok := n[f.Name]; ok {
			pairs = append(pairs, f.Name, x.name)
		}
	}
	return pairs
}

func (n naming) escape(families []*Family, s names.Scheme) {
	for _, f := range families {
		if f.Quoted {
			n[f.Name] = exposed{name: string(names.AppendEscapedMetric(nil, f.Name, s))}
		}
	}
}

// appendQuoted appends name and suffix in double quotes, with the escapes of label values.
func appendQuoted(b []byte, name, suffix string) []byte {
	b = escape.AppendLabelValue(append(b, '"'), name)
	return append(append(b, suffix...), '"')
}

func quote(name string) string { return string(appendQuoted(nil, name, "")) }

// appendUTF8Sample appends a sample up to its value, with names quoted or escaped.
func appendUTF8Sample(e *Encoder, b []byte, name, suffix, block string) []byte {
	if !e.quoted {
		return appendEscapedBlock(append(append(b, name...), suffix...), block, e.scheme)
	}
	// {"name",label="value"}
	b = appendQuoted(append(b, '{'), name, suffix)
	if block == " " {
		return append(b, "} "...)
	}
	return append(append(b, ','), block[1:]...)
}

// appendJSONName appends the name of a family as a JSON string.
func appendJSONName(b []byte, name string) []byte {
	b, _ = appendJSONQuoted(b, quote(name))
	return b
}

// appendEscapedBlock appends a rendered label block with its quoted label names escaped.
func appendEscapedBlock(b []byte, block string, s names.Scheme) []byte {
	for {
		start := stringslite.IndexByte(block, '"')
		if start < 0 {
			return append(b, block...)
		}
		text, rest, _ := escape.Unquote(block[start+1:])
		if before := block[:start]; stringslite.HasSuffix(before, "=") { // text is a value
			b = append(b, block[:len(block)-len(rest)]...)
		} else {
			b = names.AppendEscapedLabel(append(b, before...), text, s)
		}
		block = rest
	}
}
