package tacho

import (
	"io"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"
)

// BenchmarkExpiry measures scrapes of 1,000,000 counters without expiry, and with expiry. With
// expiry all counters are in use, or each scrape unlists as many as it may, or the program
// holds 1,000,000 unlisted counters. With -short there are 10,000 counters.
func BenchmarkExpiry(b *testing.B) {
	n := 1_000_000
	if testing.Short() {
		n = 10_000
	}
	fill := func(opts ...Option) (*Registry, *CounterVec, []*Counter) {
		r := NewRegistry()
		v := r.CounterVec("c_total", "", []string{"l"}, opts...)
		kept := make([]*Counter, n)
		for i, k := range rand.New(rand.NewPCG(1, 2)).Perm(n) { // traffic creates series in no order
			kept[i] = v.With(strconv.Itoa(k))
			kept[i].Inc()
		}
		r.WriteText(io.Discard)
		r.WriteText(io.Discard)
		return r, v, kept
	}
	scrape := func(b *testing.B, r *Registry) {
		if err := r.WriteText(io.Discard); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("without", func(b *testing.B) {
		r, _, _ := fill()
		for b.Loop() {
			scrape(b, r)
		}
	})
	b.Run("in use", func(b *testing.B) {
		r, _, _ := fill(WithIdleExpiry(time.Hour))
		for b.Loop() {
			scrape(b, r)
		}
	})
	// A scrape of the vector alone, at a chosen time.
	b.Run("unlist", func(b *testing.B) {
		_, v, kept := fill(WithIdleExpiry(time.Hour))
		at := monotonic()
		for b.Loop() {
			if v.Len() < n/2 {
				b.StopTimer()
				for _, c := range kept {
					c.Inc()
				}
				v.orderMu.Lock()
				v.inUseAt(at)
				v.orderMu.Unlock()
				b.StartTimer()
			}
			at += int64(time.Hour)
			v.orderMu.Lock()
			v.inUseAt(at)
			v.orderMu.Unlock()
		}
	})
	b.Run("held", func(b *testing.B) {
		_, v, kept := fill(WithIdleExpiry(time.Hour))
		at := monotonic() + int64(time.Hour)
		for v.Len() > 0 {
			v.orderMu.Lock()
			v.inUseAt(at)
			v.orderMu.Unlock()
		}
		for b.Loop() {
			v.orderMu.Lock()
			v.inUseAt(at)
			v.orderMu.Unlock()
		}
		_ = kept[0].Value()
	})
}
