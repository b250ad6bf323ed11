// Command ratios compares tacho with other metric libraries and prints tables of
// ratios.
//
//	go run ./cmd/ratios                                # all tables, takes minutes
//	go run ./cmd/ratios -path 'Counter|Observe'        # some paths
//	go run ./cmd/ratios -path scraping -rounds 30      # one table, with more rounds
//	go run ./cmd/ratios -path scale/with               # one row of the table scale
//	go run ./cmd/ratios -path native                   # the tables of native histograms
//	go run ./cmd/ratios -path format                   # the tables of formats
//	go run ./cmd/ratios -write ../docs/BENCHMARKS.md,TABLES.md
//
// With -write, each table replaces the section of its name in one of the documents.
//
// The current folder must be the folder of the module, because ratios builds
// programs of the module to measure binary sizes.
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"regexp"
	"runtime"
	"slices"
	"time"

	"github.com/tachikoma/tacho/bench"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("ratios: ")
	path := flag.String("path", "", "regular expression for names of paths or tables (default all)")
	rounds := flag.Int("rounds", 15, "rounds of each path; heavy paths use a fifth of the rounds, at least 3")
	round := flag.Duration("round", 20*time.Millisecond, "working time of each side in a round")
	write := flag.String("write", "", "comma-separated documents in which the measured tables are replaced")
	flag.Parse()
	match, err := regexp.Compile(*path)
	if err != nil || flag.NArg() > 0 || *rounds < 1 || *round <= 0 {
		flag.Usage()
		os.Exit(2)
	}
	// An unreadable document must fail before the measurement, which takes minutes.
	docs, err := readDocuments(*write)
	if err != nil {
		log.Fatal(err)
	}

	tables := measure(match, *rounds, *round)
	if len(tables) == 0 {
		log.Fatalf("no path or table matches %q", *path)
	}
	for _, t := range tables {
		fmt.Printf("### %s\n\n%s\n", t.name, t)
	}
	if len(docs) == 0 {
		return
	}
	if err := docs.update(tables, machine()); err != nil {
		log.Fatal(err)
	}
	if err := docs.write(); err != nil {
		log.Fatal(err)
	}
}

// measure returns a table for each group with a matching path.
func measure(match *regexp.Regexp, rounds int, round time.Duration) []*table {
	var tables []*table
	start := time.Now()
	note := func(format string, args ...any) {
		log.Printf("%4.0fs "+format, append([]any{time.Since(start).Seconds()}, args...)...)
	}
	for _, p := range bench.Paths(bench.Full) {
		if !match.MatchString(p.Name) && !match.MatchString(p.Group) {
			continue
		}
		if len(tables) == 0 || tables[len(tables)-1].name != p.Group {
			tables = append(tables, timeTable(p.Group))
		}
		t := tables[len(tables)-1]
		n := rounds
		if p.Heavy {
			n = max(3, rounds/5)
		}
		parallel := []int{1}
		if procs := runtime.GOMAXPROCS(0); procs > 1 && !p.Alone {
			parallel = append(parallel, procs)
		}
		for _, procs := range parallel {
			c := bench.Compare(p, procs, n, round)
			t.addTimes(c)
			note("%s, goroutines: %d; %.0f%% of the turns did not wait for a core", p.Name, procs, 100*c.Steady)
		}
	}
	if t := measureScale(match, rounds, round, note); len(t.rows) > 0 {
		tables = append(tables, t)
	}
	if match.MatchString(bench.Million) {
		t := largeTable(bench.Million)
		for _, l := range bench.LargeScrapes(bench.Full) {
			t.addLarge(l)
		}
		tables = append(tables, t)
		note("%s", bench.Million)
	}
	if match.MatchString(bench.Memory) {
		t := sizeTable(bench.Memory)
		for _, s := range bench.SeriesBytes(bench.Full) {
			t.addSizes(s)
		}
		tables = append(tables, t)
		note("%s", bench.Memory)
	}
	if match.MatchString(bench.Binaries) {
		sizes, err := bench.BinaryBytes()
		if err != nil {
			log.Fatal(err)
		}
		tiny, err := bench.TinyBinaryBytes()
		if err != nil {
			log.Fatal(err)
		}
		t := sizeTable(bench.Binaries)
		for _, s := range append(sizes, tiny...) {
			t.addSizes(s)
		}
		tables = append(tables, t)
		note("%s", bench.Binaries)
	}
	if match.MatchString(bench.NativeMemory) {
		binaries, err := bench.NativeBinaryBytes()
		if err != nil {
			log.Fatal(err)
		}
		t := sizeTable(bench.NativeMemory)
		for _, s := range append(bench.NativeBytes(bench.Full), binaries...) {
			t.addSizes(s)
		}
		tables = append(tables, t)
		note("%s", bench.NativeMemory)
	}
	if match.MatchString(bench.FormatMemory) {
		t := growthTable(bench.FormatMemory)
		for _, g := range bench.FormatGrowth(bench.Full) {
			t.addGrowth(g)
		}
		tables = append(tables, t)
		note("%s", bench.FormatMemory)
	}
	note("done")
	return tables
}

// measureScale measures the rows of the table scale that match.
func measureScale(match *regexp.Regexp, rounds int, round time.Duration, note func(string, ...any)) *table {
	sizes := bench.Full.Scale
	t := scaleTable(bench.Scale, sizes)
	for _, w := range bench.ScaleWorks() {
		if !slices.ContainsFunc(w.Rows, func(r bench.ScaleRow) bool { return match.MatchString(r.Name) }) {
			continue
		}
		values := make([][]*bench.ScaleValue, len(w.Rows)) // by row, then by size
		for i := range values {
			values[i] = make([]*bench.ScaleValue, len(sizes))
		}
		for size, n := range sizes {
			if w.Max > 0 && n > w.Max {
				continue
			}
			turns := rounds
			if n >= bench.Full.Heavy {
				turns = max(3, rounds/5)
			}
			for i, v := range w.Measure(n, turns, round) {
				values[i][size] = &v
			}
			note("%s, %s series", w.Rows[0].Name, bench.Count(n))
		}
		for i, row := range w.Rows {
			if match.MatchString(row.Name) {
				t.addScale(row, sizes, values[i])
			}
		}
	}
	return t
}
