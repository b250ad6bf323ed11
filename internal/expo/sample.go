package expo

import (
	"math"

	"github.com/tachikoma/tacho/internal/decimal"
	"github.com/tachikoma/tacho/internal/exemplar"
	"github.com/tachikoma/tacho/internal/native"
)

// Details are the properties, besides labels and value, that few samples have. An Encoder
// shows a property if its format has a place for it.
type Details struct {
	Timed    bool
	At       int64              // Unix milliseconds, if Timed
	Created  int64              // Unix milliseconds; 0 if unknown
	Exemplar *exemplar.Exemplar // of a counter; nil for none
	Buckets  []exemplar.Slot    // of a histogram's buckets; nil for none

	// The native part of a histogram, if it has one. The counts that Encoder.Histogram gets
	// then add up to Native.Count().
	Native     *native.Snapshot
	Exemplars  []exemplar.Slot                                        // of native buckets, in no order; nil if Buckets has them all
	NativeJSON func(b []byte, s *native.Snapshot, sum float64) []byte // [AppendNativeJSON]; reached through the field, so that other programs do not contain it
}

// Bounds are the upper bounds of a histogram.
type Bounds struct {
	Upper []float64 // the finite bounds; +Inf follows and is not stored

	// For each bound the label as the end of a label block, such as `le="1"} `: for the
	// text format, and for OpenMetrics, where whole numbers end in ".0". The memory of a
	// label has at least leSize bytes, so that a copy of that size needs no loop.
	labels []string
}

const leStart, leEnd = `le="`, `"} `

// leSize is at least the length of the longest label. A number has at most 24 bytes.
const leSize = len(lePadding)

const lePadding = "                                " // 32 bytes

// NewBounds returns the Bounds with these finite upper bounds.
func NewBounds(upper []float64) Bounds {
	b := Bounds{upper, make([]string, 2*len(upper)+2)}
	for i := range b.labels {
		number := decimal.AppendFloat(nil, b.At(i/2))
		end := leEnd + lePadding
		if i&1 == 1 && decimal.IsWhole(number) {
			end = ".0" + leEnd + lePadding
		}
		text := leStart + string(number) + end
		b.labels[i] = text[:len(text)-len(lePadding)]
	}
	return b
}

// At returns the i-th upper bound. +Inf follows the finite bounds.
func (b *Bounds) At(i int) float64 {
	if i < len(b.Upper) {
		return b.Upper[i]
	}
	return math.Inf(+1)
}

// number returns the i-th upper bound as text.
func (b *Bounds) number(i int) string {
	label := b.labels[2*i]
	return label[len(leStart) : len(label)-len(leEnd)]
}

// A Distribution is the value of a summary.
type Distribution struct {
	Count     uint64
	Sum       float64
	Quantiles []Quantile
}

// A Quantile is a value that the given fraction of the observations does not exceed.
type Quantile struct{ Quantile, Value float64 }
