//go:build !tacho_nohttp

package push

import (
	"context"
	"encoding/binary"
	"sync/atomic"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/internal/expo"
	"github.com/tachikoma/tacho/internal/names"
	"github.com/tachikoma/tacho/internal/wire"
)

// maxSeries is the maximum number of series in a remote write request.
const maxSeries = expo.MaxRemoteSeries

// A remoteWriter makes the compressed requests of a push. Parts of a request are compressed at once. The
// memory in use therefore exceeds the size of the compressed requests only a little.
type remoteWriter struct {
	encoder expo.RemoteWriter
	ctx     context.Context
	held    map[string]struct{} // keys of the series for requests of their own; may be nil
	tracks  bool
	tracker tracker
	sent    *sentSeries // after the push, if tracks is true

	main, separate [][]byte    // complete requests
	counts         [2][]counts // of the requests
	out            []byte      // the current request, compressed
	size           int         // of the current request before compression
}

// spareWriter is a remoteWriter for the next push of any Pusher. If several pushes are encoded at the same
// time, all of them but one allocate.
var spareWriter atomic.Pointer[remoteWriter]

// maxSpare is the size of the largest buffer of a spareWriter.
const maxSpare = 64 << 10

// newRemoteWriter returns a remoteWriter for a push of r at the time now.
func newRemoteWriter(r *receiver, now int64) *remoteWriter {
	w := spareWriter.Swap(nil)
	if w == nil {
		w = new(remoteWriter)
	}
	e := &w.encoder
	e.Requests, e.Targets, e.NoNative, e.Version = w, r.targets, r.noNative, max(1, r.version)
	e.Now, e.After = now, r.accepted
	return w
}

// release makes w the spareWriter. It removes all references to metrics.
func (w *remoteWriter) release() {
	w.encoder.Release()
	out := w.out[:0]
	if cap(out) > maxSpare {
		out = nil
	}
	*w = remoteWriter{encoder: w.encoder, out: out, counts: [2][]counts{w.counts[0][:0], w.counts[1][:0]}}
	spareWriter.Store(w)
}

// encode encodes the metrics of reg.
func (w *remoteWriter) encode(ctx context.Context, reg *tacho.Registry, limit int64) error {
	w.ctx = ctx
	w.encoder.Left, w.encoder.TooLarge = limit, errTooLarge
	w.encoder.Tracked = w.tracks || len(w.held) > 0
	return reg.WriteProtobufContext(ctx, w)
}

// Choose implements [expo.Chooser].
func (w *remoteWriter) Choose(bool) (*expo.Format, names.Scheme) {
	return w.encoder.Format(), names.Underscores
}

// Write implements [expo.RemoteRequests].
func (w *remoteWriter) Write(p []byte) (int, error) {
	if w.ctx != nil {
		if err := w.ctx.Err(); err != nil {
			return 0, err
		}
	}
	w.out = appendSnappy(w.out, p)
	w.size += len(p)
	return len(p), nil
}

// Series implements [expo.RemoteRequests].
func (w *remoteWriter) Series(key []byte, native, timed bool) (apart bool) {
	if w.tracks {
		w.tracker.add(key, native, timed)
	}
	if len(w.held) == 0 {
		return false
	}
	_, apart = w.held[string(key)]
	return apart
}

// End implements [expo.RemoteRequests].
func (w *remoteWriter) End(symbols []byte, number expo.RemoteCounts, apart bool) {
	if w.encoder.Version != 2 {
		symbols = nil
	}
	n := len(w.out)
	w.out = appendSnappy(w.out, symbols)
	size := uint64(w.size + len(symbols))
	body := binary.AppendUvarint(make([]byte, 0, sizeUvarint(size)+len(w.out)), size)
	body = append(append(body, w.out[n:]...), w.out[:n]...)
	w.out, w.size = w.out[:0], 0
	c := counts{number.Samples, number.Histograms, number.Exemplars}
	if apart {
		w.separate, w.counts[1] = append(w.separate, body), append(w.counts[1], c)
	} else {
		w.main, w.counts[0] = append(w.main, body), append(w.counts[0], c)
	}
}

// Missing implements [expo.RemoteRequests].
func (w *remoteWriter) Missing(*expo.RemoteWriter) {
	if !w.tracks {
		return
	}
	w.sent = w.tracker.end(w.encoder.Now)
	for _, m := range w.sent.missing {
		m.list.each(w.marker)
	}
}

// marker appends a stale marker.
func (w *remoteWriter) marker(r seriesRecord) {
	if r.timed {
		return
	}
	_, apart := w.held[string(r.key)]
	w.encoder.Marker(r.key, r.native, apart)
}

// bodies returns the compressed bodies of all requests. The last separate bodies have the series in w.held.
// Without any series, there is one empty request.
func (w *remoteWriter) bodies() (bodies [][]byte, separate int) {
	if bodies = append(w.main, w.separate...); len(bodies) == 0 {
		w.End([]byte{wire.Write2Symbol, 0}, expo.RemoteCounts{}, false) // the first symbol of version 2.0 is empty
		bodies = w.main
	}
	return bodies, len(w.separate)
}
