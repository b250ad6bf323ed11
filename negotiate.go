//go:build !tacho_nohttp

package tacho

import "strings"

// A format is one that the metrics can be served in, with what a client may ask
// of it.
type format struct {
	open    bool   // OpenMetrics, else the text format
	version string // as the client named it
	names   escaping
}

// contentType returns the media type of a response. The escaping of names is
// there if the registry can have names to escape.
func (f format) contentType(utf8 bool) string {
	s := "text/plain; version=0.0.4; charset=utf-8"
	if f.open {
		s = "application/openmetrics-text; version=" + f.version + "; charset=utf-8"
	}
	if utf8 {
		s += "; escaping=" + escapings[f.names]
	}
	return s
}

// negotiate chooses the format that Accept asks for (RFC 9110, section 12.5.1):
// the greatest weight, of equal ones the more specific range, then the first.
// Ranges that say nothing that can be served do not count, and where none is left
// the text format is served, as it is to clients that send no Accept: a scraper
// has more use for it than for an error.
func negotiate(values []string) format {
	var best format
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

// mediaRange reads one element of Accept: the format it stands for, its weight,
// which is 0 if there is none, and how specific it is.
func mediaRange(item string) (f format, q float64, rank int) {
	kind, params := cut(item, ';')
	switch strings.ToLower(strings.TrimSpace(kind)) {
	case "application/openmetrics-text":
		f.open, rank = true, 3
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
		name, value, _ := strings.Cut(p, "=")
		value = strings.Trim(strings.TrimSpace(value), `"`)
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "version":
			f.version = value
		case "escaping":
			f.names = escapingNamed(value)
		}
	}
	if !f.acceptable() {
		q = 0
	}
	return f, q, rank
}

// acceptable reports whether the version is one that can be served, and settles
// it. OpenMetrics without a version is what came before the first, in which
// nothing is otherwise here; text 1.0.0 differs from 0.0.4 in quoted names alone,
// and those are there for who asks for them.
func (f *format) acceptable() bool {
	if !f.open {
		return f.version == "" || f.version == "0.0.4" || f.version == "1.0.0"
	}
	if f.version == "" {
		f.version = "0.0.1"
	}
	return f.version == "0.0.1" || f.version == "1.0.0"
}

// escapingNamed returns the scheme of that name; underscores for a name that is
// none, as for clients that name none.
func escapingNamed(name string) escaping {
	for i, s := range escapings {
		if s == name {
			return escaping(i)
		}
	}
	return escapeUnderscores
}

// cut cuts s around the first sep outside of quotes. Inlined four times it would be a
// kilobyte.
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

// acceptsGzip reports whether Accept-Encoding prefers gzip to the plain body.
// Codings are case-insensitive; an explicit weight beats that of "*"; the body
// as it is, "identity", weighs 0 unless it is named, so that any gzip wins.
func acceptsGzip(values []string) bool {
	gzipQ, identityQ, starQ := -1.0, -1.0, -1.0
	for _, value := range values {
		for value != "" {
			var item string
			item, value, _ = strings.Cut(value, ",")
			coding, params, _ := strings.Cut(item, ";")
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

// quality returns the q parameter, 1 if there is none, 0 if it cannot be read:
// what is not asked for plainly is not sent.
func quality(params string) float64 {
	for params != "" {
		var p string
		p, params = cut(params, ';')
		name, value, _ := strings.Cut(p, "=")
		if name = strings.TrimSpace(name); name == "q" || name == "Q" {
			return qvalue(strings.TrimSpace(value))
		}
	}
	return 1
}

// qvalue reads a weight from 0 to 1 (RFC 9110, section 12.4.2) with any number of
// decimals; all else is 0. strconv.ParseFloat would add 12 KB to a program.
func qvalue(s string) float64 {
	whole, decimals, _ := strings.Cut(s, ".")
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
