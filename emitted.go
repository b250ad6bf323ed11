package tacho

import (
	"maps"
	"math"
	"math/bits"
	"slices"
	"sync"
	"unsafe"

	"github.com/tachikoma/tacho/internal/byteorder"
	"github.com/tachikoma/tacho/internal/escape"
	"github.com/tachikoma/tacho/internal/expo"
	"github.com/tachikoma/tacho/internal/label"
	"github.com/tachikoma/tacho/internal/names"
	"github.com/tachikoma/tacho/internal/series"
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
	shapes   map[string]*shape
	shape    *shape // of the last sample

	key, block, value []byte // reused for each sample
	text              []byte // room for the texts of the next rows
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
	time  *expo.Details
}

type distribution struct {
	bounds  *expo.Bounds // of a histogram; otherwise nil
	counts  []uint64
	summary expo.Distribution
}

func (r *row) key() string   { return r.text[:r.cut] }
func (r *row) block() string { return r.text[r.cut:] }

// A shape is a list of label names. Most samples of a collector have one of a few lists,
// which are checked once.
type shape struct {
	names        []string
	reason       string // "" if the names are valid
	le, quantile bool   // one of the names is reserved for some types
	quoted       bool   // one of the names is outside the legacy set

	// A block is the texts of before, each followed by a value, and end. A key is the
	// texts of parts, each with the value that follows it, in the order of the names.
	before []string
	end    string
	parts  []part
}

// A part of a key is a label. Constant labels have a text and no value.
type part struct {
	text  string // the name and label.Sep; of a constant label also the value and label.Sep
	value int    // index of the value, or -1
}

// shapeOf returns the shape of the labels of a sample.
func (c *collection) shapeOf(pairs []string) *shape {
	if c.shape != nil && c.shape.is(pairs) {
		return c.shape
	}
	b := c.value[:0]
	for i := 0; i < len(pairs); i += 2 {
		b = append(append(b, label.Sep), pairs[i]...) // a bad name may have a label.Sep
	}
	c.value = b
	s := c.shapes[string(b)]
	if s == nil || !s.is(pairs) {
		if c.shapes == nil {
			c.shapes = map[string]*shape{}
		}
		s = newShape(c.reg, pairs)
		c.shapes[string(b)] = s
	}
	c.shape = s
	return s
}

// is reports whether pairs have the names of s.
func (s *shape) is(pairs []string) bool {
	if 2*len(s.names) != len(pairs) {
		return false
	}
	for i, name := range s.names {
		if pairs[2*i] != name {
			return false
		}
	}
	return true
}

func newShape(r *Registry, pairs []string) *shape {
	s := &shape{}
	used := map[string]bool{}
	sorted := make([]*series.Series, 0, len(r.consts)+len(pairs)/2)
	add := func(name string, p part) {
		if used[name] {
			s.reason = reasonInvalid
		}
		used[name] = true
		s.le, s.quantile = s.le || name == "le", s.quantile || name == "quantile"
		one := series.New(0, len(name), name, unsafe.Pointer(&p))
		sorted = append(sorted, &one)
	}
	end := []byte{}
	sep := byte('{')
	for _, l := range r.consts {
		end, sep = label.Append(end, sep, l.Name, l.Value), ','
		text := l.Name + string([]byte{label.Sep}) + l.Value + string([]byte{label.Sep})
		if l.Value == "" {
			text = ""
		}
		add(l.Name, part{text, -1})
	}
	var f expo.Family
	for i := 0; i < len(pairs); i += 2 {
		name := string([]byte(pairs[i])) // may be part of a large buffer
		if utf8 := r.names.UTF8; utf8 != nil && utf8.CheckLabel(&f, name) != "" || utf8 == nil && !names.ValidLabel(name) {
			s.reason = reasonInvalid
		}
		s.names = append(s.names, name)
		b := label.Append(end, sep, name, "")
		s.before = append(s.before, string(b[:len(b)-1])) // without the closing quote
		end, sep = []byte{'"'}, ','
		add(name, part{name + string([]byte{label.Sep}), i / 2})
	}
	if s.end = " "; sep == ',' {
		s.end = string(append(end, "} "...))
	}
	if r.badConsts {
		s.reason = reasonInvalid
	}
	s.quoted = f.QuotedLabels
	series.Sort(sorted)
	for _, one := range sorted {
		s.parts = append(s.parts, *(*part)(one.M))
	}
	return s
}

// Collectors may emit names that come from another system and change with every scrape.
const (
	maxCharged     = 1000 // series of tacho_errors_total; collectors create no more
	maxChargedName = 256  // bytes of a name in tacho_errors_total
)

// refuse counts a bad sample under its name. The label metric is empty if the name is bad
// or too long. The label is also empty for a further series if tacho_errors_total has
// maxCharged series.
func (c *collection) refuse(name, reason string) {
	utf8, errors := c.reg.names.UTF8, c.reg.errors
	valid := names.ValidMetric(name) || utf8 != nil && utf8.ValidName(name)
	if !valid || len(name) > maxChargedName {
		name = ""
	} else if errors.Len() >= maxCharged && errors.find([]string{name, reason}, false) == nil {
		errors.fam.overflowed()
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
	if sample.time = e.time; reason == "" {
		reason = c.add(name, help, k, sample, pairs)
	}
	if reason != "" {
		c.refuse(name, reason)
	}
}

// add adds a sample, or returns the reason for which it is refused. A refused sample
// changes nothing.
func (c *collection) add(name, help string, k expo.Kind, sample row, pairs []string) string {
	if t := sample.time; t != nil && (t.At < 0 || t.At > maxTime) || len(pairs)%2 != 0 {
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
	f := &emitted{Family: expo.Family{Name: name, Kind: k}}
	if utf8 := c.reg.names.UTF8; utf8 != nil && utf8.CheckMetric(&f.Family) != "" || utf8 == nil && !names.ValidMetric(name) {
		return nil, reasonInvalid
	}
	c.reg.mu.Lock()
	defined := c.reg.families[name]
	if defined == nil {
		defined, _ = c.reg.conflictLocked(name, k)
	}
	c.reg.mu.Unlock()
	if defined != nil || c.conflicts(f) {
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

// render returns the key and the label block of a sample as one text. The key is the same
// for the same series. Prometheus ignores the order of labels, and a label with an empty
// value.
func (c *collection) render(s *shape, pairs []string) (text string, cut int) {
	b, valid := c.block[:0], true
	for i, before := range s.before {
		v := pairs[2*i+1]
		b = append(b, before...)
		if plain(v) {
			b = append(b, v...)
		} else {
			valid = false
			c.value = escape.AppendValid(c.value[:0], v)
			b = escape.AppendLabelValue(b, string(c.value))
		}
	}
	b = append(b, s.end...)
	k := c.key[:0]
	for _, p := range s.parts {
		if p.value < 0 {
			k = append(k, p.text...)
			continue
		}
		v := pairs[2*p.value+1]
		if v == "" {
			continue
		}
		k = append(k, p.text...)
		if valid {
			k = append(k, v...)
		} else {
			k = escape.AppendValid(k, v)
		}
		k = append(k, label.Sep)
	}
	c.key, c.block = k, b
	return c.store(k, b), len(k)
}

// plain reports whether a label value is the same in a label block: it is ASCII without
// characters that need an escape.
func plain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c >= 0x80 || c == '\\' || c == '"' || c == '\n' {
			return false
		}
	}
	return true
}

// store returns a and b as one string. Few strings have an allocation of their own.
func (c *collection) store(a, b []byte) string {
	n := len(a) + len(b)
	if n > cap(c.text)-len(c.text) {
		c.text = make([]byte, 0, max(n, min(64<<10, max(128, 2*cap(c.text)))))
	}
	start := len(c.text)
	c.text = append(append(c.text, a...), b...)
	return unsafe.String(unsafe.SliceData(c.text[start:]), n)
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
	c.mu.Unlock()
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
	c.shapes, c.shape, c.last, c.text, c.key, c.block, c.value = nil, nil, nil, nil, nil, nil, nil
}

// setOrder sorts the rows of f. It counts the duplicates and leaves them out.
func (c *collection) setOrder(f *emitted, rows []*row) {
	f.order = sortRows(rows)
	for range len(rows) - len(f.order) {
		c.refuse(f.Name, reasonDuplicate)
	}
	f.count = len(f.order)
	for _, r := range f.order {
		f.MixedTimes = f.MixedTimes || f.Kind == expo.Info && (r.time == nil) != (f.order[0].time == nil)
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

func (r *row) encode(e *expo.Encoder) bool {
	switch {
	case r.more == nil:
		// Most values are small whole numbers, which an encoder passes faster. Larger
		// numbers have an exponent.
		if n := uint64(r.value); r.value >= 0 && r.value < 1e6 && float64(n) == r.value && !math.Signbit(r.value) {
			return e.Whole(r.block(), n, false, r.time)
		}
		return e.Float(r.block(), r.value, r.time)
	case r.more.bounds != nil:
		return e.Histogram(r.block(), r.more.bounds, r.more.counts, r.value, r.time)
	}
	return e.Summary(r.block(), &r.more.summary, r.time)
}

// sorted returns the rows of f by key.
func (f *emitted) sorted() []*row {
	if f.order == nil {
		return []*row{&f.rows[0]}
	}
	return f.order
}

// mergeCollected returns the families of a scrape with the families that the calls of
// collectors have emitted, sorted by name.
func mergeCollected(r *Registry, calls []*call, families []*expo.Family) []*expo.Family {
	var all *collection
	joined := false
	for _, c := range calls {
		switch {
		case c == nil || !c.ok || len(c.emitted.list) == 0:
		case all == nil:
			all = c.emitted
		case !joined:
			all = all.copied()
			joined = true
			fallthrough
		default:
			all.join(c.emitted)
		}
	}
	if all == nil {
		return families
	}
	collected := make([]*expo.Family, 0, len(all.families))
	for _, f := range all.list {
		if joined {
			if f = all.families[f.Name]; f.joined {
				all.setOrder(f, f.order)
			}
		}
		collected = append(collected, &f.Family)
	}
	sortFamilies(collected)
	return r.merge(families, collected)
}

// copied returns a copy of c that can join others.
func (c *collection) copied() *collection {
	return &collection{reg: c.reg, list: slices.Clip(c.list), families: maps.Clone(c.families), taken: maps.Clone(c.taken)}
}

// join adds the families of another collector. Samples that conflict with those of c are
// refused.
func (c *collection) join(other *collection) {
	for _, f := range other.list {
		old, reason := c.families[f.Name], ""
		switch {
		case old == nil && c.conflicts(f), old != nil && old.Kind != f.Kind:
			reason = reasonConflict
		case old == nil:
			c.insert(f)
		default:
			if !old.joined {
				old = old.copied()
				c.families[f.Name] = old
			}
			if old.addNames(c.reg, f.known) {
				old.order = append(old.order, f.sorted()...)
				old.QuotedLabels = old.QuotedLabels || f.QuotedLabels
			} else {
				reason = reasonInvalid
			}
		}
		if reason != "" {
			for range f.count {
				c.refuse(f.Name, reason)
			}
		}
	}
}

// copied returns a copy of f that can join others.
func (f *emitted) copied() *emitted {
	c := &emitted{Family: f.Family, joined: true, order: slices.Clip(f.sorted()), known: slices.Clip(f.known)}
	for i, escaped := range f.escaped {
		c.escaped[i] = maps.Clone(escaped)
	}
	c.Encode = c.encode
	return c
}

// sortRows returns rows sorted by key, as label.Compare orders keys. Of rows with the same
// key it returns the first.
//
// sortRows compares eight bytes of each key as one number, and reads the next eight bytes
// only of keys that are equal so far. A list of pointers would be sorted more slowly, since
// the garbage collector must see each move.
func sortRows(rows []*row) []*row {
	list := make([]keyedRow, len(rows))
	for i := range list {
		list[i].index = uint32(i)
	}
	sortKeyed(rows, list, make([]keyedRow, len(list)/2), 0)
	sorted := make([]*row, 0, len(rows))
	for _, k := range list {
		if !k.repeats {
			sorted = append(sorted, rows[k.index])
		}
	}
	return sorted
}

// A keyedRow is an index of rows, with eight bytes of the row's key.
type keyedRow struct {
	part    uint64
	index   uint32
	repeats bool // the key of the row before
}

// sortKeyed sorts a list of rows whose keys are equal up to the byte at. spare has half the
// length of the list.
func sortKeyed(rows []*row, list, spare []keyedRow, at int) {
	for same := true; same; at += 8 {
		left := false
		for i := range list {
			key := rows[list[i].index].key()
			list[i].part = keyPart(key, at)
			same = same && list[i].part == list[0].part
			left = left || len(key) > at+8
		}
		if same && !left {
			for i := range list[1:] {
				list[1+i].repeats = true
			}
			return
		}
	}
	mergeParts(list, spare)
	for start := 0; start < len(list); {
		end := start + 1
		for end < len(list) && list[end].part == list[start].part {
			end++
		}
		if end-start > 1 {
			sortKeyed(rows, list[start:end], spare, at)
		}
		start = end
	}
}

// keyPart returns eight bytes of a key as a number, in the order of keys: label.Sep comes
// first, and zeros follow the end of the key.
func keyPart(key string, at int) (part uint64) {
	if len(key)-at >= 8 {
		// Each byte grows by one, without a carry.
		x := bits.ReverseBytes64(byteorder.Load64((*[8]byte)(unsafe.Add(unsafe.Pointer(unsafe.StringData(key)), at))))
		return x&0x7f7f7f7f_7f7f7f7f + 0x01010101_01010101 ^ x&0x80808080_80808080
	}
	for i := at; i < at+8; i++ {
		part <<= 8
		if i < len(key) {
			part |= uint64(key[i] + 1)
		}
	}
	return part
}

// mergeParts sorts a list by part. spare has half the length of the list.
func mergeParts(list, spare []keyedRow) {
	if len(list) <= 12 {
		for i := 1; i < len(list); i++ {
			k, j := list[i], i
			for ; j > 0 && list[j-1].part > k.part; j-- {
				list[j] = list[j-1]
			}
			list[j] = k
		}
		return
	}
	half := len(list) / 2
	mergeParts(list[:half], spare)
	mergeParts(list[half:], spare)
	if list[half-1].part <= list[half].part {
		return
	}
	left := spare[:copy(spare, list[:half])]
	for i, j, k := 0, 0, half; i < len(left); j++ { // once left is used up, the rest is in place
		if k < len(list) && list[k].part < left[i].part {
			list[j] = list[k]
			k++
		} else {
			list[j] = left[i]
			i++
		}
	}
}

// merge returns the families and the collected families, sorted by name. It leaves out
// collected families that conflict with a definition: a metric may have been defined
// while the collectors ran.
func (r *Registry) merge(families, collected []*expo.Family) []*expo.Family {
	merged := make([]*expo.Family, 0, len(families)+len(collected))
	var refused []string
	r.mu.Lock()
	for _, f := range collected {
		for len(families) > 0 && families[0].Name < f.Name {
			merged, families = append(merged, families[0]), families[1:]
		}
		if other, _ := r.conflictLocked(f.Name, f.Kind); other != nil || r.families[f.Name] != nil || len(families) > 0 && families[0].Name == f.Name {
			refused = append(refused, f.Name)
		} else {
			merged = append(merged, f)
		}
	}
	r.mu.Unlock()
	for _, name := range refused {
		r.fault(name, reasonConflict)
	}
	return append(merged, families...)
}
