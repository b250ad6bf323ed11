package conformance

import (
	"math/rand/v2"
	"testing"
)

// seed adds n inputs that are made of nothing but chance, the same ones every time.
func seed(f *testing.F, n uint64) {
	f.Helper()
	for i := range n {
		r := rand.New(rand.NewPCG(i, 0))
		data := make([]byte, 1200*i/n)
		for j := range data {
			data[j] = byte(r.Uint32())
		}
		f.Add(data)
	}
}

// FuzzText makes a registry from bytes, records in it, and wants all of it back
// from what the text format says, scrape after scrape.
func FuzzText(f *testing.F) {
	seed(f, 150)
	f.Fuzz(func(t *testing.T, data []byte) {
		w := newTwin(t, &dice{data}, false)
		for range 2 {
			data, x := w.scrapeAs(t, typeText), w.expect()
			checkText(t, data, x)
		}
	})
}

// FuzzOpenMetrics is FuzzText for OpenMetrics.
func FuzzOpenMetrics(f *testing.F) {
	seed(f, 100)
	f.Fuzz(func(t *testing.T, data []byte) {
		w := newTwin(t, &dice{data}, false)
		for scrape := range 2 {
			data, x := w.scrapeAs(t, typeOpenMetrics), w.expect()
			if scrape == 0 {
				x.grammar = grammarLimit
			}
			checkOpenMetrics(t, data, x)
		}
	})
}

// FuzzNames lets names be any UTF-8 text, and asks for both formats with each way
// to say such names.
func FuzzNames(f *testing.F) {
	seed(f, 50)
	f.Fuzz(func(t *testing.T, data []byte) {
		w, size := newTwin(t, &dice{data}, true), len(data)
		for _, contentType := range contentTypes {
			for i, scheme := range schemes {
				data, x := serve(t, w.reg, contentType, scheme), w.expect()
				if x.escaping = scheme; i == size%len(schemes) {
					x.grammar = grammarLimit
				}
				check := checkText
				if contentType == typeOpenMetrics {
					check = checkOpenMetrics
				}
				if check(t, data, x); t.Failed() {
					t.Fatalf("with names by %v; refused: %v", scheme, w.errors)
				}
			}
		}
	})
}
