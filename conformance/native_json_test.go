package conformance

import (
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	jsoniter "github.com/json-iterator/go"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/util/jsonutil"

	"github.com/tachikoma/tacho/internal/expo"
	"github.com/tachikoma/tacho/internal/native"
)

// TestNativeJSONIsThatOfPrometheus compares the JSON of random native histograms with the
// function that writes native histograms in Prometheus' query API.
func TestNativeJSONIsThatOfPrometheus(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	negative, infinite := 0, 0
	for range 20_000 {
		s := randomNative(r)
		sum := []float64{0, math.NaN(), math.Inf(+1), math.Inf(-1), math.Ldexp(r.NormFloat64(), r.IntN(200)-100)}[r.IntN(5)]
		if n := len(s.Positive); n > 0 && math.IsInf(native.Bound(s.Schema, s.Positive[n-1].Key), +1) {
			infinite++
		}
		negative += min(len(s.Negative), 1)
		stream := jsoniter.NewStream(jsoniter.ConfigDefault, nil, 0)
		jsonutil.MarshalHistogram(floatHistogram(s, sum), stream)
		want := `,"histogram":` + string(stream.Buffer())
		if got := string(expo.NativeCode{}.AppendJSON(nil, s, sum)); got != want {
			t.Fatalf("%+v, sum %v: got\n%s\nwant\n%s", s, sum, got, want)
		}
	}
	if negative < 1000 || infinite < 1000 {
		t.Errorf("%d snapshots have negative buckets and %d have a bucket of +Inf", negative, infinite)
	}
}

// randomNative returns a Snapshot of a random schema. Some have buckets of all magnitudes, and
// some have neighbouring buckets of one magnitude.
func randomNative(r *rand.Rand) *native.Snapshot {
	s := &native.Snapshot{
		Schema:        native.MinSchema + r.IntN(native.MaxSchema-native.MinSchema+1),
		ZeroThreshold: []float64{0, 0x1p-128, 1e-3, 0.7, math.MaxFloat64}[min(r.IntN(12), r.IntN(5))],
	}
	if r.IntN(2) == 0 {
		s.Zero = 1 + r.Uint64N(1000)
	}
	for _, list := range []*[]native.Bucket{&s.Positive, &s.Negative} {
		lowest, highest := nativeKey(s.Schema, -1074), nativeKey(s.Schema, 1024)+1 // with the bucket of the infinities
		if r.IntN(2) == 0 {
			lowest = nativeKey(s.Schema, r.IntN(20)-10)
			highest = lowest + 40
		}
		keys := map[int]bool{}
		for range r.IntN(30) {
			keys[lowest+r.IntN(highest-lowest+1)] = true
		}
		if r.IntN(3) == 0 {
			keys[nativeKey(s.Schema, 1024)+1] = true
		}
		for _, key := range slices.Sorted(maps.Keys(keys)) {
			if native.Bound(s.Schema, key) > s.ZeroThreshold {
				*list = append(*list, native.Bucket{Key: key, Count: r.Uint64N(1 << r.IntN(45))}) // some are 0
			}
		}
	}
	return s
}

// nativeKey returns the key of the bucket that has 2^exp. All larger buckets have larger keys.
func nativeKey(schema, exp int) int {
	if schema >= 0 {
		return exp << schema
	}
	return -(-exp >> -schema)
}

// floatHistogram returns the Snapshot in the form of Prometheus' storage.
func floatHistogram(s *native.Snapshot, sum float64) *histogram.FloatHistogram {
	h := &histogram.FloatHistogram{
		Schema: int32(s.Schema), ZeroThreshold: s.ZeroThreshold, ZeroCount: float64(s.Zero), Count: float64(s.Count()), Sum: sum,
	}
	spans := func(list []native.Bucket) (spans []histogram.Span, counts []float64) {
		next := 0 // key behind the last span
		for _, b := range list {
			if len(spans) == 0 || b.Key != next {
				spans = append(spans, histogram.Span{Offset: int32(b.Key - next)})
			}
			spans[len(spans)-1].Length++
			counts = append(counts, float64(b.Count))
			next = b.Key + 1
		}
		return spans, counts
	}
	h.PositiveSpans, h.PositiveBuckets = spans(s.Positive)
	h.NegativeSpans, h.NegativeBuckets = spans(s.Negative)
	return h
}
