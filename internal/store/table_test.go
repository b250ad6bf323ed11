package store

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"unsafe"

	"github.com/tachikoma/tacho/internal/testkit"
)

// TestMatches: each equal tag is marked. An empty slot and the flag passed are never marked. A
// byte above a match may be marked too.
func TestMatches(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range scale(20_000, 200_000) {
		hash := r.Uint32()
		var tags uint64
		for i := range slotsPerGroup {
			tag := uint64(0)
			switch r.IntN(4) {
			case 0: // an empty slot
			case 1:
				tag = tagOf(hash) & 0xff
			case 2:
				tag = tagOf(hash)&0xff ^ 1
			case 3:
				tag = tagOf(r.Uint32()) & 0xff
			}
			tags |= tag << (8 * i)
		}
		if r.IntN(2) == 0 {
			tags |= passed
		}
		m := matches(tags, tagOf(hash))
		if m&^highs != 0 {
			t.Fatalf("tags %x, tag %x: the mark %x is outside of slots", tags, tagOf(hash), m)
		}
		below := false
		for i := range slotsPerGroup {
			tag := byte(tags >> (8 * i))
			marked := m>>(8*i)&0x80 != 0
			equal := tag == byte(tagOf(hash))
			if equal && !marked || marked && !equal && (!below || tag == 0) {
				t.Fatalf("tags %x, tag %x: the mark %x is wrong in slot %d", tags, tagOf(hash), m, i)
			}
			below = below || equal
		}
		if m != 0 && byte(tags>>(8*first(m))) != byte(tagOf(hash)) {
			t.Fatalf("tags %x: the first match of %x is %d", tags, m, first(m))
		}
	}
}

// TestTypesHaveNoEqual: a type that == cannot compare has no memory for that.
func TestTypesHaveNoEqual(t *testing.T) {
	for _, typ := range []reflect.Type{reflect.TypeFor[group](), reflect.TypeFor[view](), reflect.TypeFor[slab](),
		reflect.TypeFor[place](), reflect.TypeFor[key](), reflect.TypeFor[Cursor](), reflect.TypeFor[runs]()} {
		if typ.Comparable() || typ.Field(0).Type.Size() != 0 {
			t.Errorf("%v: comparable %v, the first field has %d bytes", typ, typ.Comparable(), typ.Field(0).Type.Size())
		}
	}
	if n := unsafe.Sizeof(group{}); n != 64 {
		t.Errorf("a group has %d bytes, and a cache line has 64", n)
	}
}

// hashesOf are ways to hash the value i. Hashes are spread over the table, differ and map to
// the same group, differ and have the same tag, or are the same.
var hashesOf = map[string]func(i int) uint32{
	"spread":     func(i int) uint32 { return uint32(i) * 0x9e3779b9 },
	"same group": func(i int) uint32 { return uint32(i)<<25 | uint32(i)<<20 | 3 },
	"same tag":   func(i int) uint32 { return uint32(i) & 0xffff },
	"same hash":  func(int) uint32 { return 5 },
	"last group": func(int) uint32 { return 0xffffffff },
}

// makeRoom gives the store a table for n series, so that the next additions make no new
// table. A new table has the hashes of the values.
func (s *Store) makeRoom(n int) {
	s.change().groups = newTable(4 * n)
	s.passed = 0
	s.publish()
}

// TestCollisions: series with chosen hashes are found, and only these, while others are added
// and removed.
func TestCollisions(t *testing.T) {
	for name, hash := range hashesOf {
		for _, n := range []int{0, 1, 2, 6, 7, 8, 14, 15, 100} {
			v := newVector(counters(0), "l")
			v.makeRoom(n)
			groups := len(v.current().groups)
			var metrics []unsafe.Pointer
			block := func(i int) string { return string(v.AppendBlock(nil, []string{strconv.Itoa(i)})) }
			for i := range n {
				metrics = append(metrics, v.Add(hash(i), block(i), nil, 0))
			}
			if got := len(v.current().groups); got != groups {
				t.Fatalf("%s: %d series have another table", name, n)
			}
			for i := range n + 3 {
				var want unsafe.Pointer
				if i < n {
					want = metrics[i]
				}
				if got := v.FindBlock(hash(i), block(i)); got != want {
					t.Errorf("%s: FindBlock returns %v, want %v", name, got, want)
				}
			}
			// A series with the same block and another metric.
			if n > 0 && v.Remove(hash(0), block(0), unsafe.Pointer(new(counter))) {
				t.Errorf("%s: Remove removes a series with another metric", name)
			}
			order := rand.Perm(n)
			for k, i := range order {
				if !v.Remove(hash(i), block(i), metrics[i]) || v.Remove(hash(i), block(i), nil) {
					t.Errorf("%s: series %d is not removed, or is removed twice", name, i)
				}
				if v.FindBlock(hash(i), block(i)) != nil || v.Len() != n-k-1 {
					t.Errorf("%s: series %d is still there, or %d series are not %d", name, i, v.Len(), n-k-1)
				}
				for _, j := range order[k+1:] {
					if v.FindBlock(hash(j), block(j)) != metrics[j] {
						t.Fatalf("%s: series %d is lost after the removal of another series", name, j)
					}
				}
			}
		}
	}
}

// TestSlotsAreReused: a series uses the slot of a removed series.
func TestSlotsAreReused(t *testing.T) {
	v := newVector(counters(0), "l")
	for i := range 200 { // fewer than compactAt
		_, block := v.key([]string{strconv.Itoa(i)})
		v.Add(3, block, nil, 0)
		if !v.Remove(3, block, nil) {
			t.Fatal("not found")
		}
	}
	if got := len(v.current().groups); got != 1 || v.passed != 0 {
		t.Errorf("%d groups, of which %d are passed", got, v.passed)
	}
}

// TestFull: at most four fifths of the slots are used.
func TestFull(t *testing.T) {
	for n, groups := range map[int]int{0: 1, 1: 1, 5: 1, 6: 2, 11: 2, 12: 4, 22: 4, 23: 8, 64: 16, 1000: 256} {
		if got := len(newTable(n)); got != groups {
			t.Errorf("%d groups for %d series, want %d", got, n, groups)
		}
	}
	v := newVector(counters(0), "l")
	for i := range 5000 {
		v.add(strconv.Itoa(i))
		n := len(v.current().groups)
		if full(n, i+1) || n > i+1 {
			t.Fatalf("%d series in %d groups", i+1, n)
		}
	}
}

// TestLookupsEnd: a lookup of a missing series ends, also if series have passed all groups.
func TestLookupsEnd(t *testing.T) {
	v := newVector(counters(0), "l")
	for i := range 100 {
		v.add(strconv.Itoa(i))
	}
	groups := v.current().groups
	for i := range groups {
		groups[i].words[0].Store(groups[i].words[0].Load() | passed)
	}
	for i := range 1000 {
		value := []string{strconv.Itoa(i)}
		if got := v.Find(value); (got != nil) != (i < 100) || got != v.find(value...) {
			t.Errorf("Find(%q) returns %v", value, got)
		}
	}
}

// TestCrowdedTableIsReplaced: if series have passed most groups, the next addition makes a
// new table. Otherwise lookups would read more and more groups.
func TestCrowdedTableIsReplaced(t *testing.T) {
	v := newVector(counters(0), "l")
	v.makeRoom(16)
	groups := len(v.current().groups)
	most := 0
	for i := range groups {
		for k := range slotsPerGroup + 1 { // one series passes group i
			_, block := v.key([]string{fmt.Sprint(i, k)})
			v.Add(uint32(i), block, nil, 0)
			if got := v.current().passed(); got != v.passed {
				t.Fatalf("%d groups are passed, the store has %d", got, v.passed)
			}
			most = max(most, v.passed)
		}
		for k := range slotsPerGroup + 1 {
			_, block := v.key([]string{fmt.Sprint(i, k)})
			v.Remove(uint32(i), block, nil)
			v.Remove(v.Hash(block), block, nil)
		}
		v.gone, v.waste = 0, 0 // a compaction would make a new table too
	}
	if most < groups/2 || most > groups*3/4+1 {
		t.Errorf("%d of %d groups were passed, want three quarters", most, groups)
	}
	if v.passed > groups/2 {
		t.Errorf("%d of %d groups are passed after a new table", v.passed, groups)
	}
}

// TestChurn: with few series at any time, no number of additions and removals makes the table
// large or full of flags.
func TestChurn(t *testing.T) {
	for _, scrapes := range []bool{false, true} {
		v := newVector(counters(0), "l")
		n := scale(5_000, 50_000)
		for i := range n {
			v.add(strconv.Itoa(i))
			if i >= 10 && !v.remove(strconv.Itoa(i-10)) {
				t.Fatalf("series %d is not found", i-10)
			}
			if scrapes && i%7 == 0 {
				v.ordered()
			}
			if v.Find([]string{"missing"}) != nil || v.Find([]string{strconv.Itoa(i)}) == nil {
				t.Fatal("a lookup is wrong")
			}
			w := v.current()
			if got := w.passed(); got != v.passed || 4*got > 3*len(w.groups)+4 {
				t.Fatalf("%d of %d groups are passed, the store has %d", got, len(w.groups), v.passed)
			}
		}
		if w := v.current(); v.Len() != 10 || len(w.groups) > 8 {
			t.Errorf("%d series in %d groups", v.Len(), len(w.groups))
		}
	}
}

// TestEach: Each passes each series once, and none after its function returned false.
func TestEach(t *testing.T) {
	for n := range 40 {
		v := newVector(counters(0), "l")
		var want []string
		for i := range n {
			if v.add(strconv.Itoa(i)); i == n/2 {
				v.layOut() // half of the series are in the main arena
			}
		}
		for i := range n {
			if i%5 == 3 {
				v.remove(strconv.Itoa(i))
			} else {
				want = append(want, strconv.Itoa(i))
			}
		}
		var got []string
		for block, m := range v.Snapshot().Each {
			values := v.AppendValues(nil, strings.Clone(block))
			got = append(got, values[0])
			if v.find(values...) != m {
				t.Errorf("Each passes another metric for %q", values)
			}
		}
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("Each passes %q, want %q", got, want)
		}
		for stop := range len(want) {
			calls := 0
			for range v.Snapshot().Each {
				if calls++; calls == stop+1 {
					break
				}
			}
			if calls != stop+1 {
				t.Errorf("%d calls, want %d", calls, stop+1)
			}
		}
	}
}

// TestFindBlockIsExact: FindBlock without the mutex finds a series that stays, while series in
// slots before it are replaced by series of newer views. Otherwise a full vector would count
// a recording in the overflow series.
func TestFindBlockIsExact(t *testing.T) {
	testkit.NeedThreads(t)
	v := newVector(counters(0), "l")
	v.makeRoom(16)
	block := func(value string) string { return string(v.AppendBlock(nil, []string{value})) }
	other := block(strings.Repeat("x", chunkUnits*unit)) // makes a newer view
	v.Add(5, other, nil, 0)
	staying := block("y")
	m := v.Add(5, staying, nil, 0)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range scale(300, 1000) {
			v.mu.Lock()
			v.Remove(5, other, nil)
			v.gone, v.waste = 0, 0 // a compaction would make a table of the hashes of the values
			v.Add(5, other, nil, 0)
			v.mu.Unlock()
		}
	}()
	for {
		select {
		case <-done:
			return
		default:
		}
		for range 100 {
			if v.FindBlock(5, staying) != m {
				t.Error("a series that stays is not found")
				<-done
				return
			}
		}
	}
}

// TestConcurrentFind: while one goroutine adds and removes series of chosen hashes, readers
// find the series that stay, and under each block no other metric than that of the block.
func TestConcurrentFind(t *testing.T) {
	testkit.NeedThreads(t)
	for name, hash := range hashesOf {
		t.Run(name, func(t *testing.T) {
			const stay, change = 8, 24
			v := newVector(counters(0), "l")
			v.makeRoom(64)
			block := func(i int) string { return string(v.AppendBlock(nil, []string{strconv.Itoa(i)})) }
			add := func(i int) unsafe.Pointer {
				if v.gone > 200 {
					v.gone, v.waste = 0, 0 // a compaction would make a table of the hashes of the values
				}
				return v.Add(hash(i), block(i), nil, 0)
			}
			var blocks []string
			for i := range 100 + change {
				blocks = append(blocks, block(i))
			}
			var metrics [100 + change]atomic.Pointer[byte] // of the last addition
			current := make([]bool, change)
			for i := range change { // series that change are before and between those that stay
				metrics[100+i].Store((*byte)(add(100 + i)))
				current[i] = true
				if i%3 == 0 {
					metrics[i/3].Store((*byte)(add(i / 3)))
				}
			}
			rounds := scale(300, 2000)
			var found, readers atomic.Int64
			for range 2 {
				readers.Add(1)
				go func() {
					defer readers.Add(-1)
					for range rounds {
						for i := range stay {
							m := v.FindBlock(hash(i), blocks[i])
							if m == nil {
								v.mu.Lock()
								m = v.FindBlock(hash(i), blocks[i])
								v.mu.Unlock()
							}
							if m != unsafe.Pointer(metrics[i].Load()) {
								t.Errorf("series %d is lost, found %v", i, m)
								return
							}
						}
						for i := 100; i < 100+change; i++ {
							if m := v.FindBlock(hash(i), blocks[i]); m != nil {
								found.Add(1)
								if n := counterOf(m).n.Load(); n != uint64(i) && n != 0 {
									t.Errorf("series %d has the metric of %d", i, n)
									return
								}
							}
						}
					}
				}()
			}
			random := rand.New(rand.NewPCG(1, 2))
			for readers.Load() > 0 {
				v.mu.Lock()
				i := random.IntN(change)
				if current[i] {
					v.Remove(hash(100+i), blocks[100+i], nil)
				} else {
					counterOf(add(100 + i)).n.Store(uint64(100 + i))
				}
				current[i] = !current[i]
				v.mu.Unlock()
			}
			if found.Load() == 0 {
				t.Error("no series that changes was found")
			}
		})
	}
}

// TestEscapesAreFoundInNewTables: a table is filled again when it grows, and when texts are copied.
// Series whose values have escapes keep their place, which is that of the values.
func TestEscapesAreFoundInNewTables(t *testing.T) {
	v := newVector(counters(0), "l")
	metrics := map[string]unsafe.Pointer{}
	for i := range 500 {
		s := strconv.Itoa(i) + []string{`"`, `\`, "\n", ""}[i%4]
		metrics[s] = v.add(s)
	}
	for range 2 {
		for s, m := range metrics {
			if hash, block := v.key([]string{s}); v.FindBlock(hash, block) != m {
				t.Fatalf("%q has the metric %p, want %p", s, v.FindBlock(hash, block), m)
			}
		}
		v.layOut()
	}
}

// TestTableGrowsSeldom: the work of new tables is proportional to the number of series.
func TestTableGrowsSeldom(t *testing.T) {
	v := newVector(counters(0), "l")
	tables, last := 0, &v.now.groups[0]
	for _, values := range numbers(20_000) {
		if v.add(values...); &v.now.groups[0] != last {
			tables, last = tables+1, &v.now.groups[0]
		}
	}
	if tables > 20 {
		t.Errorf("%d tables for 20,000 series", tables)
	}
}
