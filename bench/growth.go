package bench

import (
	"runtime"
	"slices"
)

// A Growth is the memory that a format allocates for two numbers of series.
type Growth struct {
	Name    string
	Series  [2]int // the smaller number first
	Peers   []string
	Objects [][2]float64 // by peer: allocations of an exposition or a push
	Bytes   [][2]float64 // by peer: allocated bytes
}

// Each returns the objects and bytes that a side allocates for a further series.
func (g Growth) Each(side int) (objects, bytes float64) {
	n := float64(g.Series[1] - g.Series[0])
	return (g.Objects[side][1] - g.Objects[side][0]) / n, (g.Bytes[side][1] - g.Bytes[side][0]) / n
}

// MaxObjects is the maximum of the objects that tacho allocates for a further series. The runtime
// and net/http allocate a few objects too, and a push has a request for each 2,000 series.
const MaxObjects = 0.05

// growthRepeats is the number of measurements. The smallest result counts, because the runtime
// allocates too, for example after a collection emptied a sync.Pool.
const growthRepeats = 5

// FormatGrowth returns the memory that each format allocates, for the series of s and for a tenth.
func FormatGrowth(s Sizes) []Growth {
	var all []Growth
	few, many := formatLoads(s, 10), formatLoads(s, 1)
	for _, f := range allFormats {
		for i := range many {
			g := Growth{Name: f.name + ", " + many[i].kind(), Series: [2]int{few[i].written(f), many[i].written(f)}}
			for k, l := range []formatLoad{few[i], many[i]} {
				for _, side := range l.formatSides(f) {
					if side.Peer == Bare {
						continue
					}
					at := slices.Index(g.Peers, side.Peer)
					if at < 0 {
						at = len(g.Peers)
						g.Peers = append(g.Peers, side.Peer)
						g.Objects, g.Bytes = append(g.Objects, [2]float64{}), append(g.Bytes, [2]float64{})
					}
					g.Objects[at][k], g.Bytes[at][k] = allocated(side)
				}
			}
			all = append(all, g)
		}
	}
	return all
}

// kind describes the series of a load without their number.
func (l formatLoad) kind() string {
	switch {
	case l.native.series > 0:
		return "native histograms"
	case l.histograms > 0:
		return "histograms"
	}
	return "counters"
}

// allocated returns the smallest numbers of allocations and allocated bytes of one call of a side.
func allocated(side Side) (objects, bytes float64) {
	for i := range growthRepeats {
		side.Run(0, 2*pushersInTurn) // fills each sync.Pool
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		side.Run(0, 1)
		runtime.ReadMemStats(&after)
		o, b := float64(after.Mallocs-before.Mallocs), float64(after.TotalAlloc-before.TotalAlloc)
		if i == 0 || o < objects {
			objects = o
		}
		if i == 0 || b < bytes {
			bytes = b
		}
	}
	return objects, bytes
}
