package goruntime

import (
	"math"
	"runtime/metrics"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/tachikoma/tacho"
)

// A reader reads the values of all families in one call at each scrape, so the values
// are consistent with each other. If scrapes overlap, a scrape can show values that
// another scrape read.
type reader struct {
	families []family      // supported by this version of Go
	values   []atomicFloat // one for each family
	lastGC   atomicFloat

	mu      sync.Mutex // scrapes can overlap
	samples []metrics.Sample
	pauses  pauses
}

// An atomicFloat can be written by one scrape while another scrape reads.
type atomicFloat struct{ bits atomic.Uint64 }

func (v *atomicFloat) load() float64   { return math.Float64frombits(v.bits.Load()) }
func (v *atomicFloat) store(f float64) { v.bits.Store(math.Float64bits(f)) }

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
	r.values = make([]atomicFloat, len(r.families))
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

// Each scrape calls collect before the families are written.
func (r *reader) collect(e *tacho.Emitter) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.update()
	r.pauses.emit(e)
}

// update reads all values. The caller holds r.mu, or no scrape can use r yet.
func (r *reader) update() {
	metrics.Read(r.samples)
	rest := r.samples
	for i, f := range r.families {
		var sum uint64
		for _, s := range rest[:len(f.from)] {
			sum += s.Value.Uint64()
		}
		r.values[i].store(float64(sum))
		rest = rest[len(f.from):]
	}
	r.pauses.read()
	r.lastGC.store(r.pauses.last())
}
