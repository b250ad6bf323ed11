package tacho

import (
	"math"
	"slices"
	"time"
	"unsafe"

	"github.com/tachikoma/tacho/internal/atomicfloat"
	"github.com/tachikoma/tacho/internal/exemplar"
	"github.com/tachikoma/tacho/internal/expo"
	"github.com/tachikoma/tacho/internal/native"
	"github.com/tachikoma/tacho/internal/store"
)

// A restart is the last restart of a native histogram. An exposition that restarts histograms makes
// it, some time after the resolution fell.
//
// The next such exposition decides whether the restart stands. The restart stands if the schema is
// higher than before: Prometheus takes a higher schema for a reset of the counter. If the resolution
// has fallen again, the restart is undone. Otherwise the counts of all buckets could be higher than
// before, and Prometheus would not see the reset. So a histogram whose values always need the low
// resolution has no restart that stands. Until the decision, all other readers see the counts from
// before the restart too.
type restart struct {
	created int64  // the time, in Unix milliseconds; before after the restart is undone
	before  int64  // created of the restart before, or 0
	taken   *taken // the counts that the exposition showed; nil after the decision
	gone    uint64 // observations that were taken by all restarts that stand
}

// A taken has the counts of a histogram before its restart.
type taken struct {
	native.Snapshot
	counts []uint64 // of the words of a row, without the sum
	sum    float64
	total  uint64 // observations, without those in the zero bucket
}

// addTo adds the counts of the words of a row to counts, and returns the sum of sum and t.sum.
func (t *taken) addTo(counts []uint64, sum float64) float64 {
	for i, n := range t.counts {
		counts[i] += n
	}
	return sum + t.sum
}

// lastRestart returns the time of the last restart that stands, or 0. t has the counts from before an
// undecided restart; otherwise t is nil. It needs the lock of nativeRules.
func lastRestart(h *Histogram) (created int64, t *taken) {
	switch r := (*restart)(nativeOf(h).restart); {
	case r == nil:
		return 0, nil
	case r.taken != nil:
		return r.before, r.taken
	default:
		return r.created, nil
	}
}

// goneFrom returns the number of observations that restarts which stand took from h. It needs the lock of
// nativeRules.
func goneFrom(h *Histogram) uint64 {
	if r := (*restart)(nativeOf(h).restart); r != nil {
		return r.gone
	}
	return 0
}

// undo undoes the last restart, which took t. It needs the lock of nativeRules.
func undo(h *Histogram, t *taken) {
	r := (*restart)(nativeOf(h).restart)
	r.created = r.before
	bucketsOf(h).AddDifference(nativeRules(h), &native.Snapshot{Schema: t.Schema}, &t.Snapshot)
	words := h.words()
	for i, n := range t.counts {
		words[1+i].Add(n)
	}
	atomicfloat.Add(h.row, t.sum)
}

// countNative is Histogram.read with native buckets. The sum of counts is the number of observations
// in the native buckets.
func countNative(h *Histogram, counts []uint64) (sum float64) {
	c := nativeRules(h)
	c.Lock()
	sum = h.read(counts)
	total := c.Count(bucketsOf(h), 1)
	for s := h.wide.Load(); s != nil; s = s.Before() {
		total += c.Count((*native.Buckets)(s.Side()), s.Rows())
	}
	if _, t := lastRestart(h); t != nil {
		sum = t.addTo(counts, sum)
		total += t.total
	}
	c.Unlock()
	limitCounts(counts, total+counts[len(counts)-1])
	return sum
}

// limitCounts changes the counts of the classic buckets so that their sum is total, the number of
// observations in the native buckets. The numbers can differ while goroutines observe. A restart can
// also take the classic count of an observation and leave the native count.
func limitCounts(counts []uint64, total uint64) {
	last := len(counts) - 1
	for i := range counts[:last] {
		counts[i] = min(counts[i], total)
		total -= counts[i]
	}
	counts[last] = total
}

// readNative sets counts to the counts of the classic buckets, and r to the native buckets. Both
// have the number of observations of the native buckets. readNative returns the sum, and the time
// of the last restart that stands, or 0. If restarts is true, readNative decides whether an
// undecided restart stands. If there is none, the histogram may restart.
func readNative(h *Histogram, r *native.Reader, counts []uint64, restarts bool) (sum float64, created int64) {
	r.Begin(nativeRules(h))
	r.Rows(bucketsOf(h), 1)
	for s := h.wide.Load(); s != nil; s = s.Before() {
		r.Rows((*native.Buckets)(s.Side()), s.Rows())
	}
	created, before := lastRestart(h)
	decides := restarts && before != nil
	restarts = restarts && before == nil && r.Restart()
	if restarts {
		sum = take(h, counts)
	} else {
		sum = h.read(counts)
	}
	r.Read()
	if decides {
		last := (*restart)(nativeOf(h).restart)
		last.taken = nil
		if r.Schema > before.Schema {
			last.gone += before.Count()
			created, before = last.created, nil
		} else {
			undo(h, before)
		}
	}
	if before != nil {
		sum = before.addTo(counts, sum)
		r.Merge(&before.Snapshot)
	}
	r.Zero = counts[len(counts)-1]
	total := r.Snapshot.Count()
	if restarts {
		t := &taken{r.Snapshot, slices.Clone(counts), sum, total - r.Zero}
		t.Positive, t.Negative = slices.Clone(t.Positive), slices.Clone(t.Negative)
		nativeOf(h).restart = unsafe.Pointer(&restart{time.Now().UnixMilli(), created, t, goneFrom(h)})
	}
	r.End()
	limitCounts(counts, total)
	return sum, created
}

// take is Histogram.read, and sets the words to 0.
func take(h *Histogram, counts []uint64) (sum float64) {
	row := h.words()
	sum = math.Float64frombits(row[0].Swap(0))
	for i := range counts {
		counts[i] = row[1+i].Swap(0)
	}
	if s := h.wide.Load(); s != nil {
		sum += s.TakeFloat(counts)
	}
	return sum
}

func encodeNativeHistograms(v *vec, e *expo.Encoder) {
	if encode := e.Native(); encode != nil {
		encode(nativeCode{}, unsafe.Pointer(v), e)
	} else {
		encodeHistograms(v, e)
	}
}

// EncodeNative is encodeHistograms with native buckets, for formats that show native buckets or
// exemplars.
func (nativeCode) EncodeNative(family unsafe.Pointer, e *expo.Encoder) {
	v := (*vec)(family)
	def := v.fam.hist
	counts := make([]uint64, len(def.Upper)+1)
	restarts := e.RestartsNative()
	r := new(native.Reader)
	n := &expo.Native{Snapshot: &r.Snapshot, Code: expo.NativeCode{}}
	var newest [1]exemplar.Slot
	var c store.Cursor
	for ok := v.begin(&c, e); ok; ok = c.Next() {
		for i, metric := range c.Metrics[:c.N] {
			h := (*Histogram)(metric)
			sum, created := readNative(h, r, counts, restarts)
			d := v.details(e, &c, i, nil, h.last.Load())
			// Without classic buckets, a format that shows exemplars of classic buckets alone shows the
			// newest exemplar, for +Inf.
			if n.Exemplars = nil; len(def.Upper) == 0 && d.Buckets != nil {
				n.Exemplars = d.Buckets
				newest[0].Copy(exemplar.Newest(n.Exemplars))
				d.Buckets = newest[:]
			}
			d.SetNative(n)
			if v.dated {
				d.Created = max(d.Created, created)
			}
			if !e.Histogram(c.Block(i), &def.Bounds, counts, sum, d) {
				return
			}
		}
	}
}
