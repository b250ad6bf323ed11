package main

import (
	"os"
	"strings"
	"testing"

	"github.com/tachikoma/tacho/bench"
)

func TestReplace(t *testing.T) {
	doc := "a\n<!-- ratios: x -->\nold\n<!-- /ratios -->\nb\n<!-- ratios: y -->\n<!-- /ratios -->\n"
	got, err := replace(doc, "x", "new\n\n")
	if want := strings.Replace(doc, "old", "new", 1); err != nil || got != want {
		t.Errorf("got %q, %v", got, err)
	}
	if got, err = replace(got, "y", "more"); err != nil || !strings.Contains(got, "y -->\nmore\n<!-- /ratios -->\n") {
		t.Errorf("got %q, %v", got, err)
	}
	for _, bad := range []string{"", "<!-- ratios: x -->\nno end", "<!-- /ratios -->"} {
		if _, err := replace(bad, "x", "new"); err == nil {
			t.Errorf("%q: no error, want an error for the missing section", bad)
		}
	}
}

// TestTargetsAreFound writes tables like the command. The function targets must find
// the rows with a target.
func TestTargetsAreFound(t *testing.T) {
	times := timeTable(bench.Recording)
	times.addTimes(bench.Comparison{
		Path:     bench.Path{Name: "Counter.Inc", Units: 1, Unit: "call", Bare: "an atomic add"},
		Parallel: 1,
		Peers:    []string{bench.Tacho, bench.Bare, bench.Victoria},
		Rounds: [][]bench.Cost{
			{{Nanoseconds: 10}, {Nanoseconds: 20}, {Nanoseconds: 10}},
			{{Nanoseconds: 9}, {Nanoseconds: 18}, {Nanoseconds: 1}},
			{{Nanoseconds: 5}, {Nanoseconds: 5}, {Nanoseconds: 5}},
		},
		Steady: 1,
	})
	disturbedTimes := timeTable(bench.Lookup)
	disturbedTimes.addTimes(bench.Comparison{
		Path:     bench.Path{Name: "Observe", Units: 1},
		Parallel: 2,
		Peers:    []string{bench.Tacho, bench.Client},
		Rounds:   [][]bench.Cost{{{Nanoseconds: 1}}, {{Nanoseconds: 20}}},
		Steady:   0.5,
	})
	sizes := sizeTable(bench.Binaries)
	sizes.addSizes(bench.Size{Name: "server", Bare: 1000, Peers: []string{bench.Tacho, bench.Client}, Bytes: []float64{254_001, 450_002}})
	large := largeTable(bench.Million) // without targets
	large.addLarge(bench.LargeScrape{Name: "WriteText", Peers: []string{bench.Tacho, bench.Client}, Cost: make([]bench.Cost, 2), Peak: make([]float64, 2)})
	doc := "text\n\n" + times.String() + "\n" + disturbedTimes.String() + "\n### more\n\n" + sizes.String() + "\n" + large.String()
	want := `| path | goroutines | against | ratio | target |
| --- | --- | --- | --- | --- |
| Counter.Inc | 1 | bare | 0.90 | 0.85 met |
| Observe | 2 | client_golang | 20.0 | 15.0 met † |
| server |  | bare, 1,000 bytes | +254,001 | at most 254,000 **missed** |

- † marks rows where more than a fifth of the turns waited for a core. They do not count for or against a target.
`
	if got := targets(doc); got != want {
		t.Errorf("got\n%s\nwant\n%s\nfrom\n%s", got, want, doc)
	}
}

func TestVerdict(t *testing.T) {
	for _, test := range []struct {
		ratio     float64
		allocates float64
		want      string
	}{
		{0.9, 0, "0.85 met"},
		{0.85, 0.06, "0.85 met"},
		{0.84, 0, "0.85 **missed**"},
		{0.9, 1, "0.85 **missed: tacho allocates**"},
	} {
		table := timeTable(bench.Recording)
		table.addTimes(bench.Comparison{
			Path:     bench.Path{Name: "Counter.Inc", Units: 1},
			Parallel: 1,
			Peers:    []string{bench.Tacho, bench.Bare},
			Rounds:   [][]bench.Cost{{{Nanoseconds: 1, Allocations: test.allocates}}, {{Nanoseconds: test.ratio}}},
			Steady:   1,
		})
		row := table.rows[0]
		if got := row[len(row)-1]; got != test.want {
			t.Errorf("ratio %v with %v allocations: %s, want %s", test.ratio, test.allocates, got, test.want)
		}
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{0.004: "0", 0.0625: "0.06", 1: "1.00", 12.34: "12.3", 123.4: "123", 12345.6: "12,346"} {
		if got := number(v); got != want {
			t.Errorf("number(%v) = %q, want %q", v, got, want)
		}
	}
}

// TestDocument checks that the document has a section for every table.
func TestDocument(t *testing.T) {
	b, err := os.ReadFile("../../../docs/BENCHMARKS.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, section := range []string{"machine", "targets", bench.Recording, bench.Lookup, bench.Creating, bench.Scraping,
		bench.Middleware, bench.Memory, bench.Million, bench.Binaries} {
		if _, err := replace(string(b), section, ""); err != nil {
			t.Error(err)
		}
	}
}
