package conformance

import (
	"math/rand/v2"
	"testing"
)

// seed adds n pseudo-random inputs. The inputs are the same in every run.
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

// FuzzText makes a random registry from the input. Each scrape in the text format
// must match the reference.
func FuzzText(f *testing.F) {
	seed(f, 150)
	f.Fuzz(func(t *testing.T, data []byte) {
		r := newRandomRegistry(t, &generator{data}, false)
		for range 2 {
			data, x := r.scrapeAs(t, typeText), r.expect()
			checkText(t, data, x)
		}
	})
}

// FuzzOpenMetrics is like FuzzText, but for OpenMetrics.
func FuzzOpenMetrics(f *testing.F) {
	seed(f, 100)
	f.Fuzz(func(t *testing.T, data []byte) {
		r := newRandomRegistry(t, &generator{data}, false)
		for scrape := range 2 {
			data, x := r.scrapeAs(t, typeOpenMetrics), r.expect()
			if scrape == 0 {
				x.grammar = grammarLimit
			}
			checkOpenMetrics(t, data, x)
		}
	})
}

// FuzzNames is like FuzzText, but with UTF-8 names. FuzzNames scrapes both formats
// with every escaping scheme.
func FuzzNames(f *testing.F) {
	seed(f, 50)
	f.Fuzz(func(t *testing.T, data []byte) {
		r, size := newRandomRegistry(t, &generator{data}, true), len(data)
		for _, contentType := range contentTypes {
			for i, scheme := range schemes {
				data, x := serve(t, r.reg, contentType, scheme), r.expect()
				if x.escaping = scheme; i == size%len(schemes) {
					x.grammar = grammarLimit
				}
				check := checkText
				if contentType == typeOpenMetrics {
					check = checkOpenMetrics
				}
				if check(t, data, x); t.Failed() {
					t.Fatalf("escaping scheme %v, counted errors %v", scheme, r.errors)
				}
			}
		}
	})
}
