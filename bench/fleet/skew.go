//go:build unix

package main

import (
	"encoding/binary"
	"errors"
	"time"
)

var errBody = errors.New("fleet: malformed remote write request")

// shift returns a remote write request whose times differ by skew, as those of a program with another
// clock. The result is a valid Snappy block without compression.
func shift(body []byte, skew time.Duration) ([]byte, error) {
	request, err := decompress(body)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, len(request)+len(request)/8)
	for len(request) > 0 {
		series, rest, err := cutMessage(request, 1<<3|2)
		if err != nil {
			return nil, err
		}
		request = rest
		var shifted []byte
		for len(series) > 0 {
			tag := series[0]
			field, rest, err := cutMessage(series, tag)
			if err != nil {
				return nil, err
			}
			series = rest
			if tag == 2<<3|2 { // a Sample: the value has 9 bytes, and the time follows
				if len(field) < 11 || field[9] != 2<<3 {
					return nil, errBody
				}
				at, _ := binary.Uvarint(field[10:])
				field = binary.AppendUvarint(append([]byte{}, field[:10]...), at+uint64(skew.Milliseconds()))
			}
			shifted = appendMessage(shifted, tag, field)
		}
		out = appendMessage(out, 1<<3|2, shifted)
	}
	return literal(out), nil
}

func appendMessage(b []byte, tag byte, message []byte) []byte {
	return append(binary.AppendUvarint(append(b, tag), uint64(len(message))), message...)
}

// cutMessage returns the first field of b, which must have this tag.
func cutMessage(b []byte, tag byte) (message, rest []byte, err error) {
	size, n := binary.Uvarint(b[1:])
	if b[0] != tag || n <= 0 || size > uint64(len(b)-1-n) {
		return nil, nil, errBody
	}
	end := 1 + n + int(size)
	return b[1+n : end], b[end:], nil
}

// literal returns a Snappy block that contains b as literals.
func literal(b []byte) []byte {
	out := binary.AppendUvarint(make([]byte, 0, len(b)+len(b)/16+16), uint64(len(b)))
	for len(b) > 0 {
		n := min(len(b), 60)
		out = append(append(out, byte(n-1)<<2), b[:n]...)
		b = b[n:]
	}
	return out
}

// decompress decompresses a Snappy block (google/snappy, format_description.txt).
func decompress(b []byte) ([]byte, error) {
	size, n := binary.Uvarint(b)
	if n <= 0 || size > 64<<20 {
		return nil, errBody
	}
	b = b[n:]
	out := make([]byte, 0, size)
	for len(b) > 0 {
		tag := int(b[0])
		if tag&3 == 0 {
			length, head := tag>>2+1, 1
			if length > 60 {
				head += length - 60
				if len(b) < head {
					return nil, errBody
				}
				length = 1
				for i := range head - 1 {
					length += int(b[1+i]) << (8 * i)
				}
			}
			if len(b)-head < length {
				return nil, errBody
			}
			out = append(out, b[head:head+length]...)
			b = b[head+length:]
			continue
		}
		head := []int{0, 2, 3, 5}[tag&3]
		if len(b) < head {
			return nil, errBody
		}
		length, offset := tag>>2+1, 0
		switch tag & 3 {
		case 1:
			length, offset = tag>>2&7+4, tag>>5<<8|int(b[1])
		case 2:
			offset = int(binary.LittleEndian.Uint16(b[1:]))
		case 3:
			offset = int(binary.LittleEndian.Uint32(b[1:]))
		}
		if offset == 0 || offset > len(out) {
			return nil, errBody
		}
		for range length {
			out = append(out, out[len(out)-offset])
		}
		b = b[head:]
	}
	if uint64(len(out)) != size {
		return nil, errBody
	}
	return out, nil
}
