package history

import (
	"encoding/binary"
	"math"
)

// The codes of a record that are odd. An even code is a difference that is an integer.
const (
	codeAbsent = 1
	codeFloat  = 3 // 8 bytes follow
)

// maxDifference is the bound of a difference. A reader in JavaScript has exact integers below 2^53, and a
// code has two bits more than the difference.
const maxDifference = 1 << 50

// appendRecord appends the change of a slot from the value last to v. gap is the number of slots
// between the slot and the slot of the record before; it can be negative.
func appendRecord(b []byte, gap int, last, v float64) []byte {
	d := int64(v - last)
	if !(last+float64(d) == v && -maxDifference < d && d < maxDifference) {
		b = binary.AppendVarint(b, int64(gap))
		if v != v {
			return append(b, codeAbsent)
		}
		return binary.LittleEndian.AppendUint64(append(b, codeFloat), math.Float64bits(v))
	}
	code := uint64(d<<1^d>>63) << 1
	switch { // most records are of the next slot, with a small difference
	case gap == 0 && code < 1<<7:
		return append(b, 0, byte(code))
	case gap == 0 && code < 1<<14:
		return append(b, 0, byte(code)|1<<7, byte(code>>7))
	}
	return binary.AppendUvarint(binary.AppendVarint(b, int64(gap)), code)
}

// apply changes values by the records of a payload.
func apply(values []float64, payload []byte) {
	slot := -1
	for len(payload) > 0 {
		if len(payload) > 2 && payload[0] == 0 && payload[1]&1 == 0 { // most records; see appendRecord
			code, n := int(payload[1]), 2
			if code >= 1<<7 {
				code, n = code&(1<<7-1)|int(payload[2])<<7, 3
			}
			if code < 1<<14 {
				slot++
				values[slot] += float64(code>>2 ^ -(code >> 1 & 1))
				payload = payload[n:]
				continue
			}
		}
		gap, n := binary.Varint(payload)
		code, m := binary.Uvarint(payload[n:])
		payload = payload[n+m:]
		slot += int(gap) + 1
		switch code {
		case codeAbsent:
			values[slot] = math.NaN()
		case codeFloat:
			values[slot] = math.Float64frombits(binary.LittleEndian.Uint64(payload))
			payload = payload[8:]
		default:
			d := code >> 1
			values[slot] += float64(int64(d>>1) ^ -int64(d&1))
		}
	}
}
