package bench

// A Target is what tacho means to reach: a peer's cost by its own, at least.
type Target struct {
	Path     string
	Parallel bool // from several goroutines
	Peer     string
	Ratio    float64
	MayAlloc bool // else tacho's side must not allocate
}

// Targets, for 2 cores.
var Targets = []Target{
	{Path: "Counter.Inc", Peer: Bare, Ratio: 0.85},
	{Path: "Counter.Inc", Parallel: true, Peer: Bare, Ratio: 2.5},
	{Path: "Counter.Inc", Parallel: true, Peer: Client, Ratio: 2.5},
	{Path: "Observe", Peer: Client, Ratio: 1.9},
	{Path: "Observe", Peer: Victoria, Ratio: 1.05},
	{Path: "Observe", Parallel: true, Peer: Client, Ratio: 15},
	{Path: "Observe", Parallel: true, Peer: Victoria, Ratio: 3},
	{Path: "With(3 labels).Inc, 64 series", Peer: Client, Ratio: 3.5},
	{Path: "With(3 labels).Inc, 64 series", Parallel: true, Peer: Client, Ratio: 6},
	{Path: "With(3 labels).Inc, 8,192 series", Peer: Client, Ratio: 3.5},
	{Path: "With(3 labels).Inc, 8,192 series", Parallel: true, Peer: Client, Ratio: 6},
	{Path: "WriteText, 10,000 counters", Peer: Victoria, Ratio: 15, MayAlloc: true},
	{Path: "WriteText, 10,000 counters", Peer: Bare, Ratio: 0.5, MayAlloc: true},
	{Path: "Handler, 10,000 counters", Peer: Client, Ratio: 100, MayAlloc: true},
	{Path: "Handler with gzip, 10,000 counters", Peer: Client, Ratio: 12, MayAlloc: true},
	{Path: "WriteText, 1,000 histograms", Peer: Client, Ratio: 25, MayAlloc: true},
	{Path: "WriteText, 1,000 histograms", Peer: Victoria, Ratio: 30, MayAlloc: true},
	{Path: "middleware, one request", Peer: Client, Ratio: 5},
	{Path: "middleware, one request", Parallel: true, Peer: Client, Ratio: 5},
	{Path: "a series of 10,000 counters", Peer: Client, Ratio: 3.2, MayAlloc: true},
	{Path: "a series of 10,000 histograms", Peer: Client, Ratio: 4, MayAlloc: true},
}

// TargetOf returns the target of a path, if it has one.
func TargetOf(path string, parallel bool, peer string) (Target, bool) {
	for _, t := range Targets {
		if t.Path == path && t.Parallel == parallel && t.Peer == peer {
			return t, true
		}
	}
	return Target{}, false
}

// BinaryTargets is how many bytes tacho may add to a program, at most.
var BinaryTargets = map[string]float64{"server": 120_000, "program": 100_000}
