//go:build !tacho_nohttp

package push

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"
	"strings"

	"github.com/tachikoma/tacho/internal/decimal"
	"github.com/tachikoma/tacho/internal/expo"
	"github.com/tachikoma/tacho/internal/names"
	"github.com/tachikoma/tacho/internal/wire"
)

// The tags of the fields of a Histogram in remote write 1.0 (prompb, types.proto).
const (
	writeCount         = 1<<3 | wire.Varint
	writeSum           = 3<<3 | wire.Fixed64
	writeSchema        = 4<<3 | wire.Varint
	writeZeroThreshold = 5<<3 | wire.Fixed64
	writeZeroCount     = 6<<3 | wire.Varint
	writeNegative      = 8<<3 | wire.Bytes // spans; the deltas have the next field
	writeTime          = 15<<3 | wire.Varint

	nextSide = 3 << 3 // from a field of negative buckets to that of positive ones
)

// A transcoder is an oracle for the encoder of remote write 1.0. It converts an exposition in protobuf into
// a WriteRequest with all series.
type transcoder struct {
	targets  []pair // added to every series, short names first, without empty values
	noNative bool   // native histograms are sent as classic ones
	now      int64  // the time of the push in Unix milliseconds
	request  []byte

	messages messages
	metric   metric
	families [numSuffixes][]byte // labels __name__ of the current family
	lists    [2][]pair           // scratch
	layouts  [2]layout           // scratch
	buf      []byte              // scratch: a TimeSeries
	text     []byte              // scratch: the value of le or quantile
	spans    [2][]byte           // scratch: negative and positive spans
	deltas   [2][]byte           // scratch: negative and positive deltas
	message  []byte              // scratch: a Histogram
}

// Choose implements [expo.Chooser].
func (*transcoder) Choose(bool) (*expo.Format, names.Scheme) {
	return &expo.Protobuf, names.Underscores
}

// Write converts the complete messages in p and keeps an incomplete message for the next call.
func (w *transcoder) Write(p []byte) (int, error) { return w.messages.write(p, w.family) }

// A metric is one message Metric of the exposition.
type metric struct {
	own   []pair // labels without empty values
	timed bool
	at    int64 // Unix milliseconds
}

// A pair is a label. enc is the encoded field labels = 1 of a TimeSeries, which equals the field
// label = 1 of a Metric. A nil enc is the label of a bucket or a quantile.
type pair struct {
	name []byte
	enc  []byte
}

// A layout has the labels of the series of a metric in their order, except __name__ and the label of
// a bucket or a quantile.
type layout struct {
	enc         []byte
	name, extra int    // the indexes in enc of __name__ and of the label of a bucket or a quantile
	extraName   []byte // the name of the label of a bucket or a quantile
}

// The suffixes of series, as indexes of transcoder.families.
const (
	plainName = iota
	bucketName
	sumName
	countName
	createdName
	counterCreatedName
	numSuffixes
)

var suffixes = [numSuffixes]string{"", "_bucket", "_sum", "_count", "_created", "_created"}

const metricName = "__name__"

// family converts a message MetricFamily.
func (w *transcoder) family(message []byte) error {
	named := false
	for len(message) > 0 {
		f, rest, ok := cutField(message)
		switch {
		case !ok:
			return errMalformed
		case f.tag == wire.FamilyName:
			named = true
			w.setName(string(f.bytes))
		case f.tag == wire.FamilyMetric && !named:
			return errMalformed
		case f.tag == wire.FamilyMetric:
			if err := w.convert(f.bytes); err != nil {
				return err
			}
		}
		message = rest
	}
	return nil
}

// setName sets w.families for a family with this name.
func (w *transcoder) setName(name string) {
	for i, suffix := range suffixes {
		base := name
		if i == counterCreatedName {
			base = strings.TrimSuffix(name, "_total")
		}
		w.families[i] = appendLabel(w.families[i][:0], metricName, base+suffix)
	}
}

// convert converts a message Metric.
func (w *transcoder) convert(message []byte) error {
	m := &w.metric
	m.own, m.timed, m.at = m.own[:0], false, w.now
	var value field
	for len(message) > 0 {
		f, rest, ok := cutField(message)
		if !ok {
			return errMalformed
		}
		switch f.tag {
		case wire.MetricLabel:
			name, text, ok := cutLabel(f.bytes)
			if !ok || message[0] != wire.MetricLabel {
				return errMalformed
			}
			if len(text) > 0 { // an empty label is no label
				m.own = append(m.own, pair{name, message[:len(message)-len(rest)]})
			}
		case wire.MetricTime:
			m.timed, m.at = true, int64(f.value)
		case wire.MetricGauge, wire.MetricCounter, wire.MetricSummary, wire.MetricUntyped, wire.MetricHistogram:
			value = f
		}
		message = rest
	}
	ok := false
	switch w.arrange(0, ""); value.tag {
	case wire.MetricGauge, wire.MetricUntyped:
		ok = w.single(value.bytes, false)
	case wire.MetricCounter:
		ok = w.single(value.bytes, true)
	case wire.MetricSummary:
		ok = w.summary(value.bytes)
	case wire.MetricHistogram:
		ok = w.histogram(value.bytes)
	}
	if !ok {
		return errMalformed
	}
	return nil
}

// arrange sets w.layouts[i] for the current metric. extra is the name of one more label, or "". The
// specification requires labels sorted by name.
func (w *transcoder) arrange(i int, extra string) {
	to := &w.layouts[i]
	list := append(w.lists[i][:0], w.metric.own...)
	if extra != "" {
		list = append(list, pair{name: []byte(extra)})
	}
	own := len(list)
	list = append(list, w.targets...)
	for i := range w.targets {
		renameConflict(list, own, w.targets[i].name)
	}
	for i := 1; i < len(list); i++ { // insertion sort: the labels are few and often in order
		for j := i; j > 0 && bytes.Compare(list[j].name, list[j-1].name) < 0; j-- {
			list[j], list[j-1] = list[j-1], list[j]
		}
	}
	w.lists[i] = list
	to.enc, to.name, to.extra = to.enc[:0], -1, -1
	for _, p := range list {
		if to.name < 0 && string(p.name) > metricName {
			to.name = len(to.enc)
		}
		if p.enc == nil {
			to.extra, to.extraName = len(to.enc), p.name
		}
		to.enc = append(to.enc, p.enc...)
	}
	if to.name < 0 {
		to.name = len(to.enc)
	}
	if to.extra < 0 {
		to.extra = len(to.enc)
	}
}

// renameConflict adds the prefix exported_ to the label called name in list[:own], if
// there is such a label. A scrape renames conflicting labels in the same way. Without the
// label, two different series could become equal.
func renameConflict(list []pair, own int, name []byte) {
	has := func(list []pair, name string) int {
		return slices.IndexFunc(list, func(p pair) bool { return string(p.name) == name })
	}
	i := has(list[:own], string(name))
	if i < 0 {
		return
	}
	text := string(name)
	for has(list, text) >= 0 {
		text = "exported_" + text
	}
	p := &list[i]
	if p.name = []byte(text); p.enc != nil {
		f, _, _ := cutField(p.enc)
		_, value, _ := cutLabel(f.bytes)
		p.enc = appendLabel(nil, text, string(value))
	}
}

// single converts a counter, a gauge or an untyped value.
func (w *transcoder) single(message []byte, counter bool) bool {
	var value, created uint64
	dated := false
	for len(message) > 0 {
		f, rest, ok := cutField(message)
		if message = rest; !ok {
			return false
		}
		switch {
		case f.tag == wire.ValueDouble:
			value = f.value
		case f.tag == wire.CounterCreated && counter:
			if created, dated = seconds(f.bytes); !dated {
				return false
			}
		}
	}
	w.add(0, plainName, value)
	// OpenMetrics shows a counter without _total with type unknown and without a time of creation.
	if dated && bytes.HasSuffix(w.families[plainName], []byte("_total")) {
		w.addCreated(counterCreatedName, created)
	}
	return true
}

// seconds returns the bits of a google.protobuf.Timestamp in Unix seconds, to the millisecond.
func seconds(message []byte) (bits uint64, ok bool) {
	var ms int64
	for len(message) > 0 {
		f, rest, ok := cutField(message)
		if message = rest; !ok {
			return 0, false
		}
		switch f.tag {
		case wire.TimeSeconds:
			ms += int64(f.value) * 1e3
		case wire.TimeNanos:
			ms += int64(f.value) / 1e6
		}
	}
	return math.Float64bits(float64(ms) / 1e3), true
}

// summary converts a Summary.
func (w *transcoder) summary(message []byte) bool {
	w.arrange(1, "quantile")
	var count, sum, created uint64
	dated := false
	for len(message) > 0 {
		f, rest, ok := cutField(message)
		if message = rest; !ok {
			return false
		}
		switch f.tag {
		case wire.TotalCount:
			count = f.value
		case wire.TotalSum:
			sum = f.value
		case wire.SummaryQuantile:
			quantile, value, ok := cutNumbers(f.bytes, wire.QuantileRank, wire.QuantileValue)
			if !ok {
				return false
			}
			w.setText(math.Float64frombits(quantile))
			w.add(1, plainName, value)
		case wire.SummaryCreated:
			if created, dated = seconds(f.bytes); !dated {
				return false
			}
		}
	}
	w.addTotals(count, sum)
	if dated {
		w.addCreated(createdName, created)
	}
	return true
}

// cutNumbers returns the values of two fields. A missing field is 0.
func cutNumbers(message []byte, tag1, tag2 uint64) (v1, v2 uint64, ok bool) {
	for len(message) > 0 {
		f, rest, ok := cutField(message)
		if message = rest; !ok {
			return 0, 0, false
		}
		switch f.tag {
		case tag1:
			v1 = f.value
		case tag2:
			v2 = f.value
		}
	}
	return v1, v2, true
}

// setText sets the value of the label of a bucket or a quantile.
func (w *transcoder) setText(v float64) { w.text = decimal.AppendOpenFloat(w.text[:0], v) }

// addTotals adds the series _sum and _count.
func (w *transcoder) addTotals(count, sum uint64) {
	w.add(0, sumName, sum)
	w.add(0, countName, math.Float64bits(float64(count)))
}

// histogram converts a Histogram. A histogram of both kinds becomes classic series and a native series.
func (w *transcoder) histogram(message []byte) bool {
	var h histogramFields
	classic := false
	for i := range w.spans {
		w.spans[i], w.deltas[i] = w.spans[i][:0], w.deltas[i][:0]
	}
	for rest := message; len(rest) > 0; {
		var f field
		var ok bool
		if f, rest, ok = cutField(rest); !ok {
			return false
		}
		side := 0
		if f.tag >= wire.HistogramPositive {
			side = 1
		}
		switch f.tag {
		case wire.TotalCount:
			h.count = f.value
		case wire.TotalSum:
			h.sum = f.value
		case wire.HistogramBucket:
			classic = true
		case wire.HistogramSchema:
			h.native, h.schema = true, f.value
		case wire.HistogramZeroThreshold:
			h.native, h.zeroThreshold = true, f.value
		case wire.HistogramZeroCount:
			h.native, h.zeroCount = true, f.value
		case wire.HistogramNegative, wire.HistogramPositive: // the fields of a span have the same numbers
			h.native = true
			w.spans[side] = appendBytes(append(w.spans[side], byte(writeNegative+side*nextSide)), f.bytes)
		case wire.HistogramNegative + wire.NextField, wire.HistogramPositive + wire.NextField: // packed
			w.deltas[side] = append(w.deltas[side], f.bytes...)
		case wire.HistogramCreated:
			var ok bool
			if h.created, ok = seconds(f.bytes); !ok {
				return false
			}
			h.dated = true
		}
	}
	if (classic || !h.native || w.noNative) && !w.classic(message, &h) {
		return false
	}
	if h.native && !w.noNative {
		w.native(&h)
	}
	return true
}

// histogramFields has the fields of a Histogram that occur once.
type histogramFields struct {
	count, sum    uint64
	created       uint64
	dated         bool
	native        bool
	schema        uint64 // zigzag
	zeroThreshold uint64
	zeroCount     uint64
}

// classic adds the classic series of a histogram.
func (w *transcoder) classic(message []byte, h *histogramFields) bool {
	w.arrange(1, "le")
	inf := false
	for len(message) > 0 {
		f, rest, ok := cutField(message)
		if message = rest; !ok {
			return false
		}
		if f.tag != wire.HistogramBucket {
			continue
		}
		count, bits, ok := cutNumbers(f.bytes, wire.BucketCount, wire.BucketBound)
		if !ok {
			return false
		}
		bound := math.Float64frombits(bits)
		inf = math.IsInf(bound, 1)
		w.setText(bound)
		w.add(1, bucketName, math.Float64bits(float64(count)))
	}
	if !inf { // left out, because its count is that of the histogram
		w.setText(math.Inf(1))
		w.add(1, bucketName, math.Float64bits(float64(h.count)))
	}
	w.addTotals(h.count, h.sum)
	if h.dated {
		w.addCreated(createdName, h.created)
	}
	return true
}

// native adds the native series of a histogram.
func (w *transcoder) native(h *histogramFields) {
	b := binary.AppendUvarint(append(w.message[:0], writeCount), h.count)
	b = appendFixed64(b, writeSum, h.sum)
	b = binary.AppendUvarint(append(b, writeSchema), h.schema)
	b = appendFixed64(b, writeZeroThreshold, h.zeroThreshold)
	b = binary.AppendUvarint(append(b, writeZeroCount), h.zeroCount)
	for side := range w.spans {
		b = append(b, w.spans[side]...)
		if len(w.deltas[side]) > 0 {
			b = appendBytes(append(b, byte(writeNegative+side*nextSide+wire.NextField)), w.deltas[side])
		}
	}
	m := &w.metric
	w.message = binary.AppendUvarint(append(b, writeTime), uint64(m.at))
	w.appendHistogram(w.key(0, plainName), w.message)
}

// add adds a series of the current metric with one sample. The
// layout with the index 1 has one more label, whose value is w.text.
func (w *transcoder) add(layout, suffix int, bits uint64) {
	w.append(w.key(layout, suffix), bits, w.metric.at)
}

// addCreated adds the series of the time of creation, which has the time of the push.
func (w *transcoder) addCreated(suffix int, bits uint64) {
	w.append(w.key(0, suffix), bits, w.now)
}

// key returns the encoded labels of a series of the current metric. The result is valid until the next call.
func (w *transcoder) key(layout, suffix int) []byte {
	l := &w.layouts[layout]
	b := append(w.buf[:0], l.enc[:l.name]...)
	b = append(b, w.families[suffix]...)
	b = append(b, l.enc[l.name:l.extra]...)
	if layout == 1 {
		b = appendLabel(b, string(l.extraName), string(w.text))
	}
	b = append(b, l.enc[l.extra:]...)
	w.buf = b
	return b
}

// append appends a series with one sample to a request. key is the encoded labels, and
// bits is the value. key may share the memory of w.buf.
//
// The value is not a float64, because some processors change the bits of a stale marker.
func (w *transcoder) append(key []byte, bits uint64, at int64) {
	// Field samples = 2: Sample{value = 1, timestamp = 2}.
	b := append(key, 2<<3|wire.Bytes)
	b = binary.AppendUvarint(b, uint64(1+8+1+sizeUvarint(uint64(at))))
	b = appendFixed64(b, 1<<3|wire.Fixed64, bits)
	b = binary.AppendUvarint(append(b, 2<<3|wire.Varint), uint64(at))
	w.finishSeries(b)
}

// appendHistogram appends a series with a message Histogram to a request.
func (w *transcoder) appendHistogram(key, message []byte) {
	w.finishSeries(appendBytes(append(key, 4<<3|wire.Bytes), message)) // field histograms = 4
}

// finishSeries appends a TimeSeries to the request.
func (w *transcoder) finishSeries(series []byte) {
	w.buf = series
	w.request = appendSeries(w.request, series)
}

// cutLabel returns the name and the value of a LabelPair. If the fields are not in this order, ok is
// false.
func cutLabel(message []byte) (name, value []byte, ok bool) {
	if len(message) == 0 || message[0] != wire.LabelName {
		return nil, nil, false
	}
	name, rest, ok := cutBytes(message[1:])
	if !ok || len(rest) == 0 || rest[0] != wire.LabelValue {
		return nil, nil, false
	}
	value, rest, ok = cutBytes(rest[1:])
	return name, value, ok && len(rest) == 0
}

func appendFixed64(b []byte, tag byte, v uint64) []byte {
	return binary.LittleEndian.AppendUint64(append(b, tag), v)
}
