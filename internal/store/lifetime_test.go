package store

import (
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"unsafe"

	"github.com/tachikoma/tacho/internal/testkit"
)

// bytes returns about the bytes of the arenas, tables and lists of a store.
func (s *Store) bytes() int {
	v := s.current()
	n := int(v.end)*unit + 4*len(v.index)
	for i := range v.chunks {
		n += firstUnits << min(i, chunkShift-firstShift) * unit
	}
	n += len(v.groups) * int(unsafe.Sizeof(group{}))
	n += len(v.slabs)*int(unsafe.Sizeof(slab{})) + 4*cap(s.tail) + 4*cap(s.removed)
	if o := s.order; o != nil {
		n += 4 * cap(o.tail)
	}
	return n
}

// TestScrapeGivesMemoryBack: after most series are removed, a scrape gives back the memory of
// their texts, of the table, of metrics and of times.
func TestScrapeGivesMemoryBack(t *testing.T) {
	for _, words := range []int{0, 3} {
		const left = 100
		n := scale(20_000, 50_000)
		before := testkit.HeapBytes()
		v := newVector(counters(words), "l")
		for i := range n {
			v.add(strings.Repeat("x", 30) + strconv.Itoa(i))
		}
		v.ordered()
		full, size := testkit.HeapBytes()-before, v.bytes()
		for i := left; i < n; i++ {
			v.remove(strings.Repeat("x", 30) + strconv.Itoa(i))
		}
		o := v.ordered()
		if got := testkit.HeapBytes() - before; got > full/20 {
			t.Errorf("%d series have %d bytes, of which %d are left with %d series", n, full, got, left)
		}
		if got := v.bytes(); got > size/20 {
			t.Errorf("arenas, tables and lists have %d bytes for %d series, and %d for %d", size, n, got, left)
		}
		if got := len(v.listed(o)); got != left || v.gone != 0 {
			t.Errorf("%d series, %d removed texts, want %d and none", got, v.gone, left)
		}
		runtime.KeepAlive(v)
	}
}

// TestReplacedSeriesAreFreed: Reset, and a Take of another store, give back the memory of all
// series, also without a further scrape.
func TestReplacedSeriesAreFreed(t *testing.T) {
	for name, replace := range map[string]func(v *vector){
		"Reset": func(v *vector) { v.Reset() },
		"Take":  func(v *vector) { v.Take(&newVector(counters(0), "l").Store) },
	} {
		before := testkit.HeapBytes()
		v := newVector(counters(0), "l")
		for i := range 20_000 {
			v.add(strconv.Itoa(i))
		}
		v.ordered()
		full := testkit.HeapBytes() - before
		replace(v)
		if got := testkit.HeapBytes() - before; got > full/20 {
			t.Errorf("%s: of %d bytes %d are left", name, full, got)
		}
		runtime.KeepAlive(v)
	}
}

// TestChurnWithoutScrapesIsSmall: without scrapes, the memory is that of the series that the
// vector has, and of a bounded number of removed series.
func TestChurnWithoutScrapesIsSmall(t *testing.T) {
	for _, live := range []int{1, 10, 100, 1000} {
		before := testkit.HeapBytes()
		v := newVector(counters(1), "l")
		for i := range scale(20_000, 100_000) {
			v.add("some longer value " + strconv.Itoa(i))
			if i >= live {
				v.remove("some longer value " + strconv.Itoa(i-live))
			}
			if v.gone > v.live+compactAt+1 || len(v.tail) > 2*v.live+compactAt+1 {
				t.Fatalf("%d removed texts, %d positions for %d series", v.gone, len(v.tail), v.live)
			}
		}
		most := 128<<10 + live*1000
		if got, size := int(testkit.HeapBytes()-before), v.bytes(); got > most || size > most {
			t.Errorf("%d series have %d bytes, of which texts and tables have %d", live, got, size)
		}
		if got := len(v.listed(v.ordered())); got != live {
			t.Errorf("%d series in order, want %d", got, live)
		}
	}
}

// collected returns a kind that counts the allocations of metrics, and those that the
// collector has freed.
func collected(kind Kind) (counting Kind, made, freed *atomic.Int64) {
	made, freed = new(atomic.Int64), new(atomic.Int64)
	makeMetrics := kind.New
	kind.New = func(n int, apart bool, block string) unsafe.Pointer {
		m := makeMetrics(n, apart, block)
		made.Add(1)
		runtime.SetFinalizer((*counter)(m), func(*counter) { freed.Add(1) })
		return m
	}
	return kind, made, freed
}

// newAlone makes each metric an allocation of its own: SetFinalizer needs a pointer to a
// whole allocation of the right type.
func newAlone(int, bool, string) unsafe.Pointer { return unsafe.Pointer(new(counter)) }

// TestRemovedMetricIsFreed: the metric of a removed series is freed at once, without a scrape,
// if the metric is an allocation of its own.
func TestRemovedMetricIsFreed(t *testing.T) {
	for name, prepare := range map[string]func(v *vector){ // of ten series, half of which are removed
		"new":                func(*vector) {},
		"ordered":            func(v *vector) { v.ordered() },
		"laid out":           func(v *vector) { v.layOut() },
		"compacted":          func(v *vector) { v.compact() },
		"ordered, then more": func(v *vector) { v.ordered(); v.add("x"); v.add("y") },
	} {
		kind := counters(0)
		kind.Single, kind.New = true, newAlone
		kind, _, freed := collected(kind)
		v := newVector(kind, "l")
		for i := range 10 {
			v.add(strconv.Itoa(i))
		}
		prepare(v)
		for i := range 5 {
			v.remove(strconv.Itoa(i))
		}
		if !testkit.CollectUntil(func() bool { return freed.Load() == 5 }) {
			t.Errorf("%s: %d metrics of 5 removed series are freed", name, freed.Load())
		}
		for i := 5; i < 10; i++ {
			if v.find(strconv.Itoa(i)) == nil {
				t.Errorf("%s: series %d is lost", name, i)
			}
		}
		runtime.KeepAlive(v)
	}
}

// TestRemovedMetricKeepsItsSlab: a pointer to the metric of a removed series keeps one slab in
// memory. After a scrape the others are freed.
func TestRemovedMetricKeepsItsSlab(t *testing.T) {
	kind := counters(0)
	var made, freed atomic.Int64
	kind.New = func(n int, apart bool, _ string) unsafe.Pointer {
		made.Add(1)
		slab := new([slabMask + 1]counter)
		runtime.SetFinalizer(slab, func(*[slabMask + 1]counter) { freed.Add(1) })
		return unsafe.Pointer(slab)
	}
	v := newVector(kind, "l")
	var kept unsafe.Pointer
	for i := range 3000 {
		m := v.add(strconv.Itoa(i))
		if i == 1500 {
			kept = m
		}
	}
	v.ordered()
	for i := range 3000 {
		v.remove(strconv.Itoa(i))
	}
	if n := len(v.listed(v.ordered())); n != 0 {
		t.Fatalf("%d series are left", n)
	}
	want := made.Load() - 1
	if !testkit.CollectUntil(func() bool { return freed.Load() == want }) {
		t.Errorf("%d slabs of %d are freed, want all but that of the metric", freed.Load(), made.Load())
	}
	counterOf(kept).n.Add(1) // is still valid
	runtime.KeepAlive(v)
}

// TestSlabsFollowTheVector: the first 64 metrics are apart. Later slabs have at most an eighth
// of the metrics that the vector has, and at most 64.
func TestSlabsFollowTheVector(t *testing.T) {
	allocated, apartCount := 0, 0
	kind := counters(0)
	makeMetrics := kind.New
	kind.New = func(n int, apart bool, block string) unsafe.Pointer {
		if apart {
			if apartCount++; n != 1 {
				t.Errorf("%d metrics are apart, want 1", n)
			}
		}
		allocated += n
		return makeMetrics(n, apart, block)
	}
	v := newVector(kind, "l")
	most := 0
	for i := range 3000 {
		before := allocated
		v.add(strconv.Itoa(i))
		most = max(most, allocated-before)
		n := i + 1
		if apartCount != min(n, Early) {
			t.Fatalf("of %d metrics %d are apart", n, apartCount)
		}
		if allocated < n || allocated > n+max(0, n-1)/8 || n <= Early && allocated != n {
			t.Fatalf("%d metrics are allocated for %d series", allocated, n)
		}
		switch i % 101 { // the room of the last slab stays in use
		case 50:
			v.layOut()
		case 100:
			v.compact()
		}
	}
	if most != slabMask+1 {
		t.Errorf("a slab has at most %d metrics, want %d", most, slabMask+1)
	}
	kind.Single = true
	allocated = 0
	v = newVector(kind, "l")
	for i := range 300 {
		if v.add(strconv.Itoa(i)); allocated != i+1 {
			t.Fatalf("%d metrics are allocated for %d that are single", allocated, i+1)
		}
	}
}

// TestMetricsAreApart: no two metrics share memory, and the metrics of a slab lie one behind
// the other.
func TestMetricsAreApart(t *testing.T) {
	v := newVector(counters(0), "l")
	seen := map[uintptr]bool{}
	for i := range 2000 {
		m := uintptr(v.add(strconv.Itoa(i)))
		for at := range unsafe.Sizeof(counter{}) {
			if seen[m+at] {
				t.Fatalf("metric %d shares memory with another", i)
			}
			seen[m+at] = true
		}
		if i%100 == 50 {
			v.layOut()
		}
	}
}

// TestGivenMetric: Add with a metric lists this metric.
func TestGivenMetric(t *testing.T) {
	kind := counters(3)
	kind.Single = true
	v := newVector(kind, "l")
	given := map[string]unsafe.Pointer{}
	for i := range 500 {
		value := strconv.Itoa(i)
		if i%3 > 0 {
			given[value] = v.add(value)
			continue
		}
		m := unsafe.Pointer(new(counter))
		hash, block := v.key([]string{value})
		if v.Add(hash, block, m, int64(i)) != m {
			t.Fatal("Add returns another metric")
		}
		given[value] = m
	}
	checkMetrics(t, v, given)
}

// TestTexts: blocks of any length are kept, in chunks of any size. Readers of an older view do
// not read behind it.
func TestTexts(t *testing.T) {
	v := newVector(counters(0), "l")
	values := map[string]unsafe.Pointer{}
	var views []*view
	for i := range scale(100, 300) {
		n := i
		switch i % 25 {
		case 3:
			n = 1000 * i
		case 7:
			n = chunkUnits*unit - 20 + i/25 // about a chunk
		case 9:
			n = 2*chunkUnits*unit - 30 + i/25
		}
		value := fmt.Sprint(i, strings.Repeat("v", n))
		values[value] = v.add(value)
		views = append(views, v.current())
		for _, w := range views[max(0, len(views)-40):] {
			hash, block := v.key([]string{value})
			if m, _, _, r := v.Store.find(w, hash, nil, block, 0); m != nil && !w.has(r) {
				t.Fatal("an older view finds a text that it does not have")
			}
		}
	}
	checkMetrics(t, v, values)
	for value := range values {
		v.remove(value)
		delete(values, value)
		if len(values) < 20 {
			break
		}
	}
	checkMetrics(t, v, values)
}

// TestSmallVectors: a vector without labels, and one of a few series, have small arenas and
// lists.
func TestSmallVectors(t *testing.T) {
	v := newVector(counters(0))
	v.add()
	if w := v.current(); w.limit != 2 || len(w.groups) != 1 || len(w.slabs) != 1 || cap(v.tail) > 2 {
		t.Errorf("a vector without labels has %d units, %d groups, %d slabs and %d positions", w.limit, len(w.groups), len(w.slabs), cap(v.tail))
	}
	v = newVector(counters(0), "l")
	for i := range 4 {
		v.add(strconv.Itoa(i))
	}
	if w := v.current(); w.limit != firstUnits || len(w.groups) != 1 || len(w.slabs) > 6 {
		t.Errorf("a vector of four series has %d units, %d groups and %d slabs", w.limit, len(w.groups), len(w.slabs))
	}
}

// TestOlderViews: a lookup in a view from before an addition finds the series that the view
// has, or nil, and never another metric.
func TestOlderViews(t *testing.T) {
	v := newVector(counters(0), "l")
	var views []*view
	var metrics []unsafe.Pointer
	const n = 2000
	for i := range n {
		views = append(views, v.current())
		metrics = append(metrics, v.add(strconv.Itoa(i)))
	}
	for k, w := range views {
		if k > 200 && k%50 > 0 {
			continue
		}
		for i := range n {
			hash, block := v.key([]string{strconv.Itoa(i)})
			m, _, _, _ := v.Store.find(w, hash, nil, block, 0)
			if m == nil {
				continue
			}
			if m != metrics[i] {
				t.Fatalf("in the view of %d series, series %d has another metric", k, i)
			}
		}
		w, older := v.current(), w
		v.show(older)
		for i := range n {
			if m := v.Find([]string{strconv.Itoa(i)}); m != nil && m != metrics[i] {
				t.Fatalf("in the view of %d series, Find of series %d returns another metric", k, i)
			}
		}
		v.show(w)
	}
}

// TestRemovedInOlderViews: in a view from before its removal, a series that had a slab of its
// own has no metric. Lookups, an Order and a Snapshot leave it out.
func TestRemovedInOlderViews(t *testing.T) {
	for _, single := range []bool{false, true} {
		kind := counters(0)
		kind.Single = single
		for _, before := range []int{1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 30, 200} {
			for _, more := range []int{0, 1, 2, 10, 100} {
				v := newVector(kind, "l")
				for i := range before {
					v.add(strconv.Itoa(i))
				}
				o, snapshot, older := v.ordered(), v.Snapshot(), v.current()
				for i := range more { // a larger chunk, or larger lists of slabs
					v.add(fmt.Sprint("more", i))
				}
				v.passed = len(v.current().groups)
				v.grow()
				v.publish() // a removal does not change the table of older
				v.remove("0")
				last := strconv.Itoa(before - 1) // of 200, it has a slab with others
				v.remove(last)
				for c, i := range each(o) {
					if c.Metrics[i] == nil {
						t.Fatal("an Order passes a series without a metric")
					}
				}
				for block, m := range snapshot.Each {
					if m == nil {
						t.Fatalf("Each passes %s without a metric", block)
					}
				}
				if more > 0 {
					continue
				}
				v.show(older)
				if got := v.find("0"); got != nil || v.find(last) != nil {
					t.Errorf("FindBlock returns %v for a series that was removed", got)
				}
				if got := v.Find([]string{"0"}); got != nil { // the first slabs have one metric
					t.Errorf("Find returns %v for a series that was removed", got)
				}
			}
		}
	}
}

// TestLongRemovedTextsAreGivenBack: the memory of removed texts that are kept without scrapes is
// bounded in bytes too. Otherwise a few hundred long values would stay in memory.
func TestLongRemovedTextsAreGivenBack(t *testing.T) {
	const length = 64 << 10
	for name, scrape := range map[string]bool{"without scrapes": false, "with scrapes": true} {
		before := testkit.HeapBytes()
		v := newVector(counters(0), "l")
		for i := range 200 {
			value := strconv.Itoa(i) + strings.Repeat("x", length)
			v.add(value)
			v.remove(value)
			if scrape {
				v.ordered()
			}
		}
		if got := testkit.HeapBytes() - before; got > 64*length {
			t.Errorf("%s: a vector without series has %d bytes, the texts of %d series", name, got, got/length)
		}
		runtime.KeepAlive(v)
	}
}

// TestCompactedWhileLayingIsFreed: if compact replaces the view while Order runs, the Order of the
// older view does not keep metrics of series that are removed later.
func TestCompactedWhileLayingIsFreed(t *testing.T) {
	testkit.NeedThreads(t)
	const n = 1000
	kind := counters(0)
	kind.Single, kind.New = true, newAlone
	kind, _, freed := collected(kind)
	v := newVector(kind, "l")
	for i := range n {
		v.add(strconv.Itoa(i))
	}
	for compacted := false; !compacted; {
		v.order = nil // all texts are moved again
		done := make(chan *Order, 1)
		go func() { done <- v.ordered() }()
		for len(done) == 0 && !compacted {
			v.mu.Lock()
			if v.laying {
				v.compact()
				compacted = true
			}
			v.mu.Unlock()
			runtime.Gosched()
		}
		<-done
	}
	for i := range n {
		v.remove(strconv.Itoa(i))
	}
	if !testkit.CollectUntil(func() bool { return freed.Load() == n }) {
		t.Errorf("%d metrics of %d removed series are freed", freed.Load(), n)
	}
	m := v.add("last")
	checkMetrics(t, v, map[string]unsafe.Pointer{"last": m})
}

// TestWasteIsLaid: a scrape gives back few removed texts if they are long.
func TestWasteIsLaid(t *testing.T) {
	v := newVector(counters(0), "l")
	for i := range 64 {
		v.add(strconv.Itoa(i) + strings.Repeat("x", 64<<10))
	}
	v.layOut()
	for i := range 14 {
		v.remove(strconv.Itoa(i) + strings.Repeat("x", 64<<10))
	}
	v.ordered()
	if v.waste != 0 || v.gone != 0 {
		t.Errorf("%d removed texts with %d units are left", v.gone, v.waste)
	}
}

// TestAddedMetricIsAlone: a metric that was made elsewhere is alone in its slab. The memory behind
// it is not the store's.
func TestAddedMetricIsAlone(t *testing.T) {
	v := newVector(counters(0), "l")
	list := numbers(300)
	for _, values := range list[:200] {
		v.add(values...)
	}
	elsewhere := make([]counter, 64)
	hash, block := v.key(list[200])
	if m := v.Add(hash, block, unsafe.Pointer(&elsewhere[0]), 0); m != unsafe.Pointer(&elsewhere[0]) {
		t.Errorf("the series has the metric %p, want %p", m, &elsewhere[0])
	}
	for _, values := range list[201:] {
		counterOf(v.add(values...)).n.Add(1)
	}
	for i := range elsewhere {
		if n := elsewhere[i].n.Load(); n != 0 {
			t.Fatalf("counter %d of other memory counts %d", i, n)
		}
	}
}
