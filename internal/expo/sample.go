package expo

import (
	"math"
	"unsafe"

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

	native unsafe.Pointer // *Native of a histogram; nil for none; see internal/SIZE.md
}

// Native is the native part of a histogram. The sum of the counts for [Encoder.Histogram] is the result
// of Count.
type Native struct {
	_ [0]func() // no ==; see internal/SIZE.md
	*native.Snapshot
	Exemplars []exemplar.Slot // of native buckets, in no order; nil if classic buckets have all
	Code      nativeFormats   // [NativeCode]
}

// NativeCode has the code that encodes native buckets: a method for each format. A program contains a
// method if the program has native histograms and the format; see internal/SIZE.md.
type NativeCode struct{}

// nativeFormats is the interface of [NativeCode].
type nativeFormats interface {
	AppendJSON(b []byte, s *native.Snapshot, sum float64) []byte
	protoHistogram(e *Encoder, block string, bounds *Bounds, counts []uint64, sum float64, d *Details) bool
	otlpHistogram(e *Encoder, block string, counts []uint64, sum float64, d *Details) bool
	open2Native(e *Encoder, b []byte, d *Details) ([]byte, *Details)
}

// NativeSource has the code of native histograms for formats other than the text format. A program
// contains a method if the program has native histograms and calls the method; see internal/SIZE.md.
type NativeSource interface {
	// EncodeNative passes the samples of a family to e. family is a *vec of package tacho.
	EncodeNative(family unsafe.Pointer, e *Encoder)
	// ProtobufFormat returns &Protobuf.
	ProtobufFormat() unsafe.Pointer
}

// EncodeNative calls the method EncodeNative of a NativeSource.
type EncodeNative = func(code NativeSource, family unsafe.Pointer, e *Encoder)

// encodeNative is the EncodeNative of all formats except the text format, which shows neither native
// buckets nor exemplars. Only these formats refer to encodeNative.
func encodeNative(code NativeSource, family unsafe.Pointer, e *Encoder) { code.EncodeNative(family, e) }

// Native returns the native part of a histogram, or nil if there is none.
func (d *Details) Native() *Native { return (*Native)(d.native) }

// SetNative sets the native part of a histogram.
func (d *Details) SetNative(n *Native) { d.native = unsafe.Pointer(n) }

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
