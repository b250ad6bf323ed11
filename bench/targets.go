package bench

// A Target is a minimum for the ratio between the cost of a peer and of tacho.
type Target struct {
	Path     string // Path.Name, or Size.Name
	Parallel bool   // measured with several goroutines
	Peer     string
	Ratio    float64
	MayAlloc bool // if false, the work of tacho must not allocate
}

// Targets lists the targets. The ratios apply to a machine with 2 cores.
var Targets = []Target{
	{Path: "Counter.Inc", Peer: Bare, Ratio: 0.85},
	{Path: "Counter.Inc", Parallel: true, Peer: Bare, Ratio: 2.5},
	{Path: "Counter.Inc", Parallel: true, Peer: Client, Ratio: 2.5},
	{Path: "Counter.Inc, one counter", Parallel: true, Peer: Bare, Ratio: 0.75},
	{Path: "Observe, one histogram", Parallel: true, Peer: Bare, Ratio: 0.75},
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
	{Path: "middleware, one request", Peer: Client, Ratio: 5, MayAlloc: true},
	{Path: "middleware, one request", Parallel: true, Peer: Client, Ratio: 5, MayAlloc: true},
	{Path: "Observe, native", Peer: Client, Ratio: 4.5},
	{Path: "Observe, native", Parallel: true, Peer: Client, Ratio: 12},
	{Path: "Observe, native", Peer: TachoClassic, Ratio: 1 / 1.3},
	{Path: "Observe, native", Parallel: true, Peer: TachoClassic, Ratio: 1 / 1.4},
	{Path: "WriteProtobuf, 1,000 native histograms", Peer: Client, Ratio: 25},
	{Path: "WriteProtobuf, 10,000 counters", Peer: Client, Ratio: 20},
	{Path: "WriteProtobuf, 1,000 histograms", Peer: Client, Ratio: 20},
	{Path: "WriteOpenMetrics2, 10,000 counters", Peer: Client, Ratio: 20},
	{Path: "WriteOpenMetrics2, 1,000 histograms", Peer: Client, Ratio: 20},
	{Path: "WriteOpenMetrics2, 1,000 native histograms", Peer: Client, Ratio: 20},
	{Path: "OTLP, 10,000 counters", Peer: OTel, Ratio: 20},
	{Path: "OTLP, 1,000 histograms", Peer: OTel, Ratio: 20},
	{Path: "OTLP, 1,000 native histograms", Peer: OTel, Ratio: 20},
	{Path: "remote write 1.0, 10,000 counters", Peer: Client, Ratio: 20},
	{Path: "remote write 1.0, 1,000 histograms", Peer: Client, Ratio: 20},
	{Path: "remote write 1.0, 1,000 native histograms", Peer: Client, Ratio: 20},
	{Path: "remote write 2.0, 10,000 counters", Peer: Client, Ratio: 20},
	{Path: "remote write 2.0, 1,000 histograms", Peer: Client, Ratio: 20},
	{Path: "remote write 2.0, 1,000 native histograms", Peer: Client, Ratio: 20},
	{Path: "a series of 10,000 native histograms, 1,000 values", Peer: Client, Ratio: 8, MayAlloc: true},
	{Path: "a series of 10,000 native histograms, 1,000 values, 2 scrapes", Peer: Client, Ratio: 15, MayAlloc: true},
	{Path: "protobuf of 1,000 native histograms", Peer: Client, Ratio: 1 / 0.7, MayAlloc: true},
	{Path: "a series of 10,000 counters", Peer: Client, Ratio: 3.2, MayAlloc: true},
	{Path: "a series of 10,000 histograms", Peer: Client, Ratio: 4, MayAlloc: true},
}

// TargetOf returns the target of a path and a peer. The second result reports
// whether the target exists.
func TargetOf(path string, parallel bool, peer string) (Target, bool) {
	for _, t := range Targets {
		if t.Path == path && t.Parallel == parallel && t.Peer == peer {
			return t, true
		}
	}
	return Target{}, false
}

// ByteTargets is the maximum of the bytes of tacho, by Size.Name. The bytes of a program
// are the bytes that tacho adds. The targets of native histograms were set in units of 1,024
// bytes.
var ByteTargets = map[string]float64{
	"server":        254_000,
	"program":       100_000,
	binaryRecording: 32 << 10,
	binaryEncoder:   16 << 10,
	binaryBoth:      16 << 10,
	binaryNeither:   0,
	binaryTinyAMD64: 312_000,
	binaryTinyARM:   270_000,

	nativeName(nativeLoads(Full)[2]): 24 << 10,
	nativeName(nativeLoads(Full)[3]): 24 << 10,
}

// A ScaleTarget is a maximum for a row of the table Scale.
type ScaleTarget struct {
	Row      string // ScaleRow.Name
	Against  string // ScaleRow.Against; "" for the value of tacho alone
	Quotient bool   // the maximum is for ScaleValue.Quotient, not for ScaleValue.Ours

	// Most has a maximum for each of Sizes.Scale, or a single maximum for all sizes.
	// 0 means no maximum.
	Most []float64
}

// ScaleTargets lists the targets of the table Scale. Commit c3b967a, before the series
// store, needed 40 ms at best for a full collection with 1,000,000 series. The target
// of a collection is 0.3 of that time.
var ScaleTargets = []ScaleTarget{
	{Row: "scale/bytes", Most: []float64{130}},
	{Row: "scale/objects", Most: []float64{0.1}},
	{Row: "scale/scan", Most: []float64{36}},
	{Row: "scale/collection", Against: Victoria, Most: []float64{0, 0, 12}},
	{Row: "scale/create-objects", Most: []float64{0.3}},
	{Row: "scale/with", Against: goMap, Quotient: true, Most: []float64{1}},
	{Row: "scale/text", Against: text.bare, Quotient: true, Most: []float64{2, 3, 3}},
	{Row: "scale/openmetrics", Against: inLineOrder, Quotient: true, Most: []float64{1.3}},
	{Row: "scale/json", Most: []float64{20}},
	{Row: "scale/gzip-size", Against: levelOne, Quotient: true, Most: []float64{1.1}},
	{Row: "scale/histogram-bytes", Most: []float64{260}},
	{Row: "scale/histogram-text", Against: text.bare, Most: []float64{11}},
	{Row: "scale/histogram-gzip-size", Against: levelOne, Quotient: true, Most: []float64{1.1}},
}

// ScaleTargetOf returns the target of a row. The second result reports whether the
// target exists.
func ScaleTargetOf(row ScaleRow) (ScaleTarget, bool) {
	for _, t := range ScaleTargets {
		if t.Row == row.Name && t.Against == row.Against {
			return t, true
		}
	}
	return ScaleTarget{}, false
}

// MostAt returns the maximum for the number of series at an index of Sizes.Scale. 0
// means no maximum.
func (t ScaleTarget) MostAt(size int) float64 { return t.Most[min(size, len(t.Most)-1)] }
