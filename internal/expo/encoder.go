package expo

import (
	"io"
	"math/bits"
	"sync/atomic"
	"unsafe"

	"github.com/tachikoma/tacho/internal/names"
)

// An Encoder writes one exposition.
type Encoder struct {
	format  *Format
	names   *Names
	w       io.Writer
	buf     []byte // not written yet
	err     error  // the first error of w
	scheme  names.Scheme
	details Details // of the current sample

	rename func(f *Family) (name string, plain bool) // nil if families keep their names

	current *Family // whose Encode runs
	begun   bool    // a family with the name of current began

	// The current family, in the text format and OpenMetrics.
	head   string // its name in HELP, TYPE and UNIT lines
	family string // its name before the suffixes of samples
	sample string // the name of samples that are one value
	quoted bool   // the name is in quotes, and inside the braces of a sample
	dated  bool   // OpenMetrics: samples may have exemplars and times of creation

	// For the lines of Whole: the name of the sample and its length, and the text behind
	// the number. A length of 0 means that Whole cannot be used. The first byte of end is
	// its lowest.
	name    [64]byte
	nameLen int
	end     uint64
	endLen  int

	// special appends a sample up to its value if names are quoted or escaped; nil
	// otherwise.
	special func(e *Encoder, b []byte, name, suffix, block string) []byte

	json  unsafe.Pointer // *jsonState; nil before the first family; see internal/SIZE.md
	proto unsafe.Pointer // *protoState or *open2State; nil before the first use

	// Texts keeps the memory of the label blocks of a family, which does not change. A family sets Texts
	// before Begin, or leaves it nil. Only Reading reads it.
	Texts unsafe.Pointer
}

// A Format is a table of functions that append to the buffer of an Encoder. Functions that
// take a sample return false after a write error.
//
// An interface instead of a table would be larger; see internal/SIZE.md.
type Format struct {
	id        uint8
	naming    func(n *Names, families []*Family, s names.Scheme) func(*Family) (string, bool) // nil if families keep their names unless they are escaped
	begin     func(e *Encoder, f *Family)
	whole     func(e *Encoder, block string, v uint64, negative bool, d *Details) bool
	float     func(e *Encoder, block string, v float64, d *Details) bool
	histogram func(e *Encoder, block string, bounds *Bounds, counts []uint64, sum float64, d *Details) bool
	finish    func(e *Encoder) // nil if nothing ends an exposition

	// more is a *moreFormat. It is nil for the text format, so that programs with this format alone
	// contain neither the functions nor their types; see internal/SIZE.md.
	more unsafe.Pointer
}

// A moreFormat has the functions of a Format that few programs need.
type moreFormat struct {
	// summary has a method encodeSummary, which only programs with summaries contain. If summary is
	// nil, Encoder.Summary calls the function of the format. See internal/SIZE.md.
	summary any
	native  EncodeNative // see Encoder.Native

	// describe appends the members of a family before its series; nil if the family is the list of
	// its series.
	describe func(b []byte, f *Family) []byte

	// end ends the samples of textWhole and textFloat that have details; nil for the text format.
	end func(e *Encoder, b []byte, d *Details) bool
}

// noSummary is the moreFormat of formats whose summaries are in [Encoder.Summary].
var noSummary = moreFormat{nil, encodeNative, nil, nil}

// The ids of formats.
const (
	textID uint8 = iota
	openID
	jsonID
	protoID

	// The next formats store native histograms too, so an exposition may restart native histograms.
	open2ID
	writeID
	otlpID
)

// Begin starts a family. The calls that follow pass its samples, in their order. Their
// last parameter is nil if a sample has no details; they return false if the family
// should pass no more samples.
//
// Families with the same name follow each other, and are one family of the exposition. The
// first that begins gives the type, the help and the unit.
func (e *Encoder) Begin(f *Family) { e.format.begin(e, f) }

// Current returns the family whose Encode runs. A function that is the Encode of many
// families need not be a closure of each.
func (e *Encoder) Current() *Family { return e.current }

// Float passes a sample with a float64 value. block is the label block of the series.
func (e *Encoder) Float(block string, v float64, d *Details) bool {
	return e.format.float(e, block, v, d)
}

// Histogram passes a histogram. counts are not cumulative and have one element more than
// the finite bounds.
func (e *Encoder) Histogram(block string, bounds *Bounds, counts []uint64, sum float64, d *Details) bool {
	return e.format.histogram(e, block, bounds, counts, sum, d)
}

// Native returns the function that encodes native histograms. It returns nil for a format that shows
// native histograms as histograms without native buckets.
func (e *Encoder) Native() EncodeNative {
	if e.format.more == nil {
		return nil
	}
	return (*moreFormat)(e.format.more).native
}

// RestartsNative reports whether an exposition may restart native histograms. Only the format of
// scrapers that store native histograms may do so.
func (e *Encoder) RestartsNative() bool { return e.format.id >= protoID }

// Summary passes a summary.
func (e *Encoder) Summary(block string, s *Distribution, d *Details) bool {
	if m := (*moreFormat)(e.format.more); m != nil && m.summary != nil {
		return m.summary.(interface {
			encodeSummary(e *Encoder, block string, s *Distribution, d *Details) bool
		}).encodeSummary(e, block, s, d)
	}
	switch e.format.id {
	case textID:
		return textSummary(e, block, s, d)
	case openID:
		return openSummary(e, block, s, d)
	}
	return jsonSummary(e, block, s, d)
}

// Details returns empty Details that are valid until the next sample.
func (e *Encoder) Details() *Details {
	e.details = Details{}
	return &e.details
}

// flushAt is the size at which an Encoder writes its buffer. The buffer stays in the cache
// of a core, and few calls of Write are needed.
const flushAt = 32 << 10

// maxPooled is the size of the largest buffer that is kept for the next exposition. A
// larger buffer had one exceptionally long line.
const maxPooled = 2 * flushAt

// full writes the buffer if the buffer is large enough, and reports whether the exposition
// should go on.
func (e *Encoder) full() bool {
	if len(e.buf) >= flushAt {
		e.flush()
	}
	return e.err == nil
}

func (e *Encoder) flush() {
	if e.err == nil && len(e.buf) > 0 {
		_, e.err = e.w.Write(e.buf)
	}
	e.buf = e.buf[:0]
}

// spare is a buffer for the next exposition. If several expositions run at the same time,
// all of them but one allocate. sync.Pool is larger; see internal/SIZE.md.
var spare atomic.Pointer[[]byte]

// Write writes families, which are sorted by name, to w. It returns the first error of w,
// and writes nothing after that error.
func Write(w io.Writer, format *Format, s names.Scheme, families []*Family, n *Names) error {
	p := spare.Swap(nil)
	if p == nil {
		b := make([]byte, 0, maxPooled)
		p = &b
	}
	e := new(Encoder)
	e.format, e.names, e.w, e.buf, e.scheme = format, n, w, (*p)[:0], s
	switch {
	case format.naming != nil:
		e.rename = format.naming(n, families, s)
	case format.id != jsonID && n.UTF8 != nil:
		e.rename = n.UTF8.rules().naming(n, families, false, s)
	}
	for _, f := range families {
		if e.err == nil {
			if last := e.current; last == nil || last.Name != f.Name {
				e.begun = false
			}
			e.current = f
			f.Encode(e)
		}
	}
	if format.finish != nil {
		format.finish(e)
	}
	e.flush()
	if cap(e.buf) <= maxPooled {
		*p = e.buf
		spare.Store(p)
	}
	return e.err
}

// called returns the name of a family in the exposition, and whether the family is shown
// plain; see exposed.
func (e *Encoder) called(f *Family) (name string, plain bool) {
	if e.rename == nil {
		return f.Name, false
	}
	return e.rename(f)
}

// enter makes f the current family, under the given names. Behind a whole number, lines
// have end, the first byte lowest.
func (e *Encoder) enter(f *Family, name, sample string, end uint64) {
	head := name
	if e.quoted = f.Quoted && e.scheme == names.AllowUTF8; e.quoted {
		head = e.names.UTF8.rules().quote(name)
	}
	var special func(e *Encoder, b []byte, name, suffix, block string) []byte
	if e.quoted || f.QuotedLabels && e.scheme != names.AllowUTF8 {
		special = e.names.UTF8.rules().sample
	}
	e.head, e.family, e.sample, e.special = head, name, sample, special
	e.nameLen = 0
	if special == nil && len(sample) <= len(e.name) {
		e.nameLen = copy(e.name[:], sample)
	}
	e.end, e.endLen = end, (bits.Len64(end)+7)/8
}

// appendHead appends the start of a line about the family.
//
//go:noinline
func (e *Encoder) appendHead(b []byte, word, text string) []byte {
	return put(put(put(put(b, word), e.head), " "), text)
}

// put appends s. Most functions that do not run for each line call put, since an inlined
// append is larger; see internal/SIZE.md.
//
//go:noinline
func put(b []byte, s string) []byte { return append(b, s...) }

// appendSample appends a sample that is one value, up to its value.
func (e *Encoder) appendSample(b []byte, block string) []byte {
	return e.appendNamed(b, e.sample, "", block)
}

// appendSeries appends one of several samples of a series, up to its value.
func (e *Encoder) appendSeries(b []byte, suffix, block string) []byte {
	return e.appendNamed(b, e.family, suffix, block)
}

//go:noinline
func (e *Encoder) appendNamed(b []byte, name, suffix, block string) []byte {
	if e.special != nil {
		return e.special(e, b, name, suffix, block)
	}
	b = append(b, name...)
	if suffix != "" {
		b = put(b, suffix)
	}
	return append(b, block...)
}

// appendOpen appends a sample up to one more label: the bound of a bucket, or the quantile
// of a summary.
func (e *Encoder) appendOpen(b []byte, suffix, block string) []byte {
	b = e.appendSeries(b, suffix, block)
	n := len(b) - len(" ")
	if block == " " && !e.quoted {
		b[n] = '{'
		return b
	}
	b[n-1] = ','
	return b[:n]
}
