//go:build !tacho_nohttp

package push

import (
	"encoding/binary"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/tachikoma/tacho/internal/wire"
)

// The tags of the messages of remote write 2.0 (prompb/io/prometheus/write/v2, types.proto).
const (
	requestSymbol = 4<<3 | wire.Bytes
	requestSeries = 5<<3 | wire.Bytes

	seriesLabels    = 1<<3 | wire.Bytes // packed references; also of an exemplar
	seriesSample    = 2<<3 | wire.Bytes
	seriesHistogram = 3<<3 | wire.Bytes
	seriesExemplar  = 4<<3 | wire.Bytes
	seriesMetadata  = 5<<3 | wire.Bytes

	sampleStart     = 3<<3 | wire.Varint
	metadataHelp    = 3<<3 | wire.Varint
	metadataUnit    = 4<<3 | wire.Varint
	histogramCustom = 16<<3 | wire.Bytes
	histogramStart  = 17<<3 | wire.Varint
)

// askAgain is the time after which a pusher asks a receiver for remote write 2.0 again.
const askAgain = time.Hour

// remoteHeader returns the header fields of a remote write request.
func remoteHeader(version int) http.Header {
	h := http.Header{
		"Content-Type":                      {"application/x-protobuf"},
		"Content-Encoding":                  {"snappy"},
		"X-Prometheus-Remote-Write-Version": {"0.1.0"}, // the header value of version 1.0
	}
	if version == 2 {
		h.Set("Content-Type", "application/x-protobuf;proto=io.prometheus.write.v2.Request")
		h.Set("X-Prometheus-Remote-Write-Version", "2.0.0")
	}
	return h
}

// fallBack makes this push and the next ones use version 1.0.
func (r *receiver) fallBack() {
	r.version, r.again = 1, r.clock().Add(askAgain)
}

// negotiate sets the version of the next push. After a time with version 1.0, the push asks the
// receiver for version 2.0 again.
func (r *receiver) negotiate() {
	if r.version2 && r.version == 1 && !r.clock().Before(r.again) {
		r.version = 2
	}
}

// written has the values of the header fields X-Prometheus-Remote-Write-*-Written.
type written struct {
	counts
	present bool // there is such a field
	valid   bool // all fields have a valid value
}

// counts are numbers of elements in a request.
type counts struct{ samples, histograms, exemplars int64 }

// readWritten reads the header of a response. A missing field means 0, if another is present
// (remote write specification 2.0, "Required Written Response Headers").
func readWritten(h http.Header) written {
	w := written{valid: true}
	for _, f := range []struct {
		name  string
		value *int64
	}{
		{"X-Prometheus-Remote-Write-Samples-Written", &w.samples},
		{"X-Prometheus-Remote-Write-Histograms-Written", &w.histograms},
		{"X-Prometheus-Remote-Write-Exemplars-Written", &w.exemplars},
	} {
		values := h[f.name]
		if len(values) == 0 {
			continue
		}
		w.present = true
		n, err := strconv.ParseUint(values[0], 10, 63)
		if err != nil || len(values) > 1 {
			w.valid = false
		}
		*f.value = int64(n)
	}
	return w
}

// examine implements [examiner]. It completes the outcome of a request of version 2.0.
//
// A receiver of version 2.0 responds to a request that it read with Written fields. Without these
// fields, a success shows that a receiver of version 1.0 read nothing, and the status 400 that it does
// not know the message ("Unsupported Request Content").
func (r *receiver) examine(p *Pusher, body []byte, o *outcome) {
	if r.version != 2 || o.retry {
		return
	}
	w := readWritten(o.header)
	ok := o.status/100 == 2
	switch {
	case o.status == http.StatusUnsupportedMediaType, !w.present && (ok || o.status == http.StatusBadRequest):
		o.unsupported = true
		if ok {
			o.err = fmt.Errorf("tacho: push: %s %s: status %d without the header fields of remote write 2.0", p.dest.method, p.publicURL, o.status)
		}
		return
	case !w.present || !w.valid || !ok && o.status/100 != 4:
		return
	}
	sent := r.count(body)
	all := sent.samples + sent.histograms
	o.unwritten = max(0, sent.samples-w.samples) + max(0, sent.histograms-w.histograms)
	o.wrote = o.unwritten < all
	switch {
	case ok && o.unwritten > 0:
		o.final, o.reply = true, "" // "Senders MUST ignore the response body"
		o.err = fmt.Errorf("tacho: push: %s %s: status %d, but the receiver wrote only %d of %d samples", p.dest.method, p.publicURL, o.status, all-o.unwritten, all)
	case ok:
	case o.becauseOfSamples() && o.wrote && o.unwritten == 0 && w.exemplars < sent.exemplars:
		// The receiver refused nothing but exemplars, for example older ones than that of an earlier push.
		o.err = nil
	default:
		// If the receiver wrote nothing, it may refuse a request because of one sample.
		o.final = o.wrote || !o.becauseOfSamples()
	}
}

// A request2 is a message Request of remote write 2.0.
type request2 struct {
	symbols [][]byte
	series  [][]byte // messages TimeSeries
}

// parseRequest splits a message Request.
func parseRequest(request []byte) (q request2, ok bool) {
	for len(request) > 0 {
		f, rest, ok := cutField(request)
		if !ok {
			return q, false
		}
		switch f.tag {
		case requestSymbol:
			q.symbols = append(q.symbols, f.bytes)
		case requestSeries:
			q.series = append(q.series, f.bytes)
		}
		request = rest
	}
	return q, true
}

// openRequest decompresses and splits a request.
func openRequest(body []byte) (q request2, ok bool) {
	request, err := unsnappy(body)
	if err != nil {
		return q, false
	}
	return parseRequest(request)
}

// symbol returns the symbol at the beginning of the packed references refs, and the rest of refs.
func (q *request2) symbol(refs []byte) (text, rest []byte, ok bool) {
	ref, n := binary.Uvarint(refs)
	if n <= 0 || ref >= uint64(len(q.symbols)) {
		return nil, nil, false
	}
	return q.symbols[ref], refs[n:], true
}

// appendKey appends the labels of a series as they are encoded in version 1.0.
func (q *request2) appendKey(b, series []byte) (key []byte, ok bool) {
	for len(series) > 0 {
		f, rest, ok := cutField(series)
		if series = rest; !ok {
			return b, false
		}
		if f.tag != seriesLabels {
			continue
		}
		for refs := f.bytes; len(refs) > 0; {
			var name, value []byte
			if name, refs, ok = q.symbol(refs); !ok {
				return b, false
			}
			if value, refs, ok = q.symbol(refs); !ok {
				return b, false
			}
			b = appendLabel(b, string(name), string(value))
		}
	}
	return b, true
}

// join returns a message Request with some of the series of q. It has only the symbols of these
// series.
func (q *request2) join(series [][]byte) (request []byte, ok bool) {
	j := joiner{q: q, refs: make([]uint32, len(q.symbols))}
	j.request = append(j.request, requestSymbol, 0)
	j.used = 1
	var all []byte
	for _, s := range series {
		message, ok := j.timeSeries(s)
		if !ok {
			return nil, false
		}
		all = appendBytes(append(all, requestSeries), message)
	}
	return append(j.request, all...), true
}

// A joiner makes a request with a table of symbols of its own.
type joiner struct {
	q       *request2
	request []byte   // the symbols
	refs    []uint32 // new references by old ones; 0 for a symbol without a new one
	used    uint32   // number of symbols
}

// ref returns the new reference for an old one. The reference 0 is the empty string.
func (j *joiner) ref(old uint64) (ref uint64, ok bool) {
	switch {
	case old >= uint64(len(j.refs)):
		return 0, old == 0 // the symbols of an empty request may be missing
	case len(j.q.symbols[old]) == 0:
		return 0, true
	case j.refs[old] == 0:
		j.refs[old] = j.used
		j.used++
		j.request = appendBytes(append(j.request, requestSymbol), j.q.symbols[old])
	}
	return uint64(j.refs[old]), true
}

// labels returns packed references.
func (j *joiner) labels(old []byte) (refs []byte, ok bool) {
	for len(old) > 0 {
		ref, n := binary.Uvarint(old)
		if n <= 0 {
			return nil, false
		}
		if ref, ok = j.ref(ref); !ok {
			return nil, false
		}
		refs, old = binary.AppendUvarint(refs, ref), old[n:]
	}
	return refs, true
}

// timeSeries returns a message TimeSeries with new references.
func (j *joiner) timeSeries(old []byte) (message []byte, ok bool) {
	for len(old) > 0 {
		f, rest, ok := cutField(old)
		if !ok {
			return nil, false
		}
		var part []byte
		switch f.tag {
		case seriesLabels:
			part, ok = j.labels(f.bytes)
		case seriesExemplar, seriesMetadata:
			part, ok = j.references(f.bytes, f.tag)
		default:
			message, old = append(message, old[:len(old)-len(rest)]...), rest
			continue
		}
		if !ok {
			return nil, false
		}
		message = appendBytes(append(message, byte(f.tag)), part)
		old = rest
	}
	return message, true
}

// references returns a message Exemplar or Metadata with new references. kind is the tag of the message.
func (j *joiner) references(old []byte, kind uint64) (message []byte, ok bool) {
	for len(old) > 0 {
		f, rest, ok := cutField(old)
		if !ok {
			return nil, false
		}
		switch {
		case kind == seriesExemplar && f.tag == seriesLabels:
			refs, ok := j.labels(f.bytes)
			if !ok {
				return nil, false
			}
			message = appendBytes(append(message, seriesLabels), refs)
		case kind == seriesMetadata && (f.tag == metadataHelp || f.tag == metadataUnit):
			ref, ok := j.ref(f.value)
			if !ok {
				return nil, false
			}
			message = binary.AppendUvarint(append(message, byte(f.tag)), ref)
		default:
			message = append(message, old[:len(old)-len(rest)]...)
		}
		old = rest
	}
	return message, true
}

// count counts the elements of a compressed request.
func (r *receiver) count(body []byte) counts {
	if p := r.current; p != nil {
		for i, b := range p.bodies {
			if len(b) > 0 && len(body) > 0 && &b[0] == &body[0] && i < len(p.counts) {
				return p.counts[i]
			}
		}
	}
	c, _ := countRequest(body) // a part of a request of the push
	return c
}

// countRequest counts the elements of a compressed request.
func countRequest(body []byte) (c counts, ok bool) {
	request, err := unsnappy(body)
	if err != nil {
		return c, false
	}
	for len(request) > 0 {
		f, rest, ok := cutField(request)
		if request = rest; !ok {
			return c, false
		}
		if f.tag != requestSeries {
			continue
		}
		for series := f.bytes; len(series) > 0; {
			f, rest, ok := cutField(series)
			if series = rest; !ok {
				return c, false
			}
			switch f.tag {
			case seriesSample:
				c.samples++
			case seriesHistogram:
				c.histograms++
			case seriesExemplar:
				c.exemplars++
			}
		}
	}
	return c, true
}

// downgrade converts a compressed request of version 2.0 to version 1.0. It leaves out the elements
// that a push of version 1.0 does not contain: start times, metadata and exemplars.
func downgrade(body []byte) (old []byte, ok bool) {
	q, ok := openRequest(body)
	if !ok {
		return nil, false
	}
	var request, message []byte
	for _, series := range q.series {
		if message, ok = q.appendKey(message[:0], series); !ok {
			return nil, false
		}
		for len(series) > 0 {
			f, rest, ok := cutField(series)
			if !ok {
				return nil, false
			}
			switch f.tag {
			case seriesSample:
				message, ok = appendOld(message, 2<<3|wire.Bytes, f.bytes)
			case seriesHistogram:
				message, ok = appendOld(message, 4<<3|wire.Bytes, f.bytes)
			}
			if !ok {
				return nil, false
			}
			series = rest
		}
		request = appendSeries(request, message)
	}
	return snappy(request), true
}

// appendOld appends a Sample or a Histogram of version 2.0 as a field of version 1.0.
func appendOld(b []byte, tag byte, message []byte) (_ []byte, ok bool) {
	var part []byte
	for len(message) > 0 {
		f, rest, ok := cutField(message)
		if !ok {
			return b, false
		}
		switch f.tag {
		case sampleStart, histogramStart, histogramCustom: // no field of the other message has such a tag
		default:
			part = append(part, message[:len(message)-len(rest)]...)
		}
		message = rest
	}
	return appendBytes(append(b, tag), part), true
}
