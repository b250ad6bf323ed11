package tacho

import (
	"math"
	"sync"
	"unsafe"

	"github.com/tachikoma/tacho/internal/escape"
	"github.com/tachikoma/tacho/internal/expo"
	"github.com/tachikoma/tacho/internal/names"
	"github.com/tachikoma/tacho/internal/sortkeys"
	"github.com/tachikoma/tacho/internal/stringslite"
)

// A collection has the samples that one call of a collector emits. It does not change
// after the call: scrapes that overlap can share it.
type collection struct {
	reg *Registry

	mu       sync.Mutex
	closed   bool
	list     []*emitted          // in the order of their first samples
	families map[string]*emitted // the same, by name
	taken    map[string]*emitted // by the names of samples that differ from the family's
	last     *emitted            // the family of the last sample
	fallback *collection         // the families that give way; nil for none
	silent   bool                // refused samples are not counted
	names    map[string]string   // with the prefix of the registry; nil without one
	shapes   map[string]*shape
	shape    *shape // of the last sample

	key, block, value []byte // reused for each sample
	text              []byte // room for the texts of the next rows

	badExemplars int // of the current sample

	// Of a collection whose families give way: mergeFallback.
	merge func(r *Registry, calls []*call, all *collection, families []*expo.Family) []*expo.Family
}

// An emitted family has the samples that collectors emit under one name.
type emitted struct {
	expo.Family
	rows  [1]row  // the first row
	more  [][]row // the others
	count int     // of all rows
	order []*row  // all rows by key, if there are several
	shape *shape  // of the last row

	joined bool // order has the rows of several collectors

	// Of a registry with UTF-8 names: the names of all labels, and by the schemes
	// Underscores and Dots each escaped name with the name that it is made of.
	known   []string
	escaped [2]map[string]string
}

// A row is one sample.
type row struct {
	text  string // the key, which differs for each series of a family, and the label block
	cut   int    // the length of the key
	value float64
	more  *distribution // of a histogram or a summary; otherwise nil
	with  *expo.Details // nil for none
}

type distribution struct {
	bounds  *expo.Bounds // of a histogram; otherwise nil
	counts  []uint64
	native  unsafe.Pointer // *expo.Native of a histogram; nil for none
	summary expo.Distribution
}

func (r *row) key() string   { return r.text[:r.cut] }
func (r *row) block() string { return r.text[r.cut:] }

// Collectors may emit names that come from another system and change with every scrape.
const (
	maxCharged     = 1000 // series of tacho_errors_total; collectors create no more
	maxChargedName = 256  // bytes of a name in tacho_errors_total
)

// refuse counts a bad sample under its name. The label metric is empty if the name is bad
// or too long. The label is also empty for a further series if tacho_errors_total has
// maxCharged series.
func (c *collection) refuse(name, reason string) {
	if c.silent {
		return
	}
	utf8, errors := c.reg.names.UTF8, c.reg.errors
	valid := names.ValidMetric(name) || utf8 != nil && utf8.ValidName(name)
	if !valid || len(name) > maxChargedName {
		name = ""
	} else if errors.Len() >= maxCharged && errors.find([]string{name, reason}, false) == nil {
		countOverflow(errors.fam)
		name = ""
	}
	c.reg.fault(name, reason)
}

// emit adds a sample, or counts the reason for which it is refused. reason is not "" if
// the value is bad.
func (e *Emitter) emit(reason, name, help string, k expo.Kind, sample row, pairs []string) {
	c := e.collection
	if c == nil { // a zero Emitter
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	if c.reg.prefix != "" {
		name = c.prefixed(name)
	}
	with := e.with
	if with != nil && reason == "" {
		sample.with = with.details(c, k, sample.more)
	}
	if reason == "" {
		reason = c.add(name, help, k, sample, pairs, with)
	}
	switch {
	case reason == gaveWay:
	case reason != "":
		c.refuse(name, reason)
	case with != nil:
		with.countBad(c, name)
	}
}

// prefixed returns a name with the prefix of the registry.
func (c *collection) prefixed(name string) string {
	full, ok := c.names[name]
	if !ok {
		if c.names == nil {
			c.names = map[string]string{}
		}
		own := string([]byte(name)) // may be part of a large buffer
		if full = own; !stringslite.HasPrefix(own, ownPrefix) {
			full = c.reg.prefix + own
		}
		c.names[own] = full
	}
	return full
}

// add adds a sample, or returns the reason for which it is refused. A refused sample
// changes nothing.
func (c *collection) add(name, help string, k expo.Kind, sample row, pairs []string, with *properties) string {
	if with != nil && (with.times.At < 0 || with.times.At > maxTime) || len(pairs)%2 != 0 {
		return reasonInvalid
	}
	s := c.shapeOf(pairs)
	if s.reason != "" || k == expo.Histogram && s.le || k == expo.Summary && s.quantile {
		return reasonInvalid
	}
	f := c.last
	if f == nil || f.Name != name {
		f = c.families[name]
	}
	isNew := f == nil
	if isNew {
		var reason string
		if f, reason = c.newFamily(name, help, k); reason != "" {
			return reason
		}
		if with != nil && k != expo.Info { // OpenMetrics 1.0, "Info": an info has no unit
			f.Unit = with.unit
		}
	}
	if f.Kind != k {
		return reasonConflict
	}
	if f.shape != s {
		if !f.addNames(c.reg, s.names) {
			return reasonInvalid
		}
		f.shape = s
		f.QuotedLabels = f.QuotedLabels || s.quoted
	}
	if isNew {
		c.insert(f)
	}
	c.last = f
	sample.text, sample.cut = c.render(s, pairs)
	f.push(sample)
	return ""
}

// newFamily returns a family that is not in the collection, or the reason for which there
// cannot be one.
func (c *collection) newFamily(name, help string, k expo.Kind) (*emitted, string) {
	f := &emitted{Family: expo.Family{Name: name, Kind: k, Consts: c.reg.consts, GivesWay: c.merge != nil}}
	if utf8 := c.reg.names.UTF8; utf8 != nil && utf8.CheckMetric(&f.Family) != "" || utf8 == nil && !names.ValidMetric(name) {
		return nil, reasonInvalid
	}
	c.reg.mu.Lock()
	defined := familyIn(c.reg, c.reg.families, name)
	if defined == nil {
		defined, _ = c.reg.conflictLocked(name, k)
	}
	c.reg.mu.Unlock()
	switch {
	case defined != nil && c.merge != nil:
		return nil, gaveWay
	case defined != nil || c.conflicts(f):
		return nil, reasonConflict
	}
	f.Help = escape.Valid(help)
	f.Encode = f.encode
	return f, ""
}

// conflicts reports whether another family of the collection has one of the names of the
// samples of f.
func (c *collection) conflicts(f *emitted) bool {
	if c.taken[f.Name] != nil {
		return true
	}
	for _, n := range expo.SampleNames(f.Name, f.Kind) {
		if c.families[n] != nil {
			return true
		}
	}
	return false
}

func (c *collection) insert(f *emitted) {
	if c.families == nil {
		c.families, c.taken = map[string]*emitted{}, map[string]*emitted{}
	}
	c.list = append(c.list, f)
	c.families[f.Name] = f
	for _, n := range expo.SampleNames(f.Name, f.Kind) {
		c.taken[n] = f
	}
}

// addNames adds names of labels to f. It returns false, and adds nothing, if a scheme would
// give two of the names the same name: two series could then be the same.
func (f *emitted) addNames(r *Registry, list []string) bool {
	utf8 := r.names.UTF8
	if utf8 == nil {
		return true
	}
	if f.escaped[0] == nil {
		f.escaped = [2]map[string]string{{}, {}}
		for _, l := range r.consts {
			f.escaped[0][utf8.EscapedLabel(l.Name, names.Underscores)] = l.Name
			f.escaped[1][utf8.EscapedLabel(l.Name, names.Dots)] = l.Name
			f.known = append(f.known, l.Name)
		}
	}
	var added [2][]string
	for _, name := range list {
		for i, scheme := range [...]names.Scheme{names.Underscores, names.Dots} {
			escaped := utf8.EscapedLabel(name, scheme)
			other, ok := f.escaped[i][escaped]
			switch {
			case !ok:
				f.escaped[i][escaped] = name
				added[i] = append(added[i], escaped)
			case other != name:
				for i := range added {
					for _, escaped := range added[i] {
						delete(f.escaped[i], escaped)
					}
				}
				return false
			}
		}
	}
	if added[0] != nil || added[1] != nil {
		f.known = append(f.known, list...) // some names may repeat
	}
	return true
}

// push adds a row.
func (f *emitted) push(r row) {
	f.count++
	if f.count == 1 {
		f.rows[0] = r
		return
	}
	n := len(f.more)
	if n == 0 || len(f.more[n-1]) == cap(f.more[n-1]) {
		f.more = append(f.more, make([]row, 0, min(f.count, 1024)))
		n++
	}
	f.more[n-1] = append(f.more[n-1], r)
}

// close makes later calls of the Emitter do nothing.
func (c *collection) close() {
	c.mu.Lock()
	c.closed = true
	f := c.fallback
	c.mu.Unlock()
	if f != nil {
		f.close()
	}
}

// finish closes the collection, and sorts its rows. A series that was emitted twice has the
// first sample.
func (c *collection) finish() {
	c.close()
	for _, f := range c.list {
		if f.count == 1 {
			continue
		}
		rows := make([]*row, 0, f.count)
		rows = append(rows, &f.rows[0])
		for _, chunk := range f.more {
			for i := range chunk {
				rows = append(rows, &chunk[i])
			}
		}
		c.setOrder(f, rows)
	}
	c.names, c.shapes, c.shape, c.last, c.text, c.key, c.block, c.value = nil, nil, nil, nil, nil, nil, nil, nil
	if c.fallback != nil {
		c.fallback.finish()
	}
}

// setOrder sorts the rows of f. It counts the duplicates and leaves them out.
func (c *collection) setOrder(f *emitted, rows []*row) {
	f.order = make([]*row, 0, len(rows))
	for _, i := range sortkeys.Strings(len(rows), func(i uint32) string { return rows[i].key() }) {
		f.order = append(f.order, rows[i])
	}
	for range len(rows) - len(f.order) {
		c.refuse(f.Name, reasonDuplicate)
	}
	f.count = len(f.order)
	for _, r := range f.order {
		f.MixedTimes = f.MixedTimes || f.Kind == expo.Info && r.timed() != f.order[0].timed()
	}
}

// encode passes the samples of f to an encoder, sorted by their labels.
func (f *emitted) encode(e *expo.Encoder) {
	e.Begin(&f.Family)
	if f.order == nil {
		f.rows[0].encode(e)
		return
	}
	for _, r := range f.order {
		if !r.encode(e) {
			return
		}
	}
}

func (r *row) timed() bool { return r.with != nil && r.with.Timed }

func (r *row) encode(e *expo.Encoder) bool {
	switch {
	case r.more == nil:
		// Most values are small whole numbers, which an encoder passes faster. Larger
		// numbers have an exponent.
		if n := uint64(r.value); r.value >= 0 && r.value < 1e6 && float64(n) == r.value && !math.Signbit(r.value) {
			return e.Whole(r.block(), n, false, r.with)
		}
		return e.Float(r.block(), r.value, r.with)
	case r.more.bounds != nil:
		d := r.with
		if r.more.native != nil {
			if d = e.Details(); r.with != nil {
				*d = *r.with
			}
			d.SetNative((*expo.Native)(r.more.native))
		}
		return e.Histogram(r.block(), r.more.bounds, r.more.counts, r.value, d)
	}
	return e.Summary(r.block(), &r.more.summary, r.with)
}
