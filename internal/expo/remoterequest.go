package expo

import (
	"io"
	"unsafe"

	"github.com/tachikoma/tacho/internal/wire"
)

// RemoteRequests gets the requests of a RemoteWriter.
type RemoteRequests interface {
	// Write gets a part of the fields timeseries of the current request. The parts follow each other.
	// After an error, the exposition ends.
	io.Writer
	// Series gets the labels of a series as they are encoded in version 1.0. They are valid until Series
	// returns. The parameter native is true if the series is a native histogram. The parameter timed is
	// true if its sample has a time of its own. If apart is true, the series is set apart, in the second
	// request.
	Series(key []byte, native, timed bool) (apart bool)
	// End ends the current request. In version 2.0 the parameter symbols has the fields symbols, which
	// precede the fields timeseries. The parameter counts has the numbers of elements in version 2.0. The
	// parameter apart is true for the request with the series that were set apart.
	End(symbols []byte, counts RemoteCounts, apart bool)
	// Missing is called after the last series. It may call Marker.
	Missing(w *RemoteWriter)
}

// RemoteCounts are the numbers of elements in a request.
type RemoteCounts struct{ Samples, Histograms, Exemplars int64 }

// MaxRemoteSeries is the maximum number of series in a remote write request. Prometheus has the
// same default.
const MaxRemoteSeries = 2000

// StaleMarker is the bits of the value that ends a series (prometheus.io, "Remote-Write 1.0
// specification", section "Stale Markers").
const StaleMarker = 0x7ff0000000000002

// A remoteRequest is a request that is not complete.
type remoteRequest struct {
	raw     []byte // fields timeseries that were not written
	series  int
	symbols symbols

	histograms, exemplars int // in version 2.0
}

// adopt makes the buffer of e the buffer of the first request. An Encoder keeps its buffer for the
// next exposition.
func (w *RemoteWriter) adopt(e *Encoder) {
	if !w.adopted {
		w.requests[0].raw, w.adopted = e.buf[:0], true
	}
}

// endAll ends the requests that have series.
func (w *RemoteWriter) endAll() {
	for i := range w.requests {
		if w.requests[i].series > 0 {
			w.end(i)
		}
	}
}

// flush writes the series of a request.
func (w *RemoteWriter) flush(q *remoteRequest) {
	if w.err == nil && len(q.raw) > 0 {
		_, w.err = w.Requests.Write(q.raw)
	}
	q.raw = q.raw[:0]
}

// end ends a request.
func (w *RemoteWriter) end(i int) {
	q := &w.requests[i]
	w.flush(q)
	if w.err == nil {
		w.Requests.End(q.symbols.raw, RemoteCounts{int64(q.series - q.histograms), int64(q.histograms), int64(q.exemplars)}, i > 0)
	}
	q.series, q.histograms, q.exemplars = 0, 0, 0
	q.symbols.reset()
	if i == 0 {
		w.refs.reset()
		w.request++
	}
}

// ok reports whether the exposition should go on.
func (w *RemoteWriter) ok(e *Encoder) bool {
	if w.err != nil {
		e.err = w.err
	}
	return w.err == nil
}

// take subtracts the size of encoded labels from w.Left. If w.Left becomes negative, it sets the error.
func (w *RemoteWriter) take(size int) bool {
	if w.Left -= int64(size - w.targetSize); w.Left < 0 && w.err == nil {
		w.err = w.TooLarge
	}
	return w.err == nil
}

// openSeries begins a TimeSeries of version 1.0. It returns the buffer and the index of the message. The
// length before the message will probably have as many bytes as that of the series before.
func (w *RemoteWriter) openSeries(b []byte) (_ []byte, start int) {
	if w.long {
		b = append(b, wire.WriteSeries, 0, 0)
	} else {
		b = append(b, wire.WriteSeries, 0)
	}
	return b, len(b)
}

// close ends the TimeSeries b[start:] of version 1.0, which begins with labels of that size.
func (w *RemoteWriter) close(b []byte, start, size int, native, timed bool) {
	n := len(b) - start
	switch {
	case n < 1<<7 && !w.long:
		b[start-1] = byte(n)
	case n < 1<<14 && n >= 1<<7 && w.long:
		b[start-2], b[start-1] = byte(n)|0x80, byte(n>>7)
	default:
		first := len(w.requests[0].raw)
		w.message2 = append(w.message2[:0], b[start:]...)
		b = appendVarint(append(b[:first], wire.WriteSeries), uint64(n))
		start = len(b)
		b = append(b, w.message2...)
		w.long = n >= 1<<7
	}
	if w.Tracked && w.Requests.Series(b[start:start+size], native, timed) && w.requests[1].series < MaxRemoteSeries {
		first := len(w.requests[0].raw)
		q := &w.requests[1]
		q.raw = append(q.raw, b[first:]...)
		q.series++
		w.requests[0].raw = b[:first]
		return
	}
	w.requests[0].raw = b
	w.added()
}

// added counts a series of the first request. It ends the request or writes its buffer if they are full.
func (w *RemoteWriter) added() {
	q := &w.requests[0]
	if q.series++; q.series == MaxRemoteSeries {
		w.end(0)
	} else if len(q.raw) >= flushAt {
		w.flush(q)
	}
}

// Marker adds a stale marker for a series with these encoded labels of version 1.0. Prometheus recognizes
// the marker of a native series by the sum. If apart is true, the marker belongs to the request of the
// series that were set apart.
func (w *RemoteWriter) Marker(key []byte, native, apart bool) {
	q := &w.requests[0]
	if apart = apart && w.requests[1].series < MaxRemoteSeries; apart {
		q = &w.requests[1]
	}
	w.message = w.message[:0]
	if native {
		m := append(w.message, wire.WriteCount, 0)
		m = appendFixed(m, wire.WriteSum, StaleMarker)
		w.message = appendVarint(append(m, wire.WriteZeroCount, 0, wire.WriteTime), uint64(w.Now))
	}
	if w.Version == 2 {
		w.marker2(q, key, native)
	} else {
		b, start := nest(q.raw, wire.WriteSeries)
		if b = append(b, key...); native {
			b = appendString(b, wire.WriteHistogram, *(*string)(unsafe.Pointer(&w.message)))
		} else {
			b = appendRemoteSample(b, StaleMarker, w.Now)
		}
		q.raw = seal(b, start)
	}
	if apart {
		q.series++
	} else {
		w.added()
	}
}

// Markers makes requests of stale markers, without an exposition. each calls Marker.
func (w *RemoteWriter) Markers(each func()) {
	w.begin()
	each()
	w.endAll()
}
