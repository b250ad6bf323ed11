package history

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/tachikoma/tacho/internal/expo"
	"github.com/tachikoma/tacho/internal/native"
	"github.com/tachikoma/tacho/internal/race"
)

// A hostile is a registry of few names and label blocks, whose families appear, change their kind and go all the
// time. Unlike a model it has failed walks, repeated series, memory that families keep, a clock that goes back,
// and a ring that can be too small.
type hostile struct {
	t        testing.TB
	random   *rand.Rand
	ring     *Ring
	now      time.Time
	families []*hostileFamily // in the order of a walk
	steps    map[uint64]map[string]float64
	present  map[string]map[string]float64 // by the family and labels of a series
	number   uint64
	small    bool // series can be left out
	clients  [3]client
	kept     [][]byte // memory that families keep
	spare    [][]byte // memory that no family keeps now
}

type hostileFamily struct {
	expo.Family
	series []hostileSeries
	keeps  bool
	memory []byte // the label blocks of the last walk
}

type hostileSeries struct {
	label string
	value float64
	shape int // of the bounds or quantiles
	n     *native.Snapshot
}

var hostileBounds = [...]expo.Bounds{expo.NewBounds(nil), expo.NewBounds([]float64{1}), expo.NewBounds([]float64{1}), expo.NewBounds([]float64{1, 2})}

func newHostile(t testing.TB, seed uint64) *hostile {
	h := &hostile{t: t, random: rand.New(rand.NewPCG(seed, 3)), now: time.Unix(1_700_000_000, 0), steps: map[uint64]map[string]float64{}, present: map[string]map[string]float64{}}
	c := Config{Range: 4 * time.Second, Step: time.Second, MaxBytes: 1 << 20}
	if h.random.IntN(4) == 0 {
		h.small, c.MaxBytes = true, 2000+h.random.IntN(9000)
	}
	h.ring = New(c)
	for i := range h.clients {
		h.clients[i].shapes = true
	}
	return h
}

// change removes some series and families, and adds others.
func (h *hostile) change() {
	r := h.random
	for range 1 + r.IntN(3) {
		if n := len(h.families); n > 0 && r.IntN(2) == 0 {
			i := r.IntN(n)
			h.families = slices.Delete(h.families, i, i+1)
		}
		f := &hostileFamily{Family: expo.Family{Name: "abc"[:1+r.IntN(3)], Kind: []expo.Kind{expo.Counter, expo.Gauge, expo.Histogram, expo.Summary}[r.IntN(4)]}, keeps: r.IntN(3) > 0}
		f.Help = "help"[r.IntN(4):]
		for range 1 + r.IntN(2) {
			s := hostileSeries{label: "xy"[:r.IntN(3)], shape: r.IntN(4)}
			if r.IntN(2) == 0 {
				s.n = new(native.Snapshot)
			}
			f.series = append(f.series, s)
		}
		if h.small || r.IntN(4) > 0 { // one family of the name; a small ring may leave out the first of two
			h.families = slices.DeleteFunc(h.families, func(other *hostileFamily) bool { return other.Name == f.Name })
		}
		h.families = append(h.families, f)
	}
	slices.SortStableFunc(h.families, func(a, b *hostileFamily) int { return strings.Compare(a.Name, b.Name) })
}

// values changes the values, shapes and memory of series.
func (h *hostile) values() {
	r := h.random
	for _, f := range h.families {
		if r.IntN(8) == 0 {
			f.keeps = !f.keeps
		}
		if r.IntN(8) == 0 {
			r.Shuffle(len(f.series), func(i, j int) { f.series[i], f.series[j] = f.series[j], f.series[i] })
		}
		for i := range f.series {
			s := &f.series[i]
			if s.value++; r.IntN(6) == 0 {
				s.value = []float64{math.NaN(), math.Inf(-1), 0.5, 1 << 60}[r.IntN(4)]
			}
			if r.IntN(6) == 0 {
				s.shape = r.IntN(4)
			}
			if s.n != nil {
				h.buckets(s.n)
			}
		}
	}
}

func (h *hostile) buckets(n *native.Snapshot) {
	r := h.random
	if r.IntN(3) == 0 {
		*n = native.Snapshot{Schema: r.IntN(3) - 1, ZeroThreshold: []float64{0, 0.5}[r.IntN(2)], Zero: uint64(r.IntN(2))}
	}
	for _, list := range []*[]native.Bucket{&n.Positive, &n.Negative} {
		if r.IntN(2) == 0 {
			*list = nil
			for key := -1; key < 3; key++ {
				if r.IntN(2) == 0 {
					*list = append(*list, native.Bucket{Key: key, Count: uint64(r.IntN(3))})
				}
			}
		}
	}
}

// pass passes the first n samples to w. walked gets their values; the first of a repeated series counts.
func (h *hostile) pass(w expo.Reader, n int, walked map[string]map[string]float64) {
	for _, f := range h.families {
		if n == 0 {
			return
		}
		var texts unsafe.Pointer
		memory, ends := make([]byte, 0, 64), []int{0}
		for _, s := range f.series {
			if s.label != "" {
				memory = append(memory, `{l="`+s.label+`"}`...)
			}
			memory = append(memory, ' ')
			ends = append(ends, len(memory))
		}
		if n := len(h.spare); n > 0 && h.random.IntN(2) == 0 {
			memory = append(h.spare[n-1][:0], memory...)
			h.spare = h.spare[:n-1]
		}
		if bytes.Equal(f.memory, memory) && h.random.IntN(3) > 0 {
			memory = f.memory
		}
		if f.memory = nil; f.keeps {
			f.memory, texts = memory, unsafe.Pointer(&memory[0])
			h.kept = append(h.kept, memory)
		}
		w.Begin(&f.Family, texts)
		for i, s := range f.series {
			if n == 0 {
				break
			}
			n--
			h.sample(w, f, s, unsafe.String(&memory[ends[i]], ends[i+1]-ends[i]), walked)
		}
		if !f.keeps {
			clear(memory)
		}
	}
}

func (h *hostile) sample(w expo.Reader, f *hostileFamily, s hostileSeries, block string, walked map[string]map[string]float64) {
	m, labels := map[string]float64{}, ""
	if s.label != "" {
		labels = "l=" + s.label
	}
	n := 1
	switch f.Kind {
	case expo.Histogram:
		n = 2 + len(hostileBounds[s.shape].Upper)
	case expo.Summary:
		n = 2 + s.shape
	}
	labels += fmt.Sprintf("/%d/%d", f.Kind, n)
	id := f.Name + labels
	put := func(kind uint8, left, right, v float64) {
		if v == v {
			m[slotName(f.Name, labels, column{kind, left, right})] = v
		}
	}
	switch f.Kind {
	case expo.Histogram:
		bounds := &hostileBounds[s.shape]
		counts := make([]uint64, len(bounds.Upper)+1)
		left := math.Inf(-1)
		put(columnSum, 0, 0, s.value)
		for i := range counts {
			counts[i] = uint64(h.random.IntN(3))
			put(columnBucket, left, bounds.At(i), float64(counts[i]))
			left = bounds.At(i)
		}
		if s.n != nil {
			putNative(s.n, put)
		}
		w.Histogram(block, bounds, counts, s.value, s.n)
	case expo.Summary:
		quantiles := []expo.Quantile{{Quantile: 0.1, Value: s.value}, {Quantile: 0.5, Value: 1}, {Quantile: 0.9, Value: 2}}[:s.shape]
		put(columnSum, 0, 0, s.value)
		put(columnCount, 0, 0, 7)
		for _, q := range quantiles {
			put(columnQuantile, q.Quantile, 0, q.Value)
		}
		w.Summary(block, &expo.Distribution{Sum: s.value, Count: 7, Quantiles: quantiles})
	default:
		put(columnValue, 0, 0, s.value)
		w.Float(block, s.value)
	}
	if _, ok := walked[id]; !ok {
		walked[id] = m
	}
}

// step adds a step to the ring, and compares it with the samples.
func (h *hostile) step() {
	r := h.random
	h.values()
	h.now = h.now.Add([]time.Duration{0, -time.Second, time.Second, time.Second, time.Second, 10 * time.Second}[r.IntN(6)])
	n, bad := -1, error(nil)
	if r.IntN(6) == 0 {
		n, bad = r.IntN(6), errors.New("bad")
	}
	walked, number := map[string]map[string]float64{}, h.ring.number
	func() {
		defer func() { _ = recover() }()
		_ = h.ring.Sample(h.now, func(w io.Writer) error {
			h.pass(w.(expo.Reader), n, walked)
			if bad != nil && r.IntN(2) == 0 {
				panic(bad)
			}
			return bad
		})
	}()
	if h.ring.number == number {
		return // the walk failed before its first family
	}
	if bad != nil {
		for id, values := range h.present {
			if _, ok := walked[id]; !ok {
				walked[id] = values
			}
		}
	}
	h.number++
	h.present = walked
	h.release()
	h.check()
	all := map[string]float64{}
	for _, values := range walked {
		maps.Copy(all, values)
	}
	h.steps[h.number] = all
	h.poll(&h.clients[0])
}

// release makes memory available to the next walk if no family of the last walk keeps it.
func (h *hostile) release() {
	current := map[*byte]bool{}
	for _, f := range h.families {
		if len(f.memory) > 0 {
			current[&f.memory[0]] = true
		}
	}
	kept := h.kept
	h.kept, h.spare = nil, nil
	for _, memory := range kept {
		if current[&memory[0]] {
			h.kept = append(h.kept, memory)
		} else if !slices.ContainsFunc(h.spare, func(m []byte) bool { return &m[0] == &memory[0] }) {
			h.spare = append(h.spare, memory)
		}
	}
}

// poll reads a response, and compares the steps of the client with those of the registry.
func (h *hostile) poll(c *client) {
	h.t.Helper()
	if err := c.read(h.ring.Append(nil, c.position, h.now)); err != nil {
		h.t.Fatal(err)
	}
	for i := range c.steps {
		s := &c.steps[i]
		want := h.steps[s.number]
		if h.small && c == &h.clients[0] && i == len(c.steps)-1 && s.number == h.number {
			for name, v := range s.values {
				if want[name] != v {
					h.t.Fatalf("step %d: %s is %v, want %v", s.number, name, v, want[name])
				}
			}
			h.steps[s.number] = s.values // other clients must read the same
			continue
		}
		if !maps.Equal(s.values, want) {
			h.t.Fatalf("step %d: got %v\nwant %v", s.number, s.values, want)
		}
	}
}

// check compares the parts of the ring that must agree.
func (h *hostile) check() {
	h.t.Helper()
	r := h.ring
	shapes, sets, slots, small, inUse, present := map[uint32]uint32{}, map[*columnSet]int{}, make([]int, len(r.last)), 0, 0, 0
	for i := range r.series {
		s, id := &r.series[i], uint32(i)
		if s.shape == none {
			continue
		}
		inUse++
		shapes[s.shape]++
		if r.find(s.shape, string(r.block(s))) != id {
			h.t.Fatalf("series %d is not found", id)
		}
		_, absent := r.absent[id]
		if absent == (s.step == uint32(r.number)) {
			h.t.Fatalf("series %d is absent: %v, but has step %d of %d", id, absent, s.step, r.number)
		}
		if !absent {
			present++
		}
		for slot := range r.shapes[s.shape].n {
			slots[s.slot+slot]++
		}
	}
	if inUse != r.table.n || present != r.present || len(r.absent) != inUse-present {
		h.t.Fatalf("%d series, %d present: the ring has %d, %d present, %d absent", inUse, present, r.table.n, r.present, len(r.absent))
	}
	families := map[uint32]bool{}
	for i, s := range r.shapes {
		if s.family == none {
			continue
		}
		families[s.family] = true
		if s.refs != shapes[uint32(i)] || r.sets[s.key] != s.columnSet {
			h.t.Fatalf("shape %d has %d series, want %d", i, s.refs, shapes[uint32(i)])
		}
		sets[s.columnSet]++
	}
	for id := range families {
		if f := &r.families[id]; r.byName.find(r.families, f.name, f.kind) != id {
			h.t.Fatalf("family %d is not found", id)
		} else {
			small += int(f.own)
		}
	}
	for id, s := range r.natives {
		small += nativeBytes + cap(s.buckets)*bucketBytes
		if r.series[id].shape == none {
			h.t.Fatalf("series %d has native buckets and is not in use", id)
		}
		for _, b := range s.buckets {
			c := r.columns[b.column]
			sets[r.sets[string(appendColumn(nil, c.kind, c.left, c.right))]]++
			slots[b.slot]++
		}
	}
	for _, set := range r.sets {
		small += setBytes + len(set.key)
		if set.refs != sets[set] {
			h.t.Fatalf("a set has %d users, want %d", set.refs, sets[set])
		}
	}
	if len(families) != r.byName.n || len(sets) != len(r.sets) || small != r.small {
		h.t.Fatalf("%d families, %d sets, %d bytes: the ring has %d, %d, %d", len(families), len(sets), small, r.byName.n, len(r.sets), r.small)
	}
	for n, list := range r.slotID.free {
		for _, first := range list {
			for slot := first; slot < first+n; slot++ {
				slots[slot]++
				if r.last[slot] == r.last[slot] || r.base[slot] == r.base[slot] {
					h.t.Fatalf("the free slot %d has a value", slot)
				}
			}
		}
	}
	for slot, n := range slots {
		if n != 1 {
			h.t.Fatalf("slot %d has %d users", slot, n)
		}
	}
}

// run runs n operations.
func (h *hostile) run(n int) {
	for range n {
		switch h.random.IntN(12) {
		case 0, 1:
			h.change()
		case 2:
			h.families = h.families[:h.random.IntN(1+min(1, len(h.families)))]
			for range h.random.IntN(4) { // most series are gone for longer than the range
				h.now = h.now.Add(5 * time.Second)
				h.step()
			}
		case 3:
			h.poll(&h.clients[1])
		case 4:
			h.poll(&h.clients[1+h.random.IntN(2)])
		default:
			h.step()
		}
	}
	h.poll(&h.clients[2])
}

// TestHostile compares rings with registries that change in all ways.
func TestHostile(t *testing.T) {
	seeds := uint64(150)
	if race.Enabled {
		seeds = 20
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { newHostile(t, seed).run(120) })
	}
}
