// Package series has the table in which a vector finds its series without a lock, and
// the order of series in a scrape.
package series

import (
	"unsafe"

	"github.com/tachikoma/tacho/internal/label"
)

// A Series is one combination of label values and its metric. No goroutine writes to a
// Series in a table.
//
// The metric is another allocation: every recording writes to the metric, and a lookup
// that reads the Series must not miss the cache for that.
type Series struct {
	_    [0]func() // no ==; see internal/SIZE.md
	Hash uint32
	cut  uint32 // text is the key up to here, and behind that the label block
	text string
	M    unsafe.Pointer // the metric, of the type that the vector makes
}

// New returns the Series of a key whose label block follows the key in text.
func New(hash uint32, keyLen int, text string, m unsafe.Pointer) Series {
	return Series{Hash: hash, cut: uint32(keyLen), text: text, M: m}
}

// Key returns the key of the label values; see [label.AppendKey].
func (s *Series) Key() string { return s.text[:s.cut] }

// Block returns the rendered label block; see [label.AppendBlock].
func (s *Series) Block() string { return s.text[s.cut:] }

// Sort sorts list by key, in place. The order of equal keys stays.
//
// Sort is a merge sort that skips runs already in order, such as series made in a loop.
// slices.SortFunc is larger; see internal/SIZE.md.
//
//go:noinline
func Sort(list []*Series) { mergeSort(list, make([]*Series, len(list)/2)) }

// mergeSort needs a spare list of half the length.
func mergeSort(list, spare []*Series) {
	if len(list) < 2 {
		return
	}
	half := len(list) / 2
	mergeSort(list[:half], spare)
	mergeSort(list[half:], spare)
	if compare(list[half-1], list[half]) <= 0 {
		return
	}
	left := spare[:copy(spare, list[:half])]
	for i, j, k := 0, 0, half; i < len(left); j++ { // once left is used up, the rest is in place
		if k < len(list) && compare(list[k], left[i]) < 0 {
			list[j] = list[k]
			k++
		} else {
			list[j] = left[i]
			i++
		}
	}
}

func compare(a, b *Series) int { return label.Compare(a.Key(), b.Key()) }
