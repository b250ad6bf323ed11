//go:build !tacho_nohttp

package push

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	// maxFurther is the maximum number of further requests of a push, sent to find
	// refused samples. It is enough for five samples in requests of maxSeries series.
	maxFurther = 128
	// maxRefusals is the number of refused requests in succession after which a push
	// sends no further requests. With more refusals, most samples are refused.
	maxRefusals = 16
	// maxSuspects is the maximum number of series in requests of their own.
	maxSuspects = maxSeries
	// searchEvery is the largest number of pushes from one search to the next while the receiver
	// refuses everything. The reason is then probably not a sample but the clock or the receiver, and
	// searches would multiply the requests of a fleet.
	searchEvery = 16
)

// send pushes by remote write. If final is true, send then sends the stale markers of all
// series.
func (r *receiver) send(ctx context.Context, p *Pusher, stop <-chan struct{}, final bool) error {
	r.negotiate()
	push, err := collect(ctx, p, func(ctx context.Context) (*remotePush, error) {
		return r.encode(ctx, p.reg, p.maxBytes)
	})
	if err != nil {
		return err
	}
	size := 0
	for _, b := range push.bodies {
		size += len(b)
	}
	p.bodyBytes.Set(int64(size))
	err, complete := p.deliver(ctx, stop, push)
	if !final || !complete {
		return err
	}
	if end := r.end(); end != nil {
		endErr, _ := p.deliver(ctx, stop, end)
		err = errors.Join(err, endErr)
	}
	return err
}

// A delivery is the state of a push in progress.
type delivery struct {
	p    *Pusher
	ctx  context.Context
	stop <-chan struct{}

	version int // of the bodies

	further         int    // number of further requests
	acceptedFurther int    // number of accepted further requests
	refusals        int    // number of refused requests since an accepted request
	limit           int    // of refusals
	alone           int    // number of series that were refused alone
	remaining       []byte // the first series that was dropped at a limit
	accepted        bool
	dropped         int64 // number of samples
	first           error
	others          []error             // of requests that were not refused because of their samples
	reason          string              // the label reason of first
	refused         map[string]struct{} // keys of dropped series
	symbols         request2            // of the refused request, in version 2.0
}

// deliver sends the requests of push. complete reports whether the receiver responded to
// all requests, and did not refuse all of them for a reason other than their samples.
func (p *Pusher) deliver(ctx context.Context, stop <-chan struct{}, push *remotePush) (err error, complete bool) {
	r := p.dest.remote
	r.begin(push)
	r.current = push
	d := &delivery{p: p, ctx: ctx, stop: stop, version: push.version, limit: maxRefusals, refused: map[string]struct{}{}}
	if n := r.refusedPushes; n%searchEvery != 0 && n&(n-1) != 0 { // less and less often, see searchEvery
		d.limit = 0
	}
	defer func() { // also if a later request fails
		r.current = nil
		if d.accepted && !push.empty {
			r.accepted, r.newest = push.at, max(r.newest, push.at)
		}
		switch {
		case d.accepted:
			r.refusedPushes = 0
		case d.dropped > 0:
			r.refusedPushes++
		}
	}()
	denied := false // by a response such as 401 or 404
	for i, body := range push.bodies {
		o := d.send(body)
		if o.status >= 300 && !o.becauseOfSamples() {
			denied = true
		}
		switch {
		case o.retry:
			return o.err, false // the remaining requests would probably fail too
		case o.err == nil:
		case o.final:
			d.dropUnwritten(o)
		case push.empty || !o.becauseOfSamples():
			d.others = append(d.others, o.err)
		case i < len(push.bodies)-push.separate:
			if err := d.split(d.series(body), o); err != nil {
				return err, false
			}
		default:
			if err := d.splitSuspects(d.series(body), o); err != nil {
				return err, false
			}
		}
	}
	r.finish(push, d.refused)
	if d.dropped > 0 {
		d.others = append(d.others, d.summary(push.at, r.newest))
	}
	return errors.Join(d.others...), d.accepted || !denied
}

// summary returns the error of a push with dropped samples.
func (d *delivery) summary(at, newest int64) error {
	clock := ""
	if back := time.Duration(newest-at) * time.Millisecond; back > 0 {
		clock = fmt.Sprintf("; the clock is %v behind the time of an accepted push", back)
	}
	return fmt.Errorf("%w (dropped samples: %d%s%s)", d.first, d.dropped, clock, d.p.dest.remote.hint(d.reason))
}

// send sends a request. If the receiver does not support version 2.0, send sends the same samples in
// version 1.0.
func (d *delivery) send(body []byte) outcome {
	o := d.sendOnce(body)
	if r := d.p.dest.remote; o.unsupported {
		r.fallBack()
		o = d.sendOnce(body)
	}
	if o.err == nil || o.wrote {
		d.refusals, d.accepted, d.limit = 0, true, max(d.limit, maxRefusals)
	} else {
		d.refusals++
	}
	return o
}

// sendOnce sends a request in the version of the receiver.
func (d *delivery) sendOnce(body []byte) outcome {
	r := d.p.dest.remote
	if d.version == 2 && r.version == 1 {
		var ok bool
		if body, ok = downgrade(body); !ok {
			return outcome{err: errMalformed}
		}
	}
	d.p.dest.header = remoteHeader(r.version)
	o := d.p.sendWithRetries(d.ctx, d.stop, func() ([]byte, error) { return body, nil })
	if o.err != nil && r.version2 {
		o.err = fmt.Errorf("%w (remote write %d.0)", o.err, r.version)
	}
	if o.status == http.StatusUnsupportedMediaType && r.version == 1 {
		r.again = r.clock() // the receiver supports only version 2.0, or neither
	}
	return o
}

// series returns the TimeSeries messages of a request.
func (d *delivery) series(body []byte) [][]byte {
	if d.version != 2 {
		return splitSeries(body)
	}
	d.symbols, _ = openRequest(body) // the package made the request, so it is not malformed
	return d.symbols.series
}

// request returns a compressed request with some of the series of the latest call of d.series.
func (d *delivery) request(series [][]byte) []byte {
	var request []byte
	if d.version == 2 {
		request, _ = d.symbols.join(series)
	} else {
		for _, s := range series {
			request = appendSeries(request, s)
		}
	}
	return snappy(request)
}

// key returns the encoded labels of a series of the latest call of d.series. They are those of version
// 1.0.
func (d *delivery) key(series []byte) string {
	if d.version != 2 {
		return string(seriesKey(series))
	}
	key, _ := d.symbols.appendKey(nil, series)
	return string(key)
}

// splitSuspects splits a refused request with series that were refused in an earlier push.
//
// A part of them may be accepted: the earlier push may have reached a limit, or the reason
// of the refusal ended. The first series is the one at which the earlier push stopped. The
// limit of refusals is maxFurther, unless the receiver refuses everything, or the latest
// pushes sent many series alone and all were refused.
func (d *delivery) splitSuspects(series [][]byte, o outcome) error {
	r := d.p.dest.remote
	everything := !d.accepted && (len(series) == maxSuspects || r.refusedPushes > 0)
	if !everything && r.refusedAlone < min(len(series), maxFurther) {
		d.limit = maxFurther
	}
	first := max(0, slices.IndexFunc(series, func(s []byte) bool { return d.key(s) == r.resume }))
	d.alone, d.remaining = 0, nil
	accepted := d.acceptedFurther
	err := d.split(slices.Concat(series[first:], series[:first]), o)
	r.refusedAlone += d.alone
	if d.acceptedFurther > accepted {
		r.refusedAlone = 0
	}
	r.resume = ""
	if d.remaining != nil {
		r.resume = d.key(d.remaining)
	}
	return err
}

// split sends the halves of a refused request, and splits each half that is refused. It
// drops single series, and all series that remain at the limits. split returns an error
// if a request failed and the push ends.
func (d *delivery) split(series [][]byte, o outcome) error {
	if o.final {
		d.dropUnwritten(o)
		return nil
	}
	if len(series) == 1 {
		d.alone++
		d.drop(series, o)
		return nil
	}
	if !o.becauseOfSamples() || d.further+2 > maxFurther || d.refusals > d.limit || isClosed(d.stop) {
		if d.remaining == nil {
			d.remaining = series[0]
		}
		d.drop(series, o)
		return nil
	}
	halves := [2][][]byte{series[:len(series)/2], series[len(series)/2:]}
	var outcomes [2]outcome
	// Both halves are sent first, because an accepted half shows that the receiver does
	// not refuse everything.
	for i, half := range halves {
		d.further++
		outcomes[i] = d.send(d.request(half))
		if outcomes[i].retry {
			return outcomes[i].err
		}
		if outcomes[i].err == nil {
			d.acceptedFurther++
		}
	}
	for i, half := range halves {
		if outcomes[i].err == nil {
			continue
		}
		if err := d.split(half, outcomes[i]); err != nil {
			return err
		}
	}
	return nil
}

// drop counts series whose request had the outcome o.
func (d *delivery) drop(series [][]byte, o outcome) {
	d.count(int64(len(series)), o)
	for _, s := range series {
		if len(d.refused) < maxSuspects {
			d.refused[d.key(s)] = struct{}{}
		}
	}
}

// dropUnwritten counts the samples of a request that the receiver did not write. The response does not
// contain their series.
func (d *delivery) dropUnwritten(o outcome) {
	if o.unwritten == 0 {
		d.others = append(d.others, o.err)
		return
	}
	d.count(o.unwritten, o)
}

// count counts n dropped samples of a request with the outcome o.
func (d *delivery) count(n int64, o outcome) {
	if d.first == nil {
		d.first, d.reason = o.err, o.reason()
	}
	d.dropped += n
	d.p.dropped.With(d.p.host, o.reason()).Add(uint64(n))
}

// becauseOfSamples reports whether a request with other samples could succeed. Thanos
// responds with 409 to an old sample.
func (o outcome) becauseOfSamples() bool {
	switch o.status {
	case http.StatusBadRequest, http.StatusConflict, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return !strings.Contains(o.reply, "unsupported path") // VictoriaMetrics responds so to another URL
	}
	return false
}

// reasons are the values of the label reason, by parts of response bodies. The receivers
// use different texts.
var reasons = []struct{ part, reason string }{
	{"out of order", "out_of_order"},
	{"out-of-order", "out_of_order"},
	{"duplicate", "duplicate"},
	{"out of bounds", "out_of_bounds"},
	{"too old", "out_of_bounds"},
	{"too-old", "out_of_bounds"},
	{"future", "out_of_bounds"},
	{"label", "label"},
}

// reason returns the label reason of refused samples.
func (o outcome) reason() string {
	if o.status == http.StatusRequestEntityTooLarge {
		return "too_large"
	}
	text := strings.ToLower(o.reply)
	for _, r := range reasons {
		if strings.Contains(text, r.part) {
			return r.reason
		}
	}
	return "other"
}
