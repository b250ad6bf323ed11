package goruntime

import (
	"math"
	"runtime/metrics"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/tachikoma/tacho"
)

// A reader reads the runtime at each scrape, for all families at once: they agree
// with each other. Where scrapes overlap, one may show values that the other read.
type reader struct {
	families []family // those of this version of Go
	values   []value  // theirs
	lastGC   value

	mu      sync.Mutex // scrapes can overlap
	samples []metrics.Sample
	pauses  pauses
}

// A value is a number that one scrape may write while another reads it.
type value struct{ bits atomic.Uint64 }

func (v *value) load() float64   { return math.Float64frombits(v.bits.Load()) }
func (v *value) store(f float64) { v.bits.Store(math.Float64bits(f)) }

func newReader() *reader {
	r := &reader{pauses: newPauses()}
	for _, f := range families {
		samples := make([]metrics.Sample, len(f.from))
		for i, name := range f.from {
			samples[i].Name = name
		}
		if !measured(samples) {
			continue
		}
		f.help += " In package runtime/metrics: " + strings.Join(f.from, " + ") + "."
		r.families = append(r.families, f)
		r.samples = append(r.samples, samples...)
	}
	r.values = make([]value, len(r.families))
	return r
}

// measured reports whether this version of Go has all of the metrics, as the
// numbers that they are known to be.
func measured(samples []metrics.Sample) bool {
	metrics.Read(samples)
	for _, s := range samples {
		if s.Value.Kind() != metrics.KindUint64 {
			return false
		}
	}
	return true
}

// collect brings the values up to date, which a scrape shows afterwards, and
// emits what is no number.
func (r *reader) collect(e *tacho.Emitter) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.update()
	r.pauses.emit(e)
}

// update reads the runtime. The mutex is held, or nobody else has the reader yet.
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
