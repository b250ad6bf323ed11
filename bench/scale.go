package bench

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"runtime/metrics"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/tachikoma/tacho"
)

// A ScaleRow is a row of the table Scale. The row has a value for each number of
// series in Sizes.Scale.
type ScaleRow struct {
	Name    string // such as "scale/with"
	Unit    string
	Against string // the other side, or "" if the row has only the value of tacho
}

// A ScaleValue is the value of a row for one number of series.
type ScaleValue struct {
	Ours, Theirs float64 // Theirs is 0 if the row has no other side
	Quotient     float64 // Ours divided by Theirs, for times the median over the rounds
	Disturbed    bool    // more than a fifth of the turns waited for a core
}

// A ScaleWork measures rows of the table Scale.
type ScaleWork struct {
	Rows []ScaleRow
	Max  int // largest number of series, or 0 for no maximum

	// Measure returns a value for each of Rows.
	Measure func(series, rounds int, round time.Duration) []ScaleValue
}

// maxScaleLines limits the series of a work whose other side holds every line of the
// histograms in a separate string.
const maxScaleLines = 200_000

// Other sides of the table Scale.
const (
	goMap       = "a read-only map[[3]string]*atomic.Uint64"
	inLineOrder = "tacho, series created in the order of the lines"
	levelOne    = "compress/gzip at BestSpeed"
)

// ScaleWorks returns the measurements of the table Scale, in the order of the table.
// Each series has three labels, a path of 24 bytes on average among the values, and was
// created in random order.
func ScaleWorks() []ScaleWork {
	return []ScaleWork{
		{
			Rows: []ScaleRow{
				{Name: "scale/bytes", Unit: "bytes a series"},
				{Name: "scale/objects", Unit: "objects a series"},
				{Name: "scale/scan", Unit: "scanned bytes a series"},
				{Name: "scale/collection", Unit: "ms", Against: Victoria},
				{Name: "scale/collection", Unit: "ms", Against: Client},
			},
			Measure: counterFootprints,
		},
		{
			Rows: []ScaleRow{
				{Name: "scale/create", Unit: "ns a series", Against: "an entry in a map"},
				{Name: "scale/create-objects", Unit: "allocations a series"},
			},
			Measure: func(n, rounds int, round time.Duration) []ScaleValue {
				times, c := compareScale(scaleCreatePath(n), rounds, round)
				return []ScaleValue{times, {Ours: c.Cost(0).Allocations}}
			},
		},
		timedScale(ScaleRow{Name: "scale/with", Unit: "ns a call", Against: goMap}, scaleWithPath),
		timedScale(ScaleRow{Name: "scale/text", Unit: "ns a line", Against: text.bare},
			func(n int) Path { return scaleScrapePath(load{counters: n, routes: true}, text) }),
		timedScale(ScaleRow{Name: "scale/openmetrics", Unit: "ns a line", Against: inLineOrder},
			scaleOrderPath),
		timedScale(ScaleRow{Name: "scale/json", Unit: "ns a line"}, func(n int) Path {
			p := scaleScrapePath(load{counters: n, routes: true}, jsonView)
			sides := p.Sides
			p.Sides = func() []Side { return sides()[:1] }
			return p
		}),
		{
			Rows: []ScaleRow{{Name: "scale/gzip-size", Unit: "bytes a line", Against: levelOne}},
			Measure: func(n, _ int, _ time.Duration) []ScaleValue {
				return []ScaleValue{gzipSize(load{counters: n, routes: true})}
			},
		},
		{
			Rows: []ScaleRow{{Name: "scale/histogram-bytes", Unit: "bytes a series"}},
			Measure: func(n, _ int, _ time.Duration) []ScaleValue {
				f := footprintOf(func() any { return scrapedOnce(load{histograms: n, routes: true}.tacho()) }, n, 1)
				return []ScaleValue{{Ours: f.bytes}}
			},
		},
		limited(timedScale(ScaleRow{Name: "scale/histogram-text", Unit: "ns a line", Against: text.bare},
			func(n int) Path { return scaleScrapePath(load{histograms: n, routes: true}, text) }), maxScaleLines),
		{
			Rows: []ScaleRow{{Name: "scale/histogram-gzip-size", Unit: "bytes a line", Against: levelOne}},
			Max:  maxScaleLines,
			Measure: func(n, _ int, _ time.Duration) []ScaleValue {
				return []ScaleValue{gzipSize(load{histograms: n, routes: true})}
			},
		},
	}
}

func limited(w ScaleWork, series int) ScaleWork {
	w.Max = series
	return w
}

// timedScale returns the work of a row with the times of a path.
func timedScale(row ScaleRow, path func(n int) Path) ScaleWork {
	return ScaleWork{Rows: []ScaleRow{row}, Measure: func(n, rounds int, round time.Duration) []ScaleValue {
		v, _ := compareScale(path(n), rounds, round)
		return []ScaleValue{v}
	}}
}

func compareScale(p Path, rounds int, round time.Duration) (ScaleValue, Comparison) {
	p.Units = max(p.Units, 1)
	c := Compare(p, 1, rounds, round)
	v := ScaleValue{Ours: c.Cost(0).Nanoseconds, Disturbed: c.Steady < MinSteady}
	if len(c.Peers) > 1 {
		v.Theirs = c.Cost(1).Nanoseconds
		ratio, _, _ := c.Ratio(1)
		v.Quotient = 1 / ratio
	}
	return v, c
}

// labels holds the values of threeLabels.
type labels [3]string

// route returns the label values of series i in one new string, as the values of a
// request are parts of the request. The mean length of the paths is 24 bytes.
func route(i int) labels {
	methods := [...]string{"GET", "POST", "PUT", "DELETE"}
	statuses := [...]string{"200", "201", "404", "500"}
	things := [...]string{"users", "orders", "items", "things"}
	m, s := methods[i%4], statuses[i/16%4]
	digits := 4 + int(uint32(i)*2654435769>>16)%12 // the length of a path depends on i in no simple way
	var buf [64]byte
	b := append(buf[:0], m...)
	b = append(b, "/api/v1/"...)
	b = append(b, things[i/4%4]...)
	b = append(b, '/')
	number := strconv.Itoa(i)
	for range digits - len(number) {
		b = append(b, '0')
	}
	b = append(b, number...)
	end := len(b)
	b = append(b, s...)
	all := string(b)
	return labels{all[:len(m)], all[len(m):end], all[end:]}
}

// routes returns the label values of n series in a random order. The strings are
// new, and consecutive in memory.
func routes(n int, seed uint64) []labels {
	list := make([]labels, n)
	for k, i := range rand.New(rand.NewPCG(seed, 0)).Perm(n) {
		list[k] = route(i)
	}
	return list
}

// Seeds of the function routes.
const (
	createdRoutes   = 1
	requestedRoutes = 2
)

// A footprint is the cost of series in memory. The values except collection are per
// series.
type footprint struct {
	bytes, objects, scan float64
	collection           float64 // milliseconds of a full collection, the shortest of the rounds
}

// footprintOf measures n series in the result of f.
func footprintOf(f func() any, n, rounds int) footprint {
	bytes, objects := liveHeap()
	scan := scannedBytes()
	v := f()
	bytesAfter, objectsAfter := liveHeap()
	grown := func(before, after uint64) float64 { return (float64(after) - float64(before)) / float64(n) }
	p := footprint{bytes: grown(bytes, bytesAfter), objects: grown(objects, objectsAfter), scan: grown(scan, scannedBytes())}
	times := make([]float64, rounds)
	for i := range times {
		start := time.Now()
		runtime.GC()
		times[i] = time.Since(start).Seconds() * 1e3
	}
	p.collection = slices.Min(times)
	runtime.KeepAlive(v)
	return p
}

// scannedBytes returns the bytes of the heap that the last collection scanned for
// pointers.
func scannedBytes() uint64 {
	s := []metrics.Sample{{Name: "/gc/scan/heap:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// scrapedOnce scrapes r. The first scrape of tacho sorts the series and keeps the
// order. The peers keep nothing of a scrape.
func scrapedOnce(r *tacho.Registry) *tacho.Registry {
	if err := r.WriteText(io.Discard); err != nil {
		panic(err)
	}
	return r
}

func counterFootprints(n, rounds int, _ time.Duration) []ScaleValue {
	l := load{counters: n, routes: true}
	ours := footprintOf(func() any { return scrapedOnce(l.tacho()) }, n, rounds)
	values := []ScaleValue{{Ours: ours.bytes}, {Ours: ours.objects}, {Ours: ours.scan}}
	for _, peer := range []string{Victoria, Client} {
		theirs := footprintOf(func() any { return l.fill(peer) }, n, rounds)
		values = append(values, ScaleValue{Ours: ours.collection, Theirs: theirs.collection, Quotient: ours.collection / theirs.collection})
	}
	return values
}

// scaleCreatePath compares the creation of series in an empty vector with entries in
// an empty map.
func scaleCreatePath(n int) Path {
	return Path{Unit: "series", Batch: n, Alone: true, Settle: true, Heavy: n >= Full.Heavy, Sides: func() []Side {
		var list []labels // new in each Reset, because the map keeps the strings
		var r *tacho.Registry
		var ours *tacho.CounterVec
		var bare map[labels]*atomic.Uint64
		return []Side{
			{
				Peer: Tacho,
				Reset: func() {
					list = routes(n, createdRoutes)
					r = tacho.NewRegistry()
					ours = r.CounterVec(counterName, "", threeLabels)
				},
				Run: func(from, to int) {
					for i := from; i < to; i++ {
						ours.With(list[i][0], list[i][1], list[i][2]).Inc()
					}
				},
				Scrape: func(w io.Writer) error { return r.WriteText(w) },
			},
			{
				Peer: Bare,
				Reset: func() {
					list = routes(n, createdRoutes)
					bare = make(map[labels]*atomic.Uint64)
				},
				Run: func(from, to int) {
					for i := from; i < to; i++ {
						c := new(atomic.Uint64)
						bare[list[i]] = c
						c.Add(1)
					}
				},
				Scrape: func(w io.Writer) error { return bareVec(bare)(w) },
			},
		}
	}}
}

// minLookups is the smallest number of lookups in a turn of scaleWithPath. A turn
// also looks up every series.
const minLookups = 300_000

// scaleWithPath compares lookups of series, in another random order than creation,
// with lookups in a map that no goroutine writes.
func scaleWithPath(n int) Path {
	return Path{Unit: "call", Batch: max(n, minLookups), Alone: true, Heavy: n >= Full.Heavy, Sides: func() []Side {
		r := tacho.NewRegistry()
		ours := r.CounterVec(counterName, "", threeLabels)
		for _, k := range routes(n, createdRoutes) {
			ours.With(k[0], k[1], k[2])
		}
		bare := make(map[labels]*atomic.Uint64)
		for _, k := range routes(n, createdRoutes) {
			bare[k] = new(atomic.Uint64)
		}
		list := routes(n, requestedRoutes)
		return []Side{
			{Peer: Tacho, Scrape: r.WriteText, Run: func(from, to int) {
				k := from % n
				for range to - from {
					ours.With(list[k][0], list[k][1], list[k][2]).Inc()
					if k++; k == n {
						k = 0
					}
				}
			}},
			{Peer: Bare, Scrape: bareVec(bare), Run: func(from, to int) {
				k := from % n
				for range to - from {
					bare[list[k]].Add(1)
					if k++; k == n {
						k = 0
					}
				}
			}},
		}
	}}
}

// scaleScrapePath compares a scrape of tacho with the bare side of the format.
func scaleScrapePath(l load, f format) Path {
	return Path{Name: f.name, Unit: "line", Units: l.lines(), Alone: true, Settle: true, Heavy: l.lines() >= Full.Heavy, Sides: func() []Side {
		return []Side{scrapeSide(Tacho, l.open(Tacho)(f)), scrapeSide(Bare, l.open(Bare)(f))}
	}}
}

// scaleOrderPath compares the scrape of Prometheus for series created in random order
// with the scrape of series created in the order of the lines.
func scaleOrderPath(n int) Path {
	l := load{counters: n, routes: true}
	ordered := l
	ordered.ordered = true
	p := scaleScrapePath(l, negotiated)
	p.Sides = func() []Side {
		return []Side{scrapeSide(Tacho, l.open(Tacho)(negotiated)), scrapeSide(Bare, ordered.open(Tacho)(negotiated))}
	}
	return p
}

// gzipSize compares the compressed text of tacho with the output of compress/gzip for
// the same text.
func gzipSize(l load) ScaleValue {
	r := l.tacho()
	ours := bodyOf(tachoScrape(r, gzipHandler))
	plain, err := gzip.NewReader(bytes.NewReader(ours))
	if err != nil {
		panic(err)
	}
	theirs := bodyOf(func(w io.Writer) error {
		return compressed(w, func(z io.Writer) error {
			n, err := io.Copy(z, plain)
			if err == nil && n == 0 {
				return fmt.Errorf("empty body")
			}
			return err
		})
	})
	lines := float64(l.lines())
	return ScaleValue{Ours: float64(len(ours)) / lines, Theirs: float64(len(theirs)) / lines, Quotient: float64(len(ours)) / float64(len(theirs))}
}
