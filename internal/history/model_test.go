package history

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/tachikoma/tacho/internal/expo"
	"github.com/tachikoma/tacho/internal/label"
	"github.com/tachikoma/tacho/internal/native"
)

// A model is a registry that changes at random, with the values of each step.
type model struct {
	t      testing.TB
	random *rand.Rand
	ring   *Ring
	now    time.Time
	number uint64
	series []*modelSeries
	steps  map[uint64]map[string]float64 // by the number of the step
	bounds []expo.Bounds
}

type modelSeries struct {
	family  *expo.Family
	label   string
	value   float64
	counts  []uint64
	bounds  *expo.Bounds
	native  *native.Snapshot
	summary *expo.Distribution
}

func newModel(t testing.TB, seed uint64, c Config) *model {
	m := &model{t: t, random: rand.New(rand.NewPCG(seed, 1)), ring: New(c), now: time.Unix(1_700_000_000, 0), steps: map[uint64]map[string]float64{}}
	m.bounds = []expo.Bounds{expo.NewBounds([]float64{1, 2, 4}), expo.NewBounds([]float64{0.5}), expo.NewBounds(nil)}
	return m
}

// change creates, deletes and changes some series.
func (m *model) change() {
	for range m.random.IntN(8) {
		if m.random.IntN(3) == 0 && len(m.series) > 0 {
			m.series = slices.Delete(m.series, m.random.IntN(len(m.series)), len(m.series))
			continue
		}
		m.create()
	}
	for _, s := range m.series {
		switch m.random.IntN(4) {
		case 0:
			s.value++
		case 1:
			s.value = []float64{math.NaN(), math.Inf(1), 0.25, 1 << 53, -1 << 60, 0, math.Copysign(0, -1), 1 << 49, -1 << 49}[m.random.IntN(9)]
		}
		for i := range s.counts {
			s.counts[i] += uint64(m.random.IntN(2))
		}
		if n := s.native; n != nil {
			m.changeNative(n)
		}
		if q := s.summary; q != nil && m.random.IntN(5) == 0 {
			q.Quantiles = []expo.Quantile{{Quantile: 0.5, Value: s.value}, {Quantile: 0.9, Value: 2}}[:m.random.IntN(3)]
		}
	}
	if m.random.IntN(6) == 0 {
		m.random.Shuffle(len(m.series), func(i, j int) { m.series[i], m.series[j] = m.series[j], m.series[i] })
	}
	slices.SortStableFunc(m.series, func(a, b *modelSeries) int {
		return int(a.family.Name[0])<<8 + int(a.family.Name[1]) - int(b.family.Name[0])<<8 - int(b.family.Name[1])
	})
}

func (m *model) changeNative(n *native.Snapshot) {
	switch m.random.IntN(6) {
	case 0:
		*n = native.Snapshot{Schema: m.random.IntN(3), ZeroThreshold: 0.5, Zero: 1}
	case 1:
		n.Positive = nil
	default:
		n.Positive, n.Negative = m.moreBuckets(n.Positive), m.moreBuckets(n.Negative)
	}
}

func (m *model) moreBuckets(list []native.Bucket) []native.Bucket {
	key := m.random.IntN(9) - 4
	i, found := slices.BinarySearchFunc(list, key, func(b native.Bucket, key int) int { return b.Key - key })
	if found {
		list[i].Count += 3
		return list
	}
	return slices.Insert(list, i, native.Bucket{Key: key, Count: 1})
}

func (m *model) create() {
	kind := expo.Kind(m.random.IntN(6))
	s := &modelSeries{
		family: &expo.Family{Name: string(rune('a'+kind)) + string(rune('a'+m.random.IntN(2))), Kind: kind, Help: []string{"", "help"}[m.random.IntN(2)]},
		label:  []string{"", `a"\b`, "c", "d", "e\n", "f"}[m.random.IntN(6)],
	}
	switch kind {
	case expo.Histogram:
		s.bounds = &m.bounds[m.random.IntN(len(m.bounds))]
		s.counts = make([]uint64, len(s.bounds.Upper)+1)
		if m.random.IntN(2) == 0 {
			s.native = &native.Snapshot{Schema: 1}
		}
	case expo.Summary:
		s.summary = &expo.Distribution{Quantiles: []expo.Quantile{{Quantile: 0.5, Value: 1}}}
	}
	for _, other := range m.series {
		if other.family.Name == s.family.Name && other.label == s.label {
			return
		}
	}
	m.series = append(m.series, s)
}

// sample adds a step to the ring and to the model.
func (m *model) sample() {
	m.now = m.now.Add(time.Duration(1+m.random.IntN(3000)) * time.Millisecond)
	err := m.ring.Sample(m.now, func(w io.Writer) error {
		m.pass(w.(expo.Reader), len(m.series))
		return nil
	})
	if err != nil {
		m.t.Fatal(err)
	}
	m.number++
	m.steps[m.number] = m.values()
}

// pass passes the first n series to w.
func (m *model) pass(w expo.Reader, n int) {
	last := ""
	for _, s := range m.series[:n] {
		if s.family.Name != last {
			w.Begin(s.family, nil)
			last = s.family.Name
		}
		block := label.AppendBlock(nil, nil)
		if s.label != "" {
			block = label.AppendBlock(nil, []label.Label{{Name: "x", Value: s.label}, {Name: "a.b", Value: "1"}})
		}
		switch {
		case s.bounds != nil:
			w.Histogram(string(block), s.bounds, s.counts, s.value, s.native)
		case s.summary != nil:
			s.summary.Sum = s.value
			w.Summary(string(block), s.summary)
		default:
			w.Float(string(block), s.value)
		}
		clear(block) // the ring must have a copy
	}
}

// values returns what the ring must have of the present values.
func (m *model) values() map[string]float64 {
	values := map[string]float64{}
	for _, s := range m.series {
		labels := ""
		if s.label != "" {
			labels = "x=" + s.label + ",a.b=1"
		}
		put := func(kind uint8, left, right, v float64) {
			if v == v {
				values[slotName(s.family.Name, labels, column{kind, left, right})] = v
			}
		}
		switch {
		case s.bounds != nil:
			put(columnSum, 0, 0, s.value)
			left := math.Inf(-1)
			for i, c := range s.counts {
				put(columnBucket, left, s.bounds.At(i), float64(c))
				left = s.bounds.At(i)
			}
		case s.summary != nil:
			put(columnSum, 0, 0, s.value)
			put(columnCount, 0, 0, float64(s.summary.Count))
			for _, q := range s.summary.Quantiles {
				put(columnQuantile, q.Quantile, 0, q.Value)
			}
		default:
			put(columnValue, 0, 0, s.value)
		}
		if s.native != nil {
			putNative(s.native, put)
		}
	}
	return values
}

// putNative calls put for each native bucket.
func putNative(n *native.Snapshot, put func(kind uint8, left, right, v float64)) {
	if n.Zero > 0 {
		put(columnNative, -n.ZeroThreshold, n.ZeroThreshold, float64(n.Zero))
	}
	for _, b := range n.Positive {
		put(columnNative, native.Bound(n.Schema, b.Key-1), native.Bound(n.Schema, b.Key), float64(b.Count))
	}
	for _, b := range n.Negative {
		put(columnNative, -native.Bound(n.Schema, b.Key), -native.Bound(n.Schema, b.Key-1), float64(b.Count))
	}
}

// poll reads a response and compares all steps of the client with the model.
func (m *model) poll(c *client) {
	m.t.Helper()
	if err := c.read(m.ring.Append(nil, c.position, m.now)); err != nil {
		m.t.Fatal(err)
	}
	if m.number > 0 && c.position.Step != m.number && len(m.ring.steps) > 0 {
		m.t.Fatalf("the client has steps up to %d, want %d", c.position.Step, m.number)
	}
	for _, s := range c.steps {
		if want := m.steps[s.number]; !equalValues(s.values, want) {
			m.t.Fatalf("step %d: got %v\nwant %v", s.number, s.values, want)
		}
	}
	if n := len(c.steps); n > 0 && c.steps[0].number > 1 && c.before != nil {
		if want := m.steps[c.steps[0].number-1]; !equalValues(c.before, want) {
			m.t.Fatalf("before step %d: got %v\nwant %v", c.steps[0].number, c.before, want)
		}
	}
}

func equalValues(a, b map[string]float64) bool {
	return maps.Equal(a, b)
}

// TestModel compares what clients read with a naive model.
func TestModel(t *testing.T) {
	for seed := range uint64(15) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			m := newModel(t, seed, Config{Range: time.Minute, Step: time.Second, MaxBytes: 1 << 20})
			clients := [3]client{}
			for range 300 {
				m.change()
				m.sample()
				for i := range clients {
					if m.random.IntN(1<<(2*i)) == 0 {
						m.poll(&clients[i])
					}
				}
			}
			// Once all series are gone for longer than the range, the ring has nothing of them.
			m.series = nil
			for range 100 {
				m.sample()
			}
			m.poll(&clients[0])
			s := m.ring.Stats()
			if s.Series != 0 || s.Families != 0 || len(m.ring.sets) != 0 || len(m.ring.natives) != 0 || len(m.ring.absent) != 0 || m.ring.small != 0 {
				t.Errorf("an empty registry has %+v, %d sets, %d bytes", s, len(m.ring.sets), m.ring.small)
			}
			free := 0
			for n, list := range m.ring.slotID.free {
				free += int(n) * len(list)
			}
			if free != len(m.ring.last) {
				t.Errorf("%d of %d slots are free", free, len(m.ring.last))
			}
		})
	}
}

// TestFailedWalk checks a walk that ends with an error or a panic: the other series keep their values.
func TestFailedWalk(t *testing.T) {
	m := newModel(t, 1, Config{Range: time.Hour, Step: time.Second, MaxBytes: 1 << 20})
	bad := errors.New("bad")
	if err := m.ring.Sample(m.now, func(io.Writer) error { return bad }); err != bad || m.ring.Stats().Steps != 0 {
		t.Errorf("an error before the first family: got %v and %d steps", err, m.ring.Stats().Steps)
	}
	for len(m.series) < 6 {
		m.create()
	}
	m.sample()
	func() {
		defer func() {
			if recover() == nil {
				t.Error("Sample must pass the panic on")
			}
		}()
		_ = m.ring.Sample(m.now.Add(time.Second), func(w io.Writer) error {
			m.pass(w.(expo.Reader), 3)
			panic("a walk")
		})
	}()
	m.number++
	m.steps[m.number] = m.steps[m.number-1]
	var c client
	m.poll(&c)
	m.change()
	m.sample()
	m.poll(&c)
}
