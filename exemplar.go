package tacho

import (
	"sync/atomic"
	"time"
	"unicode/utf8"
	"unsafe"
)

// An exemplar points from a sample to one event that is in it, such as the trace
// of a request (OpenMetrics 1.0, "Exemplars"). Nobody changes one: recording
// another replaces it.
type exemplar struct {
	_      incomparable
	fam    *family // whom to charge bad input to
	labels string  // rendered: `{trace_id="abc"}`; "" for no exemplar yet
	value  float64
	at     int64    // Unix milliseconds
	own    [56]byte // where labels are if they fit, such as one trace ID: one allocation for both
}

// maxExemplarRunes is how long the names and values of an exemplar's labels may
// be together, in UTF-8 code points (OpenMetrics 1.0, "Exemplars").
const maxExemplarRunes = 128

// An exemplarSlot holds the latest exemplar of a counter or a bucket. It starts
// with one that says no more than whose it is, shared by a whole family, so that
// a counter can be charged for a bad exemplar without a field of its own for it.
type exemplarSlot struct {
	_ incomparable
	p atomic.Pointer[exemplar]
}

// family returns whom the slot belongs to; nil for a metric that no registry made.
func (s *exemplarSlot) family() *family {
	if x := s.p.Load(); x != nil {
		return x.fam
	}
	return nil
}

// load returns the latest exemplar, or nil.
func (s *exemplarSlot) load() *exemplar {
	if x := s.p.Load(); x != nil && x.labels != "" {
		return x
	}
	return nil
}

// record replaces the exemplar by one of value v, now. Labels are name, value,
// name, value.
func (s *exemplarSlot) record(f *family, v float64, labels []string) {
	if f == nil {
		return // not made by a registry, so no scrape shows it
	}
	x := &exemplar{fam: f, value: v, at: time.Now().UnixMilli()}
	block, ok := appendExemplarBlock(x.own[:0], labels)
	if !ok {
		f.fault(reasonExemplar)
		return
	}
	x.labels = unsafe.String(unsafe.SliceData(block), len(block))
	s.p.Store(x)
}

// appendExemplarBlock appends the labels of an exemplar, unless they are not pairs,
// too long, or have a bad or repeated name, or a NUL, which Prometheus' parser
// accepts in label values but not here.
func appendExemplarBlock(b []byte, pairs []string) ([]byte, bool) {
	if len(pairs)%2 != 0 {
		return nil, false
	}
	sep, runes := byte('{'), 0
	for i := 0; i < len(pairs); i += 2 {
		name := pairs[i]
		if !validLabelName(name) || nameRepeats(pairs, i) {
			return nil, false
		}
		if len(pairs[i+1]) > maxExemplarRunes*utf8.UTFMax || indexByte(pairs[i+1], 0) >= 0 {
			return nil, false // before it is copied
		}
		value := pairs[i+1]
		if !utf8.ValidString(value) {
			value = string(appendValid(nil, value))
		}
		b, sep = appendLabel(b, sep, name, value), ','
		runes += len(name) + utf8.RuneCountInString(value)
	}
	if runes > maxExemplarRunes {
		return nil, false
	}
	return append(b, '}'), true
}

// nameRepeats reports whether the name at i stands among the pairs before it.
func nameRepeats(pairs []string, i int) bool {
	for j := 0; j < i; j += 2 {
		if pairs[j] == pairs[i] {
			return true
		}
	}
	return false
}
