package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/tachikoma/tacho/bench"
)

// A table is a Markdown table.
type table struct {
	name   string
	header []string
	rows   [][]string
	notes  []string // list below the table
}

func (t *table) String() string {
	var b strings.Builder
	row := func(cells []string) { fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | ")) }
	row(t.header)
	b.WriteString(strings.Repeat("| --- ", len(t.header)) + "|\n")
	for _, r := range t.rows {
		row(r)
	}
	if len(t.notes) > 0 {
		b.WriteString("\n" + strings.Join(t.notes, "\n") + "\n")
	}
	return b.String()
}

// Names of the columns that the function targets reads.
const (
	colPath    = "path"
	colThreads = "goroutines"
	colAgainst = "against"
	colRatio   = "ratio"
	colTarget  = "target"
)

// A dagger marks a disturbed row. A wait for a core has two causes: other programs on
// the machine, and garbage collection in the measured side.
const (
	dagger    = "†"
	disturbed = dagger + " marks rows where more than a fifth of the turns waited for a core. They do not count for or against a target."
)

func timeTable(name string) *table {
	return &table{name: name, header: []string{
		colPath, colThreads, colAgainst, "tacho", "peer", colRatio, "rounds between", "allocations: tacho", "peer", colTarget}}
}

func (t *table) addTimes(c bench.Comparison) {
	ours := c.Cost(0)
	mark := ""
	if c.Steady < bench.MinSteady {
		mark = " " + dagger
		t.note("%s", disturbed)
	}
	calls := float64(c.Path.Units) // the table has allocations per call, because a line of a scrape has close to 0
	for side := 1; side < len(c.Peers); side++ {
		peer := c.Peers[side]
		theirs := c.Cost(side)
		ratio, low, high := c.Ratio(side)
		goal := ""
		if want, ok := bench.TargetOf(c.Path.Name, c.Parallel > 1, peer); ok {
			// An allocation for several calls counts as 0 allocations per call, as in testing.B.
			goal = verdict(want.Ratio, ratio >= want.Ratio, !want.MayAlloc && ours.Allocations >= 1)
		}
		t.rows = append(t.rows, []string{
			c.Path.Name, strconv.Itoa(c.Parallel), peer,
			number(ours.Nanoseconds) + " ns", number(theirs.Nanoseconds) + " ns", number(ratio),
			number(low) + " – " + number(high) + mark,
			number(ours.Allocations * calls), number(theirs.Allocations * calls), goal})
	}
	t.note("The bare side of %s is %s. Times are per %s.", kind(c.Path.Name), c.Path.Bare, c.Path.Unit)
}

// kind returns the name of a path without the number of series. The paths of a kind
// share a note.
func kind(name string) string {
	if what, load, found := strings.Cut(name, ", "); found && load[0] >= '0' && load[0] <= '9' {
		return what
	}
	return name
}

// note adds a line to the notes. A duplicate line is ignored.
func (t *table) note(format string, args ...any) {
	line := "- " + fmt.Sprintf(format, args...)
	for _, n := range t.notes {
		if n == line {
			return
		}
	}
	t.notes = append(t.notes, line)
}

// verdict returns the target and the result. The result is met or missed.
func verdict(want float64, met, allocates bool) string {
	switch {
	case allocates:
		return number(want) + " **missed: tacho allocates**"
	case met:
		return number(want) + " met"
	}
	return number(want) + " **missed**"
}

func sizeTable(name string) *table {
	return &table{name: name, header: []string{colPath, colAgainst, "tacho, bytes", "peer, bytes", colRatio, colTarget}}
}

func (t *table) addSizes(s bench.Size) {
	ours := s.Bytes[0]
	if limit, ok := bench.ByteTargets[s.Name]; ok {
		goal := "at most " + bench.Count(int(limit)) + " met"
		if ours > limit {
			goal = "at most " + bench.Count(int(limit)) + " **missed**"
		}
		against, bytes := "", bench.Count(int(math.Round(ours)))
		if s.Bare > 0 {
			without := s.Without
			if without == "" {
				without = bench.Bare
			}
			against = without + ", " + bench.Count(int(s.Bare)) + " bytes"
			if ours >= 0 {
				bytes = "+" + bytes
			}
		}
		t.rows = append(t.rows, []string{s.Name, against, bytes, "", "", goal})
	}
	for i := 1; i < len(s.Peers); i++ {
		ratio, goal := s.Bytes[i]/ours, ""
		if want, ok := bench.TargetOf(s.Name, false, s.Peers[i]); ok {
			goal = verdict(want.Ratio, ratio >= want.Ratio, false)
		}
		t.rows = append(t.rows, []string{s.Name, s.Peers[i],
			bench.Count(int(math.Round(ours))), bench.Count(int(math.Round(s.Bytes[i]))), number(ratio), goal})
	}
}

func largeTable(name string) *table {
	return &table{name: name, header: []string{colPath, colAgainst, "tacho", "peer", colRatio,
		"allocations: tacho", "peer", "memory: tacho", "peer"}}
}

func (t *table) addLarge(l bench.LargeScrape) {
	megabytes := func(v float64) string { return number(v/1e6) + " MB" }
	for i := 1; i < len(l.Peers); i++ {
		t.rows = append(t.rows, []string{l.Name, l.Peers[i],
			number(l.Cost[0].Nanoseconds) + " ns", number(l.Cost[i].Nanoseconds) + " ns",
			number(l.Cost[i].Nanoseconds / l.Cost[0].Nanoseconds),
			bench.Count(int(l.Cost[0].Allocations)), bench.Count(int(l.Cost[i].Allocations)),
			megabytes(l.Peak[0]), megabytes(l.Peak[i])})
	}
}

func growthTable(name string) *table {
	return &table{name: name, header: []string{colPath, "series", "side", "objects", "KB", "objects a series", "bytes a series", colWanted}}
}

// addGrowth adds a row for each side. The last columns are for a further series.
func (t *table) addGrowth(g bench.Growth) {
	few, many := bench.Count(g.Series[0]), bench.Count(g.Series[1])
	for i, peer := range g.Peers {
		objects, bytes := g.Each(i)
		goal := ""
		if i == 0 {
			goal = "at most " + number(bench.MaxObjects) + " met"
			if objects > bench.MaxObjects {
				goal = "at most " + number(bench.MaxObjects) + " **missed**"
			}
		}
		pair := func(v [2]float64, unit float64) string { return number(v[0]/unit) + " → " + number(v[1]/unit) }
		t.rows = append(t.rows, []string{g.Name, few + " → " + many, peer,
			pair(g.Objects[i], 1), pair(g.Bytes[i], 1e3), number(objects), number(bytes), goal})
	}
}

// colWanted is the column of the targets of the tables scale and of objects. The function
// targets does not read the column: the document has the table scale, and the targets of
// the table formats include the objects.
const colWanted = "wanted"

func scaleTable(name string, sizes []int) *table {
	t := &table{name: name, header: []string{colPath, "unit", colAgainst}}
	for _, n := range sizes {
		t.header = append(t.header, bench.Count(n))
	}
	t.header = append(t.header, colWanted)
	return t
}

// addScale adds a row. The argument values has a value for each size, or nil if the
// size was not measured.
func (t *table) addScale(row bench.ScaleRow, sizes []int, values []*bench.ScaleValue) {
	cells := []string{row.Name, row.Unit, row.Against}
	for _, v := range values {
		switch {
		case v == nil:
			cells = append(cells, "")
			continue
		case v.Theirs == 0:
			cells = append(cells, figure(v.Ours))
		default:
			cells = append(cells, number(v.Ours)+" / "+number(v.Theirs)+" = "+number(v.Quotient))
		}
		if v.Disturbed {
			cells[len(cells)-1] += " " + dagger
			t.note("%s", disturbed)
		}
	}
	t.rows = append(t.rows, append(cells, wanted(row, sizes, values)))
}

// figure formats the value of a row without another side. A value of 10 to 1,000 has
// one decimal, which shows whether the value is above a target.
func figure(v float64) string {
	if v >= 10 && v < 1000 {
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return number(v)
}

// wanted returns the target of a row and the result.
func wanted(row bench.ScaleRow, sizes []int, values []*bench.ScaleValue) string {
	target, ok := bench.ScaleTargetOf(row)
	if !ok {
		return ""
	}
	var limits, missed []string
	counted := false
	for i, v := range values {
		most := target.MostAt(i)
		limit := "–"
		if most > 0 {
			limit = strconv.FormatFloat(most, 'f', -1, 64)
		}
		limits = append(limits, limit)
		if v == nil || most == 0 {
			continue
		}
		counted = true
		got := v.Ours
		if target.Quotient {
			got = v.Quotient
		}
		if got > most {
			missed = append(missed, bench.Count(sizes[i]))
		}
	}
	goal := "at most " + limits[0]
	if len(target.Most) > 1 {
		goal = "at most " + strings.Join(limits, ", ")
	}
	switch {
	case len(missed) > 0:
		return goal + " **missed at " + strings.Join(missed, ", ") + "**"
	case counted:
		return goal + " met"
	}
	return goal
}

// number formats a value with about three digits. Further digits vary from round to round.
// A value below 0.005 becomes 0: such values are allocations of the Go runtime,
// divided by a large number of calls.
func number(v float64) string {
	switch {
	case math.Abs(v) < 0.005:
		return "0"
	case math.Abs(v) >= 1000:
		return bench.Count(int(math.Round(v)))
	case math.Abs(v) >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case math.Abs(v) >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}
