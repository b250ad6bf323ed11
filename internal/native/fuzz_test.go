package native

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"testing"
)

// FuzzBuckets makes a sequence of values, reads and restarts of the input, and compares Buckets
// with the model.
//
// The first bytes are the schema, the limit, the threshold and the number of rows. Each operation
// has one byte. An operation with a value has 8 or 2 further bytes.
func FuzzBuckets(f *testing.F) {
	f.Add([]byte("\x03\x10\x00\x00\x00\x3f\xf0\x00\x00\x00\x00\x00\x00\x02\x01\x12\x34\x03"))
	f.Add([]byte("\x08\x01\x01\x01\x04\x04\x04\x04\x05\x02\x03\x02\x04\x04\x06\x02"))
	f.Add([]byte("0\x02C12%\xff&C"))
	rnd := rand.New(rand.NewPCG(10, 11))
	for i := range 20 {
		b := make([]byte, 40*i)
		for k := range b {
			b[k] = byte(rnd.Uint32())
		}
		f.Add(b)
	}
	restart := RestartAfter
	RestartAfter = 0
	f.Cleanup(func() { RestartAfter = restart })
	f.Fuzz(func(t *testing.T, in []byte) {
		next := func() (b byte) {
			if len(in) > 0 {
				b, in = in[0], in[1:]
			}
			return b
		}
		c := newConfig(int(next())%13+MinSchema, 1+int(next()), thresholds[int(next())%len(thresholds)])
		rows := newRows(c, 1+int(next())%3)
		m := newModel(c, len(rows))
		var r Reader
		var walk uint64
		check := func(what string) {
			t.Helper()
			if text := differ(&r.Snapshot, m.snapshot()); text != "" {
				t.Fatalf("%s, schema %d, limit %d, threshold %v, %d rows: %s", what, c.schema, c.max, c.threshold, len(rows), text)
			}
		}
		add := func(v float64) {
			walk = walk*0x9e3779b97f4a7c15 + 1
			row := int(walk>>60) % len(rows)
			if got, want := observe(rows[row], c, v), m.add(row, v, 1); got != want {
				t.Fatalf("threshold %v: Add(%v) returned %t", c.threshold, v, got)
			}
		}
		for n := 0; len(in) > 0 && n < 100; n++ {
			switch op := next(); op % 8 {
			case 0: // any bits
				var b [8]byte
				in = in[copy(b[:], in):]
				add(math.Float64frombits(binary.BigEndian.Uint64(b[:])))
			case 1: // the first bits
				add(math.Float64frombits(uint64(next())<<56 | uint64(next())<<48))
			case 2:
				read(&r, c, false, rows...)
				check("read")
			case 3: // a scrape that restarts the histogram if its resolution fell
				fallen := m.schema < m.first
				again := read(&r, c, true, rows...)
				check("restart")
				if fallen && !again || again && m.schema == m.first {
					t.Fatalf("restart %t after schema %d became %d", again, m.first, m.schema)
				}
				if again {
					m.restart()
				}
			case 4: // a run of values
				v := math.Exp2(float64(int8(next())))
				for range 12 {
					add(v)
					v *= 1.07
				}
			case 5:
				v := -math.Exp2(float64(int8(next())) * 8)
				for range 12 {
					add(v)
					v *= 3
				}
			case 6: // a format without native buckets
				r.Begin(c)
				for _, b := range rows {
					r.Rows(b, 1)
				}
				got := countOf(&r)
				r.End()
				schema := m.schema // such a format does not find that all rows together exceed the limit
				if want := m.snapshot().Count(); got != want {
					t.Fatalf("%d observations, want %d", got, want)
				}
				m.schema = schema
			case 7:
				add(generators["special"](rand.New(rand.NewPCG(1, uint64(next())))))
			}
		}
		read(&r, c, false, rows...)
		check("at the end")
	})
}
