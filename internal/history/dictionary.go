package history

import (
	"encoding/binary"
	"math"
	"strings"
	"unsafe"

	"github.com/tachikoma/tacho/internal/expo"
)

// none is the number of no series, no shape and no family.
const none = math.MaxUint32

// A dictionary describes the slots: their series, families and columns.
type dictionary struct {
	families []family
	byName   familyIndex
	familyID ids

	shapes  []shape
	shapeID ids

	columns  []column
	columnID ids
	sets     map[string]*columnSet // by the bytes of their columns

	table
	seriesID ids
	slotID   ids

	natives map[uint32]*nativeSeries // by series
	small   int                      // bytes of families, columns and native buckets besides the slices
}

// A family has the series of one name and kind.
type family struct {
	name, unit, help string

	kind  expo.Kind      // unused if shape is none
	mixed bool           // a walk passes several families as this family, so there are no addresses
	step  uint32         // the number of the last step whose walk passed the family
	texts unsafe.Pointer // keeps the memory at series.address
	own   int32          // bytes of the texts that the family has copies of

	shape uint32 // the first; none if the id is not in use
	after uint32 // the family that follows in its list of the index; none for the last
}

// A shape is what the series of a family with the same columns share.
type shape struct {
	family uint32 // none if the shape is not in use
	refs   uint32 // series
	after  uint32 // the next shape of the family; none for the last
	bounds *expo.Bounds
	*columnSet
}

// The types of columns.
const (
	columnValue = iota
	columnSum
	columnCount
	columnBucket
	columnQuantile
	columnNative
)

// A column says which part of a series a slot has.
type column struct {
	kind        uint8
	left, right float64
}

// A columnSet is the consecutive columns of a shape.
type columnSet struct {
	key      string // appendColumns
	first, n uint32
	refs     int // shapes, or native buckets
}

func (d *dictionary) init() {
	d.sets, d.natives = map[string]*columnSet{}, map[uint32]*nativeSeries{}
	d.table.init()
}

// setBytes is the memory of a columnSet in the map, besides its key.
const setBytes = int(unsafe.Sizeof(columnSet{})) + 48

func (d *dictionary) bytes() int {
	return d.small + d.table.bytes() + 4*cap(d.byName.first) + cap(d.families)*int(unsafe.Sizeof(family{})) +
		cap(d.shapes)*int(unsafe.Sizeof(shape{})) + cap(d.columns)*int(unsafe.Sizeof(column{})) + d.releasedBytes()
}

// releasedBytes returns the memory of the lists of released numbers.
func (d *dictionary) releasedBytes() int {
	return d.familyID.bytes() + d.shapeID.bytes() + d.columnID.bytes() + d.seriesID.bytes() + d.slotID.bytes()
}

// grow returns s with room for n more elements. The room grows by an eighth, so that little of it is
// unused.
func grow[T any](s []T, n int) []T {
	if len(s)+n <= cap(s) {
		return s
	}
	return append(make([]T, 0, grown(len(s)+n)), s...)
}

func grown(n int) int { return n + n/8 + 8 }

// growth returns the bytes that grow adds.
func growth[T any](s []T, n int) int {
	if n == 0 || len(s)+n <= cap(s) {
		return 0
	}
	var element T
	return (grown(len(s)+n) - cap(s)) * int(unsafe.Sizeof(element))
}

// put sets the element of s with number i, and extends s if i is its length.
func put[T any](s []T, i uint32, v T) []T {
	if int(i) < len(s) {
		s[i] = v
		return s
	}
	return append(grow(s, 1), v)
}

// addFamily adds a family without series. The family keeps the texts of f if lasting is true, and
// otherwise copies.
func (d *dictionary) addFamily(f *expo.Family, lasting bool) uint32 {
	id := d.familyID.take(1)
	d.families = put(d.families, id, family{name: f.Name, kind: f.Kind, shape: none})
	own := &d.families[id]
	if !lasting { // the texts of a collector may be parts of a large buffer
		own.name, own.own = strings.Clone(f.Name), int32(copyBytes(f.Name))
		d.small += copyBytes(f.Name)
	}
	d.setTexts(own, f, lasting)
	d.byName.add(d.families, id)
	return id
}

// copyBytes returns the memory of a copy of a text.
func copyBytes(text string) int { return (len(text) + 7) &^ 7 }

func (d *dictionary) setTexts(own *family, f *expo.Family, lasting bool) {
	own.unit, own.help = f.Unit, f.Help
	if !lasting {
		own.unit, own.help = strings.Clone(f.Unit), strings.Clone(f.Help)
		n := copyBytes(f.Unit) + copyBytes(f.Help)
		own.own += int32(n)
		d.small += n
	}
}

// describe sets the unit and the help of a family.
func (d *dictionary) describe(id uint32, f *expo.Family) {
	own := &d.families[id]
	n := own.descriptionBytes()
	own.own -= int32(n)
	d.small -= n
	d.setTexts(own, f, false)
}

// descriptionBytes returns the memory of the copies of unit and help.
func (f *family) descriptionBytes() int {
	if f.own == 0 {
		return 0
	}
	return copyBytes(f.unit) + copyBytes(f.help)
}

// addShape adds a shape without series. fresh is true if its columns are new.
func (d *dictionary) addShape(family uint32, key []byte, bounds *expo.Bounds) (id uint32, fresh bool) {
	set, fresh := d.addSet(key)
	id = d.shapeID.take(1)
	f := &d.families[family]
	d.shapes = put(d.shapes, id, shape{family, 0, f.shape, bounds, set})
	f.shape = id
	return id, fresh
}

// addSet returns the columns with a key for one more user.
func (d *dictionary) addSet(key []byte) (set *columnSet, fresh bool) {
	if set = d.sets[string(key)]; set != nil {
		set.refs++
		return set, false
	}
	n := uint32(len(key) / columnKey)
	set = &columnSet{string(key), d.columnID.take(n), n, 1}
	for i := range n {
		d.columns = put(d.columns, set.first+i, columnAt(key, int(i)))
	}
	d.sets[set.key] = set
	d.small += setBytes + len(key)
	return set, true
}

// releaseSet removes one user of set.
func (d *dictionary) releaseSet(set *columnSet) {
	if set.refs--; set.refs > 0 {
		return
	}
	delete(d.sets, set.key)
	d.columnID.release(set.first, set.n)
	d.small -= setBytes + len(set.key)
}

// removeShape removes a shape without series, and its family if it has no other shapes.
func (d *dictionary) removeShape(id uint32) {
	s := &d.shapes[id]
	f := &d.families[s.family]
	at := &f.shape
	for *at != id {
		at = &d.shapes[*at].after
	}
	*at = s.after
	if f.shape == none {
		d.byName.remove(d.families, s.family)
		d.small -= int(f.own)
		*f = family{shape: none}
		d.familyID.release(s.family, 1)
	}
	d.releaseSet(s.columnSet)
	*s = shape{family: none}
	d.shapeID.release(id, 1)
}

// columnKey is the size of a column in the key of a columnSet.
const columnKey = 1 + 8 + 8

func appendColumn(b []byte, kind uint8, left, right float64) []byte {
	b = binary.LittleEndian.AppendUint64(append(b, kind), math.Float64bits(left))
	return binary.LittleEndian.AppendUint64(b, math.Float64bits(right))
}

// columnAt returns the i-th column of a key.
func columnAt(key []byte, i int) column {
	b := key[i*columnKey:]
	float := func(b []byte) float64 { return math.Float64frombits(binary.LittleEndian.Uint64(b)) }
	return column{b[0], float(b[1:]), float(b[9:])}
}

// valueColumns is the key of the shape of a counter, a gauge, an untyped family and an info.
var valueColumns = appendColumn(nil, columnValue, 0, 0)

// appendBounds appends the columns of a histogram: the sum and the classic buckets.
func appendBounds(b []byte, bounds *expo.Bounds) []byte {
	b = appendColumn(b, columnSum, 0, 0)
	left := math.Inf(-1)
	for i := range len(bounds.Upper) + 1 {
		b = appendColumn(b, columnBucket, left, bounds.At(i))
		left = bounds.At(i)
	}
	return b
}

// appendQuantiles appends the columns of a summary: the sum, the count and the quantiles.
func appendQuantiles(b []byte, quantiles []expo.Quantile) []byte {
	b = appendColumn(appendColumn(b, columnSum, 0, 0), columnCount, 0, 0)
	for _, q := range quantiles {
		b = appendColumn(b, columnQuantile, q.Quantile, 0)
	}
	return b
}
