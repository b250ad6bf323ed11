package conformance

import (
	"math/rand/v2"
	"testing"
)

// seed adds inputs that are made of nothing but chance, the same ones every time.
func seed(f *testing.F) {
	f.Helper()
	for i := range uint64(150) {
		r := rand.New(rand.NewPCG(i, 0))
		data := make([]byte, 8*i)
		for j := range data {
			data[j] = byte(r.Uint32())
		}
		f.Add(data)
	}
}

// FuzzText makes a registry from bytes, records in it, and wants all of it back
// from what the text format says, scrape after scrape.
func FuzzText(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		w := newTwin(t, &dice{data})
		for range 2 {
			data, x := w.scrapeText(t), w.expect()
			x.escaping = escapedNames
			checkText(t, data, x)
		}
	})
}
