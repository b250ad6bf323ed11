//go:build !tacho_nohttp

package push

import (
	"fmt"
	"testing"

	"github.com/tachikoma/tacho"
)

// BenchmarkText encodes and compresses the body of a push in the text format.
func BenchmarkText(b *testing.B) {
	for _, n := range []int{500, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			reg := tacho.NewRegistry()
			v := reg.CounterVec("http_requests_total", "", []string{"method", "path"})
			for i := range n {
				v.With("GET", fmt.Sprintf("/missions/%d", i)).Add(uint64(i))
			}
			d, err := VictoriaMetrics{URL: "http://127.0.0.1"}.resolve()
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			size := 0
			for b.Loop() {
				body, _, err := d.encode(b.Context(), reg, 1<<30)
				if err != nil {
					b.Fatal(err)
				}
				size = len(body)
			}
			b.ReportMetric(float64(size), "body-bytes")
		})
	}
}
