//go:build !tacho_nohttp

package push

import (
	"fmt"
	"net/http"
	"strconv"
	"time"
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
// A receiver of version 2.0 responds to a request that it read with Written fields. A success without
// these fields shows that a receiver of version 1.0 read nothing. The status 400 without these fields
// shows that the receiver does not know the message ("Unsupported Request Content").
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
