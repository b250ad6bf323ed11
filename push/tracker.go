//go:build !tacho_nohttp

package push

import (
	"encoding/binary"
	"hash/maphash"
	"slices"
	"time"
)

// markerAge limits the time for which a stale marker is sent again after failed pushes.
// After the lookback time of Prometheus, the series is not visible anyway.
const markerAge = 5 * time.Minute

// A tracker compares the series of a push with a sentSeries.
type tracker struct {
	old *sentSeries

	// The next series of old.present.
	chunk int    // index of its chunk
	rest  []byte // of the chunk
	at    int    // its number

	changed bool       // the series of the push differ from old.present
	next    seriesList // the series of the push, if changed is true
	shared  int        // number of the first chunks of next that are those of old.present
	index   *seriesIndex
}

// begin prepares t for a push.
func (t *tracker) begin(old *sentSeries) {
	*t = tracker{old: old}
	if len(old.present.chunks) > 0 {
		t.rest = old.present.chunks[0]
	}
}

// add adds a series of the push.
func (t *tracker) add(key []byte, native, timed bool) {
	if t.changed {
		t.slow(seriesRecord{key, native, timed})
		return
	}
	if len(t.rest) == 0 && t.chunk+1 < len(t.old.present.chunks) {
		t.chunk++
		t.rest = t.old.present.chunks[t.chunk]
	}
	if len(t.rest) > 0 {
		head, n := uint64(t.rest[0]), 1
		switch {
		case head < 1<<7:
		case t.rest[1] < 1<<7: // most records
			head, n = head&0x7f|uint64(t.rest[1])<<7, 2
		default:
			head, n = binary.Uvarint(t.rest)
		}
		end := n + int(head>>2)
		if string(t.rest[n:end]) == string(key) && (head&nativeFlag != 0) == native && (timed || head&timedFlag == 0) {
			t.rest = t.rest[end:]
			t.at++
			return
		}
	}
	t.slow(seriesRecord{key, native, timed})
}

// slow is add after the first difference.
func (t *tracker) slow(r seriesRecord) {
	if !t.changed {
		t.change()
	}
	x := t.find()
	i := t.at
	if i >= t.old.present.n || x.seen[i] || string(x.record(i).key) != string(r.key) {
		i = x.find(r.key)
	}
	switch {
	case i < 0: // new
		i = x.insert(r.key)
	case x.seen[i]: // a second time in this push
		if !r.timed {
			t.setUntimed(i)
		}
		return
	default:
		x.seen[i] = true
		r.timed = r.timed && x.record(i).timed
		t.at = i + 1
	}
	x.places[i] = t.next.add(r)
}

// change begins t.next with the series before the next series of t.old.present.
func (t *tracker) change() {
	t.changed = true
	if len(t.old.present.chunks) == 0 {
		return
	}
	t.next.n = t.at
	for i, chunk := range t.old.present.chunks[:t.chunk+1] {
		if i == t.chunk { // further records follow in this chunk
			if chunk = chunk[:len(chunk)-len(t.rest)]; len(chunk) == 0 {
				break // add compares the next series only with a chunk that is not empty
			}
			chunk = append(make([]byte, 0, max(len(chunk), min(t.old.present.size, maxSeriesChunk))), chunk...)
		} else {
			chunk, t.shared = slices.Clip(chunk), i+1
		}
		t.next.chunks = append(t.next.chunks, chunk)
		t.next.size += len(chunk)
	}
}

// setUntimed sets the flag timed of a series of the push to false.
func (t *tracker) setUntimed(i int) {
	if !t.index.record(i).timed {
		return
	}
	for j, chunk := range t.next.chunks[:t.shared] { // a sentSeries does not change
		t.next.chunks[j] = slices.Clone(chunk)
	}
	t.shared = 0
	t.index.bytes(i)[0] &^= timedFlag
}

// find returns the index of t.old.
func (t *tracker) find() *seriesIndex {
	if t.index == nil {
		t.index = newSeriesIndex(t.old, &t.next)
		for i := range t.at { // change has copied these records
			t.index.seen[i], t.index.places[i].next = true, true
		}
	}
	return t.index
}

// end returns the sentSeries after the push. A series that is not in the push at the time now is missing,
// and remains so for markerAge.
func (t *tracker) end(now int64) *sentSeries {
	old := t.old
	if !t.changed && t.at < old.present.n {
		t.change()
	}
	if !t.changed && len(old.missing) == 0 {
		return old
	}
	s := &sentSeries{present: old.present}
	for _, m := range old.missing {
		if now-m.since <= markerAge.Milliseconds() {
			s.missing = append(s.missing, m)
		}
	}
	if !t.changed {
		return s
	}
	s.present, s.missing = t.next, nil
	x := t.find()
	i := 0
	add := func(since int64, list *seriesList, keep bool) {
		m := missingSeries{since: since}
		list.each(func(r seriesRecord) {
			if keep && !r.timed && !x.seen[i] {
				m.list.add(r)
			}
			i++
		})
		if m.list.n > 0 {
			s.missing = append(s.missing, m)
		}
	}
	add(now, &old.present, true)
	for j := range old.missing {
		m := &old.missing[j]
		add(m.since, &m.list, now-m.since <= markerAge.Milliseconds())
	}
	return s
}

// A seriesIndex finds series by their keys. The series of a sentSeries have numbers in the order of
// sentSeries.each, and the new series of a push have the numbers that follow.
type seriesIndex struct {
	chunks [][]byte    // of the sentSeries
	next   *seriesList // the series of the push
	places []seriesPlace
	seen   []bool   // in the push
	slots  []uint32 // a hash table: numbers plus one
}

var seriesSeed = maphash.MakeSeed()

func newSeriesIndex(s *sentSeries, next *seriesList) *seriesIndex {
	n := s.number()
	x := &seriesIndex{next: next, places: make([]seriesPlace, 0, n), seen: make([]bool, n)}
	x.addChunks(s.present.chunks)
	for _, m := range s.missing {
		x.addChunks(m.list.chunks)
	}
	x.setSlots()
	return x
}

func (x *seriesIndex) addChunks(chunks [][]byte) {
	for _, chunk := range chunks {
		for rest := chunk; len(rest) > 0; {
			x.places = append(x.places, seriesPlace{false, uint32(len(x.chunks)), uint32(len(chunk) - len(rest))})
			_, rest = cutRecord(rest)
		}
		x.chunks = append(x.chunks, chunk)
	}
}

// setSlots makes the hash table, with room for as many further series.
func (x *seriesIndex) setSlots() {
	size := 16
	for size < 4*len(x.places) {
		size *= 2
	}
	x.slots = make([]uint32, size)
	for i := range x.places {
		x.slots[x.slot(x.record(i).key)] = uint32(i) + 1
	}
}

// bytes returns the memory that begins with the record of the series with the number i.
func (x *seriesIndex) bytes(i int) []byte {
	p := x.places[i]
	if p.next {
		return x.next.chunks[p.chunk][p.at:]
	}
	return x.chunks[p.chunk][p.at:]
}

// record returns the series with the number i.
func (x *seriesIndex) record(i int) seriesRecord {
	r, _ := cutRecord(x.bytes(i))
	return r
}

// slot returns the index of the slot of a key, which is 0 if there is no series with the key.
func (x *seriesIndex) slot(key []byte) int {
	at := int(maphash.Bytes(seriesSeed, key)) & (len(x.slots) - 1)
	for x.slots[at] != 0 && string(x.record(int(x.slots[at])-1).key) != string(key) {
		at = (at + 1) & (len(x.slots) - 1)
	}
	return at
}

// find returns the number of the series with this key. Without such a series, it returns -1.
func (x *seriesIndex) find(key []byte) int { return int(x.slots[x.slot(key)]) - 1 }

// insert adds a new series. The caller sets its place.
func (x *seriesIndex) insert(key []byte) (i int) {
	if 2*len(x.places) >= len(x.slots) {
		x.setSlots()
	}
	i = len(x.places)
	x.slots[x.slot(key)] = uint32(i) + 1
	x.places, x.seen = append(x.places, seriesPlace{}), append(x.seen, true)
	return i
}
