// Package exemplar stores exemplars: references from a sample to one event in the sample,
// such as the trace of a request (OpenMetrics 1.0, "Exemplars").
package exemplar

import (
	"sync/atomic"
	"time"
	"unicode/utf8"
	"unsafe"

	"github.com/tachikoma/tacho/internal/escape"
	"github.com/tachikoma/tacho/internal/label"
	"github.com/tachikoma/tacho/internal/names"
	"github.com/tachikoma/tacho/internal/stringslite"
)

// An Exemplar never changes: a new Exemplar replaces it.
type Exemplar struct {
	_      [0]func()      // no ==; see internal/SIZE.md
	origin unsafe.Pointer // *Origin; see internal/SIZE.md
	Labels string         // rendered, as `{trace_id="abc"}`; "" for none
	Value  float64
	At     int64    // Unix milliseconds
	own    [56]byte // holds Labels if they fit, such as one trace ID: one allocation for both
}

// An Origin is shared by the exemplars of a family. A metric reaches its Origin through its slots, so
// that the metric needs no further field.
type Origin struct {
	_     [0]func()           // no ==; see internal/SIZE.md
	Fault func(reason string) // counts a refused recording of the family
	Hook  unsafe.Pointer      // of a type that the family knows, or nil
}

// None returns an Exemplar without labels, in which the slots of a family start.
func None(o *Origin) *Exemplar { return &Exemplar{origin: unsafe.Pointer(o)} }

// OriginOf returns the argument of [None] for the slots of a family, from any of their exemplars.
// x must not be from [New].
func OriginOf(x *Exemplar) *Origin { return (*Origin)(x.origin) }

// maxRunes is the maximum of the names and values of an exemplar's labels together, in
// UTF-8 code points (OpenMetrics 1.0, "Exemplars").
const maxRunes = 128

// A Slot holds the latest exemplar of a counter or a bucket. In a metric that no registry
// made the slot is zero, and all methods do nothing.
type Slot struct {
	_ [0]func()            // no ==; see internal/SIZE.md
	p atomic.Pointer[byte] // an Exemplar; atomic.Pointer[Exemplar] is larger, see internal/SIZE.md
}

func (s *Slot) load() *Exemplar { return (*Exemplar)(unsafe.Pointer(s.p.Load())) }

func (s *Slot) store(x *Exemplar) { s.p.Store((*byte)(unsafe.Pointer(x))) }

// Init sets the first Exemplar; see [None].
func (s *Slot) Init(none *Exemplar) { s.store(none) }

// Is reports whether the slot still holds none.
func (s *Slot) Is(none *Exemplar) bool { return s.load() == none }

// Fault counts a refused recording of the family.
func (s *Slot) Fault(reason string) {
	if x := s.load(); x != nil {
		OriginOf(x).Fault(reason)
	}
}

// HookOf returns the hook of the family of a slot, or nil; see [Origin]. HookOf returns nil for a slot
// that is not initialized.
func HookOf(s *Slot) unsafe.Pointer {
	if x := s.load(); x != nil {
		return OriginOf(x).Hook
	}
	return nil
}

// Load returns the latest exemplar, or nil.
func (s *Slot) Load() *Exemplar {
	if x := s.load(); x != nil && x.Labels != "" {
		return x
	}
	return nil
}

// Copy sets the slot to the exemplar of another slot. from must be initialized.
func (s *Slot) Copy(from *Slot) { s.store(from.load()) }

// Slots are the slots of the buckets of a histogram. The zero Slots have none. An
// atomic.Pointer[[]Slot] is larger; see internal/SIZE.md.
type Slots struct {
	_ [0]func() // no ==; see internal/SIZE.md
	p atomic.Pointer[byte]
}

// Load returns the slots, or nil if there are none.
func (s *Slots) Load() *[]Slot { return (*[]Slot)(unsafe.Pointer(s.p.Load())) }

// Set sets the slots unless there are some.
func (s *Slots) Set(slots *[]Slot) { s.p.CompareAndSwap(nil, (*byte)(unsafe.Pointer(slots))) }

// Newest returns the slot of the newest exemplar. If no slot has an exemplar, it returns the first
// slot. slots must not be empty.
func Newest(slots []Slot) *Slot {
	newest := &slots[0]
	for i := range slots {
		if slots[i].load().At > newest.load().At {
			newest = &slots[i]
		}
	}
	return newest
}

// Oldest returns the first slot without an exemplar, or the slot of the oldest exemplar. slots must not be
// empty.
func Oldest(slots []Slot) *Slot {
	oldest := &slots[0]
	for i := range slots {
		if slots[i].load().At < oldest.load().At {
			oldest = &slots[i]
		}
	}
	return oldest
}

// Record replaces the exemplar by an exemplar of value v and the current time, with labels
// given as name, value, name, value. Bad labels leave the exemplar as it is and are counted
// with the reason "exemplar".
func (s *Slot) Record(v float64, labels []string) {
	last := s.load()
	if last == nil {
		return
	}
	x := &Exemplar{origin: last.origin, Value: v, At: time.Now().UnixMilli()}
	block, ok := appendBlock(x.own[:0], labels)
	if !ok {
		OriginOf(x).Fault(refused)
		return
	}
	x.Labels = unsafe.String(unsafe.SliceData(block), len(block)) // nothing writes to block after this
	s.store(x)
}

// refused is the reason of an exemplar with bad labels.
const refused = "exemplar"

// appendBlock appends the labels of an exemplar. ok is false if the labels are not
// pairs, are too long, or have a bad or repeated name, or a NUL. Prometheus' parser
// accepts a NUL in label values, but not in exemplars.
func appendBlock(b []byte, pairs []string) (_ []byte, ok bool) {
	if len(pairs)%2 != 0 {
		return nil, false
	}
	sep, runes := byte('{'), 0
	for i := 0; i < len(pairs); i += 2 {
		name, value := pairs[i], pairs[i+1]
		if !names.ValidLabel(name) || repeats(pairs, i) {
			return nil, false
		}
		if len(value) > maxRunes*utf8.UTFMax || stringslite.IndexByte(value, 0) >= 0 {
			return nil, false // before value is copied
		}
		if !utf8.ValidString(value) {
			value = escape.Valid(value)
		}
		b, sep = label.Append(b, sep, name, value), ','
		runes += len(name) + utf8.RuneCountInString(value)
	}
	if runes > maxRunes {
		return nil, false
	}
	return append(b, '}'), true
}

// repeats reports whether the name at i is also a name before i.
func repeats(pairs []string, i int) bool {
	for j := 0; j < i; j += 2 {
		if pairs[j] == pairs[i] {
			return true
		}
	}
	return false
}
