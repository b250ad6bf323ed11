package native

import (
	"math"
	"sync/atomic"
	"time"
	"unsafe"
)

// RestartAfter is the least time from a fall of the resolution to a restart; see [Reader.Restart].
// Only tests change RestartAfter.
var RestartAfter = time.Hour

// A Reader reads the Buckets of one histogram after the other, and reuses its memory. The zero value
// is ready for use. A Reader is not safe for concurrent use.
type Reader struct {
	_ [0]func() // no ==; see internal/SIZE.md
	Snapshot

	config *Config
	rows   []*Buckets
	taken  bool     // Read takes the counts
	part   []Bucket // scratch: the buckets of a side
	spare  []Bucket // scratch: becomes the sum of two lists
}

// Begin starts to read a histogram whose definition is c. Until End, no other Reader reads a
// histogram of c.
//
// The calls for a histogram are Begin, Rows for each set of rows, Restart if the histogram may restart,
// Read and End.
func (r *Reader) Begin(c *Config) {
	c.Lock()
	r.config, r.rows, r.taken = c, r.rows[:0], false
}

// End releases c. The Snapshot stays valid until the next Read.
func (r *Reader) End() {
	r.config.Unlock()
	clear(r.rows) // so that r does not keep the histogram in memory
}

// Rows adds n consecutive Buckets, of which first is the first, to those that Read reads.
func (r *Reader) Rows(first *Buckets, n int) {
	rows := unsafe.Slice(first, n)
	for i := range rows {
		b := &rows[i]
		b.settle(r.config)
		r.rows = append(r.rows, b)
	}
}

// Lock starts to read a histogram whose definition is c. Until Unlock, no other goroutine reads a
// histogram of c. Lock also moves the counts of all late levels.
func (c *Config) Lock() {
	c.mu.Lock()
	for x := (*late)(unsafe.Pointer(c.late.Swap(nil))); x != nil; x = x.next {
		x.level.moveTo((*Buckets)(x.buckets), c)
	}
}

// Unlock releases c.
func (c *Config) Unlock() { c.mu.Unlock() }

// Count returns the number of observations in n consecutive Buckets, without those in the zero
// bucket. c must be locked.
func (c *Config) Count(first *Buckets, n int) (sum uint64) {
	rows := unsafe.Slice(first, n)
	for i := range rows {
		rows[i].settle(c)
		sum += rows[i].count()
	}
	return sum
}

// settle moves the counts of replaced levels to the level of b. It needs c.mu.
func (b *Buckets) settle(c *Config) {
	for l := b.Level(); l.before() != nil; l = b.Level() { // moves may lower the resolution again
		for old := l.before(); old != nil; old = old.before() {
			old.moveTo(b, c)
		}
		l.history.before.Store(nil)
	}
}

// moveTo moves the counts of l, a replaced level of b, to the level of b. If b restarted meanwhile, the
// buckets of b can be smaller. Then the highest smaller bucket gets the count of a larger bucket.
func (l *Level) moveTo(b *Buckets, c *Config) {
	for kind := range sides {
		for i, w := l.next(kind, math.MinInt); w != nil; i, w = l.next(kind, i+1) {
			bits := uint64(i)
			if kind != infinite {
				bits = l.table.highest(i)
			}
			if n := w.Swap(0); n > 0 {
				b.add(c, kind, bits, n)
			}
		}
	}
}

// count returns the number of observations, without those in the zero bucket.
func (b *Buckets) count() (n uint64) {
	for l := b.Level(); l != nil; l = l.before() {
		for kind := range sides {
			s := l.side(kind)
			if s == nil {
				continue
			}
			for at := range s.all() { // Level.next takes longer
				if ch := s.all()[at].counts(); ch != nil {
					for i := range ch {
						n += ch[i].Load()
					}
				}
			}
		}
	}
	return n
}

// Restart reports whether the last fall of the resolution was [RestartAfter] ago or earlier. Then Read
// takes all counts: the rows are empty afterwards, and have the schema of the Config. The caller must
// take all other counts of the histogram too.
func (r *Reader) Restart() bool {
	fell := int64(0)
	for _, b := range r.rows {
		if h := b.Level().history; h != nil {
			fell = max(fell, h.fell)
		}
	}
	r.taken = fell != 0 && time.Now().UnixMilli()-fell >= RestartAfter.Milliseconds()
	return r.taken
}

// Read sets the Snapshot to the buckets of all rows, except the zero bucket. The Snapshot has at most
// the number of buckets of the Config, except in MinSchema. The schema is not above that of an earlier
// Read, unless the histogram restarted in between.
func (r *Reader) Read() {
	c := r.config
	r.Snapshot = Snapshot{c.schema, c.threshold, 0, r.Positive[:0], r.Negative[:0]}
	for _, b := range r.rows {
		l := b.Level()
		if r.taken {
			fresh := &Level{table: c.empty.table, history: new(history)}
			l = (*Level)(unsafe.Pointer(b.p.Swap((*byte)(unsafe.Pointer(fresh)))))
		}
		for schema := l.table.Schema; l != nil; l = l.before() {
			r.lowerTo(min(r.Schema, schema))
			down, key := l.table.Schema-r.Schema, 1-offset(r.Schema)
			r.Positive = r.collect(r.Positive, &l.positive, down, key)
			r.Negative = r.collect(r.Negative, l.side(negative), down, key)
			for i, w := l.next(infinite, 0); w != nil; i, w = l.next(infinite, i+1) {
				to := &r.Positive
				if i > 0 {
					to = &r.Negative
				}
				*to = r.sum(*to, append(r.part[:0], Bucket{offset(r.Schema) + 1, r.count(w)}))
			}
		}
	}
	shown := r.Schema
	r.limit()
	if r.Schema < shown && !r.taken {
		for _, b := range r.rows {
			b.lower(b.Level(), r.Schema)
		}
	}
}

// limit lowers the schema of the Snapshot until the Snapshot has at most the number of buckets of the
// Config, or has MinSchema.
func (r *Reader) limit() {
	for len(r.Positive)+len(r.Negative) > r.config.max && r.Schema > MinSchema {
		r.lowerTo(r.Schema - 1)
	}
}

// Merge adds the buckets of s to those of the Snapshot, except the zero bucket. The Snapshot then
// has at most the schema of s, and at most the number of buckets of the Config, as after Read.
func (r *Reader) Merge(s *Snapshot) {
	r.lowerTo(s.Schema)
	down := s.Schema - r.Schema
	r.Positive = r.sum(r.Positive, lowered(append(r.part[:0], s.Positive...), down))
	r.Negative = r.sum(r.Negative, lowered(append(r.part[:0], s.Negative...), down))
	r.limit()
}

// count returns the count of a bucket, and takes it if Read takes the counts.
func (r *Reader) count(w *atomic.Uint64) uint64 {
	if r.taken {
		return w.Swap(0)
	}
	return w.Load()
}

// collect returns the sum of a list of buckets and the counts of a side. The schema of the list is
// lower by down. The key of a bucket is the sum of its index in that schema and key.
func (r *Reader) collect(list []Bucket, s *side, down, key int) []Bucket {
	if s == nil {
		return list
	}
	part := list
	if len(list) > 0 {
		part = r.part[:0]
	}
	if down == 0 && !r.taken { // nearly always
		part = s.appendTo(part, key)
	} else {
		part = r.appendLowered(part, s, down, key)
	}
	if len(list) == 0 {
		return part
	}
	return r.sum(list, part)
}

// appendLowered is side.appendTo if the schema of the list is lower by down, or Read takes the counts.
func (r *Reader) appendLowered(list []Bucket, s *side, down, key int) []Bucket {
	for at := range s.all() {
		ch := s.all()[at].counts()
		if ch == nil {
			continue
		}
		for i := range ch {
			if ch[i].Load() == 0 {
				continue
			}
			k, n := ((int(s.first)+at)<<chunkBits+i)>>(down&15)+key, r.count(&ch[i])
			if last := len(list) - 1; last >= 0 && list[last].Key == k {
				list[last].Count += n
			} else {
				list = append(list, Bucket{k, n})
			}
		}
	}
	return list
}

// appendTo appends the populated buckets of s. The key of a bucket is the sum of its index and key.
//
// The loop over a chunk has no branch for a bucket, which would often be mispredicted: each bucket is stored, and the
// next bucket replaces an empty one. The loop is unrolled. With branches BenchmarkRead takes 1.7 to 2.4 times as
// long, and with a loop 1.1 to 1.5 times.
func (s *side) appendTo(list []Bucket, key int) []Bucket {
	key += int(s.first) << chunkBits
	places := s.all()
	for i := range places {
		if ch := places[i].counts(); ch != nil {
			n := len(list)
			if cap(list)-n < chunkSize {
				list = append(list, make([]Bucket, chunkSize)...)
			}
			to := (*[chunkSize]Bucket)(list[n : n+chunkSize])
			at := to[0].set(key, &ch[0])
			at += to[at%chunkSize].set(key+1, &ch[1])
			at += to[at%chunkSize].set(key+2, &ch[2])
			at += to[at%chunkSize].set(key+3, &ch[3])
			at += to[at%chunkSize].set(key+4, &ch[4])
			at += to[at%chunkSize].set(key+5, &ch[5])
			at += to[at%chunkSize].set(key+6, &ch[6])
			at += to[at%chunkSize].set(key+7, &ch[7])
			list = list[:n+int(at)]
		}
		key += chunkSize
	}
	return list
}

// set sets b to the bucket that w counts. It returns 1 if the bucket is populated, and otherwise 0.
func (b *Bucket) set(key int, w *atomic.Uint64) (n uint) {
	b.Key, b.Count = key, w.Load()
	if b.Count > 0 {
		n = 1
	}
	return n
}

// sum returns the sum of two lists. It may reuse the memory of both lists.
func (r *Reader) sum(a, b []Bucket) []Bucket {
	sum := r.spare[:0]
	r.part, r.spare = b, a
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && a[0].Key < b[0].Key:
			sum, a = append(sum, a[0]), a[1:]
		case len(a) == 0 || a[0].Key > b[0].Key:
			sum, b = append(sum, b[0]), b[1:]
		default:
			sum = append(sum, Bucket{a[0].Key, a[0].Count + b[0].Count})
			a, b = a[1:], b[1:]
		}
	}
	return sum
}

// lowerTo lowers the schema of the Snapshot.
func (s *Snapshot) lowerTo(schema int) {
	if schema < s.Schema {
		down := s.Schema - schema
		s.Positive, s.Negative, s.Schema = lowered(s.Positive, down), lowered(s.Negative, down), schema
	}
}

// lowered merges the buckets of a list in place.
func lowered(list []Bucket, down int) []Bucket {
	to := list[:0]
	for _, b := range list {
		b.Key = -(-b.Key >> down) // the half, rounded up
		if last := len(to) - 1; last >= 0 && to[last].Key == b.Key {
			to[last].Count += b.Count
		} else {
			to = append(to, b)
		}
	}
	return to
}

// AddDifference adds to b the counts of after less those of before, an earlier Snapshot of the same
// histogram. Afterwards b has at most the schema of after. It changes before, and does not add the zero
// bucket. AddDifference is safe for concurrent use with Add.
func (b *Buckets) AddDifference(c *Config, before, after *Snapshot) {
	before.lowerTo(after.Schema)
	for l := b.Level(); l.table.Schema > after.Schema; l = b.Level() { // Add can replace l first
		b.lower(l, after.Schema)
	}
	t := TableOf(after.Schema)
	add := func(kind int, was, now []Bucket) {
		for _, k := range now {
			for len(was) > 0 && was[0].Key < k.Key {
				was = was[1:]
			}
			if len(was) > 0 && was[0].Key == k.Key {
				k.Count -= was[0].Count
			}
			bits, kind := t.highest(k.Key-1+offset(after.Schema)), kind
			if bits > maxBits {
				bits, kind = uint64(kind), infinite
			}
			if k.Count > 0 {
				b.add(c, kind, bits, k.Count)
			}
		}
	}
	add(positive, before.Positive, after.Positive)
	add(negative, before.Negative, after.Negative)
}
