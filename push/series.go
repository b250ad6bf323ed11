//go:build !tacho_nohttp

package push

import (
	"encoding/binary"
)

// A receiver needs a stale marker for each series that is missing from a push. So a pusher keeps the series
// that the receiver may have. Most pushes have the same series in the same order as the push before. The
// series are therefore kept in this order, and each series is compared with the next one of the push
// before.

// A sentSeries has the series that a receiver may have. It does not change, except that the flag timed of a
// series can become false.
type sentSeries struct {
	present seriesList      // of the latest push
	missing []missingSeries // by the time of the first push without them
}

// A missingSeries has series that need stale markers.
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

// The flags of a record are the lowest bits of the varint before the key.
const (
	nativeFlag = 1 << iota
	timedFlag
)

// head returns the varint before the key.
func (r seriesRecord) head() uint64 {
	h := uint64(len(r.key)) << 2
	if r.native {
		h |= nativeFlag
	}
	if r.timed {
		h |= timedFlag
	}
	return h
}

// cutRecord returns the first record of chunk, and the rest of chunk. chunk must not be empty.
func cutRecord(chunk []byte) (r seriesRecord, rest []byte) {
	head, n := binary.Uvarint(chunk)
	end := n + int(head>>2)
	return seriesRecord{chunk[n:end:end], head&nativeFlag != 0, head&timedFlag != 0}, chunk[end:]
}

// A seriesPlace is the place of a record in a chunk.
type seriesPlace struct {
	next      bool // the chunk is of seriesIndex.next
	chunk, at uint32
}

// add appends a series.
func (l *seriesList) add(r seriesRecord) seriesPlace {
	head := r.head()
	need := sizeUvarint(head) + len(r.key)
	last := len(l.chunks) - 1
	if last < 0 || cap(l.chunks[last])-len(l.chunks[last]) < need {
		size := max(need, min(max(l.size, minSeriesChunk), maxSeriesChunk))
		l.chunks = append(l.chunks, make([]byte, 0, size))
		last++
	}
	p := seriesPlace{true, uint32(last), uint32(len(l.chunks[last]))}
	l.chunks[last] = append(binary.AppendUvarint(l.chunks[last], head), r.key...)
	l.n++
	l.size += need
	return p
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
