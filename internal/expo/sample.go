package expo

import (
	"math"

	"github.com/tachikoma/tacho/internal/decimal"
	"github.com/tachikoma/tacho/internal/exemplar"
)

// Details are the properties, besides labels and value, that few samples have. An Encoder
// shows a property if its format has a place for it.
type Details struct {
	Timed    bool
	At       int64              // Unix milliseconds, if Timed
	Created  int64              // Unix milliseconds; 0 if unknown
	Exemplar *exemplar.Exemplar // of a counter; nil for none
	Buckets  []exemplar.Slot    // of a histogram's buckets; nil for none
}

// Bounds are the upper bounds of a histogram.
type Bounds struct {
	Upper []float64 // the finite bounds; +Inf follows and is not stored
	le    []le
}

// le is the label of a bound as the end of a label block, such as `le="1"} `.
type le struct {
	_     [0]func() // no ==; see internal/SIZE.md
	text  string
	whole bool // OpenMetrics needs ".0" behind the number
}

const leStart, leEnd = `le="`, `"} `

// NewBounds returns the Bounds with these finite upper bounds.
func NewBounds(upper []float64) Bounds {
	b := Bounds{Upper: upper, le: make([]le, len(upper)+1)}
	for i := range b.le {
		number := decimal.AppendFloat(nil, b.At(i))
		b.le[i].whole = decimal.IsWhole(number)
		b.le[i].text = leStart + string(number) + leEnd
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
func (l *le) number() string { return l.text[len(leStart) : len(l.text)-len(leEnd)] }

// appendOpen appends the label with the bound as a float.
func (l *le) appendOpen(b []byte) []byte {
	if b = append(b, l.text...); l.whole {
		b = append(b[:len(b)-len(leEnd)], `.0"} `...)
	}
	return b
}

// A Distribution is the value of a summary.
type Distribution struct {
	Count     uint64
	Sum       float64
	Quantiles []Quantile
}

// A Quantile is a value that the given fraction of the observations does not exceed.
type Quantile struct{ Quantile, Value float64 }
