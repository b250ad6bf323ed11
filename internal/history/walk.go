package history

import (
	"bytes"
	"math"
	"unsafe"

	"github.com/tachikoma/tacho/internal/expo"
	"github.com/tachikoma/tacho/internal/names"
	"github.com/tachikoma/tacho/internal/native"
)

// A walk receives the samples of one step. It implements [expo.Chooser] and [expo.Reader].
//
// Most walks have the series of the walk before in the same order. So a walk compares each sample with
// the series that followed last time, and searches only if the two differ.
type walk struct {
	ring   *Ring
	format *expo.Format
	locked bool // Ring.mu is held; the ring is changed

	family  *expo.Family   // the current family
	texts   bool           // family.texts keeps the memory of its blocks
	lasting bool           // the texts of family last as long as their registry
	before  unsafe.Pointer // family.texts of the last walk
	id      uint32         // of the family; none if the ring does not have it
	shape   uint32         // of the last sample of the family; none if unknown
	bounds  *expo.Bounds   // of shape
	key     []byte         // the columns of shape, if the ring does not have it or it is a summary's
	more    []byte         // for the key of the next summary

	first   uint32 // the first series of the last walk
	last    uint32 // the series of the last sample; none before the first
	next    uint32 // the series that followed in the last walk; none if unknown
	number  uint32 // of the step
	visited int    // series
	entered int    // visited series that the step before does not have

	payload []byte
	slot    int // of the last record
	added   additions
	leftOut int
	refused int // the least growth that the dictionary had no room for
}

func (w *walk) init() {
	w.format, w.first = expo.Reading(w), none
}

// Choose implements [expo.Chooser].
func (w *walk) Choose(bool) (*expo.Format, names.Scheme) { return w.format, names.AllowUTF8 }

// Write implements io.Writer. The format writes nothing.
func (w *walk) Write(p []byte) (int, error) { return len(p), nil }

// begin locks the ring for the values of the next step.
func (w *walk) begin() {
	w.ring.mu.Lock()
	w.locked = true
	w.ring.number++
	w.family, w.last, w.next = nil, none, w.first
	w.payload, w.slot = w.payload[:0], -1
	w.leftOut, w.refused = 0, math.MaxInt
	w.number, w.visited, w.entered = uint32(w.ring.number), 0, 0
}

// Begin implements [expo.Reader].
func (w *walk) Begin(f *expo.Family, texts unsafe.Pointer) {
	if !w.locked {
		w.begin()
	}
	same := w.family != nil && w.family.Name == f.Name
	w.shape, w.bounds = none, nil
	w.family, w.id = f, w.findFamily(f)
	w.useTexts(texts, same)
	if w.id != none && !same {
		w.describe(f)
	}
}

// describe sets the unit and the help of the current family if they changed and have room.
func (w *walk) describe(f *expo.Family) {
	own := &w.ring.families[w.id]
	if own.unit == f.Unit && own.help == f.Help {
		return
	}
	n := copyBytes(f.Unit) + copyBytes(f.Help) - own.descriptionBytes()
	if n > 0 && !w.fits(n) {
		return
	}
	w.ring.describe(w.id, f)
	w.added.families = appendSpan(w.added.families, w.id, 1)
}

// useTexts makes the walk note and compare addresses of the current family if texts is not nil.
func (w *walk) useTexts(texts unsafe.Pointer, same bool) {
	w.texts, w.lasting = false, texts != nil // a family that keeps its blocks keeps its name and help
	if w.id == none {
		return
	}
	f := &w.ring.families[w.id]
	f.step = w.number
	if same {
		f.mixed = true
	}
	if f.mixed {
		texts = nil
	}
	if f.texts != nil && texts == nil {
		w.ring.forgetAddresses()
	}
	// Until the end of the family, its addresses are compared with those of the last walk.
	w.before, f.texts = f.texts, texts
	w.texts = texts != nil
}

func (w *walk) findFamily(f *expo.Family) uint32 {
	r := w.ring
	if next := w.next; next != none && r.series[next].shape != none {
		id := r.shapes[r.series[next].shape].family
		if own := &r.families[id]; own.name == f.Name && own.kind == f.Kind {
			return id
		}
	}
	return r.byName.find(r.families, f.Name, f.Kind)
}

// findShape sets w.shape to the shape of the current family with the columns w.key.
func (w *walk) findShape(bounds *expo.Bounds) {
	w.shape, w.bounds = none, bounds
	if w.id == none {
		return
	}
	for id := w.ring.families[w.id].shape; id != none; id = w.ring.shapes[id].after {
		if w.ring.shapes[id].key == string(w.key) {
			w.shape = id
			w.ring.shapes[id].bounds = bounds
			return
		}
	}
}

// visit returns the first slot of a sample, and makes its series the last series. ok is false if the
// ring has no room for the series, or the walk visited it already.
func (w *walk) visit(block string) (slot uint32, ok bool) {
	r := w.ring
	id := w.next
	if uint(id) >= uint(len(r.series)) { // none is not less than any length
		return w.search(block)
	}
	s := &r.series[id]
	if s.address != addressOf(block) || s.shape != w.shape || s.step != w.number-1 {
		return w.search(block)
	}
	s.step = w.number
	w.visited++
	w.last, w.next = id, s.next
	return s.slot, true
}

// addressOf returns the address of a label block. Memory in use does not change, and no block is the begin of
// another block. So two blocks at the same address are the same block while family.texts keeps the memory.
func addressOf(s string) address {
	p := uint64(uintptr(unsafe.Pointer(unsafe.StringData(s))))
	return address{uint32(p), uint32(p >> 32)}
}

// search is visit for a sample whose address is not that of the series that followed last time.
func (w *walk) search(block string) (slot uint32, ok bool) {
	r := w.ring
	id := w.next
	if id == none || !r.is(id, w.shape, block) {
		if id = w.findOrAdd(block); id == none {
			w.leftOut++
			return 0, false
		}
	}
	s := &r.series[id]
	if w.texts {
		s.address = addressOf(block)
	}
	w.last, w.next = id, s.next
	if s.step == w.number {
		return 0, false
	}
	if s.step != w.number-1 {
		delete(r.absent, id)
		w.entered++
	}
	s.step = w.number
	w.visited++
	return s.slot, true
}

// findOrAdd returns the series of a sample, which follows the last series, or none if there is no room.
func (w *walk) findOrAdd(block string) uint32 {
	r := w.ring
	id := r.find(w.shape, block)
	if id == none {
		if id = w.add(block); id == none {
			return none
		}
	}
	if w.last == none {
		w.first = id
	} else {
		r.series[w.last].next = id
	}
	return id
}

// add adds a series of the current family, or returns none if there is no room.
func (w *walk) add(block string) uint32 {
	r := w.ring
	if !w.room(block) {
		return none
	}
	if w.id == none {
		w.id = r.addFamily(w.family, w.lasting)
		r.families[w.id].step = w.number
		w.added.families = appendSpan(w.added.families, w.id, 1)
	}
	if w.shape == none {
		var fresh bool
		if w.shape, fresh = r.addShape(w.id, w.key, w.bounds); fresh {
			w.addColumns(r.shapes[w.shape].columnSet)
		}
	}
	s := &r.shapes[w.shape]
	s.refs++
	id := r.seriesID.take(1)
	r.table.add(id, series{shape: w.shape, slot: w.takeSlots(s.n), next: none, step: none}, block)
	w.added.series = appendSpan(w.added.series, id, 1)
	return id
}

func (w *walk) addColumns(set *columnSet) {
	w.added.columns = appendSpan(w.added.columns, set.first, set.n)
}

// takeSlots returns the first of n slots, whose values are absent.
func (w *walk) takeSlots(n uint32) uint32 {
	r := w.ring
	first := r.slotID.take(n)
	for range int(first) + int(n) - len(r.last) {
		r.last = append(grow(r.last, 1), math.NaN())
		r.base = append(grow(r.base, 1), math.NaN())
	}
	return first
}

// room reports whether the ring may grow by a series of the current family.
func (w *walk) room(block string) bool {
	r := w.ring
	n := len(w.key) / columnKey // columns
	need := r.table.growth(r.seriesID.new(1), len(block))
	if w.shape != none {
		n = int(r.shapes[w.shape].n)
	} else {
		need += setBytes + len(w.key) + growth(r.shapes, r.shapeID.new(1)) + growth(r.columns, r.columnID.new(uint32(n)))
	}
	if w.id == none {
		need += growth(r.families, r.familyID.new(1)) + r.byName.growth()
		if !w.lasting {
			need += copyBytes(w.family.Name) + copyBytes(w.family.Unit) + copyBytes(w.family.Help)
		}
	}
	need += 2 * growth(r.last, r.slotID.new(uint32(n)))
	return w.fits(need) && uint64(len(r.text)+textSize(len(block))) < none
}

// fits reports whether the dictionary may grow by n bytes. It has five eighths of the memory at most. A
// record needs fewer bytes than its part of the dictionary, so at least one step has room. The lists of
// released numbers do not count: otherwise a full dictionary would have no room after all series are gone.
func (w *walk) fits(n int) bool {
	if n >= w.refused {
		return false
	}
	r, limit := w.ring, w.ring.config.MaxBytes
	if r.dictionaryBytes()-r.releasedBytes()+n <= limit/2+limit/8 {
		return true
	}
	w.refused = n
	return false
}

// record sets the value of a slot.
func (w *walk) record(slot uint32, v float64) {
	if last := w.ring.last[slot]; v != last {
		w.change(slot, last, v)
	}
}

// change records a value that differs from the last value, or is NaN.
func (w *walk) change(slot uint32, last, v float64) {
	if v != v && last != last {
		return
	}
	w.write(slot, last, v)
	w.ring.last[slot] = v
}

// write adds a record to the payload.
func (w *walk) write(slot uint32, last, v float64) {
	w.payload = appendRecord(w.payload, int(slot)-w.slot-1, last, v)
	w.slot = int(slot)
}

// Float implements [expo.Reader].
func (w *walk) Float(block string, v float64) {
	if w.shape == none {
		w.key = append(w.key[:0], valueColumns...)
		w.findShape(nil)
	}
	if slot, ok := w.visit(block); ok {
		w.record(slot, v)
	}
}

// Histogram implements [expo.Reader].
func (w *walk) Histogram(block string, bounds *expo.Bounds, counts []uint64, sum float64, n *native.Snapshot) {
	if w.shape == none || w.bounds != bounds {
		w.useBounds(bounds)
	}
	slot, ok := w.visit(block)
	if !ok {
		return
	}
	w.record(slot, sum)
	for i, count := range counts {
		w.record(slot+1+uint32(i), float64(count))
	}
	if n != nil || w.ring.natives[w.last] != nil {
		w.native(w.last, n)
	}
}

// useBounds sets w.shape to the shape with these bounds.
func (w *walk) useBounds(bounds *expo.Bounds) {
	if w.id != none {
		for id := w.ring.families[w.id].shape; id != none; id = w.ring.shapes[id].after {
			if w.ring.shapes[id].bounds == bounds {
				w.shape, w.bounds = id, bounds
				return
			}
		}
	}
	w.key = appendBounds(w.key[:0], bounds)
	w.findShape(bounds)
}

// Summary implements [expo.Reader].
func (w *walk) Summary(block string, s *expo.Distribution) {
	w.more = appendQuantiles(w.more[:0], s.Quantiles)
	if w.shape == none || !bytes.Equal(w.more, w.key) {
		w.key, w.more = w.more, w.key
		w.findShape(nil)
	}
	slot, ok := w.visit(block)
	if !ok {
		return
	}
	w.record(slot, s.Sum)
	w.record(slot+1, float64(s.Count))
	for i, q := range s.Quantiles {
		w.record(slot+2+uint32(i), q.Value)
	}
}

// leave makes the series absent that the walk did not visit.
func (w *walk) leave() {
	r := w.ring
	gone := r.present - (w.visited - w.entered)
	r.present = w.visited
	for id := 0; gone > 0; id++ {
		if s := &r.series[id]; s.step == w.number-1 && s.shape != none {
			w.leaveSeries(uint32(id), s)
			gone--
		}
	}
}

func (w *walk) leaveSeries(id uint32, s *series) {
	r := w.ring
	for slot := s.slot; slot < s.slot+r.shapes[s.shape].n; slot++ {
		w.record(slot, math.NaN())
	}
	if r.natives[id] != nil {
		w.native(id, nil)
	}
	if f := &r.families[r.shapes[s.shape].family]; f.step != w.number {
		f.texts = nil // the registry may have no such family any more
	}
	s.address = address{}
	r.absent[id] = r.number
	r.leaving = append(r.leaving, departure{r.number, id})
}

// stay lets the series that the walk did not visit in the step.
func (w *walk) stay() {
	r := w.ring
	r.present += w.entered
	for id := range r.series {
		if s := &r.series[id]; s.step == w.number-1 {
			s.step = w.number
		}
	}
	r.forgetAddresses() // family.texts may keep other memory
}

// forgetAddresses makes the walk compare texts.
func (r *Ring) forgetAddresses() {
	for id := range r.series {
		r.series[id].address = address{}
	}
}
