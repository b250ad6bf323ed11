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
	fields(t, []byte(request), func(number int, _ uint64, series []byte) {
		if number != 1 {
			t.Errorf("WriteRequest has field %d", number)
		}
		var labels []string
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
				case n == 1 && v == staleMarker:
					value = "stale"
				case n == 1:
					value = math.Float64frombits(v)
				default:
					at = int64(v)
				}
			})
			if number == 1 {
				labels = append(labels, fmt.Sprintf("%s=%q", pair[1], pair[2]))
			}
		})
		if !slices.IsSorted(labels) {
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
			stale = v == staleMarker
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

// The result does not depend on the sizes of the blocks passed to Write.
func TestRemoteWriterBlocks(t *testing.T) {
	reg := tacho.NewRegistry()
	reg.Gauge("a", "x").Set(1)
	reg.Collect(func(e *tacho.Emitter) { e.At(time.UnixMilli(1500)).Gauge("a_b", "", 2, "c", "d") })
	var exposition bytes.Buffer
	if err := reg.WriteProtobuf(&exposition); err != nil {
		t.Fatal(err)
	}
	var want string
	for size := exposition.Len(); size > 0; size-- {
		w := &remoteWriter{now: 7, left: 1000}
		for rest := exposition.Bytes(); len(rest) > 0; {
			n, err := w.Write(rest[:min(size, len(rest))])
			if err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		bodies, _, err := w.finish()
		if err != nil {
			t.Fatal(err)
		}
		body, err := unsnappy(bodies[0])
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(readRequest(t, string(body))); want == "" {
			want = got
		} else if got != want {
			t.Errorf("blocks of %d: %s, want %s", size, got, want)
		}
	}
	if want != `[{__name__="a"} 1 7 {__name__="a_b",c="d"} 2 1500]` {
		t.Errorf("got %s", want)
	}
}

// message returns a message with its length.
func message(fields ...string) string {
	text := strings.Join(fields, "")
	return string(appendString(nil, text))
}

// TestMalformedExposition: a malformed message is an error, and no panic.
func TestMalformedExposition(t *testing.T) {
	const (
		name  = "\x0a\x01a"
		one   = "\x09\x00\x00\x00\x00\x00\x00\xf0\x3f"
		label = "\x0a\x06\x0a\x01l\x12\x01v"
	)
	counter := "\x1a" + message(one)
	for _, tt := range []struct{ what, exposition string }{
		{"length of more than 64 bits", strings.Repeat("\xff", 11)},
		{"tag of more than 64 bits", message(strings.Repeat("\xff", 11))},
		{"no name", message("\x22" + message(counter))},
		{"string beyond the message", message("\x0a\x02a")},
		{"string of 2^64-1 bytes", message("\x0a" + strings.Repeat("\xff", 9) + "\x01a")},
		{"group", message(name, "\x0b")},
		{"no value", message(name, "\x22"+message(label))},
		{"value of 7 bytes", message(name, "\x22"+message("\x1a"+message(one[:8])))},
		{"time without an end", message(name, "\x22"+message(counter, "\x30\x80"))},
		{"label without a value", message(name, "\x22"+message("\x0a\x03\x0a\x01l", counter))},
		{"label without a name", message(name, "\x22"+message("\x0a\x03\x12\x01l", counter))},
		{"empty label", message(name, "\x22"+message("\x0a\x00", counter))},
		{"label with a third field", message(name, "\x22"+message("\x0a\x08\x0a\x01l\x12\x01v\x18\x01", counter))},
		{"label with a tag of two bytes", message(name, "\x22"+message("\x8a\x00\x06\x0a\x01l\x12\x01v", counter))},
		{"malformed time of creation", message(name, "\x22"+message("\x1a"+message("\x1a\x01\x08")))},
		{"malformed summary", message(name, "\x22"+message("\x22"+message("\x08")))},
		{"malformed quantile", message(name, "\x22"+message("\x22"+message("\x1a\x01\x09")))},
		{"malformed created of a summary", message(name, "\x22"+message("\x22"+message("\x22\x01\x08")))},
		{"malformed histogram", message(name, "\x22"+message("\x3a"+message("\x08")))},
		{"malformed bucket", message(name, "\x22"+message("\x3a"+message("\x1a\x01\x08")))},
		{"malformed created of a histogram", message(name, "\x22"+message("\x3a"+message("\x7a\x01\x08")))},
	} {
		w := &remoteWriter{left: 1000}
		if _, err := w.Write([]byte(tt.exposition)); err != errMalformed {
			t.Errorf("%s: error %v, want errMalformed", tt.what, err)
		}
	}
	w := &remoteWriter{left: 1000}
	_, err := w.Write([]byte("\x05" + name))
	if _, _, end := w.finish(); err != nil || end != errMalformed {
		t.Errorf("incomplete message: error %v of Write, and %v of finish", err, end)
	}
	// Unknown fields are skipped, of all wire types.
	w = &remoteWriter{left: 1000}
	unknown := "\xf8\x07\x01\xf9\x0712345678\xfa\x07\x01x\xfd\x071234"
	if _, err := w.Write([]byte(message(name, unknown, "\x22"+message(unknown, label, "\x1a"+message(one, unknown))))); err != nil || w.main.series != 1 {
		t.Errorf("unknown fields: error %v and %d series", err, w.main.series)
	}
}

// lastSample returns the only sample of a writer.
func lastSample(t *testing.T, w *remoteWriter) string {
	t.Helper()
	bodies, _, err := w.finish()
	if err != nil {
		t.Fatal(err)
	}
	body, err := unsnappy(bodies[0])
	if err != nil {
		t.Fatal(err)
	}
	lines := readRequest(t, string(body))
	if len(lines) != 1 {
		t.Fatalf("got %q, want one sample", lines)
	}
	return lines[0]
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
		w := &remoteWriter{left: 1 << 30}
		if err := reg.WriteProtobufContext(t.Context(), w); err != nil {
			t.Fatal(err)
		}
		want := `{__name__="g"`
		for _, l := range []label{{"a", strings.ToValidUTF8(a, "\uFFFD")}, {"b", strings.ToValidUTF8(b, "\uFFFD")}} {
			if l.value != "" {
				want += fmt.Sprintf(",%s=%q", l.name, l.value)
			}
		}
		want += "} 5 0"
		// ToValidUTF8 replaces a run of bad bytes by one rune. The registry replaces each
		// bad byte.
		got := lastSample(t, w)
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

// FuzzExposition passes any bytes to the writers. They must not panic. The size of the blocks
// must not change the result, and each series must have its labels first.
func FuzzExposition(f *testing.F) {
	reg := tacho.NewRegistry(tacho.WithCreated(), tacho.WithConstLabels("job", "x"))
	reg.CounterVec("c_total", "Help.", []string{"a"}).With("b").Inc()
	for _, bounds := range [][]float64{nil, {1, 2}} {
		h := reg.Histogram(fmt.Sprintf("h%d", len(bounds)), "", bounds, tacho.WithNative())
		for _, v := range []float64{-3, 0, 1, 1.5, 100} {
			h.Observe(v)
		}
	}
	reg.Collect(func(e *tacho.Emitter) {
		e.At(time.UnixMilli(5)).Summary("s", "", tacho.SummarySnapshot{Count: 1, Sum: 2, Quantiles: []tacho.Quantile{{Quantile: .5, Value: 3}}})
	})
	var b bytes.Buffer
	if err := reg.WriteProtobuf(&b); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes(), 7)
	f.Add([]byte("\x03\x0a\x01a"), 1)
	f.Fuzz(func(t *testing.T, exposition []byte, size int) {
		targets := newReceiver([]label{{"a", "1"}, {"le", "2"}, {"job", "j"}}, false).targets
		var results [2]string
		for i := range results {
			keys := map[string]bool{}
			w := &remoteWriter{targets: targets, left: 1 << 20, seen: func(key []byte, _, _ bool) { keys[string(key)] = true }}
			var gateway bytes.Buffer
			g := &gatewayWriter{w: &gateway, protobuf: true}
			block := len(exposition)
			if i > 0 && size > 0 {
				block = size
			}
			var err, gatewayErr error
			for rest := exposition; len(rest) > 0 && (err == nil || gatewayErr == nil); {
				p := rest[:min(block, len(rest))]
				if rest = rest[len(p):]; err == nil {
					_, err = w.Write(p)
				}
				if gatewayErr == nil {
					_, gatewayErr = g.Write(p)
				}
			}
			bodies, _, end := w.finish()
			if err == nil {
				err = end
			}
			if gatewayErr == nil {
				gatewayErr = g.finish()
			}
			for _, body := range bodies {
				for _, series := range splitSeries(body) {
					if !keys[string(seriesKey(series))] {
						t.Errorf("the labels of %q are %q, not those that were passed to seen", series, seriesKey(series))
					}
				}
			}
			results[i] = fmt.Sprint(bodies, err, gatewayErr)
			if gatewayErr == nil {
				results[i] += gateway.String()
			}
		}
		if results[0] != results[1] {
			t.Errorf("blocks of %d bytes: %q, want %q", size, results[1], results[0])
		}
	})
}

func BenchmarkRemoteWriteCounters(b *testing.B) {
	reg := tacho.NewRegistry()
	v := reg.CounterVec("http_requests_total", "", []string{"method", "path"})
	for i := range 10_000 {
		v.With("GET", fmt.Sprintf("/missions/%d", i)).Add(uint64(i))
	}
	benchmarkEncode(b, reg)
}

func BenchmarkRemoteWriteEncode(b *testing.B) {
	reg := tacho.NewRegistry()
	v := reg.HistogramVec("http_request_duration_seconds", "", nil, []string{"method", "path"})
	for i := range 700 {
		v.With("GET", fmt.Sprintf("/missions/%d", i)).Observe(.1)
	}
	benchmarkEncode(b, reg)
}

func benchmarkEncode(b *testing.B, reg *tacho.Registry) {
	d, err := RemoteWrite{URL: "http://127.0.0.1", Labels: []string{"job", "j", "instance", "i"}}.resolve()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		push, err := d.remote.encode(b.Context(), reg, 1<<30)
		if err != nil || len(push.bodies) == 0 {
			b.Fatal(err)
		}
		d.remote.begin(push)
	}
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
