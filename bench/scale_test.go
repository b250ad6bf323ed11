package bench

import (
	"bytes"
	"compress/gzip"
	"io"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestScaleHasAllValues(t *testing.T) {
	for _, w := range ScaleWorks() {
		for _, n := range Small.Scale {
			values := w.Measure(n, 1, time.Millisecond)
			if len(values) != len(w.Rows) {
				t.Fatalf("%d values for the %d rows of %s", len(values), len(w.Rows), w.Rows[0].Name)
			}
			for i, v := range values {
				row := w.Rows[i]
				if alone := row.Against == ""; v.Ours <= 0 || alone != (v.Theirs == 0) || alone != (v.Quotient == 0) {
					t.Errorf("%s, %d series: %+v", row.Name, n, v)
				}
			}
		}
	}
}

// TestScaleTargetsBelongToRows checks that each target has a row. The table omits a
// target without a row, for example after a rename.
func TestScaleTargetsBelongToRows(t *testing.T) {
	var rows []ScaleRow
	for _, w := range ScaleWorks() {
		rows = append(rows, w.Rows...)
	}
	for _, target := range ScaleTargets {
		found := slices.ContainsFunc(rows, func(r ScaleRow) bool {
			got, ok := ScaleTargetOf(r)
			return ok && got.Row == target.Row && got.Against == target.Against
		})
		if !found || target.Quotient && target.Against == "" {
			t.Errorf("no row for the target %+v", target)
		}
		if len(target.Most) != 1 && len(target.Most) != len(Full.Scale) {
			t.Errorf("%s: %d maxima for %d sizes", target.Row, len(target.Most), len(Full.Scale))
		}
	}
	slices.SortFunc(rows, func(a, b ScaleRow) int { return strings.Compare(a.Name+" "+a.Against, b.Name+" "+b.Against) })
	unique := slices.CompactFunc(slices.Clone(rows), func(a, b ScaleRow) bool { return a.Name == b.Name && a.Against == b.Against })
	if len(unique) != len(rows) {
		t.Error("duplicate row")
	}
}

// TestScaleSidesAgree checks that tacho and the other side record all calls.
func TestScaleSidesAgree(t *testing.T) {
	for name, p := range map[string]Path{"create": scaleCreatePath(1000), "with": scaleWithPath(1000)} {
		var samples, totals []float64
		for _, s := range p.Sides() {
			if s.Reset != nil {
				s.Reset()
			}
			s.Run(0, p.Batch)
			got := read(t, p, bodyOf(s.Scrape))
			samples, totals = append(samples, float64(got.samples)), append(totals, got.total)
		}
		if !slices.Equal(samples, []float64{1000, 1000}) || !slices.Equal(totals, []float64{float64(p.Batch), float64(p.Batch)}) {
			t.Errorf("%s: %v samples with a total of %v, want 1000 samples and %d calls", name, samples, totals, p.Batch)
		}
	}
}

// TestOrderOfCreationDoesNotChangeScrape checks that the two sides of
// "scale/openmetrics" write the same lines.
func TestOrderOfCreationDoesNotChangeScrape(t *testing.T) {
	var bodies []string
	for _, s := range scaleOrderPath(1000).Sides() {
		z, err := gzip.NewReader(bytes.NewReader(bodyOf(s.Scrape)))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(z)
		if err != nil {
			t.Fatal(err)
		}
		bodies = append(bodies, string(body))
	}
	if bodies[0] != bodies[1] || strings.Count(bodies[0], "\n") < 1000 {
		t.Errorf("the scrapes differ, or lack series: %d and %d bytes", len(bodies[0]), len(bodies[1]))
	}
}

func TestLoadOrder(t *testing.T) {
	const n = 1000
	series := func(l load) (list []labels) {
		l.created(n, func(_ int, k labels) { list = append(list, k) })
		return list
	}
	compare := func(a, b labels) int { return slices.Compare(a[:], b[:]) }
	random, ordered := series(load{routes: true}), series(load{routes: true, ordered: true})
	if slices.IsSortedFunc(random, compare) || !slices.IsSortedFunc(ordered, compare) {
		t.Error("the random order is sorted, or the order of the lines is not")
	}
	if slices.Equal(random, routes(n, requestedRoutes)) {
		t.Error("lookups have the order of creation")
	}
	slices.SortFunc(random, compare)
	if !slices.Equal(random, ordered) || len(slices.Compact(random)) != n {
		t.Error("the loads have different series, or a series twice")
	}
	length := 0
	for _, k := range ordered {
		length += len(k[1])
	}
	if mean := float64(length) / n; mean < 23 || mean > 25 {
		t.Errorf("the paths have %.1f bytes on average, want 24", mean)
	}
	if routes := series(load{}); slices.IsSortedFunc(routes, compare) {
		t.Error("series are created in order")
	}
}
