//go:build !tacho_nohttp

package push

import (
	"encoding/binary"
	"errors"

	"github.com/tachikoma/tacho/internal/wire"
)

// errMalformed is the error for a malformed exposition. It is not expected, because the registry
// makes the exposition.
var errMalformed = errors.New("tacho: push: malformed exposition")

// A field is one field of a protobuf message.
type field struct {
	tag   uint64
	value uint64 // of a number
	bytes []byte // of a string or a message
}

// cutField returns the first field of message, and the rest of message. If message is malformed, ok
// is false. message must not be empty.
func cutField(message []byte) (f field, rest []byte, ok bool) {
	n := 1
	if f.tag = uint64(message[0]); f.tag >= 1<<7 {
		if f.tag, n = binary.Uvarint(message); n <= 0 {
			return f, nil, false
		}
	}
	rest = message[n:]
	switch f.tag & 7 {
	case wire.Varint:
		f.value, n = binary.Uvarint(rest)
		if n <= 0 {
			return f, nil, false
		}
		return f, rest[n:], true
	case wire.Fixed64:
		if len(rest) < 8 {
			return f, nil, false
		}
		f.value = binary.LittleEndian.Uint64(rest)
		return f, rest[8:], true
	case wire.Bytes:
		f.bytes, rest, ok = cutBytes(rest)
		return f, rest, ok
	case wire.Fixed32: // only of unknown fields
		if len(rest) < 4 {
			return f, nil, false
		}
		return f, rest[4:], true
	}
	return f, nil, false
}

// cutBytes returns the bytes after their length at the beginning of b, and the rest of b. If b is
// malformed, ok is false.
func cutBytes(b []byte) (value, rest []byte, ok bool) {
	size, n := binary.Uvarint(b)
	if n <= 0 || size > uint64(len(b)-n) {
		return nil, nil, false
	}
	end := n + int(size)
	return b[n:end], b[end:], true
}

// messages splits an exposition into its messages.
type messages struct {
	partial []byte // the beginning of an incomplete message
}

// write calls each for the complete messages, and keeps the rest of p. Its result is that of a
// method Write.
func (m *messages) write(p []byte, each func(message []byte) error) (int, error) {
	rest := p
	if len(m.partial) > 0 {
		m.partial = append(m.partial, p...)
		rest = m.partial
	}
	for len(rest) > 0 {
		size, n := binary.Uvarint(rest)
		if n < 0 {
			return 0, errMalformed
		}
		if n == 0 || size > uint64(len(rest)-n) {
			break
		}
		end := n + int(size)
		if err := each(rest[n:end]); err != nil {
			return 0, err
		}
		rest = rest[end:]
	}
	m.partial = append(m.partial[:0], rest...)
	return len(p), nil
}

// end returns an error if the exposition ends in an incomplete message.
func (m *messages) end() error {
	if len(m.partial) > 0 {
		return errMalformed
	}
	return nil
}

// appendLabel appends the field labels = 1 of a TimeSeries.
func appendLabel(b []byte, name, value string) []byte {
	b = append(b, wire.WriteLabel)
	b = binary.AppendUvarint(b, uint64(sizeString(name)+sizeString(value)))
	b = appendString(append(b, wire.LabelName), name)
	return appendString(append(b, wire.LabelValue), value)
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// appendBytes appends the length of p and p.
func appendBytes(b, p []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(p))), p...)
}

// sizeString returns the encoded size of a string field, tag included.
func sizeString(s string) int { return 1 + sizeUvarint(uint64(len(s))) + len(s) }

func sizeUvarint(v uint64) int {
	n := 1
	for ; v >= 1<<7; v >>= 7 {
		n++
	}
	return n
}
