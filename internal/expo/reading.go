package expo

import (
	"unsafe"

	"github.com/tachikoma/tacho/internal/native"
)

// A Reader receives the samples of an exposition as values. It must copy texts and slices that it
// keeps: families use their memory again for the next sample.
//
// A block is a label block in the form of label.AppendBlock.
type Reader interface {
	// Begin starts a family. Families with the same name follow each other, as in [Encoder.Begin]. If
	// texts is not nil, it keeps the memory of all blocks of the family, which does not change.
	Begin(f *Family, texts unsafe.Pointer)
	// Float passes a sample of a counter, a gauge, an untyped family or an info.
	Float(block string, v float64)
	// Histogram passes a histogram. counts are not cumulative and have one element more than the
	// finite bounds. n is nil if there are no native buckets.
	Histogram(block string, bounds *Bounds, counts []uint64, sum float64, n *native.Snapshot)
	// Summary passes a summary.
	Summary(block string, s *Distribution)
}

// Reading returns the format that passes all samples to r and writes nothing. Names are as defined.
// Native histograms have their native buckets, and are not restarted. A sample allocates nothing.
//
// Only programs that refer to Reading contain the functions of this file; see internal/SIZE.md.
func Reading(r Reader) *Format {
	f := &readingFormat{more: moreFormat{summary: readSummaries{}, native: encodeNative}, to: r}
	return &Format{
		id:        jsonID, // no restarts of native histograms and no escaped names
		begin:     readBegin,
		whole:     readWhole,
		float:     readFloat,
		histogram: readHistogram,
		more:      unsafe.Pointer(f),
	}
}

type readingFormat struct {
	more moreFormat // the first field; see Format.more
	to   Reader
}

func readerOf(e *Encoder) Reader { return (*readingFormat)(e.format.more).to }

func readBegin(e *Encoder, f *Family) {
	texts := e.Texts
	e.Texts = nil // the next family may have none
	readerOf(e).Begin(f, texts)
}

func readWhole(e *Encoder, block string, v uint64, negative bool, _ *Details) bool {
	readerOf(e).Float(block, signed(v, negative))
	return true
}

func readFloat(e *Encoder, block string, v float64, _ *Details) bool {
	readerOf(e).Float(block, v)
	return true
}

func readHistogram(e *Encoder, block string, bounds *Bounds, counts []uint64, sum float64, d *Details) bool {
	var n *native.Snapshot
	if d != nil && d.Native() != nil {
		n = d.Native().Snapshot
	}
	readerOf(e).Histogram(block, bounds, counts, sum, n)
	return true
}

// readSummaries has the code of summaries; see moreFormat.
type readSummaries struct{}

func (readSummaries) encodeSummary(e *Encoder, block string, s *Distribution, _ *Details) bool {
	readerOf(e).Summary(block, s)
	return true
}
