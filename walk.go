package tacho

import (
	"io"
	"sync/atomic"
	"unsafe"
)

// An encoder writes one exposition. The registry walks its families and hands
// each one's samples over; every format consumes the same walk.
type encoder struct {
	format *encoding
	w      io.Writer
	buf    []byte  // what was gathered and not written yet
	err    error   // the first of w
	d      details // of the sample at hand

	scheme escaping
	rename func(f *family) (name string, plain bool) // nil if families keep their names

	// The family at hand, in the text format and OpenMetrics.
	head   string // the name in the lines about it
	family string // and before the suffixes of samples
	sample string // the name of samples that are one value
	quoted bool   // names must stand in quotes, and inside the braces of a sample
	dated  bool   // OpenMetrics: it may have exemplars and times of creation

	// For lines put together by whole: the sample's name once more, its length or 0 if
	// lines are not, and what follows the number, the first byte lowest.
	name [64]byte
	size int
	end  uint64
	ends int

	// special appends a sample up to its value where names are quoted or escaped; nil
	// where they go out as they are.
	special func(e *encoder, b []byte, name, suffix, block string) []byte

	json uint8 // JSON: what was written before
}

// An encoding is a format: functions that append to the buffer of an encoder.
// Those that take a sample report whether the walk should go on: not after a write
// error. It is a table of functions and no interface, because with a type that is
// put into an interface the linker keeps the descriptions of all types in reach,
// down to time.Time, and their methods: 70 KB in a program without HTTP.
type encoding struct {
	id        uint8                                                                          // one of those below
	naming    func(r *Registry, families []*family, s escaping) func(*family) (string, bool) // nil if a family keeps its name but for escaping
	begin     func(e *encoder, f *family)
	whole     func(e *encoder, block string, v uint64, negative bool, d *details) bool
	float     func(e *encoder, block string, v float64, d *details) bool
	histogram func(e *encoder, block string, def *histogramDef, counts []uint64, sum float64, d *details) bool
	finish    func(e *encoder) // nil if nothing ends an exposition
}

// The formats, for tables that not every program needs.
const (
	formatText uint8 = iota
	formatOpen
	formatJSON
)

func (e *encoder) begin(f *family) { e.format.begin(e, f) }

func (e *encoder) float(block string, v float64, d *details) bool {
	return e.format.float(e, block, v, d)
}

// details are what few samples have beside labels and a value, and an encoder
// shows if its format has a place for it. They are valid until the next sample.
type details struct {
	timed    bool
	at       int64          // Unix milliseconds, if timed
	created  int64          // Unix milliseconds; 0 if not known
	exemplar *exemplar      // of a counter
	buckets  []exemplarSlot // of a histogram's buckets
}

// walk hands over all families, sorted by name. It holds no lock while the
// encoder runs, since an encoder writes to clients that may be slow.
func (r *Registry) walk(e *encoder) {
	families := r.scraped()
	switch {
	case e.format.naming != nil:
		e.rename = e.format.naming(r, families, e.scheme)
	case e.format.id == formatText && r.utf8 != nil:
		e.rename = r.utf8.naming(r, families, false, e.scheme)
	}
	for _, f := range families {
		if e.err != nil {
			return
		}
		if f.encode != nil {
			f.encode(e)
		} else {
			f.metric.walk(f.vec, e)
		}
	}
}

// scraped returns the families of a scrape, sorted by name, as a list that nobody
// changes.
func (r *Registry) scraped() []*family {
	r.mu.Lock()
	families, collect := r.byName(), r.collect
	r.mu.Unlock()
	if collect != nil {
		families = collect()
	}
	return families
}

// byName returns the defined families. The mutex is held.
func (r *Registry) byName() []*family {
	if r.sorted == nil {
		r.sorted = sortFamilies(r.defined)
	}
	return r.sorted
}

// sortFamilies returns families sorted by name, by way of series, which there is a sort
// for.
func sortFamilies(families []*family) []*family {
	all, byName := make([]series, len(families)), make([]*series, len(families))
	for i, f := range families {
		byName[i] = &all[i]
		all[i] = series{text: f.name, cut: uint32(len(f.name)), m: unsafe.Pointer(f)}
	}
	sortSeries(byName)
	sorted := make([]*family, len(families))
	for i, s := range byName {
		sorted[i] = (*family)(s.m)
	}
	return sorted
}

func walkCounters(v *vec, e *encoder) {
	none := v.fam.none
	for i, s := range v.ordered() {
		if i == 0 {
			e.begin(v.fam)
		}
		c := (*Counter)(s.m)
		var d *details
		if c.last.p.Load() != none || v.dated {
			d = v.details(e, s, &c.last, nil)
		}
		if !e.whole(s.block(), c.Value(), false, d) {
			return
		}
	}
}

func walkFloatCounters(v *vec, e *encoder) {
	none := v.fam.none
	for i, s := range v.ordered() {
		if i == 0 {
			e.begin(v.fam)
		}
		c := (*FloatCounter)(s.m)
		var d *details
		if c.last.p.Load() != none || v.dated {
			d = v.details(e, s, &c.last, nil)
		}
		if !e.float(s.block(), c.Value(), d) {
			return
		}
	}
}

func walkGauges(v *vec, e *encoder) {
	for i, s := range v.ordered() {
		if i == 0 {
			e.begin(v.fam)
		}
		n, negative := (*Gauge)(s.m).Value(), false
		if n < 0 {
			n, negative = -n, true // of the least value too: as a uint64 it is right
		}
		if !e.whole(s.block(), uint64(n), negative, nil) {
			return
		}
	}
}

func walkFloatGauges(v *vec, e *encoder) {
	for i, s := range v.ordered() {
		if i == 0 {
			e.begin(v.fam)
		}
		if !e.float(s.block(), (*FloatGauge)(s.m).Value(), nil) {
			return
		}
	}
}

func walkHistograms(v *vec, e *encoder) {
	def := v.fam.hist
	counts := make([]uint64, len(def.bounds)+1)
	for i, s := range v.ordered() {
		if i == 0 {
			e.begin(v.fam)
		}
		h := (*Histogram)(s.m)
		var d *details
		if slots := h.last.Load(); slots != nil || v.dated {
			d = v.details(e, s, nil, slots)
		}
		if sum := h.read(counts); !e.format.histogram(e, s.block(), def, counts, sum, d) {
			return
		}
	}
}

// details returns what is known of a series beside its value. Few have more, so
// callers look first whether there is anything.
//
//go:noinline
func (v *vec) details(e *encoder, s *series, last *exemplarSlot, buckets *[]exemplarSlot) *details {
	d := &e.d
	*d = details{}
	if last != nil {
		d.exemplar = last.load()
	}
	if buckets != nil {
		d.buckets = *buckets
	}
	if v.dated {
		d.created = tracked(s).created
	}
	return d
}

// flushAt is how much an encoder gathers before it writes: enough to make the
// cost of a Write vanish, little enough to stay in a core's own cache.
const flushAt = 32 << 10

// maxPooled is the largest buffer that is kept for the next scrape; a line longer
// than that was an exception and its memory should not stay.
const maxPooled = 2 * flushAt

// full writes the buffer once it is worth it, and reports whether to go on.
func (e *encoder) full() bool {
	if len(e.buf) >= flushAt {
		e.flush()
	}
	return e.err == nil
}

func (e *encoder) flush() {
	if e.err == nil && len(e.buf) > 0 {
		_, e.err = e.w.Write(e.buf)
	}
	e.buf = e.buf[:0]
}

// spare is a buffer that waits for the next scrape; of scrapes at the same time, all
// but one make their own. sync.Pool could keep more, for 3 KB in a program that has
// it from nowhere else.
var spare atomic.Pointer[[]byte]

// write writes all metrics in a format.
func (r *Registry) write(w io.Writer, format *encoding, s escaping) error {
	p := spare.Swap(nil)
	if p == nil {
		b := make([]byte, 0, maxPooled)
		p = &b
	}
	e := &encoder{format: format, w: w, buf: (*p)[:0], scheme: s}
	r.walk(e)
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
