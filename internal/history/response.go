package history

import (
	"cmp"
	"encoding/binary"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tachikoma/tacho/internal/escape"
	"github.com/tachikoma/tacho/internal/stringslite"
)

// A Position is what a client has of a ring: the steps up to a number.
type Position struct {
	Ring uint64 // 0 for no ring
	Step uint64
}

// ParsePosition parses the text RING.SINCE: the hexadecimal id of a ring, and a decimal number of a
// step.
func ParsePosition(s string) (p Position, ok bool) {
	ring, since, ok := strings.Cut(s, ".")
	if !ok || len(ring) > 16 || len(since) > 20 {
		return Position{}, false
	}
	var badRing, badStep error
	p.Ring, badRing = strconv.ParseUint(ring, 16, 64)
	p.Step, badStep = strconv.ParseUint(since, 10, 64)
	if badRing != nil || badStep != nil {
		return Position{}, false
	}
	return p, true
}

// version is the version of the protocol of responses.
const version = 1

// A run says that consecutive slots have consecutive columns of a series.
type run struct{ slot, n, series, column uint32 }

// Append appends the response for a client that has the ring up to p: the steps after p, or the whole
// ring if p is not in it. The work is proportional to the changes since p, or to the ring.
//
// All numbers are unsigned varints (LEB128) unless stated. A string is its length and UTF-8. A float has
// 8 bytes, the lowest first. The response has these parts:
//
//   - A byte with the version, 1. A byte that is 1 if the client must forget what it has of the ring. 8
//     bytes with the id of the ring, the lowest first. The present time in Unix milliseconds, the step
//     and the range in milliseconds. The number of series that had no room.
//   - Families: the number, then for each the id, a byte with the kind (counter, gauge, histogram,
//     unknown, info, summary from 0), and the strings name, unit and help.
//   - Columns: the number, then for each the id, a byte with the type (value, sum, count, bucket,
//     quantile, native bucket from 0), and two floats. A bucket has values above the first float up to
//     the second. The first float of a quantile is the quantile.
//   - Series: the number, then for each the id, the id of the family, the number of labels, and for each
//     label the strings name and value.
//   - Runs: the number, then for each the first slot, the number of slots, the id of the series and the
//     id of the first column.
//   - Values before the first step, of the slots that are not absent: the number, then for each the
//     number of slots since the slot before, and a float.
//   - Steps: the number, then for each the number of the step, its time in Unix milliseconds, the length
//     of the payload, and the payload.
//
// A payload has a record for each slot that changed: the number of slots since the record before as a
// signed varint, and a code. An even code is a signed difference times 2, in the form of a signed varint.
// With code 1 the slot becomes absent. With code 3 a float follows.
//
// Bucket counts are not cumulative. The entries of the first parts are those that are new or changed. An
// id or a slot can have a new meaning: the later entry is valid.
func (r *Ring) Append(b []byte, p Position, now time.Time) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	full, since := r.since(p)
	if full {
		b = append(b, version, 1)
	} else {
		b = append(b, version, 0)
	}
	b = binary.LittleEndian.AppendUint64(b, r.id)
	for _, n := range []int64{r.clock.peek(now), r.config.Step.Milliseconds(), r.config.Range.Milliseconds(), int64(r.leftOut)} {
		b = binary.AppendUvarint(b, uint64(n))
	}
	if full {
		b = r.appendAll(b)
	} else {
		b = r.appendAdditions(b, since)
	}
	b = binary.AppendUvarint(b, uint64(len(since)))
	for i := range since {
		s := &since[i]
		b = binary.AppendUvarint(binary.AppendUvarint(b, s.number), uint64(s.at))
		b = append(binary.AppendUvarint(b, uint64(len(s.payload))), s.payload...)
	}
	return b
}

// since returns the steps after p. full is true if p is not in the ring, and the steps are all steps.
func (r *Ring) since(p Position) (full bool, steps []step) {
	oldest := r.number - uint64(len(r.steps)) // the number before that of the oldest step
	if p.Ring != r.id || p.Step < oldest || p.Step > r.number {
		return true, r.steps
	}
	return false, r.steps[p.Step-oldest:]
}

// Size returns an estimate of the length of the response of Append.
func (r *Ring) Size(p Position) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	full, since := r.since(p)
	n := 0
	for i := range since {
		n += since[i].bytes()
	}
	if full {
		n += 2*len(r.text) + 9*len(r.base) + 8*len(r.series)
	}
	return n
}

// appendAll appends the whole dictionary, and the values before the first step.
func (r *Ring) appendAll(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(r.byName.n))
	for id := range r.families {
		if r.families[id].shape != none {
			b = r.appendFamily(b, uint32(id))
		}
	}
	sets := slices.SortedFunc(maps.Values(r.sets), func(a, b *columnSet) int { return cmp.Compare(a.first, b.first) })
	n := 0
	for _, set := range sets {
		n += int(set.n)
	}
	b = binary.AppendUvarint(b, uint64(n))
	for _, set := range sets {
		for i := range set.n {
			b = r.appendColumn(b, set.first+i)
		}
	}
	b = binary.AppendUvarint(b, uint64(r.table.n))
	for id := range r.series {
		if r.series[id].shape != none {
			b = r.appendSeries(b, uint32(id))
		}
	}
	buckets := 0
	for _, s := range r.natives {
		buckets += len(s.buckets)
	}
	b = binary.AppendUvarint(b, uint64(r.table.n+buckets))
	for id := range r.series {
		if r.series[id].shape != none {
			b = r.appendRun(b, uint32(id))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(r.natives)) {
		for _, bucket := range r.natives[id].buckets {
			b = run{bucket.slot, 1, id, bucket.column}.append(b)
		}
	}
	return appendValues(b, r.base)
}

// appendAdditions appends the additions of steps, and no values.
func (r *Ring) appendAdditions(b []byte, steps []step) []byte {
	var families, columns, series, buckets int
	for i := range steps {
		s := &steps[i]
		families, columns, series = families+length(s.families), columns+length(s.columns), series+length(s.series)
		buckets += len(s.buckets)
	}
	each := func(n int, spans func(s *step) []span, add func(b []byte, id uint32) []byte) {
		b = binary.AppendUvarint(b, uint64(n))
		for i := range steps {
			for _, span := range spans(&steps[i]) {
				for id := span.from; id < span.to; id++ {
					b = add(b, id)
				}
			}
		}
	}
	each(families, func(s *step) []span { return s.families }, r.appendFamily)
	each(columns, func(s *step) []span { return s.columns }, r.appendColumn)
	each(series, func(s *step) []span { return s.series }, r.appendSeries)
	each(series+buckets, func(s *step) []span { return s.series }, r.appendRun)
	for i := range steps {
		for _, bucket := range steps[i].buckets {
			b = bucket.append(b)
		}
	}
	return binary.AppendUvarint(b, 0) // no values
}

// length returns how many numbers spans have.
func length(spans []span) int {
	n := 0
	for _, s := range spans {
		n += int(s.to - s.from)
	}
	return n
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func (r *Ring) appendFamily(b []byte, id uint32) []byte {
	f := &r.families[id]
	b = append(binary.AppendUvarint(b, uint64(id)), byte(f.kind))
	return appendText(appendText(appendText(b, f.name), f.unit), f.help)
}

func (r *Ring) appendColumn(b []byte, id uint32) []byte {
	c := r.columns[id]
	return appendColumn(binary.AppendUvarint(b, uint64(id)), c.kind, c.left, c.right)
}

func (r *Ring) appendSeries(b []byte, id uint32) []byte {
	s := &r.series[id]
	b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(id)), uint64(r.shapes[s.shape].family))
	return appendLabels(b, string(r.block(s)))
}

func (r *Ring) appendRun(b []byte, id uint32) []byte {
	s := &r.series[id]
	shape := &r.shapes[s.shape]
	return run{s.slot, shape.n, id, shape.first}.append(b)
}

func (r run) append(b []byte) []byte {
	for _, v := range [4]uint32{r.slot, r.n, r.series, r.column} {
		b = binary.AppendUvarint(b, uint64(v))
	}
	return b
}

// appendValues appends the values that are not NaN.
func appendValues(b []byte, values []float64) []byte {
	n := 0
	for _, v := range values {
		if v == v {
			n++
		}
	}
	b = binary.AppendUvarint(b, uint64(n))
	before := -1
	for slot, v := range values {
		if v == v {
			b = binary.AppendUvarint(b, uint64(slot-before-1))
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
			before = slot
		}
	}
	return b
}

// appendLabels appends the labels of a label block.
func appendLabels(b []byte, block string) []byte {
	n := 0
	for rest := block; len(rest) > len("} "); n++ {
		_, _, rest = cutLabel(rest)
	}
	b = binary.AppendUvarint(b, uint64(n))
	for len(block) > len("} ") {
		var name, value string
		name, value, block = cutLabel(block)
		b = appendText(appendText(b, name), value)
	}
	return b
}

// cutLabel returns the first label of a label block, and the rest of the block.
func cutLabel(block string) (name, value, rest string) {
	if block = block[1:]; block[0] == '"' { // a name outside the legacy set
		name, block, _ = escape.Unquote(block[1:])
	} else {
		n := stringslite.IndexByte(block, '=')
		name, block = block[:n], block[n:]
	}
	value, rest, _ = escape.Unquote(block[len(`="`):])
	return name, value, rest
}
