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
	Open     bool         // OpenMetrics
	Open2    bool         // OpenMetrics 2.0; Open is true too
	Protobuf bool         // the protobuf format; if Open and Protobuf are false, the text format
	Names    names.Scheme // for names outside the legacy set
	version  string       // as the client named it
	escaping bool         // the client named Names
}

// ContentType returns the media type of a response. If utf8 is true, the registry can
// have names outside the legacy set and the media type says how names are escaped.
func (f Format) ContentType(utf8 bool) string {
	s := "text/plain; version=0.0.4; charset=utf-8"
	switch {
	case f.Protobuf:
		s = protobufType + "; proto=" + protobufMessage + "; encoding=delimited"
	case f.Open:
		s = "application/openmetrics-text; version=" + f.version + "; charset=utf-8"
	}
	if utf8 {
		s += "; escaping=" + f.Names.HeaderValue()
	}
	return s
}

const (
	protobufType    = "application/vnd.google.protobuf"
	protobufMessage = "io.prometheus.client.MetricFamily"
)

// Negotiate returns the format that the values of Accept prefer. The media range with the
// highest weight wins. On a tie the more specific range wins, then the earlier one.
// Ranges that cannot be served are ignored. If no range is left, Negotiate returns the
// text format, as it does without Accept: an error would be of no use to a scraper. The
// protobuf format can be served only if protobuf is true, and OpenMetrics 2.0 only if open2 is true.
//
// Prometheus names no escaping in the range of the protobuf format. In this case Names is
// that of the most preferred range that names an escaping, even if the version of that range
// cannot be served.
func Negotiate(values []string, protobuf, open2 bool) Format {
	var best, escaping choice
	for _, value := range values {
		for value != "" {
			var item string
			item, value = cut(value, ',')
			c := mediaRange(item)
			if c.format.escaping && c.beats(&escaping) {
				escaping = c
			}
			if c.format.served(protobuf, open2) && c.beats(&best) {
				best = c
			}
		}
	}
	if best.format.Protobuf && !best.format.escaping {
		best.format.Names = escaping.format.Names
	}
	return best.format
}

// A choice is one element of Accept.
type choice struct {
	format Format
	q      float64 // the weight; 0 if the media type is unknown
	rank   int     // higher if the media range is more specific
}

// beats reports whether the client prefers c to an earlier element.
func (c *choice) beats(other *choice) bool {
	return c.q > other.q || c.q > 0 && c.q == other.q && c.rank > other.rank
}

// mediaRange parses one element of Accept.
func mediaRange(item string) (c choice) {
	kind, params := cut(item, ';')
	f := &c.format
	switch strings.ToLower(strings.TrimSpace(kind)) {
	case protobufType:
		f.Protobuf, c.rank = true, 3
	case "application/openmetrics-text":
		f.Open, c.rank = true, 3
	case "text/plain":
		c.rank = 3
	case "text/*":
		c.rank = 2
	case "*/*":
		c.rank = 1
	default:
		return c
	}
	c.q = quality(params)
	delimited, message := false, false
	for params != "" {
		var p string
		p, params = cut(params, ';')
		name, value := cut(p, '=')
		value = unquoted(strings.TrimSpace(value))
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "version":
			f.version = value
		case "escaping":
			f.Names, f.escaping = names.SchemeNamed(value), true
		case "proto":
			message = value == protobufMessage
		case "encoding":
			delimited = value == "delimited"
		}
	}
	if f.Protobuf && !(message && delimited) {
		c.q = 0
	}
	return c
}

// served reports whether the version can be served, and completes it. OpenMetrics
// without a version means 0.0.1, whose output is the same here. Text 1.0.0 differs from
// 0.0.4 only in quoted names, which the parameter escaping decides.
func (f *Format) served(protobuf, open2 bool) bool {
	switch {
	case f.Protobuf:
		return protobuf
	case !f.Open:
		return f.version == "" || f.version == "0.0.4" || f.version == "1.0.0"
	}
	if f.version == "" {
		f.version = "0.0.1"
	}
	f.Open2 = f.version == "2.0.0"
	return f.Open2 && open2 || f.version == "0.0.1" || f.version == "1.0.0"
}

// unquoted returns s without double quotes at its ends. strings.Trim is larger; see
// internal/SIZE.md.
func unquoted(s string) string {
	for s != "" && s[0] == '"' {
		s = s[1:]
	}
	for s != "" && s[len(s)-1] == '"' {
		s = s[:len(s)-1]
	}
	return s
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
