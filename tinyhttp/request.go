package tinyhttp

import (
	"net/netip"
	"strings"
)

// A request is a GET or HEAD request without a body.
type request struct {
	head     bool   // the method is HEAD
	path     string // decoded
	query    string // not decoded
	host     string // of the target if it has one, and otherwise of the field Host
	minor    byte   // of the version 1.x
	close    bool   // the connection ends after the response
	accept   []string
	encoding []string
	timeout  string // X-Prometheus-Scrape-Timeout-Seconds
}

// Status codes of RFC 9110, section 15.
const (
	statusOK                  = 200
	statusBadRequest          = 400
	statusNotFound            = 404
	statusMethodNotAllowed    = 405
	statusRequestTimeout      = 408
	statusContentTooLarge     = 413
	statusURITooLong          = 414
	statusExpectationFailed   = 417
	statusFieldsTooLarge      = 431 // RFC 6585, section 5
	statusNotImplemented      = 501
	statusServiceUnavailable  = 503
	statusVersionNotSupported = 505
)

// Results of scan that are no status codes.
const (
	incomplete = 0
	complete   = 1
)

// scan looks for the end of a head in b. An earlier call has scanned the first from bytes. scan
// returns complete and the length of the head with its empty line, incomplete, or the status of a
// refusal.
//
// Control characters are refused as soon as they arrive, so that a client of another protocol does
// not wait for a timeout. A CR without LF and an LF without CR are refused (RFC 9112, section 2.2).
func scan(b []byte, from int) (n, status int) {
	for i := from; i < len(b); i++ {
		switch c := b[i]; {
		case c == '\n':
			if i == 0 || b[i-1] != '\r' {
				return 0, statusBadRequest
			}
			if i >= 3 && b[i-2] == '\n' {
				return i + 1, complete
			}
		case i > 0 && b[i-1] == '\r':
			return 0, statusBadRequest
		case c < ' ' && c != '\t' && c != '\r' || c == 0x7f:
			return 0, statusBadRequest
		}
	}
	return 0, incomplete
}

// parse parses a head that scan accepted. It returns a status other than statusOK if the request
// is refused. The connection of a refused request must be closed.
func parse(head string) (q request, status int) {
	line, rest, _ := strings.Cut(head, "\r\n")
	method, line, _ := strings.Cut(line, " ")
	target, version, _ := strings.Cut(line, " ")
	// RFC 9112, section 2.3. The digits after the point are read as RFC 9110, section 2.5,
	// has it: a higher minor version is treated as 1.1.
	if len(version) != 8 || version[:5] != "HTTP/" || !digit(version[5]) || version[6] != '.' || !digit(version[7]) || !token(method) {
		return q, statusBadRequest
	}
	if version[5] != '1' {
		return q, statusVersionNotSupported
	}
	q.minor = version[7] - '0'

	var f fields
	if !f.parse(&q, rest) || f.ambiguous(q.minor) {
		return q, statusBadRequest
	}
	if q.head, status = isHead(method); status != statusOK {
		return q, status
	}
	switch {
	case f.coded:
		return q, statusNotImplemented
	case f.body: // content of GET has no meaning (RFC 9110, section 9.3.1)
		return q, statusContentTooLarge
	case f.unexpected:
		return q, statusExpectationFailed
	}
	if !q.parseTarget(target) {
		return q, statusBadRequest
	}
	q.close = f.closes || q.minor == 0 // the body of HTTP/1.0 ends with the connection
	return q, statusOK
}

// isHead reports whether a method is HEAD. It returns a status other than statusOK if the method
// is neither GET nor HEAD.
func isHead(method string) (head bool, status int) {
	switch method {
	case "GET":
		return false, statusOK
	case "HEAD":
		return true, statusOK
	case "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH": // RFC 9110, section 9.3; RFC 5789
		return false, statusMethodNotAllowed
	}
	return false, statusNotImplemented
}

// fields has the facts of field lines that decide whether a request is refused.
type fields struct {
	hosts, lengths int
	body           bool // Content-Length is not 0
	coded          bool // Transfer-Encoding is there
	unexpected     bool // Expect is not 100-continue
	closes         bool // Connection has close
	timed          bool // the time of the scrape is there
}

// ambiguous reports whether two implementations can read the message differently. minor is that
// of the version 1.x.
func (f *fields) ambiguous(minor byte) bool {
	// RFC 9112, section 3.2: one field Host, or none in HTTP/1.0. Section 6.1: a message with
	// both fields about its length, or with Transfer-Encoding in HTTP/1.0, can be an attack.
	return f.hosts > 1 || f.hosts == 0 && minor > 0 || f.coded && (f.lengths > 0 || minor == 0) || f.lengths > 1
}

// parse parses field lines, up to the empty line. It returns false if a line is malformed.
func (f *fields) parse(q *request, rest string) bool {
	for rest != "\r\n" {
		var line string
		line, rest, _ = strings.Cut(rest, "\r\n")
		// A folded line begins with a space, and a name may not end with one (RFC 9112, sections
		// 5.1 and 5.2). Neither is a token.
		name, value, ok := strings.Cut(line, ":")
		if !ok || !token(name) || !f.add(q, strings.ToLower(name), strings.Trim(value, " \t")) {
			return false
		}
	}
	return true
}

// add adds a field. The name is in lower case. It returns false if the value is malformed.
func (f *fields) add(q *request, name, value string) bool {
	switch name {
	case "host":
		f.hosts++
		q.host = value
		return hostChars(value)
	case "content-length":
		f.lengths++
		for i := range len(value) {
			if !digit(value[i]) {
				return false
			}
			f.body = f.body || value[i] != '0'
		}
		return value != ""
	case "transfer-encoding":
		f.coded = true
	case "expect": // without content, 100 (Continue) is not sent (RFC 9110, section 10.1.1)
		f.unexpected = f.unexpected || !strings.EqualFold(value, "100-continue")
	case "connection": // RFC 9112, section 9.3
		for value != "" {
			var option string
			option, value, _ = strings.Cut(value, ",")
			f.closes = f.closes || strings.EqualFold(strings.Trim(option, " \t"), "close")
		}
	case "accept":
		q.accept = append(q.accept, value)
	case "accept-encoding":
		q.encoding = append(q.encoding, value)
	case "x-prometheus-scrape-timeout-seconds":
		if !f.timed {
			q.timeout, f.timed = value, true
		}
	}
	return true
}

// parseTarget parses a target in origin-form or absolute-form (RFC 9112, sections 3.2.1 and
// 3.2.2), and returns false for others. The host of a target replaces that of the field Host.
func (q *request) parseTarget(target string) bool {
	for i := range len(target) {
		if c := target[i]; c <= ' ' || c >= 0x7f || c == '#' {
			return false
		}
	}
	if target == "" {
		return false
	}
	if target[0] != '/' {
		scheme, rest, ok := strings.Cut(target, "://")
		if !ok || !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https") {
			return false
		}
		end := strings.IndexAny(rest, "/?")
		if end < 0 {
			end = len(rest)
		}
		if q.host, target = rest[:end], rest[end:]; !authority(q.host) {
			return false
		}
	}
	path, query, _ := strings.Cut(target, "?")
	var ok bool
	q.path, ok = unescape(path, false)
	q.query = query
	return ok
}

// parameters returns the values of the query parameters name[], or nil, and reports whether the
// last query parameter metadata is 1. The rules are those of Registry.Handler and
// Registry.JSONHandler.
func (q *request) parameters() (names map[string]bool, metadata bool) {
	for rest, pair := q.query, ""; rest != ""; {
		pair, rest, _ = strings.Cut(rest, "&")
		key, value, _ := strings.Cut(pair, "=")
		key, goodKey := unescape(key, true)
		value, good := unescape(value, true)
		switch {
		case !good || !goodKey:
		case key == "name[]":
			if names == nil {
				names = map[string]bool{}
			}
			names[value] = true
		case key == "metadata":
			metadata = value == "1"
		}
	}
	return names, metadata
}

// unescape decodes percent-encoded bytes (RFC 3986, section 2.1). If plus is true, it decodes "+"
// as a space. It returns false if a "%" has no two digits behind it.
func unescape(s string, plus bool) (string, bool) {
	if strings.IndexByte(s, '%') < 0 && !(plus && strings.IndexByte(s, '+') >= 0) {
		return s, true
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '%':
			if i+2 >= len(s) || hex(s[i+1]) > 15 || hex(s[i+2]) > 15 {
				return "", false
			}
			c = hex(s[i+1])<<4 | hex(s[i+2])
			i += 2
		case c == '+' && plus:
			c = ' '
		}
		b = append(b, c)
	}
	return string(b), true
}

// hex returns the value of a hexadecimal digit, or a number above 15.
func hex(c byte) byte {
	switch {
	case digit(c):
		return c - '0'
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10
	}
	return 255
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

func letter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// token reports whether s is a token (RFC 9110, section 5.6.2).
func token(s string) bool { return s != "" && chars(s, "!#$%&'*+-.^_`|~") }

// hostChars reports whether s has only characters of a host and a port (RFC 3986, section 3.2.2).
func hostChars(s string) bool { return chars(s, "-._~%!$&'()*+,;=:[]") }

// chars reports whether s consists of letters, digits and others of these characters.
func chars(s, others string) bool {
	for i := range len(s) {
		if c := s[i]; !letter(c) && !digit(c) && strings.IndexByte(others, c) < 0 {
			return false
		}
	}
	return true
}

// authority reports whether s is a host, with or without a port, as absolute-form has it. User
// information is refused (RFC 9110, section 4.2.4).
func authority(s string) bool {
	host, port := s, ""
	if strings.HasPrefix(s, "[") {
		address, rest, ok := strings.Cut(s[1:], "]")
		a, err := netip.ParseAddr(address)
		if !ok || err != nil || !a.Is6() || a.Zone() != "" || rest != "" && rest[0] != ':' {
			return false
		}
		host, port = "x", rest
	} else if i := strings.IndexByte(s, ':'); i >= 0 {
		host, port = s[:i], s[i:]
	}
	for i := 1; i < len(port); i++ {
		if !digit(port[i]) {
			return false
		}
	}
	return host != "" && chars(host, "-._~")
}
