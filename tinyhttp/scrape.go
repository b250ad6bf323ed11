package tinyhttp

import (
	"io"
	"time"

	"github.com/tachikoma/tacho/internal/accept"
	"github.com/tachikoma/tacho/internal/expo"
	"github.com/tachikoma/tacho/internal/gzip"
	"github.com/tachikoma/tacho/internal/names"
)

// A scrape is a request for metrics, with its response.
type scrape struct {
	c           *conn
	q           *request
	json        bool
	metadata    bool // the query parameter
	zip         bool // the body is compressed
	contentType string
	status      int
	body        body
}

// respond writes the response to q. It returns statusOK, or the status of an error of which
// nothing was written. A response that cannot be completed ends the connection.
func (c *conn) respond(q *request) (status int) {
	timeout := c.s.writeTimeout()
	if err := c.nc.SetDeadline(time.Now().Add(timeout)); err != nil || c.stopped() {
		c.leave()
		return statusOK
	}
	json := c.s.json != nil && q.path == c.s.jsonPath
	if !json && q.path != c.s.path() {
		return statusNotFound
	}
	if c.out == nil {
		c.out = make([]byte, 0, bodySize)
	}
	p := &scrape{c: c, q: q, json: json, zip: accept.Gzip(q.encoding), status: statusServiceUnavailable,
		body: body{nc: c.nc, buf: c.out, chunked: q.minor > 0 && !q.head, chunk: -1}}
	req := &expo.Request{Done: c.gone, Timeout: functionTime(q, timeout), Choose: p.choose, Respond: p.write}
	req.Names, p.metadata = q.parameters()
	if !q.head {
		defer c.watch()()
	}
	if err := c.s.registry().WriteOpenMetrics(req); err != nil || p.body.err != nil {
		c.abort()
	}
	return p.status
}

// functionTime returns the time of the functions of a scrape. The rules are those of
// Registry.Handler, except that functions have 5 seconds at most without the header.
func functionTime(q *request, limit time.Duration) time.Duration {
	share := func(d time.Duration) time.Duration { return d - d/10 }
	if d := accept.Timeout(q.timeout); d > 0 {
		return share(min(d, limit))
	}
	return min(share(limit), 5*time.Second)
}

// choose is the function Choose of an [expo.Request]. It completes the response to HEAD.
func (p *scrape) choose(protobuf *expo.Format, utf8 bool) (*expo.Format, names.Scheme) {
	var format *expo.Format
	scheme := names.Scheme(names.AllowUTF8)
	if p.json {
		p.contentType, format = "application/json", p.c.s.json(p.metadata)
	} else {
		f := accept.Negotiate(p.q.accept, protobuf != nil, false)
		p.contentType, format, scheme = f.ContentType(utf8), &expo.Text, f.Names
		switch {
		case f.Protobuf:
			format = protobuf
		case f.Open:
			format = &expo.OpenMetrics
		}
	}
	if p.q.head {
		p.begin()
		_ = p.body.end()
		return nil, scheme
	}
	return format, scheme
}

// write is the function Respond of an [expo.Request].
func (p *scrape) write(write func(io.Writer) error) (err error) {
	p.begin()
	if p.zip {
		err = gzip.Write(&p.body, write)
	} else {
		err = write(&p.body)
	}
	if err == nil {
		err = p.body.end()
	}
	return err
}

// begin appends the head of the response to the body.
func (p *scrape) begin() {
	p.status = statusOK
	fields := "\r\nVary: Accept, Accept-Encoding"
	if p.json {
		fields = "\r\nVary: Accept-Encoding"
	}
	if p.zip {
		fields += "\r\nContent-Encoding: gzip"
	}
	if p.body.chunked {
		fields += "\r\nTransfer-Encoding: chunked"
	}
	if p.q.close = !p.c.keeps(p.q); p.q.close {
		fields += "\r\nConnection: close"
	}
	p.body.buf = append(appendHead(p.body.buf, statusOK, p.contentType), fields+"\r\n\r\n"...)
}
