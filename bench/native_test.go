package bench

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"math"
	"slices"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
)

// inProtobuf reports whether a side of a path writes the format protobuf.
func inProtobuf(p Path, s Side) bool {
	return p.Group == Native && s.Peer != Victoria && (s.Peer != Bare || p.Unit == "series")
}

// A histogram is a decoded histogram. The counts of the native buckets are by key, and
// those of the classic buckets are cumulative, by bound without +Inf.
type histogram struct {
	count              uint64
	sum                float64
	native             bool
	schema             int32
	zeroThreshold      float64
	zero               uint64
	positive, negative map[int32]int64
	classic            map[float64]uint64
}

// histograms has the histograms of a scrape by the label "path".
type histograms map[string]histogram

// readProtobuf decodes the format protobuf with the decoder of client_golang.
func readProtobuf(t *testing.T, body []byte) histograms {
	t.Helper()
	all := histograms{}
	dec := expfmt.NewDecoder(bytes.NewReader(body), protobufFormat)
	for {
		var f dto.MetricFamily
		if err := dec.Decode(&f); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		for _, m := range f.Metric {
			if m.Histogram == nil {
				t.Fatalf("no histogram in %v", m)
			}
			h, path := m.Histogram, ""
			for _, l := range m.Label {
				if l.GetName() == "path" {
					path = l.GetValue()
				}
			}
			if _, ok := all[path]; ok {
				t.Errorf("two series with the path %q", path)
			}
			got := histogram{count: h.GetSampleCount(), sum: h.GetSampleSum(), native: h.Schema != nil, schema: h.GetSchema(),
				zeroThreshold: h.GetZeroThreshold(), zero: h.GetZeroCount(), classic: map[float64]uint64{},
				positive: keyed(h.PositiveSpan, h.PositiveDelta), negative: keyed(h.NegativeSpan, h.NegativeDelta)}
			for _, b := range h.Bucket {
				if !math.IsInf(b.GetUpperBound(), +1) {
					got.classic[b.GetUpperBound()] = b.GetCumulativeCount()
				}
			}
			all[path] = got
		}
	}
}

// keyed returns the counts of the populated buckets by key.
func keyed(spans []*dto.BucketSpan, deltas []int64) map[int32]int64 {
	counts := map[int32]int64{}
	key, count := int32(0), int64(0)
	for _, s := range spans {
		key += s.GetOffset()
		for range s.GetLength() {
			count += deltas[0]
			deltas = deltas[1:]
			if count != 0 {
				counts[key] = count
			}
			key++
		}
	}
	return counts
}

func (all histograms) summary() summary {
	s := summary{samples: len(all), series: len(all)}
	for _, h := range all {
		s.total += float64(h.count)
	}
	return s
}

// TestNativeSidesAgree checks that the native buckets of all sides are equal after the
// same calls, and that the classic buckets of all sides are equal.
func TestNativeSidesAgree(t *testing.T) {
	for _, p := range Paths(Small) {
		if p.Group != Native {
			continue
		}
		t.Run(p.Name, func(t *testing.T) {
			for _, parallel := range []int{1, 2} {
				if parallel > 1 && p.Alone {
					continue
				}
				agreeNative(t, p, parallel)
			}
		})
	}
}

func agreeNative(t *testing.T, p Path, parallel int) {
	var native, classic histograms // of the first side that has such buckets
	nativeSides, classicSides := 0, 0
	for _, s := range p.Sides() {
		if !inProtobuf(p, s) {
			continue
		}
		n := 3 * samples
		if p.Unit == "series" {
			n = 2
		}
		run(s.Run, parallel, n)
		got := readProtobuf(t, bodyOf(s.Scrape))
		if s.Peer != TachoClassic && s.Peer != ClientClassic {
			nativeSides++
			if native == nil {
				native = got
			}
			equal(t, s.Peer, got, native, func(a, b histogram) bool {
				return a.native && a.schema == nativeSchema && b.schema == nativeSchema && a.zero == b.zero &&
					len(a.positive) > 40 && maps.Equal(a.positive, b.positive) && maps.Equal(a.negative, b.negative)
			})
		}
		if s.Peer == TachoBoth || s.Peer == TachoClassic || s.Peer == ClientClassic {
			classicSides++
			if classic == nil {
				classic = got
			}
			equal(t, s.Peer, got, classic, func(a, b histogram) bool {
				return len(a.classic) == len(classicBounds) && maps.Equal(a.classic, b.classic)
			})
		}
	}
	if nativeSides < 4 || classicSides != 3 {
		t.Errorf("%d sides with native buckets and %d with classic ones, want at least 4 and 3", nativeSides, classicSides)
	}
}

// equal compares the series of a side with those of the first side.
func equal(t *testing.T, peer string, got, want histograms, same func(a, b histogram) bool) {
	t.Helper()
	if len(got) == 0 || !slices.Equal(slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want))) {
		t.Errorf("%s has %d series, want %d", peer, len(got), len(want))
	}
	for path, a := range got {
		b := want[path]
		if !same(a, b) || a.count != b.count || a.count == 0 || math.Abs(a.sum-b.sum) > 1e-9*b.sum {
			t.Fatalf("%s: %+v\nwant, as in the first side:\n%+v", peer, a, b)
		}
	}
}

// TestNativeValues checks the distributions of logNormal and anyFloats.
func TestNativeValues(t *testing.T) {
	latencies := logNormal()[:]
	if m := median(slices.Clone(latencies)); m < 0.0095 || m > 0.0105 {
		t.Errorf("the median is %v, want 0.01", m)
	}
	if one := quantile(slices.Clone(latencies), 0.8413); one < 0.024 || one > 0.03 {
		t.Errorf("the quantile 0.8413 is %v, want 0.01 * e", one)
	}
	keys := map[int]bool{}
	for _, v := range latencies {
		keys[int(math.Ceil(math.Log2(v)*(1<<nativeSchema)))] = true
	}
	if len(keys) < 65 || len(keys) > 75 {
		t.Errorf("the values have %d buckets of schema 3, want about 70", len(keys))
	}
	negative, large := 0, 0
	floats := anyFloats(anyValues)
	for _, v := range floats {
		if v != v {
			t.Fatal("a NaN among the values")
		}
		if v < 0 {
			negative++
		}
		if math.Abs(v) > 1 {
			large++
		}
	}
	if half := anyValues / 2; len(floats) != anyValues || negative < half*9/10 || negative > half*11/10 || large < half*9/10 || large > half*11/10 {
		t.Errorf("of %d values, %d are negative and %d have absolute values above 1; want a half each", len(floats), negative, large)
	}
}

func TestNativeBytes(t *testing.T) {
	for _, size := range NativeBytes(Small) {
		if size.Bare != 0 || len(size.Peers) < 6 || size.Peers[0] != Tacho {
			t.Errorf("incomplete result, or tacho is not first: %+v", size)
		}
		for i, bytes := range size.Bytes {
			if bytes < 22 || bytes > 1e6 {
				t.Errorf("%s: %.0f bytes in %s", size.Name, bytes, size.Peers[i])
			}
		}
	}
}

// TestProtobufAllocations checks that a scrape in protobuf allocates nothing for a
// series.
func TestProtobufAllocations(t *testing.T) {
	allocations := func(series int) float64 {
		scrape := nativeLoad{series: series, values: nativeValues}.open(Tacho)
		return testing.AllocsPerRun(10, func() {
			if err := scrape(io.Discard); err != nil {
				t.Fatal(err)
			}
		})
	}
	few, many := allocations(10), allocations(510)
	if a := (many - few) / 500; a > 0.05 {
		t.Errorf("%.2f allocations a series: %v for 10 series and %v for 510", a, few, many)
	}
}
