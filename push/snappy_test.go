//go:build !tacho_nohttp

package push

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"
)

func TestSnappy(t *testing.T) {
	random := make([]byte, 200_000)
	x := uint32(1)
	for i := range random {
		x = x*1664525 + 1013904223
		random[i] = byte(x >> 24)
	}
	for _, src := range [][]byte{
		nil, []byte("a"), []byte("abc"), []byte("abcd"), []byte("abcdabcd"),
		bytes.Repeat([]byte("a"), 100_000),
		random[:59], random[:60], random[:61], random[:256], random[:257], random[:65536], random[:65537], random,
		slices.Concat(random[:65535], random[:65535]), // the maximum offset of a copy
		slices.Concat(random[:65536], random[:65536]), // beyond the maximum offset
		bytes.Repeat([]byte(`http_requests_total{method="GET",path="/missions/{id}"}`), 1000),
	} {
		got, err := unsnappy(snappy(src))
		if err != nil || !bytes.Equal(got, src) {
			t.Errorf("%d bytes, %.20q: %v", len(src), src, err)
		}
	}
	long := bytes.Repeat([]byte(`http_requests_total{method="GET",path="/missions/{id}"}`), 1000)
	if n := len(snappy(long)); n > len(long)/15 {
		t.Errorf("%d bytes became %d", len(long), n)
	}
	if n := len(snappy(random)); n > len(random)+16 {
		t.Errorf("%d random bytes became %d", len(random), n)
	}
}

// TestSnappyLiteral: a literal has the shortest form of its length (format_description.txt
// of Snappy, section 2.1).
func TestSnappyLiteral(t *testing.T) {
	for n, want := range map[int][]byte{
		0: {}, 1: {0}, 2: {1 << 2}, 60: {59 << 2},
		61: {60 << 2, 60}, 256: {60 << 2, 255},
		257: {61 << 2, 0, 1}, 1 << 16: {61 << 2, 255, 255},
		1<<16 + 1: {62 << 2, 0, 0, 1}, 1 << 24: {62 << 2, 255, 255, 255},
		1<<24 + 1: {63 << 2, 0, 0, 0, 1},
	} {
		got := appendSnappyLiteral(nil, make([]byte, n))
		if len(got) != len(want)+n || !bytes.HasPrefix(got, want) {
			t.Errorf("%d bytes: %d bytes that begin with %v, want %v", n, len(got), got[:min(len(got), 5)], want)
		}
	}
}

// TestUnsnappyForms: every form of an element can be read. The compressor writes only some
// of them (format_description.txt of Snappy, section 2).
func TestUnsnappyForms(t *testing.T) {
	start := make([]byte, 700)
	for i := range start {
		start[i] = byte(i * i >> 3)
	}
	for _, tt := range []struct {
		name           string
		element        []byte
		length, offset int // of the copy
	}{
		{"offset of 11 bits, shortest", []byte{0<<2 | 1, 1}, 4, 1},
		{"offset of 11 bits, longest", []byte{7<<2 | 1, 255}, 11, 255},
		{"offset of 11 bits, high bits", []byte{2<<5 | 3<<2 | 1, 5}, 7, 2<<8 | 5},
		{"offset of 16 bits, shortest", []byte{0<<2 | 2, 7, 0}, 1, 7},
		{"offset of 16 bits, longest", []byte{63<<2 | 2, 0, 2}, 64, 512},
		{"offset of 32 bits, shortest", []byte{0<<2 | 3, 9, 0, 0, 0}, 1, 9},
		{"offset of 32 bits, longest", []byte{63<<2 | 3, 188, 2, 0, 0}, 64, 700},
	} {
		want := slices.Clone(start)
		for range tt.length {
			want = append(want, want[len(want)-tt.offset])
		}
		block := binary.AppendUvarint(nil, uint64(len(want)))
		block = append(appendSnappyLiteral(block, start), tt.element...)
		if got, err := unsnappy(block); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: error %v, or another copy", tt.name, err)
		}
		if _, err := unsnappy(block[:len(block)-1]); err != errCorrupt {
			t.Errorf("%s without its last byte: error %v", tt.name, err)
		}
	}
	for name, block := range map[string][]byte{
		"no size":             {},
		"size over 1 GiB":     {0x81, 0x80, 0x80, 0x80, 0x04},
		"size without end":    {0x80},
		"wrong size":          {2, 0, 'a'},
		"literal too long":    {3, 2 << 2, 'a', 'b'},
		"copy of nothing":     {4, 0<<2 | 1, 1},
		"offset 0":            {5, 0, 'a', 0<<2 | 1, 0},
		"offset before start": {5, 0, 'a', 0<<2 | 1, 2},
	} {
		if got, err := unsnappy(block); err != errCorrupt {
			t.Errorf("%s: %q, error %v", name, got, err)
		}
	}
}

func FuzzSnappy(f *testing.F) {
	f.Add([]byte("abcdabcdabcdxyz"), 3)
	f.Add([]byte("ab"), 40000)
	f.Fuzz(func(t *testing.T, src []byte, times int) {
		src = bytes.Repeat(src, max(1, min(times, 200_000/(len(src)+1))))
		if got, err := unsnappy(snappy(src)); err != nil || !bytes.Equal(got, src) {
			t.Errorf("%d bytes: %v", len(src), err)
		}
	})
}
