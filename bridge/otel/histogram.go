package otelbridge

import (
	"math"
	"slices"

	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// maxCounts is the largest number of counts of an ExponentialHistogram for each sign. A native
// histogram leaves out empty buckets, and an ExponentialHistogram has a count for each of them. With
// schema 8, two values at the ends of float64 would need (1024+1074)*256 counts.
const maxCounts = 4096

// A histogram is a Histogram of the protobuf format.
type histogram struct {
	count uint64
	sum   float64

	bounds     []float64 // of the classic buckets, without +Inf
	cumulative []uint64
	exemplars  []metricdata.Exemplar[float64]

	native             bool
	schema             int32
	zeroThreshold      float64
	zeroCount          uint64
	positive, negative nativeBuckets
	nativeExemplars    []metricdata.Exemplar[float64]
}

// reset makes h an empty histogram. The slices of exemplars belong to data points and are not reused.
func (h *histogram) reset() {
	*h = histogram{
		bounds: h.bounds[:0], cumulative: h.cumulative[:0],
		positive: h.positive.empty(), negative: h.negative.empty(),
	}
}

// readHistogram reads a Histogram and adds a data point.
func (c *collection) readHistogram(b []byte, p point, n int) error {
	h := &c.histogram
	h.reset()
	m := message{rest: b}
	for m.next() {
		switch m.tag {
		case totalCount:
			h.count = m.value
		case totalSum:
			h.sum = m.double()
		case histogramBucket:
			m.err = h.readBucket(m.bytes)
		case histogramSchema:
			h.native, h.schema = true, int32(zigzag(m.value))
		case histogramZeroThreshold:
			h.native, h.zeroThreshold = true, m.double()
		case histogramZeroCount:
			h.native, h.zeroCount = true, m.value
		case histogramNegativeSpan:
			h.native, m.err = true, h.negative.readSpan(m.bytes)
		case histogramPositiveSpan:
			h.native, m.err = true, h.positive.readSpan(m.bytes)
		case histogramNegativeDeltas:
			h.negative.deltas = m.bytes
		case histogramPositiveDeltas:
			h.positive.deltas = m.bytes
		case histogramCreated:
			m.err = p.started(m.bytes)
		case histogramExemplar:
			h.nativeExemplars, m.err = appendExemplar(h.nativeExemplars, m.bytes)
		}
	}
	if m.err != nil {
		return m.err
	}
	// A histogram keeps its exemplars in the buckets of one kind, or of both.
	if classic := len(h.bounds) > 0; h.native && !(classic && c.classic) {
		if h.nativeExemplars == nil {
			h.nativeExemplars = h.exemplars
		}
		return c.addExponential(p, n)
	}
	if h.exemplars == nil {
		h.exemplars = h.nativeExemplars
	}
	return c.addClassic(p, n)
}

// readBucket reads a Bucket.
func (h *histogram) readBucket(b []byte) error {
	var count uint64
	var bound float64
	m := message{rest: b}
	for m.next() {
		switch m.tag {
		case bucketCount:
			count = m.value
		case bucketBound:
			bound = m.double()
		case bucketExemplar:
			h.exemplars, m.err = appendExemplar(h.exemplars, m.bytes)
		}
	}
	if math.IsInf(bound, +1) { // its count is that of the histogram
		return m.err
	}
	h.bounds, h.cumulative = append(h.bounds, bound), append(h.cumulative, count)
	return m.err
}

// addClassic adds a Histogram. The last of its counts is that of the bucket +Inf, which has no bound.
func (c *collection) addClassic(p point, n int) error {
	h := &c.histogram
	if !slices.Equal(c.bounds, h.bounds) {
		c.bounds = slices.Clone(h.bounds)
	}
	counts, below := c.newCounts(len(h.bounds)+1), uint64(0)
	for i, cumulative := range append(h.cumulative, h.count) {
		if cumulative < below {
			return errMalformed
		}
		counts[i], below = cumulative-below, cumulative
	}
	f := &c.family
	f.histograms = append(grown(f.histograms, n), metricdata.HistogramDataPoint[float64]{
		Attributes: p.attributes, StartTime: p.startTime(), Time: p.time,
		Count: h.count, Sum: h.sum, Bounds: c.bounds, BucketCounts: counts, Exemplars: h.exemplars,
	})
	return nil
}

// addExponential adds an ExponentialHistogram. The scale is the schema. If the buckets would need
// more than maxCounts, the scale is lower, and each bucket has the counts of several.
func (c *collection) addExponential(p point, n int) error {
	h := &c.histogram
	if err := h.positive.read(); err != nil {
		return err
	}
	if err := h.negative.read(); err != nil {
		return err
	}
	shift := 0
	for h.positive.size(shift) > maxCounts || h.negative.size(shift) > maxCounts {
		shift++
	}
	f := &c.family
	f.exponential = append(grown(f.exponential, n), metricdata.ExponentialHistogramDataPoint[float64]{
		Attributes: p.attributes, StartTime: p.startTime(), Time: p.time,
		Count: h.count, Sum: h.sum, Scale: h.schema - int32(shift),
		ZeroCount: h.zeroCount, ZeroThreshold: h.zeroThreshold,
		PositiveBucket: c.exponential(&h.positive, shift), NegativeBucket: c.exponential(&h.negative, shift),
		Exemplars: h.nativeExemplars,
	})
	return nil
}

// exponential returns the buckets of one sign.
func (c *collection) exponential(n *nativeBuckets, shift int) metricdata.ExponentialBucket {
	if len(n.buckets) == 0 {
		return metricdata.ExponentialBucket{}
	}
	first := n.buckets[0].index >> shift
	counts := c.newCounts(int(n.size(shift)))
	for _, b := range n.buckets {
		counts[b.index>>shift-first] += b.count
	}
	return metricdata.ExponentialBucket{Offset: int32(first), Counts: counts}
}

// newCounts returns n zeros. Several slices share an allocation.
func (c *collection) newCounts(n int) []uint64 {
	if len(c.spare) < n {
		c.spare = make([]uint64, max(n, 512))
	}
	counts := c.spare[:n:n]
	c.spare = c.spare[n:]
	return counts
}

// nativeBuckets has the native buckets of one sign.
type nativeBuckets struct {
	spans   []span
	deltas  []byte // varints
	buckets []nativeBucket
}

// A span is a BucketSpan: length buckets, after offset buckets that are left out.
type span struct {
	offset int64
	length uint64
}

// A nativeBucket is a bucket that is not empty. Its index is that of OpenTelemetry, by the lower
// bound: the bucket has the values above base^index, up to base^(index+1). Prometheus numbers buckets
// by the upper bound, so its index is larger by 1.
type nativeBucket struct {
	index int64
	count uint64
}

func (n *nativeBuckets) empty() nativeBuckets {
	return nativeBuckets{spans: n.spans[:0], buckets: n.buckets[:0]}
}

func (n *nativeBuckets) readSpan(b []byte) error {
	var s span
	m := message{rest: b}
	for m.next() {
		switch m.tag {
		case spanOffset:
			s.offset = zigzag(m.value)
		case spanLength:
			s.length = m.value
		}
	}
	n.spans = append(n.spans, s)
	return m.err
}

// read sets the buckets from the spans and deltas. A count is the count of the bucket before plus a
// delta. The indexes increase, also if the spans are malformed: an offset has 32 bits, so that the sum
// cannot overflow.
func (n *nativeBuckets) read() error {
	m := message{rest: n.deltas}
	index, count := int64(-1), int64(0)
	for i, s := range n.spans {
		if i > 0 && s.offset < 0 || s.offset != int64(int32(s.offset)) {
			return errMalformed
		}
		index += s.offset
		for range s.length {
			count += zigzag(m.varint()) // an error if there is no delta
			if m.err != nil || count < 0 || index != int64(int32(index)) {
				return errMalformed
			}
			if count > 0 {
				n.buckets = append(n.buckets, nativeBucket{index, uint64(count)})
			}
			index++
		}
	}
	return nil
}

// size returns the number of counts with shift lower bits of each index left out.
func (n *nativeBuckets) size(shift int) int64 {
	if len(n.buckets) == 0 {
		return 0
	}
	return n.buckets[len(n.buckets)-1].index>>shift - n.buckets[0].index>>shift + 1
}
