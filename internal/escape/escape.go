// Package escape repairs invalid UTF-8, and escapes and unescapes strings for
// expositions and errors.
package escape

import (
	"unicode/utf8"

	"github.com/tachikoma/tacho/internal/stringslite"
)

// HexDigits are the digits of hexadecimal numbers.
const HexDigits = "0123456789abcdef"

// AppendValid appends s with every run of invalid UTF-8 replaced by U+FFFD, as
// strings.ToValidUTF8 does.
//
//go:noinline
func AppendValid(b []byte, s string) []byte {
	start, bad := 0, false // s[:start] is in b
	for i, r := range s {
		if r != utf8.RuneError || stringslite.HasPrefix(s[i:], "\uFFFD") {
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

// Valid returns a copy of s with every run of invalid UTF-8 replaced by U+FFFD.
func Valid(s string) string { return string(AppendValid(nil, s)) }

// AppendLabelValue appends s with backslash, newline and double quote escaped. The text
// format and OpenMetrics 1.0 escape those three in label values.
func AppendLabelValue(b []byte, s string) []byte { return appendEscapes(b, s, '"') }

// AppendHelp appends s with backslash and newline escaped. The text format escapes those
// two in HELP lines.
func AppendHelp(b []byte, s string) []byte { return appendEscapes(b, s, '\\') }

// appendEscapes escapes backslash, newline and the byte also.
//
//go:noinline
func appendEscapes(b []byte, s string, also byte) []byte {
	start := 0
	for i := 0; ; i++ {
		esc := byte(0) // at the end
		if i < len(s) {
			if esc = s[i]; esc == '\n' {
				esc = 'n'
			} else if esc != '\\' && esc != also {
				continue
			}
		}
		b = append(b, s[start:i]...) // one append for both cases; see internal/SIZE.md
		if i == len(s) {
			return b
		}
		b = append(b, '\\', esc)
		start = i + 1
	}
}

// Unquote returns the label value that s begins with, without its escapes, and the text
// behind its closing quote. s begins behind the opening quote. ok is false if the closing
// quote is missing, or a backslash stands before anything but a backslash, a double
// quote or an n.
func Unquote(s string) (value, rest string, ok bool) {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			return s[:i], s[i+1:], true
		case '\\':
			b, rest, ok := AppendUnquoted(nil, s)
			return string(b), rest, ok
		}
	}
	return "", "", false
}

// AppendUnquoted is [Unquote], and appends the value.
func AppendUnquoted(b []byte, s string) (value []byte, rest string, ok bool) {
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch c {
		case '"':
			return b, s[i+1:], true
		case '\\':
			i++
			switch {
			case i < len(s) && s[i] == 'n':
				c = '\n'
			case i < len(s) && (s[i] == '\\' || s[i] == '"'):
				c = s[i]
			default:
				return nil, "", false
			}
		}
		b = append(b, c)
	}
	return nil, "", false
}

// maxQuoted is the number of bytes of a string that [Quote] shows. Strings in errors may
// come from another system.
const maxQuoted = 128

// Quote returns s between double quotes, for an error. Backslashes and double quotes are
// escaped. Control characters, and all bytes beyond ASCII of invalid UTF-8, are hexadecimal.
// Quote shows at most 128 bytes of s, and three dots after the quotes if s is longer.
//
// strconv.Quote is larger; see internal/SIZE.md.
func Quote(s string) string {
	end := "\""
	if len(s) > maxQuoted {
		cut := maxQuoted
		for cut > maxQuoted-utf8.UTFMax && s[cut]&0xc0 == 0x80 { // in the middle of a rune
			cut--
		}
		s, end = s[:cut], "\"..."
	}
	text := Valid(s) == s
	quoted := "\"" // concatenation is smaller than append; see internal/SIZE.md
	for i := range len(s) {
		c, next := s[i], s[i:i+1]
		switch {
		case c < ' ' || c == 0x7f || c >= utf8.RuneSelf && !text:
			next = "\\x" + HexDigits[c>>4:][:1] + HexDigits[c&15:][:1]
		case c == '"' || c == '\\':
			next = "\\" + next
		}
		quoted += next
	}
	return quoted + end
}
