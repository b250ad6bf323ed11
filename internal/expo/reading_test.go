package expo

import (
	"fmt"
	"io"
	"math"
	"slices"
	"testing"
	"unsafe"

	"github.com/tachikoma/tacho/internal/names"
	"github.com/tachikoma/tacho/internal/native"
	"github.com/tachikoma/tacho/internal/race"
)

// A logReader writes what it receives as lines.
type logReader struct{ lines []string }

func (r *logReader) logf(format string, values ...any) {
	r.lines = append(r.lines, fmt.Sprintf(format, values...))
}

func (r *logReader) Begin(f *Family, _ unsafe.Pointer) { r.logf("%s %s", f.Kind.openName(), f.Name) }

func (r *logReader) Float(block string, v float64) { r.logf("%s%v", block, v) }

func (r *logReader) Histogram(block string, bounds *Bounds, counts []uint64, sum float64, n *native.Snapshot) {
	r.logf("%s%v %v %v", block, bounds.Upper, counts, sum)
	if n != nil {
		r.logf("schema %d %v %v", n.Schema, n.Positive, n.Negative)
	}
}

func (r *logReader) Summary(block string, s *Distribution) { r.logf("%s%v", block, *s) }

// TestReading checks that a Reader receives each kind of sample, with names as defined and with native
// buckets.
func TestReading(t *testing.T) {
	bounds := NewBounds([]float64{1, 2})
	families := []*Family{
		{Name: "http.requests", Kind: Counter, Quoted: true, QuotedLabels: true, Encode: func(e *Encoder) {
			e.Begin(e.Current())
			e.Whole(`{"a.b"="1"} `, 7, false, nil)
			e.Whole(`{"a.b"="2"} `, 1<<60, true, nil)
		}},
		{Name: "empty", Encode: func(*Encoder) {}},
		{Name: "level", Kind: Gauge, Encode: func(e *Encoder) {
			e.Begin(e.Current())
			e.Float(" ", math.Inf(-1), e.Details())
		}},
		{Name: "seconds", Kind: Histogram, Encode: func(e *Encoder) {
			if e.RestartsNative() || e.Native() == nil {
				t.Error("Reading must show native histograms and not restart them")
			}
			e.Begin(e.Current())
			e.Histogram(" ", &bounds, []uint64{1, 2, 3}, 4.5, nil)
			d := e.Details()
			d.SetNative(&Native{Snapshot: &native.Snapshot{Schema: 3, Positive: []native.Bucket{{Key: 1, Count: 2}}}, Code: NativeCode{}})
			e.Histogram(`{x="y"} `, &bounds, []uint64{0, 0, 6}, 4.5, d)
		}},
		{Name: "summary", Kind: Summary, Encode: func(e *Encoder) {
			e.Begin(e.Current())
			e.Summary(" ", &Distribution{Count: 2, Sum: 3, Quantiles: []Quantile{{0.5, 1}}}, nil)
		}},
	}
	r := new(logReader)
	if err := Write(io.Discard, Reading(r), names.AllowUTF8, families, &Names{UTF8: &UTF8}); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"counter http.requests", `{"a.b"="1"} 7`, `{"a.b"="2"} -1.152921504606847e+18`,
		"gauge level", " -Inf",
		"histogram seconds", " [1 2] [1 2 3] 4.5", `{x="y"} [1 2] [0 0 6] 4.5`, "schema 3 [{1 2}] []",
		"summary summary", " {2 3 [{0.5 1}]}",
	}
	if !slices.Equal(r.lines, want) {
		t.Errorf("got  %q\nwant %q", r.lines, want)
	}
}

// A countReader counts what it receives.
type countReader struct{ n int }

func (r *countReader) Begin(*Family, unsafe.Pointer)                                  {}
func (r *countReader) Float(string, float64)                                          { r.n++ }
func (r *countReader) Histogram(string, *Bounds, []uint64, float64, *native.Snapshot) { r.n++ }
func (r *countReader) Summary(string, *Distribution)                                  { r.n++ }

// TestReadingAllocations checks that a sample allocates nothing.
func TestReadingAllocations(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector and the address sanitizer allocate")
	}
	bounds, counts := NewBounds([]float64{1}), []uint64{1, 2}
	allocations := func(samples int) float64 {
		families := []*Family{{Name: "x", Encode: func(e *Encoder) {
			e.Begin(e.Current())
			for range samples {
				e.Whole(" ", 1, false, nil)
				e.Float(" ", 1, nil)
				e.Histogram(" ", &bounds, counts, 1, nil)
			}
		}}}
		r := new(countReader)
		format := Reading(r)
		n := testing.AllocsPerRun(10, func() {
			if err := Write(io.Discard, format, names.AllowUTF8, families, new(Names)); err != nil {
				t.Fatal(err)
			}
		})
		if r.n < 3*samples {
			t.Errorf("%d samples, want at least %d", r.n, 3*samples)
		}
		return n
	}
	if one, many := allocations(1), allocations(1000); many > one {
		t.Errorf("%v allocations for 1000 series and %v for 1", many, one)
	}
}
