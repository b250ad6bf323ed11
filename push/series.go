//go:build !tacho_nohttp

package push

import (
	"encoding/binary"
	"hash/maphash"
)

// A receiver needs a stale marker for each series that is missing from a push. So a pusher keeps the series
// that the receiver may have. Most pushes have the same series in the same order as the push before. The
// series are therefore kept in this order, and each series is compared with the next one of the push
// before.

// sentSeries has the series that a receiver may have. A sentSeries does not change.
type sentSeries struct {
	present seriesList      // of the latest push
	missing []missingSeries // by the time of the first push without them
}

// missingSeries are series that need stale markers.
type missingSeries struct {
	since int64 // time of the first push without the series in Unix milliseconds
	list  seriesList
}

// number returns the number of series.
func (s *sentSeries) number() int {
	n := s.present.n
	for _, m := range s.missing {
		n += m.list.n
	}
	return n
}

// each calls f for each series that needs a stale marker at the end.
func (s *sentSeries) each(f func(r seriesRecord)) {
	s.present.each(f)
	for _, m := range s.missing {
		m.list.each(f)
	}
}

// A seriesList has series in the order of a push. Chunks hold the records of the series, so that the list
// has few pointers.
type seriesList struct {
	chunks [][]byte // not changed after the next chunk begins
	n      int      // number of series
	size   int      // of all records
}

const (
	minSeriesChunk = 1 << 10
	maxSeriesChunk = 16 << 10
)

// A seriesRecord is a series in a seriesList: the length of the key and the flags as a varint, and the key.
type seriesRecord struct {
	key    []byte // encoded labels of version 1.0
	native bool
	timed  bool // all samples had times of their own, so the series gets no stale marker
}

// head returns the varint before the key.
func (r seriesRecord) head() uint64 {
	h := uint64(len(r.key)) << 2
	if r.native {
		h |= 1
	}
	if r.timed {
		h |= 2
	}
	return h
}

// cutRecord returns the first record of chunk, and the rest of chunk. chunk must not be empty.
func cutRecord(chunk []byte) (r seriesRecord, rest []byte) {
	head, n := binary.Uvarint(chunk)
	end := n + int(head>>2)
	return seriesRecord{chunk[n:end:end], head&1 != 0, head&2 != 0}, chunk[end:]
}

// add appends a series.
func (l *seriesList) add(r seriesRecord) {
	head := r.head()
	need := sizeUvarint(head) + len(r.key)
	last := len(l.chunks) - 1
	if last < 0 || cap(l.chunks[last])-len(l.chunks[last]) < need {
		size := max(need, min(max(l.size, minSeriesChunk), maxSeriesChunk))
		l.chunks = append(l.chunks, make([]byte, 0, size))
		last++
	}
	l.chunks[last] = append(binary.AppendUvarint(l.chunks[last], head), r.key...)
	l.n++
	l.size += need
}

// each calls f for each series.
func (l *seriesList) each(f func(r seriesRecord)) {
	for _, chunk := range l.chunks {
		for len(chunk) > 0 {
			var r seriesRecord
			r, chunk = cutRecord(chunk)
			f(r)
		}
	}
}

// A tracker compares the series of a push with a sentSeries.
type tracker struct {
	old *sentSeries

	// The next series of old.present.
	chunk int    // index of its chunk
	rest  []byte // of the chunk
	at    int    // its number

	changed bool       // the series of the push differ from old.present
	next    seriesList // the series of the push, if changed is true
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
	if len(t.rest) == 0 && t.chunk+1 < len(t.old.present.chunks) {
		t.chunk++
		t.rest = t.old.present.chunks[t.chunk]
	}
	if !t.changed && len(t.rest) > 0 {
		head, n := uint64(t.rest[0]), 1
		if head >= 1<<7 {
			head, n = binary.Uvarint(t.rest)
		}
		end := n + int(head>>2)
		if string(t.rest[n:end]) == string(key) && head&1 != 0 == native && (timed || head&2 == 0) {
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
	if len(t.rest) == 0 || x.seen[i] || string(x.record(i).key) != string(r.key) {
		i = x.find(r.key)
	}
	switch {
	case i < 0: // new
	case x.seen[i]: // a second time in this push
		return
	default:
		x.seen[i] = true
		r.timed = r.timed && x.record(i).timed
		if i < t.old.present.n {
			t.moveTo(i + 1)
		}
	}
	t.next.add(r)
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
			chunk = chunk[:len(chunk)-len(t.rest)]
			chunk = append(make([]byte, 0, max(len(chunk), min(t.old.present.size, maxSeriesChunk))), chunk...)
		}
		t.next.chunks = append(t.next.chunks, chunk)
		t.next.size += len(chunk)
	}
}

// find returns the index of t.old.
func (t *tracker) find() *seriesIndex {
	if t.index == nil {
		t.index = newSeriesIndex(t.old)
		for i := range t.at {
			t.index.seen[i] = true
		}
	}
	return t.index
}

// moveTo makes i the number of the next series of t.old.present.
func (t *tracker) moveTo(i int) {
	t.at, t.rest = i, nil
	if i < t.old.present.n {
		p := t.index.places[i]
		t.chunk = int(p.chunk)
		t.rest = t.index.chunks[p.chunk][p.at:]
	}
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
			// A key can be in a list twice.
			if !x.seen[i] && !x.isSeen(r.key) {
				x.seen[i] = true
				if keep && !r.timed {
					m.list.add(r)
				}
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

// A seriesIndex finds the series of a sentSeries by their keys. The series have numbers in the order of
// sentSeries.each.
type seriesIndex struct {
	chunks [][]byte
	places []seriesPlace
	seen   []bool
	slots  []uint32 // a hash table: numbers plus one
}

type seriesPlace struct{ chunk, at uint32 }

var seriesSeed = maphash.MakeSeed()

func newSeriesIndex(s *sentSeries) *seriesIndex {
	n := s.number()
	x := &seriesIndex{places: make([]seriesPlace, 0, n), seen: make([]bool, n)}
	x.addChunks(s.present.chunks)
	for _, m := range s.missing {
		x.addChunks(m.list.chunks)
	}
	size := 8
	for size < 2*n {
		size *= 2
	}
	x.slots = make([]uint32, size)
	for i := range x.places {
		at := x.slot(x.record(i).key)
		for x.slots[at] != 0 {
			at = (at + 1) & (len(x.slots) - 1)
		}
		x.slots[at] = uint32(i) + 1
	}
	return x
}

func (x *seriesIndex) addChunks(chunks [][]byte) {
	for _, chunk := range chunks {
		for rest := chunk; len(rest) > 0; {
			x.places = append(x.places, seriesPlace{uint32(len(x.chunks)), uint32(len(chunk) - len(rest))})
			_, rest = cutRecord(rest)
		}
		x.chunks = append(x.chunks, chunk)
	}
}

// record returns the series with the number i.
func (x *seriesIndex) record(i int) seriesRecord {
	p := x.places[i]
	r, _ := cutRecord(x.chunks[p.chunk][p.at:])
	return r
}

// slot returns the first slot for a key.
func (x *seriesIndex) slot(key []byte) int {
	return int(maphash.Bytes(seriesSeed, key)) & (len(x.slots) - 1)
}

// find returns the number of a series with this key, preferably one that was not seen. Without such a
// series, it returns -1.
func (x *seriesIndex) find(key []byte) int {
	found := -1
	for at := x.slot(key); x.slots[at] != 0; at = (at + 1) & (len(x.slots) - 1) {
		if i := int(x.slots[at]) - 1; string(x.record(i).key) == string(key) {
			if found = i; !x.seen[i] {
				break
			}
		}
	}
	return found
}

// isSeen reports whether a series with this key was seen.
func (x *seriesIndex) isSeen(key []byte) bool {
	for at := x.slot(key); x.slots[at] != 0; at = (at + 1) & (len(x.slots) - 1) {
		if i := int(x.slots[at]) - 1; x.seen[i] && string(x.record(i).key) == string(key) {
			return true
		}
	}
	return false
}
