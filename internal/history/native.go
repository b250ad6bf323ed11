package history

import (
	"hash/maphash"
	"math"
	"slices"
	"unsafe"

	"github.com/tachikoma/tacho/internal/native"
)

// A nativeSeries has the native buckets of a series, sorted by code.
type nativeSeries struct{ buckets []nativeBucket }

// A nativeBucket is a native bucket with a slot. It has the last value, since the slots of a series are far from each
// other. Ring.last does not have the value.
type nativeBucket struct {
	code, slot, column uint32
	gone               uint32  // the number of the step at which the bucket became absent; 0 if it is present
	value              float64 // NaN if the bucket is absent
}

// nativeBytes is the memory of a nativeSeries in the map of a dictionary.
const nativeBytes = int(unsafe.Sizeof(nativeSeries{})) + 48

const bucketBytes = int(unsafe.Sizeof(nativeBucket{}))

// The classes of buckets, in the order of a walk.
const (
	classZero = iota
	classPositive
	classNegative
)

// bucketCode returns a number that differs for buckets with different bounds. Its order is the order in
// which a walk passes the buckets of a schema. A key of the highest schema has less than 21 bits.
func bucketCode(schema, class, key int) uint32 {
	return uint32(schema-native.MinSchema)<<28 | uint32(class)<<26 | uint32(key+1<<25)&(1<<26-1)
}

var thresholdSeed = maphash.MakeSeed()

// zeroKey returns the key of a zero bucket in bucketCode.
func zeroKey(threshold float64) int {
	return int(maphash.Comparable(thresholdSeed, threshold) % (1 << 25))
}

// native records the native buckets of a series. All buckets become absent if n is nil.
func (w *walk) native(id uint32, n *native.Snapshot) {
	r := w.ring
	s := r.natives[id]
	if s == nil {
		if !w.fits(nativeBytes) {
			return
		}
		s = new(nativeSeries)
		r.natives[id] = s
		r.small += nativeBytes
	}
	at, left := 0, false
	if n != nil {
		if n.Zero > 0 {
			at, left = w.bucket(id, s, at, left, n, classZero, native.Bucket{Key: zeroKey(n.ZeroThreshold), Count: n.Zero})
		}
		for _, b := range n.Positive {
			if at < len(s.buckets) && s.buckets[at].value == float64(b.Count) && s.buckets[at].code == bucketCode(n.Schema, classPositive, b.Key) {
				at++ // most buckets do not change
				continue
			}
			at, left = w.bucket(id, s, at, left, n, classPositive, b)
		}
		for _, b := range n.Negative {
			at, left = w.bucket(id, s, at, left, n, classNegative, b)
		}
	}
	for ; at < len(s.buckets); at++ {
		left = w.leaveBucket(&s.buckets[at]) || left
	}
	if left {
		r.leaving = append(r.leaving, departure{r.number, id})
	}
}

// bucket records a native bucket, and makes the buckets from at to this bucket absent. It returns the
// place of the next bucket, and whether a bucket became absent.
func (w *walk) bucket(id uint32, s *nativeSeries, at int, left bool, n *native.Snapshot, class int, b native.Bucket) (int, bool) {
	code := bucketCode(n.Schema, class, b.Key)
	for ; at < len(s.buckets) && s.buckets[at].code < code; at++ {
		left = w.leaveBucket(&s.buckets[at]) || left
	}
	if at == len(s.buckets) || s.buckets[at].code != code {
		if !w.addBucket(id, s, at, n, class, b.Key, code) {
			return at, left
		}
	}
	own := &s.buckets[at]
	if v := float64(b.Count); v != own.value {
		w.write(own.slot, own.value, v)
		own.gone, own.value = 0, v
	}
	return at + 1, left
}

// leaveBucket makes a bucket absent, and reports whether it was present.
func (w *walk) leaveBucket(b *nativeBucket) bool {
	if b.gone != 0 {
		return false
	}
	w.write(b.slot, b.value, math.NaN())
	b.gone, b.value = uint32(w.ring.number), math.NaN()
	return true
}

// addBucket adds a bucket at a place in s, and reports whether it has room.
func (w *walk) addBucket(id uint32, s *nativeSeries, at int, n *native.Snapshot, class, key int, code uint32) bool {
	r := w.ring
	if !w.fits(growth(s.buckets, 1) + setBytes + columnKey + growth(r.columns, r.columnID.new(1)) + 2*growth(r.last, r.slotID.new(1))) {
		return false
	}
	set, fresh := r.addSet(nativeColumn(n, class, key))
	if fresh {
		w.addColumns(set)
	}
	r.small += growth(s.buckets, 1)
	s.buckets = slices.Insert(grow(s.buckets, 1), at, nativeBucket{code, w.takeSlots(1), set.first, 0, math.NaN()})
	w.added.buckets = append(w.added.buckets, run{s.buckets[at].slot, 1, id, set.first})
	return true
}

// nativeColumn returns the key of the column of a native bucket.
func nativeColumn(n *native.Snapshot, class, key int) []byte {
	switch class {
	case classZero:
		return appendColumn(nil, columnNative, -n.ZeroThreshold, n.ZeroThreshold)
	case classNegative:
		return appendColumn(nil, columnNative, -native.Bound(n.Schema, key), -native.Bound(n.Schema, key-1))
	}
	return appendColumn(nil, columnNative, native.Bound(n.Schema, key-1), native.Bound(n.Schema, key))
}

// forgetBuckets releases the buckets of a series that were absent at a step and stayed so.
func (r *Ring) forgetBuckets(id uint32, until uint64) {
	s := r.natives[id]
	keep := s.buckets[:0]
	for _, b := range s.buckets {
		if b.gone == 0 || uint64(b.gone) > until {
			keep = append(keep, b)
			continue
		}
		r.slotID.release(b.slot, 1)
		c := r.columns[b.column]
		r.releaseSet(r.sets[string(appendColumn(nil, c.kind, c.left, c.right))])
	}
	s.buckets = keep
	if len(keep) == 0 {
		r.small -= nativeBytes + cap(s.buckets)*bucketBytes
		delete(r.natives, id)
	}
}

// removeSeries removes a series without native buckets from the dictionary, and its slots.
func (d *dictionary) removeSeries(id uint32) {
	s := d.series[id]
	shape := &d.shapes[s.shape]
	d.slotID.release(s.slot, shape.n)
	d.table.remove(id)
	d.seriesID.release(id, 1)
	if shape.refs--; shape.refs == 0 {
		d.removeShape(s.shape)
	}
}
