package main

import (
	"os"
	"path/filepath"
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
	sizes.addSizes(bench.Size{Name: "server", Bare: 1000, Peers: []string{bench.Tacho, bench.Client}, Bytes: []float64{254_001, 550_002}})
	large := largeTable(bench.Million) // without targets
	large.addLarge(bench.LargeScrape{Name: "WriteText", Peers: []string{bench.Tacho, bench.Client}, Cost: make([]bench.Cost, 2), Peak: make([]float64, 2)})
	scale := scaleTable(bench.Scale, bench.Full.Scale) // the document has the table, so targets does not repeat the rows
	scale.addScale(bench.ScaleRow{Name: "scale/bytes"}, bench.Full.Scale, []*bench.ScaleValue{{Ours: 1}, {Ours: 1}, {Ours: 1}})
	doc := "text\n\n" + times.String() + "\n" + disturbedTimes.String() + "\n### more\n\n" + sizes.String() + "\n" + large.String() + "\n" + scale.String()
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

func TestScaleTable(t *testing.T) {
	sizes := []int{10_000, 200_000, 1_000_000}
	for _, test := range []struct {
		row    bench.ScaleRow
		values []*bench.ScaleValue
		want   string
	}{
		{bench.ScaleRow{Name: "scale/bytes", Unit: "bytes"}, []*bench.ScaleValue{{Ours: 129.96}, {Ours: 130}, {Ours: 4}},
			"| scale/bytes | bytes |  | 130.0 | 130.0 | 4.00 | at most 130 met |"},
		{bench.ScaleRow{Name: "scale/bytes", Unit: "bytes"}, []*bench.ScaleValue{{Ours: 130.1}, {Ours: 130}, {Ours: 131}},
			"| scale/bytes | bytes |  | 130.1 | 130.0 | 131.0 | at most 130 **missed at 10,000, 1,000,000** |"},
		{bench.ScaleRow{Name: "scale/text", Unit: "ns", Against: "a copy of the same lines"},
			[]*bench.ScaleValue{{Ours: 30, Theirs: 10, Quotient: 2.5}, {Ours: 30, Theirs: 10, Quotient: 3, Disturbed: true}, nil},
			"| scale/text | ns | a copy of the same lines | 30.0 / 10.0 = 2.50 | 30.0 / 10.0 = 3.00 † |  | at most 2, 3, 3 **missed at 10,000** |"},
		{bench.ScaleRow{Name: "scale/collection", Unit: "ms", Against: bench.Victoria},
			[]*bench.ScaleValue{{Ours: 30, Theirs: 10, Quotient: 3}, {Ours: 30, Theirs: 10, Quotient: 3}, {Ours: 11, Theirs: 10, Quotient: 1.1}},
			"| scale/collection | ms | VictoriaMetrics | 30.0 / 10.0 = 3.00 | 30.0 / 10.0 = 3.00 | 11.0 / 10.0 = 1.10 | at most –, –, 12 met |"},
		{bench.ScaleRow{Name: "scale/collection", Unit: "ms", Against: bench.Client}, []*bench.ScaleValue{nil, nil, {Ours: 11, Theirs: 10, Quotient: 1.1}},
			"| scale/collection | ms | client_golang |  |  | 11.0 / 10.0 = 1.10 |  |"},
	} {
		table := scaleTable(bench.Scale, sizes)
		table.addScale(test.row, sizes, test.values)
		if got := table.String(); !strings.Contains(got, test.want+"\n") {
			t.Errorf("got\n%s\nwant the row\n%s", got, test.want)
		}
	}
}

// TestUpdateWritesEachDocument checks that a table replaces the section of its name in
// the document that has the section, and that the targets come from both documents.
func TestUpdateWritesEachDocument(t *testing.T) {
	section := func(name string) string { return "<!-- ratios: " + name + " -->\nold\n<!-- /ratios -->\n" }
	dir := t.TempDir()
	page, tables := filepath.Join(dir, "page.md"), filepath.Join(dir, "tables.md")
	for file, text := range map[string]string{
		page:   section("machine") + section("targets"),
		tables: section(bench.Binaries) + section(bench.Million),
	} {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	docs, err := readDocuments(page + "," + tables)
	if err != nil {
		t.Fatal(err)
	}
	sizes := sizeTable(bench.Binaries)
	sizes.addSizes(bench.Size{Name: "server", Bare: 1000, Peers: []string{bench.Tacho}, Bytes: []float64{1}})
	if err := docs.update([]*table{sizes}, "two cores\n"); err != nil {
		t.Fatal(err)
	}
	if err := docs.write(); err != nil {
		t.Fatal(err)
	}
	read := func(file string) string {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if got := read(page); strings.Contains(got, "old") || !strings.Contains(got, "two cores") || strings.Count(got, "| server |") != 1 {
		t.Errorf("wrong page:\n%s", got)
	}
	if got := read(tables); strings.Count(got, "old") != 1 || strings.Count(got, "| server |") != 1 {
		t.Errorf("wrong tables:\n%s", got)
	}
	if err := docs.update([]*table{timeTable(bench.Lookup)}, ""); err == nil {
		t.Error("no error, want an error for a section that no document has")
	}
	if _, err := readDocuments(page + "," + filepath.Join(dir, "none.md")); err == nil {
		t.Error("no error, want an error for a missing file")
	}
}

// TestDocument checks that the documents have one section for every table.
func TestDocument(t *testing.T) {
	docs, err := readDocuments("../../../docs/BENCHMARKS.md,../../TABLES.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, section := range []string{"machine", "targets", bench.Recording, bench.Lookup, bench.Creating, bench.Scraping,
		bench.Middleware, bench.Memory, bench.Million, bench.Binaries, bench.Scale, bench.Native, bench.NativeMemory,
		bench.Formats, bench.FormatMemory} {
		found := 0
		for _, d := range docs {
			found += strings.Count(d.text, "<!-- ratios: "+section+" -->\n")
		}
		if err := docs.replace(section, ""); err != nil || found != 1 {
			t.Errorf("%d sections %q, error %v", found, section, err)
		}
	}
}
