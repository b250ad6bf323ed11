package bench

import (
	"io"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// A LargeScrape is the cost of a scrape of very many series. The peers are
// measured one after another, and only one peer is in memory. The reason is the
// garbage collector: the size of the live heap sets the amount of garbage before
// the next collection.
type LargeScrape struct {
	Name  string
	Peers []string
	Cost  []Cost    // by peer: nanoseconds per series, allocations per scrape
	Peak  []float64 // by peer: largest growth of the memory of the process, in bytes
}

// LargeScrapes repeats a scrape up to largeRepeats times within largeTime.
const (
	largeRepeats = 3
	largeTime    = time.Second
)

// LargeScrapes measures scrapes of counters with three labels in every format.
func LargeScrapes(s Sizes) []LargeScrape {
	l := load{counters: s.Million}
	large := make([]LargeScrape, len(formats))
	for i, f := range formats {
		large[i].Name = f.name + ", " + l.String()
	}
	for _, peer := range Peers {
		open := l.open(peer)
		if err := open(formats[0])(io.Discard); err != nil { // the first scrape sorts new series
			panic(err)
		}
		for i, f := range formats {
			scrape := open(f)
			if scrape == nil {
				continue
			}
			var times []float64
			var allocations, peak float64
			for start := time.Now(); len(times) == 0 || len(times) < largeRepeats && time.Since(start) < largeTime; {
				took, allocs, bytes := measureScrape(scrape)
				times = append(times, float64(took.Nanoseconds())/float64(s.Million))
				allocations = allocs
				peak = max(peak, bytes)
			}
			large[i].Peers = append(large[i].Peers, peer)
			large[i].Cost = append(large[i].Cost, Cost{Nanoseconds: median(times), Allocations: allocations})
			large[i].Peak = append(large[i].Peak, peak)
		}
	}
	return large
}

// measureScrape scrapes once. The results are the duration, the number of
// allocations, and the largest growth of heldBytes, sampled every millisecond.
func measureScrape(scrape func(io.Writer) error) (took time.Duration, allocations, peak float64) {
	debug.FreeOSMemory()
	debug.FreeOSMemory() // the second collection frees the contents of each sync.Pool
	base := heldBytes()
	most := base
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				most = max(most, heldBytes())
			}
		}
	}()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	err := scrape(io.Discard)
	took = time.Since(start)
	runtime.ReadMemStats(&after)
	close(stop)
	<-stopped
	if err != nil {
		panic(err)
	}
	return took, float64(after.Mallocs - before.Mallocs), float64(max(most, heldBytes()) - base)
}

// heldBytes returns the memory of the runtime in bytes. Heap memory returned to the
// operating system does not count.
func heldBytes() uint64 {
	s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64() - s[1].Value.Uint64()
}
