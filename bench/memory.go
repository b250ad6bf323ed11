package bench

import "runtime"

// A Size is a number of bytes for tacho and for each peer.
type Size struct {
	Name    string
	Peers   []string
	Bytes   []float64 // by peer
	Bare    float64   // size of a binary without metrics, or 0 if the bytes are not of a binary
	Without string    // description of the binary of Bare; "" for Bare
}

func (s *Size) add(peer string, bytes float64) {
	s.Peers = append(s.Peers, peer)
	s.Bytes = append(s.Bytes, bytes)
}

// SeriesBytes returns the bytes on the heap for each series. A series has three
// labels. The value of the label "path" is unique.
func SeriesBytes(s Sizes) []Size {
	var sizes []Size
	for _, l := range memoryLoads(s) {
		size := Size{Name: seriesName(l)}
		for _, peer := range []string{Tacho, Client, Victoria, OTel} {
			size.add(peer, heapOf(func() any { return l.fill(peer) })/float64(max(l.counters, l.histograms)))
		}
		sizes = append(sizes, size)
	}
	return sizes
}

func memoryLoads(s Sizes) []load {
	loads := []load{{histograms: s.Memory[0]}}
	for _, n := range s.Memory {
		loads = append(loads, load{counters: n})
	}
	return loads
}

func seriesName(l load) string { return "a series of " + l.String() }

func (l load) fill(peer string) any {
	switch peer {
	case Tacho:
		return l.tacho()
	case Client:
		return l.client()
	case Victoria:
		return l.victoria()
	}
	return l.otel(newOTel())
}

// heapOf returns the growth of the live heap, in bytes, with the result of f.
func heapOf(f func() any) float64 {
	before, _ := liveHeap()
	v := f()
	after, _ := liveHeap()
	runtime.KeepAlive(v)
	return float64(after) - float64(before)
}

// liveHeap returns the bytes and the objects of the heap after a collection.
func liveHeap() (bytes, objects uint64) {
	runtime.GC()
	runtime.GC() // the second collection frees the contents of each sync.Pool
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc, m.HeapObjects
}
