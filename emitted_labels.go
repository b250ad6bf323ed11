package tacho

import (
	"unsafe"

	"github.com/tachikoma/tacho/internal/escape"
	"github.com/tachikoma/tacho/internal/expo"
	"github.com/tachikoma/tacho/internal/label"
	"github.com/tachikoma/tacho/internal/names"
	"github.com/tachikoma/tacho/internal/sortkeys"
)

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
	text  string // the name and sortkeys.Sep; of a constant label also the value and sortkeys.Sep
	value int    // index of the value, or -1
}

// shapeOf returns the shape of the labels of a sample.
func (c *collection) shapeOf(pairs []string) *shape {
	if c.shape != nil && c.shape.is(pairs) {
		return c.shape
	}
	b := c.value[:0]
	for i := 0; i < len(pairs); i += 2 {
		b = append(append(b, sortkeys.Sep), pairs[i]...) // a bad name may have a sortkeys.Sep
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
	var all []string // label names
	var parts []part
	add := func(name string, p part) {
		if used[name] {
			s.reason = reasonInvalid
		}
		used[name] = true
		s.le, s.quantile = s.le || name == "le", s.quantile || name == "quantile"
		all, parts = append(all, name), append(parts, p)
	}
	end := []byte{}
	sep := byte('{')
	for _, l := range r.consts {
		end, sep = label.Append(end, sep, l.Name, l.Value), ','
		text := l.Name + string([]byte{sortkeys.Sep}) + l.Value + string([]byte{sortkeys.Sep})
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
		add(name, part{name + string([]byte{sortkeys.Sep}), i / 2})
	}
	if s.end = " "; sep == ',' {
		s.end = string(append(end, "} "...))
	}
	if r.badConsts {
		s.reason = reasonInvalid
	}
	s.quoted = f.QuotedLabels
	for _, i := range sortkeys.Strings(len(all), func(i uint32) string { return all[i] }) {
		s.parts = append(s.parts, parts[i])
	}
	return s
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
		k = append(k, sortkeys.Sep)
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
