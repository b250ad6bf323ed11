package expo

import (
	"unsafe"

	"github.com/tachikoma/tacho/internal/byteorder"
	"github.com/tachikoma/tacho/internal/stringslite"
	"github.com/tachikoma/tacho/internal/wire"
)

// remoteTypes has the MetricType of each Kind.
var remoteTypes = [8]byte{1, 2, 3, 0, 6, 5} // with 8 elements an index %8 needs no check

// remoteRefs has references of the current family in the first request of version 2.0.
type remoteRefs struct {
	ready bool   // meta is set
	meta  []byte // the field metadata
	names [numSuffixes]uint32

	bounds *Bounds // of the current histogram
	bucket int     // the index of the current bucket plus one, or 0
	les    []uint32

	last []uint32 // of the last values of own labels, by the index of the label
	at   int      // the index behind the field labels_refs of the reference of the latest bucket
}

// reset marks all references as unknown.
func (r *remoteRefs) reset() {
	r.ready, r.names, r.bounds = false, [numSuffixes]uint32{}, nil
	clear(r.last)
	clear(r.les) // a request can end between two buckets
}

func (r *remoteRefs) release() {
	r.reset()
	r.meta = small(r.meta)
}

// appendRefs appends the field labels_refs of a series of the first request.
func (w *RemoteWriter) appendRefs(b []byte, l *remoteLayout, suffix int, extra string) []byte {
	s := &w.requests[0].symbols
	if l.request != w.request {
		w.arrangeRefs(l)
	}
	b, start := nest(b, wire.Write2Refs)
	at := 0
	for i := range l.refGaps {
		g := &l.refGaps[i]
		b = append(b, l.refText[at:g.at]...)
		at = g.at
		var ref uint32
		switch g.src {
		case srcName:
			if ref = w.refs.names[suffix]; ref == 0 {
				w.called = append(append(w.called[:0], w.base(suffix)...), remoteSuffixes[suffix]...)
				ref = s.ref(*(*string)(unsafe.Pointer(&w.called)))
				w.refs.names[suffix] = ref
			}
		case srcExtra:
			ref = w.extraRef(s, extra)
			w.refs.at = len(b)
		default:
			if ref = w.refs.last[g.src]; ref == 0 || !s.is(ref, w.values[g.src]) {
				ref = s.ref(w.values[g.src])
				w.refs.last[g.src] = ref
			}
		}
		b = appendRef(b, ref)
	}
	return seal(append(b, l.refText[at:]...), start)
}

// extraRef returns the reference of the value of a label of a bucket or a quantile.
func (w *RemoteWriter) extraRef(s *symbols, extra string) uint32 {
	r := &w.refs
	if r.bucket == 0 {
		return s.ref(extra)
	}
	p := &r.les[r.bucket-1]
	if *p == 0 {
		*p = s.ref(extra)
	}
	return *p
}

// setBounds prepares extraRef for the buckets of a histogram.
func (r *remoteRefs) setBounds(b *Bounds) {
	if r.bounds == b {
		return
	}
	r.bounds = b
	r.les = r.les[:0]
	for range len(b.Upper) + 1 {
		r.les = append(r.les, 0)
	}
}

// arrangeRefs sets the references of l for the first request.
func (w *RemoteWriter) arrangeRefs(l *remoteLayout) {
	s := &w.requests[0].symbols
	b := l.refText[:0]
	l.refGaps = l.refGaps[:0]
	for i := range l.items {
		x := &l.items[i]
		if b = appendRef(b, s.ref(x.name)); x.src == srcTarget {
			b = appendRef(b, s.ref(x.value))
		} else {
			l.refGaps = append(l.refGaps, remoteGap{src: x.src, at: len(b)})
		}
	}
	l.refText, l.request = b, w.request
	for len(w.refs.last) < len(w.values) {
		w.refs.last = append(w.refs.last, 0)
	}
}

// appendMetadata appends the field metadata of a series of the current family.
func (w *RemoteWriter) appendMetadata(b []byte, s *symbols) []byte {
	f := w.head
	before := len(b)
	b, start := nest(b, wire.Write2Metadata)
	if kind := remoteTypes[f.Kind%8]; kind != 0 {
		b = append(b, wire.Write2Type, kind)
	}
	if f.Help != "" {
		b = appendRef(append(b, wire.Write2Help), s.ref(f.Help))
	}
	if unit := shownUnit(f, w.name); unit != "" {
		b = appendRef(append(b, wire.Write2Unit), s.ref(unit))
	}
	if len(b) == start {
		return b[:before]
	}
	return seal(b, start)
}

// shownUnit returns the unit of a family with this name in an exposition. As in OpenMetrics, a unit is the
// end of the name. An escaped name may lack the unit.
func shownUnit(f *Family, name string) string {
	if f.Kind == Counter {
		name = stringslite.TrimSuffix(name, "_total")
	}
	if n := len(name) - len(f.Unit); f.Unit == "" || n <= 0 || name[n-1] != '_' || name[n:] != f.Unit {
		return ""
	}
	return f.Unit
}

// A remoteTemplate is the series of the latest bucket in the first request of version 2.0. The series of
// the next bucket differs in the reference of le and in the value.
type remoteTemplate struct {
	request   uint32 // the number of the request; 0 if the fields below are not set
	text      []byte // the field timeseries
	ref, size int    // the place of the reference, which has one or two bytes
	value     int    // the index of the value
}

// set makes t the series text. ref is the index of the reference of le, and value that of the value.
func (t *remoteTemplate) set(text []byte, request uint32, ref, value int) {
	if len(text) >= 1<<7 {
		return // the fields may have moved; see seal
	}
	t.text = append(t.text[:0], text...)
	if t.request, t.ref, t.size, t.value = request, ref, 1, value; text[ref] >= 0x80 {
		if t.size = 2; text[ref+1] >= 0x80 {
			t.request = 0
		}
	}
}

// addAgain adds a bucket if w.template is of the same histogram and request.
func (w *RemoteWriter) addAgain(extra string, bits uint64) bool {
	t, q := &w.template, &w.requests[0]
	if t.request != w.request {
		return false
	}
	ref := w.extraRef(&q.symbols, extra)
	switch {
	case t.size == 1 && ref < 1<<7:
		t.text[t.ref] = byte(ref)
	case t.size == 2 && ref >= 1<<7 && ref < 1<<14:
		t.text[t.ref], t.text[t.ref+1] = byte(ref)|0x80, byte(ref>>7)
	default:
		return false
	}
	byteorder.Store64((*[8]byte)(t.text[t.value:]), bits)
	q.raw = append(q.raw, t.text...)
	w.added()
	return true
}

// setKey sets w.key to the encoded labels of a series.
func (w *RemoteWriter) setKey(l *remoteLayout, suffix int, extra string) {
	if w.split {
		if need := len(w.before) + len(w.behind) + 2*leSize + fastPadding; cap(w.key) < need {
			w.key = make([]byte, 0, 2*need)
		}
		if b, size, ok := w.appendBucket(w.key[:0], l, extra); ok {
			w.key = b[:size]
			return
		}
	}
	w.key = w.appendLabels(w.key[:0], l, suffix, extra)
}

// select2 returns the request of the series with the encoded labels w.key. If the series exceed the limit,
// q is nil.
func (w *RemoteWriter) select2(native, timed bool) (q *remoteRequest) {
	if !w.take(len(w.key)) {
		return nil
	}
	if w.Tracked && w.Requests.Series(w.key, native, timed) && w.requests[1].series < MaxRemoteSeries {
		return &w.requests[1]
	}
	return &w.requests[0]
}

// open2 begins a TimeSeries of version 2.0 in q with its labels, which are in w.key. It returns the buffer
// and the index of the message.
func (w *RemoteWriter) open2(q *remoteRequest, l *remoteLayout, suffix int, extra string) (b []byte, start int) {
	if q == &w.requests[1] {
		b, start = nest(q.raw, wire.Write2Series)
		return q.symbols.appendKeyRefs(b, w.key), start
	}
	b, start = nest(q.raw, wire.Write2Series)
	return w.appendRefs(b, l, suffix, extra), start
}

// addFast2 is addFast in version 2.0.
func (w *RemoteWriter) addFast2(block string, bits uint64, started int64) bool {
	if len(w.fast.parts) == 0 || w.empty != 0 {
		return false // the layout has the references of another series
	}
	if cap(w.key) < len(block)+len(w.fast.text)+fastRoom {
		w.key = make([]byte, 0, 2*(len(block)+len(w.fast.text)+fastRoom))
	}
	if !w.fast.fits(w.key[:0], block) {
		return false
	}
	var ok bool
	if w.key, ok = w.fast.append(w.key[:0], block, w.values); !ok {
		return false
	}
	q := w.select2(false, false)
	if q == nil {
		return true
	}
	b, start := w.open2(q, &w.layouts[0], plainName, "")
	if started == 0 {
		b = w.appendNow(b, bits) // the fields are those of version 1.0
	} else {
		b = w.appendStarted(b, bits, started)
	}
	w.close2(q, b, start, 0)
	return true
}

// appendStarted appends the field samples with a sample at the time Now. Many series have the same start
// time.
func (w *RemoteWriter) appendStarted(b []byte, bits uint64, started int64) []byte {
	if started != w.started {
		w.tail2, w.started = appendSample2(w.tail2[:0], 0, &remoteSample{at: w.Now, start: started}), started
	}
	n := len(b)
	b = append(b, w.tail2...)
	byteorder.Store64((*[8]byte)(b[n+len("..."):]), bits)
	return b
}

// close2 ends a TimeSeries of version 2.0. If the next bucket may repeat the series, sample is the index of
// the field samples, and otherwise 0.
func (w *RemoteWriter) close2(q *remoteRequest, b []byte, start, sample int) {
	if q == &w.requests[1] {
		q.raw = seal(w.appendMetadata(b, &q.symbols), start)
		q.series++
		return
	}
	if !w.refs.ready {
		w.refs.meta, w.refs.ready = w.appendMetadata(w.refs.meta[:0], &q.symbols), true
	}
	b = seal(append(b, w.refs.meta...), start)
	if sample > 0 {
		first := len(q.raw)
		w.template.set(b[first:], w.request, w.refs.at-first, sample+len("...")-first)
	}
	q.raw = b
	w.added()
}

// add2 is add in version 2.0.
func (w *RemoteWriter) add2(l *remoteLayout, suffix int, extra string, bits uint64, s *remoteSample) {
	w.setKey(l, suffix, extra)
	q := w.select2(false, s.timed)
	if q == nil {
		return
	}
	repeats := w.refs.bucket > 0 && q == &w.requests[0] && s.exemplar == nil
	if repeats && w.addAgain(extra, bits) {
		return
	}
	b, start := w.open2(q, l, suffix, extra)
	sample := len(b)
	switch {
	case s.at != w.Now:
		b = appendSample2(b, bits, s)
	case s.start == 0:
		b = w.appendNow(b, bits) // the fields are those of version 1.0
	default:
		b = w.appendStarted(b, bits, s.start)
	}
	if s.exemplar != nil && s.exemplar.At >= w.After {
		q.exemplars++
		b = q.symbols.appendExemplar(b, s.exemplar)
	}
	if !repeats {
		sample = 0
	}
	w.close2(q, b, start, sample)
}

// appendSample2 appends the field samples of a TimeSeries of version 2.0.
func appendSample2(b []byte, bits uint64, s *remoteSample) []byte {
	b, start := nest(b, wire.Write2Sample)
	b = appendVarint(append(appendFixed(b, wire.SampleValue, bits), wire.SampleTime), uint64(s.at))
	if s.start != 0 {
		b = appendVarint(append(b, wire.Write2SampleStart), uint64(s.start))
	}
	return seal(b, start)
}

// addNative2 adds a series with the native histogram w.message and the exemplars w.exemplars.
func (w *RemoteWriter) addNative2(timed bool) {
	w.setKey(&w.layouts[0], plainName, "")
	q := w.select2(true, timed)
	if q == nil {
		return
	}
	b, start := w.open2(q, &w.layouts[0], plainName, "")
	b = appendString(b, wire.Write2Histogram, *(*string)(unsafe.Pointer(&w.message)))
	for _, x := range w.exemplars {
		b = q.symbols.appendExemplar(b, x)
	}
	q.histograms++
	q.exemplars += len(w.exemplars)
	w.close2(q, b, start, 0)
}

// marker2 adds a stale marker to q. If native is true, w.message is the histogram.
func (w *RemoteWriter) marker2(q *remoteRequest, key []byte, native bool) {
	b, start := nest(q.raw, wire.Write2Series)
	b = q.symbols.appendKeyRefs(b, key)
	if native {
		q.histograms++
		b = appendString(b, wire.Write2Histogram, *(*string)(unsafe.Pointer(&w.message)))
	} else { // the fields of a Sample are those of version 1.0
		b = appendRemoteSample(b, StaleMarker, w.Now)
	}
	q.raw = seal(b, start)
}
