// Package history keeps the recent past of a registry: the values of all series at each step, in a
// bounded number of bytes. Package dashboard serves it to its page.
//
// A value is in a slot. A step has records of the slots that changed, as differences. The ring has the
// values of all slots at the newest step and before the oldest step, so that a response can begin at the
// oldest step.
package history

import (
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
	"unsafe"
)

// A Config has the limits of a Ring. All fields must be above 0.
type Config struct {
	Range    time.Duration // steps older than the newest step less Range are dropped
	Step     time.Duration // the time between two steps, which responses state
	MaxBytes int           // of the ring, without a response that is being made
}

// A Ring has the values of the series of a registry at the last steps. All methods are safe for
// concurrent use.
type Ring struct {
	config Config
	id     uint64
	sample sync.Mutex // held by Sample; locked before mu

	mu    sync.Mutex
	clock clock
	dictionary
	last []float64 // by slot: the value at the newest step; NaN if absent
	base []float64 // by slot: the value before the oldest step

	steps     []step // the oldest first
	stepBytes int
	number    uint64 // of the newest step; the first step has number 1
	leftOut   int    // series of the newest step that had no room

	present int               // series of the newest step
	absent  map[uint32]uint64 // the series that are absent, with the step at which they left
	leaving []departure       // by step

	walk walk
}

// A step has what changed since the step before. It is never changed.
type step struct {
	number  uint64
	at      int64 // Unix milliseconds
	payload []byte
	additions
}

// additions are the parts of the dictionary that are new or changed at a step.
type additions struct {
	families, columns, series []span
	buckets                   []run // of native buckets
}

// A departure is a series that became absent at a step, or that has a native bucket that did.
type departure struct {
	step   uint64
	series uint32
}

// New returns an empty Ring.
func New(c Config) *Ring {
	r := &Ring{config: c, id: rand.Uint64() | 1, absent: map[uint32]uint64{}}
	r.dictionary.init()
	r.walk.ring = r
	r.walk.init()
	return r
}

// Sample adds a step. It calls write with a writer for Registry.WriteProtobufContext: the writer
// selects a format without text. If write returns an error or panics before it passes a family, no
// step is added. After a later error or panic, the step has the series that write passed, and the
// other series keep their values.
//
// Sample locks the ring only while write passes values. Functions of the program run before.
func (r *Ring) Sample(now time.Time, write func(w io.Writer) error) (err error) {
	r.sample.Lock()
	defer r.sample.Unlock()
	w := &r.walk
	complete := false
	defer func() { // write may panic
		if !w.locked {
			if !complete {
				return
			}
			w.begin() // a registry without series
		}
		r.addStepLocked(now, complete)
		w.locked = false
		r.mu.Unlock()
	}()
	err = write(w)
	complete = err == nil
	return err
}

// addStepLocked ends the walk and adds its step.
func (r *Ring) addStepLocked(now time.Time, complete bool) {
	w := &r.walk
	if complete {
		w.leave()
	} else {
		w.stay()
	}
	r.leftOut = w.leftOut
	s := step{number: r.number, at: r.clock.now(now), payload: slices.Clone(w.payload), additions: w.added}
	if cap(w.payload) > 2*len(w.payload)+maxIdle {
		w.payload = nil
	}
	w.added, w.family, w.before = additions{}, nil, nil // keep no memory of the registry
	r.steps = append(r.steps, s)
	r.stepBytes += s.bytes()
	oldest := s.at - r.config.Range.Milliseconds()
	for len(r.steps) > 0 && (r.steps[0].at < oldest || r.bytes() > r.config.MaxBytes) {
		r.dropLocked()
	}
}

// maxIdle is the number of bytes that an unused buffer may keep.
const maxIdle = 64 << 10

// dropLocked drops the oldest step.
func (r *Ring) dropLocked() {
	s := &r.steps[0]
	apply(r.base, s.payload)
	dropped := s.number
	r.stepBytes -= s.bytes()
	*s = step{}
	r.steps = r.steps[1:]
	n := 0
	for ; n < len(r.leaving) && r.leaving[n].step <= dropped; n++ {
		id := r.leaving[n].series
		switch at, ok := r.absent[id]; {
		case ok && at <= dropped:
			delete(r.absent, id)
			r.forget(id)
		case r.natives[id] != nil:
			r.forgetBuckets(id, dropped)
		}
	}
	if r.leaving = r.leaving[n:]; len(r.leaving) == 0 {
		r.leaving = nil // its room counts
	}
}

// forget releases a series that no step has, and its slots.
func (r *Ring) forget(id uint32) {
	if r.natives[id] != nil {
		r.forgetBuckets(id, math.MaxUint64)
	}
	r.removeSeries(id)
}

func (s *step) bytes() int {
	spans := cap(s.families) + cap(s.columns) + cap(s.series)
	return cap(s.payload) + spans*int(unsafe.Sizeof(span{})) + cap(s.buckets)*int(unsafe.Sizeof(run{})) + int(unsafe.Sizeof(*s))
}

// bytes returns the memory of the ring.
func (r *Ring) bytes() int { return r.dictionaryBytes() + r.stepBytes + cap(r.walk.payload) }

// dictionaryBytes returns the memory of the dictionary and of what the ring has for each slot and
// series.
func (r *Ring) dictionaryBytes() int {
	return r.dictionary.bytes() + 8*(cap(r.last)+cap(r.base)) +
		len(r.absent)*absentBytes + cap(r.leaving)*int(unsafe.Sizeof(departure{}))
}

// absentBytes is the memory of an entry of Ring.absent.
const absentBytes = 32

// Stats describes a Ring.
type Stats struct {
	Steps, Families, Series, Slots int
	LeftOut                        int // series of the newest step that had no room
	Bytes, DictionaryBytes         int // of the ring, and of the part besides the steps
	PayloadBytes                   int // of the newest step
}

// Stats returns the present sizes of r.
func (r *Ring) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := Stats{
		Steps: len(r.steps), Families: r.byName.n, Series: r.table.n, Slots: len(r.last),
		LeftOut: r.leftOut, Bytes: r.bytes(), DictionaryBytes: r.dictionaryBytes(),
	}
	if n := len(r.steps); n > 0 {
		s.PayloadBytes = len(r.steps[n-1].payload)
	}
	return s
}
