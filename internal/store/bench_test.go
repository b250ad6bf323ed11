package store

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
)

// BenchmarkFind compares a lookup and an addition with the same of a map. With -short there are
// at most 10,000 series.
func BenchmarkFind(b *testing.B) {
	sizes := []int{64, 10_000, 200_000, 1_000_000}
	if testing.Short() {
		sizes = sizes[:2]
	}
	for _, n := range sizes {
		list := rows(n)
		v := newVector(counters(0), "method", "path", "status")
		m := map[[3]string]*counter{}
		for _, values := range list {
			m[[3]string(values)] = counterOf(v.add(values...))
		}
		v.ordered()
		rand.Shuffle(n, func(i, j int) { list[i], list[j] = list[j], list[i] })
		var text []byte // in the order of the lookups, as the values of requests are
		flat := make([]string, 0, 3*n)
		for _, values := range list {
			for _, x := range values {
				text = append(text, x...)
			}
		}
		all, at := string(text), 0
		for _, values := range list {
			for _, x := range values {
				flat = append(flat, all[at:at+len(x)])
				at += len(x)
			}
		}
		for i := range list {
			list[i] = flat[3*i : 3*i+3]
		}
		b.Run(fmt.Sprint(n, "/store"), func(b *testing.B) {
			i := 0
			for b.Loop() {
				counterOf(v.Find(list[i])).n.Add(1)
				if i++; i == n {
					i = 0
				}
			}
		})
		b.Run(fmt.Sprint(n, "/map"), func(b *testing.B) {
			i := 0
			for b.Loop() {
				m[[3]string(list[i])].n.Add(1)
				if i++; i == n {
					i = 0
				}
			}
		})
		runtime.KeepAlive(m)
	}
}
