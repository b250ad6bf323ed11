package bench

import (
	"flag"
	"runtime"
	"slices"
	"testing"
	"time"
)

var heavy = flag.Bool("heavy", false, "also run the benchmarks with 100,000 series and more")

func BenchmarkRecording(b *testing.B)  { benchmark(b, Recording) }
func BenchmarkLookup(b *testing.B)     { benchmark(b, Lookup) }
func BenchmarkCreating(b *testing.B)   { benchmark(b, Creating) }
func BenchmarkScraping(b *testing.B)   { benchmark(b, Scraping) }
func BenchmarkMiddleware(b *testing.B) { benchmark(b, Middleware) }
func BenchmarkNative(b *testing.B)     { benchmark(b, Native) }
func BenchmarkFormats(b *testing.B)    { benchmark(b, Formats) }

// benchmark runs the paths of a table. The names of the sub-benchmarks are
// path/peer/alone and path/peer/parallel.
func benchmark(b *testing.B, group string) {
	sizes := Full
	if !*heavy {
		many := func(n int) bool { return n >= 100_000 }
		sizes.Lookup = slices.DeleteFunc(slices.Clone(sizes.Lookup), many)
		sizes.Create = slices.DeleteFunc(slices.Clone(sizes.Create), many)
		sizes.Counters = slices.DeleteFunc(slices.Clone(sizes.Counters), many)
	}
	for _, p := range Paths(sizes) {
		if p.Group != group {
			continue
		}
		b.Run(p.Name, func(b *testing.B) {
			for _, s := range p.Sides() {
				b.Run(s.Peer+"/alone", func(b *testing.B) { work(b, p, s, 1) })
				if procs := runtime.GOMAXPROCS(0); procs > 1 && !p.Alone {
					b.Run(s.Peer+"/parallel", func(b *testing.B) { work(b, p, s, procs) })
				}
			}
		})
	}
}

func work(b *testing.B, p Path, s Side, parallel int) {
	b.ReportAllocs()
	units := b.N * p.Units
	var took time.Duration
	if p.Batch == 0 {
		took = run(s.Run, parallel, b.N)
	} else {
		units *= p.Batch
		for range b.N {
			b.StopTimer()
			s.Reset()
			b.StartTimer()
			took += run(s.Run, 1, p.Batch)
		}
	}
	if p.Batch > 0 || p.Units > 1 {
		b.ReportMetric(float64(took.Nanoseconds())/float64(units), "ns/"+p.Unit)
	} else {
		b.ReportMetric(float64(took.Nanoseconds())/float64(units), "ns/op") // excludes the barrier of run
	}
}

// TestTargetsBelongToPaths checks that each target has a path. The tables omit a
// target without a path, for example after a rename.
func TestTargetsBelongToPaths(t *testing.T) {
	var names []string
	for _, p := range Paths(Full) {
		names = append(names, p.Name)
		if p.Unit == "" || p.Bare == "" || p.Units < 1 {
			t.Errorf("%s: Unit, Bare or Units is missing: %+v", p.Name, p)
		}
	}
	for _, l := range memoryLoads(Full) {
		names = append(names, seriesName(l))
	}
	sizes := []string{"server", "program", binaryRecording, binaryEncoder, binaryBoth, binaryNeither, binaryTinyAMD64, binaryTinyARM}
	for _, l := range nativeLoads(Full) {
		sizes = append(sizes, nativeName(l))
	}
	sizes = append(sizes, protobufName(nativeLoad{series: Full.Native}))
	names = append(names, sizes...)
	peers := slices.Concat(Peers, NativePeers, []string{TachoNoMarkers})
	for _, target := range Targets {
		if !slices.Contains(names, target.Path) || !slices.Contains(peers, target.Peer) {
			t.Errorf("unknown path or peer in the target %+v", target)
		}
	}
	for name := range ByteTargets {
		if !slices.Contains(sizes, name) {
			t.Errorf("unknown row in the target of bytes %q", name)
		}
	}
	slices.Sort(names)
	if unique := slices.Compact(slices.Clone(names)); len(unique) != len(names) {
		t.Error("duplicate path name")
	}
}
