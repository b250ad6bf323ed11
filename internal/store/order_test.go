package store

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"github.com/tachikoma/tacho/internal/label"
	"github.com/tachikoma/tacho/internal/testkit"
)

// TestOrder: an Order has the order of the values, by their bytes, also of values with
// escapes, and of values that are beginnings of others. Series are in the main arena, behind
// it, or both.
func TestOrder(t *testing.T) {
	parts := []string{"a", "a", "b", "\x00", "\x01", "\x7f", "é", "\U0010FFFF", "\"", "\\", "\n", "!", "#", "[", "]", "}", " ", ",", "aaaaaaa", "aaaaaaaa", "aaaaaaaab"}
	r := rand.New(rand.NewPCG(1, 2))
	for round := range scale(60, 400) {
		var consts []label.Label
		if round%2 == 0 {
			consts = []label.Label{{Name: "z", Value: `"\`}}
		}
		names := slices.Clone(fiveNames[:1+round%3])
		if round%5 == 0 {
			names[0] = "é\""
		}
		v := newVectorWith(consts, counters(0), names...)
		var list [][]string
		for i := range 1 + r.IntN(120) {
			values := make([]string, len(names))
			for i := range values {
				for range r.IntN(4) {
					values[i] += parts[r.IntN(len(parts))]
				}
			}
			if v.find(values...) == nil {
				v.add(values...)
				list = append(list, values)
			}
			switch {
			case i == 20 && round%3 == 0:
				v.layOut()
			case i == 30:
				v.ordered()
			}
		}
		want := sortedValues(list)
		if got := v.listed(v.ordered()); !equalLists(got, want) {
			t.Fatalf("the order is %q, want %q", got, want)
		}
		if got := v.listed(v.layOut()); !equalLists(got, want) {
			t.Fatalf("the order is %q after the texts were moved, want %q", got, want)
		}
	}
}

// TestOrderOfTail: a few new series are in order between those of a large main arena, which has
// an index. No text is moved.
func TestOrderOfTail(t *testing.T) {
	for _, large := range []int{0, 1, indexed - 1, indexed, indexed + 1, 1000} {
		v := newVector(counters(0), "l")
		var list [][]string
		for i := range large {
			list = append(list, []string{fmt.Sprintf("%06d", 10*i)})
			v.add(list[i]...)
		}
		before := v.layOut().view
		r := rand.New(rand.NewPCG(1, 2))
		for i := range unlaid {
			value := fmt.Sprintf("%06d", 10*r.IntN(large+1)+1+r.IntN(9))
			switch i {
			case 0:
				value = ""
			case 1:
				value = "x"
			}
			if v.find(value) != nil {
				continue
			}
			list = append(list, []string{value})
			v.add(value)
			o := v.ordered()
			if got, want := v.listed(o), sortedValues(list); !equalLists(got, want) {
				t.Fatalf("%d series: the order is %q, want %q", large, got, want)
			}
			if o.view.main != before.main || len(o.tail) != len(list)-large {
				t.Fatalf("%d series: a scrape with %d new series moves all texts", large, len(list)-large)
			}
		}
	}
}

// TestTextsAreMovedSeldom: over many additions and removals with a scrape after each, the texts
// that scrapes move are a few for each change.
func TestTextsAreMovedSeldom(t *testing.T) {
	const n = 2000
	v := newVector(counters(0), "l")
	list := numbers(2 * n)
	for _, values := range list[:n] {
		v.add(values...)
	}
	moves := 0
	last := v.ordered().view.main
	for i := range n {
		v.remove(list[i]...)
		v.add(list[n+i]...)
		if main := v.ordered().view.main; main != last {
			moves, last = moves+1, main
		}
	}
	if moves < 8 || moves > 32 {
		t.Errorf("all texts are moved %d times for %d changes of %d series", moves, 2*n, n)
	}
}

// TestUnchangedOrder: a scrape without changes since the last scrape returns the same Order.
func TestUnchangedOrder(t *testing.T) {
	v := newVector(counters(0), "l")
	for range 3 {
		o := v.ordered()
		if v.ordered() != o {
			t.Error("another Order without a change")
		}
		for i := range 10 {
			v.add(fmt.Sprint(v.Len(), i))
		}
	}
}

// TestRemovedSeriesAreNotInOrder: an Order passes no series that was removed before, and an
// Order that a scrape still reads leaves out what is removed meanwhile.
func TestRemovedSeriesAreNotInOrder(t *testing.T) {
	for _, n := range []int{1, 2, 10, 100, 1000} {
		v := newVector(counters(0), "l")
		list := numbers(n)
		for i, values := range list {
			if v.add(values...); i == n/2 {
				v.layOut()
			}
		}
		before := v.ordered()
		var left [][]string
		for i, values := range list {
			if i%3 == 0 {
				v.remove(values...)
			} else {
				left = append(left, values)
			}
		}
		want := sortedValues(left)
		if got := v.listed(before); !equalLists(got, want) {
			t.Errorf("%d series: the order from before the removals is %q, want %q", n, got, want)
		}
		for range 2 {
			if got := v.listed(v.ordered()); !equalLists(got, want) {
				t.Errorf("%d series: the order is %q, want %q", n, got, want)
			}
		}
		for i, values := range list { // again, with other metrics
			if i%3 == 0 {
				v.add(values...)
			}
		}
		if got, want := v.listed(v.ordered()), sortedValues(list); !equalLists(got, want) {
			t.Errorf("%d series: the order is %q, want %q", n, got, want)
		}
		v.Reset()
		if got := v.listed(v.ordered()); len(got) != 0 {
			t.Errorf("after a reset the order is %q", got)
		}
	}
}

// TestRemovedTailIsDropped: a scrape with a new series drops removed series from the sorted
// positions behind the main arena.
func TestRemovedTailIsDropped(t *testing.T) {
	v := newVector(counters(0), "l")
	for i := range 200 {
		v.add(strconv.Itoa(1000 + i))
	}
	v.layOut()
	for i := range 8 {
		v.add(strconv.Itoa(2000 + i))
	}
	v.ordered()
	for i := range 4 {
		v.remove(strconv.Itoa(2000 + 2*i))
	}
	v.add("3000")
	if o := v.ordered(); len(o.tail) != 5 || len(v.listed(o)) != 205 {
		t.Errorf("%d positions behind the main arena and %d series, want 5 and 205", len(o.tail), len(v.listed(o)))
	}
}

// TestOvertakenOrder: a scrape can store its Order after Reset, Take or a compaction has
// replaced the texts. The next scrape does not use it.
func TestOvertakenOrder(t *testing.T) {
	for name, replace := range map[string]func(v *vector){
		"Reset":   func(v *vector) { v.Reset() },
		"Take":    func(v *vector) { v.Take(&newVector(counters(0), "l").Store) },
		"compact": func(v *vector) { v.compact() },
	} {
		for _, laid := range []bool{false, true} {
			v := newVector(counters(0), "l")
			for i := range 10 {
				v.add(fmt.Sprint("old", i))
			}
			o := v.ordered()
			if laid {
				o = v.layOut()
			}
			replace(v)
			v.order = o
			for i := range 30 {
				v.add(fmt.Sprint("new", i))
			}
			var want [][]string
			for block := range v.Snapshot().Each {
				want = append(want, v.AppendValues(nil, strings.Clone(block)))
			}
			if got := v.listed(v.ordered()); !equalLists(got, sortedValues(want)) || len(got) != v.Len() {
				t.Errorf("%s: the order is %q, want %q", name, got, want)
			}
		}
	}
}

// TestCursorStartsAgain: Start makes a used Cursor begin with the first series.
func TestCursorStartsAgain(t *testing.T) {
	v := newVector(counters(0), "l")
	for i := range 3 * batch {
		v.add(strconv.Itoa(i))
	}
	var c Cursor
	for _, o := range []*Order{v.ordered(), v.ordered(), v.layOut(), v.layOut()} {
		n := 0
		for c.Start(o); c.Next(); {
			n += c.N
		}
		if n != 3*batch {
			t.Errorf("a cursor passes %d series of %d", n, 3*batch)
		}
	}
}

// TestTimes: the time of creation and the Idle of a series stay those of the series, over
// moves, compactions, removals and a Take.
func TestTimes(t *testing.T) {
	for _, words := range []int{1, 3} {
		r := rand.New(rand.NewPCG(1, 2))
		v := newVector(counters(words), "l")
		type times struct{ created, changed int64 }
		want := map[string]times{} // by value
		next := int64(0)
		add := func(v *vector) {
			value := strconv.Itoa(r.IntN(3000))
			hash, block := v.key([]string{value})
			if v.FindBlock(hash, block) == nil {
				next++
				v.Add(hash, block, nil, next)
				want[value] = times{created: next}
			}
		}
		check := func(o *Order) {
			t.Helper()
			n := 0
			for c, i := range each(o) {
				n++
				value := v.AppendValues(nil, strings.Clone(c.Block(i)))[0]
				w := want[value]
				if got := c.Created(i); got != w.created {
					t.Fatalf("%s: created at %d, want %d", value, got, w.created)
				}
				if words == 1 {
					continue
				}
				if got := *c.Idle(i); got.Changed != w.changed || got.Last != uint64(2*w.changed) {
					t.Fatalf("%s: %+v, want changed at %d", value, got, w.changed)
				}
				if r.IntN(3) == 0 {
					next++
					*c.Idle(i) = Idle{uint64(2 * next), next}
					want[value] = times{w.created, next}
				}
			}
			if n != len(want) {
				t.Fatalf("%d series, want %d", n, len(want))
			}
		}
		for round := range scale(60, 300) {
			for range r.IntN(200) {
				add(v)
			}
			for value := range want {
				if r.IntN(4) == 0 {
					v.remove(value)
					delete(want, value)
				}
			}
			switch round % 10 {
			case 0:
				v.layOut()
			case 3:
				v.compact()
			case 5:
				from := newVector(counters(words), "l")
				clear(want)
				for range 500 {
					add(from)
				}
				v.Take(&from.Store)
			}
			check(v.ordered())
		}
	}
}

// TestTake: after Take, the vectors are independent of each other. A late lookup or addition
// in the old store does not change the new one.
func TestTake(t *testing.T) {
	for _, n := range []int{0, 1, 64, 65, 1000} {
		v, from := newVector(counters(0), "l"), newVector(counters(0), "l")
		for _, value := range []string{"old", "0"} {
			v.add(value)
			v.ordered()
		}
		metrics := map[string]unsafe.Pointer{}
		for i := range n {
			metrics[strconv.Itoa(i)] = from.add(strconv.Itoa(i))
		}
		if n > 1 {
			from.remove("1")
			delete(metrics, "1")
		}
		stop := make(chan struct{})
		var late sync.WaitGroup
		late.Add(1)
		go func() {
			defer late.Done()
			for {
				select {
				case <-stop:
					return
				default:
					for i := range n {
						value := strconv.Itoa(i)
						if m := from.Find([]string{value}); m != nil && m != metrics[value] {
							t.Errorf("a late lookup of %s finds another metric", value)
						}
					}
					runtime.Gosched()
				}
			}
		}()
		runtime.Gosched()
		from.mu.Lock()
		v.mu.Lock()
		v.Take(&from.Store)
		v.mu.Unlock()
		from.mu.Unlock()
		close(stop)
		late.Wait()
		check := func() {
			t.Helper()
			if v.Len() != len(metrics) || v.find("old") != nil {
				t.Fatalf("%d series, want %d without the old ones", v.Len(), len(metrics))
			}
			seen := 0
			for c, i := range each(v.ordered()) {
				seen++
				if value := v.AppendValues(nil, c.Block(i))[0]; metrics[value] != c.Metrics[i] || v.find(value) != c.Metrics[i] {
					t.Errorf("%s has another metric", value)
				}
			}
			if seen != len(metrics) {
				t.Errorf("%d series in order, want %d", seen, len(metrics))
			}
		}
		check()
		if from.Len() != 0 || from.find("0") != nil || from.Find([]string{"0"}) != nil {
			t.Error("the old store has series")
		}
		for i := range 100 { // late recordings
			from.add(fmt.Sprint("late", i))
			metrics[fmt.Sprint("new", i)] = v.add(fmt.Sprint("new", i))
		}
		check()
		for i := range 100 {
			if v.find(fmt.Sprint("late", i)) != nil || from.find(fmt.Sprint("new", i)) != nil || from.find(fmt.Sprint("late", i)) == nil {
				t.Fatal("the stores share a table")
			}
		}
		if got := len(from.listed(from.ordered())); got != 100 {
			t.Errorf("the old store has %d series in order, want the 100 late ones", got)
		}
	}
}

// startLay moves all texts in a goroutine, and returns once Order copies texts and needs the
// mutex of v to continue. The caller has the mutex, and unlocks it. The channel passes the Order.
func startLay(v *vector) <-chan *Order {
	for {
		v.ordered() // the next Order has nothing to sort
		done := make(chan *Order, 1)
		go func() { done <- v.layOut() }()
		for len(done) == 0 {
			v.mu.Lock()
			if v.laying {
				return done
			}
			v.mu.Unlock()
			runtime.Gosched()
		}
	}
}

// TestRemovedBeforeItsMetricIsCopied: a series that is alone in its slab has no metric once it is
// removed. If Order has listed its text before, install removes the series all the same.
func TestRemovedBeforeItsMetricIsCopied(t *testing.T) {
	kind := counters(0)
	kind.Single = true
	v := newVector(kind, "l")
	for _, values := range numbers(10) {
		v.add(values...)
	}
	o := v.ordered()
	v.laying = true // as Order does, which then locks the mutex again only for install
	list := o.positions()
	if !v.remove("3") || !v.remove("5") {
		t.Fatal("not removed")
	}
	v.add("5")
	v.install(v.move(o.view, list), v.tail[v.state.ordered:])
	if v.find("3") != nil || v.Len() != 9 || v.find("4") == nil || v.find("5") == nil {
		t.Errorf("%d series, 3 has the metric %p, 4 has %p, 5 has %p", v.Len(), v.find("3"), v.find("4"), v.find("5"))
	}
	if v.remove("3") || !v.remove("5") || v.remove("5") || len(v.listed(v.ordered())) != 8 {
		t.Errorf("%d series in order", len(v.listed(v.ordered())))
	}
}

// TestChangesWhileLaying: series that are removed, added, or removed and added again while Order
// copies the texts have the right metrics afterwards.
func TestChangesWhileLaying(t *testing.T) {
	testkit.NeedThreads(t)
	r := rand.New(rand.NewPCG(1, 2))
	for round := range scale(30, 150) {
		kind := counters(0)
		kind.Single = round%2 == 0
		v := newVector(kind, "l")
		list := numbers(3000)
		metrics := map[string]unsafe.Pointer{}
		add := func(values []string) { metrics[values[0]] = v.addLocked(values) }
		remove := func(values []string) {
			if _, ok := metrics[values[0]]; v.removeLocked(values) != ok {
				t.Fatalf("Remove of %q is not %v", values, ok)
			}
			delete(metrics, values[0])
		}
		for _, values := range list[:2000] {
			add(values)
		}
		if round%3 > 0 {
			v.layOut()
			for _, values := range list[2000:2100] {
				add(values)
			}
		}
		done := startLay(v)
		for range r.IntN(1000) {
			values := list[r.IntN(len(list))]
			if _, ok := metrics[values[0]]; ok {
				remove(values)
			}
			if r.IntN(2) == 0 {
				add(values)
				if r.IntN(4) == 0 {
					remove(values)
					add(values)
				}
			}
		}
		switch round % 10 {
		case 3:
			v.compact()
		case 5:
			v.Reset()
			clear(metrics)
			for _, values := range list[1000:1010] {
				add(values)
			}
		case 7:
			for _, values := range list {
				if metrics[values[0]] != nil {
					remove(values)
				}
			}
		}
		v.mu.Unlock()
		<-done
		checkMetrics(t, v, metrics)
	}
}

// checkMetrics compares the series of v, which has one label, with the metrics by value.
func checkMetrics(t *testing.T, v *vector, metrics map[string]unsafe.Pointer) {
	t.Helper()
	for range 2 {
		seen, last := 0, ""
		for c, i := range each(v.ordered()) {
			value := v.AppendValues(nil, c.Block(i))[0]
			if metrics[value] != c.Metrics[i] {
				t.Fatalf("%s is in order with metric %v, want %v", value, c.Metrics[i], metrics[value])
			}
			if seen++; seen > 1 && last >= value {
				t.Fatalf("%s is before %s", last, value)
			}
			last = value
		}
		if seen != len(metrics) || v.Len() != seen {
			t.Fatalf("%d series in order, %d in the vector, want %d", seen, v.Len(), len(metrics))
		}
		for value, m := range metrics {
			if v.find(value) != m || v.Find([]string{value}) != m {
				t.Fatalf("%s is found with metric %v, want %v", value, v.find(value), m)
			}
		}
		if got := v.current().passed(); got != v.passed {
			t.Fatalf("%d groups are passed, the store has %d", got, v.passed)
		}
		v.layOut()
	}
}

// TestRemovedWhileLayingIsNotFound: no lookup without the mutex finds a series that was removed
// while Order copied the texts, and none finds its metric if the series was added again.
func TestRemovedWhileLayingIsNotFound(t *testing.T) {
	testkit.NeedThreads(t)
	list := numbers(20_000)
	for round := range scale(5, 20) {
		v := newVector(counters(0), "l")
		for _, values := range list {
			v.add(values...)
		}
		done := startLay(v)
		var again unsafe.Pointer
		for i, values := range list[:10_000] {
			v.removeLocked(values)
			if i == 9_999 && round%2 == 0 {
				again = v.addLocked(values)
			}
		}
		v.mu.Unlock()
		hash, block := v.key(list[9_999])
		for len(done) == 0 {
			for _, m := range []unsafe.Pointer{v.Find(list[9_999]), v.FindBlock(hash, block)} {
				if m != nil && m != again {
					t.Fatal("a lookup finds a series that was removed before")
				}
			}
		}
		if v.find(list[9_999]...) != again {
			t.Error("the last series has another metric")
		}
	}
}

// TestStayingSeriesAreFoundWhileLaying: FindBlock without the mutex finds each series that is
// in the vector for the whole time, also if the series is new since the last scrape.
// Otherwise a full vector would count a recording in the overflow series.
func TestStayingSeriesAreFoundWhileLaying(t *testing.T) {
	testkit.NeedThreads(t)
	list := numbers(20_000)
	for range scale(5, 20) {
		v := newVector(counters(0), "l")
		for _, values := range list[:5_000] {
			v.add(values...)
		}
		done := startLay(v)
		var last unsafe.Pointer
		for _, values := range list[5_000:] {
			last = v.addLocked(values)
		}
		v.mu.Unlock()
		values := list[len(list)-1]
		hash, block := v.key(values)
		for len(done) == 0 {
			if m := v.Find(values); m != nil && m != last || v.FindBlock(hash, block) != last {
				t.Fatal("a lookup does not find a series that stays")
			}
		}
	}
}

// TestConcurrentOrders: while goroutines add and remove series, each Order is sorted, has each
// series that stays, and has no series twice. With resets, each Order is sorted.
func TestConcurrentOrders(t *testing.T) {
	for _, resets := range []bool{false, true} {
		kind := counters(0)
		kind.Single = resets
		v := newVector(kind, "l")
		list := numbers(1000)
		staying := 0
		for _, values := range list[:300] {
			v.add(values...)
			staying++
		}
		isStaying := map[string]bool{}
		for _, values := range list[:300] {
			isStaying[values[0]] = true
		}
		done := make(chan struct{})
		var changes sync.WaitGroup
		for k := range 2 {
			changes.Add(1)
			go func() {
				defer changes.Done()
				r := rand.New(rand.NewPCG(uint64(k), 2))
				for n := 0; ; n++ {
					select {
					case <-done:
						return
					default:
					}
					values := list[300+r.IntN(700)]
					v.mu.Lock()
					switch {
					case resets && r.IntN(500) == 0:
						v.Reset()
					case !v.removeLocked(values):
						v.addLocked(values)
					}
					v.mu.Unlock()
					if n%64 == 0 {
						runtime.Gosched()
					}
				}
			}()
		}
		for range scale(200, 1000) {
			seen, last := 0, ""
			for c, i := range each(v.ordered()) {
				value := v.AppendValues(nil, c.Block(i))[0]
				if last != "" && last >= value {
					t.Fatalf("%s is before %s", last, value)
				}
				if last = value; isStaying[value] {
					seen++
				}
			}
			if !resets && seen != staying {
				t.Fatalf("%d of %d series are in order", seen, staying)
			}
		}
		close(done)
		changes.Wait()
	}
}
