package tinyhttp

import (
	"net"
	"strconv"
	"time"
)

// A body writes one response. It gathers up to bodySize bytes for each write to the connection.
type body struct {
	nc      net.Conn
	buf     []byte
	chunked bool // Transfer-Encoding: chunked (RFC 9112, section 7.1)
	chunk   int  // index of the size of the chunk that is gathered, or -1
	err     error
}

const (
	bodySize   = 8 << 10
	sizeField  = "0000\r\n"
	lastChunk  = "0\r\n\r\n"
	maxTrailer = len("\r\n") + len(lastChunk)
)

// Write implements [io.Writer]. It returns the first error of the connection, and writes nothing
// after that error.
func (w *body) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0 && w.err == nil; {
		if w.chunked && w.chunk < 0 {
			w.chunk = len(w.buf)
			w.buf = append(w.buf, sizeField...)
		}
		n := min(len(rest), bodySize-maxTrailer-len(w.buf))
		w.buf = append(w.buf, rest[:n]...)
		if rest = rest[n:]; len(rest) > 0 {
			w.endChunk()
			w.flush()
		}
	}
	if w.err != nil {
		return 0, w.err
	}
	return len(p), nil
}

// endChunk completes the chunk that is gathered.
func (w *body) endChunk() {
	if w.chunk < 0 {
		return
	}
	size := w.buf[w.chunk : w.chunk+4]
	n := len(w.buf) - w.chunk - len(sizeField)
	for i := range size {
		size[i] = "0123456789abcdef"[n>>(12-4*i)&15]
	}
	w.buf = append(w.buf, "\r\n"...)
	w.chunk = -1
}

// end completes the response. It must not be called for a body that lacks bytes: without the last
// chunk a client sees that the body is incomplete (RFC 9112, section 8).
func (w *body) end() error {
	if w.chunked {
		w.endChunk()
		w.buf = append(w.buf, lastChunk...)
	}
	w.flush()
	return w.err
}

func (w *body) flush() {
	if w.err == nil {
		_, w.err = w.nc.Write(w.buf)
	}
	w.buf = w.buf[:0]
}

// reason returns the reason phrase of a status code.
func reason(status int) string {
	switch status {
	case statusOK:
		return "OK"
	case statusNotFound:
		return "Not Found"
	case statusMethodNotAllowed:
		return "Method Not Allowed"
	case statusRequestTimeout:
		return "Request Timeout"
	case statusContentTooLarge:
		return "Content Too Large"
	case statusURITooLong:
		return "URI Too Long"
	case statusExpectationFailed:
		return "Expectation Failed"
	case statusFieldsTooLarge:
		return "Request Header Fields Too Large"
	case statusNotImplemented:
		return "Not Implemented"
	case statusServiceUnavailable:
		return "Service Unavailable"
	case statusVersionNotSupported:
		return "HTTP Version Not Supported"
	}
	return "Bad Request"
}

// appendHead appends the status line and the fields of all responses.
func appendHead(b []byte, status int, contentType string) []byte {
	b = append(b, "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(b, ' ')
	b = append(b, reason(status)...)
	b = append(b, "\r\nDate: "...)
	b = appendDate(b, time.Now())
	b = append(b, "\r\nContent-Type: "...)
	return append(b, contentType...)
}

// appendError appends a response with an error status, which ends the connection. If head is true,
// the response has no body.
func appendError(b []byte, status int, head bool) []byte {
	fields := "\r\nX-Content-Type-Options: nosniff\r\nConnection: close"
	switch status {
	case statusMethodNotAllowed: // RFC 9110, section 15.5.6
		fields += "\r\nAllow: GET, HEAD"
	case statusServiceUnavailable:
		fields += "\r\nRetry-After: 1"
	}
	text := reason(status) + "\n"
	fields += "\r\nContent-Length: " + strconv.Itoa(len(text)) + "\r\n\r\n"
	if !head {
		fields += text
	}
	return append(appendHead(b, status, "text/plain; charset=utf-8"), fields...)
}

// appendDate appends a time as the field Date has it (RFC 9110, section 5.6.7). time.Time.Format
// is larger; see internal/SIZE.md.
func appendDate(b []byte, t time.Time) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	b = append(b, "Sun, 00 Jan 0000 00:00:00 GMT"...)
	date := b[len(b)-29:]
	copy(date, "SunMonTueWedThuFriSat"[3*t.Weekday():][:3])
	copy(date[8:], "JanFebMarAprMayJunJulAugSepOctNovDec"[3*(month-1):][:3])
	for _, f := range [...]struct{ at, n int }{{5, day}, {12, year / 100}, {14, year}, {17, hour}, {20, minute}, {23, second}} {
		date[f.at], date[f.at+1] = byte('0'+f.n/10%10), byte('0'+f.n%10)
	}
	return b
}
