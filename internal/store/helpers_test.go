package store

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"

	"github.com/tachikoma/tacho/internal/label"
	"github.com/tachikoma/tacho/internal/race"
)

// A counter is a metric of the tests. It has the size of a tacho.Counter.
type counter struct {
	n    atomic.Uint64
	a    atomic.Uintptr
	b, c atomic.Pointer[int]
}

func counterOf(m unsafe.Pointer) *counter { return (*counter)(m) }

// counters returns the kind of counters, with so many words of time.
func counters(times int) Kind {
	return Kind{
		Size: unsafe.Sizeof(counter{}),
		New: func(n int, apart bool, _ string) unsafe.Pointer {
			if apart {
				n = 3
			}
			return unsafe.Pointer(unsafe.SliceData(make([]counter, n)))
		},
		Times: times,
	}
}

// A vector is a store with the mutexes of its vector.
type vector struct {
	Store
	mu      sync.Mutex
	orderMu sync.Mutex
}

func newVector(kind Kind, names ...string) *vector { return newVectorWith(nil, kind, names...) }

func newVectorWith(consts []label.Label, kind Kind, names ...string) *vector {
	v := new(vector)
	v.Init(consts, names, kind)
	return v
}

// key returns the hash and the block of values.
func (v *vector) key(values []string) (hash uint32, block string) {
	block = string(v.AppendBlock(nil, values))
	return v.Hash(block), block
}

// show makes w the view of readers.
func (v *vector) show(w *view) { v.view.Store((*byte)(unsafe.Pointer(w))) }

// add adds a series and returns its metric. It panics if the vector has the series.
func (v *vector) add(values ...string) unsafe.Pointer {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.addLocked(values)
}

func (v *vector) addLocked(values []string) unsafe.Pointer {
	hash, block := v.key(values)
	if v.FindBlock(hash, block) != nil {
		panic("there is a series " + block)
	}
	return v.Add(hash, block, nil, 0)
}

// find returns the metric of a series, or nil. It finds each series.
func (v *vector) find(values ...string) unsafe.Pointer {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.FindBlock(v.key(values))
}

// remove reports whether there was a series with these values.
func (v *vector) remove(values ...string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.removeLocked(values)
}

func (v *vector) removeLocked(values []string) bool {
	hash, block := v.key(values)
	return v.Remove(hash, block, nil)
}

// ordered returns the series in order.
func (v *vector) ordered() *Order {
	v.orderMu.Lock()
	defer v.orderMu.Unlock()
	return v.Order(&v.mu)
}

// layOut is ordered, and moves all texts into the main arena.
func (v *vector) layOut() *Order {
	v.orderMu.Lock()
	defer v.orderMu.Unlock()
	v.mu.Lock()
	v.waste = 1 << 30 // more than a scrape leaves
	v.mu.Unlock()
	return v.Order(&v.mu)
}

// each passes a cursor and the index of each series of o.
func each(o *Order) func(yield func(c *Cursor, i int) bool) {
	return func(yield func(*Cursor, int) bool) {
		var c Cursor
		for c.Start(o); c.Next(); {
			for i := range c.N {
				if !yield(&c, i) {
					return
				}
			}
		}
	}
}

// listed returns the values of the series of o.
func (v *vector) listed(o *Order) (list [][]string) {
	for c, i := range each(o) {
		list = append(list, v.AppendValues(nil, strings.Clone(c.Block(i))))
	}
	return list
}

// rows returns values of n series with three labels, in no order.
func rows(n int) [][]string {
	r := rand.New(rand.NewPCG(1, 2))
	var list [][]string
	for i := range n {
		list = append(list, []string{[]string{"GET", "POST"}[i&1], fmt.Sprintf("/api/v%d/%0*d/x", i%7, 5+r.IntN(15), i), []string{"200", "404"}[i>>1&1]})
	}
	r.Shuffle(n, func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list
}

// numbers returns values of n series with one label, in no order.
func numbers(n int) [][]string {
	var list [][]string
	for i := range n {
		list = append(list, []string{strconv.Itoa(i)})
	}
	rand.New(rand.NewPCG(1, 2)).Shuffle(n, func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list
}

// scale returns short with -short or the race detector, and otherwise usual.
func scale(short, usual int) int {
	if testing.Short() || race.Enabled {
		return short
	}
	return usual
}

func sortedValues(list [][]string) [][]string {
	sorted := slices.Clone(list)
	slices.SortFunc(sorted, slices.Compare[[]string])
	return sorted
}

// equalLists reports whether a and b are the same lists of values.
func equalLists(a, b [][]string) bool { return slices.EqualFunc(a, b, slices.Equal[[]string]) }

// passed returns the number of groups that series have passed.
func (v *view) passed() (n int) {
	for i := range v.groups {
		n += int(v.groups[i].words[0].Load() >> 56)
	}
	return n
}
