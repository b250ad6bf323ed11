package native

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"unsafe"

	"github.com/tachikoma/tacho/internal/race"
	"github.com/tachikoma/tacho/internal/testkit"
)

// newConfig returns a Config. The threshold can be 0, which NativeConfig does not allow.
func newConfig(schema, buckets int, threshold float64) *Config {
	c := new(Config)
	c.Init(schema, buckets, threshold)
	return c
}

// newRows returns the Buckets of n rows.
func newRows(c *Config, n int) []*Buckets {
	rows := make([]*Buckets, n)
	for i := range rows {
		rows[i] = new(Buckets)
		rows[i].Init(c)
	}
	return rows
}

// observe counts v as observeNative of the root package does: in the word that Word returns, or by Add.
func observe(b *Buckets, c *Config, v float64) bool {
	bits, l := math.Float64bits(v), b.Level()
	if c.Plain(bits) {
		if w := l.Word(bits + Biased); w != nil {
			if k := w.Add(1); int64(k) <= 1 || b.Level() != l {
				b.Added(c, l, bits, k)
			}
			return true
		}
	}
	return b.Add(c, v)
}

// read reads rows as an exposition does. It reports whether the histogram restarted, which it does
// only if restart is true.
func read(r *Reader, c *Config, restart bool, rows ...*Buckets) (restarted bool) {
	r.Begin(c)
	defer r.End()
	for _, b := range rows {
		r.Rows(b, 1)
	}
	if restart {
		restarted = r.Restart()
	}
	r.Read()
	return restarted
}

// countOf returns the number of observations in the rows of r, without those in the zero bucket.
func countOf(r *Reader) (n uint64) {
	for _, b := range r.rows {
		n += b.count()
	}
	return n
}

// A model is a histogram with native buckets, by the definitions of a bucket and of the limits. It
// keeps all values.
type model struct {
	schema, first, max, places int
	threshold                  float64
	rows                       []map[float64]uint64 // the values that are not in the zero bucket
}

func newModel(c *Config, rows int) *model {
	m := &model{first: c.schema, max: c.max, places: max(128, c.max/2), threshold: c.threshold, rows: make([]map[float64]uint64, rows)}
	m.restart()
	return m
}

func (m *model) restart() {
	m.schema = m.first
	for i := range m.rows {
		m.rows[i] = map[float64]uint64{}
	}
}

// add counts n times v, and reports whether v is outside of the zero bucket.
func (m *model) add(row int, v float64, n uint64) bool {
	if v != v || math.Abs(v) <= m.threshold {
		return false
	}
	m.rows[row][v] += n
	return true
}

// lists returns the buckets of a schema. ok is false if they are too many, or too far from each other.
func (m *model) lists(schema int) (positive, negative []Bucket, ok bool) {
	ok = true
	var all [2]map[int]uint64
	for i := range all {
		all[i] = map[int]uint64{}
	}
	for _, row := range m.rows {
		first, last := [2]int{math.MaxInt, math.MaxInt}, [2]int{math.MinInt, math.MinInt}
		for v, n := range row {
			side := 0
			if v < 0 {
				side = 1
			}
			key := definition(schema, math.Abs(v))
			all[side][key] += n
			if !math.IsInf(v, 0) {
				at := (key - 1 + 1024<<8>>(MaxSchema-schema)) >> 3
				first[side], last[side] = min(first[side], at), max(last[side], at)
			}
		}
		for side := range first {
			ok = ok && (last[side] < first[side] || last[side]-first[side] < m.places)
		}
	}
	return sorted(all[0]), sorted(all[1]), ok && len(all[0])+len(all[1]) <= m.max
}

func sorted(counts map[int]uint64) (list []Bucket) {
	for key, n := range counts {
		list = append(list, Bucket{key, n})
	}
	slices.SortFunc(list, func(a, b Bucket) int { return a.Key - b.Key })
	return list
}

// snapshot lowers the schema by one while the limits are exceeded.
func (m *model) snapshot() *Snapshot {
	for {
		positive, negative, ok := m.lists(m.schema)
		if ok || m.schema == MinSchema {
			return &Snapshot{m.schema, m.threshold, 0, positive, negative}
		}
		m.schema--
	}
}

// differ returns an error text if two snapshots differ, or "".
func differ(got, want *Snapshot) string {
	switch {
	case got.Schema != want.Schema:
		return fmt.Sprintf("schema %d, want %d", got.Schema, want.Schema)
	case got.ZeroThreshold != want.ZeroThreshold:
		return fmt.Sprintf("threshold %v, want %v", got.ZeroThreshold, want.ZeroThreshold)
	case !slices.Equal(got.Positive, want.Positive):
		return fmt.Sprintf("schema %d, positive\n%v, want\n%v", got.Schema, got.Positive, want.Positive)
	case !slices.Equal(got.Negative, want.Negative):
		return fmt.Sprintf("schema %d, negative\n%v, want\n%v", got.Schema, got.Negative, want.Negative)
	case got.Count() != want.Count():
		return fmt.Sprintf("count %d, want %d", got.Count(), want.Count())
	}
	return ""
}

// generators return values of several distributions.
var generators = map[string]func(rnd *rand.Rand) float64{
	"log-normal": func(rnd *rand.Rand) float64 { return 0.01 * math.Exp(rnd.NormFloat64()) },
	"wide":       func(rnd *rand.Rand) float64 { return math.Exp(20 * rnd.NormFloat64()) },
	"any bits":   func(rnd *rand.Rand) float64 { return math.Float64frombits(rnd.Uint64()) },
	"powers of two": func(rnd *rand.Rand) float64 {
		return math.Ldexp(float64(rnd.IntN(3)-1), rnd.IntN(2098)-1074)
	},
	"small powers of two": func(rnd *rand.Rand) float64 { return math.Ldexp(1, rnd.IntN(40)-20) },
	"bounds": func(rnd *rand.Rand) float64 {
		schema := rnd.IntN(13) + MinSchema
		n := 1024 << 8 >> (MaxSchema - schema)
		v := Bound(schema, rnd.IntN(2*n)-n)
		switch rnd.IntN(3) {
		case 0:
			v = math.Nextafter(v, 0)
		case 1:
			v = math.Nextafter(v, math.Inf(+1))
		}
		if rnd.IntN(2) == 0 {
			return -v
		}
		return v
	},
	"subnormal": func(rnd *rand.Rand) float64 {
		return math.Float64frombits(rnd.Uint64N(1<<rnd.IntN(53))) * float64(1-2*rnd.IntN(2))
	},
	"special": func(rnd *rand.Rand) float64 {
		list := []float64{0, math.Copysign(0, -1), 1, -1, math.Inf(+1), math.Inf(-1), math.NaN(), math.MaxFloat64, -math.MaxFloat64,
			math.SmallestNonzeroFloat64, -math.SmallestNonzeroFloat64, 0x1p-1022, 0x1p-128, math.Nextafter(0x1p-128, 1)}
		return list[rnd.IntN(len(list))]
	},
}

var generatorNames = func() (names []string) {
	for name := range generators {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}()

// thresholds are those of the tests. A threshold of MaxFloat64 leaves only the infinities.
var thresholds = []float64{0, math.SmallestNonzeroFloat64, 0x1p-1022, 0x1p-128, 1, 1.05, math.MaxFloat64}

// TestModel compares the buckets after random values with those by the definition, also after
// several reads in between.
func TestModel(t *testing.T) {
	n := 2000
	if testing.Short() || race.Enabled {
		n = 300
	}
	var fell, values int
	for i := range n {
		rnd := rand.New(rand.NewPCG(1, uint64(i)))
		schema, limit, threshold := rnd.IntN(13)+MinSchema, 1+rnd.IntN(200), thresholds[rnd.IntN(len(thresholds))]
		c := newConfig(schema, limit, threshold)
		rows := newRows(c, 1+rnd.IntN(3)*rnd.IntN(2))
		m := newModel(c, len(rows))
		var r Reader
		var names []string
		for range 1 + rnd.IntN(5) {
			name := generatorNames[rnd.IntN(len(generatorNames))]
			names = append(names, name)
			for range rnd.IntN(300) {
				values++
				v, row := generators[name](rnd), rnd.IntN(len(rows))
				if got, want := observe(rows[row], c, v), m.add(row, v, 1); got != want {
					t.Fatalf("threshold %v: Add(%v) returned %t", threshold, v, got)
				}
			}
			if rnd.IntN(3) == 0 { // another format reads only the count
				r.Begin(c)
				for _, b := range rows {
					r.Rows(b, 1)
				}
				got, want := countOf(&r), m.snapshot().Count()
				r.End()
				if got != want {
					t.Fatalf("%d observations, want %d", got, want)
				}
			}
			read(&r, c, false, rows...)
			if text := differ(&r.Snapshot, m.snapshot()); text != "" {
				t.Fatalf("round %d, schema %d, limit %d, threshold %v, %d rows, %q: %s", i, schema, limit, threshold, len(rows), names, text)
			}
			for _, b := range rows {
				checkFreed(t, c, b, m.schema)
			}
		}
		if m.schema < m.first {
			fell++
		}
	}
	t.Logf("%d values; the resolution of %d of %d histograms fell", values, fell, n)
}

// checkFreed checks that after a read only a fall of the read itself leaves a level.
func checkFreed(t *testing.T, c *Config, b *Buckets, schema int) {
	t.Helper()
	if c.late.Load() != nil {
		t.Fatal("the read left late levels")
	}
	levels := 0
	for l := b.Level().before(); l != nil; l = l.before() {
		levels++
	}
	if levels > 1 {
		t.Fatalf("%d levels after a read", levels)
	}
}

// TestHighestThreshold: with a threshold of MaxFloat64 only the infinities are outside of the zero
// bucket.
func TestHighestThreshold(t *testing.T) {
	for _, threshold := range []float64{math.Nextafter(math.MaxFloat64, 0), math.MaxFloat64} {
		c := newConfig(3, 160, threshold)
		for _, v := range []float64{math.NaN(), math.Float64frombits(math.MaxUint64), math.Float64frombits(1<<63 + 1), 0, 1, -1, threshold, -threshold} {
			if observe(newRows(c, 1)[0], c, v) {
				t.Errorf("threshold %v: Add(%v) counted in a bucket", threshold, v)
			}
		}
		b := newRows(c, 1)[0]
		for _, v := range []float64{math.Inf(+1), math.Inf(-1), math.Inf(-1)} {
			if !observe(b, c, v) {
				t.Errorf("threshold %v: %v is in the zero bucket", threshold, v)
			}
		}
		var r Reader
		read(&r, c, false, b)
		want := &Snapshot{3, threshold, 0, []Bucket{{8193, 1}}, []Bucket{{8193, 2}}}
		if text := differ(&r.Snapshot, want); text != "" {
			t.Errorf("threshold %v: %s", threshold, text)
		}
	}
}

// TestSubnormalMoves: the bound of a bucket of subnormal values can be rounded up, into the next
// bucket. Its counts stay in their bucket all the same.
func TestSubnormalMoves(t *testing.T) {
	for schema := MinSchema + 1; schema <= MaxSchema; schema++ {
		for down := 1; schema-down >= MinSchema; down++ {
			c := newConfig(schema, 65_000, 0)
			rows := newRows(c, 2)
			m := newModel(c, 1)
			rnd := rand.New(rand.NewPCG(2, 3))
			before, after := Snapshot{Schema: schema}, Snapshot{}
			var r Reader
			for range 300 {
				v := generators["subnormal"](rnd)
				observe(rows[0], c, v)
				m.add(0, v, 1)
			}
			rows[0].lower(rows[0].Level(), schema-down)
			m.schema = schema - down
			read(&r, c, false, rows[0])
			if text := differ(&r.Snapshot, m.snapshot()); text != "" {
				t.Fatalf("schema %d to %d: %s", schema, schema-down, text)
			}
			after = r.Snapshot
			rows[1].AddDifference(c, &before, &after)
			var r2 Reader
			read(&r2, c, false, rows[1])
			if text := differ(&r2.Snapshot, m.snapshot()); text != "" {
				t.Fatalf("the difference, schema %d to %d: %s", schema, schema-down, text)
			}
		}
	}
}

// TestLimitsWithoutReads: without a reader, the buckets and the places of each level are limited,
// and there are few levels.
func TestLimitsWithoutReads(t *testing.T) {
	for _, limit := range []int{1, 20, 160, 200} {
		for _, name := range generatorNames {
			c := newConfig(8, limit, 0)
			b := newRows(c, 1)[0]
			rnd := rand.New(rand.NewPCG(5, 6))
			for range 3000 {
				observe(b, c, generators[name](rnd))
			}
			levels := 0
			for l := b.Level(); l != nil; l = l.before() {
				// The bucket that exceeded the limit is in a level that was replaced.
				if n := l.populated(0); n > limit+1 && l.table.Schema > MinSchema {
					t.Errorf("limit %d, %s: %d buckets", limit, name, n)
				}
				for kind := range sides {
					if s := l.side(kind); s != nil && int(s.n) > max(128, limit/2) {
						t.Errorf("limit %d, %s: %d places", limit, name, s.n)
					}
				}
				levels++
			}
			if levels > MaxSchema-MinSchema+1 {
				t.Errorf("limit %d, %s: %d levels", limit, name, levels)
			}
		}
	}
}

// heapOf returns the bytes that f allocates and keeps in its result.
func heapOf(f func() any) int64 {
	before := testkit.HeapBytes()
	kept := f()
	n := testkit.HeapBytes() - before
	runtime.KeepAlive(kept)
	return n
}

// TestMemory: values of any bits are the worst case for the memory of a histogram. Before a read it
// has a level for each resolution. A read frees all levels except the last.
func TestMemory(t *testing.T) {
	if race.Enabled || unsafe.Sizeof(uintptr(0)) != 8 {
		t.Skip("sizes of 64-bit platforms, without the race detector")
	}
	const series, values = 100, 20_000
	for _, reads := range []int{0, 1, 2} {
		for _, schema := range []int{3, 8, -4} {
			c := newConfig(schema, 160, 0x1p-128)
			var r Reader
			got := heapOf(func() any {
				rows := newRows(c, series)
				for i, b := range rows {
					rnd := rand.New(rand.NewPCG(7, uint64(i)))
					for range values {
						observe(b, c, math.Float64frombits(rnd.Uint64()))
					}
				}
				for range reads {
					for _, b := range rows {
						read(&r, c, false, b)
					}
				}
				r = Reader{}
				return rows
			}) / series
			limit := int64(24 << 10)
			if reads > 0 {
				limit = 2_000
			}
			t.Logf("schema %d, %d reads: %d bytes a histogram", schema, reads, got)
			if got > limit {
				t.Errorf("schema %d, %d reads: %d bytes a histogram, want at most %d", schema, reads, got, limit)
			}
		}
	}
}

// TestMemoryAfterFall: two reads after a fall, a histogram needs no more memory than a histogram
// that began in the lower resolution.
func TestMemoryAfterFall(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector allocates")
	}
	const series = 200
	size := func(first int, lower func(c *Config, b *Buckets)) int64 {
		c := newConfig(first, 160, 0x1p-128)
		var r Reader
		return heapOf(func() any {
			rows := newRows(c, series)
			for _, b := range rows {
				for v := 1.0; v < 32; v *= 1.01 {
					b.Add(c, v)
					b.Add(c, -v)
				}
				lower(c, b)
				read(&r, c, false, b)
				read(&r, c, false, b)
			}
			r = Reader{}
			return rows
		}) / series
	}
	want := size(-2, func(*Config, *Buckets) {})
	got := size(3, func(c *Config, b *Buckets) {
		for schema := 2; schema >= -2; schema-- {
			b.lower(b.Level(), schema)
			b.Add(c, 1)
		}
	})
	if got > want+128 { // a history
		t.Errorf("%d bytes after the fall, %d without", got, want)
	}
}

// TestAllocations: Add allocates nothing once the chunks exist. The first value allocates a level,
// a directory and a chunk.
func TestAllocations(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector allocates")
	}
	for schema := MinSchema; schema <= MaxSchema; schema++ {
		c := newConfig(schema, 10_000, 0)
		b := newRows(c, 1)[0]
		rnd := rand.New(rand.NewPCG(8, 9))
		values := []float64{0, math.NaN(), math.Inf(+1), math.Inf(-1), 1, 2, 4, 8, -1, 1.5}
		for range 1000 {
			values = append(values, generators["log-normal"](rnd), -generators["log-normal"](rnd))
		}
		add := func() {
			for _, v := range values {
				observe(b, c, v)
			}
		}
		add()
		if n := testing.AllocsPerRun(10, add); n != 0 {
			t.Errorf("schema %d: %v allocations", schema, n)
		}
		for _, v := range []float64{1.5, -1.5, math.Inf(+1), 1e-320} {
			n := testing.AllocsPerRun(10, func() { observe(newRows(c, 1)[0], c, v) }) - testing.AllocsPerRun(10, func() { newRows(c, 1) })
			if n > 4 {
				t.Errorf("schema %d: the first value, %v, makes %v allocations", schema, v, n)
			}
		}
		var r Reader
		read(&r, c, false, b)
		read(&r, c, false, b) // the lists of a Reader change places
		if n := testing.AllocsPerRun(10, func() { read(&r, c, false, b) }); n != 0 {
			t.Errorf("schema %d: a read makes %v allocations", schema, n)
		}
	}
}

// TestInitMakesTables: Add never allocates a Table.
func TestInitMakesTables(t *testing.T) {
	for i := range tables {
		tables[i].Store(nil)
	}
	newConfig(5, 160, 0)
	for schema := MinSchema; schema <= MaxSchema; schema++ {
		if made := tables[schema-MinSchema].Load() != nil; made != (schema <= 5) {
			t.Errorf("schema %d: a table %t", schema, made)
		}
	}
}

// TestPopulated counts two neighboring buckets, which are one bucket of the next lower schema if the lower index is
// even.
func TestPopulated(t *testing.T) {
	c := newConfig(0, 160, 0)
	for _, v := range []float64{1.5, 3} {
		b := newRows(c, 1)[0]
		b.Add(c, v)
		b.Add(c, 2*v)
		l := b.Level()
		i := l.table.index(math.Float64bits(v))
		if got, want := [2]int{l.populated(0), l.populated(1)}, [2]int{2, 1 + i%2}; got != want {
			t.Errorf("%v and %v: %d buckets, want %d", v, 2*v, got, want)
		}
	}
}
