package expo

import (
	"math"

	"github.com/tachikoma/tacho/internal/byteorder"
	"github.com/tachikoma/tacho/internal/exemplar"
	"github.com/tachikoma/tacho/internal/wire"
)

// appendExemplar appends an Exemplar after its tag.
func appendExemplar(b []byte, x *exemplar.Exemplar) []byte {
	b = append(b, 0)
	start := len(b)
	b = appendDouble(appendPairs(b, x.Labels), wire.ExemplarValue, x.Value)
	return seal(appendTimestamp(b, wire.ExemplarTime, x.At), start)
}

// appendCreated appends the time of creation of a series, if there is one.
//
//go:noinline
func appendCreated(b []byte, field byte, d *Details) []byte {
	if d == nil || d.Created == 0 {
		return b
	}
	return appendTimestamp(b, field, d.Created)
}

// appendTimestamp appends a google.protobuf.Timestamp. Its nanoseconds are not negative.
func appendTimestamp(b []byte, field byte, ms int64) []byte {
	b = append(b, field, 0, wire.TimeSeconds)
	start := len(b) - len(".")
	seconds, rest := ms/1000, ms%1000
	if rest < 0 {
		seconds, rest = seconds-1, rest+1000
	}
	b = appendVarint(b, uint64(seconds))
	return seal(appendVarint(append(b, wire.TimeNanos), uint64(rest)*1e6), start)
}

// appendTime appends the time of a sample, if there is one.
//
//go:noinline
func appendTime(b []byte, d *Details) []byte {
	if d == nil || !d.Timed {
		return b
	}
	return appendVarint(append(b, wire.MetricTime), uint64(d.At))
}

// appendString appends a string field.
//
//go:noinline
func appendString(b []byte, field byte, s string) []byte {
	b = appendVarint(append(b, field), uint64(len(s)))
	return append(b, s...)
}

func appendDouble(b []byte, field byte, v float64) []byte {
	return appendFixed(b, field, math.Float64bits(v))
}

// signed returns v, or -v if negative is true.
func signed(v uint64, negative bool) float64 {
	if negative {
		return -float64(v)
	}
	return float64(v)
}

// appendFixed appends a field of 8 bytes.
func appendFixed(b []byte, field byte, v uint64) []byte {
	var text [9]byte
	text[0] = field
	byteorder.Store64((*[8]byte)(text[1:]), v)
	return append(b, text[:]...)
}

//go:noinline
func appendVarint(b []byte, v uint64) []byte {
	for ; v >= 0x80; v >>= 7 {
		b = append(b, byte(v)|0x80)
	}
	return append(b, byte(v))
}

// nest appends the tag of a message and one byte for its length. It returns the buffer and
// the index of the message; see seal.
func nest(b []byte, field byte) (_ []byte, start int) {
	b = append(b, field, 0)
	return b, len(b)
}

// seal sets the length of the message b[start:]. Most messages are short and have a length of one
// byte. seal moves a longer message by one byte for each further byte of the length.
//
//go:noinline
func seal(b []byte, start int) []byte {
	n := len(b) - start
	for ; n >= 0x80; n >>= 7 {
		b = append(b, 0)
		copy(b[start+1:], b[start:])
		b[start-1] = byte(n) | 0x80
		start++
	}
	b[start-1] = byte(n)
	return b
}
