package store

import (
	"unsafe"

	"github.com/tachikoma/tacho/internal/byteorder"
	"github.com/tachikoma/tacho/internal/escape"
	"github.com/tachikoma/tacho/internal/label"
	"github.com/tachikoma/tacho/internal/sortkeys"
	"github.com/tachikoma/tacho/internal/stringslite"
)

// A Shape is what the label blocks of a vector have in common: all text except the values.
//
//	{zone="a",method="GET",path="/x"}
//
// A block without escapes has a quote before and behind each value, and no other quote after
// the first value begins. So a block and a list of values are equal exactly if the length is
// right, the bytes are right, and quotes are around the bytes of each value.
type Shape struct {
	text   string // the block of empty values: `{zone="a",method="",path=""} `
	gaps   []int  // the lengths of the text before each value, with the quotes
	fixed  int    // the length of text, less 1 for each value; see label.Hasher
	quoted bool   // label names are quoted too: blocks are treated as if they had escapes
}

// init makes s the Shape of blocks with these constant labels and label names.
func (s *Shape) init(consts []label.Label, names []string) {
	s.gaps = make([]int, len(names))
	b, sep, from := []byte(nil), byte('{'), 0
	for i := -len(consts); i < len(names); i++ {
		var l label.Label
		if i < 0 {
			l = consts[i+len(consts)]
		} else {
			l.Name = names[i]
		}
		start := len(b)
		b, sep = label.Append(b, sep, l.Name, l.Value), ','
		if i >= 0 {
			s.quoted = s.quoted || b[start+1] == '"'
			s.gaps[i] = len(b) - 1 - from
			from = len(b) - 1
		}
	}
	end := " "
	if sep == ',' {
		end = "} "
	}
	s.text = string(b) + end
	s.fixed = len(s.text) - len(names)
}

func (s *Shape) append(b []byte, values []string) []byte {
	text := s.text
	for i, v := range values {
		gap := s.gaps[i]
		b = append(b, text[:gap]...)
		text = text[gap:]
		if ascii(v) {
			b = escape.AppendLabelValue(b, v)
		} else {
			b = appendRepaired(b, v)
		}
	}
	return append(b, text...)
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// appendRepaired appends a value that may have invalid UTF-8.
//
//go:noinline
func appendRepaired(b []byte, v string) []byte {
	var store [512]byte
	valid := escape.AppendValid(store[:0], v)
	return escape.AppendLabelValue(b, unsafe.String(unsafe.SliceData(valid), len(valid)))
}

// escaped reports whether values in a block have escapes, or label names are quoted.
//
//go:noinline
func (s *Shape) escaped(block string) bool {
	return s.quoted || len(s.gaps) > 0 && stringslite.IndexByte(block[s.gaps[0]:], '\\') >= 0
}

// cut returns the i-th value of a block, and the block behind the value and its quote. The
// first bytes of block are those behind the quote of the value before. The value shares the
// memory of block, or is in b if it has escapes.
func (s *Shape) cut(b []byte, block string, i int) (value, rest string) {
	gap := s.gaps[i]
	if i > 0 {
		gap--
	}
	block = block[gap:]
	n := stringslite.IndexByte(block, '"')
	if stringslite.IndexByte(block[:n], '\\') < 0 {
		return block[:n], block[n+1:]
	}
	b, rest, _ = escape.AppendUnquoted(b, block)
	return unsafe.String(unsafe.SliceData(b), len(b)), rest
}

// hash returns the hash of the values of a block. If escaped is the result of Shape.escaped, hash
// does not allocate for values of usual length.
//
//go:noinline
func (s *Shape) hash(block string, escaped bool) uint32 {
	if !escaped {
		return s.hashIn(nil, block)
	}
	var store [1024]byte // a miss of a long value must not allocate
	return s.hashIn(store[:0], block)
}

// hashIn is hash. A value without its escapes is in b.
//
//go:noinline
func (s *Shape) hashIn(b []byte, block string) uint32 {
	h := label.NewHasher()
	for i := range s.gaps {
		var value string
		value, block = s.cut(b, block, i)
		h = h.Add([]string{value})
	}
	return h.Sum()
}

func (s *Shape) appendValues(values []string, block string) []string {
	for i := range s.gaps {
		var value string
		value, block = s.cut(nil, block, i)
		values = append(values, value)
	}
	return values
}

// key returns a key of a block for package sortkeys: the bytes of the block with its values
// unescaped, and with Sep for all quotes around values.
func (s *Shape) key(block string) string {
	b, n, from := make([]byte, len(block)), 0, 0
	for i, gap := range s.gaps {
		for _, c := range []byte(s.text[from : from+gap]) {
			if c == '"' {
				c = sortkeys.Sep
			}
			b[n] = c
			n++
		}
		from += gap
		var value string
		value, block = s.cut(nil, block, i)
		n += copy(b[n:], value)
	}
	b[n] = sortkeys.Sep
	return unsafe.String(unsafe.SliceData(b), n+1)
}

// The parameters of package byteorder.
type (
	word64 = *[8]byte
	word32 = *[4]byte
	word16 = *[2]byte
)

// is reports whether the block at p, without escapes and of the right length, has these
// values.
//
// Values of up to 32 bytes are compared as words that may overlap. A call for each value, as
// == makes, takes a lookup of three labels 1.4 times as long (BenchmarkWith).
func (s *Shape) is(p unsafe.Pointer, values []string) bool {
	for i, v := range values {
		gap := s.gaps[i]
		// The quotes before the first value and behind the last are where they must be.
		if i > 0 && (*(*byte)(p) != '"' || *(*byte)(unsafe.Add(p, gap-1)) != '"') {
			return false
		}
		p = unsafe.Add(p, gap)
		n, q := len(v), unsafe.Pointer(unsafe.StringData(v))
		switch {
		case n > 32:
			if unsafe.String((*byte)(p), n) != v {
				return false
			}
		case n >= 8:
			if n > 16 && (byteorder.Load64(word64(unsafe.Add(p, 8))) != byteorder.Load64(word64(unsafe.Add(q, 8))) ||
				byteorder.Load64(word64(unsafe.Add(p, n-16))) != byteorder.Load64(word64(unsafe.Add(q, n-16)))) {
				return false
			}
			if byteorder.Load64(word64(p)) != byteorder.Load64(word64(q)) ||
				byteorder.Load64(word64(unsafe.Add(p, n-8))) != byteorder.Load64(word64(unsafe.Add(q, n-8))) {
				return false
			}
		case n >= 4:
			if byteorder.Load32(word32(p)) != byteorder.Load32(word32(q)) ||
				byteorder.Load32(word32(unsafe.Add(p, n-4))) != byteorder.Load32(word32(unsafe.Add(q, n-4))) {
				return false
			}
		case n >= 2:
			if byteorder.Load16(word16(p)) != byteorder.Load16(word16(q)) ||
				byteorder.Load16(word16(unsafe.Add(p, n-2))) != byteorder.Load16(word16(unsafe.Add(q, n-2))) {
				return false
			}
		case n == 1:
			if *(*byte)(p) != *(*byte)(q) {
				return false
			}
		}
		p = unsafe.Add(p, n)
	}
	return true
}
