package tacho

import (
	"math"
	"slices"
	"time"

	"github.com/tachikoma/tacho/internal/exemplar"
	"github.com/tachikoma/tacho/internal/expo"
	"github.com/tachikoma/tacho/internal/sortkeys"
)

// An Exemplar is a reference from a sample to one event in the sample, such as the trace of a
// request (OpenMetrics 1.0, "Exemplars").
type Exemplar struct {
	Value  float64   // of the event: the amount added to a counter, or the observed value
	Labels []string  // name, value, name, value
	Time   time.Time // of the event, shown to the millisecond
}

// Exemplars returns an Emitter of the same scrape whose counters and histograms have these
// exemplars, instead of those of e. Other types show none. A counter shows the latest exemplar.
// A classic bucket of a histogram shows the latest exemplar whose value is in the bucket. Of the
// exemplars with the same time, the last in list is the latest. The protobuf format also shows
// all exemplars of a native histogram.
//
// A bad exemplar is left out, and tacho_errors_total{metric,reason="exemplar"} counts. An
// exemplar is bad if it has no labels or bad labels; see [Counter.AddExemplar]. An exemplar is bad
// if its time is before 1970 or after 9999, as the zero time is. An exemplar is bad if its value is
// NaN, or is negative and the sample is a counter. Exemplars copies the strings.
func (e *Emitter) Exemplars(list ...Exemplar) *Emitter {
	e, with := e.derived()
	with.attach, with.exemplars, with.refused = nil, nil, 0
	for _, x := range list {
		var own *exemplar.Exemplar
		at := x.Time.UnixMilli()
		if len(x.Labels) > 0 && at >= 0 && at <= maxTime && !math.IsNaN(x.Value) { // the zero time is before 1970
			own = exemplar.New(x.Value, at, x.Labels)
		}
		if own == nil {
			with.refused++
			continue
		}
		with.exemplars = append(with.exemplars, own)
	}
	if len(list) > 0 {
		with.attach = attachExemplars
	}
	return e
}

// attachExemplars returns the details of a sample with exemplars; see properties.details. It sets
// c.badExemplars.
func attachExemplars(c *collection, p *properties, k expo.Kind, own *distribution) *expo.Details {
	c.badExemplars = p.refused
	d := new(expo.Details)
	*d = p.times
	switch k {
	case expo.Counter:
		for _, x := range p.exemplars {
			switch {
			case x.Value < 0:
				c.badExemplars++
			case d.Exemplar == nil || x.At >= d.Exemplar.At:
				d.Exemplar = x
			}
		}
	case expo.Histogram:
		if len(p.exemplars) > 0 {
			d.Buckets = bucketExemplars(own.bounds, p.exemplars)
			if n := (*expo.Native)(own.native); n != nil {
				n.Exemplars = exemplarsByTime(p.exemplars)
			}
		}
	}
	return d
}

// bucketExemplars returns the latest exemplar of each bucket.
func bucketExemplars(bounds *expo.Bounds, list []*exemplar.Exemplar) []exemplar.Slot {
	latest := make([]*exemplar.Exemplar, len(bounds.Upper)+1)
	for _, x := range list {
		i, _ := slices.BinarySearch(bounds.Upper, x.Value)
		if latest[i] == nil || x.At >= latest[i].At {
			latest[i] = x
		}
	}
	return exemplarSlots(latest)
}

// exemplarsByTime returns the exemplars in the order of their times, each once. The order saves
// the encoder a sort.
func exemplarsByTime(list []*exemplar.Exemplar) []exemplar.Slot {
	keys := make([]string, len(list))
	for i, x := range list {
		keys[i] = string(appendUint64(appendUint64(nil, uint64(x.At)), math.Float64bits(x.Value))) + x.Labels
	}
	var sorted []*exemplar.Exemplar
	for _, i := range sortkeys.Strings(len(keys), func(i uint32) string { return keys[i] }) {
		sorted = append(sorted, list[i])
	}
	return exemplarSlots(sorted)
}

func exemplarSlots(list []*exemplar.Exemplar) []exemplar.Slot {
	slots := make([]exemplar.Slot, len(list))
	for i, x := range list {
		slots[i].Init(x)
	}
	return slots
}

// appendUint64 appends v, the highest byte first.
func appendUint64(b []byte, v uint64) []byte {
	for shift := 56; shift >= 0; shift -= 8 {
		b = append(b, byte(v>>shift))
	}
	return b
}
