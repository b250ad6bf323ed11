//go:build !tacho_nohttp

package push

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/internal/expo"
	"github.com/tachikoma/tacho/internal/wire"
)

// fields calls f for each field of the protocol buffer message b. f gets the field
// number and the value, either as v or as bytes.
func fields(t *testing.T, b []byte, f func(number int, v uint64, bytes []byte)) {
	t.Helper()
	for len(b) > 0 {
		tag, n := binary.Uvarint(b)
		if b = b[n:]; n <= 0 {
			t.Fatal("bad tag")
		}
		switch tag & 7 {
		case wire.Varint:
			v, n := binary.Uvarint(b)
			b = b[n:]
			f(int(tag>>3), v, nil)
		case wire.Fixed64:
			f(int(tag>>3), binary.LittleEndian.Uint64(b), nil)
			b = b[8:]
		case wire.Bytes:
			size, n := binary.Uvarint(b)
			f(int(tag>>3), 0, b[n:n+int(size)])
			b = b[n+int(size):]
		default:
			t.Fatalf("wire type %d", tag&7)
		}
	}
}

// readRequest converts a WriteRequest to lines of the form {a="b"} value time. The value of
// a stale marker is "stale".
func readRequest(t *testing.T, request string) (lines []string) {
	t.Helper()
	if strings.HasPrefix(request, "\x22") { // symbols = 4 of a Request of version 2.0
		for _, s := range readVersion2(t, request) {
			lines = append(lines, s.lines...)
		}
		return lines
	}
	fields(t, []byte(request), func(number int, _ uint64, series []byte) {
		if number != 1 {
			t.Errorf("WriteRequest has field %d", number)
		}
		var labels, names []string
		var value any
		var at int64
		fields(t, series, func(number int, _ uint64, part []byte) {
			if number == 4 {
				value, at = readHistogram(t, part)
				return
			}
			var pair [3]string
			fields(t, part, func(n int, v uint64, text []byte) {
				switch {
				case number == 1:
					pair[n] = string(text)
				case n == 1 && v == expo.StaleMarker:
					value = "stale"
				case n == 1:
					value = math.Float64frombits(v)
				default:
					at = int64(v)
				}
			})
			if number == 1 {
				labels, names = append(labels, fmt.Sprintf("%s=%q", pair[1], pair[2])), append(names, pair[1])
			}
		})
		if !slices.IsSorted(names) {
			t.Errorf("labels are not sorted: %q", labels)
		}
		lines = append(lines, fmt.Sprintf("{%s} %v %d", strings.Join(labels, ","), value, at))
	})
	return lines
}

// readHistogram returns a Histogram as text, and its time. The value of a stale marker is
// "native-stale".
func readHistogram(t *testing.T, b []byte) (text string, at int64) {
	t.Helper()
	var parts []string
	stale := false
	fields(t, b, func(number int, v uint64, bytes []byte) {
		part := ""
		switch number {
		case 1:
			part = fmt.Sprintf("count:%d", v)
		case 3:
			part = fmt.Sprintf("sum:%v", math.Float64frombits(v))
			stale = v == expo.StaleMarker
		case 4:
			part = fmt.Sprintf("schema:%d", unzigzag(v))
		case 5:
			part = fmt.Sprintf("threshold:%v", math.Float64frombits(v))
		case 6:
			part = fmt.Sprintf("zero:%d", v)
		case 8, 11:
			span := [3]int64{}
			fields(t, bytes, func(n int, v uint64, _ []byte) { span[n] = int64(v) })
			part = fmt.Sprintf("%d:%d+%d", number, unzigzag(uint64(span[1])), span[2])
		case 9, 12:
			var deltas []int64
			for len(bytes) > 0 {
				v, n := binary.Uvarint(bytes)
				deltas, bytes = append(deltas, unzigzag(v)), bytes[n:]
			}
			part = fmt.Sprintf("%d:%s", number, strings.ReplaceAll(fmt.Sprint(deltas), " ", "/"))
		case 15:
			at = int64(v)
			return
		default:
			t.Errorf("Histogram has field %d", number)
		}
		parts = append(parts, part)
	})
	if stale {
		if !slices.Equal(parts, []string{"count:0", "sum:NaN", "zero:0"}) {
			t.Errorf("a stale marker with %v", parts)
		}
		return "native-stale", at
	}
	return strings.Join(parts, ","), at
}

func unzigzag(v uint64) int64 { return int64(v>>1) ^ -int64(v&1) }

func TestRemoteWrite(t *testing.T) {
	s := serve(t, statuses(204))
	reg := tacho.NewRegistry(tacho.WithConstLabels("zone", "eu"))
	reg.FloatCounterVec("cost_dollars", "", []string{"model", "a"}).With("x", "").Add(.25)
	reg.Gauge("g", "").Set(-7)
	reg.GaugeVec("odd", "", []string{"l"}).With("quote\" back\\slash\nline, =# {}").Set(1)
	renamed := reg.GaugeVec("renamed", "", []string{"job", "exported_job", "empty"})
	renamed.With("1", "2", "3").Set(1)
	renamed.With("1", "", "").Set(2)
	renamed.With("", "4", "").Set(3)
	reg.GaugeFunc("inf", "", func() float64 { return math.Inf(1) })
	reg.GaugeFunc("nan", "", math.NaN)
	h := reg.Histogram("h_seconds", "", []float64{1, 2.5})
	h.ObserveExemplar(2, "trace_id", "abc")
	reg.Collect(func(e *tacho.Emitter) {
		e.At(time.UnixMilli(1700000000123)).Gauge("timed", "", 4)
		e.At(time.Unix(0, 0)).Gauge("timed_0", "", 5)
	})
	before := time.Now().UnixMilli()
	p, _ := testPusher(t, RemoteWrite{URL: s.URL + "/api/v1/write", Labels: []string{"job", "backup", "empty", ""}}, Config{Registry: reg})
	if err := p.Push(context.Background()); err != nil {
		t.Fatal(err)
	}
	got := s.seen()[0]
	if got.method != "POST" || got.uri != "/api/v1/write" {
		t.Errorf("%s %s", got.method, got.uri)
	}
	for name, want := range map[string]string{
		"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy",
		"X-Prometheus-Remote-Write-Version": "0.1.0", "User-Agent": "tacho",
	} {
		if got.header.Get(name) != want {
			t.Errorf("%s: %q", name, got.header.Get(name))
		}
	}
	lines := readRequest(t, got.body)
	now := lines[0][strings.LastIndexByte(lines[0], ' ')+1:]
	var at int64
	if _, err := fmt.Sscan(now, &at); err != nil || at < before || at > time.Now().UnixMilli() {
		t.Errorf("time %s, %v", now, err)
	}
	want := []string{
		`{__name__="cost_dollars",job="backup",model="x",zone="eu"} 0.25 now`,
		`{__name__="g",job="backup",zone="eu"} -7 now`,
		`{__name__="h_seconds_bucket",job="backup",le="1.0",zone="eu"} 0 now`,
		`{__name__="h_seconds_bucket",job="backup",le="2.5",zone="eu"} 1 now`,
		`{__name__="h_seconds_bucket",job="backup",le="+Inf",zone="eu"} 1 now`,
		`{__name__="h_seconds_sum",job="backup",zone="eu"} 2 now`,
		`{__name__="h_seconds_count",job="backup",zone="eu"} 1 now`,
		`{__name__="inf",job="backup",zone="eu"} +Inf now`,
		`{__name__="nan",job="backup",zone="eu"} NaN now`,
		`{__name__="odd",job="backup",l="quote\" back\\slash\nline, =# {}",zone="eu"} 1 now`,
		`{__name__="renamed",exported_job="4",job="backup",zone="eu"} 3 now`,
		`{__name__="renamed",exported_job="1",job="backup",zone="eu"} 2 now`,
		`{__name__="renamed",empty="3",exported_exported_job="1",exported_job="2",job="backup",zone="eu"} 1 now`,
		`{__name__="timed",job="backup",zone="eu"} 4 1700000000123`,
		`{__name__="timed_0",job="backup",zone="eu"} 5 0`,
	}
	for i := range want {
		want[i] = strings.Replace(want[i], " now", " "+now, 1)
	}
	if !slices.Equal(lines, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
}

// A push of many series consists of several requests. A request that is refused because of
// its samples is sent in halves. After any other refused request, the push continues with
// the next request. After a failed request, the push ends.
func TestRemoteWriteRequests(t *testing.T) {
	reg := tacho.NewRegistry()
	v := reg.GaugeVec("g", "", []string{"l"})
	for i := range 2*maxSeries + 1 {
		v.With(fmt.Sprint(i)).Set(int64(i))
	}
	for _, tt := range []struct {
		name     string
		answers  []int
		requests int
		ok       bool
	}{
		{"all accepted", []int{204}, 3, true},
		{"the second refused", []int{204, 401, 204}, 3, false},
		{"the second accepted in halves", []int{204, 400, 204}, 5, true},
		{"the second failed", []int{204, 503, 503, 503, 503, 204}, 5, false},
		{"the second retried", []int{204, 503, 204}, 4, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := serve(t, statuses(tt.answers...))
			p, _ := testPusher(t, RemoteWrite{URL: s.URL}, Config{Registry: reg})
			err := p.Push(context.Background())
			if (err == nil) != tt.ok || len(s.seen()) != tt.requests {
				t.Errorf("got error %v after %d requests, want %d requests", err, len(s.seen()), tt.requests)
			}
			if (p.lastSuccess.Value() > 0) != tt.ok {
				t.Errorf("last success at %v", p.lastSuccess.Value())
			}
			seen := map[string]bool{}
			for _, r := range s.seen() {
				lines := readRequest(t, r.body)
				if len(lines) > maxSeries {
					t.Errorf("%d series in a request", len(lines))
				}
				for _, line := range lines {
					seen[line] = true
				}
			}
			if tt.name != "the second failed" && len(seen) != 2*maxSeries+1 {
				t.Errorf("got %d different series, want %d", len(seen), 2*maxSeries+1)
			}
		})
	}
}

// Two pushes within one millisecond must not have the same time.
func TestRemoteWriteTimesIncrease(t *testing.T) {
	s := serve(t, nil)
	p, _ := testPusher(t, RemoteWrite{URL: s.URL}, Config{})
	for range 20 {
		if err := p.Push(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	last := ""
	for _, r := range s.seen() {
		line := readRequest(t, r.body)[0]
		if line <= last { // the lines differ only in the time, which has 13 digits
			t.Errorf("%s after %s", line, last)
		}
		last = line
	}
}

// A push without series shows whether the receiver is available.
func TestRemoteWriteEmptyRegistry(t *testing.T) {
	s := serve(t, statuses(204, 400))
	p, _ := testPusher(t, RemoteWrite{URL: s.URL}, Config{Registry: tacho.NewRegistry()})
	if err := p.Push(context.Background()); err != nil {
		t.Errorf("accepted empty request: %v", err)
	}
	if err := p.Push(context.Background()); err == nil || !strings.Contains(err.Error(), "400") {
		t.Errorf("refused empty request: %v, want status 400", err)
	}
	for _, r := range s.seen() {
		if r.body != "" {
			t.Errorf("body %q, want an empty message", r.body)
		}
	}
	if err := p.Shutdown(context.Background()); err == nil || len(s.seen()) != 3 {
		t.Errorf("Shutdown: error %v after %d requests, want status 400 and no stale markers", err, len(s.seen()))
	}
	s.Close()
	dead, _ := testPusher(t, RemoteWrite{URL: s.URL}, Config{Registry: tacho.NewRegistry(), Retries: -1})
	if err := dead.Push(context.Background()); err == nil {
		t.Error("push to a server that does not run succeeded")
	}
}

// message returns a message with its length.
func message(fields ...string) string {
	text := strings.Join(fields, "")
	return string(appendString(nil, text))
}

// encoded returns the series of a push of version 1.0, without compression.
func encoded(t *testing.T, r *receiver, reg *tacho.Registry) (request []byte) {
	t.Helper()
	p, err := r.encode(t.Context(), reg, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	r.begin(p)
	for _, body := range p.bodies {
		part, err := unsnappy(body)
		if err != nil {
			t.Fatal(err)
		}
		request = append(request, part...)
	}
	return request
}

// FuzzLabelValue checks that every string arrives as a label value. Invalid UTF-8 is
// replaced by U+FFFD.
func FuzzLabelValue(f *testing.F) {
	f.Add("a", "b")
	f.Add("\\n\n\"", "} 1 # {")
	f.Add("\xff\x00", ",x=\"")
	f.Fuzz(func(t *testing.T, a, b string) {
		reg := tacho.NewRegistry()
		reg.GaugeVec("g", "", []string{"a", "b"}).With(a, b).Set(5)
		r := newReceiver(nil, true)
		r.clock = func() time.Time { return time.UnixMilli(5) }
		want := `{__name__="g"`
		for _, l := range []label{{"a", strings.ToValidUTF8(a, "\uFFFD")}, {"b", strings.ToValidUTF8(b, "\uFFFD")}} {
			if l.value != "" {
				want += fmt.Sprintf(",%s=%q", l.name, l.value)
			}
		}
		want += "} 5 5"
		// ToValidUTF8 replaces a run of bad bytes by one rune. The registry replaces each
		// bad byte.
		got := strings.Join(readRequest(t, string(encoded(t, r, reg))), "\n")
		for _, text := range []*string{&got, &want} {
			for strings.Contains(*text, "\uFFFD\uFFFD") {
				*text = strings.ReplaceAll(*text, "\uFFFD\uFFFD", "\uFFFD")
			}
		}
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	})
}

// FuzzExposition passes any bytes to the writer of a Pushgateway. It must not panic. The size of the blocks
// must not change the result.
func FuzzExposition(f *testing.F) {
	reg := tacho.NewRegistry(tacho.WithCreated(), tacho.WithConstLabels("zone", "x"))
	fillRegistry(reg, "a", "b", 3, false)
	var b bytes.Buffer
	if err := reg.WriteProtobuf(&b); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes(), 7)
	f.Add([]byte("\x03\x0a\x01a"), 1)
	f.Fuzz(func(t *testing.T, exposition []byte, size int) {
		var results [2]string
		for i := range results {
			var gateway bytes.Buffer
			g := &gatewayWriter{w: &gateway, protobuf: true}
			block := len(exposition)
			if i > 0 && size > 0 {
				block = size
			}
			var err error
			for rest := exposition; len(rest) > 0 && err == nil; {
				p := rest[:min(block, len(rest))]
				rest = rest[len(p):]
				_, err = g.Write(p)
			}
			if err == nil {
				err = g.finish()
			}
			results[i] = fmt.Sprint(err)
			if err == nil {
				results[i] += gateway.String()
			}
		}
		if results[0] != results[1] {
			t.Errorf("blocks of %d bytes: %q, want %q", size, results[1], results[0])
		}
	})
}

// TestSizeUvarint: a wrong size would make every message around the number malformed.
func TestSizeUvarint(t *testing.T) {
	for shift := range 64 {
		for _, v := range []uint64{1<<shift - 1, 1 << shift, math.MaxUint64 >> shift} {
			if got, want := sizeUvarint(v), len(binary.AppendUvarint(nil, v)); got != want {
				t.Errorf("%#x: %d bytes, want %d", v, got, want)
			}
		}
	}
}
