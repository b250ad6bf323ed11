//go:build !tacho_nohttp

package push

import (
	"context"
	"slices"
	"time"

	"github.com/tachikoma/tacho"
	constlabel "github.com/tachikoma/tacho/internal/label"
)

// A receiver describes what a remote write receiver got. It is used by one goroutine at a
// time.
type receiver struct {
	targets  []constlabel.Label // labels of every series
	noNative bool
	version  int // of the remote write specification in the next request: 1 or 2
	version2 bool
	again    time.Time // when a push asks for version 2.0 again
	clock    func() time.Time
	last     int64 // time of the latest push in Unix milliseconds
	accepted int64 // time of the latest accepted push in Unix milliseconds
	newest   int64 // the maximum of accepted; larger after the clock went back

	current  *remotePush         // nil outside of a push
	sent     *sentSeries         // nil without stale markers
	suspects map[string]struct{} // the series that were refused in the latest push
	// refusedAlone is the number of suspects that were refused in requests of their own
	// since a further request with suspects was accepted.
	refusedAlone int
	resume       string // the key of the suspect to begin with
	// refusedPushes is the number of pushes in succession without an accepted request, because of refusals.
	refusedPushes int
}

func newReceiver(labels []label, markers bool) *receiver {
	r := &receiver{version: 1, clock: time.Now}
	for _, l := range labels {
		r.targets = append(r.targets, constlabel.Label{Name: l.name, Value: l.value})
	}
	if markers {
		r.sent = &sentSeries{}
	}
	return r
}

func (*receiver) retryable(status int) bool { return retryable(status) }

// A remotePush is an encoded push.
type remotePush struct {
	version  int      // of the bodies
	at       int64    // Unix milliseconds
	bodies   [][]byte // compressed requests
	counts   []counts // of the requests of version 2.0
	separate int      // number of requests at the end that contain suspects
	empty    bool     // there are no series

	// The series that the receiver may have as soon as it may get the push, and after it responded to all
	// requests. The series with a stale marker are in begun alone. Both are nil without stale markers.
	begun, finished *sentSeries
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

// encode encodes the metrics of reg. If the series are larger than limit bytes, encode
// returns errTooLarge. If ctx ends, encode returns an error.
func (r *receiver) encode(ctx context.Context, reg *tacho.Registry, limit int64) (*remotePush, error) {
	p := &remotePush{version: r.version, at: r.now()}
	w := newRemoteWriter(r, p.at)
	defer w.release()
	w.held = r.suspects
	if r.sent != nil {
		w.tracks = true
		w.tracker.begin(r.sent)
	}
	if err := w.encode(ctx, reg, limit); err != nil {
		return nil, err
	}
	if p.begun, p.finished = w.sent, w.sent; w.sent != nil && len(w.sent.missing) > 0 {
		p.finished = &sentSeries{present: w.sent.present}
	}
	w.setBodies(p)
	return p, nil
}

// end returns a push of the stale markers of all series. It returns nil if there are
// none.
func (r *receiver) end() *remotePush {
	if r.sent == nil || r.sent.number() == 0 {
		return nil
	}
	p := &remotePush{version: r.version, at: max(r.now(), r.accepted+1), begun: r.sent, finished: &sentSeries{}}
	w := newRemoteWriter(r, p.at)
	defer w.release()
	w.encoder.Markers(func() { r.sent.each(w.marker) })
	if w.setBodies(p); p.empty {
		return nil
	}
	return p
}

// setBodies sets the requests of p.
func (w *remoteWriter) setBodies(p *remotePush) {
	p.empty = len(w.main)+len(w.separate) == 0
	p.bodies, p.separate = w.bodies()
	p.counts = slices.Concat(w.counts[0], w.counts[1])
}

// begin records that the receiver may get the series of p.
func (r *receiver) begin(p *remotePush) { r.sent = p.begun }

// finish records that the receiver responded to all requests of p, and refused some
// series.
func (r *receiver) finish(p *remotePush, refused map[string]struct{}) {
	r.sent = p.finished
	if r.suspects = refused; len(refused) == 0 {
		r.refusedAlone = 0
	}
}
