//go:build !tacho_nohttp

package push

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/tachikoma/tacho"
)

// staleMarker is the bits of the value that ends a series (prometheus.io, "Remote-Write
// 1.0 specification", section "Stale Markers").
const staleMarker = 0x7ff0000000000002

// markerAge limits the time for which a stale marker is sent again after failed pushes.
// After the lookback time of Prometheus, the series is not visible anyway.
const markerAge = 5 * time.Minute

// A receiver describes what a remote write receiver got. It is used by one goroutine at a
// time.
type receiver struct {
	targets  []pair // labels of every series
	noNative bool
	clock    func() time.Time
	last     int64 // time of the latest push in Unix milliseconds
	accepted int64 // time of the latest accepted push in Unix milliseconds
	newest   int64 // the maximum of accepted; larger after the clock went back

	pushes   uint64
	series   map[string]*sentSeries // by encoded labels; nil without stale markers
	suspects map[string]struct{}    // the series that were refused in the latest push
	// refusedAlone is the number of suspects that were refused in requests of their own
	// since a further request with suspects was accepted.
	refusedAlone int
	resume       string // the key of the suspect to begin with
}

// A sentSeries is a series that the receiver may have.
type sentSeries struct {
	native  bool
	push    uint64 // the number of the latest push with the series
	missing int64  // time of the first push without the series in Unix milliseconds, or 0
}

func newReceiver(labels []label, markers bool) *receiver {
	r := &receiver{clock: time.Now}
	for _, l := range labels {
		r.targets = append(r.targets, pair{[]byte(l.name), appendLabel(nil, l.name, l.value)})
	}
	if markers {
		r.series = map[string]*sentSeries{}
	}
	return r
}

func (*receiver) retryable(status int) bool { return retryable(status) }

// A remotePush is an encoded push.
type remotePush struct {
	at       int64    // Unix milliseconds
	bodies   [][]byte // compressed requests
	separate int      // number of requests at the end that contain suspects
	empty    bool     // there are no series
	fresh    []freshSeries
	ended    []string // keys of series with a stale marker
}

// A freshSeries is a series that no earlier push contained.
type freshSeries struct {
	key    string
	native bool
}

// now returns the time of a push. It differs from the time of the push before: a receiver
// refuses a second value for the same time.
func (r *receiver) now() int64 {
	now := r.clock().UnixMilli()
	if now == r.last {
		time.Sleep(time.Millisecond)
		now = r.clock().UnixMilli()
	}
	r.last = now
	return now
}

// encode encodes the metrics of reg. If the exposition is larger than limit bytes, encode
// returns errTooLarge. If ctx ends, encode returns an error.
func (r *receiver) encode(ctx context.Context, reg *tacho.Registry, limit int64) (*remotePush, error) {
	p := &remotePush{at: r.now()}
	w := &remoteWriter{targets: r.targets, noNative: r.noNative, now: p.at, left: limit, held: r.suspects}
	r.pushes++
	present := 0 // number of series of r.series in this push
	if r.series != nil {
		w.seen = func(key []byte, native, timed bool) {
			s := r.series[string(key)]
			switch {
			case s == nil && !timed:
				p.fresh = append(p.fresh, freshSeries{string(key), native})
			case s != nil && s.push != r.pushes:
				s.native, s.push, s.missing = native, r.pushes, 0
				present++
			}
		}
	}
	if err := reg.WriteProtobufContext(ctx, &limitedWriter{ctx, w, limit}); err != nil {
		return nil, err
	}
	if present < len(r.series) {
		r.markMissing(w, p)
	}
	var err error
	p.bodies, p.separate, err = w.finish()
	p.empty = len(w.main.done)+len(w.separate.done) == 0
	return p, err
}

// markMissing appends a stale marker for each series that the current push does not
// contain.
func (r *receiver) markMissing(w *remoteWriter, p *remotePush) {
	for key, s := range r.series {
		switch {
		case s.push == r.pushes:
			continue
		case s.missing == 0:
			s.missing = p.at
		case p.at-s.missing > markerAge.Milliseconds():
			delete(r.series, key)
			continue
		}
		w.appendMarker(key, s.native)
		p.ended = append(p.ended, key)
	}
}

// end returns a push of the stale markers of all series. It returns nil if there are
// none.
func (r *receiver) end() *remotePush {
	if len(r.series) == 0 {
		return nil
	}
	p := &remotePush{at: max(r.now(), r.accepted+1)}
	w := &remoteWriter{now: p.at}
	for key, s := range r.series {
		w.appendMarker(key, s.native)
		p.ended = append(p.ended, key)
	}
	p.bodies, p.separate, _ = w.finish() // there is no exposition
	return p
}

// appendMarker appends a stale marker. Prometheus recognizes the marker of a native series by the sum.
func (w *remoteWriter) appendMarker(key string, native bool) {
	b := append(w.buf[:0], key...)
	if !native {
		w.append(b, staleMarker, w.now)
		return
	}
	m := appendFixed64(append(w.message[:0], writeCount, 0), writeSum, staleMarker)
	w.message = binary.AppendUvarint(append(m, writeZeroCount, 0, writeTime), uint64(w.now))
	w.appendHistogram(b, w.message)
}

// begin records that the receiver may get the series of p.
func (r *receiver) begin(p *remotePush) {
	for _, s := range p.fresh {
		r.series[s.key] = &sentSeries{native: s.native, push: r.pushes}
	}
}

// finish records that the receiver responded to all requests of p, and refused some
// series.
func (r *receiver) finish(p *remotePush, refused map[string]struct{}) {
	for _, key := range p.ended {
		delete(r.series, key)
	}
	if r.suspects = refused; len(refused) == 0 {
		r.refusedAlone = 0
	}
}
