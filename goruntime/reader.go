package goruntime

import (
	"runtime/metrics"
	"strings"
	"sync"
	"time"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/internal/registration"
)

// A reader reads the values of all families in one call, so the values are consistent with
// each other. If scrapes overlap, a scrape can show values that another scrape read.
type reader struct {
	families []family // supported by this version of Go

	mu            sync.Mutex       // scrapes can overlap
	at            time.Time        // of the latest read
	values        []float64        // one for each family
	samples       []metrics.Sample // of the families, then of distributions
	distributions distributions
}

// Distributions are summaries or histograms, which functions cannot show.
type distributions interface {
	// read takes new values, from the samples that were added for the distributions.
	read([]metrics.Sample)
	emit(*tacho.Emitter)
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

func newReader(list []family, d distributions) *reader {
	r := &reader{distributions: d}
	for _, f := range list {
		samples := samplesOf(f.from...)
		if !isNumbers(samples) {
			continue
		}
		f.help = withSource(f.help, f.from...)
		r.families = append(r.families, f)
		r.samples = append(r.samples, samples...)
	}
	r.values = make([]float64, len(r.families))
	return r
}

// define defines the families of r, each with the result of options.
func (r *reader) define(defined *registration.Registration, options func(*family) []tacho.Option) {
	for i := range r.families {
		f := &r.families[i]
		f.define(defined, r.value(i), options(f)...)
	}
}

// samplesOf reads metrics of package runtime/metrics.
func samplesOf(names ...string) []metrics.Sample {
	samples := make([]metrics.Sample, len(names))
	for i, name := range names {
		samples[i].Name = name
	}
	metrics.Read(samples)
	return samples
}

// isNumbers reports whether this version of Go has all of the metrics as numbers.
func isNumbers(samples []metrics.Sample) bool {
	for _, s := range samples {
		if k := s.Value.Kind(); k != metrics.KindUint64 && k != metrics.KindFloat64 {
			return false
		}
	}
	return true
}

func withSource(help string, from ...string) string {
	return help + " In package runtime/metrics: " + strings.Join(from, " + ") + "."
}

func number(v metrics.Value) float64 {
	if v.Kind() == metrics.KindUint64 {
		return float64(v.Uint64())
	}
	return v.Float64()
}

// collect emits the distributions. Each scrape calls collect.
func (r *reader) collect(e *tacho.Emitter) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.update()
	r.distributions.emit(e)
}

// update reads all values. The caller holds r.mu, or no scrape can use r yet.
//
// A counter never decreases. The runtime computes the CPU time of the program as a
// difference, which can decrease.
func (r *reader) update() {
	r.at = time.Now()
	metrics.Read(r.samples)
	rest := r.samples
	for i, f := range r.families {
		sum := 0.0
		for _, s := range rest[:len(f.from)] {
			sum += number(s.Value)
		}
		if f.counter {
			sum = max(sum, r.values[i])
		}
		r.values[i] = sum
		rest = rest[len(f.from):]
	}
	r.distributions.read(rest)
}
