package store

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"unsafe"
)

// A model is what a vector should have.
type model struct {
	metrics map[string]unsafe.Pointer // by block
	values  map[string][]string       // by block
	all     map[unsafe.Pointer]string // the block of each metric that there was
}

// check compares the series of a scrape, and those of a snapshot, with the model.
func (m *model) check(t *testing.T, v *vector) {
	t.Helper()
	var last []string
	n := 0
	for c, i := range each(v.ordered()) {
		block := strings.Clone(c.Block(i))
		values := v.AppendValues(nil, block)
		if n++; n > 1 && slices.Compare(last, values) >= 0 {
			t.Fatalf("%q before %q", last, values)
		}
		if last = values; m.metrics[block] != c.Metrics[i] || !slices.Equal(values, m.values[block]) {
			t.Fatalf("%s has another metric or other values", block)
		}
	}
	if n != len(m.metrics) {
		t.Fatalf("%d series in order, want %d", n, len(m.metrics))
	}
	seen := 0
	for block, metric := range v.Snapshot().Each {
		if seen++; m.metrics[block] != metric {
			t.Fatalf("Each passes %s with another metric", block)
		}
	}
	if seen != len(m.metrics) {
		t.Fatalf("Each passes %d series, want %d", seen, len(m.metrics))
	}
	if got := v.current().passed(); got != v.passed {
		t.Fatalf("%d groups are passed, the store has %d", got, v.passed)
	}
}

// TestModel compares a vector with a map, for random sequences of operations.
func TestModel(t *testing.T) {
	for seed := range uint64(scale(24, 48)) {
		r := rand.New(rand.NewPCG(seed, 1))
		kind := counters(0)
		kind.Single = seed%5 == 0
		v := newVector(kind, []string{"a", "b", "c"}[:r.IntN(4)]...)
		m := model{map[string]unsafe.Pointer{}, map[string][]string{}, map[unsafe.Pointer]string{}}
		ops := scale(1000, 4000)
		if seed%4 == 0 {
			ops = scale(6000, 20_000)
		}
		room := 1 + r.IntN(min(3000, ops/3))
		for op := range ops {
			values := randomValues(r, len(v.shape.gaps))
			if r.IntN(2) == 0 {
				for _, values = range m.values {
					break
				}
			}
			_, block := v.key(values)
			switch k := r.IntN(100); {
			case k < 70 && len(m.metrics) < room:
				want := m.metrics[block]
				if got := v.find(values...); got != want {
					t.Fatalf("seed %d: FindBlock of %q returns %v, want %v", seed, values, got, want)
				}
				found := want
				if needsBlock(values) {
					found = nil
				}
				if got := v.Find(values); got != found {
					t.Fatalf("seed %d: Find(%q) returns %v, want %v", seed, values, got, found)
				}
				if want != nil {
					break
				}
				metric := v.add(values...)
				if old, used := m.all[metric]; used {
					t.Fatalf("seed %d: the metric of %s is used for %s", seed, old, block)
				}
				m.all[metric], m.metrics[block], m.values[block] = block, metric, slices.Clone(values)
			case k < 97:
				_, ok := m.metrics[block]
				if v.remove(values...) != ok {
					t.Fatalf("seed %d: Remove(%q) is not %v", seed, values, ok)
				}
				delete(m.metrics, block)
				delete(m.values, block)
			case k == 97 && r.IntN(50) == 0:
				v.Reset()
				clear(m.metrics)
				clear(m.values)
			}
			if v.Len() != len(m.metrics) {
				t.Fatalf("seed %d: %d series, want %d", seed, v.Len(), len(m.metrics))
			}
			if op == ops-1 || r.IntN(300) == 0 {
				m.check(t, v)
			}
		}
		runtime.KeepAlive(m.all)
	}
}

// TestConcurrent: while a goroutine adds and removes series and scrapes move the texts, lookups
// find each series that stays, and only its own metric. Each scrape has each series that stays.
func TestConcurrent(t *testing.T) {
	const stay = 500
	for _, single := range []bool{false, true} {
		kind := counters(0)
		kind.Single = single
		v := newVector(kind, "method", "path", "status")
		list := rows(4 * stay)
		var staying []unsafe.Pointer
		for i, values := range list[:stay] {
			m := v.add(values...)
			counterOf(m).n.Store(uint64(1 + i))
			staying = append(staying, m)
		}
		done := make(chan struct{})
		var running sync.WaitGroup
		start := func(f func() bool) {
			running.Add(1)
			go func() {
				defer running.Done()
				for f() {
					select {
					case <-done:
						return
					default:
					}
					runtime.Gosched()
				}
			}()
		}
		for range 2 {
			start(func() bool {
				for i, values := range list[:stay] {
					m := v.Find(values)
					if m == nil { // the store changes
						m = v.find(values...)
					}
					if m != staying[i] {
						t.Errorf("%q: metric %v, want %v", values, m, staying[i])
						return false
					}
				}
				for i, values := range list[stay:] {
					if m := v.Find(values); m != nil {
						if n := counterOf(m).n.Load(); n != uint64(1+stay+i) && n != 0 { // 0: before Store
							t.Errorf("%q have the metric of series %d", values, n)
							return false
						}
					}
				}
				return true
			})
		}
		start(func() bool {
			n := 0
			for c, i := range each(v.ordered()) {
				if k := counterOf(c.Metrics[i]).n.Load(); k > 0 && k <= stay {
					n++
				}
			}
			if n != stay {
				t.Errorf("%d of %d series in a scrape", n, stay)
			}
			return n == stay
		})
		r := rand.New(rand.NewPCG(3, 4))
		for range scale(10_000, 100_000) {
			i := stay + r.IntN(len(list)-stay)
			v.mu.Lock()
			if !v.removeLocked(list[i]) {
				counterOf(v.addLocked(list[i])).n.Store(uint64(1 + i))
			}
			v.mu.Unlock()
		}
		close(done)
		running.Wait()
	}
}
