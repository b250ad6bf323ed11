// Package bench does the same work through tacho and through the libraries that
// a program could use in its place, so that the cost of each can be compared:
//
//   - client_golang, Prometheus' own library
//   - VictoriaMetrics/metrics
//   - OpenTelemetry's metric SDK, with its Prometheus exporter where a scrape is due
//   - bare: what no library can beat, an atomic add or a copy of the same bytes;
//     each path says which
//
// The benchmarks of this package run one side after another, as go test does.
// For ratios, run the command cmd/ratios: it takes the sides in turn, a few
// milliseconds each, so that all meet the same machine.
package bench

import "io"

// The sides of a comparison, in the order in which they are shown.
const (
	Tacho    = "tacho"
	Bare     = "bare"
	Client   = "client_golang"
	Victoria = "VictoriaMetrics"
	OTel     = "OpenTelemetry"
)

// Peers are all sides.
var Peers = []string{Tacho, Bare, Client, Victoria, OTel}

// A Path is one piece of work that each side can do.
type Path struct {
	Group string // the table it belongs to
	Name  string
	Bare  string // what the bare side does
	Unit  string // what is counted

	// Units is how many units one call of the work makes, such as the lines of a
	// scrape; 0 means one.
	Units int
	// Batch, if not 0, is how often a round does the work, from a fresh start
	// (see Side.Reset); otherwise a round does it for as long as it should take.
	Batch int
	// Alone says that the work makes no sense from several goroutines at once.
	Alone bool
	// Settle says that garbage is collected before each round. It is set where
	// sides leave so much of it that the collector would run into the round of
	// another side.
	Settle bool
	// Heavy says that the work takes long, so that few rounds must do.
	Heavy bool

	// Sides makes the sides, tacho's first. What they hold can be gigabytes:
	// callers let go of one path's sides before they make those of the next.
	Sides func() []Side
}

// A Side is one library doing the work of a path.
type Side struct {
	Peer string

	// Run does the work once for each number in [from, to). The loop is within,
	// so that the call under test is direct, and inlined where the compiler can,
	// on every side alike. It may run in several goroutines.
	Run func(from, to int)

	// Sleeps says that goroutines which meet in a lock sleep and wake each other. Then
	// their threads wait for a core by themselves, which is no sign of other programs.
	Sleeps bool

	// Reset, if set, is called before each round, and is no part of the cost.
	Reset func()

	// Scrape writes what was recorded, or what Run scrapes, so that a test can
	// compare what the sides did.
	Scrape func(io.Writer) error
}

// Sizes says how large the paths are, in series.
type Sizes struct {
	Lookup     []int // in a vector
	Create     []int // made
	Counters   []int // scraped; the first in every format
	Histograms int   // scraped
	Memory     []int // whose bytes are counted
	Million    int   // scraped by each peer alone
	Heavy      int   // from which a path is heavy
}

// Full is what is published; Small is enough to show that the paths work.
var (
	Full = Sizes{
		Lookup:     []int{64, 8192, 200_000},
		Create:     []int{10_000, 100_000, 1_000_000},
		Counters:   []int{10_000, 100_000},
		Histograms: 1000,
		Memory:     []int{10_000, 100_000, 1_000_000},
		Million:    1_000_000,
		Heavy:      100_000,
	}
	Small = Sizes{
		Lookup:     []int{64, 1000},
		Create:     []int{1000},
		Counters:   []int{1000, 2000},
		Histograms: 100,
		Memory:     []int{1000},
		Million:    2000,
		Heavy:      100_000,
	}
)

// The tables: of times, and of bytes.
const (
	Recording  = "recording"
	Lookup     = "lookup"
	Creating   = "creating"
	Scraping   = "scraping"
	Middleware = "middleware"

	Memory   = "memory of a series"
	Million  = "a million series"
	Binaries = "binary"
)

// Paths returns all paths that are timed.
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
	return all
}
