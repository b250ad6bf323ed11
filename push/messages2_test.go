//go:build !tacho_nohttp

package push

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tachikoma/tacho"
)

// refs returns packed references as a field.
func refs(all ...byte) string { return "\x0a" + message(string(all)) }

// double returns a field of 64 bits.
func double(tag byte, v float64) string { return string(appendFixed64(nil, tag, math.Float64bits(v))) }

// fullRequest has all fields of remote write 2.0 in two series. Between them is an unknown field.
func fullRequest() []byte {
	var b strings.Builder
	for _, symbol := range []string{"", "unused", "__name__", "a_total", "job", "j", "trace_id", "t1", "Help.", "seconds", "h"} {
		b.WriteString("\x22" + message(symbol))
	}
	b.WriteString("\x2a" + message(
		refs(2, 3, 4, 5),
		"\x12"+message(double(0x09, 1.5), "\x10\x07\x18\x05"), // value, time and start
		"\x12"+message(double(0x09, 2.5), "\x10\x08"),
		"\x22"+message(refs(6, 7), double(0x11, 3), "\x18\x06"),
		"\x2a"+message("\x08\x01\x18\x08\x20\x09"),
	))
	b.WriteString("\xf8\x07\x01")
	b.WriteString("\x2a" + message(
		refs(2, 10),
		"\x1a"+message("\x08\x04", double(0x19, 9), "\x20\x06", double(0x29, .5), "\x30\x01", "\x5a\x04\x08\x02\x10\x02\x62\x02\x02\x02\x78\x07\x88\x01\x03", "\x82\x01\x08"+"12345678"),
		"\x22"+message(double(0x11, 4), "\x18\x09"),
		"\x2a"+message("\x08\x03\x18\x00"),
	))
	return []byte(b.String())
}

// describe2 returns the series of a request as text.
func describe2(t *testing.T, request []byte) string {
	var b strings.Builder
	for _, s := range readVersion2(t, string(request)) {
		fmt.Fprintln(&b, s.lines, s.starts, s.exemplars, s.metadata)
	}
	return b.String()
}

func TestJoinRequest(t *testing.T) {
	q, ok := parseRequest(fullRequest())
	if !ok || len(q.series) != 2 || len(q.symbols) != 11 {
		t.Fatalf("%d series and %d symbols, %v", len(q.series), len(q.symbols), ok)
	}
	const first = `[{__name__="a_total",job="j"} 1.5 7 {__name__="a_total",job="j"} 2.5 8] [5 0] [{trace_id="t1"} 3 6] 1 "Help." "seconds"` + "\n"
	for i, want := range []string{first, ""} {
		joined, ok := q.join(q.series[i : i+1])
		if !ok {
			t.Fatalf("series %d cannot be joined", i)
		}
		if i == 0 {
			if got := describe2(t, joined); got != want { // each symbol is used
				t.Errorf("got %s, want %s", got, want)
			}
			continue
		}
		// The custom values are not in readHistogram.
		part, _ := parseRequest(joined)
		if key, ok := part.appendKey(nil, part.series[0]); !ok || string(key) != string(appendLabel(nil, "__name__", "h")) || len(part.symbols) != 3 {
			t.Errorf("key %q, %v, %d symbols", key, ok, len(part.symbols))
		}
		if !bytes.Contains(joined, []byte("12345678")) {
			t.Errorf("%q has not all fields of the histogram", joined)
		}
	}
	all, ok := q.join(q.series)
	again, _ := parseRequest(all)
	if joined, ok2 := again.join(again.series); !ok || !ok2 || string(joined) != string(all) {
		t.Errorf("joined again: %q, want %q", joined, all)
	}
	if c, ok := countRequest(snappy(all)); !ok || c != (counts{samples: 2, histograms: 1, exemplars: 2}) {
		t.Errorf("got %+v, %v", c, ok)
	}
	if none, ok := q.join(nil); !ok || string(none) != "\x22\x00" {
		t.Errorf("a request without series is %q", none)
	}
}

func TestDowngradeAllFields(t *testing.T) {
	old, ok := downgrade(snappy(fullRequest()))
	request, err := unsnappy(old)
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	want := message(string(appendLabel(appendLabel(nil, "__name__", "a_total"), "job", "j")),
		"\x12"+message(double(0x09, 1.5), "\x10\x07"), "\x12"+message(double(0x09, 2.5), "\x10\x08"))
	want = "\x0a" + want + "\x0a" + message(string(appendLabel(nil, "__name__", "h")),
		"\x22"+message("\x08\x04", double(0x19, 9), "\x20\x06", double(0x29, .5), "\x30\x01", "\x5a\x04\x08\x02\x10\x02\x62\x02\x02\x02\x78\x07"))
	if string(request) != want {
		t.Errorf("got %q, want %q", request, want)
	}
}

// TestDowngrade: a push of version 2.0 that is converted has the samples of a push of version 1.0.
func TestDowngrade(t *testing.T) {
	reg := nativeMetrics(tacho.WithConstLabels("Zone", "z"))
	reg.FloatCounterVec("cost_dollars_total", "Help.", []string{"model"}).With("x").AddExemplar(1, "trace_id", "abc")
	reg.Histogram("classic_seconds", "Help.", []float64{1, 2}).ObserveExemplar(1.5, "trace_id", "abc")
	reg.GaugeFunc("nan", "", math.NaN)
	reg.Collect(func(e *tacho.Emitter) {
		e.At(time.UnixMilli(5)).Summary("s", "", tacho.SummarySnapshot{Count: 1, Sum: 2, Quantiles: []tacho.Quantile{{Quantile: .5, Value: 3}}})
	})
	now := time.Now()
	var lines [3][]string
	for version := 1; version <= 2; version++ {
		d, err := RemoteWrite{URL: "http://h", Labels: []string{"job", "j"}, Version2: version == 2}.resolve()
		if err != nil {
			t.Fatal(err)
		}
		d.remote.clock = func() time.Time { return now }
		push, err := d.remote.encode(context.Background(), reg, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		end := d.remote
		end.begin(push)
		d.remote.clock = func() time.Time { return now.Add(time.Second) }
		ended := end.end()
		numbers := append(push.counts, ended.counts...)
		for i, body := range append(push.bodies, ended.bodies...) {
			if version == 2 {
				if n, ok := countRequest(body); !ok || n != numbers[i] {
					t.Errorf("the request has the elements %v, and the push counted %v", n, numbers[i])
				}
				var ok bool
				if body, ok = downgrade(body); !ok {
					t.Fatal("a body cannot be converted")
				}
			}
			request, err := unsnappy(body)
			if err != nil {
				t.Fatal(err)
			}
			lines[version] = append(lines[version], readRequest(t, string(request))...)
		}
		slices.Sort(lines[version])
	}
	if len(lines[1]) < 20 {
		t.Errorf("only %d samples", len(lines[1]))
	}
	expectLines(t, lines[2], lines[1])
}

// TestMalformedRequest: a malformed request is no panic.
func TestMalformedRequest(t *testing.T) {
	series := func(fields ...string) string { return "\x22\x00\x22\x01a\x2a" + message(fields...) }
	for _, request := range []string{
		"\x22",
		"\x22\x05a",
		"\x2a\x01",
		series("\x0a"),
		series(refs(0, 2)),
		series(refs(2, 0)),
		series(refs(0)),
		series(refs(0, 0xff)),
		series("\x12\x01\x09"),
		series("\x1a\x01\x09"),
		series("\x22\x01\x09"),
		series("\x22" + message(refs(9))),
		series("\x22" + message(refs(0xff))),
		series("\x2a\x01\x18"),
		series("\x2a\x02\x18\x02"),
	} {
		q, ok := parseRequest([]byte(request))
		_, joined := q.join(q.series)
		_, downgraded := downgrade(snappy([]byte(request)))
		if ok && joined && downgraded {
			t.Errorf("%q is accepted", request)
		}
		countRequest(snappy([]byte(request)))
	}
	for _, body := range []string{"", "\x05", "\x01\x00"} {
		_, counted := countRequest([]byte(body))
		if _, ok := downgrade([]byte(body)); ok || counted {
			t.Errorf("the block %q is accepted", body)
		}
	}
	// A malformed body is an error, and is not sent.
	s := serve(t, nil)
	p, _ := testPusher(t, RemoteWrite{URL: s.URL, Version2: true}, Config{})
	p.dest.remote.version = 1
	err, complete := p.deliver(context.Background(), nil, &remotePush{version: 2, bodies: [][]byte{[]byte("\x01\x00")}})
	if err == nil || !complete || len(s.seen()) != 0 {
		t.Errorf("got error %v after %d requests", err, len(s.seen()))
	}
}

// FuzzRequest passes any bytes to the functions for messages of remote write 2.0. They must not panic. A
// request of all series has the same series, and its conversion to version 1.0 has the same labels.
func FuzzRequest(f *testing.F) {
	f.Add(fullRequest())
	f.Add([]byte("\x22\x00\x2a\x04\x0a\x02\x00\x00"))
	f.Add([]byte("\x2a\x04\x0a\x02\x00\x00")) // no symbols
	f.Fuzz(func(t *testing.T, request []byte) {
		body := snappy(request)
		before, counted := countRequest(body)
		old, downgraded := downgrade(body)
		q, ok := parseRequest(request)
		if !ok {
			return
		}
		joined, ok := q.join(q.series)
		if !ok {
			return
		}
		again, ok := parseRequest(joined)
		if !ok || len(again.series) != len(q.series) {
			t.Fatalf("%q is joined as %q", request, joined)
		}
		if after, ok := countRequest(snappy(joined)); !ok || !counted || after != before {
			t.Errorf("counts %+v, want %+v", after, before)
		}
		var rest []byte
		if downgraded {
			rest, _ = unsnappy(old)
		}
		for i := range q.series {
			want, ok1 := q.appendKey(nil, q.series[i])
			got, ok2 := again.appendKey(nil, again.series[i])
			if ok1 != ok2 || ok1 && string(got) != string(want) {
				t.Errorf("series %d has the key %q, want %q", i, got, want)
			}
			if !downgraded {
				continue
			}
			var series []byte
			if series, rest, ok = cutBytes(rest[1:]); !ok || !ok1 || !bytes.HasPrefix(series, want) {
				t.Fatalf("series %d of version 1.0 is %q, want the key %q", i, series, want)
			}
		}
		if twice, ok := again.join(again.series); !ok || string(twice) != string(joined) {
			t.Errorf("joined again: %q, want %q", twice, joined)
		}
	})
}

// BenchmarkCountRequest measures the count after each response to version 2.0.
func BenchmarkCountRequest(b *testing.B) {
	reg, _ := manySeries(maxSeries)
	d, err := RemoteWrite{URL: "http://127.0.0.1", Labels: []string{"job", "j", "instance", "i"}, Version2: true}.resolve()
	if err != nil {
		b.Fatal(err)
	}
	push, err := d.remote.encode(b.Context(), reg, 1<<30)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if c, ok := countRequest(push.bodies[0]); !ok || c.samples != maxSeries {
			b.Fatal(c, ok)
		}
	}
}

// TestCopiedBuckets: both versions have the same buckets, also if a request ends between two buckets, a
// label is long, and references have more bytes than those of the bucket before.
func TestCopiedBuckets(t *testing.T) {
	reg := tacho.NewRegistry(tacho.WithCreated())
	bounds := make([]float64, 150) // references of one and of two bytes
	for i := range bounds {
		bounds[i] = float64(i*i) / 4
	}
	const histograms = 40
	v := reg.HistogramVec("duration_seconds", "", bounds, []string{"a", "z"})
	for i := range histograms {
		h := v.With(strings.Repeat("v", 4*i), fmt.Sprint("é", i%5))
		for j := range 200 {
			h.Observe(float64(j * i))
		}
	}
	for _, markers := range []bool{false, true} {
		now := time.Now()
		var lines [3][]string
		for version := 1; version <= 2; version++ {
			r := newReceiver([]label{{"job", "j"}, {"zone", "x"}}, markers)
			r.version, r.clock = version, func() time.Time { return now }
			push, err := r.encode(context.Background(), reg, 1<<30)
			if err != nil {
				t.Fatal(err)
			}
			for _, body := range push.bodies {
				if version == 2 {
					var ok bool
					if body, ok = downgrade(body); !ok {
						t.Fatal("a body cannot be converted")
					}
				}
				request, err := unsnappy(body)
				if err != nil {
					t.Fatal(err)
				}
				for _, line := range readRequest(t, string(request)) {
					if !strings.Contains(line, "_created") {
						lines[version] = append(lines[version], line)
					}
				}
			}
		}
		if n := len(lines[1]); n != histograms*(len(bounds)+3) {
			t.Errorf("%d samples", n)
		}
		expectLines(t, lines[2], lines[1])
		slices.Sort(lines[1])
		if n := len(slices.Compact(lines[1])); n != len(lines[2]) {
			t.Errorf("%d of %d samples are different", n, len(lines[2]))
		}
	}
}
