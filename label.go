package tacho

import (
	"unicode/utf8"
	"unsafe"
)

// keySep ends each label value inside a series key. No valid UTF-8 text holds
// this byte and values are made valid before they become a key, so keys of the
// same arity are equal exactly when all their values are.
const keySep = 0xff

// overflowValue is what every label of the series that takes the overflow of a
// capped vector says; the HTTP middleware uses it for methods and paths too.
const overflowValue = "other"

// validMetricName reports whether s matches [a-zA-Z_:][a-zA-Z0-9_:]*
// (exposition formats, "Metric names and labels").
func validMetricName(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; !isNameByte(c, i) && c != ':' {
			return false
		}
	}
	return s != ""
}

// validLabelName reports whether s matches [a-zA-Z_][a-zA-Z0-9_]* and does not
// begin with "__", which the data model reserves for Prometheus itself.
//
//go:noinline
func validLabelName(s string) bool {
	for i := 0; i < len(s); i++ {
		if !isNameByte(s[i], i) {
			return false
		}
	}
	return s != "" && !hasPrefix(s, "__")
}

func isNameByte(c byte, i int) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' || i > 0 && '0' <= c && c <= '9'
}

// appendValid appends s with every run of invalid UTF-8 replaced by U+FFFD, as
// strings.ToValidUTF8 does.
//
//go:noinline
func appendValid(b []byte, s string) []byte {
	start, bad := 0, false // s up to start is in b
	for i, r := range s {
		if r != utf8.RuneError || hasPrefix(s[i:], "\uFFFD") {
			bad = false
			continue
		}
		b = append(b, s[start:i]...)
		if start = i + 1; !bad {
			b, bad = append(b, "\uFFFD"...), true
		}
	}
	return append(b, s[start:]...)
}

// appendKey appends the key of a series: each value, made valid, then keySep.
func appendKey(b []byte, values []string) []byte {
	for _, v := range values {
		b = append(appendValid(b, v), keySep)
	}
	return b
}

// keyIs reports whether key was made of exactly these values, whose key is size bytes
// long. Short ones are compared as words, the second overlapping the first: a call for
// each value, as == makes it, takes a lookup of three labels a fifth longer.
func keyIs(key string, values []string, size int) bool {
	if len(key) != size {
		return false // from here on no read is past the end of key
	}
	at := 0
	for _, v := range values {
		n := len(v)
		p := unsafe.Add(unsafe.Pointer(unsafe.StringData(key)), at)
		// A value that itself holds keySep cannot match by luck: the key has
		// one separator a label, so a borrowed one leaves too few.
		if *(*byte)(unsafe.Add(p, n)) != keySep {
			return false
		}
		q := unsafe.Pointer(unsafe.StringData(v))
		switch {
		case n >= 8:
			if n > 16 {
				if unsafe.String((*byte)(p), n) != v {
					return false
				}
			} else if load64(p) != load64(q) || load64(unsafe.Add(p, n-8)) != load64(unsafe.Add(q, n-8)) {
				return false
			}
		case n >= 4:
			if load32(p) != load32(q) || load32(unsafe.Add(p, n-4)) != load32(unsafe.Add(q, n-4)) {
				return false
			}
		case n >= 2:
			if load16(p) != load16(q) || load16(unsafe.Add(p, n-2)) != load16(unsafe.Add(q, n-2)) {
				return false
			}
		case n == 1:
			if *(*byte)(p) != *(*byte)(q) {
				return false
			}
		}
		at += n + 1 // and no pointer, which behind the last value would be past the end
	}
	return true
}

// keyValues splits a key into its n values, which share its memory.
func keyValues(key string, n int) []string {
	values := make([]string, n)
	for i := range values {
		end := indexByte(key, keySep)
		values[i], key = key[:end], key[end+1:]
	}
	return values
}

// compareKeys orders keys as their lists of values order: by the first value
// that differs, a value before its own extensions.
func compareKeys(a, b string) int {
	n := min(len(a), len(b))
	for i := 0; i < n; i++ {
		if a[i] == b[i] {
			continue
		}
		// A separator sorts before every byte of text: the shorter value first.
		if a[i] == keySep || a[i] != keySep && b[i] != keySep && a[i] < b[i] {
			return -1
		}
		return 1
	}
	return len(a) - len(b)
}

// A label is one constant name and value.
type label struct {
	_           incomparable
	name, value string
}

// appendBlock appends a label block as it follows a metric name in an exposition:
// `{a="b",c="d"} `, or ` ` without labels. The space belongs to it so that a sample
// is name, block, value.
func appendBlock(b []byte, consts []label, names []string, key string) []byte {
	if len(consts)+len(names) == 0 {
		return append(b, ' ')
	}
	sep := byte('{')
	for _, l := range consts {
		b, sep = appendLabel(b, sep, l.name, l.value), ','
	}
	for _, name := range names {
		end := indexByte(key, keySep)
		b, sep = appendLabel(b, sep, name, key[:end]), ','
		key = key[end+1:]
	}
	return append(b, "} "...)
}

// appendLabel appends a label after sep, its name in quotes if it is not in the
// legacy set.
func appendLabel(b []byte, sep byte, name, value string) []byte {
	b = append(b, sep)
	if validLabelName(name) {
		b = append(b, name...)
	} else {
		b = append(appendEscapes(append(b, '"'), name, '"'), '"')
	}
	return append(appendLabelValue(append(b, `="`...), value), '"')
}

// appendLabelValue escapes what the text format and OpenMetrics 1.0 escape in
// a label value: backslash, newline and double quote.
func appendLabelValue(b []byte, s string) []byte { return appendEscapes(b, s, '"') }

// appendHelp escapes what the text format escapes in HELP: backslash and newline.
func appendHelp(b []byte, s string) []byte { return appendEscapes(b, s, '\\') }

// appendEscapes escapes backslash, newline and one byte more.
//
//go:noinline
func appendEscapes(b []byte, s string, also byte) []byte {
	start := 0
	for i := 0; i < len(s); i++ {
		esc := s[i]
		switch {
		case esc == '\n':
			esc = 'n'
		case esc != '\\' && esc != also:
			continue
		}
		b = append(append(b, s[start:i]...), '\\', esc)
		start = i + 1
	}
	return append(b, s[start:]...)
}
