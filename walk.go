package tacho

import (
	"io"
	"sync"
	"unsafe"
)

// An encoder writes one exposition. The registry walks its families and hands
// each one's samples over; every format consumes the same walk.
type encoder struct {
	format *encoding
	output
	exposition         // of the text format and OpenMetrics
	special    bool    // OpenMetrics: the family may have exemplars and times of creation
	json       uint8   // JSON: what was written before
	d          details // of the sample at hand
}

// An encoding is a format: functions that append to the buffer of an encoder.
// Those that take a sample report whether the walk should go on: not after a write
// error. It is a table of functions and no interface, because with a type that is
// put into an interface the linker keeps the descriptions of all types in reach,
// down to time.Time, and their methods: 70 KB in a program without HTTP.
type encoding struct {
	id        uint8                                                      // one of those below
	naming    func(r *Registry, families []*family, s escaping) renaming // nil if families keep their names
	begin     func(e *encoder, f *family)
	whole     func(e *encoder, block string, v uint64, negative bool, d *details) bool
	float     func(e *encoder, block string, v float64, d *details) bool
	histogram func(e *encoder, block string, def *histogramDef, counts []uint64, sum float64, d *details) bool
	finish    func(e *encoder)
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
	if e.format.naming != nil {
		e.rename = e.format.naming(r, families, e.scheme)
	}
	for _, f := range families {
		if e.err != nil {
			return
		}
		f.walk(e)
	}
}

// scraped returns the families of a scrape, sorted by name, as a list that nobody
// changes.
func (r *Registry) scraped() []*family {
	r.mu.Lock()
	collect := r.collect
	if collect == nil {
		defer r.mu.Unlock()
		return r.byName()
	}
	r.mu.Unlock()
	return collect()
}

// byName returns the defined families. The mutex is held.
func (r *Registry) byName() []*family {
	if r.sorted == nil {
		r.sorted = sortFamilies(r.defined)
	}
	return r.sorted
}

// sortFamilies returns families sorted by name.
func sortFamilies(families []*family) []*family {
	// By way of series, since a type that a generic function is made for counts to
	// the linker as one in an interface; see encoding.
	byName := make([]*series, len(families))
	for i, f := range families {
		byName[i] = &series{text: f.name, cut: uint32(len(f.name)), m: unsafe.Pointer(f)}
	}
	sortSeries(byName)
	sorted := make([]*family, len(families))
	for i, s := range byName {
		sorted[i] = (*family)(s.m)
	}
	return sorted
}

func walkCounters(v *vec, e *encoder) {
	for i, s := range v.ordered() {
		if i == 0 {
			e.begin(v.fam)
		}
		c := (*Counter)(s.m)
		var d *details
		if x := c.last.load(); x != nil || v.dated {
			d = v.details(e, s, x, nil)
		}
		if !e.format.whole(e, s.block(), c.Value(), false, d) {
			return
		}
	}
}

func walkFloatCounters(v *vec, e *encoder) {
	for i, s := range v.ordered() {
		if i == 0 {
			e.begin(v.fam)
		}
		c := (*FloatCounter)(s.m)
		var d *details
		if x := c.last.load(); x != nil || v.dated {
			d = v.details(e, s, x, nil)
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
		v, negative := (*Gauge)(s.m).Value(), false
		if v < 0 {
			v, negative = -v, true // of the least value too: as a uint64 it is right
		}
		if !e.format.whole(e, s.block(), uint64(v), negative, nil) {
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
		if slots := h.last.Load(); slots != nil {
			d = v.details(e, s, nil, *slots)
		} else if v.dated {
			d = v.details(e, s, nil, nil)
		}
		if sum := h.read(counts); !e.format.histogram(e, s.block(), def, counts, sum, d) {
			return
		}
	}
}

// details returns what is known of a series beside its value. Few have more, so
// callers look first whether there is anything.
func (v *vec) details(e *encoder, s *series, x *exemplar, buckets []exemplarSlot) *details {
	d := &e.d
	*d = details{exemplar: x, buckets: buckets}
	if v.dated {
		d.created = tracked(s).created
	}
	return d
}

// flushAt is how much an encoder gathers before it writes: enough to make the
// cost of a Write vanish, little enough to stay in a core's own cache.
const flushAt = 32 << 10

// maxPooled is the largest buffer that goes back to the pool; a line longer
// than that was an exception and its memory should not stay.
const maxPooled = 2 * flushAt

// An output gathers an exposition and writes it in blocks of about flushAt.
type output struct {
	w   io.Writer
	buf []byte
	err error
}

var bufs = sync.Pool{New: func() any { b := make([]byte, 0, maxPooled); return &b }}

// full writes the buffer once it is worth it, and reports whether to go on.
func (o *output) full() bool {
	if len(o.buf) >= flushAt {
		o.flush()
	}
	return o.err == nil
}

func (o *output) flush() {
	if o.err == nil && len(o.buf) > 0 {
		_, o.err = o.w.Write(o.buf)
	}
	o.buf = o.buf[:0]
}

// write writes all metrics in a format. The buffer is one of a pool.
func (r *Registry) write(w io.Writer, format *encoding, s escaping) error {
	e := &encoder{format: format, output: output{w: w}, exposition: exposition{scheme: s}}
	p := bufs.Get().(*[]byte)
	e.buf = (*p)[:0]
	r.walk(e)
	format.finish(e)
	e.flush()
	if cap(e.buf) <= maxPooled {
		*p = e.buf
		bufs.Put(p)
	}
	return e.err
}
