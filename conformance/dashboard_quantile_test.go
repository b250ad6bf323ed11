package conformance

import (
	"bytes"
	"encoding/json"
	"flag"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser/posrange"

	"github.com/tachikoma/tacho/internal/expo"
	"github.com/tachikoma/tacho/internal/native"
)

var update = flag.Bool("update", false, "rewrite the files that tests make")

// TestQuantilesOfDashboard: a file of the tests of the dashboard has the quantiles that
// Prometheus' histogram_quantile computes of native histograms. With -update the test writes
// the file first.
func TestQuantilesOfDashboard(t *testing.T) {
	const file = "../dashboard/browser/testdata/quantiles.json"
	type histogram struct {
		Histogram json.RawMessage   `json:"histogram"`
		Quantiles map[string]string `json:"quantiles"`
	}
	r := rand.New(rand.NewPCG(5, 6))
	snapshots := []*native.Snapshot{
		{ZeroThreshold: 0.5, Zero: 7},
		{Positive: []native.Bucket{{Key: 1, Count: 1}, {Key: 3, Count: 1}}}, // the median is between two buckets
		{Negative: []native.Bucket{{Key: 1, Count: 9}, {Key: 3, Count: 1}}},
		{ZeroThreshold: 0.5, Zero: 5, Positive: []native.Bucket{{Key: 1, Count: 5}}},
		{ZeroThreshold: 0.5, Zero: 90, Negative: []native.Bucket{{Key: 1, Count: 5}}, Positive: []native.Bucket{{Key: 1, Count: 5}}},
	}
	for len(snapshots) < 80 {
		s := randomNative(r)
		s.Positive, s.Negative = s.Positive[:min(len(s.Positive), r.IntN(8))], s.Negative[:min(len(s.Negative), r.IntN(4))]
		if r.IntN(2) == 0 {
			s.Negative = nil
		}
		if s.Count() > 0 {
			snapshots = append(snapshots, s)
		}
	}
	var list []histogram
	for _, s := range snapshots {
		var h histogram
		h.Histogram = bytes.TrimPrefix(expo.NativeCode{}.AppendJSON(nil, s, 0), []byte(`,"histogram":`))
		h.Quantiles = map[string]string{}
		for _, q := range []float64{0.5, 0.9, 0.99} {
			v, _ := promql.HistogramQuantile(q, floatHistogram(s, 0), "", posrange.PositionRange{})
			h.Quantiles[strconv.FormatFloat(q, 'g', -1, 64)] = strconv.FormatFloat(v, 'g', 12, 64) // the last digits depend on the processor
		}
		list = append(list, h)
	}
	want := []byte("[")
	for i, h := range list {
		if i > 0 {
			want = append(want, ',')
		}
		line, err := json.Marshal(h)
		if err != nil {
			t.Fatal(err)
		}
		want = append(append(want, '\n'), line...)
	}
	want = append(want, "\n]\n"...)
	if *update {
		if err := os.WriteFile(file, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s differs from the quantiles of Prometheus, error %v; run the test with -update", file, err)
	}
}
