package series

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"unsafe"

	"github.com/tachikoma/tacho/internal/label"
)

// newSeries returns a Series with one label value. Its metric is the value.
func newSeries(hash uint32, value string) *Series {
	key := label.AppendKey(nil, []string{value})
	s := New(hash, len(key), string(key)+`{l="`+value+`"} `, unsafe.Pointer(&value))
	return &s
}

func key(value string) string { return value + string([]byte{label.Sep}) }

// all returns the values of the series that Each passes, in order.
func all(t *Table) (values []string) {
	for s := range t.Each {
		values = append(values, *(*string)(s.M))
	}
	slices.Sort(values)
	return values
}

func TestSeries(t *testing.T) {
	s := newSeries(7, "v")
	if s.Hash != 7 || s.Key() != "v\xff" || s.Block() != `{l="v"} ` || *(*string)(s.M) != "v" {
		t.Errorf("%+v: key %q, block %q", s, s.Key(), s.Block())
	}
	// A vector without labels has one series, of an empty key.
	if s := New(1, 0, " ", nil); s.Key() != "" || s.Block() != " " {
		t.Errorf("key %q, block %q", s.Key(), s.Block())
	}
}

// hashesOf are ways to hash the value i. Hashes are spread over the table, differ and map to
// the same slot, or are the same.
var hashesOf = map[string]func(i int) uint32{
	"spread":    func(i int) uint32 { return uint32(i) * 0x9e3779b9 >> 7 },
	"same slot": func(i int) uint32 { return uint32(i)<<20 | 3 },
	"same hash": func(int) uint32 { return 5 },
	"last slot": func(int) uint32 { return 0xffffffff },
}

func TestInsertAndRemove(t *testing.T) {
	for name, hash := range hashesOf {
		for _, n := range []int{0, 1, 2, 3, 10, 100} {
			table := NewTable(n)
			var list []*Series
			var values []string
			for i := range n {
				s := newSeries(hash(i), strconv.Itoa(i))
				list, values = append(list, s), append(values, strconv.Itoa(i))
				if table.Full() {
					t.Fatalf("%s: full after %d of %d series", name, i, n)
				}
				table.Insert(s)
			}
			slices.Sort(values)
			if got := all(table); table.Len() != n || !slices.Equal(got, values) {
				t.Fatalf("%s: %d series, %q, want %q", name, table.Len(), got, values)
			}
			for i := range n + 3 {
				var want *Series
				if i < n {
					want = list[i]
				}
				if got := table.Find(hash(i), key(strconv.Itoa(i))); got != want {
					t.Errorf("%s: Find returns %+v, want %+v", name, got, want)
				}
			}
			// A series with the same key that is not in the table.
			if n > 0 && (!table.Holds(list[0]) || table.Holds(newSeries(list[0].Hash, "0"))) {
				t.Errorf("%s: Holds is wrong", name)
			}
			rand.Shuffle(n, func(i, j int) { list[i], list[j] = list[j], list[i] })
			for i, s := range list {
				table.Remove(s)
				if table.Find(s.Hash, s.Key()) != nil || table.Holds(s) || table.Len() != n-i-1 {
					t.Errorf("%s: %q is still there, or %d series are not %d", name, s.Key(), table.Len(), n-i-1)
				}
				for _, s := range list[i+1:] {
					if table.Find(s.Hash, s.Key()) != s || !table.Holds(s) {
						t.Fatalf("%s: %q is lost after the removal of another series", name, s.Key())
					}
				}
			}
			if got := all(table); len(got) != 0 {
				t.Errorf("%s: %q are left", name, got)
			}
		}
	}
}

// TestEachStops: Each passes no series after its function returned false.
func TestEachStops(t *testing.T) {
	table := NewTable(10)
	for i := range 10 {
		table.Insert(newSeries(uint32(i), strconv.Itoa(i)))
	}
	calls := 0
	table.Each(func(*Series) bool { calls++; return calls < 4 })
	if calls != 4 {
		t.Errorf("%d calls, want 4", calls)
	}
}

// TestTombstones: a tombstone counts for Full, is reused by the next series of its probe,
// and equals no key.
func TestTombstones(t *testing.T) {
	table := NewTable(4) // 8 slots
	for i := range 1000 {
		s := newSeries(3, strconv.Itoa(i))
		table.Insert(s)
		table.Remove(s)
	}
	if table.used != 1 || table.Len() != 0 || table.Full() {
		t.Errorf("%d used slots, %d series, want 1 and 0", table.used, table.Len())
	}
	if got := table.Find(3, tombstone.Key()[:0]); got != nil {
		t.Errorf("the empty key finds %+v", got)
	}
	for _, values := range [][]string{{"tombston"}, {"tombstone"}, {"tomb", "ton"}, {"", "", "", "", "", "", "", "", ""}} {
		size := label.NewHasher().Add(values).Size()
		if label.KeyIs(tombstone.Key(), values, size) || string(label.AppendKey(nil, values)) == tombstone.Key() {
			t.Errorf("%q have the key of a tombstone", values)
		}
	}
	for i := uint32(4); !table.Full(); i++ { // each removal leaves a tombstone in another slot
		s := newSeries(i, strconv.Itoa(int(i)))
		table.Insert(s)
		table.Remove(s)
	}
	if table.used != 6 || table.Len() != 0 {
		t.Errorf("%d used slots, %d series, want 6 and 0", table.used, table.Len())
	}
	if got := all(table); len(got) != 0 {
		t.Errorf("Each passes %q", got)
	}
	if got := table.Find(3, key("x")); got != nil { // ends, since a slot is nil
		t.Errorf("found %+v", got)
	}
}

// TestFull: a quarter of the slots stays nil, so that each probe ends.
func TestFull(t *testing.T) {
	for n, size := range map[int]int{0: 4, 1: 4, 2: 4, 3: 8, 4: 8, 5: 16, 64: 128, 65: 256} {
		table := NewTable(n)
		if len(table.slots) != size {
			t.Errorf("NewTable(%d) has %d slots, want %d", n, len(table.slots), size)
		}
		inserted := 0
		for ; !table.Full(); inserted++ {
			table.Insert(newSeries(9, strconv.Itoa(inserted)))
		}
		if inserted != size/4*3 || inserted < n {
			t.Errorf("%d of %d slots hold a series when the table is full", inserted, size)
		}
		if got := table.Find(9, key("absent")); got != nil {
			t.Errorf("found %+v", got)
		}
	}
}

// TestAt: a probe sees the slots in their order, and after the last the first.
func TestAt(t *testing.T) {
	table := NewTable(2) // 4 slots
	list := []*Series{newSeries(2, "a"), newSeries(2|8, "b"), newSeries(2, "c")}
	for _, s := range list {
		table.Insert(s)
	}
	for _, c := range []struct {
		i, hash uint32
		want    *Series
		match   bool
	}{
		{2, 2, list[0], true}, {2, 10, list[0], false}, {3, 2, list[1], false}, {3, 10, list[1], true},
		{4, 2, list[2], true}, {5, 2, nil, false}, {0, 2, list[2], true}, {0xfffffffe, 2, list[0], true},
	} {
		if s, match := table.At(c.i, c.hash); s != c.want || match != c.match {
			t.Errorf("At(%d, %d) is %+v and %v, want %+v and %v", c.i, c.hash, s, match, c.want, c.match)
		}
	}
	table.Remove(list[0])
	if s, _ := table.At(2, 2); s == nil {
		t.Error("a removed series ends a probe")
	}
}

// TestConcurrentFind: while one goroutine inserts and removes series, readers find the
// series that stay, and under each key no other series than that of the key.
func TestConcurrentFind(t *testing.T) {
	for name, hash := range hashesOf {
		t.Run(name, func(t *testing.T) {
			const stay, change = 8, 24
			var p TablePointer
			p.Store(NewTable(0))
			insert := func(s *Series) {
				table := p.Load()
				if table.Full() { // as a vector does
					grown := NewTable(table.Len() + 1)
					for s := range table.Each {
						grown.Insert(s)
					}
					p.Store(grown)
					table = grown
				}
				table.Insert(s)
			}
			var staying []*Series
			insertStaying := func(i int) {
				s := newSeries(hash(i), strconv.Itoa(i))
				staying = append(staying, s)
				insert(s)
			}
			// Series that change are before and between the series that stay.
			current := make([]*Series, change)
			for i := range change {
				current[i] = newSeries(hash(100+i), strconv.Itoa(100+i))
				insert(current[i])
				if i%3 == 0 {
					insertStaying(i / 3)
				}
			}
			if len(staying) != stay {
				t.Fatalf("%d series stay", len(staying))
			}
			rounds := 3000
			if testing.Short() {
				rounds = 300
			}
			var found, readers atomic.Int64
			for range 2 {
				readers.Add(1)
				go func() {
					defer readers.Add(-1)
					for range rounds {
						table := p.Load()
						for _, s := range staying {
							if got := table.Find(s.Hash, s.Key()); got != s {
								t.Errorf("%q is lost, found %+v", s.Key(), got)
								return
							}
							if !table.Holds(s) {
								t.Errorf("%q is not held", s.Key())
								return
							}
						}
						for i := range change {
							value := strconv.Itoa(100 + i)
							got := table.Find(hash(100+i), key(value))
							if got == nil {
								continue
							}
							found.Add(1)
							if got.Key() != key(value) || *(*string)(got.M) != value || got.Hash != hash(100+i) {
								t.Errorf("%q found %+v", value, got)
								return
							}
						}
						n := 0
						for s := range table.Each {
							if s == tombstone {
								t.Error("Each passed a tombstone")
								return
							}
							if i, _ := strconv.Atoi(*(*string)(s.M)); i < stay {
								n++
							}
						}
						if n != stay {
							t.Errorf("Each passed %d of %d series", n, stay)
							return
						}
					}
				}()
			}
			random := rand.New(rand.NewPCG(1, 2))
			for n := 0; readers.Load() > 0; n++ {
				i := random.IntN(change)
				if s := current[i]; s != nil {
					p.Load().Remove(s)
					current[i] = nil
				} else {
					current[i] = newSeries(hash(100+i), strconv.Itoa(100+i))
					insert(current[i])
				}
				if n%16 == 0 {
					runtime.Gosched() // WebAssembly has one thread
				}
			}
			if found.Load() == 0 {
				t.Error("no series that changes was found")
			}
		})
	}
}

// TestEachOf: the parts of a table together have each series once.
func TestEachOf(t *testing.T) {
	for _, n := range []int{0, 1, 5, 100} {
		table := NewTable(n)
		for i := range n {
			table.Insert(newSeries(uint32(i)*0x9e3779b9, strconv.Itoa(i)))
		}
		for _, parts := range []int{1, 2, 4} {
			seen := map[*Series]int{}
			for part := range parts {
				table.EachOf(part, parts, func(s *Series) bool { seen[s]++; return true })
			}
			for s, times := range seen {
				if times != 1 {
					t.Errorf("%q is in %d of %d parts", s.Key(), times, parts)
				}
			}
			if len(seen) != n {
				t.Errorf("%d parts have %d of %d series", parts, len(seen), n)
			}
		}
	}
}

// TestSparse: a table is sparse if series fill less than an eighth of it. A small table
// never is.
func TestSparse(t *testing.T) {
	table := NewTable(512) // 1024 slots
	var list []*Series
	for i := range 512 {
		list = append(list, newSeries(uint32(i)*7, strconv.Itoa(i)))
		table.Insert(list[i])
	}
	if table.FullWith(256) || !table.FullWith(257) {
		t.Errorf("FullWith is wrong for %d slots", len(table.slots))
	}
	for i, s := range list {
		left := len(list) - i
		if table.Sparse() != (left < 128) {
			t.Fatalf("Sparse is %v with %d series", table.Sparse(), left)
		}
		table.Remove(s)
	}
	if NewTable(0).Sparse() || NewTable(32).Sparse() {
		t.Error("a small table is sparse")
	}
}
