package native

import (
	"math"
	"testing"
	"time"
	"unsafe"
)

// restartAfter sets RestartAfter until the end of the test.
func restartAfter(t testing.TB, d time.Duration) {
	old := RestartAfter
	RestartAfter = d
	t.Cleanup(func() { RestartAfter = old })
}

// A bench is a histogram of one row with a Reader and a model, for tests of interleavings.
type bench struct {
	*testing.T
	c *Config
	b *Buckets
	m *model
	r Reader
}

func newBench(t *testing.T, schema, limit int) *bench {
	c := newConfig(schema, limit, 0x1p-128)
	return &bench{t, c, newRows(c, 1)[0], newModel(c, 1), Reader{}}
}

func (x *bench) add(values ...float64) {
	for _, v := range values {
		observe(x.b, x.c, v)
		x.m.add(0, v, 1)
	}
}

// addTo is Add of a goroutine that loaded the level l before, up to the count. If l has no place
// for v, Add loads the level again.
func (x *bench) addTo(l *Level, v float64) {
	kind, bits := positive, math.Float64bits(v)
	if x.c.Plain(bits) {
		if w := l.Word(bits + Biased); w != nil {
			if k := w.Add(1); k > none {
				x.b.Added(x.c, l, bits, k)
			}
			x.m.add(0, v, 1)
			return
		}
	}
	switch {
	case math.IsInf(v, 0):
		kind, bits = infinite, bits>>63
	case v < 0:
		kind, bits = negative, bits&^(1<<63)
	}
	i := l.index(kind, bits)
	ch := l.side(kind).chunk(i)
	if ch == nil {
		x.add(v)
		return
	}
	ch[i&(chunkSize-1)].Add(1)
	x.m.add(0, v, 1)
}

// completed is the end of that Add.
func (x *bench) completed(l *Level) {
	if x.b.Level() != l {
		x.b.added(x.c, l, false)
	}
}

// check checks the snapshot of a completed read.
func (x *bench) check(what string) {
	x.Helper()
	if text := differ(&x.r.Snapshot, x.m.snapshot()); text != "" {
		x.Errorf("%s: %s", what, text)
	}
}

func (x *bench) read(what string) {
	x.Helper()
	read(&x.r, x.c, false, x.b)
	x.check(what)
	checkFreed(x.T, x.c, x.b, x.m.schema)
}

// fall lowers the resolution.
func (x *bench) fall(schema int) {
	x.b.lower(x.b.Level(), schema)
	x.m.schema = min(x.m.schema, schema)
}

// spread are values of all sides.
var spread = []float64{0.001, 0.9, 1, 1.1, 500, -0.5, -1, -7, math.Inf(+1), math.Inf(-1)}

// TestLateAfterFall: an Add counts in a level that was replaced meanwhile, before or after a reader
// moved the level's counts. Each is counted once, and the next read frees the level.
func TestLateAfterFall(t *testing.T) {
	for _, v := range spread {
		x := newBench(t, 3, 160)
		x.add(spread...)
		l := x.b.Level()
		x.fall(1)
		x.addTo(l, v) // is in the chain
		x.read("counted before the move")
		x.completed(l) // lists a level without counts
		x.read("listed after the move")
		x.addTo(l, v) // is not in the chain
		if x.c.late.Load() != nil {
			t.Fatal("listed too early")
		}
		x.completed(l)
		if x.c.late.Load() == nil {
			t.Fatalf("%v is not listed", v)
		}
		x.read("counted after the move")
		x.fall(-2)
		x.addTo(l, v)
		x.completed(l)
		x.read("counted two levels ago")
		x.read("read again")
	}
}

// TestLateWithoutRead: levels that get counts late, and levels that fall, wait for one reader.
func TestLateWithoutRead(t *testing.T) {
	x := newBench(t, 8, 160)
	x.add(spread...)
	var old []*Level
	for schema := 7; schema >= MinSchema; schema-- {
		old = append(old, x.b.Level())
		x.fall(schema)
		x.add(spread...)
		for _, l := range old {
			for _, v := range spread {
				x.addTo(l, v)
				x.completed(l)
			}
		}
	}
	x.r.Begin(x.c)
	x.r.Rows(x.b, 1)
	if got, want := countOf(&x.r), x.m.snapshot().Count(); got != want {
		t.Errorf("count %d, want %d", got, want)
	}
	x.r.End()
	x.read("after all falls")
}

// TestReadDuringFall: the resolution falls after a reader moved the counts, and before it reads.
// The reader sees the counts of all levels.
func TestReadDuringFall(t *testing.T) {
	for falls := 1; falls <= 3; falls++ {
		x := newBench(t, 3, 160)
		x.add(spread...)
		x.r.Begin(x.c)
		x.r.Rows(x.b, 1)
		for i := range falls {
			l := x.b.Level()
			x.fall(2 - i)
			x.add(spread...)
			x.addTo(l, 3)
			x.completed(l)
		}
		if got, want := countOf(&x.r), x.m.snapshot().Count(); got != want {
			t.Errorf("count %d, want %d", got, want)
		}
		x.r.Read()
		x.r.End()
		x.check("during the fall")
		x.read("after the fall")
	}
}

// TestRestartDuringFall: as in TestReadDuringFall, and the reader takes all counts. The histogram
// is empty afterwards, in the first schema.
func TestRestartDuringFall(t *testing.T) {
	restartAfter(t, 0)
	x := newBench(t, 3, 160)
	x.add(spread...)
	if read(&x.r, x.c, true, x.b) {
		t.Fatal("a restart without a fall")
	}
	x.fall(2)
	x.r.Begin(x.c)
	x.r.Rows(x.b, 1)
	if !x.r.Restart() {
		t.Fatal("no restart")
	}
	x.fall(1)
	x.add(spread...)
	l := x.b.Level()
	x.fall(-1)
	x.addTo(l, 3)
	x.completed(l)
	x.r.Read()
	x.r.End()
	x.check("the restart")
	x.m.restart()
	x.r.Begin(x.c)
	x.r.Rows(x.b, 1)
	if n := countOf(&x.r); n != 0 {
		t.Errorf("%d observations for a format without native buckets", n)
	}
	x.r.End()
	x.read("after the restart")
	x.add(spread...)
	x.read("new values")
	if read(&x.r, x.c, true, x.b) {
		t.Error("a restart without another fall")
	}
}

// TestRestartTime: a histogram restarts when RestartAfter has passed since the last fall of a row.
func TestRestartTime(t *testing.T) {
	restartAfter(t, time.Hour)
	c := newConfig(3, 160, 0)
	rows := newRows(c, 2)
	var r Reader
	for _, b := range rows {
		b.Add(c, 1)
		b.lower(b.Level(), 2)
	}
	if read(&r, c, true, rows...) || r.Schema != 2 {
		t.Fatal("a restart at once")
	}
	old := time.Now().Add(-time.Hour).UnixMilli()
	for i := range rows {
		recent := rows[i].Level().history.fell
		rows[i].Level().history.fell = old
		if read(&r, c, true, rows...) {
			t.Fatal("a restart although another row fell just now")
		}
		rows[i].Level().history.fell = recent
	}
	rows[0].Level().history.fell = old
	rows[1].Level().history.fell = old + time.Hour.Milliseconds()/2
	if read(&r, c, true, rows...) {
		t.Fatal("a restart after half of the time")
	}
	rows[1].Level().history.fell = old
	if !read(&r, c, true, rows...) || r.Snapshot.Count() != 2 {
		t.Fatalf("no restart, or %d taken", r.Snapshot.Count())
	}
	read(&r, c, false, rows...)
	if r.Snapshot.Count() != 0 {
		t.Fatalf("%d left", r.Snapshot.Count())
	}
	if r.Schema != 3 {
		t.Fatalf("schema %d", r.Schema)
	}
	for _, b := range rows {
		b.Add(c, 1)
		b.lower(b.Level(), 0)
	}
	if read(&r, c, true, rows...) || r.Schema != 0 {
		t.Errorf("a restart at once, or schema %d", r.Schema)
	}
}

// TestLateAfterRestart: an Add counts in a level of a lower schema after the histogram restarted.
// The count is in the highest of the smaller buckets.
func TestLateAfterRestart(t *testing.T) {
	restartAfter(t, 0)
	x := newBench(t, 3, 160)
	x.add(spread...)
	x.fall(0)
	x.add(spread...)
	l := x.b.Level()
	if !read(&x.r, x.c, true, x.b) {
		t.Fatal("no restart")
	}
	x.check("taken")
	x.m.restart()
	x.read("empty")
	for _, c := range []struct{ v, highest float64 }{
		{1.1, 2}, {1, 1}, {0.9, 1}, {500, 512}, {-0.5, -0.5}, {-7, -8}, {math.Inf(+1), math.Inf(+1)}, {math.Inf(-1), math.Inf(-1)},
	} {
		x.addTo(l, c.v)
		x.m.rows[0][c.v]--
		if x.m.rows[0][c.v] == 0 {
			delete(x.m.rows[0], c.v)
		}
		x.m.add(0, c.highest, 1)
	}
	x.completed(l)
	x.read("late in the lower schema")
	if x.r.Schema != 3 {
		t.Errorf("schema %d", x.r.Schema)
	}
}

// TestLateLevelOfFullHistogram: a late count that a reader moves lowers the resolution again.
func TestLateLevelOfFullHistogram(t *testing.T) {
	x := newBench(t, 3, 4)
	x.add(1, 2, 4)
	l := x.b.Level()
	x.b.lower(l, 2)
	x.m.schema = 2
	x.add(1, 2, 4)
	x.read("full")
	x.add(8)
	x.read("as many as the limit")
	x.addTo(l, 3.9)
	x.addTo(l, 1.5)
	x.completed(l)
	x.read("over the limit")
	if x.r.Schema >= 2 {
		t.Errorf("schema %d", x.r.Schema)
	}
}

// TestFrozenPlace: a place that was empty when a directory was replaced never gets a chunk. If the
// directory is still in use, because another side grew first, the next Add in that place replaces it.
func TestFrozenPlace(t *testing.T) {
	x := newBench(t, 3, 160)
	x.add(1.5, 100, -1.5, -100)
	l := x.b.Level()
	x.add(1e6) // replaces the positive directory
	if x.b.Level() == l {
		t.Fatal("the directory did not grow")
	}
	i := l.index(positive, math.Float64bits(10))
	if l.side(positive).chunk(i) != nil {
		t.Error("a chunk is added to a directory that was replaced")
	}
	x.addTo(l, 10)
	if l.side(positive).chunk(l.index(positive, math.Float64bits(1.5))) == nil {
		t.Error("a chunk is no longer found in a directory that was replaced")
	}
	x.add(10)

	// Of two goroutines, each replaces another side of one level. The slower one freezes places of
	// the current level, and then fails.
	l = x.b.Level()
	x.add(-1e6)
	now := x.b.Level()
	x.b.grow(x.c, l, positive, l.index(positive, math.Float64bits(1e12))>>chunkBits)
	if x.b.Level() != now {
		t.Error("a level was replaced that is no longer in use")
	}
	frozenPlaces := 0
	for i := range now.side(positive).all() {
		if now.side(positive).all()[i].load() == frozen {
			frozenPlaces++
		}
	}
	if frozenPlaces == 0 {
		t.Error("no place of the current level is frozen")
	}
	x.read("frozen places")
	x.add(3, 20, 40, 400, 3000, 1e12)
	x.read("values in frozen places")
	// The same while the resolution falls.
	l = x.b.Level()
	x.fall(2)
	x.b.grow(x.c, l, positive, l.index(positive, math.Float64bits(1e15))>>chunkBits)
	x.addTo(l, 1.5)
	x.completed(l)
	x.read("a fall before a growth")

	// Levels with the same chunks have the same history, also after a fall: no count is late.
	l = x.b.Level()
	x.add(0x1p60)
	if x.b.Level() == l {
		t.Fatal("the directory did not grow")
	}
	x.addTo(l, 1.5)
	x.completed(l)
	if x.c.late.Load() != nil {
		t.Error("a level with the chunks of the current level is listed")
	}
	x.read("a growth after a fall")
}

// TestStaleLower: a goroutine that lowers a level that is no longer in use changes nothing.
func TestStaleLower(t *testing.T) {
	x := newBench(t, 3, 160)
	x.add(spread...)
	l := x.b.Level()
	x.add(1e6)
	x.b.lower(l, 0)
	x.read("after a growth")
	l = x.b.Level()
	x.fall(1)
	x.b.lower(l, 0)
	x.read("after a fall")
	x.b.lower(x.b.Level(), 2)
	x.read("to a higher schema")
}

// TestReaderKeeps: two Readers read different histograms of one Config, one after the other, and a
// Reader keeps what it read.
func TestReaderKeeps(t *testing.T) {
	c := newConfig(3, 160, 0)
	rows := newRows(c, 2)
	rows[0].Add(c, 1)
	rows[1].Add(c, 2)
	rows[1].Add(c, 2)
	var r [2]Reader
	for i, b := range rows {
		read(&r[i], c, false, b)
	}
	rows[0].Add(c, 1)
	if r[0].Snapshot.Count() != 1 || r[1].Snapshot.Count() != 2 {
		t.Errorf("%d and %d observations", r[0].Snapshot.Count(), r[1].Snapshot.Count())
	}
}

// TestAddDifference: between two states of a histogram the resolution fell. The difference is added
// to a histogram of a lower resolution, and to a histogram that did not fall.
func TestAddDifference(t *testing.T) {
	for _, schema := range []int{3, 2, 0, -3} {
		x, y := newBench(t, 3, 160), newBench(t, 3, 160)
		x.add(spread...)
		x.read("before")
		before := x.r.Snapshot
		x.r = Reader{}
		x.fall(1)
		y.add(5, -6)
		x.add(spread...)
		x.add(123)
		x.read("after")
		y.fall(schema)
		y.b.AddDifference(x.c, &before, &x.r.Snapshot)
		for _, v := range append([]float64{123}, spread...) {
			y.m.add(0, v, 1)
		}
		y.m.schema = min(schema, 1)
		y.read("absorbed")
	}
}

// TestPlaceSize: Add calculates the address of a place.
func TestPlaceSize(t *testing.T) {
	if got, want := unsafe.Sizeof(place{}), unsafe.Sizeof(uintptr(0)); got != want {
		t.Errorf("a place has %d bytes, want %d", got, want)
	}
	if got := unsafe.Sizeof(chunk{}); got != 64 {
		t.Errorf("a chunk has %d bytes", got)
	}
}

// TestFallOfRead: each row has fewer buckets than the limit, and all rows together have more. The
// first read lowers all rows, and the histogram restarts later.
func TestFallOfRead(t *testing.T) {
	restartAfter(t, 0)
	c := newConfig(3, 3, 0)
	rows := newRows(c, 2)
	for i, v := range []float64{1, 1.4, 2, 2.8} {
		observe(rows[i%2], c, v)
	}
	var r Reader
	if read(&r, c, true, rows...) || r.Schema != 0 || r.Snapshot.Count() != 4 {
		t.Fatalf("schema %d, %d observations", r.Schema, r.Snapshot.Count())
	}
	for _, b := range rows {
		if b.Level().table.Schema != 0 {
			t.Errorf("a row has schema %d", b.Level().table.Schema)
		}
	}
	if !read(&r, c, true, rows...) || r.Snapshot.Count() != 4 {
		t.Errorf("no restart, %d observations", r.Snapshot.Count())
	}
	read(&r, c, true, rows...)
	if r.Schema != 3 || r.Snapshot.Count() != 0 {
		t.Errorf("after the restart: schema %d, %d observations", r.Schema, r.Snapshot.Count())
	}
}

// TestReaderKeepsNoHistogram: after End a Reader does not keep the memory of a histogram.
func TestReaderKeepsNoHistogram(t *testing.T) {
	c := newConfig(3, 160, 0)
	var r Reader
	read(&r, c, false, newRows(c, 5)...)
	for _, b := range r.rows[:cap(r.rows)] {
		if b != nil {
			t.Fatal("the Reader has a row")
		}
	}
}
