package history

import (
	"math/rand/v2"
	"testing"
	"time"
)

// FuzzModel compares clients with the model for random sequences of changes, steps and polls, in a ring that
// has little room in time.
func FuzzModel(f *testing.F) {
	f.Add(uint64(1), []byte{0, 1, 0, 1, 2, 3})
	for seed := range uint64(300) {
		operations := make([]byte, 200)
		random := rand.New(rand.NewPCG(seed, 2))
		for i := range operations {
			operations[i] = []byte{0, 1, 1, 1, 1, 1, 2, 3, 4}[random.IntN(9)] // series are gone for longer than the range
		}
		f.Add(seed, operations)
	}
	f.Fuzz(func(t *testing.T, seed uint64, operations []byte) {
		m := newModel(t, seed, Config{Range: 5 * time.Second, Step: time.Second, MaxBytes: 1 << 20})
		var clients [2]client
		for _, op := range operations[:min(len(operations), 200)] {
			switch op % 5 {
			case 0:
				m.change()
			case 1:
				m.sample()
			case 4:
				m.series = m.series[:len(m.series)/3]
			default:
				m.poll(&clients[op%2])
			}
		}
		m.poll(&clients[0])
	})
}

// FuzzParsePosition checks that a text that ParsePosition accepts has the form of a position.
func FuzzParsePosition(f *testing.F) {
	f.Add("0.0")
	f.Add("ffffffffffffffff.18446744073709551615")
	f.Add("+1.-1")
	f.Fuzz(func(t *testing.T, s string) {
		p, ok := ParsePosition(s)
		if !ok {
			if p != (Position{}) {
				t.Errorf("%q is refused, with %v", s, p)
			}
			return
		}
		r := New(Config{Range: time.Second, Step: time.Second, MaxBytes: 1 << 20})
		var c client
		if err := c.read(r.Append(nil, p, time.Now())); err != nil {
			t.Errorf("%q: %v", s, err)
		}
	})
}

// FuzzRecord checks that a client reads each change of a value.
func FuzzRecord(f *testing.F) {
	f.Add(0, 1.0, 2.0)
	f.Add(-3, 0.1, 1.1)
	f.Add(1000, 1e300, -1e300)
	f.Fuzz(func(t *testing.T, gap int, last, v float64) {
		gap &= 1<<20 - 1
		values := make([]float64, gap+1)
		values[gap] = last
		apply(values, appendRecord(nil, gap, last, v))
		if got := values[gap]; got != v && (got == got || v == v) {
			t.Errorf("%v, then %v: got %v", last, v, got)
		}
	})
}
