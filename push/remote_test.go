//go:build !tacho_nohttp

package push

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tachikoma/tacho"
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
		case wireVarint:
			v, n := binary.Uvarint(b)
			b = b[n:]
			f(int(tag>>3), v, nil)
		case wireFixed64:
			f(int(tag>>3), binary.LittleEndian.Uint64(b), nil)
			b = b[8:]
		case wireBytes:
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
	exposition := "# HELP a x\n# TYPE a gauge\na 1.0\na_b{c=\"d\"} 2.0 1.5\n# EOF\n"
	var want string
	for size := len(exposition); size > 0; size-- {
		w := &remoteWriter{now: 7}
		for rest := []byte(exposition); len(rest) > 0; {
			n, err := w.Write(rest[:min(size, len(rest))])
			if err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		bodies, _ := w.finish()
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

func TestBadLines(t *testing.T) {
	for _, line := range []string{
		" ", "{", "a", "a ", "a x", "a 1 x", "a 1 -1", "a 1 NaN", "a 1 1e300", `{a="b"} 1`,
		`a{`, `a{}`, `a{b}`, `a{b=`, `a{b="`, `a{b="c`, `a{b="c\`, `a{b="c\"`, `a{b="c"`, `a{b="c"}`, `a{b="c"}1`, `a{b="c";} 1`,
	} {
		var s sample
		if err := s.parse(line); err == nil {
			t.Errorf("malformed line %q is parsed as %+v", line, s)
		}
	}
	if _, err := new(remoteWriter).Write([]byte("a\n")); err == nil {
		t.Error("Write accepts a malformed line")
	}
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
		w := new(remoteWriter)
		if err := reg.WriteOpenMetrics(w); err != nil {
			t.Fatal(err)
		}
		want := []label{{"__name__", "g"}, {"a", strings.ToValidUTF8(a, "\uFFFD")}, {"b", strings.ToValidUTF8(b, "\uFFFD")}}
		want = slices.DeleteFunc(want, func(l label) bool { return l.value == "" })
		// ToValidUTF8 replaces a run of bad bytes by one rune. The registry replaces each
		// bad byte.
		got := slices.Clone(w.sample.labels)
		for _, list := range [][]label{got, want} {
			for i := range list {
				for strings.Contains(list[i].value, "\uFFFD\uFFFD") {
					list[i].value = strings.ReplaceAll(list[i].value, "\uFFFD\uFFFD", "\uFFFD")
				}
			}
		}
		if !slices.Equal(got, want) || w.sample.value != 5 {
			t.Errorf("%q, want %q", got, want)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add(`a{b="c",d="\\\"\n"} 1.5 1700000000.123 # {e="f"} 1 2`)
	f.Fuzz(func(t *testing.T, line string) {
		var s sample
		if s.parse(line) == nil && (len(s.labels) == 0 || s.labels[0].name != "__name__") {
			t.Errorf("%q is parsed as %+v, without __name__", line, s)
		}
	})
}

func BenchmarkRemoteWriteEncode(b *testing.B) {
	reg := tacho.NewRegistry()
	v := reg.HistogramVec("http_request_duration_seconds", "", nil, []string{"method", "path"})
	for i := range 700 {
		v.With("GET", fmt.Sprintf("/missions/%d", i)).Observe(.1)
	}
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
