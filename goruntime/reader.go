package goruntime

import (
	"runtime/metrics"
	"strings"
	"sync"
	"time"

	"github.com/tachikoma/tacho"
)

// A reader reads the values of all families in one call, so the values are consistent with
// each other. If scrapes overlap, a scrape can show values that another scrape read.
type reader struct {
	families []family // supported by this version of Go

	mu      sync.Mutex // scrapes can overlap
	at      time.Time  // of the latest read
	values  []float64  // one for each family
	samples []metrics.Sample
	pauses  pauses
}

// maxAge is the age of a value that a function shows without another read. A scrape calls
// collect and the functions in no fixed order.
const maxAge = 10 * time.Millisecond

// value returns the function of a family.
func (r *reader) value(i int) func() float64 {
	return r.fresh(func() float64 { return r.values[i] })
}

// fresh returns a function that calls f with values of at most maxAge.
func (r *reader) fresh(f func() float64) func() float64 {
	return func() float64 {
		r.mu.Lock()
		defer r.mu.Unlock()
		if time.Since(r.at) > maxAge {
			r.update()
		}
		return f()
	}
}

func newReader() *reader {
	r := &reader{pauses: newPauses()}
	for _, f := range families {
		samples := make([]metrics.Sample, len(f.from))
		for i, name := range f.from {
			samples[i].Name = name
		}
		if !supported(samples) {
			continue
		}
		f.help += " In package runtime/metrics: " + strings.Join(f.from, " + ") + "."
		r.families = append(r.families, f)
		r.samples = append(r.samples, samples...)
	}
	r.values = make([]float64, len(r.families))
	return r
}

// supported reports whether this version of Go has all of the metrics as integers.
func supported(samples []metrics.Sample) bool {
	metrics.Read(samples)
	for _, s := range samples {
		if s.Value.Kind() != metrics.KindUint64 {
			return false
		}
	}
	return true
}

// collect emits the summary of the pauses. Each scrape calls collect.
func (r *reader) collect(e *tacho.Emitter) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.update()
	r.pauses.emit(e)
}

// update reads all values. The caller holds r.mu, or no scrape can use r yet.
func (r *reader) update() {
	r.at = time.Now()
	metrics.Read(r.samples)
	rest := r.samples
	for i, f := range r.families {
		var sum uint64
		for _, s := range rest[:len(f.from)] {
			sum += s.Value.Uint64()
		}
		r.values[i] = float64(sum)
		rest = rest[len(f.from):]
	}
	r.pauses.read()
}
