//go:build !tacho_nohttp

package push

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/internal/race"
)

// counters returns a registry with n counters.
func counters(n int) *tacho.Registry {
	reg := tacho.NewRegistry()
	v := reg.CounterVec("http_requests_total", "", []string{"method", "path"})
	for i := range n {
		v.With("GET", fmt.Sprintf("/missions/%d", i)).Add(uint64(i))
	}
	return reg
}

// classicHistograms returns a registry with n histograms of 12 buckets.
func classicHistograms(n int) *tacho.Registry {
	reg := tacho.NewRegistry()
	v := reg.HistogramVec("http_request_duration_seconds", "", nil, []string{"method", "path"})
	for i := range n {
		v.With("GET", fmt.Sprintf("/missions/%d", i)).Observe(.1)
	}
	return reg
}

// nativeHistograms returns a registry with n native histograms.
func nativeHistograms(n int) *tacho.Registry {
	reg := tacho.NewRegistry(tacho.WithNative())
	v := reg.HistogramVec("http_request_duration_seconds", "", nil, []string{"method", "path"})
	random := rand.New(rand.NewPCG(1, 2))
	for i := range n {
		h := v.With("GET", fmt.Sprintf("/missions/%d", i))
		for range 1000 {
			h.Observe(.01 * math.Exp(random.NormFloat64()))
		}
	}
	return reg
}

func BenchmarkRemoteWrite(b *testing.B) {
	for _, c := range []struct {
		name   string
		reg    *tacho.Registry
		series int
	}{
		{"10000 counters", counters(10_000), 10_000},
		{"700 classic histograms", classicHistograms(700), 700 * 14},
		{"1000 native histograms", nativeHistograms(1000), 1000},
	} {
		for version := 1; version <= 2; version++ {
			for _, markers := range []bool{false, true} {
				what := "encode"
				if markers {
					what = "track"
				}
				b.Run(fmt.Sprintf("%s/%d.0/%s", c.name, version, what), func(b *testing.B) {
					d, err := RemoteWrite{URL: "http://127.0.0.1", Labels: []string{"job", "j", "instance", "i"}, NoStaleMarkers: !markers}.resolve()
					if err != nil {
						b.Fatal(err)
					}
					d.remote.version = version
					b.ReportAllocs()
					size := 0
					for b.Loop() {
						push, err := d.remote.encode(b.Context(), c.reg, 1<<30)
						if err != nil || len(push.bodies) == 0 {
							b.Fatal(err)
						}
						d.remote.begin(push)
						size = 0
						for _, body := range push.bodies {
							size += len(body)
						}
					}
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(c.series), "ns/series")
					b.ReportMetric(float64(size)/float64(c.series), "B/series")
				})
			}
		}
	}
}

// TestPushAllocations: a push of 10,000 series allocates no more objects than a push of 1,000 series,
// besides those of its further requests.
func TestPushAllocations(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector allocates")
	}
	for version := 1; version <= 2; version++ {
		var allocations [2]float64
		for i, n := range []int{1000, 10_000} {
			reg := counters(n)
			r := newReceiver([]label{{"job", "j"}}, true)
			r.version = version
			allocations[i] = testing.AllocsPerRun(20, func() {
				p, err := r.encode(t.Context(), reg, 1<<30)
				if err != nil || len(p.bodies) != (n+maxSeries-1)/maxSeries {
					t.Fatalf("%d requests, error %v", len(p.bodies), err)
				}
				r.begin(p)
			})
		}
		// A body, and the list of bodies.
		if more := allocations[1] - allocations[0]; more > 4+3 {
			t.Errorf("version %d: %v allocations for 1,000 series and %v for 10,000", version, allocations[0], allocations[1])
		}
	}
}
