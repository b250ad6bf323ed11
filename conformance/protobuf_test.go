package conformance

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/model"
	promexemplar "github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"google.golang.org/protobuf/proto"

	"github.com/tachikoma/tacho"
	tachoexemplar "github.com/tachikoma/tacho/internal/exemplar"
	"github.com/tachikoma/tacho/internal/expo"
	"github.com/tachikoma/tacho/internal/names"
	"github.com/tachikoma/tacho/internal/native"
)

const typeProtobuf = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"

// protobuf returns the expected content of the protobuf format. Each family keeps its name,
// and an info is a gauge. With created, the times of creation are samples, as in OpenMetrics.
func (x *expecter) protobuf(t testing.TB, created bool) *exposition {
	t.Helper()
	e := newExposition()
	names := x.names()
	for _, m := range x.metrics {
		kind := m.kind
		if kind == "info" {
			kind = "gauge"
		}
		f := x.begin(t, e, m, names[m], kind)
		if !m.hasUnit() {
			f.unit = ""
		}
		for _, s := range m.series {
			switch m.kind {
			case "histogram":
				x.histogram(t, f, s, true)
			case "summary":
				x.summary(t, f, s, math.Inf(-1))
				x.totals(t, f, s, s.count)
			default:
				x.line(t, f, s, "", s.value).exemplar = s.exemplars[0]
			}
			if created && x.created && s.created != (span{}) && (kind == "counter" || kind == "histogram") {
				x.line(t, f, s, "_created", 0).within = &s.created
			}
		}
	}
	return e
}

// mergeMessages merges messages of the same family, which must follow each other. It adds the
// bucket +Inf to histograms without this bucket.
func mergeMessages(messages []*dto.MetricFamily) ([]*dto.MetricFamily, error) {
	var families []*dto.MetricFamily
	for _, mf := range messages {
		for _, m := range mf.GetMetric() {
			h := m.GetHistogram()
			if n := len(h.GetBucket()); h != nil && (n == 0 || !math.IsInf(h.Bucket[n-1].GetUpperBound(), 1)) {
				h.Bucket = append(h.Bucket, &dto.Bucket{CumulativeCount: h.SampleCount, UpperBound: proto.Float64(math.Inf(1))})
			}
		}
		if n := len(families); n > 0 && families[n-1].GetName() == mf.GetName() {
			last := families[n-1]
			if last.GetHelp() != mf.GetHelp() || last.GetType() != mf.GetType() || last.GetUnit() != mf.GetUnit() {
				return nil, fmt.Errorf("messages of family %q differ in help, type or unit", mf.GetName())
			}
			last.Metric = append(last.Metric, mf.Metric...)
			continue
		}
		families = append(families, mf)
	}
	return families, nil
}

// checkProtobuf is like checkText, but for the protobuf format.
func checkProtobuf(t testing.TB, data []byte, x *expecter) {
	t.Helper()
	messages, err := decode(data, typeProtobuf+escapingParameter(x))
	if err != nil {
		t.Fatalf("expfmt: %v\n%q", err, data)
	}
	families, err := mergeMessages(messages)
	if err != nil {
		t.Fatal(err)
	}
	got := newExposition()
	for _, mf := range families {
		if err := got.addFamily(mf, typeProtobuf); err != nil {
			t.Fatal(err)
		}
	}
	compare(t, "expfmt, protobuf", x.protobuf(t, true), got, ignored{})
	got, err = readTextparse(data, typeProtobuf)
	if err != nil {
		t.Fatalf("textparse: %v\n%q", err, data)
	}
	want := x.protobuf(t, false)
	for _, f := range want.families {
		for _, s := range f.samples {
			if s.at != nil && *s.at == 0 {
				s.at = nil // Prometheus takes the time 0 for no time
			}
		}
	}
	compare(t, "textparse, protobuf", want, got, ignored{})
	x.protobuf(t, true).checkStarts(t, data, typeProtobuf)
	if t.Failed() {
		t.Logf("scrape:\n%v", messages)
	}
}

// FuzzProtobuf is like FuzzText, but for the protobuf format, which has UTF-8 names as they
// are.
func FuzzProtobuf(f *testing.F) {
	seed(f, 150)
	f.Fuzz(func(t *testing.T, data []byte) {
		r := newRandomRegistry(t, &generator{data}, len(data)%2 == 1)
		for range 2 {
			data, x := r.scrapeAs(t, typeProtobuf), r.expect()
			x.escaping = model.NoEscaping
			checkProtobuf(t, data, x)
		}
	})
}

// TestProtobufFamilyInMessages: expfmt and Prometheus read the messages of a large family as one
// family.
func TestProtobufFamilyInMessages(t *testing.T) {
	const n = 5000
	reg := tacho.NewRegistry()
	v := reg.CounterVec("a_bytes_total", "Help.", []string{"l"}, tacho.WithUnit("bytes"))
	for i := range n {
		v.With(strconv.Itoa(i)).Add(uint64(i))
	}
	data := scrapeAs(t, reg, typeProtobuf)
	messages, err := decode(data, typeProtobuf)
	if err != nil || len(messages) < 4 {
		t.Fatalf("%d messages, error %v", len(messages), err)
	}
	families, err := mergeMessages(messages)
	if err != nil || len(families) != 1 || len(families[0].Metric) != n {
		t.Errorf("%d families, error %v", len(families), err)
	}
	got, err := readTextparse(data, typeProtobuf)
	if err != nil || len(got.families) != 1 || len(got.families["a_bytes_total"].samples) != n {
		t.Errorf("%v, error %v", got, err)
	}
}

// A nativeSeries is a series of a family whose parts a test sets itself.
type nativeSeries struct {
	block     string
	snapshot  *native.Snapshot
	bounds    []float64
	counts    []uint64
	sum       float64
	created   int64
	buckets   []tachoexemplar.Slot
	exemplars []tachoexemplar.Slot
}

// writeNative returns a family of native histograms in the protobuf format.
func writeNative(t *testing.T, name, help string, list []nativeSeries) []byte {
	t.Helper()
	f := &expo.Family{Name: name, Help: help, Kind: expo.Histogram}
	f.Encode = func(e *expo.Encoder) {
		e.Begin(f)
		for _, s := range list {
			bounds := expo.NewBounds(s.bounds)
			d := e.Details()
			d.Created, d.Buckets = s.created, s.buckets
			if s.snapshot != nil {
				d.SetNative(&expo.Native{Code: expo.NativeCode{}, Snapshot: s.snapshot, Exemplars: s.exemplars})
			}
			e.Histogram(s.block, &bounds, s.counts, s.sum, d)
		}
	}
	var b bytes.Buffer
	if err := expo.Write(&b, &expo.Protobuf, names.AllowUTF8, []*expo.Family{f}, new(expo.Names)); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// snapshotOf returns the native part of a histogram of client_golang.
func snapshotOf(h *dto.Histogram) *native.Snapshot {
	side := func(spans []*dto.BucketSpan, deltas []int64) (list []native.Bucket) {
		key, count := 0, int64(0)
		for _, s := range spans {
			key += int(s.GetOffset())
			for range s.GetLength() {
				count += deltas[0]
				if deltas = deltas[1:]; count > 0 {
					list = append(list, native.Bucket{Key: key, Count: uint64(count)})
				}
				key++
			}
		}
		return list
	}
	return &native.Snapshot{
		Schema: int(h.GetSchema()), ZeroThreshold: h.GetZeroThreshold(), Zero: h.GetZeroCount(),
		Positive: side(h.PositiveSpan, h.PositiveDelta), Negative: side(h.NegativeSpan, h.NegativeDelta),
	}
}

// TestNativeAsClient writes native histograms of random values. The decoded messages are equal
// to those of client_golang, and Prometheus accepts them.
func TestNativeAsClient(t *testing.T) {
	rounds := 300
	if testing.Short() {
		rounds = 50
	}
	for seed := range uint64(rounds) {
		r := rand.New(rand.NewPCG(seed, 3))
		opts := prometheus.HistogramOpts{
			Name: "h", Help: "Help.", NativeHistogramBucketFactor: []float64{1.003, 1.1, 1.5, 4, 70000}[r.IntN(5)],
			NativeHistogramZeroThreshold: []float64{0, prometheus.NativeHistogramZeroThresholdZero, 0.5}[r.IntN(3)],
		}
		if r.IntN(2) == 0 {
			opts.Buckets = []float64{-1, 0.25, 1, 8}
		}
		vec := prometheus.NewHistogramVec(opts, []string{"l"})
		var list []nativeSeries
		var want []*dto.Metric
		for i := range 1 + r.IntN(3) {
			h := vec.WithLabelValues(strconv.Itoa(i))
			width := []float64{0, 0.5, 3, 100}[r.IntN(4)]
			for range r.IntN([]int{1, 4, 2000}[r.IntN(3)]) {
				v := math.Exp(width * r.NormFloat64())
				switch r.IntN(20) {
				case 0:
					v = 0
				case 1:
					v = math.Inf(1)
				case 2, 3, 4:
					v = -v
				}
				h.Observe(v)
			}
			var m dto.Metric
			if err := h.(prometheus.Metric).Write(&m); err != nil {
				t.Fatal(err)
			}
			created := m.Histogram.CreatedTimestamp.AsTime().UnixMilli()
			m.Histogram.CreatedTimestamp.Nanos -= m.Histogram.CreatedTimestamp.Nanos % 1e6
			s := nativeSeries{block: `{l="` + strconv.Itoa(i) + `"} `, snapshot: snapshotOf(m.Histogram), bounds: opts.Buckets, sum: m.Histogram.GetSampleSum(), created: created}
			before := uint64(0)
			for _, b := range m.Histogram.Bucket {
				s.counts = append(s.counts, b.GetCumulativeCount()-before)
				before = b.GetCumulativeCount()
			}
			s.counts = append(s.counts, m.Histogram.GetSampleCount()-before)
			if s.snapshot.Count() != m.Histogram.GetSampleCount() {
				t.Fatalf("seed %d: the buckets have %d of %d values", seed, s.snapshot.Count(), m.Histogram.GetSampleCount())
			}
			list, want = append(list, s), append(want, &m)
		}
		data := writeNative(t, "h", "Help.", list)
		messages, err := decode(data, typeProtobuf)
		if err != nil || len(messages) != 1 {
			t.Fatalf("seed %d: %d messages, error %v", seed, len(messages), err)
		}
		family := dtoFamily("h", "Help.", dto.MetricType_HISTOGRAM, want...)
		if !proto.Equal(messages[0], family) {
			t.Fatalf("seed %d:\n%v\nwant\n%v", seed, messages[0], family)
		}
		if counts := prometheusCounts(t, data); len(counts) != len(list) {
			t.Fatalf("seed %d: Prometheus read the native histograms %v, want %d", seed, counts, len(list))
		}
	}
}

// prometheusCounts returns the counts of the native histograms that Prometheus reads.
func prometheusCounts(t *testing.T, data []byte) (counts []uint64) {
	t.Helper()
	p, err := textparse.New(data, typeProtobuf, labels.NewSymbolTable(), textparse.ParserOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			return counts
		}
		if err != nil {
			t.Fatal(err)
		}
		if entry == textparse.EntryHistogram {
			_, _, h, _ := p.Histogram()
			if err := h.Validate(); err != nil {
				t.Error(err)
			}
			counts = append(counts, h.Count)
		}
	}
}

// TestNativeEmpty: an empty native histogram is native for Prometheus, whatever its threshold.
func TestNativeEmpty(t *testing.T) {
	for _, threshold := range []float64{0, prometheus.DefNativeHistogramZeroThreshold} {
		data := writeNative(t, "h", "", []nativeSeries{{block: " ", snapshot: &native.Snapshot{Schema: 3, ZeroThreshold: threshold}, counts: []uint64{0}}})
		if counts := prometheusCounts(t, data); !slices.Equal(counts, []uint64{0}) {
			t.Errorf("threshold %v: Prometheus read the native histograms %v", threshold, counts)
		}
	}
}

// TestNativeExemplars: Prometheus reads all exemplars of all series, those of native buckets and
// those of classic buckets.
func TestNativeExemplars(t *testing.T) {
	set := func(s *tachoexemplar.Slot, i int) {
		s.Init(tachoexemplar.None(&tachoexemplar.Origin{Fault: func(reason string) { t.Error(reason) }}))
		s.Record(float64(i), []string{"id", strconv.Itoa(i)})
		s.Load().At = time.Now().UnixMilli() + int64(i)
	}
	for _, classic := range []bool{false, true} {
		var list []nativeSeries
		var want []int
		for n := range 12 {
			s := nativeSeries{block: `{l="` + strconv.Itoa(n) + `"} `, snapshot: &native.Snapshot{Schema: 3, Zero: 4}, counts: []uint64{4}}
			slots := make([]tachoexemplar.Slot, 4)
			for i := range n % 5 {
				set(&slots[i], i)
			}
			if s.exemplars = slots; classic {
				s.bounds, s.counts, s.exemplars, s.buckets = []float64{0, 1, 2}, []uint64{1, 1, 1, 1}, nil, slots
			}
			list, want = append(list, s), append(want, n%5)
		}
		data := writeNative(t, "h", "", list)
		p, err := textparse.New(data, typeProtobuf, labels.NewSymbolTable(), textparse.ParserOptions{})
		if err != nil {
			t.Fatal(err)
		}
		var got []int
		for {
			entry, err := p.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if entry != textparse.EntryHistogram {
				continue
			}
			n := 0
			var x promexemplar.Exemplar
			for ; p.Exemplar(&x); n++ {
				if x.Labels.Get("id") != strconv.Itoa(n) || x.Value != float64(n) || !x.HasTs {
					t.Errorf("exemplar %d of series %d is %v", n, len(got), x)
				}
			}
			got = append(got, n)
		}
		if !slices.Equal(got, want) {
			t.Errorf("classic %v: Prometheus read %v exemplars, want %v", classic, got, want)
		}
	}
}
