package expo

import (
	"math"
	"unsafe"

	"github.com/tachikoma/tacho/internal/byteorder"
	"github.com/tachikoma/tacho/internal/decimal"
	"github.com/tachikoma/tacho/internal/exemplar"
	"github.com/tachikoma/tacho/internal/label"
	"github.com/tachikoma/tacho/internal/names"
	"github.com/tachikoma/tacho/internal/stringslite"
	"github.com/tachikoma/tacho/internal/wire"
)

// A RemoteWriter makes the requests of one push by remote write (prometheus.io, "Remote-Write 1.0
// specification" and "Remote-Write 2.0 specification"). The format of its method Format encodes the
// samples of a registry. A RemoteWriter can be used again for another push.
//
// Only programs that call Format contain the functions; see internal/SIZE.md.
type RemoteWriter struct {
	more moreFormat // the first field, because Format.more points to a RemoteWriter

	Version  int           // of the specification: 1 or 2
	Targets  []label.Label // added to every series, short names first, without empty values
	NoNative bool          // native histograms are sent as classic ones
	Now      int64         // the time of the push in Unix milliseconds
	After    int64         // exemplars before this time are left out, in Unix milliseconds
	Requests RemoteRequests

	// Left is the number of bytes that further series may have. Their encoded labels of version 1.0 count,
	// without those of Targets, and their native histograms. If Left becomes negative, the exposition
	// ends with the error TooLarge.
	Left     int64
	TooLarge error

	// Tracked: RemoteRequests.Series is called for each series.
	Tracked bool

	format Format
	err    error
	long   bool // the latest TimeSeries of version 1.0 had a length of two bytes or more

	// A request has up to MaxRemoteSeries series. The second request has the series that
	// RemoteRequests.Series sets apart.
	requests [2]remoteRequest
	adopted  bool // requests[0].raw is the buffer of the Encoder

	targetSize int    // of the labels of Targets
	tail       []byte // the field samples with the value 0 and the time Now, in version 1.0
	tail2      []byte // as tail with the start time started, in version 2.0
	started    int64  // 0 if tail2 is not set

	// The current family.
	family  *Family
	head    *Family // the first family with the same name
	name    string
	plain   bool // OpenMetrics shows a counter with type unknown
	escaped bool // label names must be escaped
	names   [numSuffixes][]byte
	named   [numSuffixes]bool // names is set
	refs    remoteRefs        // in version 2.0
	request uint32            // the number of the first request

	// The labels of the current series.
	own     []string // names in the order of the label block
	values  []string
	empty   uint64 // bit i: values[i] is empty
	learned bool   // match may succeed
	pre     []string
	text    []byte // the label block of which own and pre are parts
	quoted  []byte // names in own that were escaped in the block
	block   []byte // a label block with escaped names
	plainly []byte // values without their escapes

	fast    remoteFast      // for the series of one value of the current family
	layouts [2]remoteLayout // without and with the label of a bucket or a quantile

	key       []byte // the encoded labels of the current series in version 1.0
	number    []byte // the value of a label quantile
	called    []byte // the name of a series
	before    []byte // the encoded labels of buckets before the label le
	behind    []byte // the encoded labels of buckets behind the label le, and the field samples of version 1.0
	sampled   int    // the index of the field samples in behind
	split     bool   // before and behind are set
	template  remoteTemplate
	message   []byte // a native histogram
	message2  []byte // a TimeSeries
	exemplars []*exemplar.Exemplar
}

// The suffixes of series, as indexes of RemoteWriter.names.
const (
	plainName = iota
	bucketName
	sumName
	countName
	createdName
	counterCreatedName
	numSuffixes
)

var remoteSuffixes = [numSuffixes]string{"", "_bucket", "_sum", "_count", "_created", "_created"}

const metricName = "__name__"

// Format prepares w for a push, and returns the format for [Write].
func (w *RemoteWriter) Format() *Format {
	w.begin()
	id := writeID
	if w.NoNative {
		id = openID // no restarts of native histograms, since nothing shows their resolution
	}
	w.format = Format{id, openNaming, remoteBegin, remoteWhole, remoteFloat, remoteHistogram, remoteFinish, unsafe.Pointer(w)}
	w.more = moreFormat{summary: remoteSummaries{}, native: encodeNative}
	return &w.format
}

// begin prepares w for a push.
func (w *RemoteWriter) begin() {
	w.err = nil
	w.targetSize = 0
	for i := range w.Targets {
		w.key = appendRemoteLabel(w.key[:0], w.Targets[i].Name, w.Targets[i].Value)
		w.targetSize += len(w.key)
	}
	w.learned = false
	w.tail, w.started = appendRemoteSample(w.tail[:0], 0, w.Now), 0
	for i := range w.requests {
		q := &w.requests[i]
		q.raw, q.series, q.histograms, q.exemplars = q.raw[:0], 0, 0, 0
		q.symbols.reset()
	}
	w.request++
}

// maxRemoteText is the size of the largest buffers of texts that a RemoteWriter keeps.
const maxRemoteText = 64 << 10

// Release removes all references to metrics and large buffers. It ends a push, also after an error.
func (w *RemoteWriter) Release() {
	w.Requests, w.Targets, w.family, w.head, w.name = nil, nil, nil, nil, ""
	if w.adopted {
		w.requests[0].raw, w.adopted = nil, false
	}
	clear(w.own[:cap(w.own)])
	clear(w.values[:cap(w.values)])
	clear(w.pre[:cap(w.pre)])
	clear(w.exemplars[:cap(w.exemplars)])
	for i := range w.layouts {
		w.layouts[i].release()
	}
	w.refs.release()
	w.fast.reset()
	for i := range w.requests {
		q := &w.requests[i]
		q.raw = small(q.raw)
		q.symbols.release()
	}
	for _, b := range []*[]byte{&w.text, &w.quoted, &w.block, &w.plainly, &w.key, &w.number, &w.called, &w.before, &w.behind, &w.message, &w.message2, &w.fast.text, &w.template.text} {
		*b = small(*b)
	}
	for i := range w.names {
		w.names[i] = small(w.names[i])
	}
}

// small returns b, or nil if b is large.
func small(b []byte) []byte {
	if cap(b) > maxRemoteText {
		return nil
	}
	return b[:0]
}

func remoteBegin(e *Encoder, f *Family) {
	w := (*RemoteWriter)(e.format.more)
	w.adopt(e)
	w.name, w.plain = e.called(f)
	if w.family = f; !e.begun {
		e.begun, w.head = true, f
	}
	w.escaped = f.QuotedLabels && e.scheme != names.AllowUTF8
	w.named = [numSuffixes]bool{}
	w.fast.reset()
	w.refs.reset()
}

func remoteFinish(e *Encoder) {
	w := (*RemoteWriter)(e.format.more)
	w.adopt(e)
	if w.err == nil && e.err == nil {
		w.Requests.Missing(w)
		w.endAll()
	}
	w.ok(e)
	e.buf = w.requests[0].raw[:0]
	w.requests[0].raw, w.adopted = nil, false
}

func remoteWhole(e *Encoder, block string, v uint64, negative bool, d *Details) bool {
	return remoteFloat(e, block, signed(v, negative), d)
}

func remoteFloat(e *Encoder, block string, v float64, d *Details) bool {
	w := (*RemoteWriter)(e.format.more)
	s := remoteSample{at: w.Now}
	s.time(w, d)
	if w.family.Kind != Counter {
		s.start = 0
	}
	simple := d == nil || w.Version == 2 && !d.Timed && d.Exemplar == nil
	if simple && w.addFast(block, math.Float64bits(v), s.start) {
		return w.ok(e)
	}
	w.read(e, block)
	if !simple && w.family.Kind == Counter {
		s.exemplar = d.Exemplar
	}
	w.add(&w.layouts[0], plainName, "", math.Float64bits(v), &s)
	if simple && w.family.SameLabels && !w.escaped {
		w.fast.set(w, &w.layouts[0], w.nameLabel(plainName))
	}
	if simple || w.family.Kind != Counter {
		return w.ok(e)
	}
	// OpenMetrics shows a counter without _total with type unknown and without a time of creation.
	if !w.plain && stringslite.HasSuffix(w.name, "_total") {
		w.addCreated(counterCreatedName, d)
	}
	return w.ok(e)
}

// addFast adds a series with one sample at the time Now, if w.fast can append its labels. started is the
// start time in version 2.0, or 0.
func (w *RemoteWriter) addFast(block string, bits uint64, started int64) bool {
	if w.Version == 2 {
		return w.addFast2(block, bits, started)
	}
	q := &w.requests[0]
	b, start := w.openSeries(q.raw)
	if !w.fast.fits(b, block) {
		return false
	}
	b, ok := w.fast.append(b, block, nil)
	if !ok {
		return false
	}
	size := len(b) - start
	if !w.take(size) {
		return true
	}
	w.close(w.appendNow(b, bits), start, size, false, false)
	return true
}

// appendNow appends the field samples with a sample at the time Now, in version 1.0.
func (w *RemoteWriter) appendNow(b []byte, bits uint64) []byte {
	n := len(b)
	b = append(b, w.tail...)
	byteorder.Store64((*[8]byte)(b[n+len("..."):]), bits)
	return b
}

// A remoteSample has the properties of the samples of a metric besides labels and values.
type remoteSample struct {
	timed    bool
	at       int64 // Unix milliseconds
	start    int64 // Unix milliseconds, or 0; only in version 2.0
	exemplar *exemplar.Exemplar
}

// time sets the times of s. A sample in version 2.0 has a start time only if the start time is before the
// sample.
func (s *remoteSample) time(w *RemoteWriter, d *Details) {
	if d == nil {
		return
	}
	if d.Timed {
		s.timed, s.at = true, d.At
	}
	if w.Version == 2 && d.Created < s.at {
		s.start = d.Created
	}
}

// addCreated adds the series of the time of creation, which version 2.0 does not have. Its sample has
// the time of the push.
func (w *RemoteWriter) addCreated(suffix int, d *Details) {
	if d == nil || d.Created == 0 || w.Version == 2 {
		return
	}
	w.add(&w.layouts[0], suffix, "", math.Float64bits(float64(d.Created)/1e3), &remoteSample{at: w.Now})
}

// remoteSummaries has the code of summaries; see moreFormat.
type remoteSummaries struct{}

func (remoteSummaries) encodeSummary(e *Encoder, block string, s *Distribution, d *Details) bool {
	w := (*RemoteWriter)(e.format.more)
	w.read(e, block)
	x := remoteSample{at: w.Now}
	x.time(w, d)
	start := x.start
	x.start = 0 // a quantile is a gauge
	l := w.layout("quantile")
	for _, q := range s.Quantiles {
		w.number = decimal.AppendOpenFloat(w.number[:0], q.Quantile)
		w.add(l, plainName, *(*string)(unsafe.Pointer(&w.number)), math.Float64bits(q.Value), &x)
	}
	x.start = start
	w.addTotals(s.Count, s.Sum, &x)
	w.addCreated(createdName, d)
	return w.ok(e)
}

// addTotals adds the series _sum and _count.
func (w *RemoteWriter) addTotals(count uint64, sum float64, s *remoteSample) {
	w.add(&w.layouts[0], sumName, "", math.Float64bits(sum), s)
	w.add(&w.layouts[0], countName, "", math.Float64bits(float64(count)), s)
}

func remoteHistogram(e *Encoder, block string, bounds *Bounds, counts []uint64, sum float64, d *Details) bool {
	w := (*RemoteWriter)(e.format.more)
	if d != nil && d.Native() != nil && !w.NoNative {
		// A method of nativeFormats would make every server larger; see internal/SIZE.md.
		return d.Native().Code.(interface {
			remoteHistogram(e *Encoder, block string, bounds *Bounds, counts []uint64, sum float64, d *Details) bool
		}).remoteHistogram(e, block, bounds, counts, sum, d)
	}
	w.read(e, block)
	w.addClassic(bounds, counts, sum, d)
	return w.ok(e)
}

// addClassic adds the series of a classic histogram.
func (w *RemoteWriter) addClassic(bounds *Bounds, counts []uint64, sum float64, d *Details) {
	s := remoteSample{at: w.Now}
	s.time(w, d)
	l := w.layout("le")
	w.refs.setBounds(bounds)
	w.setBucketLabels(l, &s)
	w.template.request = 0
	total := uint64(0)
	for i, c := range counts {
		total += c
		w.refs.bucket = i + 1
		s.exemplar = nil
		if d != nil && d.Buckets != nil {
			if s.exemplar = d.Buckets[i].Load(); s.exemplar != nil && s.exemplar.At < w.After {
				s.exemplar = nil
			}
		}
		text := bounds.labels[2*i+1]
		w.add(l, bucketName, text[len(leStart):len(text)-len(leEnd)], math.Float64bits(float64(total)), &s)
	}
	s.exemplar, w.refs.bucket, w.split = nil, 0, false
	w.addTotals(total, sum, &s)
	w.addCreated(createdName, d)
}

// add adds a series with one sample, unless the series exceed the limit. The parameter extra is the value
// of the label of a bucket or a quantile, for a layout with this label.
//
// The value is not a float64, because some processors change the bits of a stale marker.
func (w *RemoteWriter) add(l *remoteLayout, suffix int, extra string, bits uint64, s *remoteSample) {
	if w.Version == 2 {
		w.add2(l, suffix, extra, bits, s)
		return
	}
	q := &w.requests[0]
	b, start := w.openSeries(q.raw)
	if w.split {
		if bucket, size, ok := w.appendBucket(b, l, extra); ok {
			if w.take(size) {
				byteorder.Store64((*[8]byte)(bucket[start+size+len("..."):]), bits)
				w.close(bucket, start, size, false, s.timed)
			}
			return
		}
	}
	b = w.appendLabels(b, l, suffix, extra)
	size := len(b) - start
	if !w.take(size) {
		return
	}
	if s.at == w.Now {
		b = w.appendNow(b, bits)
	} else {
		b = appendRemoteSample(b, bits, s.at)
	}
	w.close(b, start, size, false, s.timed)
}

// appendRemoteSample appends the field samples of a TimeSeries.
func appendRemoteSample(b []byte, bits uint64, at int64) []byte {
	b, start := nest(b, wire.WriteSample)
	b = appendFixed(b, wire.SampleValue, bits)
	return seal(appendVarint(append(b, wire.SampleTime), uint64(at)), start)
}
