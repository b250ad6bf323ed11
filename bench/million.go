package bench

import (
	"io"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// A LargeScrape is what a scrape of very many series costs. Here the peers do
// not take turns, and each is alone in memory: how far garbage grows before it
// is collected depends on all that lives.
type LargeScrape struct {
	Name  string
	Peers []string
	Cost  []Cost    // by peer: nanoseconds a series, allocations a scrape
	Peak  []float64 // by peer: bytes by which the program grows, at most
}

// A scrape is repeated up to largeRepeats times, as long as that takes no longer
// than largeTime.
const (
	largeRepeats = 3
	largeTime    = time.Second
)

// LargeScrapes measures scrapes of counters of three labels in every format.
func LargeScrapes(s Sizes) []LargeScrape {
	l := load{counters: s.Million}
	large := make([]LargeScrape, len(formats))
	for i, f := range formats {
		large[i].Name = f.name + ", " + l.String()
	}
	for _, peer := range Peers {
		open := l.open(peer)
		for i, f := range formats {
			scrape := open(f)
			if scrape == nil {
				continue
			}
			var times []float64
			var allocations, peak float64
			for start := time.Now(); len(times) == 0 || len(times) < largeRepeats && time.Since(start) < largeTime; {
				took, allocs, bytes := watch(scrape)
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

// watch scrapes once and returns how long it took, how much it allocated, and by
// how much the memory that the runtime holds grew, looking every millisecond.
func watch(scrape func(io.Writer) error) (took time.Duration, allocations, peak float64) {
	debug.FreeOSMemory()
	debug.FreeOSMemory() // what was pooled goes with the second
	base := held()
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
				most = max(most, held())
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
	return took, float64(after.Mallocs - before.Mallocs), float64(max(most, held()) - base)
}

func held() uint64 {
	s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64() - s[1].Value.Uint64()
}
