package expo

import (
	"math"
	"unsafe"

	"github.com/tachikoma/tacho/internal/exemplar"
	"github.com/tachikoma/tacho/internal/wire"
)

// remoteHistogram is the function remoteHistogram with native buckets. A histogram of both kinds becomes
// classic series and a native series.
func (NativeCode) remoteHistogram(e *Encoder, block string, bounds *Bounds, counts []uint64, sum float64, d *Details) bool {
	w := (*RemoteWriter)(e.format.more)
	w.read(e, block)
	if len(bounds.Upper) > 0 {
		w.addClassic(bounds, counts, sum, d)
	}
	w.addNative(counts, sum, d)
	return w.ok(e)
}

// addNative adds the native series of a histogram.
func (w *RemoteWriter) addNative(counts []uint64, sum float64, d *Details) {
	if w.err != nil {
		return
	}
	s := remoteSample{at: w.Now}
	s.time(w, d)
	total := uint64(0)
	for _, c := range counts {
		total += c
	}
	n := d.Native().Snapshot
	b := appendVarint(append(w.message[:0], wire.WriteCount), total)
	b = appendFixed(b, wire.WriteSum, math.Float64bits(sum))
	b = appendVarint(append(b, wire.WriteSchema), zigzag(int64(n.Schema)))
	b = appendFixed(b, wire.WriteZeroThreshold, math.Float64bits(n.ZeroThreshold))
	b = appendVarint(append(b, wire.WriteZeroCount), n.Zero)
	b = appendBuckets(b, wire.WriteNegative, n.Negative)
	b = appendBuckets(b, wire.WritePositive, n.Positive)
	if len(n.Positive)+len(n.Negative) == 0 && n.Zero == 0 && n.ZeroThreshold == 0 {
		b = appendSpan(b, wire.WritePositive, 0, 0) // as in the protobuf format
	}
	b = appendVarint(append(b, wire.WriteTime), uint64(s.at))
	if s.start != 0 {
		b = appendVarint(append(b, wire.WriteStart&0x7f|0x80, wire.WriteStart>>7), uint64(s.start))
	}
	w.message = b
	if w.Left -= int64(len(b)); w.Left < 0 {
		w.err = w.TooLarge
		return
	}
	if w.Version == 2 {
		w.remoteExemplars(d)
		w.addNative2(s.timed)
		return
	}
	b, start := w.openSeries(w.requests[0].raw)
	b = w.appendLabels(b, &w.layouts[0], plainName, "")
	size := len(b) - start
	if !w.take(size) {
		return
	}
	w.close(appendString(b, wire.WriteHistogram, *(*string)(unsafe.Pointer(&w.message))), start, size, true, s.timed)
}

// remoteExemplars sets w.exemplars to the exemplars of a native histogram since w.After, in the order of
// their times.
func (w *RemoteWriter) remoteExemplars(d *Details) {
	own := d.Native().Exemplars
	if own == nil {
		own = d.Buckets
	}
	list := w.exemplars[:0]
	for i := range own {
		x := own[i].Load()
		if x == nil || x.At < w.After {
			continue
		}
		list = append(list, (*exemplar.Exemplar)(nil))
		j := len(list) - 1
		for ; j > 0 && list[j-1].At > x.At; j-- {
			list[j] = list[j-1]
		}
		list[j] = x
	}
	w.exemplars = list
}
