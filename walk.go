package tacho

import (
	"io"
	"strings"
	"sync"
)

// An encoder writes one exposition. The registry walks its families and hands
// each one's samples over; every format consumes the same walk. Methods that
// take a sample report whether the walk should go on: not after a write error.
type encoder interface {
	prepare(r *Registry, defined, collected []*family)
	begin(f *family)
	uint(block string, v uint64, d *details) bool
	int(block string, v int64, d *details) bool
	float(block string, v float64, d *details) bool
	histogram(block string, def *histogramDef, counts []uint64, sum float64, d *details) bool
	summary(block string, s *SummarySnapshot, d *details) bool
	scratch() *details
	ok() bool
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
func (r *Registry) walk(e encoder) {
	families, collected := r.settle(r.collected())
	e.prepare(r, families, collected)
	for _, f := range families {
		for len(collected) > 0 && collected[0].name < f.name {
			collected[0].walk(e)
			collected = collected[1:]
		}
		if !e.ok() {
			return
		}
		f.walk(e)
	}
	for _, f := range collected {
		f.walk(e)
	}
}

// collected returns the families that collectors emit, sorted by name.
func (r *Registry) collected() []*family {
	r.mu.Lock()
	collect := r.collect
	r.mu.Unlock()
	if collect == nil {
		return nil
	}
	return collect()
}

// settle returns the defined families sorted by name, as a list that nobody
// changes, and those of the collected ones that none of them conflicts with: a
// family may have been defined while the collectors ran.
func (r *Registry) settle(collected []*family) (families, free []*family) {
	r.mu.Lock()
	if r.sorted == nil {
		r.sorted = append(r.sorted, r.defined...)
		sortFamilies(r.sorted)
	}
	families = r.sorted
	var refused []*family
	for _, f := range collected {
		if other, _ := r.conflict(f.name, f.kind); other != nil || r.families[f.name] != nil {
			refused = append(refused, f)
		} else {
			free = append(free, f)
		}
	}
	r.mu.Unlock()
	for _, f := range refused {
		f.fault(reasonConflict)
	}
	return families, free
}

func sortFamilies(list []*family) {
	sortList(list, func(a, b *family) int { return strings.Compare(a.name, b.name) })
}

func walkCounters(v *vec, e encoder) {
	for i, s := range v.ordered() {
		if i == 0 {
			e.begin(v.fam)
		}
		c := (*Counter)(s.m)
		var d *details
		if x := c.last.load(); x != nil || v.dated {
			d = v.details(e, s, x, nil)
		}
		if !e.uint(s.block(), c.Value(), d) {
			return
		}
	}
}

func walkFloatCounters(v *vec, e encoder) {
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

func walkGauges(v *vec, e encoder) {
	for i, s := range v.ordered() {
		if i == 0 {
			e.begin(v.fam)
		}
		if !e.int(s.block(), (*Gauge)(s.m).Value(), nil) {
			return
		}
	}
}

func walkFloatGauges(v *vec, e encoder) {
	for i, s := range v.ordered() {
		if i == 0 {
			e.begin(v.fam)
		}
		if !e.float(s.block(), (*FloatGauge)(s.m).Value(), nil) {
			return
		}
	}
}

func walkHistograms(v *vec, e encoder) {
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
		if sum := h.read(counts); !e.histogram(s.block(), def, counts, sum, d) {
			return
		}
	}
}

// details returns what is known of a series beside its value. Few have more, so
// callers look first whether there is anything.
func (v *vec) details(e encoder, s *series, x *exemplar, buckets []exemplarSlot) *details {
	d := e.scratch()
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
	d   details
}

var bufs = sync.Pool{New: func() any { b := make([]byte, 0, maxPooled); return &b }}

func (o *output) ok() bool { return o.err == nil }

// scratch is the place for the details of the sample at hand: one a scrape.
func (o *output) scratch() *details { return &o.d }

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

// run gives the output a pooled buffer for as long as encode runs.
func (o *output) run(encode func()) error {
	p := bufs.Get().(*[]byte)
	o.buf = (*p)[:0]
	encode()
	o.flush()
	if cap(o.buf) <= maxPooled {
		*p = o.buf
		bufs.Put(p)
	}
	return o.err
}
