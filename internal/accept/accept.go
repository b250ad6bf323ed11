// Package accept chooses the format and the coding of a response by the headers Accept and
// Accept-Encoding (RFC 9110, sections 12.5.1 and 12.5.3).
package accept

import (
	"strings"
	"time"

	"github.com/tachikoma/tacho/internal/names"
)

// A Format is a format in which metrics can be served, with the parameters that the
// client chose.
type Format struct {
	Open    bool         // OpenMetrics; otherwise the text format
	Names   names.Scheme // for names outside the legacy set
	version string       // as the client named it
}

// ContentType returns the media type of a response. If utf8 is true, the registry can
// have names outside the legacy set and the media type says how names are escaped.
func (f Format) ContentType(utf8 bool) string {
	s := "text/plain; version=0.0.4; charset=utf-8"
	if f.Open {
		s = "application/openmetrics-text; version=" + f.version + "; charset=utf-8"
	}
	if utf8 {
		s += "; escaping=" + f.Names.HeaderValue()
	}
	return s
}

// Negotiate returns the format that the values of Accept prefer. The media range with the
// highest weight wins. On a tie the more specific range wins, then the earlier one.
// Ranges that cannot be served are ignored. If no range is left, Negotiate returns the
// text format, as it does without Accept: an error would be of no use to a scraper.
func Negotiate(values []string) Format {
	var best Format
	bestQ, bestRank := 0.0, 0
	for _, value := range values {
		for value != "" {
			var item string
			item, value = cut(value, ',')
			f, q, rank := mediaRange(item)
			if q > bestQ || q > 0 && q == bestQ && rank > bestRank {
				best, bestQ, bestRank = f, q, rank
			}
		}
	}
	return best
}

// mediaRange parses one element of Accept. q is the weight of the element, and 0 if the
// element cannot be served. A higher rank is more specific.
func mediaRange(item string) (f Format, q float64, rank int) {
	kind, params := cut(item, ';')
	switch strings.ToLower(strings.TrimSpace(kind)) {
	case "application/openmetrics-text":
		f.Open, rank = true, 3
	case "text/plain":
		rank = 3
	case "text/*":
		rank = 2
	case "*/*":
		rank = 1
	default:
		return f, 0, 0
	}
	q = quality(params)
	for params != "" {
		var p string
		p, params = cut(params, ';')
		name, value := cut(p, '=')
		value = strings.Trim(strings.TrimSpace(value), `"`)
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "version":
			f.version = value
		case "escaping":
			f.Names = names.SchemeNamed(value)
		}
	}
	if !f.served() {
		q = 0
	}
	return f, q, rank
}

// served reports whether the version can be served, and completes it. OpenMetrics
// without a version means 0.0.1, whose output is the same here. Text 1.0.0 differs from
// 0.0.4 only in quoted names, which the parameter escaping decides.
func (f *Format) served() bool {
	if !f.Open {
		return f.version == "" || f.version == "0.0.4" || f.version == "1.0.0"
	}
	if f.version == "" {
		f.version = "0.0.1"
	}
	return f.version == "0.0.1" || f.version == "1.0.0"
}

// cut cuts s around the first sep outside of double quotes.
//
//go:noinline
func cut(s string, sep byte) (before, after string) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			quoted = !quoted
		case c == '\\' && quoted:
			i++
		case c == sep && !quoted:
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}

// Gzip reports whether the values of Accept-Encoding prefer gzip to the plain body.
// Codings are case-insensitive, and an explicit weight overrides the weight of "*". The
// plain body ("identity") has weight 0 unless it is named, so any gzip wins.
func Gzip(values []string) bool {
	gzipQ, identityQ, starQ := -1.0, -1.0, -1.0
	for _, value := range values {
		for value != "" {
			var item string
			item, value = cut(value, ',')
			coding, params := cut(item, ';')
			q := quality(params)
			switch strings.ToLower(strings.TrimSpace(coding)) {
			case "gzip", "x-gzip":
				gzipQ = max(gzipQ, q)
			case "identity":
				identityQ = q
			case "*":
				starQ = q
			}
		}
	}
	if gzipQ < 0 {
		gzipQ = starQ
	}
	return gzipQ > 0 && gzipQ >= identityQ
}

// quality returns the parameter q, 1 if it is missing, and 0 if it is malformed.
func quality(params string) float64 {
	for params != "" {
		var p string
		p, params = cut(params, ';')
		name, value := cut(p, '=')
		if name = strings.TrimSpace(name); name == "q" || name == "Q" {
			return qvalue(strings.TrimSpace(value))
		}
	}
	return 1
}

// qvalue parses a weight from 0 to 1 (RFC 9110, section 12.4.2) with any number of
// decimals, and returns 0 for anything else. strconv.ParseFloat is larger; see
// internal/SIZE.md.
func qvalue(s string) float64 {
	whole, decimals := cut(s, '.')
	q, unit := 0.0, 0.1
	for i := range len(decimals) {
		digit := decimals[i] - '0'
		if digit > 9 {
			return 0
		}
		q += unit * float64(digit)
		unit /= 10
	}
	switch {
	case whole == "0" || whole == "":
		return q
	case whole == "1" && q == 0:
		return 1
	}
	return 0
}

// Timeout parses the header X-Prometheus-Scrape-Timeout-Seconds: a number of seconds in
// decimal. It returns 0 for anything else, and for a time of an hour or more.
func Timeout(s string) time.Duration {
	whole, decimals := cut(s, '.')
	d := time.Duration(0)
	for i := range len(whole) {
		digit := whole[i] - '0'
		if digit > 9 || d >= time.Hour {
			return 0
		}
		d = 10*d + time.Duration(digit)*time.Second
	}
	unit := time.Second
	for i := range len(decimals) {
		digit := decimals[i] - '0'
		if digit > 9 {
			return 0
		}
		unit /= 10
		d += time.Duration(digit) * unit
	}
	if d >= time.Hour {
		return 0
	}
	return d
}
