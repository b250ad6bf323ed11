//go:build !tacho_nohttp

package push

import (
	"bytes"
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
