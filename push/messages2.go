//go:build !tacho_nohttp

package push

import (
	"encoding/binary"

	"github.com/tachikoma/tacho/internal/wire"
)

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
		case wire.Write2Symbol:
			q.symbols = append(q.symbols, f.bytes)
		case wire.Write2Series:
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
		if f.tag != wire.Write2Refs {
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
	j.request = append(j.request, wire.Write2Symbol, 0)
	j.used = 1
	var all []byte
	for _, s := range series {
		message, ok := j.timeSeries(s)
		if !ok {
			return nil, false
		}
		all = appendBytes(append(all, wire.Write2Series), message)
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
		return 0, false
	case len(j.q.symbols[old]) == 0:
		return 0, true
	case j.refs[old] == 0:
		j.refs[old] = j.used
		j.used++
		j.request = appendBytes(append(j.request, wire.Write2Symbol), j.q.symbols[old])
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
		case wire.Write2Refs:
			part, ok = j.labels(f.bytes)
		case wire.Write2Exemplar, wire.Write2Metadata:
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
		case kind == wire.Write2Exemplar && f.tag == wire.Write2Refs:
			refs, ok := j.labels(f.bytes)
			if !ok {
				return nil, false
			}
			message = appendBytes(append(message, wire.Write2Refs), refs)
		case kind == wire.Write2Metadata && (f.tag == wire.Write2Help || f.tag == wire.Write2Unit):
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

// counts are numbers of elements in a request.
type counts struct{ samples, histograms, exemplars int64 }

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
		if f.tag != wire.Write2Series {
			continue
		}
		for series := f.bytes; len(series) > 0; {
			f, rest, ok := cutField(series)
			if series = rest; !ok {
				return c, false
			}
			switch f.tag {
			case wire.Write2Sample:
				c.samples++
			case wire.Write2Histogram:
				c.histograms++
			case wire.Write2Exemplar:
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
			case wire.Write2Sample:
				message, ok = appendOld(message, wire.WriteSample, f.bytes)
			case wire.Write2Histogram:
				message, ok = appendOld(message, wire.WriteHistogram, f.bytes)
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
		case wire.Write2SampleStart, wire.WriteStart, wire.WriteCustom: // no field of the other message has such a tag
		default:
			part = append(part, message[:len(message)-len(rest)]...)
		}
		message = rest
	}
	return appendBytes(append(b, tag), part), true
}
