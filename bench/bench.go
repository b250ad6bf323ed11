// Package bench compares the cost of the same work in tacho and in other metric
// libraries:
//
//   - Client is client_golang, the library of the Prometheus project.
//   - Victoria is VictoriaMetrics/metrics.
//   - OTel is the metric SDK of OpenTelemetry, with the Prometheus exporter for scrapes.
//   - Bare is a lower bound without a library, such as an atomic add or a copy of
//     the same bytes. Path.Bare describes the lower bound of a path.
//
// The benchmarks of this package time one side after another. The command
// cmd/ratios measures ratios: the sides work in turn, a few milliseconds each.
// A change in the speed of the machine then affects all sides.
package bench

import "io"

// Names of the sides of a comparison, in the order of the tables.
const (
	Tacho    = "tacho"
	Bare     = "bare"
	Client   = "client_golang"
	Victoria = "VictoriaMetrics"
	OTel     = "OpenTelemetry"
)

// Peers lists all sides, tacho included. The tables of native histograms have further
// sides; see NativePeers.
var Peers = []string{Tacho, Bare, Client, Victoria, OTel}

// A Path is a piece of work that every side can do.
type Path struct {
	Group string // name of the table
	Name  string
	Bare  string // description of the work of the bare side
	Unit  string // unit of the work, such as "call" or "line"

	// Units is the number of units in one call of Run, for example the lines of a
	// scrape. 0 means 1.
	Units int
	// Batch, if not 0, is the number of calls in a round. Side.Reset precedes each
	// round. If Batch is 0, a round lasts for a set time.
	Batch int
	// Alone excludes the path from runs with several goroutines.
	Alone bool
	// Settle requests a garbage collection before each round. Without a collection,
	// the garbage of one side would slow down the round of another side.
	Settle bool
	// Heavy marks slow work: a comparison uses fewer rounds.
	Heavy bool

	// Sides makes the sides, tacho first. The sides can hold gigabytes. Callers
	// release the sides of one path before the next call of Sides.
	Sides func() []Side
}

// A Side is the implementation of a path with one library.
type Side struct {
	Peer string

	// Run does the work once for each number in [from, to). Run contains the loop,
	// so the call under test is direct and the compiler can inline the call.
	// Run may run in several goroutines.
	Run func(from, to int)

	// Sleeps marks libraries whose goroutines sleep under lock contention. The
	// threads of a sleeping goroutine wait for a core without any other program.
	Sleeps bool

	// Reset, if set, is called before each round. The cost excludes Reset.
	Reset func()

	// Scrape writes the recorded metrics, or the output of Run if Run scrapes.
	// Tests compare the sides by Scrape.
	Scrape func(io.Writer) error
}

// Sizes sets the sizes of the paths, in series.
type Sizes struct {
	Lookup     []int // series in a vector
	Create     []int // series to create
	Counters   []int // counters in a scrape; only the first size runs in every format
	Histograms int   // histograms in a scrape
	Memory     []int // series in a measurement of memory
	Million    int   // series in LargeScrapes
	Scale      []int // series in the table Scale
	Native     int   // native histograms in a scrape
	NativeAny  int   // native histograms with any float64s, in a measurement of memory
	Heavy      int   // smallest number of series or lines with Path.Heavy
}

// Full is the size of the published tables. Small is a size for tests.
var (
	Full = Sizes{
		Lookup:     []int{64, 8192, 200_000},
		Create:     []int{10_000, 100_000, 1_000_000},
		Counters:   []int{10_000, 100_000},
		Histograms: 1000,
		Memory:     []int{10_000, 100_000, 1_000_000},
		Million:    1_000_000,
		Scale:      []int{10_000, 200_000, 1_000_000},
		Native:     1000,
		NativeAny:  100,
		Heavy:      100_000,
	}
	Small = Sizes{
		Lookup:     []int{64, 1000},
		Create:     []int{1000},
		Counters:   []int{1000, 2000},
		Histograms: 100,
		Memory:     []int{1000},
		Million:    2000,
		Scale:      []int{1000, 2000},
		Native:     100,
		NativeAny:  5,
		Heavy:      100_000,
	}
)

// Names of the tables. The first seven contain times.
const (
	Recording  = "recording"
	Lookup     = "lookup"
	Creating   = "creating"
	Scraping   = "scraping"
	Middleware = "middleware"
	Native     = "native histograms"
	Formats    = "formats"

	Memory   = "memory of a series"
	Million  = "a million series"
	Binaries = "binary"
	Scale    = "scale"

	NativeMemory = "bytes of native histograms"
	FormatMemory = "allocations of a format"
)

// Paths returns all timed paths.
func Paths(s Sizes) []Path {
	var all []Path
	add := func(group string, paths []Path) {
		for _, p := range paths {
			p.Group = group
			p.Units = max(p.Units, 1)
			all = append(all, p)
		}
	}
	add(Recording, RecordPaths())
	add(Lookup, LookupPaths(s))
	add(Creating, CreatePaths(s))
	add(Scraping, ScrapePaths(s))
	add(Middleware, MiddlewarePaths())
	add(Native, NativePaths(s))
	add(Formats, FormatPaths(s))
	return all
}
