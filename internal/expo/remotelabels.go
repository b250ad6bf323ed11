package expo

import (
	"math/bits"
	"unsafe"

	"github.com/tachikoma/tacho/internal/byteorder"
	"github.com/tachikoma/tacho/internal/escape"
	"github.com/tachikoma/tacho/internal/stringslite"
	"github.com/tachikoma/tacho/internal/wire"
)

// A remoteLayout has the labels of the series of a metric in the order of their names. The series of
// most families have the same names. So a layout is made once, and its text is copied for each series.
type remoteLayout struct {
	extra string // the name of the label of a bucket or a quantile, or ""
	valid bool   // the fields below are of the current series

	items   []remoteItem
	gaps    []remoteGap
	extraAt int    // the index in gaps of the label of a bucket or a quantile
	text    []byte // encoded labels of version 1.0, without the values of gaps
	renamed []byte // names with the prefix exported_

	// In version 2.0, for the first request.
	request uint32      // the number of the request; 0 if the fields below are not set
	refGaps []remoteGap // only src and at
	refText []byte      // references, without those of the values of gaps
}

// A remoteItem is a label of a layout.
type remoteItem struct {
	name  string
	value string // of a target
	src   int    // an index of RemoteWriter.values, or one of the following constants
}

const (
	srcTarget = -1 - iota
	srcExtra
	srcName
)

// A remoteGap is a place in the text of a layout. The label __name__ is inserted there, or the text before
// the place is a label without its value.
type remoteGap struct {
	src   int
	start int // the index in the text of the label before the place
	at    int // the index in the text of the place
	size  int // of the message LabelPair without the value; long for a long name
}

// long is a size for which no label fits into 127 bytes. The text before the place is then only the name.
const long = 0x80

func (l *remoteLayout) release() {
	clear(l.items[:cap(l.items)])
	*l = remoteLayout{items: l.items[:0], gaps: l.gaps[:0], text: small(l.text), renamed: small(l.renamed),
		refGaps: l.refGaps[:0], refText: small(l.refText)}
}

// layout returns the layout of the current series with one more label, which has this name.
func (w *RemoteWriter) layout(extra string) *remoteLayout {
	l := &w.layouts[1]
	if l.extra != extra {
		l.extra, l.valid = extra, false
	}
	return l
}

// read sets the labels of the current series to those of a rendered block.
func (w *RemoteWriter) read(e *Encoder, block string) {
	if w.escaped {
		w.block = e.names.UTF8.rules().sample(e, w.block[:0], "", "", block)
		block = *(*string)(unsafe.Pointer(&w.block))
	}
	if !w.match(block) {
		w.learn(block)
	}
}

// match sets the values of the current series, if the names are those of the series before.
func (w *RemoteWriter) match(block string) bool {
	if !w.learned {
		return false
	}
	i, empty := 0, uint64(0)
	w.plainly = w.plainly[:0]
	for n := range w.values {
		text := w.pre[n]
		if len(block)-i < len(text) || block[i:i+len(text)] != text {
			return false
		}
		i += len(text)
		end := valueEnd(block, i)
		if block[end] == '"' {
			w.values[n] = block[i:end]
		} else {
			var rest string
			w.values[n], rest = w.unquote(block[i:])
			end = len(block) - len(rest) - len(`"`)
		}
		if w.values[n] == "" {
			empty |= 1 << n
		}
		i = end
	}
	if block[i:] != w.pre[len(w.values)] {
		return false
	}
	if empty != w.empty {
		w.empty, w.layouts[0].valid, w.layouts[1].valid = empty, false, false
	}
	return true
}

// unquote returns the value at the beginning of text, and the text behind its closing quote.
func (w *RemoteWriter) unquote(text string) (value, rest string) {
	start := len(w.plainly)
	w.plainly, rest, _ = escape.AppendUnquoted(w.plainly, text)
	b := w.plainly[start:]
	return *(*string)(unsafe.Pointer(&b)), rest
}

// valueEnd returns the index of the first double quote or backslash of block at i or later. There is one,
// because the block is rendered.
func valueEnd(block string, i int) int {
	b := unsafe.Slice(unsafe.StringData(block), len(block))
	for ; i+8 <= len(b); i += 8 {
		if special := protoSpecial(byteorder.Load64((*[8]byte)(b[i:]))); special != 0 {
			return i + bits.TrailingZeros64(special)/8
		}
	}
	for b[i] != '"' && b[i] != '\\' {
		i++
	}
	return i
}

// learn sets the labels of the current series, and makes match succeed for series with the same names.
func (w *RemoteWriter) learn(block string) {
	w.text = append(w.text[:0], block...)
	block = *(*string)(unsafe.Pointer(&w.text))
	w.own, w.values, w.pre = w.own[:0], w.values[:0], w.pre[:0]
	w.quoted, w.plainly, w.empty = w.quoted[:0], w.plainly[:0], 0
	start := block // the text before a value
	for len(block) > len("} ") {
		name := ""
		if block = block[1:]; block[0] == '"' { // a name outside the legacy set
			first := len(w.quoted)
			w.quoted, block, _ = escape.AppendUnquoted(w.quoted, block[1:])
			b := w.quoted[first:]
			name = *(*string)(unsafe.Pointer(&b))
		} else {
			n := stringslite.IndexByte(block, '=')
			name, block = block[:n], block[n:]
		}
		block = block[len(`="`):]
		w.pre = append(w.pre, start[:len(start)-len(block)])
		var value string
		value, block = w.unquote(block)
		start = start[len(start)-len(block)-len(`"`):]
		if value == "" {
			w.empty |= 1 << (len(w.own) & 63)
		}
		w.own, w.values = append(w.own, name), append(w.values, value)
	}
	w.pre = append(w.pre, start)
	w.learned = len(w.own) <= 64
	w.layouts[0].valid, w.layouts[1].valid = false, false
}

// arrange makes l valid. The specification requires labels sorted by name. An empty label is no label.
func (w *RemoteWriter) arrange(l *remoteLayout) {
	list := l.items[:0]
	for i, name := range w.own {
		if w.values[i] != "" {
			list = append(list, remoteItem{name, "", i})
		}
	}
	if l.extra != "" {
		list = append(list, remoteItem{l.extra, "", srcExtra})
	}
	own := len(list)
	for i := range w.Targets {
		list = append(list, remoteItem{w.Targets[i].Name, w.Targets[i].Value, srcTarget})
	}
	l.renamed = l.renamed[:0]
	for i := range w.Targets {
		l.renameConflict(list, own, w.Targets[i].Name)
	}
	list = append(list, remoteItem{metricName, "", srcName})
	for i := 1; i < len(list); i++ { // insertion sort: the labels are few and often in order
		for j := i; j > 0 && list[j].name < list[j-1].name; j-- {
			list[j], list[j-1] = list[j-1], list[j]
		}
	}
	l.items, l.gaps = list, l.gaps[:0]
	b := l.text[:0]
	for i := range list {
		x := &list[i]
		g := remoteGap{src: x.src, start: len(b)}
		switch {
		case x.src == srcTarget:
			b = appendRemoteLabel(b, x.name, x.value)
			continue
		case x.src == srcName:
		case len(x.name) < long-len("...."):
			b = append(b, wire.WriteLabel, 0, wire.LabelName, byte(len(x.name)))
			b = append(append(b, x.name...), wire.LabelValue, 0)
			g.size = len(b) - g.start - len("..")
		default:
			b, g.size = append(b, x.name...), long
		}
		if g.at = len(b); x.src == srcExtra {
			l.extraAt = len(l.gaps)
		}
		l.gaps = append(l.gaps, g)
	}
	l.text, l.valid, l.request = b, true, 0
}

// renameConflict adds the prefix exported_ to the label called name in list[:own], if there is such a
// label. A scrape renames conflicting labels in the same way. Without the label, two different series
// could become equal.
func (l *remoteLayout) renameConflict(list []remoteItem, own int, name string) {
	i := indexOfLabel(list[:own], name)
	if i < 0 {
		return
	}
	for indexOfLabel(list, name) >= 0 {
		start := len(l.renamed)
		l.renamed = append(append(l.renamed, "exported_"...), name...)
		b := l.renamed[start:]
		name = *(*string)(unsafe.Pointer(&b))
	}
	list[i].name = name
}

func indexOfLabel(list []remoteItem, name string) int {
	for i := range list {
		if list[i].name == name {
			return i
		}
	}
	return -1
}

// appendLabels appends the encoded labels of a series in version 1.0.
func (w *RemoteWriter) appendLabels(b []byte, l *remoteLayout, suffix int, extra string) []byte {
	if !l.valid {
		w.arrange(l)
	}
	if w.split {
		if g := &l.gaps[l.extraAt]; g.size+len(extra) < long {
			b = append(append(b, w.before...), extra...)
			n := len(b) - len(extra)
			b[n-1], b[n-(g.at-g.start)+1] = byte(len(extra)), byte(g.size+len(extra))
			return append(b, w.behind[:w.sampled]...)
		}
	}
	b = l.appendGaps(b, 0, len(l.gaps), w.nameLabel(suffix), w.values, extra)
	return append(b, l.text[l.after(len(l.gaps)):]...)
}

// setBucketLabels makes appendLabels and appendBucket copy the labels of the buckets of a histogram, except
// the label le.
func (w *RemoteWriter) setBucketLabels(l *remoteLayout, s *remoteSample) {
	if !l.valid {
		w.arrange(l)
	}
	name, e := w.nameLabel(bucketName), l.extraAt
	b := l.appendGaps(w.before[:0], 0, e, name, w.values, "")
	w.before = padded(append(b, l.text[l.after(e):l.gaps[e].at]...))
	b = l.appendGaps(w.behind[:0], e+1, len(l.gaps), name, w.values, "")
	b = append(b, l.text[l.after(len(l.gaps)):]...)
	w.sampled, w.split = len(b), true
	w.behind = padded(appendRemoteSample(b, 0, s.at))
}

// padded returns b with a capacity for moves of 16 bytes.
func padded(b []byte) []byte {
	var padding [fastPadding]byte
	return append(b, padding[:]...)[:len(b)]
}

// appendBucket appends the encoded labels of a bucket, and the field samples of version 1.0 with the value
// 0. The result size is that of the labels. The parameter le must be a part of an element of
// Bounds.labels. If the labels must be appended in another way, ok is false.
//
// The moves may write past the end of a text but stay within the capacity.
func (w *RemoteWriter) appendBucket(b []byte, l *remoteLayout, le string) (_ []byte, size int, ok bool) {
	g := &l.gaps[l.extraAt]
	n := len(w.before) + len(le)
	if g.size+len(le) >= long || cap(b)-len(b) < n+len(w.behind)+leSize+fastPadding {
		return b, 0, false
	}
	to := unsafe.Add(unsafe.Pointer(unsafe.SliceData(b)), len(b))
	move(to, w.before)
	to = unsafe.Add(to, len(w.before))
	*(*[leSize]byte)(to) = *(*[leSize]byte)(unsafe.Pointer(unsafe.StringData(le)))
	*(*byte)(unsafe.Add(to, -1)) = byte(len(le))
	*(*byte)(unsafe.Add(to, g.start-g.at+1)) = byte(g.size + len(le))
	move(unsafe.Add(to, len(le)), w.behind)
	return b[:len(b)+n+len(w.behind)], n + w.sampled, true
}

// move copies a padded text in moves of 16 bytes.
func move(to unsafe.Pointer, text []byte) {
	from := unsafe.Pointer(unsafe.SliceData(text))
	for at := 0; at < len(text); at += 16 {
		*(*[16]byte)(unsafe.Add(to, at)) = *(*[16]byte)(unsafe.Add(from, at))
	}
}

// after returns the index in the text behind the gap before the one with this index.
func (l *remoteLayout) after(gap int) int {
	if gap == 0 {
		return 0
	}
	return l.gaps[gap-1].at
}

// appendGaps appends the text of l behind the gap before the one with the index from, up to the gap
// before the one with the index to.
func (l *remoteLayout) appendGaps(b []byte, from, to int, name []byte, values []string, extra string) []byte {
	at := l.after(from)
	for i := from; i < to; i++ {
		g := &l.gaps[i]
		if g.src == srcName {
			b = append(append(b, l.text[at:g.at]...), name...)
			at = g.at
			continue
		}
		v := extra
		if g.src != srcExtra {
			v = values[g.src]
		}
		if n := g.size + len(v); n < long {
			b = append(b, l.text[at:g.at]...)
			b[len(b)-1] = byte(len(v))
			b[len(b)-(g.at-g.start)+1] = byte(n)
			b = append(b, v...)
		} else {
			b = appendLong(append(b, l.text[at:g.start]...), l.text[g.start:g.at], g.size == long, v)
		}
		at = g.at
	}
	return b
}

// appendLong appends a label of 128 bytes or more. text is that of the layout, and plain reports whether
// the text is only the name.
func appendLong(b, text []byte, plain bool, value string) []byte {
	if !plain {
		text = text[len("....") : len(text)-len("..")]
	}
	return appendRemoteLabel(b, *(*string)(unsafe.Pointer(&text)), value)
}

// remoteFast copies the labels of most series of a family. All series of the family have the same label
// names in the same order. Moves of 16 bytes copy the text between values, and moves of 8 bytes copy the
// values. The moves may write past the end of a text but stay within the capacity.
type remoteFast struct {
	parts []remotePart // before each value, and after the last one
	text  []byte       // of all parts, and fastPadding bytes
}

// A remotePart is the text of encoded labels before a value.
type remotePart struct {
	start, size int // in remoteFast.text
	label       int // the size of the label before its value
	pair        int // the size of the message LabelPair without the value
	skipped     int // the size of the text before the value in a label block
}

// fastPadding is the number of bytes that are read behind a text.
const fastPadding = 16

// fastRoom is the number of bytes that remoteFast.append may write besides the text and the label block.
const fastRoom = 64

func (f *remoteFast) reset() { f.parts = f.parts[:0] }

// set makes f copy the series of the current family with these labels, if that is possible. name is the
// label __name__.
func (f *remoteFast) set(w *RemoteWriter, l *remoteLayout, name []byte) {
	f.reset()
	if !w.learned || w.empty != 0 {
		return
	}
	b, n := f.text[:0], 0
	part := remotePart{}
	at := 0
	for i := range l.gaps {
		g := &l.gaps[i]
		b = append(b, l.text[at:g.at]...)
		at = g.at
		switch {
		case g.src == srcName:
			b = append(b, name...)
			continue
		case g.src != n || g.size >= long: // another order than in the block
			f.reset()
			return
		}
		part.size, part.label, part.pair, part.skipped = len(b)-part.start, g.at-g.start, g.size, len(w.pre[n])
		f.parts = append(f.parts, part)
		part = remotePart{start: len(b)}
		n++
	}
	b = append(b, l.text[at:]...)
	part.size = len(b) - part.start
	f.parts = append(f.parts, part)
	f.text = append(b, make([]byte, fastPadding)...)
}

// append appends the encoded labels of a series, and sets the elements of values. It returns false if the
// labels must be appended in another way. The capacity of b must suffice; see fits.
func (f *remoteFast) append(b []byte, block string, values []string) ([]byte, bool) {
	from, last := unsafe.Pointer(unsafe.StringData(block)), len(block)-8 // the last word
	text := unsafe.Pointer(unsafe.SliceData(f.text))
	start := unsafe.Pointer(unsafe.SliceData(b))
	to, i := unsafe.Add(start, len(b)), 0
	for n := range f.parts {
		p := &f.parts[n]
		part := unsafe.Add(text, p.start)
		for at := 0; at < p.size; at += 16 {
			*(*[16]byte)(unsafe.Add(to, at)) = *(*[16]byte)(unsafe.Add(part, at))
		}
		to = unsafe.Add(to, p.size)
		if n == len(f.parts)-1 {
			break
		}
		head := to
		i += p.skipped
		first := i
		for {
			var word uint64
			if i <= last {
				word = byteorder.Load64((*[8]byte)(unsafe.Add(from, i)))
			} else { // the block ends in the quote of the value, which is in the word
				word = byteorder.Load64((*[8]byte)(unsafe.Add(from, last))) >> (8 * (i - last) & 63)
			}
			byteorder.Store64((*[8]byte)(to), word)
			if special := protoSpecial(word); special != 0 {
				size := bits.TrailingZeros64(special) / 8
				i += size
				to = unsafe.Add(to, size)
				break
			}
			i += 8
			to = unsafe.Add(to, 8)
		}
		size := i - first
		if size == 0 || p.pair+size >= long || *(*byte)(unsafe.Add(from, i)) != '"' {
			return b, false // no label, a long label, or an escape
		}
		*(*byte)(unsafe.Add(head, -1)) = byte(size)
		*(*byte)(unsafe.Add(head, 1-p.label)) = byte(p.pair + size)
		if values != nil {
			values[n] = block[first:i]
		}
	}
	return b[:int(uintptr(to)-uintptr(start))], true
}

// fits reports whether append can append the labels of a block to b. Afterwards there is room for a sample.
func (f *remoteFast) fits(b []byte, block string) bool {
	return len(f.parts) > 0 && len(block) >= 8 && cap(b)-len(b) >= len(f.text)+len(block)+fastRoom
}

// nameLabel returns the encoded label __name__ of the current family with a suffix.
func (w *RemoteWriter) nameLabel(suffix int) []byte {
	if !w.named[suffix] {
		w.named[suffix] = true
		w.names[suffix] = appendRemoteLabel(w.names[suffix][:0], metricName, w.base(suffix), remoteSuffixes[suffix])
	}
	return w.names[suffix]
}

// base returns the name of the current family before a suffix.
func (w *RemoteWriter) base(suffix int) string {
	if suffix == counterCreatedName {
		return stringslite.TrimSuffix(w.name, "_total")
	}
	return w.name
}

// appendRemoteLabel appends the field labels of a TimeSeries, which is a LabelPair. The value is given in
// parts.
func appendRemoteLabel(b []byte, name string, value ...string) []byte {
	n := 0
	for _, v := range value {
		n += len(v)
	}
	b = appendVarint(append(b, wire.WriteLabel), uint64(1+varintSize(len(name))+len(name)+1+varintSize(n)+n))
	b = append(appendVarint(append(b, wire.LabelName), uint64(len(name))), name...)
	b = appendVarint(append(b, wire.LabelValue), uint64(n))
	for _, v := range value {
		b = append(b, v...)
	}
	return b
}
