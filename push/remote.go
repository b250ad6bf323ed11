//go:build !tacho_nohttp

package push

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/tachikoma/tacho/internal/escape"
)

// maxSeries is the maximum number of series in a remote write request. Prometheus has
// the same default.
const maxSeries = 2000

// A remoteWriter converts an OpenMetrics exposition into remote write requests
// (prometheus.io, "Remote-Write 1.0 specification"). A full request is compressed at
// once. The memory in use therefore exceeds the size of the compressed requests only a
// little.
type remoteWriter struct {
	labels []label // added to every series, short names first, without empty values
	now    int64   // Unix milliseconds
	seen   func(key []byte, timed bool)
	held   map[string]struct{} // keys of the series for requests of their own; may be nil

	main, separate requests

	partial []byte // the beginning of an incomplete line
	buf     []byte // scratch: a TimeSeries
	sample  sample // scratch
}

// requests are the requests with some of the series.
type requests struct {
	done   [][]byte // compressed
	open   []byte   // the current WriteRequest, not compressed
	series int      // number of series in open
}

// append appends a TimeSeries message.
func (r *requests) append(series []byte) {
	r.open = appendSeries(r.open, series)
	if r.series++; r.series == maxSeries {
		r.compress()
	}
}

// compress moves the current request to r.done, unless the request is empty.
func (r *requests) compress() {
	if r.series > 0 {
		r.done = append(r.done, snappy(r.open))
	}
	r.open, r.series = r.open[:0], 0
}

// A sample is one line of an exposition.
type sample struct {
	labels []label // with __name__ first
	value  float64
	timed  bool
	at     int64 // Unix milliseconds; valid if timed
}

// Write converts the complete lines in p and keeps an incomplete line for the next
// call.
func (w *remoteWriter) Write(p []byte) (int, error) {
	n := len(p)
	for {
		end := bytes.IndexByte(p, '\n')
		if end < 0 {
			w.partial = append(w.partial, p...)
			return n, nil
		}
		line := p[:end]
		if len(w.partial) > 0 {
			line = append(w.partial, line...)
			w.partial = line[:0]
		}
		if len(line) > 0 && line[0] != '#' {
			if err := w.sample.parse(string(line)); err != nil {
				return 0, err
			}
			w.add(&w.sample)
		}
		p = p[end+1:]
	}
}

// finish returns the compressed bodies of all requests. The last separate bodies have the
// series in w.held. Without any series, there is one empty request.
func (w *remoteWriter) finish() (bodies [][]byte, separate int) {
	w.main.compress()
	w.separate.compress()
	bodies = append(w.main.done, w.separate.done...)
	if len(bodies) == 0 {
		bodies = append(bodies, snappy(nil))
	}
	return bodies, len(w.separate.done)
}

// add appends a series with one sample to the request.
func (w *remoteWriter) add(s *sample) {
	s.labels = slices.DeleteFunc(s.labels, func(l label) bool { return l.value == "" }) // an empty label is no label
	own := len(s.labels)
	s.labels = append(s.labels, w.labels...)
	for i := own; i < len(s.labels); i++ {
		s.renameConflict(s.labels[:own], s.labels[i].name)
	}
	// The specification requires labels sorted by name.
	slices.SortFunc(s.labels, func(a, b label) int { return strings.Compare(a.name, b.name) })
	at := w.now
	if s.timed {
		at = s.at
	}
	b := w.buf[:0]
	for _, l := range s.labels {
		// Field labels = 1: Label{name = 1, value = 2}.
		b = append(b, 1<<3|wireBytes)
		b = binary.AppendUvarint(b, uint64(sizeString(l.name)+sizeString(l.value)))
		b = appendString(append(b, 1<<3|wireBytes), l.name)
		b = appendString(append(b, 2<<3|wireBytes), l.value)
	}
	if w.seen != nil {
		w.seen(b, s.timed)
	}
	w.append(b, math.Float64bits(s.value), at)
}

// append appends a series with one sample to a request. key is the encoded labels, and
// bits is the value. key may share the memory of w.buf.
//
// The value is not a float64, because some processors change the bits of a stale marker.
func (w *remoteWriter) append(key []byte, bits uint64, at int64) {
	to := &w.main
	if _, held := w.held[string(key)]; held {
		to = &w.separate
	}
	// Field samples = 2: Sample{value = 1, timestamp = 2}.
	b := append(key, 2<<3|wireBytes)
	b = binary.AppendUvarint(b, uint64(1+8+1+sizeUvarint(uint64(at))))
	b = binary.LittleEndian.AppendUint64(append(b, 1<<3|wireFixed64), bits)
	b = binary.AppendUvarint(append(b, 2<<3|wireVarint), uint64(at))
	w.buf = b
	to.append(b)
}

// appendSeries appends the field timeseries = 1 of a WriteRequest.
func appendSeries(request, series []byte) []byte {
	request = binary.AppendUvarint(append(request, 1<<3|wireBytes), uint64(len(series)))
	return append(request, series...)
}

// splitSeries returns the TimeSeries messages of a compressed WriteRequest. The package
// made the request, so it is not malformed.
func splitSeries(body []byte) (all [][]byte) {
	request, _ := unsnappy(body)
	for len(request) > 0 {
		size, n := binary.Uvarint(request[1:])
		end := 1 + n + int(size)
		all = append(all, request[1+n:end:end])
		request = request[end:]
	}
	return all
}

// seriesKey returns the encoded labels at the beginning of a TimeSeries message.
func seriesKey(series []byte) []byte {
	end := 0
	for series[end] == 1<<3|wireBytes {
		size, n := binary.Uvarint(series[end+1:])
		end += 1 + n + int(size)
	}
	return series[:end]
}

// Wire types of protocol buffers (protobuf.dev, "Encoding").
const (
	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2
)

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// sizeString returns the encoded size of a string field, tag included.
func sizeString(s string) int { return 1 + sizeUvarint(uint64(len(s))) + len(s) }

func sizeUvarint(v uint64) int {
	n := 1
	for ; v >= 1<<7; v >>= 7 {
		n++
	}
	return n
}

// renameConflict adds the prefix exported_ to the label called name in own, if own
// has such a label. A scrape renames conflicting labels in the same way. Without the
// label, two different series could become equal.
func (s *sample) renameConflict(own []label, name string) {
	i := slices.IndexFunc(own, func(l label) bool { return l.name == name })
	if i < 0 {
		return
	}
	for slices.ContainsFunc(s.labels, func(l label) bool { return l.name == name }) {
		name = "exported_" + name
	}
	own[i].name = name
}

var errLine = errors.New("tacho: push: malformed line in the exposition")

// parse sets s to the sample in line, in the format of OpenMetrics 1.0. It ignores the
// exemplar, because remote write 1.0 cannot carry exemplars. The labels of s are
// substrings of line.
func (s *sample) parse(line string) error {
	s.labels = s.labels[:0]
	end := strings.IndexAny(line, "{ ")
	if end <= 0 {
		return errLine
	}
	s.labels = append(s.labels, label{"__name__", line[:end]})
	line = line[end:]
	if line[0] == '{' {
		var ok bool
		if line, ok = s.parseLabels(line[1:]); !ok {
			return errLine
		}
	}
	line, ok := strings.CutPrefix(line, " ")
	if !ok {
		return errLine
	}
	line, _, _ = strings.Cut(line, " # ")
	var err error
	var value, at string
	value, at, s.timed = strings.Cut(line, " ")
	if s.value, err = strconv.ParseFloat(value, 64); err != nil {
		return errLine
	}
	if s.timed {
		seconds, err := strconv.ParseFloat(at, 64)
		if err != nil || !(seconds >= 0 && seconds < 1e12) {
			return errLine
		}
		s.at = int64(math.Round(seconds * 1e3))
	}
	return nil
}

// parseLabels parses labels up to the closing brace. It returns the rest of line.
func (s *sample) parseLabels(line string) (string, bool) {
	for {
		name, rest, ok := strings.Cut(line, `="`)
		if !ok {
			return "", false
		}
		value, rest, ok := escape.Unquote(rest)
		if !ok || rest == "" {
			return "", false
		}
		s.labels = append(s.labels, label{name, value})
		switch line = rest[1:]; rest[0] {
		case '}':
			return line, true
		case ',':
		default:
			return "", false
		}
	}
}
