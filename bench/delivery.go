package bench

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/klauspost/compress/snappy"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
)

// pushURL is the URL of all pushes. No connection is made.
const pushURL = "http://receiver.invalid/api/v1/write"

// A delivery is a push in a format, with the transport of the push. The transport reads and
// discards each body, and responds as a receiver does. All sides send through the same transport.
type delivery struct {
	format  format
	send    func() error
	keeping bool     // the bodies are kept
	bodies  [][]byte // as sent
	headers []http.Header
	answers []http.Header // by request of a push
	next    int           // index in answers
}

func (d *delivery) client() *http.Client { return &http.Client{Transport: d} }

// started pushes once, so that later pushes have answers.
func (d *delivery) started() *delivery {
	if err := d.keep(); err != nil {
		panic(err)
	}
	return d
}

// keep pushes once and keeps the bodies.
func (d *delivery) keep() error {
	d.keeping, d.bodies, d.headers, d.answers = true, nil, nil, nil
	defer func() { d.keeping = false }()
	return d.push()
}

// push pushes once.
func (d *delivery) push() error {
	d.next = 0
	if err := d.send(); err != nil {
		return err
	}
	if d.next != len(d.answers) {
		return fmt.Errorf("%d requests, want %d as in the first push", d.next, len(d.answers))
	}
	return nil
}

// RoundTrip implements [http.RoundTripper].
func (d *delivery) RoundTrip(req *http.Request) (*http.Response, error) {
	defer req.Body.Close()
	if d.keeping {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		answer, err := d.answer(body, req.Header)
		if err != nil {
			return nil, err
		}
		d.bodies, d.headers, d.answers = append(d.bodies, body), append(d.headers, req.Header), append(d.answers, answer)
	} else if _, err := io.Copy(io.Discard, req.Body); err != nil {
		return nil, err
	}
	status := http.StatusNoContent
	if d.format == otlp {
		status = http.StatusOK
	}
	d.next++
	return &http.Response{StatusCode: status, Status: strconv.Itoa(status) + " " + http.StatusText(status),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: d.answers[d.next-1], Body: http.NoBody, Request: req}, nil
}

// answer returns the header of the response to a body. A receiver of remote write 2.0 responds with
// the numbers of samples and histograms.
func (d *delivery) answer(body []byte, h http.Header) (http.Header, error) {
	message, err := d.message(body, h)
	if err != nil {
		return nil, err
	}
	if d.format != remoteWrite2 {
		return http.Header{}, nil
	}
	var req writev2.Request
	if err := req.Unmarshal(message); err != nil {
		return nil, err
	}
	samples, histograms := 0, 0
	for _, s := range req.Timeseries {
		samples += len(s.Samples)
		histograms += len(s.Histograms)
	}
	return http.Header{
		"X-Prometheus-Remote-Write-Samples-Written":    {strconv.Itoa(samples)},
		"X-Prometheus-Remote-Write-Histograms-Written": {strconv.Itoa(histograms)},
		"X-Prometheus-Remote-Write-Exemplars-Written":  {"0"},
	}, nil
}

// message returns the protobuf message of a body. The headers must be those of the format.
func (d *delivery) message(body []byte, h http.Header) ([]byte, error) {
	version, contentType, encoding := "", "application/x-protobuf", ""
	switch d.format {
	case remoteWrite1:
		version, encoding = "0.1.0", "snappy"
	case remoteWrite2:
		version, encoding, contentType = "2.0.0", "snappy", contentType+";proto=io.prometheus.write.v2.Request"
	}
	for name, want := range map[string]string{
		"X-Prometheus-Remote-Write-Version": version, "Content-Type": contentType, "Content-Encoding": encoding} {
		if got := h.Get(name); got != want {
			return nil, fmt.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if encoding == "" {
		return body, nil
	}
	return snappy.Decode(nil, body)
}

// messages pushes once, and writes the protobuf messages of all requests to w. The length of a
// message precedes the message.
func (d *delivery) messages(w io.Writer) error {
	if err := d.keep(); err != nil {
		return err
	}
	for i, body := range d.bodies {
		message, err := d.message(body, d.headers[i])
		if err != nil {
			return err
		}
		if _, err := w.Write(append(binary.AppendUvarint(nil, uint64(len(message))), message...)); err != nil {
			return err
		}
	}
	return nil
}

// replay returns a delivery that sends the bodies of d.
func (d *delivery) replay() *delivery {
	if err := d.keep(); err != nil {
		panic(err)
	}
	bodies, headers := d.bodies, d.headers
	bare := &delivery{format: d.format}
	client := bare.client()
	bare.send = func() error {
		for i, body := range bodies {
			req, err := http.NewRequest(http.MethodPost, pushURL, bytes.NewReader(body))
			if err != nil {
				return err
			}
			req.Header = headers[i]
			resp, err := client.Do(req)
			if err != nil {
				return err
			}
			resp.Body.Close()
		}
		return nil
	}
	return bare.started()
}

// pushSide returns a side that pushes. The pushes take turns. For Bare, the side sends the bodies
// of the pushes.
func pushSide(peer string, pushes ...*delivery) Side {
	if peer == Bare {
		pushes = []*delivery{pushes[0].replay()}
	}
	turn := 0
	return Side{Peer: peer, Scrape: pushes[0].messages, Run: func(from, to int) {
		for range to - from {
			turn = (turn + 1) % len(pushes)
			if err := pushes[turn].push(); err != nil {
				panic(err)
			}
		}
	}}
}
